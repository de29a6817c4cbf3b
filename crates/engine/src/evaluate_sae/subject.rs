//! What is evaluated: dictionary, rows, dataset, the random dictionary beside it, who is held out.

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sae::SparseAutoencoder;
use schema::{DatasetKind, HarvestManifest, RowRef, SampleRecord, Split};
use store::{Dataset, HarvestReader};

use super::EvaluateRequest;
use crate::error::{EngineError, Result};
use crate::indexed::Dictionary;
use crate::jobs::JobContext;
use crate::recovery::{Unit, Views};
use crate::session::Session;
use crate::train_sae::random_control;

/// Units (samples or rows) on one side that probes are fitted or judged on, at most.
const MAX_UNITS: usize = 8000;
/// Numbers that the views of one side may hold.
const MAX_VALUES: usize = 1 << 28;

/// A dictionary and everything its evaluation reads.
pub(super) struct Subject<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a EvaluateRequest,
    pub(super) job: &'a JobContext,
    pub(super) dictionary: Dictionary,
    pub(super) harvest: String,
    pub(super) reader: HarvestReader,
    pub(super) dataset: Arc<Dataset>,
    /// Random directions around the rows' mean, with as many active features.
    pub(super) random: SparseAutoencoder,
}

/// Which half of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Features and thresholds are chosen on it.
    Train,
    /// They are judged on it.
    HeldOut,
}

/// The views of some samples, and where each unit is from.
pub(super) struct SideViews {
    pub(super) views: Views,
    /// First row of each unit.
    pub(super) at: Vec<RowRef>,
}

/// Sees the places of a sample's rows and the rows themselves, `[n, d_model]`.
type Visit<'a> = dyn FnMut(&[RowRef], &[f32]) -> Result<()> + 'a;

/// Checks what else the request names, which is read after all rows were gone through.
fn check_others(
    session: &Session,
    request: &EvaluateRequest,
    dictionary: &Dictionary,
    dataset: &str,
) -> Result<()> {
    if let Some(other) = &request.against {
        if *other == request.dictionary {
            return Err(EngineError::request(format!(
                "--against {other} is the dictionary itself; name one of another training"
            )));
        }
        let second = session.dictionary(other)?.sae;
        sae::check_matchable(&dictionary.sae, &second)
            .map_err(|error| EngineError::request(format!("--against {other}: {error}")))?;
    }
    if let Some(embeddings) = &request.embeddings {
        let other = HarvestReader::open(&session.project, embeddings)?;
        if other.manifest().dataset != dataset {
            return Err(EngineError::request(format!(
                "activations/{embeddings} is of datasets/{}, the rows evaluated are of \
                 datasets/{dataset}; embeddings must be of the same samples",
                other.manifest().dataset
            )));
        }
    }
    Ok(())
}

impl<'a> Subject<'a> {
    pub(super) fn open(
        session: &'a Session,
        request: &'a EvaluateRequest,
        job: &'a JobContext,
    ) -> Result<Self> {
        let name = &request.dictionary;
        let dictionary = session.dictionary(name)?;
        let harvest = request.harvest.as_ref().unwrap_or(&dictionary.harvest);
        let reader = HarvestReader::open(&session.project, harvest)?;
        let (d, expected) = (reader.d_model(), dictionary.sae.d_model());
        if d != expected {
            return Err(EngineError::request(format!(
                "rows of activations/{harvest} are {d} wide, saes/{name} reads rows of {expected}"
            )));
        }
        let dataset = session.dataset(&reader.manifest().dataset)?;
        check_others(session, request, &dictionary, &reader.manifest().dataset)?;
        let mut mean = sae::FvuSum::new(d);
        let mut n_active = 0;
        for index in 0..reader.n_shards() {
            job.check_cancelled()?;
            job.report(
                "Reading rows",
                index as u64,
                reader.n_shards() as u64,
                "shards",
            );
            let shard = reader.read_shard(index)?;
            mean.add(&shard.rows, &shard.rows)?;
            // Only a rule without a k has its control's k measured.
            if dictionary.sae.sparsity().k().is_none() {
                n_active += dictionary.sae.encode(&shard.rows)?.n_active();
            }
        }
        let l0 = n_active as f64 / mean.n_rows().max(1) as f64;
        let random = random_control(&dictionary.sae, &mean.mean(), l0, request.seed)?;
        Ok(Self {
            session,
            request,
            job,
            harvest: harvest.clone(),
            dictionary,
            reader,
            dataset,
            random,
        })
    }

    pub(super) fn sae(&self) -> &SparseAutoencoder {
        &self.dictionary.sae
    }

    pub(super) fn manifest(&self) -> &HarvestManifest {
        self.reader.manifest()
    }

    pub(super) fn is_interactions(&self) -> bool {
        self.dataset.manifest.kind == DatasetKind::Interactions
    }

    /// Whether the rows are those that the dictionary was trained on.
    pub(super) fn is_own_harvest(&self) -> bool {
        self.harvest == self.dictionary.harvest
    }

    pub(super) fn record(&self, sample: u32) -> Result<&SampleRecord> {
        self.dataset.records.get(sample as usize).ok_or_else(|| {
            EngineError::request(format!(
                "datasets/{} has no sample {sample}",
                self.dataset.manifest.name
            ))
        })
    }

    /// The side of a sample: its patient's split; of users, whom dictionaries are trained on all,
    /// a split of this evaluation's own.
    pub(super) fn side(&self, record: &SampleRecord) -> Side {
        let split = if self.is_interactions() {
            datasets::split::split_of(&record.group, self.request.seed)
        } else {
            record.split
        };
        if split == Split::Train {
            Side::Train
        } else {
            Side::HeldOut
        }
    }

    /// What limits the figures from the start.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_interactions() {
            notes.push(
                "The dictionary was trained on all users, so no user is held out from its \
                 training; probes are fitted on 70 % of them and judged on the others."
                    .to_owned(),
            );
        }
        notes
    }

    /// The samples of a side, in an order drawn from the seed.
    pub(super) fn samples(&self, side: Side) -> Vec<u32> {
        let n = self
            .manifest()
            .n_samples
            .min(self.dataset.records.len() as u32);
        let mut samples: Vec<u32> = (0..n)
            .filter(|&sample| self.side(&self.dataset.records[sample as usize]) == side)
            .collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(self.request.seed ^ 0x51de));
        samples
    }

    /// Units of a side at most, so that the views stay small.
    fn max_units(&self) -> usize {
        let per_unit = self.sae().n_features() + 4 * self.reader.d_model();
        (MAX_VALUES / per_unit).clamp(200, MAX_UNITS)
    }

    /// The views of a side: all its samples, or as many as there is room for, drawn by the seed.
    ///
    /// Only samples that `keep` accepts take part.
    pub(super) fn side_views(
        &self,
        side: Side,
        unit: Unit,
        keep: &dyn Fn(&SampleRecord) -> bool,
    ) -> Result<SideViews> {
        let mut samples = self.samples(side);
        samples.retain(|&sample| keep(&self.dataset.records[sample as usize]));
        let per_sample = match unit {
            Unit::Sample => 1,
            Unit::Row => self.rows_per_sample(),
        };
        samples.truncate(self.max_units().div_ceil(per_sample));
        samples.sort_unstable();
        let mut views = Views::without_peaks(self.sae(), &self.random);
        let mut at = Vec::new();
        self.for_each_sample(&samples, "Encoding samples", &mut |refs, rows| {
            views.add(self.sae(), &self.random, rows, unit)?;
            match unit {
                Unit::Sample => at.push(refs[0]),
                Unit::Row => at.extend_from_slice(refs),
            }
            Ok(())
        })?;
        Ok(SideViews { views, at })
    }

    /// Rows of a sample, on average and at least 1.
    pub(super) fn rows_per_sample(&self) -> usize {
        let n = u64::from(self.manifest().n_samples.max(1));
        (self.reader.n_rows() / n).max(1) as usize
    }

    /// Hands out the rows of the samples named, which are sorted, sample by sample.
    pub(super) fn for_each_sample(
        &self,
        samples: &[u32],
        stage: &str,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let d = self.reader.d_model();
        let n_shards = self.reader.n_shards();
        for index in 0..n_shards {
            self.job.check_cancelled()?;
            self.job
                .report(stage, index as u64, n_shards as u64, "shards");
            let shard = self.reader.read_shard(index)?;
            let mut from = 0;
            for refs in shard.refs.chunk_by(|a, b| a.sample == b.sample) {
                let rows = &shard.rows[from * d..(from + refs.len()) * d];
                from += refs.len();
                if samples.binary_search(&refs[0].sample).is_ok() {
                    visit(refs, rows)?;
                }
            }
        }
        Ok(())
    }

    /// The patients or users of units.
    pub(super) fn groups(&self, at: &[RowRef]) -> Result<Vec<&str>> {
        at.iter()
            .map(|at| Ok(self.record(at.sample)?.group.as_str()))
            .collect()
    }
}
