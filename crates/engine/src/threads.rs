//! How many threads compute.

use crate::error::{EngineError, Result};

/// Limits the threads of every computation; `None` for all cores. Call once, before the first job.
///
/// # Errors
/// When the number is 0, or computations have already begun.
pub(crate) fn set_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    if threads == 0 {
        return Err(EngineError::request("--threads is 0; expected at least 1"));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| EngineError::other(format!("cannot set the number of threads: {error}")))
}
