//! One model: what it is, where its weights are, its hook points, and how its training went.

use egui::{Align2, Pos2, RichText, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};
use engine::views::{ModelEntry, ModelView};
use schema::HookPoint;

use super::curves;
use super::list::architecture_name;
use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::start::card;
use crate::screens::train::setup::hook_in_words;
use crate::tokens::{self, GRID};
use crate::widgets::item_strip::truncated;
use crate::widgets::{notice, number, table};

/// Height of a hook point in the diagram.
const HOOK: f32 = 30.0;

/// Draws a model; `view` is `None` where it was not asked for. Whether it is to be read.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    entry: &ModelEntry,
    view: Option<&Option<Answer<ModelView>>>,
) -> bool {
    let mut read = false;
    card(ui, |ui| {
        ui.label(RichText::new(&entry.name).font(tokens::title_font()));
        facts_ui(
            ui,
            entry,
            view.and_then(|view| view.as_ref()?.as_ref().ok()),
        );
        match view {
            None => {
                notice::weak_ui(
                    ui,
                    "Reading a model of this size takes a while and its memory; the rest of the \
                     window goes on meanwhile.",
                );
                read = ui.button("Read its shape and hook points").clicked();
            }
            Some(None) => {
                notice::weak_ui(ui, "Reading the model…");
            }
            Some(Some(Err(problem))) => {
                notice::error_ui(ui, problem);
                read = ui.button("Try again").clicked();
            }
            Some(Some(Ok(_))) => {}
        }
    });
    if let Some(Some(Ok(view))) = view {
        card(ui, |ui| hooks_ui(ctx, ui, view));
    }
    card(ui, |ui| training_ui(ui, entry));
    dictionaries_ui(ctx, ui, &entry.name);
    read
}

/// What the record says, then what the model says of itself.
fn facts_ui(ui: &mut Ui, entry: &ModelEntry, view: Option<&ModelView>) {
    let mut facts = vec![(
        "Architecture".to_owned(),
        architecture_name(&entry.architecture).to_owned(),
    )];
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(dataset) = &entry.trained_on {
        let name = match entry.imported {
            Some(_) => "Imported for",
            None => "Trained on",
        };
        add(name, dataset.clone());
    }
    if let Some(file) = &entry.imported {
        add("Imported from", file.clone());
    }
    if let Some(path) = &entry.outside {
        add("Weights at", path.clone());
    }
    add("Size of its files", number::bytes(entry.n_bytes));
    if let Some(memory) = &entry.memory {
        let of_texts = memory.total_bytes() - memory.weight_bytes;
        let longest = number::count(memory.n_context);
        add(
            "Memory when loaded",
            format!(
                "{} for weights, up to {} more for a text of {longest} tokens",
                number::bytes(memory.weight_bytes),
                number::bytes(of_texts)
            ),
        );
    }
    if let Some(view) = view {
        add("Weights", number::count(view.n_parameters));
        facts.extend(view.facts.iter().cloned());
    }
    let theme = tokens::of(ui);
    for (name, value) in &facts {
        table::row_ui(
            ui,
            &[
                table::Cell::left(name, 0.3, theme.text_weak),
                table::Cell::left(value, 0.7, theme.text),
            ],
        )
        .on_hover_text(value);
    }
}

/// The hook points in the order of the pass, joined by a line.
fn hooks_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &ModelView) {
    ui.label(RichText::new("Hook points").font(tokens::title_font()));
    notice::weak_ui(
        ui,
        "In the order of the pass. A click goes on to train a dictionary there.",
    );
    let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing.y, 0.0);
    for (i, &(hook, width)) in view.hooks.iter().enumerate() {
        let ends = (i == 0, i + 1 == view.hooks.len());
        if hook_ui(ui, (hook, width), ends) {
            ctx.send(Command::TrainOn(view.name.clone(), hook));
        }
    }
    ui.spacing_mut().item_spacing.y = spacing;
}

fn hook_ui(ui: &mut Ui, (hook, width): (HookPoint, u32), (first, last): (bool, bool)) -> bool {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), HOOK);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let label = format!("Train a dictionary at {hook}");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    let painter = ui.painter();
    let is_hot = response.hovered() || response.has_focus();
    if is_hot {
        painter.rect_filled(rect, tokens::RADIUS, theme.hovered);
    }
    let dot = Pos2::new(rect.left() + 16.0, rect.center().y);
    let line = Stroke::new(2.0, theme.outline);
    if !first {
        painter.vline(dot.x, rect.top()..=dot.y, line);
    }
    if !last {
        painter.vline(dot.x, dot.y..=rect.bottom(), line);
    }
    painter.circle_filled(
        dot,
        5.0,
        if is_hot {
            theme.accent
        } else {
            theme.text_weak
        },
    );
    let name = truncated(painter, &hook.to_string(), rect.width() * 0.42, theme.text);
    let left = rect.left() + 36.0;
    let y = dot.y - name.size().y / 2.0;
    painter.galley(Pos2::new(left, y), name, theme.text);
    let words = truncated(
        painter,
        &hook_in_words(hook),
        rect.width() * 0.34,
        theme.text_weak,
    );
    let middle = rect.left() + rect.width() * 0.5;
    painter.galley(Pos2::new(middle, y), words, theme.text_weak);
    painter.text(
        Pos2::new(rect.right() - GRID, dot.y),
        Align2::RIGHT_CENTER,
        format!("{} wide", number::count(u64::from(width))),
        tokens::body_font(),
        theme.text_weak,
    );
    response.clicked()
}

fn training_ui(ui: &mut Ui, entry: &ModelEntry) {
    ui.label(RichText::new("Training").font(tokens::title_font()));
    let Some(record) = &entry.training else {
        let text = if entry.imported.is_some() || entry.outside.is_some() {
            "It was not trained here, so nothing is known of its training."
        } else {
            "No curves were recorded of its training."
        };
        notice::weak_ui(ui, text);
        return;
    };
    let settings = record.settings.iter();
    let settings: Vec<String> = settings
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    notice::weak_ui(ui, settings.join("  ·  "));
    curves::stages_ui(ui, &record.stages, Some(record.best_epoch));
}

/// Dictionaries that read the model.
fn dictionaries_ui(ctx: &AppContext<'_>, ui: &mut Ui, model: &str) {
    let of_model = ctx.dictionaries.iter().filter(|view| view.model == model);
    let names: Vec<&str> = of_model
        .filter(|view| view.indexed)
        .map(|view| view.name.as_str())
        .collect();
    if names.is_empty() {
        return;
    }
    card(ui, |ui| {
        ui.label(RichText::new("Dictionaries that read it").font(tokens::title_font()));
        ui.horizontal_wrapped(|ui| {
            for name in names {
                let button = ui.button(name);
                let button = button.accessible_name(format!("Open the gallery of {name}"));
                if button.clicked() {
                    ctx.send(Command::UseDictionary(name.to_owned()));
                }
            }
        });
    });
}
