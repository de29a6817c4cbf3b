//! Writes the `.tar.gz`: one folder with the program, its licences and what a person reads first.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, HeaderMode};

/// Files of the repository's root that go along.
const ALONG: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Writes `name.tar.gz` into `output`; its only folder is called `name`.
///
/// The same files give the same bytes, whenever and by whomever it is written.
pub(crate) fn write(
    output: &Path,
    name: &str,
    root: &Path,
    binary: &Path,
    notices: &Path,
) -> Result<PathBuf> {
    let path = output.join(format!("{name}.tar.gz"));
    let unfinished = output.join(format!("{name}.tar.gz.tmp"));
    let place = || format!("{}: cannot be written", unfinished.display());
    let file = File::create(&unfinished).with_context(place)?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::best()));
    archive.mode(HeaderMode::Deterministic);
    let mut members = vec![binary.to_owned()];
    members.extend(ALONG.iter().map(|file| root.join(file)));
    members.push(notices.to_owned());
    for member in members {
        let file = member.file_name().context("a member without a name")?;
        archive
            .append_path_with_name(&member, Path::new(name).join(file))
            .with_context(|| format!("{}: cannot be packed", member.display()))?;
    }
    let file = archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .with_context(place)?;
    file.sync_all().with_context(place)?;
    std::fs::rename(&unfinished, &path)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;

    #[test]
    fn the_archive_holds_the_program_and_is_reproducible() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("fluoroscope");
        let notices = folder.path().join("third-party-notices.txt");
        for file in ALONG {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        std::fs::write(&binary, "program").unwrap();
        std::fs::write(&notices, "notices").unwrap();
        let write = || {
            let path = write(folder.path(), "name", folder.path(), &binary, &notices).unwrap();
            std::fs::read(path).unwrap()
        };
        let bytes = write();
        assert_eq!(bytes, write());
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert_eq!(names.first().unwrap(), Path::new("name/fluoroscope"));
        assert_eq!(names.len(), ALONG.len() + 2);
    }

    #[test]
    fn a_missing_member_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let error = write(folder.path(), "name", folder.path(), &gone, &gone).unwrap_err();
        assert!(error.to_string().contains("gone"));
        assert!(!folder.path().join("name.tar.gz").exists());
    }
}
