//! Explaining and judging the features of a set, and the control with swapped explanations.

use std::collections::BTreeMap;

use explain::{
    CaseRule, ConceptCases, ConceptTotals, Confidence, ExplainError, Explained, Explainer, Judge,
    ShownCase, swap_alike,
};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use schema::{Explanation, FeatureId};

use super::feature_set::FeatureSet;
use super::rows::TestRows;
use crate::error::Result;
use crate::jobs::JobContext;
use crate::views::{ConceptTotalsView, MeanView};

/// Predictions on the test cases of a feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) activating: Vec<Option<f64>>,
    pub(super) non_activating: Vec<Option<f64>>,
}

/// A feature with its cases, its explanation and what the judge made of it.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    pub(super) feature: u32,
    pub(super) n_active: usize,
    pub(super) cases: ConceptCases,
    pub(super) explained: Option<Explained>,
    /// Whether even the shortest prompt was longer than the model's context.
    pub(super) is_too_long: bool,
    pub(super) said: Option<Said>,
    pub(super) confidence: Option<Confidence>,
}

/// Who explains and judges, and what on.
pub(super) struct Asking<'a> {
    pub(super) rows: &'a TestRows,
    pub(super) rule: CaseRule,
    pub(super) seed: u64,
    pub(super) judge: Option<&'a dyn Judge<ShownCase>>,
    pub(super) job: &'a JobContext,
}

/// Features with cases, by feature.
pub(super) type Chosen = BTreeMap<u32, ConceptCases>;

impl Asking<'_> {
    /// The features that have cases to explain and to test.
    pub(super) fn with_cases(&self, set: &FeatureSet) -> Chosen {
        let (rows, rule, seed) = (self.rows, self.rule, self.seed);
        let found: Vec<Option<(u32, ConceptCases)>> = (0..set.n_features() as u32)
            .into_par_iter()
            .map(|feature| {
                let cases = set.cases(feature, rows, rule, seed)?;
                // One that is active on every row cannot be told from anything by our rule.
                let is_told_apart = rule == CaseRule::RecSae || !cases.non_activating.is_empty();
                is_told_apart.then_some((feature, cases))
            })
            .collect();
        found.into_iter().flatten().collect()
    }

    /// Explains and judges features, in ascending order.
    ///
    /// # Errors
    /// Those of explainer and judge; [`crate::EngineError::cancelled`].
    pub(super) fn score(
        &self,
        set: &FeatureSet,
        chosen: &Chosen,
        explainer: &dyn Explainer<ShownCase>,
        stage: &str,
    ) -> Result<Vec<Scored>> {
        let mut all = Vec::with_capacity(chosen.len());
        for (&feature, cases) in chosen {
            self.job.check_cancelled()?;
            self.job
                .report(stage, all.len() as u64, chosen.len() as u64, "features");
            let (explained, is_too_long) = self.explained(set, (feature, cases), explainer)?;
            let said = match (&explained, self.judge) {
                (Some(explained), Some(judge)) => {
                    Some(self.judged(judge, set, (feature, cases), &explained.text)?)
                }
                _ => None,
            };
            all.push(Scored {
                feature,
                n_active: set.n_active(feature),
                cases: cases.clone(),
                explained,
                is_too_long,
                confidence: said.as_ref().map(confidence_of),
                said,
            });
        }
        Ok(all)
    }

    /// An explanation, from fewer cases where a prompt is longer than the model's context: those on
    /// which the feature is weakest go first, of equals the last. Whether it is too long even with one.
    fn explained(
        &self,
        set: &FeatureSet,
        (feature, cases): (u32, &ConceptCases),
        explainer: &dyn Explainer<ShownCase>,
    ) -> Result<(Option<Explained>, bool)> {
        let mut rows = cases.construction.clone();
        loop {
            self.job.check_cancelled()?;
            let shown: Vec<_> = rows
                .iter()
                .map(|&row| set.shown(feature, row, self.rows))
                .collect();
            match explainer.explain(FeatureId(feature), &shown) {
                Err(ExplainError::PromptTooLong { .. }) => {
                    let weakest = (0..rows.len())
                        .rev()
                        .min_by_key(|&at| set.level_on(feature, rows[at]));
                    let Some(weakest) = weakest.filter(|_| rows.len() > 1) else {
                        return Ok((None, true));
                    };
                    rows.remove(weakest);
                }
                explained => {
                    let n_left_out = cases.construction.len() - rows.len();
                    let explained = explained?.map(|one| Explained {
                        n_left_out: one.n_left_out + n_left_out,
                        ..one
                    });
                    return Ok((explained, false));
                }
            }
        }
    }

    fn judged(
        &self,
        judge: &dyn Judge<ShownCase>,
        set: &FeatureSet,
        (feature, cases): (u32, &ConceptCases),
        explanation: &str,
    ) -> Result<Said> {
        let predict = |rows: &[u32]| -> Result<Vec<Option<f64>>> {
            let mut said = Vec::with_capacity(rows.len());
            for &row in rows {
                self.job.check_cancelled()?;
                let case = set.shown(feature, row, self.rows).without_levels();
                said.push(match judge.predict(explanation, &case) {
                    // Counted as unread.
                    Err(ExplainError::PromptTooLong { .. }) => None,
                    prediction => prediction?,
                });
            }
            Ok(said)
        };
        Ok(Said {
            activating: predict(&cases.activating)?,
            non_activating: predict(&cases.non_activating)?,
        })
    }

    /// Confidence of each feature with the explanation of another of like density, by the place in
    /// `scored`; `None` for those without explanation, and everywhere with fewer than two.
    ///
    /// # Errors
    /// As [`Asking::score`].
    pub(super) fn shuffled(
        &self,
        set: &FeatureSet,
        scored: &[Scored],
    ) -> Result<Vec<Option<Confidence>>> {
        let mut swapped = vec![None; scored.len()];
        let with: Vec<(usize, &str)> = scored
            .iter()
            .enumerate()
            .filter_map(|(at, one)| Some((at, one.explained.as_ref()?.text.as_str())))
            .collect();
        let (Some(judge), true) = (self.judge, with.len() > 1) else {
            return Ok(swapped);
        };
        let n_active: Vec<usize> = with.iter().map(|&(at, _)| scored[at].n_active).collect();
        let gets = swap_alike(&n_active, self.seed);
        for (done, (&(at, _), from)) in with.iter().zip(gets).enumerate() {
            let stage = "Judging swapped explanations";
            self.job
                .report(stage, done as u64, with.len() as u64, "features");
            let one = &scored[at];
            let said = self.judged(judge, set, (one.feature, &one.cases), with[from].1)?;
            swapped[at] = Some(confidence_of(&said));
        }
        Ok(swapped)
    }
}

fn confidence_of(said: &Said) -> Confidence {
    Confidence::of(&said.activating, &said.non_activating)
}

/// Proposals that were there, by feature.
pub(super) struct StoredExplainer(pub(super) BTreeMap<FeatureId, Explanation>);

impl Explainer<ShownCase> for StoredExplainer {
    fn explain(
        &self,
        feature: FeatureId,
        _cases: &[ShownCase],
    ) -> std::result::Result<Option<Explained>, ExplainError> {
        Ok(self.0.get(&feature).map(|stored| Explained {
            text: stored.text.clone(),
            evidence: stored.evidence.clone(),
            prompt: None,
            n_left_out: 0,
        }))
    }
}

/// Totals of confidences, in the window's words.
pub(super) fn totals_of(n_chosen: usize, scores: &[Confidence], seed: u64) -> ConceptTotalsView {
    let totals = ConceptTotals::of(scores, seed);
    let mean = |of: Option<explain::MeanOverFeatures>| {
        of.map(|mean| MeanView {
            value: mean.value,
            interval: mean.interval,
        })
    };
    ConceptTotalsView {
        n_chosen,
        n_scored: totals.n_scored,
        recall: mean(totals.recall),
        specificity: mean(totals.specificity),
        confidence: mean(totals.confidence),
        n_certain: totals.n_certain,
        n_at_least_09: totals.n_at_least_09,
        n_above_08: totals.n_above_08,
        n_interpretable: totals.n_interpretable,
        n_above_chance: totals.n_above_chance,
        n_unparsed: totals.n_unparsed,
        item_cosine: None,
        item_cosine_interpretable: None,
    }
}

/// Totals of scored features, with the cosine of item vectors (`[n_items + 1, d]`).
pub(super) fn totals_with_items(
    set: &FeatureSet,
    scored: &[Scored],
    (rows, items, d): (&TestRows, &[f32], usize),
    seed: u64,
) -> ConceptTotalsView {
    let scores: Vec<Confidence> = scored.iter().filter_map(|one| one.confidence).collect();
    let mean_cosine = |wanted: &dyn Fn(&Scored) -> bool| {
        let cosines: Vec<f64> = scored
            .iter()
            .filter(|one| wanted(one))
            .filter_map(|one| {
                let [a, b] = highest_items(set, one.feature, rows)?;
                let vector = |item: u32| &items[item as usize * d..][..d];
                Some(cosine(vector(a), vector(b)))
            })
            .collect();
        let n = cosines.len();
        (n > 0).then(|| (cosines.iter().sum::<f64>() / n as f64, n))
    };
    ConceptTotalsView {
        item_cosine: mean_cosine(&|_| true),
        item_cosine_interpretable: mean_cosine(&|one| {
            one.confidence.is_some_and(|score| score.is_interpretable())
        }),
        ..totals_of(scored.len(), &scores, seed)
    }
}

/// The item that the highest row of a feature recommends, and the first other one below it.
fn highest_items(set: &FeatureSet, feature: u32, rows: &TestRows) -> Option<[u32; 2]> {
    let mut active = set.active_rows(feature, rows);
    active.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.row.cmp(&b.row)));
    let first = active.first()?.item;
    let other = active.iter().find(|row| row.item != first)?.item;
    Some([first, other])
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}
