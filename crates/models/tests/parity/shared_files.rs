//! Finds the reference material that is not part of the repository.

use std::path::{Path, PathBuf};

/// The path of `name` in the shared folder. Without it, says so and returns `None`, unless
/// `FLUOROSCOPE_REQUIRE_SHARED=1` makes that a failure.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
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

/// The JSON file `name` of the shared folder.
pub(crate) fn shared_json(name: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(shared(name)?).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// A JSON array of numbers as `T`.
pub(crate) fn numbers<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The largest absolute difference; infinite if the lengths differ or a value is not a number.
pub(crate) fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    a.iter().zip(b).fold(0.0, |most, (x, y)| {
        let difference = (x - y).abs();
        if difference.is_nan() {
            f32::INFINITY
        } else {
            most.max(difference)
        }
    })
}
