//! A weight matrix wherever it is kept, and the product with it.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use rayon::prelude::*;

use super::coded::{CodedMatrix, FEW, multiply_few};
use crate::differentiable::values::{cpu_slice, tensor_like, tensor_slice};
use crate::tensor_ops::add_row;

/// A matrix `[out, in]`.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    /// On the CPU, as it is stored.
    Coded(Arc<CodedMatrix>),
    /// On a card, in the number type that was chosen for it.
    Dense(Tensor),
}

impl Weight {
    /// `y = x Wᵀ`, with gradient for `x`.
    ///
    /// # Shapes
    /// - `x`: `[.., in]`, f32; returns `[.., out]`, f32
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Coded(matrix) => x.contiguous()?.apply_op1(Product(Arc::clone(matrix))),
            Self::Dense(weight) => {
                let dims = x.dims().to_vec();
                let width = dims.last().copied().unwrap_or(1);
                let rows = x.reshape(((), width))?.to_dtype(weight.dtype())?;
                let y = rows.matmul(&weight.t()?)?.to_dtype(DType::F32)?;
                let mut shape = dims;
                if let Some(last) = shape.last_mut() {
                    *last = weight.dim(0)?;
                }
                y.reshape(shape)
            }
        }
    }

    /// Rows `ids` of the matrix: `[ids.len(), in]`, f32.
    pub(crate) fn rows(&self, ids: &[u32], device: &candle_core::Device) -> Result<Tensor> {
        match self {
            Self::Coded(matrix) => {
                let [n_rows, width] = matrix.shape();
                let mut values = vec![0.0; ids.len() * width];
                for (&id, out) in ids.iter().zip(values.chunks_exact_mut(width)) {
                    if id as usize >= n_rows {
                        candle_core::bail!("row {id} of a matrix with {n_rows}");
                    }
                    matrix.decode_row(id as usize, out);
                }
                Tensor::from_vec(values, (ids.len(), width), device)
            }
            Self::Dense(weight) => {
                let index = Tensor::from_slice(ids, ids.len(), device)?;
                weight.index_select(&index, 0)?.to_dtype(DType::F32)
            }
        }
    }
}

/// An affine map.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weight: Weight,
    /// `[out]`, f32.
    pub(crate) bias: Option<Tensor>,
}

impl Linear {
    /// `y = x Wᵀ + b`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        self.shifted(self.weight.apply(x)?)
    }

    /// `y + b`.
    fn shifted(&self, y: Tensor) -> Result<Tensor> {
        match &self.bias {
            None => Ok(y),
            Some(bias) => add_row(&y, bias),
        }
    }

    /// What each of `maps` makes of `x`; few rows are multiplied with all of them at once.
    ///
    /// # Shapes
    /// - `x`: `[n, in]`; returns `[n, out]` of each
    pub(crate) fn apply_each<const N: usize>(maps: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let n = x.dim(0)?;
        let coded: Vec<Arc<CodedMatrix>> = maps
            .iter()
            .filter_map(|map| match &map.weight {
                Weight::Coded(matrix) => Some(Arc::clone(matrix)),
                Weight::Dense(_) => None,
            })
            .collect();
        let parts: Vec<Tensor> = if n <= FEW && coded.len() == N && N > 0 {
            let widths: Vec<usize> = coded.iter().map(|matrix| matrix.shape()[0]).collect();
            let all = x.contiguous()?.apply_op1(Products(coded))?;
            let mut first = 0;
            let cut = |(map, width): (&&Self, usize)| {
                let part = all.narrow(1, first, width)?.contiguous()?;
                first += width;
                map.shifted(part)
            };
            maps.iter().zip(widths).map(cut).collect::<Result<_>>()?
        } else {
            // Side by side, so that threads that find no tile of one left go on with the next.
            maps.par_iter()
                .map(|map| map.apply(x))
                .collect::<Result<_>>()?
        };
        match <[Tensor; N]>::try_from(parts) {
            Ok(parts) => Ok(parts),
            Err(parts) => candle_core::bail!("{} products of {N}", parts.len()),
        }
    }
}

/// The products of few rows with several coded matrices, side by side.
struct Products(Vec<Arc<CodedMatrix>>);

impl CustomOp1 for Products {
    fn name(&self) -> &'static str {
        "coded-products"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu_slice(storage, layout)?;
        let (n, width) = layout.shape().dims2()?;
        if self.0.iter().any(|matrix| matrix.shape()[1] != width) {
            candle_core::bail!("products of rows of {width} with matrices of other widths");
        }
        let rows: usize = self.0.iter().map(|matrix| matrix.shape()[0]).sum();
        let y = multiply_few(&self.0, x, n);
        Ok((CpuStorage::F32(y), (n, rows).into()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut sum = x.zeros_like()?;
        let mut first = 0;
        for matrix in &self.0 {
            let rows = matrix.shape()[0];
            let grad = grad.narrow(1, first, rows)?.contiguous()?;
            let (storage, layout) = grad.storage_and_layout();
            let values = matrix.multiply_transposed(tensor_slice(&storage, layout)?);
            sum = (sum + tensor_like(x, values)?)?;
            first += rows;
        }
        Ok(Some(sum))
    }
}

/// The product with a coded matrix.
struct Product(Arc<CodedMatrix>);

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "coded-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu_slice(storage, layout)?;
        let mut dims = layout.dims().to_vec();
        let [rows, columns] = self.0.shape();
        match dims.last_mut() {
            Some(last) if *last == columns => *last = rows,
            _ => candle_core::bail!("product of {dims:?} with a matrix of {columns} columns"),
        }
        let n = x.len() / columns.max(1);
        let y = if (1..=FEW).contains(&n) {
            multiply_few(std::slice::from_ref(&self.0), x, n)
        } else {
            self.0.multiply(x)
        };
        Ok((CpuStorage::F32(y), dims.into()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let values = self.0.multiply_transposed(tensor_slice(&storage, layout)?);
        tensor_like(x, values).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::weights::Coding;

    #[test]
    fn maps_applied_together_equal_each_alone_and_so_do_the_gradients() {
        let wave =
            |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin()).collect() };
        let map = |rows: usize, step| {
            let matrix = CodedMatrix::from_f32([rows, 32], &wave(rows * 32, step));
            Linear {
                weight: Weight::Coded(Arc::new(matrix.recoded(Coding::Q8_0).unwrap())),
                bias: (rows > 4)
                    .then(|| Tensor::from_vec(wave(rows, 0.9), rows, &Device::Cpu).unwrap()),
            }
        };
        let maps = [&map(7, 0.3), &map(4, 0.7)];
        for n in [1, 5, 40] {
            let x = Var::from_vec(wave(n * 32, 0.1), (n, 32), &Device::Cpu).unwrap();
            let loss = |parts: &[Tensor]| {
                let squares = parts
                    .iter()
                    .map(|y| y.sqr().unwrap().sum_all().unwrap())
                    .reduce(|a, b| (a + b).unwrap());
                squares.unwrap().backward().unwrap()
            };
            let together = Linear::apply_each(maps, &x).unwrap();
            let alone = maps.map(|map| map.apply(&x).unwrap());
            let (a, b) = (loss(&together), loss(&alone));
            let close = |a: &Tensor, b: &Tensor| {
                let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-3);
            };
            for (a, b) in together.iter().zip(&alone) {
                close(a, b);
            }
            close(a.get(&x).unwrap(), b.get(&x).unwrap());
        }
    }
}
