//! Settings: what is chosen for this computer, whatever the project.

mod key_table;

use egui::{RichText, ScrollArea, Ui};
use engine::views::{Event, FILM_MEGABYTES, PathPurpose, Preferences, PreferredDevice};

use crate::app_context::AppContext;
use crate::backend::CAN_SHOW;
use crate::commands::{Command, Rail, SendingCommand};
use crate::screens::Panel;
use crate::screens::start::{card, field_label_ui};
use crate::tokens::{self, GRID};
use crate::widgets::{notice, number};
use key_table::KeyTable;

/// Width of the page.
const WIDTH: f32 = 1120.0;
/// Width from which the cards stand in two columns.
const TWO_COLUMNS: f32 = 880.0;

/// State of the settings screen.
#[derive(Default)]
pub(crate) struct SettingsScreen {
    keys: KeyTable,
    /// What stands in the fields, until it is kept.
    draft: Option<Draft>,
}

/// Fields that are kept when they are left.
#[derive(Clone)]
struct Draft {
    reviewer: String,
    language_model: String,
}

impl SettingsScreen {
    /// Whether the next key belongs to an action that gets a new one.
    pub(crate) fn is_listening(&self) -> bool {
        self.keys.is_listening()
    }

    fn draft(&mut self, ctx: &AppContext<'_>) -> Draft {
        let known = || Draft {
            reviewer: ctx.reviewer.to_owned(),
            language_model: ctx.backend.preferences().language_model,
        };
        self.draft.get_or_insert_with(known).clone()
    }

    fn reviewer_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        card(ui, |ui| {
            title_ui(ui, "Reviewer");
            let mut draft = self.draft(ctx);
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "Name");
                let field = ui
                    .add(egui::TextEdit::singleline(&mut draft.reviewer).desired_width(220.0))
                    .labelled_by(label.id);
                if field.lost_focus() && draft.reviewer.trim() != ctx.reviewer {
                    ctx.send(Command::SetReviewer(draft.reviewer.trim().to_owned()));
                }
            });
            notice::weak_ui(
                ui,
                "Stands on every decision you make, and in the files you hand on.",
            );
            self.draft = Some(draft);
        });
    }

    fn model_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, wanted: &Preferences) {
        card(ui, |ui| {
            title_ui(ui, "Language model for labels");
            let mut draft = self.draft(ctx);
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "Model");
                let width = (ui.available_width() - 92.0).max(120.0);
                let field = ui
                    .add(
                        egui::TextEdit::singleline(&mut draft.language_model)
                            .hint_text("FILE.gguf, or http://127.0.0.1:8080/v1")
                            .desired_width(width),
                    )
                    .labelled_by(label.id);
                let is_new = draft.language_model.trim() != wanted.language_model;
                if field.lost_focus() && is_new {
                    keep_model(ctx, wanted, draft.language_model.trim());
                }
                if ui
                    .button("Choose…")
                    .accessible_name("Choose a language model")
                    .clicked()
                {
                    ctx.send(Command::ChoosePath(PathPurpose::LanguageModel));
                }
            });
            notice::weak_ui(
                ui,
                "A GGUF file is read and run here. A server of another computer needs its model's \
                 name, as in http://10.0.0.7:8080/v1#model, and is asked nothing before you have \
                 seen what would be sent and allowed it. Without one, keywords explain. With one, the \
                 gallery offers it under Explain.",
            );
            self.draft = Some(draft);
        });
    }
}

/// Asks for another language model.
fn keep_model(ctx: &AppContext<'_>, known: &Preferences, model: &str) {
    ctx.send(Command::SetPreferences(Box::new(Preferences {
        language_model: model.to_owned(),
        ..known.clone()
    })));
}

fn title_ui(ui: &mut Ui, title: &str) {
    ui.label(RichText::new(title).font(tokens::title_font()));
}

fn appearance_ui(ctx: &AppContext<'_>, ui: &mut Ui, known: &Preferences) {
    let mut wanted = known.clone();
    card(ui, |ui| {
        title_ui(ui, "Window");
        ui.horizontal(|ui| {
            field_label_ui(ui, "Theme");
            for (light, name) in [(false, "Dark"), (true, "Light")] {
                let chosen = ctx.look.light == light;
                let label = ui.selectable_label(chosen, name);
                if label.accessible_name(format!("{name} theme")).clicked() && !chosen {
                    ctx.send(Command::ToggleTheme);
                }
            }
        });
        ui.horizontal(|ui| {
            field_label_ui(ui, "Size");
            for percent in [75_u16, 100, 125, 150, 175, 200] {
                let scale = f32::from(percent) / 100.0;
                let chosen = (ctx.look.scale - scale).abs() < 0.01;
                let label = ui.selectable_label(chosen, format!("{percent} %"));
                if label.accessible_name(format!("Size {percent} %")).clicked() {
                    ctx.send(Command::SetScale(scale));
                }
            }
        });
        ui.horizontal(|ui| {
            field_label_ui(ui, "Layout");
            for (rail, name, hint) in [
                (
                    Rail::Reader,
                    "Reader",
                    "Places to look at features and to judge labels",
                ),
                (
                    Rail::Researcher,
                    "Researcher",
                    "All places, models and training too",
                ),
            ] {
                let label = ui
                    .selectable_label(ctx.look.rail == rail, name)
                    .on_hover_text(hint)
                    .accessible_name(format!("Layout for a {}", name.to_lowercase()));
                if label.clicked() {
                    ctx.send(Command::SetRail(rail));
                }
            }
        });
        ui.checkbox(&mut wanted.reopen, "Open the last project at start")
            .on_hover_text("Where you left it. Otherwise the window starts on Start");
        if CAN_SHOW {
            ui.checkbox(
                &mut wanted.notify,
                "Tell at the desktop when a long job ends",
            )
            .on_hover_text("While the window is behind others; without a sound");
        }
        notice::weak_ui(
            ui,
            "Nothing in this window moves by itself: there are no animations to turn off.",
        );
        if ui
            .button("Take the tour")
            .on_hover_text("Five steps through the window")
            .clicked()
        {
            ctx.send(Command::Tour(Some(0)));
        }
    });
    if wanted != *known {
        ctx.send(Command::SetPreferences(Box::new(wanted)));
    }
}

fn computing_ui(ctx: &AppContext<'_>, ui: &mut Ui, known: &Preferences) {
    let mut wanted = known.clone();
    card(ui, |ui| {
        title_ui(ui, "Computing");
        ui.horizontal(|ui| {
            field_label_ui(ui, "Device");
            for (device, name) in [
                (PreferredDevice::Auto, "Automatic"),
                (PreferredDevice::Cpu, "CPU"),
                (PreferredDevice::Cuda, "CUDA"),
                (PreferredDevice::Metal, "Metal"),
            ] {
                ui.selectable_value(&mut wanted.device, device, name)
                    .accessible_name(format!("Device: {name}"));
            }
        });
        let now = engine::device();
        let reason = number::capitalised(&now.reason);
        notice::weak_ui(ui, format!("Now: {}. {reason}", now.name));
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Threads");
            let mut all = wanted.threads.is_none();
            if ui.checkbox(&mut all, "All cores").changed() {
                wanted.threads = (!all).then_some(1);
            }
            if let Some(threads) = &mut wanted.threads {
                ui.add(egui::DragValue::new(threads).range(1..=256))
                    .labelled_by(label.id);
            }
        });
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Films kept");
            let [least, most] = FILM_MEGABYTES;
            let field = egui::DragValue::new(&mut wanted.film_megabytes)
                .range(least..=most)
                .speed(8.0)
                .suffix(" MB");
            ui.add(field).labelled_by(label.id);
        });
        notice::weak_ui(
            ui,
            "Device and threads are heard at the next start; --device and --threads stand above \
             them. Films kept is memory for decoded films; more makes scrolling back faster.",
        );
    });
    if wanted != *known {
        ctx.send(Command::SetPreferences(Box::new(wanted)));
    }
}

fn privacy_ui(ctx: &AppContext<'_>, ui: &mut Ui, known: &Preferences) {
    card(ui, |ui| {
        title_ui(ui, "What may leave this computer");
        let consents = if ctx.project_open {
            ctx.backend.sending_consents()
        } else {
            Ok(Vec::new())
        };
        match consents {
            Err(problem) => {
                notice::plain_ui(ui, &problem);
            }
            Ok(consents) if consents.is_empty() => {
                let asked = if known.language_model.contains("://") {
                    format!(
                        "Nothing, unless you allow it when you are asked. A program on this \
                         computer is asked at once: {}.",
                        known.language_model
                    )
                } else {
                    "Nothing. No other computer may be asked in this project.".to_owned()
                };
                notice::plain_ui(ui, &asked);
            }
            Ok(consents) => {
                notice::plain_ui(
                    ui,
                    "In this project, questions for labels, with names and dates taken out by \
                     rules, may go to:",
                );
                for one in consents {
                    ui.horizontal(|ui| {
                        let day = one.at.get(..10).unwrap_or(&one.at);
                        ui.label(format!("{}, since {day}", one.address))
                            .on_hover_text(format!(
                                "BLAKE3 of the request that was shown: {}",
                                one.shown_blake3
                            ));
                        let revoke = ui
                            .button("Take back")
                            .on_hover_text("Nothing more is sent there, by a running job either");
                        if revoke
                            .accessible_name(format!("Send nothing more to {}", one.address))
                            .clicked()
                        {
                            ctx.send(Command::Sending(SendingCommand::Revoke(one.address)));
                        }
                    });
                }
            }
        }
        notice::weak_ui(
            ui,
            "Names and numbers of patients in DICOM files are not read. Files you export hold what \
             their form says, and nothing is uploaded.",
        );
    });
}

impl Panel for SettingsScreen {
    fn title(&self) -> String {
        "Settings".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let known = ctx.backend.preferences();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let width = ui.available_width().min(WIDTH);
            let margin = (ui.available_width() - width) / 2.0;
            // Where two columns have no room, one stands below the other.
            let is_narrow = width < TWO_COLUMNS;
            let layout = if is_narrow {
                egui::Layout::top_down(egui::Align::Min)
            } else {
                egui::Layout::left_to_right(egui::Align::Min)
            };
            ui.with_layout(layout, |ui| {
                let half = if is_narrow {
                    width
                } else {
                    ui.add_space(margin);
                    (width - GRID * 2.0) / 2.0
                };
                ui.spacing_mut().item_spacing.x = GRID * 2.0;
                ui.vertical(|ui| {
                    ui.set_width(half);
                    ui.spacing_mut().item_spacing.x = GRID;
                    appearance_ui(ctx, ui, &known);
                    self.reviewer_ui(ctx, ui);
                    computing_ui(ctx, ui, &known);
                    self.model_ui(ctx, ui, &known);
                    privacy_ui(ctx, ui, &known);
                });
                ui.vertical(|ui| {
                    ui.set_width(half);
                    ui.spacing_mut().item_spacing.x = GRID;
                    card(ui, |ui| self.keys.ui(ctx, ui));
                });
            });
        });
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        if let Event::PathChosen(PathPurpose::LanguageModel, Some(path)) = event {
            keep_model(ctx, &ctx.backend.preferences(), path);
            self.draft = None;
        }
    }
}
