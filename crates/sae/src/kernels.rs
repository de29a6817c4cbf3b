//! The loops that cost time, vectorised for the processor at hand; results do not depend on it.
//!
//! Every sum has one fixed order (fused multiply-adds along the row, or 32 fixed lanes), so the
//! AVX-512, AVX2 and portable forms of a loop give the same bits, on any number of threads.

mod adam;
mod decode;
mod encode;
mod gradient;
mod level;
#[cfg(test)]
pub(crate) mod reference;
mod select;
mod vector;

pub(crate) use adam::{ADAM_EPSILON, AdamStep, SignStep, adam, averaged, signum};
pub(crate) use decode::{
    LevelPass, Levels, RowBlock, decode_gradients, decode_levels, decode_rows,
};
pub(crate) use encode::{BlockBuffer, PackedEncoder};
pub(crate) use gradient::{Entry, Rows, feature_gradient, remove_parallel, unit_norm};
pub(crate) use select::{
    above_threshold, group_maxima, highest, highest_of_any_sign, keep_highest,
};
pub(crate) use vector::{add_scaled, centre, dot, is_finite, squared_distance};
