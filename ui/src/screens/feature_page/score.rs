//! What a measured score rests on: the passages with the judge's answers, and what it is compared
//! with.

use std::sync::Arc;

use egui::{RichText, Ui};
use engine::views::{MeanView, ScoreEvidenceView, TestedPassageView};
use schema::{Explanation, FeatureId};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::tokens;
use crate::widgets::notice::{error_ui, weak_ui};
use crate::widgets::{number, table};

/// The method whose passages and answers a run keeps.
pub(super) const DETECTION: &str = "detection";
/// From which prediction on a judge counts as having said that the feature is active.
const SAYS_ACTIVE: f64 = 0.5;

/// The score that is open.
#[derive(Default)]
pub(super) struct ScoreEvidence {
    open: Option<(String, FeatureId)>,
    read: Option<Answer<Arc<ScoreEvidenceView>>>,
}

impl ScoreEvidence {
    /// Takes the answer in, if it is the one that was asked for last.
    pub(super) fn arrived(
        &mut self,
        run: &str,
        feature: FeatureId,
        answer: &Result<ScoreEvidenceView, String>,
    ) {
        let wanted = self.open.as_ref();
        if wanted.is_some_and(|(of, wanted)| of == run && *wanted == feature) {
            self.read = Some(answer.clone().map(Arc::new));
        }
    }

    /// A button that opens the evidence of a proposal's score, and the evidence once it is open.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, explanation: &Explanation) {
        let key = (explanation.run.clone(), explanation.feature);
        let is_open = self.open.as_ref() == Some(&key);
        let text = if is_open {
            "Hide what was tested"
        } else {
            "Show what was tested"
        };
        if ui
            .button(text)
            .on_hover_text("The passages with the judge's answers, and baselines beside")
            .clicked()
        {
            self.read = None;
            self.open = (!is_open).then(|| key.clone());
            if !is_open {
                ctx.send(Command::ReadScore(key.0, key.1));
            }
        } else if is_open {
            match &self.read {
                Some(Ok(evidence)) => evidence_ui(ui, evidence),
                Some(Err(problem)) => error_ui(ui, problem),
                None => {
                    weak_ui(ui, "Reading the run");
                }
            }
        }
    }
}

fn evidence_ui(ui: &mut Ui, evidence: &ScoreEvidenceView) {
    baselines_ui(ui, evidence);
    let settings = &evidence.settings;
    let judge = settings.judged_by.as_deref().unwrap_or("nothing");
    weak_ui(
        ui,
        format!(
            "Run {}, judged by {judge}, seed {}",
            evidence.run, settings.seed
        ),
    );
    if settings.is_same_model {
        weak_ui(
            ui,
            "One model explained and judged: it may know its own way of speaking",
        );
    }
    for test in &evidence.feature.tests {
        passage_ui(ui, test);
    }
}

/// The score beside what right and meaningless explanations come to.
fn baselines_ui(ui: &mut Ui, evidence: &ScoreEvidenceView) {
    let own = evidence.feature.detection.as_ref();
    let mean = |value: &Option<MeanView>| value.as_ref().map(|mean| (mean.value, mean.interval));
    let totals = &evidence.totals;
    let mut rows = vec![
        (
            "This explanation".to_owned(),
            own.and_then(|own| Some((own.balanced_accuracy?, own.interval))),
        ),
        (
            "Another feature's explanation".to_owned(),
            evidence.feature.shuffled.map(|value| (value, None)),
        ),
        (
            format!(
                "Mean of {}",
                number::counted(totals.n_scored as u64, ["feature", "features"])
            ),
            mean(&totals.detection),
        ),
        (
            "Mean with swapped explanations".to_owned(),
            mean(&totals.shuffled),
        ),
    ];
    for control in &evidence.controls {
        rows.push((
            number::capitalised(&control.name),
            mean(&control.totals.detection),
        ));
    }
    let theme = tokens::of(ui);
    for (name, value) in rows {
        let text = value.map_or_else(
            || "not measured".to_owned(),
            |(value, interval)| {
                let interval = interval.map_or_else(String::new, |[low, high]| {
                    format!(" ({low:.2} to {high:.2})")
                });
                format!("{value:.2}{interval}")
            },
        );
        table::row_ui(
            ui,
            &[
                table::Cell::left(&name, 0.6, theme.text_weak),
                table::Cell::right(&text, 0.4, theme.text),
            ],
        );
    }
}

fn passage_ui(ui: &mut Ui, test: &TestedPassageView) {
    let theme = tokens::of(ui);
    let is_active = test.activation > 0.0;
    let (verdict, colour) = match test.said {
        None => ("no readable answer".to_owned(), theme.warning),
        Some(said) => {
            let right = (said >= SAYS_ACTIVE) == is_active;
            let word = if right { "right" } else { "wrong" };
            (
                format!("{word}: judge {said:.2}"),
                if right { theme.good } else { theme.error },
            )
        }
    };
    let truth = if is_active {
        format!("active, {}", number::activation(test.activation))
    } else if test.is_hard {
        "silent, but a near feature is active".to_owned()
    } else {
        "silent".to_owned()
    };
    ui.add_space(tokens::HALF);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(verdict).color(colour));
        ui.label(RichText::new(truth).color(theme.text_weak));
    });
    ui.add(egui::Label::new(test.text.trim()).wrap());
}
