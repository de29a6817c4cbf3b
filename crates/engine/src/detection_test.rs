//! The detection test for people: told a label, on which of these samples is the feature active?
//!
//! Where the proposal was tested, cases are those that its judge saw (`judged.rs`). Else they come
//! from the feature index: samples from the top quarter of the feature's activation, and samples on
//! which it is silent. There are as many of each, mixed by the seed. No case that is drawn here is
//! among the samples shown as evidence of the feature, nor, where that leaves enough, of their
//! patients or users.

mod judged;

use std::collections::BTreeSet;
use std::sync::Arc;

use explain::ClusterBootstrap;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::{DetectionAnswers, DetectionCase, FeatureId};

use crate::decisions::named;
use crate::error::{EngineError, Result};
use crate::indexed::IndexedDictionary;
use crate::review_plan::generator;
use crate::session::Session;
use crate::views::{DetectionResult, DetectionTest, ExampleContent, ExampleView};

/// Cases of each kind at most.
const N_EACH: usize = 10;
/// Fewest cases of each kind that make a test.
const FEWEST: usize = 3;
/// Share of the feature's samples, by activation, from which active cases come.
const TOP_SHARE: f64 = 0.25;

/// A case as it is drawn.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    sample: u32,
    /// Whether the feature is active on it.
    active: bool,
    /// The part of its text that is shown; `None` for the whole sample.
    passage: Option<String>,
    /// What a judge said of it.
    judge: Option<bool>,
}

/// A test as it is drawn.
#[derive(Debug)]
struct Drawn {
    cases: Vec<Case>,
    notes: Vec<String>,
    /// What judged these very cases.
    judged_by: Option<String>,
}

/// Samples that cases may come from.
struct Pool {
    samples: Vec<u32>,
    /// What one should know of a test that is drawn from it.
    note: Option<&'static str>,
}

impl Session {
    /// The detection test of a feature's label, else of its proposal. The same seed gives the same
    /// test.
    ///
    /// # Errors
    /// When there is no such feature, it has neither label nor proposal, or it is active or silent
    /// on too few samples.
    pub fn detection_test(
        &self,
        sae: &str,
        feature: FeatureId,
        seed: u64,
    ) -> Result<DetectionTest> {
        let indexed = self.indexed(sae)?;
        let label = self.tested_label(sae, feature)?;
        let drawn = self.draw_test(sae, feature, seed)?;
        let cases = drawn
            .cases
            .iter()
            .map(|case| shown(&indexed, case))
            .collect::<Result<Vec<_>>>()?;
        Ok(DetectionTest {
            feature,
            label,
            seed,
            cases,
            judged_by: drawn.judged_by,
            notes: drawn.notes,
        })
    }

    /// Records a reader's answers to the test of that seed, in its order: `said[i]` is whether the
    /// feature is active on case `i`. When this returns they are in the synced journal.
    ///
    /// # Errors
    /// As [`Session::detection_test`]; when there is not one answer per case.
    pub fn record_detection(
        &self,
        sae: &str,
        test: &DetectionTest,
        reviewer: &str,
        said: &[bool],
        milliseconds: u64,
    ) -> Result<DetectionResult> {
        let drawn = self.draw_test(sae, test.feature, test.seed)?;
        let shown = test.cases.iter().map(|case| case.sample);
        let is_same = shown.eq(drawn.cases.iter().map(|case| case.sample));
        if !is_same || test.judged_by != drawn.judged_by {
            return Err(EngineError::request(format!(
                "the examples of {sae} have changed since the test was drawn: begin it again"
            )));
        }
        if said.len() != drawn.cases.len() {
            return Err(EngineError::request(format!(
                "the test has {} cases, but {} were answered",
                drawn.cases.len(),
                said.len()
            )));
        }
        let answers = DetectionAnswers {
            sae: sae.to_owned(),
            sae_hash: self.indexed(sae)?.dictionary.hash.clone(),
            feature: test.feature,
            label: test.label.clone(),
            reviewer: named(reviewer).to_owned(),
            at: store::utc_now(),
            seed: test.seed,
            cases: drawn
                .cases
                .iter()
                .zip(said)
                .map(|(case, &said)| DetectionCase {
                    sample: case.sample,
                    active: case.active,
                    said,
                    judge: case.judge,
                })
                .collect(),
            judged_by: drawn.judged_by.unwrap_or_default(),
            milliseconds,
        };
        self.project.record_detection(&answers)?;
        Ok(result(self.indexed(sae)?.as_ref(), answers))
    }

    /// How readers did in the detection tests of a dictionary, oldest first.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn detection_results(&self, sae: &str) -> Result<Vec<DetectionResult>> {
        let indexed = self.indexed(sae)?;
        let answers = self.project.detections(sae)?;
        Ok(answers
            .into_iter()
            .map(|answers| result(&indexed, answers))
            .collect())
    }

    fn tested_label(&self, sae: &str, feature: FeatureId) -> Result<String> {
        let label = self.labels(sae)?.caption(feature);
        if label.is_empty() {
            return Err(EngineError::request(format!(
                "feature {feature} of {sae} has no label to test"
            )));
        }
        Ok(label)
    }

    /// The cases that a judge of the proposal saw, else cases drawn from the index.
    fn draw_test(&self, sae: &str, feature: FeatureId, seed: u64) -> Result<Drawn> {
        let indexed = self.indexed(sae)?;
        let (seed_text, number) = (seed.to_string(), feature.to_string());
        let hash = indexed.dictionary.hash.as_str();
        let mut rng = generator(&["detection", &seed_text, &number, hash]);
        if let Some(evidence) = self.judged_cases(sae, feature)? {
            let label = self.tested_label(sae, feature)?;
            let told = (indexed.kind, label.as_str());
            if let Some(drawn) = judged::draw(&evidence, told, &mut rng) {
                return Ok(drawn);
            }
        }
        self.draw_from_index(sae, feature, &mut rng)
    }

    fn draw_from_index(
        &self,
        sae: &str,
        feature: FeatureId,
        rng: &mut ChaCha8Rng,
    ) -> Result<Drawn> {
        let indexed = self.indexed(sae)?;
        let evidence = self.feature_evidence(sae, feature)?;
        let shown: BTreeSet<u32> = evidence
            .top
            .iter()
            .chain(evidence.bands.iter().flatten())
            .map(|example| example.sample)
            .collect();
        let groups: BTreeSet<&str> = shown
            .iter()
            .map(|&sample| group(&indexed, sample))
            .filter(|group| !group.is_empty())
            .collect();
        let mut maxima = indexed.index.sample_maxima(feature);
        maxima.sort_by(|a, b| {
            b.activation
                .total_cmp(&a.activation)
                .then(a.sample.cmp(&b.sample))
        });
        let active: Vec<u32> = maxima.iter().map(|at| at.sample).collect();
        let fires: BTreeSet<u32> = active.iter().copied().collect();
        let n_top = (TOP_SHARE * active.len() as f64).ceil() as usize;
        let silent: Vec<u32> = (0..indexed.harvest.n_samples)
            .filter(|sample| !fires.contains(sample))
            .filter(|sample| !indexed.index.sample_rows(*sample).is_empty())
            .collect();
        let apart =
            |sample: &u32| !shown.contains(sample) && !groups.contains(group(&indexed, *sample));
        let unseen = |sample: &u32| !shown.contains(sample);
        let pool = |samples: &[u32], note| Pool {
            samples: samples.iter().copied().filter(apart).collect(),
            note,
        };
        let wider = |samples: &[u32]| Pool {
            samples: samples.iter().copied().filter(unseen).collect(),
            note: Some("Some cases are of patients or users whose samples are shown as evidence"),
        };
        let all_levels = Some("Active cases are from all levels of activation");
        let active_pools = vec![
            pool(&active[..n_top], None),
            pool(&active, all_levels),
            wider(&active),
        ];
        let silent_pools = vec![pool(&silent, None), wider(&silent)];
        let mut notes = vec!["Drawn for this test: no judge has seen these cases".to_owned()];
        let mut draw = |what: &str, pools: Vec<Pool>| {
            let mut enough = pools
                .into_iter()
                .filter(|pool| pool.samples.len() >= FEWEST);
            let Some(mut pool) = enough.next() else {
                return Err(EngineError::request(format!(
                    "feature {feature} of {sae} is {what} on fewer than {FEWEST} samples that are \
                     not among its evidence: too few for a test"
                )));
            };
            pool.samples.shuffle(rng);
            pool.samples.truncate(N_EACH);
            notes.extend(pool.note.map(str::to_owned));
            Ok(pool.samples)
        };
        let active = draw("active", active_pools)?;
        let silent = draw("silent", silent_pools)?;
        notes.dedup();
        Ok(Drawn {
            cases: mixed(whole(active, true), whole(silent, false), rng),
            notes,
            judged_by: None,
        })
    }
}

/// Whole samples as cases of one kind.
fn whole(samples: Vec<u32>, active: bool) -> Vec<Case> {
    let case = |sample| Case {
        sample,
        active,
        passage: None,
        judge: None,
    };
    samples.into_iter().map(case).collect()
}

/// As many of each kind, so that guessing one kind throughout is right half the time; mixed.
fn mixed(mut active: Vec<Case>, mut silent: Vec<Case>, rng: &mut ChaCha8Rng) -> Vec<Case> {
    let n = active.len().min(silent.len());
    active.truncate(n);
    silent.truncate(n);
    let mut cases = [active, silent].concat();
    cases.shuffle(rng);
    cases
}

/// A case without a word on where the feature is active.
fn shown(indexed: &IndexedDictionary, case: &Case) -> Result<ExampleView> {
    let mut example = indexed.unmarked_example(case.sample)?;
    if let Some(passage) = &case.passage {
        example.content = ExampleContent::Text {
            tokens: Arc::new(judged::words(passage)),
        };
    }
    Ok(example)
}

fn group(indexed: &IndexedDictionary, sample: u32) -> &str {
    indexed
        .dataset
        .records
        .get(sample as usize)
        .map_or("", |record| record.group.as_str())
}

fn result(indexed: &IndexedDictionary, answers: DetectionAnswers) -> DetectionResult {
    // A sample without a group is one by itself.
    let names: Vec<String> = answers
        .cases
        .iter()
        .map(|case| match group(indexed, case.sample) {
            "" => format!("\u{0}{}", case.sample),
            group => group.to_owned(),
        })
        .collect();
    let clusters = ClusterBootstrap::of_names(names.iter().map(String::as_str), answers.seed);
    let once = vec![1; answers.cases.len()];
    let count = |active: bool| {
        let of_kind = answers.cases.iter().filter(|case| case.active == active);
        let right = of_kind.clone().filter(|case| case.said == active).count() as u32;
        [right, of_kind.count() as u32]
    };
    DetectionResult {
        balanced_accuracy: balanced_accuracy(&answers.cases, &once).unwrap_or(f64::NAN),
        interval: clusters.interval(&|weights| balanced_accuracy(&answers.cases, weights)),
        active: count(true),
        silent: count(false),
        judge: judged::judge_result(&answers),
        feature: answers.feature,
        label: answers.label,
        reviewer: answers.reviewer,
        at: answers.at,
    }
}

/// Mean of sensitivity and specificity with each case counted `weights` times; `None` without a
/// case of either kind.
fn balanced_accuracy(cases: &[DetectionCase], weights: &[u32]) -> Option<f64> {
    let rate = |active: bool| {
        let (mut right, mut all) = (0.0, 0.0);
        for (case, &weight) in cases.iter().zip(weights) {
            if case.active == active {
                all += f64::from(weight);
                right += f64::from(weight) * f64::from(u8::from(case.said == active));
            }
        }
        (all > 0.0).then(|| right / all)
    };
    Some(f64::midpoint(rate(true)?, rate(false)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_accuracy_by_hand() {
        let case = |active, said| DetectionCase {
            sample: 0,
            active,
            said,
            judge: None,
        };
        // Sensitivity 2/2, specificity 1/4.
        let mut cases = vec![case(true, true), case(true, true), case(false, false)];
        cases.extend([case(false, true); 3]);
        assert_eq!(balanced_accuracy(&cases, &[1; 6]), Some(0.625));
        assert_eq!(balanced_accuracy(&cases[..2], &[1; 2]), None);
        // The silent case that was told rightly, drawn three times.
        assert_eq!(balanced_accuracy(&cases, &[1, 0, 3, 0, 0, 1]), Some(0.875));
    }
}
