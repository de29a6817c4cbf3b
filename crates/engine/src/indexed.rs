//! A dictionary as it is looked at: weights, feature index, and what is needed to draw examples.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use models::Architecture;
use sae::SparseAutoencoder;
use schema::{CatalogueItem, DatasetKind, FeatureId, HarvestManifest, PatchGrid, PositionClass};
use serde::Deserialize;
use store::{ArtefactKind, Dataset, FeatureIndex, HarvestReader, RowCodes};

use crate::error::{EngineError, Result};
use crate::harvest::{SampleSidecar, sidecar_file};
use crate::jobs::JobContext;
use crate::model_registry::read_record;
use crate::session::Session;
use crate::views::{ExampleContent, ExampleKind, ExampleView, ItemView, PopularityView, TokenView};

/// A dictionary's weights and where they come from.
pub(crate) struct Dictionary {
    pub(crate) sae: SparseAutoencoder,
    pub(crate) harvest: String,
    /// BLAKE3 of its weight file: what decisions attach themselves to.
    pub(crate) hash: String,
}

/// A dictionary with its feature index.
pub(crate) struct IndexedDictionary {
    pub(crate) dictionary: Dictionary,
    pub(crate) index: FeatureIndex,
    pub(crate) harvest: HarvestManifest,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) kind: ExampleKind,
    /// Family of the model, by its record: to ask this loads no weights. `None` without a record.
    pub(crate) architecture: Option<Architecture>,
    /// By sample; read on first use.
    sidecars: OnceLock<Vec<Option<SampleSidecar>>>,
    harvest_folder: std::path::PathBuf,
    n_shards: u32,
}

impl Session {
    /// Loads a dictionary.
    ///
    /// # Errors
    /// When there is none of that name, or its files are damaged.
    pub(crate) fn dictionary(&self, name: &str) -> Result<Dictionary> {
        let hash = self
            .project
            .file_hash(ArtefactKind::Sae, name, "sae.safetensors")?;
        let folder = self.project.artefact_dir(ArtefactKind::Sae, name)?;
        let (sae, provenance) = sae::formats::folder::load(&folder)?;
        let harvest = provenance["harvest"].as_str().ok_or_else(|| {
            EngineError::request(format!(
                "{}: its provenance names no harvest",
                folder.join("cfg.json").display()
            ))
        })?;
        Ok(Dictionary {
            sae,
            harvest: harvest.to_owned(),
            hash,
        })
    }

    /// Encodes every row of the dictionary's harvest and builds its feature index.
    ///
    /// # Errors
    /// When dictionary or harvest do not exist or are damaged.
    pub fn build_feature_index(&self, name: &str, job: &JobContext) -> Result<()> {
        let dictionary = self.dictionary(name)?;
        let reader = HarvestReader::open(&self.project, &dictionary.harvest)?;
        let n_features = dictionary.sae.n_features() as u32;
        let manifest = reader.manifest();
        if manifest.hook == schema::HookPoint::UserVector
            && manifest.classes.contains(&crate::harvest::EVERY_CONTEXT)
        {
            return Err(EngineError::request(format!(
                "activations/{} reads an item in every history it stands in, so that an item has no \
                 one activation to index; train on a harvest of --positions items",
                dictionary.harvest
            )));
        }
        let mut writer = store::FeatureIndexWriter::create(
            &self.project,
            name,
            &dictionary.harvest,
            n_features,
            0,
        )?;
        for index in 0..reader.n_shards() {
            job.check_cancelled()?;
            job.report(
                "Encoding activations",
                index as u64,
                reader.n_shards() as u64,
                "shards",
            );
            let shard = reader.read_shard(index)?;
            let codes = dictionary.sae.encode(&shard.rows)?;
            let starts: Vec<u32> = codes.offsets.iter().map(|&at| at as u32).collect();
            writer.add(
                &shard.refs,
                RowCodes {
                    starts: &starts,
                    features: &codes.features,
                    values: &codes.values,
                },
            )?;
        }
        job.check_cancelled()?;
        let sae = &dictionary.sae;
        writer.finish(
            &mut |feature| sae::nearest_directions(sae, feature, N_NEIGHBOURS),
            &mut |progress| {
                job.step(
                    "Indexing features",
                    u64::from(progress.done),
                    u64::from(progress.total),
                    "parts",
                )
            },
        )?;
        self.forget(name);
        Ok(())
    }
}

/// Whether a dictionary has a feature.
///
/// # Errors
/// When it has not.
pub(crate) fn check_feature(sae: &str, feature: u32, n_features: u32) -> Result<()> {
    if feature < n_features {
        return Ok(());
    }
    Err(EngineError::request(format!(
        "{sae} has no feature {feature}, only 0 to {}",
        n_features.saturating_sub(1)
    )))
}

/// Whether the examples of a harvest are shown as films: it has image patches alone, and says how
/// they lie on the film. Those that a text decoder reads have no text to show in their place.
pub(crate) fn shows_films(folder: &Path, harvest: &HarvestManifest) -> bool {
    harvest.hook.is_vision()
        || (harvest.classes == [PositionClass::Image] && knows_its_grid(folder))
}

/// Whether the first samples of a harvest say how their patches lie on the film: harvests of text
/// decoders by earlier versions do not.
fn knows_its_grid(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Laid {
        grid: Option<PatchGrid>,
    }
    let first: Option<Vec<Laid>> = std::fs::read(folder.join(sidecar_file(0)))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    first.is_some_and(|samples| samples.iter().any(|sample| sample.grid.is_some()))
}

/// Neighbours kept per feature.
pub(crate) const N_NEIGHBOURS: usize = 8;

/// Tokens shown on each side of the strongest one.
const CONTEXT_TOKENS: usize = 24;
/// Items shown before the strongest one.
const CONTEXT_ITEMS: usize = 12;

impl IndexedDictionary {
    pub(crate) fn open(session: &Session, name: &str) -> Result<Self> {
        let index = FeatureIndex::open(&session.project, name)?;
        let dictionary = session.dictionary(name)?;
        let reader = HarvestReader::open(&session.project, &dictionary.harvest)?;
        let harvest = reader.manifest().clone();
        let dataset = session.dataset(&harvest.dataset)?;
        let harvest_folder = session
            .project
            .artefact_dir(ArtefactKind::Harvest, &dictionary.harvest)?;
        let kind = match dataset.manifest.kind {
            DatasetKind::Interactions => ExampleKind::History,
            _ if shows_films(&harvest_folder, &harvest) => ExampleKind::Film,
            _ => ExampleKind::Text,
        };
        Ok(Self {
            harvest_folder,
            n_shards: reader.n_shards() as u32,
            architecture: read_record(&session.project, &harvest.model)
                .ok()
                .map(|record| record.architecture),
            dictionary,
            index,
            harvest,
            dataset,
            kind,
            sidecars: OnceLock::new(),
        })
    }

    pub(crate) fn sidecar(&self, sample: u32) -> Option<&SampleSidecar> {
        let all = self.sidecars.get_or_init(|| {
            let mut all = vec![None; self.harvest.n_samples as usize];
            for shard in 0..self.n_shards {
                let path = self.harvest_folder.join(sidecar_file(shard));
                let read: Option<Vec<SampleSidecar>> = std::fs::read(path)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok());
                for sidecar in read.into_iter().flatten() {
                    let sample = sidecar.sample as usize;
                    if let Some(slot) = all.get_mut(sample) {
                        *slot = Some(sidecar);
                    }
                }
            }
            all
        });
        all.get(sample as usize)?.as_ref()
    }

    /// Draws one sample as an example of one feature.
    ///
    /// # Errors
    /// When the dataset no longer holds the sample.
    pub(crate) fn example(&self, feature: FeatureId, sample: u32) -> Result<ExampleView> {
        let record = self.dataset.records.get(sample as usize).ok_or_else(|| {
            EngineError::request(format!(
                "datasets/{} has no sample {sample}",
                self.harvest.dataset
            ))
        })?;
        let active = self.active_positions(feature, sample);
        let (position, activation) =
            active.iter().copied().fold(
                (0, 0.0),
                |best, one| if one.1 > best.1 { one } else { best },
            );
        let content = match self.kind {
            ExampleKind::Film => self.film_content(record, sample, &active),
            ExampleKind::Text => self.text_content(sample, &active, position),
            ExampleKind::History => self.history_content(record, &active, position),
        };
        Ok(ExampleView {
            sample,
            sample_id: record.id.clone(),
            split: record.split,
            position: self.shown_position(sample, position),
            activation,
            content,
        })
    }

    /// Draws one sample whole, without telling where any feature is active.
    ///
    /// # Errors
    /// When the dataset no longer holds the sample.
    pub(crate) fn unmarked_example(&self, sample: u32) -> Result<ExampleView> {
        let record = self.dataset.records.get(sample as usize).ok_or_else(|| {
            EngineError::request(format!(
                "datasets/{} has no sample {sample}",
                self.harvest.dataset
            ))
        })?;
        let content = match self.kind {
            ExampleKind::Film => self.film_content(record, sample, &[]),
            ExampleKind::Text => ExampleContent::Text {
                tokens: Arc::new(
                    self.sidecar(sample)
                        .into_iter()
                        .flat_map(|sidecar| sidecar.texts.iter().zip(&sidecar.classes))
                        .map(|(text, class)| TokenView {
                            text: text.clone(),
                            activation: 0.0,
                            class: *class,
                        })
                        .collect(),
                ),
            },
            ExampleKind::History => ExampleContent::History {
                items: Arc::new(
                    crate::harvest::training_items(record)
                        .iter()
                        .map(|&item| item_view(&self.dataset, item, 0.0))
                        .collect(),
                ),
            },
        };
        Ok(ExampleView {
            sample,
            sample_id: record.id.clone(),
            split: record.split,
            position: 0,
            activation: 0.0,
            content,
        })
    }

    /// The number of a position among what is drawn of a sample: on a film that of its patch,
    /// row-major.
    pub(crate) fn shown_position(&self, sample: u32, position: u32) -> u32 {
        match self.kind {
            ExampleKind::Film => self.patch_of(sample, position).unwrap_or(position),
            ExampleKind::Text | ExampleKind::History => position,
        }
    }

    /// Which patch of its film a position of a sample is.
    fn patch_of(&self, sample: u32, position: u32) -> Option<u32> {
        self.sidecar(sample)
            .map_or(Some(position), |known| known.patch_of(position))
    }

    /// A position of a sample as a person names it, counted from 1: `row 3 of 14, column 9 of 14`,
    /// `token 12: effusion`, `item 4: Dark chocolate`.
    pub(crate) fn place_in_words(&self, sample: u32, position: u32) -> String {
        let number = position + 1;
        let known = self.sidecar(sample);
        match self.kind {
            ExampleKind::Film => {
                let laid = known.and_then(|known| Some((known.grid?, known.patch_of(position)?)));
                match laid {
                    Some((grid, patch)) if grid.columns > 0 => format!(
                        "row {} of {}, column {} of {}",
                        patch / grid.columns + 1,
                        grid.rows,
                        patch % grid.columns + 1,
                        grid.columns
                    ),
                    _ => format!("position {number}"),
                }
            }
            ExampleKind::Text => {
                let text = known.and_then(|known| known.texts.get(position as usize));
                let text = text.map_or("", |text| text.trim());
                if text.is_empty() {
                    format!("token {number}")
                } else {
                    format!("token {number}: {}", text.replace(['\n', '\r'], " "))
                }
            }
            ExampleKind::History => {
                let record = self.dataset.records.get(sample as usize);
                let item = record
                    .map(crate::harvest::training_items)
                    .and_then(|items| items.get(position as usize));
                match item {
                    Some(&item) => {
                        let title = item_view(&self.dataset, item, 0.0).title;
                        format!("item {number}: {title}")
                    }
                    None => format!("item {number}"),
                }
            }
        }
    }

    /// Positions of a sample on which the feature is active, ascending, each with its highest
    /// activation: a harvest may have read a position in several contexts.
    pub(crate) fn active_positions(&self, feature: FeatureId, sample: u32) -> Vec<(u32, f32)> {
        let mut active = self.index.activations_of_sample(feature, sample);
        active.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        active.dedup_by_key(|(position, _)| *position);
        active
    }

    fn film_content(
        &self,
        record: &schema::SampleRecord,
        sample: u32,
        active: &[(u32, f32)],
    ) -> ExampleContent {
        let size = record
            .image
            .as_ref()
            .map_or([1, 1], |image| [image.width, image.height]);
        let grid = self
            .sidecar(sample)
            .and_then(|sidecar| sidecar.grid)
            .unwrap_or(PatchGrid {
                rows: 1,
                columns: 1,
                left: 0.0,
                top: 0.0,
                width: size[0] as f32,
                height: size[1] as f32,
            });
        let mut heat = vec![0.0; (grid.rows * grid.columns) as usize];
        for &(position, value) in active {
            let patch = self.patch_of(sample, position);
            if let Some(cell) = patch.and_then(|patch| heat.get_mut(patch as usize)) {
                *cell = value;
            }
        }
        ExampleContent::Film {
            dataset: self.harvest.dataset.clone(),
            size,
            grid,
            heat: Arc::new(heat),
        }
    }

    fn text_content(&self, sample: u32, active: &[(u32, f32)], position: u32) -> ExampleContent {
        let Some(sidecar) = self.sidecar(sample) else {
            return ExampleContent::Text {
                tokens: Arc::default(),
            };
        };
        let from = (position as usize).saturating_sub(CONTEXT_TOKENS);
        let to = (position as usize + CONTEXT_TOKENS + 1).min(sidecar.texts.len());
        let tokens = (from..to)
            .map(|at| TokenView {
                text: sidecar.texts[at].clone(),
                activation: activation_at(active, at as u32),
                class: sidecar.classes[at],
            })
            .collect();
        ExampleContent::Text {
            tokens: Arc::new(tokens),
        }
    }

    fn history_content(
        &self,
        record: &schema::SampleRecord,
        active: &[(u32, f32)],
        position: u32,
    ) -> ExampleContent {
        let items = crate::harvest::training_items(record);
        let to = (position as usize + 3).min(items.len());
        let from = to.saturating_sub(CONTEXT_ITEMS + 3);
        let items = (from..to)
            .map(|at| item_view(&self.dataset, items[at], activation_at(active, at as u32)))
            .collect();
        ExampleContent::History {
            items: Arc::new(items),
        }
    }
}

pub(crate) fn activation_at(active: &[(u32, f32)], position: u32) -> f32 {
    active
        .binary_search_by_key(&position, |&(at, _)| at)
        .map_or(0.0, |found| active[found].1)
}

/// An item with its title, picture and popularity.
pub(crate) fn item_view(dataset: &Dataset, id: u32, activation: f32) -> ItemView {
    let known = dataset
        .catalogue
        .get((id as usize).wrapping_sub(1))
        .filter(|item| item.id == id)
        .or_else(|| dataset.catalogue.iter().find(|item| item.id == id));
    let (n_train, percentile) = dataset.popularity(id);
    ItemView {
        id,
        title: known.map_or_else(
            || {
                CatalogueItem {
                    id,
                    ..CatalogueItem::default()
                }
                .shown_title()
            },
            CatalogueItem::shown_title,
        ),
        categories: known
            .map(|item| item.categories.clone())
            .unwrap_or_default(),
        // An absolute path replaces the folder.
        picture: known
            .and_then(|item| item.picture.as_ref())
            .filter(|path| !path.is_empty())
            .map(|path| dataset.folder.join(path).display().to_string().into()),
        popularity: PopularityView {
            n_train,
            percentile,
        },
        activation,
    }
}

#[cfg(test)]
mod tests;
