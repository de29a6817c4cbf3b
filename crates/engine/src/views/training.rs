//! What a front end shows of training: requests, forecasts, runs and their curves.

use schema::{DatasetKind, HookPoint, KeptReport, SaeConfig, StepReport};
use serde::{Deserialize, Serialize};

use crate::views::ModelView;

impl ModelView {
    /// Whether the model reads samples of this kind.
    pub fn reads(&self, kind: DatasetKind) -> bool {
        match self.architecture.as_str() {
            name if is_recommender(name) => kind == DatasetKind::Interactions,
            "Llama" => kind != DatasetKind::Interactions,
            _ => kind == DatasetKind::Radiographs,
        }
    }

    /// Positions that can be recorded at a hook point: as a request calls them, and as the user
    /// does.
    pub fn positions_at(&self, hook: HookPoint) -> Vec<(&'static str, &'static str)> {
        match self.architecture.as_str() {
            _ if hook.is_vision() => vec![("image", "Image patches")],
            name if is_recommender(name) => vec![("items", "Items")],
            "Llama" => vec![("text", "All text"), ("report", "Report")],
            _ => vec![
                ("report", "Report"),
                ("text", "All text"),
                ("image", "Image patches"),
                ("image,text", "Image and text"),
            ],
        }
    }
}

/// Whether an architecture ranks items.
fn is_recommender(architecture: &str) -> bool {
    ["BprMf", "LightGcn", "SasRec", "TiMiRec", "Gru4Rec"].contains(&architecture)
}

/// Everything that decides a dictionary, from the samples to its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Name of the dictionary.
    pub name: String,
    /// Model to read.
    pub model: String,
    /// Dataset to run it over.
    pub dataset: String,
    /// Where to read.
    pub hook: HookPoint,
    /// `text`, `image`, `report`, `items` or `all`, several with commas.
    pub positions: String,
    /// The first so many samples only.
    pub limit: Option<u32>,
    /// Patches averaged per side; 1 keeps every patch.
    pub pool: u32,
    /// How the dictionary is trained.
    pub config: SaeConfig,
}

impl RunRequest {
    /// One request per pair of `ks` and `widths` (numbers of features), each under a name of its
    /// own; an empty list stands for the request's own value. Pairs with more active features than
    /// there are features are left out.
    #[must_use]
    pub fn sweep(&self, ks: &[u32], widths: &[u32]) -> Vec<Self> {
        let own = |values: &[u32], own: u32| {
            let mut values = if values.is_empty() {
                vec![own]
            } else {
                values.to_vec()
            };
            values.sort_unstable();
            values.dedup();
            values
        };
        // Where the rate is the recipe's own for this width, it is so for every width.
        let rate = |n_features: u32| {
            let usual = |n| SaeConfig::of_recipe(self.config.recipe, self.config.variant, n).lr;
            if self.config.lr == usual(self.config.n_features) {
                usual(n_features)
            } else {
                self.config.lr
            }
        };
        let ks = own(ks, self.config.k);
        let widths = own(widths, self.config.n_features);
        let mut requests = Vec::new();
        for &n_features in &widths {
            for &k in ks.iter().filter(|&&k| k > 0 && k <= n_features) {
                let mut name = self.name.clone();
                if widths.len() > 1 {
                    name = format!("{name}-n{n_features}");
                }
                if ks.len() > 1 {
                    name = format!("{name}-k{k}");
                }
                requests.push(Self {
                    name,
                    config: SaeConfig {
                        n_features,
                        k,
                        lr: rate(n_features),
                        group_sizes: scaled(&self.config.group_sizes, n_features),
                        ..self.config.clone()
                    },
                    ..self.clone()
                });
            }
        }
        requests
    }
}

/// Sizes in the same proportions that add up to `sum`.
fn scaled(sizes: &[u32], sum: u32) -> Vec<u32> {
    let before: u64 = sizes.iter().copied().map(u64::from).sum();
    let (mut given, mut end) = (0, 0_u64);
    sizes
        .iter()
        .map(|&size| {
            end += u64::from(size);
            let to = (end * u64::from(sum) / before.max(1)) as u32;
            let size = to - given;
            given = to;
            size
        })
        .collect()
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its activations are not all recorded yet.
    Recording,
    /// Its dictionary is not trained to the end.
    Training,
    /// Trained, without a gallery.
    Trained,
    /// Trained, with a gallery.
    Ready,
}

/// One training run, finished or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Name of the dictionary.
    pub name: String,
    /// Where it stands.
    pub state: RunState,
    /// Model it reads.
    pub model: String,
    /// Dataset.
    pub dataset: String,
    /// Where it reads; `None` as long as the harvest is not known.
    pub hook: Option<HookPoint>,
    /// Settings; `None` for an imported dictionary.
    pub config: Option<SaeConfig>,
    /// Steps that lie in its newest checkpoint; all of them once it is trained.
    pub steps_done: u32,
    /// FVU, L0 and share of dead features on its harvest, once it is trained.
    pub figures: Option<RunFigures>,
}

/// The curves of a dictionary's training.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingCurve {
    /// Steps, thinned out.
    pub steps: Vec<StepReport>,
    /// What the model keeps at some of them.
    pub kept: Vec<KeptReport>,
}

/// How well a trained dictionary does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RunFigures {
    /// Fraction of variance unexplained.
    pub fvu: f64,
    /// Mean active features per row.
    pub l0: f64,
    /// Share of features never active.
    pub dead_share: f64,
}

/// What a run will take, before it begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The request it answers.
    pub request: RunRequest,
    /// The harvest that is there already and fits; nothing is recorded then.
    pub harvest: Option<String>,
    /// Samples.
    pub n_samples: u32,
    /// Width of a row.
    pub d_model: u32,
    /// Rows.
    pub rows: RowForecast,
    /// Passes over the training rows.
    pub epochs: f64,
    /// What it leaves on the disk.
    pub disk: DiskForecast,
    /// What training takes in memory, above what the program and the model take anyway.
    pub memory: MemoryForecast,
    /// How long each stage takes.
    pub seconds: TimeForecast,
    /// Whether many features are to be expected dead.
    pub dead: DeadForecast,
    /// What limits the forecast, one sentence each.
    pub notes: Vec<String>,
}

/// Rows of a harvest, counted or estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowForecast {
    /// All of them.
    pub n: u64,
    /// Those of samples that may be trained on; in a harvest too large to read in a moment,
    /// estimated from a part of it.
    pub n_training: u64,
    /// Whether `n` was counted; else estimated from some samples.
    pub is_exact: bool,
}

/// Bytes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiskForecast {
    /// The harvest; 0 if it is there already.
    pub harvest: u64,
    /// The dictionary.
    pub dictionary: u64,
    /// Checkpoints, as long as the training runs.
    pub checkpoints: u64,
    /// The feature index behind the gallery.
    pub index: u64,
}

impl DiskForecast {
    /// What is left at the end.
    pub fn total(&self) -> u64 {
        self.harvest + self.dictionary + self.index
    }
}

/// Bytes in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryForecast {
    /// Weights.
    pub weights: u64,
    /// Adam's two moments.
    pub moments: u64,
    /// Gradients.
    pub gradients: u64,
    /// Working memory of a step: batches, codes, the encoder in the product's order.
    pub scratch: u64,
    /// Shards of the harvest: the one that rows are taken from and the next one, read ahead.
    pub shards: u64,
    /// A checkpoint while it is written.
    pub checkpoint: u64,
    /// All that measuring the dictionary takes after the training: its weights, a shard, its codes
    /// and its reconstruction.
    pub evaluation: u64,
}

impl MemoryForecast {
    /// All that training takes at once.
    pub fn training(&self) -> u64 {
        self.weights + self.moments + self.gradients + self.scratch + self.shards + self.checkpoint
    }

    /// The most that is taken at once.
    pub fn total(&self) -> u64 {
        self.training().max(self.evaluation)
    }
}

/// Seconds per stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct TimeForecast {
    /// Recording activations; 0 if the harvest is there already.
    pub harvest: f64,
    /// Training, as long as few features die.
    pub training: f64,
    /// Training if all features died: bringing them back takes time in every step.
    pub training_at_most: f64,
    /// Measuring the dictionary, and a random one beside it.
    pub evaluation: f64,
    /// Building the index behind the gallery.
    pub index: f64,
}

impl TimeForecast {
    /// From start to gallery.
    pub fn total(&self) -> f64 {
        self.harvest + self.training + self.evaluation + self.index
    }
}

/// What the rows say about features that will never be active.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadForecast {
    /// ‖mean row‖ / √(mean ‖row − mean‖²).
    pub mean_to_spread: f64,
    /// Rows it was measured on.
    pub n_rows: u64,
    /// Whether many are to be expected with these settings.
    pub is_risky: bool,
    /// What it means, in words.
    pub sentence: String,
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn groups_keep_their_proportions() {
        assert_eq!(scaled(&[64, 64, 128, 256], 1024), [128, 128, 256, 512]);
        assert_eq!(scaled(&[1, 1, 1], 10), [3, 3, 4]);
        assert!(scaled(&[], 10).is_empty());
    }
}
