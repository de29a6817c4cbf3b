//! How far readers agree: with each other, with the program, with themselves, and what they accept
//! of other features' labels.

use egui::{ScrollArea, Ui};
use engine::views::{AgreementFigures, AgreementReport, Estimate, Event, TrapFigures};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, ReviewCommand, ReviewTab};
use crate::screens::review::elsewhere::Elsewhere;
use crate::screens::start::card;
use crate::tokens::{self, GRID};
use crate::widgets::table::{self, Cell};
use crate::widgets::{notice, number};

/// State of the figures.
#[derive(Default)]
pub(super) struct Agreement {
    /// Dictionary whose figures were asked for.
    asked: Option<String>,
    answer: Option<Answer<AgreementReport>>,
    /// Whether something was decided since.
    is_old: bool,
}

/// Names and shares of the width of the columns of a table of figures.
const COLUMNS: [(&str, f32, &str); 6] = [
    ("", 0.24, ""),
    (
        "features",
        0.09,
        "Features that both (or at least two) read",
    ),
    (
        "raw",
        0.17,
        "Share of readings that say the same. High wherever nearly everything is accepted",
    ),
    (
        "Gwet's AC1",
        0.17,
        "Agreement beyond chance that holds up where nearly everything is accepted: 0 is chance, 1 \
         is perfect",
    ),
    (
        "kappa",
        0.17,
        "Cohen's (of two) or Fleiss' (of more): agreement beyond chance, low where nearly everything \
         is accepted",
    ),
    (
        "alpha",
        0.16,
        "Krippendorff's alpha, which bears missing readings: from 0.8 reliable, 0.667 to 0.8 \
         tentative",
    ),
];

impl Agreement {
    /// Hears the figures, and what makes them old.
    pub(super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Agreement(sae, answer) if self.asked.as_ref() == Some(sae) => {
                self.answer = Some((**answer).clone());
            }
            Event::Decided(_) => self.is_old = true,
            _ => {}
        }
    }

    /// The figures are old: decisions may have come in.
    pub(super) fn measure_again(&mut self) {
        self.is_old = true;
    }

    /// Draws the figures of a dictionary, and how decisions come and go.
    pub(super) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, elsewhere): (&str, &mut Elsewhere),
    ) {
        let is_other = self.asked.as_deref() != Some(sae);
        if is_other {
            self.asked = Some(sae.to_owned());
            self.answer = None;
        }
        // The old figures stay until the new ones are there.
        if is_other || (self.is_old && self.answer.is_some()) {
            self.is_old = false;
            ctx.send(Command::Review(ReviewCommand::Agreement(sae.to_owned())));
        }
        match &self.answer {
            Some(Ok(report)) if report.readers.is_empty() => {
                elsewhere.ui(ctx, ui, sae);
                notice::empty_ui(
                    ui,
                    "Nobody has decided yet",
                    "Here stands how far readers agree with each other, with the program and with \
                     themselves, once there are decisions.",
                    |ui| {
                        if ui.button("Go to the queue").clicked() {
                            ctx.send(Command::ShowReview(ReviewTab::Queue));
                        }
                    },
                );
            }
            Some(Ok(report)) => {
                ScrollArea::vertical()
                    .id_salt("agreement")
                    .auto_shrink(false)
                    .show(ui, |ui| {
                        report_ui(ui, report);
                        ui.add_space(GRID);
                        elsewhere.ui(ctx, ui, sae);
                    });
            }
            Some(Err(problem)) => notice::error_ui(ui, problem),
            None => {
                notice::weak_ui(ui, "Measuring how far readers agree…");
            }
        }
    }
}

fn report_ui(ui: &mut Ui, report: &AgreementReport) {
    card(ui, |ui| {
        notice::section_ui(ui, "Readers with each other");
        let who: Vec<String> = report
            .readers
            .iter()
            .map(|(name, n)| format!("{name} read {n}"))
            .collect();
        notice::weak_ui(
            ui,
            format!(
                "{}; {} read by at least two. On each feature the verdict is: right, other words, \
                 wrong or cannot tell",
                who.join(", "),
                number::counted(
                    u64::from(report.n_compared),
                    ["feature was", "features were"]
                )
            ),
        );
        heads_ui(ui);
        for pair in &report.pairs {
            let [a, b] = &pair.readers;
            figures_ui(ui, &format!("{a} and {b}"), &pair.verdicts);
        }
        if report.pairs.len() > 1 {
            figures_ui(ui, "All readers", &report.all);
        }
        if report.pairs.is_empty() {
            notice::weak_ui(
                ui,
                "One reader only. Let another go through the queue as a second reader",
            );
        } else {
            texts_ui(ui, report);
            matrix_ui(ui, report);
        }
    });
    card(ui, |ui| {
        notice::section_ui(ui, "Readers with the program");
        notice::weak_ui(
            ui,
            "Whether the proposal is right, of the reader and of the program, which stands by a \
             proposal from a score of 0.8 on",
        );
        if report.with_model.is_empty() {
            notice::weak_ui(ui, "No proposal that was decided on has a score");
        } else {
            heads_ui(ui);
        }
        for one in &report.with_model {
            figures_ui(ui, &one.reader, &one.verdicts);
        }
    });
    controls_ui(ui, report);
    if report.n_stale > 0 {
        notice::warning_ui(
            ui,
            &format!(
                "{} made on other weights under this name: kept, not counted",
                number::counted(
                    u64::from(report.n_stale),
                    ["decision was", "decisions were"]
                )
            ),
        );
    }
}

/// How readers did on repeats and traps.
fn controls_ui(ui: &mut Ui, report: &AgreementReport) {
    card(ui, |ui| {
        notice::section_ui(ui, "Readers with themselves");
        notice::weak_ui(
            ui,
            "Repeats: the same feature again, some cases later. Traps: a feature with the label of \
             another, which a reader who looks does not accept",
        );
        if report.repeats.is_empty() && report.traps.is_empty() {
            notice::weak_ui(ui, "No repeat and no trap was answered yet");
        }
        if !report.repeats.is_empty() {
            heads_ui(ui);
        }
        for one in &report.repeats {
            figures_ui(ui, &format!("{}, repeats", one.reader), &one.verdicts);
        }
        for one in &report.traps {
            traps_ui(ui, one);
        }
    });
}

/// A value with its interval; a dash where it is not defined.
fn written(estimate: &Estimate) -> String {
    match (estimate.value, estimate.interval) {
        (Some(value), Some([low, high])) => format!("{value:.2} ({low:.2} to {high:.2})"),
        (Some(value), None) => format!("{value:.2}"),
        (None, _) => "–".to_owned(),
    }
}

fn heads_ui(ui: &mut Ui) {
    let theme = tokens::of(ui);
    let cells = COLUMNS.map(|(name, width, _)| Cell::right(name, width, theme.text_weak));
    let hint: Vec<String> = COLUMNS
        .iter()
        .skip(1)
        .map(|(name, _, hint)| format!("{name}: {hint}"))
        .collect();
    table::row_ui(ui, &cells).on_hover_text(format!(
        "{}\nIn brackets 95 % intervals over features",
        hint.join("\n")
    ));
}

fn figures_ui(ui: &mut Ui, name: &str, figures: &AgreementFigures) {
    let theme = tokens::of(ui);
    let kappa = figures.cohen_kappa.or(figures.fleiss_kappa);
    let texts = [
        name.to_owned(),
        number::count(u64::from(figures.n_features)),
        written(&figures.raw),
        written(&figures.gwet_ac1),
        kappa.as_ref().map_or_else(|| "–".to_owned(), written),
        written(&figures.krippendorff_alpha),
    ];
    let cells: Vec<Cell<'_>> = texts
        .iter()
        .zip(COLUMNS)
        .enumerate()
        .map(|(at, (text, (_, width, _)))| match at {
            0 => Cell::left(text, width, theme.text),
            _ => Cell::right(text, width, theme.text),
        })
        .collect();
    table::row_ui(ui, &cells);
}

fn texts_ui(ui: &mut Ui, report: &AgreementReport) {
    notice::weak_ui(
        ui,
        format!(
            "Labels of two readers: the same words {}, likeness of spelling {}",
            written(&report.texts.exact),
            written(&report.texts.edit)
        ),
    )
    .on_hover_text(
        "Share of pairs with the same text but for case and spaces; and 1 minus the edits divided by \
         the length of the longer text, on average",
    );
}

/// Raw agreement of each reader with each.
fn matrix_ui(ui: &mut Ui, report: &AgreementReport) {
    let theme = tokens::of(ui);
    let readers: Vec<&str> = report
        .readers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    if readers.len() < 3 {
        return;
    }
    notice::section_ui(ui, "Raw agreement, reader by reader");
    let width = 1.0 / (readers.len() + 1) as f32;
    let mut heads = vec![Cell::left("", width, theme.text_weak)];
    heads.extend(
        readers
            .iter()
            .map(|name| Cell::right(name, width, theme.text_weak)),
    );
    table::row_ui(ui, &heads);
    for row in &readers {
        let texts: Vec<String> = readers
            .iter()
            .map(|column| {
                let pair = report.pairs.iter().find(|pair| {
                    let [a, b] = &pair.readers;
                    (a == row && b == column) || (a == column && b == row)
                });
                pair.map_or_else(|| "·".to_owned(), |pair| written(&pair.verdicts.raw))
            })
            .collect();
        let mut cells = vec![Cell::left(row, width, theme.text_weak)];
        cells.extend(
            texts
                .iter()
                .map(|text| Cell::right(text, width, theme.text)),
        );
        table::row_ui(ui, &cells);
    }
}

fn traps_ui(ui: &mut Ui, traps: &TrapFigures) {
    let interval = traps.interval.map_or_else(String::new, |[low, high]| {
        format!(
            " ({} to {})",
            number::percent(low as f32),
            number::percent(high as f32)
        )
    });
    ui.label(format!(
        "{}: accepted {} of {}, {}{interval}",
        traps.reader,
        traps.n_accepted,
        number::counted(u64::from(traps.n_traps), ["trap", "traps"]),
        number::percent(traps.share as f32)
    ));
}
