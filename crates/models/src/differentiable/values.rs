//! Reading tensors as plain slices, and sums in a fixed order.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use rayon::prelude::*;

/// Lanes of the partial sums: wide enough for the compiler to vectorise.
const LANES: usize = 16;
/// Rows that one task handles; fixed, so that sums do not depend on the number of threads.
pub(crate) const ROWS_PER_TASK: usize = 128;

/// The values of a contiguous f32 storage.
pub(crate) fn cpu_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!(
            "expected a contiguous tensor, found strides {:?}",
            layout.stride()
        ),
    }
}

/// The values behind a read guard of [`Tensor::storage_and_layout`].
pub(crate) fn tensor_slice<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => cpu_slice(storage, layout),
        _ => bail!("expected a tensor on the CPU"),
    }
}

/// Sum, in a fixed order.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0_f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Inner product, in a fixed order.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Highest value; negative infinity for none.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks
        .remainder()
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().fold(rest, |a, &b| a.max(b))
}

/// Adds, over the rows of `n_values / width` rows, what `add(first_row, n_rows, partial)` adds to
/// a partial sum of `width` values. Tasks are of fixed size and are summed in order.
pub(crate) fn sum_over_rows(
    n_rows: usize,
    width: usize,
    add: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let n_tasks = n_rows.div_ceil(ROWS_PER_TASK);
    let mut partials = vec![0_f32; n_tasks * width];
    partials
        .par_chunks_mut(width.max(1))
        .enumerate()
        .for_each(|(task, partial)| {
            let first = task * ROWS_PER_TASK;
            add(first, ROWS_PER_TASK.min(n_rows - first), partial);
        });
    let mut total = vec![0_f32; width];
    for partial in partials.chunks(width.max(1)) {
        for (sum, value) in total.iter_mut().zip(partial) {
            *sum += value;
        }
    }
    total
}

/// A tensor like `like` with other values.
pub(crate) fn tensor_like(like: &Tensor, values: Vec<f32>) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_the_plain_ones() {
        let a: Vec<f32> = (0..53).map(|i| i as f32 * 0.25).collect();
        let b: Vec<f32> = (0..53).map(|i| (i % 7) as f32).collect();
        assert!((sum(&a) - a.iter().sum::<f32>()).abs() < 1e-3);
        let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        assert!((dot(&a, &b) - plain).abs() < 1e-2);
        assert_eq!(max(&a), 13.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
