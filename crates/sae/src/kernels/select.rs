//! Which features of a row are active: the k highest, or all above a threshold.

use std::cell::{Cell, RefCell};

use super::level::multiversion;

/// Lanes over which maxima are taken; bounds the `k` for which the quick path works.
const LANES: usize = 128;
/// Values tested at once.
const CHUNK: usize = 16;
/// The smallest activation that is stored.
const SMALLEST: f32 = f32::from_bits(1);

/// Keeps the `k` highest of candidates in ascending order of index, in that order; ties to the
/// lower index.
pub(crate) fn keep_highest(candidates: &mut Vec<(f32, u32)>, k: usize) {
    if candidates.len() <= k {
        return;
    }
    if k == 0 {
        candidates.clear();
        return;
    }
    ORDERED.with_borrow_mut(|ordered| {
        ordered.clear();
        ordered.extend(candidates.iter().map(|&(value, _)| order_of(value)));
        let at = ordered.len() - k;
        let lowest = *ordered.select_nth_unstable(at).1;
        // Of those equal to the lowest only the first may stay.
        let above = ordered[at + 1..].iter().filter(|&&v| v > lowest).count();
        let mut ties = k - above;
        candidates.retain(|&(value, _)| {
            let order = order_of(value);
            order > lowest
                || (order == lowest && {
                    let stays = ties > 0;
                    ties = ties.saturating_sub(1);
                    stays
                })
        });
    });
}

thread_local! {
    /// Working memory of [`keep_highest`].
    static ORDERED: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
    /// The shape of the last row, and the k-th highest value in it.
    static LAST: Cell<(usize, usize, f32)> = const { Cell::new((0, 0, 0.0)) };
    /// Indices found by [`collect_from`].
    static FOUND: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// A whole number in the order of the floats (as `f32::total_cmp` has it).
fn order_of(value: f32) -> i32 {
    let bits = value.to_bits().cast_signed();
    bits ^ (((bits >> 31).cast_unsigned() >> 1).cast_signed())
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
    out.clear();
    // Rows of a batch are alike: a little below the k-th highest of the one before, there are
    // mostly k and not many more. Whatever the guess, the outcome is the same.
    let (n, of, kth) = LAST.get();
    let guess = kth * 0.85;
    if n == values.len() && of == k && guess > 0.0 {
        collect_from(values, guess, out);
    }
    if out.len() < k {
        out.clear();
        collect_from(values, bound(values, k), out);
    }
    keep_highest(out, k);
    let lowest = out.iter().map(|&(value, _)| value).reduce(f32::min);
    if let Some(lowest) = lowest
        && out.len() == k
    {
        LAST.set((values.len(), k, lowest));
    }
}

/// A value that at least `k` values above 0 of the row reach, if there are so many.
fn bound(values: &[f32], k: usize) -> f32 {
    if !(1..=LANES).contains(&k) || values.len() < 4 * LANES {
        return SMALLEST;
    }
    let mut maxima = [f32::NEG_INFINITY; LANES];
    lane_maxima(values, &mut maxima);
    // At least k lanes reach the k-th highest lane maximum, so at least k values do.
    maxima.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    maxima[k - 1].max(SMALLEST)
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

/// Appends every value of at least `bound` with its index.
fn collect_from(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) {
    #[cfg(target_arch = "x86_64")]
    if super::level::has_avx512() {
        FOUND.with_borrow_mut(|found| {
            found.resize(values.len() + CHUNK, 0);
            #[expect(unsafe_code, reason = "calls the AVX-512 form where detected")]
            // SAFETY: `has_avx512` has found every feature the function is compiled for.
            let n = unsafe { indices_from_avx512(values, bound, found) };
            out.extend(found[..n].iter().map(|&at| (values[at as usize], at)));
        });
        return;
    }
    collect_from_portable(values, bound, out);
}

/// Writes the indices of every value of at least `bound` to the front of `found`, which is longer
/// than `values` by a register; returns how many there are.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "unaligned vector loads and stores within checked slices"
)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
fn indices_from_avx512(values: &[f32], bound: f32, found: &mut [u32]) -> usize {
    use std::arch::x86_64::{
        _CMP_GE_OQ, _mm512_add_epi32, _mm512_cmp_ps_mask, _mm512_loadu_ps,
        _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
        _mm512_storeu_si512,
    };
    assert!(
        found.len() >= values.len() + CHUNK,
        "no room for the indices"
    );
    let bounds = _mm512_set1_ps(bound);
    let step = _mm512_set1_epi32(16);
    let mut places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let (chunks, rest) = values.as_chunks::<CHUNK>();
    let mut n = 0;
    for chunk in chunks {
        // SAFETY: `chunk` is 16 values; at most as many indices were written before as values
        // were read, so 16 more have room, checked above.
        unsafe {
            // Without a branch: which registers hold a candidate cannot be foreseen.
            let mask = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_loadu_ps(chunk.as_ptr()), bounds);
            let kept = _mm512_maskz_compress_epi32(mask, places);
            _mm512_storeu_si512(found.as_mut_ptr().add(n).cast(), kept);
            n += mask.count_ones() as usize;
        }
        places = _mm512_add_epi32(places, step);
    }
    let first = values.len() - rest.len();
    for (i, &value) in rest.iter().enumerate() {
        if value >= bound {
            found[n] = (first + i) as u32;
            n += 1;
        }
    }
    n
}

multiversion! {
    /// The same where AVX-512 is absent.
    fn collect_from_portable(values: &[f32], bound: f32, out: &mut Vec<(f32, u32)>) {
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
    fn vectors_find_what_the_loop_finds() {
        for n in [0, 1, 15, 16, 17, 100, 512] {
            let mut values = reference::values(n, n as u64);
            if n > 3 {
                values[3] = f32::NEG_INFINITY;
                values[n - 1] = 0.25;
            }
            for bound in [f32::MIN_POSITIVE, 0.25, 2.0] {
                let (mut found, mut plain) = (Vec::new(), Vec::new());
                collect_from(&values, bound, &mut found);
                collect_from_portable(&values, bound, &mut plain);
                assert_eq!(found, plain, "n {n}, bound {bound}");
            }
        }
    }

    #[test]
    fn floats_of_any_sign_keep_their_order() {
        let ascending = [
            f32::NEG_INFINITY,
            -2.0,
            -0.0,
            0.0,
            1e-40,
            1.0,
            f32::INFINITY,
        ];
        let mut orders = ascending.map(order_of).to_vec();
        assert!(orders.is_sorted());
        orders.dedup();
        assert_eq!(orders.len(), ascending.len());
        let mut row = vec![(-1.0, 0), (-3.0, 1), (-1.0, 2), (-2.0, 3)];
        keep_highest(&mut row, 2);
        assert_eq!(row, [(-1.0, 0), (-1.0, 2)]);
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
