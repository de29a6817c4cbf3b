//! Where one was in a project, kept while one works so that nothing has to be found again.

use egui::Context;
use engine::views::FeatureQuery;

use crate::app::App;
use crate::backend::Answer;
use crate::commands::{Command, Screen};
use crate::options::{Place, RememberedPane};

/// Least seconds between two times that the place is kept.
const KEEP_EVERY: f64 = 1.0;

impl App {
    fn place(&self) -> Place {
        let screens = &self.screens;
        Place {
            screen: self.screen,
            side_by_side: screens.gallery.side_by_side,
            panes: [0, 1].map(|i| RememberedPane {
                dictionary: screens.gallery.panes[i].dictionary.clone(),
                query: FeatureQuery {
                    fires_on_sample: None,
                    area: None,
                    text: String::new(),
                    ..screens.gallery.panes[i].query.clone()
                },
                concepts: screens.gallery.panes[i].shows_concepts,
            }),
            feature: screens.feature.subject.clone(),
            review: screens.review.dictionary.clone(),
            dataset: screens.data.dataset.clone(),
            sample: screens.data.sample,
            evaluated: screens.evaluate.chosen.clone(),
            steering: screens.steer.remembered(),
        }
    }

    /// Tells the engine where one is now.
    pub(super) fn keep_place(&mut self) {
        let Some(project) = &self.seen.project else {
            return;
        };
        let place = self.place();
        self.backend.keep_place(&project.path, &place.to_text());
        self.kept.0 = place;
    }

    /// As [`App::keep_place`], when something has changed and the last time is a while ago.
    pub(super) fn keep_place_now_and_then(&mut self, ctx: &Context) {
        if self.screenshot.is_some() || self.seen.project.is_none() || self.place() == self.kept.0 {
            return;
        }
        let now = ctx.input(|input| input.time);
        let since = now - self.kept.1;
        if since < KEEP_EVERY {
            let rest = std::time::Duration::from_secs_f64(KEEP_EVERY - since);
            ctx.request_repaint_after(rest);
            return;
        }
        self.kept.1 = now;
        self.keep_place();
    }

    /// Commands that leave the open project; where one was is kept first.
    pub(super) fn ask_project(&mut self, command: Command) -> Answer<()> {
        self.keep_place();
        match command {
            Command::OpenProject(dir) => self.backend.open_project(&dir),
            Command::NewProject(dir) => self.backend.new_project(&dir),
            Command::NewProjectFor(dir, arrival) => {
                self.backend.new_project(&dir)?;
                self.drops.after_opening = Some(*arrival);
                Ok(())
            }
            Command::CloseProject => {
                self.backend.close_project();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Opens the project that was open when the window was left, unless the user starts on Start;
    /// where that cannot be, Start says why.
    pub(super) fn reopen(&mut self) {
        if self.seen.project.is_some() || !self.backend.preferences().reopen {
            return;
        }
        let Some(last) = self.backend.last_project() else {
            return;
        };
        let path = &last.path;
        let problem = if last.exists {
            let refused = self.backend.open_project(path).err();
            refused.map(|why| format!("The last project, {path}, could not be opened: {why}"))
        } else {
            Some(format!("The last project, {path}, is not there any more"))
        };
        self.screens.start.problem = problem;
    }

    /// Goes where one was when the open project was left; the gallery the first time.
    pub(super) fn restore_place(&mut self) {
        let Some(project) = &self.seen.project else {
            return;
        };
        let place = self
            .backend
            .place(&project.path)
            .and_then(|text| Place::from_text(&text))
            .unwrap_or_default();
        let screens = &mut self.screens;
        screens.gallery.side_by_side |= place.side_by_side;
        for (pane, old) in screens.gallery.panes.iter_mut().zip(place.panes) {
            pane.dictionary = old.dictionary;
            pane.query = old.query;
            pane.shows_concepts = old.concepts;
        }
        let dictionaries = &self.seen.dictionaries;
        screens.gallery.choose_missing(dictionaries);
        let known = |name: &str| dictionaries.iter().find(|view| view.name == name);
        if let Some((sae, feature)) = place.feature
            && known(&sae).is_some_and(|view| view.indexed && feature.0 < view.n_features)
        {
            screens.feature.open(sae, feature);
        }
        if let Some(sae) = place.review
            && known(&sae).is_some_and(|view| view.indexed)
        {
            screens.review.open(sae);
        }
        let dataset = place.dataset.and_then(|name| {
            let mut datasets = self.seen.datasets.iter();
            datasets.find(|view| view.manifest.name == name)
        });
        if let Some(view) = dataset {
            let last = view.manifest.n_samples.saturating_sub(1);
            let sample = place.sample.min(last);
            screens.data.show(view.manifest.name.clone(), sample);
        }
        screens.evaluate.chosen = place.evaluated.filter(|name| known(name).is_some());
        if let Some(steering) = place.steering
            && known(&steering.dictionary).is_some()
        {
            screens.steer.restore(steering);
        }
        if self.screen == Screen::Start {
            self.screen = match place.screen {
                Screen::Start => Screen::Gallery,
                other => other,
            };
        }
    }
}
