//! Reading and changing activations during a forward pass.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use schema::{HookPoint, PositionClass};

use crate::ModelError;
use crate::differentiable::attention::mean_weights;

/// Where one row of a hooked activation stands in its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditedPosition {
    /// Position in the whole sequence, prompt and generated tokens counted together.
    pub position: u32,
    /// Length of the prompt; positions from here on were generated.
    pub prompt_len: u32,
    /// What the position is.
    pub class: PositionClass,
}

impl EditedPosition {
    /// Rows of an image tower: CLS, then patches, image by image. They come before the sequence, so
    /// that none of them counts as generated.
    pub(crate) fn tower(n_images: usize, n_patches: usize) -> Vec<Self> {
        let n_rows = n_patches as u32 + 1;
        (0..n_images)
            .flat_map(|_| {
                (0..n_rows).map(move |position| Self {
                    position,
                    prompt_len: n_rows,
                    class: if position == 0 {
                        PositionClass::Cls
                    } else {
                        PositionClass::Image
                    },
                })
            })
            .collect()
    }
}

/// A change of the activations at a hook point. The user of this crate implements it.
pub trait ActivationEdit: Send + Sync {
    /// Changes `rows` in place.
    ///
    /// # Shapes
    /// - `rows`: `[positions.len(), d_model]`, row-major, f32, units of the hook activation
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]);
}

/// What to capture and what to change in one forward pass.
#[derive(Clone, Default)]
pub struct HookSpec {
    /// Hook points to record.
    pub capture: Vec<HookPoint>,
    /// Changes, applied in order; a capture at the same hook sees the changed rows.
    pub edits: Vec<(HookPoint, Arc<dyn ActivationEdit>)>,
    /// A hook point at which later runs on the same prompt will begin to differ: what the model
    /// computes before it may be kept for them.
    pub keep_at: Option<HookPoint>,
}

impl HookSpec {
    /// Records `hooks`, changes nothing.
    pub fn capturing(hooks: &[HookPoint]) -> Self {
        Self {
            capture: hooks.to_vec(),
            ..Self::default()
        }
    }
}

/// Activations recorded at one hook point.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// Where.
    pub hook: HookPoint,
    /// Rows: all leading dimensions of the activation, flattened.
    pub n_rows: usize,
    /// Width of a row.
    pub d_model: usize,
    /// `[n_rows, d_model]`, row-major.
    pub values: Vec<f32>,
}

/// Says that a pass is no longer wanted, from whatever thread it is asked.
pub(crate) type Stop = dyn Fn() -> bool + Send + Sync;

/// The state of one hooked forward pass: models call [`HookRun::visit`] at every hook point.
pub struct HookRun<'a> {
    spec: &'a HookSpec,
    captured: Vec<Captured>,
    /// The hook whose activation is kept as a tensor, with its gradient's history, and the tensor.
    kept: Option<(HookPoint, Option<Tensor>)>,
    /// Attention weights of each block of the decoder, averaged over heads, where they are watched.
    attention: Option<Vec<Vec<f32>>>,
    stop: Option<&'a Stop>,
}

impl<'a> HookRun<'a> {
    /// Begins a pass.
    pub fn new(spec: &'a HookSpec) -> Self {
        Self {
            spec,
            captured: Vec::new(),
            kept: None,
            attention: None,
            stop: None,
        }
    }

    /// Ends the pass at the first hook point at which `stop` says so.
    pub(crate) fn stopping_when(mut self, stop: Option<&'a Stop>) -> Self {
        self.stop = stop;
        self
    }

    /// Keeps the activation at `hook` as a tensor.
    pub(crate) fn keeping(mut self, hook: HookPoint) -> Self {
        self.kept = Some((hook, None));
        self
    }

    /// Collects attention weights.
    pub(crate) fn watching_attention(mut self) -> Self {
        self.attention = Some(Vec::new());
        self
    }

    /// The tensor that was kept, and the attention weights, `[n, n]` per block.
    pub(crate) fn into_kept(self) -> (Option<Tensor>, Vec<Vec<f32>>) {
        let kept = self.kept.and_then(|(_, tensor)| tensor);
        (kept, self.attention.unwrap_or_default())
    }

    /// Decoders hand the rotated queries and keys of one sequence through, block by block.
    ///
    /// # Shapes
    /// - `q`: `[1, n, d]`, `k`: `[1, n, d_kv]`
    pub(crate) fn see_attention(
        &mut self,
        q: &Tensor,
        k: &Tensor,
        heads: [usize; 2],
    ) -> Result<(), ModelError> {
        if let Some(attention) = &mut self.attention {
            // Computed on the CPU, wherever the model is.
            let (q, k) = (q.to_device(&Device::Cpu)?, k.to_device(&Device::Cpu)?);
            attention.push(mean_weights(&q, &k, heads)?);
        }
        Ok(())
    }

    /// Hands the activation at `hook` through, recorded and changed as the spec asks.
    ///
    /// Costs a search through two short lists when the hook is not in use.
    ///
    /// # Shapes
    /// - `activation`: `[.., d_model]`; `positions` holds one entry per row, in row order, and may
    ///   be empty when no edit can apply (a pass without edits)
    ///
    /// # Errors
    /// Fails when the tensor cannot be read back or rebuilt; [`ModelError::Cancelled`] when the pass
    /// is no longer wanted.
    pub fn visit(
        &mut self,
        hook: HookPoint,
        activation: Tensor,
        positions: &[EditedPosition],
    ) -> Result<Tensor, ModelError> {
        if self.stop.is_some_and(|stop| stop()) {
            return Err(ModelError::Cancelled);
        }
        if let Some((kept, tensor)) = &mut self.kept
            && *kept == hook
        {
            *tensor = Some(activation.clone());
        }
        let is_captured = self.spec.capture.contains(&hook);
        let is_edited = self.spec.edits.iter().any(|(at, _)| *at == hook);
        if !is_captured && !is_edited {
            return Ok(activation);
        }
        let shape = activation.shape().clone();
        let d_model = shape.dims().last().copied().unwrap_or(1);
        let mut rows = activation
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let mut activation = activation;
        if is_edited {
            for (_, edit) in self.spec.edits.iter().filter(|(at, _)| *at == hook) {
                edit.apply(&mut rows, d_model, positions);
            }
            activation = Tensor::from_slice(&rows, shape, activation.device())?
                .to_dtype(activation.dtype())?;
        }
        if is_captured {
            self.captured.push(Captured {
                hook,
                n_rows: rows.len() / d_model.max(1),
                d_model,
                values: rows,
            });
        }
        Ok(activation)
    }

    /// What this pass records.
    pub fn captures(&self) -> impl Iterator<Item = HookPoint> + '_ {
        self.spec.capture.iter().copied()
    }

    /// What was recorded, in the order it was met.
    pub fn into_captured(self) -> Vec<Captured> {
        self.captured
    }
}

/// The three hook points whose names are most like `name`, for a message.
pub fn nearest_hooks(name: &str, hooks: impl Iterator<Item = HookPoint>) -> String {
    let mut all: Vec<(usize, String)> = hooks
        .map(|hook| hook.to_string())
        .map(|hook| (edit_distance(name, &hook), hook))
        .collect();
    all.sort();
    let nearest: Vec<String> = all.into_iter().take(3).map(|(_, hook)| hook).collect();
    nearest.join(", ")
}

/// Letters to insert, delete or replace to make one text of the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_gets_the_nearest_ones() {
        let hooks = (0..4).flat_map(|i| [HookPoint::ResidPre(i), HookPoint::ResidPost(i)]);
        let near = nearest_hooks("blocks.7.hook_resid_pots", hooks);
        assert!(
            near.starts_with("blocks.0.hook_resid_post, blocks.1."),
            "{near}"
        );
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    struct AddOne;

    impl ActivationEdit for AddOne {
        fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
            for (row, position) in rows.chunks_mut(d_model).zip(positions) {
                if position.position > 0 {
                    for value in row.iter_mut() {
                        *value += 1.0;
                    }
                }
            }
        }
    }

    #[test]
    fn edits_come_before_captures_and_respect_positions() {
        let hook = HookPoint::ResidPost(0);
        let spec = HookSpec {
            capture: vec![hook],
            edits: vec![(hook, Arc::new(AddOne))],
            keep_at: None,
        };
        let mut run = HookRun::new(&spec);
        let x = Tensor::from_slice(&[0_f32, 1.0, 2.0, 3.0], (2, 2), &Device::Cpu).unwrap();
        let positions = [0, 1].map(|position| EditedPosition {
            position,
            prompt_len: 2,
            class: PositionClass::Report,
        });
        let out = run.visit(hook, x, &positions).unwrap();
        assert_eq!(out.to_vec2::<f32>().unwrap(), [[0.0, 1.0], [3.0, 4.0]]);
        assert_eq!(run.into_captured()[0].values, [0.0, 1.0, 3.0, 4.0]);
    }
}
