//! How well a dictionary does: what each metric means, and how it is computed.
//!
//! [`Metric`] is the catalogue. What needs truth about samples (probing, absorption, splitting,
//! bootstrap) is in `explain`; what needs a model (loss recovered, ranking kept) is measured by
//! `engine`, from the formulas here.

mod assignment;
mod catalogue;
mod density;
mod evaluator;
mod fvu;
mod monosemanticity;
mod neighbours;
mod output_kept;
mod row_sums;
mod stability;

pub use assignment::best_assignment;
pub use catalogue::{Direction, Metric, MetricDefinition};
pub use density::{DENSE_ABOVE, DensityBin, dead_share, dense_share, density_histogram};
pub use evaluator::{Evaluator, evaluate};
pub use fvu::FvuSum;
pub use monosemanticity::Embeddings;
pub use neighbours::{mean_neighbour_cosine, nearest_directions};
pub use output_kept::{loss_recovered, share_kept};
pub use row_sums::{CentreSums, Centres, RowSums, row_sums};
pub use stability::{
    FeatureMatch, MAX_MATCHED, SHARED_FROM, check_matchable, match_features, mean_cosine,
    shared_share,
};
