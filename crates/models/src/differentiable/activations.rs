//! GELU, `SwiGLU` and the exponential they rest on, with gradients.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values::{cpu_slice, tensor_like, tensor_slice};

/// Elements that one task handles.
const TASK: usize = 1 << 14;

/// `e^x` to 2 units in the last place, without a call, so that loops over it vectorise.
/// Arguments are clamped to `[-87, 88]`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let tail =
        0.5 + r * (1.666_666_5e-1 + r * (4.166_579_6e-2 + r * (8.333_452e-3 + r * 1.398_2e-3)));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (1.0 + r + r * r * tail) * power
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Φ and φ of the standard normal distribution (Abramowitz and Stegun 7.1.26, error below 2e-7).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let e = exp(-z * z);
    let upper = 0.5 * polynomial * e;
    let phi = if x < 0.0 { upper } else { 1.0 - upper };
    (phi, 0.398_942_3 * e)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu_slice(storage, layout)?;
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(TASK)
            .zip(x.par_chunks(TASK))
            .for_each(|(out, x)| {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = x * normal(x).0;
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let ((xs, xl), (gs, gl)) = (x.storage_and_layout(), grad.storage_and_layout());
        let (x_values, g_values) = (tensor_slice(&xs, xl)?, tensor_slice(&gs, gl)?);
        let mut out = vec![0_f32; x_values.len()];
        out.par_chunks_mut(TASK)
            .zip(x_values.par_chunks(TASK).zip(g_values.par_chunks(TASK)))
            .for_each(|(out, (x, g))| {
                for ((out, &x), &g) in out.iter_mut().zip(x).zip(g) {
                    let (phi, density) = normal(x);
                    *out = g * (phi + x * density);
                }
            });
        tensor_like(x, out).map(Some)
    }
}

/// `x · Φ(x)`, the exact GELU.
///
/// # Shapes
/// - `x`: any, f32, contiguous; the result alike
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?);
        let mut out = vec![0_f32; gate.len()];
        out.par_chunks_mut(TASK)
            .zip(gate.par_chunks(TASK).zip(up.par_chunks(TASK)))
            .for_each(|(out, (gate, up))| {
                for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
                    *out = gate * sigmoid(gate) * up;
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (as_, al) = gate.storage_and_layout();
        let (us, ul) = up.storage_and_layout();
        let (gs, gl) = grad.storage_and_layout();
        let (a, u) = (tensor_slice(&as_, al)?, tensor_slice(&us, ul)?);
        let g = tensor_slice(&gs, gl)?;
        let (mut d_gate, mut d_up) = (vec![0_f32; a.len()], vec![0_f32; a.len()]);
        d_gate
            .par_chunks_mut(TASK)
            .zip(d_up.par_chunks_mut(TASK))
            .enumerate()
            .for_each(|(task, (d_gate, d_up))| {
                let range = task * TASK..task * TASK + d_gate.len();
                let (a, u, g) = (&a[range.clone()], &u[range.clone()], &g[range]);
                for i in 0..d_gate.len() {
                    let s = sigmoid(a[i]);
                    d_up[i] = g[i] * a[i] * s;
                    d_gate[i] = g[i] * u[i] * s * (1.0 + a[i] * (1.0 - s));
                }
            });
        Ok((
            Some(tensor_like(gate, d_gate)?),
            Some(tensor_like(up, d_up)?),
        ))
    }
}

/// `silu(gate) · up`.
///
/// # Shapes
/// - `gate`, `up`: equal, f32; the result alike
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn exponential_is_close_to_the_library_one() {
        for i in -8_600..8_600 {
            let x = i as f32 * 0.01;
            let relative = (exp(x) - x.exp()).abs() / x.exp();
            assert!(relative < 3e-6, "{x}: {relative}");
        }
    }

    #[test]
    fn gelu_and_its_gradient_agree_with_candle() {
        let values: Vec<f32> = (-40..40).map(|i| i as f32 * 0.1 + 0.03).collect();
        let x = Var::from_slice(&values, values.len(), &Device::Cpu).unwrap();
        let (ours, theirs) = (gelu(&x).unwrap(), x.gelu_erf().unwrap());
        let gradient = |y: &Tensor| {
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            grads.get(&x).unwrap().to_vec1::<f32>().unwrap()
        };
        let (ours_grad, theirs_grad) = (gradient(&ours), gradient(&theirs));
        let (ours, theirs) = (
            ours.to_vec1::<f32>().unwrap(),
            theirs.to_vec1::<f32>().unwrap(),
        );
        for i in 0..values.len() {
            assert!((ours[i] - theirs[i]).abs() < 2e-6);
            assert!((ours_grad[i] - theirs_grad[i]).abs() < 2e-5);
        }
    }
}
