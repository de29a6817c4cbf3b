//! Search over the open project: features by label, keyword, token, item or number; items; samples.

use std::sync::Arc;

use schema::{DatasetKind, FeatureId};
use store::{ArtefactKind, Dataset};

use crate::error::Result;
use crate::indexed::IndexedDictionary;
use crate::labels::Labels;
use crate::session::Session;
use crate::views::{ExampleKind, Found, FoundFeature, FoundItem, FoundSample, Hits};

/// Hits of each kind that are told.
const N_TOLD: usize = 8;
/// Features, items or samples between two looks whether the search is still wanted.
const CHUNK: usize = 4096;

/// What is looked for.
struct Wanted {
    /// Lower case, without space around it.
    text: String,
    words: Vec<String>,
    number: Option<FeatureId>,
}

impl Wanted {
    fn new(text: &str) -> Self {
        let text = text.trim().to_lowercase();
        Self {
            words: text.split_whitespace().map(str::to_owned).collect(),
            number: text.parse().ok().map(FeatureId),
            text,
        }
    }

    /// How well a lower-case name fits; `None` where it does not.
    fn fit(&self, name: &str) -> Option<f32> {
        if !self.words.iter().all(|word| name.contains(word)) {
            return None;
        }
        Some(if name == self.text {
            3.0
        } else if name.starts_with(&self.text) {
            2.0
        } else {
            1.0
        })
    }
}

/// Hits with how good each is, the best of which are kept.
struct Best<T> {
    hits: Vec<(f32, T)>,
    n: u32,
}

impl<T> Best<T> {
    fn new() -> Self {
        Self {
            hits: Vec::new(),
            n: 0,
        }
    }

    fn add(&mut self, value: f32, hit: T) {
        self.n += 1;
        // Of hits that are alike, the first stays first.
        let place = self.hits.partition_point(|(other, _)| *other >= value);
        if place < N_TOLD {
            self.hits.truncate(N_TOLD - 1);
            self.hits.insert(place, (value, hit));
        }
    }

    fn told<U>(self, view: impl Fn(T) -> U) -> Hits<U> {
        Hits {
            first: self.hits.into_iter().map(|(_, hit)| view(hit)).collect(),
            n: self.n,
        }
    }
}

/// A dictionary as it is searched.
struct Searched {
    name: String,
    indexed: Arc<IndexedDictionary>,
    labels: Arc<Labels>,
    /// By feature; `None` until they are read.
    strongest: Option<Arc<Vec<String>>>,
}

impl Searched {
    /// The keyword, or what the feature is strongest on, that holds the first word, where every
    /// word is found somewhere.
    fn keyword(&self, wanted: &Wanted, feature: FeatureId) -> Option<String> {
        let strongest = self
            .strongest
            .as_ref()
            .and_then(|all| all.get(feature.0 as usize))
            .map_or("", String::as_str);
        let is_there = |word: &String| {
            strongest.contains(word.as_str()) || self.labels.mentions(feature, word)
        };
        if !wanted.words.iter().all(is_there) {
            return None;
        }
        let first = wanted.words.first()?;
        let terms = self.labels.explanation(feature).into_iter();
        let mut terms = terms.flat_map(|explanation| &explanation.evidence);
        let term = terms.find(|term| term.name.to_lowercase().contains(first));
        let line = || strongest.lines().find(|line| line.contains(first.as_str()));
        let why = term.map(|term| term.name.as_str()).or_else(line);
        Some(why.unwrap_or_default().to_owned())
    }
}

impl Session {
    /// What fits `text`, from what is in memory of tokens and items. `None` once `is_stale` says
    /// that nobody waits for it; what is damaged is passed by, since its own place tells that.
    ///
    /// # Cost
    /// Some 100 ms for 200,000 features; loads dictionaries and datasets the first time.
    pub(crate) fn search(&self, text: &str, is_stale: &dyn Fn() -> bool) -> Option<Found> {
        let wanted = Wanted::new(text);
        if wanted.words.is_empty() {
            return Some(Found::default());
        }
        let dictionaries = self.searched().unwrap_or_default();
        let (mut by_label, mut by_keyword) = (Best::new(), Best::new());
        for (at, dictionary) in dictionaries.iter().enumerate() {
            let n_features = dictionary.indexed.index.n_features();
            for feature in (0..n_features).map(FeatureId) {
                if (feature.0 as usize).is_multiple_of(CHUNK) && is_stale() {
                    return None;
                }
                let labels = &dictionary.labels;
                let goes_with = || labels.auroc(feature).unwrap_or_default();
                let title = labels.caption(feature).to_lowercase();
                if wanted.number == Some(feature) {
                    by_label.add(f32::INFINITY, (at, feature));
                } else if let Some(fit) = wanted.fit(&title) {
                    by_label.add(fit + goes_with(), (at, feature));
                } else if let Some(why) = dictionary.keyword(&wanted, feature) {
                    by_keyword.add(goes_with(), (at, feature, why));
                }
            }
        }
        let view = |at: usize, feature, why| FoundFeature {
            sae: dictionaries[at].name.clone(),
            feature,
            title: dictionaries[at].labels.caption(feature),
            why,
        };
        let mut found = Found {
            by_label: by_label.told(|(at, feature)| view(at, feature, String::new())),
            by_keyword: by_keyword.told(|(at, feature, why)| view(at, feature, why)),
            goes_on: dictionaries.iter().any(|one| one.strongest.is_none()),
            ..Found::default()
        };
        let (mut items, mut samples) = (Best::new(), Best::new());
        for name in self.finished(ArtefactKind::Dataset).unwrap_or_default() {
            let Ok(dataset) = self.dataset(&name) else {
                continue;
            };
            find_items(&dataset, &wanted, is_stale, &mut items)?;
            find_samples(&dataset, &wanted, is_stale, &mut samples)?;
        }
        found.items = items.told(|(dataset, at)| item_view(&dataset, at, &dictionaries));
        found.samples = samples.told(|(dataset, at)| sample_view(&dataset, at));
        Some(found)
    }

    /// Reads tokens and items of every dictionary that has a gallery, for the next search.
    pub(crate) fn read_all_galleries(&self, is_stale: &dyn Fn() -> bool) {
        for dictionary in self.searched().unwrap_or_default() {
            if is_stale() {
                return;
            }
            self.read_gallery(&dictionary.name).ok();
        }
    }

    /// The dictionaries that have a gallery.
    fn searched(&self) -> Result<Vec<Searched>> {
        let names = self.finished(ArtefactKind::Sae)?.into_iter();
        let has_gallery = |name: &String| self.project.is_finished(ArtefactKind::Features, name);
        let searched = names.filter(has_gallery).filter_map(|name| {
            Some(Searched {
                indexed: self.indexed(&name).ok()?,
                labels: self.labels(&name).ok()?,
                strongest: self.galleries.strongest(&name),
                name,
            })
        });
        Ok(searched.collect())
    }
}

/// `None` once nobody waits for it.
fn find_items(
    dataset: &Arc<Dataset>,
    wanted: &Wanted,
    is_stale: &dyn Fn() -> bool,
    items: &mut Best<(Arc<Dataset>, usize)>,
) -> Option<()> {
    for (at, item) in dataset.catalogue.iter().enumerate() {
        if at.is_multiple_of(CHUNK) && is_stale() {
            return None;
        }
        let own_id = item.source_id.as_ref().map(|id| id.to_lowercase());
        let is_named = own_id.is_some_and(|id| id == wanted.text);
        let fit = if is_named {
            Some(3.0)
        } else {
            wanted.fit(&item.shown_title().to_lowercase())
        };
        if let Some(fit) = fit {
            items.add(fit, (Arc::clone(dataset), at));
        }
    }
    Some(())
}

/// `None` once nobody waits for it.
fn find_samples(
    dataset: &Arc<Dataset>,
    wanted: &Wanted,
    is_stale: &dyn Fn() -> bool,
    samples: &mut Best<(Arc<Dataset>, usize)>,
) -> Option<()> {
    for (at, record) in dataset.records.iter().enumerate() {
        if at.is_multiple_of(CHUNK) && is_stale() {
            return None;
        }
        if let Some(fit) = wanted.fit(&record.id.to_lowercase()) {
            samples.add(fit, (Arc::clone(dataset), at));
        }
    }
    Some(())
}

fn item_view(dataset: &Dataset, at: usize, dictionaries: &[Searched]) -> FoundItem {
    let item = &dataset.catalogue[at];
    let name = &dataset.manifest.name;
    let mut reading = dictionaries.iter().filter(|one| {
        let indexed = &one.indexed;
        indexed.kind == ExampleKind::History && indexed.dataset.manifest.name == *name
    });
    let mut records = dataset.records.iter();
    FoundItem {
        dataset: name.clone(),
        title: item.shown_title(),
        sae: reading.next().map(|one| one.name.clone()),
        sample: records
            .position(|record| record.items.contains(&item.id))
            .map(|sample| sample as u32),
    }
}

fn sample_view(dataset: &Dataset, at: usize) -> FoundSample {
    FoundSample {
        dataset: dataset.manifest.name.clone(),
        sample: at as u32,
        id: dataset.records[at].id.clone(),
        is_history: dataset.manifest.kind == DatasetKind::Interactions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JobContext;
    use crate::views::ImportRequest;

    #[test]
    fn the_best_are_told_and_all_are_counted() {
        let mut best = Best::new();
        for i in 0..50_u8 {
            best.add(f32::from(i % 10), i);
        }
        let hits = best.told(|hit| hit);
        assert_eq!(hits.n, 50);
        assert_eq!(hits.first, [9, 19, 29, 39, 49, 8, 18, 28]);
    }

    #[test]
    fn items_and_samples_of_a_project_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::create(&folder.path().join("project")).unwrap();
        let shoppers = ImportRequest::PhantomShoppers {
            name: "shoppers".to_owned(),
            count: 60,
            seed: 1,
        };
        session.import(&shoppers, &JobContext::silent()).unwrap();
        let dataset = session.dataset("shoppers").unwrap();
        let title_of = |id: u32| {
            let mut items = dataset.catalogue.iter();
            items.find(|item| item.id == id).unwrap().shown_title()
        };
        let title = title_of(dataset.records[3].items[0]);
        let wanted = session.search(&title.to_uppercase(), &|| false).unwrap();
        let item = &wanted.items.first[0];
        assert_eq!((&item.title, &item.sae), (&title, &None));
        let sample = item.sample.unwrap() as usize;
        let mut items = dataset.records[sample].items.iter();
        assert!(items.any(|&id| title_of(id) == title));
        let id = dataset.records[12].id.clone();
        let found = session.search(&id, &|| false).unwrap();
        assert_eq!(found.samples.first[0].sample, 12);
        assert!(found.samples.first[0].is_history && !found.goes_on);
        assert_eq!(session.search("  ", &|| false), Some(Found::default()));
        assert_eq!(session.search(&id, &|| true), None);
        let none = session.search("no such thing at all", &|| false).unwrap();
        assert_eq!((none.items.n, none.samples.n), (0, 0));
    }
}
