//! What DICOM headers say about people reaches no file of a project.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use engine::views::ImportRequest;
use engine::{JobContext, Session};

#[path = "../../../tests/support/shared.rs"]
mod shared_files;

/// Texts of the basic de-identification profile's tags in the films of the shared data.
const IN_HEADERS: [&str; 16] = [
    "Anonymized",
    "FUJI95714",
    "FUJI PHOTO FILM",
    "FUJI95706",
    "Covid0000",
    "CompressedSamples",
    "19400305",
    "19790408",
    "16d7f894-55d7-4d95-8957-d18987f0e981",
    "MODALITYLUT-001",
    "FO-DICOM",
    "Lestrade",
    "Moriarty",
    "VOI^LUT^Test",
    "Riesmeier",
    "OFFIS",
];

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[test]
fn an_import_of_dicom_files_writes_nobodys_name() {
    let Some(dicom) = shared_files::shared("data/radiology/dicom") else {
        return;
    };
    // That the texts are there to be found.
    let mut sources = Vec::new();
    files_below(&dicom, &mut sources);
    sources.retain(|path| path.extension().is_some_and(|ending| ending == "dcm"));
    let sources: Vec<Vec<u8>> = sources
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    for text in IN_HEADERS {
        assert!(sources.iter().any(|bytes| contains(bytes, text)), "{text}");
    }

    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    let session = Session::create(&project).unwrap();
    let request = ImportRequest::Radiographs {
        name: "films".to_owned(),
        images: dicom.display().to_string(),
        table: String::new(),
        columns: String::new(),
        labels: String::new(),
        boxes: String::new(),
    };
    let told = session.import(&request, &JobContext::silent()).unwrap();
    assert!(told.n_samples > 5);
    let named = "carry patient names or numbers; they are never read into the project";
    assert!(
        told.warnings.iter().any(|line| line.ends_with(named)),
        "{:?}",
        told.warnings
    );
    let shown = format!("{told:?}");
    drop(session);

    let mut written = Vec::new();
    files_below(&project, &mut written);
    assert!(written.iter().any(|path| path.ends_with("samples.jsonl")));
    for text in IN_HEADERS {
        assert!(!shown.contains(text), "{text} is shown by the preview");
        for path in &written {
            let bytes = std::fs::read(path).unwrap();
            assert!(!contains(&bytes, text), "{text} is in {}", path.display());
        }
    }
}
