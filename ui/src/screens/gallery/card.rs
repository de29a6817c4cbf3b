//! One card of the gallery, painted without child widgets so that thousands scroll smoothly.

use egui::{Pos2, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{ExampleKind, FeatureCard};

use crate::app_context::AppContext;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{chip, example, histogram, item_strip, notice, number};

/// Examples on a card.
const N_EXAMPLES: usize = 4;
/// Height of everything but the examples.
const HEAD: f32 = 92.0;
/// Height of one line of text or history.
const LINE: f32 = 26.0;

/// Height of a card of this width.
pub(crate) fn card_height(kind: ExampleKind, width: f32) -> f32 {
    match kind {
        ExampleKind::Film => HEAD + thumb_side(width) + 16.0 + GRID,
        ExampleKind::Text | ExampleKind::History => HEAD + LINE * N_EXAMPLES as f32 + GRID,
    }
}

fn thumb_side(width: f32) -> f32 {
    ((width - 2.0 * GRID - HALF * (N_EXAMPLES - 1) as f32) / N_EXAMPLES as f32).floor()
}

/// The text of a card: the label, the proposal, or what is missing.
pub(crate) fn card_title(card: &FeatureCard) -> &str {
    if !card.label.is_empty() {
        &card.label
    } else if !card.proposal.is_empty() {
        &card.proposal
    } else {
        "No label yet"
    }
}

/// Draws a card into `rect`.
pub(crate) fn card_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    rect: Rect,
    card: &FeatureCard,
    (kind, selected): (ExampleKind, bool),
) -> Response {
    let theme = tokens::of(ui);
    let id = ui.scope_id().with(("card", card.feature));
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| {
        WidgetInfo::labeled(
            Role::Button,
            true,
            format!("Feature {}: {}", card.feature, card_title(card)),
        )
    });
    let painter = ui.painter();
    let hot = response.hovered() || response.has_focus();
    painter.rect_filled(rect, tokens::RADIUS, theme.panel);
    let outline = if selected || hot {
        theme.accent
    } else {
        theme.line
    };
    let width = if selected || response.has_focus() {
        2.0
    } else {
        1.0
    };
    painter.rect_stroke(
        rect,
        tokens::RADIUS,
        Stroke::new(width, outline),
        StrokeKind::Inside,
    );
    let inner = rect.shrink(GRID);
    let proposed = !card.proposal.is_empty();
    let chip = chip::paint(painter, theme, inner.right_top(), card.state, proposed);
    let number = format!("{}", card.feature);
    painter.text(
        inner.left_top(),
        egui::Align2::LEFT_TOP,
        number,
        tokens::body_font(),
        theme.text_weak,
    );
    if let Some((name, auroc)) = &card.association {
        let text = format!("{name} · AUROC {auroc:.2}");
        let left = inner.left() + 48.0;
        let galley =
            item_strip::truncated(painter, &text, chip.left() - left - GRID, theme.text_weak);
        painter.galley(Pos2::new(left, inner.top()), galley, theme.text_weak);
    }
    let untitled = card.label.is_empty();
    let colour = if untitled {
        theme.text_weak
    } else {
        theme.text
    };
    let title = item_strip::truncated(painter, card_title(card), inner.width(), colour);
    painter.galley(inner.min + Vec2::new(0.0, 22.0), title, colour);
    paint_density(
        ui,
        card,
        Rect::from_min_size(
            inner.min + Vec2::new(0.0, 46.0),
            Vec2::new(inner.width(), 30.0),
        ),
    );
    let body = Rect::from_min_max(Pos2::new(inner.left(), rect.top() + HEAD), inner.max);
    paint_examples(ctx, ui, body, card, kind);
    response
}

fn paint_density(ui: &Ui, card: &FeatureCard, rect: Rect) {
    let theme = tokens::of(ui);
    let plot = Rect::from_min_size(rect.min, Vec2::new(rect.width() * 0.45, rect.height()));
    histogram::paint(ui.painter(), theme, plot, &card.histogram);
    let left = plot.right() + GRID;
    for (line, text) in [
        format!("density {}", number::percent(card.density)),
        format!("max {}", number::activation(card.max_activation)),
    ]
    .into_iter()
    .enumerate()
    {
        ui.painter().text(
            Pos2::new(left, rect.top() + 15.0 * line as f32),
            egui::Align2::LEFT_TOP,
            text,
            tokens::small_font(),
            theme.text_weak,
        );
    }
}

fn paint_examples(
    ctx: &AppContext<'_>,
    ui: &Ui,
    body: Rect,
    card: &FeatureCard,
    kind: ExampleKind,
) {
    let theme = tokens::of(ui);
    if card.top.is_empty() {
        ui.painter().text(
            body.center_top() + Vec2::new(0.0, GRID),
            egui::Align2::CENTER_TOP,
            "Never active on the indexed samples",
            tokens::small_font(),
            theme.text_weak,
        );
        return;
    }
    let side = thumb_side(body.width() + 2.0 * GRID);
    for (i, sample) in card.top.iter().take(N_EXAMPLES).enumerate() {
        let place = match kind {
            ExampleKind::Film => Rect::from_min_size(
                body.min + Vec2::new((side + HALF) * i as f32, 0.0),
                Vec2::splat(side),
            ),
            ExampleKind::Text | ExampleKind::History => Rect::from_min_size(
                body.min + Vec2::new(0.0, LINE * i as f32),
                Vec2::new(body.width(), LINE),
            ),
        };
        example::paint(ctx, ui, place, sample, card.max_activation);
    }
    if kind == ExampleKind::Film {
        ui.painter().text(
            Pos2::new(body.left(), body.top() + side + 3.0),
            egui::Align2::LEFT_TOP,
            notice::SAFETY,
            tokens::small_font(),
            theme.text_weak,
        );
    }
}
