//! Decodes JPEG-LS, lossless and near-lossless (ITU-T T.87, ISO/IEC 14495-1).
//!
//! Everything that DICOM allows: 2 to 16 bits, one to four components, all three ways to interleave
//! them. Names are the recommendation's.

use super::jpeg_ls_bits::Bits;
use super::jpeg_ls_header::{Interleave, Scan, read_headers};

/// Samples of one image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Row-major, the components of a pixel beside each other.
    pub(super) samples: Vec<u16>,
    /// Samples per pixel.
    pub(super) n_components: usize,
}

/// How fast a run grows with the runs before it (T.87, A.7.1.1).
const J: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// Contexts of the regular mode: 9 · 9 · 9 with their mirror images merged.
const N_CONTEXTS: usize = 365;

/// Decodes a whole image.
///
/// # Errors
/// What is wrong with the image, in a few words.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, &'static str> {
    let image = read_headers(bytes)?;
    let (width, height) = (image.width, image.height);
    let n_components = image.n_components;
    let mut samples = vec![0_u16; width * height * n_components];
    let mut first = 0;
    for scan in &image.scans {
        let places = Places {
            width,
            height,
            stride: n_components,
            first,
        };
        decode_scan(&bytes[scan.start..], scan, &places, &mut samples)?;
        first += scan.n_components;
    }
    Ok(Decoded {
        samples,
        n_components,
    })
}

/// Where the samples of a scan go.
struct Places {
    width: usize,
    height: usize,
    /// Samples per pixel of the image.
    stride: usize,
    /// First component of the scan.
    first: usize,
}

fn decode_scan(
    bytes: &[u8],
    scan: &Scan,
    places: &Places,
    samples: &mut [u16],
) -> Result<(), &'static str> {
    let n = scan.n_components;
    let width = places.width;
    let mut coder = Coder::new(bytes, scan);
    // A sample before and one after the line stand for its neighbours beyond the edge.
    let blank = vec![vec![0_i32; width + 2]; n];
    let (mut above, mut line) = (blank.clone(), blank);
    let mut run_index = vec![0_usize; n];
    for row in 0..places.height {
        for (above, line) in above.iter_mut().zip(&mut line) {
            line[0] = above[1];
            above[width + 1] = above[width];
        }
        if scan.interleave == Interleave::Sample {
            coder.pixels(&above, &mut line, &mut run_index[0])?;
        } else {
            for component in 0..n {
                coder.line(
                    &above[component],
                    &mut line[component],
                    &mut run_index[component],
                )?;
            }
        }
        for (component, line) in line.iter().enumerate() {
            let start = row * width * places.stride + places.first + component;
            let out = samples[start..].iter_mut().step_by(places.stride);
            for (out, &value) in out.zip(&line[1..=width]) {
                *out = value as u16;
            }
        }
        std::mem::swap(&mut above, &mut line);
    }
    Ok(())
}

/// Statistics of a context of the regular mode.
#[derive(Clone)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// Statistics of a context in which runs end.
#[derive(Clone)]
struct RunContext {
    a: i32,
    n: i32,
    /// How many errors were below zero.
    negative: i32,
    /// 1 where the samples to the left and above are alike.
    kind: i32,
}

/// The four neighbours of a sample: left, above, above left, above right.
#[derive(Clone, Copy)]
struct Neighbours {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl Neighbours {
    /// `x` counts from 1.
    fn of(above: &[i32], line: &[i32], x: usize) -> Self {
        Self {
            a: line[x - 1],
            b: above[x],
            c: above[x - 1],
            d: above[x + 1],
        }
    }

    /// The median edge detector.
    fn prediction(self) -> i32 {
        let (low, high) = (self.a.min(self.b), self.a.max(self.b));
        if self.c >= high {
            low
        } else if self.c <= low {
            high
        } else {
            self.a + self.b - self.c
        }
    }
}

struct Coder<'a> {
    bits: Bits<'a>,
    near: i32,
    max: i32,
    range: i32,
    /// Bits of an error that is written plainly.
    q_bits: u32,
    limit: u32,
    reset: i32,
    thresholds: [i32; 3],
    contexts: Vec<Context>,
    run_contexts: [RunContext; 2],
}

impl<'a> Coder<'a> {
    fn new(bytes: &'a [u8], scan: &Scan) -> Self {
        let (near, max) = (scan.near, scan.max);
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let bits = bits_for(max + 1).max(2);
        let a = ((range + 32) / 64).max(2);
        let context = Context {
            a,
            b: 0,
            c: 0,
            n: 1,
        };
        let run_context = |kind| RunContext {
            a,
            n: 1,
            negative: 0,
            kind,
        };
        Self {
            bits: Bits::new(bytes),
            near,
            max,
            range,
            q_bits: bits_for(range),
            limit: 2 * (bits + bits.max(8)),
            reset: scan.reset,
            thresholds: scan.thresholds,
            contexts: vec![context; N_CONTEXTS],
            run_contexts: [run_context(0), run_context(1)],
        }
    }

    /// One line of one component; both slices have a sample more at each end.
    fn line(
        &mut self,
        above: &[i32],
        line: &mut [i32],
        run_index: &mut usize,
    ) -> Result<(), &'static str> {
        let width = line.len() - 2;
        let mut x = 1;
        while x <= width {
            let around = Neighbours::of(above, line, x);
            let context = self.context(around);
            if context != 0 {
                line[x] = self.regular(context, around)?;
                x += 1;
                continue;
            }
            let n = self.run_length(width + 1 - x, run_index)?;
            line[x..x + n].fill(around.a);
            x += n;
            if x <= width {
                let (a, b) = (line[x - 1], above[x]);
                let alike = (a - b).abs() <= self.near;
                let error = self.run_end(usize::from(alike), *run_index)?;
                line[x] = if alike {
                    self.reconstruct(a, error)
                } else {
                    self.reconstruct(b, if b < a { -error } else { error })
                };
                *run_index = run_index.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// One line of all components, pixel by pixel: a run is one of all components together.
    fn pixels(
        &mut self,
        above: &[Vec<i32>],
        line: &mut [Vec<i32>],
        run_index: &mut usize,
    ) -> Result<(), &'static str> {
        let width = line[0].len() - 2;
        let mut x = 1;
        while x <= width {
            let around: Vec<Neighbours> = above
                .iter()
                .zip(line.iter())
                .map(|(above, line)| Neighbours::of(above, line, x))
                .collect();
            let contexts: Vec<i32> = around.iter().map(|&at| self.context(at)).collect();
            if contexts.iter().any(|&context| context != 0) {
                for (line, (&context, &around)) in line.iter_mut().zip(contexts.iter().zip(&around))
                {
                    line[x] = self.regular(context, around)?;
                }
                x += 1;
                continue;
            }
            let n = self.run_length(width + 1 - x, run_index)?;
            for (line, around) in line.iter_mut().zip(&around) {
                line[x..x + n].fill(around.a);
            }
            x += n;
            if x <= width {
                for (line, above) in line.iter_mut().zip(above) {
                    let (a, b) = (line[x - 1], above[x]);
                    let error = self.run_end(0, *run_index)?;
                    line[x] = self.reconstruct(b, if b < a { -error } else { error });
                }
                *run_index = run_index.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// The context of a sample, below zero for a mirrored one, 0 for the run mode.
    fn context(&self, around: Neighbours) -> i32 {
        let [d1, d2, d3] = [
            around.d - around.b,
            around.b - around.c,
            around.c - around.a,
        ]
        .map(|gradient| self.quantised(gradient));
        (d1 * 9 + d2) * 9 + d3
    }

    fn quantised(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let size = gradient.abs();
        let step = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        step * gradient.signum()
    }

    fn regular(&mut self, context: i32, around: Neighbours) -> Result<i32, &'static str> {
        let sign = if context < 0 { -1 } else { 1 };
        let index = context.unsigned_abs() as usize;
        let Context { a, b, c, n } = self.contexts[index];
        let predicted = (around.prediction() + sign * c).clamp(0, self.max);
        let k = golomb(n, a);
        let mapped = self.bits.golomb(k, self.limit, self.q_bits)?;
        let even = mapped % 2 == 0;
        let error = if self.near == 0 && k == 0 && 2 * b <= -n {
            if even { -mapped / 2 - 1 } else { mapped / 2 }
        } else if even {
            mapped / 2
        } else {
            -(mapped / 2) - 1
        };
        let step = 2 * self.near + 1;
        self.contexts[index].update(error, step, self.reset);
        Ok(self.reconstruct(predicted, sign * error))
    }

    /// The prediction and its error, brought back into the range.
    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut value = predicted + error * step;
        if value < -self.near {
            value += self.range * step;
        } else if value > self.max + self.near {
            value -= self.range * step;
        }
        value.clamp(0, self.max)
    }

    /// Samples of a run, at most the `left` of the line.
    fn run_length(&mut self, left: usize, run_index: &mut usize) -> Result<usize, &'static str> {
        let mut n = 0;
        while self.bits.bit()? {
            let whole = 1_usize << J[*run_index];
            if n + whole > left {
                return Ok(left);
            }
            n += whole;
            *run_index = (*run_index + 1).min(J.len() - 1);
            if n == left {
                return Ok(n);
            }
        }
        n += self.bits.number(J[*run_index])? as usize;
        if n >= left {
            return Err("a run is longer than its line");
        }
        Ok(n)
    }

    /// The error of the sample after a run.
    fn run_end(&mut self, kind: usize, run_index: usize) -> Result<i32, &'static str> {
        let context = &mut self.run_contexts[kind];
        let k = golomb(context.n, context.a + context.kind * (context.n >> 1));
        let limit = self.limit.saturating_sub(J[run_index] + 1);
        let mapped = self.bits.golomb(k, limit, self.q_bits)?;
        let sum = mapped + context.kind;
        let odd = sum % 2;
        let size = i32::midpoint(sum, odd);
        let flips = k != 0 || 2 * context.negative >= context.n;
        let error = if flips == (odd == 1) { -size } else { size };
        if error < 0 {
            context.negative += 1;
        }
        context.a += (mapped + 1 - context.kind) >> 1;
        if context.n == self.reset {
            context.a >>= 1;
            context.n >>= 1;
            context.negative >>= 1;
        }
        context.n += 1;
        Ok(error)
    }
}

impl Context {
    fn update(&mut self, error: i32, step: i32, reset: i32) {
        self.b += error * step;
        self.a += error.abs();
        if self.n == reset {
            self.a >>= 1;
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        if self.b <= -self.n {
            self.b = (self.b + self.n).max(1 - self.n);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - self.n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

/// The least `k` with `n · 2^k ≥ a`.
fn golomb(n: i32, a: i32) -> u32 {
    let (n, a) = (i64::from(n), i64::from(a));
    (0..32).find(|&k| n << k >= a).unwrap_or(31)
}

/// Bits that tell `n` values apart.
fn bits_for(n: i32) -> u32 {
    u32::BITS - (n.unsigned_abs().max(1) - 1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::sha256;

    /// The picture that `CharLS` 2.4 encoded for these tests: flat, sloping and rough areas.
    fn picture(x: u64, y: u64, component: u64, highest: u64) -> u64 {
        if x < 12 && y < 10 {
            highest / 3 + component
        } else if x >= 24 {
            (x * x * 7919 + y * y * 104_729 + x * y * 31 + component * 977) % (highest + 1)
        } else {
            (x * (highest / 60) + y * (highest / 90) * (component + 1)) % (highest + 1)
        }
    }

    /// Decodes a case and compares it with the picture and with what `CharLS` decodes.
    fn check(name: &str, bytes: &[u8], [highest, n, near]: [u64; 3], hash: &str) {
        let decoded = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.n_components as u64, n, "{name}");
        let mut at = decoded.samples.iter();
        for y in 0..26 {
            for x in 0..40 {
                for component in 0..n {
                    let expected = picture(x, y, component, highest);
                    let found = u64::from(*at.next().unwrap());
                    let place = (x, y, component);
                    assert!(found.abs_diff(expected) <= near, "{name}: {place:?}");
                }
            }
        }
        let little: Vec<u8> = decoded
            .samples
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(sha256(&little), hash, "{name}");
    }

    #[test]
    fn grey_images_decode_as_with_charls() {
        let case = include_bytes!("jpeg_ls_cases/grey12.jls");
        let hash = "77621de29ecc83653b8b1b8ff7e7151dc0355e33caddf55c45b1a25457f1c82a";
        check("12 bits", case, [4095, 1, 0], hash);
        let case = include_bytes!("jpeg_ls_cases/grey16_near3.jls");
        let hash = "2ae1f4741a871cc43ced70efb37ed1a31316676688adbca9f4b63c316f9aac0f";
        check("16 bits, near 3", case, [65_535, 1, 3], hash);
        let case = include_bytes!("jpeg_ls_cases/grey8_near2.jls");
        let hash = "9195a861d09cdf1fa56a9bdaf1df27633dae33ae029602f2c8e1ae5547284968";
        check("8 bits, near 2", case, [255, 1, 2], hash);
        let case = include_bytes!("jpeg_ls_cases/grey4.jls");
        let hash = "da7eaf9f3fd25ded524f5475893d29283419ffb2a35daa15d342a749c12ca616";
        check("4 bits", case, [15, 1, 0], hash);
    }

    #[test]
    fn colour_images_decode_as_with_charls_however_they_are_interleaved() {
        let hash = "ad38256675f73eac8a217c9ddd438be6fb7b8834270ec78eb6687f1e2ad38c55";
        let case = include_bytes!("jpeg_ls_cases/rgb_planes.jls");
        check("planes", case, [255, 3, 0], hash);
        let case = include_bytes!("jpeg_ls_cases/rgb_lines.jls");
        check("lines", case, [255, 3, 0], hash);
        let case = include_bytes!("jpeg_ls_cases/rgb_samples.jls");
        check("samples", case, [255, 3, 0], hash);
        let case = include_bytes!("jpeg_ls_cases/rgb_samples_near1.jls");
        let hash = "84e454d2ab22b19253064b528d7996d3b0dba3b8076e35a418cee9bf308449c8";
        check("samples, near 1", case, [255, 3, 1], hash);
        let case = include_bytes!("jpeg_ls_cases/rgb_lines_near2.jls");
        let hash = "eaa3a171250717a707f772cf4fc3a227209601ea71a3e9906d938245c550a021";
        check("lines, near 2", case, [255, 3, 2], hash);
    }

    #[test]
    fn cut_and_damaged_images_end_with_a_reason() {
        let whole = include_bytes!("jpeg_ls_cases/rgb_lines_near2.jls");
        for length in 0..whole.len() - 8 {
            assert!(decode(&whole[..length]).is_err(), "{length} bytes");
        }
        // Whatever a flipped bit makes of it, it ends without a panic.
        for i in 0..whole.len() * 8 {
            let mut damaged = whole.to_vec();
            damaged[i / 8] ^= 1 << (i % 8);
            let size_is_stated_larger = (6..11).contains(&(i / 8));
            if !size_is_stated_larger {
                drop(decode(&damaged));
            }
        }
    }
}
