//! `model run` on the small MAIRA-2 and `LLaVA` checkpoints: prompts, ids, steering, dumps and
//! refusals, by the names that scripts rely on.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "../../tests/support/shared.rs"]
mod shared;

#[path = "support/executable.rs"]
mod executable;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use shared::shared;

fn run(dir: &Path, arguments: &[&str]) -> Output {
    executable::run(dir, &[&["model", "run"], arguments].concat())
}

fn answer(dir: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = run(dir, &all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ids(value: &Value) -> Vec<u64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn ids_and_steered_ids_equal_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["maira_tiny", "llava_tiny"] {
        let Some(model) = shared(&format!("fixtures/{model}")) else {
            return;
        };
        let report = std::fs::read(model.join("ref/report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let single = &report["cases"]["single"];
        let film = model.join("frontal.png");
        let prompt = single["prompt_text"].as_str().unwrap();
        let plain = [
            text(&model),
            "--image",
            text(&film),
            "--prompt",
            prompt,
            "--max-new-tokens",
            "24",
            "--ignore-eos",
        ];
        let greedy = answer(folder.path(), &plain);
        assert_eq!(ids(&greedy["generated_ids"]), ids(&single["gen_ids"]));
        assert_eq!(greedy["n_prompt"], single["prompt_len"]);

        let name = "steer_single_L1_from_last_prompt";
        let steered = &report["cases"][name];
        let vector = model.join(format!("ref/{name}.safetensors"));
        let file = format!(
            "[[edit]]\nhook = \"blocks.1.hook_resid_post\"\nvector = \"{}:v\"\nstrength = {}\n\
             positions = \"from_last_prompt\"\n",
            vector.display(),
            steered["alpha"]
        );
        std::fs::write(folder.path().join("steer.toml"), file).unwrap();
        let mut arguments = plain.to_vec();
        arguments.extend(["--steer", "steer.toml"]);
        let changed = answer(folder.path(), &arguments);
        assert_eq!(ids(&changed["generated_ids"]), ids(&steered["gen_ids"]));
    }
}

#[test]
fn a_dump_has_the_names_and_shapes_that_scripts_rely_on() {
    let Some(model) = shared("fixtures/maira_tiny") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let pixels = format!(
        "{}:frontal.pixel_values",
        model.join("ref/images.safetensors").display()
    );
    let mut list = vec![1_u32];
    list.extend([624; 16]);
    list.extend([59, 284]);
    std::fs::write(folder.path().join("ids.json"), format!("{list:?}")).unwrap();
    let dumped = answer(
        folder.path(),
        &[
            text(&model),
            "--input-ids",
            "ids.json",
            "--pixel-values",
            &pixels,
            "--max-new-tokens",
            "3",
            "--ignore-eos",
            "--dump",
            "out.safetensors",
            "--dump-generated-logits",
            "--hooks",
            "vision.blocks.*.hook_resid_post,projector.hook_out,blocks.3.hook_mlp_out",
        ],
    );
    let shapes: Vec<(String, Vec<usize>)> =
        serde_json::from_value(dumped["dumped"].clone()).unwrap();
    let shape = |name: &str| {
        let found = shapes.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    };
    assert_eq!(shape("input_ids"), [19]);
    assert_eq!(shape("pixel_values.0"), [3, 56, 56]);
    assert_eq!(shape("vision.blocks.2.hook_resid_post"), [1, 17, 48]);
    assert_eq!(shape("projector.hook_out"), [1, 16, 64]);
    assert_eq!(shape("blocks.3.hook_mlp_out"), [19, 64]);
    assert_eq!(shape("logits"), [19, 627]);
    assert_eq!(shape("generated_ids"), [3]);
    assert_eq!(shape("generated_logits"), [3, 627]);
    assert!(folder.path().join("out.safetensors").exists());
    assert!(!folder.path().join("out.safetensors.tmp").exists());
}

#[test]
fn wrong_requests_are_one_sentence() {
    let Some(model) = shared("fixtures/maira_tiny") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let film = model.join("frontal.png");
    std::fs::write(
        folder.path().join("bad.toml"),
        "[[edit]]\nhook = \"blocks.9.hook_resid_post\"\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("ids.json"), "[1, 624, 5]").unwrap();
    let image = ["--image", text(&film)];
    let prompt = ["--prompt", "See <image> this"];
    let cases: [(Vec<&str>, &str); 7] = [
        (
            vec!["--prompt", "No marker", image[0], image[1]],
            "0 <image> markers",
        ),
        (
            vec![prompt[0], prompt[1]],
            "1 <image> marker, but there are 0 images",
        ),
        (
            vec![
                prompt[0],
                prompt[1],
                image[0],
                image[1],
                "--dump",
                "o",
                "--hooks",
                "blocks.2.hook_resid_pots",
            ],
            "the nearest it has are blocks.2.hook_resid_post",
        ),
        (
            vec![
                prompt[0], prompt[1], image[0], image[1], "--steer", "bad.toml",
            ],
            "bad.toml: edit 1: ",
        ),
        (
            vec!["--input-ids", "ids.json", image[0], image[1]],
            "1 image positions, but 1 image take",
        ),
        (
            vec!["--task", "grounded", image[0], image[1]],
            "processing_maira2.py",
        ),
        (
            vec![prompt[0], prompt[1], image[0], image[1], "--weights", "q2"],
            "no coding of weights",
        ),
    ];
    for (arguments, expected) in cases {
        let mut all = vec![text(&model)];
        all.extend(&arguments);
        let output = run(folder.path(), &all);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
    }
    assert!(!folder.path().join("o").exists());
}

/// What can be told before a model of many gigabytes is loaded is told then: this one does not
/// exist.
#[test]
fn requests_that_do_not_fit_are_refused_before_a_model_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (vec![], "no film: give --image FILE"),
        (vec!["--image", "a.png", "--image", "b.png"], "--lateral"),
        (vec!["--prompt", ""], "--prompt is empty"),
        (
            vec!["--prompt", "x", "--indication", "Cough."],
            "leave --task and the sections out",
        ),
        (
            vec!["--prompt", "x", "--temperature", "nan"],
            "--temperature is NaN",
        ),
        (vec!["--prompt", "x", "--top-p", "2"], "--top-p is 2"),
        (vec!["--prompt", "x", "--hooks", "embed"], "is missing"),
        (
            vec!["--prompt", "x", "--dump", "no/such/folder.safetensors"],
            "expected a file in a folder that exists",
        ),
        (
            vec!["--prompt", "x", "--dump", "o", "--dump-generated-logits"],
            "needs --max-new-tokens above 0",
        ),
    ] {
        let mut all = vec!["absent-model"];
        all.extend(&arguments);
        let output = run(folder.path(), &all);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

#[test]
fn a_project_notices_settings_that_changed_beside_the_weights() {
    let Some(model) = shared("fixtures/maira_tiny") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("maira");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&model).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    let command = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_fluoroscope"))
            .args(words)
            .current_dir(folder.path())
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    assert!(command(&["project", "new", "p"]).status.success());
    let add = ["model", "add", "m", "--path", "maira", "--project", "p"];
    assert!(command(&add).status.success());
    let film = model.join("frontal.png");
    let use_it = [
        "model",
        "run",
        "m",
        "--image",
        text(&film),
        "--max-new-tokens",
        "2",
        "--project",
        "p",
        "--json",
    ];
    let output = command(&use_it);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ended"], "as many tokens as may be written");
    // Random text is no grounded report, and is not read as one.
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 0);
    // A harvest that came to nothing leaves its name free.
    let films = ["dataset", "import-radiographs", "f", "--images", "maira"];
    assert!(
        command(&[&films[..], &["--project", "p"]].concat())
            .status
            .success()
    );
    let harvest = [
        "harvest",
        "run",
        "h",
        "--model",
        "m",
        "--dataset",
        "f",
        "--project",
        "p",
        "--hook",
        "blocks.1.hook_resid_post",
        "--positions",
    ];
    let output = command(&[&harvest[..], &["report"]].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("text positions need reports"), "{message}");
    assert!(!folder.path().join("p/activations/h").exists());
    let output = command(&[&harvest[..], &["image"]].concat());
    assert!(output.status.success());
    let settings = copy.join("preprocessor_config.json");
    let changed = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, changed.replace("0.5307", "0.5")).unwrap();
    let output = command(&use_it);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("has changed since it was added"),
        "{message}"
    );
}
