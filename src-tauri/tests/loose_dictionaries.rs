//! `sae train` and `sae encode` outside any project, against the reference's saved tensors, by the
//! names that scripts rely on.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "../../tests/support/shared.rs"]
mod shared;

#[path = "support/executable.rs"]
mod executable;

use std::path::Path;
use std::process::Output;

use safetensors::SafeTensors;
use serde_json::Value;
use shared::shared;

fn run(dir: &Path, arguments: &[&str]) -> Output {
    executable::run(dir, &[&["sae"], arguments].concat())
}

fn succeed(dir: &Path, arguments: &[&str]) {
    let output = run(dir, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
}

/// A tensor and its shape, as f64.
fn tensor(path: &Path, name: &str) -> (Vec<usize>, Vec<f64>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = match view.dtype() {
        safetensors::Dtype::I64 => view
            .data()
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
            .collect(),
        _ => view
            .data()
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect(),
    };
    (view.shape().to_vec(), values)
}

fn close(what: &str, got: &[f64], expected: &[f64], limit: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let worst = worst.fold(0.0, f64::max);
    assert!(worst <= limit, "{what}: {worst} above {limit}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A fixture: where it is, and the names of its saved codes and reconstructions.
struct Fixture {
    folder: &'static str,
    /// The dictionary's folder in it.
    model: &'static str,
    latents: &'static str,
    recon: &'static str,
    /// What the tool's own settings do not say of its 50 steps; `None` where it has none.
    settings: Option<&'static str>,
    /// What the curve and our metrics call the loss.
    loss: &'static str,
}

impl Fixture {
    const fn library(folder: &'static str, latents: &'static str, recon: &'static str) -> Self {
        Self {
            folder,
            model: "model",
            latents,
            recon,
            settings: Some("dead_after_rows = 320\nwarmup_steps = 10\n"),
            loss: "loss",
        }
    }

    const fn saelens(folder: &'static str) -> Self {
        Self {
            folder,
            model: "inference",
            latents: "latents",
            recon: "recon",
            settings: Some(
                "recipe = \"saelens\"\nlr = 0.003\nwarmup_steps = 10\ndecay_start = 40\n\
                 dead_after_rows = 256\n",
            ),
            loss: "loss",
        }
    }

    const fn sparsify(folder: &'static str, settings: Option<&'static str>) -> Self {
        Self {
            folder,
            model: "model",
            latents: "latents",
            recon: "recon",
            settings,
            loss: "fvu",
        }
    }
}

/// sparsify's settings by Adam, and by the signs.
const ADAM: &str = "recipe = \"sparsify\"\noptimizer = \"adam\"\nlr = 0.002\nwarmup_steps = 10\n\
                    auxk_alpha = 0.03125\ndead_after_rows = 320\n";
const SIGNUM: &str = "recipe = \"sparsify\"\nlr = 0.0002\ndead_after_rows = 320\n";

const FIXTURES: [Fixture; 21] = [
    Fixture::library("dictionary_learning/topk", "latents_topk", "recon_topk"),
    Fixture::library(
        "dictionary_learning/batch_topk",
        "latents_threshold",
        "recon_threshold",
    ),
    Fixture::library(
        "dictionary_learning/matryoshka_batch_topk",
        "latents_threshold",
        "recon_threshold",
    ),
    Fixture::library("dictionary_learning/jumprelu", "latents", "recon"),
    Fixture::library("dictionary_learning/gated", "latents", "recon"),
    Fixture::library("dictionary_learning/standard", "latents", "recon"),
    Fixture::library("dictionary_learning/standard_april", "latents", "recon"),
    Fixture::saelens("saelens/batchtopk"),
    Fixture::saelens("saelens/gated"),
    Fixture::saelens("saelens/jumprelu_step"),
    Fixture::saelens("saelens/jumprelu_tanh"),
    Fixture::saelens("saelens/matryoshka_batchtopk"),
    Fixture::saelens("saelens/matryoshka_batchtopk_maux"),
    Fixture::saelens("saelens/standard"),
    Fixture::saelens("saelens/standard_nobdec_ln"),
    Fixture::saelens("saelens/topk"),
    Fixture::saelens("saelens/topk_norescale"),
    Fixture::sparsify("sparsify/topk", Some(ADAM)),
    Fixture::sparsify("sparsify/topk_multi", Some(SIGNUM)),
    Fixture::sparsify("sparsify/groupmax", Some(ADAM)),
    Fixture::sparsify("sparsify/transcoder_skip", None),
];

#[test]
fn encoded_files_equal_the_reference() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let codes = dir.join("codes.safetensors");
    for fixture in &FIXTURES {
        let kind = fixture.folder;
        let root = fixtures.join(kind);
        let model = root.join(fixture.model);
        let forward = root.join("forward.safetensors");
        let input = format!("{}:x", text(&forward));
        let encode = ["encode", text(&model), "--input", &input, "--output"];
        succeed(dir, &[&encode[..], &[text(&codes)]].concat());
        let (shape, indices) = tensor(&codes, "indices");
        let (_, values) = tensor(&codes, "values");
        let (latent_shape, expected) = tensor(&forward, fixture.latents);
        let mut dense = vec![0.0; expected.len()];
        for (at, (&feature, &value)) in indices.iter().zip(&values).enumerate() {
            if value > 0.0 {
                dense[at / shape[1] * latent_shape[1] + feature as usize] = value;
            }
        }
        close(kind, &dense, &expected, 1e-4);
        let (_, reconstruction) = tensor(&codes, "reconstruction");
        let (_, expected) = tensor(&forward, fixture.recon);
        close(kind, &reconstruction, &expected, 1e-4);
    }
}

#[test]
fn trained_files_equal_the_reference() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let batches = format!("{}:train_batches", text(&fixtures.join("data.safetensors")));
    for fixture in &FIXTURES {
        let Some(settings) = fixture.settings else {
            continue;
        };
        std::fs::write(dir.join("sae.toml"), settings).unwrap();
        let kind = fixture.folder;
        let root = fixtures.join(kind);
        let out = dir.join(kind.replace('/', "-"));
        let init = root.join("train50/init");
        let from = ["train", "--input", &batches, "--init", text(&init)];
        let to = ["--config", "sae.toml", "--out", text(&out)];
        let train = [&from[..], &to].concat();
        succeed(dir, &train);
        let curve = std::fs::read(root.join("train50/curve.json")).unwrap();
        let curve: Vec<Value> = serde_json::from_slice(&curve).unwrap();
        let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        let metrics: Vec<Value> = metrics
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(metrics.len(), 50, "{kind}");
        for (step, (got, expected)) in metrics.iter().zip(&curve).enumerate() {
            assert_eq!(got["step"], step);
            let [got, expected] = [got, expected].map(|line| line[fixture.loss].as_f64().unwrap());
            assert!(
                (got / expected - 1.0).abs() < 1e-5,
                "{kind}, step {step}: {got}, expected {expected}"
            );
        }
        same_at_the_end(dir, fixture, &root, &out);
        // A finished folder is not trained over.
        assert_eq!(run(dir, &train).status.code(), Some(2));
    }
}

/// The trained dictionary and the reference's, as `sae encode` reads both, reconstruct alike.
fn same_at_the_end(dir: &Path, fixture: &Fixture, root: &Path, out: &Path) {
    let input = format!("{}:x", text(&root.join("forward.safetensors")));
    let [ours, theirs] = [out, &root.join("train50/final")].map(|sae| {
        let codes = dir.join("codes.safetensors");
        let encode = ["encode", text(sae), "--input", &input, "--output"];
        succeed(dir, &[&encode[..], &[text(&codes)]].concat());
        tensor(&codes, "reconstruction").1
    });
    close(fixture.folder, &ours, &theirs, 1e-4);
}

#[test]
fn rows_that_do_not_fit_are_refused_in_one_sentence() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let data = fixtures.join("data.safetensors");
    let data = text(&data);
    let model = fixtures.join("dictionary_learning/topk/model");
    let model = text(&model);
    let out_of_range = "k = 500\n";
    std::fs::write(dir.join("k.toml"), out_of_range).unwrap();
    std::fs::write(dir.join("key.toml"), "no_such_key = 1\n").unwrap();
    let rows = format!("{data}:eval_x");
    let cases: [(Vec<&str>, &str); 6] = [
        (
            vec![
                "encode",
                model,
                "--input",
                data,
                "--output",
                "o.safetensors",
            ],
            "x",
        ),
        (
            vec![
                "encode",
                model,
                "--input",
                &rows,
                "--output",
                "no/o.safetensors",
            ],
            "a folder that exists",
        ),
        (
            vec![
                "train", "--input", &rows, "--init", model, "--config", "k.toml", "--out", "o",
            ],
            "k is not usable: it is 500, expected 1 to 101",
        ),
        (
            vec![
                "train", "--input", &rows, "--init", model, "--config", "key.toml", "--out", "o",
            ],
            "no_such_key",
        ),
        (
            vec!["train", "--input", "absent.safetensors:x", "--out", "o"],
            "absent.safetensors",
        ),
        (
            vec![
                "encode",
                "absent-sae",
                "--input",
                &rows,
                "--output",
                "o.safetensors",
            ],
            "absent-sae",
        ),
    ];
    for (arguments, expected) in cases {
        let output = run(dir, &arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
    }
    assert!(!dir.join("o").exists());
}

#[test]
fn exports_say_how_far_what_was_written_differs() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for kind in ["batch_topk", "gated", "jumprelu"] {
        let model = fixtures
            .join("dictionary_learning")
            .join(kind)
            .join("model");
        for (format, rule) in [
            (
                "saelens",
                if kind == "gated" { "gated" } else { "jumprelu" },
            ),
            (
                "dictionary_learning",
                if kind == "batch_topk" {
                    "batchtopk"
                } else {
                    kind
                },
            ),
        ] {
            let out = dir.join(format!("{kind}-{format}"));
            let export = [
                "export",
                text(&model),
                "--format",
                format,
                "--out",
                text(&out),
            ];
            let output = run(dir, &[&export[..], &["--json"]].concat());
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{kind}: {message}");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(answer["rule"], rule);
            let [difference, largest] =
                ["largest_difference", "largest_value"].map(|key| answer[key].as_f64().unwrap());
            assert!(difference <= 1e-6 + 1e-5 * largest, "{kind}: {difference}");
            // What is there is not written over.
            assert_eq!(run(dir, &export).status.code(), Some(2));
        }
    }
    let gated = fixtures.join("dictionary_learning/gated/model");
    for (format, expected) in [
        ("sparsify", "topk dictionaries only (and groupmax)"),
        ("onnx", "no format this version writes"),
    ] {
        let out = ["--format", format, "--out", "o"];
        let output = run(dir, &[&["export", text(&gated)][..], &out].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    assert!(!dir.join("o").exists());
}

#[test]
fn nothing_that_is_read_is_written_over_and_a_run_goes_on_with_its_own_rows_only() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::copy(
        fixtures.join("data.safetensors"),
        dir.join("data.safetensors"),
    )
    .unwrap();
    let model = fixtures.join("dictionary_learning/topk/model");
    let before = std::fs::read(dir.join("data.safetensors")).unwrap();
    std::fs::write(dir.join("notes.txt"), "kept").unwrap();
    for output in ["data.safetensors", "notes.txt"] {
        let input = ["--input", "data.safetensors:eval_x", "--output", output];
        let refused = run(dir, &[&["encode", text(&model)][..], &input].concat());
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains("choose another output"), "{message}");
    }
    assert_eq!(std::fs::read(dir.join("data.safetensors")).unwrap(), before);
    assert_eq!(
        std::fs::read_to_string(dir.join("notes.txt")).unwrap(),
        "kept"
    );
    // A run that was begun on other rows and has a checkpoint.
    std::fs::create_dir_all(dir.join("o/checkpoints")).unwrap();
    std::fs::write(dir.join("o/checkpoints/step-0000000010.checkpoint"), "x").unwrap();
    std::fs::write(dir.join("o/train.json"), "{}").unwrap();
    std::fs::write(dir.join("c.toml"), "n_features = 48\nk = 4\n").unwrap();
    let on = ["train", "--input", "data.safetensors:train_batches"];
    let train = [&on[..], &["--config", "c.toml", "--out", "o"]].concat();
    let refused = run(dir, &train);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("begun with other settings"), "{message}");
    // Without the checkpoint there is nothing to go on from, and the name is free.
    std::fs::remove_dir_all(dir.join("o/checkpoints")).unwrap();
    succeed(dir, &train);
}

/// sparsify's own 50 steps, made by `tests/interchange/make_transcoders.py`.
#[test]
fn transcoders_learn_from_pairs_of_rows_as_in_sparsify() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let fixtures = fixtures
        .join("sparsify_transcoders")
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let data = fixtures.join("data.safetensors");
    let [x, y] = ["x", "y"].map(|key| format!("{}:{key}", text(&data)));
    let settings = "recipe = \"sparsify\"\noptimizer = \"adam\"\nlr = 0.005\nwarmup_steps = 10\n\
                    auxk_alpha = 0.03125\ndead_after_rows = 72\n";
    std::fs::write(dir.join("sae.toml"), settings).unwrap();
    let init = fixtures.join("skip/init");
    let from = [
        "train",
        "--input",
        &x,
        "--target",
        &y,
        "--init",
        text(&init),
    ];
    let to = ["--config", "sae.toml", "--out", "trained"];
    succeed(dir, &[&from[..], &to].concat());
    let metrics = std::fs::read_to_string(dir.join("trained/metrics.jsonl")).unwrap();
    let curve = std::fs::read(fixtures.join("skip/curve.json")).unwrap();
    let curve: Vec<Value> = serde_json::from_slice(&curve).unwrap();
    assert_eq!(metrics.lines().count(), 50);
    for (line, expected) in metrics.lines().zip(&curve) {
        let got: Value = serde_json::from_str(line).unwrap();
        let [got, expected] = [&got, expected].map(|line| line["fvu"].as_f64().unwrap());
        assert!((got / expected - 1.0).abs() < 1e-5, "{line}: {expected}");
    }
    // It and sparsify's own predict alike; so does what is written for sparsify.
    let export = [
        "export", "trained", "--format", "sparsify", "--out", "theirs",
    ];
    succeed(dir, &export);
    let ends = [
        dir.join("trained"),
        dir.join("theirs"),
        fixtures.join("skip/final"),
    ];
    let predictions = ends.map(|sae| {
        let codes = dir.join("codes.safetensors");
        let input = ["--input", &x, "--target", &y, "--output", text(&codes)];
        let encode = [&["encode", text(&sae), "--json"][..], &input].concat();
        let output = run(dir, &encode);
        assert!(output.status.success());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            (0.5..0.9).contains(&answer["fvu"].as_f64().unwrap()),
            "{answer}"
        );
        tensor(&codes, "reconstruction").1
    });
    close("trained", &predictions[0], &predictions[2], 1e-4);
    close("exported", &predictions[1], &predictions[2], 1e-4);
    refused_transcoders(dir, &x, &y, text(&init));
}

/// What is no training of a transcoder is told in one sentence, and leaves nothing behind.
fn refused_transcoders(dir: &Path, x: &str, y: &str, init: &str) {
    let shared = "n_features = 40\nk = 4\nbatch_rows = 24\n";
    for (name, settings) in [
        ("plain.toml", ""),
        ("pairs.toml", "recipe = \"sparsify\"\ntranscode = true\n"),
        (
            "wide.toml",
            "recipe = \"sparsify\"\ntranscode = true\nn_features = 44\n",
        ),
    ] {
        let rest = if settings.contains("n_features") {
            "k = 4\n"
        } else {
            shared
        };
        std::fs::write(dir.join(name), format!("{settings}{rest}")).unwrap();
    }
    let data = x.trim_end_matches(":x");
    let short = format!("{data}:z");
    for (words, expected) in [
        (
            vec!["--target", y, "--config", "plain.toml"],
            "--target is for transcoders",
        ),
        (vec!["--config", "pairs.toml"], "needs --target"),
        (vec!["--target", &short, "--config", "pairs.toml"], "z"),
        (
            vec!["--target", y, "--init", init, "--config", "wide.toml"],
            "expected [44, 8]",
        ),
    ] {
        let output = run(
            dir,
            &[&["train", "--input", x, "--out", "o"][..], &words].concat(),
        );
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
        assert!(!dir.join("o").exists(), "{words:?}");
    }
}
