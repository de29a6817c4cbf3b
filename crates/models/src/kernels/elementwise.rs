//! What goes on between matrix products: GELU, layer norm, softmax, depthwise convolution.
//!
//! The loops are written without branches and calls so that the compiler vectorises them for the
//! instructions that are found at run time.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use super::dispatch::dispatch;

/// Sums are kept in this many lanes: fixed, so that results do not depend on the machine's width.
const LANES: usize = 16;

/// exp for arguments up to 0: a polynomial of degree 6 after taking out the power of two;
/// relative error below 2e-7, 0 below −87.
#[inline(always)]
fn exp_negative(x: f32) -> f32 {
    /// Adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the remainder is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.388_888_9e-3;
    p = p * r + 8.333_334e-3;
    p = p * r + 4.166_666_6e-2;
    p = p * r + 0.166_666_67;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * power
}

/// erf as a quotient of two polynomials, error below 5e-7; the one of Eigen and XLA.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let mut p = -2.726_142_3e-10;
    p = p * x2 + 2.770_681_4e-8;
    p = p * x2 - 2.101_024e-6;
    p = p * x2 - 5.692_506_5e-5;
    p = p * x2 - 7.349_906_3e-4;
    p = p * x2 - 2.954_6e-3;
    p = p * x2 - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * x2 - 2.133_740_5e-4;
    q = q * x2 - 1.682_827e-3;
    q = q * x2 - 7.373_329_2e-3;
    q = q * x2 - 1.426_474e-2;
    x * p / q
}

/// `x ← x Φ(x)` with the exact normal distribution function (not the tanh form).
pub(crate) fn gelu(values: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || {
            for value in values.iter_mut() {
                *value = 0.5 * *value * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
            }
        },
    );
}

/// Adds `bias` to each row of `values`.
pub(crate) fn fill_rows(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

/// `x ← x + y`.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Sum of `f(value)` in [`LANES`] lanes.
#[inline(always)]
fn lane_sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    lanes.iter().sum()
}

/// Weights of a layer norm.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) eps: f32,
}

impl LayerNorm {
    /// Normalises each row of `x` (as wide as the weight) into `out`.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32]) {
        let width = self.weight.len();
        dispatch(
            #[inline(always)]
            || {
                for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    let mean = lane_sum(x, |v| v) / width as f32;
                    let variance = lane_sum(x, |v| (v - mean) * (v - mean)) / width as f32;
                    let scale = 1.0 / (variance + self.eps).sqrt();
                    for (((out, x), weight), bias) in
                        out.iter_mut().zip(x).zip(&self.weight).zip(&self.bias)
                    {
                        *out = (x - mean) * scale * weight + bias;
                    }
                }
            },
        );
    }
}

/// Softmax of each row of `scores` (`width` wide) after adding the same row of `bias`.
pub(crate) fn softmax_rows(scores: &mut [f32], bias: &[f32], width: usize) {
    dispatch(
        #[inline(always)]
        || {
            for (row, bias) in scores.chunks_exact_mut(width).zip(bias.chunks_exact(width)) {
                let mut most = [f32::NEG_INFINITY; LANES];
                for (row, bias) in row.chunks_mut(LANES).zip(bias.chunks(LANES)) {
                    for ((value, bias), most) in row.iter_mut().zip(bias).zip(&mut most) {
                        *value += bias;
                        *most = most.max(*value);
                    }
                }
                let most = most.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for value in row.iter_mut() {
                    *value = exp_negative(*value - most);
                }
                let scale = 1.0 / lane_sum(row, |v| v);
                for value in row.iter_mut() {
                    *value *= scale;
                }
            }
        },
    );
}

/// A 3 × 3 convolution of each channel on its own, with bias; zeros beyond the edge.
#[derive(Debug, Clone)]
pub(crate) struct Depthwise {
    /// `[9, channels]`: the taps row by row.
    pub(crate) taps: Vec<f32>,
    /// `[channels]`.
    pub(crate) bias: Vec<f32>,
    /// Step between output pixels: 1 or 2.
    pub(crate) stride: usize,
}

impl Depthwise {
    /// One row of output pixels from the three rows of input pixels around it.
    ///
    /// # Shapes
    /// - `rows`: above, at and below, `[width, channels]` each; `None` beyond the edge
    /// - `out`: `[width / stride, channels]`
    pub(crate) fn row(&self, rows: [Option<&[f32]>; 3], out: &mut [f32]) {
        let channels = self.bias.len();
        dispatch(
            #[inline(always)]
            || {
                for (i, out) in out.chunks_exact_mut(channels).enumerate() {
                    self.pixel(rows, i * self.stride, out);
                }
            },
        );
    }

    #[inline(always)]
    fn pixel(&self, rows: [Option<&[f32]>; 3], centre: usize, out: &mut [f32]) {
        let channels = self.bias.len();
        // The taps that lie on the image: weights and inputs.
        let mut taps: [(&[f32], &[f32]); 9] = [(&[], &[]); 9];
        let mut n_taps = 0;
        for (dy, row) in rows.into_iter().enumerate() {
            let Some(row) = row else { continue };
            for dx in 0..3 {
                let Some(column) = (centre + dx).checked_sub(1) else {
                    continue;
                };
                if let Some(input) = row.get(column * channels..(column + 1) * channels) {
                    let tap = 3 * dy + dx;
                    taps[n_taps] = (&self.taps[tap * channels..(tap + 1) * channels], input);
                    n_taps += 1;
                }
            }
        }
        let whole = channels - channels % LANES;
        for start in (0..whole).step_by(LANES) {
            let mut sums = [0.0; LANES];
            sums.copy_from_slice(&self.bias[start..start + LANES]);
            for (weights, input) in &taps[..n_taps] {
                let weights = &weights[start..start + LANES];
                let input = &input[start..start + LANES];
                for i in 0..LANES {
                    sums[i] += weights[i] * input[i];
                }
            }
            out[start..start + LANES].copy_from_slice(&sums);
        }
        for channel in whole..channels {
            out[channel] = taps[..n_taps]
                .iter()
                .fold(self.bias[channel], |sum, (weights, input)| {
                    sum + weights[channel] * input[channel]
                });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its series, exact enough for |x| ≤ 4 in f64.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn gelu_is_the_exact_one() {
        for i in -500..=500 {
            let x = i as f32 / 100.0;
            let mut value = [x];
            gelu(&mut value);
            let x = f64::from(x);
            let phi = 0.5 * (1.0 + erf_series((x / 2_f64.sqrt()).clamp(-4.0, 4.0)));
            assert!(
                (f64::from(value[0]) - x * phi).abs() < 2e-6,
                "{x}: {}",
                value[0]
            );
        }
    }

    #[test]
    fn exp_is_exact_enough() {
        for i in 0..8600 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_negative(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert!(exp_negative(-1e30) < 1e-37);
        assert_eq!(exp_negative(0.0), 1.0);
    }

    #[test]
    fn softmax_rows_sum_to_one_and_follow_the_bias() {
        let mut scores = vec![0.0; 3 * 21];
        let mut bias = vec![0.0; 3 * 21];
        bias[21 + 5] = 2_f32.ln();
        softmax_rows(&mut scores, &bias, 21);
        for row in scores.chunks(21) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert!((scores[21 + 5] / scores[21 + 6] - 2.0).abs() < 1e-5);
    }

    #[test]
    fn layer_norm_has_mean_zero_and_unit_variance() {
        let norm = LayerNorm {
            weight: vec![2.0; 20],
            bias: vec![1.0; 20],
            eps: 0.0,
        };
        let x: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let mut out = vec![0.0; 20];
        norm.apply(&x, &mut out);
        let expected = (0.0 - 9.5) / 33.25_f32.sqrt() * 2.0 + 1.0;
        assert!((out[0] - expected).abs() < 1e-5);
    }

    #[test]
    fn depthwise_convolution_equals_the_plain_loop() {
        let (width, height, channels) = (5, 4, 19);
        for stride in [1, 2] {
            let number = |i: usize| ((i * 29 % 83) as f32 - 41.0) / 41.0;
            let kernel = Depthwise {
                taps: (0..9 * channels).map(number).collect(),
                bias: (0..channels).map(number).collect(),
                stride,
            };
            let x: Vec<f32> = (0..width * height * channels).map(number).collect();
            let row_of = |y: usize| x.chunks(width * channels).nth(y);
            for y in (0..height).step_by(stride) {
                let mut out = vec![0.0; width.div_ceil(stride) * channels];
                kernel.row(
                    [y.checked_sub(1).and_then(row_of), row_of(y), row_of(y + 1)],
                    &mut out,
                );
                for (i, value) in out.iter().enumerate() {
                    let (column, channel) = (i / channels * stride, i % channels);
                    let mut sum = kernel.bias[channel];
                    for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                        let (yy, xx) = (y + dy, column + dx);
                        if (1..=height).contains(&yy) && (1..=width).contains(&xx) {
                            let at = ((yy - 1) * width + xx - 1) * channels + channel;
                            sum += kernel.taps[(3 * dy + dx) * channels + channel] * x[at];
                        }
                    }
                    assert!((value - sum).abs() < 1e-5);
                }
            }
        }
    }
}
