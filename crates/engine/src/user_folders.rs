//! Where the user keeps documents, so that nothing is made wherever the program happened to start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names tried before one with the process's number is taken.
const MOST_NAMES: u32 = 99;

/// A folder called `name`, or with a number behind it, among the user's documents, that does not exist
/// or is empty; among their other files where there are no documents.
pub fn free_folder(name: &str) -> String {
    free_in(&documents(), name).display().to_string()
}

fn free_in(base: &Path, name: &str) -> PathBuf {
    let is_free = |path: &PathBuf| {
        let mut entries = std::fs::read_dir(path);
        match &mut entries {
            Ok(entries) => entries.next().is_none(),
            Err(_) => !path.exists(),
        }
    };
    let numbered = (2..=MOST_NAMES).map(|n| base.join(format!("{name}-{n}")));
    let mut names = std::iter::once(base.join(name)).chain(numbered);
    let found = names.find(is_free);
    found.unwrap_or_else(|| base.join(format!("{name}-{}", std::process::id())))
}

/// A variable of the environment that says something.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A folder of the desktop's by its variable, or where it is in the home folder without one.
pub(crate) fn desktop_folder(name: &str, in_home: &str) -> Option<PathBuf> {
    let named = variable(name).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(variable("HOME")?).join(in_home)))
}

fn documents() -> PathBuf {
    let home = variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from);
    let Some(home) = home else {
        return std::env::current_dir().unwrap_or_default();
    };
    let named = if cfg!(any(windows, target_os = "macos")) {
        None
    } else {
        let settings = desktop_folder("XDG_CONFIG_HOME", ".config").unwrap_or_default();
        let text = std::fs::read_to_string(settings.join("user-dirs.dirs")).unwrap_or_default();
        documents_of(&text, &home)
    };
    let folder = named.unwrap_or_else(|| home.join("Documents"));
    if folder.is_dir() { folder } else { home }
}

/// The folder of documents that the desktop's settings name.
fn documents_of(text: &str, home: &Path) -> Option<PathBuf> {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("XDG_DOCUMENTS_DIR="))?;
    let path = line.trim().trim_matches('"');
    Some(match path.strip_prefix("$HOME") {
        Some(rest) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_passed_by() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        assert_eq!(free_in(base, "demo"), base.join("demo"));
        std::fs::create_dir(base.join("demo")).unwrap();
        assert_eq!(free_in(base, "demo"), base.join("demo"));
        std::fs::write(base.join("demo/film.png"), b"").unwrap();
        assert_eq!(free_in(base, "demo"), base.join("demo-2"));
        assert!(Path::new(&free_folder("demo")).is_absolute());
    }

    #[test]
    fn the_desktop_says_where_documents_are() {
        let home = Path::new("/home/ada");
        let text = "# comment\nXDG_DOCUMENTS_DIR=\"$HOME/Dokumente\"\n";
        let found = documents_of(text, home);
        assert_eq!(found, Some(PathBuf::from("/home/ada/Dokumente")));
        let found = documents_of("XDG_DOCUMENTS_DIR=\"/data/ada\"\n", home);
        assert_eq!(found, Some(PathBuf::from("/data/ada")));
        assert_eq!(documents_of("", home), None);
    }
}
