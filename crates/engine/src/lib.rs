//! The API boundary of the program: what the user can ask for, and how long work is run.
//!
//! `ui` and the command line know this crate and `schema`, and nothing below.

pub mod engine;
pub mod error;
pub mod jobs;
pub mod views;

pub use engine::Engine;
pub use error::{EngineError, ErrorKind, Result};
pub use jobs::{Cancelled, JobContext, Observer, Progress, Wake};
