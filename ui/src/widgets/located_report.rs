//! A grounded report: its sentences, numbered, and their boxes on the film.

use egui::{RichText, Ui, Vec2};
use engine::LocatedReport;
use engine::views::SampleView;
use schema::FindingBox;

use crate::app_context::AppContext;
use crate::widgets::example::FilmPlace;
use crate::widgets::film_viewer::{BoxLayer, BoxSource, FilmViewer, Subject};
use crate::widgets::notice;

/// The film that a report is about.
pub(crate) struct ReportFilm<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) record: &'a SampleView,
}

/// Draws the film with the boxes above the sentences.
pub(crate) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    report: &LocatedReport,
    film: &ReportFilm<'_>,
    viewer: &mut FilmViewer,
) {
    if let Some(size) = film.record.film_size {
        let boxes = boxes_of(report, size);
        let side = ui.available_width();
        ui.allocate_ui(Vec2::new(side, (side + 40.0).min(620.0)), |ui| {
            let layers = [
                BoxLayer {
                    source: BoxSource::Data,
                    boxes: &film.record.boxes,
                },
                BoxLayer {
                    source: BoxSource::Model,
                    boxes: &boxes,
                },
            ];
            let subject = Subject {
                place: FilmPlace::own(film.dataset, film.record.sample),
                name: &film.record.id,
                size,
                heat: None,
                boxes: &layers,
            };
            viewer.ui(ctx, ui, &subject);
        });
    }
    for (i, sentence) in report.sentences.iter().enumerate() {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("{}", i + 1)).strong());
            ui.label(&sentence.text);
            if sentence.boxes.is_empty() {
                notice::weak_ui(ui, "(no place given)");
            }
        });
    }
    for warning in &report.warnings {
        notice::weak_ui(ui, format!("Could not be read: {warning}"));
    }
}

/// The boxes in film pixels, named by the number of their sentence.
fn boxes_of(report: &LocatedReport, [width, height]: [u32; 2]) -> Vec<FindingBox> {
    let (width, height) = (width as f32, height as f32);
    report
        .sentences
        .iter()
        .enumerate()
        .flat_map(|(i, sentence)| {
            sentence
                .boxes
                .iter()
                .map(move |[left, top, right, bottom]| FindingBox {
                    finding: format!("{}", i + 1),
                    rect: [
                        left * width,
                        top * height,
                        (right - left) * width,
                        (bottom - top) * height,
                    ],
                    mask: None,
                })
        })
        .collect()
}
