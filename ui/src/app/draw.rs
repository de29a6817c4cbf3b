//! Draws the frame of the window: rail, top bar, job bar, and the screen between them.

use egui::{
    Align2, ComboBox, Frame, Margin, Panel as EguiPanel, Pos2, Rect, RichText, Role, Sense, Stroke,
    Ui, Vec2, WidgetInfo,
};

use crate::app::{App, AppContext, context};
use crate::app_context::kind_name;
use crate::commands::{Command, CommandSender, Rail, Screen, action_of};
use crate::keys::Action;
use crate::screens::Panel as _;
use crate::tokens::{self, GRID, RAIL_WIDTH, TOP_HEIGHT};
use crate::widgets::{icon, item_strip};
use crate::{jobs_bar, keys, keys_sheet, sending, tour};

/// Width of the list of dictionaries in the top bar.
const DICTIONARY_WIDTH: f32 = 144.0;

impl App {
    /// Draws everything; changes nothing but what belongs to the widgets.
    pub fn draw(&mut self, ui: &mut Ui) {
        self.films.begin_frame();
        self.toasts.begin_frame(ui);
        let theme = tokens::of(ui);
        let chrome = Frame::new().fill(theme.chrome);
        EguiPanel::left("rail")
            .exact_size(RAIL_WIDTH)
            .resizable(false)
            .frame(chrome)
            .show(ui, |ui| {
                rail_ui(&self.commands, ui, self.screen, self.look.rail);
            });
        EguiPanel::bottom("jobs")
            .exact_size(jobs_bar::height(self.seen.jobs.len()))
            .resizable(false)
            .frame(chrome.inner_margin(Margin::symmetric(12, 0)))
            .show(ui, |ui| {
                let device = engine::device();
                let about = (&device, self.seen.sends);
                let said = (self.seen.jobs.as_slice(), self.toasts.done());
                jobs_bar::ui(&self.commands, ui, said, about);
            });
        // There also while empty: ids of all that follows would change with it.
        let margin = if self.toasts.has_problems() {
            Margin::symmetric(12, 8)
        } else {
            Margin::ZERO
        };
        EguiPanel::bottom("problems")
            .resizable(false)
            .show_separator_line(false)
            .default_size(0.0)
            .min_size(0.0)
            .frame(chrome.inner_margin(margin))
            .show(ui, |ui| self.toasts.problems_ui(&self.commands, ui));
        EguiPanel::top("top")
            .exact_size(TOP_HEIGHT)
            .resizable(false)
            .frame(chrome.inner_margin(Margin::symmetric(16, 0)))
            .show(ui, |ui| self.top_ui(ui));
        egui::CentralPanel::default()
            .frame(
                Frame::new()
                    .fill(theme.canvas)
                    .inner_margin(Margin::same(12)),
            )
            .show(ui, |ui| {
                let ctx = context!(self);
                match self.screen {
                    Screen::Start => self.screens.start.ui(&ctx, ui),
                    Screen::Data => self.screens.data.ui(&ctx, ui),
                    Screen::Models => self.screens.models.ui(&ctx, ui),
                    Screen::Train => self.screens.train.ui(&ctx, ui),
                    Screen::Gallery => self.screens.gallery.ui(&ctx, ui),
                    Screen::Feature => self.screens.feature.ui(&ctx, ui),
                    Screen::Review => self.screens.review.ui(&ctx, ui),
                    Screen::Steer => self.screens.steer.ui(&ctx, ui),
                    Screen::Evaluate => self.screens.evaluate.ui(&ctx, ui),
                    Screen::Settings => self.screens.settings.ui(&ctx, ui),
                }
            });
        let ctx = context!(self);
        self.palette.ui(&ctx, ui);
        if self.keys_shown {
            self.keys_shown = keys_sheet::ui(&self.commands, ui);
        }
        if let Some(waiting) = &self.sending
            && !sending::ui(&self.commands, ui, waiting)
        {
            self.sending = None;
        }
        if let Some(step) = self.tour {
            tour::ui(&self.commands, ui, step);
        }
        self.drop_hint_ui(ui);
    }

    fn title(&self) -> String {
        match self.screen {
            Screen::Start => self.screens.start.title(),
            Screen::Data => self.screens.data.title(),
            Screen::Models => self.screens.models.title(),
            Screen::Train => self.screens.train.title(),
            Screen::Gallery => self.screens.gallery.title(),
            Screen::Feature => self.screens.feature.title(),
            Screen::Review => self.screens.review.title(),
            Screen::Steer => self.screens.steer.title(),
            Screen::Evaluate => self.screens.evaluate.title(),
            Screen::Settings => self.screens.settings.title(),
        }
    }

    fn top_ui(&mut self, ui: &mut Ui) {
        let theme = tokens::of(ui);
        ui.horizontal_centered(|ui| {
            let project = self.seen.project.as_ref();
            let name = project.map_or("No project", |project| &project.name);
            let label = ui.label(RichText::new(name).font(tokens::title_font()));
            if let Some(project) = project {
                label.on_hover_text(&project.path);
            }
            if !self.seen.dictionaries.is_empty() {
                dictionary_ui(&context!(self), ui, self.dictionary_at_hand().as_deref());
            }
            ui.label(RichText::new("/").color(theme.text_weak));
            ui.label(RichText::new(self.title()).color(theme.text_weak));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let theme_name = if self.look.light { "Dark" } else { "Light" };
                let toggle = ui
                    .button(theme_name)
                    .on_hover_text(keys::of(ui.ctx()).text(Action::Theme));
                if toggle
                    .accessible_name(format!("Switch to {theme_name}"))
                    .clicked()
                {
                    self.commands.send(Command::ToggleTheme);
                }
                if ui.button("?").accessible_name("Keys").clicked() {
                    self.commands.send(Command::ShowKeys);
                }
                if self.layout.is_alone(self.screen) {
                    let hint = keys::labelled(ui.ctx(), "Beside the main panel", Action::Alone);
                    let button = ui.button("All panels").on_hover_text(hint);
                    if button.accessible_name("Show all panels").clicked() {
                        self.commands.send(Command::ToggleAlone);
                    }
                }
                if self.screen == Screen::Gallery {
                    let mut on = self.screens.gallery.side_by_side;
                    let toggle = ui.toggle_value(&mut on, "Side by side");
                    if toggle
                        .on_hover_text(keys::labelled(
                            ui.ctx(),
                            "Two dictionaries at once",
                            Action::SideBySide,
                        ))
                        .changed()
                    {
                        self.commands.send(Command::ToggleSideBySide);
                    }
                }
                search_ui(&self.commands, ui);
            });
        });
    }
}

/// The dictionary at hand; choosing another shows that where one is.
fn dictionary_ui(ctx: &AppContext<'_>, ui: &mut Ui, at_hand: Option<&str>) {
    ComboBox::from_id_salt("dictionary at hand")
        .selected_text(at_hand.unwrap_or("Dictionary"))
        .width(DICTIONARY_WIDTH)
        .truncate()
        .show_ui(ui, |ui| {
            for view in ctx.dictionaries {
                let kind = kind_name(view.kind);
                let more = if view.indexed { "" } else { ", no gallery yet" };
                let text = format!("{} · {kind}{more}", view.name);
                let is_chosen = at_hand == Some(&view.name);
                if ui.selectable_label(is_chosen, text).clicked() && !is_chosen {
                    ctx.send(Command::SwitchDictionary(view.name.clone()));
                }
            }
        })
        .response
        .on_hover_text("The dictionary at hand; another one is shown in this place too")
        .accessible_name("Dictionary at hand");
}

/// Looks like a field, opens the palette.
fn search_ui(commands: &CommandSender, ui: &mut Ui) {
    let theme = tokens::of(ui);
    let width = (ui.available_width() - GRID * 2.0).clamp(120.0, 320.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 28.0), Sense::click());
    response
        .widget_info(|| WidgetInfo::labeled(Role::Button, true, "Search features and commands"));
    let line = if response.hovered() || response.has_focus() {
        theme.accent
    } else {
        theme.outline
    };
    ui.painter().rect(
        rect,
        tokens::RADIUS,
        theme.canvas,
        Stroke::new(1.0, line),
        egui::StrokeKind::Inside,
    );
    let inner = rect.shrink2(Vec2::new(10.0, 0.0));
    let text = item_strip::truncated(
        ui.painter(),
        "Search features and commands",
        inner.width() - 52.0,
        theme.text_weak,
    );
    let at = Pos2::new(inner.left(), inner.center().y - text.size().y / 2.0);
    ui.painter().galley(at, text, theme.text_weak);
    ui.painter().text(
        inner.right_center(),
        Align2::RIGHT_CENTER,
        keys::of(ui.ctx()).text(Action::Search),
        tokens::small_font(),
        theme.text_weak,
    );
    if response.clicked() {
        commands.send(Command::TogglePalette);
    }
}

fn rail_ui(commands: &CommandSender, ui: &mut Ui, current: Screen, rail: Rail) {
    ui.spacing_mut().item_spacing.y = 4.0;
    ui.add_space(GRID);
    let places = Screen::ALL.into_iter().filter(|&screen| rail.has(screen));
    let n_places = places.clone().count().max(1) as f32;
    let gap = ui.spacing().item_spacing.y;
    // A low window has lower places, never one out of sight.
    let height = (ui.available_height() / n_places - gap).clamp(44.0, 60.0);
    for screen in places {
        let size = Vec2::new(RAIL_WIDTH, height);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let chosen = screen == current;
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, screen.name()));
        let theme = tokens::of(ui);
        let place = rect.shrink2(Vec2::new(6.0, 0.0));
        if chosen {
            ui.painter()
                .rect_filled(place, tokens::RADIUS, theme.accent_quiet);
            let mark = Rect::from_min_size(rect.min, Vec2::new(3.0, rect.height()));
            ui.painter().rect_filled(mark, 1.0, theme.accent);
        } else if response.hovered() || response.has_focus() {
            ui.painter()
                .rect_filled(place, tokens::RADIUS, theme.hovered);
        }
        let colour = if chosen { theme.text } else { theme.text_weak };
        icon::paint(
            ui.painter(),
            screen,
            rect.center() - Vec2::new(0.0, 9.0),
            colour,
        );
        ui.painter().text(
            rect.center_bottom() - Vec2::new(0.0, 8.0),
            Align2::CENTER_BOTTOM,
            screen.name(),
            tokens::small_font(),
            colour,
        );
        if response.clicked() {
            commands.send(Command::Show(screen));
        }
        let key = keys::of(ui.ctx()).text(action_of(screen));
        response.on_hover_text(format!("{} ({key})", screen.name()));
    }
}
