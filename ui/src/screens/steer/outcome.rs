//! Before and after: two reports with their differences, or two ranked lists with moves.

use egui::{RichText, Ui, Vec2};
use engine::LocatedReport;
use engine::views::{ItemView, SteerOutcome, SteerView};

use super::presets::in_words;
use crate::app_context::{AppContext, in_words as words_of};
use crate::backend::Answer;
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::film_viewer::FilmViewer;
use crate::widgets::item_row::{Beside, RowStyle, any_picture, item_row_ui};
use crate::widgets::located_report::{self, ReportFilm};
use crate::widgets::notice::{self, weak_ui};
use crate::widgets::{chip, number, word_diff};

/// What the random direction beside the features is for.
pub(super) const CONTROL: &str = "The same sample changed at the same places by as much along a random direction: what any push of \
     that size does. What the features do beyond it is theirs. It takes one run more, and a sweep \
     tells more, with several directions at every strength";

/// Draws what the last steering request changed; whether it is to be run.
pub(crate) fn ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    result: Option<&Answer<SteerView>>,
    (waiting, has_features): (bool, bool),
    (film, viewers): (Option<&ReportFilm<'_>>, &mut [FilmViewer; 2]),
) -> bool {
    let mut runs = false;
    match result {
        Some(Ok(view)) => {
            view_ui((ctx, ui), view, film, viewers);
            ui.add_space(tokens::GRID);
            let mut text = format!("Computed in {:.0} ms", view.milliseconds);
            if waiting {
                text.push_str(", computing again…");
            }
            weak_ui(ui, text);
        }
        Some(Err(problem)) => {
            notice::error_ui(ui, problem);
            runs = !waiting && ui.button("Run again").clicked();
        }
        None if waiting => {
            empty_ui(ui, "Computing…", "Before and after appear here.", |_| {});
        }
        None if has_features => {
            let text = "The features on the left are as they were left; the model was not asked \
                        yet.";
            empty_ui(ui, "Not computed yet", text, |ui| {
                runs = accent_ui(ui, "Run");
            });
        }
        None => empty_ui(
            ui,
            "Before and after appear here",
            "Add a feature on the left and move its slider; letting go asks the model.",
            |_| {},
        ),
    }
    runs
}

/// As [`notice::empty_ui`], in a place that scrolls, whose height has no end.
fn empty_ui(ui: &mut Ui, title: &str, text: &str, steps: impl FnOnce(&mut Ui)) {
    let height = ui.clip_rect().height();
    let room = Vec2::new(ui.available_width(), height * 0.6);
    ui.allocate_ui(room, |ui| notice::empty_ui(ui, title, text, steps));
}

fn view_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    view: &SteerView,
    film: Option<&ReportFilm<'_>>,
    viewers: &mut [FilmViewer; 2],
) {
    let request = &view.request;
    let asked = number::capitalised(&in_words(&request.edits));
    weak_ui(ui, format!("{asked}, on sample {}", request.sample));
    match &view.outcome {
        SteerOutcome::Text {
            before,
            after,
            reads_findings,
            gained,
            lost,
            located,
        } => {
            let control = match &view.control {
                Some(SteerOutcome::Text {
                    after,
                    gained,
                    lost,
                    ..
                }) => Some((after.as_str(), gained.as_slice(), lost.as_slice())),
                _ => None,
            };
            if *reads_findings {
                findings_ui(ui, "Gained", gained);
                findings_ui(ui, "Lost", lost);
                if let Some((_, gained, lost)) = control {
                    findings_ui(ui, RANDOM_GAINED, gained);
                    findings_ui(ui, "Random: lost", lost);
                }
                weak_ui(
                    ui,
                    "Findings are compared by name: one that only changes its side is not listed",
                );
            } else {
                weak_ui(
                    ui,
                    "Findings are read from the reports of phantom films alone",
                );
            }
            let texts = [before.as_str(), after.as_str()];
            let random = control.map(|(text, ..)| text);
            reports_ui((ctx, ui), (texts, random), (located, film, viewers));
            if before == after {
                weak_ui(ui, "The report is the same");
            }
        }
        SteerOutcome::Ranking {
            before,
            after,
            rank_before,
            target_rank,
        } => {
            if let Some([from, to]) = target_rank {
                let text = format!("The item the user really chose next: rank {from}, now {to}");
                ui.label(text);
            }
            lists_ui(
                (ctx, ui),
                (before, after, rank_before),
                view.control.as_ref(),
            );
        }
    }
}

/// The reports before and after, and that along the random direction.
fn reports_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    ([before, after], random): ([&str; 2], Option<&str>),
    (located, film, viewers): (
        &[LocatedReport; 2],
        Option<&ReportFilm<'_>>,
        &mut [FilmViewer; 2],
    ),
) {
    let n_columns = if random.is_some() { 3 } else { 2 };
    ui.columns(n_columns, |columns| {
        for (i, (title, text, other)) in [("Before", before, after), ("After", after, before)]
            .into_iter()
            .enumerate()
        {
            card(&mut columns[i], |ui| {
                ui.label(RichText::new(title).strong());
                if let (false, Some(film)) = (located[i].sentences.is_empty(), film) {
                    ui.push_id(title, |ui| {
                        located_report::ui(ctx, ui, &located[i], film, &mut viewers[i]);
                    });
                    return;
                }
                let side = word_diff::Side {
                    text,
                    other,
                    after: i == 1,
                };
                word_diff::side_ui(ui, &side);
            });
        }
        if let Some(text) = random {
            card(&mut columns[2], |ui| {
                ui.label(RichText::new(RANDOM).strong())
                    .on_hover_text(CONTROL);
                let side = word_diff::Side {
                    text,
                    other: before,
                    after: true,
                };
                word_diff::side_ui(ui, &side);
                if text == before {
                    weak_ui(ui, "The report is the same");
                }
            });
        }
    });
}

/// The lists before and after, and that along the random direction.
fn lists_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    (before, after, rank_before): (&[ItemView], &[ItemView], &[u32]),
    control: Option<&SteerOutcome>,
) {
    let random = match control {
        Some(SteerOutcome::Ranking {
            after,
            rank_before,
            target_rank,
            ..
        }) => Some((after.as_slice(), rank_before.as_slice(), target_rank)),
        _ => None,
    };
    if let Some((.., Some([_, to]))) = random {
        weak_ui(ui, format!("Along the random direction: rank {to}"));
    }
    let n_columns = if random.is_some() { 3 } else { 2 };
    ui.columns(n_columns, |columns| {
        card(&mut columns[0], |ui| {
            list_ui(ctx, ui, ("Before", before), None);
        });
        card(&mut columns[1], |ui| {
            list_ui(ctx, ui, ("After", after), Some(rank_before));
        });
        if let Some((items, ranks, _)) = random {
            card(&mut columns[2], |ui| {
                list_ui(ctx, ui, (RANDOM, items), Some(ranks));
            });
        }
    });
}

const RANDOM: &str = "Random direction";
const RANDOM_GAINED: &str = "Random: gained";

/// Findings that the report states only after or only before, a chip each.
fn findings_ui(ui: &mut Ui, name: &str, findings: &[String]) {
    let theme = tokens::of(ui);
    let colour = if name == "Gained" || name == RANDOM_GAINED {
        theme.good
    } else {
        theme.error
    };
    ui.horizontal_wrapped(|ui| {
        field_label_ui(ui, name);
        if findings.is_empty() {
            weak_ui(ui, "none");
        }
        for finding in findings {
            let words = words_of(finding);
            chip::word_ui(ui, &words, colour, &format!("{name}: {words}"));
        }
    });
}

fn list_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (title, items): (&str, &[ItemView]),
    rank_before: Option<&[u32]>,
) {
    let theme = tokens::of(ui);
    ui.label(RichText::new(title).strong());
    ui.add_space(tokens::GRID);
    let has_picture = any_picture(items);
    for (i, item) in items.iter().enumerate() {
        let rank = i as u32 + 1;
        let old = rank_before.and_then(|ranks| ranks.get(i));
        let moved = old.map(|&old| moved(old, rank, theme));
        let style = RowStyle {
            rank,
            value: &format!("{:.2}", item.activation),
            beside: moved.as_ref().map_or(Beside::Nothing, |(text, colour)| {
                Beside::Words(text, *colour)
            }),
            has_picture,
            name: &format!("{title} {rank}"),
        };
        item_row_ui(ctx, ui, item, &style);
    }
}

/// The rank an item had, with the direction it moved in.
pub(super) fn moved(old: u32, new: u32, theme: &tokens::Tokens) -> (String, egui::Color32) {
    match old.cmp(&new) {
        std::cmp::Ordering::Greater => (format!("was {old}"), theme.good),
        std::cmp::Ordering::Less => (format!("was {old}"), theme.error),
        std::cmp::Ordering::Equal => ("same".to_owned(), theme.text_weak),
    }
}
