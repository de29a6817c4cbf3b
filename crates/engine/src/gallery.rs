//! What the cards and pages of a gallery hold.

mod bench;
mod choose;
mod directions;
mod known;
mod nested;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schema::{ExampleRef, FeatureId, FeatureSummary, HookPoint, ReviewState};

use crate::error::{EngineError, Result};
use crate::indexed::{IndexedDictionary, item_view};
use crate::session::Session;
use crate::views::{
    ExampleKind, ExampleView, FeatureCard, FeaturePage, FiringView, ItemEffects, WritesView,
};

pub use bench::{QueryTime, query_times};
pub(crate) use known::GalleryCache;

/// Examples on a card.
const ON_CARD: usize = 4;
/// Promoted and suppressed tokens or items on a page.
const N_WRITES: usize = 10;
/// Share of the top examples that one item may fill before a page warns.
const ONE_ITEM_SHARE: f32 = 0.5;

/// What there is to see of a feature.
pub(crate) struct Evidence {
    /// How its examples look.
    pub(crate) kind: ExampleKind,
    pub(crate) summary: FeatureSummary,
    /// Best first.
    pub(crate) top: Vec<ExampleView>,
    /// Highest band first.
    pub(crate) bands: Vec<Vec<ExampleView>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Session {
    /// A card of the gallery.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_card(&self, sae: &str, feature: FeatureId) -> Result<FeatureCard> {
        let indexed = self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let summary = indexed.index.summary(feature)?;
        let top = examples(&indexed, feature, summary.top.iter().take(ON_CARD))?;
        Ok(FeatureCard {
            feature,
            label: labels.label(feature),
            proposal: labels.proposal(feature),
            state: labels.state(feature),
            density: summary.density,
            sample_density: summary.sample_density,
            max_activation: summary.max_activation,
            histogram: Arc::new(summary.histogram),
            association: labels.association(feature),
            score: labels.measured(feature).cloned(),
            top: Arc::new(top),
        })
    }

    /// The examples of a feature and what one should know of them, without any word on its label.
    ///
    /// # Errors
    /// When there is no such feature.
    pub(crate) fn feature_evidence(&self, sae: &str, feature: FeatureId) -> Result<Evidence> {
        let indexed = self.indexed(sae)?;
        let summary = indexed.index.summary(feature)?;
        let top = examples(&indexed, feature, summary.top.iter())?;
        let bands = summary
            .quantiles
            .iter()
            .map(|band| examples(&indexed, feature, band.iter()))
            .collect::<Result<Vec<_>>>()?;
        Ok(Evidence {
            kind: indexed.kind,
            warnings: warnings(&indexed, &top, summary.n_active_rows),
            notes: notes(&indexed),
            summary,
            top,
            bands,
        })
    }

    /// Everything about one feature.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_page(&self, sae: &str, feature: FeatureId) -> Result<FeaturePage> {
        let indexed = self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let Evidence {
            kind,
            summary,
            top,
            bands,
            warnings,
            notes,
        } = self.feature_evidence(sae, feature)?;
        Ok(FeaturePage {
            card: self.feature_card(sae, feature)?,
            kind,
            n_active_rows: summary.n_active_rows,
            mean_activation: summary.mean_activation,
            top: Arc::new(top),
            bands: Arc::new(bands),
            neighbours: summary
                .neighbours
                .iter()
                .map(|other| (other.feature, labels.caption(other.feature), other.cosine))
                .collect(),
            nested: nested::nearest(&indexed, &labels, feature),
            cofiring: summary
                .cofiring
                .iter()
                .map(|other| (other.feature, labels.caption(other.feature), other.jaccard))
                .collect(),
            associations: self.associations_of(sae, feature)?,
            writes: self.writes(&indexed, feature, summary.max_activation)?,
            explanations: self.explanations_of(sae, feature)?,
            decisions: self.decisions_of(sae, feature)?,
            warnings,
            notes,
        })
    }

    /// The features that fire on a sample, strongest first, with their highest activation there.
    ///
    /// # Errors
    /// When the dictionary does not exist or has no index.
    pub fn firing_on(&self, sae: &str, sample: u32) -> Result<Vec<FiringView>> {
        let indexed = self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let mut best: std::collections::BTreeMap<u32, ExampleRef> =
            std::collections::BTreeMap::new();
        for row in indexed.index.sample_rows(sample) {
            let position = indexed.index.row_ref(row).map_or(0, |place| place.position);
            let (features, values) = indexed.index.row(row);
            for (&feature, &activation) in features.iter().zip(values) {
                let here = ExampleRef {
                    sample,
                    position,
                    activation,
                };
                let known = best.entry(feature).or_insert(here);
                if activation > known.activation {
                    *known = here;
                }
            }
        }
        let mut firing: Vec<_> = best
            .into_iter()
            .map(|(id, at)| FiringView {
                feature: FeatureId(id),
                caption: labels.caption(FeatureId(id)),
                activation: at.activation,
                position: indexed.shown_position(sample, at.position),
                place: indexed.place_in_words(sample, at.position),
            })
            .collect();
        firing.sort_by(|a, b| b.activation.total_cmp(&a.activation));
        Ok(firing)
    }

    /// Logit lens of a feature, read through the model's own output map.
    fn writes(
        &self,
        indexed: &IndexedDictionary,
        feature: FeatureId,
        maximum: f32,
    ) -> Result<Option<WritesView>> {
        // A model whose file has moved still has a gallery; only this part is missing.
        let Ok(model) = self.model(&indexed.harvest.model) else {
            return Ok(None);
        };
        let direction = indexed.dictionary.sae.decoder_row(feature.0);
        let Some(scores) = model.hooked.logit_lens(direction, indexed.harvest.hook)? else {
            return Ok(None);
        };
        let name = |index: usize| match indexed.kind {
            ExampleKind::History => item_view(&indexed.dataset, index as u32 + 1, 0.0).title,
            _ => model.hooked.token_text(index as u32),
        };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let take = |indices: &mut dyn Iterator<Item = usize>| {
            indices
                .take(N_WRITES)
                .map(|index| (name(index), scores[index]))
                .collect()
        };
        Ok(Some(WritesView {
            promoted: take(&mut order.iter().copied()),
            suppressed: take(&mut order.iter().rev().copied()),
            items: (indexed.kind == ExampleKind::History)
                .then(|| item_effects(indexed, (&order, &scores), maximum)),
        }))
    }

    /// Whether a model can be steered at the place a dictionary reads.
    pub(crate) fn steerable(&self, sae: &str) -> bool {
        self.indexed(sae).is_ok_and(|indexed| {
            let hook = indexed.harvest.hook;
            indexed
                .architecture
                .is_some_and(|architecture| crate::steer::reaches_output(hook, architecture))
        })
    }
}

/// What the feature at its observed maximum does to the scores, which are products of the user
/// vector with items: to move it by `maximum` directions adds `maximum` times the lens.
fn item_effects(
    indexed: &IndexedDictionary,
    (order, scores): (&[usize], &[f32]),
    maximum: f32,
) -> ItemEffects {
    let view = |&index: &usize| {
        let effect = scores[index] * maximum;
        item_view(&indexed.dataset, index as u32 + 1, effect)
    };
    let raised = order.iter().filter(|&&index| scores[index] > 0.0);
    let lowered = order.iter().rev().filter(|&&index| scores[index] < 0.0);
    ItemEffects {
        promoted: raised.take(N_WRITES).map(view).collect(),
        demoted: lowered.take(N_WRITES).map(view).collect(),
    }
}

fn examples<'a>(
    indexed: &IndexedDictionary,
    feature: FeatureId,
    refs: impl Iterator<Item = &'a ExampleRef>,
) -> Result<Vec<ExampleView>> {
    refs.map(|at| indexed.example(feature, at.sample)).collect()
}

/// What should make a reader of the evidence careful.
fn warnings(indexed: &IndexedDictionary, top: &[ExampleView], n_active_rows: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if n_active_rows == 0 {
        warnings.push("Never active on the indexed samples".to_owned());
    } else if top.len() < 5 {
        warnings.push(format!(
            "Active on only {} samples: too few to judge",
            top.len()
        ));
    }
    if indexed.kind == ExampleKind::History && top.len() >= 5 {
        let mut items: Vec<u32> = top
            .iter()
            .filter_map(|example| {
                let record = indexed.dataset.records.get(example.sample as usize)?;
                record.items.get(example.position as usize).copied()
            })
            .collect();
        items.sort_unstable();
        let most = items
            .chunk_by(|a, b| a == b)
            .max_by_key(|chunk| chunk.len());
        if let Some(chunk) = most
            && chunk.len() as f32 >= ONE_ITEM_SHARE * top.len() as f32
            && chunk.len() > 1
        {
            warnings.push(format!(
                "One item, {}, fills {} of the top {} examples",
                item_view(&indexed.dataset, chunk[0], 0.0).title,
                chunk.len(),
                top.len()
            ));
        }
    }
    warnings
}

/// What one should know to read the evidence.
fn notes(indexed: &IndexedDictionary) -> Vec<String> {
    let pool = indexed.harvest.pool;
    if matches!(indexed.harvest.hook, HookPoint::VisionStageOut(_)) && pool > 1 {
        vec![format!(
            "Each cell of the heatmap is the mean of {pool} × {pool} patches"
        )]
    } else {
        Vec::new()
    }
}

/// Reads the state a user names.
///
/// # Errors
/// When the word is none of accepted, edited, rejected, unsure, skipped.
pub fn parse_state(word: &str) -> Result<ReviewState> {
    match word {
        "accepted" => Ok(ReviewState::Accepted),
        "edited" => Ok(ReviewState::Edited),
        "rejected" => Ok(ReviewState::Rejected),
        "unsure" => Ok(ReviewState::Unsure),
        "skipped" => Ok(ReviewState::Skipped),
        other => Err(EngineError::request(format!(
            "\"{other}\" is no decision; expected accepted, edited, rejected, unsure or skipped"
        ))),
    }
}
