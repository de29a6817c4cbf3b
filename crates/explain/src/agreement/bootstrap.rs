//! A coefficient with its interval over features.

use crate::agreement::{Level, Ratings, Weighting};
use crate::bootstrap::ClusterBootstrap;

/// A coefficient of agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coefficient {
    /// [`Ratings::raw_agreement`].
    Raw,
    /// [`Ratings::cohen_kappa`].
    CohenKappa(Weighting),
    /// [`Ratings::fleiss_kappa`].
    FleissKappa,
    /// [`Ratings::krippendorff_alpha`].
    KrippendorffAlpha(Level),
    /// [`Ratings::gwet_ac1`].
    GwetAc1,
}

/// A value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgreementEstimate {
    /// The value over all features; `None` where it is not defined.
    pub value: Option<f64>,
    /// Percentile interval over features; `None` where the value is not defined, fewer than two
    /// features have two ratings, or more than a tenth of the draws have no value.
    pub interval: Option<[f64; 2]>,
    /// Features with at least two ratings, which are those drawn from.
    pub n_features: usize,
}

impl Ratings {
    /// A coefficient over all features.
    pub fn value(&self, coefficient: Coefficient) -> Option<f64> {
        self.value_weighted(coefficient, &self.once())
    }

    fn value_weighted(&self, coefficient: Coefficient, weights: &[u32]) -> Option<f64> {
        match coefficient {
            Coefficient::Raw => self.raw_agreement_weighted(weights),
            Coefficient::CohenKappa(weighting) => self.cohen_kappa_weighted(weighting, weights),
            Coefficient::FleissKappa => self.fleiss_kappa_weighted(weights),
            Coefficient::KrippendorffAlpha(level) => {
                self.krippendorff_alpha_weighted(level, weights)
            }
            Coefficient::GwetAc1 => self.gwet_ac1_weighted(weights),
        }
    }

    /// A coefficient with a percentile interval from 1,000 resamples of the features that at least
    /// two readers rated.
    ///
    /// # Determinism
    /// A function of table, coefficient and seed.
    ///
    /// # Source
    /// [`ClusterBootstrap::interval`].
    ///
    /// # Example
    /// Two features, one agreed upon: raw agreement ½, and the draws give 0, ½ or 1.
    /// ```
    /// use explain::agreement::{Coefficient, Ratings};
    /// let rows = [vec![Some(0), Some(0)], vec![Some(0), Some(1)], vec![Some(1), None]];
    /// let raw = Ratings::new(&rows, 2)?.estimate(Coefficient::Raw, 7);
    /// assert_eq!((raw.value, raw.interval, raw.n_features), (Some(0.5), Some([0.0, 1.0]), 2));
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn estimate(&self, coefficient: Coefficient, seed: u64) -> AgreementEstimate {
        let compared: Vec<usize> = self.compared().collect();
        let value = self.value(coefficient);
        let interval = value.and_then(|_| {
            over_features(&compared, self.n_features(), seed, &|weights| {
                self.value_weighted(coefficient, weights)
            })
        });
        AgreementEstimate {
            value,
            interval,
            n_features: compared.len(),
        }
    }
}

/// The interval of a statistic of weights `[n_features]` when `compared` are drawn from.
pub(crate) fn over_features(
    compared: &[usize],
    n_features: usize,
    seed: u64,
    statistic: &dyn Fn(&[u32]) -> Option<f64>,
) -> Option<[f64; 2]> {
    let draws = ClusterBootstrap::of_units(compared.len(), seed);
    draws.interval(&|drawn| {
        let mut weights = vec![0; n_features];
        for (&feature, &times) in compared.iter().zip(drawn) {
            weights[feature] = times;
        }
        statistic(&weights)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(n: usize) -> Ratings {
        // The second reader differs at every fifth feature.
        let rows: Vec<_> = (0..n)
            .map(|i| {
                let a = (i % 2) as u32;
                vec![Some(a), Some(if i % 5 == 0 { 1 - a } else { a })]
            })
            .collect();
        Ratings::new(&rows, 2).unwrap()
    }

    #[test]
    fn intervals_hold_the_value_shrink_with_features_and_repeat() {
        for coefficient in [
            Coefficient::Raw,
            Coefficient::CohenKappa(Weighting::Quadratic),
            Coefficient::FleissKappa,
            Coefficient::KrippendorffAlpha(Level::Ordinal),
            Coefficient::GwetAc1,
        ] {
            let few = readers(40).estimate(coefficient, 3);
            let many = readers(640).estimate(coefficient, 3);
            let width = |estimate: AgreementEstimate| {
                let [low, high] = estimate.interval.unwrap();
                let value = estimate.value.unwrap();
                assert!(low < value && value < high, "{coefficient:?}");
                high - low
            };
            assert!(width(many) < width(few) / 2.0, "{coefficient:?}");
            assert_eq!(few, readers(40).estimate(coefficient, 3));
            assert_ne!(few.interval, readers(40).estimate(coefficient, 4).interval);
        }
    }

    #[test]
    fn no_value_no_interval() {
        let same = Ratings::new(&vec![vec![Some(0), Some(0)]; 9], 2).unwrap();
        let kappa = same.estimate(Coefficient::FleissKappa, 0);
        assert_eq!((kappa.value, kappa.interval), (None, None));
        let one = Ratings::new(&[vec![Some(0), Some(1)]], 2).unwrap();
        assert_eq!(one.estimate(Coefficient::Raw, 0).interval, None);
    }
}
