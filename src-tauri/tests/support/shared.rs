//! The shared material, for the tests of this folder.

use std::path::{Path, PathBuf};

/// The file or folder `name` of the shared material; says so where it is absent.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join(name);
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let required = std::env::var("FLUOROSCOPE_REQUIRE_SHARED").is_ok_and(|value| value == "1");
    assert!(!required, "{} is missing", path.display());
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    {
        eprintln!("skipped: {} is missing", path.display());
    }
    None
}
