//! The shared material, for the tests of every member.

use std::path::{Path, PathBuf};

/// The file or folder `name` of the shared material; says so where it is absent.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    // Beside the checkout, however deep in it the member lies.
    let beside = || {
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut places = folders.map(|folder| folder.with_file_name("shared"));
        let found = places.find(|place| place.join("fixtures").is_dir());
        found.unwrap_or_else(|| PathBuf::from("../shared"))
    };
    let root = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join(name);
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let required = std::env::var_os("FLUOROSCOPE_REQUIRE_SHARED").is_some();
    assert!(!required, "{} is missing", path.display());
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    {
        eprintln!("skipped: {} is missing", path.display());
    }
    None
}
