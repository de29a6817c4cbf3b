//! A weight matrix kept as it is coded on disk, decoded tile by tile while it is multiplied.
//!
//! f32 products of an f32 input with the decoded weights: a coding changes how much memory a
//! matrix takes and how fast it is read, never the arithmetic.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;

use crate::kernels::coded::{decode, dot_rows};
use crate::kernels::gang::{Parts, in_parts};

pub(crate) use crate::kernels::coded::FEW;
use crate::kernels::matmul::{View, product, product_by_tiles};

/// How the values of a matrix are coded. Blocks of ggml hold 32 values of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// 4 bytes a value.
    F32,
    /// 2 bytes a value.
    F16,
    /// 2 bytes a value.
    Bf16,
    /// ggml's `Q8_0`: an f16 scale and 32 signed bytes; `w = d q`.
    Q8_0,
    /// ggml's `Q4_0`: an f16 scale and 16 bytes; `w = d (q − 8)`.
    Q4_0,
    /// ggml's `Q4_1`: f16 scale and minimum and 16 bytes; `w = d q + m`. Byte i holds value i in
    /// its low half and value i + 16 in its high half.
    Q4_1,
}

/// Values in a block of the quantised codings.
pub const BLOCK: usize = 32;

impl Coding {
    /// The coding that safetensors calls `dtype`.
    pub fn of_safetensors(dtype: &str) -> Option<Self> {
        match dtype {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            _ => None,
        }
    }

    /// Bytes of a block, and values in it.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (4, 1),
            Self::F16 | Self::Bf16 => (2, 1),
            Self::Q8_0 => (34, BLOCK),
            Self::Q4_0 => (18, BLOCK),
            Self::Q4_1 => (20, BLOCK),
        }
    }

    /// Bytes that `n_values` of a row take; `n_values` is a whole number of blocks.
    pub fn bytes_of(self, n_values: usize) -> usize {
        let (bytes, values) = self.block();
        n_values / values * bytes
    }

    /// Name for the user.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
        }
    }
}

/// Where the bytes are.
#[derive(Debug, Clone)]
enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>, Range<usize>),
}

/// A matrix `[rows, columns]` with contiguous rows.
#[derive(Debug, Clone)]
pub struct CodedMatrix {
    coding: Coding,
    rows: usize,
    columns: usize,
    bytes: Bytes,
}

/// Values of the matrix that one task of the gradient decodes: f32 scratch of half a megabyte.
const TILE_VALUES: usize = 1 << 17;
/// Rows of the matrix that one task decodes and multiplies with many rows: a whole number of the
/// 64 that gemm's inner loop handles at once. Wide matrices have enough tasks of twice as many.
const TILE: usize = 64;
/// Rows from which a matrix is wide.
const NARROW: usize = 768;
/// Weights of one task where each output is an inner product with a coded row: about 10 µs.
const FEW_VALUES: usize = 1 << 16;

impl CodedMatrix {
    /// A matrix in memory.
    ///
    /// # Panics
    /// When the bytes do not have the length that coding and shape ask for.
    pub fn owned(coding: Coding, [rows, columns]: [usize; 2], bytes: Vec<u8>) -> Self {
        assert_eq!(bytes.len(), rows * coding.bytes_of(columns));
        Self {
            coding,
            rows,
            columns,
            bytes: Bytes::Owned(Arc::new(bytes)),
        }
    }

    /// f32 values, row-major.
    pub fn from_f32(shape: [usize; 2], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Self::owned(Coding::F32, shape, bytes.collect())
    }

    /// A matrix that lies in a mapped file.
    ///
    /// # Panics
    /// When the range does not have the length that coding and shape ask for.
    pub fn mapped(
        coding: Coding,
        [rows, columns]: [usize; 2],
        map: Arc<Mmap>,
        range: Range<usize>,
    ) -> Self {
        assert_eq!(range.len(), rows * coding.bytes_of(columns));
        Self {
            coding,
            rows,
            columns,
            bytes: Bytes::Mapped(map, range),
        }
    }

    /// How its values are coded.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The coded bytes, row by row.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map, range) => &map[range.clone()],
        }
    }

    /// Gives the memory of a mapped matrix back to the system, which reads the file again when the
    /// values are next asked for. Does nothing to values in memory, and nothing off Unix.
    pub(crate) fn forget_pages(&self) {
        #[cfg(unix)]
        if let Bytes::Mapped(map, range) = &self.bytes {
            #[expect(
                unsafe_code,
                reason = "for writable maps this would lose what was written"
            )]
            // SAFETY: the map is of a file and read-only, so its pages are those of the file
            // before and after.
            let forgotten = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
            // Only advice: where the system does not take it, more memory is used.
            forgotten.ok();
        }
    }

    fn row_bytes(&self) -> usize {
        self.coding.bytes_of(self.columns)
    }

    /// Bytes of the rows from `first` on.
    fn rows_at(&self, first: usize, n: usize) -> &[u8] {
        let width = self.row_bytes();
        &self.bytes()[first * width..(first + n) * width]
    }

    /// Decodes row `at` into `out`, `columns` values.
    pub(crate) fn decode_row(&self, at: usize, out: &mut [f32]) {
        decode(self.coding, self.rows_at(at, 1), out);
    }

    /// All values, row-major.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        decode(self.coding, self.bytes(), &mut values);
        values
    }

    /// Whether every value is a finite number.
    pub fn is_finite(&self) -> bool {
        let width = self.row_bytes();
        self.bytes()
            .par_chunks(width.max(1))
            .with_min_len(64)
            .all(|row| match self.coding {
                // An exponent of ones is infinity or no number.
                Coding::F32 => row
                    .chunks_exact(4)
                    .all(|b| u16::from_le_bytes([b[2], b[3]]) & 0x7f80 != 0x7f80),
                Coding::Bf16 => row
                    .chunks_exact(2)
                    .all(|b| u16::from_le_bytes([b[0], b[1]]) & 0x7f80 != 0x7f80),
                Coding::F16 => row
                    .chunks_exact(2)
                    .all(|b| u16::from_le_bytes([b[0], b[1]]) & 0x7c00 != 0x7c00),
                Coding::Q8_0 | Coding::Q4_0 => row
                    .chunks_exact(self.coding.block().0)
                    .all(|b| u16::from_le_bytes([b[0], b[1]]) & 0x7c00 != 0x7c00),
                Coding::Q4_1 => row.chunks_exact(20).all(|b| {
                    u16::from_le_bytes([b[0], b[1]]) & 0x7c00 != 0x7c00
                        && u16::from_le_bytes([b[2], b[3]]) & 0x7c00 != 0x7c00
                }),
            })
    }

    /// The same matrix with its rows in another order: row i of the result is row `order(i)`.
    pub(crate) fn reordered(&self, order: impl Fn(usize) -> usize) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes().len());
        for row in 0..self.rows {
            bytes.extend_from_slice(self.rows_at(order(row), 1));
        }
        Self::owned(self.coding, self.shape(), bytes)
    }

    /// The same matrix in another coding; blocks are rounded to the nearest step.
    ///
    /// # Errors
    /// `None` when a row is no whole number of blocks.
    pub fn recoded(&self, coding: Coding) -> Option<Self> {
        if coding == self.coding {
            return Some(self.clone());
        }
        if !self.columns.is_multiple_of(coding.block().1) {
            return None;
        }
        let width = coding.bytes_of(self.columns);
        let mut bytes = vec![0; self.rows * width];
        bytes
            .par_chunks_mut(width.max(1))
            .enumerate()
            .with_min_len(16)
            .for_each_init(
                || vec![0.0; self.columns],
                |row, (at, out)| {
                    self.decode_row(at, row);
                    encode(coding, row, out);
                },
            );
        Some(Self::owned(coding, self.shape(), bytes))
    }

    /// `y = x Wᵀ`; for few rows, [`multiply_few`] is quicker.
    ///
    /// # Shapes
    /// - `x`: `[n, columns]`; returns `[n, rows]`
    ///
    /// # Determinism
    /// Independent of the number of threads.
    pub(crate) fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.columns.max(1);
        if n == 0 || self.columns == 0 || self.rows == 0 {
            return vec![0.0; n * self.rows];
        }
        let tile = if self.rows > NARROW { 2 * TILE } else { TILE };
        product_by_tiles(View::of(x, self.columns), self.rows, tile, |first, out| {
            let bytes = self.rows_at(first, out.len() / self.columns);
            decode(self.coding, bytes, out);
        })
    }

    /// `x = y W`: the gradient of [`CodedMatrix::multiply`].
    ///
    /// # Shapes
    /// - `y`: `[n, rows]`; returns `[n, columns]`
    pub(crate) fn multiply_transposed(&self, y: &[f32]) -> Vec<f32> {
        let n = y.len() / self.rows.max(1);
        let per_task = n.div_ceil(8).max(16);
        let tile = (TILE_VALUES / self.columns.max(1)).clamp(16, 512);
        let mut x = vec![0.0; n * self.columns];
        x.par_chunks_mut(per_task * self.columns)
            .zip(y.par_chunks(per_task * self.rows))
            .for_each_init(Vec::new, |scratch, (x, y)| {
                let n = y.len() / self.rows;
                for first in (0..self.rows).step_by(tile) {
                    let n_rows = tile.min(self.rows - first);
                    scratch.resize(n_rows * self.columns, 0.0);
                    decode(self.coding, self.rows_at(first, n_rows), scratch);
                    let y = View::new(&y[first..], n, n_rows, self.rows);
                    let weights = View::of(scratch, self.columns);
                    product(x, self.columns, (y, weights), 1.0, first > 0);
                }
            });
        x
    }
}

/// Products of few rows with several matrices, in parts of whole rows of a matrix.
struct FewRows {
    matrices: Vec<Arc<CodedMatrix>>,
    x: Vec<f32>,
    n: usize,
    /// Matrix, first row and number of rows of each part.
    parts: Vec<(usize, usize, usize)>,
}

impl Parts for FewRows {
    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn part(&self, at: usize) -> Vec<f32> {
        let (matrix, first, n_rows) = self.parts[at];
        let matrix = &self.matrices[matrix];
        let mut y = vec![0.0; n_rows * self.n];
        let bytes = matrix.rows_at(first, n_rows);
        dot_rows(matrix.coding, bytes, (&self.x, self.n), &mut y);
        y
    }
}

/// `y = x Wᵀ` of several matrices of as many columns, side by side: `[n, sum of their rows]`, in
/// one pass over the coded weights.
///
/// # Shapes
/// - `x`: `[n, columns]`, `n` in `1..=FEW`
pub(crate) fn multiply_few(matrices: &[Arc<CodedMatrix>], x: &[f32], n: usize) -> Vec<f32> {
    let mut parts = Vec::new();
    for (i, matrix) in matrices.iter().enumerate() {
        let tile = (FEW_VALUES / matrix.columns.max(1)).max(8);
        let tiles = (0..matrix.rows).step_by(tile);
        parts.extend(tiles.map(|first| (i, first, tile.min(matrix.rows - first))));
    }
    let turned = in_parts(FewRows {
        matrices: matrices.to_vec(),
        x: x.to_vec(),
        n,
        parts,
    });
    if n == 1 {
        return turned.concat();
    }
    let rows: usize = matrices.iter().map(|matrix| matrix.rows).sum();
    let mut y = vec![0.0; n * rows];
    for (row, values) in turned.iter().flat_map(|y| y.chunks_exact(n)).enumerate() {
        for (i, value) in values.iter().enumerate() {
            y[i * rows + row] = *value;
        }
    }
    y
}

/// Codes one row.
fn encode(coding: Coding, row: &[f32], out: &mut [u8]) {
    let (n_bytes, n_values) = coding.block();
    for (block, out) in row
        .chunks_exact(n_values)
        .zip(out.chunks_exact_mut(n_bytes))
    {
        match coding {
            Coding::F32 => out.copy_from_slice(&block[0].to_le_bytes()),
            Coding::F16 => out.copy_from_slice(&f16::from_f32(block[0]).to_le_bytes()),
            Coding::Bf16 => out.copy_from_slice(&bf16::from_f32(block[0]).to_le_bytes()),
            Coding::Q8_0 => encode_q8_0(block, out),
            Coding::Q4_0 => encode_q4_0(block, out),
            Coding::Q4_1 => encode_q4_1(block, out),
        }
    }
}

fn encode_q8_0(block: &[f32], out: &mut [u8]) {
    let most = block
        .iter()
        .fold(0_f32, |most, value| most.max(value.abs()));
    let scale = f16::from_f32(most / 127.0);
    let inverse = inverse(scale.to_f32());
    out[..2].copy_from_slice(&scale.to_le_bytes());
    for (out, value) in out[2..].iter_mut().zip(block) {
        *out = ((value * inverse).round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    }
}

fn encode_q4_0(block: &[f32], out: &mut [u8]) {
    let most = block.iter().fold(0_f32, |most, &value| {
        if value.abs() > most.abs() {
            value
        } else {
            most
        }
    });
    let scale = f16::from_f32(most / -8.0);
    let inverse = inverse(scale.to_f32());
    out[..2].copy_from_slice(&scale.to_le_bytes());
    let step = |value: f32| (value * inverse + 8.5).clamp(0.0, 15.0) as u8;
    for (i, out) in out[2..].iter_mut().enumerate() {
        *out = step(block[i]) | step(block[i + BLOCK / 2]) << 4;
    }
}

fn encode_q4_1(block: &[f32], out: &mut [u8]) {
    let low = block.iter().copied().fold(f32::INFINITY, f32::min);
    let high = block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (scale, least) = (f16::from_f32((high - low) / 15.0), f16::from_f32(low));
    let inverse = inverse(scale.to_f32());
    out[..2].copy_from_slice(&scale.to_le_bytes());
    out[2..4].copy_from_slice(&least.to_le_bytes());
    let step = |value: f32| ((value - least.to_f32()) * inverse + 0.5).clamp(0.0, 15.0) as u8;
    for (i, out) in out[4..].iter_mut().enumerate() {
        *out = step(block[i]) | step(block[i + BLOCK / 2]) << 4;
    }
}

/// 1 / x, 0 for 0.
fn inverse(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { 1.0 / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin() * 0.1).collect()
    }

    const ALL: [(Coding, f32); 6] = [
        (Coding::F32, 0.0),
        (Coding::F16, 1e-4),
        (Coding::Bf16, 5e-4),
        (Coding::Q8_0, 5e-4),
        (Coding::Q4_0, 1.3e-2),
        (Coding::Q4_1, 8e-3),
    ];

    #[test]
    fn recoding_rounds_to_the_nearest_step() {
        let (rows, columns) = (5, 64);
        let values = wave(rows * columns);
        let exact = CodedMatrix::from_f32([rows, columns], &values);
        for (coding, step) in ALL {
            let coded = exact.recoded(coding).unwrap();
            for (a, b) in coded.to_f32().iter().zip(&values) {
                assert!((a - b).abs() <= step, "{}: {a} {b}", coding.name());
            }
            assert!(coded.is_finite());
        }
        assert!(
            CodedMatrix::from_f32([1, 33], &wave(33))
                .recoded(Coding::Q4_1)
                .is_none()
        );
    }

    #[test]
    fn products_equal_those_of_the_decoded_matrix() {
        let (rows, columns) = (37, 96);
        let exact = CodedMatrix::from_f32([rows, columns], &wave(rows * columns));
        for (coding, _) in ALL {
            let coded = exact.recoded(coding).unwrap();
            let weights = coded.to_f32();
            for n in [1, 3, 9] {
                let x: Vec<f32> = wave(n * columns).iter().map(|v| v * 10.0).collect();
                let y = match n {
                    9 => coded.multiply(&x),
                    _ => multiply_few(&[Arc::new(coded.clone())], &x, n),
                };
                for (at, value) in y.iter().enumerate() {
                    let (i, j) = (at / rows, at % rows);
                    let plain: f64 = (0..columns)
                        .map(|c| {
                            f64::from(x[i * columns + c]) * f64::from(weights[j * columns + c])
                        })
                        .sum();
                    assert!(
                        (f64::from(*value) - plain).abs() < 1e-5,
                        "{}",
                        coding.name()
                    );
                }
                let back = coded.multiply_transposed(&y);
                for (at, value) in back.iter().enumerate() {
                    let (i, c) = (at / columns, at % columns);
                    let plain: f64 = (0..rows)
                        .map(|j| f64::from(y[i * rows + j]) * f64::from(weights[j * columns + c]))
                        .sum();
                    assert!(
                        (f64::from(*value) - plain).abs() < 1e-5,
                        "{}",
                        coding.name()
                    );
                }
            }
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_found() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = wave(64);
            values[40] = bad;
            let matrix = CodedMatrix::from_f32([2, 32], &values);
            assert!(!matrix.is_finite());
            for coding in [Coding::F16, Coding::Bf16] {
                assert!(!matrix.recoded(coding).unwrap().is_finite());
            }
        }
    }
}
