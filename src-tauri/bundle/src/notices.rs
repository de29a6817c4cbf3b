//! Collects the licences of everything that is linked into the program, as these licences demand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// The package whose dependencies are linked.
const PROGRAM: &str = "fluoroscope";
/// Folders, from the repository's root, whose text files are notices of fonts.
const FONT_NOTICES: &[&str] = &["assets/licences", "assets/fonts"];
/// How the names of licence files begin, in upper case.
const NAMES: &[&str] = &[
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// The notices of all crates linked into the program of the workspace at `root`, and of its fonts.
///
/// Every text stands once, after the list of those it belongs to.
pub(crate) fn collect(root: &Path) -> Result<String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec![
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            tauri_utils::platform::target_triple()?,
        ])
        .exec()
        .with_context(|| format!("{}: cargo metadata", root.display()))?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut without = BTreeSet::new();
    for package in linked(&metadata)? {
        let licence = package.license.as_deref().unwrap_or("no licence named");
        let title = format!("{} {} ({licence})", package.name, package.version);
        let files = licence_files(package)?;
        if files.is_empty() {
            without.insert(format!("{title}, {}", package.authors.join(", ")));
        }
        for file in files {
            texts.entry(read(&file)?).or_default().insert(title.clone());
        }
    }
    for folder in FONT_NOTICES {
        for file in files_of(&root.join(folder), &|path| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("txt"))
        })? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            texts
                .entry(read(&file)?)
                .or_default()
                .insert(format!("font notice: {name}"));
        }
    }
    Ok(print(&texts, &without))
}

/// The external packages that `PROGRAM` links, found through normal dependencies alone.
fn linked(metadata: &Metadata) -> Result<Vec<&Package>> {
    let graph = metadata
        .resolve
        .as_ref()
        .context("cargo metadata gave no dependency graph")?;
    let nodes: BTreeMap<&PackageId, _> = graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let program = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == PROGRAM)
        .with_context(|| format!("the workspace has no package {PROGRAM}"))?;
    let mut found = BTreeSet::from([&program.id]);
    let mut waiting = vec![&program.id];
    while let Some(node) = waiting.pop().and_then(|id| nodes.get(id)) {
        for dependency in &node.deps {
            let normal = |kind: DependencyKind| kind == DependencyKind::Normal;
            if dependency.dep_kinds.iter().any(|info| normal(info.kind))
                && found.insert(&dependency.pkg)
            {
                waiting.push(&dependency.pkg);
            }
        }
    }
    Ok(metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && found.contains(&package.id))
        .collect())
}

fn licence_files(package: &Package) -> Result<Vec<PathBuf>> {
    let folder = package
        .manifest_path
        .parent()
        .with_context(|| format!("{}: has no folder", package.manifest_path))?;
    let mut files = files_of(folder.as_std_path(), &|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        NAMES.iter().any(|start| name.starts_with(start))
    })?;
    if let Some(file) = package.license_file() {
        let file = file.into_std_path_buf();
        if file.is_file() && !files.contains(&file) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The files of `folder` that are `wanted`, in the order of their names.
fn files_of(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let place = || format!("{}: cannot be read", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        if wanted(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    // A few old notices are not UTF-8; a name with a replaced letter is better than no notice.
    Ok(String::from_utf8_lossy(&bytes)
        .replace("\r\n", "\n")
        .trim()
        .to_owned())
}

fn print(texts: &BTreeMap<String, BTreeSet<String>>, without: &BTreeSet<String>) -> String {
    let rule = "=".repeat(80);
    let mut page = "Fluoroscope contains the libraries and fonts named below.\n".to_owned();
    for (text, owners) in texts {
        let owners: Vec<_> = owners.iter().map(String::as_str).collect();
        // Writing to a string cannot fail.
        let _ = write!(page, "\n{rule}\n{}\n\n{text}\n", owners.join("\n"));
    }
    if !without.is_empty() {
        let owners: Vec<_> = without.iter().map(String::as_str).collect();
        let _ = write!(
            page,
            "\n{rule}\nPublished without a file of their own, under the licence named:\n\n{}\n",
            owners.join("\n")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_libraries_and_fonts_are_named_and_test_tools_are_not() {
        let page = collect(Path::new("../..")).unwrap();
        for name in [
            "egui 0.",
            "candle-core 0.",
            "sled 0.",
            "SIL OPEN FONT LICENSE",
            "UBUNTU FONT",
        ] {
            assert!(page.contains(name), "{name}");
        }
        assert!(!page.contains("egui_kittest"));
    }

    #[test]
    fn a_text_of_two_owners_stands_once() {
        let owners = BTreeSet::from(["a 1".to_owned(), "b 2".to_owned()]);
        let page = print(
            &BTreeMap::from([("Text".to_owned(), owners)]),
            &BTreeSet::new(),
        );
        assert_eq!(page.matches("Text").count(), 1);
        assert!(page.contains("a 1\nb 2\n"));
    }
}
