//! What the program remembers of its user between sessions: recent projects, reviewer, window.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::user_folders::{desktop_folder, variable};
use crate::views::{Preferences, RecentProject};

/// Projects remembered.
const MAX_RECENT: usize = 12;

/// Contents of `settings.json` in the user's configuration folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Folders, newest first.
    recent: Vec<PathBuf>,
    /// The project that is open, or was when the program was left; none once it is closed.
    open: Option<PathBuf>,
    /// Name on decisions.
    pub(crate) reviewer: String,
    /// What the user chose for this computer.
    pub(crate) preferences: Preferences,
    /// What the window remembers of itself; its own text.
    pub(crate) window: String,
    /// Where the window was in each of the recent projects; its own text.
    places: BTreeMap<PathBuf, String>,
    /// Whether they come from the user's file and go back there.
    #[serde(skip)]
    kept: bool,
}

/// The user's configuration folder for this program; `None` where the system names none.
fn folder() -> Option<PathBuf> {
    let base = if cfg!(windows) {
        PathBuf::from(variable("APPDATA")?)
    } else if cfg!(target_os = "macos") {
        PathBuf::from(variable("HOME")?).join("Library/Application Support")
    } else {
        desktop_folder("XDG_CONFIG_HOME", ".config")?
    };
    Some(base.join("fluoroscope"))
}

/// The user's folder for what can be made again; `None` where the system names none.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let base = if cfg!(windows) {
        PathBuf::from(variable("LOCALAPPDATA")?)
    } else if cfg!(target_os = "macos") {
        PathBuf::from(variable("HOME")?).join("Library/Caches")
    } else {
        desktop_folder("XDG_CACHE_HOME", ".cache")?
    };
    Some(base.join("fluoroscope"))
}

impl Settings {
    /// Reads the file; what cannot be read counts as empty, since nothing in it is precious.
    pub(crate) fn load() -> Self {
        let read: Self = folder()
            .and_then(|folder| std::fs::read(folder.join("settings.json")).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { kept: true, ..read }
    }

    /// Writes the file; a system without a configuration folder forgets.
    pub(crate) fn save(&self) {
        let Some(folder) = folder().filter(|_| self.kept) else {
            return;
        };
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
        self.open = Some(dir.clone());
        self.recent.retain(|known| *known != dir);
        self.recent.insert(0, dir);
        self.recent.truncate(MAX_RECENT);
        let recent = &self.recent;
        self.places.retain(|dir, _| recent.contains(dir));
    }

    /// The user closed the project.
    pub(crate) fn closed(&mut self) {
        self.open = None;
    }

    /// The project that was open when the program was left.
    pub(crate) fn last(&self) -> Option<RecentProject> {
        self.open.as_deref().map(seen)
    }

    /// Where the window was in a project.
    pub(crate) fn place(&self, dir: &Path) -> Option<String> {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        self.places.get(&dir).cloned()
    }

    /// Remembers where the window is in a project; `false` when that was known.
    pub(crate) fn keep_place(&mut self, dir: &Path, text: &str) -> bool {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let known = self.places.get(&dir).is_some_and(|known| known == text);
        if !known {
            self.places.insert(dir, text.to_owned());
        }
        !known
    }

    /// Projects, newest first.
    pub(crate) fn recent(&self) -> Vec<RecentProject> {
        self.recent.iter().map(|dir| seen(dir)).collect()
    }
}

/// A project as the start screen sees it.
fn seen(dir: &Path) -> RecentProject {
    RecentProject {
        path: dir.display().to_string(),
        name: dir
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        exists: store::Project::is_project(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_per_project_and_go_with_it() {
        let mut settings = Settings::default();
        settings.opened(Path::new("/nowhere/a"));
        assert!(settings.keep_place(Path::new("/nowhere/a"), "here"));
        assert!(!settings.keep_place(Path::new("/nowhere/a"), "here"));
        assert_eq!(
            settings.place(Path::new("/nowhere/a")).as_deref(),
            Some("here")
        );
        assert_eq!(settings.place(Path::new("/nowhere/b")), None);
        for i in 0..MAX_RECENT {
            settings.opened(&PathBuf::from(format!("/nowhere/other {i}")));
        }
        assert_eq!(settings.place(Path::new("/nowhere/a")), None);
    }

    #[test]
    fn the_project_that_was_open_is_known_until_it_is_closed() {
        let mut settings = Settings::default();
        assert_eq!(settings.last(), None);
        settings.opened(Path::new("/nowhere/a"));
        settings.opened(Path::new("/nowhere/b"));
        let text = serde_json::to_string(&settings).unwrap();
        let mut settings: Settings = serde_json::from_str(&text).unwrap();
        let last = settings.last().unwrap();
        assert_eq!((last.path.as_str(), last.exists), ("/nowhere/b", false));
        settings.closed();
        assert_eq!(settings.last(), None);
        assert_eq!(settings.recent().len(), 2);
    }
}
