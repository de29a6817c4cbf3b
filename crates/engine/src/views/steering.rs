//! What a front end shows of steering one sample: before and after, dose-response sweeps, changes
//! that are kept.

use schema::{SteeringMode, SteeringSpec};
use serde::{Deserialize, Serialize};

use super::ItemView;

/// Identifies a steering request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SteerTicket(pub u64);

/// Turn features up or down on one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SteerRequest {
    /// Dictionary.
    pub sae: String,
    /// Index of the sample.
    pub sample: u32,
    /// Features and strengths, at most eight.
    pub edits: Vec<SteeringSpec>,
    /// Whether the same is done along a random direction, too: what any push of that size does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
}

/// A change of features under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedChange {
    /// Its name.
    pub name: String,
    /// Dictionary.
    pub sae: String,
    /// Features and strengths.
    pub edits: Vec<SteeringSpec>,
    /// Index of the sample that it was made on, where it was made on one.
    pub sample: Option<u32>,
}

/// Before and after a steering request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SteerView {
    /// The request it answers.
    pub request: SteerRequest,
    /// What changed.
    pub outcome: SteerOutcome,
    /// What changed by as much along a random direction, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<SteerOutcome>,
    /// Milliseconds the computation took.
    pub milliseconds: f32,
}

/// What a steering request changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SteerOutcome {
    /// A report.
    Text {
        /// Text without steering.
        before: String,
        /// Text with it.
        after: String,
        /// Whether findings are read from the reports of this dataset at all.
        reads_findings: bool,
        /// Findings that the text states only with steering.
        gained: Vec<String>,
        /// Findings that the text states only without.
        lost: Vec<String>,
        /// Sentences with boxes of the reports without and with steering, where they are grounded.
        located: [crate::LocatedReport; 2],
    },
    /// A ranked list of items not in the history.
    Ranking {
        /// The first ten without steering, activation is the score.
        before: Vec<ItemView>,
        /// The first ten with it.
        after: Vec<ItemView>,
        /// For each of `after`: its rank without steering, from 1.
        rank_before: Vec<u32>,
        /// Rank of the held-out item without and with, from 1.
        target_rank: Option<[u32; 2]>,
    },
}

/// Strengths of a sweep, evenly apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SweepRange {
    /// The first strength, in observed maxima; a factor where features are multiplied.
    pub from: f32,
    /// The last.
    pub to: f32,
    /// How many strengths, both ends among them; 2 to 41.
    pub steps: u32,
}

impl Default for SweepRange {
    /// Nine strengths from −4 to 4, one observed maximum apart.
    fn default() -> Self {
        Self {
            from: -4.0,
            to: 4.0,
            steps: 9,
        }
    }
}

impl SweepRange {
    /// Most strengths of a sweep.
    pub const MOST_STEPS: u32 = 41;

    /// The strengths, from the first to the last.
    pub fn strengths(&self) -> Vec<f32> {
        let last = self.steps.saturating_sub(1).max(1);
        (0..self.steps)
            .map(|step| {
                let share = f64::from(step) / f64::from(last);
                let strength = f64::from(self.from) * (1.0 - share) + f64::from(self.to) * share;
                // What is 0 but for rounding is 0, which must change nothing.
                ((strength * 1e6).round() / 1e6) as f32
            })
            .collect()
    }

    /// Reads `-4..4`; `steps` is not written there.
    pub fn parse(text: &str, steps: u32) -> Option<Self> {
        let (from, to) = text.split_once("..")?;
        Some(Self {
            from: from.trim().parse().ok()?,
            to: to.trim().parse().ok()?,
            steps,
        })
    }

    /// Why it cannot be swept, a sentence.
    pub fn fault(&self) -> Option<String> {
        let Self { from, to, steps } = *self;
        if !(from.is_finite() && to.is_finite() && from < to) {
            return Some(format!(
                "the strengths run from {from} to {to}; expected two numbers, the lower one first, \
                 such as -4..4"
            ));
        }
        (!(2..=Self::MOST_STEPS).contains(&steps)).then(|| {
            format!(
                "a sweep of {steps} strengths was asked for; expected 2 to {}",
                Self::MOST_STEPS
            )
        })
    }
}

/// Steer one sample at many strengths, beside random directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRequest {
    /// Dictionary, sample and features. Their strengths count only beside each other: that of the
    /// strongest is swept and the others keep their proportion to it; all at zero, all are swept
    /// alike.
    pub steer: SteerRequest,
    /// The strengths.
    pub range: SweepRange,
    /// Random directions beside the features, each changed by as much.
    pub n_controls: u32,
    /// Seed of the random directions.
    pub seed: u64,
}

impl SweepRequest {
    /// Whether it sweeps these features of this sample in this way, whatever their strengths now.
    pub fn is_about(&self, request: &SteerRequest) -> bool {
        let same = |a: &SteeringSpec, b: &SteeringSpec| {
            a.feature == b.feature && a.mode == b.mode && a.scope == b.scope
        };
        let (own, other) = (&self.steer, request);
        own.sae == other.sae
            && own.sample == other.sample
            && own.edits.len() == other.edits.len()
            && own.edits.iter().zip(&other.edits).all(|(a, b)| same(a, b))
    }

    /// Whether the strengths are factors.
    pub fn is_by_factor(&self) -> bool {
        let mut edits = self.steer.edits.iter();
        edits.any(|edit| edit.mode == SteeringMode::Scale)
    }

    /// The changes at one strength.
    pub fn edits_at(&self, strength: f32) -> Vec<SteeringSpec> {
        let edits = &self.steer.edits;
        let strongest = edits.iter().map(|edit| edit.strength);
        let strongest = strongest.fold(
            0.0,
            |most: f32, one| {
                if one.abs() > most.abs() { one } else { most }
            },
        );
        let at = |edit: &SteeringSpec| match edit.mode {
            // Factors have no proportion.
            SteeringMode::Scale => strength,
            _ if strongest == 0.0 => strength,
            _ => strength * (edit.strength / strongest),
        };
        edits
            .iter()
            .map(|edit| SteeringSpec {
                strength: at(edit),
                ..*edit
            })
            .collect()
    }
}

/// What one run of a sweep came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepRun {
    /// A report.
    Text {
        /// The report.
        text: String,
        /// Share of words changed from the unsteered report: words put in, left out or replaced, by
        /// the words of the longer one of both, 0 to 1.
        words_changed: f64,
        /// Which findings it states, where they are read.
        findings: Option<FindingsEffect>,
    },
    /// A ranked list.
    Ranking(RankingEffect),
}

impl SweepRun {
    /// Which findings its report states, where it is one and they are read.
    pub fn findings(&self) -> Option<&FindingsEffect> {
        match self {
            Self::Text { findings, .. } => findings.as_ref(),
            Self::Ranking(_) => None,
        }
    }
}

/// Which findings a report states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsEffect {
    /// All that it states.
    pub stated: Vec<String>,
    /// Those that the unsteered report does not state.
    pub gained: Vec<String>,
    /// Those that only the unsteered report states.
    pub lost: Vec<String>,
}

/// How far a ranked list moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RankingEffect {
    /// Ranks that the items which the features promote most moved up, on average; below 0 they
    /// moved down.
    pub mean_rise: f64,
    /// Rank of the held-out item, from 1.
    pub target_rank: Option<u32>,
    /// Share of the unsteered first ten that is still among the first ten.
    pub overlap: f64,
}

/// What one strength came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The strength, in observed maxima of the strongest feature, or a factor.
    pub strength: f32,
    /// The features' own run.
    pub features: SweepRun,
    /// Random directions, as far as they were run; always in the same order.
    pub controls: Vec<SweepRun>,
}

/// A dose-response sweep, as far as it was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepView {
    /// What was asked.
    pub request: SweepRequest,
    /// BLAKE3 of the dictionary's weights.
    pub sae_hash: String,
    /// The unsteered run.
    pub unsteered: SweepRun,
    /// Titles of the items whose rise is measured, those that the features promote most first.
    pub promoted: Vec<String>,
    /// Length of what is added at strength 1, in units of the hook activation; a random direction
    /// is changed by as much. 0 where features are multiplied or clamped, which depends on each
    /// position.
    pub length: f64,
    /// By strength, lowest first; those that were run.
    pub points: Vec<SweepPoint>,
    /// Runs that were asked for, the unsteered one left out.
    pub n_planned: u32,
    /// Seconds it took so far.
    pub seconds: f64,
}

impl SweepView {
    /// Runs that are done, the unsteered one left out.
    pub fn n_runs(&self) -> u32 {
        let runs = self.points.iter().map(|point| 1 + point.controls.len());
        runs.sum::<usize>() as u32
    }

    /// Whether every run is done.
    pub fn is_complete(&self) -> bool {
        self.n_runs() == self.n_planned
    }
}

/// A part of what was measured by steering that can be written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SteeringPart {
    /// The whole experiment as JSON.
    Json,
    /// The whole experiment as one HTML file.
    Page,
    /// The sweep as one CSV file, a line per run.
    Table,
    /// The chart of the sweep of this id as SVG.
    Svg(String),
    /// The chart of the sweep of this id as PNG.
    Png(String),
}

/// An experiment, or a part of it, that is to be written to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringExport {
    /// Its name; empty where it has none.
    pub name: String,
    /// What is steered.
    pub request: SteerRequest,
    /// Before and after of that request, where it was asked of the same dictionary before; else the
    /// model is asked.
    pub known: Option<SteerView>,
    /// The sweep of the same features and sample, where there is one.
    pub sweep: Option<SweepView>,
    /// What is written.
    pub part: SteeringPart,
}

#[cfg(test)]
mod tests {
    use schema::{FeatureId, PositionScope, StrengthUnit};

    use super::*;

    fn edit(feature: u32, strength: f32, mode: SteeringMode) -> SteeringSpec {
        SteeringSpec {
            feature: FeatureId(feature),
            strength,
            mode,
            unit: StrengthUnit::Max,
            scope: PositionScope::All,
        }
    }

    fn request(edits: Vec<SteeringSpec>) -> SweepRequest {
        SweepRequest {
            steer: SteerRequest {
                sae: "films".to_owned(),
                sample: 2,
                edits,
                control: false,
            },
            range: SweepRange::default(),
            n_controls: 3,
            seed: 7,
        }
    }

    #[test]
    fn strengths_are_evenly_apart_and_meet_zero() {
        let strengths = SweepRange::default().strengths();
        assert_eq!(strengths, [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        let seven = SweepRange::parse("-0.3..0.3", 7).unwrap();
        assert_eq!(seven.strengths()[3], 0.0);
        assert_eq!(seven.strengths()[6], 0.3);
        assert!(seven.fault().is_none());
        for (text, steps) in [
            ("4..-4", 9),
            ("1..1", 9),
            ("0..nan", 9),
            ("0..1", 1),
            ("0..1", 42),
        ] {
            let range = SweepRange::parse(text, steps).unwrap();
            assert!(range.fault().is_some(), "{text} {steps}");
        }
        assert!(SweepRange::parse("-4", 9).is_none());
    }

    #[test]
    fn features_keep_their_proportion() {
        let add = |a, b| {
            request(vec![
                edit(1, a, SteeringMode::Add),
                edit(2, b, SteeringMode::Add),
            ])
        };
        let at = |request: SweepRequest, strength| -> Vec<f32> {
            let edits = request.edits_at(strength);
            edits.iter().map(|edit| edit.strength).collect()
        };
        assert_eq!(at(add(2.0, -1.0), 3.0), [3.0, -1.5]);
        assert_eq!(at(add(-2.0, 0.0), 3.0), [3.0, 0.0]);
        assert_eq!(at(add(0.0, 0.0), 3.0), [3.0, 3.0]);
        let scale = request(vec![edit(1, 0.5, SteeringMode::Scale)]);
        assert_eq!(at(scale, 0.25), [0.25]);
    }

    #[test]
    fn a_sweep_is_about_its_features_whatever_their_strengths() {
        let swept = request(vec![edit(1, 1.0, SteeringMode::Add)]);
        let asked = |edit| SteerRequest {
            edits: vec![edit],
            ..swept.steer.clone()
        };
        assert!(swept.is_about(&asked(edit(1, 3.0, SteeringMode::Add))));
        assert!(!swept.is_about(&asked(edit(2, 1.0, SteeringMode::Add))));
        assert!(!swept.is_about(&asked(edit(1, 1.0, SteeringMode::Clamp))));
    }
}
