//! The dependency directions of `ARCHITECTURE.md`, checked from `cargo metadata`.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crate -> the workspace crates it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("datasets", &["schema"]),
    ("torch_file", &[]),
    ("models", &["schema", "torch_file"]),
    ("sae", &["schema", "torch_file"]),
    ("store", &["schema"]),
    ("explain", &["schema"]),
    (
        "engine",
        &["schema", "datasets", "models", "sae", "store", "explain"],
    ),
    ("ui", &["schema", "engine"]),
    ("fluoroscope", &["schema", "engine", "ui"]),
    ("integration", &[]),
];

/// External crate -> the only workspace crates that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("egui", &["ui"]),
    ("egui_extras", &["ui"]),
    ("egui_plot", &["ui"]),
    ("egui_tiles", &["ui"]),
    ("eframe", &["ui", "fluoroscope"]),
    ("rfd", &["ui"]),
    ("zbus", &["ui"]),
    ("sled", &["store"]),
    ("candle-core", &["models", "sae"]),
    ("candle-nn", &["models", "sae"]),
    ("tokenizers", &["models"]),
    ("gemm", &["models", "sae"]),
    ("dicom-object", &["datasets"]),
    ("dicom-pixeldata", &["datasets"]),
    ("csv", &["datasets", "sae"]),
    ("parquet", &["sae"]),
    ("zip", &["sae", "store", "torch_file"]),
    ("anyhow", &["fluoroscope"]),
    ("clap", &["fluoroscope"]),
    ("tauri-utils", &["fluoroscope"]),
];

/// Every breach of the two tables among the members of `metadata`.
fn breaches(metadata: &Metadata) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let members: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut breaches = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(may_use) = allowed.get(name) else {
            breaches.push(format!("{name} is missing from ALLOWED"));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Development {
                continue;
            }
            let target = dependency.name.as_str();
            if members.contains(target) && !may_use.contains(&target) {
                breaches.push(format!("{name} may not depend on {target}"));
            }
            if let Some((_, owners)) = ONLY_IN.iter().find(|(external, _)| *external == target)
                && !owners.contains(&name)
            {
                breaches.push(format!("{name} may not name {target}"));
            }
        }
    }
    breaches
}

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

#[test]
fn crates_depend_only_downwards() {
    let breaches = breaches(&metadata());
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn a_breach_is_found() {
    let mut metadata = metadata();
    let sled = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "store")
        .and_then(|store| store.dependencies.iter().find(|d| d.name == "sled"))
        .unwrap()
        .clone();
    let ui = metadata
        .packages
        .iter_mut()
        .find(|package| package.name.as_str() == "ui")
        .unwrap();
    ui.dependencies.push(sled);
    assert_eq!(breaches(&metadata), ["ui may not name sled"]);
}
