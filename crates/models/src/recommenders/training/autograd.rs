//! Loss and gradient of `SASRec` of any shape by automatic differentiation, as `ReChorus` writes it.

use candle_core::{D, Device, Tensor, Var};

use super::super::kernels::norm::EPS;
use super::super::weights::{SasRecConfig, SasRecWeights, segments};
use super::instances::TrainingCase;
use crate::ModelError;

/// Mean loss of a batch; its gradient is added to `gradient`.
pub(crate) fn gradient(
    weights: &SasRecWeights,
    batch: &[TrainingCase<'_>],
    gradient: &mut [f32],
) -> Result<f64, ModelError> {
    let layout = segments(weights.config());
    let vars = layout
        .iter()
        .map(|segment| {
            let values = &weights.values()[segment.range.clone()];
            Var::from_slice(values, segment.shape.clone(), &Device::Cpu)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let loss = batch_loss(weights.config(), &vars, batch)?;
    let gradients = loss.backward()?;
    for (segment, var) in layout.iter().zip(&vars) {
        if let Some(found) = gradients.get(var.as_tensor()) {
            let found = found.flatten_all()?.to_vec1::<f32>()?;
            for (out, value) in gradient[segment.range.clone()].iter_mut().zip(found) {
                *out += value;
            }
        }
    }
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

/// The mean loss, all positions computed on padded histories.
fn batch_loss(
    config: &SasRecConfig,
    vars: &[Var],
    batch: &[TrainingCase<'_>],
) -> candle_core::Result<Tensor> {
    let d = config.d();
    let n = batch.len();
    let length = batch
        .iter()
        .map(|case| case.history.len())
        .max()
        .unwrap_or(1);
    let (mut ids, mut places) = (vec![0_u32; n * length], vec![0_u32; n * length]);
    let mut last = Vec::with_capacity(n);
    for (i, case) in batch.iter().enumerate() {
        for (slot, &item) in case.history.iter().enumerate() {
            ids[i * length + slot] = item;
            places[i * length + slot] = (case.history.len() - slot) as u32;
        }
        last.push((i * length + case.history.len() - 1) as u32);
    }
    let device = Device::Cpu;
    let look_up = |table: &Var, ids: Vec<u32>| {
        let n = ids.len();
        table.index_select(&Tensor::from_vec(ids, n, &device)?, 0)
    };
    let mut x = (look_up(&vars[0], ids)? + look_up(&vars[1], places)?)?.reshape((n, length, d))?;
    let mask: Vec<f32> = (0..length * length)
        .map(|i| {
            if i % length > i / length {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    let mask = Tensor::from_vec(mask, (1, 1, length, length), &device)?;
    for block in vars[2..].chunks_exact(14) {
        x = block_forward(block, &x, &mask, config.n_heads as usize)?;
    }
    let last = Tensor::from_vec(last, n, &device)?;
    let users = x.reshape((n * length, d))?.index_select(&last, 0)?;
    let positive = look_up(&vars[0], batch.iter().map(|case| case.positive).collect())?;
    let negative = look_up(&vars[0], batch.iter().map(|case| case.negative).collect())?;
    let margin = (users * (positive - negative)?)?.sum(D::Minus1)?;
    let probability = candle_nn::ops::sigmoid(&margin)?.clamp(1e-8_f32, 1.0_f32 - 1e-8)?;
    probability.log()?.neg()?.mean_all()
}

fn block_forward(
    block: &[Var],
    x: &Tensor,
    mask: &Tensor,
    n_heads: usize,
) -> candle_core::Result<Tensor> {
    let (n, length, d) = x.dims3()?;
    let heads = |part: usize| {
        linear(x, block, part)?
            .reshape((n, length, n_heads, d / n_heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (query, key, value) = (heads(0)?, heads(1)?, heads(2)?);
    let scale = 1.0 / ((d / n_heads) as f64).sqrt();
    let scores = (query.matmul(&key.t()?.contiguous()?)? * scale)?.broadcast_add(mask)?;
    let shares = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let context = shares
        .matmul(&value)?
        .transpose(1, 2)?
        .reshape((n, length, d))?;
    let mixed = layer_norm(&(context + x)?, block, 3)?;
    let inner = linear(&mixed, block, 4)?.relu()?;
    let out = linear(&inner, block, 5)?;
    layer_norm(&(out + mixed)?, block, 6)
}

/// Part `part` of a block is a weight and a bias.
fn linear(x: &Tensor, block: &[Var], part: usize) -> candle_core::Result<Tensor> {
    let (n, length, d) = x.dims3()?;
    x.reshape((n * length, d))?
        .matmul(&block[2 * part].t()?)?
        .broadcast_add(&block[2 * part + 1])?
        .reshape((n, length, d))
}

/// Written out, because candle's fused layer norm has no gradient.
fn layer_norm(x: &Tensor, block: &[Var], part: usize) -> candle_core::Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&(variance + f64::from(EPS))?.sqrt()?)?
        .broadcast_mul(&block[2 * part])?
        .broadcast_add(&block[2 * part + 1])
}
