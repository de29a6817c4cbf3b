//! Parts that recommenders are made of, each with its forward and its backward pass.
//!
//! Rows of several histories lie end to end, without padding; `lengths` says where each ends.

pub(crate) mod gru;
pub(crate) mod interests;
pub(crate) mod linear;
pub(crate) mod transformer;
