//! What a front end shows of a review: the queue, one item of it, progress, and what comes back.

use std::sync::Arc;

use schema::{Decision, FeatureId, ReviewMode, ReviewState};
use serde::{Deserialize, Serialize};

use super::{ExampleKind, ExampleView};

/// What a queue is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueKind {
    /// To label features.
    #[default]
    Label,
    /// To label, blind, features that another reader has decided on.
    SecondReader,
    /// To settle features on which readers differ.
    Adjudicate,
    /// To look again at features that a reader flagged.
    Flagged,
}

/// In which order features come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueOrder {
    /// What shows most first: features active on 1 to 50 % of the samples, the best scored proposals
    /// first; then those active on more samples, and last the nearly silent.
    #[default]
    Clearest,
    /// Lowest score of the proposal first; features without a score last.
    LowestScore,
    /// Most distinct answers of other readers and the proposal first.
    Disagreement,
    /// Highest density first.
    Density,
    /// By the seed, for estimates without bias.
    Random,
}

/// Which queue. The same request gives the same cases in the same order, also after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRequest {
    /// Who reviews.
    pub reviewer: String,
    /// What for.
    #[serde(default)]
    pub kind: QueueKind,
    /// In which order.
    #[serde(default)]
    pub order: QueueOrder,
    /// When the proposal is shown.
    #[serde(default)]
    pub mode: ReviewMode,
    /// Seed of order, repeats and traps.
    #[serde(default)]
    pub seed: u64,
    /// Leave out repeats and traps.
    #[serde(default)]
    pub no_controls: bool,
    /// All live features, also those without a proposal while others have one.
    #[serde(default)]
    pub everything: bool,
}

/// What the cases of a queue are, and which features are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueueScope {
    /// What the queue is for.
    pub kind: QueueKind,
    /// Features of the queue.
    pub n_features: u32,
    /// Whether they are all that are ever active, with a proposal or without.
    pub all_live: bool,
    /// Cases beside them: features that come again, and proposals of other features.
    pub n_checks: u32,
    /// Features left out because nothing is proposed for them.
    pub n_without_proposal: u32,
    /// Features left out because they are active on no sample.
    pub n_silent: u32,
}

impl QueueScope {
    /// What the queue counts and what not, in one line.
    ///
    /// # Example
    /// `142 features with a proposed label and 15 checks · not here: 40 without a proposal, 74 never
    /// active`
    pub fn sentence(&self) -> String {
        let of = match (self.kind, self.all_live) {
            (QueueKind::Label, true) => "that are ever active",
            (QueueKind::Label, false) => "with a proposed label",
            (QueueKind::SecondReader, _) => "that another reader decided on",
            (QueueKind::Adjudicate, _) => "on which readers differ",
            (QueueKind::Flagged, _) => "that a reader flagged",
        };
        let noun = |n: u32, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let mut text = format!("{} {of}", noun(self.n_features, "feature"));
        if self.n_checks > 0 {
            text = format!("{text} and {}", noun(self.n_checks, "check"));
        }
        let left_out: Vec<String> = [
            (self.n_without_proposal, "without a proposal"),
            (self.n_silent, "never active"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, why)| format!("{n} {why}"))
        .collect();
        if !left_out.is_empty() {
            text = format!("{text} · not here: {}", left_out.join(", "));
        }
        text
    }
}

/// How far a reviewer is in a queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReviewProgress {
    /// Cases of the queue.
    pub n_cases: u32,
    /// What they are.
    pub scope: QueueScope,
    /// Cases that the reviewer has decided or passed by.
    pub n_done: u32,
    /// How often the reviewer decided each state, controls included.
    pub by_state: Vec<(ReviewState, u32)>,
    /// Decided cases that were flagged.
    pub n_flagged: u32,
    /// Features of the dictionary in conflict; `None` in a blind queue.
    pub n_conflicts: Option<u32>,
    /// Median time on an item, in seconds; `None` before the first timed decision.
    pub median_seconds: Option<f64>,
    /// Median times what is left, in seconds.
    pub seconds_left: Option<f64>,
    /// Where the reviewer was: the place that was kept, else the first case to do.
    pub place: Option<u32>,
    /// The first case to do; `None` when all is done.
    pub next: Option<u32>,
}

/// A half-done item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDraft {
    /// The text so far.
    #[serde(default)]
    pub text: String,
    /// What was written before the proposal was revealed.
    #[serde(default)]
    pub wrote_first: String,
    /// Whether the proposal was revealed.
    #[serde(default)]
    pub revealed: bool,
    /// How sure, 1 to 9.
    #[serde(default)]
    pub confidence: Option<u8>,
    /// Flagged for a second look.
    #[serde(default)]
    pub flagged: bool,
}

/// One item of a queue as it is put before the reviewer. It does not tell whether it is a repeat or
/// a trap, nor what another reader decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewItem {
    /// Its number in the queue, from 0.
    pub case: u32,
    /// Cases of the queue.
    pub n_cases: u32,
    /// The feature whose evidence is shown.
    pub feature: FeatureId,
    /// How its examples look.
    pub kind: ExampleKind,
    /// When the proposal may be shown: at once, after writing, or never.
    pub mode: ReviewMode,
    /// The text to judge; empty where there is none or in blind mode.
    pub proposal: String,
    /// What proposed it.
    pub proposed_by: String,
    /// Share of positions on which the feature is active.
    pub density: f32,
    /// Highest activation.
    pub max_activation: f32,
    /// Counts of activations in equal bins from 0 to the maximum.
    pub histogram: Arc<Vec<u32>>,
    /// Top examples, best first.
    pub top: Arc<Vec<ExampleView>>,
    /// Examples from equal quantile bands of the activation, highest band first.
    pub bands: Arc<Vec<Vec<ExampleView>>>,
    /// A warning about the evidence.
    pub warnings: Vec<String>,
    /// What one should know to read the evidence.
    pub notes: Vec<String>,
    /// What the reviewer decided on this very case, if they did.
    pub decided: Option<Decision>,
    /// What the reviewer left half done.
    pub draft: Option<ReviewDraft>,
    /// Only to adjudicate: what each reader said.
    pub readings: Vec<Decision>,
}

/// What the reviewer did with an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewAnswer {
    /// The feature of the item that was on the screen.
    pub feature: FeatureId,
    /// What was decided.
    pub state: ReviewState,
    /// The item's proposal as it was on the screen: a decision in sight of another text than the
    /// present one is refused. `None` where it is not known.
    #[serde(default)]
    pub shown: Option<String>,
    /// The reviewer's text, for edited.
    #[serde(default)]
    pub text: String,
    /// What was written before the proposal was revealed.
    #[serde(default)]
    pub wrote_first: String,
    /// How sure, 1 to 9.
    #[serde(default)]
    pub confidence: Option<u8>,
    /// Flagged for a second look.
    #[serde(default)]
    pub flagged: bool,
    /// Time on the item, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
    /// Examples looked at.
    #[serde(default)]
    pub n_examples: u32,
    /// Whether a heatmap was shown.
    #[serde(default)]
    pub heatmap: bool,
    /// Whether window or level was changed.
    #[serde(default)]
    pub window_changed: bool,
}

/// Where a reviewer was on a dictionary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewPlace {
    /// The queue.
    pub queue: QueueRequest,
    /// The case in it.
    pub case: u32,
}

/// A line of a printed queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueuedCase {
    /// Its number in the queue, from 0.
    pub case: u32,
    /// The feature.
    pub feature: FeatureId,
    /// The text to judge.
    pub proposal: String,
    /// Whether the reviewer has decided or passed it by.
    pub done: bool,
}

/// A feature on which readers differ, with what each said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// The feature.
    pub feature: FeatureId,
    /// Whether it is still to be settled.
    pub open: bool,
    /// What each reader said, oldest first.
    pub readings: Vec<Decision>,
    /// Who settled it, if anybody did.
    pub adjudication: Option<Decision>,
}

/// A value with its 95 % interval over features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The value; `None` where it is not defined.
    pub value: Option<f64>,
    /// From the 2.5th to the 97.5th percentile of 1,000 bootstrap draws, where it can be given.
    pub interval: Option<[f64; 2]>,
    /// Features it rests on.
    pub n_features: u32,
}

/// Agreement on the verdict about the proposal: right, other words, wrong, cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AgreementFigures {
    /// Features that at least two read.
    pub n_features: u32,
    /// Share of pairs of readings that agree.
    pub raw: Estimate,
    /// Gwet's AC1, for where nearly all is accepted.
    pub gwet_ac1: Estimate,
    /// Krippendorff's alpha, nominal.
    pub krippendorff_alpha: Estimate,
    /// Cohen's kappa, of two.
    pub cohen_kappa: Option<Estimate>,
    /// Fleiss' kappa, of more than two, over the features that all read.
    pub fleiss_kappa: Option<Estimate>,
}

/// How alike the labels are that readers gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TextFigures {
    /// Share of pairs with the same text but for case and spaces.
    pub exact: Estimate,
    /// Mean of 1 - edits / length of the longer text.
    pub edit: Estimate,
}

/// Two readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairAgreement {
    /// Who.
    pub readers: [String; 2],
    /// Their verdicts.
    pub verdicts: AgreementFigures,
    /// Their labels.
    pub texts: TextFigures,
    /// Quadratic-weighted kappa of their confidences, where they gave any.
    pub confidence: Option<Estimate>,
}

/// A reader beside the model: is the proposal right?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelAgreement {
    /// Who.
    pub reader: String,
    /// Right or not right, of reader and model.
    pub verdicts: AgreementFigures,
}

/// A reader beside themselves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepeatAgreement {
    /// Who.
    pub reader: String,
    /// The verdicts of repeats beside those before them.
    pub verdicts: AgreementFigures,
}

/// Labels of other features that a reader was shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrapFigures {
    /// Who.
    pub reader: String,
    /// Traps answered.
    pub n_traps: u32,
    /// Traps accepted.
    pub n_accepted: u32,
    /// Share accepted.
    pub share: f64,
    /// Its 95 % interval, where it can be given.
    pub interval: Option<[f64; 2]>,
}

/// How far the readers of a dictionary agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgreementReport {
    /// The dictionary.
    pub sae: String,
    /// Readers, each with the number of features they read.
    pub readers: Vec<(String, u32)>,
    /// Features that at least two read.
    pub n_compared: u32,
    /// All readers together.
    pub all: AgreementFigures,
    /// Their labels.
    pub texts: TextFigures,
    /// Reader by reader.
    pub pairs: Vec<PairAgreement>,
    /// Reader by model, apart.
    pub with_model: Vec<ModelAgreement>,
    /// Readers with themselves.
    pub repeats: Vec<RepeatAgreement>,
    /// What readers accepted of other features' labels.
    pub traps: Vec<TrapFigures>,
    /// Features on which readers differ or differed, those not settled first.
    pub disagreements: Vec<Disagreement>,
    /// Decisions on other weights of this name: not counted.
    pub n_stale: u32,
}

/// Examples for a person, those that a judge of the proposal saw where there are any: is the feature
/// active on them?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectionTest {
    /// The feature.
    pub feature: FeatureId,
    /// The label that is tested.
    pub label: String,
    /// Seed of cases and order.
    pub seed: u64,
    /// The examples, active and silent ones mixed; none tells its activation.
    pub cases: Vec<ExampleView>,
    /// What judged the proposal on these very cases; `None` where they were drawn for this test.
    pub judged_by: Option<String>,
    /// What one should know: which kind of cases these are, or that patients could not be kept apart.
    pub notes: Vec<String>,
}

/// How a judge did on the cases that a person had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgeResult {
    /// What judged: `keywords`, or a language model.
    pub name: String,
    /// Mean of sensitivity and specificity; `None` without readable answers to both kinds of cases.
    pub balanced_accuracy: Option<f64>,
    /// Cases to which its answer could not be read.
    pub n_unread: u32,
}

/// How a person did in a detection test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectionResult {
    /// The feature.
    pub feature: FeatureId,
    /// The label that was tested.
    pub label: String,
    /// Who was tested.
    pub reviewer: String,
    /// When.
    pub at: String,
    /// Mean of sensitivity and specificity.
    pub balanced_accuracy: f64,
    /// Its 95 % interval over patients or users, where it can be given.
    pub interval: Option<[f64; 2]>,
    /// Active cases that were told as active, and all active ones.
    pub active: [u32; 2],
    /// Silent cases that were told as silent, and all silent ones.
    pub silent: [u32; 2],
    /// How a judge had done on the same cases; `None` where they were drawn for this test.
    pub judge: Option<JudgeResult>,
}
