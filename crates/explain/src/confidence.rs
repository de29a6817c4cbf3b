//! `RecSAE`'s confidence: how often a judge who is told the explanation says rightly whether a
//! feature is active.

/// A predicted activation above this counts as saying that the feature is active.
pub const SAYS_ACTIVE: f64 = 5.0;
/// A feature counts as interpretable from this confidence on.
pub const INTERPRETABLE: f64 = 0.8;

/// What a judge's predictions come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Share of activating cases that were said to be active; `None` without such cases.
    pub recall: Option<f64>,
    /// Share of non-activating cases that were said not to be; `None` without such cases. `RecSAE`
    /// calls it precision.
    pub specificity: Option<f64>,
    /// The confidence: share of all cases that were told rightly; `None` without cases.
    pub value: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub interval: Option<[f64; 2]>,
    /// Cases.
    pub n_cases: usize,
    /// Predictions that could not be read, or lay outside 0 to 10: they count as not active, as in
    /// `RecSAE`.
    pub n_unparsed: usize,
}

impl Confidence {
    /// Scores predictions from 0 to 10 of activating and non-activating cases; `None` is a
    /// prediction that could not be read.
    ///
    /// # Example
    /// Two of three activating cases above 5 and one of two others at most 5: recall 2/3,
    /// specificity 1/2, confidence 3/5.
    /// ```
    /// use explain::Confidence;
    ///
    /// let score = Confidence::of(&[Some(9.0), Some(6.0), Some(5.0)], &[Some(0.0), Some(8.0)]);
    /// assert_eq!(score.recall, Some(2.0 / 3.0));
    /// assert_eq!(score.specificity, Some(0.5));
    /// assert_eq!(score.value, Some(0.6));
    /// ```
    pub fn of(activating: &[Option<f64>], non_activating: &[Option<f64>]) -> Self {
        let read = |said: &Option<f64>| said.filter(|value| (0.0..=10.0).contains(value));
        let is_active = |said: &Option<f64>| read(said).is_some_and(|value| value > SAYS_ACTIVE);
        let n_found = activating.iter().filter(|said| is_active(said)).count();
        let n_spared = non_activating
            .iter()
            .filter(|said| !is_active(said))
            .count();
        let share = |n: usize, of: usize| (of > 0).then(|| n as f64 / of as f64);
        let n_cases = activating.len() + non_activating.len();
        let all = activating.iter().chain(non_activating);
        Self {
            recall: share(n_found, activating.len()),
            specificity: share(n_spared, non_activating.len()),
            value: share(n_found + n_spared, n_cases),
            interval: (n_cases > 0).then(|| wilson(n_found + n_spared, n_cases)),
            n_cases,
            n_unparsed: all.filter(|said| read(said).is_none()).count(),
        }
    }

    /// Whether the confidence is at least 0.8.
    pub fn is_interpretable(&self) -> bool {
        // 4 of 5 is 0.8 to the bit, and so is 8 of 10.
        self.value.is_some_and(|value| value >= INTERPRETABLE)
    }
}

/// 95 % interval of a share (Wilson 1927).
fn wilson(n: usize, of: usize) -> [f64; 2] {
    let z = 1.959_963_984_540_054_f64;
    let (n, of) = (n as f64, of as f64);
    let share = n / of;
    let scale = 1.0 + z * z / of;
    let centre = share + z * z / (2.0 * of);
    let half = z * (share * (1.0 - share) / of + z * z / (4.0 * of * of)).sqrt();
    [
        ((centre - half) / scale).max(0.0),
        ((centre + half) / scale).min(1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_that_cannot_be_read_says_not_active() {
        let score = Confidence::of(&[None, Some(11.0)], &[None, Some(-1.0)]);
        assert_eq!((score.recall, score.specificity), (Some(0.0), Some(1.0)));
        assert_eq!((score.value, score.n_unparsed), (Some(0.5), 4));
    }

    #[test]
    fn no_cases_have_no_score() {
        let none = Confidence::of(&[], &[]);
        assert_eq!((none.value, none.interval, none.recall), (None, None, None));
        assert!(!none.is_interpretable());
        let only = Confidence::of(&[], &[Some(0.0); 5]);
        assert_eq!((only.recall, only.value), (None, Some(1.0)));
    }

    #[test]
    fn four_of_five_is_interpretable() {
        let yes = Some(10.0);
        let no = Some(0.0);
        assert!(Confidence::of(&[yes; 4], &[yes]).is_interpretable());
        assert!(Confidence::of(&[yes, yes, yes, no, no], &[no; 5]).is_interpretable());
        assert!(!Confidence::of(&[yes, yes, no, no, no], &[no; 5]).is_interpretable());
    }

    #[test]
    fn the_interval_is_wilsons() {
        // Textbook: 8 of 10 gives 0.490 to 0.943.
        let [low, high] = wilson(8, 10);
        assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4);
        assert!((wilson(10, 10)[1] - 1.0).abs() < 1e-12);
    }
}
