//! A resizable part of a screen whose size is remembered between starts.

use std::ops::RangeInclusive;

use egui::{Frame, Margin, Panel, Ui};

use crate::app_context::AppContext;
use crate::tokens::GRID;

/// Which edge of the screen the part lies at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Left of the rest.
    Left,
    /// Right of the rest.
    Right,
    /// Below the rest.
    Bottom,
}

/// How large a part is.
pub(crate) struct Extent {
    /// Size the first time, in points.
    pub(crate) default: f32,
    /// Sizes that the user may give it.
    pub(crate) range: RangeInclusive<f32>,
}

/// Share of a small room that a part with a film of its own takes the first time.
pub(crate) const HALF: f32 = 0.5;
/// The same of a part beside the film.
pub(crate) const LESS: f32 = 0.4;
/// Most that it takes of it.
const MOST: f32 = 0.6;
/// The least that its controls need.
const LEAST: f32 = 256.0;

/// Name and size of a part with controls and figures beside what a screen is about: `default` wide,
/// and in a room that is small for that, as in large type, this share of it. That has a size and a name
/// of its own, so that the part is as it was once there is room again.
pub(crate) fn beside(ui: &Ui, name: &str, (default, share): (f32, f32)) -> (String, Extent) {
    let room = ui.available_width();
    if room >= 2.0 * default {
        let range = 320.0..=560.0;
        return (name.to_owned(), Extent { default, range });
    }
    let extent = Extent {
        default: (room * share).max(LEAST),
        range: LEAST..=(room * MOST).max(LEAST + 1.0),
    };
    (format!("{name}, little room"), extent)
}

/// Draws the part, unless the main panel has all the room; the rest of the screen follows as a central
/// panel.
pub(crate) fn split_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (edge, name): (Edge, &str),
    extent: Extent,
    contents: impl FnOnce(&mut Ui),
) {
    if ctx.is_alone() {
        return;
    }
    let gap = GRID as i8 * 2;
    let (panel, margin) = match edge {
        Edge::Left => (
            Panel::left(name.to_owned()),
            Margin {
                right: gap,
                ..Margin::ZERO
            },
        ),
        Edge::Right => (
            Panel::right(name.to_owned()),
            Margin {
                left: gap,
                ..Margin::ZERO
            },
        ),
        Edge::Bottom => (
            Panel::bottom(name.to_owned()),
            Margin {
                top: GRID as i8,
                ..Margin::ZERO
            },
        ),
    };
    let size = ctx.layout.size(name, extent.default);
    let response = panel
        .resizable(true)
        .show_separator_line(false)
        .default_size(size.clamp(*extent.range.start(), *extent.range.end()))
        .size_range(extent.range)
        .frame(Frame::new().inner_margin(margin))
        .show(ui, contents)
        .response;
    let size = match edge {
        Edge::Left | Edge::Right => response.rect.width(),
        Edge::Bottom => response.rect.height(),
    };
    ctx.layout.keep(name, size.round());
}
