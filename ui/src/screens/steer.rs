//! Steer: turn features up or down on one sample; before and after side by side.

mod ablation;
mod all_users;
mod bias;
mod outcome;

use std::sync::Arc;

use egui::{RichText, ScrollArea, Ui, Vec2};
use engine::views::{
    Event, PathPurpose, Revision, SampleView, SavedChange, SteerRequest, SteerTicket, SteerView,
};
use schema::{FeatureId, PositionScope, SteeringMode, SteeringSpec, StrengthUnit};

use crate::app_context::{AppContext, in_words, sample_name};
use crate::backend::Answer;
use crate::commands::{Command, Screen};
use crate::options::RememberedSteering;
use crate::screens::Panel;
use crate::screens::gallery::card::card_title;
use crate::screens::start::card;
use crate::screens::steer::all_users::AllUsers;
use crate::screens::steer::bias::BiasSweep;
use crate::tokens;
use crate::widgets::example::{self, FilmPlace};
use crate::widgets::film_viewer::FilmViewer;
use crate::widgets::located_report::ReportFilm;
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::{notice, number};

/// Most features at once.
const MAX_FEATURES: usize = 8;
/// Strengths beyond this many observed maxima are marked.
const CAUTION: f32 = 4.0;
/// Hard stop of the sliders.
const STOP: f32 = 8.0;

/// What can be done to a feature, and what that means.
const MODES: [(SteeringMode, &str, &str); 4] = [
    (
        SteeringMode::Add,
        "Add",
        "Adds the strength to the feature's activation at every place",
    ),
    (
        SteeringMode::Clamp,
        "Clamp",
        "Sets the feature's activation to the strength at every place",
    ),
    (
        SteeringMode::Ablate,
        "Ablate",
        "Sets the feature's activation to zero at every place, whatever the slider",
    ),
    (
        SteeringMode::Scale,
        "Scale",
        "Multiplies the feature's activation by the strength: 0 ablates it, 1 leaves it",
    ),
];

/// On whom the change is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    OneSample,
    AllUsers,
    Bias,
}

/// One slider.
struct Knob {
    feature: FeatureId,
    strength: f32,
}

/// State of the steering screen.
#[derive(Default)]
pub(crate) struct SteerScreen {
    pub(crate) dictionary: Option<String>,
    sample: u32,
    knobs: Vec<Knob>,
    add: String,
    mode: SteeringMode,
    reach: Reach,
    pub(crate) all_users: AllUsers,
    pub(crate) bias: BiasSweep,
    waiting: Option<SteerTicket>,
    result: Option<Answer<SteerView>>,
    kept: Option<(Revision, String, u32, Answer<Arc<SampleView>>)>,
    /// Films of a grounded report, before and after.
    viewers: [FilmViewer; 2],
}

impl SteerScreen {
    /// Adds a feature; changes the dictionary if need be.
    pub(crate) fn add_feature(&mut self, sae: &str, feature: FeatureId, sample: Option<u32>) {
        if self.dictionary.as_deref() != Some(sae) {
            *self = Self {
                dictionary: Some(sae.to_owned()),
                ..Self::default()
            };
        }
        if let Some(sample) = sample
            && self.knobs.is_empty()
        {
            self.sample = sample;
        }
        let known = self.knobs.iter().any(|knob| knob.feature == feature);
        if !known && self.knobs.len() < MAX_FEATURES {
            self.knobs.push(Knob {
                feature,
                strength: 0.0,
            });
        }
        self.result = None;
    }

    /// Sets every slider.
    pub(crate) fn set_strength(&mut self, strength: f32) {
        for knob in &mut self.knobs {
            knob.strength = strength;
        }
    }

    /// Sets the sliders to a change that was kept.
    pub(crate) fn use_change(&mut self, change: SavedChange) {
        if self.dictionary.as_deref() != Some(&change.sae) {
            *self = Self::default();
        }
        self.dictionary = Some(change.sae);
        if let Some(first) = change.edits.first() {
            self.mode = first.mode;
        }
        self.knobs = change
            .edits
            .into_iter()
            .take(MAX_FEATURES)
            .map(|edit| Knob {
                feature: edit.feature,
                strength: edit.strength,
            })
            .collect();
        self.result = None;
    }

    /// Multiplies features by a factor, for all users.
    pub(crate) fn use_strength(&mut self, sae: &str, features: &[FeatureId], strength: f32) {
        let edits = features.iter().map(|&feature| SteeringSpec {
            feature,
            strength,
            mode: SteeringMode::Scale,
            unit: StrengthUnit::Max,
            scope: PositionScope::All,
        });
        self.use_change(SavedChange {
            name: String::new(),
            sae: sae.to_owned(),
            edits: edits.collect(),
        });
        self.reach = Reach::AllUsers;
    }

    /// What to remember of the sliders.
    pub(crate) fn remembered(&self) -> Option<RememberedSteering> {
        let knobs = self.knobs.iter().map(|knob| (knob.feature, knob.strength));
        Some(RememberedSteering {
            dictionary: self.dictionary.clone()?,
            sample: self.sample,
            knobs: knobs.collect(),
        })
    }

    /// Puts remembered sliders back; the model is not asked before one is moved.
    pub(crate) fn restore(&mut self, remembered: RememberedSteering) {
        *self = Self {
            dictionary: Some(remembered.dictionary),
            sample: remembered.sample,
            knobs: remembered
                .knobs
                .into_iter()
                .take(MAX_FEATURES)
                .map(|(feature, strength)| Knob { feature, strength })
                .collect(),
            ..Self::default()
        };
    }

    /// Chooses a sample.
    pub(crate) fn set_sample(&mut self, sample: u32) {
        self.sample = sample;
    }

    /// What the last request brought.
    pub(crate) fn answer(&self) -> Option<&Answer<SteerView>> {
        self.result.as_ref()
    }

    /// Whether an answer is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Remembers which answer is wanted.
    pub(crate) fn waits_for(&mut self, ticket: SteerTicket) {
        self.waiting = Some(ticket);
    }

    /// What the sliders ask for now.
    pub(crate) fn request(&self) -> Option<SteerRequest> {
        Some(SteerRequest {
            sae: self.dictionary.clone()?,
            sample: self.sample,
            edits: self
                .knobs
                .iter()
                .map(|knob| SteeringSpec {
                    feature: knob.feature,
                    strength: knob.strength,
                    mode: self.mode,
                    unit: StrengthUnit::Max,
                    scope: PositionScope::All,
                })
                .collect(),
        })
    }

    fn send(&mut self, ctx: &AppContext<'_>) {
        if let Some(request) = self.request() {
            ctx.send(Command::Steer(request));
        }
    }

    fn controls_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let mut changed = false;
        match self.reach {
            Reach::OneSample => {}
            Reach::AllUsers => {
                card(ui, |ui| {
                    self.knobs_ui(ctx, ui, sae);
                });
                let edits = self
                    .request()
                    .map_or_else(Vec::new, |request| request.edits);
                self.all_users.controls_ui(ctx, ui, (sae, &edits));
                return;
            }
            Reach::Bias => {
                self.bias.controls_ui(ctx, ui, sae);
                return;
            }
        }
        card(ui, |ui| changed |= self.sample_ui(ctx, ui, sae));
        card(ui, |ui| changed |= self.knobs_ui(ctx, ui, sae));
        if changed {
            self.send(ctx);
        }
    }

    fn sample_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) -> bool {
        let Some(view) = ctx.dictionary(sae) else {
            return false;
        };
        let n = ctx
            .dataset(&view.dataset)
            .map_or(1, |dataset| dataset.manifest.n_samples);
        let mut changed = false;
        ui.horizontal(|ui| {
            let label = ui.label("Sample");
            if ui.button("<").accessible_name("Previous sample").clicked() && self.sample > 0 {
                self.sample -= 1;
                changed = true;
            }
            let drag = egui::DragValue::new(&mut self.sample).range(0..=n.saturating_sub(1));
            changed |= ui.add(drag).labelled_by(label.id).changed();
            if ui.button(">").accessible_name("Next sample").clicked() && self.sample + 1 < n {
                self.sample += 1;
                changed = true;
            }
            notice::weak_ui(ui, format!("of {}", number::count(u64::from(n))));
        });
        match self.record(ctx, &view.dataset) {
            Ok(record) => sample_card_ui(ctx, ui, &view.dataset, &record),
            Err(problem) => notice::error_ui(ui, &problem),
        }
        changed
    }

    fn record(&mut self, ctx: &AppContext<'_>, dataset: &str) -> Answer<Arc<SampleView>> {
        if let Some((revision, name, sample, answer)) = &self.kept
            && *revision == ctx.revision
            && name == dataset
            && *sample == self.sample
        {
            return answer.clone();
        }
        let answer = ctx.backend.sample(dataset, self.sample).map(Arc::new);
        self.kept = Some((
            ctx.revision,
            dataset.to_owned(),
            self.sample,
            answer.clone(),
        ));
        answer
    }

    fn knobs_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) -> bool {
        let mut changed = false;
        ui.label(RichText::new("Features").strong());
        notice::weak_ui(
            ui,
            "1x is the highest activation observed on this dataset; 0 changes nothing. The menu of a \
             card and the feature page add a feature here.",
        );
        let mut remove = None;
        for (i, knob) in self.knobs.iter_mut().enumerate() {
            let (asked, removed) = knob_ui(ctx, ui, sae, knob);
            changed |= asked;
            if removed {
                remove = Some(i);
            }
            ui.add_space(tokens::GRID);
        }
        if let Some(i) = remove {
            self.knobs.remove(i);
            changed = true;
        }
        self.add_ui(ctx, ui, sae);
        ui.horizontal(|ui| {
            ui.label("What is done");
            for (mode, name, hint) in MODES {
                changed |= ui
                    .selectable_value(&mut self.mode, mode, name)
                    .on_hover_text(hint)
                    .changed();
            }
        });
        let hint = MODES.iter().find(|(mode, ..)| *mode == self.mode);
        notice::weak_ui(ui, hint.map_or("", |(_, _, hint)| hint));
        if ui.button("All sliders to zero").clicked() {
            for knob in &mut self.knobs {
                knob.strength = 0.0;
            }
            changed = true;
        }
        changed
    }

    fn add_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        if self.knobs.len() >= MAX_FEATURES {
            notice::weak_ui(ui, "Eight features are the most at once");
            return;
        }
        ui.horizontal(|ui| {
            let label = ui.label("Add feature");
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut self.add)
                        .hint_text("number")
                        .desired_width(80.0),
                )
                .labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let clicked = ui
                .button("+")
                .accessible_name("Add this feature")
                .on_hover_text("Enter")
                .clicked();
            if entered || clicked {
                let n = ctx.dictionary(sae).map_or(0, |view| view.n_features);
                if let Ok(number) = self.add.trim().parse::<u32>()
                    && number < n
                {
                    self.add_feature(sae, FeatureId(number), None);
                    self.add.clear();
                }
            }
        });
    }
}

impl Panel for SteerScreen {
    fn title(&self) -> String {
        "Steer".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let steerable: Vec<&str> = ctx
            .dictionaries
            .iter()
            .filter(|view| ctx.backend.can_steer(&view.name))
            .map(|view| view.name.as_str())
            .collect();
        if steerable.is_empty() {
            notice::empty_ui(
                ui,
                "Nothing to steer yet",
                "With a dictionary of a model that writes or ranks, you turn features up and down \
                 here and watch its report or its ranked list change. The demo project has both.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        }
        let current = self
            .dictionary
            .clone()
            .filter(|name| steerable.contains(&name.as_str()))
            .unwrap_or_else(|| steerable[0].to_owned());
        if self.dictionary.as_ref() != Some(&current) {
            *self = Self {
                dictionary: Some(current.clone()),
                ..Self::default()
            };
        }
        split_ui(
            ctx,
            ui,
            (Edge::Left, "steer controls"),
            Extent {
                default: 400.0,
                range: 320.0..=560.0,
            },
            |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    self.chooser_ui(ui, &steerable, &current);
                    self.reach_ui(ctx, ui, &current);
                    self.controls_ui(ctx, ui, &current);
                });
            },
        );
        let dataset = ctx.dictionary(&current).map(|view| view.dataset.clone());
        let record = dataset
            .as_deref()
            .and_then(|dataset| self.record(ctx, dataset).ok());
        let film = dataset
            .as_deref()
            .zip(record.as_deref())
            .map(|(dataset, record)| ReportFilm { dataset, record });
        egui::CentralPanel::no_frame().show(ui, |ui| match self.reach {
            Reach::OneSample => outcome::ui(
                (ctx, ui),
                self.result.as_ref(),
                self.waiting.is_some(),
                (film.as_ref(), &mut self.viewers),
            ),
            Reach::AllUsers => ablation::ui(ctx, ui, &mut self.all_users),
            Reach::Bias => self.bias.ui(ctx, ui),
        });
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::Steered(ticket, result) if self.waiting == Some(*ticket) => {
                self.waiting = None;
                self.result = Some((**result).clone());
            }
            Event::Ablated(job, answer) => self.all_users.take(*job, answer),
            Event::Debiased(job, answer) => self.bias.take(*job, answer),
            Event::JobEnded(job, _) => {
                self.all_users.ended(*job);
                self.bias.ended(*job);
            }
            Event::PathChosen(PathPurpose::SteeredFolder, Some(place)) => {
                self.all_users.export_to(ctx, place);
            }
            _ => {}
        }
    }
}

impl SteerScreen {
    /// Whom the change is looked at on; only a recommender has more than one sample to offer.
    fn reach_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        if !all_users::measures(ctx, sae) {
            self.reach = Reach::OneSample;
            return;
        }
        ui.horizontal(|ui| {
            for (reach, name) in [
                (Reach::OneSample, "One user"),
                (Reach::AllUsers, "All users"),
                (Reach::Bias, "Against a bias"),
            ] {
                ui.selectable_value(&mut self.reach, reach, name);
            }
        });
    }

    fn chooser_ui(&mut self, ui: &mut Ui, steerable: &[&str], current: &str) {
        ui.horizontal(|ui| {
            egui::ComboBox::from_id_salt("steer dictionary")
                .selected_text(RichText::new(current).font(tokens::title_font()))
                .width(220.0)
                .show_ui(ui, |ui| {
                    for name in steerable {
                        if ui.selectable_label(*name == current, *name).clicked()
                            && *name != current
                        {
                            *self = Self {
                                dictionary: Some((*name).to_owned()),
                                ..Self::default()
                            };
                        }
                    }
                })
                .response
                .accessible_name("Dictionary to steer");
        });
    }
}

/// The sample in small: its film, or the last items of its history.
fn sample_card_ui(ctx: &AppContext<'_>, ui: &mut Ui, dataset: &str, record: &SampleView) {
    if let Some(size) = record.film_size {
        let side = ui.available_width().min(176.0);
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), egui::Sense::hover());
        example::paint_film(ctx, ui, rect, FilmPlace::own(dataset, record.sample), size);
        notice::film_text(
            ui.painter(),
            rect,
            egui::Align2::CENTER_BOTTOM,
            notice::SAFETY,
        );
        let label = format!("Radiograph {}. {}", record.id, notice::SAFETY);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &label));
    }
    let is_history = !record.items.is_empty();
    let mut text = sample_name(&record.id, is_history);
    if let Some(findings) = &record.findings {
        let findings = if findings.is_empty() {
            "no finding".to_owned()
        } else {
            in_words(&findings.join(", "))
        };
        text = format!("{text}: {findings}");
    }
    ui.add(egui::Label::new(text).wrap());
    let history = record
        .items
        .len()
        .saturating_sub(record.n_held_out as usize);
    if is_history {
        notice::weak_ui(ui, "Last items, newest first:");
    }
    for item in record.items[..history].iter().rev().take(6) {
        notice::weak_cut_ui(ui, item.title.clone());
    }
}

/// One slider; whether its value was set, and whether it is to go.
fn knob_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, knob: &mut Knob) -> (bool, bool) {
    let title = ctx.card(sae, knob.feature).map_or_else(
        |_| format!("Feature {}", knob.feature),
        |card| format!("{}  {}", knob.feature, card_title(&card)),
    );
    let (mut changed, mut removed) = (false, false);
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            removed = ui
                .small_button("Remove")
                .accessible_name(format!("Remove feature {}", knob.feature))
                .clicked();
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.add(egui::Label::new(title).truncate());
            });
        });
    });
    ui.horizontal(|ui| {
        ui.spacing_mut().slider_width = (ui.available_width() - 84.0).max(120.0);
        let slider = ui
            .add(
                egui::Slider::new(&mut knob.strength, -STOP..=STOP)
                    .step_by(0.05)
                    .fixed_decimals(2)
                    .suffix("x"),
            )
            .accessible_name(format!("Strength of feature {}", knob.feature));
        paint_scale(ui, slider.rect, ui.spacing().slider_width);
        // While dragging nothing is computed; letting go asks.
        changed = slider.drag_stopped() || (slider.changed() && !slider.dragged());
        if slider.double_clicked() {
            knob.strength = 0.0;
            changed = true;
        }
    });
    ui.add_space(10.0);
    if knob.strength.abs() > CAUTION {
        let text = "Caution: beyond 4x the model leaves what it has ever seen";
        ui.label(RichText::new(text).color(tokens::of(ui).warning));
    }
    (changed, removed)
}

/// Marks zero, the observed maximum and the limits of caution below a slider.
fn paint_scale(ui: &Ui, slider: egui::Rect, width: f32) {
    let theme = tokens::of(ui);
    let painter = ui.painter();
    // The slider's handle stays within its rail, so the ends of the scale are half a handle in.
    let inset = slider.height() / 2.5;
    for (value, text, colour) in [
        (-CAUTION, "-4x", theme.warning),
        (0.0, "0", theme.text_weak),
        (1.0, "1x", theme.text_weak),
        (CAUTION, "4x", theme.warning),
    ] {
        let share = (value + STOP) / (2.0 * STOP);
        let x = slider.left() + inset + (width - 2.0 * inset) * share;
        painter.vline(
            x,
            slider.bottom() - 2.0..=slider.bottom() + 3.0,
            egui::Stroke::new(1.0, colour),
        );
        painter.text(
            egui::pos2(x, slider.bottom() + 3.0),
            egui::Align2::CENTER_TOP,
            text,
            tokens::small_font(),
            colour,
        );
    }
}
