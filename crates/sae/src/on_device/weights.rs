//! Weights, gradients or moments on a device.

use candle_core::{Device, Result, Tensor};

use crate::weights::Weights;

/// Added to a row's length before it is divided by it, as the kernel `unit_norm` does.
pub(super) const UNIT_GUARD: f32 = f32::EPSILON;
/// The same of the kernel `remove_parallel`.
const PROJECTION_GUARD: f32 = 1e-6;

/// The tensors that the `TopK` family has, in the shapes of [`Weights`].
#[derive(Debug, Clone)]
pub(super) struct DeviceWeights {
    /// `[n_features, d_model]`.
    pub(super) w_enc: Tensor,
    /// `[n_features]`.
    pub(super) b_enc: Tensor,
    /// `[n_features, d_model]`.
    pub(super) w_dec: Tensor,
    /// `[d_model]`.
    pub(super) b_dec: Tensor,
}

impl DeviceWeights {
    pub(super) fn of(weights: &Weights, device: &Device) -> Result<Self> {
        let (n, d) = (weights.n_features(), weights.d_model);
        Ok(Self {
            w_enc: Tensor::from_slice(&weights.w_enc, (n, d), device)?,
            b_enc: Tensor::from_slice(&weights.b_enc, n, device)?,
            w_dec: Tensor::from_slice(&weights.w_dec, (n, d), device)?,
            b_dec: Tensor::from_slice(&weights.b_dec, d, device)?,
        })
    }

    pub(super) fn write_to(&self, weights: &mut Weights) -> Result<()> {
        weights.w_enc = self.w_enc.flatten_all()?.to_vec1()?;
        weights.b_enc = self.b_enc.to_vec1()?;
        weights.w_dec = self.w_dec.flatten_all()?.to_vec1()?;
        weights.b_dec = self.b_dec.to_vec1()?;
        Ok(())
    }

    /// Takes the component along each decoder row from the decoder's gradient, which this is.
    pub(super) fn project(&mut self, weights: &Self) -> Result<()> {
        let squares = lengths(&weights.w_dec, PROJECTION_GUARD)?.sqr()?;
        let along = ((&self.w_dec * &weights.w_dec)?.sum_keepdim(1)? / squares)?;
        let parallel = weights.w_dec.broadcast_mul(&along)?;
        self.w_dec = (&self.w_dec - parallel)?;
        Ok(())
    }

    /// The norm of all of them together.
    pub(super) fn norm(&self) -> Result<f64> {
        let squares = [
            total(&self.w_enc.sqr()?)?,
            total(&self.w_dec.sqr()?)?,
            self.b_enc.sqr()?.sum_all()?,
            self.b_dec.sqr()?.sum_all()?,
        ];
        let squares: Vec<f32> = Tensor::stack(&squares, 0)?.to_vec1()?;
        Ok(squares.into_iter().map(f64::from).sum::<f64>().sqrt())
    }
}

/// Length of each row and `guard`, `[n_rows, 1]`.
pub(super) fn lengths(rows: &Tensor, guard: f32) -> Result<Tensor> {
    rows.sqr()?.sum_keepdim(1)?.sqrt()? + f64::from(guard)
}

/// The sum of a matrix, row by row first: one long sum in f32 would lose digits.
pub(super) fn total(matrix: &Tensor) -> Result<Tensor> {
    matrix.sum(1)?.sum(0)
}
