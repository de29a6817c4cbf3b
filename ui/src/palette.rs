//! Ctrl+K: find a feature by label, keyword or number in any dictionary, or a command by name.

use std::sync::Arc;

use egui::{Key, Modal, RichText, ScrollArea, Ui};
use engine::views::{FeatureQuery, FeatureSort, Revision};
use schema::FeatureId;

use crate::app_context::AppContext;
use crate::commands::{Command, palette_entries};
use crate::keys::{self, KeyMap};
use crate::screens::gallery::card::card_title;
use crate::tokens;

/// Features listed per dictionary.
const MAX_FEATURES: usize = 12;

/// Something the palette offers.
#[derive(Clone)]
struct Hit {
    text: String,
    keys: String,
    command: Command,
}

/// State of the palette.
#[derive(Default)]
pub(crate) struct Palette {
    pub(crate) open: bool,
    text: String,
    chosen: usize,
    focus: bool,
    found: Option<(String, Revision, Vec<Hit>)>,
}

impl Palette {
    /// Opens or closes it.
    pub(crate) fn toggle(&mut self) {
        *self = Self {
            open: !self.open,
            focus: true,
            ..Self::default()
        };
    }

    /// Draws it above everything, if it is open.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &Ui) {
        if !self.open {
            return;
        }
        self.refresh(ctx, &keys::of(ui.ctx()));
        let hits = self
            .found
            .as_ref()
            .map(|found| found.2.clone())
            .unwrap_or_default();
        let mut run = None;
        let area = Modal::default_area(egui::Id::unique("palette area"))
            .anchor(egui::Align2::CENTER_TOP, egui::vec2(0.0, 96.0));
        let modal = Modal::new(egui::Id::unique("palette"))
            .area(area)
            .show(ui.ctx(), |ui| {
                ui.set_width(560.0);
                let up = ui.input_mut(|i| i.consume_key(egui::Modifiers::NONE, Key::ArrowUp));
                let down = ui.input_mut(|i| i.consume_key(egui::Modifiers::NONE, Key::ArrowDown));
                let field = ui
                    .add(
                        egui::TextEdit::singleline(&mut self.text)
                            .hint_text("Feature by label, keyword or number, or a command")
                            .desired_width(f32::INFINITY)
                            .font(egui::FontSelection::FontId(tokens::title_font())),
                    )
                    .accessible_name("Search");
                if std::mem::take(&mut self.focus) {
                    field.request_focus();
                }
                if field.changed() {
                    self.chosen = 0;
                }
                if down {
                    self.chosen = (self.chosen + 1).min(hits.len().saturating_sub(1));
                }
                if up {
                    self.chosen = self.chosen.saturating_sub(1);
                }
                if field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
                    run = hits.get(self.chosen).map(|hit| hit.command.clone());
                }
                ScrollArea::vertical()
                    .max_height(420.0)
                    .auto_shrink([false, true])
                    .show(ui, |ui| {
                        ui.spacing_mut().item_spacing.y = 2.0;
                        if hits.is_empty() {
                            ui.label("Nothing fits. Try part of a label or keyword, or a feature's number");
                        }
                        for (i, hit) in hits.iter().enumerate() {
                            if hit_ui(ui, hit, (i == self.chosen).then_some(up || down)) {
                                run = Some(hit.command.clone());
                            }
                        }
                    });
            });
        if let Some(command) = run {
            ctx.send(command);
            self.open = false;
        } else if modal.should_close() {
            self.open = false;
        }
    }

    fn refresh(&mut self, ctx: &AppContext<'_>, keys: &KeyMap) {
        let current = self
            .found
            .as_ref()
            .is_some_and(|(text, revision, _)| *text == self.text && *revision == ctx.revision);
        if current {
            return;
        }
        let text = self.text.trim().to_lowercase();
        let mut hits = Vec::new();
        if !text.is_empty() {
            for view in ctx.dictionaries.iter().filter(|view| view.indexed) {
                feature_hits(ctx, &view.name, &text, &mut hits);
            }
        }
        for entry in palette_entries() {
            if entry.name.to_lowercase().contains(&text) {
                hits.push(Hit {
                    text: entry.name.to_owned(),
                    keys: entry
                        .action
                        .map_or_else(String::new, |action| keys.text(action)),
                    command: entry.command,
                });
            }
        }
        for view in ctx.dictionaries {
            if !text.is_empty() && view.name.to_lowercase().contains(&text) {
                hits.push(Hit {
                    text: format!("Show dictionary {}", view.name),
                    keys: String::new(),
                    command: Command::UseDictionary(view.name.clone()),
                });
            }
        }
        self.found = Some((self.text.clone(), ctx.revision, hits));
    }
}

fn feature_hits(ctx: &AppContext<'_>, sae: &str, text: &str, hits: &mut Vec<Hit>) {
    let query = FeatureQuery {
        text: text.to_owned(),
        hide_dead: false,
        sort: FeatureSort::Association,
        ..FeatureQuery::default()
    };
    let ids: Arc<Vec<FeatureId>> = ctx.backend.feature_ids(sae, &query).unwrap_or_default();
    for &feature in ids.iter().take(MAX_FEATURES) {
        let title = ctx
            .card(sae, feature)
            .map_or_else(|_| String::new(), |card| card_title(&card).to_owned());
        hits.push(Hit {
            text: format!("Feature {feature} of {sae}: {title}"),
            keys: String::new(),
            command: Command::OpenFeature(sae.to_owned(), feature),
        });
    }
}

/// `chosen` says whether to bring the chosen hit into sight; `None` for the others.
fn hit_ui(ui: &mut Ui, hit: &Hit, chosen: Option<bool>) -> bool {
    let keys = RichText::new(&hit.keys).color(tokens::of(ui).text_weak);
    let button = egui::Button::selectable(chosen.is_some(), hit.text.as_str())
        .right_text(keys)
        .truncate()
        .min_size(egui::vec2(ui.available_width(), 28.0));
    let response = ui.add(button);
    if chosen == Some(true) {
        response.scroll_to_me(None);
    }
    response.clicked()
}
