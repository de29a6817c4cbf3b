//! What this machine can do at most: the figures that speeds of models are measured against.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::kernels::dispatch::dispatch;
use crate::kernels::matmul::{View, product};

/// Bytes a second that all threads together read from a memory of `n_bytes`, the best of `rounds`.
///
/// # Cost
/// Holds `n_bytes`.
pub fn reading_rate(n_bytes: usize, rounds: usize) -> f64 {
    let values = vec![1_u64; n_bytes.div_ceil(8).max(1)];
    let mut best = f64::INFINITY;
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        let sum: u64 = values
            .par_chunks(1 << 15)
            .map(|chunk| {
                dispatch(
                    #[inline(always)]
                    || chunk.iter().fold(0_u64, |sum, value| sum ^ value),
                )
            })
            .reduce(|| 0, |a, b| a ^ b);
        black_box(sum);
        best = best.min(start.elapsed().as_secs_f64());
    }
    values.len() as f64 * 8.0 / best
}

/// Floating-point operations a second of large f32 products on all threads, the best of `rounds`.
pub fn product_rate(rounds: usize) -> f64 {
    const SIDE: usize = 768;
    let values = vec![0.5_f32; SIDE * SIDE];
    let n_tasks = 2 * rayon::current_num_threads();
    let mut out = vec![0.0; n_tasks * SIDE * SIDE];
    let mut best = f64::INFINITY;
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        out.par_chunks_mut(SIDE * SIDE).for_each(|out| {
            let view = View::of(&values, SIDE);
            product(out, SIDE, (view, view), 1.0, false);
        });
        black_box(&mut out);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * n_tasks as f64 * (SIDE as f64).powi(3) / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_positive_numbers() {
        for rate in [reading_rate(1 << 16, 1), product_rate(1)] {
            assert!(rate > 0.0 && rate.is_finite());
        }
    }
}
