//! AVX-512 forms of the loops in [`super::coded`]: 32 weights of a row at a time.
//!
//! A weight is the same number, bit for bit, as the plain loop gives; the order of additions
//! differs. The token [`V4`] proves that the processor has the instructions, so none is unsafe.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use std::arch::x86_64::{__m128i, __m256i, __m512, __m512i, _MM_HINT_T0, _mm_prefetch};

use pulp::cast;
use pulp::x86::V4;

use super::dispatch::Loop;
use crate::weights::Coding;

/// Weights that are decoded together.
pub(crate) const WEIGHTS: usize = 32;

/// A coding whose 32 weights take `BYTES` bytes.
trait Blocks<const BYTES: usize> {
    /// Weights 0..16 and 16..32 of a block.
    fn decode(simd: V4, block: &[u8; BYTES]) -> [__m512; 2];
}

struct F32;
struct F16;
struct Bf16;
struct Q8_0;
struct Q4_0;
struct Q4_1;

impl Blocks<128> for F32 {
    #[inline(always)]
    fn decode(_: V4, block: &[u8; 128]) -> [__m512; 2] {
        cast(*block)
    }
}

impl Blocks<64> for F16 {
    #[inline(always)]
    fn decode(simd: V4, block: &[u8; 64]) -> [__m512; 2] {
        let [low, high]: [__m256i; 2] = cast(*block);
        [
            simd.avx512f._mm512_cvtph_ps(low),
            simd.avx512f._mm512_cvtph_ps(high),
        ]
    }
}

impl Blocks<64> for Bf16 {
    #[inline(always)]
    fn decode(simd: V4, block: &[u8; 64]) -> [__m512; 2] {
        let [low, high]: [__m256i; 2] = cast(*block);
        [bf16(simd, low), bf16(simd, high)]
    }
}

#[inline(always)]
fn bf16(simd: V4, values: __m256i) -> __m512 {
    let bits = simd.avx512f._mm512_cvtepu16_epi32(values);
    cast(simd.avx512f._mm512_slli_epi32::<16>(bits))
}

/// The f16 with these bytes, in every lane.
#[inline(always)]
fn scale(simd: V4, bytes: [u8; 2]) -> __m512 {
    let bits = i16::from_le_bytes(bytes);
    simd.avx512f
        ._mm512_cvtph_ps(simd.avx._mm256_set1_epi16(bits))
}

/// `d` times 16 signed bytes.
#[inline(always)]
fn times(simd: V4, d: __m512, steps: __m128i) -> __m512 {
    let steps = simd.avx512f._mm512_cvtepi8_epi32(steps);
    simd.avx512f
        ._mm512_mul_ps(d, simd.avx512f._mm512_cvtepi32_ps(steps))
}

impl Blocks<34> for Q8_0 {
    #[inline(always)]
    fn decode(simd: V4, block: &[u8; 34]) -> [__m512; 2] {
        let [d0, d1, steps @ ..] = *block;
        let d = scale(simd, [d0, d1]);
        let [low, high]: [__m128i; 2] = cast(steps);
        [times(simd, d, low), times(simd, d, high)]
    }
}

/// The numbers 0 to 15.
#[inline(always)]
fn steps(simd: V4) -> __m512 {
    simd.avx512f._mm512_setr_ps(
        0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
    )
}

/// The entries of `table` that the low and the high halves of 16 bytes point at.
#[inline(always)]
fn look_up(simd: V4, table: __m512, halves: [u8; 16]) -> [__m512; 2] {
    let bytes: __m512i = simd.avx512f._mm512_cvtepu8_epi32(cast(halves));
    let high = simd.avx512f._mm512_srli_epi32::<4>(bytes);
    // Only the lowest four bits of an index count.
    [
        simd.avx512f._mm512_permutexvar_ps(bytes, table),
        simd.avx512f._mm512_permutexvar_ps(high, table),
    ]
}

impl Blocks<18> for Q4_0 {
    #[inline(always)]
    fn decode(simd: V4, block: &[u8; 18]) -> [__m512; 2] {
        let [d0, d1, halves @ ..] = *block;
        let d = scale(simd, [d0, d1]);
        let eight = simd.avx512f._mm512_set1_ps(8.0);
        let centred = simd.avx512f._mm512_sub_ps(steps(simd), eight);
        look_up(simd, simd.avx512f._mm512_mul_ps(d, centred), halves)
    }
}

impl Blocks<20> for Q4_1 {
    #[inline(always)]
    fn decode(simd: V4, block: &[u8; 20]) -> [__m512; 2] {
        let [d0, d1, m0, m1, halves @ ..] = *block;
        // Scale and minimum by turns in the lanes: one conversion for both.
        let both = i32::from_le_bytes([d0, d1, m0, m1]);
        let both = simd
            .avx512f
            ._mm512_cvtph_ps(simd.avx._mm256_set1_epi32(both));
        let d = simd.avx512f._mm512_moveldup_ps(both);
        let m = simd.avx512f._mm512_movehdup_ps(both);
        // 11 bits times 4 bits is exact, so that this rounds once, as the plain form does.
        let table = simd.avx512f._mm512_fmadd_ps(d, steps(simd), m);
        look_up(simd, table, halves)
    }
}

/// Does `$what::<coding, BYTES, $n>($arguments)` for the coding found.
macro_rules! for_coding {
    ($coding:expr, $what:ident[$($n:ident)?], $($argument:expr),*) => {
        match $coding {
            Coding::F32 => $what::<F32, 128 $(, $n)?>($($argument),*),
            Coding::F16 => $what::<F16, 64 $(, $n)?>($($argument),*),
            Coding::Bf16 => $what::<Bf16, 64 $(, $n)?>($($argument),*),
            Coding::Q8_0 => $what::<Q8_0, 34 $(, $n)?>($($argument),*),
            Coding::Q4_0 => $what::<Q4_0, 18 $(, $n)?>($($argument),*),
            Coding::Q4_1 => $what::<Q4_1, 20 $(, $n)?>($($argument),*),
        }
    };
}

/// Decodes whole blocks.
#[inline(always)]
fn decode_blocks<B: Blocks<BYTES>, const BYTES: usize>(simd: V4, bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks::<BYTES>().0;
    let out = out.as_chunks_mut::<WEIGHTS>().0;
    for (out, block) in out.iter_mut().zip(blocks) {
        *out = cast(B::decode(simd, block));
    }
}

/// Bytes ahead of those in use that are asked for: beyond the page in use, where the processor does
/// not look ahead by itself.
const AHEAD: usize = 4096;

/// Asks for the line [`AHEAD`] bytes behind the beginning of `block`.
#[inline(always)]
fn ask_ahead(block: &[u8]) {
    let line = block.as_ptr().wrapping_add(AHEAD).cast();
    #[expect(unsafe_code, reason = "the hint takes a pointer")]
    // SAFETY: a hint reads nothing and faults nowhere, whatever the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(line);
    }
}

/// Inner products of every row in `bytes` with `N` inputs; `y` is `[rows, N]`.
#[inline(always)]
fn dot_blocks<B: Blocks<BYTES>, const BYTES: usize, const N: usize>(
    simd: V4,
    bytes: &[u8],
    x: [&[[f32; WEIGHTS]]; N],
    y: &mut [[f32; N]],
) {
    let n_blocks = x[0].len();
    let zero = simd.avx512f._mm512_setzero_ps();
    let blocks = bytes.as_chunks::<BYTES>().0;
    for (y, row) in y.iter_mut().zip(blocks.chunks_exact(n_blocks)) {
        let mut sums = [[zero; 2]; N];
        for (b, block) in row.iter().enumerate() {
            ask_ahead(block);
            let [low, high] = B::decode(simd, block);
            for i in 0..N {
                let [a, c]: [__m512; 2] = cast(x[i][b]);
                sums[i][0] = simd.avx512f._mm512_fmadd_ps(low, a, sums[i][0]);
                sums[i][1] = simd.avx512f._mm512_fmadd_ps(high, c, sums[i][1]);
            }
        }
        for i in 0..N {
            let [low, high] = sums[i];
            y[i] = total(simd, simd.avx512f._mm512_add_ps(low, high));
        }
    }
}

/// Sum of the lanes, halves onto each other.
#[inline(always)]
fn total(simd: V4, lanes: __m512) -> f32 {
    let [a, b]: [pulp::f32x8; 2] = cast(lanes);
    let eight = simd.avx._mm256_add_ps(cast(a), cast(b));
    let [a, b]: [pulp::f32x4; 2] = cast(eight);
    let [a, b, c, d]: [f32; 4] = cast(simd.sse._mm_add_ps(cast(a), cast(b)));
    (a + c) + (b + d)
}

/// Inner products of `q` with the first values of each row of `keys`, rows `step` apart, times
/// `factor`; `q` is whole vectors of 16.
pub(crate) fn scores(
    simd: V4,
    scores: &mut [f32],
    q: &[f32],
    keys: &[f32],
    step: usize,
    factor: f32,
) {
    let q = q.as_chunks::<16>().0;
    simd.vectorize(Loop(
        #[inline(always)]
        || {
            for (score, key) in scores.iter_mut().zip(keys.chunks(step)) {
                let mut sum = simd.avx512f._mm512_setzero_ps();
                for (q, key) in q.iter().zip(key.as_chunks::<16>().0) {
                    sum = simd.avx512f._mm512_fmadd_ps(cast(*q), cast(*key), sum);
                }
                *score = factor * total(simd, sum);
            }
        },
    ));
}

/// As [`super::coded::decode`], for whole blocks of [`WEIGHTS`].
pub(super) fn decode(simd: V4, coding: Coding, bytes: &[u8], out: &mut [f32]) {
    simd.vectorize(Loop(
        #[inline(always)]
        || for_coding!(coding, decode_blocks[], simd, bytes, out),
    ));
}

/// As [`super::coded::dot_rows`], for `N` inputs whose rows are whole blocks of [`WEIGHTS`].
pub(super) fn dot_rows<const N: usize>(
    simd: V4,
    coding: Coding,
    bytes: &[u8],
    x: [&[f32]; N],
    y: &mut [[f32; N]],
) {
    let x = x.map(|x| x.as_chunks().0);
    simd.vectorize(Loop(
        #[inline(always)]
        || for_coding!(coding, dot_blocks[N], simd, bytes, x, y),
    ));
}
