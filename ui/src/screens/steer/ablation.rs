//! What a change does to all users: figures beside random features, groups, items, lists.

use egui::{Color32, RichText, Ui};
use engine::WithInterval;
use engine::views::{AblationView, ControlEffect, ExampleLists, ListFigures};

use super::all_users::AllUsers;
use super::outcome::moved;
use super::presets::in_words;
use crate::app_context::AppContext;
use crate::screens::start::card;
use crate::tokens;
use crate::widgets::item_row::{Beside, RowStyle, any_picture, item_row_ui};
use crate::widgets::item_strip::{StripStyle, item_strip_ui};
use crate::widgets::{notice, number, table};

/// Items of the concept that are shown.
const N_ITEMS: usize = 10;

/// Reads one figure of lists.
type Reads = fn(&ListFigures) -> f64;

/// Reads the mean of a figure over random sets.
type ReadsControl = fn(&ControlEffect) -> f64;

/// One row of the figures.
struct Figure {
    name: &'static str,
    hint: &'static str,
    reads: Reads,
    /// `None` for what is not measured with random features.
    control: Option<ReadsControl>,
    is_share: bool,
}

const FIGURES: [Figure; 7] = [
    Figure {
        name: "Share of the counted items in the top 10",
        hint: "Of all places in the first ten of all users",
        reads: |f| f.share,
        control: Some(|c| c.share),
        is_share: true,
    },
    Figure {
        name: "Mean rank of the counted items",
        hint: "Over users, 1 being best",
        reads: |f| f.mean_rank,
        control: None,
        is_share: false,
    },
    Figure {
        name: "HR@10",
        hint: "Share of held-out items that are among the first ten",
        reads: |f| f.hr_10,
        control: Some(|c| c.hr_10),
        is_share: true,
    },
    Figure {
        name: "NDCG@10",
        hint: "As HR@10, but an item counts the less the further down it stands",
        reads: |f| f.ndcg_10,
        control: Some(|c| c.ndcg_10),
        is_share: false,
    },
    Figure {
        name: "Coverage",
        hint: "Share of the catalogue that is in the first ten of someone",
        reads: |f| f.coverage,
        control: Some(|c| c.exposure.coverage),
        is_share: true,
    },
    Figure {
        name: "Gini of exposure",
        hint: "0: all items are shown as often; 1: one item is shown to everyone",
        reads: |f| f.gini,
        control: Some(|c| c.exposure.gini),
        is_share: false,
    },
    Figure {
        name: "Popularity of the top 10",
        hint: "Share of train interactions that items no more popular have, on average",
        reads: |f| f.popularity,
        control: Some(|c| c.exposure.popularity),
        is_share: true,
    },
];

/// A relative change, in percent with a sign.
fn change(value: f64) -> String {
    format!("{} %", schema::signed(value * 100.0, 1)).replace('-', "−")
}

/// What is said where the counted items held no place before a change.
const NO_PLACE: &str = "held no place before";
/// What is said where no held-out item was in the first ten before a change.
const NO_HIT: &str = "no hit before";

/// A relative change with its interval, or `nothing` where there was nothing to change.
fn change_or(value: Option<&WithInterval>, nothing: &str) -> String {
    value.map_or_else(|| nothing.to_owned(), with_interval)
}

/// A relative change with its interval.
fn with_interval(value: &WithInterval) -> String {
    match value.interval {
        Some([low, high]) => format!(
            "{} ({} to {})",
            change(value.value),
            change(low),
            change(high)
        ),
        None => change(value.value),
    }
}

/// A figure as it is written.
pub(super) fn written(value: f64, is_share: bool) -> String {
    if is_share {
        number::percent(value as f32)
    } else if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

/// Draws what the last measurement brought.
pub(super) fn ui(ctx: &AppContext<'_>, ui: &mut Ui, state: &mut AllUsers) {
    match state.answer.take() {
        Some(Ok(view)) => {
            egui::ScrollArea::vertical()
                .id_salt("all users")
                .auto_shrink(false)
                .show(ui, |ui| view_ui(ctx, ui, &view, &mut state.example));
            state.answer = Some(Ok(view));
        }
        Some(Err(problem)) => {
            notice::error_ui(ui, &problem);
            state.answer = Some(Err(problem));
        }
        None if state.is_waiting() => notice::empty_ui(
            ui,
            "Measuring…",
            "All users are ranked without and with the change, and with random features changed \
             the same way. The bar below says how far it is.",
            |_| {},
        ),
        None => notice::empty_ui(
            ui,
            "What the change does to all users appears here",
            "Add features on the left, say what is done to them and which items are counted, then \
             measure: lists before and after, what it costs, and the same for random features.",
            |_| {},
        ),
    }
}

fn view_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &AblationView, example: &mut usize) {
    card(ui, |ui| {
        let title = number::capitalised(&in_words(&view.request.edits));
        ui.label(RichText::new(title).font(tokens::title_font()));
        notice::weak_ui(ui, who(view));
        figures_ui(ui, view);
        ui.add_space(tokens::GRID);
        effect_ui(ui, view);
    });
    card(ui, |ui| groups_ui(ui, view));
    card(ui, |ui| items_ui(ctx, ui, view));
    card(ui, |ui| examples_ui(ctx, ui, view, example));
}

/// Whom the figures are of.
fn who(view: &AblationView) -> String {
    let users = number::counted(u64::from(view.n_users), ["user", "users"]);
    let changed = number::count(u64::from(view.n_changed));
    if view.n_cases == view.n_users {
        return format!("{users}, of whom {changed} are changed by it");
    }
    let cases = number::count(u64::from(view.n_cases));
    format!("{users} with {cases} held-out items; {changed} of the users are changed by it")
}

/// One row of a table whose first column is words.
fn row_ui(ui: &mut Ui, texts: &[&str], widths: &[f32], colour: Color32) -> egui::Response {
    let cells: Vec<table::Cell<'_>> = texts
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (text, width))| match i {
            0 => table::Cell::left(text, *width, colour),
            _ => table::Cell::right(text, *width, colour),
        })
        .collect();
    table::row_ui(ui, &cells)
}

fn figures_ui(ui: &mut Ui, view: &AblationView) {
    let theme = tokens::of(ui);
    let controls = view.controls.as_ref();
    // A row has as many cells as there are widths: none for random sets where there are none.
    let widths: &[f32] = if controls.is_some() {
        &[0.42, 0.14, 0.14, 0.15, 0.15]
    } else {
        &[0.46, 0.18, 0.18, 0.18]
    };
    let heads = ["", "Before", "After", "Change", "Random sets"];
    row_ui(ui, &heads, widths, theme.text_weak);
    for figure in &FIGURES {
        let (before, after) = ((figure.reads)(&view.before), (figure.reads)(&view.after));
        let relative = if before == 0.0 {
            "–".to_owned()
        } else {
            change(after / before - 1.0)
        };
        let random = controls.zip(figure.control);
        let random = random.map_or_else(
            || "–".to_owned(),
            |(controls, reads)| written(reads(controls), figure.is_share),
        );
        let texts = [
            figure.name,
            &written(before, figure.is_share),
            &written(after, figure.is_share),
            &relative,
            &random,
        ];
        row_ui(ui, &texts, widths, theme.text).on_hover_text(figure.hint);
    }
}

/// The two changes that matter most, beside those of random features.
fn effect_ui(ui: &mut Ui, view: &AblationView) {
    let theme = tokens::of(ui);
    let widths = [0.3, 0.35, 0.35];
    let heads = ["With 95 % intervals", "Share in the top 10", "NDCG@10"];
    row_ui(ui, &heads, &widths, theme.text_weak);
    let (share, ndcg) = (
        change_or(view.share_change.as_ref(), NO_PLACE),
        change_or(view.ndcg_change.as_ref(), NO_HIT),
    );
    row_ui(ui, &["This change", &share, &ndcg], &widths, theme.text);
    if let Some(controls) = &view.controls {
        let name = format!("{} random sets of like density", controls.n);
        let share = change_or(controls.share_change.as_ref(), NO_PLACE);
        let ndcg = change_or(controls.ndcg_change.as_ref(), NO_HIT);
        row_ui(ui, &[&name, &share, &ndcg], &widths, theme.text_weak);
    } else {
        notice::weak_ui(ui, "No random features were changed beside it");
    }
}

fn groups_ui(ui: &mut Ui, view: &AblationView) {
    let theme = tokens::of(ui);
    ui.label(RichText::new("Cost by group of users").strong());
    let widths = [0.3, 0.08, 0.27, 0.17, 0.18];
    let heads = [
        "",
        "Users",
        "Change of NDCG@10",
        "HR@10",
        "Share of the items",
    ];
    row_ui(ui, &heads, &widths, theme.text_weak);
    for group in &view.groups {
        let value = |value: f64| schema::signed(value, 4).replace('-', "−");
        let cost = match group.change.interval {
            Some([low, high]) => format!(
                "{} ({} to {})",
                value(group.change.value),
                value(low),
                value(high)
            ),
            None => value(group.change.value),
        };
        let from_to = |shares: [f64; 2]| {
            let [before, after] = shares.map(|share| number::percent(share as f32));
            format!("{before} to {after}")
        };
        let (hits, share) = (from_to(group.hr_10), from_to(group.share));
        let n = number::count(u64::from(group.n_users));
        let texts = [&group.group, &n, &cost, &hits, &share].map(String::as_str);
        row_ui(ui, &texts, &widths, theme.text);
    }
}

fn items_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &AblationView) {
    ui.label(RichText::new("The counted items").strong());
    notice::weak_ui(
        ui,
        "With what the features at their mean activation add to an item's score",
    );
    let items = &view.items[..view.items.len().min(N_ITEMS)];
    let has_picture = any_picture(items);
    let largest = items.iter().map(|item| item.activation.abs());
    let largest = largest.fold(f32::MIN_POSITIVE, f32::max);
    for (i, item) in items.iter().enumerate() {
        let rank = i as u32 + 1;
        let style = RowStyle {
            rank,
            value: &schema::signed(f64::from(item.activation), 2),
            beside: Beside::Bar(item.activation / largest),
            has_picture,
            name: &format!("Counted {rank}"),
        };
        item_row_ui(ctx, ui, item, &style);
    }
}

fn examples_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &AblationView, chosen: &mut usize) {
    ui.label(RichText::new("Users whose lists change most").strong());
    let Some(lists) = view.examples.get(*chosen).or(view.examples.first()) else {
        notice::weak_ui(ui, "The change moves nobody's first ten");
        return;
    };
    ui.horizontal_wrapped(|ui| {
        for (i, lists) in view.examples.iter().enumerate() {
            let name = format!("User of sample {}", lists.sample);
            ui.selectable_value(chosen, i, name);
        }
    });
    let [from, to] = lists.target_rank;
    ui.label(format!(
        "The item the user really chose next: rank {from}, now {to}"
    ));
    notice::weak_ui(ui, "Last items, oldest first");
    item_strip_ui(ctx, ui, &lists.history, &StripStyle::default());
    ui.columns(2, |columns| {
        lists_ui(ctx, &mut columns[0], lists, false);
        lists_ui(ctx, &mut columns[1], lists, true);
    });
}

fn lists_ui(ctx: &AppContext<'_>, ui: &mut Ui, lists: &ExampleLists, is_after: bool) {
    let theme = tokens::of(ui);
    let (title, items) = if is_after {
        ("After", &lists.after)
    } else {
        ("Before", &lists.before)
    };
    ui.label(RichText::new(title).strong());
    let has_picture = any_picture(items);
    for (i, item) in items.iter().enumerate() {
        let rank = i as u32 + 1;
        let old = lists.rank_before.get(i).filter(|_| is_after);
        let words = old.map(|&old| match old {
            0 => ("new".to_owned(), theme.good),
            old => moved(old, rank, theme),
        });
        let style = RowStyle {
            rank,
            value: "",
            beside: words.as_ref().map_or(Beside::Nothing, |(text, colour)| {
                Beside::Words(text, *colour)
            }),
            has_picture,
            name: &format!("{title} {rank}"),
        };
        item_row_ui(ctx, ui, item, &style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_written_with_sign_and_interval() {
        let value = WithInterval {
            value: -0.4214,
            interval: Some([-0.5, 0.02]),
        };
        assert_eq!(with_interval(&value), "−42.1 % (−50.0 % to +2.0 %)");
        assert_eq!(change_or(Some(&value), NO_PLACE), with_interval(&value));
        assert_eq!(change_or(None, NO_PLACE), "held no place before");
        assert_eq!(written(0.1234, true), "12 %");
        assert_eq!(written(412.3, false), "412");
        assert_eq!(written(31.04, false), "31.0");
        assert_eq!(written(0.193_04, false), "0.1930");
    }
}
