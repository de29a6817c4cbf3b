//! A reviewer's queue: which case comes next, what is shown of it, and what is recorded.
//!
//! What a front end needs, in the order it needs it (the window has the same by `Engine`):
//!
//! | call | answer |
//! |---|---|
//! | [`Session::review_place`] | where the reviewer was, to go on there |
//! | [`Session::review_progress`] | n of N, pace, the next case |
//! | [`Session::review_item`] | evidence and proposal of one case |
//! | [`Session::keep_draft`] | half-written text, kept over a restart |
//! | [`Session::decide_case`] | records the decision, synced |
//! | [`Session::undo`], [`Session::redo`] | take back, restore |
//! | [`Session::next_case`] | the next case to do after one |
//!
//! A queue is a function of its request, the dictionary, its proposals and what *others* decided:
//! nothing that the reviewer does moves it. Which cases are repeats or traps is told by no view, only
//! by the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::{CaseRole, Decision, FeatureId, ReviewMode, ReviewState, Shown};
use serde::{Deserialize, Serialize};
use store::Record;

use crate::decisions::{DecisionRequest, Recorded, check_shown, named};
use crate::error::{EngineError, Result};
use crate::flags::{has_answered, was_flagged_for};
use crate::labels::Labels;
use crate::review_plan::{Candidate, Case, Controls, generator, plan};
use crate::session::Session;
use crate::views::{
    QueueKind, QueueOrder, QueueRequest, QueueScope, QueuedCase, ReviewAnswer, ReviewDraft,
    ReviewItem, ReviewPlace, ReviewProgress,
};

/// A feature that is active on a smaller share of samples shows little.
const LEAST_SPREAD: f32 = 0.01;
/// One that is active on a larger share tells samples apart badly.
const MOST_SPREAD: f32 = 0.5;

/// A queue with its cases.
#[derive(Debug)]
pub(crate) struct Queue {
    sae: String,
    request: QueueRequest,
    cases: Vec<Case>,
    scope: QueueScope,
}

/// What is kept of a reviewer on a dictionary between sessions.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Desk {
    place: Option<ReviewPlace>,
    /// By feature and role.
    #[serde(default)]
    drafts: BTreeMap<String, ReviewDraft>,
}

impl Session {
    /// The cases of a queue, made once and kept while it is asked for.
    fn queue(&self, sae: &str, request: &QueueRequest) -> Result<Arc<Queue>> {
        if let Some(known) = self.known_queue()
            && known.sae == sae
            && known.request == *request
        {
            return Ok(known);
        }
        let (cases, scope) = self.plan_queue(sae, request)?;
        let queue = Arc::new(Queue {
            sae: sae.to_owned(),
            request: request.clone(),
            cases,
            scope,
        });
        self.keep_queue(&queue);
        Ok(queue)
    }

    fn plan_queue(&self, sae: &str, request: &QueueRequest) -> Result<(Vec<Case>, QueueScope)> {
        if request.kind == QueueKind::SecondReader && request.order == QueueOrder::Disagreement {
            return Err(EngineError::request(
                "a second reader is blind, and an order by disagreement would tell what others \
                 decided; choose another order",
            ));
        }
        let indexed = self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let reviewer = named(&request.reviewer);
        let seed = request.seed.to_string();
        let parts = [seed.as_str(), reviewer, indexed.dictionary.hash.as_str()];
        let density = &indexed.index.overview().density;
        let mut candidates: Vec<Candidate> = eligible(&labels, request, density)
            .into_iter()
            .map(|feature| Candidate {
                feature,
                density: density[feature.0 as usize],
                words: schema::normalised(&labels.proposal(feature)),
            })
            .collect();
        let spread = &indexed.index.overview().sample_density;
        order(&mut candidates, &labels, (request, spread), &parts);
        let role = match request.kind {
            QueueKind::Label | QueueKind::Flagged => CaseRole::First,
            QueueKind::SecondReader => CaseRole::SecondReader,
            QueueKind::Adjudicate => CaseRole::Adjudication,
        };
        let controlled = !request.no_controls
            && matches!(request.kind, QueueKind::Label | QueueKind::SecondReader);
        let controls = Controls {
            repeats: controlled,
            traps: controlled && request.mode != ReviewMode::Blind,
        };
        let [seed, reviewer, hash] = parts;
        let mut rng = generator(&["controls", seed, reviewer, hash]);
        let cases = plan(&candidates, role, controls, &mut rng);
        let scope = scope(request.kind, candidates.len(), cases.len(), density);
        Ok((cases, scope))
    }

    /// How far the reviewer is.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn review_progress(&self, sae: &str, request: &QueueRequest) -> Result<ReviewProgress> {
        let queue = self.queue(sae, request)?;
        let labels = self.labels(sae)?;
        let reviewer = named(&request.reviewer);
        let mut progress = ReviewProgress {
            n_cases: queue.cases.len() as u32,
            scope: queue.scope.clone(),
            ..ReviewProgress::default()
        };
        let mut times = Vec::new();
        let mut by_state: BTreeMap<ReviewState, u32> = BTreeMap::new();
        for case in &queue.cases {
            let Some(decision) = queue.decided(&labels, *case) else {
                continue;
            };
            progress.n_done += 1;
            *by_state.entry(decision.state).or_default() += 1;
            progress.n_flagged += u32::from(decision.flagged);
            if let Some(shown) = &decision.shown
                && shown.milliseconds > 0
            {
                times.push(shown.milliseconds);
            }
        }
        progress.by_state = by_state.into_iter().collect();
        if request.kind != QueueKind::SecondReader {
            let conflicts = labels
                .reviewed()
                .filter(|(_, standing)| standing.state == ReviewState::Conflict);
            progress.n_conflicts = Some(conflicts.count() as u32);
        }
        progress.median_seconds = median(&mut times).map(|ms| ms / 1000.0);
        progress.seconds_left = progress
            .median_seconds
            .map(|median| median * f64::from(progress.n_cases - progress.n_done));
        progress.next = first_to_do(&queue, &labels, 0);
        progress.place = self
            .review_place(sae, reviewer)?
            .filter(|place| place.queue == *request && place.case < progress.n_cases)
            .map(|place| place.case)
            .or(progress.next);
        Ok(progress)
    }

    /// The first case to do after `case`, else from the beginning; `None` when all is done. A repeat
    /// comes up only once the feature itself was decided.
    ///
    /// # Errors
    /// As [`Session::review_progress`].
    pub fn next_case(&self, sae: &str, request: &QueueRequest, case: u32) -> Result<Option<u32>> {
        let queue = self.queue(sae, request)?;
        let labels = self.labels(sae)?;
        Ok(first_to_do(&queue, &labels, case as usize + 1)
            .or_else(|| first_to_do(&queue, &labels, 0)))
    }

    /// One case as it is put before the reviewer.
    ///
    /// # Errors
    /// When the queue has no such case.
    pub fn review_item(&self, sae: &str, request: &QueueRequest, case: u32) -> Result<ReviewItem> {
        let queue = self.queue(sae, request)?;
        let labels = self.labels(sae)?;
        let at = queue.case(case)?;
        let evidence = self.feature_evidence(sae, at.feature)?;
        let (proposal, proposed_by) = proposal(&labels, at, request.mode);
        let reviewer = named(&request.reviewer);
        let readings = if at.role == CaseRole::Adjudication {
            labels
                .standing(at.feature)
                .map(|standing| {
                    standing
                        .readings
                        .iter()
                        .map(|r| r.decision.clone())
                        .collect()
                })
                .unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok(ReviewItem {
            case,
            n_cases: queue.cases.len() as u32,
            feature: at.feature,
            kind: evidence.kind,
            mode: request.mode,
            proposal,
            proposed_by,
            density: evidence.summary.density,
            max_activation: evidence.summary.max_activation,
            histogram: Arc::new(evidence.summary.histogram),
            top: Arc::new(evidence.top),
            bands: Arc::new(evidence.bands),
            warnings: evidence.warnings,
            notes: evidence.notes,
            decided: queue.decided(&labels, at).cloned(),
            draft: self.desk(sae, reviewer)?.drafts.remove(&draft_name(at)),
            readings,
        })
    }

    /// Records what the reviewer decided on a case. When this returns it is durable; a draft of the
    /// case is then forgotten.
    ///
    /// # Errors
    /// When the queue has no such case or another feature there, or its proposal is not the one that
    /// was shown; as [`Session::record`].
    pub fn decide_case(
        &self,
        sae: &str,
        request: &QueueRequest,
        case: u32,
        answer: &ReviewAnswer,
    ) -> Result<Recorded> {
        let queue = self.queue(sae, request)?;
        let labels = self.labels(sae)?;
        let at = queue.case(case)?;
        if at.feature != answer.feature {
            return Err(EngineError::request(format!(
                "case {case} of the queue is feature {}, not {}: load it again",
                at.feature, answer.feature
            )));
        }
        let (proposal, by) = proposal(&labels, at, request.mode);
        check_shown(answer.shown.as_deref(), &proposal)?;
        let recorded = self.record(
            sae,
            &DecisionRequest {
                feature: at.feature,
                state: answer.state,
                text: answer.text.clone(),
                reviewer: request.reviewer.clone(),
                role: at.role,
                shown: Some(Shown {
                    text: proposal,
                    by,
                    of: (at.label_of != at.feature).then_some(at.label_of),
                    mode: request.mode,
                    milliseconds: answer.milliseconds,
                    n_examples: answer.n_examples,
                    heatmap: answer.heatmap,
                    window_changed: answer.window_changed,
                }),
                wrote_first: answer.wrote_first.clone(),
                confidence: answer.confidence,
                flagged: answer.flagged,
            },
        )?;
        let reviewer = named(&request.reviewer);
        let mut desk = self.desk(sae, reviewer)?;
        if desk.drafts.remove(&draft_name(at)).is_some() {
            self.keep_desk(sae, reviewer, &desk)?;
        }
        Ok(recorded)
    }

    /// Keeps where the reviewer is and, if given, what they have half done there. On the disk when
    /// this returns.
    ///
    /// # Errors
    /// When the queue has no such case or the database cannot be written.
    pub fn keep_draft(
        &self,
        sae: &str,
        request: &QueueRequest,
        case: u32,
        draft: Option<&ReviewDraft>,
    ) -> Result<()> {
        let at = self.queue(sae, request)?.case(case)?;
        let reviewer = named(&request.reviewer);
        let mut desk = self.desk(sae, reviewer)?;
        desk.place = Some(ReviewPlace {
            queue: request.clone(),
            case,
        });
        match draft {
            Some(draft) if *draft != ReviewDraft::default() => {
                desk.drafts.insert(draft_name(at), draft.clone());
            }
            _ => {
                desk.drafts.remove(&draft_name(at));
            }
        }
        self.keep_desk(sae, reviewer, &desk)
    }

    /// Where the reviewer was on a dictionary.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn review_place(&self, sae: &str, reviewer: &str) -> Result<Option<ReviewPlace>> {
        Ok(self.desk(sae, named(reviewer))?.place)
    }

    /// The cases of a queue in their order.
    ///
    /// # Errors
    /// As [`Session::review_progress`].
    pub fn queued_cases(&self, sae: &str, request: &QueueRequest) -> Result<Vec<QueuedCase>> {
        let queue = self.queue(sae, request)?;
        let labels = self.labels(sae)?;
        Ok((0..)
            .zip(&queue.cases)
            .map(|(case, at)| QueuedCase {
                case,
                feature: at.feature,
                proposal: proposal(&labels, *at, request.mode).0,
                done: queue.decided(&labels, *at).is_some(),
            })
            .collect())
    }

    /// The case of a queue that a decision was made on, or that it takes back; `None` where the
    /// queue has no such case.
    ///
    /// # Errors
    /// As [`Session::review_progress`].
    pub fn case_of_decision(
        &self,
        sae: &str,
        request: &QueueRequest,
        decision: &Decision,
    ) -> Result<Option<u32>> {
        let queue = self.queue(sae, request)?;
        let is_reading = |role| matches!(role, CaseRole::First | CaseRole::SecondReader);
        let fits = |case: &Case| {
            case.feature == decision.feature
                && (case.role == decision.role
                    || (is_reading(case.role) && is_reading(decision.role)))
        };
        let at = queue.cases.iter().position(fits);
        Ok(at.map(|at| at as u32))
    }

    fn desk(&self, sae: &str, reviewer: &str) -> Result<Desk> {
        let name = self.desk_name(sae, reviewer)?;
        // What an older version left and this one cannot read is no reason to stop a review.
        Ok(self
            .project
            .setting(&name)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    fn keep_desk(&self, sae: &str, reviewer: &str, desk: &Desk) -> Result<()> {
        let text =
            serde_json::to_string(desk).map_err(|error| EngineError::other(error.to_string()))?;
        let name = self.desk_name(sae, reviewer)?;
        Ok(self.project.set_setting_durably(&name, &text)?)
    }

    fn desk_name(&self, sae: &str, reviewer: &str) -> Result<String> {
        let hash = &self.indexed(sae)?.dictionary.hash;
        Ok(format!("review {hash} {reviewer}"))
    }
}

impl Queue {
    fn case(&self, case: u32) -> Result<Case> {
        self.cases.get(case as usize).copied().ok_or_else(|| {
            EngineError::request(format!(
                "the queue has {} cases, none with number {case}",
                self.cases.len()
            ))
        })
    }

    /// What the reviewer decided on a case. To look again at what is flagged takes a decision that
    /// came after the flag.
    fn decided<'a>(&self, labels: &'a Labels, case: Case) -> Option<&'a Decision> {
        let reviewer = named(&self.request.reviewer);
        let is_open = self.request.kind == QueueKind::Flagged
            && !has_answered(labels.records_of(case.feature), reviewer);
        decision_on(labels, case, reviewer).filter(|_| !is_open)
    }
}

/// The features of a queue, ascending.
fn eligible(labels: &Labels, request: &QueueRequest, density: &[f32]) -> Vec<FeatureId> {
    let reviewer = named(&request.reviewer);
    let live = |feature: &FeatureId| density.get(feature.0 as usize).is_some_and(|d| *d > 0.0);
    let others_decided = |records: &[Record]| {
        store::valid_records(records).into_iter().any(|record| {
            let decision = &record.decision;
            decision.bears_label() && decision.state.has_say() && decision.reviewer != reviewer
        })
    };
    match request.kind {
        QueueKind::Label => {
            let proposed: Vec<FeatureId> = labels.proposed().filter(live).collect();
            if proposed.is_empty() || request.everything {
                (0..density.len() as u32)
                    .map(FeatureId)
                    .filter(live)
                    .collect()
            } else {
                proposed
            }
        }
        QueueKind::SecondReader => labels
            .reviewed()
            .map(|(feature, _)| feature)
            .filter(|feature| live(feature) && others_decided(labels.records_of(*feature)))
            .collect(),
        QueueKind::Flagged => labels
            .reviewed()
            .map(|(feature, _)| feature)
            .filter(|feature| {
                live(feature) && was_flagged_for(labels.records_of(*feature), reviewer)
            })
            .collect(),
        // Those that this reviewer settled stay, so that the cases keep their numbers.
        QueueKind::Adjudicate => labels
            .reviewed()
            .filter(|(_, standing)| {
                standing.state == ReviewState::Conflict
                    || standing
                        .adjudication
                        .as_ref()
                        .is_some_and(|record| record.decision.reviewer == reviewer)
            })
            .map(|(feature, _)| feature)
            .collect(),
    }
}

/// What a queue of so many features and cases counts and what not.
fn scope(kind: QueueKind, n_features: usize, n_cases: usize, density: &[f32]) -> QueueScope {
    let n_live = density.iter().filter(|density| **density > 0.0).count();
    let is_label = kind == QueueKind::Label;
    let left_out = |n: usize| if is_label { n as u32 } else { 0 };
    QueueScope {
        kind,
        n_features: n_features as u32,
        all_live: is_label && n_features == n_live,
        n_checks: n_cases.saturating_sub(n_features) as u32,
        n_without_proposal: left_out(n_live.saturating_sub(n_features)),
        n_silent: left_out(density.len() - n_live),
    }
}

/// How much there is to see of a feature that is active on this share of samples: enough and not
/// everywhere before everywhere before nearly nowhere.
fn rank_of_spread(share: f32) -> u8 {
    if share < LEAST_SPREAD {
        2
    } else {
        u8::from(share > MOST_SPREAD)
    }
}

fn order(
    candidates: &mut [Candidate],
    labels: &Labels,
    (request, spread): (&QueueRequest, &[f32]),
    parts: &[&str; 3],
) {
    use rand::seq::SliceRandom as _;
    let scores = || -> BTreeMap<FeatureId, f64> {
        let scored = |of: &Candidate| Some((of.feature, labels.score(of.feature)?));
        candidates.iter().filter_map(scored).collect()
    };
    match request.order {
        QueueOrder::Clearest => {
            let scores = scores();
            let score = |of: &Candidate| scores.get(&of.feature).map_or(f64::NEG_INFINITY, |s| *s);
            let rank = |of: &Candidate| {
                rank_of_spread(spread.get(of.feature.0 as usize).copied().unwrap_or(0.0))
            };
            candidates.sort_by(|a, b| {
                rank(a)
                    .cmp(&rank(b))
                    .then(score(b).total_cmp(&score(a)))
                    .then(b.density.total_cmp(&a.density))
            });
        }
        QueueOrder::LowestScore => {
            let scores = scores();
            let score = |of: &Candidate| scores.get(&of.feature).map_or(f64::INFINITY, |s| *s);
            candidates.sort_by(|a, b| score(a).total_cmp(&score(b)));
        }
        QueueOrder::Density => candidates.sort_by(|a, b| b.density.total_cmp(&a.density)),
        QueueOrder::Disagreement => {
            let reviewer = named(&request.reviewer);
            candidates.sort_by_cached_key(|candidate| {
                std::cmp::Reverse(n_answers(labels, candidate.feature, reviewer))
            });
        }
        QueueOrder::Random => {
            let [seed, reviewer, hash] = *parts;
            candidates.shuffle(&mut generator(&["order", seed, reviewer, hash]));
        }
    }
}

/// Distinct answers of other readers and the proposal on a feature.
fn n_answers(labels: &Labels, feature: FeatureId, reviewer: &str) -> usize {
    let readings = labels
        .standing(feature)
        .map_or(&[][..], |standing| standing.readings.as_slice());
    let answer = |decision: &Decision| {
        if decision.state.has_label() {
            schema::normalised(&decision.text)
        } else {
            format!("({})", decision.state.word())
        }
    };
    let mut answers: BTreeSet<String> = readings
        .iter()
        .map(|record| &record.decision)
        .filter(|decision| decision.state.has_say() && decision.reviewer != reviewer)
        .map(answer)
        .collect();
    let proposal = schema::normalised(&labels.proposal(feature));
    if !proposal.is_empty() {
        answers.insert(proposal);
    }
    answers.len()
}

/// The text of a case and what proposed it.
fn proposal(labels: &Labels, case: Case, mode: ReviewMode) -> (String, String) {
    match labels.explanation(case.label_of) {
        Some(explanation) if mode != ReviewMode::Blind => {
            (explanation.text.clone(), explanation.by.clone())
        }
        _ => (String::new(), String::new()),
    }
}

/// What the reviewer decided on a case: the latest that was not taken back.
fn decision_on<'a>(labels: &'a Labels, case: Case, reviewer: &str) -> Option<&'a Decision> {
    let standing = labels.standing(case.feature);
    // A conflict that came after the adjudication is to be settled again.
    let open = standing.is_some_and(|standing| standing.state == ReviewState::Conflict);
    store::valid_records(labels.records_of(case.feature))
        .into_iter()
        .map(|record| &record.decision)
        .rfind(|decision| {
            let same = match case.role {
                CaseRole::First | CaseRole::SecondReader => {
                    matches!(decision.role, CaseRole::First | CaseRole::SecondReader)
                }
                CaseRole::Adjudication => decision.role == CaseRole::Adjudication && !open,
                CaseRole::Repeat | CaseRole::Trap => decision.role == case.role,
            };
            same && decision.reviewer == reviewer && decision.state != ReviewState::Unseen
        })
}

fn first_to_do(queue: &Queue, labels: &Labels, from: usize) -> Option<u32> {
    let to_do = |case: &Case| {
        let done = |case| queue.decided(labels, case);
        let ready = case.role != CaseRole::Repeat
            || done(Case {
                role: CaseRole::First,
                ..*case
            })
            .is_some_and(|decision| decision.state.has_say());
        done(*case).is_none() && ready
    };
    let cases = queue.cases.iter().enumerate().skip(from);
    cases
        .filter(|(_, case)| to_do(case))
        .map(|(at, _)| at as u32)
        .next()
}

fn median(values: &mut [u64]) -> Option<f64> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)? as f64;
    if values.len().is_multiple_of(2) {
        Some(f64::midpoint(values[middle - 1] as f64, upper))
    } else {
        Some(upper)
    }
}

fn draft_name(case: Case) -> String {
    format!("{} {}", case.feature, case.role.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{Explanation, MeasuredScore};

    #[test]
    fn the_clearest_features_come_before_those_that_are_everywhere_or_nearly_nowhere() {
        let scored = |feature: u32, value: f64| Explanation {
            feature: FeatureId(feature),
            text: format!("proposal {feature}"),
            score: Some(MeasuredScore {
                method: "detection".to_owned(),
                judge: "keywords".to_owned(),
                value,
                interval: None,
                n_cases: 40,
            }),
            ..Explanation::default()
        };
        let explanations = vec![
            scored(0, 0.99),
            scored(1, 0.6),
            scored(2, 0.9),
            scored(3, 0.95),
        ];
        let labels = Labels::new(Vec::new(), explanations);
        // Nearly silent, seen, seen, everywhere, seen without a score.
        let spread = [0.002, 0.1, 0.02, 0.8, 0.3];
        let mut candidates: Vec<Candidate> = (0..5)
            .map(|feature| Candidate {
                feature: FeatureId(feature),
                density: spread[feature as usize],
                words: String::new(),
            })
            .collect();
        let request = QueueRequest::default();
        let parts = ["0", "Ada", "hash"];
        order(&mut candidates, &labels, (&request, &spread), &parts);
        let order: Vec<u32> = candidates.iter().map(|one| one.feature.0).collect();
        assert_eq!(order, [2, 1, 4, 3, 0]);
    }

    #[test]
    fn the_scope_of_a_queue_says_what_it_counts_and_what_not() {
        let density = [0.1, 0.0, 0.2, 0.3, 0.0, 0.0];
        let told =
            |kind, n_features, n_cases| scope(kind, n_features, n_cases, &density).sentence();
        assert_eq!(
            told(QueueKind::Label, 2, 3),
            "2 features with a proposed label and 1 check · not here: 1 without a proposal, 3 never \
             active"
        );
        assert_eq!(
            told(QueueKind::Label, 3, 3),
            "3 features that are ever active · not here: 3 never active"
        );
        assert_eq!(
            told(QueueKind::SecondReader, 1, 3),
            "1 feature that another reader decided on and 2 checks"
        );
        assert_eq!(
            told(QueueKind::Flagged, 2, 2),
            "2 features that a reader flagged"
        );
    }
}
