//! Runs a loop with the widest vector instructions this processor has.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions found"
)]

use pulp::NullaryFnOnce;

/// A closure as pulp calls it. Called by reference: calling a closure by value goes through a
/// function that the compiler makes without `#[inline(always)]`, and what is not inlined is
/// compiled for the baseline.
pub(super) struct Loop<Op>(pub(super) Op);

impl<R, Op: FnMut() -> R> NullaryFnOnce for Loop<Op> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// Calls `op`, compiled for AVX-512, AVX2 or the baseline of the target, whichever is the best
/// that the processor has. It and what it calls must be `#[inline(always)]` to profit.
#[cfg(target_arch = "x86_64")]
pub(crate) fn dispatch<R>(op: impl FnMut() -> R) -> R {
    if let Some(simd) = pulp::x86::V4::try_new() {
        simd.vectorize(Loop(op))
    } else if let Some(simd) = pulp::x86::V3::try_new() {
        simd.vectorize(Loop(op))
    } else {
        Loop(op).call()
    }
}

/// Calls `op`, compiled for the best instructions that `pulp` finds.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn dispatch<R>(op: impl FnMut() -> R) -> R {
    pulp::Arch::new().dispatch(Loop(op))
}
