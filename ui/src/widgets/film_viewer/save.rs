//! The film as it is looked at, to be written to a file: what lies over it goes along, names do not.

use engine::views::{FilmBox, FilmColours, FilmLine, FilmPicture};
use schema::PatchGrid;

use super::{FilmViewer, Heat, Subject, marks};
use crate::app_context::AppContext;
use crate::film_textures::{HeatDrawing, HeatStyle};
use crate::tokens;
use crate::widgets::{colour_map, contours};

impl FilmViewer {
    /// The film with what is drawn over it now; `None` until it is here.
    pub(super) fn picture(
        &self,
        ctx: &AppContext<'_>,
        subject: &Subject<'_>,
    ) -> Option<FilmPicture> {
        let window = self.window.clone()?;
        self.shown.as_ref()?;
        let mut says = vec![format!(
            "Window: centre {:.0}, width {:.0}",
            window.centre, window.width
        )];
        let heat = subject.heat.as_ref().filter(|_| ctx.heat.visible());
        let drawn = marks::in_words(ctx, subject, &self.hidden);
        says.push(match heat {
            Some(heat) => format!("{drawn}, {}", heat.unit),
            None => drawn,
        });
        let boxes = marks::seen(subject, &self.hidden).flat_map(|layer| {
            layer.boxes.iter().map(|finding| FilmBox {
                rect: finding.rect,
                name: finding.finding.clone(),
                rgb: tokens::rgb(layer.source.colour()),
                dashed: layer.source.is_dashed(),
            })
        });
        Some(FilmPicture {
            dataset: subject.place.dataset.to_owned(),
            sample: subject.place.sample,
            film: subject.place.film,
            window,
            inverted: self.inverted,
            colours: heat.and_then(|heat| colours(heat, ctx.heat)),
            lines: heat.map_or_else(Vec::new, |heat| lines(ctx, heat)),
            boxes: boxes.collect(),
            says,
        })
    }
}

fn colours(heat: &Heat<'_>, style: HeatStyle) -> Option<FilmColours> {
    if style.drawing == HeatDrawing::Contours || heat.maximum <= 0.0 {
        return None;
    }
    let of = |&value: &f32| colour_map::overlay(value / heat.maximum, style.opacity).to_array();
    Some(FilmColours {
        grid: heat.grid,
        rgba: heat.activations.iter().map(of).collect(),
        smooth: style.drawing == HeatDrawing::Smooth,
    })
}

fn lines(ctx: &AppContext<'_>, heat: &Heat<'_>) -> Vec<FilmLine> {
    if ctx.heat.drawing != HeatDrawing::Contours {
        return Vec::new();
    }
    let PatchGrid {
        left,
        top,
        width,
        height,
        columns,
        ..
    } = heat.grid;
    let on_film = |at: egui::Pos2| [left + at.x * width, top + at.y * height];
    let lines = ctx
        .films
        .contours(heat.activations, columns as usize, heat.maximum);
    let all = lines.iter().map(|line| FilmLine {
        rgb: tokens::rgb(contours::line_colour(line.share, 1.0)),
        pieces: line.pieces.iter().map(|piece| piece.map(on_film)).collect(),
    });
    all.collect()
}
