//! Explaining features and judging explanations on passages, and the controls beside it.

use std::collections::BTreeMap;

use explain::{
    ClusterBootstrap, Detection, ExplainError, Explained, Explainer as _, Judge, JudgedText,
    KeywordOptions, Keywords, Passage, PassageExplainer, PassageJudge, PassageKeywordJudge,
    PromptTemplate, TermTable, TextModel, Writing, auroc, simulate, swap_alike, text_terms,
    words_of,
};
use models::text::SentenceEncoder;
use schema::{Explanation, FeatureId};

use super::activity::Activity;
use super::passages::{Chooser, PassageCases};
use crate::error::Result;
use crate::jobs::JobContext;

/// What explains.
pub(super) enum Explains<'a> {
    /// Terms of what is said of films, over those that explanations are made from.
    Keywords {
        keywords: &'a Keywords<'a>,
        chooser: &'a Chooser<'a>,
        table: &'a TermTable,
    },
    /// Terms of passages of texts.
    PassageKeywords(&'a Chooser<'a>),
    /// A language model.
    Model(PassageExplainer<'a>),
    /// Proposals that are there.
    Stored(&'a BTreeMap<FeatureId, Explanation>),
}

/// An explanation, none, or why there can be none.
type Tried = std::result::Result<Option<Explained>, ExplainError>;

impl Explains<'_> {
    fn explain(&self, feature: u32, cases: &PassageCases, activity: &Activity<'_>) -> Tried {
        match self {
            Self::Keywords {
                keywords,
                chooser,
                table,
            } => {
                let mut highest = vec![0.0_f32; table.n_samples()];
                for place in activity.places(feature) {
                    if let Some(slot) = highest.get_mut(place.sample as usize) {
                        *slot = slot.max(place.value);
                    }
                }
                if !cases.is_divided_anew {
                    return by_films(keywords, &highest, feature);
                }
                let samples = chooser.keyword_samples(&cases.tests);
                let own = Keywords::new(table, &samples, KeywordOptions::default())?;
                by_films(&own, &highest, feature)
            }
            Self::PassageKeywords(chooser) => {
                by_passages(&chooser.documents(activity, feature, cases), feature)
            }
            Self::Model(explainer) => {
                let passages: Vec<Passage> = cases
                    .construction
                    .iter()
                    .map(|(_, passage)| passage.clone())
                    .collect();
                explainer.explain(FeatureId(feature), &passages)
            }
            Self::Stored(stored) => Ok(stored.get(&FeatureId(feature)).map(|known| Explained {
                text: known.text.clone(),
                evidence: known.evidence.clone(),
                prompt: None,
                n_left_out: 0,
            })),
        }
    }
}

/// Keywords of films: what is said of those where the feature is strong and not of the others.
fn by_films(keywords: &Keywords<'_>, highest: &[f32], feature: u32) -> Tried {
    let terms = keywords.of(highest)?;
    let proposal = keywords.propose_together(FeatureId(feature), &terms, highest)?;
    Ok(proposal.map(|proposal| Explained {
        text: proposal.text,
        evidence: proposal.evidence,
        prompt: None,
        n_left_out: 0,
    }))
}

/// Keywords of passages: what is said in those where the feature is active and not in the others,
/// denials apart, and words, in quotation marks, at which it is active.
fn by_passages(passages: &[Passage], feature: u32) -> Tried {
    let terms: Vec<Vec<String>> = passages
        .iter()
        .map(|passage| {
            let text = passage.plain();
            let words: Vec<String> = if passage.strongest > 0.0 {
                passage.active_words()
            } else {
                words_of(&text).into_iter().collect()
            };
            let quoted = words.iter().map(|word| format!("\"{word}\""));
            text_terms(&text).into_iter().chain(quoted).collect()
        })
        .collect();
    let activations: Vec<f32> = passages.iter().map(|passage| passage.strongest).collect();
    let table = TermTable::new(&terms);
    let all: Vec<u32> = (0..passages.len() as u32).collect();
    let options = KeywordOptions {
        activating_share: 1.0,
        min_activating: 3,
        min_samples: 3,
        max_keywords: 40,
        ..KeywordOptions::default()
    };
    let keywords = Keywords::new(&table, &all, options)?;
    let found = keywords.of(&activations)?;
    let proposal = keywords.propose_together(FeatureId(feature), &found, &activations)?;
    Ok(proposal.map(|proposal| Explained {
        text: proposal.text,
        evidence: proposal.evidence,
        prompt: None,
        n_left_out: 0,
    }))
}

/// What judges.
pub(super) enum Judges<'a> {
    /// Terms.
    Keywords(PassageKeywordJudge<'a>),
    /// A language model, with what it is asked for detection, fuzzing and simulation.
    Model {
        model: &'a dyn TextModel,
        detect: &'a PromptTemplate,
        fuzz: Option<&'a PromptTemplate>,
        simulate: Option<&'a PromptTemplate>,
        detects: bool,
        writing: Writing,
    },
}

/// What the judge said of the cases of a feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    /// Detection: predictions 0 to 1, by test case.
    pub(super) detection: Option<Vec<Option<f64>>>,
    /// Fuzzing: whether marks are right, and predictions.
    pub(super) fuzzing: Option<(Vec<bool>, Vec<Option<f64>>)>,
    /// Simulation: correlation.
    pub(super) simulation: Option<f64>,
    /// Embedding: cosines of explanation and passage, by test case.
    pub(super) embedding: Option<Vec<Option<f64>>>,
}

/// A feature with its cases, its explanation and what the judge made of it.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    pub(super) feature: u32,
    pub(super) cases: PassageCases,
    pub(super) explained: Option<Explained>,
    /// Not explained: even the shortest prompt is longer than the model's context.
    pub(super) is_too_long: bool,
    pub(super) said: Said,
    /// 95 % interval of the balanced accuracy of detection, over patients.
    pub(super) interval: Option<[f64; 2]>,
    /// Balanced accuracy of detection with the explanation of another feature.
    pub(super) swapped: Option<f64>,
}

impl Scored {
    pub(super) fn detection(&self) -> Option<Detection> {
        let said = self.said.detection.as_ref()?;
        Some(Detection::of(&self.cases.truth(), said))
    }

    /// Area under the ROC curve of the cosines.
    pub(super) fn embedding(&self) -> Option<f64> {
        let cosines = self.said.embedding.as_ref()?;
        Detection::of(&self.cases.truth(), cosines).auc
    }
}

/// Who explains and judges.
pub(super) struct Asking<'a> {
    pub(super) explains: Explains<'a>,
    pub(super) judges: Option<Judges<'a>>,
    pub(super) encoder: Option<&'a SentenceEncoder>,
    pub(super) seed: u64,
    pub(super) job: &'a JobContext,
}

impl Asking<'_> {
    /// Explains features and judges the explanations, and those of others beside them.
    ///
    /// # Errors
    /// Those of explainer and judge; [`crate::EngineError::cancelled`].
    pub(super) fn score(
        &self,
        activity: &Activity<'_>,
        chosen: BTreeMap<u32, PassageCases>,
        (stage, swaps): (&str, bool),
    ) -> Result<Vec<Scored>> {
        let total = chosen.len() as u64;
        let mut all = Vec::with_capacity(chosen.len());
        for (feature, cases) in chosen {
            self.job.check_cancelled()?;
            self.job.report(stage, all.len() as u64, total, "features");
            let (explained, is_too_long) = match self.explains.explain(feature, &cases, activity) {
                Err(ExplainError::PromptTooLong { .. }) => (None, true),
                explained => (explained?, false),
            };
            let said = match &explained {
                Some(explained) => self.judged(&cases, &explained.text)?,
                None => Said::default(),
            };
            all.push(Scored {
                feature,
                interval: self.interval(&cases, &said),
                cases,
                explained,
                is_too_long,
                said,
                swapped: None,
            });
        }
        if swaps && self.judges.is_some() {
            self.swap(&mut all, stage)?;
        }
        Ok(all)
    }

    fn interval(&self, cases: &PassageCases, said: &Said) -> Option<[f64; 2]> {
        let said = said.detection.as_ref()?;
        let names: Vec<String> = cases
            .tests
            .iter()
            .map(|case| case.group.to_string())
            .collect();
        let groups = ClusterBootstrap::of_names(names.iter().map(String::as_str), self.seed);
        Detection::interval(&cases.truth(), said, &groups)
    }

    /// Judges each feature's cases by the explanation of another of like density and the same
    /// section.
    fn swap(&self, all: &mut [Scored], stage: &str) -> Result<()> {
        let mut sections: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (at, one) in all.iter().enumerate() {
            if one.explained.is_some() {
                sections
                    .entry(one.cases.section as u8)
                    .or_default()
                    .push(at);
            }
        }
        let total: usize = sections.values().map(Vec::len).sum();
        let mut done = 0_u64;
        for members in sections.values() {
            let n_active: Vec<usize> = members.iter().map(|&at| all[at].cases.n_active).collect();
            let gets = swap_alike(&n_active, self.seed);
            for (&at, from) in members.iter().zip(gets) {
                self.job.check_cancelled()?;
                let stage = format!("{stage}, explanations swapped");
                self.job.report(&stage, done, total as u64, "features");
                done += 1;
                let other = members[from];
                if other == at {
                    continue;
                }
                let Some(explained) = &all[other].explained else {
                    continue;
                };
                let said = self.detected(&all[at].cases, &explained.text)?;
                let score = said.map(|said| Detection::of(&all[at].cases.truth(), &said));
                all[at].swapped = score.and_then(|score| score.balanced_accuracy());
            }
        }
        Ok(())
    }

    fn detected(
        &self,
        cases: &PassageCases,
        explanation: &str,
    ) -> Result<Option<Vec<Option<f64>>>> {
        let texts = cases
            .tests
            .iter()
            .map(|case| JudgedText(case.passage.plain()));
        match &self.judges {
            Some(Judges::Keywords(judge)) => Ok(Some(predict(judge, explanation, texts)?)),
            Some(Judges::Model {
                model,
                detect,
                detects: true,
                writing,
                ..
            }) => {
                let judge = PassageJudge {
                    model: *model,
                    template: detect,
                    writing: *writing,
                };
                Ok(Some(predict(&judge, explanation, texts)?))
            }
            _ => Ok(None),
        }
    }

    /// Cosines of the explanation's sentence vector with those of the passages.
    fn embedded(
        &self,
        cases: &PassageCases,
        explanation: &str,
    ) -> Result<Option<Vec<Option<f64>>>> {
        let Some(encoder) = self.encoder else {
            return Ok(None);
        };
        let passages: Vec<String> = cases
            .tests
            .iter()
            .map(|case| case.passage.plain())
            .collect();
        let texts: Vec<&str> = [explanation]
            .into_iter()
            .chain(passages.iter().map(String::as_str))
            .collect();
        let vectors = encoder.encode(&texts)?;
        let mut rows = vectors.chunks_exact(encoder.width());
        let own = rows.next().unwrap_or_default();
        // Rows have length 1.
        let cosine = |row: &[f32]| -> f64 {
            let products = row
                .iter()
                .zip(own)
                .map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.sum()
        };
        Ok(Some(rows.map(|row| Some(cosine(row))).collect()))
    }

    fn judged(&self, cases: &PassageCases, explanation: &str) -> Result<Said> {
        let mut said = Said {
            detection: self.detected(cases, explanation)?,
            embedding: self.embedded(cases, explanation)?,
            ..Said::default()
        };
        let Some(Judges::Model {
            model,
            fuzz,
            simulate: simulation,
            writing,
            ..
        }) = &self.judges
        else {
            return Ok(said);
        };
        if let Some(template) = fuzz {
            let judge = PassageJudge {
                model: *model,
                template,
                writing: *writing,
            };
            let (truth, texts) = marked_texts(cases);
            if !texts.is_empty() {
                let answers = predict(&judge, explanation, texts.into_iter())?;
                said.fuzzing = Some((truth, answers));
            }
        }
        if let Some(template) = simulation {
            let passages: Vec<&Passage> = cases.tests.iter().map(|case| &case.passage).collect();
            let found = match simulate(*model, template, explanation, &passages) {
                Err(ExplainError::PromptTooLong { .. }) => None,
                found => found?,
            };
            said.simulation = found.and_then(|found| found.correlation);
        }
        Ok(said)
    }
}

/// Active passages with right marks and the same ones with wrong marks, by turns; none where
/// activations are not known by token.
fn marked_texts(cases: &PassageCases) -> (Vec<bool>, Vec<JudgedText>) {
    let mut truth = Vec::new();
    let mut texts = Vec::new();
    let active = cases.tests.iter().filter(|case| case.is_active);
    for (at, case) in active.enumerate() {
        let Some(wrong) = case.passage.marked_wrongly(at * 3) else {
            continue;
        };
        truth.extend([true, false]);
        texts.extend([JudgedText(case.passage.marked()), JudgedText(wrong)]);
    }
    (truth, texts)
}

/// Predictions from 0 to 1.
fn predict(
    judge: &dyn Judge<JudgedText>,
    explanation: &str,
    texts: impl Iterator<Item = JudgedText>,
) -> Result<Vec<Option<f64>>> {
    let mut said = Vec::new();
    for text in texts {
        said.push(judge.predict(explanation, &text)?.map(|value| value / 10.0));
    }
    Ok(said)
}

/// How well the scores of right explanations are told from those of swapped ones; features that lack
/// one of the two take no part.
pub(super) fn separation(scored: &[Scored]) -> Option<f64> {
    let mut scores = Vec::new();
    let mut is_right = Vec::new();
    for one in scored {
        let right = one.detection().and_then(|score| score.balanced_accuracy());
        if let (Some(right), Some(swapped)) = (right, one.swapped) {
            scores.extend([right as f32, swapped as f32]);
            is_right.extend([true, false]);
        }
    }
    auroc(&scores, &is_right).ok().flatten()
}
