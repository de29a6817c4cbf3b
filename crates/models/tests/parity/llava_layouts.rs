//! The same checkpoint under other names, in shards and tied; and damaged ones, each refused in one
//! sentence.

use std::collections::BTreeMap;
use std::path::Path;

use models::vision_language::{Llava, LoadOptions, llava_memory};
use models::weights::Coding;
use models::{HookSpec, HookedModel as _, ModelInput, PromptImage};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::shared_files::shared;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

const MAIRA: &str = "fixtures/maira_tiny";

/// The tensors of a checkpoint, all f32.
fn tensors_of(folder: &Path) -> Tensors {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec())))
        .collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A copy of the checkpoint's small files.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// The names that the newer layout gives.
fn renamed(name: &str) -> String {
    name.strip_prefix("language_model.model.").map_or_else(
        || match name.strip_prefix("language_model.") {
            Some(head) => head.to_owned(),
            None => format!("model.{name}"),
        },
        |rest| format!("model.language_model.{rest}"),
    )
}

fn load(folder: &Path) -> Result<Llava, String> {
    Llava::load(folder, "", &LoadOptions::default()).map_err(|error| error.to_string())
}

fn input(model: &Llava, n: usize) -> ModelInput {
    let pixels: Vec<f32> = (0..3 * 56 * 56).map(|i| (i as f32 * 0.01).sin()).collect();
    let mut ids = vec![1; n];
    ids[1..17].fill(624);
    let image = PromptImage::Processed(&pixels, [3, 56, 56]);
    model.prepare_ids(&ids, &[image]).unwrap()
}

fn logits(model: &Llava) -> Vec<f32> {
    let input = input(model, 24);
    model.logits(&input, &HookSpec::default()).unwrap().0
}

#[test]
fn newer_names_and_shards_change_nothing() {
    let Some(folder) = shared(MAIRA) else { return };
    let expected = logits(&load(&folder).unwrap());
    let tensors = tensors_of(&folder);

    let newer = copy(&folder);
    let renamed_tensors: Tensors = tensors
        .iter()
        .map(|(name, tensor)| (renamed(name), tensor.clone()))
        .collect();
    write(&newer.path().join("model.safetensors"), &renamed_tensors);
    assert_eq!(logits(&load(newer.path()).unwrap()), expected);

    let sharded = copy(&folder);
    let mut weight_map = BTreeMap::new();
    for (i, half) in [true, false].into_iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", i + 1);
        let part: Tensors = tensors
            .iter()
            .filter(|(tensor, _)| tensor.contains("layers.1") == half)
            .map(|(tensor, value)| (tensor.clone(), value.clone()))
            .collect();
        weight_map.extend(part.keys().map(|tensor| (tensor.clone(), name.clone())));
        write(&sharded.path().join(&name), &part);
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": weight_map}).to_string();
    let index_path = sharded.path().join("model.safetensors.index.json");
    std::fs::write(&index_path, index).unwrap();
    assert_eq!(logits(&load(sharded.path()).unwrap()), expected);

    // A shard that is cut short names itself.
    let shard = sharded.path().join("model-00002-of-00002.safetensors");
    let bytes = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &bytes[..bytes.len() - 100]).unwrap();
    let message = load(sharded.path()).err().unwrap();
    assert!(
        message.contains("model-00002-of-00002.safetensors: tensor "),
        "{message}"
    );
    assert!(message.contains("cut short"), "{message}");
}

/// Loads a copy with changed tensors and a changed configuration; the message of the refusal.
fn refusal(
    folder: &Path,
    change: impl FnOnce(&mut Tensors),
    configure: impl FnOnce(&mut serde_json::Value),
) -> String {
    let copy = copy(folder);
    let mut tensors = tensors_of(folder);
    change(&mut tensors);
    write(&copy.path().join("model.safetensors"), &tensors);
    let path = copy.path().join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    configure(&mut config);
    std::fs::write(&path, config.to_string()).unwrap();
    load(copy.path()).err().unwrap_or_default()
}

#[test]
fn damaged_tensors_are_refused_by_name() {
    let Some(folder) = shared(MAIRA) else { return };
    let gate = "language_model.model.layers.2.mlp.gate_proj.weight";
    let check = |message: &str, parts: &[&str]| {
        for part in parts {
            assert!(message.contains(part), "{message} lacks {part}");
        }
        assert!(!message.contains('\n'));
    };
    let unchanged = |_: &mut serde_json::Value| {};
    let missing = refusal(&folder, |t| drop(t.remove(gate)), unchanged);
    check(&missing, &[gate, "is missing", "model.safetensors"]);
    let shape = refusal(
        &folder,
        |t| t.get_mut(gate).unwrap().0 = vec![64, 172],
        unchanged,
    );
    check(&shape, &[gate, "expected shape [172, 64], found [64, 172]"]);
    for name in [gate, "vision_tower.layernorm.bias"] {
        let nan = refusal(
            &folder,
            |t| t.get_mut(name).unwrap().1[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
            unchanged,
        );
        check(&nan, &[name, "not a finite number"]);
    }
    let surplus = refusal(
        &folder,
        |t| {
            let tensor = t["vision_tower.layernorm.bias"].clone();
            t.insert("vision_tower.extra.bias".to_owned(), tensor);
        },
        unchanged,
    );
    check(
        &surplus,
        &["vision_tower.extra.bias", "without this tensor"],
    );
}

#[test]
fn unsound_configurations_are_refused_by_key() {
    let Some(folder) = shared(MAIRA) else { return };
    for (key, value, expected) in [
        (
            "/model_type",
            serde_json::json!("qwen2_vl"),
            "key model_type",
        ),
        (
            "/text_config/model_type",
            serde_json::json!("gemma"),
            "key text_config.model_type",
        ),
        (
            "/vision_config/model_type",
            serde_json::json!("clip"),
            "key vision_config.model_type",
        ),
        (
            "/text_config/num_attention_heads",
            serde_json::json!(5),
            "key text_config.",
        ),
        (
            "/projector_hidden_act",
            serde_json::json!("mish"),
            "key projector_hidden_act",
        ),
        (
            "/vision_feature_layer",
            serde_json::json!(-9),
            "key vision_feature_layer",
        ),
        (
            "/image_token_index",
            serde_json::json!(9999),
            "key image_token_index",
        ),
    ] {
        let message = refusal(
            &folder,
            |_| {},
            |config| *config.pointer_mut(key).unwrap() = value,
        );
        assert!(
            message.contains("config.json: ") && message.contains(expected),
            "{message}"
        );
    }
}

#[test]
fn a_tied_head_is_the_embedding() {
    let Some(folder) = shared(MAIRA) else { return };
    let copy = copy(&folder);
    let mut tensors = tensors_of(&folder);
    let embedding = tensors["language_model.model.embed_tokens.weight"].clone();
    tensors.insert("language_model.lm_head.weight".to_owned(), embedding);
    write(&copy.path().join("model.safetensors"), &tensors);
    let expected = logits(&load(copy.path()).unwrap());
    tensors.remove("language_model.lm_head.weight");
    write(&copy.path().join("model.safetensors"), &tensors);
    assert!(load(copy.path()).err().unwrap().contains("lm_head.weight"));
    let path = copy.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace(
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
    );
    std::fs::write(&path, config).unwrap();
    assert_eq!(logits(&load(copy.path()).unwrap()), expected);
}

#[test]
fn coded_weights_are_kept_by_the_hash_of_the_checkpoint() {
    let Some(folder) = shared(MAIRA) else { return };
    let cache = tempfile::tempdir().unwrap();
    let load = |hash: &str| {
        let options = LoadOptions {
            coding: Some(Coding::Q8_0),
            cache: Some(cache.path().to_owned()),
            ..LoadOptions::default()
        };
        logits(&Llava::load(&folder, hash, &options).unwrap())
    };
    let first = load("hash");
    let kept = cache.path().join("hash-Q8_0.safetensors");
    let written = std::fs::metadata(&kept).unwrap().modified().unwrap();
    assert_eq!(load("hash"), first);
    assert_eq!(
        std::fs::metadata(&kept).unwrap().modified().unwrap(),
        written
    );
    // A damaged file is made again; without a hash nothing is kept.
    std::fs::write(&kept, "no tensors").unwrap();
    assert_eq!(load("hash"), first);
    assert!(std::fs::metadata(&kept).unwrap().len() > 1000);
    load("");
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
}

#[test]
fn memory_is_told_from_the_headers() {
    let Some(folder) = shared(MAIRA) else { return };
    let stored = llava_memory(&folder, None).unwrap();
    let n_values: usize = tensors_of(&folder)
        .values()
        .map(|(_, bytes)| bytes.len() / 4)
        .sum();
    assert_eq!(stored.n_parameters, n_values as u64);
    assert_eq!(stored.weight_bytes, 4 * n_values as u64);
    assert_eq!(stored.bytes_per_position, 2 * 4 * 4 * 64);
    assert_eq!(stored.n_context, 1536);
    let half = llava_memory(&folder, Some(Coding::Bf16)).unwrap();
    assert!(half.weight_bytes < stored.weight_bytes * 6 / 10);
}
