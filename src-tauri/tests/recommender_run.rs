//! `model run` of recommenders against reference values written by `ReChorus`, through the program.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor};

#[path = "../../tests/support/shared.rs"]
mod shared_files;
use shared_files::shared;

struct Tensors(HashMap<String, Tensor>);

impl Tensors {
    fn open(path: &Path) -> Self {
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.0[name].to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        let tensor = self.0[name].to_dtype(DType::U32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }
}

fn run(arguments: &[String]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fluoroscope"))
        .args(["model", "run"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

/// The arguments that name model, dictionary and what is asked, and the reference.
fn request(folder: &Path, name: &str, into: &Path) -> (Vec<String>, Tensors) {
    let reference = Tensors::open(&folder.join("ref.safetensors"));
    let text = |path: &Path| path.display().to_string();
    let mut arguments = vec![
        text(&folder.join("weights.safetensors")),
        format!("--arch={name}"),
    ];
    if reference.0.contains_key("history_items") {
        let width = reference.0["history_items"].dims()[1];
        let rows = reference.ids("history_items");
        let histories: Vec<&[u32]> = rows
            .chunks_exact(width)
            .zip(reference.ids("lengths"))
            .map(|(row, length)| &row[..length as usize])
            .collect();
        let path = into.join("histories.json");
        std::fs::write(&path, serde_json::to_vec(&histories).unwrap()).unwrap();
        arguments.push(format!("--histories={}", text(&path)));
        arguments.push("--history-max=10".to_owned());
    } else {
        let path = into.join("users.json");
        std::fs::write(
            &path,
            serde_json::to_vec(&reference.ids("user_id")).unwrap(),
        )
        .unwrap();
        arguments.push(format!("--users={}", text(&path)));
    }
    match name {
        "sasrec" => arguments.push("--heads=4".to_owned()),
        "lightgcn" => {
            let place = text(&folder.join("ref.safetensors"));
            arguments.push(format!("--interactions={place}:train_pairs"));
            arguments.push("--layers=2".to_owned());
        }
        _ => {}
    }
    (arguments, reference)
}

/// The dictionary beside the model; the peer's own class keeps it inside the model's state dict.
fn dictionary(folder: &Path, into: &Path) -> PathBuf {
    let path = folder.join("sae_weights.safetensors");
    if path.exists() {
        return path;
    }
    let whole = candle_core::safetensors::load(folder.join("weights.safetensors"), &Device::Cpu);
    let own: HashMap<String, Tensor> = whole
        .unwrap()
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("sae_module.")?.to_owned(), tensor)))
        .collect();
    let path = into.join("sae.safetensors");
    candle_core::safetensors::save(&own, &path).unwrap();
    path
}

fn close(found: &Tensors, of: &str, reference: &Tensors, name: &str) {
    let (found, expected) = (found.floats(of), reference.floats(name));
    assert_eq!(found.len(), expected.len(), "{of}");
    let difference = found
        .iter()
        .zip(&expected)
        .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference < 5e-5, "{of} against {name}: {difference}");
}

#[test]
fn all_five_models_rank_as_the_reference() {
    let Some(fixtures) = shared("fixtures/sasrec") else {
        return;
    };
    for name in ["bprmf", "lightgcn", "sasrec", "timirec", "gru4rec"] {
        let folder = fixtures.join(name);
        let temporary = tempfile::tempdir().unwrap();
        let into = temporary.path();
        let (arguments, reference) = request(&folder, name, into);
        let sae = dictionary(&folder, into);
        let dump = into.join("out.safetensors");
        let with = |more: &[String]| {
            let mut all = arguments.clone();
            all.push(format!("--sae={}", sae.display()));
            all.push("--k=5".to_owned());
            all.push(format!("--dump={}", dump.display()));
            all.extend_from_slice(more);
            let (status, said) = run(&all);
            assert_eq!(status, 0, "{name}: {said}");
            Tensors::open(&dump)
        };
        let plain = with(&[]);
        let vectors = if name == "sasrec" {
            "seq_repr"
        } else {
            "user_vector"
        };
        close(&plain, "hook_user_vector", &reference, vectors);
        close(&plain, "scores", &reference, "prediction");
        close(&plain, "reconstruction", &reference, "sae_recon");
        close(&plain, "scores_reconstructed", &reference, "scores_sae");
        assert_eq!(plain.ids("top_items"), reference.ids("top10"), "{name}");
        let through = plain.ids("top_items_reconstructed");
        assert_eq!(through, reference.ids("top10_sae"), "{name}");

        let feature = reference.ids("ablated_latent")[0];
        let steer = into.join("steer.toml");
        let file = |mode: &str| {
            std::fs::write(
                &steer,
                format!(
                    "[[edit]]\nhook = \"hook_user_vector\"\nmode = \"{mode}\"\nstrength = 3.0\n\
                     sae = \"{}\"\nfeature = {feature}\n",
                    sae.display()
                ),
            )
            .unwrap();
            with(&[format!("--steer={}", steer.display())])
        };
        let ablated = file("ablate");
        close(&ablated, "reconstruction", &reference, "ablated_recon");
        close(
            &ablated,
            "scores_reconstructed",
            &reference,
            "scores_ablated",
        );
        close(&ablated, "scores", &reference, "scores_ablated_plus_error");
        let top = ablated.ids("top_items");
        assert_eq!(top, reference.ids("top10_ablated_plus_error"), "{name}");
        let boosted = file("scale");
        close(&boosted, "reconstruction", &reference, "boost3x_recon");
        close(
            &boosted,
            "scores_reconstructed",
            &reference,
            "scores_boost3x",
        );
        let top = boosted.ids("top_items_reconstructed");
        assert_eq!(top, reference.ids("top10_boost3x"), "{name}");
    }
}

#[test]
fn seen_items_are_left_out_where_asked() {
    let Some(fixtures) = shared("fixtures/sasrec") else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = fixtures.join("sasrec");
    let (mut arguments, reference) = request(&folder, "sasrec", temporary.path());
    let dump = temporary.path().join("out.safetensors");
    arguments.push(format!("--dump={}", dump.display()));
    arguments.push("--mask-history".to_owned());
    let (status, said) = run(&arguments);
    assert_eq!(status, 0, "{said}");
    let found = Tensors::open(&dump).ids("top_items");
    assert_eq!(found, reference.ids("top10_excluding_history"));
}

#[test]
fn real_histories_rank_as_the_reference() {
    let Some(fixtures) = shared("fixtures/recsae") else {
        return;
    };
    let golden = Tensors::open(&fixtures.join("grocery_golden256.safetensors"));
    let temporary = tempfile::tempdir().unwrap();
    let width = golden.0["history"].dims()[1];
    let rows = golden.ids("history");
    let histories: Vec<&[u32]> = rows
        .chunks_exact(width)
        .zip(golden.ids("length"))
        .map(|(row, length)| &row[..length as usize])
        .collect();
    let path = temporary.path().join("histories.json");
    std::fs::write(&path, serde_json::to_vec(&histories).unwrap()).unwrap();
    let dump = temporary.path().join("out.safetensors");
    let of = |name: &str| fixtures.join(name).display().to_string();
    let (status, said) = run(&[
        of("grocery_sasrec.safetensors"),
        format!("--histories={}", path.display()),
        format!("--sae={}", of("grocery_sae_k8_s16.safetensors")),
        "--k=8".to_owned(),
        format!("--dump={}", dump.display()),
    ]);
    assert_eq!(status, 0, "{said}");
    let found = Tensors::open(&dump);
    close(&found, "hook_user_vector", &golden, "hidden");
    close(&found, "reconstruction", &golden, "recon");
    assert_eq!(found.ids("top_items"), golden.ids("top10"));
    let through = found.ids("top_items_reconstructed");
    assert_eq!(through, golden.ids("top10_recon"));
}

#[test]
fn wrong_requests_are_one_sentence() {
    let Some(fixtures) = shared("fixtures/sasrec") else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = fixtures.join("gru4rec");
    let (arguments, _) = request(&folder, "gru4rec", temporary.path());
    let write = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let model = &arguments[0];
    let cases = [
        (
            vec![
                model.clone(),
                format!("--histories={}", write("far.json", "[[1], [83]]")),
            ],
            "entry 1",
        ),
        (
            vec![
                model.clone(),
                format!("--histories={}", write("empty.json", "[[1], []]")),
            ],
            "entry 1",
        ),
        (
            vec![
                model.clone(),
                format!("--histories={}", write("none.json", "[]")),
            ],
            "at least one",
        ),
        (
            vec![
                model.clone(),
                format!("--histories={}", write("text.json", "[\"a\"]")),
            ],
            "JSON list",
        ),
        (
            vec![
                model.clone(),
                "--arch=bprmf".to_owned(),
                format!("--histories={}", write("one.json", "[[1]]")),
            ],
            "BprMf",
        ),
        (
            vec![
                fixtures
                    .join("lightgcn/weights.safetensors")
                    .display()
                    .to_string(),
                format!("--users={}", write("users.json", "[3]")),
            ],
            "train interactions",
        ),
        (
            vec![
                fixtures
                    .join("bprmf/weights.safetensors")
                    .display()
                    .to_string(),
                format!("--users={}", write("beyond.json", "[30]")),
            ],
            "up to 29",
        ),
    ];
    for (arguments, part) in cases {
        let (status, said) = run(&arguments);
        assert_eq!(status, 2, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(part), "{said}");
    }
}
