//! A weight matrix wherever it is kept, and the product with it.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use super::coded::CodedMatrix;
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
    /// `[out, in]`.
    pub(crate) fn shape(&self) -> Result<[usize; 2]> {
        match self {
            Self::Coded(matrix) => Ok(matrix.shape()),
            Self::Dense(tensor) => tensor.dims2().map(|(rows, columns)| [rows, columns]),
        }
    }

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
        let y = self.weight.apply(x)?;
        match &self.bias {
            None => Ok(y),
            Some(bias) => add_row(&y, bias),
        }
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
        Ok((CpuStorage::F32(self.0.multiply(x)), dims.into()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let values = self.0.multiply_transposed(tensor_slice(&storage, layout)?);
        tensor_like(x, values).map(Some)
    }
}
