//! Decoding of stored weights, and inner products with rows that stay coded.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use super::dispatch::dispatch;
#[cfg(target_arch = "x86_64")]
use super::wide;
use crate::weights::Coding;

/// Lanes of the partial sums; fixed, so that results do not depend on the machine's width.
const LANES: usize = 16;

/// The value of an f16, by its bits: exact for all finite ones.
#[inline(always)]
fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    // Exponent and fraction in f32's place, 112 below the right exponent.
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(magnitude.to_bits() | sign)
}

#[inline(always)]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Decodes `bytes` into `out`; the lengths fit.
pub(crate) fn decode(coding: Coding, bytes: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if out.len().is_multiple_of(wide::WEIGHTS)
        && let Some(simd) = pulp::x86::V4::try_new()
    {
        wide::decode(simd, coding, bytes, out);
        return;
    }
    decode_plainly(coding, bytes, out);
}

/// [`decode`] for any processor.
fn decode_plainly(coding: Coding, bytes: &[u8], out: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || match coding {
            Coding::F32 => {
                for (out, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                    *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
            }
            Coding::F16 => {
                for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *out = from_f16(u16_at(b, 0));
                }
            }
            Coding::Bf16 => {
                for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *out = f32::from_bits(u32::from(u16_at(b, 0)) << 16);
                }
            }
            Coding::Q8_0 => {
                for (out, b) in out.chunks_exact_mut(32).zip(bytes.chunks_exact(34)) {
                    let d = from_f16(u16_at(b, 0));
                    for (out, q) in out.iter_mut().zip(&b[2..]) {
                        *out = d * f32::from(q.cast_signed());
                    }
                }
            }
            Coding::Q4_0 => {
                for (out, b) in out.chunks_exact_mut(32).zip(bytes.chunks_exact(18)) {
                    let d = from_f16(u16_at(b, 0));
                    decode_halves(out, &b[2..], d, -8.0 * d);
                }
            }
            Coding::Q4_1 => {
                for (out, b) in out.chunks_exact_mut(32).zip(bytes.chunks_exact(20)) {
                    decode_halves(out, &b[4..], from_f16(u16_at(b, 0)), from_f16(u16_at(b, 2)));
                }
            }
        },
    );
}

/// `d q + m` for the 32 half bytes of a block.
#[inline(always)]
fn decode_halves(out: &mut [f32], halves: &[u8], d: f32, m: f32) {
    let (low, high) = out.split_at_mut(16);
    for i in 0..16 {
        low[i] = d * f32::from(halves[i] & 15) + m;
        high[i] = d * f32::from(halves[i] >> 4) + m;
    }
}

/// Input rows that [`dot_rows`] takes at once.
pub(crate) const FEW: usize = 8;

/// Inner products of each coded row in `bytes` with each row of `x`.
///
/// # Shapes
/// - `x`: `[n, columns]`, `n` in `1..=FEW`; `bytes`: `[rows, columns]` in `coding`
/// - `y`: `[rows, n]`
pub(crate) fn dot_rows(coding: Coding, bytes: &[u8], (x, n): (&[f32], usize), y: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if (x.len() / n).is_multiple_of(wide::WEIGHTS)
        && let Some(simd) = pulp::x86::V4::try_new()
    {
        match n {
            1 => dot_wide::<1>(simd, coding, bytes, x, y),
            2 => dot_wide::<2>(simd, coding, bytes, x, y),
            3 => dot_wide::<3>(simd, coding, bytes, x, y),
            4 => dot_wide::<4>(simd, coding, bytes, x, y),
            5 => dot_wide::<5>(simd, coding, bytes, x, y),
            6 => dot_wide::<6>(simd, coding, bytes, x, y),
            7 => dot_wide::<7>(simd, coding, bytes, x, y),
            _ => dot_wide::<FEW>(simd, coding, bytes, x, y),
        }
        return;
    }
    let mut of_one = vec![0.0; y.len() / n];
    for (i, x) in x.chunks_exact(x.len() / n).enumerate() {
        dot_plainly(coding, bytes, x, &mut of_one);
        for (y, value) in y.chunks_exact_mut(n).zip(&of_one) {
            y[i] = *value;
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn dot_wide<const N: usize>(
    simd: pulp::x86::V4,
    coding: Coding,
    bytes: &[u8],
    x: &[f32],
    y: &mut [f32],
) {
    let columns = x.len() / N;
    let rows = std::array::from_fn(|i| &x[i * columns..(i + 1) * columns]);
    wide::dot_rows::<N>(simd, coding, bytes, rows, y.as_chunks_mut().0);
}

/// [`dot_rows`] of one row for any processor.
fn dot_plainly(coding: Coding, bytes: &[u8], x: &[f32], y: &mut [f32]) {
    let width = coding.bytes_of(x.len());
    // Of each block of 32 of the input: its sum, which a constant of a block is multiplied with.
    let sums: Vec<f32> = match coding {
        Coding::Q4_0 | Coding::Q4_1 => x.chunks_exact(32).map(|x| x.iter().sum()).collect(),
        _ => Vec::new(),
    };
    dispatch(
        #[inline(always)]
        || {
            for (y, row) in y.iter_mut().zip(bytes.chunks_exact(width)) {
                let mut lanes = [0_f32; LANES];
                let mut rest = 0.0;
                match coding {
                    Coding::F32 | Coding::F16 | Coding::Bf16 => {
                        rest = dot_floats(coding, row, x, &mut lanes);
                    }
                    Coding::Q8_0 => {
                        for (x, b) in x.chunks_exact(32).zip(row.chunks_exact(34)) {
                            let d = from_f16(u16_at(b, 0));
                            for i in 0..16 {
                                let low = f32::from(b[2 + i].cast_signed()) * x[i];
                                let high = f32::from(b[18 + i].cast_signed()) * x[16 + i];
                                lanes[i] += d * (low + high);
                            }
                        }
                    }
                    Coding::Q4_0 => {
                        for ((x, b), sum) in x.chunks_exact(32).zip(row.chunks_exact(18)).zip(&sums)
                        {
                            let d = from_f16(u16_at(b, 0));
                            dot_halves(&b[2..], x, d, &mut lanes);
                            rest -= 8.0 * d * sum;
                        }
                    }
                    Coding::Q4_1 => {
                        for ((x, b), sum) in x.chunks_exact(32).zip(row.chunks_exact(20)).zip(&sums)
                        {
                            dot_halves(&b[4..], x, from_f16(u16_at(b, 0)), &mut lanes);
                            rest += from_f16(u16_at(b, 2)) * sum;
                        }
                    }
                }
                *y = lanes.iter().sum::<f32>() + rest;
            }
        },
    );
}

/// Adds `d Σ q x` of one block to the lanes.
#[inline(always)]
fn dot_halves(halves: &[u8], x: &[f32], d: f32, lanes: &mut [f32; LANES]) {
    for i in 0..16 {
        let low = f32::from(halves[i] & 15) * x[i];
        let high = f32::from(halves[i] >> 4) * x[16 + i];
        lanes[i] += d * (low + high);
    }
}

/// Inner product with a row of floats; returns what does not fill the lanes.
#[inline(always)]
fn dot_floats(coding: Coding, row: &[u8], x: &[f32], lanes: &mut [f32; LANES]) -> f32 {
    let size = coding.block().0;
    let value = |b: &[u8]| match coding {
        Coding::F16 => from_f16(u16_at(b, 0)),
        Coding::Bf16 => f32::from_bits(u32::from(u16_at(b, 0)) << 16),
        _ => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
    };
    let (chunks, blocks) = (x.chunks_exact(LANES), row.chunks_exact(LANES * size));
    let rest = chunks
        .remainder()
        .iter()
        .zip(blocks.remainder().chunks_exact(size))
        .map(|(x, b)| x * value(b))
        .sum();
    for (x, block) in chunks.zip(blocks) {
        for i in 0..LANES {
            lanes[i] += x[i] * value(&block[i * size..(i + 1) * size]);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::weights::CodedMatrix;

    const ALL: [Coding; 6] = [
        Coding::F32,
        Coding::F16,
        Coding::Bf16,
        Coding::Q8_0,
        Coding::Q4_0,
        Coding::Q4_1,
    ];

    fn wave(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin() * 0.1).collect()
    }

    #[test]
    fn every_finite_f16_is_exact() {
        for bits in 0..=u16::MAX {
            let exact = f16::from_bits(bits).to_f32();
            if exact.is_finite() {
                assert_eq!(from_f16(bits).to_bits(), exact.to_bits());
            }
        }
    }

    #[test]
    fn the_best_loop_decodes_the_same_bits_as_the_plain_one() {
        let matrix = CodedMatrix::from_f32([7, 96], &wave(7 * 96));
        for coding in ALL {
            let coded = matrix.recoded(coding).unwrap();
            let (mut best, mut plain) = (vec![0.0; 7 * 96], vec![0.0; 7 * 96]);
            decode(coding, coded.bytes(), &mut best);
            decode_plainly(coding, coded.bytes(), &mut plain);
            assert_eq!(best, plain, "{}", coding.name());
        }
    }

    #[test]
    fn the_best_products_agree_with_the_plain_ones() {
        let (rows, columns) = (5, 96);
        let matrix = CodedMatrix::from_f32([rows, columns], &wave(rows * columns));
        let x = wave(FEW * columns);
        for coding in ALL {
            let coded = matrix.recoded(coding).unwrap();
            for n in 1..=FEW {
                let mut best = vec![0.0; rows * n];
                dot_rows(coding, coded.bytes(), (&x[..n * columns], n), &mut best);
                for (i, x) in x.chunks_exact(columns).take(n).enumerate() {
                    let mut plain = vec![0.0; rows];
                    dot_plainly(coding, coded.bytes(), x, &mut plain);
                    for (row, plain) in plain.iter().enumerate() {
                        let difference = (best[row * n + i] - plain).abs();
                        assert!(difference < 1e-6, "{}: {difference}", coding.name());
                    }
                }
            }
        }
    }
}
