//! Bias and scaled residual: broadcasts over rows whose gradients are sums over rows.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values::{ROWS_PER_TASK, cpu_slice, sum_over_rows, tensor_like, tensor_slice};

struct AddRow;

impl CustomOp2 for AddRow {
    fn name(&self) -> &'static str {
        "add-row"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, row) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?);
        let d = row.len();
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(x.par_chunks(ROWS_PER_TASK * d))
            .for_each(|(out, x)| {
                for (out, x) in out.chunks_mut(d).zip(x.chunks(d)) {
                    for i in 0..d {
                        out[i] = x[i] + row[i];
                    }
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        row: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (gs, gl) = grad.storage_and_layout();
        let g = tensor_slice(&gs, gl)?;
        let d = row.elem_count();
        let d_row = sum_over_rows(x.elem_count() / d.max(1), d, |first, n, partial| {
            for row in first..first + n {
                for (sum, g) in partial.iter_mut().zip(&g[row * d..][..d]) {
                    *sum += g;
                }
            }
        });
        Ok((Some(grad.clone()), Some(tensor_like(row, d_row)?)))
    }
}

/// Adds `row` to every row of `x`.
///
/// # Shapes
/// - `x`: any with a last part of `row`'s size; `row`: `[d]`; the result like `x`
pub(crate) fn add_row(x: &Tensor, row: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(row, AddRow)
}

/// `x · weightᵀ + bias`.
///
/// # Shapes
/// - `x`: `[.., d_in]`; `weight`: `[d_out, d_in]`; `bias`: `[d_out]`; result `[.., d_out]`
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (d_out, d_in) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let n_rows = x.elem_count() / d_in.max(1);
    if let Some(last) = dims.last_mut() {
        *last = d_out;
    }
    let y = x.reshape((n_rows, d_in))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => add_row(&y, bias)?,
        None => y,
    };
    y.reshape(dims)
}

struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?);
        if l1.shape() != l2.shape() {
            candle_core::bail!("sum of {:?} and {:?}", l1.shape(), l2.shape());
        }
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(SUM_TASK)
            .zip(x.par_chunks(SUM_TASK).zip(y.par_chunks(SUM_TASK)))
            .for_each(|(out, (x, y))| {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    *out = x + y;
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        _y: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

/// Values of a sum that one task adds.
const SUM_TASK: usize = 1 << 15;

/// `x + y`.
///
/// # Shapes
/// - `x`, `y`: equal, f32; the result alike
pub(crate) fn sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&y.contiguous()?, Sum)
}

struct ScaledResidual;

impl CustomOp3 for ScaledResidual {
    fn name(&self) -> &'static str {
        "scaled-residual"
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
        let (x, branch) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?);
        let scale = cpu_slice(s3, l3)?;
        let d = scale.len();
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(ROWS_PER_TASK * d)
            .zip(
                x.par_chunks(ROWS_PER_TASK * d)
                    .zip(branch.par_chunks(ROWS_PER_TASK * d)),
            )
            .for_each(|(out, (x, branch))| {
                let rows = out.chunks_mut(d).zip(x.chunks(d)).zip(branch.chunks(d));
                for ((out, x), branch) in rows {
                    for i in 0..d {
                        out[i] = x[i] + scale[i] * branch[i];
                    }
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        branch: &Tensor,
        scale: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((bs, bl), (ss, sl)) = (branch.storage_and_layout(), scale.storage_and_layout());
        let (gs, gl) = grad.storage_and_layout();
        let (b, s, g) = (
            tensor_slice(&bs, bl)?,
            tensor_slice(&ss, sl)?,
            tensor_slice(&gs, gl)?,
        );
        let d = s.len();
        let mut d_branch = vec![0_f32; b.len()];
        d_branch
            .par_chunks_mut(ROWS_PER_TASK * d)
            .zip(g.par_chunks(ROWS_PER_TASK * d))
            .for_each(|(out, g)| {
                for (out, g) in out.chunks_mut(d).zip(g.chunks(d)) {
                    for i in 0..d {
                        out[i] = g[i] * s[i];
                    }
                }
            });
        let d_scale = sum_over_rows(b.len() / d.max(1), d, |first, n, partial| {
            for row in first..first + n {
                let (b, g) = (&b[row * d..][..d], &g[row * d..][..d]);
                for i in 0..d {
                    partial[i] += b[i] * g[i];
                }
            }
        });
        Ok((
            Some(grad.clone()),
            Some(tensor_like(branch, d_branch)?),
            Some(tensor_like(scale, d_scale)?),
        ))
    }
}

/// `x + scale · branch`, the `LayerScale` residual.
///
/// # Shapes
/// - `x`, `branch`: `[.., d]`; `scale`: `[d]`; the result like `x`
pub(crate) fn scaled_residual(x: &Tensor, branch: &Tensor, scale: &Tensor) -> Result<Tensor> {
    x.contiguous()?
        .apply_op3(&branch.contiguous()?, scale, ScaledResidual)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn values_and_gradients_agree_with_the_composed_ones() {
        let values: Vec<f32> = (0..300 * 3).map(|i| ((i * 31) % 17) as f32 * 0.1).collect();
        let x = Var::from_slice(&values, (3, 100, 3), &Device::Cpu).unwrap();
        let branch = Var::from_slice(&values[..900], (3, 100, 3), &Device::Cpu).unwrap();
        let scale = Var::from_slice(&[0.5_f32, -1.0, 2.0], 3, &Device::Cpu).unwrap();
        let weight = Var::from_slice(&values[5..17], (4, 3), &Device::Cpu).unwrap();
        let bias = Var::from_slice(&values[20..24], 4, &Device::Cpu).unwrap();
        let ours = scaled_residual(&x, &branch, &scale).unwrap();
        let ours = linear(&ours, &weight, Some(&bias)).unwrap();
        let theirs = x
            .broadcast_add(&branch.broadcast_mul(&scale).unwrap())
            .unwrap()
            .broadcast_matmul(&weight.t().unwrap())
            .unwrap()
            .broadcast_add(&bias)
            .unwrap();
        let grads = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let (a, b) = (grads(&ours), grads(&theirs));
        for var in [&x, &branch, &scale, &weight, &bias] {
            let (a, b) = (a.get(var).unwrap(), b.get(var).unwrap());
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            let size = b
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-4 * size);
        }
    }
}
