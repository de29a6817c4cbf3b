//! The `TinyViT` image encoder of `LiteMedSAM` as a model under study, with a hook on every stage.
//!
//! Stage 0 widens pixels, the stages 1 to 3 attend within windows; the hook of a stage reads its
//! output after the merge of patches that belongs to it.

mod layers;
mod weights;

use std::path::{Path, PathBuf};

use schema::{HookPoint, PatchGrid, PositionClass};

use self::layers::Tokens;
use self::weights::{NECK_WIDTH, TinyVit, TinyVitConfig};
use super::preprocess::square_film;
use crate::{
    Architecture, Captured, HookInfo, HookedModel, ModelCard, ModelError, ModelInput, ModelSample,
    PositionInfo,
};

/// Hook points in the order of the forward pass.
const HOOKS: [HookPoint; 5] = [
    HookPoint::VisionStageOut(0),
    HookPoint::VisionStageOut(1),
    HookPoint::VisionStageOut(2),
    HookPoint::VisionStageOut(3),
    HookPoint::VisionNeck,
];

/// The image encoder of `LiteMedSAM`.
pub struct TinyVitModel {
    card: ModelCard,
    config: TinyVitConfig,
    encoder: TinyVit,
}

/// The only `.safetensors` file in `folder`.
fn weight_file(folder: &Path) -> Result<PathBuf, ModelError> {
    let read = |source| ModelError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            found.push(path);
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => Err(ModelError::Format {
            path: folder.to_owned(),
            place: "the folder".to_owned(),
            expected: format!("expected one .safetensors file, found {}", found.len()),
        }),
    }
}

/// Loads the encoder from `folder`: `config.json` and one safetensors file.
///
/// `hash` is the BLAKE3 of the safetensors file in hexadecimal, for the card.
///
/// # Errors
/// [`ModelError::Read`] or [`ModelError::Format`] with the place that is wrong.
pub fn load_tiny_vit(folder: &Path, hash: &str) -> Result<TinyVitModel, ModelError> {
    let config = TinyVitConfig::read(&folder.join("config.json"))?;
    let path = weight_file(folder)?;
    let encoder = TinyVit::read(&path, &config)?;
    let name = path.file_stem().map_or("TinyViT".to_owned(), |stem| {
        stem.to_string_lossy().into_owned()
    });
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let widths = config.embed_dims.map(|width| width.to_string()).join(", ");
    let depths = config.depths.map(|depth| depth.to_string()).join(", ");
    let grid = config.stage_side(3);
    let card = ModelCard {
        name,
        architecture: Architecture::TinyVit,
        n_parameters: encoder.n_parameters,
        hash: hash.to_owned(),
        hooks: HOOKS
            .into_iter()
            .map(|hook| HookInfo {
                hook,
                d_model: width_of(&config, hook) as u32,
            })
            .collect(),
        facts: vec![
            fact("Input", format!("{0} × {0} pixels", config.side)),
            fact("Widths of the stages", widths),
            fact("Blocks of the stages", depths),
            fact("Patches", format!("{grid} × {grid} at the last stage")),
        ],
    };
    Ok(TinyVitModel {
        card,
        config,
        encoder,
    })
}

/// Width of the rows at `hook`.
fn width_of(config: &TinyVitConfig, hook: HookPoint) -> usize {
    match hook {
        HookPoint::VisionStageOut(stage) => config.stage_width(stage),
        _ => NECK_WIDTH,
    }
}

impl TinyVitModel {
    /// Place of `hook` in the forward pass.
    fn place(&self, hook: HookPoint) -> Result<usize, ModelError> {
        let place = HOOKS.iter().position(|known| *known == hook);
        place.ok_or_else(|| ModelError::NoSuchHook {
            model: self.card.name.clone(),
            hook,
            available: "vision.stages.0 to vision.stages.3 with hook_out, and vision.neck"
                .to_owned(),
        })
    }

    /// Tokens on a side of the grid at `hook`.
    fn grid_side(&self, hook: HookPoint) -> usize {
        match hook {
            HookPoint::VisionStageOut(stage) => self.config.stage_side(stage),
            _ => self.config.stage_side(3),
        }
    }

    /// Runs one input up to the hook at place `last` and hands every hooked output to `see`.
    fn run(&self, pixels: &[f32], last: usize, see: &mut dyn FnMut(usize, &Tokens)) {
        let mut x = self.encoder.stem.apply(pixels, self.config.side);
        for block in &self.encoder.bottlenecks {
            x = block.apply(&x);
        }
        x = self.encoder.merges[0].apply(&x);
        see(0, &x);
        for (stage, blocks) in self.encoder.stages.iter().enumerate() {
            if last <= stage {
                return;
            }
            for block in blocks {
                x = block.apply(x);
            }
            if let Some(merge) = self.encoder.merges.get(stage + 1) {
                x = merge.apply(&x);
            }
            see(stage + 1, &x);
        }
        if last == HOOKS.len() - 1 {
            see(last, &self.encoder.neck.apply(&x));
        }
    }
}

impl HookedModel for TinyVitModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let film = sample.need_film(&self.card.name)?;
        let square = square_film(film, self.config.side);
        Ok(ModelInput {
            pixels: square.pixels.repeat(3),
            pixel_shape: [3, self.config.side, self.config.side],
            covered: square.covered,
            film_size: [film.width, film.height],
            ..ModelInput::default()
        })
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.place(hook)?;
        let side = self.grid_side(hook);
        let grid = self.grid(input, hook);
        let film = input.film_size.map(|length| length as f32);
        let is_padding = |i: usize| {
            grid.is_some_and(|grid| {
                let [left, top, ..] = grid.patch_rect((i / side) as u32, (i % side) as u32);
                // Unknown film: nothing is known to be padding.
                film[0] > 0.0 && (left >= film[0] || top >= film[1])
            })
        };
        Ok((0..side * side)
            .map(|i| PositionInfo {
                class: if is_padding(i) {
                    PositionClass::Boilerplate
                } else {
                    PositionClass::Image
                },
                text: String::new(),
                patch: Some((0, i as u32)),
            })
            .collect())
    }

    fn grid(&self, input: &ModelInput, hook: HookPoint) -> Option<PatchGrid> {
        self.place(hook).ok()?;
        let side = self.grid_side(hook) as u32;
        let [left, top, width, height] = input.covered;
        Some(PatchGrid {
            rows: side,
            columns: side,
            left,
            top,
            width,
            height,
        })
    }

    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let mut places = Vec::with_capacity(hooks.len());
        for &hook in hooks {
            places.push(self.place(hook)?);
        }
        let Some(&last) = places.iter().max() else {
            return Ok(vec![Vec::new(); inputs.len()]);
        };
        let side = self.config.side;
        let mut all = Vec::with_capacity(inputs.len());
        for input in inputs {
            if input.pixel_shape != [3, side, side] || input.pixels.len() != 3 * side * side {
                return Err(ModelError::Request(format!(
                    "{} reads 3 × {side} × {side} pixels, it was given {:?} with {} values",
                    self.card.name,
                    input.pixel_shape,
                    input.pixels.len()
                )));
            }
            let mut seen: Vec<Option<Captured>> = vec![None; hooks.len()];
            self.run(&input.pixels, last, &mut |place, tokens| {
                for ((slot, &wanted), &hook) in seen.iter_mut().zip(&places).zip(hooks) {
                    if wanted == place {
                        *slot = Some(Captured {
                            hook,
                            n_rows: tokens.height * tokens.width,
                            d_model: tokens.channels,
                            values: tokens.values.clone(),
                        });
                    }
                }
            });
            all.push(seen.into_iter().flatten().collect());
        }
        Ok(all)
    }
}
