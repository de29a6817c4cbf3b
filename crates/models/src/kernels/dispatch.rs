//! Runs a loop with the widest vector instructions this processor has.

use pulp::NullaryFnOnce;

/// Calls `op`, compiled for AVX-512, AVX2 or the baseline of the target, whichever is the best
/// that the processor has. What it calls must be `#[inline(always)]` to profit.
#[cfg(target_arch = "x86_64")]
pub(crate) fn dispatch<Op: NullaryFnOnce>(op: Op) -> Op::Output {
    if let Some(simd) = pulp::x86::V4::try_new() {
        simd.vectorize(op)
    } else if let Some(simd) = pulp::x86::V3::try_new() {
        simd.vectorize(op)
    } else {
        op.call()
    }
}

/// Calls `op`, compiled for the best instructions that `pulp` finds.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn dispatch<Op: NullaryFnOnce>(op: Op) -> Op::Output {
    pulp::Arch::new().dispatch(op)
}
