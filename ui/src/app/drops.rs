//! What is held over the window and dropped on it.

use egui::{Align2, Area, Context, Id, Label, Order, RichText, Ui};
use engine::views::{Arrival, ArrivalKind};

use crate::app::App;
use crate::commands::{Command, Screen};
use crate::toasts::Level;
use crate::tokens;

/// What is known of things over the window.
#[derive(Default)]
pub(super) struct Drops {
    /// What is held over the window.
    hovered: Vec<String>,
    /// What that is, once it is known.
    seen: Option<Arrival>,
    /// What was dropped and is being looked at.
    dropped: Option<Vec<String>>,
    /// What is imported once its new project is there.
    pub(super) after_opening: Option<Arrival>,
}

impl App {
    /// Asks what is held over the window, and what was dropped.
    pub(super) fn drops(&mut self, ctx: &Context) {
        let (hovered, dropped) = ctx.input(|input| {
            let paths = input.raw.hovered_files.iter();
            let hovered = paths.filter_map(|file| Some(file.path.as_ref()?.display().to_string()));
            let files = input.raw.dropped_files.iter().map(|file| file.path());
            let dropped = files.filter(|path| !path.as_os_str().is_empty());
            (
                hovered.collect::<Vec<String>>(),
                dropped
                    .map(|path| path.display().to_string())
                    .collect::<Vec<String>>(),
            )
        });
        if hovered != self.drops.hovered {
            self.drops.seen = None;
            self.drops.hovered.clone_from(&hovered);
            if !hovered.is_empty() {
                // Without an answer the hint stays a general one.
                self.backend.recognise(hovered).ok();
            }
        }
        if !dropped.is_empty() {
            self.drops.dropped = Some(dropped.clone());
            if let Err(problem) = self.backend.recognise(dropped) {
                self.toasts.push(Level::Error, problem);
            }
        }
    }

    /// It is known what something is.
    pub(super) fn recognised(&mut self, paths: &[String], arrival: &Arrival) {
        if self.drops.dropped.as_deref() == Some(paths) {
            self.drops.dropped = None;
            self.arrive(arrival.clone());
        } else if self.drops.hovered == paths {
            self.drops.seen = Some(arrival.clone());
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival.kind {
            ArrivalKind::Nothing => self.toasts.push(Level::Warning, arrival.said),
            ArrivalKind::Project => self.commands.send(Command::OpenProject(arrival.path)),
            _ if self.seen.project.is_some() => self.import(&arrival),
            _ => {
                self.screens.start.offer(arrival);
                self.screen = Screen::Start;
            }
        }
    }

    /// A project was opened: goes on with what it was made for.
    pub(super) fn import_after_opening(&mut self) {
        if self.seen.project.is_some()
            && let Some(arrival) = self.drops.after_opening.take()
        {
            self.import(&arrival);
        }
    }

    /// Goes to the form that imports it, and asks for the preview.
    fn import(&mut self, arrival: &Arrival) {
        match arrival.kind {
            ArrivalKind::Recommender => {
                self.screens.models.import_path(&arrival.path);
                self.screen = Screen::Models;
                return;
            }
            ArrivalKind::Model => {
                self.screens.models.add_path(&arrival.path, &arrival.name);
                self.screen = Screen::Models;
                return;
            }
            ArrivalKind::Dictionary => {
                let train = &mut self.screens.train;
                train.import_path(&arrival.path, &arrival.name);
                self.screen = Screen::Train;
                return;
            }
            _ => {}
        }
        let request = self.screens.data.import(arrival);
        self.commands.send(Command::PreviewImport(request));
        self.screen = Screen::Data;
    }

    /// While something is held over the window: what dropping it does.
    pub(super) fn drop_hint_ui(&self, ui: &Ui) {
        if self.drops.hovered.is_empty() && ui.input(|input| input.raw.hovered_files.is_empty()) {
            return;
        }
        let text = self.drop_hint();
        let area = Area::new(Id::unique("drop hint"))
            .order(Order::Foreground)
            .interactable(false)
            .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO);
        let behind = egui::LayerId::new(Order::Foreground, Id::unique("behind the drop hint"));
        let painter = ui.ctx().layer_painter(behind);
        let all = ui.ctx().content_rect();
        painter.rect_filled(all, 0.0, tokens::FILM_TEXT_BACKGROUND);
        area.show(ui.ctx(), |ui| {
            egui::Frame::new()
                .fill(tokens::FILM_BACKGROUND)
                .corner_radius(tokens::RADIUS)
                .inner_margin(tokens::GRID * 2.0)
                .show(ui, |ui| {
                    ui.set_max_width(560.0);
                    let text = RichText::new(text)
                        .font(tokens::title_font())
                        .color(tokens::FILM_TEXT);
                    ui.add(Label::new(text).wrap());
                });
        });
    }

    fn drop_hint(&self) -> String {
        let Some(arrival) = &self.drops.seen else {
            return "Drop a project to open it; a folder of films, a table, item histories, a \
                    dictionary, a model or a recommender's checkpoint to import it"
                .to_owned();
        };
        let Arrival { name, said, .. } = arrival;
        match arrival.kind {
            ArrivalKind::Nothing => said.clone(),
            ArrivalKind::Project => format!("Drop to open the project {name}"),
            ArrivalKind::Model if self.seen.project.is_some() => {
                format!("Drop to add {name}, {said}")
            }
            ArrivalKind::Recommender | ArrivalKind::Dictionary if self.seen.project.is_some() => {
                format!("Drop to import {name}, {said}")
            }
            _ if self.seen.project.is_some() => {
                format!("Drop to import {name}, {said}: a preview comes first")
            }
            _ => format!("Drop to make a new project for {name}, {said}"),
        }
    }
}
