//! The large view of a film: window and level, zoom, pan, invert, heatmap, legend, badges.

use std::sync::Arc;

use egui::{
    Align2, Key, PointerButton, Pos2, Rect, Response, Role, Sense, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo,
};
use engine::views::{FilmPixels, FilmSize, FilmState};
use schema::{FindingBox, PatchGrid, VoiFunction, Window};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::keys::{self, Action};
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{colour_map, example, film_shade, notice, number};

/// Furthest zoom.
const MAX_ZOOM: f32 = 32.0;
/// Zoom from which patch boundaries are drawn, lest anyone believe detail within a patch.
const PATCH_LINES_FROM: f32 = 2.0;

/// Where a feature is active on the film.
pub(crate) struct Heat<'a> {
    pub(crate) grid: PatchGrid,
    pub(crate) activations: &'a Arc<Vec<f32>>,
    /// The feature's maximum over all samples: one scale per feature.
    pub(crate) maximum: f32,
    /// What the colours stand for, in a word or two.
    pub(crate) unit: &'static str,
}

/// The film to show.
pub(crate) struct Subject<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) sample: u32,
    pub(crate) name: &'a str,
    pub(crate) size: [u32; 2],
    pub(crate) heat: Option<Heat<'a>>,
    pub(crate) boxes: &'a [FindingBox],
}

/// The film as it is on the screen now.
struct Shown {
    dataset: String,
    sample: u32,
    film: Arc<FilmPixels>,
    presets: Vec<Window>,
    texture: TextureHandle,
    /// What `texture` was made with.
    made_with: (Window, bool),
}

/// State of one viewer.
pub(crate) struct FilmViewer {
    shown: Option<Shown>,
    window: Option<Window>,
    /// Whether `window` began as the line that fits a table of the file.
    fitted: bool,
    inverted: bool,
    zoom: f32,
    pan: Vec2,
}

impl Default for FilmViewer {
    fn default() -> Self {
        Self {
            shown: None,
            window: None,
            fitted: false,
            inverted: false,
            zoom: 1.0,
            pan: Vec2::ZERO,
        }
    }
}

impl FilmViewer {
    /// The tools, then the film in all the space that is left.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, subject: &Subject<'_>) {
        let problem = self.load(ctx, ui, subject);
        self.tools_ui(ctx, ui, subject.heat.is_some());
        let size = ui.available_size().max(Vec2::splat(120.0));
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let label = format!("Radiograph {}. {}", subject.name, notice::SAFETY);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
        self.interact(ui, &response, rect, subject.size);
        self.keys(ui);
        self.refresh_texture(ui);
        let film = self.film_rect(rect, subject.size);
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, tokens::RADIUS, tokens::FILM_BACKGROUND);
        match (&self.shown, &problem) {
            (Some(shown), None) => {
                painter.image(shown.texture.id(), film, example::WHOLE, tokens::UNTINTED);
            }
            (_, Some(problem)) => notice::film_text(&painter, rect, Align2::CENTER_CENTER, problem),
            (None, None) => {
                example::paint_film(
                    ctx,
                    ui,
                    film,
                    (subject.dataset, subject.sample),
                    subject.size,
                );
            }
        }
        paint_heat(ctx, ui, rect, film, subject);
        if self.zoom >= PATCH_LINES_FROM
            && ctx.heat.visible()
            && let Some(heat) = &subject.heat
        {
            let place = example::grid_rect(film, subject.size, &heat.grid);
            paint_patch_lines(&ui.painter_at(rect.intersect(film)), place, &heat.grid);
        }
        paint_boxes(&painter, film, subject);
        self.paint_edges(&painter, rect, film);
        self.paint_notes(&painter, rect, subject);
        if self.zoom > 1.05 {
            self.paint_overview(ctx, ui, rect, film, subject);
        }
    }

    /// Whether the film is shown otherwise than it came: another window, or inverted.
    pub(crate) fn is_changed(&self) -> bool {
        let first = self.shown.as_ref().and_then(|shown| shown.presets.first());
        self.inverted || (first.is_some() && self.window.as_ref() != first)
    }

    /// Takes the film from the engine; a sentence when it cannot be read.
    fn load(&mut self, ctx: &AppContext<'_>, ui: &Ui, subject: &Subject<'_>) -> Option<String> {
        if let Some(shown) = &self.shown
            && shown.dataset == subject.dataset
            && shown.sample == subject.sample
        {
            return None;
        }
        self.shown = None;
        match ctx
            .backend
            .film(subject.dataset, subject.sample, FilmSize::Full)
        {
            FilmState::Loading => {
                ctx.films.note_loading();
                None
            }
            FilmState::Failed(reason) => Some(reason),
            FilmState::Ready(film) => {
                let presets = film_shade::presets(&film);
                let window = presets[0].clone();
                let side = ui.ctx().input(|input| input.max_texture_side);
                let image = film_shade::shade(&film, &window, false, side);
                let texture = ui.ctx().load_texture("film", image, TextureOptions::LINEAR);
                self.choose(window.clone());
                self.inverted = false;
                self.reset_view();
                self.shown = Some(Shown {
                    dataset: subject.dataset.to_owned(),
                    sample: subject.sample,
                    film,
                    presets,
                    texture,
                    made_with: (window, false),
                });
                None
            }
        }
    }

    /// Shows the film through a preset.
    fn choose(&mut self, window: Window) {
        self.window = Some(window);
        self.fitted = false;
    }

    fn reset_view(&mut self) {
        self.zoom = 1.0;
        self.pan = Vec2::ZERO;
    }

    fn tools_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, has_heat: bool) {
        ui.horizontal_wrapped(|ui| {
            let presets = self.shown.as_ref().map_or(&[][..], |shown| &shown.presets);
            let current = self.window.as_ref().map_or("Window", |window| &window.name);
            let mut chosen = None;
            egui::ComboBox::from_id_salt("window preset")
                .selected_text(current)
                .width(150.0)
                .show_ui(ui, |ui| {
                    for (i, preset) in presets.iter().enumerate() {
                        let selected = self.window.as_ref() == Some(preset);
                        let text = if i < 5 {
                            format!("{}   Shift+{}", preset.name, i + 1)
                        } else {
                            preset.name.clone()
                        };
                        if ui.selectable_label(selected, text).clicked() {
                            chosen = Some(preset.clone());
                        }
                    }
                })
                .response
                .accessible_name("Window preset")
                .on_hover_text(
                    "Window preset. Drag on the film: across for width, down for centre",
                );
            if let Some(chosen) = chosen {
                self.choose(chosen);
            }
            ui.toggle_value(&mut self.inverted, "Invert")
                .on_hover_text("I");
            if ui.button("Fit").on_hover_text("0 or Escape").clicked() {
                self.reset_view();
            }
            if has_heat {
                heat_tools_ui(ctx, ui);
            }
        });
    }

    fn film_rect(&self, rect: Rect, size: [u32; 2]) -> Rect {
        let fitted = example::fit(rect, size);
        Rect::from_center_size(fitted.center() + self.pan, fitted.size() * self.zoom)
    }

    fn zoom_at(&mut self, rect: Rect, at: Pos2, factor: f32) {
        let before = self.zoom;
        self.zoom = (self.zoom * factor).clamp(1.0, MAX_ZOOM);
        let centre = rect.center() + self.pan;
        self.pan += (at - centre) * (1.0 - self.zoom / before);
        if self.zoom <= 1.0 {
            self.pan = Vec2::ZERO;
        }
    }

    fn interact(&mut self, ui: &Ui, response: &Response, rect: Rect, size: [u32; 2]) {
        if response.dragged_by(PointerButton::Primary)
            && let (Some(window), Some(shown)) = (&mut self.window, &self.shown)
        {
            let range = shown
                .presets
                .last()
                .map_or(256.0, |_| full_range(&shown.presets));
            self.fitted |= drag_window(window, response.drag_delta(), range);
        }
        if response.dragged_by(PointerButton::Middle) {
            self.pan += response.drag_delta();
        }
        if response.dragged_by(PointerButton::Secondary) {
            let factor = (-response.drag_delta().y * 0.01).exp();
            self.zoom_at(rect, rect.center(), factor);
        }
        if response.double_clicked() {
            self.reset_view();
        }
        if let Some(pos) = response.hover_pos() {
            let (scroll, pinch) =
                ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
            let factor = (scroll * 0.005).exp() * pinch;
            if factor != 1.0 {
                self.zoom_at(rect, pos, factor);
                // The wheel belongs to the film: no scroll area around it moves as well.
                ui.ctx()
                    .input_mut(|input| input.smooth_scroll_delta = Vec2::ZERO);
            }
        }
        let fitted = example::fit(rect, size).size() * self.zoom;
        let slack = ((fitted - rect.size()) / 2.0).max(Vec2::ZERO) + rect.size() * 0.25;
        self.pan = self.pan.clamp(-slack, slack);
        if self.zoom <= 1.0 {
            self.pan = Vec2::ZERO;
        }
    }

    fn keys(&mut self, ui: &Ui) {
        if ui.ctx().egui_wants_keyboard_input() {
            return;
        }
        let ctx = ui.ctx();
        let presets = [
            Action::Preset1,
            Action::Preset2,
            Action::Preset3,
            Action::Preset4,
            Action::Preset5,
        ];
        let mut chosen = None;
        if let Some(shown) = &self.shown {
            for (preset, action) in shown.presets.iter().zip(presets) {
                if keys::fired(ctx, action) {
                    chosen = Some(preset.clone());
                }
            }
        }
        if let Some(chosen) = chosen {
            self.choose(chosen);
        }
        if keys::fired(ctx, Action::Invert) {
            self.inverted = !self.inverted;
        }
        if keys::fired(ctx, Action::Fit) || ui.input(|input| input.key_pressed(Key::Escape)) {
            self.reset_view();
        }
    }

    fn refresh_texture(&mut self, ui: &Ui) {
        let (Some(shown), Some(window)) = (&mut self.shown, &self.window) else {
            return;
        };
        let wanted = (window.clone(), self.inverted);
        if shown.made_with != wanted {
            let side = ui.ctx().input(|input| input.max_texture_side);
            let image = film_shade::shade(&shown.film, window, self.inverted, side);
            shown.texture.set(image, TextureOptions::LINEAR);
            shown.made_with = wanted;
        }
    }

    /// Name, window, zoom, badges and the safety line.
    fn paint_notes(&self, painter: &egui::Painter, rect: Rect, subject: &Subject<'_>) {
        notice::film_text(painter, rect, Align2::LEFT_TOP, subject.name);
        notice::film_text(painter, rect, Align2::CENTER_BOTTOM, notice::SAFETY);
        let mut badges: Vec<String> = Vec::new();
        if let Some(shown) = &self.shown {
            badges.extend(shown.film.badges.iter().cloned());
        }
        if self.fitted {
            badges.push("Window fitted to the file's table".to_owned());
        }
        if self.inverted {
            badges.push("inverted".to_owned());
        }
        if self.zoom > 1.0 {
            badges.push(format!("zoomed {:.1}x", self.zoom));
        }
        if !badges.is_empty() {
            notice::film_text(painter, rect, Align2::RIGHT_TOP, &badges.join(" · "));
        }
        if let Some(window) = &self.window {
            let function = match window.function {
                VoiFunction::Linear => "",
                VoiFunction::LinearExact => "  exact",
                VoiFunction::Sigmoid => "  sigmoid",
                VoiFunction::Table(_) => "  table",
            };
            let text = format!("C {:.0}  W {:.0}{function}", window.centre, window.width);
            notice::film_text(painter, rect, Align2::LEFT_BOTTOM, &text);
        }
    }

    /// Where the sides of the film point to in the patient, as far as the file says so.
    fn paint_edges(&self, painter: &egui::Painter, rect: Rect, film: Rect) {
        let Some(edges) = self
            .shown
            .as_ref()
            .and_then(|shown| shown.film.edges.as_ref())
        else {
            return;
        };
        let seen = rect.intersect(film);
        notice::film_text(painter, seen, Align2::LEFT_CENTER, &edges.left());
        notice::film_text(painter, seen, Align2::RIGHT_CENTER, &edges.right);
    }

    /// The whole film in a corner while zoomed, so that its side marker stays in sight.
    fn paint_overview(
        &self,
        ctx: &AppContext<'_>,
        ui: &Ui,
        rect: Rect,
        film: Rect,
        subject: &Subject<'_>,
    ) {
        let side = (rect.width().min(rect.height()) * 0.22).clamp(72.0, 160.0);
        let corner = rect.right_bottom() - Vec2::splat(side + GRID);
        let inset = Rect::from_min_size(corner, Vec2::splat(side));
        if let Some(shown) = &self.shown {
            let painter = ui.painter();
            let whole = example::fit(inset, subject.size);
            painter.rect_filled(whole, 0.0, tokens::FILM_BACKGROUND);
            painter.image(shown.texture.id(), whole, example::WHOLE, tokens::UNTINTED);
            let seen = rect.intersect(film);
            let scale = whole.width() / film.width();
            let view = Rect::from_min_size(
                whole.min + (seen.min - film.min) * scale,
                seen.size() * scale,
            );
            let line = Stroke::new(1.0, tokens::FILM_TEXT);
            painter.rect_stroke(
                whole,
                0.0,
                Stroke::new(1.0, tokens::PATCH_LINE),
                StrokeKind::Outside,
            );
            painter.rect_stroke(view, 0.0, line, StrokeKind::Inside);
        } else {
            example::paint_film(
                ctx,
                ui,
                inset,
                (subject.dataset, subject.sample),
                subject.size,
            );
        }
    }
}

/// Moves a window as far as the pointer was dragged; its function stays. Of a table the straight
/// window that fits it is moved: true then.
fn drag_window(window: &mut Window, delta: Vec2, range: f32) -> bool {
    if delta == Vec2::ZERO {
        return false;
    }
    let fitted = window.is_table();
    if fitted {
        *window = window.without_table();
    }
    let gain = range / 1024.0;
    window.width = (window.width + delta.x * gain * 2.0).clamp(1.0, range * 4.0);
    window.centre = (window.centre + delta.y * gain * 2.0).clamp(-range, 2.0 * range);
    "By hand".clone_into(&mut window.name);
    fitted
}

fn paint_heat(ctx: &AppContext<'_>, ui: &Ui, rect: Rect, film: Rect, subject: &Subject<'_>) {
    let Some(heat) = &subject.heat else { return };
    let columns = heat.grid.columns as usize;
    if ctx.heat.visible()
        && let Some(texture) =
            ctx.films
                .heatmap(ui.ctx(), heat.activations, columns, heat.maximum, ctx.heat)
    {
        let place = example::grid_rect(film, subject.size, &heat.grid);
        let painter = ui.painter_at(rect.intersect(film));
        painter.image(texture.id(), place, example::WHOLE, tokens::UNTINTED);
    }
    paint_legend(&ui.painter_at(rect), rect, heat, ctx.heat.opacity);
}

/// Extent of the stored values, from the preset that shows all of them.
fn full_range(presets: &[Window]) -> f32 {
    presets
        .iter()
        .map(|window| window.width)
        .fold(1.0, f32::max)
}

fn heat_tools_ui(ctx: &AppContext<'_>, ui: &mut Ui) {
    let mut style = ctx.heat;
    ui.toggle_value(&mut style.shown, "Heatmap")
        .on_hover_text("Hold H to hide the heatmap for a moment");
    ui.toggle_value(&mut style.smooth, "Smooth")
        .on_hover_text("Between patch centres, or the raw patches (G)");
    ui.spacing_mut().slider_width = 72.0;
    ui.add(egui::Slider::new(&mut style.opacity, 0.1..=1.0).show_value(false))
        .accessible_name("Heatmap opacity")
        .on_hover_text("Heatmap opacity: [ and ]");
    if style != ctx.heat {
        ctx.send(Command::SetHeat(style));
    }
}

fn paint_boxes(painter: &egui::Painter, film: Rect, subject: &Subject<'_>) {
    let scale = film.width() / subject.size[0].max(1) as f32;
    let stroke = Stroke::new(1.5, tokens::FINDING_BOX);
    for finding in subject.boxes {
        let [left, top, width, height] = finding.rect;
        let place = Rect::from_min_size(
            film.min + Vec2::new(left, top) * scale,
            Vec2::new(width, height) * scale,
        );
        painter.rect_stroke(place, 2.0, stroke, StrokeKind::Outside);
        let name = painter.layout_no_wrap(
            finding.finding.clone(),
            tokens::small_font(),
            tokens::FINDING_BOX,
        );
        let at = place.left_top() - Vec2::new(0.0, name.size().y + 3.0);
        let back = Rect::from_min_size(at, name.size()).expand2(Vec2::new(3.0, 1.0));
        painter.rect_filled(back, 2.0, tokens::FILM_TEXT_BACKGROUND);
        painter.galley(at, name, tokens::FINDING_BOX);
    }
}

/// Patch boundaries.
fn paint_patch_lines(painter: &egui::Painter, place: Rect, grid: &PatchGrid) {
    let step = Vec2::new(
        place.width() / grid.columns.max(1) as f32,
        place.height() / grid.rows.max(1) as f32,
    );
    let stroke = Stroke::new(1.0, tokens::PATCH_LINE);
    for i in 0..=grid.columns {
        painter.vline(place.left() + step.x * i as f32, place.y_range(), stroke);
    }
    for i in 0..=grid.rows {
        painter.hline(place.x_range(), place.top() + step.y * i as f32, stroke);
    }
}

/// The scale of the heatmap, with its unit.
fn paint_legend(painter: &egui::Painter, rect: Rect, heat: &Heat<'_>, opacity: f32) {
    let maximum = heat.maximum;
    let height = (rect.height() * 0.35).clamp(64.0, 200.0);
    let bar = Rect::from_min_size(
        Pos2::new(rect.right() - GRID - 12.0, rect.center().y - height / 2.0),
        Vec2::new(12.0, height),
    );
    painter.rect_filled(
        bar.expand(HALF),
        tokens::RADIUS,
        tokens::FILM_TEXT_BACKGROUND,
    );
    let n_steps = 48;
    for i in 0..n_steps {
        let share = (i as f32 + 0.5) / n_steps as f32;
        let step = bar.height() / n_steps as f32;
        let top = bar.bottom() - step * (i + 1) as f32;
        let cell = Rect::from_min_size(
            Pos2::new(bar.left(), top),
            Vec2::new(bar.width(), step + 0.5),
        );
        painter.rect_filled(cell, 0.0, colour_map::on_black(share, opacity));
    }
    for (share, text) in [
        (0.0, "0".to_owned()),
        (0.5, number::activation(maximum * 0.5)),
        (1.0, number::activation(maximum)),
    ] {
        let y = bar.bottom() - bar.height() * share;
        let galley = painter.layout_no_wrap(text, tokens::small_font(), tokens::FILM_TEXT);
        let at = Pos2::new(
            bar.left() - HALF - galley.size().x - 3.0,
            y - galley.size().y / 2.0,
        );
        let back = Rect::from_min_size(at, galley.size()).expand2(Vec2::new(3.0, 0.0));
        painter.rect_filled(back, 2.0, tokens::FILM_TEXT_BACKGROUND);
        painter.galley(at, galley, tokens::FILM_TEXT);
    }
    let top = Rect::from_min_max(
        Pos2::new(rect.left(), bar.top() - 34.0),
        Pos2::new(rect.right() - HALF, bar.top() - HALF),
    );
    notice::film_text(painter, top, Align2::RIGHT_BOTTOM, heat.unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dragging_keeps_the_function_and_leaves_a_table_for_the_line_that_fits() {
        let by = Vec2::new(10.0, -4.0);
        let mut sigmoid = Window {
            function: VoiFunction::Sigmoid,
            ..Window::between(0.0, 1023.0, "Chest")
        };
        assert!(!drag_window(&mut sigmoid, by, 1024.0));
        assert_eq!(sigmoid.function, VoiFunction::Sigmoid);
        assert_eq!((sigmoid.width, sigmoid.centre), (1044.0, 504.0));

        let table = schema::VoiTable::new(|x| x.min(1023) * 64);
        let whole = Window::from_table(table, "Bone");
        let mut window = whole.clone();
        assert!(!drag_window(&mut window, Vec2::ZERO, 1024.0));
        assert_eq!(window, whole);
        assert!(drag_window(&mut window, by, 1024.0));
        assert_eq!(window.function, VoiFunction::Linear);
        assert!(!drag_window(&mut window, by, 1024.0), "fitted once only");
        assert_eq!(window.name, "By hand");
    }
}
