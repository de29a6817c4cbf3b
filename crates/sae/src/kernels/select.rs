//! Which features of a row are active: the k highest, or all above a threshold.

use super::level::multiversion;

/// Lanes over which maxima are taken; bounds the `k` for which the quick path works.
const LANES: usize = 128;
/// Values tested at once.
const CHUNK: usize = 16;
/// The smallest activation that is stored.
const SMALLEST: f32 = f32::from_bits(1);

/// Keeps the `k` highest of the candidates, ties to the earlier one, in their order.
fn keep_highest(candidates: &mut Vec<(f32, u32)>, k: usize) {
    if candidates.len() <= k {
        return;
    }
    let mut on_stack = [0_f32; 4 * LANES];
    let mut on_heap = Vec::new();
    let values = if let Some(values) = on_stack.get_mut(..candidates.len()) {
        values
    } else {
        on_heap.resize(candidates.len(), 0.0);
        on_heap.as_mut_slice()
    };
    for (value, candidate) in values.iter_mut().zip(candidates.iter()) {
        *value = candidate.0;
    }
    // There are more candidates than `k`, so the (k + 1)-th exists: what lies above it stays.
    let (above, &mut next, _) = values.select_nth_unstable_by(k, |a, b| b.total_cmp(a));
    let mut ties = k - above.iter().filter(|value| **value > next).count();
    candidates.retain(|&(value, _)| {
        let tie = value == next && ties > 0;
        ties -= usize::from(tie);
        value > next || tie
    });
}

/// The `k` highest values above 0 of a row, ties to the lower index, in ascending order of index.
pub(crate) fn highest(values: &[f32], k: usize, out: &mut Vec<(f32, u32)>) {
    let mut bound = SMALLEST;
    if (1..=LANES).contains(&k) && values.len() >= 4 * LANES {
        let mut maxima = [f32::NEG_INFINITY; LANES];
        lane_maxima(values, &mut maxima);
        // At least k lanes reach the k-th highest lane maximum, so at least k values do.
        maxima.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        bound = bound.max(maxima[k - 1]);
    }
    out.clear();
    collect_from(values, bound, out);
    keep_highest(out, k);
}

/// All values strictly above `threshold` (≥ 0) of a row, in ascending order of index.
pub(crate) fn above_threshold(values: &[f32], threshold: f32, out: &mut Vec<(f32, u32)>) {
    out.clear();
    collect_from(values, threshold.max(0.0).next_up(), out);
}

multiversion! {
    /// The maximum of every lane, lane `i` holding the values `i`, `i + 128`, …
    fn lane_maxima(values: &[f32], maxima: &mut [f32; 128]) {
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..LANES {
                maxima[i] = if chunk[i] > maxima[i] { chunk[i] } else { maxima[i] };
            }
        }
        for (maximum, &value) in maxima.iter_mut().zip(rest) {
            *maximum = if value > *maximum { value } else { *maximum };
        }
    }
}

multiversion! {
    /// Appends every value of at least `bound` with its index, a chunk at a time.
    fn collect_in_chunks(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) {
        for (at, chunk) in values.chunks(CHUNK).enumerate() {
            let mut any = false;
            for &value in chunk {
                any |= value >= bound;
            }
            if any {
                for (i, &value) in chunk.iter().enumerate() {
                    if value >= bound {
                        out.push((value, (at * CHUNK + i) as u32));
                    }
                }
            }
        }
    }
}

/// The same with masks of 64 comparisons; returns how many values were looked at, a multiple
/// of 64.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "unaligned vector loads within checked slices")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
fn collect_avx512(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) -> usize {
    use std::arch::x86_64::{_CMP_GE_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_set1_ps};
    let bounds = _mm512_set1_ps(bound);
    let (words, rest) = values.as_chunks::<64>();
    for (at, word) in words.iter().enumerate() {
        let mut mask = 0_u64;
        for (part, quarter) in word.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: `quarter` is 16 values.
            let quarter = unsafe { _mm512_loadu_ps(quarter.as_ptr()) };
            let found = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(quarter, bounds);
            mask |= u64::from(found) << (16 * part);
        }
        while mask != 0 {
            let i = mask.trailing_zeros() as usize;
            out.push((word[i], (at * 64 + i) as u32));
            mask &= mask - 1;
        }
    }
    values.len() - rest.len()
}

/// Appends every value of at least `bound` with its index, in ascending order of index.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls the AVX-512 form where detected")
)]
fn collect_from(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) {
    #[cfg(target_arch = "x86_64")]
    if super::level::has_avx512() {
        // SAFETY: `has_avx512` has found every feature the function is compiled for.
        let done = unsafe { collect_avx512(values, bound, out) };
        for (i, &value) in values.iter().enumerate().skip(done) {
            if value >= bound {
                out.push((value, i as u32));
            }
        }
        return;
    }
    collect_in_chunks(values, bound, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn selection_equals_a_full_sort() {
        let mut out = Vec::new();
        for n in [1, 5, 101, 512, 513, 1024, 2100] {
            for k in [1, 3, 32, 128, 200] {
                let mut values = reference::values(n, (n * k) as u64);
                // Ties, zeros and minus infinity (the padding) in every row.
                for i in (0..n).step_by(7) {
                    values[i] = [0.5, 0.0, f32::NEG_INFINITY][i % 3];
                }
                highest(&values, k, &mut out);
                assert_eq!(out, reference::highest(&values, k), "n {n}, k {k}");
            }
        }
    }

    #[test]
    fn masks_and_chunks_collect_the_same() {
        for n in [0, 15, 63, 64, 65, 200] {
            let mut values = reference::values(n, 8);
            if n > 3 {
                values[3] = f32::NAN;
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            collect_from(&values, 0.2, &mut a);
            collect_in_chunks(&values, 0.2, &mut b);
            assert_eq!(a, b, "{n} values");
        }
    }

    #[test]
    fn threshold_is_strict() {
        let mut out = Vec::new();
        above_threshold(&[0.5, 0.25, 0.75, -1.0], 0.5, &mut out);
        assert_eq!(out, [(0.75, 2)]);
        above_threshold(&[0.5, 0.0, -1.0], 0.0, &mut out);
        assert_eq!(out, [(0.5, 0)]);
    }
}
