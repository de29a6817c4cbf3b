//! The large view of a film: window and level, zoom, pan, invert, heatmap, boxes, legend, badges.

mod look;
mod marks;
mod notes;
mod picture;
mod save;
mod tools;
mod windowing;

use std::sync::Arc;

use egui::{Align2, Key, PointerButton, Pos2, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{FilmSize, FilmState};
use schema::{FindingBox, PatchGrid, Window};

use self::picture::Shown;
use self::windowing::{drag_pace, drag_window, full_range};
use crate::app_context::AppContext;
use crate::keys::{self, Action};
use crate::tokens;
use crate::widgets::example::{self, FilmPlace};
use crate::widgets::notice;

pub(crate) use look::Look;

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

/// Who says where a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxSource {
    /// The dataset: its radiologists, or the plan of a phantom.
    Data,
    /// The model, in a report with places.
    Model,
}

/// Boxes of one source, switched on and off together.
#[derive(Clone, Copy)]
pub(crate) struct BoxLayer<'a> {
    pub(crate) source: BoxSource,
    pub(crate) boxes: &'a [FindingBox],
}

/// The film to show.
pub(crate) struct Subject<'a> {
    pub(crate) place: FilmPlace<'a>,
    pub(crate) name: &'a str,
    pub(crate) size: [u32; 2],
    pub(crate) heat: Option<Heat<'a>>,
    pub(crate) boxes: &'a [BoxLayer<'a>],
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
    /// Sources of boxes that are not drawn.
    hidden: Vec<BoxSource>,
    keyboard: Keyboard,
    /// Whether the wheel scrolls what is around the film, and zooms with Ctrl only.
    scrolls_past: bool,
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
            hidden: Vec::new(),
            keyboard: Keyboard::Mine,
            scrolls_past: false,
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
        self.tools_ui(ctx, ui, subject, tools);
        self.film_ui(ctx, ui, subject);
    }

    /// The film alone, in all the space that is left.
    pub(crate) fn film_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, subject: &Subject<'_>) {
        let problem = self.load(ctx, subject);
        let size = ui.available_size().max(Vec2::splat(120.0));
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let label = format!("Radiograph {}. {}", subject.name, notice::SAFETY);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
        let drawn_over = marks::in_words(ctx, subject, &self.hidden);
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_description(drawn_over);
        });
        self.interact(ui, &response, rect, subject.size);
        if self.keyboard == Keyboard::Mine {
            self.keys(ui);
        }
        let film = self.film_rect(rect, subject.size);
        self.refresh_picture(ui, rect, film);
        self.drawn = Some(rect.intersect(film));
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, tokens::RADIUS, tokens::FILM_BACKGROUND);
        match (&self.shown, &problem) {
            (Some(shown), None) => {
                shown.paint(&painter, rect, film);
            }
            (_, Some(problem)) => notice::film_text(&painter, rect, Align2::CENTER_CENTER, problem),
            (None, None) => {
                example::paint_film(ctx, ui, film, subject.place, subject.size);
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
        marks::paint_boxes(&painter, rect, film, (subject, &self.hidden));
        self.paint_edges(&painter, rect, film);
        self.paint_notes(&painter, rect, (subject, !ctx.heat.visible()));
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

    /// A viewer in a column that is scrolled.
    pub(crate) fn in_a_column() -> Self {
        Self {
            scrolls_past: true,
            ..Self::default()
        }
    }

    /// A viewer that draws what the dataset marks only when it is asked to.
    pub(crate) fn unmarked() -> Self {
        Self {
            hidden: vec![BoxSource::Data],
            ..Self::default()
        }
    }

    /// Whether keys are for this film.
    pub(crate) fn hear(&mut self, keys: bool) {
        self.keyboard = if keys {
            Keyboard::Mine
        } else {
            Keyboard::Another
        };
    }

    /// Which sources of boxes are not drawn.
    pub(crate) fn hidden_boxes(&self) -> &[BoxSource] {
        &self.hidden
    }

    /// Draws boxes of all sources but these.
    pub(crate) fn hide_boxes(&mut self, hidden: Vec<BoxSource>) {
        self.hidden = hidden;
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
    fn load(&mut self, ctx: &AppContext<'_>, subject: &Subject<'_>) -> Option<String> {
        if let Some(shown) = &self.shown
            && shown.is_of(subject.place)
        {
            return None;
        }
        self.shown = None;
        match subject.place.read(ctx.backend, FilmSize::Full) {
            FilmState::Loading => {
                ctx.films.note_loading();
                None
            }
            FilmState::Failed(reason) => Some(reason),
            FilmState::Ready(film) => {
                match film.windows.first() {
                    Some(window) => self.choose(window.clone()),
                    None => return Some("This film has no pixels".to_owned()),
                }
                self.inverted = false;
                self.reset_view();
                self.shown = Some(Shown::new(subject.place, film));
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
            let scroll = if self.scrolls_past { 0.0 } else { scroll };
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
}
