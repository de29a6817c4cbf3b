//! Dictionaries of other tools: one command imports a published folder, the layer self-test finds
//! the block a dictionary was made at, and damaged or hostile files change nothing.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/executable.rs"]
mod executable;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use executable::run;
use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Written by `scripts/make_maira2_sae_folder.py` with `dictionary_learning` 0.1.0.
fn published() -> PathBuf {
    repository().join("tests/fixtures/maira2_sae")
}

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--json", "--project", "p"]);
    let output = run(dir, &all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// Files of the project but the lock and the database, with their bytes.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "db" {
                    folders.push(path);
                }
            } else if !name.contains("lock") {
                files.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A project with phantom films and the shipped phantom model.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert!(run(dir.path(), &["project", "new", "p"]).status.success());
    json(
        dir.path(),
        &[
            "dataset",
            "phantom",
            "films",
            "--kind",
            "radiographs",
            "--count",
            "30",
        ],
    );
    let model = repository().join("assets/phantom-vlm");
    json(
        dir.path(),
        &["model", "add", "phantom", "--path", model.to_str().unwrap()],
    );
    dir
}

#[test]
fn a_published_folder_is_imported_in_one_command() {
    let dir = project();
    let at = dir.path();
    let imported = json(
        at,
        &[
            "sae",
            "import",
            "maira",
            "--path",
            published().to_str().unwrap(),
            "--model",
            "phantom",
            "--dataset",
            "films",
        ],
    );
    let dictionaries = imported["dictionaries"].as_array().unwrap();
    // What is kept is what was read.
    for one in dictionaries {
        assert_eq!(one["read_back"]["largest_difference"], 0.0, "{one}");
        assert!(one["read_back"]["largest_value"].as_f64().unwrap() > 0.0);
    }
    let figures: Vec<_> = dictionaries
        .iter()
        .map(|one| {
            assert_eq!(one["class"], "MatryoshkaBatchTopKSAE");
            assert_eq!(one["hook"], "blocks.1.hook_resid_post");
            assert_eq!(one["k"], 4);
            let test = &one["layer_test"];
            assert_eq!(test["expected"], "blocks.1.hook_resid_post");
            assert_eq!(test["candidates"].as_array().unwrap().len(), 2);
            (
                one["name"].as_str().unwrap(),
                one["n_features"].as_u64().unwrap(),
                one["n_proposals"].as_u64().unwrap(),
            )
        })
        .collect();
    // JSON and CSV say the same of ef0.25; JSON Lines and keyed JSON differ for ef1.
    assert_eq!(
        figures,
        [
            ("maira-ef0.25", 24, 3),
            ("maira-ef0.5", 48, 6),
            ("maira-ef1", 96, 20)
        ]
    );
    let parquet = &dictionaries[1]["tables"][0];
    assert_eq!(parquet["file"], "interpretations.parquet");
    assert_eq!(parquet["blake3"].as_str().unwrap().len(), 64);

    // The explanations stand as proposals that a reviewer accepts.
    json(at, &["features", "index", "maira-ef0.5"]);
    let page = json(at, &["features", "show", "maira-ef0.5", "8"]);
    assert_eq!(page["card"]["proposal"], "right nodule");
    assert_eq!(page["card"]["label"], "");
    let source = &page["explanations"][0]["source"];
    assert_eq!(source["file"], "interpretations.parquet");
    assert_eq!(source["metadata"]["level"], "3");
    assert!(source["score"].is_f64(), "{source}");
    let decision = json(
        at,
        &[
            "review",
            "decide",
            "maira-ef0.5",
            "--feature",
            "8",
            "--state",
            "accepted",
        ],
    );
    assert_eq!(decision["text"], "right nodule");
    assert!(
        run(at, &["project", "check", "--project", "p"])
            .status
            .success()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn the_layer_self_test_finds_the_block_of_a_dictionary() {
    let dir = project();
    let at = dir.path();
    std::fs::write(
        at.join("sae.toml"),
        "variant = \"batch_top_k\"\nn_features = 192\nk = 8\nbatch_rows = 256\nsteps = 400\n\
         threshold_start_step = 100\nlr = 0.003\n",
    )
    .unwrap();
    for block in [0, 1] {
        let hook = format!("blocks.{block}.hook_resid_post");
        let (harvest, sae) = (format!("h{block}"), format!("d{block}"));
        json(
            at,
            &[
                "harvest",
                "run",
                &harvest,
                "--model",
                "phantom",
                "--dataset",
                "films",
                "--hook",
                &hook,
                "--positions",
                "text",
            ],
        );
        json(
            at,
            &[
                "sae",
                "train",
                &sae,
                "--harvest",
                &harvest,
                "--config",
                "sae.toml",
            ],
        );
        // By its name in the project, and as a folder that names no layer.
        let folder = at.join("p/saes").join(&sae);
        for place in [sae.as_str(), folder.to_str().unwrap()] {
            let found = json(
                at,
                &[
                    "sae",
                    "locate",
                    place,
                    "--model",
                    "phantom",
                    "--dataset",
                    "films",
                    "--hooks",
                    "all",
                ],
            );
            let test = &found["dictionaries"][0];
            assert_eq!(test["lowest"], hook.as_str(), "{test}");
            assert_eq!(test["is_settled"], true, "{test}");
            let fvu = |i: usize| test["candidates"][i]["fvu"].as_f64().unwrap();
            assert!(fvu(block) < 0.5 * fvu(1 - block), "{test}");
        }
        // A folder that says the wrong layer is imported where the test puts it.
        let (name, wrong) = (format!("wrong{block}"), 1 - block);
        write_published(&folder, &at.join(&name), wrong);
        let imported = json(
            at,
            &[
                "sae",
                "import",
                &name,
                "--path",
                &name,
                "--model",
                "phantom",
                "--dataset",
                "films",
            ],
        );
        let one = &imported["dictionaries"][0];
        assert_eq!(one["hook"], hook.as_str(), "{one}");
        let test = &one["layer_test"];
        assert_eq!(test["expected"], format!("blocks.{wrong}.hook_resid_post"));
        assert_eq!(test["agrees"], false);
        assert!(
            one["notes"][0].as_str().unwrap().contains("imported at"),
            "{one}"
        );
    }
}

/// Writes a dictionary of the project as `dictionary_learning` lays out a `BatchTopKSAE`.
fn write_published(sae: &Path, out: &Path, layer: usize) {
    let bytes = std::fs::read(sae.join("sae.safetensors")).unwrap();
    let (head, rest) = bytes.split_at(8);
    let n_head = u64::from_le_bytes(head.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(n_head);
    let mut header: Value = serde_json::from_slice(header).unwrap();
    let mut data = data.to_vec();
    // The decoder is a Linear layer there: [d_model, n_features].
    let mut decoder = header["W_dec"].take();
    let shape = |i: usize| decoder["shape"][i].as_u64().unwrap() as usize;
    let (n, d) = (shape(0), shape(1));
    let from = decoder["data_offsets"][0].as_u64().unwrap() as usize;
    let rows = data[from..from + n * d * 4].to_vec();
    for feature in 0..n {
        for i in 0..d {
            let (to, at) = (from + (i * n + feature) * 4, (feature * d + i) * 4);
            data[to..to + 4].copy_from_slice(&rows[at..at + 4]);
        }
    }
    decoder["shape"] = serde_json::json!([d, n]);
    let header = header.as_object_mut().unwrap();
    header.remove("W_dec");
    header.insert("decoder.weight".to_owned(), decoder);
    let header = serde_json::to_vec(header).unwrap();
    std::fs::create_dir(out).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(
        out.join("ae.safetensors"),
        [&length[..], &header, &data].concat(),
    )
    .unwrap();
    let config = serde_json::json!({ "trainer": {
        "dict_class": "BatchTopKSAE", "activation_dim": d, "dict_size": n, "k": 8, "layer": layer,
        "submodule_name": format!("resid_post_layer_{layer}"),
    } });
    std::fs::write(out.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn files_that_cannot_be_used_are_refused_in_one_sentence() {
    let dir = project();
    let at = dir.path();
    let before = tree(&at.join("p"));
    let good = std::fs::read(published().join("ef0.25/ae.pt")).unwrap();
    let hostile = std::fs::read(repository().join("tests/fixtures/hostile_ae.pt")).unwrap();
    for (name, bytes, words) in [
        ("hostile", hostile, "posix.system"),
        ("cut", good[..good.len() / 2].to_vec(), "cut short"),
        ("old", b"\x80\x02}q\x00.".to_vec(), "zip archive"),
        ("empty", Vec::new(), "zip archive"),
    ] {
        let folder = at.join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(
            published().join("ef0.25/config.json"),
            folder.join("config.json"),
        )
        .unwrap();
        std::fs::write(folder.join("ae.pt"), bytes).unwrap();
        let output = run(
            at,
            &[
                "sae",
                "import",
                "bad",
                "--path",
                name,
                "--model",
                "phantom",
                "--dataset",
                "films",
                "--project",
                "p",
            ],
        );
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = errors.lines().last().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
        assert!(
            last.contains("ae.pt") && last.contains(words),
            "{name}: {last}"
        );
        assert!(!errors.contains("panicked"), "{name}: {errors}");
    }
    assert!(before == tree(&at.join("p")), "the project changed");
}
