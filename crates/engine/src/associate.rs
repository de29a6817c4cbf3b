//! The job that proposes labels from keywords, and associations of features with findings.

use explain::{KeywordOptions, Keywords, Outcome, TermTable, adjust_together, associate};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use schema::{Association, CatalogueItem, Explanation, FeatureId, SampleRecord, Split};
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::ExampleKind;

/// Adjusted p value below which a pair counts as associated.
const MAX_Q: f64 = 0.05;
/// Features handled between two looks at the stop button.
const BATCH: usize = 64;

/// A pair of feature and finding that held on patients it was not found on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfirmedAssociation {
    /// The feature.
    pub feature: FeatureId,
    /// On the training samples, where it was found.
    pub train: Association,
    /// On the held-out samples, `q` adjusted over all pairs that were found.
    pub held_out: Association,
}

/// Which associations were found on training patients and held on others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfirmedAssociations {
    /// Pairs of live feature and finding tested on the training samples.
    pub n_tested: usize,
    /// Pairs with q < 0.05 there.
    pub n_found: usize,
    /// Training samples whose findings are known.
    pub n_train: usize,
    /// Held-out samples (dev and test) whose findings are known.
    pub n_held_out: usize,
    /// Pairs that held: q < 0.05, same direction; strongest AUROC first.
    pub confirmed: Vec<ConfirmedAssociation>,
    /// What limits the result, or empty.
    pub note: String,
}

impl From<explain::ExplainError> for EngineError {
    fn from(error: explain::ExplainError) -> Self {
        match error {
            explain::ExplainError::Stopped => Self::cancelled(),
            other => Self::other(other.to_string()),
        }
    }
}

/// What the units of a dictionary's evidence are: samples, or items of a catalogue.
struct Evidence<'a> {
    indexed: &'a IndexedDictionary,
    table: TermTable,
    /// Units that choices are made on.
    chosen_on: Vec<u32>,
    outcomes: Vec<Outcome>,
}

impl<'a> Evidence<'a> {
    fn new(indexed: &'a IndexedDictionary) -> Self {
        let dataset = &indexed.dataset;
        if indexed.kind == ExampleKind::History {
            return Self {
                indexed,
                table: TermTable::of_catalogue(&dataset.catalogue),
                chosen_on: (0..dataset.catalogue.len() as u32).collect(),
                outcomes: outcomes_of_categories(&dataset.catalogue),
            };
        }
        let n_harvested = indexed.harvest.n_samples as usize;
        let records = &dataset.records[..n_harvested.min(dataset.records.len())];
        let chosen_on: Vec<u32> = (0_u32..)
            .zip(records)
            .filter(|(_, record)| record.split == Split::Train && states_something(record))
            .map(|(sample, _)| sample)
            .collect();
        let mut outcomes = Outcome::of_findings(records, &dataset.manifest.findings);
        for outcome in &mut outcomes {
            for (present, record) in outcome.present.iter_mut().zip(records) {
                if record.split != Split::Train {
                    *present = None;
                }
            }
        }
        Self {
            indexed,
            table: TermTable::of_records(records, &dataset.catalogue),
            chosen_on,
            outcomes,
        }
    }

    /// Highest activation per unit: over the positions of a sample, or over the places at which an
    /// item stands.
    fn activations(&self, feature: FeatureId) -> Vec<f32> {
        let index = &self.indexed.index;
        let mut highest = vec![0.0_f32; self.table.n_samples()];
        if self.indexed.kind == ExampleKind::History {
            let records = &self.indexed.dataset.records;
            let (rows, values) = index.column(feature);
            for (&row, &value) in rows.iter().zip(values) {
                let item = index.row_ref(row).and_then(|at| {
                    let record = records.get(at.sample as usize)?;
                    record.items.get(at.position as usize).copied()
                });
                if let Some(slot) =
                    item.and_then(|item| highest.get_mut((item as usize).wrapping_sub(1)))
                {
                    *slot = slot.max(value);
                }
            }
            return highest;
        }
        for at in index.sample_maxima(feature) {
            if let Some(slot) = highest.get_mut(at.sample as usize) {
                *slot = at.activation;
            }
        }
        highest
    }

    /// Above which activation a unit counts as activating: the rule of the keywords, at most the
    /// strongest fifth of the units that choices are made on. Most features are active somewhere
    /// on almost every film, so that activity alone would tell nothing.
    fn threshold(&self, activations: &[f32]) -> f32 {
        strongest_share(
            self.chosen_on
                .iter()
                .map(|&unit| activations[unit as usize]),
            KeywordOptions::default().activating_share,
        )
    }
}

/// The value that at most this share of `values` is above; never below 0.
fn strongest_share(values: impl Iterator<Item = f32>, share: f64) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let kept = (share * values.len() as f64).ceil() as usize;
    values.get(kept).map_or(0.0, |value| value.max(0.0))
}

/// Whether anything is said of a sample in words: of one without report and findings no term is
/// known to be absent, and to count it so would make every mark of its source a "keyword".
fn states_something(record: &SampleRecord) -> bool {
    record.findings.is_some() || record.report.is_some() || !record.items.is_empty()
}

/// Categories of at least five items as outcomes over the items.
fn outcomes_of_categories(catalogue: &[CatalogueItem]) -> Vec<Outcome> {
    let mut names: Vec<&String> = catalogue.iter().flat_map(|item| &item.categories).collect();
    names.sort_unstable();
    let frequent: Vec<String> = names
        .chunk_by(|a, b| a == b)
        .filter(|same| same.len() >= 5)
        .map(|same| same[0].clone())
        .collect();
    frequent
        .into_iter()
        .map(|name| Outcome {
            present: catalogue
                .iter()
                .map(|item| Some(item.categories.contains(&name)))
                .collect(),
            name,
        })
        .collect()
}

fn live_features(indexed: &IndexedDictionary) -> Vec<FeatureId> {
    (0..indexed.index.n_features())
        .map(FeatureId)
        .filter(|id| indexed.index.overview().density[id.0 as usize] > 0.0)
        .collect()
}

type Found = (FeatureId, Option<Explanation>, Vec<Association>);

impl Session {
    /// Proposes a label for every live feature from over-represented terms, and computes its
    /// associations with findings or categories. Returns how many features got a proposal.
    ///
    /// # Errors
    /// When the dictionary does not exist or has no index.
    pub fn propose_keywords(&self, sae: &str, job: &JobContext) -> Result<usize> {
        let indexed = self.indexed(sae)?;
        let evidence = Evidence::new(&indexed);
        let keywords = Keywords::new(
            &evidence.table,
            &evidence.chosen_on,
            KeywordOptions::default(),
        )?;
        let live = live_features(&indexed);
        let at = store::utc_now();
        let mut explanations = Vec::new();
        let mut associations = Vec::new();
        for batch in live.chunks(BATCH) {
            job.check_cancelled()?;
            job.report(
                "Proposing labels",
                explanations.len() as u64,
                live.len() as u64,
                "features",
            );
            let found: Vec<Found> = batch
                .to_vec()
                .into_par_iter()
                .map(|feature| {
                    let activations = evidence.activations(feature);
                    let terms = keywords.of(&activations)?;
                    let proposal = keywords.propose(feature, &terms, &at);
                    let threshold = evidence.threshold(&activations);
                    let mut table = associate(&activations, &evidence.outcomes, threshold)?;
                    table.sort_by(|a, b| b.auroc.total_cmp(&a.auroc));
                    Ok((feature, proposal, table))
                })
                .collect::<Result<_>>()?;
            for (feature, proposal, table) in found {
                explanations.extend(proposal);
                associations.push((feature, table));
            }
        }
        self.project.put_associations(sae, &associations)?;
        self.project
            .replace_explanations(sae, "keywords", &explanations)?;
        self.forget_labels(sae);
        Ok(explanations.len())
    }

    /// Associations of features with findings: found on training patients, tested again on
    /// held-out patients. A feature counts as active where it is stronger than on four fifths of
    /// the training samples, a bound that knows no findings. Samples whose findings are not stated
    /// take no part; view, age and sex are not adjusted for.
    ///
    /// # Errors
    /// When the dictionary has no index, or its dataset states no findings.
    pub fn confirmed_associations(
        &self,
        sae: &str,
        job: &JobContext,
    ) -> Result<ConfirmedAssociations> {
        let indexed = self.indexed(sae)?;
        if indexed.kind == ExampleKind::History {
            return Err(EngineError::request(format!(
                "{sae} reads item histories; associations are tested for findings of patients"
            )));
        }
        let evidence = Evidence::new(&indexed);
        let records = &indexed.dataset.records[..evidence.table.n_samples()];
        let mut held_out = Outcome::of_findings(records, &indexed.dataset.manifest.findings);
        for outcome in &mut held_out {
            for (present, record) in outcome.present.iter_mut().zip(records) {
                if record.split == Split::Train {
                    *present = None;
                }
            }
        }
        let known = |outcomes: &[Outcome]| {
            outcomes
                .first()
                .map_or(0, |outcome| outcome.present.iter().flatten().count())
        };
        let (n_train, n_held_out) = (known(&evidence.outcomes), known(&held_out));
        if n_train == 0 || n_held_out == 0 {
            return Err(EngineError::request(format!(
                "datasets/{} states findings for {n_train} training and {n_held_out} held-out \
                 samples; both are needed",
                indexed.harvest.dataset
            )));
        }
        job.report("Testing associations", 0, 0, "features");
        let mut pairs: Vec<(FeatureId, Association, Association)> = live_features(&indexed)
            .into_par_iter()
            .map(|feature| {
                let activations = evidence.activations(feature);
                let threshold = evidence.threshold(&activations);
                let train = associate(&activations, &evidence.outcomes, threshold)?;
                let test = associate(&activations, &held_out, threshold)?;
                Ok(train
                    .into_iter()
                    .zip(test)
                    .map(|(train, test)| (feature, train, test))
                    .collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        job.check_cancelled()?;
        let n_tested = pairs.len();
        adjust_together(&mut pairs.iter_mut().map(|pair| &mut pair.1).collect::<Vec<_>>());
        pairs.retain(|(_, train, _)| train.q < MAX_Q);
        let n_found = pairs.len();
        adjust_together(&mut pairs.iter_mut().map(|pair| &mut pair.2).collect::<Vec<_>>());
        let mut confirmed: Vec<ConfirmedAssociation> = pairs
            .into_iter()
            .filter(|(_, train, test)| {
                test.q < MAX_Q && (train.log_odds > 0.0) == (test.log_odds > 0.0)
            })
            .map(|(feature, train, held_out)| ConfirmedAssociation {
                feature,
                train,
                held_out,
            })
            .collect();
        confirmed.sort_by(|a, b| b.held_out.auroc.total_cmp(&a.held_out.auroc));
        let note = if confirmed.is_empty() {
            "No association held on patients that it was not found on.".to_owned()
        } else {
            String::new()
        };
        Ok(ConfirmedAssociations {
            n_tested,
            n_found,
            n_train,
            n_held_out,
            confirmed,
            note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_active_everywhere_is_cut_to_its_strongest_fifth() {
        let values: Vec<f32> = (1_u8..=10).map(f32::from).collect();
        let threshold = strongest_share(values.iter().copied(), 0.2);
        assert_eq!(values.iter().filter(|&&v| v > threshold).count(), 2);
        // Rarely active: every activation counts.
        assert_eq!(
            strongest_share([0.0, 0.0, 0.0, 0.0, 3.0].into_iter(), 0.2),
            0.0
        );
        assert_eq!(strongest_share(std::iter::empty(), 0.2), 0.0);
    }

    #[test]
    fn a_film_of_which_nothing_is_said_counts_neither_way() {
        let silent = SampleRecord::default();
        assert!(!states_something(&silent));
        let healthy = SampleRecord {
            findings: Some(Vec::new()),
            ..SampleRecord::default()
        };
        assert!(states_something(&healthy));
    }
}
