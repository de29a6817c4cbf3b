//! A project that is open elsewhere, read as it is now.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use schema::{Decision, Explanation, FeatureId, ReviewState};
use store::{ArtefactKind, Project, StoreError, utc_now};

fn add_sae(project: &Project, name: &str) {
    let sae = project.begin(ArtefactKind::Sae, name).unwrap();
    sae.write("sae.safetensors", name.as_bytes()).unwrap();
    sae.finish(&[], &[]).unwrap();
}

fn decision(project: &Project, feature: u32, text: &str) -> Decision {
    Decision {
        sae: "s".to_owned(),
        sae_hash: project.sae_hash("s").unwrap(),
        feature: FeatureId(feature),
        state: ReviewState::Accepted,
        text: text.to_owned(),
        reviewer: "Ada".to_owned(),
        at: utc_now(),
        ..Decision::default()
    }
}

/// Every file of the project and its bytes; the database's are its holder's business.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("db") {
                found.extend(files(&path));
                found.insert(path, Vec::new());
            }
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn an_open_project_is_read_as_it_is_and_nothing_in_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let open = Project::create(dir.path()).unwrap();
    add_sae(&open, "s");
    let explained = Explanation {
        feature: FeatureId(5),
        text: "effusion".to_owned(),
        by: "keywords".to_owned(),
        at: utc_now(),
        ..Explanation::default()
    };
    open.put_explanations("s", std::slice::from_ref(&explained))
        .unwrap();
    open.set_setting_durably("reviewer", "Ada").unwrap();
    open.decide(&decision(&open, 3, "nodule")).unwrap();
    let before = files(dir.path());

    let read = Project::open_to_read(dir.path()).unwrap();
    assert!(read.is_read_only() && !open.is_read_only());
    assert_eq!(read.open_in_process(), Some(std::process::id()));
    assert_eq!(read.review("s", FeatureId(3)).unwrap().text, "nodule");
    assert_eq!(read.explanations("s", FeatureId(5)).unwrap(), [explained]);
    assert_eq!(read.setting("reviewer").unwrap().as_deref(), Some("Ada"));
    assert!(read.is_finished(ArtefactKind::Sae, "s"));
    assert!(read.notices().is_empty(), "{:?}", read.notices());
    let refused = |error: StoreError| {
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert!(error.to_string().contains("close it there first"));
    };
    refused(read.decide(&decision(&read, 4, "line")).unwrap_err());
    refused(read.begin(ArtefactKind::Sae, "t").unwrap_err());
    refused(read.set_setting("reviewer", "Grace").unwrap_err());
    refused(read.remove(ArtefactKind::Sae, "s").unwrap_err());
    refused(read.keep_plot("plot", b"[]").unwrap_err());
    drop(read);
    assert!(files(dir.path()) == before, "reading changed the project");

    // The holder goes on, and who reads afterwards sees it.
    open.decide(&decision(&open, 4, "line")).unwrap();
    let again = Project::open_to_read(dir.path()).unwrap();
    assert_eq!(again.review("s", FeatureId(4)).unwrap().text, "line");
    assert!(matches!(
        Project::open(dir.path()).unwrap_err(),
        StoreError::Locked { .. }
    ));
}

#[test]
fn a_line_that_is_being_written_is_neither_an_error_nor_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let open = Project::create(dir.path()).unwrap();
    add_sae(&open, "s");
    open.decide(&decision(&open, 3, "nodule")).unwrap();
    let journal = dir.path().join("journal/decisions.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(b"{\"line\":1,\"prev\":\"").unwrap();
    // What the killing of a job leaves is the holder's to put right, too.
    fs::create_dir_all(dir.path().join(".scratch/saes-t")).unwrap();
    let before = files(dir.path());
    let read = Project::open_to_read(dir.path()).unwrap();
    assert!(read.notices().is_empty(), "{:?}", read.notices());
    assert_eq!(read.review("s", FeatureId(3)).unwrap().text, "nodule");
    assert_eq!(read.journal_hashes().unwrap().len(), 1);
    drop(read);
    assert!(files(dir.path()) == before, "reading changed the project");
}

#[test]
fn without_its_database_the_decisions_are_shown_and_a_notice_says_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let open = Project::create(dir.path()).unwrap();
    add_sae(&open, "s");
    open.decide(&decision(&open, 3, "nodule")).unwrap();
    drop(open);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let read = Project::open_to_read(dir.path()).unwrap();
    assert_eq!(read.review("s", FeatureId(3)).unwrap().text, "nodule");
    let notice = read.notices().join("\n");
    assert!(notice.contains("decisions are shown"), "{notice}");
    assert!(!dir.path().join("db").exists());
}
