//! What says what a feature looks for, and what predicts from that where it is active.

use schema::{Association, FeatureId};

use crate::ExplainError;

/// An explanation and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The explanation.
    pub text: String,
    /// Terms it rests on, strongest first; none from a language model.
    pub evidence: Vec<Association>,
    /// What the language model was asked.
    pub prompt: Option<String>,
    /// Cases and worked examples that were left out because the prompt was too long with them.
    pub n_left_out: usize,
}

/// Makes explanations from cases: histories ([`crate::ShownCase`]) or passages
/// ([`crate::Passage`]).
pub trait Explainer<C> {
    /// The explanation of a feature; `None` where nothing can be said.
    ///
    /// # Errors
    /// Those of [`crate::Keywords::of`] and [`crate::TextModel::write`]; from a language model
    /// [`ExplainError::PromptTooLong`] only when its shortest prompt is.
    fn explain(&self, feature: FeatureId, cases: &[C]) -> Result<Option<Explained>, ExplainError>;
}

/// Predicts activations from explanations.
pub trait Judge<C> {
    /// The activation of the feature on the case, 0 to 10, above 5 meaning that it is active; `None`
    /// where the answer cannot be read. Activations that the case holds are not looked at.
    ///
    /// # Errors
    /// Those of [`crate::TextModel::write`].
    fn predict(&self, explanation: &str, case: &C) -> Result<Option<f64>, ExplainError>;
}
