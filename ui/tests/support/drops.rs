//! Files that are dropped on the window, as tests drop them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui_kittest::Harness;
use ui::App;

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("nobody reads it here".to_owned())
    }
}

/// Drops files and draws until it is known what they are.
pub(crate) fn drop_on(harness: &mut Harness<'static, App>, paths: &[&str]) {
    for path in paths {
        let file = Arc::new(Dropped(PathBuf::from(path)));
        harness.input_mut().dropped_files.push(file);
    }
    harness.run_steps(6);
}
