//! Numeric kernels of the recommenders.

pub(crate) mod norm;
pub(crate) mod product;
pub(crate) mod vectors;
