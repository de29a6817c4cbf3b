//! Where and how this program is installed: its bundle description, resources and bundle type.

use engine::{EngineError, Result};
use serde_json::json;
use tauri_utils::config::Config;
use tauri_utils::platform::{bundle_type, resource_dir};
use tauri_utils::{Env, PackageInfo};

use crate::text::Answer;

/// The one description of the application, shared with the installers.
const DESCRIPTION: &str = include_str!("../tauri.conf.json");

/// What the program is and where it lies.
pub(crate) fn about() -> Result<Answer> {
    let config: Config = serde_json::from_str(DESCRIPTION)
        .map_err(|error| EngineError::other(format!("tauri.conf.json: {error}")))?;
    let name = config.product_name.unwrap_or_default();
    let version = config.version.unwrap_or_default();
    let package = PackageInfo {
        name: name.clone(),
        version: version
            .parse()
            .map_err(|error| EngineError::other(format!("tauri.conf.json: version: {error}")))?,
        authors: env!("CARGO_PKG_AUTHORS"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        crate_name: env!("CARGO_PKG_NAME"),
    };
    let resources = resource_dir(&package, &Env::default())
        .map(|dir| dir.display().to_string())
        .unwrap_or_default();
    let bundle = bundle_type().map_or_else(
        || "none: run from a build or an archive".to_owned(),
        |kind| format!("{kind:?}"),
    );
    let device = engine::device();
    let weights = match device.weights.as_str() {
        "" => String::new(),
        weights => format!(", weights in {weights}"),
    };
    let lines = format!(
        "{name} {version}\nPackage: {bundle}\nResources: {resources}\nMAIRA-2 and LLaVA compute, \
         and top-k dictionaries are trained, on: {}{weights} ({})\nAll else \
         computes on: CPU, {} threads\nSends nothing anywhere. Research use, not for \
         diagnosis.\n",
        device.name,
        device.reason,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    Ok(Answer::new(
        json!({
            "name": name, "version": version, "package": bundle, "resources": resources,
            "device": device,
        }),
        lines,
    ))
}
