//! Recovery of planted concepts by a dictionary: films and shoppers of another seed are scored.

use std::collections::BTreeMap;

use explain::ClusterBootstrap;
use schema::{PatchGrid, PositionClass, SampleRecord, Split};
use store::HarvestReader;

use crate::error::{EngineError, Result};
use crate::harvest::{RowReader, prefixes, training_items};
use crate::import::{PHANTOM_SIDE, TRUTH};
use crate::jobs::JobContext;
use crate::recovery::{ConceptRecovery, ScoredConcepts, Unit, Views, peak_inside, score_concepts};
use crate::session::Session;
use crate::train_sae::random_control;

/// Films of another seed that F1 is measured on.
const N_FRESH_FILMS: u32 = 500;

impl Session {
    /// Which planted findings a dictionary of phantom films gave a feature of its own.
    ///
    /// Feature and threshold are chosen on the training patients of the dictionary's dataset, F1 is
    /// measured on 500 phantom films of `fresh_seed`.
    ///
    /// # Errors
    /// When the dictionary was not made from image positions of phantom films.
    pub fn recover_findings(
        &self,
        dictionary: &str,
        fresh_seed: u64,
        job: &JobContext,
    ) -> Result<BTreeMap<String, ConceptRecovery>> {
        Ok(self.score_findings(dictionary, fresh_seed, job)?.concepts)
    }

    /// [`Session::recover_findings`] with intervals of the mean.
    pub(crate) fn score_findings(
        &self,
        dictionary: &str,
        fresh_seed: u64,
        job: &JobContext,
    ) -> Result<ScoredConcepts> {
        let trained = self.dictionary(dictionary)?;
        let manifest = HarvestReader::open(&self.project, &trained.harvest)?
            .manifest()
            .clone();
        let dataset = self.dataset(&manifest.dataset)?;
        if !dataset.manifest.planted || manifest.classes != [PositionClass::Image] {
            return Err(EngineError::request(format!(
                "saes/{dictionary} was not made from image positions of phantom films"
            )));
        }
        let is_training = |sample: u32| dataset.records[sample as usize].split == Split::Train;
        let (train, random, samples) =
            harvest_views(self, dictionary, Unit::Sample, fresh_seed, &is_training)?;
        let model = self.model(&manifest.model)?;
        let reader = RowReader {
            model: &model,
            hook: manifest.hook,
            classes: manifest.classes.clone(),
            pool: manifest.pool,
        };
        let sae = &trained.sae;
        let mut fresh = Views::new(sae, &random);
        let mut films: Vec<(SampleRecord, Option<PatchGrid>)> = Vec::new();
        for start in (0..N_FRESH_FILMS).step_by(reader.batch_size()) {
            job.check_cancelled()?;
            job.report(
                "Scoring on films of another seed",
                u64::from(start),
                u64::from(N_FRESH_FILMS),
                "films",
            );
            let end = (start + reader.batch_size() as u32).min(N_FRESH_FILMS);
            let drawn = datasets::phantom::radiographs(fresh_seed, start..end, PHANTOM_SIDE);
            let indices: Vec<u32> = (start..end).collect();
            let (pixels, records): (Vec<_>, Vec<_>) =
                drawn.into_iter().map(|one| (one.film, one.record)).unzip();
            for (rows, record) in reader
                .read_films(&indices, &pixels)?
                .into_iter()
                .zip(records)
            {
                fresh.add(sae, &random, &rows.rows, Unit::Sample)?;
                films.push((record, rows.sidecar.grid));
            }
        }
        let names = &dataset.manifest.findings;
        let train_truth = truth_of(names, samples.len(), |unit, name| {
            dataset.records[samples[unit] as usize].has_finding(name)
        });
        let fresh_truth = truth_of(names, films.len(), |unit, name| {
            films[unit].0.has_finding(name)
        });
        let mut scored = score_concepts(
            names,
            (&train, &train_truth),
            (&fresh, &fresh_truth),
            &ClusterBootstrap::of_units(films.len(), fresh_seed),
            fresh_seed,
        )?;
        for (name, recovery) in &mut scored.concepts {
            if !datasets::phantom::WITHOUT_LOCAL_MASK.contains(&name.as_str()) {
                recovery.peak_inside = peak_inside(recovery, name, &fresh, &films);
            }
        }
        Ok(scored)
    }

    /// Which planted tastes a dictionary of phantom shoppers gave a feature of its own, measured on
    /// the `n_fresh` shoppers after those of its dataset, whose catalogue and `seed` are the same.
    ///
    /// # Errors
    /// When the dictionary was not made from the user vectors of phantom shoppers.
    pub fn recover_tastes(
        &self,
        dictionary: &str,
        seed: u64,
        n_fresh: u32,
        job: &JobContext,
    ) -> Result<BTreeMap<String, ConceptRecovery>> {
        Ok(self.score_tastes(dictionary, seed, n_fresh, job)?.concepts)
    }

    /// [`Session::recover_tastes`] with intervals of the mean.
    pub(crate) fn score_tastes(
        &self,
        dictionary: &str,
        seed: u64,
        n_fresh: u32,
        job: &JobContext,
    ) -> Result<ScoredConcepts> {
        job.report("Scoring on shoppers not seen before", 0, 0, "shoppers");
        let trained = self.dictionary(dictionary)?;
        let manifest = HarvestReader::open(&self.project, &trained.harvest)?
            .manifest()
            .clone();
        let dataset = self.dataset(&manifest.dataset)?;
        let n_shoppers = dataset.manifest.n_samples;
        let truth: Vec<Vec<Option<u8>>> = serde_json::from_slice(&dataset.read_file(TRUTH)?)
            .map_err(|error| {
                EngineError::request(format!("datasets/{}/{TRUTH}: {error}", manifest.dataset))
            })?;
        let (train, random, samples) = harvest_views(self, dictionary, Unit::Row, seed, &|_| true)?;
        let at_work = |records: &[SampleRecord], truth: &[Vec<Option<u8>>], samples: &[u32]| {
            samples
                .iter()
                .flat_map(|&sample| {
                    let n = training_items(&records[sample as usize]).len();
                    truth[sample as usize][..n].iter().copied()
                })
                .collect::<Vec<Option<u8>>>()
        };
        let train_tastes = at_work(&dataset.records, &truth, &samples);
        // The same catalogue, and shoppers after those that recommender and dictionary have seen.
        let drawn = datasets::phantom::shoppers(seed, n_shoppers + n_fresh);
        let model = self.model(&manifest.model)?;
        let recommender = model.as_recommender()?;
        let sae = &trained.sae;
        let mut fresh = Views::new(sae, &random);
        let mut fresh_samples = Vec::new();
        for (sample, record) in (0_u32..).zip(&drawn.records).skip(n_shoppers as usize) {
            job.check_cancelled()?;
            let rows = recommender.user_vectors(&prefixes(record, sample))?;
            fresh.add(sae, &random, &rows, Unit::Row)?;
            fresh_samples.push(sample);
        }
        let fresh_tastes = at_work(&drawn.records, &drawn.truth, &fresh_samples);
        let names = &dataset.manifest.findings;
        let shoppers: Vec<&str> = fresh_samples
            .iter()
            .flat_map(|&sample| {
                let record = &drawn.records[sample as usize];
                std::iter::repeat_n(record.id.as_str(), training_items(record).len())
            })
            .collect();
        let is_at_work = |tastes: &[Option<u8>]| {
            truth_of(names, tastes.len(), |unit, name| {
                tastes[unit]
                    .is_some_and(|taste| names.get(taste as usize).is_some_and(|n| n == name))
            })
        };
        score_concepts(
            names,
            (&train, &is_at_work(&train_tastes)),
            (&fresh, &is_at_work(&fresh_tastes)),
            &ClusterBootstrap::of_names(shoppers, seed),
            seed,
        )
    }
}

/// Which planted findings a dictionary of the *text* of phantom films gave a feature of its own:
/// chosen on training patients, measured on the others.
pub(crate) fn text_recovery(
    session: &Session,
    dictionary: &str,
    seed: u64,
) -> Result<ScoredConcepts> {
    let manifest = session.harvest_of(dictionary)?.manifest().clone();
    let dataset = session.dataset(&manifest.dataset)?;
    let is_training = |sample: u32| dataset.records[sample as usize].split == Split::Train;
    let (train, _, train_samples) =
        harvest_views(session, dictionary, Unit::Sample, seed, &is_training)?;
    let (held_out, _, held_out_samples) =
        harvest_views(session, dictionary, Unit::Sample, seed, &|sample| {
            !is_training(sample)
        })?;
    let names = &dataset.manifest.findings;
    let truth = |samples: &[u32]| {
        truth_of(names, samples.len(), |unit, name| {
            dataset.records[samples[unit] as usize].has_finding(name)
        })
    };
    let groups = held_out_samples
        .iter()
        .map(|&sample| dataset.records[sample as usize].group.as_str());
    score_concepts(
        names,
        (&train, &truth(&train_samples)),
        (&held_out, &truth(&held_out_samples)),
        &ClusterBootstrap::of_names(groups, seed),
        seed,
    )
}

/// The dictionary's views of the harvest it was trained on, and its random control.
fn harvest_views(
    session: &Session,
    name: &str,
    unit: Unit,
    seed: u64,
    is_training: &dyn Fn(u32) -> bool,
) -> Result<(Views, sae::SparseAutoencoder, Vec<u32>)> {
    let dictionary = session.dictionary(name)?;
    let reader = HarvestReader::open(&session.project, &dictionary.harvest)?;
    let sae = &dictionary.sae;
    let mut mean = sae::FvuSum::new(reader.d_model());
    let mut n_active = 0;
    for index in 0..reader.n_shards() {
        let shard = reader.read_shard(index)?;
        mean.add(&shard.rows, &shard.rows)?;
        // Only a rule without a k has its control's k measured.
        if sae.sparsity().k().is_none() {
            n_active += sae.encode(&shard.rows)?.n_active();
        }
    }
    let l0 = n_active as f64 / mean.n_rows().max(1) as f64;
    let random = random_control(sae, &mean.mean(), l0, seed)?;
    let mut views = Views::new(sae, &random);
    let mut samples = Vec::new();
    for index in 0..reader.n_shards() {
        let shard = reader.read_shard(index)?;
        let d = reader.d_model();
        let mut from = 0;
        for chunk in shard.refs.chunk_by(|a, b| a.sample == b.sample) {
            let rows = &shard.rows[from * d..(from + chunk.len()) * d];
            from += chunk.len();
            if is_training(chunk[0].sample) {
                samples.push(chunk[0].sample);
                views.add(sae, &random, rows, unit)?;
            }
        }
    }
    Ok((views, random, samples))
}

/// For each name, which units have it.
pub(crate) fn truth_of(
    names: &[String],
    n_units: usize,
    has: impl Fn(usize, &str) -> bool,
) -> Vec<Vec<bool>> {
    names
        .iter()
        .map(|name| (0..n_units).map(|unit| has(unit, name)).collect())
        .collect()
}
