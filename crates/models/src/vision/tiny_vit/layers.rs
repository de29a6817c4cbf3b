//! The layers of `TinyViT` on tokens in row-major order (`[height, width, channels]`), f32.
//!
//! Work is divided into bands of token rows of fixed height, so the result does not depend on the
//! number of threads.

use rayon::prelude::*;

use crate::kernels::elementwise::{Depthwise, LayerNorm, add, fill_rows, gelu, softmax_rows};
use crate::kernels::matmul::{View, product};

/// Token rows of a band; windows have their own height.
const BAND: usize = 16;

/// Tokens of an image, row-major: `[height, width, channels]`.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

impl Tokens {
    fn zeros(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
            values: vec![0.0; height * width * channels],
        }
    }

    fn row_len(&self) -> usize {
        self.width * self.channels
    }

    /// The tokens of row `y`, if there is one.
    fn row(&self, y: usize) -> Option<&[f32]> {
        self.values.chunks_exact(self.row_len()).nth(y)
    }
}

/// `y = x wᵀ + b` on every token: a linear map, or a 1 × 1 convolution with its batch norm.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `[out, in]`.
    pub(super) weight: Vec<f32>,
    /// `[out]`.
    pub(super) bias: Vec<f32>,
}

impl Linear {
    fn n_out(&self) -> usize {
        self.bias.len()
    }

    fn n_in(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// Maps the tokens of `x` to `out`.
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        fill_rows(out, &self.bias);
        self.add_to(x, out);
    }

    /// Adds the product, without the bias, to `out`.
    fn add_to(&self, x: &[f32], out: &mut [f32]) {
        let maps = (
            View::of(x, self.n_in()),
            View::of(&self.weight, self.n_in()).t(),
        );
        product(out, self.n_out(), maps, 1.0, true);
    }
}

/// 1 × 1 convolution, depthwise convolution, 1 × 1 convolution, with GELU between; with a
/// shortcut it is an inverted bottleneck, without one it merges patches.
#[derive(Debug, Clone)]
pub(super) struct Bottleneck {
    pub(super) expand: Linear,
    pub(super) depthwise: Depthwise,
    pub(super) project: Linear,
    /// `gelu(x + project(..))` instead of `project(..)`.
    pub(super) has_shortcut: bool,
}

impl Bottleneck {
    pub(super) fn apply(&self, x: &Tokens) -> Tokens {
        let stride = self.depthwise.stride;
        let (height, width) = (x.height.div_ceil(stride), x.width.div_ceil(stride));
        let mut out = Tokens::zeros(height, width, self.project.n_out());
        let band_len = BAND * out.row_len();
        out.values
            .par_chunks_mut(band_len)
            .enumerate()
            .for_each(|(band, out)| self.band(x, band * BAND, width, out));
        out
    }

    /// Output rows from `first` on. The widened rows live in a ring of three, within the cache.
    fn band(&self, x: &Tokens, first: usize, width: usize, out: &mut [f32]) {
        let (hidden, stride) = (self.expand.n_out(), self.depthwise.stride);
        let mut ring = [(); 3].map(|()| vec![0.0; x.width * hidden]);
        let mut in_ring = [None; 3];
        let mut mixed = vec![0.0; width * hidden];
        for (i, out) in out
            .chunks_exact_mut(width * self.project.n_out())
            .enumerate()
        {
            let centre = (first + i) * stride;
            let wanted = [centre.checked_sub(1), Some(centre), Some(centre + 1)]
                .map(|y| y.filter(|&y| y < x.height));
            for y in wanted.into_iter().flatten() {
                if in_ring[y % 3] != Some(y)
                    && let Some(row) = x.row(y)
                {
                    self.expand.apply(row, &mut ring[y % 3]);
                    gelu(&mut ring[y % 3]);
                    in_ring[y % 3] = Some(y);
                }
            }
            let rows = wanted.map(|y| y.map(|y| ring[y % 3].as_slice()));
            self.depthwise.row(rows, &mut mixed);
            gelu(&mut mixed);
            self.project.apply(&mixed, out);
            if self.has_shortcut
                && let Some(row) = x.row(centre)
            {
                add(out, row);
                gelu(out);
            }
        }
    }
}

/// Attention within square windows, with a learnt bias per offset.
#[derive(Debug, Clone)]
pub(super) struct WindowAttention {
    pub(super) norm: LayerNorm,
    /// Per head: queries, keys, values.
    pub(super) qkv: Linear,
    pub(super) proj: Linear,
    pub(super) n_heads: usize,
    /// Tokens on a side of a window.
    pub(super) window: usize,
    /// `[n_heads, window², window²]`.
    pub(super) bias: Vec<f32>,
}

/// Room for the intermediate results of one window.
struct WindowRoom {
    normed: Vec<f32>,
    qkv: Vec<f32>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
    out: Vec<f32>,
}

impl WindowAttention {
    /// `x ← x + attention(x)`.
    fn add_to(&self, x: &mut Tokens) {
        let (height, width, channels) = (x.height, x.width, x.channels);
        let band_len = self.window * x.row_len();
        x.values
            .par_chunks_mut(band_len)
            .enumerate()
            .for_each(|(band, rows)| {
                let n = self.window * self.window;
                let mut room = WindowRoom {
                    normed: vec![0.0; n * channels],
                    qkv: vec![0.0; n * 3 * channels],
                    scores: vec![0.0; n * n],
                    mixed: vec![0.0; n * channels],
                    out: vec![0.0; n * channels],
                };
                let n_rows = self.window.min(height - band * self.window);
                for left in (0..width).step_by(self.window) {
                    let n_columns = self.window.min(width - left);
                    self.window_at(rows, (n_rows, n_columns), (left, width), &mut room);
                }
            });
    }

    /// One window: its tokens on the image, zeros beyond it, which take part as the reference
    /// implementation has it.
    fn window_at(
        &self,
        rows: &mut [f32],
        (n_rows, n_columns): (usize, usize),
        (left, width): (usize, usize),
        room: &mut WindowRoom,
    ) {
        let (n, channels) = (self.window * self.window, self.proj.n_out());
        let window_row = self.window * channels;
        let line = n_columns * channels;
        room.out.fill(0.0);
        for y in 0..n_rows {
            let from = (y * width + left) * channels;
            let to = y * window_row;
            room.out[to..to + line].copy_from_slice(&rows[from..from + line]);
        }
        self.norm.apply(&room.out, &mut room.normed);
        self.qkv.apply(&room.normed, &mut room.qkv);
        let d = channels / self.n_heads;
        let scale = 1.0 / (d as f32).sqrt();
        for (head, bias) in self.bias.chunks_exact(n * n).enumerate() {
            let part = |i: usize| View::new(&room.qkv[head * 3 * d + i * d..], n, d, 3 * channels);
            product(&mut room.scores, n, (part(0), part(1).t()), scale, false);
            softmax_rows(&mut room.scores, bias, n);
            let maps = (View::of(&room.scores, n), part(2));
            product(&mut room.mixed[head * d..], channels, maps, 1.0, false);
        }
        self.proj.apply(&room.mixed, &mut room.out);
        for y in 0..n_rows {
            let to = (y * width + left) * channels;
            let from = y * window_row;
            add(&mut rows[to..to + line], &room.out[from..from + line]);
        }
    }
}

/// One block of the stages 1 to 3: window attention, a depthwise convolution, an MLP.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) attention: WindowAttention,
    pub(super) local: Depthwise,
    pub(super) norm: LayerNorm,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

impl Block {
    pub(super) fn apply(&self, mut x: Tokens) -> Tokens {
        self.attention.add_to(&mut x);
        let mut out = Tokens::zeros(x.height, x.width, x.channels);
        let row_len = x.row_len();
        out.values
            .par_chunks_mut(2 * row_len)
            .enumerate()
            .for_each(|(band, out)| {
                let mut normed = vec![0.0; out.len()];
                let mut hidden = vec![0.0; out.len() / x.channels * self.fc1.n_out()];
                for (i, out) in out.chunks_exact_mut(row_len).enumerate() {
                    let y = 2 * band + i;
                    let above = y.checked_sub(1).and_then(|y| x.row(y));
                    self.local.row([above, x.row(y), x.row(y + 1)], out);
                }
                self.norm.apply(out, &mut normed);
                self.fc1.apply(&normed, &mut hidden);
                gelu(&mut hidden);
                self.fc2.apply(&hidden, &mut normed);
                add(out, &normed);
            });
        out
    }
}

/// The neck: 1 × 1 convolution, layer norm, 3 × 3 convolution, layer norm.
#[derive(Debug, Clone)]
pub(super) struct Neck {
    pub(super) narrow: Linear,
    pub(super) norm: LayerNorm,
    /// One map per tap, row by row.
    pub(super) taps: Vec<Linear>,
    pub(super) last_norm: LayerNorm,
}

impl Neck {
    pub(super) fn apply(&self, x: &Tokens) -> Tokens {
        let channels = self.narrow.n_out();
        let mut inner = Tokens::zeros(x.height, x.width, channels);
        let row_len = inner.row_len();
        inner
            .values
            .par_chunks_mut(row_len)
            .enumerate()
            .for_each(|(y, out)| {
                if let Some(row) = x.row(y) {
                    let mut narrow = vec![0.0; out.len()];
                    self.narrow.apply(row, &mut narrow);
                    self.norm.apply(&narrow, out);
                }
            });
        let mut out = Tokens::zeros(x.height, x.width, channels);
        out.values
            .par_chunks_mut(row_len)
            .enumerate()
            .for_each(|(y, out)| {
                let mut sums = vec![0.0; out.len()];
                for (tap, map) in self.taps.iter().enumerate() {
                    let row = (y + tap / 3).checked_sub(1).and_then(|y| inner.row(y));
                    let Some(row) = row else { continue };
                    // The inputs of a tap are the row moved by one token to the left or right.
                    match tap % 3 {
                        0 => map.add_to(&row[..row_len - channels], &mut sums[channels..]),
                        1 => map.add_to(row, &mut sums),
                        _ => map.add_to(&row[channels..], &mut sums[..row_len - channels]),
                    }
                }
                self.last_norm.apply(&sums, out);
            });
        out
    }
}

/// The stem: two 1 × 1 convolutions with GELU between, at full resolution.
#[derive(Debug, Clone)]
pub(super) struct Stem {
    pub(super) first: Linear,
    pub(super) second: Linear,
}

impl Stem {
    /// `pixels`: `[3, side, side]`.
    pub(super) fn apply(&self, pixels: &[f32], side: usize) -> Tokens {
        let mut out = Tokens::zeros(side, side, self.second.n_out());
        let row_len = out.row_len();
        let plane = side * side;
        out.values
            .par_chunks_mut(row_len)
            .enumerate()
            .for_each(|(y, out)| {
                let mut colours = vec![0.0; side * 3];
                for (x, colour) in colours.chunks_exact_mut(3).enumerate() {
                    for (channel, value) in colour.iter_mut().enumerate() {
                        *value = pixels[channel * plane + y * side + x];
                    }
                }
                let mut inner = vec![0.0; side * self.first.n_out()];
                self.first.apply(&colours, &mut inner);
                gelu(&mut inner);
                self.second.apply(&inner, out);
            });
        out
    }
}
