//! Decoding of stored weights, and inner products with rows that stay coded.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use super::dispatch::dispatch;
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

/// Inner product of `x` with each coded row in `bytes`, one per entry of `y`.
///
/// # Shapes
/// - `bytes`: `[y.len(), x.len()]` in `coding`
pub(crate) fn dot_rows(coding: Coding, bytes: &[u8], x: &[f32], y: &mut [f32]) {
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

    #[test]
    fn every_finite_f16_is_exact() {
        for bits in 0..=u16::MAX {
            let exact = f16::from_bits(bits).to_f32();
            if exact.is_finite() {
                assert_eq!(from_f16(bits).to_bits(), exact.to_bits());
            }
        }
    }
}
