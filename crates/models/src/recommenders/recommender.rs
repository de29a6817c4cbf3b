//! A recommender as a model under study: hook points, captures and ranked items.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use schema::{HookPoint, PatchGrid, PositionClass};

use super::architectures::graph::InteractionGraph;
use super::architectures::tables::Tables;
use super::architectures::{
    UserQuery, Visit, folded, gru4rec, last_rows, recbole_sasrec, sasrec, timirec,
};
use super::config::RecommenderConfig;
use super::kernels::product::{Factor, Write, product};
use super::state_dict::{self, StateDictOptions};
use super::weights::RecommenderWeights;
use crate::{
    Captured, EditedPosition, HookInfo, HookRun, HookSpec, HookedModel, ModelCard, ModelError,
    ModelInput, ModelSample, PositionInfo,
};

/// A recommender that scores an item by the product of the user's vector with the item's: BPRMF,
/// `LightGCN`, `SASRec`, `TiMiRec` or `GRU4Rec` in `ReChorus`' form, or `SASRec` in `RecBole`'s.
///
/// Those that read histories read the last `history_max` items; the others know users by number.
///
/// Hook points: `hook_user_vector`, the vector just before the product with the item vectors, which
/// is what `RecSAE` reads; for models of histories also `embed`, and `blocks.{i}.hook_resid_post`
/// where there are blocks, with a row per item read, oldest first. `hook_user_vector` has a row per
/// item for `SASRec` and `GRU4Rec`, whose last row decides the ranking, and one row for the others.
#[derive(Debug, Clone)]
pub struct Recommender {
    weights: RecommenderWeights,
    graph: Option<Arc<InteractionGraph>>,
    /// The tables of a graph model after propagation, items first.
    propagated: Option<Arc<Vec<f32>>>,
    card: ModelCard,
}

impl Recommender {
    /// Wraps weights, e.g. those of a training run; `graph` is for `LightGCN`.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the weights cannot be laid out as a file, or a graph is absent
    /// that the model needs.
    pub fn new(
        weights: RecommenderWeights,
        graph: Option<Arc<InteractionGraph>>,
    ) -> Result<Self, ModelError> {
        let bytes = state_dict::to_bytes(&weights, graph.as_deref())?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Self::with_hash(weights, graph, hash)
    }

    /// Reads a folder written by [`Recommender::save`], a bare state dict (`.safetensors`, `.pt`,
    /// `.pth`) with the tensor names of `ReChorus` or `RecBole`, or a checkpoint of `RecBole`'s
    /// trainer, whose settings say what `options` leaves open; tensors of other modules in it are
    /// left alone, and no pickle is executed.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Format`], naming file and tensor.
    pub fn load(path: &Path, options: &StateDictOptions) -> Result<Self, ModelError> {
        let loaded = state_dict::load(path, options)?;
        Self::with_hash(loaded.weights, loaded.graph.map(Arc::new), loaded.hash)
    }

    /// Writes `config.json` and `model.safetensors` into `folder`, made if absent.
    ///
    /// # Errors
    /// [`ModelError::Write`].
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        state_dict::save(&self.weights, self.graph.as_deref(), folder)
    }

    /// Shape of the model.
    pub fn config(&self) -> &RecommenderConfig {
        self.weights.config()
    }

    /// The weights.
    pub fn weights(&self) -> &RecommenderWeights {
        &self.weights
    }

    /// Item vectors that user vectors are multiplied with, `[n_items + 1, d_model]`, row 0 padding.
    pub fn item_vectors(&self) -> &[f32] {
        let values = self.propagated.as_deref();
        let n = (self.config().n_items() as usize + 1) * self.config().d();
        values.map_or(self.weights.items(), |values| &values[..n])
    }

    /// User vectors, `[queries.len(), d_model]`, without hooks.
    ///
    /// # Errors
    /// [`ModelError::Request`] for an empty history, an item outside the catalogue or a user the
    /// model does not know.
    pub fn user_vectors(&self, queries: &[UserQuery<'_>]) -> Result<Vec<f32>, ModelError> {
        let queries = self.checked(queries)?;
        if let RecommenderConfig::SasRec(shape) = self.config()
            && (shape.n_layers, shape.n_heads) == (1, 1)
            && shape.form.is_rechorus()
        {
            let histories: Vec<&[u32]> = queries.iter().map(|query| query.history).collect();
            return Ok(folded::user_vectors(&self.weights, &histories));
        }
        let rows = self.forward(&queries, &mut |_, rows| Ok(rows))?;
        Ok(self.deciding_rows(rows, &queries))
    }

    /// Scores of all items, `[n, n_items]`, for user vectors `[n, d_model]`; column j is item j + 1.
    ///
    /// # Panics
    /// When `user_vectors` is not a whole number of rows.
    pub fn scores(&self, user_vectors: &[f32]) -> Vec<f32> {
        let d = self.config().d();
        let (n, n_items) = (user_vectors.len() / d, self.config().n_items() as usize);
        let mut scores = vec![0.0; n * n_items];
        product(
            &mut scores,
            [n, n_items, d],
            Factor::Plain(user_vectors),
            Factor::Transposed(&self.item_vectors()[d..]),
            Write::Set,
        );
        scores
    }

    /// [`HookedModel::capture`] of what `spec` captures, with its changes.
    ///
    /// # Errors
    /// As [`HookedModel::capture`].
    pub fn capture_with(
        &self,
        inputs: &[ModelInput],
        spec: &HookSpec,
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let HookedRun {
            queries, captured, ..
        } = self.run(inputs, spec)?;
        let hooks = &spec.capture;
        let d = self.config().d();
        let mut first = vec![0; hooks.len()];
        let mut out = Vec::with_capacity(inputs.len());
        for query in queries {
            let mut of_input = Vec::with_capacity(hooks.len());
            for (&hook, first) in hooks.iter().zip(&mut first) {
                let n_rows = self.n_rows(query, hook);
                if let Some(whole) = captured.iter().find(|whole| whole.hook == hook) {
                    of_input.push(Captured {
                        hook,
                        n_rows,
                        d_model: d,
                        values: whole.values[*first * d..(*first + n_rows) * d].to_vec(),
                    });
                }
                *first += n_rows;
            }
            out.push(of_input);
        }
        Ok(out)
    }

    /// A model without a hash, for evaluation during training.
    pub(crate) fn unhashed(
        weights: RecommenderWeights,
        graph: Option<Arc<InteractionGraph>>,
    ) -> Result<Self, ModelError> {
        Self::with_hash(weights, graph, String::new())
    }

    fn with_hash(
        weights: RecommenderWeights,
        graph: Option<Arc<InteractionGraph>>,
        hash: String,
    ) -> Result<Self, ModelError> {
        let config = weights.config();
        let propagated = match (config, &graph) {
            (RecommenderConfig::LightGcn(shape), Some(graph)) => {
                if graph.sizes() != (shape.n_users, shape.n_items) {
                    return Err(ModelError::Request(format!(
                        "the graph has {} users and {} items, the model {} and {}",
                        graph.sizes().0,
                        graph.sizes().1,
                        shape.n_users,
                        shape.n_items
                    )));
                }
                let n_layers = shape.n_layers as usize;
                let tables = graph.propagate(weights.values(), n_layers, config.d());
                Some(Arc::new(tables))
            }
            (RecommenderConfig::LightGcn(_), None) => {
                return Err(ModelError::Request(
                    "LightGCN needs the train interactions it propagates over".to_owned(),
                ));
            }
            _ => None,
        };
        let hooks = config.hooks().into_iter().map(|hook| HookInfo {
            hook,
            d_model: config.d_model(),
        });
        let card = ModelCard {
            name: config.name().to_owned(),
            architecture: config.architecture(),
            n_parameters: weights.values().len() as u64,
            hash,
            hooks: hooks.collect(),
            facts: config.facts(),
        };
        Ok(Self {
            weights,
            graph,
            propagated,
            card,
        })
    }

    /// The tables of users and items of a model that knows users by number.
    fn tables(&self) -> Tables<'_> {
        Tables {
            values: self
                .propagated
                .as_deref()
                .map_or(self.weights.values(), |v| v),
            n_items: self.config().n_items(),
            d: self.config().d(),
        }
    }

    /// Rows at `hook_user_vector`, with what comes before it on the way.
    fn forward(
        &self,
        queries: &[UserQuery<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<Vec<f32>, ModelError> {
        let histories: Vec<&[u32]> = queries.iter().map(|query| query.history).collect();
        match self.config() {
            RecommenderConfig::BprMf(_) | RecommenderConfig::LightGcn(_) => {
                self.tables().forward(queries, visit)
            }
            RecommenderConfig::SasRec(shape) if !shape.form.is_rechorus() => {
                recbole_sasrec::forward(&self.weights, shape, &histories, visit)
            }
            RecommenderConfig::SasRec(_) => sasrec::forward(&self.weights, &histories, visit),
            RecommenderConfig::TiMiRec(_) => timirec::forward(&self.weights, &histories, visit),
            RecommenderConfig::Gru4Rec(_) => gru4rec::forward(&self.weights, &histories, visit),
        }
    }

    /// The row of each query that decides its ranking.
    fn deciding_rows(&self, rows: Vec<f32>, queries: &[UserQuery<'_>]) -> Vec<f32> {
        if !self.config().has_vector_per_item() {
            return rows;
        }
        let histories: Vec<&[u32]> = queries.iter().map(|query| query.history).collect();
        last_rows(&rows, &histories, self.config().d())
    }

    /// Queries with the part of their history that is read.
    fn checked<'a>(&self, queries: &[UserQuery<'a>]) -> Result<Vec<UserQuery<'a>>, ModelError> {
        queries
            .iter()
            .map(|query| self.checked_query(*query))
            .collect()
    }

    fn checked_query<'a>(&self, query: UserQuery<'a>) -> Result<UserQuery<'a>, ModelError> {
        if let Some(n_users) = self.config().n_users() {
            return match query.user {
                Some(user) if user <= n_users => Ok(query),
                Some(user) => Err(ModelError::Request(format!(
                    "{} knows users by number, up to {n_users}; {user} is beyond them",
                    self.card.name
                ))),
                None => Err(ModelError::Sample {
                    model: self.card.name.clone(),
                    needs: "a user's number",
                }),
            };
        }
        let history = query.history;
        if history.is_empty() {
            return Err(ModelError::Sample {
                model: self.card.name.clone(),
                needs: "a history of at least one item",
            });
        }
        let n_items = self.config().n_items();
        if let Some(bad) = history.iter().find(|&&id| id == 0 || id > n_items) {
            return Err(ModelError::Request(format!(
                "the history has the item {bad}, but item ids run from 1 to {n_items}"
            )));
        }
        let keep = self.config().history_max().unwrap_or(u32::MAX) as usize;
        Ok(UserQuery {
            history: &history[history.len().saturating_sub(keep)..],
            ..query
        })
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

    /// Rows that a query has at a hook point.
    fn n_rows(&self, query: UserQuery<'_>, hook: HookPoint) -> usize {
        if hook == HookPoint::UserVector && !self.config().has_vector_per_item() {
            1
        } else {
            query.history.len()
        }
    }

    /// Where the rows of the queries stand at a hook point.
    fn edited_positions(&self, queries: &[UserQuery<'_>], hook: HookPoint) -> Vec<EditedPosition> {
        let mut positions = Vec::new();
        for &query in queries {
            let n = query.history.len().max(1) as u32;
            let first = n - self.n_rows(query, hook).max(1) as u32;
            positions.extend((first..n).map(|position| EditedPosition {
                position,
                prompt_len: n,
                class: PositionClass::Item,
            }));
        }
        positions
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
        let queries: Vec<UserQuery<'a>> = inputs
            .iter()
            .map(|input| self.checked_query(query_of(input)))
            .collect::<Result<_, _>>()?;
        let d = self.config().d();
        let mut run = HookRun::new(spec);
        let rows = self.forward(&queries, &mut |hook, rows| {
            let is_hooked =
                spec.capture.contains(&hook) || spec.edits.iter().any(|(at, _)| *at == hook);
            if !is_hooked {
                return Ok(rows);
            }
            let n_rows = rows.len() / d;
            let tensor = Tensor::from_vec(rows, (n_rows, d), &Device::Cpu)?;
            let positions = self.edited_positions(&queries, hook);
            let changed = run.visit(hook, tensor, &positions)?;
            Ok(changed.flatten_all()?.to_vec1::<f32>()?)
        })?;
        Ok(HookedRun {
            rows,
            queries,
            captured: run.into_captured(),
        })
    }
}

/// What an input asks.
fn query_of(input: &ModelInput) -> UserQuery<'_> {
    UserQuery {
        user: input.user,
        history: &input.ids,
    }
}

/// What a pass with hooks came to.
struct HookedRun<'a> {
    /// Rows at the user vector, all queries laid end to end.
    rows: Vec<f32>,
    /// The queries as they were read.
    queries: Vec<UserQuery<'a>>,
    captured: Vec<Captured>,
}

impl HookedModel for Recommender {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Takes the last `history_max` items: `ids[j]` is `items[items.len() - ids.len() + j]`.
    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let query = self.checked_query(UserQuery {
            user: sample.user,
            history: sample.items.unwrap_or_default(),
        })?;
        Ok(ModelInput {
            ids: query.history.to_vec(),
            user: query.user,
            classes: vec![PositionClass::Item; query.history.len()],
            ..ModelInput::default()
        })
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.check_hook(hook)?;
        let query = self.checked_query(query_of(input))?;
        let item = PositionInfo {
            class: PositionClass::Item,
            text: String::new(),
            patch: None,
        };
        Ok(vec![item; self.n_rows(query, hook)])
    }

    fn grid(&self, _input: &ModelInput, _hook: HookPoint) -> Option<PatchGrid> {
        None
    }

    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        self.capture_with(inputs, &HookSpec::capturing(hooks))
    }

    fn rank(&self, inputs: &[ModelInput], spec: &HookSpec) -> Result<Vec<Vec<f32>>, ModelError> {
        let HookedRun { rows, queries, .. } = self.run(inputs, spec)?;
        let scores = self.scores(&self.deciding_rows(rows, &queries));
        Ok(scores
            .chunks_exact(self.config().n_items() as usize)
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
        let is_last_block = matches!(self.config(), RecommenderConfig::SasRec(shape)
            if hook == HookPoint::ResidPost(shape.n_layers as usize - 1));
        let is_read_by_scores = hook == HookPoint::UserVector || is_last_block;
        Ok(is_read_by_scores.then(|| self.scores(direction)))
    }
}
