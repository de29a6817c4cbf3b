//! One run: passages, explanations, judgements, controls.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use explain::{
    DEIDENTIFIED, KeywordOptions, Keywords, PassageExplainer, PassageKeywordJudge, TermTable,
    TextModel,
};
use models::text::{SentenceEncoder, load_sentence_encoder};
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::{SaeParts, SparseAutoencoder, Sparsity};
use schema::{Explanation, FeatureId, SaeConfig};
use store::{ArtefactKind, HarvestReader};

use super::activity::{Activity, count_rows, encoded};
use super::output::{feature_view, totals};
use super::passages::{Chooser, PassageCases};
use super::request::{ExplainRequest, RunRecord, ScoreMethod};
use super::scoring::{Asking, Explains, Judges};
use crate::error::{EngineError, Result};
use crate::explanation_source::{ExplanationSource, drawn};
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::kept_runs::read_json;
use crate::language_model::{AnswerBook, Remembering, Voices};
use crate::prompt_lengths;
use crate::prompts::Prompts;
use crate::sending::Planned;
use crate::session::Session;
use crate::train_sae::random_control;
use crate::views::{ControlView, ExampleKind, ExplanationsView, ScoreTotalsView};

/// A run that was begun.
pub(super) struct Run<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a ExplainRequest,
    pub(super) indexed: &'a IndexedDictionary,
    pub(super) voices: &'a Voices,
    pub(super) prompts: &'a Prompts,
    pub(super) stored: Option<&'a BTreeMap<FeatureId, Explanation>>,
    pub(super) book: AnswerBook,
    pub(super) name: String,
    pub(super) record: RunRecord,
    /// Where it is noted how much there is to ask.
    pub(super) planned: Option<&'a Cell<Planned>>,
    pub(super) job: &'a JobContext,
}

/// Features with cases, by feature.
type Chosen = BTreeMap<u32, PassageCases>;

impl Run<'_> {
    pub(super) fn run(self) -> Result<ExplanationsView> {
        let request = self.request;
        let seed = request.seed;
        let mut chooser = Chooser::new(self.indexed, request.how_many(), seed);
        chooser.without_identity = self.record.settings.is_deidentified;
        if !chooser.has_texts() {
            return Err(EngineError::request(format!(
                "datasets/{} says nothing of its samples in words: expected reports or findings, \
                 from which explanations are made and on which they are tested",
                self.indexed.harvest.dataset
            )));
        }
        let table = self.table();
        let keywords = Keywords::new(
            &table,
            &chooser.keyword_samples(&[]),
            KeywordOptions::default(),
        )?;
        let explain_model = self.remembering(&request.explain);
        let judge_model = request.judge.as_ref().and_then(|by| self.remembering(by));
        let encoder = self.encoder()?;
        let asking = Asking {
            explains: self.explains((&keywords, &table), &chooser, explain_model.as_ref()),
            judges: self.judges(&table, judge_model.as_ref()),
            encoder: encoder.as_ref(),
            seed,
            job: self.job,
        };
        let activity = Activity::Indexed(self.indexed);
        let live: Vec<u32> = (0..)
            .zip(&self.indexed.index.overview().density)
            .filter(|(_, density)| **density > 0.0)
            .map(|(feature, _)| feature)
            .collect();
        let n_live = live.len();
        let (chosen, n_with_cases) = self.chosen(&chooser, &activity, live)?;
        let n_chosen = chosen.len();
        self.note_plan(&chosen);
        let counts: Vec<u64> = chosen
            .keys()
            .map(|&feature| self.indexed.index.column(FeatureId(feature)).0.len() as u64)
            .collect();
        let stage = "Explaining and judging features";
        let scored = asking.score(&activity, chosen, (stage, request.has_baselines))?;
        let controls = if request.has_controls() {
            self.controls(&asking, &chooser, &counts)?
        } else {
            Vec::new()
        };
        let own = totals(&scored, seed);
        let n_divided_anew = scored
            .iter()
            .filter(|one| one.cases.is_divided_anew)
            .count();
        let lengths = scored.iter().map(|one| {
            let n_left_out = one.explained.as_ref().map_or(0, |one| one.n_left_out);
            (one.is_too_long, n_left_out)
        });
        Ok(ExplanationsView {
            name: self.name.clone(),
            sae: request.sae.clone(),
            dataset: self.indexed.harvest.dataset.clone(),
            settings: self.record.settings.clone(),
            n_features: self.indexed.index.n_features() as usize,
            n_live,
            n_with_cases,
            notes: self
                .notes(n_chosen, n_divided_anew, (&own, &controls))
                .into_iter()
                .chain(prompt_lengths::notes(
                    "passages and worked examples",
                    lengths,
                ))
                .collect(),
            totals: own,
            controls,
            features: scored.iter().map(feature_view).collect(),
        })
    }

    fn note_plan(&self, chosen: &Chosen) {
        let Some(planned) = self.planned else { return };
        let tests = || chosen.values().flat_map(|cases| &cases.tests);
        planned.set(Planned {
            features: chosen.len(),
            tests: tests().count(),
            marked: 2 * tests().filter(|case| case.is_active).count(),
        });
    }

    /// What is said of each sample, as terms.
    fn table(&self) -> TermTable {
        let dataset = &self.indexed.dataset;
        let n = (self.indexed.harvest.n_samples as usize).min(dataset.records.len());
        TermTable::of_records(&dataset.records[..n], &dataset.catalogue)
    }

    fn remembering(&self, source: &ExplanationSource) -> Option<Remembering<'_>> {
        source.remembering(self.voices, &self.book, self.job)
    }

    fn encoder(&self) -> Result<Option<SentenceEncoder>> {
        if !self.request.has(ScoreMethod::Embedding) {
            return Ok(None);
        }
        self.job
            .report("Loading the sentence encoder", 0, 0, "models");
        let folder = self.request.encoder.as_deref();
        Ok(folder.map(load_sentence_encoder).transpose()?)
    }

    fn explains<'b>(
        &'b self,
        (keywords, table): (&'b Keywords<'b>, &'b TermTable),
        chooser: &'b Chooser<'b>,
        model: Option<&'b Remembering<'b>>,
    ) -> Explains<'b> {
        match (model, self.stored) {
            (Some(model), _) => Explains::Model(PassageExplainer {
                model,
                template: if chooser.is_by_token() {
                    &self.prompts.explain
                } else {
                    &self.prompts.explain_film
                },
                writing: self.request.writing(),
            }),
            (None, Some(stored)) => Explains::Stored(stored),
            (None, None) if chooser.is_by_token() => Explains::PassageKeywords(chooser),
            (None, None) => Explains::Keywords {
                keywords,
                chooser,
                table,
            },
        }
    }

    fn judges<'b>(
        &'b self,
        table: &'b TermTable,
        model: Option<&'b Remembering<'b>>,
    ) -> Option<Judges<'b>> {
        let request = self.request;
        request.judge.as_ref()?;
        let Some(model) = model else {
            let by_keywords = request.has(ScoreMethod::Detection);
            return by_keywords.then(|| Judges::Keywords(PassageKeywordJudge::new(table)));
        };
        let model: &dyn TextModel = model;
        let by_token = self.indexed.kind == ExampleKind::Text;
        Some(Judges::Model {
            model,
            detect: &self.prompts.detect,
            fuzz: (by_token && request.has(ScoreMethod::Fuzzing)).then_some(&self.prompts.fuzz),
            simulate: (by_token && request.has(ScoreMethod::Simulation))
                .then_some(&self.prompts.simulate),
            detects: request.has(ScoreMethod::Detection),
            writing: request.writing(),
        })
    }

    /// The features that are explained, with their cases, and how many have cases.
    fn chosen(
        &self,
        chooser: &Chooser<'_>,
        activity: &Activity<'_>,
        live: Vec<u32>,
    ) -> Result<(Chosen, usize)> {
        let named = &self.request.features;
        let mut wanted: Vec<u32> = live;
        if !named.is_empty() {
            wanted.retain(|feature| named.contains(feature));
        }
        let found = self.with_cases(chooser, activity, &wanted)?;
        let n = found.len();
        Ok((drawn(&found, self.request.limit, self.request.seed), n))
    }

    fn with_cases(
        &self,
        chooser: &Chooser<'_>,
        activity: &Activity<'_>,
        features: &[u32],
    ) -> Result<Chosen> {
        let mut found = Chosen::new();
        for (at, part) in features.chunks(64).enumerate() {
            self.job.check_cancelled()?;
            let done = 64 * at as u64;
            let stage = "Choosing passages";
            self.job
                .report(stage, done, features.len() as u64, "features");
            let cases: Vec<Option<(u32, PassageCases)>> = part
                .to_vec()
                .into_par_iter()
                .map(|feature| Some((feature, chooser.cases(activity, feature)?)))
                .collect();
            found.extend(cases.into_iter().flatten());
        }
        Ok(found)
    }

    /// A random and an untrained dictionary by the same procedure.
    fn controls(
        &self,
        asking: &Asking<'_>,
        chooser: &Chooser<'_>,
        counts: &[u64],
    ) -> Result<Vec<ControlView>> {
        let dictionary = &self.indexed.dictionary;
        let reader = HarvestReader::open(&self.session.project, &dictionary.harvest)?;
        let sae = &dictionary.sae;
        let n_entries: f64 = self
            .indexed
            .index
            .overview()
            .density
            .iter()
            .map(|&x| f64::from(x))
            .sum();
        let l0 = n_entries.max(1.0);
        let mean = mean_row(&reader)?;
        let random = random_control(sae, &mean, l0, self.request.seed)?;
        let mut found = vec![self.control(
            "random dictionary",
            &random,
            (asking, chooser),
            (&reader, counts),
        )?];
        let config = training_config(self.session, &self.request.sae);
        if let Some(untrained) = config.and_then(|config| untrained(sae, &config, &mean, l0)) {
            let view = self.control(
                "untrained dictionary",
                &untrained,
                (asking, chooser),
                (&reader, counts),
            )?;
            found.push(view);
        }
        Ok(found)
    }

    /// One control: of its features those that are active about as often as the dictionary's.
    fn control(
        &self,
        name: &str,
        sae: &SparseAutoencoder,
        (asking, chooser): (&Asking<'_>, &Chooser<'_>),
        (reader, counts): (&HarvestReader, &[u64]),
    ) -> Result<ControlView> {
        let article = if name.starts_with('u') { "an" } else { "a" };
        let stage = format!("The same of {article} {name}");
        let active = count_rows(sae, reader, &stage, self.job)?;
        let limit = self.request.baseline_limit.unwrap_or(counts.len());
        let features = alike(&active, counts, limit.min(counts.len()), self.request.seed);
        let activity = encoded(sae, reader, (&features, &stage), self.job)?;
        let list: Vec<u32> = features.into_iter().collect();
        let chosen = self.with_cases(chooser, &activity, &list)?;
        let scored = asking.score(&activity, chosen, (&stage, true))?;
        Ok(ControlView {
            name: name.to_owned(),
            totals: totals(&scored, self.request.seed),
        })
    }

    fn notes(
        &self,
        n_chosen: usize,
        n_divided_anew: usize,
        (own, controls): (&ScoreTotalsView, &[ControlView]),
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let low = own.detection.and_then(|mean| Some(mean.interval?[0]));
        for control in controls {
            let high = control
                .totals
                .detection
                .and_then(|mean| Some(mean.interval?[1]));
            if let (Some(low), Some(high)) = (low, high)
                && low <= high
            {
                notes.push(format!(
                    "the {} does as well within the intervals: nothing is shown of this dictionary \
                     that random directions would not show",
                    control.name
                ));
            }
        }
        if self.request.explain == ExplanationSource::Stored {
            notes.push(
                "the proposals were there before: whoever made them may have seen the passages of \
                 this test"
                    .to_owned(),
            );
        }
        if n_divided_anew > 0 {
            notes.push(format!(
                "{n_divided_anew} of {n_chosen} features have less than two activating samples in \
                 one part of the dataset's split; their own samples were divided anew, no patient \
                 being in both parts"
            ));
        }
        if self.record.settings.is_same_model {
            notes.push(
                "the same language model explained and judged: it may understand its own words \
                 better than a reader does"
                    .to_owned(),
            );
        }
        if self.record.settings.is_deidentified {
            notes.push(format!(
                "a language model on another computer was asked; rules took out of all that was \
                 sent: {DEIDENTIFIED}"
            ));
        }
        if self.indexed.kind == ExampleKind::Film {
            notes.push(
                "films are judged by what is said of them in words, not by their pixels; the \
                 strongest fifth of the films counts as activating"
                    .to_owned(),
            );
        }
        notes
    }
}

/// So many features of a control, each the one not taken yet that is active about as often as a
/// feature of the dictionary, those drawn by the seed.
fn alike(active: &[u64], counts: &[u64], n: usize, seed: u64) -> BTreeSet<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut left: Vec<(u64, u32)> = active
        .iter()
        .copied()
        .zip(0..)
        .filter(|(count, _)| *count > 0)
        .collect();
    left.sort_unstable();
    let wanted: Vec<u64> = counts.choose_multiple(&mut rng, n).copied().collect();
    let mut taken = BTreeSet::new();
    for count in wanted {
        let at = left.partition_point(|(known, _)| *known < count);
        let below = at
            .checked_sub(1)
            .and_then(|at| left.get(at))
            .map(|one| count - one.0);
        let above = left.get(at).map(|one| one.0 - count);
        let nearest = match (below, above) {
            (Some(below), Some(above)) if below < above => at - 1,
            (_, Some(_)) => at,
            (Some(_), None) => at - 1,
            (None, None) => break,
        };
        taken.insert(left.remove(nearest).1);
    }
    taken
}

/// What a dictionary was trained with; `None` for one that was not trained here.
fn training_config(session: &Session, sae: &str) -> Option<SaeConfig> {
    let folder = session.project.artefact_dir(ArtefactKind::Sae, sae).ok()?;
    let run: serde_json::Value = read_json(&folder.join("train.json")).ok()?;
    serde_json::from_value(run.get("config")?.clone()).ok()
}

/// The dictionary before its training: where its recipe starts, around the rows' mean, with as many
/// active features; `None` where its settings cannot be trained here.
fn untrained(
    sae: &SparseAutoencoder,
    config: &SaeConfig,
    mean: &[f32],
    l0: f64,
) -> Option<SparseAutoencoder> {
    let parts = sae::initial_weights(config, sae.d_model()).ok()?;
    let alike = (l0.round() as u32).clamp(1, sae.n_features() as u32);
    let k = sae.sparsity().k().unwrap_or(alike);
    let parts = SaeParts {
        b_dec: mean.to_vec(),
        is_centred: true,
        sparsity: Sparsity::TopK { k },
        ..parts
    };
    SparseAutoencoder::new(parts).ok()
}

/// The mean of the rows of a harvest's first shards, at most 20,000 rows.
fn mean_row(reader: &HarvestReader) -> Result<Vec<f32>> {
    const ENOUGH: usize = 20_000;
    let d = reader.d_model();
    let mut sums = vec![0.0_f64; d];
    let mut n = 0;
    for index in 0..reader.n_shards() {
        let shard = reader.read_shard(index)?;
        for row in shard.rows.chunks_exact(d) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        n += shard.n_rows();
        if n >= ENOUGH {
            break;
        }
    }
    Ok(sums
        .iter()
        .map(|sum| (sum / n.max(1) as f64) as f32)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_active_about_as_often() {
        let active = [0, 5, 50, 52, 500, 7];
        let taken = alike(&active, &[51, 6], 2, 0);
        assert!(taken.len() == 2 && taken.iter().all(|&feature| [1, 2, 3, 5].contains(&feature)));
        assert_eq!(alike(&active, &[1; 9], 9, 0).len(), 5);
        assert!(alike(&[0, 0], &[3], 1, 0).is_empty());
    }
}
