//! The sliders of the features, what is done to them, and where.

use egui::{ComboBox, DragValue, RichText, Ui};
use engine::views::ExampleKind;
use schema::{FeatureId, HookPoint, PositionScope, STEERING_CAUTION, SteeringMode};

use super::setup::{Knob, MAX_FEATURES, Setup};
use crate::app_context::AppContext;
use crate::screens::gallery::card::card_title;
use crate::tokens;
use crate::widgets::notice;
/// Hard stop of the sliders.
const STOP: f32 = 8.0;

/// What can be done to a feature, and what that means.
const MODES: [(SteeringMode, &str, &str); 4] = [
    (
        SteeringMode::Add,
        "Add",
        "Adds the strength to the feature's activation",
    ),
    (
        SteeringMode::Clamp,
        "Clamp",
        "Sets the feature's activation to the strength",
    ),
    (
        SteeringMode::Ablate,
        "Ablate",
        "Sets the feature's activation to zero, whatever the slider",
    ),
    (
        SteeringMode::Scale,
        "Scale",
        "Multiplies the feature's activation by the strength: 0 ablates it, 1 leaves it",
    ),
];

/// Name of a scope, and what it means.
pub(super) fn scope_words(scope: PositionScope) -> (String, &'static str) {
    let (name, hint) = match scope {
        PositionScope::All => (
            "every position",
            "Changes every position: what the model reads and what it writes",
        ),
        PositionScope::Prompt => (
            "the prompt",
            "Changes what the model reads before it writes, an image in it included",
        ),
        PositionScope::Image => ("the image", "Changes the patches of the image alone"),
        PositionScope::Text => (
            "text",
            "Changes words, read and written, and no patch of an image",
        ),
        PositionScope::FromLastPrompt => (
            "from the last position read",
            "Changes the last position of the prompt and all that is written, so that every new \
             word is chosen with the change",
        ),
        PositionScope::Generated => (
            "what is written",
            "Changes what is written alone; the first new word is chosen before that and stays",
        ),
        PositionScope::Range { from, to } => {
            let name = match to {
                Some(to) if to == from + 1 => format!("position {from}"),
                Some(to) => format!("positions {from} to {}", to.saturating_sub(1)),
                None => format!("positions from {from}"),
            };
            return (
                name,
                "Changes positions by their number, the first being 0; the end is not changed",
            );
        }
    };
    (name.to_owned(), hint)
}

/// The sliders and choosers; whether something was set that the model is to be asked about.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    sae: &str,
    (setup, add): (&mut Setup, &mut String),
) -> bool {
    let mut changed = false;
    ui.label(RichText::new("Features").strong());
    notice::weak_ui(
        ui,
        "1x is the highest activation observed on this dataset; 0 changes nothing. The menu of a \
         card and the feature page add a feature here.",
    );
    let mut remove = None;
    for (i, knob) in setup.knobs.iter_mut().enumerate() {
        let (asked, removed) = knob_ui(ctx, ui, sae, knob);
        changed |= asked;
        if removed {
            remove = Some(i);
        }
        ui.add_space(tokens::GRID);
    }
    if let Some(i) = remove {
        setup.knobs.remove(i);
        changed = true;
    }
    add_ui(ctx, ui, sae, (setup, add));
    ui.horizontal(|ui| {
        ui.label("What is done");
        for (mode, name, hint) in MODES {
            changed |= ui
                .selectable_value(&mut setup.mode, mode, name)
                .on_hover_text(hint)
                .changed();
        }
    });
    let hint = MODES.iter().find(|(mode, ..)| *mode == setup.mode);
    notice::weak_ui(ui, hint.map_or("", |(_, _, hint)| hint));
    if let Some(view) = ctx.dictionary(sae)
        && view.kind != ExampleKind::History
    {
        changed |= scope_ui(ui, view.hook, &mut setup.scope);
    }
    let zero = ui.button("All sliders to zero");
    let zero = zero.on_hover_text("Ctrl+Z takes this and every other change here back");
    if zero.clicked() {
        for knob in &mut setup.knobs {
            knob.strength = 0.0;
        }
        changed = true;
    }
    changed
}

/// Which positions are changed; nothing to choose where there is one alone.
fn scope_ui(ui: &mut Ui, hook: HookPoint, scope: &mut PositionScope) -> bool {
    let offered = PositionScope::offered_at(hook);
    if offered.len() < 2 {
        return false;
    }
    let mut chosen = *scope;
    let is_range = matches!(chosen, PositionScope::Range { .. });
    ui.horizontal(|ui| {
        ui.label("Where");
        ComboBox::from_id_salt("positions changed")
            .selected_text(scope_words(chosen).0)
            .width(220.0)
            .show_ui(ui, |ui| {
                for &one in offered {
                    let (name, hint) = scope_words(one);
                    ui.selectable_value(&mut chosen, one, name)
                        .on_hover_text(hint);
                }
                let range = PositionScope::Range {
                    from: 0,
                    to: Some(1),
                };
                let entry = ui.selectable_label(is_range, "positions by number");
                if entry.on_hover_text(scope_words(range).1).clicked() && !is_range {
                    chosen = range;
                }
            })
            .response
            .accessible_name("Positions changed");
    });
    let mut changed = chosen != *scope;
    if let PositionScope::Range { from, to } = &mut chosen {
        changed |= range_ui(ui, from, to);
    }
    *scope = chosen;
    notice::weak_ui(ui, scope_words(chosen).1);
    changed
}

fn range_ui(ui: &mut Ui, from: &mut u32, to: &mut Option<u32>) -> bool {
    let mut changed = false;
    ui.horizontal(|ui| {
        let label = ui.label("From");
        let field = ui.add(DragValue::new(from).range(0..=100_000));
        let field = field.labelled_by(label.id);
        changed |= field.drag_stopped() || (field.changed() && !field.dragged());
        let mut last = to.map_or(*from, |to| to.saturating_sub(1)).max(*from);
        let label = ui.label("to");
        let field = ui.add(DragValue::new(&mut last).range(*from..=100_000));
        let field = field.labelled_by(label.id);
        changed |= field.drag_stopped() || (field.changed() && !field.dragged());
        if to.is_some() || field.changed() {
            *to = Some(last + 1);
        }
    });
    changed
}

fn add_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, (setup, add): (&mut Setup, &mut String)) {
    if setup.knobs.len() >= MAX_FEATURES {
        notice::weak_ui(ui, "Eight features are the most at once");
        return;
    }
    ui.horizontal(|ui| {
        let label = ui.label("Add feature");
        let field = ui
            .add(
                egui::TextEdit::singleline(add)
                    .hint_text("number")
                    .desired_width(80.0),
            )
            .labelled_by(label.id);
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let clicked = ui
            .button("+")
            .accessible_name("Add this feature")
            .on_hover_text("Enter")
            .clicked();
        let n = ctx.dictionary(sae).map_or(0, |view| view.n_features);
        let wanted = add.trim();
        if !wanted.is_empty() && wanted.parse::<u32>().map_or(true, |number| number >= n) {
            let text = format!("{sae} has features 0 to {}", n.saturating_sub(1));
            ui.label(RichText::new(text).color(tokens::of(ui).error));
        }
        if (entered || clicked)
            && let Ok(number) = add.trim().parse::<u32>()
            && number < n
        {
            let feature = FeatureId(number);
            if setup.knobs.iter().all(|knob| knob.feature != feature) {
                let strength = 0.0;
                setup.knobs.push(Knob { feature, strength });
            }
            add.clear();
        }
    });
}

/// One slider; whether its value was set, and whether it is to go.
fn knob_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, knob: &mut Knob) -> (bool, bool) {
    let title = ctx.card(sae, knob.feature).map_or_else(
        |_| format!("Feature {}", knob.feature),
        |card| format!("{}  {}", knob.feature, card_title(&card)),
    );
    let (mut changed, mut removed) = (false, false);
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            removed = ui
                .small_button("Remove")
                .accessible_name(format!("Remove feature {}", knob.feature))
                .clicked();
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.add(egui::Label::new(title).truncate());
            });
        });
    });
    ui.horizontal(|ui| {
        ui.spacing_mut().slider_width = (ui.available_width() - 84.0).max(120.0);
        let slider = ui
            .add(
                egui::Slider::new(&mut knob.strength, -STOP..=STOP)
                    .step_by(0.05)
                    .fixed_decimals(2)
                    .suffix("x"),
            )
            .accessible_name(format!("Strength of feature {}", knob.feature));
        paint_scale(ui, slider.rect, ui.spacing().slider_width);
        // While dragging nothing is computed; letting go asks.
        changed = slider.drag_stopped() || (slider.changed() && !slider.dragged());
        if slider.double_clicked() {
            knob.strength = 0.0;
            changed = true;
        }
    });
    ui.add_space(10.0);
    if knob.strength.abs() > STEERING_CAUTION {
        let text = "Caution: beyond 4x the model leaves what it has ever seen";
        ui.label(RichText::new(text).color(tokens::of(ui).warning));
    }
    (changed, removed)
}

/// Marks zero, the observed maximum and the limits of caution below a slider.
fn paint_scale(ui: &Ui, slider: egui::Rect, width: f32) {
    let theme = tokens::of(ui);
    let painter = ui.painter();
    // The slider's handle stays within its rail, so the ends of the scale are half a handle in.
    let inset = slider.height() / 2.5;
    for (value, text, colour) in [
        (-STEERING_CAUTION, "-4x", theme.warning),
        (0.0, "0", theme.text_weak),
        (1.0, "1x", theme.text_weak),
        (STEERING_CAUTION, "4x", theme.warning),
    ] {
        let share = (value + STOP) / (2.0 * STOP);
        let x = slider.left() + inset + (width - 2.0 * inset) * share;
        painter.vline(
            x,
            slider.bottom() - 2.0..=slider.bottom() + 3.0,
            egui::Stroke::new(1.0, colour),
        );
        painter.text(
            egui::pos2(x, slider.bottom() + 3.0),
            egui::Align2::CENTER_TOP,
            text,
            tokens::small_font(),
            colour,
        );
    }
}
