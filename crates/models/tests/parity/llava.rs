//! MAIRA-2 and `LLaVA` against the reference on small checkpoints of the same layout.
//!
//! Tolerances are those of `fixtures/README.md`: 3e-5 in tower and projector, 1e-4 in decoder and
//! logits, exact ids.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::vision::processor::ImageProcessor;
use models::vision_language::{Llava, LoadOptions};
use models::weights::Coding;
use models::{
    ActivationEdit, AttributionMethod, EditedPosition, Generation, GenerationOptions, HookSpec,
    HookedModel as _, ModelInput, Probe, PromptImage,
};
use safetensors::SafeTensors;
use schema::{Film, HookPoint, PositionClass};

use super::shared_files::{max_difference, shared};

const MODELS: [&str; 2] = ["fixtures/maira_tiny", "fixtures/llava_tiny"];
const TOWER: f32 = 3e-5;
const DECODER: f32 = 1e-4;

/// Tensors of a reference file: shape, and values as f32 or ids.
struct Reference {
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    ids: BTreeMap<String, Vec<u32>>,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let mut reference = Self {
            floats: BTreeMap::new(),
            ids: BTreeMap::new(),
            bytes: BTreeMap::new(),
        };
        for (name, view) in tensors.tensors() {
            let data = view.data();
            match view.dtype() {
                safetensors::Dtype::F32 => {
                    let values = data
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    let entry = (view.shape().to_vec(), values.collect());
                    reference.floats.insert(name, entry);
                }
                safetensors::Dtype::I64 => {
                    let ids = data
                        .chunks_exact(8)
                        .map(|b| u32::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap());
                    reference.ids.insert(name, ids.collect());
                }
                _ => {
                    reference.bytes.insert(name, data.to_vec());
                }
            }
        }
        reference
    }

    fn floats(&self, name: &str) -> &[f32] {
        &self.floats[name].1
    }
}

struct Case {
    folder: PathBuf,
    model: Llava,
    report: serde_json::Value,
    images: Reference,
}

fn cases() -> Vec<Case> {
    MODELS
        .iter()
        .filter_map(|name| {
            let folder = shared(name)?;
            Some(Case {
                model: Llava::load(&folder, "", &LoadOptions::default()).unwrap(),
                report: serde_json::from_slice(
                    &std::fs::read(folder.join("ref/report.json")).unwrap(),
                )
                .unwrap(),
                images: Reference::read(&folder.join("ref/images.safetensors")),
                folder,
            })
        })
        .collect()
}

impl Case {
    fn reference(&self, name: &str) -> Reference {
        Reference::read(&self.folder.join(format!("ref/{name}.safetensors")))
    }

    fn film(&self, name: &str) -> Film {
        datasets::film::load_film(&self.folder.join(format!("{name}.png"))).unwrap()
    }

    fn image_names(&self, case: &str) -> Vec<String> {
        serde_json::from_value(self.report["cases"][case]["images"].clone()).unwrap()
    }

    /// The input of a case from the reference's own pixels and ids.
    fn input(&self, case: &str, ids: &[u32]) -> ModelInput {
        let images: Vec<PromptImage<'_>> = self
            .image_names(case)
            .into_iter()
            .map(|name| {
                let (shape, values) = &self.images.floats[&format!("{name}.pixel_values")];
                PromptImage::Processed(values, [shape[1], shape[2], shape[3]])
            })
            .collect();
        self.model.prepare_ids(ids, &images).unwrap()
    }
}

fn hook_of(name: &str) -> Option<HookPoint> {
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse().ok();
    match name {
        "vision.embeddings" => Some(HookPoint::VisionEmbed),
        "vision.layernorm" => Some(HookPoint::VisionLnFinal),
        "projector" => Some(HookPoint::ProjectorOut),
        "resid.embed" => Some(HookPoint::Embed),
        "resid.final_norm" => Some(HookPoint::LnFinal),
        _ => number("vision.block.")
            .map(HookPoint::VisionResidPost)
            .or_else(|| number("resid.layer.").map(HookPoint::ResidPost)),
    }
}

fn greedy() -> GenerationOptions {
    GenerationOptions {
        max_new_tokens: 24,
        ignore_eos: true,
        keep_logits: true,
        sampling: None,
    }
}

fn write(model: &Llava, input: &ModelInput, spec: &HookSpec) -> Generation {
    let mut go_on = |_: &str| ControlFlow::Continue(());
    model.generate(input, spec, greedy(), &mut go_on).unwrap()
}

#[test]
fn every_state_of_every_case_equals_the_reference() {
    for case in cases() {
        for name in ["single", "two_image", "grounding"] {
            let reference = case.reference(name);
            let input = case.input(name, &reference.ids["input_ids"]);
            let hooks: Vec<HookPoint> =
                reference.floats.keys().filter_map(|n| hook_of(n)).collect();
            assert!(hooks.len() >= 3, "{name}");
            let (logits, captured) = case
                .model
                .logits(&input, &HookSpec::capturing(&hooks))
                .unwrap();
            assert_eq!(captured.len(), hooks.len());
            for (tensor, (_, values)) in &reference.floats {
                let Some(hook) = hook_of(tensor) else {
                    continue;
                };
                let ours = captured.iter().find(|c| c.hook == hook).unwrap();
                let limit = if hook.is_vision() { TOWER } else { DECODER };
                let difference = max_difference(&ours.values, values);
                assert!(difference < limit, "{name} {tensor}: {difference}");
            }
            let (key, whole) = if reference.floats.contains_key("logits") {
                ("logits", reference.floats("logits"))
            } else {
                ("logits_last64", reference.floats("logits_last64"))
            };
            let ours = &logits[logits.len() - whole.len()..];
            let difference = max_difference(ours, whole);
            assert!(difference < DECODER, "{name} {key}: {difference}");
            let written = write(&case.model, &input, &HookSpec::default());
            assert_eq!(written.ids, reference.ids["gen_ids"], "{name}");
            let difference = max_difference(&written.logits, reference.floats("gen_logits"));
            assert!(difference < DECODER, "{name} gen_logits: {difference}");
        }
    }
}

#[test]
fn stopping_early_changes_nothing_that_is_captured() {
    for case in cases() {
        let reference = case.reference("single");
        let input = case.input("single", &reference.ids["input_ids"]);
        let hooks: Vec<HookPoint> = case
            .model
            .card()
            .hooks
            .iter()
            .map(|info| info.hook)
            .collect();
        let (_, whole) = case
            .model
            .logits(&input, &HookSpec::capturing(&hooks))
            .unwrap();
        for (hook, whole) in hooks.iter().zip(&whole) {
            let alone = case
                .model
                .capture(std::slice::from_ref(&input), &[*hook])
                .unwrap();
            assert_eq!(alone[0][0].values, whole.values, "{hook}");
            let positions = case.model.positions(&input, *hook).unwrap();
            assert_eq!(positions.len(), whole.n_rows, "{hook}");
        }
    }
}

#[test]
fn pixels_from_the_file_equal_the_reference() {
    for case in cases() {
        let processor: &ImageProcessor = case.model.processor();
        for name in ["frontal", "lateral"] {
            let film = case.film(name);
            let grey = processor.grey(&film);
            assert_eq!(
                grey.pixels,
                case.images.bytes[&format!("{name}.normalized_u8")]
            );
            let (cropped, _) = processor.resized_and_cropped(&grey);
            let plane = &case.images.bytes[&format!("{name}.resized_cropped_u8")];
            assert_eq!(cropped.pixels, plane[..cropped.pixels.len()], "{name}");
            let ours = processor.process(&film).pixels;
            let theirs = case.images.floats(&format!("{name}.pixel_values"));
            assert!(max_difference(&ours, theirs) < 1e-5, "{name}");
        }
    }
}

#[test]
fn prompts_from_text_equal_the_reference() {
    for case in cases() {
        for name in ["single", "two_image", "grounding"] {
            let prompt = case.report["cases"][name]["prompt_text"].as_str().unwrap();
            let films: Vec<Film> = case
                .image_names(name)
                .iter()
                .map(|n| case.film(n))
                .collect();
            let films: Vec<PromptImage<'_>> = films.iter().map(PromptImage::Film).collect();
            let input = case.model.prepare_text(prompt, &films).unwrap();
            assert_eq!(input.ids, case.reference(name).ids["input_ids"], "{name}");
            assert_eq!(input.classes[0], PositionClass::Bos);
        }
        let cases_path = case.folder.join("ref/tokenizer_cases.json");
        let value: serde_json::Value =
            serde_json::from_slice(&std::fs::read(cases_path).unwrap()).unwrap();
        for text in value["texts"].as_array().unwrap() {
            let tokenizer = case.model.tokenizer();
            let ids: Vec<u32> = serde_json::from_value(text["ids"].clone()).unwrap();
            assert_eq!(tokenizer.ids(text["text"].as_str().unwrap()).unwrap(), ids);
            for (key, keep) in [
                ("decoded_keep_special", true),
                ("decoded_skip_special", false),
            ] {
                assert_eq!(
                    tokenizer.text(&ids, keep).unwrap(),
                    text[key].as_str().unwrap()
                );
            }
        }
    }
}

/// `x += strength · v` from a position on.
struct AddFrom {
    v: Vec<f32>,
    strength: f32,
    start: u32,
}

impl ActivationEdit for AddFrom {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        for (row, at) in rows.chunks_exact_mut(d_model).zip(positions) {
            if at.position >= self.start {
                for (value, v) in row.iter_mut().zip(&self.v) {
                    *value += self.strength * v;
                }
            }
        }
    }
}

#[test]
fn steered_states_logits_and_ids_equal_the_reference() {
    for case in cases() {
        let names = case.report["cases"].as_object().unwrap().keys();
        let steered: Vec<&String> = names.filter(|name| name.starts_with("steer_")).collect();
        assert!(steered.len() >= 8);
        for name in steered {
            let reference = case.reference(name);
            let layer = reference.ids["layer"][0] as usize;
            let hook = HookPoint::ResidPost(layer);
            let edit: Arc<dyn ActivationEdit> = Arc::new(AddFrom {
                v: reference.floats("v").to_vec(),
                strength: reference.floats("alpha")[0],
                start: reference.ids["start_pos"][0],
            });
            let spec = |capture: &[HookPoint]| HookSpec {
                capture: capture.to_vec(),
                edits: vec![(hook, Arc::clone(&edit))],
                keep_at: None,
            };
            let last = HookPoint::ResidPost(3);
            let base = name
                .split("_L")
                .next()
                .unwrap()
                .trim_start_matches("steer_");
            let full = &reference.ids["input_ids_full"];
            let input = case.input(base, full);
            let (logits, captured) = case.model.logits(&input, &spec(&[hook, last])).unwrap();
            let rows = reference.floats("logits_from_last_prompt");
            let difference = max_difference(&logits[logits.len() - rows.len()..], rows);
            assert!(difference < DECODER, "{name}: {difference}");
            for (captured, key) in captured
                .iter()
                .zip(["resid_steered_layer", "resid_last_layer"])
            {
                let difference = max_difference(&captured.values, reference.floats(key));
                assert!(difference < DECODER, "{name} {key}: {difference}");
            }
            let n_prompt = case.report["cases"][base]["prompt_len"].as_u64().unwrap() as usize;
            let prompt = case.input(base, &full[..n_prompt]);
            // The first run fills the cache, the second goes on from it.
            for _ in 0..2 {
                let written = write(&case.model, &prompt, &spec(&[]));
                assert_eq!(written.ids, reference.ids["gen_ids"], "{name}");
            }
        }
    }
}

#[test]
fn larger_images_get_interpolated_positions() {
    for case in cases() {
        let reference = case.reference("vision_interp");
        let (name, (shape, pixels)) = reference
            .floats
            .iter()
            .find(|(_, (shape, _))| shape.len() == 4)
            .unwrap();
        assert_eq!(name, "pixel_values");
        let [height, width] = [shape[2], shape[3]];
        let n_tokens = height / 14 * (width / 14);
        let ids = vec![case.report["image_token_id"].as_u64().unwrap() as u32; n_tokens];
        let input = case
            .model
            .prepare_ids(&ids, &[PromptImage::Processed(pixels, [3, height, width])])
            .unwrap();
        let blocks = case
            .model
            .card()
            .hooks
            .iter()
            .filter_map(|info| match info.hook {
                HookPoint::VisionResidPost(i) => Some(i),
                _ => None,
            });
        let last = HookPoint::VisionResidPost(blocks.max().unwrap());
        let captured = case.model.capture(&[input], &[last]).unwrap();
        let theirs = reference.floats("last_block");
        let difference = max_difference(&captured[0][0].values, theirs);
        assert!(difference < TOWER, "{difference}");
    }
}

#[test]
fn prompts_written_together_equal_those_written_alone() {
    for case in cases() {
        let inputs: Vec<ModelInput> = ["single", "two_image", "grounding"]
            .iter()
            .map(|name| case.input(name, &case.reference(name).ids["input_ids"]))
            .collect();
        let mut go_on = |_: usize, _: &str| ControlFlow::Continue(());
        let together = case
            .model
            .generate_batch(&inputs, &HookSpec::default(), greedy(), &mut go_on)
            .unwrap();
        for (input, together) in inputs.iter().zip(together) {
            let alone = write(&case.model, input, &HookSpec::default());
            assert_eq!(alone.ids, together.ids);
            assert_eq!(alone.text, together.text);
            assert!(max_difference(&alone.logits, &together.logits) < DECODER);
        }
    }
}

#[test]
fn coded_weights_stay_near_the_exact_ones() {
    for case in cases() {
        let input = case.input("single", &case.reference("single").ids["input_ids"]);
        let spec = HookSpec::default();
        let (exact, _) = case.model.logits(&input, &spec).unwrap();
        let scale = exact
            .iter()
            .fold(0_f32, |most, value| most.max(value.abs()));
        for (coding, share) in [
            (Coding::Bf16, 0.1),
            (Coding::F16, 0.02),
            (Coding::Q8_0, 0.2),
        ] {
            let options = LoadOptions {
                coding: Some(coding),
                ..LoadOptions::default()
            };
            let model = Llava::load(&case.folder, "", &options).unwrap();
            let (coded, _) = model.logits(&input, &spec).unwrap();
            let difference = max_difference(&coded, &exact);
            assert!(
                difference > 0.0 && difference < share * scale,
                "{}",
                coding.name()
            );
        }
    }
}

#[test]
fn what_is_traced_to_the_image_adds_up() {
    for case in cases() {
        let input = case.input("single", &case.reference("single").ids["input_ids"]);
        let hook = HookPoint::ResidPost(2);
        let width = case.model.card().hooks.last().unwrap().d_model as usize;
        let probe = Probe {
            hook,
            position: input.ids.len() - 3,
            direction: (0..width).map(|i| (i as f32 * 0.9).sin()).collect(),
        };
        let traced = |method| {
            case.model
                .image_attribution(&input, &probe, method)
                .unwrap()
        };
        // Gradient × input adds up to the derivative by a common factor of the image's embeddings.
        let total: f32 = traced(AttributionMethod::GradientInput).iter().sum();
        let read = |factor: f32| -> f32 {
            let edit: Arc<dyn ActivationEdit> = Arc::new(Scale(factor));
            let spec = HookSpec {
                capture: vec![hook],
                edits: vec![(HookPoint::ProjectorOut, edit)],
                keep_at: None,
            };
            let (_, captured) = case.model.logits(&input, &spec).unwrap();
            let row = &captured[0].values[probe.position * width..][..width];
            row.iter().zip(&probe.direction).map(|(x, w)| x * w).sum()
        };
        let derivative = (read(1.02) - read(0.98)) / 0.04;
        let difference = (total - derivative).abs();
        assert!(
            difference < 0.02 * derivative.abs() + 0.02,
            "{total} {derivative}"
        );
        let mass = traced(AttributionMethod::Rollout);
        assert!(mass.iter().all(|&m| m > 0.0) && mass.iter().sum::<f32>() < 1.0);
        assert_eq!(traced(AttributionMethod::Occlusion).len(), mass.len());
    }
}

/// Multiplies every row.
struct Scale(f32);

impl ActivationEdit for Scale {
    fn apply(&self, rows: &mut [f32], _: usize, _: &[EditedPosition]) {
        for value in rows {
            *value *= self.0;
        }
    }
}
