//! Labels, proposals and decisions of a dictionary's features.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{Association, Decision, Explanation, FeatureId, MeasuredScore, ReviewState};
use store::{Record, Standing};

use crate::error::{EngineError, Result};
use crate::indexed::check_feature;
use crate::session::Session;
use crate::views::BestAssociation;

/// Longest label, in characters.
const MAX_LABEL: usize = 300;

/// What was decided on one feature, and what stands.
#[derive(Debug, Default, Clone)]
struct Reviewed {
    /// Ascending by line.
    records: Vec<Record>,
    standing: Standing,
}

/// What is said of the features of one dictionary, in memory for filters and cards.
#[derive(Debug, Default, Clone)]
pub(crate) struct Labels {
    reviewed: BTreeMap<FeatureId, Reviewed>,
    explanations: Arc<BTreeMap<FeatureId, Explanation>>,
    /// Lower-case text of each proposal, with the terms it rests on.
    searched: Arc<BTreeMap<FeatureId, String>>,
}

impl Labels {
    pub(crate) fn new(records: Vec<Record>, explanations: Vec<Explanation>) -> Self {
        let mut reviewed: BTreeMap<FeatureId, Reviewed> = BTreeMap::new();
        for record in records {
            let of = reviewed.entry(record.decision.feature).or_default();
            of.records.push(record);
        }
        for of in reviewed.values_mut() {
            of.standing = store::standing(&of.records);
        }
        let searched = explanations
            .iter()
            .map(|explanation| (explanation.feature, searched_text(explanation)))
            .collect();
        Self {
            reviewed,
            searched: Arc::new(searched),
            explanations: Arc::new(
                explanations
                    .into_iter()
                    .map(|explanation| (explanation.feature, explanation))
                    .collect(),
            ),
        }
    }

    /// Takes in a record that was appended to the journal, unless it is known already.
    pub(crate) fn add(&mut self, record: Record) {
        let of = self.reviewed.entry(record.decision.feature).or_default();
        let known = of
            .records
            .iter()
            .rposition(|other| other.line <= record.line);
        match known {
            Some(at) if of.records[at].line == record.line => return,
            Some(at) => of.records.insert(at + 1, record),
            None => of.records.insert(0, record),
        }
        of.standing = store::standing(&of.records);
    }

    /// What stands for a feature; `None` if nobody ever decided on it.
    pub(crate) fn standing(&self, feature: FeatureId) -> Option<&Standing> {
        Some(&self.reviewed.get(&feature)?.standing)
    }

    /// All records of a feature, ascending by line.
    pub(crate) fn records_of(&self, feature: FeatureId) -> &[Record] {
        self.reviewed
            .get(&feature)
            .map_or(&[], |of| of.records.as_slice())
    }

    /// All records of the dictionary, ascending by line.
    pub(crate) fn records(&self) -> Vec<&Record> {
        let mut records: Vec<&Record> = self
            .reviewed
            .values()
            .flat_map(|of| of.records.iter())
            .collect();
        records.sort_by_key(|record| record.line);
        records
    }

    /// The features that somebody decided on, with what stands.
    pub(crate) fn reviewed(&self) -> impl Iterator<Item = (FeatureId, &Standing)> {
        self.reviewed
            .iter()
            .map(|(feature, of)| (*feature, &of.standing))
    }

    /// The newest proposal, with what made it.
    pub(crate) fn explanation(&self, feature: FeatureId) -> Option<&Explanation> {
        self.explanations.get(&feature)
    }

    /// The features that have a proposal.
    pub(crate) fn proposed(&self) -> impl Iterator<Item = FeatureId> {
        self.explanations.keys().copied()
    }

    /// The approved label, or empty.
    pub(crate) fn label(&self, feature: FeatureId) -> String {
        self.standing(feature)
            .map(|standing| standing.text.clone())
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
        self.standing(feature)
            .map_or(ReviewState::Unseen, |standing| standing.state)
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

    /// How well the proposal does: as it was measured here, else the published score in its
    /// publisher's scale, else the AUROC of the first term it rests on.
    pub(crate) fn score(&self, feature: FeatureId) -> Option<f64> {
        let explanation = self.explanation(feature)?;
        let measured = explanation.score.as_ref().map(|score| score.value);
        let published = explanation.source.as_ref();
        measured
            .or_else(|| published.and_then(|source| source.score))
            .or_else(|| self.auroc(feature).map(f64::from))
    }

    fn best(&self, feature: FeatureId) -> Option<&Association> {
        self.explanations.get(&feature)?.evidence.first()
    }

    /// How far the proposal was found to be true here.
    pub(crate) fn measured(&self, feature: FeatureId) -> Option<&MeasuredScore> {
        self.explanation(feature)?.score.as_ref()
    }

    /// Features whose proposal was measured.
    pub(crate) fn n_measured(&self) -> u32 {
        let all = self.explanations.values();
        all.filter(|explanation| explanation.score.is_some())
            .count() as u32
    }

    /// Whether somebody flagged the feature for a second look, and nobody has decided since.
    pub(crate) fn is_flagged(&self, feature: FeatureId) -> bool {
        crate::flags::is_flagged(self.records_of(feature))
    }

    /// 2 where readers differ, 1 where the reader differs from the proposal, else 0.
    pub(crate) fn disagreement(&self, feature: FeatureId) -> u8 {
        let Some(standing) = self.standing(feature) else {
            return 0;
        };
        let proposed = self.explanation(feature);
        let is_against = proposed.is_some_and(|proposed| match standing.state {
            ReviewState::Rejected => true,
            ReviewState::Edited => {
                schema::normalised(&standing.text) != schema::normalised(&proposed.text)
            }
            _ => false,
        });
        match standing.state {
            ReviewState::Conflict => 2,
            _ => u8::from(is_against),
        }
    }

    /// Whether label, proposal, the terms it rests on, or the number holds the lower-case word.
    pub(crate) fn mentions(&self, feature: FeatureId, word: &str) -> bool {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        is_number && feature.to_string() == word
            || self
                .standing(feature)
                .is_some_and(|standing| standing.text.to_lowercase().contains(word))
            || self
                .searched
                .get(&feature)
                .is_some_and(|text| text.contains(word))
    }

    /// Features that somebody decided on; those passed by or taken back do not count.
    pub(crate) fn n_reviewed(&self) -> u32 {
        let decided = |standing: &Standing| {
            !matches!(standing.state, ReviewState::Unseen | ReviewState::Skipped)
        };
        self.reviewed
            .values()
            .filter(|of| decided(&of.standing))
            .count() as u32
    }
}

fn searched_text(explanation: &Explanation) -> String {
    let mut text = explanation.text.to_lowercase();
    for term in &explanation.evidence {
        text.push('\n');
        text.push_str(&term.name.to_lowercase());
    }
    text
}

impl Session {
    /// Labels of a dictionary, read once and then kept up to date.
    pub(crate) fn labels(&self, sae: &str) -> Result<Arc<Labels>> {
        self.labels_or(sae, || {
            Ok(Labels::new(
                self.project.records(sae)?,
                self.project.latest_explanations(sae)?,
            ))
        })
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
        check_feature(sae, feature.0, indexed.index.n_features())?;
        if text.chars().count() > MAX_LABEL {
            return Err(EngineError::request(format!(
                "the label has more than {MAX_LABEL} characters"
            )));
        }
        match state {
            ReviewState::Conflict => Err(EngineError::request(
                "conflict is what readers who differ make; decide one of accepted, edited, \
                 rejected, unsure or skipped",
            )),
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

    /// Decisions on a feature, newest first.
    pub(crate) fn decisions_of(&self, sae: &str, feature: FeatureId) -> Result<Vec<Decision>> {
        let labels = self.labels(sae)?;
        let newest_first = labels.records_of(feature).iter().rev();
        Ok(newest_first.map(|record| record.decision.clone()).collect())
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
