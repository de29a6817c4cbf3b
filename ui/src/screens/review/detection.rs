//! The detection test for people: told a label, on which of these samples is the feature active? The
//! cases are those of the proposal's judge, where it has one.

use std::sync::Arc;

use egui::{Button, DragValue, Key, RichText, ScrollArea, Ui};
use engine::views::{
    DetectionResult, DetectionTest, Event, ExampleContent, ExampleView, JudgeResult, Revision,
};
use schema::FeatureId;

use crate::app_context::{AppContext, sample_name};
use crate::backend::Answer;
use crate::commands::{Command, ReviewCommand};
use crate::keys::{self, Action};
use crate::screens::start::card;
use crate::tokens::{self, GRID};
use crate::widgets::example::FilmPlace;
use crate::widgets::film_viewer::{FilmViewer, Subject};
use crate::widgets::item_strip::{StripStyle, item_strip_ui};
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::table::{self, Cell};
use crate::widgets::{notice, number, token_text};

/// A test that was begun.
struct Running {
    test: Arc<DetectionTest>,
    said: Vec<Option<bool>>,
    /// The case on the screen.
    at: usize,
    /// When it came on the screen, by the window's clock.
    began: Option<f64>,
    /// Whether the answers are on their way to the disk.
    sent: bool,
}

/// State of the test.
#[derive(Default)]
pub(super) struct Detection {
    /// The feature whose label is tested next.
    feature: u32,
    /// The feature that was proposed last: what the user chose instead stays.
    proposed: Option<FeatureId>,
    /// Seed of the next test of a feature.
    seed: u64,
    running: Option<Running>,
    /// The dictionary of a test that is being drawn.
    drawing: Option<String>,
    problem: Option<String>,
    result: Option<Answer<DetectionResult>>,
    results: Option<(Revision, String, Answer<Vec<DetectionResult>>)>,
    viewer: FilmViewer,
}

impl Detection {
    /// Proposes a feature, unless a test is running.
    pub(super) fn propose(&mut self, feature: FeatureId) {
        if self.running.is_none() && self.result.is_none() && self.proposed != Some(feature) {
            self.feature = feature.0;
            self.proposed = Some(feature);
        }
    }

    /// Hears that a test was drawn, and how it came out.
    pub(super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::DetectionDrawn(sae, answer) if self.drawing.as_ref() == Some(sae) => {
                self.drawing = None;
                match &**answer {
                    Ok(test) => {
                        self.result = None;
                        self.running = Some(Running {
                            said: vec![None; test.cases.len()],
                            test: Arc::new(test.clone()),
                            at: 0,
                            began: None,
                            sent: false,
                        });
                    }
                    Err(problem) => self.problem = Some(problem.clone()),
                }
            }
            Event::Detected(answer) => match &**answer {
                Ok(result) => {
                    self.running = None;
                    self.result = Some(Ok(result.clone()));
                    // The next test of the feature has other cases, where there are any.
                    self.seed += 1;
                }
                Err(problem) => {
                    if let Some(running) = &mut self.running {
                        running.sent = false;
                    }
                    self.result = Some(Err(problem.clone()));
                }
            },
            _ => {}
        }
    }

    /// Draws the test of a dictionary.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        if let Some(Err(problem)) = &self.result {
            notice::error_ui(ui, problem);
        }
        match self.running.take() {
            Some(running) => self.running_ui(ctx, ui, sae, running),
            None => self.begin_ui(ctx, ui, sae),
        }
    }

    fn begin_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        notice::weak_ui(
            ui,
            "You are told a feature's label and see samples without any heatmap or shading: on which \
             of them is the feature active? It is on half; 50 % is guessing. Where the proposal was \
             tested, these are the cases of its judge, whose figure then stands beside yours. It \
             tells how much a label is worth to a reader.",
        );
        ui.add_space(GRID);
        let n_features = ctx
            .dictionary(sae)
            .map_or(1, |dictionary| dictionary.n_features);
        ui.horizontal(|ui| {
            let label = ui.label("Feature");
            ui.add(DragValue::new(&mut self.feature).range(0..=n_features.saturating_sub(1)))
                .labelled_by(label.id);
            let is_free = self.drawing.is_none();
            let begin = ui
                .add_enabled(is_free, Button::new("Begin the test"))
                .on_disabled_hover_text("Its cases are being looked for")
                .on_hover_text(
                    "With the label that stands, else with the proposal; the answers are kept in \
                     the project under your name",
                );
            if begin.clicked() {
                let feature = FeatureId(self.feature);
                let asked = ctx.backend.draw_detection(sae, feature, self.seed);
                self.problem = asked.err();
                self.drawing = self.problem.is_none().then(|| sae.to_owned());
            }
        });
        if let Some(problem) = &self.problem {
            notice::error_ui(ui, problem);
        }
        if let Some(Ok(result)) = &self.result {
            card(ui, |ui| result_ui(ui, result));
        }
        self.results_ui(ctx, ui, sae);
    }

    fn running_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, mut running: Running) {
        let test = Arc::clone(&running.test);
        let now = ui.input(|input| input.time);
        running.began.get_or_insert(now);
        let mut leave = false;
        split_ui(
            ctx,
            ui,
            (Edge::Right, "detection side"),
            Extent {
                default: 360.0,
                range: 300.0..=520.0,
            },
            |ui| {
                ScrollArea::vertical().id_salt("detection").show(ui, |ui| {
                    leave = side_ui(ctx, ui, sae, &mut running);
                });
            },
        );
        // Nothing is answered while the label is out of sight.
        if !ctx.is_alone() {
            keys(ui, &mut running);
        }
        egui::CentralPanel::no_frame().show(ui, |ui| {
            if let Some(case) = test.cases.get(running.at) {
                self.case_ui(ctx, ui, case);
            }
        });
        if !leave {
            self.running = Some(running);
        }
    }

    /// One sample with nothing that tells where a feature is active.
    fn case_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, case: &ExampleView) {
        let is_history = matches!(case.content, ExampleContent::History { .. });
        let name = sample_name(&case.sample_id, is_history);
        match &case.content {
            ExampleContent::Film { dataset, size, .. } => {
                let subject = Subject {
                    place: FilmPlace::own(dataset, case.sample),
                    name: &name,
                    size: *size,
                    heat: None,
                    boxes: &[],
                };
                self.viewer.ui(ctx, ui, &subject);
            }
            ExampleContent::Text { tokens } => {
                notice::weak_ui(ui, name);
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.set_max_width(ui.available_width().min(760.0));
                    token_text::token_text_ui(ui, tokens, 0.0, false);
                });
            }
            ExampleContent::History { items } => {
                notice::weak_ui(ui, name);
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    item_strip_ui(ctx, ui, items, &StripStyle::default());
                });
            }
        }
    }

    fn results_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let is_current = self
            .results
            .as_ref()
            .is_some_and(|(revision, of, _)| *revision == ctx.revision && of == sae);
        if !is_current {
            let answer = ctx.backend.detection_results(sae);
            self.results = Some((ctx.revision, sae.to_owned(), answer));
        }
        match self.results.as_ref().map(|(.., answer)| answer) {
            Some(Ok(results)) if !results.is_empty() => {
                // After a restart a test goes on with cases that were not seen before it.
                self.seed = self.seed.max(results.len() as u64);
                notice::section_ui(ui, "Tests so far");
                ScrollArea::vertical()
                    .id_salt("tests")
                    .auto_shrink(false)
                    .show(ui, |ui| {
                        for result in results.iter().rev() {
                            row_ui(ui, result);
                        }
                    });
            }
            Some(Err(problem)) => notice::error_ui(ui, problem),
            _ => {
                notice::weak_ui(ui, "Results appear here, by feature and reader");
            }
        }
    }
}

fn keys(ui: &Ui, running: &mut Running) {
    if ui.ctx().text_edit_focused() || running.sent || keys::is_behind(ui.ctx()) {
        return;
    }
    let pressed = |key: Key| ui.input(|input| input.modifiers.is_none() && input.key_pressed(key));
    if keys::fired(ui.ctx(), Action::Active) {
        say(running, true);
    } else if keys::fired(ui.ctx(), Action::NotActive) {
        say(running, false);
    }
    if ui.memory(egui::Memory::focused).is_none() {
        if pressed(Key::ArrowRight) {
            running.at = (running.at + 1).min(running.said.len().saturating_sub(1));
        }
        if pressed(Key::ArrowLeft) {
            running.at = running.at.saturating_sub(1);
        }
    }
}

/// Notes an answer and goes to the next case that has none.
fn say(running: &mut Running, active: bool) {
    if let Some(said) = running.said.get_mut(running.at) {
        *said = Some(active);
    }
    let after = (running.at + 1..running.said.len()).chain(0..running.at);
    if let Some(open) = after
        .into_iter()
        .find(|&at| running.said.get(at) == Some(&None))
    {
        running.at = open;
    }
}

/// Label, answers and what is left; whether the test is left.
fn side_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, running: &mut Running) -> bool {
    let mut leave = false;
    card(ui, |ui| {
        let number = format!("Feature {}", running.test.feature);
        ui.label(RichText::new(number).strong());
        let label = RichText::new(&running.test.label).font(tokens::title_font());
        ui.add(egui::Label::new(label).wrap());
        let n_said = running.said.iter().flatten().count();
        notice::weak_ui(
            ui,
            format!(
                "Case {} of {}, {n_said} answered. Is the feature active here?",
                running.at + 1,
                running.said.len()
            ),
        );
        answers_ui(ui, running);
        let is_whole = n_said == running.said.len();
        let entered = is_whole
            && ui.memory(egui::Memory::focused).is_none()
            && ui.input(|input| input.key_pressed(Key::Enter));
        let hand_in = ui
            .add_enabled(
                is_whole && !running.sent,
                Button::new("Hand in the answers"),
            )
            .on_hover_text("Enter")
            .on_disabled_hover_text("Every case has to be answered");
        if (hand_in.clicked() || entered) && !running.sent {
            running.sent = true;
            let now = ui.input(|input| input.time);
            ctx.send(Command::Review(ReviewCommand::HandIn {
                sae: sae.to_owned(),
                test: Arc::clone(&running.test),
                said: running
                    .said
                    .iter()
                    .map(|said| *said == Some(true))
                    .collect(),
                milliseconds: (running.began.map_or(0.0, |began| now - began).max(0.0) * 1000.0)
                    as u64,
            }));
        }
        leave = ui
            .button("Leave the test")
            .on_hover_text("Its answers are forgotten")
            .clicked();
    });
    for note in &running.test.notes {
        notice::weak_ui(ui, note.as_str());
    }
    leave
}

/// The answer to the case on the screen, and the way to the others.
fn answers_ui(ui: &mut Ui, running: &mut Running) {
    let said = running.said.get(running.at).copied().flatten();
    ui.horizontal_wrapped(|ui| {
        for (active, action, name) in [
            (true, Action::Active, "Active"),
            (false, Action::NotActive, "Not active"),
        ] {
            let text = keys::labelled(ui.ctx(), name, action);
            let button = Button::new(text).selected(said == Some(active));
            if ui
                .add_enabled(!running.sent, button)
                .accessible_name(name)
                .clicked()
            {
                say(running, active);
            }
        }
    });
    ui.horizontal_wrapped(|ui| {
        if ui
            .button("Previous case")
            .on_hover_text("Left arrow")
            .clicked()
        {
            running.at = running.at.saturating_sub(1);
        }
        if ui
            .button("Next case")
            .on_hover_text("Right arrow")
            .clicked()
        {
            running.at = (running.at + 1).min(running.said.len().saturating_sub(1));
        }
    });
}

fn result_ui(ui: &mut Ui, result: &DetectionResult) {
    let accuracy = number::percent(result.balanced_accuracy as f32);
    let interval = result.interval.map_or_else(String::new, |[low, high]| {
        format!(
            " ({} to {})",
            number::percent(low as f32),
            number::percent(high as f32)
        )
    });
    ui.label(RichText::new(&result.label).font(tokens::title_font()));
    ui.label(format!("Told rightly: {accuracy}{interval}"))
        .on_hover_text("Mean of the shares among active and among silent cases; 50 % is guessing");
    let [found, active] = result.active;
    let [spared, silent] = result.silent;
    notice::weak_ui(
        ui,
        format!("{found} of {active} active cases and {spared} of {silent} silent ones"),
    );
    let drawn = "The cases were drawn for this test: no judge has seen them";
    let judge = result.judge.as_ref();
    notice::weak_ui(ui, judge.map_or_else(|| drawn.to_owned(), judge_words));
}

/// How the judge did on the same cases.
fn judge_words(judge: &JudgeResult) -> String {
    let figure = judge.balanced_accuracy.map_or_else(
        || "no figure, too few of its answers could be read".to_owned(),
        |value| number::percent(value as f32),
    );
    let unread = if judge.n_unread > 0 {
        let n = number::counted(u64::from(judge.n_unread), ["answer", "answers"]);
        format!(", {n} left out that could not be read")
    } else {
        String::new()
    };
    format!("{} on the same cases: {figure}{unread}", judge.name)
}

fn row_ui(ui: &mut Ui, result: &DetectionResult) {
    let theme = tokens::of(ui);
    let interval = result.interval.map_or_else(String::new, |[low, high]| {
        format!(" ({low:.2} to {high:.2})")
    });
    let texts = [
        result.feature.to_string(),
        result.label.clone(),
        result.reviewer.clone(),
        format!("{:.2}{interval}", result.balanced_accuracy),
        number::time(&result.at),
    ];
    let row = table::row_ui(
        ui,
        &[
            Cell::right(&texts[0], 0.08, theme.text_weak),
            Cell::left(&texts[1], 0.36, theme.text),
            Cell::left(&texts[2], 0.16, theme.text),
            Cell::right(&texts[3], 0.2, theme.text),
            Cell::right(&texts[4], 0.2, theme.text_weak),
        ],
    );
    if let Some(judge) = &result.judge {
        row.on_hover_text(judge_words(judge));
    }
}
