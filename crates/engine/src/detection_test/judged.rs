//! Cases that a judge saw: what the proposal of a feature was tested on, for people too.

use std::collections::BTreeSet;

use explain::Detection;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::{DetectionAnswers, FeatureId, PositionClass};

use super::{Case, Drawn, FEWEST, N_EACH, mixed};
use crate::error::Result;
use crate::session::Session;
use crate::views::{ExampleKind, JudgeResult, ScoreEvidenceView, TestedPassageView, TokenView};

/// Predictions above this say that the feature is active, as in [`Detection`].
const SAYS_SO: f64 = 0.5;

impl Session {
    /// What the proposal of a feature was tested on, where a run has it and a judge answered.
    pub(super) fn judged_cases(
        &self,
        sae: &str,
        feature: FeatureId,
    ) -> Result<Option<ScoreEvidenceView>> {
        let labels = self.labels(sae)?;
        let run = labels.explanation(feature).map(|proposal| &proposal.run);
        let Some(run) = run.filter(|run| !run.is_empty()) else {
            return Ok(None);
        };
        // The run of a recommender's proposal is one of concepts, which has no such cases.
        let evidence = self.score_evidence(run, feature).ok();
        Ok(evidence.filter(|found| {
            let tests = &found.feature.tests;
            found.settings.judged_by.is_some() && tests.iter().any(|test| test.said.is_some())
        }))
    }
}

/// As many active as silent cases of those that the judge saw, mixed; `None` where there are too
/// few of a kind. `label` is what the reader is told.
pub(super) fn draw(
    evidence: &ScoreEvidenceView,
    (kind, label): (ExampleKind, &str),
    rng: &mut ChaCha8Rng,
) -> Option<Drawn> {
    let judge = evidence.settings.judged_by.clone()?;
    let scored = &evidence.feature;
    let explained: BTreeSet<u32> = scored.construction.iter().map(|one| one.sample).collect();
    let mut of_kind = |active: bool| {
        let tests = scored.tests.iter();
        let mut cases: Vec<Case> = tests
            .filter(|test| (test.activation > 0.0) == active)
            .filter(|test| !explained.contains(&test.sample))
            .map(|test| case_of(test, kind))
            .collect();
        cases.shuffle(rng);
        cases.truncate(N_EACH);
        cases
    };
    let (active, silent) = (of_kind(true), of_kind(false));
    if active.len().min(silent.len()) < FEWEST {
        return None;
    }
    let cases = mixed(active, silent, rng);
    let which = match kind {
        ExampleKind::Film => "films, whose reports it read",
        ExampleKind::Text | ExampleKind::History => "passages",
    };
    let mut notes = vec![format!(
        "The cases of {judge}: {which}, none of which the proposal was made from"
    )];
    if schema::normalised(label) != schema::normalised(&scored.explanation) {
        notes.push(format!("{judge} was told another text, the proposal"));
    }
    Some(Drawn {
        cases,
        notes,
        judged_by: Some(judge),
    })
}

fn case_of(test: &TestedPassageView, kind: ExampleKind) -> Case {
    let said = test.said.filter(|said| said.is_finite());
    Case {
        sample: test.sample,
        active: test.activation > 0.0,
        // A feature can be silent in a passage and active elsewhere in its report.
        passage: (kind == ExampleKind::Text).then(|| test.text.clone()),
        judge: said.map(|said| said > SAYS_SO),
    }
}

/// A passage as the judge saw it, word by word.
pub(super) fn words(text: &str) -> Vec<TokenView> {
    text.split_inclusive(' ')
        .map(|word| TokenView {
            text: word.to_owned(),
            activation: 0.0,
            class: PositionClass::Report,
        })
        .collect()
}

/// How the judge did on the cases that the reader had; `None` where it saw none of them.
pub(super) fn judge_result(answers: &DetectionAnswers) -> Option<JudgeResult> {
    if answers.judged_by.is_empty() {
        return None;
    }
    let truth: Vec<bool> = answers.cases.iter().map(|case| case.active).collect();
    let said: Vec<Option<f64>> = answers
        .cases
        .iter()
        .map(|case| case.judge.map(|said| f64::from(u8::from(said))))
        .collect();
    let score = Detection::of(&truth, &said);
    Some(JudgeResult {
        name: answers.judged_by.clone(),
        balanced_accuracy: score.balanced_accuracy(),
        n_unread: score.n_unparsed,
    })
}

#[cfg(test)]
mod tests {
    use schema::DetectionCase;

    use super::*;
    use crate::review_plan::generator;
    use crate::views::{PassageView, ScoreSettingsView, ScoreTotalsView, ScoredFeatureView};

    fn tested(sample: u32, activation: f32, said: Option<f64>) -> TestedPassageView {
        TestedPassageView {
            sample,
            text: format!("passage {sample}"),
            activation,
            is_hard: false,
            said,
        }
    }

    /// Four active cases, one of them explained from, and five silent ones.
    fn evidence() -> ScoreEvidenceView {
        let active = [1, 2, 3, 4].map(|sample| tested(sample, 2.0, Some(0.9)));
        let silent = [11, 12, 13, 14, 15].map(|sample| tested(sample, 0.0, Some(0.5)));
        ScoreEvidenceView {
            run: "tested".to_owned(),
            settings: ScoreSettingsView {
                judged_by: Some("keywords".to_owned()),
                ..ScoreSettingsView::default()
            },
            feature: ScoredFeatureView {
                feature: FeatureId(7),
                section: "report".to_owned(),
                n_active: 40,
                explanation: "Effusion".to_owned(),
                evidence: Vec::new(),
                prompt: None,
                construction: vec![PassageView {
                    sample: 2,
                    text: "passage 2".to_owned(),
                    activation: 3.0,
                }],
                tests: active.into_iter().chain(silent).collect(),
                detection: None,
                shuffled: None,
                fuzzing: None,
                simulation: None,
                embedding: None,
                is_divided_anew: false,
                n_left_out: 0,
                not_explained: String::new(),
            },
            totals: ScoreTotalsView::default(),
            controls: Vec::new(),
        }
    }

    #[test]
    fn the_judges_cases_are_drawn_without_those_that_were_explained_from() {
        let drawn = |seed: &str| {
            let mut rng = generator(&["test", seed]);
            draw(&evidence(), (ExampleKind::Text, "effusion"), &mut rng).unwrap()
        };
        let first = drawn("0");
        assert_eq!(first.judged_by.as_deref(), Some("keywords"));
        let mut active: Vec<u32> = first
            .cases
            .iter()
            .filter(|case| case.active)
            .map(|case| case.sample)
            .collect();
        active.sort_unstable();
        assert_eq!(active, [1, 3, 4]);
        assert_eq!(first.cases.len(), 6);
        for case in &first.cases {
            assert_eq!(case.passage, Some(format!("passage {}", case.sample)));
            assert_eq!(case.judge, Some(case.active));
        }
        // The reader is told what the judge was told, in other letters.
        assert_eq!(first.notes.len(), 1);
        assert_eq!(first.cases, drawn("0").cases);
        let mut rng = generator(&["test"]);
        let other = draw(&evidence(), (ExampleKind::Film, "mass"), &mut rng).unwrap();
        assert_eq!(other.notes.len(), 2);
        assert!(other.cases.iter().all(|case| case.passage.is_none()));
        let mut few = evidence();
        few.feature.tests.truncate(6);
        assert!(draw(&few, (ExampleKind::Text, "effusion"), &mut rng).is_none());
    }

    #[test]
    fn a_passage_is_shown_as_the_judge_saw_it() {
        let text = "Small left effusion.";
        let shown: String = words(text).into_iter().map(|word| word.text).collect();
        assert_eq!(shown, text);
        assert_eq!(words(text).len(), 3);
    }

    #[test]
    fn the_judge_has_a_figure_on_the_readers_cases() {
        let case = |active, judge| DetectionCase {
            sample: 0,
            active,
            said: true,
            judge,
        };
        let mut answers = DetectionAnswers {
            judged_by: "keywords".to_owned(),
            // Sensitivity 1/2, specificity 1/1, one answer that could not be read.
            cases: vec![
                case(true, Some(true)),
                case(true, Some(false)),
                case(false, Some(false)),
                case(false, None),
            ],
            ..DetectionAnswers::default()
        };
        let result = judge_result(&answers).unwrap();
        assert_eq!(result.balanced_accuracy, Some(0.75));
        assert_eq!((result.name.as_str(), result.n_unread), ("keywords", 1));
        answers.judged_by.clear();
        assert_eq!(judge_result(&answers), None);
    }
}
