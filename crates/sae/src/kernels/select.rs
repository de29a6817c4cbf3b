//! Which features of a row are active: the k highest, or all above a threshold.

use super::level::multiversion;

/// Lanes over which maxima are taken; bounds the `k` for which the quick path works.
const LANES: usize = 128;
/// Values tested at once.
const CHUNK: usize = 16;
/// The smallest activation that is stored.
const SMALLEST: f32 = f32::from_bits(1);

/// Keeps the `k` highest of the candidates (ties to the lower index) and sorts them by index.
pub(crate) fn keep_highest(candidates: &mut Vec<(f32, u32)>, k: usize) {
    if candidates.len() > k {
        if k == 0 {
            candidates.clear();
        } else {
            candidates
                .select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            candidates.truncate(k);
        }
    }
    candidates.sort_unstable_by_key(|&(_, index)| index);
}

/// The `k` highest values of a row whatever their sign, ties to the lower index, in ascending
/// order of index.
pub(crate) fn highest_of_any_sign(values: &[f32], k: usize, out: &mut Vec<(f32, u32)>) {
    out.clear();
    out.extend(values.iter().copied().zip(0..));
    keep_highest(out, k);
}

/// The highest value of each group of `size` values, 0 where none is above it, ties to the lower
/// index, in ascending order of index.
pub(crate) fn group_maxima(values: &[f32], size: usize, out: &mut Vec<(f32, u32)>) {
    out.clear();
    for (group, values) in values.chunks_exact(size).enumerate() {
        let mut highest = (0.0, 0);
        for (at, &value) in values.iter().enumerate() {
            if value > highest.0 {
                highest = (value, at);
            }
        }
        out.push((highest.0, (group * size + highest.1) as u32));
    }
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
    /// Appends every value of at least `bound` with its index.
    fn collect_from(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) {
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
    fn threshold_is_strict() {
        let mut out = Vec::new();
        above_threshold(&[0.5, 0.25, 0.75, -1.0], 0.5, &mut out);
        assert_eq!(out, [(0.75, 2)]);
        above_threshold(&[0.5, 0.0, -1.0], 0.0, &mut out);
        assert_eq!(out, [(0.5, 0)]);
    }
}
