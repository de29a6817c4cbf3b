//! What features go with: keywords, associations with findings, probes, planted concepts, and how
//! certain that is; how far readers agree.
//!
//! Plain functions on plain numbers; it knows no model, no file and no tensor.

mod absorption;
pub mod agreement;
mod association;
mod auroc;
mod bootstrap;
mod coherence;
mod concept_cases;
mod concept_explainers;
mod concept_judges;
mod concept_prompts;
mod concept_totals;
mod confidence;
mod deidentify;
mod detection;
mod error;
mod explainer;
mod f1;
mod keywords;
mod levels;
mod logistic;
mod passage;
mod passage_prompts;
mod prompt_template;
mod recommendation;
mod recovery;
mod shown_case;
mod significance;
mod simulation;
mod sparse_probing;
mod splitting;
mod term_table;
mod terms;
mod text_model;
mod two_by_two;

pub use absorption::{ABSORBING_COSINE, ABSORBING_SHARE, ProbedFeatures};
pub use association::{Outcome, adjust_together, associate};
pub use auroc::{AurocEstimate, WeightedAuroc, auroc, auroc_interval};
pub use bootstrap::ClusterBootstrap;
pub use coherence::{TfIdf, TitleCoherence, title_coherence};
pub use concept_cases::{
    ACTIVATING_LEVEL, ActiveRow, CaseRule, ConceptCases, choose_cases, n_distinct_items,
};
pub use concept_explainers::{KeywordExplainer, ModelExplainer};
pub use concept_judges::{KeywordJudge, ModelJudge};
pub use concept_prompts::{explanation_chat, judgement_chat, read_explanation, read_prediction};
pub use concept_totals::{ConceptTotals, MeanOverFeatures, swap_alike};
pub use confidence::{Confidence, INTERPRETABLE, SAYS_ACTIVE};
pub use deidentify::{DEIDENTIFIED, deidentified, identifiers};
pub use detection::{Detection, frequency_weighted};
pub use error::ExplainError;
pub use explainer::{Explained, Explainer, Judge};
pub use f1::{ClusteredF1, F1Counts};
pub use keywords::{KeywordOptions, Keywords};
pub use levels::{Levels, N_LEVELS};
pub use logistic::Logistic;
pub use passage::{Passage, words_of};
pub use passage_prompts::{
    JudgedText, PassageExplainer, PassageJudge, PassageKeywordJudge, shown_passages,
};
pub use prompt_template::{ExampleTurn, PromptTemplate};
pub use recommendation::{coverage, gini, mean_over_places, shares_of};
pub use recovery::{ColumnSource, DenseColumns, Recovery, SparseColumns, recover, shuffled};
pub use shown_case::{ItemTexts, N_SHOWN, ShownCase, ShownItem};
pub use significance::{benjamini_hochberg, chi_square_p};
pub use simulation::{Simulated, simulate};
pub use sparse_probing::{ProbeOutcome, SparseProbe, rank_columns};
pub use splitting::{SPLIT_GAIN, n_split};
pub use term_table::TermTable;
pub use terms::{text_terms, title_terms};
pub use text_model::{Chat, TextModel, Writing};
pub use two_by_two::TwoByTwo;
