//! A process that is killed while it records decisions loses none that it acknowledged.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use schema::{Decision, FeatureId, ReviewState};
use store::{ArtefactKind, Project, StoreError};

const DIR: &str = "STORE_TEST_DIR";
const MARK: &str = "acknowledged ";

fn decision(project: &Project, feature: u32) -> Decision {
    Decision {
        sae: "s".to_owned(),
        sae_hash: project.sae_hash("s").unwrap(),
        feature: FeatureId(feature),
        state: ReviewState::Accepted,
        text: format!("label {feature}"),
        reviewer: "reader".to_owned(),
        at: store::utc_now(),
        ..Decision::default()
    }
}

/// Not a test of its own: run by the one below in a process to be killed.
#[test]
#[ignore = "run by the other test in a process of its own"]
#[expect(
    clippy::print_stdout,
    reason = "the parent reads what was acknowledged"
)]
fn record_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let project = Project::open(Path::new(&dir)).unwrap();
    let start = project.reviews("s").unwrap().len() as u32;
    for feature in start.. {
        project.decide(&decision(&project, feature)).unwrap();
        println!("{MARK}{feature}");
    }
}

#[test]
fn no_acknowledged_decision_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let project = Project::create(dir.path()).unwrap();
    let sae = project.begin(ArtefactKind::Sae, "s").unwrap();
    sae.write("sae.safetensors", b"weights").unwrap();
    sae.finish(&[], &[]).unwrap();
    drop(project);
    let mut expected = 0;
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "record_until_killed", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged =
            |line: &String| line.find(MARK).map(|at| line[at + MARK.len()..].to_owned());
        for _ in 0..7 * round {
            let feature = lines
                .by_ref()
                .map(Result::unwrap)
                .find_map(|line| acknowledged(&line))
                .unwrap();
            expected = feature.trim().parse::<usize>().unwrap() + 1;
        }
        let held = Project::open(dir.path()).unwrap_err();
        assert!(
            matches!(held, StoreError::Locked { pid: Some(pid), .. } if pid == child.id()),
            "{held}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        // What it acknowledged before the signal reached it.
        expected += lines.filter_map(|line| acknowledged(&line.ok()?)).count();
        let project = Project::open(dir.path()).unwrap();
        let standing = project.reviews("s").unwrap();
        // One more may have become durable without being acknowledged.
        assert!(
            (expected..=expected + 1).contains(&standing.len()),
            "{} of {expected}",
            standing.len()
        );
        assert!(
            standing
                .keys()
                .zip(0..)
                .all(|(feature, i)| *feature == FeatureId(i))
        );
        let faults = project.check(&mut |_| ControlFlow::Continue(())).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }
}
