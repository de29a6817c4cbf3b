//! Ctrl+K: features by label, keyword, token, item or number in any dictionary, items, samples,
//! dictionaries, and commands by name.

use egui::{Key, Modal, RichText, ScrollArea, Ui};
use engine::views::{Found, FoundFeature, FoundItem, FoundSample, Hits, Revision, SearchTicket};

use crate::app_context::{AppContext, sample_name};
use crate::commands::{Command, palette_entries};
use crate::keys::{self, Action, KeyMap};
use crate::tokens;
use crate::widgets::{notice, number};

/// Height of the list, where the window has room for it.
const LIST_HEIGHT: f32 = 440.0;

/// Something the palette offers.
#[derive(Debug, Clone)]
struct Hit {
    text: String,
    /// What stands beside it: where it is, or why it fits.
    beside: String,
    /// The action whose key does the same.
    action: Option<Action>,
    command: Command,
}

/// Hits of one kind, under a heading.
#[derive(Debug, Clone)]
struct Group {
    heading: String,
    hits: Vec<Hit>,
}

/// State of the palette.
#[derive(Default)]
pub(crate) struct Palette {
    pub(crate) open: bool,
    text: String,
    chosen: usize,
    focus: bool,
    /// What was searched, and as of which revision.
    asked: Option<(String, Revision)>,
    waiting: Option<SearchTicket>,
    found: Found,
    /// Enter was pressed before the answer was there.
    is_entered: bool,
    groups: Vec<Group>,
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

    /// An answer arrived.
    pub(crate) fn take(&mut self, ctx: &AppContext<'_>, ticket: SearchTicket, found: &Found) {
        if self.open && self.waiting == Some(ticket) {
            self.found = found.clone();
            if !found.goes_on {
                self.waiting = None;
            }
            self.group(ctx);
        }
    }

    fn group(&mut self, ctx: &AppContext<'_>) {
        // The answers come in parts, and the newer ones stand above: what was chosen stays chosen.
        let kept = self
            .hit(self.chosen)
            .filter(|_| self.chosen > 0)
            .map(|hit| hit.command.clone());
        let text = self.text.trim().to_lowercase();
        let mut groups = found_groups(&self.found);
        groups.push(dictionaries(ctx, &text));
        groups.push(commands(&text));
        groups.retain(|group| !group.hits.is_empty());
        self.groups = groups;
        if let Some(kept) = kept {
            let mut hits = self.groups.iter().flat_map(|group| &group.hits);
            self.chosen = hits.position(|hit| hit.command == kept).unwrap_or(0);
        }
    }

    fn n_hits(&self) -> usize {
        self.groups.iter().map(|group| group.hits.len()).sum()
    }

    fn hit(&self, at: usize) -> Option<&Hit> {
        self.groups.iter().flat_map(|group| &group.hits).nth(at)
    }

    /// Draws it above everything, if it is open.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &Ui) {
        if !self.open {
            return;
        }
        self.refresh(ctx);
        let mut run = None;
        let area = Modal::default_area(egui::Id::unique("palette area"))
            .anchor(egui::Align2::CENTER_TOP, egui::vec2(0.0, 96.0));
        let modal = Modal::new(egui::Id::unique("palette"))
            .area(area)
            .show(ui.ctx(), |ui| {
                ui.set_width(600.0);
                run = self.contents_ui(ui);
            });
        // The first of what is found is what Enter meant; before it is there, that is not known.
        let is_answered = self.waiting.is_none() || self.n_found() > 0;
        if self.is_entered && is_answered {
            self.is_entered = false;
            run = self.hit(self.chosen).map(|hit| hit.command.clone());
        }
        if let Some(command) = run {
            ctx.send(command);
            self.open = false;
        } else if modal.should_close() {
            self.open = false;
        }
    }

    fn n_found(&self) -> u32 {
        let found = &self.found;
        found.by_label.n + found.by_keyword.n + found.items.n + found.samples.n
    }

    fn contents_ui(&mut self, ui: &mut Ui) -> Option<Command> {
        let up = ui.input_mut(|i| i.consume_key(egui::Modifiers::NONE, Key::ArrowUp));
        let down = ui.input_mut(|i| i.consume_key(egui::Modifiers::NONE, Key::ArrowDown));
        let field = ui
            .add(
                egui::TextEdit::singleline(&mut self.text)
                    .hint_text("Label, keyword, token, item, sample or number, or a command")
                    .desired_width(f32::INFINITY)
                    .font(egui::FontSelection::FontId(tokens::title_font())),
            )
            .accessible_name("Search");
        if std::mem::take(&mut self.focus) {
            field.request_focus();
        }
        if field.changed() {
            self.chosen = 0;
            self.is_entered = false;
        }
        if down {
            self.chosen = (self.chosen + 1).min(self.n_hits().saturating_sub(1));
        }
        if up {
            self.chosen = self.chosen.saturating_sub(1);
        }
        if field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
            self.is_entered = true;
            self.focus = true;
        }
        let keys = keys::of(ui.ctx());
        let mut run = None;
        // A dialog is as high as what it held before: without a height of its own the list would stay
        // as low as the line that says that it searches.
        let height = (ui.ctx().content_rect().height() * 0.6).min(LIST_HEIGHT);
        ScrollArea::vertical()
            .min_scrolled_height(height)
            .max_height(height)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                if self.waiting.is_some() {
                    let text = if self.found.goes_on {
                        "Reading tokens and items of the dictionaries…"
                    } else {
                        "Searching…"
                    };
                    notice::weak_ui(ui, text);
                } else if self.groups.is_empty() {
                    let text = "Nothing fits. Try part of a label, keyword, title or name, or a \
                                feature's number";
                    ui.label(text);
                }
                let mut at = 0;
                for group in &self.groups {
                    notice::section_ui(ui, &group.heading);
                    for hit in &group.hits {
                        let chosen = (at == self.chosen).then_some(up || down);
                        if hit_ui(ui, hit, &keys, chosen) {
                            run = Some(hit.command.clone());
                        }
                        at += 1;
                    }
                }
            });
        run
    }

    /// Asks anew once the text or the project has changed.
    fn refresh(&mut self, ctx: &AppContext<'_>) {
        let is_asked = self
            .asked
            .as_ref()
            .is_some_and(|(text, revision)| *text == self.text && *revision == ctx.revision);
        if is_asked {
            return;
        }
        let is_new = self
            .asked
            .as_ref()
            .is_none_or(|(text, _)| *text != self.text);
        if is_new {
            self.found = Found::default();
        }
        self.asked = Some((self.text.clone(), ctx.revision));
        self.waiting = None;
        if !self.text.trim().is_empty() {
            // Without a project there is nothing but commands to find.
            self.waiting = ctx.backend.search(&self.text).ok();
        }
        self.group(ctx);
    }
}

/// A heading with how many of all are listed.
fn heading<T>(name: &str, hits: &Hits<T>) -> String {
    let n = hits.n as usize;
    if n > hits.first.len() {
        format!(
            "{name}, {} of {}",
            hits.first.len(),
            number::count(u64::from(hits.n))
        )
    } else {
        name.to_owned()
    }
}

fn group<T>(name: &str, hits: &Hits<T>, hit: impl Fn(&T) -> Hit) -> Group {
    Group {
        heading: heading(name, hits),
        hits: hits.first.iter().map(hit).collect(),
    }
}

fn found_groups(found: &Found) -> Vec<Group> {
    vec![
        group("Features by label", &found.by_label, feature_hit),
        group(
            "Features by keyword or token",
            &found.by_keyword,
            feature_hit,
        ),
        group("Items", &found.items, item_hit),
        group("Samples", &found.samples, sample_hit),
    ]
}

fn feature_hit(found: &FoundFeature) -> Hit {
    let title = if found.title.is_empty() {
        "no label"
    } else {
        &found.title
    };
    Hit {
        text: format!("Feature {} of {}: {title}", found.feature, found.sae),
        beside: found.why.clone(),
        action: None,
        command: Command::OpenFeature(found.sae.clone(), found.feature),
    }
}

/// An item leads to the features that are strongest on it, else to a history that holds it.
fn item_hit(found: &FoundItem) -> Hit {
    let dataset = found.dataset.clone();
    let command = match (&found.sae, found.sample) {
        (Some(sae), _) => Command::ShowItem(sae.clone(), found.title.clone()),
        (None, sample) => Command::ShowSample(dataset.clone(), sample.unwrap_or(0)),
    };
    Hit {
        text: found.title.clone(),
        beside: format!("item of {dataset}"),
        action: None,
        command,
    }
}

fn sample_hit(found: &FoundSample) -> Hit {
    Hit {
        text: sample_name(&found.id, found.is_history),
        beside: format!("sample of {}", found.dataset),
        action: None,
        command: Command::ShowSample(found.dataset.clone(), found.sample),
    }
}

fn dictionaries(ctx: &AppContext<'_>, text: &str) -> Group {
    let fit = |name: &str| !text.is_empty() && name.to_lowercase().contains(text);
    let hits = ctx.dictionaries.iter().filter(|view| fit(&view.name));
    Group {
        heading: "Dictionaries".to_owned(),
        hits: hits
            .map(|view| Hit {
                text: format!("Show dictionary {}", view.name),
                beside: String::new(),
                action: None,
                command: Command::UseDictionary(view.name.clone()),
            })
            .collect(),
    }
}

fn commands(text: &str) -> Group {
    let entries = palette_entries().into_iter();
    let fitting = entries.filter(|entry| entry.name.to_lowercase().contains(text));
    Group {
        heading: "Commands".to_owned(),
        hits: fitting
            .map(|entry| Hit {
                text: entry.name.to_owned(),
                beside: String::new(),
                action: entry.action,
                command: entry.command,
            })
            .collect(),
    }
}

/// `chosen` says whether to bring the chosen hit into sight; `None` for the others.
fn hit_ui(ui: &mut Ui, hit: &Hit, keys: &KeyMap, chosen: Option<bool>) -> bool {
    let key = hit.action.map(|action| keys.text(action));
    let beside = key.unwrap_or_else(|| hit.beside.clone());
    let beside = RichText::new(beside).color(tokens::of(ui).text_weak);
    let button = egui::Button::selectable(chosen.is_some(), hit.text.as_str())
        .right_text(beside)
        .truncate()
        .min_size(egui::vec2(ui.available_width(), 28.0));
    let response = ui.add(button).accessible_name(&hit.text);
    if chosen == Some(true) {
        response.scroll_to_me(None);
    }
    response.clicked()
}
