//! `LayerNorm` and `RMSNorm` over the last dimension, with gradients.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values::{ROWS_PER_TASK, cpu_slice, dot, sum, sum_over_rows, tensor_like, tensor_slice};

struct LayerNorm {
    eps: f32,
}

/// Mean and inverse deviation of a row.
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row) / n;
    let variance = (dot(row, row) / n - mean * mean).max(0.0);
    (mean, 1.0 / (variance + eps).sqrt())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = cpu_slice(s1, l1)?;
        let (weight, bias) = (cpu_slice(s2, l2)?, cpu_slice(s3, l3)?);
        let d = weight.len();
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(x.par_chunks(ROWS_PER_TASK * d))
            .for_each(|(out, x)| {
                for (out, x) in out.chunks_mut(d).zip(x.chunks(d)) {
                    let (mean, scale) = moments(x, self.eps);
                    for i in 0..d {
                        out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
                    }
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((xs, xl), (ws, wl)) = (x.storage_and_layout(), weight.storage_and_layout());
        let (gs, gl) = grad.storage_and_layout();
        let (xv, w, g) = (
            tensor_slice(&xs, xl)?,
            tensor_slice(&ws, wl)?,
            tensor_slice(&gs, gl)?,
        );
        let d = w.len();
        let mut dx = vec![0_f32; xv.len()];
        dx.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(
                xv.par_chunks(ROWS_PER_TASK * d)
                    .zip(g.par_chunks(ROWS_PER_TASK * d)),
            )
            .for_each(|(dx, (x, g))| {
                let (mut normed, mut weighted) = (vec![0_f32; d], vec![0_f32; d]);
                for ((dx, x), g) in dx.chunks_mut(d).zip(x.chunks(d)).zip(g.chunks(d)) {
                    let (mean, scale) = moments(x, self.eps);
                    for i in 0..d {
                        normed[i] = (x[i] - mean) * scale;
                        weighted[i] = g[i] * w[i];
                    }
                    let along = dot(&weighted, &normed) / d as f32;
                    let level = sum(&weighted) / d as f32;
                    for i in 0..d {
                        dx[i] = scale * (weighted[i] - level - normed[i] * along);
                    }
                }
            });
        let sums = sum_over_rows(xv.len() / d.max(1), 2 * d, |first, n, partial| {
            let (dw, db) = partial.split_at_mut(d);
            for row in first..first + n {
                let (x, g) = (&xv[row * d..][..d], &g[row * d..][..d]);
                let (mean, scale) = moments(x, self.eps);
                for i in 0..d {
                    dw[i] += g[i] * (x[i] - mean) * scale;
                    db[i] += g[i];
                }
            }
        });
        Ok((
            Some(tensor_like(x, dx)?),
            Some(tensor_like(weight, sums[..d].to_vec())?),
            Some(tensor_like(bias, sums[d..].to_vec())?),
        ))
    }
}

/// `(x − mean) / sqrt(variance + eps) · weight + bias` over the last dimension.
///
/// # Shapes
/// - `x`: `[.., d]`; `weight`, `bias`: `[d]`; the result like `x`
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, LayerNorm { eps })
}

struct RmsNorm {
    eps: f32,
}

/// Inverse root mean square of a row.
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt()
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?);
        let d = weight.len();
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(x.par_chunks(ROWS_PER_TASK * d))
            .for_each(|(out, x)| {
                for (out, x) in out.chunks_mut(d).zip(x.chunks(d)) {
                    let scale = inverse_rms(x, self.eps);
                    for i in 0..d {
                        out[i] = x[i] * scale * weight[i];
                    }
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((xs, xl), (ws, wl)) = (x.storage_and_layout(), weight.storage_and_layout());
        let (gs, gl) = grad.storage_and_layout();
        let (xv, w, g) = (
            tensor_slice(&xs, xl)?,
            tensor_slice(&ws, wl)?,
            tensor_slice(&gs, gl)?,
        );
        let d = w.len();
        let mut dx = vec![0_f32; xv.len()];
        dx.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(
                xv.par_chunks(ROWS_PER_TASK * d)
                    .zip(g.par_chunks(ROWS_PER_TASK * d)),
            )
            .for_each(|(dx, (x, g))| {
                let mut weighted = vec![0_f32; d];
                for ((dx, x), g) in dx.chunks_mut(d).zip(x.chunks(d)).zip(g.chunks(d)) {
                    let scale = inverse_rms(x, self.eps);
                    for i in 0..d {
                        weighted[i] = g[i] * w[i];
                    }
                    let along = dot(&weighted, x) * scale * scale / d as f32;
                    for i in 0..d {
                        dx[i] = scale * (weighted[i] - x[i] * along);
                    }
                }
            });
        let dw = sum_over_rows(xv.len() / d.max(1), d, |first, n, dw| {
            for row in first..first + n {
                let (x, g) = (&xv[row * d..][..d], &g[row * d..][..d]);
                let scale = inverse_rms(x, self.eps);
                for i in 0..d {
                    dw[i] += g[i] * x[i] * scale;
                }
            }
        });
        Ok((Some(tensor_like(x, dx)?), Some(tensor_like(weight, dw)?)))
    }
}

/// `x / sqrt(mean(x²) + eps) · weight` over the last dimension.
///
/// # Shapes
/// - `x`: `[.., d]`; `weight`: `[d]`; the result like `x`
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    x.contiguous()?.apply_op2(weight, RmsNorm { eps })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use candle_nn::ops::{layer_norm_slow, rms_norm_slow};

    use super::*;

    fn compare(ours: &Tensor, theirs: &Tensor, vars: &[&Var]) {
        let target = Tensor::arange(0_f32, ours.elem_count() as f32, ours.device())
            .unwrap()
            .reshape(ours.shape())
            .unwrap()
            .affine(0.03, -0.2)
            .unwrap();
        let grads = |y: &Tensor| {
            (y * &target)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let (ours_grads, theirs_grads) = (grads(ours), grads(theirs));
        let close = |a: &Tensor, b: &Tensor| {
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 2e-4);
        };
        close(ours, theirs);
        for var in vars {
            close(ours_grads.get(var).unwrap(), theirs_grads.get(var).unwrap());
        }
    }

    #[test]
    fn norms_and_their_gradients_agree_with_the_composed_ones() {
        let values: Vec<f32> = (0..5 * 19)
            .map(|i| ((i * 37) % 23) as f32 * 0.2 - 1.0)
            .collect();
        let x = Var::from_slice(&values, (5, 19), &Device::Cpu).unwrap();
        let w = Var::from_slice(&values[3..22], 19, &Device::Cpu).unwrap();
        let b = Var::from_slice(&values[30..49], 19, &Device::Cpu).unwrap();
        compare(
            &layer_norm(&x, &w, &b, 1e-5).unwrap(),
            &layer_norm_slow(&x, &w, &b, 1e-5).unwrap(),
            &[&x, &w, &b],
        );
        compare(
            &rms_norm(&x, &w, 1e-5).unwrap(),
            &rms_norm_slow(&x, &w, 1e-5).unwrap(),
            &[&x, &w],
        );
    }
}
