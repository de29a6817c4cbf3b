//! What can be wrong with the numbers that are given.

/// Input that does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// Two lists that must be equally long are not.
    #[error("{what}: expected {expected} values, got {got}")]
    Length {
        /// Which list.
        what: &'static str,
        /// Length that was expected.
        expected: usize,
        /// Length it has.
        got: usize,
    },
    /// An activation is not a finite number.
    #[error("{what}: the value of sample {sample} is not a finite number")]
    NotFinite {
        /// Which list.
        what: &'static str,
        /// Index of the sample.
        sample: usize,
    },
    /// A sample index is past the end.
    #[error("{what}: there is no sample {sample}, only {n_samples}")]
    NoSuchSample {
        /// Which list.
        what: &'static str,
        /// The index.
        sample: u32,
        /// Number of samples.
        n_samples: usize,
    },
    /// A reader's category is past the end.
    #[error("row {feature} of the ratings: there is no category {category}, only {n_categories}")]
    NoSuchCategory {
        /// Row of the feature.
        feature: usize,
        /// The category.
        category: u32,
        /// Number of categories.
        n_categories: u32,
    },
    /// The language model cannot answer.
    #[error("the language model: {reason}")]
    TextModel {
        /// Why.
        reason: String,
    },
    /// The prompt does not fit into the language model's context.
    #[error("the language model: {reason}")]
    PromptTooLong {
        /// How long it is and what the model holds.
        reason: String,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

/// Checks that two lists are equally long.
pub(crate) fn same_length(
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), ExplainError> {
    if expected == got {
        Ok(())
    } else {
        Err(ExplainError::Length {
            what,
            expected,
            got,
        })
    }
}

/// Checks that all values are finite.
pub(crate) fn all_finite(what: &'static str, values: &[f32]) -> Result<(), ExplainError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(sample) => Err(ExplainError::NotFinite { what, sample }),
    }
}
