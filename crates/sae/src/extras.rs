//! What few dictionaries have besides an encoder, a decoder and a rule.

use schema::InputScaling;

use crate::error::SaeError;
use crate::kernels::is_finite;

/// Departures from `x̂ = Σ f_i · w_dec[i] + b_dec`; by default none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaeExtras {
    /// How a row is scaled before it is encoded; its reconstruction is scaled back.
    pub scaling: InputScaling,
    /// sparsify's `multi_topk`: the reconstruction is that of the 4 `k` highest, while the codes
    /// are the `k` highest. Only for a `TopK` rule.
    pub multi_topk: bool,
    /// A transcoder's linear path past the dictionary, `[d_model, d_model]`, a row per output.
    pub skip: Option<Vec<f32>>,
    /// Whether it predicts the output of a module from its input instead of reconstructing.
    pub is_transcoder: bool,
}

impl SaeExtras {
    /// Whether the reconstruction is a function of the codes alone.
    pub fn decodes_from_codes(&self) -> bool {
        self.scaling == InputScaling::None && !self.multi_topk && self.skip.is_none()
    }

    pub(crate) fn check(&self, d_model: usize, is_top_k: bool) -> Result<(), SaeError> {
        if self.multi_topk && !is_top_k {
            return Err(SaeError::Config {
                field: "multi_topk",
                reason: "it is set for a rule other than topk".to_owned(),
            });
        }
        let Some(skip) = &self.skip else {
            return Ok(());
        };
        if skip.len() != d_model * d_model {
            return Err(SaeError::shape("W_skip", d_model * d_model, skip.len()));
        }
        if is_finite(skip) {
            Ok(())
        } else {
            Err(SaeError::NotFinite {
                what: "W_skip".into(),
            })
        }
    }
}
