//! Every shell command in README.md and docs/*.md that can run here runs as it stands there.
//!
//! Pages run one after another, each in a folder of its own in which `DEMO` is a small project, the
//! one that docs/researchers.md makes, and `assets` and `tests` are those of the repository. Blocks
//! marked `sh norun` are counted below; that their commands and options exist is a test of
//! `src/command_line_page.rs`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]
#![expect(
    clippy::print_stdout,
    reason = "what is not run is listed for whoever reads the test's output"
)]

#[path = "../../tests/support/folders.rs"]
mod folders;
#[path = "support/pages.rs"]
mod pages;

use std::path::Path;
use std::process::{Command, Stdio};

use folders::copy_folder;
use pages::{blocks_of, commands_of, root};

/// The page whose project the others use.
const FIRST: &str = "docs/researchers.md";
/// Pages that another test runs.
const ELSEWHERE: &[(&str, &str)] = &[("docs/data.md", "src-tauri/tests/interactions.rs")];
/// How many blocks of each page are not run, and why.
const NOT_RUN: &[(&str, usize, &str)] = &[
    (
        "README.md",
        2,
        "builds the program, opens the window, needs a download",
    ),
    ("docs/data.md", 1, "needs lists of phrases of another tool"),
    (
        "docs/dictionaries.md",
        4,
        "needs Python with the other tools, and files of rows",
    ),
    (
        "docs/gpu.md",
        3,
        "needs a graphics card or the CUDA compiler",
    ),
    ("docs/heatmaps.md", 1, "compiles, and needs hours"),
    ("docs/installing.md", 4, "builds, and installs as root"),
    ("docs/labels.md", 2, "needs a language model"),
    ("docs/maira2.md", 1, "needs models that are not shipped"),
    ("docs/real-data.md", 1, "needs hours"),
    ("docs/recommenders.md", 4, "needs a download and hours"),
    (
        "docs/review.md",
        1,
        "needs answers that a reader saved in a browser",
    ),
    (
        "docs/speed.md",
        2,
        "needs Python with the other tools, and models",
    ),
    ("docs/steering.md", 1, "builds the demo and compiles"),
];

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// README.md and the pages of docs, by path from the root, in order.
fn names() -> Vec<String> {
    let mut names = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap().to_string_lossy();
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names
}

/// Runs the commands of a page in `dir`, which must all succeed; returns what they print.
fn run(name: &str, dir: &Path) -> String {
    for folder in ["assets", "tests"] {
        std::os::unix::fs::symlink(root().join(folder), dir.join(folder)).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_fluoroscope"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-eu", "-c", &commands_of(&page(name))])
        .current_dir(dir)
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_not_run_is_known() {
    let names = names();
    for name in &names {
        let blocks = blocks_of(&page(name));
        let n = blocks.iter().filter(|block| !block.runs).count();
        let expected = NOT_RUN.iter().find(|(page, _, _)| page == name);
        assert_eq!(n, expected.map_or(0, |(_, n, _)| *n), "{name}");
    }
    let known = NOT_RUN.iter().map(|(page, _, _)| page);
    for page in known.chain(ELSEWHERE.iter().map(|(page, _)| page)) {
        assert!(names.iter().any(|name| name == page), "{page}");
    }
    for (page, test) in ELSEWHERE {
        let text = std::fs::read_to_string(root().join(test)).unwrap();
        assert!(text.contains(page), "{test} does not name {page}");
    }
}

#[test]
#[should_panic(expected = "without a mark")]
fn commands_in_a_block_without_a_mark_are_refused() {
    blocks_of("```text\ncargo build\n```\n```\nfluoroscope --help\n```\n");
}

#[test]
fn the_commands_of_the_documents_run_as_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("first");
    std::fs::create_dir(&first).unwrap();
    let said = run(FIRST, &first);
    for word in [
        "Findings gained:",
        "All ",
        " files are as they were recorded",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // A dictionary for every page that speaks of one, with decisions of two readers to compare.
    let study = first.join("study");
    let mut n_run = 0;
    for name in names() {
        let elsewhere = ELSEWHERE.iter().any(|(page, _)| *page == name);
        if name == FIRST || elsewhere || commands_of(&page(&name)).is_empty() {
            continue;
        }
        let folder = dir.path().join(name.replace('/', "-"));
        copy_folder(&study, &folder.join("DEMO"));
        run(&name, &folder);
        n_run += 1;
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(n_run >= 6, "only {n_run} pages were run");
    let left_out: usize = NOT_RUN.iter().map(|(_, n, _)| n).sum();
    println!("{} pages run, {left_out} blocks not run:", n_run + 1);
    for (page, n, why) in NOT_RUN {
        println!("  {page}: {n}, {why}");
    }
}
