//! What filters and plots need of all features of a dictionary: read once, off the frame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::Sparsity;
use schema::{Association, ExampleRef, FeatureId};

use super::choose::{Facts, choose};
use crate::error::Result;
use crate::indexed::{IndexedDictionary, item_view};
use crate::jobs::lock;
use crate::session::Session;
use crate::views::{
    ExampleKind, FeaturePlot, FeaturePoints, FeatureQuery, GalleryFacets, PlotArea,
};

/// Adjusted p value below which an association holds.
const MAX_Q: f64 = 0.05;
/// Top samples of a feature whose words or titles the text filter knows.
const N_SEARCHED: usize = 8;
/// Pieces that a word has at most on each side of the strongest one.
const MAX_PIECES: usize = 8;

/// For each feature the finding or category with the highest AUROC of those with q below 0.05.
#[derive(Debug, Default)]
pub(super) struct BestAssociations {
    names: Vec<String>,
    by_feature: BTreeMap<FeatureId, u32>,
}

impl BestAssociations {
    pub(super) fn new(tables: &[(FeatureId, Vec<Association>)]) -> Self {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut by_feature = BTreeMap::new();
        for (feature, table) in tables {
            let held = table.iter().filter(|one| one.q < MAX_Q && one.auroc > 0.5);
            if let Some(best) = held.max_by(|a, b| a.auroc.total_cmp(&b.auroc)) {
                let next = numbers.len() as u32;
                by_feature.insert(*feature, *numbers.entry(&best.name).or_insert(next));
            }
        }
        let mut names = vec![String::new(); numbers.len()];
        for (name, number) in numbers {
            name.clone_into(&mut names[number as usize]);
        }
        Self { names, by_feature }
    }

    /// Number of a finding or category; `None` where it is the best of no feature.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(at as u32)
    }

    /// Number of the feature's best.
    pub(super) fn of(&self, feature: FeatureId) -> Option<u32> {
        self.by_feature.get(&feature).copied()
    }

    /// Each name with the features it is the best of, by name.
    fn counted(&self) -> Vec<(String, u32)> {
        let mut counted: Vec<(String, u32)> =
            self.names.iter().map(|name| (name.clone(), 0)).collect();
        for &number in self.by_feature.values() {
            counted[number as usize].1 += 1;
        }
        counted.sort();
        counted
    }
}

#[derive(Default)]
struct Known {
    best: Option<Arc<BestAssociations>>,
    words: Option<Arc<Vec<String>>>,
    points: BTreeMap<FeaturePlot, Arc<FeaturePoints>>,
    /// Whether reading it was asked for.
    is_asked: bool,
}

/// What is known of all features, by dictionary.
#[derive(Default)]
pub(crate) struct GalleryCache(Mutex<BTreeMap<String, Known>>);

impl GalleryCache {
    fn with<T>(&self, sae: &str, body: impl FnOnce(&mut Known) -> T) -> T {
        body(lock(&self.0).entry(sae.to_owned()).or_default())
    }

    /// Forgets a dictionary whose index was written anew.
    pub(crate) fn forget(&self, sae: &str) {
        lock(&self.0).remove(sae);
    }

    /// Forgets how features go with findings.
    pub(crate) fn forget_associations(&self, sae: &str) {
        self.with(sae, |known| {
            known.best = None;
            known.is_asked = false;
        });
    }

    /// Whether something must still be read and nobody was told to; the caller is told now.
    pub(crate) fn must_read(&self, sae: &str) -> bool {
        self.with(sae, |known| {
            let is_missing = known.best.is_none() || known.words.is_none();
            is_missing && !std::mem::replace(&mut known.is_asked, true)
        })
    }

    /// By feature, lower case and by lines: words or titles on which it is strongest; `None` until
    /// they are read.
    pub(crate) fn strongest(&self, sae: &str) -> Option<Arc<Vec<String>>> {
        self.with(sae, |known| known.words.clone())
    }

    pub(super) fn points(&self, sae: &str, plot: FeaturePlot) -> Option<Arc<FeaturePoints>> {
        self.with(sae, |known| known.points.get(&plot).cloned())
    }

    pub(super) fn keep_points(
        &self,
        sae: &str,
        plot: FeaturePlot,
        points: FeaturePoints,
    ) -> Arc<FeaturePoints> {
        let points = Arc::new(points);
        self.with(sae, |known| known.points.insert(plot, Arc::clone(&points)));
        points
    }
}

impl Session {
    /// The features that pass `query`, in its order.
    ///
    /// # Errors
    /// When the dictionary does not exist or has no index.
    pub fn feature_ids(&self, sae: &str, query: &FeatureQuery) -> Result<Vec<FeatureId>> {
        if query.association.is_some() || !query.text.is_empty() {
            self.read_gallery(sae)?;
        }
        self.known_feature_ids(sae, query)
    }

    /// As [`Session::feature_ids`] from what is in memory already.
    pub(crate) fn known_feature_ids(
        &self,
        sae: &str,
        query: &FeatureQuery,
    ) -> Result<Vec<FeatureId>> {
        let indexed = self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let fires: Option<BTreeSet<u32>> = query.fires_on_sample.map(|sample| {
            let rows = indexed.index.sample_rows(sample);
            rows.flat_map(|row| indexed.index.row(row).0.iter().copied())
                .collect()
        });
        let (best, words) = self
            .galleries
            .with(sae, |known| (known.best.clone(), known.words.clone()));
        let points = match query.area {
            Some(PlotArea { plot, .. }) => self.feature_points(sae, plot)?,
            None => None,
        };
        let facts = Facts {
            overview: indexed.index.overview(),
            labels: &labels,
            groups: groups(&indexed),
            best: best.as_deref(),
            words: words.as_deref().map(Vec::as_slice),
            points: points.as_deref(),
            fires: fires.as_ref(),
        };
        Ok(choose(query, &facts))
    }

    /// Reads what the filters by text and by finding need of all features, unless it is known.
    ///
    /// # Errors
    /// When the dictionary has no index or the database cannot be read.
    pub(crate) fn read_gallery(&self, sae: &str) -> Result<()> {
        let indexed = self.indexed(sae)?;
        let (has_best, has_words) = self
            .galleries
            .with(sae, |known| (known.best.is_some(), known.words.is_some()));
        if !has_best {
            let best = BestAssociations::new(&self.project.all_associations(sae)?);
            self.galleries
                .with(sae, |known| known.best = Some(Arc::new(best)));
        }
        if !has_words {
            let words = Arc::new(strongest_words(&indexed));
            self.galleries.with(sae, |known| known.words = Some(words));
        }
        Ok(())
    }

    /// What the features can be filtered by, as far as it is known.
    ///
    /// # Errors
    /// When the dictionary has no index.
    pub fn gallery_facets(&self, sae: &str) -> Result<GalleryFacets> {
        let indexed = self.indexed(sae)?;
        let best = self.galleries.with(sae, |known| known.best.clone());
        Ok(GalleryFacets {
            associations: best.map(|best| best.counted()).unwrap_or_default(),
            groups: groups(&indexed).to_vec(),
            n_scored: self.labels(sae)?.n_measured(),
        })
    }

    /// Where the features lie on a plot; `None` where the plot must be computed first
    /// ([`Session::map_directions`]).
    ///
    /// # Errors
    /// When the dictionary has no index.
    pub fn feature_points(
        &self,
        sae: &str,
        plot: FeaturePlot,
    ) -> Result<Option<Arc<FeaturePoints>>> {
        if let Some(known) = self.galleries.points(sae, plot) {
            return Ok(Some(known));
        }
        let indexed = self.indexed(sae)?;
        let points = match plot {
            FeaturePlot::Activity => {
                let overview = indexed.index.overview();
                Some(activity(&overview.density, &overview.mean_activation))
            }
            FeaturePlot::Directions => self.kept_directions(&indexed),
        };
        Ok(points.map(|points| self.galleries.keep_points(sae, plot, points)))
    }
}

/// Features of each nested group; empty without groups.
pub(super) fn groups(indexed: &IndexedDictionary) -> &[u32] {
    match indexed.dictionary.sae.sparsity() {
        Sparsity::Matryoshka { group_sizes, .. } => group_sizes,
        _ => &[],
    }
}

/// Logarithms of density and mean activation.
pub(super) fn activity(density: &[f32], mean: &[f32]) -> FeaturePoints {
    let log = |&value: &f32| {
        if value > 0.0 { value.log10() } else { f32::NAN }
    };
    FeaturePoints {
        x: density.iter().map(log).collect(),
        y: mean.iter().map(log).collect(),
        variance: None,
    }
}

/// By feature, lower case and by lines: the words of texts, or the titles of items, on which its
/// top samples are strongest. Empty for films.
fn strongest_words(indexed: &IndexedDictionary) -> Vec<String> {
    if indexed.kind == ExampleKind::Film {
        return Vec::new();
    }
    (0..indexed.index.n_features())
        .into_par_iter()
        .map(|feature| {
            let summary = indexed.index.summary(FeatureId(feature));
            let top = summary.map(|summary| summary.top).unwrap_or_default();
            let found = top.iter().take(N_SEARCHED);
            let words: BTreeSet<String> = found.filter_map(|at| word_at(indexed, at)).collect();
            words.into_iter().collect::<Vec<_>>().join("\n")
        })
        .collect()
}

fn word_at(indexed: &IndexedDictionary, at: &ExampleRef) -> Option<String> {
    if indexed.kind == ExampleKind::History {
        let record = indexed.dataset.records.get(at.sample as usize)?;
        let items = crate::harvest::training_items(record);
        let item = *items.get(at.position as usize)?;
        return Some(item_view(&indexed.dataset, item, 0.0).title.to_lowercase());
    }
    let pieces = &indexed.sidecar(at.sample)?.texts;
    Some(whole_word(pieces, at.position as usize)?.to_lowercase())
}

/// The word that a piece belongs to: from the piece that begins with a space to the one before the
/// next such piece.
pub(super) fn whole_word(pieces: &[String], at: usize) -> Option<String> {
    pieces.get(at)?;
    let begins = |piece: &String| piece.starts_with(char::is_whitespace);
    let first = (at.saturating_sub(MAX_PIECES)..=at)
        .rev()
        .find(|&place| begins(&pieces[place]))
        .unwrap_or(at.saturating_sub(MAX_PIECES));
    let end = (at + 1..pieces.len().min(at + 1 + MAX_PIECES))
        .find(|&place| begins(&pieces[place]))
        .unwrap_or(pieces.len().min(at + 1 + MAX_PIECES));
    Some(pieces[first..end].concat().trim().to_owned())
}
