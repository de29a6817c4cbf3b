//! What features go with: keywords, associations with findings, recovery of planted concepts.
//!
//! Plain functions on plain numbers; it knows no model, no file and no tensor.

mod association;
mod auroc;
mod error;
mod f1;
mod keywords;
mod recovery;
mod significance;
mod term_table;
mod terms;
mod two_by_two;

pub use association::{Outcome, adjust_together, associate};
pub use auroc::{AurocEstimate, auroc, auroc_interval};
pub use error::ExplainError;
pub use f1::F1Counts;
pub use keywords::{KeywordOptions, Keywords};
pub use recovery::{ColumnSource, DenseColumns, Recovery, SparseColumns, recover, shuffled};
pub use significance::{benjamini_hochberg, chi_square_p};
pub use term_table::TermTable;
pub use terms::{text_terms, title_terms};
pub use two_by_two::TwoByTwo;
