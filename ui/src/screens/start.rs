//! Start: recent projects, open, new, the demo project in one click.

use std::fmt::Write as _;

use egui::{Frame, Margin, RichText, Sense, Stroke, Ui, Vec2};
use engine::views::{Arrival, Event, JobView, PathPurpose, RecentProject};

use crate::app_context::AppContext;
use crate::commands::{Command, Screen};
use crate::screens::Panel;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{item_strip, notice, number};

/// State of the start screen.
pub(crate) struct StartScreen {
    pub(crate) recent: Vec<RecentProject>,
    /// Why the project that was open last is not open again.
    pub(crate) problem: Option<String>,
    demo_folder: String,
    project_folder: String,
    /// What was dropped while no project was open, and the folder of the project for it.
    offer: Option<(Arrival, String)>,
}

impl StartScreen {
    /// `demo_folder` is where the demo project goes unless the user says otherwise.
    pub(crate) fn new(demo_folder: String) -> Self {
        Self {
            recent: Vec::new(),
            problem: None,
            demo_folder,
            project_folder: String::new(),
            offer: None,
        }
    }

    /// Offers a new project for what was dropped.
    pub(crate) fn offer(&mut self, arrival: Arrival) {
        let folder = arrival.folder.clone();
        self.offer = Some((arrival, folder));
    }

    fn offer_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let Some((arrival, folder)) = &mut self.offer else {
            return;
        };
        let mut is_left = false;
        card(ui, |ui| {
            let title = format!("{} is {}", arrival.name, arrival.said);
            ui.label(RichText::new(title).font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "It is imported into a project, and none is open. A new one is made here first; what \
                 you dropped stays where it is.",
            );
            path_row_ui(
                ctx,
                ui,
                "New project in",
                folder,
                PathPurpose::OfferedProject,
            );
            ui.horizontal(|ui| {
                let place = folder.trim();
                let button = egui::Button::new("New project for this");
                if ui.add_enabled(!place.is_empty(), button).clicked() {
                    let arrival = Box::new(arrival.clone());
                    ctx.send(Command::NewProjectFor(place.to_owned(), arrival));
                }
                is_left = ui.button("Leave it").clicked();
            });
        });
        ui.add_space(GRID);
        if is_left {
            self.offer = None;
        }
    }

    fn demo_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        card(ui, |ui| {
            ui.label(RichText::new("See it work").font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "Builds a project of made-up radiographs and shoppers whose findings and tastes are \
                 known, trains the models and dictionaries on this computer, and opens the gallery. \
                 Under three minutes on two cores; nothing leaves this computer.",
            );
            if let Some(job) = ctx.jobs.iter().find(|job| job.title.contains("demo")) {
                job_ui(ctx, ui, job);
                return;
            }
            path_row_ui(
                ctx,
                ui,
                "Demo folder",
                &mut self.demo_folder,
                PathPurpose::Demo,
            );
            let button = egui::Button::new(
                RichText::new("Build the demo project")
                    .font(tokens::title_font())
                    .color(tokens::of(ui).on_accent),
            )
            .fill(tokens::of(ui).accent);
            let folder = self.demo_folder.trim();
            ui.add_enabled_ui(!folder.is_empty(), |ui| {
                if ui.add_sized([240.0, 40.0], button).clicked() {
                    ctx.send(Command::BuildDemo(folder.to_owned()));
                }
            });
        });
    }

    fn open_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        card(ui, |ui| {
            ui.label(RichText::new("Open or make a project").font(tokens::title_font()));
            let entered = path_row_ui(
                ctx,
                ui,
                "Project folder",
                &mut self.project_folder,
                PathPurpose::ProjectFolder,
            );
            ui.horizontal(|ui| {
                let folder = self.project_folder.trim();
                ui.add_enabled_ui(!folder.is_empty(), |ui| {
                    if ui.button("Open project").clicked() || entered {
                        ctx.send(Command::OpenProject(folder.to_owned()));
                    }
                    if ui.button("New project").clicked() {
                        ctx.send(Command::NewProject(folder.to_owned()));
                    }
                });
            });
            notice::weak_ui(
                ui,
                "You can also drop a project, a folder of films, a table, item histories, a dictionary, \
                 a model or a recommender's checkpoint on this window.",
            );
        });
    }

    fn recent_ui(&self, ctx: &AppContext<'_>, ui: &mut Ui) {
        card(ui, |ui| {
            ui.label(RichText::new("Recent projects").font(tokens::title_font()));
            if self.recent.is_empty() {
                notice::weak_ui(
                    ui,
                    "Projects you open appear here. Build the demo project to get the first.",
                );
            }
            for project in &self.recent {
                recent_row_ui(ctx, ui, project);
            }
        });
    }
}

impl Panel for StartScreen {
    fn title(&self) -> String {
        "Start".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        egui::ScrollArea::vertical().show(ui, |ui| {
            let width = ui.available_width().min(1120.0);
            let margin = (ui.available_width() - width) / 2.0;
            ui.horizontal_top(|ui| {
                ui.add_space(margin);
                ui.vertical(|ui| {
                    ui.set_width(width);
                    ui.add_space(GRID * 3.0);
                    ui.heading("Fluoroscope");
                    notice::weak_ui(
                        ui,
                        "See which features a neural model has inside, on the samples that excite \
                         them. For chest X-ray models and recommenders.",
                    );
                    ui.add_space(GRID * 2.0);
                    if let Some(problem) = &self.problem {
                        notice::warning_ui(ui, problem);
                        ui.add_space(GRID);
                    }
                    self.offer_ui(ctx, ui);
                    if ctx.project_open {
                        go_on_ui(ctx, ui);
                        ui.add_space(GRID);
                    }
                    let half = (width - GRID * 2.0) / 2.0;
                    ui.horizontal_top(|ui| {
                        ui.spacing_mut().item_spacing.x = GRID * 2.0;
                        ui.vertical(|ui| {
                            ui.set_width(half);
                            ui.spacing_mut().item_spacing.x = GRID;
                            self.demo_ui(ctx, ui);
                            ui.add_space(GRID);
                            self.open_ui(ctx, ui);
                        });
                        ui.vertical(|ui| {
                            ui.set_width(half);
                            self.recent_ui(ctx, ui);
                        });
                    });
                });
            });
        });
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => (self.problem, self.offer) = (None, None),
            Event::PathChosen(PathPurpose::OfferedProject, Some(path)) => {
                if let Some((_, folder)) = &mut self.offer {
                    folder.clone_from(path);
                }
            }
            Event::PathChosen(PathPurpose::Demo, Some(path)) => self.demo_folder.clone_from(path),
            Event::PathChosen(PathPurpose::ProjectFolder, Some(path)) => {
                self.project_folder.clone_from(path);
            }
            Event::PathChosen(PathPurpose::OpenProject, Some(path)) => {
                ctx.send(Command::OpenProject(path.clone()));
            }
            Event::PathChosen(PathPurpose::NewProject, Some(path)) => {
                ctx.send(Command::NewProject(path.clone()));
            }
            _ => {}
        }
    }
}

/// A framed part of the screen.
pub(crate) fn card(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    Frame::new()
        .fill(tokens::of(ui).panel)
        .stroke(Stroke::new(1.0, tokens::of(ui).line))
        .corner_radius(tokens::RADIUS)
        .inner_margin(Margin::same(16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            contents(ui);
        });
}

/// A labelled field for a path, with a button that opens the file dialog; whether Enter ended it.
pub(crate) fn path_row_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    name: &str,
    path: &mut String,
    purpose: PathPurpose,
) -> bool {
    ui.horizontal(|ui| {
        let label = field_label_ui(ui, name);
        let width = (ui.available_width() - 84.0).max(80.0);
        let field = ui
            .add(egui::TextEdit::singleline(path).desired_width(width))
            .labelled_by(label.id);
        if ui
            .button("Choose…")
            .accessible_name(format!("Choose {}", name.to_lowercase()))
            .clicked()
        {
            ctx.send(Command::ChoosePath(purpose));
        }
        field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter))
    })
    .inner
}

/// The last part of a path, without those of the endings that it has, one after another.
pub(crate) fn name_of<'a>(path: &'a str, endings: &[&str]) -> &'a str {
    let file = path.trim_end_matches(['/', '\\']);
    let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
    endings.iter().fold(file, |name, ending| {
        name.strip_suffix(ending).unwrap_or(name)
    })
}

/// Width from which the buttons stand beside the field of a path.
const BUTTONS_BESIDE: f32 = 560.0;

/// A labelled field for a path that may be a folder or a file, with a button for each.
pub(crate) fn folder_or_file_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    name: &str,
    path: &mut String,
    purposes: [PathPurpose; 2],
) {
    let is_wide = ui.available_width() >= BUTTONS_BESIDE;
    ui.horizontal(|ui| {
        let label = field_label_ui(ui, name);
        let room = if is_wide { 140.0 } else { GRID };
        let width = (ui.available_width() - room).max(80.0);
        ui.add(egui::TextEdit::singleline(path).desired_width(width))
            .labelled_by(label.id);
        if is_wide {
            folder_and_file_ui(ctx, ui, name, purposes);
        }
    });
    if !is_wide {
        ui.horizontal(|ui| {
            field_label_ui(ui, "");
            folder_and_file_ui(ctx, ui, name, purposes);
        });
    }
}

fn folder_and_file_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    name: &str,
    [folder, file]: [PathPurpose; 2],
) {
    for (text, purpose) in [("Folder…", folder), ("File…", file)] {
        let button = ui.button(text);
        let said = format!("{} of {}", text.trim_end_matches('…'), name.to_lowercase());
        if button.accessible_name(said).clicked() {
            ctx.send(Command::ChoosePath(purpose));
        }
    }
}

/// The name of a field, in a column of its own.
pub(crate) fn field_label_ui(ui: &mut Ui, name: &str) -> egui::Response {
    ui.allocate_ui_with_layout(
        Vec2::new(104.0, 24.0),
        egui::Layout::left_to_right(egui::Align::Center),
        |ui| {
            ui.set_min_width(104.0);
            ui.label(name)
        },
    )
    .inner
}

fn go_on_ui(ctx: &AppContext<'_>, ui: &mut Ui) {
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label("A project is open.");
            for screen in [Screen::Gallery, Screen::Data] {
                if ui.button(format!("Go to {}", screen.name())).clicked() {
                    ctx.send(Command::Show(screen));
                }
            }
            if ui.button("Close project").clicked() {
                ctx.send(Command::CloseProject);
            }
        });
    });
}

fn recent_row_ui(ctx: &AppContext<'_>, ui: &mut Ui, project: &RecentProject) {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), 48.0);
    let sense = if project.exists {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (rect, response) = ui.allocate_exact_size(size, sense);
    let label = format!("Open {}", project.name);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, project.exists, &label));
    let hot = project.exists && (response.hovered() || response.has_focus());
    let fill = if hot { theme.hovered } else { theme.control };
    ui.painter().rect_filled(rect, tokens::RADIUS, fill);
    let inner = rect.shrink2(Vec2::new(12.0, 6.0));
    let colour = if project.exists {
        theme.text
    } else {
        theme.text_weak
    };
    let name = item_strip::truncated(ui.painter(), &project.name, inner.width(), colour);
    ui.painter().galley(inner.min, name, colour);
    let path = if project.exists {
        project.path.clone()
    } else {
        format!("{} is not there any more", project.path)
    };
    let path = item_strip::truncated(ui.painter(), &path, inner.width(), theme.text_weak);
    ui.painter()
        .galley(inner.min + Vec2::new(0.0, 18.0), path, theme.text_weak);
    if response.clicked() {
        ctx.send(Command::OpenProject(project.path.clone()));
    }
    ui.add_space(HALF);
}

/// Progress of a job within a screen.
fn job_ui(ctx: &AppContext<'_>, ui: &mut Ui, job: &JobView) {
    let share = if job.total > 0 {
        job.done as f32 / job.total as f32
    } else {
        0.0
    };
    ui.label(&job.stage);
    ui.add(
        egui::ProgressBar::new(share)
            .desired_height(12.0)
            .fill(tokens::of(ui).accent),
    )
    .accessible_name(format!("Progress of {}", job.stage));
    let mut text = if job.total > 0 {
        format!(
            "{} of {} {}",
            number::count(job.done),
            number::count(job.total),
            job.unit
        )
    } else {
        String::new()
    };
    if let Some(seconds) = job.seconds_left {
        write!(text, " · {} left in this step", number::duration(seconds)).ok();
    }
    write!(text, " · {} so far", number::duration(job.seconds)).ok();
    notice::weak_ui(ui, text.trim_start_matches(" · ").to_owned());
    if ui
        .add_enabled(!job.stopping, egui::Button::new("Stop building"))
        .clicked()
    {
        ctx.send(Command::CancelJob(job.id));
    }
}
