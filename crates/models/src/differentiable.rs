//! Fused operations with gradients: candle's own fused operations silently give none.
//!
//! All work on contiguous f32 tensors on the CPU, split rows over threads, and add up in an order
//! that does not depend on the number of threads.

pub(crate) mod activations;
pub(crate) mod affine;
pub(crate) mod attention;
pub(crate) mod norms;
pub(crate) mod objectives;
pub(crate) mod products;
pub(crate) mod rotary;
pub(crate) mod values;
