//! Concepts of a recommender's dictionary: what its features look for, and how far that holds.

mod cases;
mod listing;
mod page;
mod totals;

use std::sync::Arc;

use egui::{ComboBox, ScrollArea, Ui};
use engine::views::{ConceptPages, ConceptRunView, Event, JobView, Revision};
use engine::{CaseChoice, ConceptRequest};
use schema::{FeatureId, JobId};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::gallery::concepts::listing::Listing;
use crate::tokens::GRID;
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::{notice, number};

/// Least width at which list and concept stand side by side.
const SIDE_BY_SIDE: f32 = 960.0;

/// The runs of one dictionary, for one revision.
struct Runs {
    sae: String,
    revision: Revision,
    answer: Answer<Arc<Vec<ConceptRunView>>>,
}

/// State of the concepts of one half of the gallery.
pub(crate) struct Concepts {
    /// Which half it is of.
    side: &'static str,
    runs: Option<Runs>,
    /// The run that is shown or on its way, and the revision it was asked at.
    asked: Option<(String, Revision)>,
    answer: Option<Answer<Arc<ConceptPages>>>,
    listing: Listing,
    /// Whose concept is open.
    pub(crate) chosen: Option<FeatureId>,
    /// Conventions of the next run.
    cases: CaseChoice,
    /// The job that makes concepts, and of which dictionary.
    making: Option<(JobId, String)>,
}

impl Concepts {
    /// Nothing read yet.
    pub(crate) fn new(side: &'static str) -> Self {
        Self {
            side,
            runs: None,
            asked: None,
            answer: None,
            listing: Listing::default(),
            chosen: None,
            cases: CaseChoice::Apart,
            making: None,
        }
    }

    /// Remembers the job that makes concepts of a dictionary.
    pub(crate) fn waits_for(&mut self, job: JobId, sae: String) {
        self.making = Some((job, sae));
    }

    /// Hears what was read.
    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::ConceptsRead(name, answer)
                if self.asked.as_ref().is_some_and(|(asked, _)| asked == name) =>
            {
                self.answer = Some(answer.clone());
                self.listing.forget();
            }
            Event::JobEnded(job, _) => {
                self.making.take_if(|(making, _)| making == job);
            }
            _ => {}
        }
    }

    /// Draws the concepts of `sae`, or what to do to get some.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        self.refresh(ctx, sae);
        let runs = match self.runs.as_ref().map(|runs| runs.answer.clone()) {
            Some(Ok(runs)) => runs,
            Some(Err(problem)) => {
                notice::error_ui(ui, &problem);
                return;
            }
            None => return,
        };
        if runs.is_empty() {
            self.empty_ui(ctx, ui, sae);
            return;
        }
        self.runs_ui(ctx, ui, sae, &runs);
        match self.answer.clone() {
            Some(Ok(pages)) => self.pages_ui(ctx, ui, sae, &pages),
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {
                notice::weak_ui(ui, "Reading the concepts…");
            }
        }
    }

    /// Asks for the runs of the dictionary, and for the newest one unless another is shown.
    fn refresh(&mut self, ctx: &AppContext<'_>, sae: &str) {
        let current = self
            .runs
            .as_ref()
            .is_some_and(|runs| runs.sae == sae && runs.revision == ctx.revision);
        if current {
            return;
        }
        let other = self.runs.as_ref().is_none_or(|runs| runs.sae != sae);
        if other {
            self.asked = None;
            self.answer = None;
        }
        let before: Vec<ConceptRunView> = self
            .runs
            .take()
            .filter(|_| !other)
            .and_then(|runs| runs.answer.ok())
            .map_or_else(Vec::new, |runs| runs.to_vec());
        let answer = ctx.backend.concept_runs(sae);
        if let Ok(runs) = &answer {
            let shown = self.asked.as_ref().map(|(name, _)| name.clone());
            // A run that was made anew is read anew.
            let is_same = |name: &str| {
                let find =
                    |runs: &[ConceptRunView]| runs.iter().find(|run| run.name == name).cloned();
                find(runs).is_some() && find(runs) == find(&before)
            };
            match shown {
                Some(name) if is_same(&name) => {}
                _ => {
                    // One that has just come is what one waited for.
                    let new = runs.iter().find(|run| !before.contains(run));
                    if let Some(run) = new.or_else(|| runs.first()) {
                        self.ask(ctx, &run.name);
                    }
                }
            }
        }
        self.runs = Some(Runs {
            sae: sae.to_owned(),
            revision: ctx.revision,
            answer,
        });
    }

    fn ask(&mut self, ctx: &AppContext<'_>, name: &str) {
        self.asked = Some((name.to_owned(), ctx.revision));
        self.answer = None;
        self.listing.forget();
        ctx.send(Command::ReadConcepts(name.to_owned()));
    }

    fn empty_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        notice::empty_ui(
            ui,
            "No concepts yet",
            "Here each feature stands with what it looks for, in words, and with how often a judge \
             who is told only these words says rightly whether the feature is active on other \
             users. Keywords of titles and categories explain and judge; a language model does with \
             `fluoroscope explain concepts --with FILE.gguf`.",
            |ui| {
                ui.horizontal(|ui| {
                    let room = (ui.available_width() - 380.0).max(0.0) / 2.0;
                    ui.add_space(room);
                    self.make_ui(ctx, ui, sae);
                });
            },
        );
    }

    /// The button that makes concepts, or how far the job is that does.
    fn make_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let making = self.making.as_ref().filter(|(_, of)| of == sae);
        if let Some((id, _)) = making {
            let job = ctx.jobs.iter().find(|job| job.id == *id);
            let text = job.map_or_else(|| "Starting…".to_owned(), progress);
            ui.label(text);
            if ui.button("Stop").accessible_name("Stop concepts").clicked() {
                ctx.send(Command::CancelJob(*id));
            }
            return;
        }
        ComboBox::from_id_salt(("concept cases", self.side))
            .selected_text(cases_name(self.cases))
            .width(168.0)
            .show_ui(ui, |ui| {
                for choice in [CaseChoice::Apart, CaseChoice::RecSae] {
                    ui.selectable_value(&mut self.cases, choice, cases_name(choice))
                        .on_hover_text(cases_words(choice));
                }
            })
            .response
            .on_hover_text(cases_words(self.cases))
            .accessible_name("Conventions of the concepts");
        if ui
            .button("Make concepts from keywords")
            .on_hover_text(
                "Every feature that is active on test users, with its baselines; a job that can be \
                 stopped and goes on where it was",
            )
            .clicked()
        {
            let request = match self.cases {
                CaseChoice::Apart => ConceptRequest::new(sae),
                CaseChoice::RecSae => ConceptRequest::recsae(sae),
            };
            ctx.send(Command::MakeConcepts(Box::new(request)));
        }
    }

    /// Which run is shown, and how to get another.
    fn runs_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, runs: &[ConceptRunView]) {
        let shown = self.asked.as_ref().map(|(name, _)| name.clone());
        let shown = shown.unwrap_or_default();
        ui.horizontal_wrapped(|ui| {
            ComboBox::from_id_salt(("concept run", self.side))
                .selected_text(&shown)
                .width(200.0)
                .show_ui(ui, |ui| {
                    for run in runs {
                        let text = format!("{} · {}", run.name, run_words(run));
                        if ui.selectable_label(run.name == shown, text).clicked() {
                            self.ask(ctx, &run.name);
                            self.chosen = None;
                        }
                    }
                })
                .response
                .accessible_name(format!("Run of concepts, {}", self.side));
            self.make_ui(ctx, ui, sae);
        });
    }

    fn pages_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, pages: &ConceptPages) {
        let chosen = self.chosen.and_then(|feature| {
            let mut concepts = pages.view.concepts.iter();
            concepts.find(|concept| concept.feature == feature)
        });
        let absent = self.chosen.filter(|_| chosen.is_none());
        if let Some(feature) = absent {
            notice::warning_ui(
                ui,
                &format!(
                    "Feature {feature} has no concept in this run: it is active on too few test \
                     users, or was not asked for"
                ),
            );
        }
        let is_wide = ui.available_width() >= SIDE_BY_SIDE;
        match chosen {
            Some(concept) if is_wide => {
                let width = ui.available_width();
                let mut close = false;
                split_ui(
                    ctx,
                    ui,
                    (Edge::Right, "concept"),
                    Extent {
                        default: width * 0.45,
                        range: 400.0..=(width - 420.0).max(401.0),
                    },
                    |ui| close = page::ui(ctx, ui, (sae, pages), concept),
                );
                egui::CentralPanel::no_frame().show(ui, |ui| self.list_ui(ui, pages));
                if close {
                    self.chosen = None;
                }
            }
            Some(concept) => {
                if page::ui(ctx, ui, (sae, pages), concept) {
                    self.chosen = None;
                }
            }
            None => self.list_ui(ui, pages),
        }
    }

    /// Totals above, concepts below; both scroll together only where there is little room.
    fn list_ui(&mut self, ui: &mut Ui, pages: &ConceptPages) {
        if ui.available_height() < 420.0 {
            ScrollArea::vertical()
                .id_salt(("concept totals", self.side))
                .max_height(ui.available_height() * 0.5)
                .show(ui, |ui| totals::ui(ui, &pages.view));
        } else {
            totals::ui(ui, &pages.view);
        }
        ui.add_space(GRID);
        self.listing
            .ui(ui, self.side, &pages.view, &mut self.chosen);
    }
}

/// How far a job is, in a line.
fn progress(job: &JobView) -> String {
    if job.total == 0 {
        return job.stage.clone();
    }
    format!(
        "{}: {} of {} {}",
        job.stage,
        number::count(job.done),
        number::count(job.total),
        job.unit
    )
}

/// Who explained and judged.
fn run_words(run: &ConceptRunView) -> String {
    let judged = match &run.judged_by {
        Some(judge) if *judge == run.explained_by => String::new(),
        Some(judge) => format!(", judged by {judge}"),
        None => ", not judged".to_owned(),
    };
    format!("{}{judged}, {}", run.explained_by, number::time(&run.at))
}

fn cases_name(cases: CaseChoice) -> &'static str {
    match cases {
        CaseChoice::Apart => "Cases kept apart",
        CaseChoice::RecSae => "Cases as RecSAE",
    }
}

fn cases_words(cases: CaseChoice) -> &'static str {
    match cases {
        CaseChoice::Apart => {
            "No user or item is both explained from and tested on; up to 50 test cases of each kind, \
             half of the silent ones hard"
        }
        CaseChoice::RecSae => {
            "Five cases of each kind as in RecSAE, so that figures compare; where a feature has few \
             users, a case it was explained from is tested too"
        }
    }
}
