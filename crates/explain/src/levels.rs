//! Levels 1 to 10 of activations: deciles of the values above 0.

use crate::error::{ExplainError, all_finite};

/// Levels there are.
pub const N_LEVELS: usize = 10;

/// The edges of deciles of activations above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// `[11]`: the lowest value, the nine deciles between, the highest value.
    edges: Vec<f64>,
}

impl Levels {
    /// Deciles of the values above 0, by linear interpolation between sorted values. `None` where
    /// no value is above 0.
    ///
    /// # Errors
    /// [`ExplainError::NotFinite`].
    ///
    /// # Source
    /// `RecSAE`'s `pd.qcut(values, 10)`, which pools the values of all features.
    ///
    /// # Example
    /// Of 1 to 20 the first edges are 1, 2.9 and 4.8: the values 1 and 2 have level 1, 3 and 4 level
    /// 2, and 20 has level 10.
    /// ```
    /// use explain::Levels;
    ///
    /// let values: Vec<f32> = (1..=20).map(|v| v as f32).collect();
    /// let levels = Levels::of(&values)?.unwrap();
    /// assert_eq!([1.0, 2.0, 3.0, 20.0, 0.0].map(|v| levels.level(v)), [1, 1, 2, 10, 0]);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn of(values: &[f32]) -> Result<Option<Self>, ExplainError> {
        all_finite("activations for levels", values)?;
        let mut sorted: Vec<f32> = values.iter().copied().filter(|&v| v > 0.0).collect();
        if sorted.is_empty() {
            return Ok(None);
        }
        sorted.sort_unstable_by(f32::total_cmp);
        let edges = (0..=N_LEVELS).map(|decile| {
            let place = decile as f64 / N_LEVELS as f64 * (sorted.len() - 1) as f64;
            let below = place.floor() as usize;
            let above = (below + 1).min(sorted.len() - 1);
            let (a, b) = (f64::from(sorted[below]), f64::from(sorted[above]));
            a + (b - a) * (place - place.floor())
        });
        Ok(Some(Self {
            edges: edges.collect(),
        }))
    }

    /// 1 to 10 for a value above 0, else 0. A value on an edge belongs below it; one beyond the
    /// values the levels were made of has the nearest level.
    pub fn level(&self, value: f32) -> u8 {
        if value <= 0.0 {
            return 0;
        }
        let value = f64::from(value);
        let inner = &self.edges[1..N_LEVELS];
        1 + inner.partition_point(|&edge| edge < value) as u8
    }

    /// The edges, `[11]`.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_holds_a_tenth() {
        let values: Vec<f32> = (0..1000)
            .map(|i| (i as f32 * 0.77).sin().abs() + 0.01)
            .collect();
        let levels = Levels::of(&values).unwrap().unwrap();
        let mut counts = [0; N_LEVELS + 1];
        for &value in &values {
            counts[levels.level(value) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|&n| n == 100), "{counts:?}");
    }

    #[test]
    fn nothing_active_has_no_levels() {
        assert_eq!(Levels::of(&[0.0, -1.0]).unwrap(), None);
        assert!(Levels::of(&[f32::NAN]).is_err());
        let one = Levels::of(&[2.0]).unwrap().unwrap();
        assert_eq!((one.level(2.0), one.level(9.0), one.level(0.0)), (1, 10, 0));
    }
}
