//! datasets
pub mod phantom;
