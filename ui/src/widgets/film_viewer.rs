//! The large view of a film: window and level, zoom, pan, invert, heatmap, legend, badges.

mod marks;

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
use crate::tokens::{self, GRID};
use crate::widgets::film_shade::Part;
use crate::widgets::{example, film_shade, notice};

/// Furthest zoom.
const MAX_ZOOM: f32 = 32.0;
/// Zoom from which patch boundaries are drawn, lest anyone believe detail within a patch.
const PATCH_LINES_FROM: f32 = 2.0;

/// Keys of the first window presets.
const PRESETS: [Action; 5] = [
    Action::Preset1,
    Action::Preset2,
    Action::Preset3,
    Action::Preset4,
    Action::Preset5,
];

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
    /// The part of the film that is on the screen, no finer than the screen is.
    texture: TextureHandle,
    /// What `texture` was made with.
    made_with: Option<Made>,
    /// The whole film, small; made when it is needed.
    small: Option<(TextureHandle, (Window, bool))>,
}

/// What the texture of a film is made with.
#[derive(Clone, PartialEq)]
struct Made {
    window: Window,
    inverted: bool,
    /// Which size of the film.
    level: usize,
    part: Part,
}

/// Whose film keys are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyboard {
    /// This one.
    Mine,
    /// One beside it.
    Another,
}

/// State of one viewer.
pub(crate) struct FilmViewer {
    shown: Option<Shown>,
    window: Option<Window>,
    /// Whether `window` began as the line that fits a table of the file.
    fitted: bool,
    inverted: bool,
    boxes_hidden: bool,
    keyboard: Keyboard,
    zoom: f32,
    pan: Vec2,
    /// Where the film was drawn last.
    drawn: Option<Rect>,
}

impl Default for FilmViewer {
    fn default() -> Self {
        Self {
            shown: None,
            window: None,
            fitted: false,
            inverted: false,
            boxes_hidden: false,
            keyboard: Keyboard::Mine,
            zoom: 1.0,
            pan: Vec2::ZERO,
            drawn: None,
        }
    }
}

impl FilmViewer {
    /// The tools, then the film in all the space that is left.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, subject: &Subject<'_>) {
        self.ui_with(ctx, ui, subject, |_| {});
    }

    /// The same, with more tools behind its own.
    pub(crate) fn ui_with(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        subject: &Subject<'_>,
        tools: impl FnOnce(&mut Ui),
    ) {
        let problem = self.load(ctx, ui, subject);
        self.tools_ui(ctx, ui, subject, tools);
        let size = ui.available_size().max(Vec2::splat(120.0));
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let label = format!("Radiograph {}. {}", subject.name, notice::SAFETY);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
        self.interact(ui, &response, rect, subject.size);
        if self.keyboard == Keyboard::Mine {
            self.keys(ui);
        }
        let film = self.film_rect(rect, subject.size);
        self.refresh_texture(ui, rect, film);
        self.drawn = Some(rect.intersect(film));
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, tokens::RADIUS, tokens::FILM_BACKGROUND);
        match (&self.shown, &problem) {
            (Some(shown), None) => {
                painter.image(
                    shown.texture.id(),
                    shown.place(film),
                    example::WHOLE,
                    tokens::UNTINTED,
                );
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
        marks::paint_heat(ctx, ui, rect, film, subject);
        if self.zoom >= PATCH_LINES_FROM
            && ctx.heat.visible()
            && let Some(heat) = &subject.heat
        {
            let place = example::grid_rect(film, subject.size, &heat.grid);
            marks::paint_patch_lines(&ui.painter_at(rect.intersect(film)), place, &heat.grid);
        }
        if !self.boxes_hidden {
            marks::paint_boxes(&painter, film, subject);
        }
        self.paint_edges(&painter, rect, film);
        self.paint_notes(&painter, rect, subject);
        if self.zoom > 1.05 {
            self.paint_overview(ctx, ui, rect, film, subject);
        }
    }

    /// A viewer whose keys are for another film beside it.
    pub(crate) fn deaf() -> Self {
        Self {
            keyboard: Keyboard::Another,
            ..Self::default()
        }
    }

    /// How far the film is zoomed in, and how far it is moved.
    pub(crate) fn view(&self) -> (f32, Vec2) {
        (self.zoom, self.pan)
    }

    /// Zooms and moves the film as another one.
    pub(crate) fn set_view(&mut self, (zoom, pan): (f32, Vec2)) {
        (self.zoom, self.pan) = (zoom, pan);
    }

    /// Where the film was drawn last.
    pub(crate) fn drawn(&self) -> Option<Rect> {
        self.drawn
    }

    /// Whether the film is shown otherwise than it came: another window, or inverted.
    pub(crate) fn is_changed(&self) -> bool {
        let first = self
            .shown
            .as_ref()
            .and_then(|shown| shown.film.windows.first());
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
                let texture = ui.ctx().load_texture(
                    "film",
                    egui::ColorImage::default(),
                    TextureOptions::LINEAR,
                );
                match film.windows.first() {
                    Some(window) => self.choose(window.clone()),
                    None => return Some("This film has no pixels".to_owned()),
                }
                self.inverted = false;
                self.reset_view();
                self.shown = Some(Shown {
                    dataset: subject.dataset.to_owned(),
                    sample: subject.sample,
                    film,
                    texture,
                    made_with: None,
                    small: None,
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

    fn tools_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        subject: &Subject<'_>,
        tools: impl FnOnce(&mut Ui),
    ) {
        let map = keys::of(ui.ctx());
        ui.horizontal_wrapped(|ui| {
            let presets = self
                .shown
                .as_ref()
                .map_or(&[][..], |shown| &shown.film.windows);
            let current = self.window.as_ref().map_or("Window", |window| &window.name);
            let mut chosen = None;
            egui::ComboBox::from_id_salt("window preset")
                .selected_text(current)
                .width(150.0)
                .show_ui(ui, |ui| {
                    for (i, preset) in presets.iter().enumerate() {
                        let selected = self.window.as_ref() == Some(preset);
                        let key = PRESETS.get(i).map(|&action| map.text(action));
                        let key = key.unwrap_or_default();
                        let text = format!("{}   {key}", preset.name);
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
            self.numbers_ui(ui);
            ui.toggle_value(&mut self.inverted, "Invert")
                .on_hover_text(map.text(Action::Invert));
            let fit = ui.button("Fit");
            if fit.on_hover_text(map.text(Action::Fit)).clicked() {
                self.reset_view();
            }
            if !subject.boxes.is_empty() {
                let mut shown = !self.boxes_hidden;
                ui.toggle_value(&mut shown, "Boxes")
                    .on_hover_text("Boxes around findings");
                self.boxes_hidden = !shown;
            }
            if subject.heat.is_some() {
                heat_tools_ui(ctx, ui);
            }
            tools(ui);
        });
    }

    /// The window in numbers, to be typed: centre and width, or lowest and highest value.
    fn numbers_ui(&mut self, ui: &mut Ui) {
        let Some(window) = &self.window else {
            return;
        };
        let (mut centre, mut width) = (window.centre, window.width);
        ui.menu_button("C/W", |ui| {
            let half = width / 2.0;
            let (mut low, mut high) = (centre - half, centre + half);
            for (name, value) in [("Centre", &mut centre), ("Width", &mut width)] {
                ui.horizontal(|ui| {
                    let field = ui.add(egui::DragValue::new(value).speed(1.0));
                    field.labelled_by(ui.label(name).id);
                });
            }
            let before = (low, high);
            for (name, value) in [("Lowest", &mut low), ("Highest", &mut high)] {
                ui.horizontal(|ui| {
                    let field = ui.add(egui::DragValue::new(value).speed(1.0));
                    field.labelled_by(ui.label(name).id);
                });
            }
            if (low, high) != before && high > low {
                (centre, width) = (f32::midpoint(low, high), high - low);
            }
        })
        .response
        .on_hover_text("Type the window: centre and width, or lowest and highest value")
        .accessible_name("Window in numbers");
        let width = width.max(1.0);
        if (centre, width) != (window.centre, window.width) {
            let mut changed = if window.is_table() {
                self.fitted = true;
                window.without_table()
            } else {
                window.clone()
            };
            (changed.centre, changed.width) = (centre, width);
            "By hand".clone_into(&mut changed.name);
            self.window = Some(changed);
        }
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
            let range = full_range(&shown.film.windows);
            let gain = range / 1024.0 * drag_pace(ui);
            self.fitted |= drag_window(window, response.drag_delta() * gain, range);
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
        let mut chosen = None;
        if let Some(shown) = &self.shown {
            for (preset, action) in shown.film.windows.iter().zip(PRESETS) {
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

    /// Puts the part of the film that is on the screen through the window, at the size that the
    /// screen shows: what this costs goes with the screen, not with the film.
    fn refresh_texture(&mut self, ui: &Ui, rect: Rect, film: Rect) {
        let (Some(shown), Some(window)) = (&mut self.shown, &self.window) else {
            return;
        };
        let across = film.width() * ui.ctx().pixels_per_point();
        let (at, level) = film_shade::level(&shown.film, across);
        let wanted = Made {
            window: window.clone(),
            inverted: self.inverted,
            level: at,
            part: part_of(rect.intersect(film), film, [level.width, level.height]),
        };
        if shown.made_with.as_ref() != Some(&wanted) {
            let image = film_shade::shade(level, wanted.part, window, self.inverted);
            shown.texture.set(image, TextureOptions::LINEAR);
            shown.made_with = Some(wanted);
        }
        let whole = (window.clone(), self.inverted);
        let is_made = shown.small.as_ref().is_some_and(|small| small.1 == whole);
        if self.zoom > 1.05
            && !is_made
            && let Some(level) = film_shade::levels(&shown.film).last()
        {
            let part = [0, 0, level.width, level.height];
            let image = film_shade::shade(level, part, window, self.inverted);
            let texture = ui
                .ctx()
                .load_texture("small film", image, TextureOptions::LINEAR);
            shown.small = Some((texture, whole));
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
        let first = self
            .shown
            .as_ref()
            .and_then(|shown| shown.film.windows.first());
        if !self.fitted && first.is_some() && self.window.as_ref() != first {
            badges.push("another window".to_owned());
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
        if let Some((small, _)) = self.shown.as_ref().and_then(|shown| shown.small.as_ref()) {
            let painter = ui.painter();
            let whole = example::fit(inset, subject.size);
            painter.rect_filled(whole, 0.0, tokens::FILM_BACKGROUND);
            painter.image(small.id(), whole, example::WHOLE, tokens::UNTINTED);
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

impl Shown {
    /// Where the part that `texture` holds lies, with the film in `film`.
    fn place(&self, film: Rect) -> Rect {
        let Some(made) = &self.made_with else {
            return film;
        };
        let Some(level) = film_shade::levels(&self.film).nth(made.level) else {
            return film;
        };
        let scale = Vec2::new(
            film.width() / level.width.max(1) as f32,
            film.height() / level.height.max(1) as f32,
        );
        let [left, top, right, bottom] = made.part.map(|edge| edge as f32);
        Rect::from_min_max(
            film.min + Vec2::new(left, top) * scale,
            film.min + Vec2::new(right, bottom) * scale,
        )
    }
}

/// The pixels of a film of `size`, drawn in `film`, that `seen` touches, and one more around them.
fn part_of(seen: Rect, film: Rect, [width, height]: [u32; 2]) -> Part {
    let edge = |at: f32, from: f32, extent: f32, n: u32, out: f32| -> u32 {
        let exact = (at - from) / extent.max(1.0) * n as f32;
        let whole = if out < 0.0 {
            exact.floor()
        } else {
            exact.ceil()
        };
        (whole + out).clamp(0.0, n as f32) as u32
    };
    [
        edge(seen.left(), film.left(), film.width(), width, -1.0),
        edge(seen.top(), film.top(), film.height(), height, -1.0),
        edge(seen.right(), film.left(), film.width(), width, 1.0),
        edge(seen.bottom(), film.top(), film.height(), height, 1.0),
    ]
}

/// How fast dragging changes the window: coarse with Shift, fine with Ctrl.
fn drag_pace(ui: &Ui) -> f32 {
    ui.input(
        |input| match (input.modifiers.shift, input.modifiers.command) {
            (true, _) => 4.0,
            (_, true) => 0.25,
            _ => 1.0,
        },
    )
}

/// Moves a window by so many values (width across, centre down); its function stays. Of a table the straight
/// window that fits it is moved: true then.
fn drag_window(window: &mut Window, delta: Vec2, range: f32) -> bool {
    if delta == Vec2::ZERO {
        return false;
    }
    let fitted = window.is_table();
    if fitted {
        *window = window.without_table();
    }
    window.width = (window.width + delta.x).clamp(1.0, range * 4.0);
    window.centre = (window.centre + delta.y).clamp(-range, 2.0 * range);
    "By hand".clone_into(&mut window.name);
    fitted
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_seen_is_drawn() {
        let film = Rect::from_min_size(Pos2::new(-100.0, 0.0), Vec2::new(400.0, 200.0));
        let seen = Rect::from_min_size(Pos2::ZERO, Vec2::new(100.0, 200.0));
        assert_eq!(part_of(seen, film, [4000, 2000]), [999, 0, 2001, 2000]);
        assert_eq!(part_of(film, film, [4000, 2000]), [0, 0, 4000, 2000]);
    }

    #[test]
    fn dragging_keeps_the_function_and_leaves_a_table_for_the_line_that_fits() {
        let by = Vec2::new(20.0, -8.0);
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
