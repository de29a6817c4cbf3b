//! Absorption: a concept's own features stay silent because another feature took it over.

use crate::error::{ExplainError, same_length};

/// Cosine with the probe's direction that an absorbing feature must have.
///
/// # Source
/// 0.025 in Chanin et al. 2024 (arXiv 2409.14507).
pub const ABSORBING_COSINE: f64 = 0.025;

/// Share of a position's projection on the probe that an absorbing feature must carry.
///
/// # Source
/// 0.4 in `SAEBench` (arXiv 2503.09532).
pub const ABSORBING_SHARE: f64 = 0.4;

/// The features of a dictionary as a dense probe for one concept sees them.
#[derive(Debug, Clone, Copy)]
pub struct ProbedFeatures<'a> {
    /// Features of the concept itself, which a k-sparse probe found.
    pub own: &'a [u32],
    /// `⟨w_i, p⟩` of each decoder row with the probe's direction, `[n_features]`.
    pub along: &'a [f64],
    /// Cosine of each decoder row with it, `[n_features]`.
    pub cosine: &'a [f64],
}

impl ProbedFeatures<'_> {
    /// The feature that has absorbed the concept at a position where the probe finds it, if one has.
    ///
    /// None of the concept's own features is active, and of the others the one that contributes
    /// most, `f_i ⟨w_i, p⟩`, has a cosine of [`ABSORBING_COSINE`] with the probe and carries
    /// [`ABSORBING_SHARE`] of the projection.
    ///
    /// # Shapes
    /// - `features`, `values`: what is active at the position
    /// - `projection`: `⟨x − x̄, p⟩` of the hook activation, `x̄` the mean row
    ///
    /// # Errors
    /// [`ExplainError::Length`] if a feature is not one of the dictionary's.
    ///
    /// # Source
    /// Chanin et al. 2024 (arXiv 2409.14507), with the share of the projection in place of the
    /// effect of an ablation on the output, as their appendix and `SAEBench` have it.
    ///
    /// # Example
    /// Feature 2 active at 3 along the probe with 0.5, projection 2: it carries 0.75, absorbed.
    pub fn absorbed_by(
        &self,
        (features, values): (&[u32], &[f32]),
        projection: f64,
    ) -> Result<Option<u32>, ExplainError> {
        same_length("cosines of a probe", self.along.len(), self.cosine.len())?;
        let n = self.along.len();
        if let Some(&beyond) = features.iter().find(|&&feature| feature as usize >= n) {
            return Err(ExplainError::Length {
                what: "features of a probe",
                expected: beyond as usize + 1,
                got: n,
            });
        }
        if projection <= 0.0 || features.iter().any(|feature| self.own.contains(feature)) {
            return Ok(None);
        }
        let mut most: Option<(u32, f64)> = None;
        for (&feature, &value) in features.iter().zip(values) {
            let carried = f64::from(value) * self.along[feature as usize];
            if most.is_none_or(|(_, known)| carried > known) {
                most = Some((feature, carried));
            }
        }
        Ok(most
            .filter(|&(feature, carried)| {
                self.cosine[feature as usize] >= ABSORBING_COSINE
                    && carried >= ABSORBING_SHARE * projection
            })
            .map(|(feature, _)| feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: ProbedFeatures<'_> = ProbedFeatures {
        own: &[0],
        along: &[0.9, -0.2, 0.5, 0.4],
        cosine: &[0.9, -0.2, 0.5, 0.01],
    };

    #[test]
    fn by_hand() {
        let by = |active: &[(u32, f32)], projection: f64| {
            let (features, values): (Vec<u32>, Vec<f32>) = active.iter().copied().unzip();
            FEATURES
                .absorbed_by((&features, &values), projection)
                .unwrap()
        };
        assert_eq!(by(&[(2, 3.0)], 2.0), Some(2));
        assert_eq!(by(&[(1, 9.0), (2, 3.0)], 2.0), Some(2));
        // The concept's own feature is active.
        assert_eq!(by(&[(0, 0.1), (2, 3.0)], 2.0), None);
        // It carries a quarter; nothing is active; the cosine is too small; nothing to carry.
        assert_eq!(by(&[(2, 1.0)], 2.0), None);
        assert_eq!(by(&[], 2.0), None);
        assert_eq!(by(&[(3, 5.0)], 2.0), None);
        assert_eq!(by(&[(2, 3.0)], -1.0), None);
    }

    #[test]
    fn an_unknown_feature_is_an_error() {
        assert!(FEATURES.absorbed_by((&[4], &[1.0]), 1.0).is_err());
    }
}
