//! The operations of the large models: our own fused ones on the CPU, candle's elsewhere.
//!
//! All have gradients on both, which candle's fused operations do not. What runs elsewhere is
//! composed of plain operations that every device has; it is a module of its own, which tests run
//! on the CPU beside the fused forms.

use candle_core::{Result, Tensor};

use crate::differentiable::rotary::RotaryTable;
use crate::differentiable::{activations, affine, attention as fused, norms, rotary};

/// Whether the fused forms, which read the memory of the CPU, apply.
fn is_fused(x: &Tensor) -> bool {
    #[cfg(test)]
    if tests::IS_COMPOSED.get() {
        return false;
    }
    x.device().is_cpu()
}

/// Normalises the last dimension, then scales and shifts.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if is_fused(x) {
        norms::layer_norm(x, weight, bias, eps)
    } else {
        composed::layer_norm(x, weight, bias, eps)
    }
}

/// Divides by the root mean square of the last dimension, then scales.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    if is_fused(x) {
        norms::rms_norm(x, weight, eps)
    } else {
        composed::rms_norm(x, weight, eps)
    }
}

/// `x Φ(x)`.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    if is_fused(x) {
        activations::gelu(x)
    } else {
        x.gelu_erf()
    }
}

/// `silu(gate) · up`.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if is_fused(gate) {
        activations::swiglu(gate, up)
    } else {
        composed::swiglu(gate, up)
    }
}

/// `x + row`, `row` of the last dimension.
pub(crate) fn add_row(x: &Tensor, row: &Tensor) -> Result<Tensor> {
    if is_fused(x) {
        affine::add_row(x, row)
    } else {
        x.broadcast_add(row)
    }
}

/// `x + scale · branch`, `scale` of the last dimension.
pub(crate) fn scaled_residual(x: &Tensor, branch: &Tensor, scale: &Tensor) -> Result<Tensor> {
    if is_fused(x) {
        affine::scaled_residual(x, branch, scale)
    } else {
        composed::scaled_residual(x, branch, scale)
    }
}

/// Rotates every head of `x: [1, n, heads · d_head]`, whose first position is `offset`.
pub(crate) fn rotate(x: &Tensor, table: &RotaryTable, offset: usize) -> Result<Tensor> {
    if is_fused(x) {
        rotary::rotate(x, table, offset)
    } else {
        composed::rotate(x, table, offset)
    }
}

/// As [`fused::attention`].
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: [usize; 2],
    causal: bool,
) -> Result<Tensor> {
    if is_fused(q) {
        fused::attention(q, k, v, heads, causal)
    } else {
        composed::attention(q, k, v, heads, causal, composed::QUERIES)
    }
}

/// The forms that any device computes.
mod composed {
    use candle_core::{D, Result, Tensor};
    use candle_nn::ops::{silu, softmax};

    use crate::differentiable::rotary::RotaryTable;

    pub(super) fn layer_norm(
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        eps: f32,
    ) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        centred
            .broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?
            .broadcast_mul(weight)?
            .broadcast_add(bias)
    }

    pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + f64::from(eps))?.sqrt()?)?
            .broadcast_mul(weight)
    }

    pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        silu(gate)? * up
    }

    pub(super) fn scaled_residual(x: &Tensor, branch: &Tensor, scale: &Tensor) -> Result<Tensor> {
        x + branch.broadcast_mul(scale)?
    }

    pub(super) fn rotate(x: &Tensor, table: &RotaryTable, offset: usize) -> Result<Tensor> {
        let (batch, n, d) = x.dims3()?;
        let d_head = table.d_head();
        let [cos, sin] = table.tensors(offset, n, x.device())?;
        let split = x
            .reshape((batch, n, d / d_head, d_head))?
            .transpose(1, 2)?
            .contiguous()?;
        candle_nn::rotary_emb::rope_slow(&split, &cos, &sin)?
            .transpose(1, 2)?
            .reshape((batch, n, d))
    }

    /// Queries whose scores are held at once.
    pub(super) const QUERIES: usize = 512;

    pub(super) fn attention(
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        heads: [usize; 2],
        causal: bool,
        queries_at_once: usize,
    ) -> Result<Tensor> {
        let (batch, n_queries, d) = q.dims3()?;
        let n_keys = k.dim(1)?;
        let ([n_heads, n_kv_heads], d_head) = (heads, d / heads[0]);
        let by_head = |x: &Tensor, n: usize, heads: usize| -> Result<Tensor> {
            x.reshape((batch, n, heads, d_head))?
                .transpose(1, 2)?
                .contiguous()
        };
        let shared = |x: &Tensor| -> Result<Tensor> {
            let each = n_heads / n_kv_heads;
            by_head(x, n_keys, n_kv_heads)?
                .unsqueeze(2)?
                .expand((batch, n_kv_heads, each, n_keys, d_head))?
                .reshape((batch, n_heads, n_keys, d_head))
        };
        let (q, k, v) = (by_head(q, n_queries, n_heads)?, shared(k)?, shared(v)?);
        let mut out = Vec::new();
        for first in (0..n_queries).step_by(queries_at_once) {
            let n = queries_at_once.min(n_queries - first);
            let rows = q.narrow(2, first, n)?.contiguous()?;
            let mut scores = (rows.matmul(&k.t()?)? * (1.0 / (d_head as f64).sqrt()))?;
            if causal && n_queries > 1 {
                let last = n_keys - n_queries;
                let mask: Vec<f32> = (first..first + n)
                    .flat_map(|query| {
                        (0..n_keys).map(move |key| if key > query + last { -1e30 } else { 0.0 })
                    })
                    .collect();
                let mask = Tensor::from_vec(mask, (1, 1, n, n_keys), q.device())?;
                scores = scores.broadcast_add(&mask)?;
            }
            out.push(softmax(&scores, D::Minus1)?.matmul(&v)?);
        }
        Tensor::cat(&out, 2)?
            .transpose(1, 2)?
            .reshape((batch, n_queries, d))
    }
}

/// What runs off the CPU is checked here against the fused forms, on the CPU.
#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use candle_core::{Device, Shape, Var};

    use super::*;

    thread_local! {
        /// Makes this thread compute on the CPU what it would compute on a card.
        pub(crate) static IS_COMPOSED: Cell<bool> = const { Cell::new(false) };
    }

    fn wave(shape: impl Into<Shape>, phase: f32) -> Var {
        let shape = shape.into();
        let values: Vec<f32> = (0..shape.elem_count())
            .map(|i| (i as f32 * 0.7 + phase).sin() * 2.0)
            .collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Value and gradients of both forms agree; `of` gets the variables.
    fn agree(name: &str, variables: &[Var], of: &dyn Fn(&[Tensor]) -> Result<Tensor>) {
        let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let both = [false, true].map(|is_composed| {
            IS_COMPOSED.set(is_composed);
            let out = of(&inputs).unwrap();
            // Unequal weights, so that a gradient in the wrong place shows.
            let weights = wave(out.shape(), 0.3);
            let gradients = (&out * weights.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();
            IS_COMPOSED.set(false);
            let gradients = variables.iter().map(|variable| {
                let gradient = gradients.get(variable).unwrap();
                gradient.flatten_all().unwrap().to_vec1().unwrap()
            });
            let mut all: Vec<Vec<f32>> = gradients.collect();
            all.insert(0, out.flatten_all().unwrap().to_vec1().unwrap());
            all
        });
        let [fused, composed] = both;
        for (i, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
            assert_eq!(fused.len(), composed.len());
            for (a, b) in fused.iter().zip(composed) {
                let scale = a.abs().max(1.0);
                assert!((a - b).abs() < 2e-5 * scale, "{name}, {i}: {a} and {b}");
            }
        }
    }

    #[test]
    fn norms_and_rows_agree() {
        let (x, w, b) = (wave((2, 5, 12), 0.0), wave(12, 1.0), wave(12, 2.0));
        agree("layer norm", &[x.clone(), w.clone(), b.clone()], &|t| {
            layer_norm(&t[0], &t[1], &t[2], 1e-5)
        });
        agree("rms norm", &[x.clone(), w.clone()], &|t| {
            rms_norm(&t[0], &t[1], 1e-5)
        });
        agree("add row", &[x.clone(), b], &|t| add_row(&t[0], &t[1]));
        let branch = wave((2, 5, 12), 3.0);
        agree("scaled residual", &[x, branch, w], &|t| {
            scaled_residual(&t[0], &t[1], &t[2])
        });
    }

    #[test]
    fn activations_agree() {
        let (gate, up) = (wave((3, 7), 0.0), wave((3, 7), 1.0));
        agree("gelu", std::slice::from_ref(&gate), &|t| gelu(&t[0]));
        agree("swiglu", &[gate, up], &|t| swiglu(&t[0], &t[1]));
    }

    /// Halves of one tensor, as `DINOv2`'s wide MLP hands them over.
    #[test]
    fn swiglu_of_halves_agrees() {
        agree("swiglu of halves", &[wave((1, 3, 8), 0.0)], &|t| {
            swiglu(&t[0].narrow(2, 0, 4)?, &t[0].narrow(2, 4, 4)?)
        });
    }

    #[test]
    fn rotations_agree_from_any_position() {
        let table = RotaryTable::new(16, 6, 10_000.0);
        for offset in [0, 5] {
            agree("rotation", &[wave((1, 7, 18), 0.0)], &|t| {
                rotate(&t[0], &table, offset)
            });
        }
    }

    #[test]
    fn attention_agrees_with_shared_heads_masks_and_a_past() {
        for (heads, d_kv) in [([4, 4], 12), ([4, 2], 6), ([4, 1], 3)] {
            for (n_queries, n_keys) in [(7, 7), (3, 9), (1, 9)] {
                for causal in [false, true] {
                    let q = wave((1, n_queries, 12), 0.0);
                    let (k, v) = (wave((1, n_keys, d_kv), 1.0), wave((1, n_keys, d_kv), 2.0));
                    agree("attention", &[q, k, v], &|t| {
                        attention(&t[0], &t[1], &t[2], heads, causal)
                    });
                }
            }
        }
    }

    #[test]
    fn attention_does_not_depend_on_how_many_queries_are_held_at_once() {
        let (q, k, v) = (
            wave((1, 7, 12), 0.0),
            wave((1, 9, 6), 1.0),
            wave((1, 9, 6), 2.0),
        );
        let at_once = |n| composed::attention(&q, &k, &v, [4, 2], true, n).unwrap();
        let difference = (at_once(512) - at_once(3)).unwrap().abs().unwrap();
        let most = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(most < 1e-6);
    }
}
