//! All samples of a dataset: a virtualised grid of thumbnails, or a virtualised table.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{DatasetView, Revision, SampleView};
use schema::DatasetKind;

use crate::app_context::{AppContext, in_words, sample_name};
use crate::backend::Answer;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::example::{self, FilmPlace};
use crate::widgets::{item_strip, notice, number};

/// Side that a thumbnail at least has.
const THUMB: f32 = 120.0;
/// Height of a row of the table.
const ROW: f32 = 28.0;
/// Most samples kept.
const MAX_KEPT: usize = 2048;

/// State of the list of samples.
#[derive(Default)]
pub(crate) struct Samples {
    as_table: bool,
    scroll_to: Option<u32>,
    kept: (Revision, String, HashMap<u32, Answer<Arc<SampleView>>>),
}

impl Samples {
    /// Brings `sample` into sight in the next frame.
    pub(crate) fn scroll_to(&mut self, sample: u32) {
        self.scroll_to = Some(sample);
    }

    fn get(&mut self, ctx: &AppContext<'_>, dataset: &str, sample: u32) -> Answer<Arc<SampleView>> {
        if self.kept.0 != ctx.revision || self.kept.1 != dataset || self.kept.2.len() > MAX_KEPT {
            self.kept = (ctx.revision, dataset.to_owned(), HashMap::new());
        }
        self.kept
            .2
            .entry(sample)
            .or_insert_with(|| ctx.backend.sample(dataset, sample).map(Arc::new))
            .clone()
    }

    /// Draws the list; a click changes `chosen`.
    pub(crate) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        view: &DatasetView,
        chosen: &mut u32,
    ) {
        let has_films = view.manifest.kind == DatasetKind::Radiographs;
        if has_films {
            ui.horizontal(|ui| {
                ui.selectable_value(&mut self.as_table, false, "Thumbnails");
                ui.selectable_value(&mut self.as_table, true, "Table");
                notice::weak_ui(ui, notice::SAFETY);
            });
        }
        if has_films && !self.as_table {
            self.grid_ui(ctx, ui, view, chosen);
        } else {
            self.table_ui(ctx, ui, view, chosen);
        }
    }

    fn grid_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, view: &DatasetView, chosen: &mut u32) {
        let n = view.manifest.n_samples;
        let width = ui.available_width() - 12.0;
        let n_columns = ((width + HALF) / (THUMB + HALF)).floor().max(1.0) as u32;
        let side = ((width + HALF) / n_columns as f32 - HALF).floor();
        let height = side + 18.0;
        let n_rows = n.div_ceil(n_columns);
        ui.spacing_mut().item_spacing.y = HALF;
        let mut area = ScrollArea::vertical()
            .id_salt("thumbnails")
            .auto_shrink(false);
        if let Some(sample) = self.scroll_to.take() {
            area = area.vertical_scroll_offset((sample / n_columns) as f32 * (height + HALF));
        }
        area.show_rows(ui, height, n_rows as usize, |ui, rows| {
            let origin = ui.max_rect().min;
            for row in rows.clone() {
                for column in 0..n_columns {
                    let sample = row as u32 * n_columns + column;
                    if sample >= n {
                        break;
                    }
                    let at = Pos2::new(
                        origin.x + column as f32 * (side + HALF),
                        origin.y + (row - rows.start) as f32 * (height + HALF),
                    );
                    let rect = Rect::from_min_size(at, Vec2::new(side, height));
                    self.thumb_ui(ctx, ui, view, (sample, rect), chosen);
                }
            }
            ui.allocate_space(Vec2::new(width, rows.len() as f32 * (height + HALF) - HALF));
        });
    }

    fn thumb_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &Ui,
        view: &DatasetView,
        (sample, rect): (u32, Rect),
        chosen: &mut u32,
    ) {
        let name = &view.manifest.name;
        let record = self.get(ctx, name, sample);
        let response = ui.interact(rect, ui.scope_id().with(("thumb", sample)), Sense::click());
        let (id, size) = record.as_ref().map_or(("", [1, 1]), |record| {
            (record.id.as_str(), record.film_size.unwrap_or([1, 1]))
        });
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Sample {id}")));
        if response.clicked() {
            *chosen = sample;
        }
        let theme = tokens::of(ui);
        let film = Rect::from_min_size(rect.min, Vec2::splat(rect.width()));
        example::paint_film(ctx, ui, film, FilmPlace::own(name, sample), size);
        let text = item_strip::truncated(ui.painter(), id, rect.width(), theme.text_weak);
        ui.painter().galley(
            film.left_bottom() + Vec2::new(0.0, 1.0),
            text,
            theme.text_weak,
        );
        if *chosen == sample || response.hovered() || response.has_focus() {
            let width = if *chosen == sample { 2.0 } else { 1.0 };
            ui.painter().rect_stroke(
                film,
                2.0,
                Stroke::new(width, theme.accent),
                StrokeKind::Inside,
            );
        }
    }

    fn table_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        view: &DatasetView,
        chosen: &mut u32,
    ) {
        let n = view.manifest.n_samples as usize;
        let kind = view.manifest.kind;
        ui.spacing_mut().item_spacing.y = 0.0;
        let size = Vec2::new(ui.available_width(), ROW);
        let (head, _) = ui.allocate_exact_size(size, Sense::hover());
        let names = head_names(kind).map(str::to_owned);
        paint_cells(ui, head, names, (kind, tokens::of(ui).text_weak));
        let mut area = ScrollArea::vertical().id_salt("table").auto_shrink(false);
        if let Some(sample) = self.scroll_to.take() {
            area = area.vertical_scroll_offset(sample as f32 * ROW);
        }
        area.show_rows(ui, ROW, n, |ui, rows| {
            for row in rows {
                let sample = row as u32;
                let size = Vec2::new(ui.available_width(), ROW);
                let (_, rect) = ui.allocate_space(size);
                let response =
                    ui.interact(rect, ui.scope_id().with(("row", sample)), Sense::click());
                let record = self.get(ctx, &view.manifest.name, sample);
                let label = record.as_ref().map_or_else(
                    |problem| format!("Sample {sample}: {problem}"),
                    |record| format!("Sample {}", record.id),
                );
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
                if response.clicked() {
                    *chosen = sample;
                }
                let hot = response.hovered() || response.has_focus();
                let theme = tokens::of(ui);
                if *chosen == sample {
                    ui.painter()
                        .rect_filled(rect, tokens::RADIUS, theme.accent_quiet);
                } else if hot {
                    ui.painter()
                        .rect_filled(rect, tokens::RADIUS, theme.hovered);
                }
                paint_row(ui, rect, kind, &record);
            }
        });
    }
}

/// Names of the columns.
fn head_names(kind: DatasetKind) -> [&'static str; 3] {
    match kind {
        DatasetKind::Radiographs => ["film", "part", "findings and report"],
        DatasetKind::Reports => ["report", "part", "findings and text"],
        DatasetKind::Interactions => ["user", "", "items"],
    }
}

fn paint_row(ui: &Ui, rect: Rect, kind: DatasetKind, record: &Answer<Arc<SampleView>>) {
    let texts = match record {
        Ok(record) => [
            sample_name(&record.id, kind == DatasetKind::Interactions),
            split_name(record).to_owned(),
            row_text(record),
        ],
        Err(problem) => [String::new(), String::new(), problem.clone()],
    };
    paint_cells(ui, rect, texts, (kind, tokens::of(ui).text));
}

/// Three cells; the first in `colour`. Histories have no column for the part of the dataset: each
/// is trained on, but for its last items.
fn paint_cells(
    ui: &Ui,
    rect: Rect,
    texts: [String; 3],
    (kind, colour): (DatasetKind, egui::Color32),
) {
    let theme = tokens::of(ui);
    let widths = match kind {
        DatasetKind::Interactions => [0.26, 0.0, 0.74],
        _ => [0.26, 0.09, 0.65],
    };
    let mut next = 0.0;
    for (i, (text, width)) in texts.into_iter().zip(widths).enumerate() {
        let left = next;
        next += width;
        if width == 0.0 {
            continue;
        }
        let colour = if i == 0 { colour } else { theme.text_weak };
        let galley =
            item_strip::truncated(ui.painter(), &text, rect.width() * width - GRID, colour);
        let at = Pos2::new(
            rect.left() + HALF + rect.width() * left,
            rect.center().y - galley.size().y / 2.0,
        );
        ui.painter().galley(at, galley, colour);
    }
}

fn split_name(record: &SampleView) -> &'static str {
    match record.split {
        schema::Split::Train => "train",
        schema::Split::Dev => "dev",
        schema::Split::Test => "test",
    }
}

/// What tells this sample from its neighbours: findings, the report, or the last items.
fn row_text(record: &SampleView) -> String {
    if !record.items.is_empty() {
        let last: Vec<&str> = record
            .items
            .iter()
            .rev()
            .take(4)
            .map(|item| item.title.as_str())
            .collect();
        let items = number::counted(record.items.len() as u64, ["item", "items"]);
        return format!("{items}, last: {}", last.join(", "));
    }
    let findings = match &record.findings {
        Some(findings) if findings.is_empty() => "no finding".to_owned(),
        Some(findings) => in_words(&findings.join(", ")),
        None => String::new(),
    };
    let report = record
        .report
        .as_ref()
        .map(schema::Report::text)
        .unwrap_or_default();
    match (findings.is_empty(), report.is_empty()) {
        (false, false) => format!("{findings} · {report}"),
        (false, true) => findings,
        (true, _) => report,
    }
}
