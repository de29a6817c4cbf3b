//! What features go with: keywords, associations with findings, probes, planted concepts, and how
//! certain that is.
//!
//! Plain functions on plain numbers; it knows no model, no file and no tensor.

mod absorption;
mod association;
mod auroc;
mod bootstrap;
mod coherence;
mod concept_cases;
mod confidence;
mod error;
mod f1;
mod keywords;
mod levels;
mod logistic;
mod recommendation;
mod recovery;
mod significance;
mod sparse_probing;
mod splitting;
mod term_table;
mod terms;
mod two_by_two;

pub use absorption::{ABSORBING_COSINE, ABSORBING_SHARE, ProbedFeatures};
pub use association::{Outcome, adjust_together, associate};
pub use auroc::{AurocEstimate, WeightedAuroc, auroc, auroc_interval};
pub use bootstrap::ClusterBootstrap;
pub use coherence::TfIdf;
pub use concept_cases::{
    ACTIVATING_LEVEL, ActiveRow, CaseRule, ConceptCases, choose_cases, n_distinct_items,
};
pub use confidence::{Confidence, INTERPRETABLE, SAYS_ACTIVE};
pub use error::ExplainError;
pub use f1::{ClusteredF1, F1Counts};
pub use keywords::{KeywordOptions, Keywords};
pub use levels::{Levels, N_LEVELS};
pub use logistic::Logistic;
pub use recommendation::{coverage, gini, mean_over_places, shares_of};
pub use recovery::{ColumnSource, DenseColumns, Recovery, SparseColumns, recover, shuffled};
pub use significance::{benjamini_hochberg, chi_square_p};
pub use sparse_probing::{ProbeOutcome, SparseProbe, rank_columns};
pub use splitting::{SPLIT_GAIN, n_split};
pub use term_table::TermTable;
pub use terms::{text_terms, title_terms};
pub use two_by_two::TwoByTwo;
