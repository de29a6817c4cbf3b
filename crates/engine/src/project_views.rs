//! What a project holds, as lists for a front end.

use std::collections::{BTreeMap, BTreeSet};

use schema::Split;
use store::{ArtefactKind, Dataset};

use crate::error::{EngineError, Result};
use crate::films::FilmSource;
use crate::indexed::{item_view, shows_films};
use crate::session::Session;
use crate::views::{DatasetView, DictionaryView, ExampleKind, ModelView, SampleView};

/// Categories of a dataset that are offered to choose from.
const N_CATEGORIES: usize = 200;

/// Categories of the items, those of most items first.
fn categories(dataset: &Dataset) -> Vec<String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let of_items = dataset.catalogue.iter().flat_map(|item| &item.categories);
    for category in of_items {
        *counts.entry(category).or_default() += 1;
    }
    let mut order: Vec<(&str, u32)> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let first = order.into_iter().take(N_CATEGORIES);
    first.map(|(category, _)| category.to_owned()).collect()
}

impl Session {
    /// Datasets, by name.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn dataset_views(&self) -> Result<Vec<DatasetView>> {
        self.finished(ArtefactKind::Dataset)?
            .iter()
            .map(|name| {
                let dataset = self.dataset(name)?;
                let mut n_by_split = [0; 3];
                let mut groups = BTreeSet::new();
                for record in &dataset.records {
                    let slot = match record.split {
                        Split::Train => 0,
                        Split::Dev => 1,
                        Split::Test => 2,
                    };
                    n_by_split[slot] += 1;
                    groups.insert(record.group.as_str());
                }
                Ok(DatasetView {
                    manifest: dataset.manifest.clone(),
                    n_by_split,
                    n_groups: groups.len() as u32,
                    n_items: dataset.catalogue.len() as u32,
                    categories: categories(&dataset),
                })
            })
            .collect()
    }

    /// One sample of a dataset.
    ///
    /// # Errors
    /// When there is no such dataset or sample.
    pub fn sample_view(&self, dataset: &str, sample: u32) -> Result<SampleView> {
        let dataset = self.dataset(dataset)?;
        let record = dataset.records.get(sample as usize).ok_or_else(|| {
            EngineError::request(format!(
                "datasets/{} has {} samples; there is no number {sample}",
                dataset.manifest.name,
                dataset.records.len()
            ))
        })?;
        Ok(SampleView {
            sample,
            id: record.id.clone(),
            group: record.group.clone(),
            split: record.split,
            film_size: record
                .image
                .as_ref()
                .map(|image| [image.width, image.height]),
            report: record.report.clone(),
            findings: record.findings.clone(),
            facts: record.facts.clone(),
            boxes: record.boxes.clone(),
            further: record.further.iter().map(Into::into).collect(),
            items: record
                .items
                .iter()
                .map(|&id| item_view(&dataset, id, 0.0))
                .collect(),
            n_held_out: record.n_held_out,
        })
    }

    /// Where a film of a sample is: its own, number 0, or a further one, from 1.
    pub(crate) fn film_source(&self, dataset: &str, sample: u32, film: u32) -> Result<FilmSource> {
        let dataset = self.dataset(dataset)?;
        dataset
            .records
            .get(sample as usize)
            .and_then(|record| match film.checked_sub(1) {
                None => record.image.as_ref(),
                Some(n) => record.further.get(n as usize).map(|film| &film.image),
            })
            .map(|image| FilmSource {
                path: dataset.image_path(image),
                hash: image.hash.clone(),
                kept: self.project.thumbnails().clone(),
            })
            .ok_or_else(|| {
                EngineError::request(format!(
                    "sample {sample} of datasets/{} has no film{}",
                    dataset.manifest.name,
                    if film == 0 {
                        String::new()
                    } else {
                        format!(" number {film} beside its own")
                    }
                ))
            })
    }

    /// Models; one whose files have moved is listed with the reason.
    ///
    /// # Errors
    /// When the project cannot be read.
    pub fn model_views(&self) -> Result<Vec<ModelView>> {
        Ok(self
            .finished(ArtefactKind::Model)?
            .into_iter()
            .map(|name| match self.model(&name) {
                Ok(model) => ModelView::from_card(&name, model.card()),
                Err(error) => ModelView {
                    name,
                    architecture: String::new(),
                    n_parameters: 0,
                    hooks: Vec::new(),
                    facts: vec![("Cannot be loaded".to_owned(), error.message)],
                },
            })
            .collect())
    }

    /// Dictionaries, with an index or without.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn dictionary_views(&self) -> Result<Vec<DictionaryView>> {
        self.finished(ArtefactKind::Sae)?
            .iter()
            .map(|name| self.dictionary_view(name))
            .collect()
    }

    pub(crate) fn dictionary_view(&self, name: &str) -> Result<DictionaryView> {
        let evaluation = self.recorded_evaluation(name)?;
        let is_indexed = self.project.is_finished(ArtefactKind::Features, name);
        let indexed = is_indexed.then(|| self.indexed(name)).transpose()?;
        let dictionary = match &indexed {
            Some(_) => None,
            None => Some(self.dictionary(name)?),
        };
        let harvest_name = match (&indexed, &dictionary) {
            (Some(indexed), _) => indexed.dictionary.harvest.clone(),
            (None, Some(dictionary)) => dictionary.harvest.clone(),
            (None, None) => String::new(),
        };
        let harvest = store::HarvestReader::open(&self.project, &harvest_name)?
            .manifest()
            .clone();
        let kind = if let Some(indexed) = &indexed {
            indexed.kind
        } else {
            let folder = self
                .project
                .artefact_dir(ArtefactKind::Harvest, &harvest_name)?;
            if shows_films(&folder, &harvest) {
                ExampleKind::Film
            } else {
                ExampleKind::Text
            }
        };
        let sae = indexed
            .as_ref()
            .map(|indexed| &indexed.dictionary.sae)
            .or(dictionary.as_ref().map(|dictionary| &dictionary.sae));
        let labels = self.labels(name)?;
        Ok(DictionaryView {
            name: name.to_owned(),
            kind,
            model: harvest.model,
            hook: harvest.hook,
            dataset: harvest.dataset,
            harvest: harvest_name,
            n_features: evaluation.all.n_features,
            n_live: indexed.as_ref().map_or(0, |indexed| {
                let density = &indexed.index.overview().density;
                density.iter().filter(|&&density| density > 0.0).count() as u32
            }),
            d_model: harvest.d_model,
            k: sae.and_then(|sae| sae.sparsity().k()),
            fvu: evaluation.all.fvu,
            l0: evaluation.all.l0,
            dead_share: evaluation.all.dead_share,
            indexed: is_indexed,
            n_reviewed: labels.n_reviewed(),
        })
    }
}
