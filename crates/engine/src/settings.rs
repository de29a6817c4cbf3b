//! What the program remembers of its user between sessions: recent projects, reviewer, window.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::views::RecentProject;

/// Projects remembered.
const MAX_RECENT: usize = 12;

/// Contents of `settings.json` in the user's configuration folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Folders, newest first.
    recent: Vec<PathBuf>,
    /// Name on decisions.
    pub(crate) reviewer: String,
    /// What the window remembers of itself; its own text.
    pub(crate) window: String,
}

/// The user's configuration folder for this program; `None` where the system names none.
fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = if cfg!(windows) {
        PathBuf::from(set("APPDATA")?)
    } else if cfg!(target_os = "macos") {
        PathBuf::from(set("HOME")?).join("Library/Application Support")
    } else {
        set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")))?
    };
    Some(base.join("fluoroscope"))
}

impl Settings {
    /// Reads the file; what cannot be read counts as empty, since nothing in it is precious.
    pub(crate) fn load() -> Self {
        folder()
            .and_then(|folder| std::fs::read(folder.join("settings.json")).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Writes the file; a system without a configuration folder forgets.
    pub(crate) fn save(&self) {
        let Some(folder) = folder() else { return };
        if std::fs::create_dir_all(&folder).is_ok()
            && let Ok(bytes) = serde_json::to_vec_pretty(self)
        {
            let path = folder.join("settings.json");
            store::write_atomically(&path, &bytes, store::Durability::Process).ok();
        }
    }

    /// Puts a project first.
    pub(crate) fn opened(&mut self, dir: &Path) {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        self.recent.retain(|known| *known != dir);
        self.recent.insert(0, dir);
        self.recent.truncate(MAX_RECENT);
    }

    /// Projects, newest first.
    pub(crate) fn recent(&self) -> Vec<RecentProject> {
        self.recent
            .iter()
            .map(|dir| RecentProject {
                path: dir.display().to_string(),
                name: dir
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                exists: store::Project::is_project(dir),
            })
            .collect()
    }
}
