//! The sample that is steered: its number, its film in a viewer or the last items of its history.

use std::sync::Arc;

use egui::{Ui, Vec2};
use engine::views::{Revision, SampleView};

use crate::app_context::{AppContext, in_words, sample_name};
use crate::backend::Answer;
use crate::commands::Command;
use crate::widgets::example::FilmPlace;
use crate::widgets::film_viewer::{FilmViewer, Subject};
use crate::widgets::{notice, number};

/// Height of the tools above a film.
const TOOLS: f32 = 72.0;
/// Most that a film may be higher than wide before it is made smaller.
const HIGHEST: f32 = 1.25;

/// The chosen sample and what is known of it.
pub(super) struct Sample {
    pub(super) number: u32,
    kept: Option<(Revision, String, u32, Answer<Arc<SampleView>>)>,
    viewer: FilmViewer,
}

impl Default for Sample {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Sample {
    /// Chooses a sample.
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            kept: None,
            // Below it stand the sweep and the experiments.
            viewer: FilmViewer::in_a_column(),
        }
    }

    /// Number and contents; whether another one was chosen.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) -> bool {
        let Some(view) = ctx.dictionary(sae) else {
            return false;
        };
        let n = ctx
            .dataset(&view.dataset)
            .map_or(1, |dataset| dataset.manifest.n_samples);
        let mut changed = false;
        ui.horizontal(|ui| {
            let label = ui.label("Sample");
            let back = ui.button("<").accessible_name("Previous sample");
            if back.clicked() && self.number > 0 {
                self.number -= 1;
                changed = true;
            }
            let drag = egui::DragValue::new(&mut self.number).range(0..=n.saturating_sub(1));
            changed |= ui.add(drag).labelled_by(label.id).changed();
            let next = ui.button(">").accessible_name("Next sample");
            if next.clicked() && self.number + 1 < n {
                self.number += 1;
                changed = true;
            }
            notice::weak_ui(ui, format!("of {}", number::count(u64::from(n))));
        });
        match self.record(ctx, &view.dataset) {
            Ok(record) => self.contents_ui(ctx, ui, &view.dataset, &record),
            Err(problem) => notice::error_ui(ui, &problem),
        }
        changed
    }

    /// What is known of it, read once per revision.
    pub(super) fn record(
        &mut self,
        ctx: &AppContext<'_>,
        dataset: &str,
    ) -> Answer<Arc<SampleView>> {
        if let Some((revision, name, sample, answer)) = &self.kept
            && *revision == ctx.revision
            && name == dataset
            && *sample == self.number
        {
            return answer.clone();
        }
        let answer = ctx.backend.sample(dataset, self.number).map(Arc::new);
        let key = (ctx.revision, dataset.to_owned(), self.number);
        self.kept = Some((key.0, key.1, key.2, answer.clone()));
        answer
    }

    fn contents_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        dataset: &str,
        record: &SampleView,
    ) {
        if let Some(size) = record.film_size {
            self.film_ui(ctx, ui, dataset, (record, size));
        }
        let is_history = !record.items.is_empty();
        let mut text = sample_name(&record.id, is_history);
        if let Some(findings) = &record.findings {
            let findings = if findings.is_empty() {
                "no finding".to_owned()
            } else {
                in_words(&findings.join(", "))
            };
            text = format!("{text}: {findings}");
        }
        ui.add(egui::Label::new(text).wrap());
        let history = record
            .items
            .len()
            .saturating_sub(record.n_held_out as usize);
        if is_history {
            notice::weak_ui(ui, "Last items, newest first:");
        }
        for item in record.items[..history].iter().rev().take(6) {
            notice::weak_cut_ui(ui, item.title.clone());
        }
    }

    /// As wide as there is room.
    fn film_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        dataset: &str,
        (record, [width, height]): (&SampleView, [u32; 2]),
    ) {
        let side = ui.available_width();
        let aspect = height as f32 / width.max(1) as f32;
        let place = Vec2::new(side, side * aspect.min(HIGHEST) + TOOLS);
        let subject = Subject {
            place: FilmPlace::own(dataset, record.sample),
            name: &record.id,
            size: [width, height],
            heat: None,
            boxes: &[],
        };
        ui.push_id("sample film", |ui| {
            ui.allocate_ui(place, |ui| {
                self.viewer.ui_with(ctx, ui, &subject, |ui| {
                    let large = ui.button("Open large");
                    if large
                        .on_hover_text("In Data, over the whole screen")
                        .clicked()
                    {
                        ctx.send(Command::ShowSample(dataset.to_owned(), record.sample));
                    }
                });
            });
        });
    }
}
