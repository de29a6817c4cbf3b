//! The operations of the large models: our own fused ones on the CPU, candle's elsewhere.
//!
//! All have gradients on both, which candle's fused operations do not.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::{silu, softmax};

use crate::differentiable::rotary::RotaryTable;
use crate::differentiable::{activations, affine, attention as fused, norms, rotary};

/// Normalises the last dimension, then scales and shifts.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() {
        return norms::layer_norm(x, weight, bias, eps);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?
        .broadcast_mul(weight)?
        .broadcast_add(bias)
}

/// Divides by the root mean square of the last dimension, then scales.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() {
        return norms::rms_norm(x, weight, eps);
    }
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean + f64::from(eps))?.sqrt()?)?
        .broadcast_mul(weight)
}

/// `x Φ(x)`.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        activations::gelu(x)
    } else {
        x.gelu_erf()
    }
}

/// `silu(gate) · up`.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.device().is_cpu() {
        activations::swiglu(gate, up)
    } else {
        silu(gate)? * up
    }
}

/// `x + y`. Candle's own sum has threads of its own, which wait actively beside ours.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        affine::sum(x, y)
    } else {
        x + y
    }
}

/// `x + scale · branch`, `scale` of the last dimension.
pub(crate) fn scaled_residual(x: &Tensor, branch: &Tensor, scale: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        affine::scaled_residual(x, branch, scale)
    } else {
        x + branch.broadcast_mul(scale)?
    }
}

/// Rotates every head of `x: [1, n, heads · d_head]`, whose first position is `offset`.
pub(crate) fn rotate(x: &Tensor, table: &RotaryTable, offset: usize) -> Result<Tensor> {
    if x.device().is_cpu() {
        return rotary::rotate(x, table, offset);
    }
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

/// Queries whose scores are held at once off the CPU.
const QUERIES: usize = 512;

/// As [`fused::attention`].
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: [usize; 2],
    causal: bool,
) -> Result<Tensor> {
    if q.device().is_cpu() {
        return fused::attention(q, k, v, heads, causal);
    }
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
    for first in (0..n_queries).step_by(QUERIES) {
        let n = QUERIES.min(n_queries - first);
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// What runs off the CPU is checked here against the fused forms, on the CPU.
    #[test]
    fn composed_norms_equal_the_fused_ones() {
        let values: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let x = Tensor::from_vec(values, (5, 12), &Device::Cpu).unwrap();
        let weight = Tensor::arange(1_f32, 13.0, &Device::Cpu).unwrap();
        let mean = x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
        let composed = x
            .broadcast_div(&(mean + 1e-5).unwrap().sqrt().unwrap())
            .unwrap()
            .broadcast_mul(&weight)
            .unwrap();
        let fused = rms_norm(&x, &weight, 1e-5).unwrap();
        let difference = (composed - fused)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5);
    }
}
