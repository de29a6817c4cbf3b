//! Fast loops on plain slices for the CPU: matrix products and what goes on between them.
//!
//! Every loop adds in a fixed order, whatever the number of threads. Most run on one thread and
//! callers divide the work, few rows with the threads of a `gang`.

pub(crate) mod coded;
pub(crate) mod dispatch;
pub(crate) mod elementwise;
pub(crate) mod gang;
pub(crate) mod matmul;
#[cfg(target_arch = "x86_64")]
pub(crate) mod wide;
