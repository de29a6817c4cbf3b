//! What the frame of the window asks of the invented project.

use engine::views::{
    Arrival, ArrivalKind, Event, FeatureQuery, Found, FoundFeature, FoundItem, FoundSample, Hits,
    RecentProject, SearchTicket,
};

use super::invented::{Invented, N_SAMPLES};
use crate::backend::{Answer, Surroundings};

/// Invented dictionaries, and datasets of the same names.
const NAMES: [&str; 3] = ["films", "histories", "reports"];
/// Invented items.
const N_ITEMS: u32 = 90;
/// The proposal of every invented feature.
const PROPOSAL: &str = "effusion, pleural, left";
/// Hits of each kind that are told.
const N_TOLD: usize = 8;

impl Surroundings for Invented {
    fn last_project(&self) -> Option<RecentProject> {
        self.state().last.clone()
    }

    fn recognise(&self, paths: Vec<String>) -> Answer<()> {
        let arrival = Box::new(arrival(&paths));
        self.send(Event::Recognised(paths, arrival));
        Ok(())
    }

    fn notify(&self, title: &str, text: &str) {
        self.note(format!("notify {title}: {text}"));
    }

    fn search(&self, text: &str) -> Answer<SearchTicket> {
        if self.state().closed {
            return Err("no project is open".to_owned());
        }
        let ticket = SearchTicket(81);
        let found = self.invented_found(&text.trim().to_lowercase());
        self.send(Event::Found(ticket, Box::new(found)));
        Ok(ticket)
    }
}

/// What a path is by its ending: `project`, `films`, `sae`, a table, a model or a checkpoint.
fn arrival(paths: &[String]) -> Arrival {
    let path = match paths {
        [path] => path.clone(),
        _ => String::new(),
    };
    let file = path.rsplit('/').next().unwrap_or(&path);
    let name = file.split('.').next().unwrap_or(file).to_owned();
    let table = String::new();
    let (kind, said) = match file.rsplit(['.', '-']).next().unwrap_or(file) {
        "project" => (ArrivalKind::Project, "a project"),
        "films" => (ArrivalKind::Films { table }, "a folder of 120 films"),
        "csv" => (ArrivalKind::Reports, "a table of reports"),
        "tsv" => (
            ArrivalKind::Interactions { is_table: true },
            "a table of interactions",
        ),
        "pt" => (ArrivalKind::Recommender, "a recommender's checkpoint"),
        "sae" => (ArrivalKind::Dictionary, "a dictionary"),
        "gguf" => (ArrivalKind::Model, "a language model"),
        "" => (
            ArrivalKind::Nothing,
            "These are 2 things; drop one at a time",
        ),
        _ => (ArrivalKind::Nothing, "It is nothing that is known here"),
    };
    Arrival {
        folder: format!("/new/{name}-project"),
        path,
        name,
        kind,
        said: said.to_owned(),
    }
}

fn told<T>(all: impl Iterator<Item = T>) -> Hits<T> {
    let mut hits = Hits::default();
    for hit in all {
        hits.n += 1;
        if hits.first.len() < N_TOLD {
            hits.first.push(hit);
        }
    }
    hits
}

impl Invented {
    /// No project is open; that in `path` was when the window was left.
    pub fn was_left_in(&self, path: &str, exists: bool) {
        let mut state = self.state();
        state.closed = true;
        state.last = Some(RecentProject {
            path: path.to_owned(),
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            exists,
        });
    }

    /// Running jobs began so many seconds ago.
    pub fn age_jobs(&self, seconds: f32) {
        for job in &mut self.state().jobs {
            job.seconds = seconds;
        }
    }

    /// A new project is there; the invented one, whatever its folder.
    pub(super) fn made(&self, dir: &str) -> Answer<()> {
        if !dir.starts_with("/new") {
            return Err(format!(
                "{dir} is not empty; expected a new or empty folder"
            ));
        }
        let mut state = self.state();
        state.closed = false;
        state.events.push(Event::ProjectChanged);
        Ok(())
    }

    fn invented_found(&self, text: &str) -> Found {
        let query = FeatureQuery {
            text: text.to_owned(),
            ..FeatureQuery::default()
        };
        let number: Option<u32> = text.parse().ok();
        let fits = |feature: u32| number == Some(feature) || PROPOSAL.contains(text);
        let features = NAMES.iter().flat_map(|sae| {
            super::gallery::ids_of(self.n_features, sae, &query)
                .into_iter()
                .map(move |id| (*sae, id))
        });
        let (by_label, by_keyword): (Vec<_>, Vec<_>) =
            features.partition(|(_, feature)| fits(feature.0));
        let view = |(sae, feature): (&str, _), why: &str| FoundFeature {
            sae: sae.to_owned(),
            feature,
            title: PROPOSAL.to_owned(),
            why: why.to_owned(),
        };
        let items = (1..=N_ITEMS).map(|id| format!("Invented item {id}"));
        let samples = NAMES
            .iter()
            .flat_map(|name| (0..N_SAMPLES).map(move |sample| (*name, sample)));
        Found {
            by_label: told(by_label.into_iter().map(|one| view(one, ""))),
            by_keyword: told(by_keyword.into_iter().map(|one| view(one, "costophrenic"))),
            items: told(
                items
                    .filter(|title| title.to_lowercase().contains(text))
                    .map(|title| FoundItem {
                        dataset: "histories".to_owned(),
                        title,
                        sae: Some("histories".to_owned()),
                        sample: Some(0),
                    }),
            ),
            samples: told(
                samples
                    .map(|(dataset, sample)| FoundSample {
                        dataset: dataset.to_owned(),
                        sample,
                        id: format!("{dataset}-{sample:04}"),
                        is_history: dataset == "histories",
                    })
                    .filter(|sample| sample.id.contains(text)),
            ),
            goes_on: false,
        }
    }
}
