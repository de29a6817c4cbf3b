//! ggml's codings that no product here reads, turned into one that is when they are loaded.
//!
//! `Q4_K` has blocks of 32 values with a step and a minimum as `Q4_1` has, only that these are
//! products of two numbers each; rounded to f16 they move a weight by at most a hundredth of a
//! step. All other codings become f16.

use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use candle_core::{Device, Result};
use half::f16;
use rayon::prelude::*;

use super::coded::{BLOCK, CodedMatrix, Coding};

/// Values of a matrix that one task decodes to f32.
const TASK_VALUES: usize = 1 << 18;
/// Bytes of a block of `Q4_K`: scale and minimum of the whole, 12 bytes for those of its 8 parts,
/// 128 for the values.
const Q4_K_BYTES: usize = 144;

/// What a matrix with rows of `columns` values, stored as `dtype`, is kept as in memory.
pub(crate) fn kept_as(dtype: GgmlDType, columns: usize) -> Coding {
    let coding = match dtype {
        GgmlDType::F32 => Coding::F32,
        GgmlDType::BF16 => Coding::Bf16,
        GgmlDType::Q8_0 => Coding::Q8_0,
        GgmlDType::Q4_0 => Coding::Q4_0,
        GgmlDType::Q4_1 | GgmlDType::Q4K => Coding::Q4_1,
        // F16 itself, and all that has no kernel.
        _ => Coding::F16,
    };
    if columns.is_multiple_of(coding.block().1) {
        coding
    } else {
        Coding::F32
    }
}

/// A matrix of which `raw` has the bytes in `dtype`, kept as [`kept_as`] says.
///
/// # Errors
/// When the bytes do not have the length that `dtype` and `shape` ask for.
pub(crate) fn from_ggml(dtype: GgmlDType, shape: [usize; 2], raw: Vec<u8>) -> Result<CodedMatrix> {
    let [rows, columns] = shape;
    let coding = kept_as(dtype, columns);
    let blocks = rows * columns / dtype.block_size().max(1);
    if raw.len() != blocks * dtype.type_size() {
        candle_core::bail!("{} bytes of {dtype:?} for {shape:?}", raw.len());
    }
    let bytes = match (dtype, coding) {
        (GgmlDType::Q4K, Coding::Q4_1) => raw.par_chunks(Q4_K_BYTES).flat_map_iter(parts).collect(),
        (GgmlDType::F32, Coding::F32)
        | (GgmlDType::F16, Coding::F16)
        | (GgmlDType::BF16, Coding::Bf16)
        | (GgmlDType::Q8_0, Coding::Q8_0)
        | (GgmlDType::Q4_0, Coding::Q4_0)
        | (GgmlDType::Q4_1, Coding::Q4_1) => raw,
        _ => decoded(dtype, [rows, columns], coding, &raw)?,
    };
    Ok(CodedMatrix::owned(coding, shape, bytes))
}

/// The values as f32 or f16, some rows at a time.
fn decoded(
    dtype: GgmlDType,
    [rows, columns]: [usize; 2],
    coding: Coding,
    raw: &[u8],
) -> Result<Vec<u8>> {
    let at_once = (TASK_VALUES / columns.max(1)).max(1);
    let row_bytes = raw.len() / rows.max(1);
    let parts = raw
        .par_chunks((at_once * row_bytes).max(1))
        .map(|raw| {
            let shape = vec![raw.len() / row_bytes, columns];
            let values = qtensor_from_ggml(dtype, raw, shape, &Device::Cpu)?
                .dequantize(&Device::Cpu)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            Ok(match coding {
                Coding::F16 => bytes_of(&values, |value| f16::from_f32(value).to_le_bytes()),
                _ => bytes_of(&values, f32::to_le_bytes),
            })
        })
        .collect::<Result<Vec<Vec<u8>>>>()?;
    Ok(parts.concat())
}

fn bytes_of<const N: usize>(values: &[f32], code: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| code(value)).collect()
}

/// The 8 blocks of `Q4_1` that one of `Q4_K` makes.
///
/// # Source
/// `ggml`, `ggml-quants.c`: `get_scale_min_k4`, `dequantize_row_q4_K`.
fn parts(block: &[u8]) -> Vec<u8> {
    let half_at = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (scale, least) = (half_at(0), half_at(2));
    let (packed, values) = (&block[4..16], &block[16..]);
    let mut out = Vec::with_capacity(8 * Coding::Q4_1.block().0);
    for part in 0..8 {
        // Six bits each; the upper two of the last four lie above those of the first.
        let (step, low) = if part < 4 {
            (packed[part] & 63, packed[part + 4] & 63)
        } else {
            let (both, upper) = (packed[part + 4], [packed[part - 4], packed[part]]);
            (
                both & 15 | upper[0] >> 6 << 4,
                both >> 4 | upper[1] >> 6 << 4,
            )
        };
        out.extend(f16::from_f32(scale * f32::from(step)).to_le_bytes());
        out.extend(f16::from_f32(-least * f32::from(low)).to_le_bytes());
        // Two parts share 32 bytes: the first has the lower halves.
        let shared = &values[part / 2 * BLOCK..][..BLOCK];
        let value = |i: usize| shared[i] >> (4 * (part % 2)) & 15;
        out.extend((0..BLOCK / 2).map(|i| value(i) | value(i + BLOCK / 2) << 4));
    }
    out
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use candle_core::quantized::QTensor;

    use super::*;

    const SHAPE: [usize; 2] = [70, 512];

    /// Bytes of a matrix in `dtype`, and what they stand for.
    fn stored(dtype: GgmlDType) -> (Vec<u8>, Vec<f32>) {
        let values: Vec<f32> = (0..SHAPE[0] * SHAPE[1])
            .map(|i| (i as f32 * 0.37).sin() * (1.0 + (i / 32 % 7) as f32) * 0.02 + 0.003)
            .collect();
        let values = Tensor::from_vec(values, (SHAPE[0], SHAPE[1]), &Device::Cpu).unwrap();
        let coded = QTensor::quantize(&values, dtype).unwrap();
        let exact = coded.dequantize(&Device::Cpu).unwrap();
        let exact = exact.flatten_all().unwrap().to_vec1().unwrap();
        (coded.data().unwrap().into_owned(), exact)
    }

    #[test]
    fn blocks_of_256_keep_their_values() {
        for (dtype, coding) in [
            (GgmlDType::Q4K, Coding::Q4_1),
            (GgmlDType::Q5K, Coding::F16),
            (GgmlDType::Q6K, Coding::F16),
            (GgmlDType::Q5_0, Coding::F16),
        ] {
            let (raw, exact) = stored(dtype);
            let matrix = from_ggml(dtype, SHAPE, raw).unwrap();
            assert_eq!(matrix.coding(), coding);
            for (block, (ours, theirs)) in matrix
                .to_f32()
                .chunks_exact(BLOCK)
                .zip(exact.chunks_exact(BLOCK))
                .enumerate()
            {
                let high = theirs.iter().copied().fold(f32::MIN, f32::max);
                let low = theirs.iter().copied().fold(f32::MAX, f32::min);
                let step = (high - low) / 15.0;
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() <= 0.01 * step, "{dtype:?} {block}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn rows_that_are_no_whole_blocks_become_f32_and_short_bytes_are_refused() {
        assert_eq!(kept_as(GgmlDType::Q4_1, 48), Coding::F32);
        assert_eq!(kept_as(GgmlDType::Q6K, 512), Coding::F16);
        let (raw, _) = stored(GgmlDType::Q4K);
        assert!(from_ggml(GgmlDType::Q4K, [70, 256], raw).is_err());
    }
}
