//! What ships inside the executable: the phantom model's weights.

use std::path::Path;

use models::Architecture;

use crate::error::{EngineError, Result};
use crate::session::Session;

const CONFIG: &[u8] = include_bytes!("../../../assets/phantom-vlm/config.json");
#[expect(
    clippy::large_include_file,
    reason = "one executable, offline: the demo needs these 2 MB of weights wherever it is run"
)]
const WEIGHTS: &[u8] = include_bytes!("../../../assets/phantom-vlm/model.safetensors");

/// Writes the phantom model's files into `folder`.
///
/// # Errors
/// When a file cannot be written.
fn write_phantom_vlm(folder: &Path) -> Result<()> {
    for (name, bytes) in [("config.json", CONFIG), ("model.safetensors", WEIGHTS)] {
        let path = folder.join(name);
        std::fs::write(&path, bytes)
            .map_err(|error| EngineError::other(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

impl Session {
    /// Adds the phantom model that ships with the program.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_shipped_model(&self, name: &str) -> Result<()> {
        self.keep_model(
            name,
            Architecture::PhantomVlm,
            None,
            serde_json::json!({ "shipped": true }),
            write_phantom_vlm,
        )
    }
}
