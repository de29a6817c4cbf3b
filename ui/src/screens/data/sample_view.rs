//! One sample large: the film in the viewer with its report and findings, or the whole history.

use std::sync::Arc;

use egui::{RichText, ScrollArea, Ui};
use engine::views::{DatasetView, Revision, SampleView};

use crate::app_context::{AppContext, in_words, sample_name};
use crate::backend::Answer;
use crate::commands::Command;
use crate::tokens;
use crate::widgets::hanging::{Hanging, Study};
use crate::widgets::item_strip::{StripStyle, item_strip_ui};
use crate::widgets::notice::{self, section_ui, weak_ui};
use crate::widgets::number;
use crate::widgets::split::{Edge, Extent, split_ui};

/// State of the large view of a sample.
#[derive(Default)]
pub(crate) struct SampleDetail {
    hanging: Hanging,
    kept: Option<(Revision, String, u32, Answer<Arc<SampleView>>)>,
}

impl SampleDetail {
    /// Draws `sample` of the dataset.
    pub(crate) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        dataset: &DatasetView,
        sample: u32,
    ) {
        let name = &dataset.manifest.name;
        let current = self
            .kept
            .as_ref()
            .is_some_and(|(revision, kept_name, kept_sample, _)| {
                *revision == ctx.revision && kept_name == name && *kept_sample == sample
            });
        if !current {
            let answer = ctx.backend.sample(name, sample).map(Arc::new);
            self.kept = Some((ctx.revision, name.clone(), sample, answer));
        }
        match self.kept.as_ref().map(|kept| kept.3.clone()) {
            Some(Ok(record)) => self.sample_ui(ctx, ui, name, &record),
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {}
        }
    }

    fn sample_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, dataset: &str, record: &SampleView) {
        let reads = ctx.dictionaries.iter().any(|view| view.dataset == dataset);
        ui.horizontal(|ui| {
            let name = sample_name(&record.id, !record.items.is_empty());
            ui.label(RichText::new(name).font(tokens::title_font()));
            let button = ui.add_enabled(reads, egui::Button::new("Features active here"));
            let button = button
                .on_hover_text("Shows in the gallery which features are active on this sample")
                .on_disabled_hover_text("No dictionary has been trained on this dataset yet");
            if button.clicked() {
                ctx.send(Command::FiringOnSample(dataset.to_owned(), record.sample));
            }
            // Which dictionary can steer is asked at the click: it may have to be read for that.
            let button = ui.add_enabled(reads, egui::Button::new("Steer this sample"));
            let button = button
                .on_hover_text("Turns features up or down on it and shows what the model says then")
                .on_disabled_hover_text("No dictionary has been trained on this dataset yet");
            if button.clicked() {
                ctx.send(Command::SteerSample(dataset.to_owned(), record.sample));
            }
        });
        let Some(size) = record.film_size else {
            ScrollArea::vertical()
                .auto_shrink(false)
                .show(ui, |ui| words_ui(ctx, ui, record));
            return;
        };
        split_ui(
            ctx,
            ui,
            (Edge::Bottom, "sample words"),
            Extent {
                default: (ui.available_height() * 0.32).max(120.0),
                range: 64.0..=600.0,
            },
            |ui| {
                ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| words_ui(ctx, ui, record));
            },
        );
        egui::CentralPanel::no_frame().show(ui, |ui| {
            let study = Study {
                dataset,
                record,
                name: &record.id,
                size,
            };
            self.hanging.ui(ctx, ui, study, None, |_| {});
        });
    }
}

/// Findings, report and history.
pub(crate) fn words_ui(ctx: &AppContext<'_>, ui: &mut Ui, record: &SampleView) {
    if let Some(findings) = &record.findings {
        let title = if record.items.is_empty() {
            "Findings"
        } else {
            "Tastes"
        };
        section_ui(ui, title);
        if findings.is_empty() {
            weak_ui(ui, "None");
        }
        ui.horizontal_wrapped(|ui| {
            for finding in findings {
                let text = RichText::new(in_words(finding)).color(tokens::of(ui).text);
                egui::Frame::new()
                    .fill(tokens::of(ui).control)
                    .corner_radius(tokens::RADIUS)
                    .inner_margin(egui::Margin::symmetric(8, 2))
                    .show(ui, |ui| ui.label(text));
            }
        });
    }
    if let Some(report) = &record.report {
        for (title, text) in [
            ("Indication", &report.indication),
            ("Comparison", &report.comparison),
            ("Findings in the report", &report.findings),
            ("Impression", &report.impression),
        ] {
            if !text.is_empty() {
                section_ui(ui, title);
                ui.add(egui::Label::new(text).wrap());
            }
        }
    }
    if !record.items.is_empty() {
        let items = number::counted(record.items.len() as u64, ["item", "items"]);
        section_ui(ui, &format!("History, {items}, oldest first"));
        if record.n_held_out > 0 {
            weak_ui(
                ui,
                "The outlined ones are held out: the model has not seen them, it is tested on them",
            );
        }
        let style = StripStyle {
            n_held_out: record.n_held_out as usize,
            ..StripStyle::default()
        };
        item_strip_ui(ctx, ui, &record.items, &style);
    }
    if !record.facts.is_empty() {
        section_ui(ui, "From the source");
        for (name, value) in &record.facts {
            weak_ui(ui, format!("{}: {value}", number::capitalised(name)));
        }
    }
    let says_nothing = record.findings.is_none()
        && record.report.is_none()
        && record.items.is_empty()
        && record.facts.is_empty();
    if says_nothing {
        weak_ui(ui, "The source says nothing more about this film");
    }
}
