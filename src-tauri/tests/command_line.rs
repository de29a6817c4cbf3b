//! The executable as a user meets it: what it makes, what it refuses, and that nothing is half done.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/executable.rs"]
mod executable;
#[path = "../../tests/support/folders.rs"]
mod folders;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::views::{Event, SteerRequest};
use engine::{DecisionRequest, Engine, Session};
use executable::{command, run};
use folders::copy_folder;
use serde_json::Value;

/// Runs a command that must succeed and returns its JSON.
fn json(dir: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = run(dir, &all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// Every file below `dir` but the lock and the database, with its bytes.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "db" {
                    folders.push(path);
                }
            } else if !name.contains("lock") {
                let inside = path.strip_prefix(dir).unwrap().to_owned();
                files.insert(inside, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The command must be refused with exit status 2 and a sentence that holds all of `words`, and the
/// project must be as it was.
fn refused(dir: &Path, arguments: &[&str], words: &[&str]) {
    let project = dir.join("p");
    let before = project.is_dir().then(|| tree(&project));
    let output = run(dir, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
    let last = errors.lines().last().unwrap_or_default();
    for word in words {
        assert!(
            last.contains(word),
            "{arguments:?}: no \"{word}\" in: {errors}"
        );
    }
    let after = project.is_dir().then(|| tree(&project));
    assert!(before == after, "{arguments:?} changed the project");
}

fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    json(dir.path(), &["project", "new", "p"]);
    dir
}

fn shared() -> Option<PathBuf> {
    let found = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    if found.is_dir() {
        return Some(found);
    }
    assert!(
        std::env::var_os("FLUOROSCOPE_REQUIRE_SHARED").is_none(),
        "the shared test data are not at {}",
        found.display()
    );
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    {
        eprintln!(
            "skipped: the shared test data are not at {}",
            found.display()
        );
    }
    None
}

#[test]
fn wrong_requests_are_refused_with_one_sentence_and_change_nothing() {
    let dir = project();
    let at = dir.path();
    std::fs::create_dir(at.join("empty")).unwrap();
    std::fs::write(at.join("table.csv"), "file,findings\na.png,none\n").unwrap();
    std::fs::write(at.join("bad.gguf"), b"GGUF\x03\0\0\0 cut").unwrap();
    std::fs::write(
        at.join("bad.safetensors"),
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    )
    .unwrap();
    std::fs::create_dir(at.join("films")).unwrap();
    std::fs::write(at.join("films/a.jpg"), b"\xff\xd8\xff\xe0 cut").unwrap();
    let p = ["--project", "p"];
    let with =
        |arguments: &[&'static str]| -> Vec<&str> { arguments.iter().copied().chain(p).collect() };
    let import = ["dataset", "import-radiographs", "x", "--images"];
    let imported = |rest: &[&'static str]| with(&[&import[..], rest].concat());
    refused(at, &imported(&["nowhere"]), &["nowhere"]);
    refused(at, &imported(&["empty"]), &["empty"]);
    refused(at, &imported(&["films"]), &["films"]);
    let table = [
        "films",
        "--table",
        "table.csv",
        "--columns",
        "image=picture",
    ];
    refused(at, &imported(&table), &["table.csv", "picture", "file"]);
    let reports = ["dataset", "import-reports", "x", "--table", "table.csv"];
    refused(at, &with(&reports), &["table.csv"]);
    refused(
        at,
        &with(&["model", "add", "m", "--path", "bad.gguf"]),
        &["bad.gguf"],
    );
    refused(
        at,
        &with(&["model", "add", "m", "--path", "bad.safetensors"]),
        &["bad.safetensors"],
    );
    refused(
        at,
        &with(&["model", "add", "m", "--path", "nowhere"]),
        &["nowhere"],
    );
    refused(at, &with(&["features", "index", "none"]), &["none"]);
    refused(at, &with(&["dataset", "show", "none"]), &["none"]);
    refused(at, &["project", "info", "--project", "empty"], &["empty"]);
    refused(at, &["project", "info"], &["--project"]);
}

#[test]
fn a_project_is_named_by_its_own_file_too() {
    let dir = project();
    let at = dir.path();
    let info = json(at, &["project", "info", "--project", "p/p.fluoroscope"]);
    assert_eq!(info["project"], "p");
    refused(at, &["demmo"], &["\"demmo\" is neither a command nor"]);
    refused(at, &["p", "about"], &["--project"]);
    std::fs::copy(at.join("p/p.fluoroscope"), at.join("lost.fluoroscope")).unwrap();
    refused(at, &["lost.fluoroscope"], &["no project.json"]);
    std::fs::write(at.join("p/p.fluoroscope"), "{}").unwrap();
    refused(at, &["p/p.fluoroscope"], &["p.fluoroscope", "expected"]);
}

#[test]
fn a_project_of_a_newer_version_is_left_alone() {
    let dir = project();
    let file = dir.path().join("p/project.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let format = record
        .as_object_mut()
        .unwrap()
        .values_mut()
        .find(|value| value.is_u64())
        .unwrap();
    *format = Value::from(999);
    std::fs::write(&file, record.to_string()).unwrap();
    refused(
        dir.path(),
        &["project", "info", "--project", "p"],
        &["newer version"],
    );
}

#[test]
fn truncated_model_files_are_refused() {
    let Some(shared) = shared() else { return };
    let dir = project();
    let at = dir.path();
    let gguf = shared.join("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    let bytes = std::fs::read(&gguf).unwrap();
    for length in [4, 100, 60_000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(at.join("cut.gguf"), &bytes[..length]).unwrap();
        let add = ["model", "add", "m", "--path", "cut.gguf", "--project", "p"];
        refused(at, &add, &["cut.gguf"]);
    }
    let weights = shared.join("fixtures/recsae/grocery_sasrec.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for length in [0, 7, 200, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(at.join("cut.safetensors"), &bytes[..length]).unwrap();
        let add = [
            "model",
            "add",
            "m",
            "--path",
            "cut.safetensors",
            "--project",
            "p",
        ];
        refused(at, &add, &["cut.safetensors"]);
    }
}

const SAE: &str = "n_features = 128\nk = 4\nsteps = 1600\nbatch_rows = 512\nwarmup_steps = 50\n";

/// A project with shoppers and a recommender, up to the harvest.
fn shoppers_project() -> tempfile::TempDir {
    let dir = project();
    let at = dir.path();
    std::fs::write(at.join("sae.toml"), SAE).unwrap();
    let phantom = [
        "dataset", "phantom", "s", "--kind", "shoppers", "--count", "2600",
    ];
    json(at, &[&phantom[..], &["--project", "p"]].concat());
    let train = [
        "model",
        "train",
        "m",
        "--arch",
        "sasrec",
        "--dataset",
        "s",
        "--lr",
        "0.001",
    ];
    json(
        at,
        &[&train[..], &["--epochs", "2", "--project", "p"]].concat(),
    );
    dir
}

const HARVEST: [&str; 9] = [
    "harvest",
    "run",
    "h",
    "--model",
    "m",
    "--dataset",
    "s",
    "--hook",
    "hook_user_vector",
];
const TRAIN: [&str; 7] = [
    "sae",
    "train",
    "d",
    "--harvest",
    "h",
    "--config",
    "sae.toml",
];
const INDEX: [&str; 3] = ["features", "index", "d"];

/// Starts the command and kills it as soon as `is_time` says so. Whether it was still running then.
fn kill_when(dir: &Path, arguments: &[&str], is_time: &dyn Fn() -> bool) -> bool {
    let mut child = command(dir, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !is_time() && began.elapsed() < Duration::from_mins(2) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn holds(folder: &Path, part: &str) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| e.file_name().to_string_lossy().contains(part)))
    })
}

/// With how far it is, and how it goes on.
fn a_killed_training_is_listed(at: &Path, list: &[&str]) {
    let listed = json(at, list);
    assert_eq!(listed["stopped"][0]["name"], "d");
    // Killed while its first checkpoint was written it begins anew.
    assert!(listed["stopped"][0]["steps_done"].is_u64());
    assert_eq!(listed["dictionaries"], serde_json::json!([]));
    let text = run(at, list);
    let text = String::from_utf8_lossy(&text.stdout);
    let expected = "goes on with: fluoroscope sae resume d";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn killed_work_resumes_to_the_same_bytes_and_check_finds_a_flipped_byte() {
    let dir = shoppers_project();
    let at = dir.path();
    copy_folder(&at.join("p"), &at.join("q"));
    let on = |project: &'static str, words: &[&'static str]| -> Vec<&str> {
        words
            .iter()
            .copied()
            .chain(["--project", project])
            .collect()
    };
    for words in [&HARVEST[..], &TRAIN[..], &INDEX[..]] {
        json(at, &on("p", words));
    }
    let q = at.join("q");
    assert!(
        kill_when(at, &on("q", &HARVEST), &|| {
            holds(&q.join("activations/h"), "00000.safetensors")
        }),
        "the harvest ended before it could be killed"
    );
    json(at, &on("q", &HARVEST));
    assert!(
        kill_when(at, &on("q", &TRAIN), &|| {
            holds(&q.join("saes/d/checkpoints"), ".checkpoint")
        }),
        "the training ended before it could be killed"
    );
    a_killed_training_is_listed(at, &on("q", &["sae", "list"]));
    json(at, &on("q", &TRAIN));
    let listed = json(at, &on("q", &["sae", "list"]));
    assert_eq!(listed["stopped"], serde_json::json!([]));
    let began = Instant::now();
    kill_when(at, &on("q", &INDEX), &|| {
        began.elapsed() > Duration::from_millis(150)
    });
    json(at, &on("q", &INDEX));
    let (undisturbed, resumed) = (tree(&at.join("p")), tree(&q));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&undisturbed), names(&resumed));
    for (file, bytes) in &undisturbed {
        // The ledger lists artefacts in the order they were recorded in.
        assert!(
            file.ends_with("artefacts.jsonl") || bytes == &resumed[file],
            "{} differs after a resumed run",
            file.display()
        );
    }

    assert_eq!(
        json(at, &on("p", &["project", "check"]))["faults"],
        serde_json::json!([])
    );
    for file in [
        "activations/h/00000.safetensors",
        "saes/d/sae.safetensors",
        "features/d/summaries.bin",
    ] {
        let path = at.join("p").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let output = run(at, &on("p", &["project", "check"]));
        assert_eq!(output.status.code(), Some(1), "{file}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let name = Path::new(file)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(said.contains(&name), "{file}: {said}");
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_decision_is_in_the_journal_and_steering_changes_a_ranking() {
    let dir = shoppers_project();
    let at = dir.path();
    let on = |words: &[&'static str]| -> Vec<&str> {
        words.iter().copied().chain(["--project", "p"]).collect()
    };
    for words in [&HARVEST[..], &TRAIN[..], &INDEX[..]] {
        json(at, &on(words));
    }
    json(at, &on(&["explain", "propose", "d"]));
    let ranked = json(at, &on(&["model", "evaluate", "m", "--dataset", "s"]));
    // Phantom shoppers have one test item each.
    assert_eq!(ranked["n_cases"], 2600);
    assert_eq!(ranked["n_users"], 2600);
    let list = json(at, &on(&["features", "list", "d", "--count", "3"]));
    let feature = list["features"][0]["feature"].as_u64().unwrap().to_string();
    let decide = [
        "review",
        "decide",
        "d",
        "--feature",
        &feature,
        "--state",
        "edited",
    ];
    let rest = ["--text", "dark chocolate", "--project", "p"];
    let decision = json(at, &[&decide[..], &rest[..]].concat());
    assert_eq!(decision["text"], "dark chocolate");
    let journal = std::fs::read_to_string(at.join("p/journal/decisions.jsonl")).unwrap();
    assert!(journal.contains("dark chocolate"));
    let found = json(at, &on(&["features", "search", "d", "chocolate"]));
    assert!(
        found["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|card| card["feature"].to_string())
            .any(|found| found == feature)
    );
    let edit = format!("{feature}=4");
    let steer = [
        "steer",
        "d",
        "--sample",
        "0",
        "--feature",
        &edit,
        "--project",
        "p",
    ];
    let steered = json(at, &steer);
    let ranking = &steered["outcome"]["Ranking"];
    assert_eq!(ranking["after"].as_array().unwrap().len(), 10);
    assert_ne!(ranking["before"], ranking["after"]);
    let mut twice = json(at, &steer);
    twice["milliseconds"] = steered["milliseconds"].clone();
    assert_eq!(twice, steered);
    same_in_the_window(&at.join("p"), &steered);
    swept(at, &feature);
    beside_a_window(at, &feature);
}

/// While this process has the project open, commands that read it work on it as it is now, and
/// commands that write are refused.
fn beside_a_window(at: &Path, feature: &str) {
    let window = Session::open(&at.join("p")).unwrap();
    let decision = DecisionRequest {
        feature: schema::FeatureId(feature.parse().unwrap()),
        state: schema::ReviewState::Edited,
        text: "a moment ago".to_owned(),
        reviewer: "Ada".to_owned(),
        ..DecisionRequest::default()
    };
    window.record("d", &decision).unwrap();
    let before = tree(&at.join("p"));
    let change = format!("{feature}=1.0");
    for words in [
        &["project", "info"][..],
        &["dataset", "list"],
        &["model", "list"],
        &["harvest", "list"],
        &["sae", "list"],
        &["explain", "list"],
        &["features", "list", "d"],
        &["features", "show", "d", feature],
        &["features", "firing", "d", "--sample", "0"],
        &["review", "queue", "d"],
        &["review", "agreement", "d"],
        &["steer", "d", "--sample", "0", "--feature", &change],
    ] {
        let output = run(at, &[words, &["--project", "p"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        assert!(!output.stdout.is_empty(), "{words:?}");
        let told = format!("(process {}); this is read", std::process::id());
        assert!(errors.contains(&told), "{words:?}: {errors}");
    }
    let firing = json(
        at,
        &["features", "firing", "d", "--sample", "0", "--project", "p"],
    );
    let first = &firing["features"][0];
    let number = first["position"].as_u64().unwrap() + 1;
    let place = first["place"].as_str().unwrap();
    assert!(place.starts_with(&format!("item {number}: ")), "{place}");
    let shown = json(at, &["features", "show", "d", feature, "--project", "p"]);
    assert!(shown.to_string().contains("a moment ago"), "{shown}");
    let decide = ["review", "decide", "d", "--feature", feature];
    for words in [
        &[&decide[..], &["--state", "rejected"]].concat()[..],
        &["features", "index", "d"],
        &["explain", "propose", "d"],
        &["project", "check"],
    ] {
        let words = [words, &["--project", "p"]].concat();
        refused(
            at,
            &words,
            &["open in another Fluoroscope", "close it there"],
        );
    }
    assert!(before == tree(&at.join("p")), "reading changed the project");
}

/// A sweep prints every strength beside random directions and writes a line per run.
fn swept(at: &Path, feature: &str) {
    let edit = format!("{feature}=1");
    let words = |rest: &[&'static str]| -> Vec<String> {
        let sweep = [
            "steer",
            "d",
            "--sample",
            "0",
            "--project",
            "p",
            "--feature",
            &edit,
        ];
        let rest = rest.iter().copied();
        sweep.into_iter().chain(rest).map(str::to_owned).collect()
    };
    let sweep = words(&[
        "--sweep",
        "-2..2",
        "--steps",
        "3",
        "--controls",
        "2",
        "--out",
        "sweep.csv",
    ]);
    let sweep: Vec<&str> = sweep.iter().map(String::as_str).collect();
    let view = json(at, &sweep);
    assert_eq!(view["points"].as_array().unwrap().len(), 3);
    assert_eq!(view["points"][1]["features"], view["unsteered"]);
    assert_eq!(view["points"][2]["controls"].as_array().unwrap().len(), 2);
    let table = std::fs::read_to_string(at.join("sweep.csv")).unwrap();
    assert_eq!(table.lines().count(), 2 + 9);
    let lines = String::from_utf8(run(at, &sweep).stdout).unwrap();
    assert!(lines.contains("share of the unsteered top 10"), "{lines}");
    assert!(lines.ends_with("Wrote sweep.csv\n"), "{lines}");
    for (wrong, said) in [
        (&["--sweep", "4"][..], "\"4\" is no range"),
        (&["--sweep", "4..-4"], "the lower one first"),
        (
            &["--sweep", "0..1", "--positions", "generated"],
            "expected all",
        ),
        (&["--out", "sweep.csv"], "with --sweep in .csv"),
    ] {
        let wrong = words(wrong);
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        let output = run(at, &wrong);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {errors}");
        assert!(errors.contains(said), "{wrong:?}: {errors}");
    }
}

/// The window, asked for the same values through the engine's worker and events, answers the same
/// as the command printed.
fn same_in_the_window(project: &Path, printed: &Value) {
    let request: SteerRequest = serde_json::from_value(printed["request"].clone()).unwrap();
    let engine = Engine::forgetful(Arc::new(|| {})).unwrap();
    engine.open_project(project).unwrap();
    let ticket = engine.steer(request).unwrap();
    let began = Instant::now();
    let mut shown = loop {
        let answer = engine.poll().into_iter().find_map(|event| match event {
            Event::Steered(answered, answer) if answered == ticket => Some(answer),
            _ => None,
        });
        if let Some(answer) = answer {
            // As text and back, as what was printed: reading numbers rounds their last digit.
            let text = serde_json::to_value(answer.unwrap()).unwrap().to_string();
            let shown: Value = serde_json::from_str(&text).unwrap();
            break shown;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "no answer");
        std::thread::sleep(Duration::from_millis(2));
    };
    shown["milliseconds"] = printed["milliseconds"].clone();
    assert_eq!(shown, *printed);
}

#[test]
fn a_steered_report_is_the_same_in_the_window_and_on_the_command_line() {
    let dir = project();
    let at = dir.path();
    std::fs::write(
        at.join("sae.toml"),
        "n_features = 32\nk = 4\nsteps = 60\nbatch_rows = 512\nwarmup_steps = 10\n",
    )
    .unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/phantom-vlm");
    let shipped = shipped.display().to_string();
    let on = |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--project", "p"]).collect();
        json(at, &words)
    };
    on(&[
        "dataset",
        "phantom",
        "f",
        "--kind",
        "radiographs",
        "--count",
        "24",
    ]);
    on(&["model", "add", "v", "--path", &shipped]);
    let harvest = ["harvest", "run", "h", "--model", "v", "--dataset", "f"];
    let at_hook = [
        "--hook",
        "vision.blocks.1.hook_resid_post",
        "--positions",
        "image",
    ];
    on(&[&harvest[..], &at_hook[..]].concat());
    on(&TRAIN);
    on(&INDEX);
    let list = on(&["features", "list", "d", "--count", "1"]);
    let feature = list["features"][0]["feature"].as_u64().unwrap();
    let mut changed = false;
    for (sample, strength) in [("0", 1.0), ("5", -2.0), ("7", 3.0)] {
        let edit = format!("{feature}={strength}");
        let printed = on(&["steer", "d", "--sample", sample, "--feature", &edit]);
        let report = &printed["outcome"]["Text"];
        assert!(
            report["before"]
                .as_str()
                .is_some_and(|text| text.len() > 20)
        );
        changed |= report["before"] != report["after"];
        same_in_the_window(&at.join("p"), &printed);
    }
    assert!(changed, "no strength changed a report");
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_build_for_the_cpu_says_so_and_refuses_a_card() {
    let dir = tempfile::tempdir().unwrap();
    let about = json(dir.path(), &["about"]);
    assert_eq!(about["device"]["name"], "CPU");
    assert_eq!(
        about["device"]["reason"],
        "this build computes on the CPU only"
    );
    let about = json(dir.path(), &["about", "--device", "cpu"]);
    assert_eq!(about["device"]["reason"], "it was asked for");
    for (device, name) in [("cuda", "CUDA"), ("metal", "Metal")] {
        let output = run(dir.path(), &["about", "--device", device]);
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = format!("{name} cannot be used: this build is without {name}");
        assert!(errors.contains(&expected), "{errors}");
    }
}
