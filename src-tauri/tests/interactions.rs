//! Imports of item histories from the command line: the examples of the documentation as they
//! stand there, and what is refused.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "../../tests/support/shared.rs"]
mod support;

#[path = "support/executable.rs"]
mod executable;
#[path = "support/pages.rs"]
mod pages;

use std::path::Path;
use std::process::Command;

use executable::run;
use pages::{commands_of, root};
use serde_json::Value;

/// Runs a command that must succeed and returns its JSON.
fn json(dir: &Path, arguments: &[&str]) -> Value {
    let output = run(dir, &[arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_examples_of_the_documentation_run_as_they_stand() {
    let Some(data) = support::shared("data/recommender") else {
        return;
    };
    let page = std::fs::read_to_string(root().join("docs/data.md")).unwrap();
    let commands = commands_of(&page);
    assert_eq!(
        commands.matches("import-interactions").count(),
        7,
        "{commands}"
    );
    let dir = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_fluoroscope"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-eu", "-c", &commands])
        .current_dir(dir.path())
        .env("XDG_CONFIG_HOME", dir.path().join("config"))
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("S", data.ancestors().nth(2).unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2  Green tea"), "{said}");

    let project = dir.path().join("recommenders");
    let listed = json(&project, &["dataset", "list"]);
    let sizes: Vec<(&str, u64, u64)> = listed["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| {
            let manifest = &view["manifest"];
            (
                manifest["name"].as_str().unwrap(),
                manifest["n_samples"].as_u64().unwrap(),
                view["n_items"].as_u64().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("grocery", 14_681, 8_713),
        ("grocery-titled", 14_681, 8_713),
        ("movies", 671, 3_496),
        ("tiny", 1, 2),
        ("shop", 2, 3),
        ("sales", 2, 2),
    ] {
        assert!(sizes.contains(&expected), "{expected:?}: {sizes:?}");
        let n = page.contains(&format!("import-interactions {} ", expected.0));
        assert!(n, "{}", expected.0);
    }
    let sample = json(&project, &["dataset", "show", "grocery", "--sample", "0"]);
    let item = &sample["items"][0];
    assert_eq!(item["title"], format!("item {}", item["id"]));
}

#[test]
fn wrong_requests_end_with_status_2_and_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    json(at, &["project", "new", "p"]);
    std::fs::write(at.join("t.csv"), "user,item,time\na,x,soon\n").unwrap();
    std::fs::write(at.join("good.csv"), "user,item,time\na,x,1\na,y,2\n").unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();
    for (arguments, expected) in [
        (
            &["--path", "t.csv"][..],
            "t.csv: line 2, column `time`: `soon` is not a time",
        ),
        (
            &["--path", "nowhere"],
            "nowhere: there is no such file or folder",
        ),
        (
            &["--path", "empty"],
            "neither train.csv, dev.csv and test.csv (ReChorus)",
        ),
        (
            &["--path", "good.csv", "--layout", "lenskit"],
            "expected rechorus, movielens",
        ),
        (
            &["--path", "good.csv", "--split", "random"],
            "expected leave-one-out, global-time",
        ),
        (
            &["--path", "good.csv", "--core", "0"],
            "a core of 0 was asked for",
        ),
        (
            &["--path", "good.csv", "--core", "many"],
            "the core is \"many\"",
        ),
        (
            &["--path", "good.csv", "--min-rating", "4"],
            "has no ratings",
        ),
        (
            &["--path", "good.csv", "--columns", "user=who"],
            "no column `who`",
        ),
        (
            &["--path", "good.csv", "--items", "gone.csv"],
            "gone.csv: there is no such file",
        ),
    ] {
        let command = ["dataset", "import-interactions", "x", "--project", "p"];
        let output = run(at, &[&command[..], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
    let listed = json(at, &["dataset", "list", "--project", "p"]);
    assert_eq!(listed["datasets"].as_array().unwrap().len(), 0);
    let good = [
        "dataset",
        "import-interactions",
        "x",
        "--project",
        "p",
        "--path",
        "good.csv",
    ];
    let preview = json(at, &[&good[..], &["--preview"]].concat());
    assert_eq!(preview["n_samples"], 1);
    let listed = json(at, &["dataset", "list", "--project", "p"]);
    assert_eq!(listed["datasets"].as_array().unwrap().len(), 0);
}
