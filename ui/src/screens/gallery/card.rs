//! One card of the gallery, painted without child widgets so that thousands scroll smoothly.

use egui::{Pos2, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{BestAssociation, ExampleContent, ExampleKind, FeatureCard};
use schema::MeasuredScore;

use crate::app_context::{AppContext, kind_name};
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{chip, example, histogram, item_strip, notice, number};

/// Examples on a card.
const N_EXAMPLES: usize = 4;
/// Height of everything but the examples.
const HEAD: f32 = 92.0;
/// Least width of a feature's number, so that titles stand in line.
const NUMBER_WIDTH: f32 = 32.0;
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
    ui.ctx().accesskit_node_builder(response.id, |node| {
        let score = card.score.as_ref().map(|measured| score(card, measured));
        let score = score.map_or_else(String::new, |score| format!("{score}\n"));
        node.set_description(score + &describe_examples(card));
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
    let number = painter.text(
        inner.left_top(),
        egui::Align2::LEFT_TOP,
        card.feature,
        tokens::body_font(),
        theme.text_weak,
    );
    let untitled = card.label.is_empty() && card.proposal.is_empty();
    let colour = if untitled {
        theme.text_weak
    } else {
        theme.text
    };
    let left = number.right().max(inner.left() + NUMBER_WIDTH) + GRID;
    let title = item_strip::truncated(painter, card_title(card), chip.left() - left - GRID, colour);
    painter.galley(Pos2::new(left, inner.top()), title, colour);
    let second = card.score.as_ref().map_or_else(
        || card.association.as_ref().map(association),
        |measured| Some(score(card, measured)),
    );
    if let Some(text) = second {
        let text = item_strip::truncated(painter, &text, inner.width(), theme.text_weak);
        painter.galley(inner.min + Vec2::new(0.0, 22.0), text, theme.text_weak);
    }
    paint_density(
        ui,
        (card, kind),
        Rect::from_min_size(
            inner.min + Vec2::new(0.0, 46.0),
            Vec2::new(inner.width(), 30.0),
        ),
    );
    let body = Rect::from_min_max(Pos2::new(inner.left(), rect.top() + HEAD), inner.max);
    paint_examples(ctx, ui, body, card, kind);
    response
}

/// What the examples of a card show, for those who do not see them.
fn describe_examples(card: &FeatureCard) -> String {
    let shown = card.top.iter().take(N_EXAMPLES);
    let lines: Vec<String> = shown
        .map(|example| match &example.content {
            ExampleContent::Film { heat, .. } => format!(
                "Film {} with heatmap, active on {} of {} patches",
                example.sample_id,
                heat.iter().filter(|&&value| value > 0.0).count(),
                heat.len()
            ),
            ExampleContent::Text { tokens } => {
                let active = tokens.iter().filter(|token| token.activation > 0.0);
                let words: Vec<&str> = active.map(|token| token.text.trim()).collect();
                format!(
                    "Report {}, active on {}",
                    example.sample_id,
                    words.join(" ")
                )
            }
            ExampleContent::History { items } => {
                let active = items.iter().filter(|item| item.activation > 0.0);
                let titles: Vec<&str> = active.map(|item| item.title.as_str()).collect();
                format!(
                    "History {}: {} items, active on {}",
                    example.sample_id,
                    items.len(),
                    titles.join(", ")
                )
            }
        })
        .collect();
    lines.join("\n")
}

/// How far the proposal was found to be true, which the label need not be.
fn score(card: &FeatureCard, measured: &MeasuredScore) -> String {
    let is_other = !card.label.is_empty()
        && schema::normalised(&card.label) != schema::normalised(&card.proposal);
    let of = if is_other { "proposal: " } else { "" };
    let interval = measured.interval.map_or_else(String::new, |[low, high]| {
        format!(" ({low:.2} to {high:.2})")
    });
    format!("{of}{} {:.2}{interval}", measured.method, measured.value)
}

/// The term that goes best with the feature, with its test.
fn association(best: &BestAssociation) -> String {
    let q = number::p_value(best.q);
    let sign = if q.starts_with('<') { "" } else { "= " };
    format!("{}: AUROC {:.2}, q {sign}{q}", best.name, best.auroc)
}

fn paint_density(ui: &Ui, (card, kind): (&FeatureCard, ExampleKind), rect: Rect) {
    let theme = tokens::of(ui);
    let plot = Rect::from_min_size(rect.min, Vec2::new(rect.width() * 0.42, rect.height()));
    histogram::paint(ui.painter(), theme, plot, &card.histogram);
    let left = plot.right() + GRID;
    for (line, text) in [
        format!(
            "active on {} of {}",
            number::percent(card.sample_density),
            kind_name(kind)
        ),
        format!(
            "density {} · highest {}",
            number::percent(card.density),
            number::activation(card.max_activation)
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_association_never_stands_without_its_test() {
        let mut best = BestAssociation {
            name: "effusion".to_owned(),
            auroc: 0.912,
            q: 1e-9,
        };
        assert_eq!(association(&best), "effusion: AUROC 0.91, q < 0.001");
        best.q = 0.021;
        assert_eq!(association(&best), "effusion: AUROC 0.91, q = 0.021");
    }
}
