//! Changes state: hears the engine, reads keys, runs commands.

use egui::Context;
use engine::views::{
    DictionaryView, Event, ExampleKind, FeatureQuery, FeatureSort, JobEnd, PathPurpose,
};
use schema::{FeatureId, JobId};

use crate::app::{App, AppContext, context, may_send};
use crate::backend::{Answer, Backend};
use crate::commands::{
    Command, EvaluationCommand, ReviewCommand, Screen, SendingCommand, command_of,
};
use crate::film_textures::HeatDrawing;
use crate::keys::{self, Action, KeyMap, Scope, Shortcut};
use crate::options::{Screenshot, StartAt};
use crate::screens::Panel as _;
use crate::sending::Waiting;
use crate::toasts::Level;
use crate::tour;

/// Frames before a screenshot, so that layouts have settled.
const SETTLE_FRAMES: u32 = 12;
/// Seconds from which the end of a job calls for attention.
const LONG_JOB: f32 = 20.0;
/// Least and largest size of everything, beside the screen's own.
pub(crate) const SCALES: [f32; 2] = [0.75, 2.0];
/// Seconds before a screenshot is taken whatever is still on its way.
const SETTLE_SECONDS: f64 = 90.0;

impl App {
    /// Call once per frame, before [`App::draw`].
    pub fn logic(&mut self, ctx: &Context) {
        self.apply_theme(ctx);
        self.hear(ctx);
        self.seen.jobs = self.backend.jobs();
        if !self.seen.jobs.is_empty() {
            ctx.request_repaint_after(std::time::Duration::from_millis(250));
        }
        if self.backend.revision() != self.seen.revision {
            self.refresh();
        }
        self.apply_start();
        let in_use = &self.screens.gallery.panes[0].dictionary;
        self.screens.evaluate.in_use.clone_from(in_use);
        self.keys(ctx);
        self.drops(ctx);
        let commands: Vec<Command> = self.pending.try_iter().collect();
        for command in commands {
            self.run(ctx, command);
        }
        // Whoever goes elsewhere has had enough of the tour.
        if self.tour.and_then(tour::screen_of) != Some(self.screen) {
            self.tour = None;
        }
        self.watch_window(ctx);
        self.keep_place_now_and_then(ctx);
        self.take_screenshot(ctx);
    }

    fn hear(&mut self, ctx: &Context) {
        for event in self.backend.poll() {
            match &event {
                Event::ProjectChanged => {
                    self.films.clear();
                    self.sending = None;
                    self.picture = None;
                    self.refresh();
                    if let Some(project) = &self.seen.project {
                        self.toasts.forget_errors();
                        for notice in &project.notices {
                            self.toasts.push(Level::Warning, notice);
                        }
                    }
                }
                Event::Changed(_) | Event::Decided(_) => self.refresh(),
                Event::JobWarning(_, text) => self.toasts.push(Level::Warning, text),
                Event::JobEnded(id, JobEnd::Finished(text)) => {
                    self.after_job(ctx, *id, text);
                    self.refresh();
                    if !text.is_empty() {
                        self.toasts.push(Level::Done, text);
                    }
                }
                Event::JobEnded(id, JobEnd::Failed(text)) => {
                    self.call_attention(ctx, *id, text);
                    self.toasts.push(Level::Error, text);
                }
                Event::PathChosen(PathPurpose::FilmPng, path) => {
                    if let (Some(picture), Some(file)) = (self.picture.take(), path)
                        && let Err(problem) = self.backend.save_film(*picture, file)
                    {
                        self.toasts.push(Level::Error, &problem);
                    }
                }
                Event::AsksToSend(shown, request) => {
                    self.sending = Some(Waiting {
                        shown: shown.clone(),
                        request: request.clone(),
                    });
                }
                Event::DecisionFailed(text) => self.toasts.push(Level::Error, text),
                Event::TakenBack(sae, feature) => self.tell_step("Taken back", sae, *feature),
                Event::Restored(sae, feature) => self.tell_step("Restored", sae, *feature),
                Event::Recognised(paths, arrival) => self.recognised(paths, arrival),
                Event::Found(ticket, found) => self.palette.take(&context!(self), *ticket, found),
                _ => {}
            }
            let panels = context!(self);
            self.screens.start.on_event(&panels, &event);
            self.screens.data.on_event(&panels, &event);
            self.screens.models.on_event(&panels, &event);
            self.screens.train.on_event(&panels, &event);
            self.screens.gallery.on_event(&panels, &event);
            self.screens.feature.on_event(&panels, &event);
            self.screens.review.on_event(&panels, &event);
            self.screens.steer.on_event(&panels, &event);
            self.screens.evaluate.on_event(&panels, &event);
            self.screens.settings.on_event(&panels, &event);
            if event == Event::ProjectChanged {
                self.restore_place();
                self.import_after_opening();
            }
        }
    }

    /// Shows a step of the tour in its place, or ends it; it does not come again by itself then.
    fn go_on_tour(&mut self, step: Option<usize>) {
        self.tour = step;
        self.toured = true;
        let Some(screen) = step.and_then(tour::screen_of) else {
            return;
        };
        self.screen = screen;
        let has_feature = self.screens.feature.subject.is_some();
        if screen == Screen::Feature && !has_feature {
            self.start_feature(&StartAt::default());
        }
    }

    /// A job ended well: says so, and shows the first demo project around.
    fn after_job(&mut self, ctx: &Context, id: JobId, text: &str) {
        self.call_attention(ctx, id, text);
        let mut jobs = self.seen.jobs.iter();
        let is_demo = jobs.any(|job| job.id == id && job.title.contains("demo"));
        if is_demo && !self.toured {
            self.commands.send(Command::Tour(Some(0)));
        }
    }

    /// Lights the window up in the task bar when a job that took a while ends behind it, and lets the
    /// desktop tell.
    fn call_attention(&self, ctx: &Context, id: JobId, text: &str) {
        let mut jobs = self.seen.jobs.iter();
        let long = jobs.find(|job| job.id == id && job.seconds >= LONG_JOB);
        let is_away = ctx.input(|input| input.viewport().focused == Some(false));
        if let Some(job) = long.filter(|_| is_away) {
            let kind = egui::UserAttentionType::Informational;
            ctx.send_viewport_cmd(egui::ViewportCommand::RequestUserAttention(kind));
            if self.backend.preferences().notify {
                self.backend.notify(&job.title, text);
            }
        }
    }

    /// Opens where the user asked, once the project is there.
    fn apply_start(&mut self) {
        if self.seen.project.is_none() {
            if let Some(screen) = self.start_at.as_mut().and_then(|start| start.screen.take()) {
                self.screen = screen;
            }
            return;
        }
        let Some(start) = self.start_at.take() else {
            return;
        };
        let gallery = &mut self.screens.gallery;
        if start.dictionary.is_some() {
            gallery.panes[0].dictionary.clone_from(&start.dictionary);
            gallery.side_by_side = false;
        }
        if let Some(sae) = &start.dictionary {
            self.screens.review.open(sae.clone());
        }
        if start.second_dictionary.is_some() {
            gallery.panes[1]
                .dictionary
                .clone_from(&start.second_dictionary);
            gallery.side_by_side = true;
        }
        if let Some(screen) = start.screen {
            self.screen = screen;
        }
        if let Some(dataset) = start.dataset.clone() {
            self.screens.data.show(dataset, start.sample.unwrap_or(0));
        }
        // What was there last time stays, unless something else was asked for.
        let is_there = match self.screen {
            Screen::Feature => self.screens.feature.subject.is_some(),
            Screen::Steer => self.screens.steer.dictionary.is_some(),
            _ => true,
        };
        if !is_there || start.dictionary.is_some() || start.feature.is_some() {
            self.start_feature(&start);
        }
    }

    pub(super) fn start_feature(&mut self, start: &StartAt) {
        let Some(sae) = self.screens.gallery.panes[0].dictionary.clone() else {
            return;
        };
        let strongest = || {
            let query = FeatureQuery {
                sort: FeatureSort::Association,
                ..FeatureQuery::default()
            };
            let ids = self.backend.feature_ids(&sae, &query).ok()?;
            ids.first().copied()
        };
        let Some(feature) = start.feature.map(FeatureId).or_else(strongest) else {
            return;
        };
        self.screens.feature.open(sae.clone(), feature);
        if self.screen == Screen::Steer && self.backend.can_steer(&sae) {
            let steer = &mut self.screens.steer;
            steer.add_feature(&sae, feature, start.sample);
            if let Some(strength) = start.strength {
                steer.set_strength(strength);
                if let Some(request) = steer.request() {
                    self.commands.send(Command::Steer(request));
                }
            }
        }
    }

    fn keys(&mut self, ctx: &Context) {
        if self.screen == Screen::Settings && self.screens.settings.is_listening() {
            return;
        }
        let typing = ctx.text_edit_focused();
        let is_behind = keys::is_behind(ctx);
        self.heat.held = !typing && !is_behind && keys::is_held(ctx, Action::HideHeatmap);
        if is_behind {
            // What lies over the window has the keys to itself; the palette's own closes it.
            if self.palette.open && keys::fired(ctx, Action::Search) {
                self.commands.send(Command::TogglePalette);
            }
            return;
        }
        for &action in Action::ALL {
            // What belongs to one place is heard there; a field that is typed in keeps its own
            // keys, Ctrl+Z among them.
            let is_own = action.scope() != Scope::Everywhere
                && !matches!(action, Action::NextFeature | Action::PreviousFeature);
            let in_field = matches!(action, Action::Undo | Action::Redo)
                || !self.keys.of(action).is_some_and(Shortcut::has_command);
            if is_own || (typing && in_field) {
                continue;
            }
            if let Some(command) = command_of(action)
                && keys::fired(ctx, action)
            {
                self.commands.send(command);
            }
        }
        if typing {
            return;
        }
        for (action, step) in [(Action::LessOpacity, -0.1), (Action::MoreOpacity, 0.1)] {
            if keys::fired(ctx, action) {
                self.heat.opacity = (self.heat.opacity + step).clamp(0.1, 1.0);
            }
        }
    }

    fn run(&mut self, ctx: &Context, command: Command) {
        match command {
            Command::Show(screen) => self.screen = screen,
            Command::ToggleTheme => {
                self.look.light = !self.look.light;
                self.apply_theme(ctx);
            }
            Command::TogglePalette => self.palette.toggle(),
            Command::ShowKeys => self.keys_shown = true,
            Command::ToggleSideBySide => {
                let gallery = &mut self.screens.gallery;
                gallery.side_by_side = !gallery.side_by_side;
                self.screen = Screen::Gallery;
            }
            Command::ToggleAlone => {
                self.layout.toggle_alone(self.screen);
                self.keep_memory();
            }
            Command::ToggleHeatmap => self.heat.shown = !self.heat.shown,
            Command::ToggleSmooth => self.heat.toggle(HeatDrawing::Smooth),
            Command::SaveFilm(picture) => {
                self.picture = Some(picture);
                self.commands
                    .send(Command::ChoosePath(PathPurpose::FilmPng));
            }
            Command::ToggleContours => self.heat.toggle(HeatDrawing::Contours),
            Command::SetHeat(style) => self.heat = style,
            Command::NextFeature => self.step_feature(1),
            Command::PreviousFeature => self.step_feature(-1),
            Command::UseDictionary(name) => {
                self.screens.gallery.panes[0].use_dictionary(name);
                self.screen = Screen::Gallery;
            }
            Command::SwitchDictionary(name) => self.switch_dictionary(name),
            Command::ShowItem(sae, title) => self.show_item(sae, &title),
            Command::OpenFeature(sae, feature) => self.open_feature(sae, feature),
            Command::ShowConcept(sae, feature) => {
                self.screens.gallery.show_concept(&sae, feature);
                self.screen = Screen::Gallery;
            }
            Command::ShowConcepts => self.show_concepts(),
            Command::FiringOnSample(dataset, sample) => {
                let dictionaries = std::sync::Arc::clone(&self.seen.dictionaries);
                let gallery = &mut self.screens.gallery;
                gallery.filter_by_sample(&dictionaries, &dataset, sample);
                self.screen = Screen::Gallery;
            }
            Command::ShowSample(dataset, sample) => {
                self.screens.data.show(dataset, sample);
                self.screen = Screen::Data;
            }
            Command::SteerFeature(sae, feature, sample) => {
                self.steer_feature(&sae, feature, sample);
            }
            Command::SteerSample(dataset, sample) => self.steer_sample(&dataset, sample),
            Command::TrainOn(model, hook) => {
                self.screens.train.train_on(model, hook);
                self.screen = Screen::Train;
            }
            Command::UseChange(change) => {
                self.screens.steer.use_change(&change);
                self.screen = Screen::Steer;
            }
            Command::UseStrength(sae, features, strength) => {
                self.screens.steer.use_strength(&sae, &features, strength);
                self.screen = Screen::Steer;
            }
            Command::NewRecommender => {
                self.screens.models.show_form();
                self.screen = Screen::Models;
            }
            Command::AddRecommender => {
                self.screens.models.show_import();
                self.screen = Screen::Models;
            }
            Command::DismissToast(id) => self.toasts.dismiss(id),
            other => self.set(ctx, other),
        }
    }

    /// Commands that change the window itself; the rest is the review's or asked of the engine.
    fn set(&mut self, ctx: &Context, command: Command) {
        match command {
            Command::SetScale(scale) => {
                self.look.scale = scale.clamp(SCALES[0], SCALES[1]);
                ctx.set_zoom_factor(self.look.scale);
            }
            Command::SetRail(rail) => {
                self.look.rail = rail;
                if !rail.has(self.screen) {
                    self.screen = Screen::Gallery;
                }
            }
            Command::SetKey(action, key) => {
                if let Err(other) = self.keys.set(action, key) {
                    let key = key.map_or_else(String::new, |key| key.to_string());
                    let text = format!(
                        "{key} is the key of \"{}\" ({}) already; change that first",
                        other.name(),
                        other.scope().name()
                    );
                    self.toasts.push(Level::Warning, &text);
                }
                keys::install(ctx, &self.keys);
            }
            Command::ResetKeys => {
                self.keys = KeyMap::default();
                keys::install(ctx, &self.keys);
            }
            Command::Tour(step) => self.go_on_tour(step),
            other => {
                self.run_review(other);
                return;
            }
        }
        self.keep_memory();
    }

    /// Commands of the review; the rest is asked of the engine.
    fn run_review(&mut self, command: Command) {
        match command {
            Command::ShowReview(tab) => {
                self.screens.review.show(tab);
                self.screen = Screen::Review;
            }
            Command::ReviewDictionary(sae) => {
                self.screens.review.open(sae);
                self.screen = Screen::Review;
            }
            Command::ToggleBlind => {
                self.screens.review.toggle_blind(&context!(self));
                self.screen = Screen::Review;
            }
            Command::Undo => self.step_back(false),
            Command::Redo => self.step_back(true),
            other => self.ask(other),
        }
    }

    /// Commands that the engine carries out; what it refuses becomes a message.
    fn ask(&mut self, command: Command) {
        let backend = &self.backend;
        let answer = match command {
            Command::OpenProject(_)
            | Command::NewProject(_)
            | Command::NewProjectFor(..)
            | Command::CloseProject => self.ask_project(command),
            Command::BuildDemo(dir) => backend.build_demo(&dir).map(drop),
            Command::ChoosePath(purpose) => backend.choose_path(purpose),
            Command::PreviewImport(_) | Command::Import(_) => self.ask_import(command),
            Command::ProposeLabels(sae) => backend.propose_keywords(&sae).map(drop),
            Command::Decide(_) if self.seen.reviewer.is_empty() => {
                Err("A decision needs a name: write yours under Settings first".to_owned())
            }
            Command::Decide(request) => {
                let said = (request.state, request.text.as_str());
                backend.decide(&request.sae, request.feature, said, &request.shown)
            }
            Command::Steer(request) => backend.steer(request).map(|ticket| {
                self.screens.steer.waits_for(ticket);
            }),
            Command::ReadConcepts(name) => backend.read_concepts(&name),
            Command::MakeConcepts(request) => {
                let sae = request.sae.clone();
                backend.make_concepts(*request).map(|job| {
                    self.screens.gallery.concepts_wait_for(job, &sae);
                })
            }
            Command::ReadModel(name) => backend.read_model(&name),
            Command::ReadCurve(name) => backend.read_curve(&name),
            Command::Forecast(request) => backend.forecast(*request).map(|job| {
                self.screens.train.forecast.waits_for(job);
            }),
            Command::Train(requests) => backend.train(requests).map(drop),
            Command::ResumeRuns(names) => backend.resume_runs(names).map(drop),
            Command::DiscardRun(name) => backend.discard_run(&name).map(drop),
            Command::TakeOut(name) => backend.take_out(&name),
            Command::TrainRecommender(request) => backend.train_recommender(*request).map(drop),
            Command::ResumeRecommender(name) => backend.resume_recommender(&name).map(drop),
            Command::DiscardRecommender(name) => backend.discard_recommender(&name).map(drop),
            Command::ImportRecommender(request) => backend
                .import_recommender(*request)
                .map(|job| self.screens.models.import.job.waits_for(job)),
            Command::Ablate(request) => backend.ablate(*request).map(|job| {
                self.screens.steer.all_users.waits_for(job);
            }),
            Command::Debias(request) => backend.debias(*request).map(|job| {
                self.screens.steer.bias.waits_for(job);
            }),
            Command::SaveChange(change) => backend.save_change(change),
            Command::RemoveChange(name) => backend.remove_change(&name),
            Command::ExportChange(change, place) => backend.export_change(change, &place).map(drop),
            Command::CancelJob(job) => {
                backend.cancel(job);
                Ok(())
            }
            Command::PauseJob(job, paused) => {
                backend.pause(job, paused);
                Ok(())
            }
            Command::Exchange(asked) => self.exchange(asked),
            Command::SetPreferences(wanted) => backend.set_preferences(*wanted),
            Command::Explain(request) => backend.explain(*request).map(drop),
            Command::SetReviewer(name) => {
                backend.set_reviewer(&name);
                self.seen.reviewer = backend.reviewer();
                Ok(())
            }
            other => self.ask_evidence(other),
        };
        if let Err(problem) = answer {
            self.toasts.push(Level::Error, problem);
        }
    }

    /// Commands of the review, of evaluations and of large examples that the engine carries out.
    fn ask_evidence(&mut self, command: Command) -> Answer<()> {
        let backend = &self.backend;
        let large = if self.screen == Screen::Review {
            &mut self.screens.review.large
        } else {
            &mut self.screens.feature.large
        };
        match command {
            Command::Trace(request) => backend
                .trace(request.clone())
                .map(|ticket| large.trace.waits_for(ticket, request)),
            Command::ReadHistory(request) => backend
                .read_history(request.clone())
                .map(|ticket| large.history.waits_for(ticket, request)),
            Command::BuildGallery(sae) => backend.build_gallery(&sae).map(drop),
            Command::ReadScore(run, feature) => backend.read_score(&run, feature),
            Command::Sending(asked) => {
                let answer = match asked {
                    SendingCommand::Allow(shown) => backend.allow_sending(&shown),
                    SendingCommand::Revoke(address) => backend.revoke_sending(&address),
                };
                self.seen.sends = may_send(&**backend);
                answer
            }
            Command::MapDirections(sae) => backend.map_directions(&sae).map(drop),
            Command::Evaluation(EvaluationCommand::Read(sae)) => backend.read_report(&sae),
            Command::Evaluation(EvaluationCommand::Measure(request)) => {
                let sae = request.dictionary.clone();
                let started = backend.evaluate(*request);
                started.map(|job| self.screens.evaluate.waits_for(job, sae))
            }
            Command::Evaluation(EvaluationCommand::Save(sae, part, file)) => {
                backend.save_report(&sae, part, &file).map(drop)
            }
            Command::Sweep(request) => backend.sweep(*request).map(|job| {
                self.screens.steer.sweep.waits_for(job);
            }),
            Command::ExportSteering(export, file) => {
                backend.export_steering(*export, &file).map(drop)
            }
            Command::Review(asked) => {
                let awaits = asked.awaits_record();
                let answer = review_command(&**backend, asked);
                if awaits && answer.is_err() {
                    self.screens.review.refused();
                }
                answer
            }
            _ => Ok(()),
        }
    }

    /// The concepts of the recommender's dictionary that the gallery shows, else of the first.
    fn show_concepts(&mut self) {
        let is_history = |view: &&DictionaryView| view.kind == ExampleKind::History;
        let panes = self.screens.gallery.panes.iter();
        let shown = panes
            .filter_map(|pane| pane.dictionary.as_deref())
            .filter_map(|name| self.seen.dictionaries.iter().find(|view| view.name == name))
            .find(is_history);
        let found = shown.or_else(|| self.seen.dictionaries.iter().find(is_history));
        match found.map(|view| view.name.clone()) {
            Some(sae) => {
                self.screens.gallery.show_concept(&sae, None);
                self.screen = Screen::Gallery;
            }
            None => self.toasts.push(
                Level::Warning,
                "No dictionary of this project reads a recommender's user vectors",
            ),
        }
    }

    /// Notes how large the window is. Its size while it fills the screen is not its own.
    fn watch_window(&mut self, ctx: &Context) {
        self.look.scale = ctx.zoom_factor();
        let (rect, maximized) = ctx.input(|input| {
            let viewport = input.viewport();
            (viewport.inner_rect, viewport.maximized)
        });
        self.maximized = maximized.unwrap_or(self.maximized);
        if let Some(rect) = rect.filter(|_| !self.maximized) {
            // In points of the system, whatever the scale.
            self.window_size = [
                rect.width() * self.look.scale,
                rect.height() * self.look.scale,
            ];
        }
    }

    fn step_feature(&mut self, step: isize) {
        if self.screen == Screen::Review {
            self.screens.review.step(&context!(self), step as i64);
            return;
        }
        let Some((sae, feature)) = self.screens.feature.subject.clone() else {
            return;
        };
        if self.screen != Screen::Feature {
            return;
        }
        if let Some(next) = self.next_feature(&sae, feature, step) {
            self.screens.feature.open(sae, next);
        }
    }

    /// In the order of the gallery if it shows the feature, else in the order of numbers.
    fn next_feature(&self, sae: &str, feature: FeatureId, step: isize) -> Option<FeatureId> {
        self.screens
            .gallery
            .step_from(sae, feature, step)
            .or_else(|| {
                let ids = self
                    .backend
                    .feature_ids(sae, &FeatureQuery::default())
                    .ok()?;
                let place = ids.partition_point(|&id| id < feature);
                ids.get(place.checked_add_signed(step)?).copied()
            })
    }

    fn take_screenshot(&mut self, ctx: &Context) {
        let is_loading = self.is_loading();
        let Some(pending) = &mut self.screenshot else {
            return;
        };
        ctx.request_repaint();
        if pending.done.load(std::sync::atomic::Ordering::Acquire) {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            return;
        }
        let now = ctx.input(|input| input.time);
        let began = *pending.began.get_or_insert(now);
        pending.n_frames += 1;
        let busy = is_loading || pending.n_frames < SETTLE_FRAMES || now - began < 1.0;
        if busy && now - began < SETTLE_SECONDS {
            return;
        }
        if let Some(sink) = pending.sink.take() {
            let done = std::sync::Arc::clone(&pending.done);
            let callback = egui::ScreenshotCallback::new(move |image| {
                sink(Screenshot {
                    width: image.width() as u32,
                    height: image.height() as u32,
                    rgba: image.as_raw().to_vec(),
                });
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            ctx.send_viewport_cmd(egui::ViewportCommand::Screenshot(callback));
        }
    }
}

/// What a reviewer asked the engine for.
fn review_command(backend: &dyn Backend, asked: ReviewCommand) -> Answer<()> {
    match asked {
        ReviewCommand::Decide {
            sae,
            queue,
            case,
            answer,
        } => backend.decide_case(&sae, &queue, case, answer),
        ReviewCommand::Keep {
            sae,
            queue,
            case,
            draft,
        } => backend.keep_draft(&sae, &queue, case, draft),
        ReviewCommand::Agreement(sae) => backend.agreement(&sae).map(drop),
        ReviewCommand::HandIn {
            sae,
            test,
            said,
            milliseconds,
        } => backend.record_detection(&sae, test, said, milliseconds),
        ReviewCommand::Undo(sae) => backend.undo_on(&sae),
        ReviewCommand::Redo(sae) => backend.redo_on(&sae),
    }
}
