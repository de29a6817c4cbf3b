//! Image encoders under study and what is done to a film before them.

pub mod dinov2;
pub mod pool;
pub mod preprocess;
pub mod processor;
pub mod tiny_vit;

pub use pool::average_pool;
pub use tiny_vit::{TinyVitModel, load_tiny_vit};
pub mod vit;
