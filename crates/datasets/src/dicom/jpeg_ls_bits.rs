//! Bits of a JPEG-LS scan: after a byte of ones the next byte gives seven.

const CUT: &str = "the JPEG-LS image is cut short";

pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bits not yet taken, the next one highest.
    held: u64,
    n_held: u32,
    after_ones: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            held: 0,
            n_held: 0,
            after_ones: false,
        }
    }

    /// Takes in as many whole bytes as there is room for, up to the next marker.
    fn fill(&mut self) {
        while self.n_held <= 56 {
            let Some(&byte) = self.bytes.get(self.at) else {
                return;
            };
            let (bits, n) = if self.after_ones {
                // The highest bit of the byte after ones is 0, or the two are a marker.
                if byte >= 0x80 {
                    return;
                }
                (u64::from(byte) << 57, 7)
            } else {
                if byte == 0xff && self.bytes.get(self.at + 1).is_none_or(|&next| next >= 0x80) {
                    return;
                }
                (u64::from(byte) << 56, 8)
            };
            self.held |= bits >> self.n_held;
            self.n_held += n;
            self.after_ones = byte == 0xff;
            self.at += 1;
        }
    }

    pub(super) fn bit(&mut self) -> Result<bool, &'static str> {
        Ok(self.number(1)? == 1)
    }

    /// `n` bits, at most 32, as a number.
    pub(super) fn number(&mut self, n: u32) -> Result<u32, &'static str> {
        if n == 0 {
            return Ok(0);
        }
        if self.n_held < n {
            self.fill();
            if self.n_held < n {
                return Err(CUT);
            }
        }
        let number = (self.held >> (64 - n)) as u32;
        self.held <<= n;
        self.n_held -= n;
        Ok(number)
    }

    /// Zeros before the next one, which is taken too.
    fn zeros(&mut self, at_most: u32) -> Result<u32, &'static str> {
        let mut n = 0;
        loop {
            if self.n_held == 0 {
                self.fill();
                if self.n_held == 0 {
                    return Err(CUT);
                }
            }
            let here = self.held.leading_zeros().min(self.n_held);
            n += here;
            if n > at_most {
                return Err("an error of the JPEG-LS image has more bits than allowed");
            }
            if here < self.n_held {
                self.held <<= here;
                self.held <<= 1;
                self.n_held -= here + 1;
                return Ok(n);
            }
            self.held = 0;
            self.n_held = 0;
        }
    }

    /// A mapped error: Golomb code of parameter `k`, of at most `limit` bits (T.87, A.5.3).
    pub(super) fn golomb(&mut self, k: u32, limit: u32, q_bits: u32) -> Result<i32, &'static str> {
        let escape = limit.saturating_sub(q_bits + 1);
        let zeros = self.zeros(escape)?;
        let mapped = if zeros < escape {
            (u64::from(zeros) << k) + u64::from(self.number(k)?)
        } else {
            u64::from(self.number(q_bits)?) + 1
        };
        // No error of 16-bit samples is larger.
        i32::try_from(mapped)
            .ok()
            .filter(|mapped| *mapped <= 1 << 18)
            .ok_or("an error of the JPEG-LS image is out of range")
    }
}
