//! Histograms of activations: a small one for cards, one with quantile bands for the feature page.

use egui::{Painter, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};

use crate::tokens::{self, HALF, Tokens};
use crate::widgets::{colour_map, number};

/// Height of a bar as a share of the plot: logarithmic, because counts fall off steeply.
fn height(count: u32, highest: u32) -> f32 {
    if count == 0 || highest == 0 {
        0.0
    } else {
        (1.0 + count as f32).ln() / (1.0 + highest as f32).ln()
    }
}

/// Paints bars into `rect`.
pub(crate) fn paint(painter: &Painter, tokens: &Tokens, rect: Rect, counts: &[u32]) {
    let highest = counts.iter().copied().max().unwrap_or(0);
    let width = rect.width() / counts.len().max(1) as f32;
    for (i, &count) in counts.iter().enumerate() {
        let share = height(count, highest);
        if share == 0.0 {
            continue;
        }
        let left = rect.left() + width * i as f32;
        let bar = Rect::from_min_max(
            Pos2::new(left, rect.bottom() - share * rect.height()),
            Pos2::new(left + (width - 1.0).max(1.0), rect.bottom()),
        );
        painter.rect_filled(bar, 0.0, tokens.bar);
    }
    painter.hline(
        rect.x_range(),
        rect.bottom(),
        Stroke::new(1.0, tokens.outline),
    );
}

/// The histogram of the feature page: bars coloured by activation, axis with units, and `edges`
/// (activations) where quantile bands meet.
pub(crate) fn histogram_ui(ui: &mut Ui, counts: &[u32], maximum: f32, edges: &[f32]) {
    let tokens = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), 96.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let axis = 18.0;
    let plot = Rect::from_min_max(rect.min, rect.max - Vec2::new(0.0, axis));
    let painter = ui.painter_at(rect);
    painter.rect_filled(plot, tokens::RADIUS, tokens.canvas);
    let highest = counts.iter().copied().max().unwrap_or(0);
    let width = plot.width() / counts.len().max(1) as f32;
    for (i, &count) in counts.iter().enumerate() {
        let share = height(count, highest);
        let left = plot.left() + width * i as f32;
        let bar = Rect::from_min_max(
            Pos2::new(left, plot.bottom() - share * (plot.height() - HALF)),
            Pos2::new(left + (width - 1.0).max(1.0), plot.bottom()),
        );
        let middle = (i as f32 + 0.5) / counts.len() as f32;
        painter.rect_filled(bar, 0.0, colour_map::colour(middle));
    }
    for &edge in edges {
        if maximum > 0.0 && edge > 0.0 && edge < maximum {
            let x = plot.left() + plot.width() * edge / maximum;
            painter.add(egui::Shape::dashed_line(
                &[Pos2::new(x, plot.top()), Pos2::new(x, plot.bottom())],
                Stroke::new(1.0, tokens.text_weak),
                3.0,
                3.0,
            ));
        }
    }
    painter.hline(
        plot.x_range(),
        plot.bottom(),
        Stroke::new(1.0, tokens.outline),
    );
    for (share, align) in [
        (0.0, egui::Align2::LEFT_BOTTOM),
        (0.5, egui::Align2::CENTER_BOTTOM),
        (1.0, egui::Align2::RIGHT_BOTTOM),
    ] {
        painter.text(
            Pos2::new(rect.left() + rect.width() * share, rect.bottom()),
            align,
            number::activation(maximum * share),
            tokens::small_font(),
            tokens.text_weak,
        );
    }
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let label = format!(
        "Histogram of {} activations from 0 to {}, counts on a logarithmic scale",
        number::count(total),
        number::activation(maximum)
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    if let Some(pos) = response.hover_pos() {
        let bin = (((pos.x - plot.left()) / width) as usize).min(counts.len().saturating_sub(1));
        if let Some(count) = counts.get(bin) {
            let step = maximum / counts.len() as f32;
            response.on_hover_text(format!(
                "{} to {}: {} positions",
                number::activation(step * bin as f32),
                number::activation(step * (bin + 1) as f32),
                number::count(u64::from(*count))
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::height;

    #[test]
    fn heights_are_shares() {
        assert_eq!(height(0, 10), 0.0);
        assert_eq!(height(10, 10), 1.0);
        assert!(height(1, 1000) > 0.05);
    }
}
