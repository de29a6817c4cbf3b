//! Decisions, explanations and settings through the public interface; damage and rebuilding.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

#[path = "../../../tests/support/folders.rs"]
mod folders;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use schema::{Association, Decision, Explanation, FeatureId, ReviewState};
use store::{ArtefactKind, Project, Standing, StoreError, utc_now};

fn add_sae(project: &Project, weights: &[u8]) {
    let sae = project.begin_replacing(ArtefactKind::Sae, "s").unwrap();
    sae.write("sae.safetensors", weights).unwrap();
    sae.finish(&[], &[]).unwrap();
}

fn project(dir: &Path) -> Project {
    let project = Project::create(dir).unwrap();
    add_sae(&project, b"weights");
    project
}

fn decision(project: &Project, feature: u32, state: ReviewState, text: &str) -> Decision {
    Decision {
        sae: "s".to_owned(),
        sae_hash: project.sae_hash("s").unwrap(),
        feature: FeatureId(feature),
        state,
        text: text.to_owned(),
        reviewer: "A. Reader\n\"quoted\"".to_owned(),
        at: utc_now(),
        ..Decision::default()
    }
}

fn three_decisions(project: &Project) {
    for (feature, state, text) in [
        (3, ReviewState::Accepted, "nodule"),
        (9, ReviewState::Rejected, ""),
        (3, ReviewState::Edited, "right upper nodule"),
    ] {
        project
            .decide(&decision(project, feature, state, text))
            .unwrap();
    }
}

fn check_three(project: &Project) {
    let standing = project.review("s", FeatureId(3)).unwrap();
    assert_eq!(standing.text, "right upper nodule");
    let history = project.history("s", FeatureId(3)).unwrap();
    assert_eq!(
        history.iter().map(|d| d.state).collect::<Vec<_>>(),
        [ReviewState::Accepted, ReviewState::Edited]
    );
    assert_eq!(
        project.review("s", FeatureId(4)).unwrap(),
        Standing::default()
    );
    let counts: Vec<_> = project.review_counts("s").unwrap().into_iter().collect();
    assert_eq!(
        counts,
        [(ReviewState::Edited, 1), (ReviewState::Rejected, 1)]
    );
    assert_eq!(project.reviews("s").unwrap().len(), 2);
}

fn faults(project: &Project) -> Vec<String> {
    project
        .check(&mut |_| ControlFlow::Continue(()))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn decisions_are_found_again_and_chained() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    check_three(&created);
    let receipt = created
        .decide(&decision(&created, 5, ReviewState::Unsure, ""))
        .unwrap();
    assert_eq!(receipt.line, 3);
    let journal = fs::read_to_string(dir.path().join("journal/decisions.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    for pair in lines.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["hash"]);
    }
    assert_eq!(lines[3]["hash"], receipt.hash.as_str());
    assert_eq!(lines[2]["text"], "right upper nodule");
    assert!(faults(&created).is_empty());
    drop(created);
    let opened = Project::open(dir.path()).unwrap();
    assert!(opened.notices().is_empty(), "{:?}", opened.notices());
    assert_eq!(opened.history("s", FeatureId(5)).unwrap().len(), 1);
    assert!(faults(&opened).is_empty());
}

#[test]
fn a_decision_cannot_attach_itself_to_another_dictionary() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    three_decisions(&project);
    let old = decision(&project, 3, ReviewState::Accepted, "x");
    add_sae(&project, b"other weights");
    assert!(matches!(
        project.decide(&old),
        Err(StoreError::DifferentDictionary { .. })
    ));
    assert_eq!(
        project.review("s", FeatureId(3)).unwrap(),
        Standing::default()
    );
    assert!(project.review_counts("s").unwrap().is_empty());
    // They are listed, not applied.
    assert_eq!(project.stale_records("s").unwrap().len(), 3);
    assert!(project.records("s").unwrap().is_empty());
    // The same weights again: the decisions are theirs.
    add_sae(&project, b"weights");
    check_three(&project);
    assert!(project.stale_records("s").unwrap().is_empty());
    assert!(project.review("t", FeatureId(0)).is_err());
}

#[test]
fn accepting_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    assert!(
        project
            .decide(&decision(&project, 1, ReviewState::Accepted, " "))
            .is_err()
    );
    assert!(!dir.path().join("journal").exists());
}

#[test]
fn a_torn_last_line_is_moved_aside_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    drop(created);
    let path = dir.path().join("journal/decisions.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"line\":3,\"prev\":\"");
    fs::write(&path, &text).unwrap();
    let opened = Project::open(dir.path()).unwrap();
    assert!(
        opened.notices()[0].contains("half written"),
        "{:?}",
        opened.notices()
    );
    let torn = fs::read_to_string(dir.path().join("journal/decisions.jsonl.torn")).unwrap();
    assert_eq!(torn, "{\"line\":3,\"prev\":\"\n");
    check_three(&opened);
    let next = decision(&opened, 4, ReviewState::Accepted, "line");
    assert_eq!(opened.decide(&next).unwrap().line, 3);
    assert!(faults(&opened).is_empty());
}

#[test]
fn any_flipped_byte_of_the_journal_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    let path = dir.path().join("journal/decisions.jsonl");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let found = faults(&created);
        assert!(
            found.iter().any(|fault| fault.contains("decisions.jsonl")),
            "byte {at}: {found:?}"
        );
    }
    fs::write(&path, &good).unwrap();
    assert!(faults(&created).is_empty());
}

#[test]
fn a_changed_line_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    drop(created);
    let path = dir.path().join("journal/decisions.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("right upper", "left lower")).unwrap();
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let opened = Project::open(dir.path()).unwrap();
    assert!(
        opened.notices()[0].contains("line 3"),
        "{:?}",
        opened.notices()
    );
    let standing = opened.review("s", FeatureId(3)).unwrap();
    assert_eq!(standing.text, "nodule");
    assert_eq!(faults(&opened).len(), 1);
    // The next line links to the damaged one, so no further damage is seen.
    opened
        .decide(&decision(&opened, 4, ReviewState::Accepted, "line"))
        .unwrap();
    assert_eq!(faults(&opened).len(), 1);
}

#[test]
fn the_database_is_rebuilt_when_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    drop(created);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let opened = Project::open(dir.path()).unwrap();
    check_three(&opened);
    assert!(faults(&opened).is_empty());
}

#[test]
fn the_database_is_rebuilt_when_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    three_decisions(&created);
    drop(created);
    for entry in fs::read_dir(dir.path().join("db")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::write(&path, vec![0xa5; length]).unwrap();
        }
    }
    let opened = Project::open(dir.path()).unwrap();
    assert!(
        opened.notices()[0].contains("damaged"),
        "{:?}",
        opened.notices()
    );
    assert!(dir.path().join("db.damaged-1").is_dir());
    check_three(&opened);
    assert!(faults(&opened).is_empty());
}

#[test]
fn a_database_that_lags_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let (early, late) = (dir.path().join("early"), dir.path().join("late"));
    let created = project(&early);
    three_decisions(&created);
    drop(created);
    folders::copy_folder(&early, &late);
    let more = Project::open(&early).unwrap();
    more.decide(&decision(&more, 7, ReviewState::Accepted, "seven"))
        .unwrap();
    drop(more);
    let journal = "journal/decisions.jsonl";
    fs::copy(early.join(journal), late.join(journal)).unwrap();
    let opened = Project::open(&late).unwrap();
    check_three_and_seven(&opened);
    drop(opened);
    // And the other way: a journal shorter than the database keeps what it lacks.
    let text = fs::read_to_string(late.join(journal)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(late.join(journal), lines[..3].join("\n") + "\n").unwrap();
    let opened = Project::open(&late).unwrap();
    assert!(
        opened.notices()[0].contains("lacks 1 decisions"),
        "{:?}",
        opened.notices()
    );
    let lost = fs::read_to_string(late.join("journal/lost-1.jsonl")).unwrap();
    assert!(lost.contains("seven"));
    check_three(&opened);
}

fn check_three_and_seven(project: &Project) {
    assert_eq!(project.reviews("s").unwrap().len(), 3);
    let seven = project.review("s", FeatureId(7)).unwrap();
    assert_eq!(seven.text, "seven");
}

fn association(name: &str) -> Association {
    Association {
        name: name.to_owned(),
        log_odds: 2.5,
        interval: [1.0, 4.0],
        auroc: 0.9,
        auroc_interval: None,
        p: 1e-12,
        q: 1e-11,
        n_with: 10,
        n_without: 90,
    }
}

fn fill_database(project: &Project) {
    let explanation = Explanation {
        feature: FeatureId(3),
        text: "pleural effusion".to_owned(),
        by: "keywords".to_owned(),
        evidence: vec![association("effusion")],
        at: utc_now(),
        ..Explanation::default()
    };
    let other = Explanation {
        text: "fluid".to_owned(),
        at: utc_now(),
        ..explanation.clone()
    };
    let on_another = Explanation {
        feature: FeatureId(300),
        ..explanation.clone()
    };
    project
        .put_explanations("s", &[explanation.clone(), on_another])
        .unwrap();
    project
        .put_explanations("s", &[explanation, other])
        .unwrap();
    project
        .put_associations("s", &[(FeatureId(3), vec![association("effusion")])])
        .unwrap();
    let all = project.all_associations("s").unwrap();
    assert_eq!(all, [(FeatureId(3), vec![association("effusion")])]);
    project.set_setting("reviewer", "A. Reader").unwrap();
}

#[test]
fn a_proposer_takes_back_what_it_would_no_longer_say() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    let said = |feature: u32, by: &str, text: &str| Explanation {
        feature: FeatureId(feature),
        text: text.to_owned(),
        by: by.to_owned(),
        evidence: Vec::new(),
        at: utc_now(),
        ..Explanation::default()
    };
    let before = [
        said(1, "keywords", "nodule"),
        said(1, "model", "round shadow"),
        said(2, "keywords", "mark of a source"),
    ];
    project.put_explanations("s", &before).unwrap();
    project
        .replace_explanations("s", "keywords", &[said(1, "keywords", "mass")])
        .unwrap();
    let texts = |feature| -> Vec<String> {
        let known = project.explanations("s", FeatureId(feature)).unwrap();
        known.into_iter().map(|e| e.text).collect()
    };
    assert_eq!(texts(1), ["round shadow", "mass"]);
    assert!(texts(2).is_empty());
    assert_eq!(project.latest_explanations("s").unwrap().len(), 1);
}

fn check_database(project: &Project) {
    let explanations = project.explanations("s", FeatureId(3)).unwrap();
    let texts: Vec<&str> = explanations.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(texts, ["pleural effusion", "fluid"]);
    let latest = project.latest_explanations("s").unwrap();
    assert_eq!(latest.len(), 2);
    assert_eq!(
        (latest[0].feature, latest[1].feature),
        (FeatureId(3), FeatureId(300))
    );
    assert_eq!(
        project.associations("s", FeatureId(3)).unwrap(),
        [association("effusion")]
    );
    assert!(project.associations("s", FeatureId(4)).unwrap().is_empty());
    assert_eq!(
        project.setting("reviewer").unwrap().as_deref(),
        Some("A. Reader")
    );
    assert_eq!(project.setting("other").unwrap(), None);
}

#[test]
fn explanations_associations_and_settings_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    fill_database(&created);
    check_database(&created);
    drop(created);
    check_database(&Project::open(dir.path()).unwrap());
}

#[test]
fn a_backup_is_the_whole_project() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(&dir.path().join("p"));
    three_decisions(&created);
    fill_database(&created);
    // Inside the project, as a careless user would; the next backup must not swallow it.
    let zip = dir.path().join("p/backup.zip");
    let mut go_on = |_: store::BackupProgress| ControlFlow::Continue(());
    let n = created.backup(&zip, &mut go_on).unwrap();
    assert_eq!(created.backup(&zip, &mut go_on).unwrap(), n);
    let restored = Project::restore(&zip, &dir.path().join("q"), &mut go_on).unwrap();
    check_three(&restored);
    check_database(&restored);
    assert!(faults(&restored).is_empty());
    assert!(restored.notices().is_empty());
    assert!(!dir.path().join("q/database.jsonl").exists());
    assert_eq!(
        restored.hashes(ArtefactKind::Sae, "s").unwrap(),
        created.hashes(ArtefactKind::Sae, "s").unwrap()
    );
    assert!(matches!(
        Project::restore(&zip, &dir.path().join("q"), &mut go_on),
        Err(StoreError::CannotCreate { .. })
    ));
}

#[test]
fn a_damaged_or_stopped_backup_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(&dir.path().join("p"));
    let zip = dir.path().join("b.zip");
    assert!(matches!(
        created.backup(&zip, &mut |_| ControlFlow::Break(())),
        Err(StoreError::Stopped)
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let mut go_on = |_: store::BackupProgress| ControlFlow::Continue(());
    created.backup(&zip, &mut go_on).unwrap();
    let good = fs::read(&zip).unwrap();
    let at = good.windows(7).position(|w| w == b"weights").unwrap();
    let mut flipped = good.clone();
    flipped[at] ^= 1;
    for bad in [&good[..good.len() / 2], &flipped, b"no zip at all"] {
        fs::write(&zip, bad).unwrap();
        let error = Project::restore(&zip, &dir.path().join("q"), &mut go_on)
            .unwrap_err()
            .to_string();
        assert!(error.contains("b.zip"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

#[test]
fn a_journal_of_an_older_version_is_read_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let created = project(dir.path());
    let hash = created.sae_hash("s").unwrap();
    drop(created);
    // As version 0.1.0 wrote it before decisions had roles: line, link, eight fields, hash.
    let mut prev = "0".repeat(64);
    let mut text = String::new();
    for (line, state) in [(0, "accepted"), (1, "edited")] {
        let body = format!(
            r#"{{"line":{line},"prev":"{prev}","sae":"s","sae_hash":"{hash}","feature":3,"state":"{state}","text":"{state} text","edited_from":"","reviewer":"A. Reader","at":"2026-11-23T09:00:00Z""#
        );
        prev = store::blake3_of_bytes(body.as_bytes());
        text.push_str(&body);
        text.push_str(&[",\"hash\":\"", &prev, "\"}\n"].concat());
    }
    fs::create_dir_all(dir.path().join("journal")).unwrap();
    fs::write(dir.path().join("journal/decisions.jsonl"), &text).unwrap();
    let opened = Project::open(dir.path()).unwrap();
    assert!(opened.notices().is_empty(), "{:?}", opened.notices());
    let standing = opened.review("s", FeatureId(3)).unwrap();
    assert_eq!(standing.text, "edited text");
    assert_eq!(opened.journal_hashes().unwrap()[1], prev);
    // New fields follow old lines in one chain.
    let mut next = decision(&opened, 3, ReviewState::Rejected, "");
    next.reviewer = "B".to_owned();
    next.role = schema::CaseRole::SecondReader;
    next.confidence = Some(7);
    next.shown = Some(schema::Shown {
        text: "accepted text".to_owned(),
        milliseconds: 4_200,
        ..schema::Shown::default()
    });
    opened.decide(&next).unwrap();
    drop(opened);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let again = Project::open(dir.path()).unwrap();
    assert!(again.notices().is_empty(), "{:?}", again.notices());
    assert!(faults(&again).is_empty());
    assert_eq!(again.records("s").unwrap()[2].decision, next);
    let standing = again.review("s", FeatureId(3)).unwrap();
    assert_eq!(standing.state, ReviewState::Conflict);
    let written = fs::read_to_string(dir.path().join("journal/decisions.jsonl")).unwrap();
    assert!(written.starts_with(&text));
}

#[test]
fn a_line_takes_another_back_only_if_it_is_there_and_the_reviewers_own() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    three_decisions(&project);
    let mut undo = decision(&project, 3, ReviewState::Accepted, "nodule");
    undo.takes_back = Some(1);
    assert!(matches!(
        project.decide(&undo),
        Err(StoreError::Invalid { .. })
    ));
    undo.takes_back = Some(2);
    undo.reviewer = "somebody else".to_owned();
    assert!(project.decide(&undo).is_err());
    undo.reviewer = decision(&project, 3, ReviewState::Unseen, "").reviewer;
    project.decide(&undo).unwrap();
    let standing = project.review("s", FeatureId(3)).unwrap();
    assert_eq!(
        (standing.state, standing.text.as_str()),
        (ReviewState::Accepted, "nodule")
    );
    for bad in [
        Decision {
            state: ReviewState::Conflict,
            ..decision(&project, 3, ReviewState::Unseen, "")
        },
        Decision {
            confidence: Some(10),
            ..decision(&project, 3, ReviewState::Unsure, "")
        },
    ] {
        assert!(project.decide(&bad).is_err());
    }
    assert_eq!(project.records("s").unwrap().len(), 4);
}
