//! How far readers agree with each other, with themselves and with the model, and what they accept
//! unread.

use std::collections::{BTreeMap, BTreeSet};

use explain::ClusterBootstrap;
use explain::agreement::{
    AgreementEstimate, Coefficient, Level, Ratings, Weighting, text_agreement,
};
use schema::{CaseRole, Decision, FeatureId, ReviewState};
use store::Record;

use crate::error::{EngineError, Result};
use crate::labels::Labels;
use crate::session::Session;
use crate::views::{
    AgreementFigures, AgreementReport, Disagreement, Estimate, ModelAgreement, PairAgreement,
    RepeatAgreement, TextFigures, TrapFigures,
};

/// Seed of the bootstrap draws.
const SEED: u64 = 0;
/// Score from which the model is taken to stand by its proposal.
pub const MODEL_STANDS_BY: f64 = 0.8;
/// Verdicts on a proposal: right, other words, wrong, cannot tell.
const N_VERDICTS: u32 = 4;

/// What each reader said, for the features that somebody read.
struct Readings<'a> {
    readers: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

/// What each reader said of one feature; `[n_readers]`.
struct Row<'a> {
    feature: FeatureId,
    /// The present proposal.
    proposal: String,
    said: Vec<Option<&'a Decision>>,
}

impl Row<'_> {
    fn verdict(&self, reader: usize) -> Option<u32> {
        verdict(self.said[reader]?, &self.proposal)
    }
}

impl Session {
    /// How far the readers of a dictionary agree. The definitions are in `docs/review.md`.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn agreement(&self, sae: &str) -> Result<AgreementReport> {
        self.indexed(sae)?;
        let labels = self.labels(sae)?;
        let readings = Readings::of(&labels);
        let table = readings.verdicts()?;
        let mut pairs = Vec::new();
        for a in 0..readings.readers.len() {
            for b in a + 1..readings.readers.len() {
                pairs.push(readings.pair(&table, a, b)?);
            }
        }
        let texts: Vec<Vec<Option<&str>>> = readings
            .rows
            .iter()
            .map(|row| row.said.iter().map(|cell| text_of(*cell)).collect())
            .collect();
        Ok(AgreementReport {
            sae: sae.to_owned(),
            readers: readings.read_counts(),
            n_compared: table.n_compared() as u32,
            all: figures(&table),
            texts: text_figures(&texts),
            pairs,
            with_model: with_model(&labels, &readings)?,
            repeats: repeats(&labels, &readings)?,
            traps: traps(&labels),
            disagreements: disagreements(&labels),
            n_stale: self.stale_decisions(sae)?.len() as u32,
        })
    }

    /// The features on which readers differ or differed, those not settled first.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn disagreements(&self, sae: &str) -> Result<Vec<Disagreement>> {
        Ok(disagreements(self.labels(sae)?.as_ref()))
    }
}

impl<'a> Readings<'a> {
    fn of(labels: &'a Labels) -> Self {
        let said = |record: &'a Record| {
            let decision = &record.decision;
            decision
                .state
                .has_say()
                .then_some((decision.reviewer.as_str(), decision))
        };
        let by_feature: Vec<(FeatureId, BTreeMap<&str, &Decision>)> = labels
            .reviewed()
            .map(|(feature, standing)| {
                (feature, standing.readings.iter().filter_map(said).collect())
            })
            .collect();
        let readers: BTreeSet<&str> = by_feature
            .iter()
            .flat_map(|(_, row): &(_, BTreeMap<&str, _>)| row.keys().copied())
            .collect();
        let readers: Vec<&str> = readers.into_iter().collect();
        let rows = by_feature
            .into_iter()
            .map(|(feature, row)| {
                let cells = readers.iter().map(|reader| row.get(reader).copied());
                Row {
                    feature,
                    proposal: labels.proposal(feature),
                    said: cells.collect(),
                }
            })
            .collect();
        Self { readers, rows }
    }

    fn verdicts(&self) -> Result<Ratings> {
        let rows: Vec<Vec<Option<u32>>> = self
            .rows
            .iter()
            .map(|row| (0..row.said.len()).map(|at| row.verdict(at)).collect())
            .collect();
        ratings(&rows, N_VERDICTS)
    }

    fn read_counts(&self) -> Vec<(String, u32)> {
        let n_read = |at: usize| {
            let rows = self.rows.iter();
            rows.filter(|row| row.said[at].is_some()).count()
        };
        let readers = self.readers.iter().enumerate();
        readers
            .map(|(at, reader)| ((*reader).to_owned(), n_read(at) as u32))
            .collect()
    }

    fn pair(&self, table: &Ratings, a: usize, b: usize) -> Result<PairAgreement> {
        let both = table
            .pair(a, b)
            .map_err(|error| EngineError::other(error.to_string()))?;
        let texts: Vec<Vec<Option<&str>>> = self
            .rows
            .iter()
            .map(|row| vec![text_of(row.said[a]), text_of(row.said[b])])
            .collect();
        let sure =
            |cell: Option<&Decision>| cell?.confidence.map(|n| u32::from(n.saturating_sub(1)));
        let confidences: Vec<Vec<Option<u32>>> = self
            .rows
            .iter()
            .map(|row| vec![sure(row.said[a]), sure(row.said[b])])
            .collect();
        let confidence =
            ratings(&confidences, 9)?.estimate(Coefficient::CohenKappa(Weighting::Quadratic), SEED);
        Ok(PairAgreement {
            readers: [self.readers[a].to_owned(), self.readers[b].to_owned()],
            verdicts: figures(&both),
            texts: text_figures(&texts),
            confidence: (confidence.n_features > 0).then(|| estimated(confidence)),
        })
    }
}

/// The verdict on the proposal that was shown, or where none was on the present one: 0 right, 1
/// other words, 2 wrong, 3 cannot tell. A text with the same words counts as right.
fn verdict(decision: &Decision, present: &str) -> Option<u32> {
    let judged = if decision.edited_from.is_empty() {
        present
    } else {
        &decision.edited_from
    };
    match decision.state {
        ReviewState::Accepted => Some(0),
        ReviewState::Edited => {
            let same = schema::normalised(&decision.text) == schema::normalised(judged);
            Some(u32::from(!same))
        }
        ReviewState::Rejected => Some(2),
        ReviewState::Unsure => Some(3),
        ReviewState::Unseen | ReviewState::Skipped | ReviewState::Conflict => None,
    }
}

fn text_of(cell: Option<&Decision>) -> Option<&str> {
    cell.filter(|decision| decision.state.has_label())
        .map(|decision| decision.text.as_str())
}

fn ratings(rows: &[Vec<Option<u32>>], n_categories: u32) -> Result<Ratings> {
    Ratings::new(rows, n_categories).map_err(|error| EngineError::other(error.to_string()))
}

fn estimated(estimate: AgreementEstimate) -> Estimate {
    Estimate {
        value: estimate.value,
        interval: estimate.interval,
        n_features: estimate.n_features as u32,
    }
}

fn figures(table: &Ratings) -> AgreementFigures {
    let estimate = |coefficient| estimated(table.estimate(coefficient, SEED));
    AgreementFigures {
        n_features: table.n_compared() as u32,
        raw: estimate(Coefficient::Raw),
        gwet_ac1: estimate(Coefficient::GwetAc1),
        krippendorff_alpha: estimate(Coefficient::KrippendorffAlpha(Level::Nominal)),
        cohen_kappa: (table.n_readers() == 2)
            .then(|| estimate(Coefficient::CohenKappa(Weighting::Unweighted))),
        fleiss_kappa: (table.n_readers() > 2).then(|| estimate(Coefficient::FleissKappa)),
    }
}

fn text_figures(rows: &[Vec<Option<&str>>]) -> TextFigures {
    let alike = text_agreement(rows, SEED);
    TextFigures {
        exact: estimated(alike.exact),
        edit: estimated(alike.edit),
    }
}

/// Each reader beside the model. The model says "right" of its proposal where the proposal's score
/// is at least [`MODEL_STANDS_BY`], else "not right"; a reader says "right" by accepting it, "not
/// right" by other words or rejection. Left out: proposals without a score, unsure readers, and
/// readings of another text than the present proposal.
fn with_model(labels: &Labels, readings: &Readings<'_>) -> Result<Vec<ModelAgreement>> {
    let mut all = Vec::new();
    for (at, reader) in readings.readers.iter().enumerate() {
        let rows: Vec<Vec<Option<u32>>> = readings
            .rows
            .iter()
            .map(|row| {
                let same_proposal = |decision: &Decision| {
                    let present = schema::normalised(&row.proposal);
                    decision.edited_from.is_empty()
                        || schema::normalised(&decision.edited_from) == present
                };
                let said = row.said[at]
                    .filter(|decision| same_proposal(decision))
                    .and_then(|_| row.verdict(at))
                    .filter(|verdict| *verdict < 3)
                    .map(|verdict| u32::from(verdict != 0));
                let model = labels
                    .score(row.feature)
                    .map(|score| u32::from(score < MODEL_STANDS_BY));
                vec![said, model]
            })
            .collect();
        let table = ratings(&rows, 2)?;
        if table.n_compared() > 0 {
            all.push(ModelAgreement {
                reader: (*reader).to_owned(),
                verdicts: figures(&table),
            });
        }
    }
    Ok(all)
}

/// Each reader beside themselves: the repeat, and what they had said last before it.
fn repeats(labels: &Labels, readings: &Readings<'_>) -> Result<Vec<RepeatAgreement>> {
    let mut by_reader: BTreeMap<&str, Vec<Vec<Option<u32>>>> = BTreeMap::new();
    for row in &readings.rows {
        let valid = store::valid_records(labels.records_of(row.feature));
        for (at, repeat) in valid.iter().enumerate() {
            let again = &repeat.decision;
            if again.role != CaseRole::Repeat || !again.state.has_say() {
                continue;
            }
            let before = valid[..at].iter().rfind(|record| {
                record.decision.reviewer == again.reviewer
                    && record.decision.bears_label()
                    && record.decision.state.has_say()
            });
            if let Some(before) = before {
                by_reader.entry(&again.reviewer).or_default().push(vec![
                    verdict(&before.decision, &row.proposal),
                    verdict(again, &row.proposal),
                ]);
            }
        }
    }
    let mut all = Vec::new();
    for (reader, rows) in by_reader {
        all.push(RepeatAgreement {
            reader: reader.to_owned(),
            verdicts: figures(&ratings(&rows, N_VERDICTS)?),
        });
    }
    Ok(all)
}

/// Of the labels of other features that a reader was shown, the share that was accepted.
fn traps(labels: &Labels) -> Vec<TrapFigures> {
    let mut by_reader: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (feature, _) in labels.reviewed() {
        for record in store::valid_records(labels.records_of(feature)) {
            let decision = &record.decision;
            if decision.role == CaseRole::Trap && decision.state.has_say() {
                let accepted = verdict(decision, "") == Some(0);
                by_reader
                    .entry(&decision.reviewer)
                    .or_default()
                    .push(f64::from(u8::from(accepted)));
            }
        }
    }
    by_reader
        .into_iter()
        .map(|(reader, accepted)| TrapFigures {
            reader: reader.to_owned(),
            n_traps: accepted.len() as u32,
            n_accepted: accepted.iter().sum::<f64>() as u32,
            share: accepted.iter().sum::<f64>() / accepted.len() as f64,
            interval: ClusterBootstrap::of_units(accepted.len(), SEED).interval_of_mean(&accepted),
        })
        .collect()
}

fn disagreements(labels: &Labels) -> Vec<Disagreement> {
    let mut all: Vec<Disagreement> = labels
        .reviewed()
        .filter_map(|(feature, standing)| {
            let readings: Vec<Decision> = standing
                .readings
                .iter()
                .map(|record| record.decision.clone())
                .filter(|decision| decision.state.has_say())
                .collect();
            let first = readings.first()?;
            let differ = readings.iter().any(|other| !first.agrees_with(other));
            let open = standing.state == ReviewState::Conflict;
            (differ || open).then(|| Disagreement {
                feature,
                open,
                adjudication: standing
                    .adjudication
                    .as_ref()
                    .map(|record| record.decision.clone()),
                readings,
            })
        })
        .collect();
    all.sort_by_key(|one| !one.open);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: u64, feature: u32, reviewer: &str, state: ReviewState, text: &str) -> Record {
        Record {
            line,
            decision: Decision {
                feature: FeatureId(feature),
                state,
                text: text.to_owned(),
                edited_from: "nodule".to_owned(),
                reviewer: reviewer.to_owned(),
                ..Decision::default()
            },
        }
    }

    /// Four features read by two; the verdicts are 0 0, 0 0, 2 2 and 2 0.
    fn records() -> Vec<Record> {
        use ReviewState::{Accepted, Edited, Rejected};
        let mut records = vec![
            record(0, 0, "a", Accepted, "nodule"),
            record(1, 0, "b", Edited, "Nodule."),
            record(2, 1, "a", Accepted, "nodule"),
            record(3, 1, "b", Accepted, "nodule"),
            record(4, 2, "a", Rejected, ""),
            record(5, 2, "b", Rejected, ""),
            record(6, 3, "a", Rejected, ""),
            record(7, 3, "b", Accepted, "nodule"),
        ];
        for (line, feature, state, role) in [
            (8, 0, Accepted, CaseRole::Repeat),
            (9, 2, Accepted, CaseRole::Repeat),
            (10, 1, Accepted, CaseRole::Trap),
            (11, 3, Rejected, CaseRole::Trap),
        ] {
            let text = if state == Accepted { "nodule" } else { "" };
            let mut control = record(line, feature, "a", state, text);
            control.decision.role = role;
            records.push(control);
        }
        records
    }

    #[test]
    fn two_readers_by_hand() {
        let labels = Labels::new(records(), Vec::new());
        let readings = Readings::of(&labels);
        assert_eq!(readings.read_counts(), [("a".into(), 4), ("b".into(), 4)]);
        let table = readings.verdicts().unwrap();
        let pair = readings.pair(&table, 0, 1).unwrap();
        assert_eq!(pair.verdicts.raw.value, Some(0.75));
        // Observed 3/4; expected ½ · ¾ + ½ · ¼ = ½.
        assert_eq!(pair.verdicts.cohen_kappa.unwrap().value, Some(0.5));
        assert_eq!(pair.texts.exact.n_features, 2);
        assert!(pair.confidence.is_none());
        let open = disagreements(&labels);
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].feature, open[0].open), (FeatureId(3), true));
    }

    #[test]
    fn controls_are_told_apart_from_readings() {
        let labels = Labels::new(records(), Vec::new());
        let readings = Readings::of(&labels);
        let again = repeats(&labels, &readings).unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].verdicts.n_features, 2);
        assert_eq!(again[0].verdicts.raw.value, Some(0.5));
        let traps = traps(&labels);
        assert_eq!((traps[0].n_traps, traps[0].n_accepted), (2, 1));
        assert_eq!(traps[0].interval, Some([0.0, 1.0]));
    }
}
