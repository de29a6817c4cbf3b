//! Decodes grey 8-bit sequential JPEG with Huffman coding (ITU-T T.81), as most compressed films are.
//!
//! The standard leaves the rounding of the inverse transform open, and decoders differ by a grey level
//! in some hundredths of the pixels. Values that are stored should not depend on whose program reads
//! them, so this one rounds as the reference that the DICOM tools of Python use: the factorisation of
//! Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with constants of 9 fractional bits, rows first,
//! 4 fractional bits of the pixels kept to the end. Its result is compared bit for bit in `tests.rs`.

/// Bits after the point in the constants of the transform.
const CONSTANT_BITS: u32 = 9;
/// Bits after the point in pixels before they are rounded to grey levels.
const PIXEL_BITS: u32 = 4;

/// Where in a block (row-major) the coefficients of the file stand, in its order.
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The pixels of a frame, row-major. `None` where it is of another kind, or damaged: another decoder
/// reads it then, or says what is wrong.
pub(super) fn decode(frame: &[u8]) -> Option<Vec<u8>> {
    let mut header = Header::default();
    let mut rest = frame.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let (marker, after) = next_marker(rest)?;
        let length = usize::from(u16_at(after, 0)?);
        let body = after.get(2..length)?;
        rest = after.get(length..)?;
        match marker {
            0xc0 | 0xc1 => header.take_frame(body)?,
            // Progressive, lossless, arithmetic: not here. Or the end, without a scan.
            0xc2 | 0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf | 0xd9 => return None,
            0xc4 => header.take_codes(body)?,
            0xdb => header.take_steps(body)?,
            0xdd => header.restart = usize::from(u16_at(body, 0)?),
            0xda => return header.decode_scan(body, rest),
            _ => {}
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

/// The code of the marker that comes next, and what follows it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes.strip_prefix(&[0xff])?;
    while let Some(filled) = rest.strip_prefix(&[0xff]) {
        rest = filled;
    }
    let (&code, after) = rest.split_first()?;
    Some((code, after))
}

/// What the segments before the scan state.
#[derive(Default)]
struct Header {
    width: usize,
    height: usize,
    /// Which table of steps the component uses.
    steps_of: usize,
    component: u8,
    /// Quantiser steps in the file's order.
    steps: [Option<[i64; 64]>; 4],
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    /// Blocks between restart markers; 0: none.
    restart: usize,
}

impl Header {
    fn take_frame(&mut self, body: &[u8]) -> Option<()> {
        let &[8, _, _, _, _, 1, component, _, steps_of] = body else {
            return None;
        };
        self.height = usize::from(u16_at(body, 1)?);
        self.width = usize::from(u16_at(body, 3)?);
        self.component = component;
        self.steps_of = usize::from(steps_of);
        (self.height > 0 && self.width > 0 && steps_of < 4).then_some(())
    }

    fn take_steps(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, after)) = body.split_first() {
            let wide = if kind >> 4 == 0 { 1 } else { 2 };
            let values = after.get(..64 * wide)?;
            let mut steps = [0; 64];
            for (step, value) in steps.iter_mut().zip(values.chunks(wide)) {
                *step = value
                    .iter()
                    .fold(0, |sum, &byte| sum << 8 | i64::from(byte));
            }
            *self.steps.get_mut(usize::from(kind & 15))? = Some(steps);
            body = &after[64 * wide..];
        }
        Some(())
    }

    fn take_codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, after)) = body.split_first() {
            let counts: &[u8; 16] = after.first_chunk()?;
            let n: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let symbols = after.get(16..16 + n)?;
            let tables = if kind >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Codes::new(counts, symbols)?);
            body = &after[16 + n..];
        }
        Some(())
    }

    /// Reads all blocks and puts them side by side.
    fn decode_scan(&self, body: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        let &[1, component, tables, 0, 63, 0] = body else {
            return None;
        };
        if self.width == 0 || component != self.component {
            return None;
        }
        let steps = (*self.steps.get(self.steps_of)?)?;
        let dc = self.dc.get(usize::from(tables >> 4))?.as_ref()?;
        let ac = self.ac.get(usize::from(tables & 15))?.as_ref()?;
        let (across, down) = (self.width.div_ceil(8), self.height.div_ceil(8));
        let mut pixels = vec![0; self.width * self.height];
        let mut bits = Bits::new(data);
        let mut before = 0;
        for block in 0..across * down {
            if self.restart > 0 && block > 0 && block % self.restart == 0 {
                bits.restart((block / self.restart - 1) % 8)?;
                before = 0;
            }
            let coefficients = bits.block(dc, ac, &steps, &mut before)?;
            let (left, top) = (block % across * 8, block / across * 8);
            let wide = (self.width - left).min(8);
            let block = pixels_of(coefficients);
            for (y, row) in block.chunks(8).take(self.height - top).enumerate() {
                let at = (top + y) * self.width + left;
                pixels[at..at + wide].copy_from_slice(&row[..wide]);
            }
        }
        Some(pixels)
    }
}

/// A Huffman code: by length, the first code, the index of its symbol and how many there are.
struct Codes {
    lengths: [(u32, usize, u32); 16],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut lengths = [(0, 0, 0); 16];
        let (mut code, mut index) = (0_u32, 0);
        for (i, (&count, entry)) in counts.iter().zip(&mut lengths).enumerate() {
            *entry = (code, index, u32::from(count));
            code += u32::from(count);
            if code > 2 << i {
                return None;
            }
            index += usize::from(count);
            code <<= 1;
        }
        Some(Self {
            lengths,
            symbols: symbols.to_vec(),
        })
    }
}

/// The bits of a scan, most significant first, without stuffed bytes.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u32,
    n_held: u32,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            held: 0,
            n_held: 0,
        }
    }

    fn bit(&mut self) -> Option<u32> {
        if self.n_held == 0 {
            let &byte = self.data.get(self.at)?;
            self.at += 1;
            if byte == 0xff {
                // A marker where bits were expected: the scan is cut short.
                (*self.data.get(self.at)? == 0).then_some(())?;
                self.at += 1;
            }
            (self.held, self.n_held) = (u32::from(byte), 8);
        }
        self.n_held -= 1;
        Some(self.held >> self.n_held & 1)
    }

    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let mut code = 0;
        for &(first, index, count) in &codes.lengths {
            code = code << 1 | self.bit()?;
            if code < first + count {
                return codes.symbols.get(index + (code - first) as usize).copied();
            }
        }
        None
    }

    /// A number of `size` bits, of which the first says its sign (T.81 figure F.12).
    fn number(&mut self, size: u8) -> Option<i64> {
        let mut value = 0_i64;
        for _ in 0..size {
            value = value << 1 | i64::from(self.bit()?);
        }
        let negative = size > 0 && value < 1 << (size - 1);
        Some(if negative {
            value - (1 << size) + 1
        } else {
            value
        })
    }

    /// The coefficients of the next block, times their steps; rows of 8.
    fn block(
        &mut self,
        dc: &Codes,
        ac: &Codes,
        steps: &[i64; 64],
        before: &mut i64,
    ) -> Option<[i64; 64]> {
        let mut block = [0; 64];
        let size = self.symbol(dc)?;
        (size <= 15).then_some(())?;
        *before += self.number(size)?;
        block[0] = *before * steps[0];
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(ac)?;
            let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
            match (zeros, size) {
                (15, 0) => k += 16,
                (_, 0) => break,
                _ => {
                    k += zeros;
                    *block.get_mut(*ZIGZAG.get(k)?)? = self.number(size)? * steps[k];
                    k += 1;
                }
            }
        }
        Some(block)
    }

    /// Steps over restart marker `n`.
    fn restart(&mut self, n: usize) -> Option<()> {
        self.n_held = 0;
        let (marker, after) = next_marker(self.data.get(self.at..)?)?;
        self.at = self.data.len() - after.len();
        (usize::from(marker) == 0xd0 + n).then_some(())
    }
}

/// A constant of the transform with its bits after the point.
const fn constant(value: f64) -> i64 {
    (value * (1_i64 << CONSTANT_BITS) as f64 + 0.5) as i64
}

/// `value` without its last `bits` bits, of which there is one at least, rounded half up.
fn rounded(value: i64, bits: u32) -> i64 {
    (value + (1 << (bits - 1))) >> bits
}

/// Eight samples of eight coefficients, times the square root of 8, with the bits of the constants.
fn inverse(c: [i64; 8]) -> [i64; 8] {
    // A rotation by 6 π / 16 of two coefficients, with three products.
    let turned = (c[2] + c[6]) * constant(0.541_196_1);
    let (near, far) = (
        turned + c[2] * constant(0.765_366_865),
        turned - c[6] * constant(1.847_759_065),
    );
    let (sum, difference) = (
        (c[0] + c[4]) << CONSTANT_BITS,
        (c[0] - c[4]) << CONSTANT_BITS,
    );
    let even = [sum + near, difference + far, difference - far, sum - near];
    // The odd ones share five products (figure 1 of the paper, turned round).
    let (outer, inner) = (c[7] + c[3], c[5] + c[1]);
    let both = (outer + inner) * constant(1.175_875_602);
    let outer = both - outer * constant(1.961_570_56);
    let inner = both - inner * constant(0.390_180_644);
    let ends = -(c[7] + c[1]) * constant(0.899_976_223);
    let middle = -(c[5] + c[3]) * constant(2.562_915_447);
    let odd = [
        c[1] * constant(1.501_321_11) + ends + inner,
        c[3] * constant(3.072_711_026) + middle + outer,
        c[5] * constant(2.053_119_869) + middle + inner,
        c[7] * constant(0.298_631_336) + ends + outer,
    ];
    let mut samples = [0; 8];
    for i in 0..4 {
        samples[i] = even[i] + odd[i];
        samples[7 - i] = even[i] - odd[i];
    }
    samples
}

/// Grey levels of a block of coefficients, rows of 8.
fn pixels_of(mut block: [i64; 64]) -> [u8; 64] {
    // Half of the scale, which the file takes away from every pixel: 8 times that in the first one.
    block[0] += 128 * 8;
    for row in block.chunks_exact_mut(8) {
        let mut c = [0; 8];
        for (to, from) in c.iter_mut().zip(&*row) {
            *to = from << PIXEL_BITS;
        }
        for (to, from) in row.iter_mut().zip(inverse(c)) {
            *to = rounded(from, CONSTANT_BITS);
        }
    }
    let mut pixels = [0; 64];
    for x in 0..8 {
        let column = std::array::from_fn(|y| block[8 * y + x]);
        for (y, value) in inverse(column).into_iter().enumerate() {
            // Both passes together are 8 times too large.
            let value = rounded(value, CONSTANT_BITS + 3);
            pixels[8 * y + x] = rounded(value, PIXEL_BITS).clamp(0, 255) as u8;
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A film of `width × height` whose blocks have the levels that `levels` gives, one DC code each.
    fn blocks(width: u16, height: u16, restart: u8, levels: &[i32]) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
        file.extend([8; 64]);
        file.extend([0xff, 0xc0, 0, 11, 8]);
        file.extend(height.to_be_bytes());
        file.extend(width.to_be_bytes());
        file.extend([1, 1, 0x11, 0]);
        // DC: the code 0 is a difference of 8 bits; AC: the code 0 ends the block.
        for (kind, symbol) in [(0x00, 8), (0x10, 0)] {
            file.extend([0xff, 0xc4, 0, 20, kind, 1]);
            file.extend([0; 15]);
            file.push(symbol);
        }
        file.extend([
            0xff, 0xdd, 0, 4, 0, restart, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0,
        ]);
        let (mut bits, mut before) = (String::new(), 0);
        let flush = |bits: &mut String, file: &mut Vec<u8>| {
            while !bits.len().is_multiple_of(8) {
                bits.push('1');
            }
            for byte in bits.as_bytes().chunks(8) {
                let byte = byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0'));
                file.push(byte);
                if byte == 0xff {
                    file.push(0);
                }
            }
            bits.clear();
        };
        for (i, level) in levels.iter().enumerate() {
            if restart > 0 && i > 0 && i.is_multiple_of(restart.into()) {
                flush(&mut bits, &mut file);
                file.extend([0xff, 0xd0 + ((i / usize::from(restart) - 1) % 8) as u8]);
                before = 0;
            }
            let difference = level - before;
            assert!((128..256).contains(&difference.abs()));
            before = *level;
            let coded = if difference < 0 {
                difference + 255
            } else {
                difference
            };
            write!(bits, "0{coded:08b}0").unwrap();
        }
        flush(&mut bits, &mut file);
        file.extend([0xff, 0xd9]);
        file
    }

    #[test]
    fn flat_blocks_have_their_level_with_and_without_restarts() {
        // With steps of 8 a DC coefficient of `n` is the level 128 + n.
        for (restart, levels, wanted) in [
            (0, [-200, 2, -150, 105], [0, 130, 0, 233]),
            (1, [-200, 130, -150, 200], [0, 255, 0, 255]),
        ] {
            let pixels = decode(&blocks(11, 13, restart, &levels)).unwrap();
            assert_eq!(pixels.len(), 11 * 13);
            for (i, &pixel) in pixels.iter().enumerate() {
                let block = i / 11 / 8 * 2 + i % 11 / 8;
                assert_eq!(pixel, wanted[block], "pixel {i}, restart {restart}");
            }
        }
    }

    #[test]
    fn other_kinds_and_every_cut_are_left_to_the_other_decoder() {
        let whole = blocks(16, 16, 2, &[-200, -10, 190, 20]);
        assert!(decode(&whole).is_some());
        for length in 0..whole.len() - 2 {
            assert_eq!(decode(&whole[..length]), None, "{length} bytes");
        }
        let frame = whole
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        for (at, byte) in [(1, 0xc2), (4, 12), (9, 3)] {
            let mut other = whole.clone();
            other[frame + at] = byte;
            assert_eq!(decode(&other), None, "{at}");
        }
    }

    #[test]
    fn the_transform_is_near_the_exact_one() {
        let mut seed = 7_u64;
        for _ in 0..200 {
            let mut block = [0_i64; 64];
            for value in &mut block {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *value = ((seed >> 33) % 41).cast_signed() - 20;
            }
            let wave = |x: usize, u: usize| -> f64 {
                let scale = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
                scale * ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0).cos()
            };
            let pixels = pixels_of(block);
            for (i, &pixel) in pixels.iter().enumerate() {
                let exact: f64 = (0..64)
                    .map(|k| block[k] as f64 * wave(i % 8, k % 8) * wave(i / 8, k / 8))
                    .sum();
                let off = f64::from(pixel) - (exact + 128.0).clamp(0.0, 255.0);
                assert!(off.abs() < 1.0, "pixel {i}: {off}");
            }
        }
    }
}
