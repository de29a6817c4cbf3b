//! The rules that keep a code sparse: the seam that further variants join.

use std::sync::Arc;

use crate::error::SaeError;
use crate::kernels::{above_threshold, group_maxima, highest, is_finite};

/// Which features of a row are active, given its pre-activations.
///
/// A pre-activation is `W_enc (x − b_dec) + b_enc`, or `W_enc x + b_enc` where the dictionary
/// does not take `b_dec` off its input. Only activations above 0 are ever active.
#[derive(Debug, Clone, PartialEq)]
pub enum Sparsity {
    /// The `k` highest pre-activations above 0 of each row, ties to the lower feature index.
    TopK {
        /// Active features per row at most.
        k: u32,
    },
    /// The highest above 0 of each of `k` groups of consecutive features, ties to the lower index.
    GroupMax {
        /// Number of groups; a divisor of the number of features.
        k: u32,
    },
    /// Trained with the `k · rows` highest of a batch; afterwards every activation strictly above
    /// one fixed threshold.
    BatchTopK {
        /// Active features per row on average.
        k: u32,
        /// The threshold, in units of the activations; below 0 where it was never tracked, and
        /// then the `k` highest of each row are taken instead.
        threshold: f32,
    },
    /// As `BatchTopK`, trained so that each prefix of groups reconstructs by itself.
    Matryoshka {
        /// Active features per row on average.
        k: u32,
        /// As in `BatchTopK`.
        threshold: f32,
        /// Features of each group, first group first; their sum is the number of features.
        group_sizes: Arc<[u32]>,
    },
    /// Every pre-activation above 0.
    Relu,
    /// Every pre-activation above 0 and strictly above its feature's own threshold.
    JumpRelu {
        /// `[n_features]`, in units of the activations.
        thresholds: Arc<[f32]>,
    },
    /// A gate says which features are active, a second affine map of the same product how much.
    Gated(Arc<Gate>),
}

/// The two maps of a gated dictionary; each slice is `[n_features]`.
///
/// With `p` the pre-activation (`b_enc` being 0), feature `i` is open where
/// `p + open_bias > 0`, and is then `relu(exp(r_mag) · p + mag_bias)`.
///
/// # Source
/// Rajamanoharan et al. 2024 (arXiv 2404.16014), in the form of `dictionary_learning`'s
/// `GatedAutoEncoder`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Added to the pre-activation to tell whether a feature is active; `gate_bias` in files.
    pub open_bias: Vec<f32>,
    /// Logarithm of the factor between gate and magnitude.
    pub r_mag: Vec<f32>,
    /// Added to the magnitude.
    pub mag_bias: Vec<f32>,
}

impl Sparsity {
    /// Active features per row: at most for `TopK`, on average for the batch rules, `None` where
    /// the rule has no such number.
    pub fn k(&self) -> Option<u32> {
        match self {
            Self::TopK { k }
            | Self::GroupMax { k }
            | Self::BatchTopK { k, .. }
            | Self::Matryoshka { k, .. } => Some(*k),
            Self::Relu | Self::JumpRelu { .. } | Self::Gated(_) => None,
        }
    }

    /// The rule's name in `cfg.json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TopK { .. } => "topk",
            Self::GroupMax { .. } => "groupmax",
            Self::BatchTopK { .. } => "batchtopk",
            Self::Matryoshka { .. } => "matryoshka_batchtopk",
            Self::Relu => "relu",
            Self::JumpRelu { .. } => "jumprelu",
            Self::Gated(_) => "gated",
        }
    }

    /// Checks the rule's numbers against the number of features.
    ///
    /// # Errors
    /// [`SaeError::Config`] if `k` is not in `1..=n_features` or the groups do not add up,
    /// [`SaeError::Shape`] if a slice is not one value per feature, [`SaeError::NotFinite`].
    pub(crate) fn check(&self, n_features: usize) -> Result<(), SaeError> {
        if let Some(k) = self.k()
            && (k == 0 || k as usize > n_features)
        {
            return Err(SaeError::Config {
                field: "k",
                reason: format!("it is {k}, expected 1 to {n_features} (the number of features)"),
            });
        }
        let per_feature = |name: &str, slice: &[f32]| {
            if slice.len() != n_features {
                return Err(SaeError::shape(name, n_features, slice.len()));
            }
            finite(name, slice)
        };
        match self {
            Self::TopK { .. } | Self::Relu => Ok(()),
            Self::GroupMax { k } => {
                if !n_features.is_multiple_of(*k as usize) {
                    let reason = format!("it is {k}, expected a divisor of {n_features} (groups)");
                    return Err(SaeError::Config { field: "k", reason });
                }
                Ok(())
            }
            Self::BatchTopK { threshold, .. } => finite("threshold", &[*threshold]),
            Self::Matryoshka {
                threshold,
                group_sizes,
                ..
            } => {
                let sum: u64 = group_sizes.iter().map(|&size| u64::from(size)).sum();
                if sum != n_features as u64 {
                    return Err(SaeError::Config {
                        field: "group_sizes",
                        reason: format!("they add up to {sum}, expected {n_features} features"),
                    });
                }
                finite("threshold", &[*threshold])
            }
            Self::JumpRelu { thresholds } => per_feature("threshold", thresholds),
            Self::Gated(gate) => {
                per_feature("gate_bias", &gate.open_bias)?;
                per_feature("r_mag", &gate.r_mag)?;
                per_feature("mag_bias", &gate.mag_bias)
            }
        }
    }

    /// Collects the active features of one row of pre-activations of `n_features` features,
    /// ascending by index. Values past the last feature are padding.
    pub(crate) fn select(
        &self,
        n_features: usize,
        pre_activations: &[f32],
        out: &mut Vec<(f32, u32)>,
    ) {
        match self {
            Self::GroupMax { k } => {
                let size = n_features / *k as usize;
                group_maxima(&pre_activations[..n_features], size, out);
                out.retain(|&(value, _)| value > 0.0);
            }
            Self::BatchTopK { threshold, .. } | Self::Matryoshka { threshold, .. }
                if *threshold >= 0.0 =>
            {
                above_threshold(pre_activations, *threshold, out);
            }
            Self::TopK { k } | Self::BatchTopK { k, .. } | Self::Matryoshka { k, .. } => {
                highest(pre_activations, *k as usize, out);
            }
            Self::Relu => above_threshold(pre_activations, 0.0, out),
            Self::JumpRelu { thresholds } => {
                above_threshold(pre_activations, 0.0, out);
                out.retain(|&(value, feature)| value > thresholds[feature as usize]);
            }
            Self::Gated(gate) => gate.open(pre_activations, out),
        }
    }
}

impl Gate {
    fn open(&self, pre_activations: &[f32], out: &mut Vec<(f32, u32)>) {
        out.clear();
        for (feature, (&value, &bias)) in (0_u32..).zip(pre_activations.iter().zip(&self.open_bias))
        {
            if value + bias > 0.0 {
                let at = feature as usize;
                let magnitude = self.r_mag[at].exp() * value + self.mag_bias[at];
                if magnitude > 0.0 {
                    out.push((magnitude, feature));
                }
            }
        }
    }
}

fn finite(name: &str, slice: &[f32]) -> Result<(), SaeError> {
    if is_finite(slice) {
        Ok(())
    } else {
        Err(SaeError::NotFinite { what: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(rule: &Sparsity, row: &[f32]) -> Vec<(f32, u32)> {
        let mut out = Vec::new();
        rule.select(4, row, &mut out);
        out
    }

    #[test]
    fn rules_by_hand() {
        let row = [0.5, -1.0, 2.0, 0.0, f32::NEG_INFINITY];
        assert_eq!(selected(&Sparsity::Relu, &row), [(0.5, 0), (2.0, 2)]);
        let jump = Sparsity::JumpRelu {
            thresholds: Arc::from([0.5, -3.0, 1.0, -1.0]),
        };
        // Strictly above its own threshold, and above 0.
        assert_eq!(selected(&jump, &row), [(2.0, 2)]);
        let gated = Sparsity::Gated(Arc::new(Gate {
            open_bias: vec![0.0, 2.0, -3.0, 1.0],
            r_mag: vec![2_f32.ln(), 0.0, 0.0, 0.0],
            mag_bias: vec![0.25, 1.5, 0.0, 0.0],
        }));
        let found = selected(&gated, &row);
        assert_eq!(found.len(), 2);
        assert!((found[0].0 - 1.25).abs() < 1e-6 && found[0].1 == 0);
        assert_eq!(found[1], (0.5, 1));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let groups = |sizes: &[u32]| Sparsity::Matryoshka {
            k: 1,
            threshold: 0.0,
            group_sizes: Arc::from(sizes),
        };
        assert!(groups(&[1, 2]).check(3).is_ok());
        assert!(groups(&[1, 1]).check(3).is_err());
        assert!(groups(&[u32::MAX, 4]).check(3).is_err());
        assert!(Sparsity::TopK { k: 4 }.check(3).is_err());
        let jump = |thresholds: &[f32]| Sparsity::JumpRelu {
            thresholds: Arc::from(thresholds),
        };
        assert!(jump(&[0.0; 3]).check(3).is_ok());
        assert!(jump(&[0.0; 2]).check(3).is_err());
        assert!(jump(&[0.0, f32::NAN, 0.0]).check(3).is_err());
    }
}
