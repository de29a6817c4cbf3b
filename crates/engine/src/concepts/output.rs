//! Scored features in the window's words.

use explain::{Confidence, ItemTexts, ShownItem};
use schema::{Explanation, FeatureId, MeasuredScore};

use super::feature_set::FeatureSet;
use super::rows::TestRows;
use super::scoring::Scored;
use crate::views::{
    ConceptCaseView, ConceptItemView, ConceptSettingsView, ConceptTestView, ConceptView,
};

/// What views of concepts are made from.
pub(super) struct Output<'a> {
    pub(super) set: &'a FeatureSet,
    pub(super) rows: &'a TestRows,
    pub(super) texts: &'a ItemTexts,
}

impl Output<'_> {
    /// A feature and the confidence of a swapped explanation.
    pub(super) fn concept(&self, scored: &Scored, shuffled: Option<Confidence>) -> ConceptView {
        let score = scored.confidence.as_ref();
        let explained = scored.explained.as_ref();
        let construction = scored.cases.construction.iter();
        ConceptView {
            feature: FeatureId(scored.feature),
            n_active: scored.n_active,
            explanation: explained.map_or_else(String::new, |one| one.text.clone()),
            evidence: explained.map_or_else(Vec::new, |one| one.evidence.clone()),
            prompt: explained.and_then(|one| one.prompt.clone()),
            cases: construction
                .map(|&row| self.case(scored.feature, row))
                .collect(),
            tests: self.tests(scored),
            n_shared: scored.cases.n_shared,
            recall: score.and_then(|score| score.recall),
            specificity: score.and_then(|score| score.specificity),
            confidence: score.and_then(|score| score.value),
            interval: score.and_then(|score| score.interval),
            n_unparsed: score.map_or(0, |score| score.n_unparsed),
            shuffled: shuffled.and_then(|score| score.value),
            n_left_out: explained.map_or(0, |one| one.n_left_out),
            not_explained: if scored.is_too_long {
                "prompt too long".to_owned()
            } else {
                String::new()
            },
        }
    }

    fn item(&self, shown: ShownItem) -> ConceptItemView {
        ConceptItemView {
            item: shown.item,
            title: self.texts.of(shown.item),
            level: shown.level,
        }
    }

    fn case(&self, feature: u32, row: u32) -> ConceptCaseView {
        let shown = self.set.shown(feature, row, self.rows);
        ConceptCaseView {
            user: self.rows.rows[row as usize].user,
            history: shown.history.iter().map(|&at| self.item(at)).collect(),
            recommended: self.item(shown.recommended),
        }
    }

    fn tests(&self, scored: &Scored) -> Vec<ConceptTestView> {
        let Some(said) = &scored.said else {
            return Vec::new();
        };
        let activating = scored.cases.activating.iter().zip(&said.activating);
        let others = scored.cases.non_activating.iter().zip(&said.non_activating);
        activating
            .chain(others)
            .map(|(&row, &predicted)| {
                let test = &self.rows.rows[row as usize];
                ConceptTestView {
                    user: test.user,
                    recommended: self.item(ShownItem {
                        item: test.first,
                        level: Some(self.set.level_on(scored.feature, row)),
                    }),
                    predicted,
                }
            })
            .collect()
    }
}

/// Explanations as proposals for the review, each with its confidence where it has one.
pub(super) fn proposals(
    scored: &[Scored],
    by: &str,
    settings: &ConceptSettingsView,
    run: &str,
) -> Vec<Explanation> {
    scored
        .iter()
        .filter_map(|one| {
            let explained = one.explained.as_ref()?;
            let measured = one.confidence.as_ref().and_then(|score| {
                Some(MeasuredScore {
                    method: "confidence".to_owned(),
                    judge: settings.judged_by.clone()?,
                    value: score.value?,
                    interval: score.interval,
                    n_cases: score.n_cases as u32,
                })
            });
            Some(Explanation {
                feature: FeatureId(one.feature),
                text: explained.text.clone(),
                by: by.to_owned(),
                evidence: explained.evidence.clone(),
                at: settings.at.clone(),
                score: measured,
                run: run.to_owned(),
                ..Explanation::default()
            })
        })
        .collect()
}
