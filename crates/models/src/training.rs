//! Training of the small models under study, on the CPU, reproducible by seed.

pub mod adamw;
pub mod phantom_vlm;
