//! Labels, proposals and decisions of a dictionary's features.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{Association, Decision, Explanation, FeatureId, ReviewState};

use crate::error::{EngineError, Result};
use crate::session::Session;
use crate::views::BestAssociation;

/// Longest label, in characters.
const MAX_LABEL: usize = 300;

/// What is said of the features of one dictionary, in memory for filters and cards.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    decisions: BTreeMap<FeatureId, Decision>,
    explanations: BTreeMap<FeatureId, Explanation>,
}

impl Labels {
    /// The approved label, or empty.
    pub(crate) fn label(&self, feature: FeatureId) -> String {
        self.decisions
            .get(&feature)
            .filter(|d| matches!(d.state, ReviewState::Accepted | ReviewState::Edited))
            .map(|decision| decision.text.clone())
            .unwrap_or_default()
    }

    /// The proposed text, or empty.
    pub(crate) fn proposal(&self, feature: FeatureId) -> String {
        self.explanations
            .get(&feature)
            .map(|explanation| explanation.text.clone())
            .unwrap_or_default()
    }

    /// Where the review stands.
    pub(crate) fn state(&self, feature: FeatureId) -> ReviewState {
        self.decisions
            .get(&feature)
            .map_or(ReviewState::Unseen, |decision| decision.state)
    }

    /// The label, else the proposal, else empty.
    pub(crate) fn caption(&self, feature: FeatureId) -> String {
        let label = self.label(feature);
        if label.is_empty() {
            self.proposal(feature)
        } else {
            label
        }
    }

    /// The first term that the proposal rests on.
    pub(crate) fn association(&self, feature: FeatureId) -> Option<BestAssociation> {
        let best = self.best(feature)?;
        Some(BestAssociation {
            name: best.name.clone(),
            auroc: best.auroc,
            q: best.q,
        })
    }

    /// AUROC of that term.
    pub(crate) fn auroc(&self, feature: FeatureId) -> Option<f32> {
        Some(self.best(feature)?.auroc)
    }

    fn best(&self, feature: FeatureId) -> Option<&Association> {
        self.explanations.get(&feature)?.evidence.first()
    }

    /// Whether label, proposal or number holds the lower-case word.
    pub(crate) fn mentions(&self, feature: FeatureId, word: &str) -> bool {
        feature.to_string() == word
            || self.label(feature).to_lowercase().contains(word)
            || self.proposal(feature).to_lowercase().contains(word)
    }

    /// Features that stand in another state than `state`.
    pub(crate) fn count_not(&self, state: ReviewState) -> u32 {
        self.decisions
            .values()
            .filter(|decision| decision.state != state)
            .count() as u32
    }
}

impl Session {
    /// Labels of a dictionary, read once and again after each change.
    pub(crate) fn labels(&self, sae: &str) -> Result<Arc<Labels>> {
        if let Some(known) = self.cached_labels(sae) {
            return Ok(known);
        }
        let labels = Arc::new(Labels {
            decisions: self
                .project
                .reviews(sae)?
                .into_iter()
                .map(|decision| (decision.feature, decision))
                .collect(),
            explanations: self
                .project
                .latest_explanations(sae)?
                .into_iter()
                .map(|explanation| (explanation.feature, explanation))
                .collect(),
        });
        self.cache_labels(sae, Arc::clone(&labels));
        Ok(labels)
    }

    /// Whether a decision can be recorded.
    ///
    /// # Errors
    /// When there is no such feature, an edited label is empty or too long, or there is nothing to
    /// accept.
    pub fn check_decision(
        &self,
        sae: &str,
        feature: FeatureId,
        state: ReviewState,
        text: &str,
    ) -> Result<()> {
        let indexed = self.indexed(sae)?;
        if feature.0 >= indexed.index.n_features() {
            return Err(EngineError::request(format!(
                "{sae} has no feature {feature}, only 0 to {}",
                indexed.index.n_features().saturating_sub(1)
            )));
        }
        if text.chars().count() > MAX_LABEL {
            return Err(EngineError::request(format!(
                "the label has more than {MAX_LABEL} characters"
            )));
        }
        match state {
            ReviewState::Edited if text.trim().is_empty() => Err(EngineError::request(
                "an edited label needs a text; to say that there is none, reject it",
            )),
            ReviewState::Accepted
                if text.trim().is_empty() && self.labels(sae)?.caption(feature).is_empty() =>
            {
                Err(EngineError::request(format!(
                    "feature {feature} of {sae} has no proposed label to accept; edit it instead"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Records a decision. When this returns it is in the synced journal, then in the database.
    ///
    /// # Errors
    /// As [`Session::check_decision`]; when the journal cannot be written, nothing is changed.
    pub fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        state: ReviewState,
        text: &str,
        reviewer: &str,
    ) -> Result<Decision> {
        self.check_decision(sae, feature, state, text)?;
        let labels = self.labels(sae)?;
        let text = match state {
            ReviewState::Accepted if text.trim().is_empty() => labels.caption(feature),
            ReviewState::Accepted | ReviewState::Edited => text.trim().to_owned(),
            _ => String::new(),
        };
        let decision = Decision {
            sae: sae.to_owned(),
            sae_hash: self.indexed(sae)?.dictionary.hash.clone(),
            feature,
            state,
            text,
            edited_from: labels.proposal(feature),
            reviewer: if reviewer.trim().is_empty() {
                "unnamed reviewer".to_owned()
            } else {
                reviewer.trim().to_owned()
            },
            at: store::utc_now(),
        };
        self.project.decide(&decision)?;
        self.forget_labels(sae);
        Ok(decision)
    }

    /// State and label of a feature now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn review_state(&self, sae: &str, feature: FeatureId) -> Result<(ReviewState, String)> {
        let labels = self.labels(sae)?;
        Ok((labels.state(feature), labels.label(feature)))
    }

    /// Decisions on a feature, newest first.
    pub(crate) fn decisions_of(&self, sae: &str, feature: FeatureId) -> Result<Vec<Decision>> {
        let mut decisions = self.project.history(sae, feature)?;
        decisions.reverse();
        Ok(decisions)
    }

    /// Every decision on a dictionary, feature by feature, oldest first.
    ///
    /// # Errors
    /// When the dictionary does not exist or the database cannot be read.
    pub fn decisions(&self, sae: &str) -> Result<Vec<Decision>> {
        let mut all = Vec::new();
        for decision in self.project.reviews(sae)? {
            all.extend(self.project.history(sae, decision.feature)?);
        }
        Ok(all)
    }

    /// Proposed explanations of a feature, newest first.
    pub(crate) fn explanations_of(
        &self,
        sae: &str,
        feature: FeatureId,
    ) -> Result<Vec<Explanation>> {
        let mut explanations = self.project.explanations(sae, feature)?;
        explanations.reverse();
        Ok(explanations)
    }

    /// Association of a feature with findings or categories, strongest first.
    pub(crate) fn associations_of(
        &self,
        sae: &str,
        feature: FeatureId,
    ) -> Result<Vec<Association>> {
        Ok(self.project.associations(sae, feature)?)
    }
}
