//! The encoder product: pre-activations of a block of rows while they stay in cache.

use rayon::prelude::*;

use super::level::multiversion;

/// Features computed together: two AVX-512 registers.
const PANEL: usize = 32;
/// Rows computed together at most: 14 × 2 registers of sums leave four for operands.
const TILE: usize = 14;

/// Inputs of a feature that are gone through at a time: a panel's share of them and a tile's fit
/// the first-level cache.
const DEPTH: usize = 192;

/// Encoder weights rearranged for the product.
///
/// `panels` holds for every 32 features `[d_model, 32]`; padding features have weight 0 and bias
/// −∞, so they are never active.
#[derive(Debug, Clone)]
pub(crate) struct PackedEncoder {
    d_model: usize,
    n_padded: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

/// Working memory for one block of rows; reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuffer {
    tiles: Vec<f32>,
    /// Pre-activations, `[rows, n_padded]`.
    out: Vec<f32>,
    /// Candidates of one row.
    pub(crate) candidates: Vec<(f32, u32)>,
}

impl PackedEncoder {
    /// Rearranges `w_enc` `[n_features, d_model]` and `b_enc` `[n_features]`.
    pub(crate) fn new(w_enc: &[f32], b_enc: &[f32], d_model: usize) -> Self {
        let n_padded = b_enc.len().next_multiple_of(PANEL);
        let mut packed = Self {
            d_model,
            n_padded,
            panels: vec![0.0; n_padded * d_model],
            bias: vec![f32::NEG_INFINITY; n_padded],
        };
        packed.repack(w_enc, b_enc);
        packed
    }

    /// Takes new weights of the same shape.
    pub(crate) fn repack(&mut self, w_enc: &[f32], b_enc: &[f32]) {
        let d = self.d_model;
        self.bias[..b_enc.len()].copy_from_slice(b_enc);
        self.panels
            .par_chunks_mut(PANEL * d)
            .zip(w_enc.par_chunks(PANEL * d))
            .with_min_len(4)
            .for_each(|(panel, rows)| pack_columns(rows, d, PANEL, panel));
    }

    /// The same for a choice of features, in the given order.
    pub(crate) fn of_features(w_enc: &[f32], b_enc: &[f32], d: usize, features: &[u32]) -> Self {
        let mut rows = Vec::with_capacity(features.len() * d);
        let mut bias = Vec::with_capacity(features.len());
        for &feature in features {
            let feature = feature as usize;
            rows.extend_from_slice(&w_enc[feature * d..(feature + 1) * d]);
            bias.push(b_enc[feature]);
        }
        Self::new(&rows, &bias, d)
    }

    /// Rows per block such that a block's pre-activations stay in the second-level cache.
    pub(crate) fn block_rows(&self) -> usize {
        if self.n_padded <= 6144 {
            4 * TILE
        } else {
            TILE
        }
    }

    /// Pre-activations `x · w_encᵀ + b_enc` of `centred` `[rows, d_model]`, one slice of length
    /// `n_padded` per row, valid until the buffer is used again.
    pub(crate) fn product<'b>(
        &self,
        centred: &[f32],
        buffer: &'b mut BlockBuffer,
    ) -> (std::slice::ChunksExact<'b, f32>, &'b mut Vec<(f32, u32)>) {
        let (d, stride) = (self.d_model, self.n_padded);
        let n_rows = centred.len() / d;
        buffer.tiles.resize(n_rows * d, 0.0);
        buffer.out.resize(n_rows * stride, 0.0);
        let mut pieces = Vec::with_capacity(8);
        let mut first = 0;
        while first < n_rows {
            let size = [TILE, 8, 4, 2, 1]
                .into_iter()
                .find(|&size| size <= n_rows - first)
                .unwrap_or(1);
            let range = first * d..(first + size) * d;
            pack_columns(&centred[range.clone()], d, size, &mut buffer.tiles[range]);
            pieces.push((first, size));
            first += size;
        }
        let panels = self.panels.chunks_exact(PANEL * d);
        for (at, (panel, bias)) in panels.zip(self.bias.chunks_exact(PANEL)).enumerate() {
            // A stretch of the panel stays in the first-level cache for all rows of the block.
            for from in (0..d).step_by(DEPTH) {
                let to = (from + DEPTH).min(d);
                for &(first, size) in &pieces {
                    let tile = Tile {
                        rows: &buffer.tiles[first * d + from * size..first * d + to * size],
                        panel: &panel[from * PANEL..to * PANEL],
                        bias: (from == 0).then_some(bias),
                        stride,
                    };
                    let out = &mut buffer.out[first * stride + at * PANEL..];
                    match size {
                        14 => tile_14(&tile, out),
                        8 => tile_8(&tile, out),
                        4 => tile_4(&tile, out),
                        2 => tile_2(&tile, out),
                        _ => tile_1(&tile, out),
                    }
                }
            }
        }
        (
            buffer.out[..n_rows * stride].chunks_exact(stride),
            &mut buffer.candidates,
        )
    }
}

/// Transposes `rows` `[n, d]` into `[d, width]`; columns from `n` on are left as they are.
fn pack_columns(rows: &[f32], d: usize, width: usize, out: &mut [f32]) {
    for (column, row) in rows.chunks_exact(d).enumerate() {
        for (i, &value) in row.iter().enumerate() {
            out[i * width + column] = value;
        }
    }
}

/// Operands of one tile of the product.
pub(crate) struct Tile<'a> {
    /// `[d_model, R]`.
    rows: &'a [f32],
    /// `[d_model, 32]`.
    panel: &'a [f32],
    /// `[32]`; sums begin here, or where it is absent at what `out` holds.
    bias: Option<&'a [f32]>,
    /// Distance between rows of the result.
    stride: usize,
}

/// `R` rows by 32 features; sums start at the bias and run along `d_model` by fused
/// multiply-adds, so a value does not depend on the tile that computes it.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
fn tile_portable<const R: usize>(tile: &Tile<'_>, out: &mut [f32]) {
    // Two halves: the sums of R × 16 features fit the registers of AVX2 for R ≤ 4.
    for half in 0..2 {
        let from = half * 16;
        let mut sums = [[0_f32; 16]; R];
        for (row, sums) in sums.iter_mut().enumerate() {
            let at = row * tile.stride + from;
            sums.copy_from_slice(match tile.bias {
                Some(bias) => &bias[from..from + 16],
                None => &out[at..at + 16],
            });
        }
        for (x, w) in tile
            .rows
            .chunks_exact(R)
            .zip(tile.panel.chunks_exact(PANEL))
        {
            let w = &w[from..from + 16];
            for (sums, &x) in sums.iter_mut().zip(x) {
                for (sum, &w) in sums.iter_mut().zip(w) {
                    *sum = x.mul_add(w, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let at = row * tile.stride + from;
            out[at..at + 16].copy_from_slice(sums);
        }
    }
}

/// The same in AVX-512 registers.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "unaligned vector loads and stores within checked slices"
)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
fn tile_avx512<const R: usize>(tile: &Tile<'_>, out: &mut [f32]) {
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    let d = tile.rows.len() / R;
    assert!(
        tile.rows.len() == d * R
            && tile.panel.len() == d * PANEL
            && tile.bias.is_none_or(|bias| bias.len() == PANEL)
            && out.len() >= (R - 1) * tile.stride + PANEL,
        "tile operands disagree in shape"
    );
    let (mut lows, mut highs) = ([_mm512_setzero_ps(); R], [_mm512_setzero_ps(); R]);
    for r in 0..R {
        // SAFETY: `bias` has 32 values, and `out` reaches to `(R − 1) · stride + 32`, checked above.
        unsafe {
            let at = match tile.bias {
                Some(bias) => bias.as_ptr(),
                None => out.as_ptr().add(r * tile.stride),
            };
            lows[r] = _mm512_loadu_ps(at);
            highs[r] = _mm512_loadu_ps(at.add(16));
        }
    }
    let (rows, _) = tile.rows.as_chunks::<R>();
    let (panel, _) = tile.panel.as_chunks::<PANEL>();
    for (x, w) in rows.iter().zip(panel) {
        // SAFETY: `w` is 32 values.
        let (w_low, w_high) = unsafe {
            (
                _mm512_loadu_ps(w.as_ptr()),
                _mm512_loadu_ps(w.as_ptr().add(16)),
            )
        };
        for r in 0..R {
            let x = _mm512_set1_ps(x[r]);
            lows[r] = _mm512_fmadd_ps(x, w_low, lows[r]);
            highs[r] = _mm512_fmadd_ps(x, w_high, highs[r]);
        }
    }
    for r in 0..R {
        // SAFETY: `out` reaches to `(R − 1) · stride + 32`, checked above.
        unsafe {
            let at = out.as_mut_ptr().add(r * tile.stride);
            _mm512_storeu_ps(at, lows[r]);
            _mm512_storeu_ps(at.add(16), highs[r]);
        }
    }
}

/// Defines the tile of one number of rows, dispatching on the processor.
macro_rules! tile {
    ($name:ident, $portable:ident, $rows:literal) => {
        multiversion! {
            /// The tile where AVX-512 is absent: a few rows at a time.
            fn $portable(tile: &Tile<'_>, out: &mut [f32]) {
                tile_portable::<$rows>(tile, out);
            }
        }

        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "calls the AVX-512 form where detected")
        )]
        fn $name(tile: &Tile<'_>, out: &mut [f32]) {
            #[cfg(target_arch = "x86_64")]
            if super::level::has_avx512() {
                // SAFETY: `has_avx512` has found every feature the function is compiled for.
                return unsafe { tile_avx512::<$rows>(tile, out) };
            }
            $portable(tile, out);
        }
    };
}
tile!(tile_14, tile_14_portable, 14);
tile!(tile_8, tile_8_portable, 8);
tile!(tile_4, tile_4_portable, 4);
tile!(tile_2, tile_2_portable, 2);
tile!(tile_1, tile_1_portable, 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn product_equals_the_plain_loop_to_the_bit() {
        for (d, n) in [(1, 1), (24, 101), (64, 64), (65, 33), (400, 40)] {
            let (w, b) = (reference::values(n * d, 1), reference::values(n, 2));
            let packed = PackedEncoder::new(&w, &b, d);
            for rows in [1, 2, 3, 7, 13, 14, 15, 28, 29] {
                let x = reference::values(rows * d, rows as u64);
                let mut buffer = BlockBuffer::default();
                let got: Vec<f32> = packed
                    .product(&x, &mut buffer)
                    .0
                    .flat_map(|row| {
                        assert!(row[n..].iter().all(|&v| v == f32::NEG_INFINITY));
                        row[..n].to_vec()
                    })
                    .collect();
                let plain = reference::pre_activations(&x, &w, &b, d);
                assert_eq!(got, plain, "d {d}, n {n}, rows {rows}");
            }
        }
    }

    #[test]
    fn portable_tile_equals_the_vector_tile_to_the_bit() {
        let d = 37;
        let (rows, panel) = (
            reference::values(14 * d, 1),
            reference::values(PANEL * d, 2),
        );
        let bias = reference::values(PANEL, 3);
        let tile = Tile {
            rows: &rows,
            panel: &panel,
            bias: Some(&bias),
            stride: 40,
        };
        let (mut a, mut b) = (vec![0.0; 14 * 40], vec![0.0; 14 * 40]);
        tile_14(&tile, &mut a);
        tile_portable::<14>(&tile, &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn chosen_features_have_the_same_pre_activations() {
        let (d, n) = (24, 101);
        let (w, b) = (reference::values(n * d, 1), reference::values(n, 2));
        let x = reference::values(3 * d, 3);
        let chosen = PackedEncoder::of_features(&w, &b, d, &[100, 7]);
        let plain = reference::pre_activations(&x, &w, &b, d);
        let mut buffer = BlockBuffer::default();
        for (row, out) in chosen.product(&x, &mut buffer).0.enumerate() {
            assert_eq!(out[..2], [plain[row * n + 100], plain[row * n + 7]]);
        }
    }
}
