//! Rotary position embedding, the half-split form of Llama, with its gradient.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values::cpu_slice;

/// Cosines and sines of the first positions.
#[derive(Debug, Clone)]
pub(crate) struct RotaryTable {
    /// `[n_positions, d_head / 2]`.
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    d_head: usize,
    n_positions: usize,
}

impl RotaryTable {
    /// The table for `n_positions` positions.
    pub(crate) fn new(n_positions: usize, d_head: usize, theta: f32) -> Self {
        let frequencies: Vec<f32> = (0..d_head / 2)
            .map(|pair| theta.powf(-2.0 * pair as f32 / d_head as f32))
            .collect();
        Self::from_frequencies(n_positions, &frequencies)
    }

    /// The table of given angles per position, one per pair of a head's values.
    pub(crate) fn from_frequencies(n_positions: usize, frequencies: &[f32]) -> Self {
        let d_head = 2 * frequencies.len();
        let angles: Vec<f32> = (0..n_positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        Self {
            cos: angles.iter().map(|a| a.cos()).collect(),
            sin: angles.iter().map(|a| a.sin()).collect(),
            d_head,
            n_positions,
        }
    }
}

struct Rotate {
    table: RotaryTable,
    offset: usize,
    /// 1 forward, −1 backward: the inverse of a rotation is its transpose.
    sign: f32,
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu_slice(storage, layout)?;
        let (_, n_positions, d) = layout.shape().dims3()?;
        if self.offset + n_positions > self.table.n_positions {
            candle_core::bail!(
                "position {} is beyond the {} positions of the model",
                self.offset + n_positions,
                self.table.n_positions
            );
        }
        let half = self.table.d_head / 2;
        let mut out = vec![0_f32; x.len()];
        out.par_chunks_mut(d)
            .zip(x.par_chunks(d))
            .with_min_len(64)
            .enumerate()
            .for_each(|(row, (out, x))| {
                let position = self.offset + row % n_positions;
                let cos = &self.table.cos[position * half..][..half];
                let sin = &self.table.sin[position * half..][..half];
                let heads = out
                    .chunks_mut(self.table.d_head)
                    .zip(x.chunks(self.table.d_head));
                for (out, x) in heads {
                    for i in 0..half {
                        let (a, b, s) = (x[i], x[i + half], self.sign * sin[i]);
                        out[i] = a * cos[i] - b * s;
                        out[i + half] = b * cos[i] + a * s;
                    }
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let inverse = Self {
            table: self.table.clone(),
            offset: self.offset,
            sign: -self.sign,
        };
        grad.contiguous()?.apply_op1_no_bwd(&inverse).map(Some)
    }
}

impl RotaryTable {
    /// Cosines and sines of `n` positions from `offset` on, `[n, d_head / 2]` each.
    pub(crate) fn tensors(
        &self,
        offset: usize,
        n: usize,
        device: &candle_core::Device,
    ) -> Result<[Tensor; 2]> {
        let half = self.d_head / 2;
        if offset + n > self.n_positions {
            candle_core::bail!(
                "position {} is beyond the {} positions of the model",
                offset + n,
                self.n_positions
            );
        }
        let cut = |values: &[f32]| {
            Tensor::from_slice(
                &values[offset * half..(offset + n) * half],
                (n, half),
                device,
            )
        };
        Ok([cut(&self.cos)?, cut(&self.sin)?])
    }

    /// Positions it reaches.
    pub(crate) fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// Width of a head.
    pub(crate) fn d_head(&self) -> usize {
        self.d_head
    }
}

/// Rotates every head of every position.
///
/// # Shapes
/// - `x`: `[batch, n_positions, n_heads * d_head]`, the first at position `offset`; the result alike
pub(crate) fn rotate(x: &Tensor, table: &RotaryTable, offset: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Rotate {
        table: table.clone(),
        offset,
        sign: 1.0,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use candle_nn::rotary_emb::rope_slow;

    use super::*;

    #[test]
    fn agrees_with_candle_and_so_does_its_gradient() {
        let (n, heads, d_head) = (5, 2, 6);
        let table = RotaryTable::new(9, d_head, 100.0);
        let values: Vec<f32> = (0..2 * n * heads * d_head)
            .map(|i| (i % 11) as f32)
            .collect();
        let x = Var::from_slice(&values, (2, n, heads * d_head), &Device::Cpu).unwrap();
        let ours = rotate(&x, &table, 3).unwrap();
        let cut = |values: &[f32]| {
            Tensor::from_slice(&values[3 * 3..8 * 3], (n, 3), &Device::Cpu).unwrap()
        };
        let split = x
            .reshape((2, n, heads, d_head))
            .unwrap()
            .transpose(1, 2)
            .unwrap()
            .contiguous()
            .unwrap();
        let theirs = rope_slow(&split, &cut(&table.cos), &cut(&table.sin))
            .unwrap()
            .transpose(1, 2)
            .unwrap()
            .reshape((2, n, heads * d_head))
            .unwrap();
        let cubes = |y: &Tensor| y.powf(3.0).unwrap().sum_all().unwrap().backward().unwrap();
        for (a, b) in [
            (ours.clone(), theirs.clone()),
            (
                cubes(&ours).get(&x).unwrap().clone(),
                cubes(&theirs).get(&x).unwrap().clone(),
            ),
        ] {
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 2e-2);
        }
    }
}
