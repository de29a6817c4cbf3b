//! The `SASRec` recommender as a model under study: hook points, captures and ranked items.

use std::path::Path;

use candle_core::{Device, Tensor};
use schema::{HookPoint, PatchGrid, PositionClass};

pub use super::state_dict::StateDictOptions;

use super::forward::{self, forward, last_rows, window};
use super::kernels::product::{Factor, Write, product};
use super::state_dict;
use super::weights::{SasRecConfig, SasRecWeights};
use crate::{
    Architecture, Captured, EditedPosition, HookInfo, HookRun, HookSpec, HookedModel, ModelCard,
    ModelError, ModelInput, ModelSample, PositionInfo,
};

/// Self-attentive sequential recommender (Kang et al. 2018) in `ReChorus`' form.
///
/// Reads the last `history_max` items of a history. Position embeddings count from the most recent
/// item; blocks are post-norm, causal, without output projection; the score of an item is the
/// product of the user vector, the last row of the last block, with the item's embedding.
///
/// Hook points: `embed`, `blocks.{i}.hook_resid_post` and `hook_user_vector`, each with one row per
/// item read, oldest first. `hook_user_vector` is what `RecSAE` reads; only its last row decides
/// the ranking.
#[derive(Debug, Clone)]
pub struct SasRec {
    weights: SasRecWeights,
    card: ModelCard,
}

impl SasRec {
    /// Wraps weights, e.g. those of a training run.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the weights cannot be laid out as a file.
    pub fn new(weights: SasRecWeights) -> Result<Self, ModelError> {
        let hash = blake3::hash(&state_dict::to_bytes(&weights)?)
            .to_hex()
            .to_string();
        Ok(Self::with_hash(weights, hash))
    }

    /// Reads a folder written by [`SasRec::save`], or a bare state dict (`.safetensors`, `.pt`)
    /// with `ReChorus`' tensor names; tensors of other modules in it are left alone.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Format`], naming file and tensor.
    pub fn load(path: &Path, options: StateDictOptions) -> Result<Self, ModelError> {
        let (weights, hash) = state_dict::load(path, options)?;
        Ok(Self::with_hash(weights, hash))
    }

    /// Writes `config.json` and `model.safetensors` into `folder`, made if absent.
    ///
    /// # Errors
    /// [`ModelError::Write`].
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        state_dict::save(&self.weights, folder)
    }

    /// Shape of the model.
    pub fn config(&self) -> &SasRecConfig {
        self.weights.config()
    }

    /// The weights.
    pub fn weights(&self) -> &SasRecWeights {
        &self.weights
    }

    /// User vectors of histories (oldest first), `[histories.len(), d_model]`, without hooks.
    ///
    /// # Errors
    /// [`ModelError::Request`] for an empty history or an id outside the catalogue.
    pub fn user_vectors(&self, histories: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        let windows = histories
            .iter()
            .map(|history| self.checked_window(history))
            .collect::<Result<Vec<_>, _>>()?;
        forward::user_vectors(&self.weights, &windows)
    }

    /// Scores of all items, `[n, n_items]`, for user vectors `[n, d_model]`; column j is item j + 1.
    ///
    /// # Panics
    /// When `user_vectors` is not a whole number of rows.
    pub fn scores(&self, user_vectors: &[f32]) -> Vec<f32> {
        let d = self.config().d();
        let (n, n_items) = (user_vectors.len() / d, self.config().n_items as usize);
        let mut scores = vec![0.0; n * n_items];
        product(
            &mut scores,
            [n, n_items, d],
            Factor::Plain(user_vectors),
            Factor::Transposed(&self.weights.items()[d..]),
            Write::Set,
        );
        scores
    }

    /// A model without a hash, for evaluation during training.
    pub(crate) fn unhashed(weights: SasRecWeights) -> Self {
        Self::with_hash(weights, String::new())
    }

    fn with_hash(weights: SasRecWeights, hash: String) -> Self {
        let config = weights.config();
        let hooks = std::iter::once(HookPoint::Embed)
            .chain((0..config.n_layers as usize).map(HookPoint::ResidPost))
            .chain(std::iter::once(HookPoint::UserVector))
            .map(|hook| HookInfo {
                hook,
                d_model: config.d_model,
            })
            .collect();
        let facts = [
            ("Items", config.n_items),
            ("Width", config.d_model),
            ("Blocks", config.n_layers),
            ("Heads", config.n_heads),
            ("History", config.history_max),
        ];
        let card = ModelCard {
            name: "SASRec".to_owned(),
            architecture: Architecture::SasRec,
            n_parameters: weights.values().len() as u64,
            hash,
            hooks,
            facts: facts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                .collect(),
        };
        Self { weights, card }
    }

    fn checked_window<'a>(&self, history: &'a [u32]) -> Result<&'a [u32], ModelError> {
        if history.is_empty() {
            return Err(ModelError::Sample {
                model: self.card.name.clone(),
                needs: "a history of at least one item",
            });
        }
        let n_items = self.config().n_items;
        match history.iter().find(|&&id| id == 0 || id > n_items) {
            Some(bad) => Err(ModelError::Request(format!(
                "the history has the item {bad}, but item ids run from 1 to {n_items}"
            ))),
            None => Ok(window(&self.weights, history)),
        }
    }

    fn check_hook(&self, hook: HookPoint) -> Result<(), ModelError> {
        if self.card.hooks.iter().any(|known| known.hook == hook) {
            return Ok(());
        }
        let names: Vec<String> = self
            .card
            .hooks
            .iter()
            .map(|known| known.hook.to_string())
            .collect();
        Err(ModelError::NoSuchHook {
            model: self.card.name.clone(),
            hook,
            available: names.join(", "),
        })
    }

    /// Runs the inputs with hooks.
    fn run<'a>(
        &self,
        inputs: &'a [ModelInput],
        spec: &HookSpec,
    ) -> Result<HookedRun<'a>, ModelError> {
        let hooks = spec
            .capture
            .iter()
            .chain(spec.edits.iter().map(|(at, _)| at));
        for &hook in hooks {
            self.check_hook(hook)?;
        }
        let histories = inputs
            .iter()
            .map(|input| self.checked_window(&input.ids))
            .collect::<Result<Vec<_>, _>>()?;
        let positions: Vec<EditedPosition> = histories
            .iter()
            .flat_map(|history| {
                (0..history.len() as u32).map(|position| EditedPosition {
                    position,
                    prompt_len: history.len() as u32,
                    class: PositionClass::Item,
                })
            })
            .collect();
        let d = self.config().d();
        let mut run = HookRun::new(spec);
        let rows = forward(&self.weights, &histories, &mut |hook, rows| {
            let is_hooked =
                spec.capture.contains(&hook) || spec.edits.iter().any(|(at, _)| *at == hook);
            if !is_hooked {
                return Ok(rows);
            }
            let n_rows = rows.len() / d;
            let tensor = Tensor::from_vec(rows, (n_rows, d), &Device::Cpu)?;
            let changed = run.visit(hook, tensor, &positions)?;
            Ok(changed.flatten_all()?.to_vec1::<f32>()?)
        })?;
        Ok(HookedRun {
            rows,
            histories,
            captured: run.into_captured(),
        })
    }
}

/// What a pass with hooks came to.
struct HookedRun<'a> {
    /// Output of the last block, all histories laid end to end.
    rows: Vec<f32>,
    /// The histories as they were read.
    histories: Vec<&'a [u32]>,
    captured: Vec<Captured>,
}

impl HookedModel for SasRec {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Takes the last `history_max` items: `ids[j]` is `items[items.len() - ids.len() + j]`.
    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let history = self.checked_window(sample.items.unwrap_or_default())?;
        Ok(ModelInput {
            ids: history.to_vec(),
            classes: vec![PositionClass::Item; history.len()],
            ..ModelInput::default()
        })
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.check_hook(hook)?;
        let history = self.checked_window(&input.ids)?;
        let item = PositionInfo {
            class: PositionClass::Item,
            text: String::new(),
            patch: None,
        };
        Ok(vec![item; history.len()])
    }

    fn grid(&self, _input: &ModelInput, _hook: HookPoint) -> Option<PatchGrid> {
        None
    }

    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let HookedRun {
            histories,
            captured,
            ..
        } = self.run(inputs, &HookSpec::capturing(hooks))?;
        let d = self.config().d();
        let mut first = 0;
        let mut out = Vec::with_capacity(inputs.len());
        for history in histories {
            let rows = first * d..(first + history.len()) * d;
            let of_input = hooks
                .iter()
                .filter_map(|&hook| captured.iter().find(|whole| whole.hook == hook))
                .map(|whole| Captured {
                    hook: whole.hook,
                    n_rows: history.len(),
                    d_model: d,
                    values: whole.values[rows.clone()].to_vec(),
                })
                .collect();
            out.push(of_input);
            first += history.len();
        }
        Ok(out)
    }

    fn rank(&self, inputs: &[ModelInput], spec: &HookSpec) -> Result<Vec<Vec<f32>>, ModelError> {
        let HookedRun {
            rows, histories, ..
        } = self.run(inputs, spec)?;
        let vectors = last_rows(&rows, &histories, self.config().d());
        let scores = self.scores(&vectors);
        Ok(scores
            .chunks_exact(self.config().n_items as usize)
            .map(<[f32]>::to_vec)
            .collect())
    }

    fn logit_lens(
        &self,
        direction: &[f32],
        hook: HookPoint,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        self.check_hook(hook)?;
        if direction.len() != self.config().d() {
            return Err(ModelError::Request(format!(
                "the direction has {} numbers, but {hook} is {} wide",
                direction.len(),
                self.config().d()
            )));
        }
        let last = HookPoint::ResidPost(self.config().n_layers as usize - 1);
        let is_read_by_scores = hook == HookPoint::UserVector || hook == last;
        Ok(is_read_by_scores.then(|| self.scores(direction)))
    }
}
