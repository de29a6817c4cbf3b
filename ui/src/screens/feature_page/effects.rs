//! What a feature of a recommender promotes and demotes: items by the change in their score.

use egui::Ui;
use engine::views::{ItemEffects, ItemView};

use crate::app_context::AppContext;
use crate::widgets::item_row::{Beside, RowStyle, any_picture, item_row_ui};
use crate::widgets::notice::{section_ui, weak_ui};

/// Draws both lists, their bars on one scale.
pub(super) fn ui(ctx: &AppContext<'_>, ui: &mut Ui, effects: &ItemEffects) {
    let all = || effects.promoted.iter().chain(&effects.demoted);
    let largest = all().map(|item| item.activation.abs()).fold(0.0, f32::max);
    if largest == 0.0 {
        return;
    }
    list_ui(
        ctx,
        ui,
        ("Promotes", "Promoted"),
        &effects.promoted,
        largest,
    );
    list_ui(ctx, ui, ("Demotes", "Demoted"), &effects.demoted, largest);
}

fn list_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (title, name): (&str, &str),
    items: &[ItemView],
    largest: f32,
) {
    section_ui(ui, title);
    weak_ui(
        ui,
        "Change in an item's score when the feature is at its highest observed activation",
    );
    if items.is_empty() {
        weak_ui(ui, "None");
    }
    let has_picture = any_picture(items);
    for (i, item) in items.iter().enumerate() {
        let rank = i as u32 + 1;
        let style = RowStyle {
            rank,
            value: &schema::signed(f64::from(item.activation), 2),
            beside: Beside::Bar(item.activation / largest),
            has_picture,
            name: &format!("{name} {rank}"),
        };
        item_row_ui(ctx, ui, item, &style);
    }
}
