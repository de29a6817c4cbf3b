//! Steer: turn features up or down on one sample; before and after side by side, and over strengths.

mod ablation;
mod all_users;
mod bias;
mod dose_response;
mod knobs;
mod outcome;
mod presets;
mod sample;
mod setup;

use egui::{RichText, ScrollArea, Ui};
use engine::views::{
    Event, PathPurpose, SavedChange, SteerRequest, SteerTicket, SteerView, SteeringExport,
    SteeringPart,
};
use schema::{FeatureId, PositionScope, SteeringMode, SteeringSpec, StrengthUnit};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, Screen};
use crate::options::RememberedSteering;
use crate::screens::Panel;
use crate::screens::start::card;
use crate::screens::steer::all_users::AllUsers;
use crate::screens::steer::bias::BiasSweep;
use crate::screens::steer::dose_response::DoseResponse;
use crate::screens::steer::presets::{PresetStep, Presets};
use crate::screens::steer::sample::Sample;
use crate::screens::steer::setup::{History, Knob, MAX_FEATURES, Setup, Undone};
use crate::tokens;
use crate::widgets::film_viewer::FilmViewer;
use crate::widgets::located_report::ReportFilm;
use crate::widgets::notice;
use crate::widgets::split::{Edge, HALF, beside, split_ui};

/// On whom the change is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    OneSample,
    AllUsers,
    Bias,
}

/// State of the steering screen.
#[derive(Default)]
pub(crate) struct SteerScreen {
    pub(crate) dictionary: Option<String>,
    sample: Sample,
    setup: Setup,
    history: History,
    add: String,
    reach: Reach,
    /// Whether the same is done along a random direction, too.
    control: bool,
    pub(crate) all_users: AllUsers,
    pub(crate) bias: BiasSweep,
    pub(crate) sweep: DoseResponse,
    presets: Presets,
    /// Whether the model is to be asked when the screen is drawn next.
    asks: bool,
    waiting: Option<SteerTicket>,
    result: Option<Answer<SteerView>>,
    /// What the file that is being chosen is for.
    saving: Option<Box<SteeringExport>>,
    /// Films of a grounded report, before and after.
    viewers: [FilmViewer; 2],
}

impl SteerScreen {
    fn of(dictionary: &str) -> Self {
        Self {
            dictionary: Some(dictionary.to_owned()),
            ..Self::default()
        }
    }

    /// Steers another dictionary, without sliders at first.
    pub(crate) fn use_dictionary(&mut self, sae: &str) {
        if self.dictionary.as_deref() != Some(sae) {
            *self = Self {
                control: self.control,
                ..Self::of(sae)
            };
        }
    }

    /// Adds a feature; changes the dictionary if need be. Whether there was room for it.
    pub(crate) fn add_feature(
        &mut self,
        sae: &str,
        feature: FeatureId,
        sample: Option<u32>,
    ) -> bool {
        self.use_dictionary(sae);
        let knobs = &mut self.setup.knobs;
        if let Some(sample) = sample
            && knobs.is_empty()
        {
            self.sample = Sample::new(sample);
        }
        let known = knobs.iter().any(|knob| knob.feature == feature);
        let has_room = known || knobs.len() < MAX_FEATURES;
        if !known && has_room {
            knobs.push(Knob {
                feature,
                strength: 0.0,
            });
        }
        (self.result, self.waiting) = (None, None);
        has_room
    }

    /// The dictionary whose features are on the sliders.
    pub(crate) fn dictionary(&self) -> Option<&str> {
        self.dictionary.as_deref()
    }

    /// Steers another sample, with the sliders as they are; changes the dictionary if need be.
    pub(crate) fn steer_sample(&mut self, sae: &str, sample: u32) {
        self.use_dictionary(sae);
        self.sample = Sample::new(sample);
        self.reach = Reach::OneSample;
        (self.result, self.waiting) = (None, None);
        self.asks = true;
    }

    /// Sets every slider.
    pub(crate) fn set_strength(&mut self, strength: f32) {
        for knob in &mut self.setup.knobs {
            knob.strength = strength;
        }
    }

    /// Sets the sliders to a change that was kept.
    pub(crate) fn use_change(&mut self, change: &SavedChange) {
        if self.dictionary.as_deref() != Some(&change.sae) {
            *self = Self::of(&change.sae);
        }
        self.setup = Setup::of(&change.edits);
        if let Some(sample) = change.sample {
            self.sample = Sample::new(sample);
            self.reach = Reach::OneSample;
        }
        self.result = None;
        self.asks = true;
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
        self.use_change(&SavedChange {
            name: String::new(),
            sae: sae.to_owned(),
            edits: edits.collect(),
            sample: None,
        });
        self.reach = Reach::AllUsers;
    }

    /// What to remember of the sliders.
    pub(crate) fn remembered(&self) -> Option<RememberedSteering> {
        let knobs = self.setup.knobs.iter();
        Some(RememberedSteering {
            dictionary: self.dictionary.clone()?,
            sample: self.sample.number,
            knobs: knobs.map(|knob| (knob.feature, knob.strength)).collect(),
            mode: self.setup.mode,
            scope: self.setup.scope,
            control: self.control,
            sweep: self.sweep.form(),
        })
    }

    /// Puts remembered sliders back; the model is not asked before that is wanted.
    pub(crate) fn restore(&mut self, remembered: RememberedSteering) {
        let knobs = remembered.knobs.into_iter().take(MAX_FEATURES);
        let setup = Setup {
            knobs: knobs
                .map(|(feature, strength)| Knob { feature, strength })
                .collect(),
            mode: remembered.mode,
            scope: remembered.scope,
        };
        *self = Self {
            sample: Sample::new(remembered.sample),
            control: remembered.control,
            history: History::begin(setup.clone()),
            setup,
            sweep: DoseResponse::of(remembered.sweep),
            ..Self::of(&remembered.dictionary)
        };
    }

    /// Chooses a sample.
    pub(crate) fn set_sample(&mut self, sample: u32) {
        self.sample = Sample::new(sample);
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
            sample: self.sample.number,
            edits: self.setup.edits(),
            control: self.control,
        })
    }

    /// Takes the last change of this screen back, or does it again; whether there was one.
    pub(crate) fn step(&mut self, ctx: &AppContext<'_>, forth: bool) -> bool {
        // Nothing is changed out of sight.
        if self.reach == Reach::Bias {
            return true;
        }
        self.history.settle(&self.setup);
        let step = if forth {
            self.history.redo()
        } else {
            self.history.undo()
        };
        match step {
            None => return false,
            Some(Undone::Set(setup)) => {
                self.setup = setup;
                if self.reach == Reach::OneSample {
                    self.send(ctx);
                }
            }
            Some(Undone::PutBack(change)) => {
                self.presets.is_back();
                ctx.send(Command::SaveChange(*change));
            }
            Some(Undone::Remove(change)) => ctx.send(Command::RemoveChange(change.name)),
        }
        true
    }

    /// Asks the model, where there is something to ask.
    fn send(&mut self, ctx: &AppContext<'_>) {
        match self.request() {
            Some(request) if !request.edits.is_empty() => ctx.send(Command::Steer(request)),
            // What was asked before is not wanted any more.
            _ => (self.result, self.waiting) = (None, None),
        }
    }

    fn controls_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        if self.reach == Reach::Bias {
            self.bias.controls_ui(ctx, ui, sae);
            return;
        }
        let is_one = self.reach == Reach::OneSample;
        let mut changed = std::mem::take(&mut self.asks);
        // The sliders stay in sight above a film as wide as its card.
        let parts = (&mut self.setup, &mut self.add);
        card(ui, |ui| {
            changed |= knobs::ui(ctx, ui, sae, parts);
            if is_one {
                let control = ui.checkbox(&mut self.control, "Beside a random direction");
                changed |= control.on_hover_text(outcome::CONTROL).changed();
            }
        });
        if is_one {
            card(ui, |ui| changed |= self.sample.ui(ctx, ui, sae));
        }
        if !ui.input(|input| input.pointer.any_down()) {
            self.history.settle(&self.setup);
        }
        if is_one && changed {
            self.send(ctx);
        }
        let edits = self.setup.edits();
        if is_one {
            let request = self.request();
            card(ui, |ui| self.sweep.controls_ui(ctx, ui, request));
        } else {
            self.all_users.controls_ui(ctx, ui, (sae, &edits));
        }
        let sample = is_one.then_some(self.sample.number);
        let mut asked = presets::Asked::default();
        card(ui, |ui| {
            asked = self.presets.ui(ctx, ui, (sae, &edits), sample);
        });
        match asked.step {
            Some(PresetStep::Removed(change)) => self.history.removed(change),
            Some(PresetStep::PutBack(name)) => self.history.put_back(&name),
            None => {}
        }
        if let Some(part) = asked.export {
            self.save(ctx, part);
        }
    }

    /// Asks for the file of a part of what was measured.
    fn save(&mut self, ctx: &AppContext<'_>, part: SteeringPart) {
        let Some(now) = self.request() else {
            return;
        };
        let is_whole = matches!(part, SteeringPart::Json | SteeringPart::Page);
        let purpose = match part {
            SteeringPart::Json => PathPurpose::ExperimentJson,
            SteeringPart::Page => PathPurpose::ExperimentPage,
            SteeringPart::Table => PathPurpose::SweepTable,
            SteeringPart::Svg(_) => PathPurpose::SweepSvg,
            SteeringPart::Png(_) => PathPurpose::SweepPng,
        };
        // The whole holds a sweep only of what is steered now.
        let fits = |view: &&engine::views::SweepView| !is_whole || view.request.is_about(&now);
        let sweep = self.sweep.view().filter(fits).cloned();
        self.saving = Some(Box::new(SteeringExport {
            name: self.presets.name.trim().to_owned(),
            request: now,
            // A dictionary may have been trained anew since.
            known: None,
            sweep,
            part,
        }));
        ctx.send(Command::ChoosePath(purpose));
    }

    /// Before and after, and the sweep below them.
    fn results_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let dataset = ctx.dictionary(sae).map(|view| view.dataset.clone());
        let record = dataset
            .as_deref()
            .and_then(|dataset| self.sample.record(ctx, dataset).ok());
        let film = dataset
            .as_deref()
            .zip(record.as_deref())
            .map(|(dataset, record)| ReportFilm { dataset, record });
        let state = (self.waiting.is_some(), !self.setup.knobs.is_empty());
        let now = self.request();
        let (mut runs, mut part) = (false, None);
        ScrollArea::vertical()
            .id_salt("steered")
            .auto_shrink(false)
            .show(ui, |ui| {
                if self.sweep.is_there() && self.result.is_none() && !state.0 {
                    runs = ui.button("Run").on_hover_text("Before and after").clicked();
                } else {
                    let films = (film.as_ref(), &mut self.viewers);
                    runs = outcome::ui((ctx, ui), self.result.as_ref(), state, films);
                }
                if self.sweep.is_there() {
                    ui.add_space(tokens::GRID);
                    part = self.sweep.ui(ui, now.as_ref());
                }
            });
        if runs {
            self.send(ctx);
        }
        if let Some(part) = part {
            self.save(ctx, part);
        }
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
            *self = Self::of(&current);
        }
        let (controls, extent) = beside(ui, "steer controls", (400.0, HALF));
        split_ui(ctx, ui, (Edge::Left, &controls), extent, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.chooser_ui(ui, &steerable, &current);
                self.reach_ui(ctx, ui, &current);
                self.controls_ui(ctx, ui, &current);
            });
        });
        egui::CentralPanel::no_frame().show(ui, |ui| match self.reach {
            Reach::OneSample => self.results_ui(ctx, ui, &current),
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
            Event::Swept(job, answer) => self.sweep.take(*job, answer),
            Event::JobEnded(job, _) => {
                self.sweep.ended(*job);
                self.all_users.ended(*job);
                self.bias.ended(*job);
            }
            Event::PathChosen(PathPurpose::SteeredFolder, Some(place)) => {
                self.presets.export_to(ctx, place);
            }
            Event::PathChosen(
                PathPurpose::ExperimentJson
                | PathPurpose::ExperimentPage
                | PathPurpose::SweepTable
                | PathPurpose::SweepSvg
                | PathPurpose::SweepPng,
                path,
            ) => {
                if let (Some(export), Some(file)) = (self.saving.take(), path) {
                    ctx.send(Command::ExportSteering(export, file.clone()));
                }
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
        let before = self.reach;
        ui.horizontal(|ui| {
            for (reach, name) in [
                (Reach::OneSample, "One user"),
                (Reach::AllUsers, "All users"),
                (Reach::Bias, "Against a bias"),
            ] {
                ui.selectable_value(&mut self.reach, reach, name);
            }
        });
        // The sliders may have been moved meanwhile.
        if self.reach != before && self.reach == Reach::OneSample && self.result.is_some() {
            self.asks = true;
        }
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
                            *self = Self::of(name);
                        }
                    }
                })
                .response
                .accessible_name("Dictionary to steer");
        });
    }
}
