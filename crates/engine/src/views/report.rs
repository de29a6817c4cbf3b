//! The report of a dictionary and its charts, as plain data that a front end draws and files hold.

use serde::Serialize;

use super::DictionaryView;
use crate::kept_evaluation::KeptEvaluation;

/// How a number of a report is written: three digits after the point, fewer when large, as a power
/// of ten when small.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => schema::rounded(value, 1),
        size if size > 0.0 && size < 0.001 => format!("{value:.1e}"),
        _ => schema::rounded(value, 3),
    }
}

/// An axis that numbers are read from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// What is counted or measured.
    pub name: String,
    /// In what; empty for a number without unit.
    pub unit: String,
    /// Least and largest value that the axis shows whatever the values are.
    pub covers: [f64; 2],
}

impl Axis {
    /// Name and unit as beside the axis.
    pub fn words(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.unit)
        }
    }
}

/// Which way the bars of a chart go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartShape {
    /// Upright bars over bins, as in a histogram.
    Columns,
    /// One row per name.
    Rows,
    /// Curves over categories that are evenly apart, as numbers are.
    Curves,
}

/// How a value is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A bar that begins at 0.
    Bar,
    /// A point; in a chart of curves joined to the next by a line.
    Point,
    /// In a chart of curves, the intervals as an area and the values as a dashed line.
    Band,
}

/// One value of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChartValue {
    /// The value.
    pub value: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<[f64; 2]>,
}

impl ChartValue {
    /// A value without interval.
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            interval: None,
        }
    }

    /// In words, with its interval.
    pub fn words(&self) -> String {
        match self.interval {
            Some([low, high]) => format!(
                "{} ({} to {})",
                figure(self.value),
                figure(low),
                figure(high)
            ),
            None => figure(self.value),
        }
    }

    /// A count as such, another value with its interval.
    pub fn whole(&self) -> String {
        let is_count = self.interval.is_none() && self.value.fract() == 0.0;
        if is_count && self.value.abs() >= 1.0 {
            format!("{:.0}", self.value)
        } else {
            self.words()
        }
    }

    /// The same with what it is of.
    pub fn said(&self, category: &str, series: &str) -> String {
        format!("{category}, {series}: {}", self.whole())
    }
}

/// A tick of an axis in as few digits as it has.
pub fn tick_words(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

/// Values of one thing, one per category of the chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What they are of.
    pub name: String,
    /// How they are drawn.
    pub mark: Mark,
    /// By category; `None` where there is no value.
    pub values: Vec<Option<ChartValue>>,
}

/// A chart as data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// Name of its file, without ending.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Which way it goes.
    pub shape: ChartShape,
    /// What the categories are, e.g. `Finding`.
    pub category: String,
    /// Names of the categories.
    pub categories: Vec<String>,
    /// The axis of the values.
    pub axis: Axis,
    /// A value to compare with, and what it is, e.g. chance.
    pub reference: Option<(f64, String)>,
    /// The series, the dictionary's own first.
    pub series: Vec<Series>,
    /// From what and on what it was measured.
    pub source: String,
}

impl Chart {
    /// Least and largest value of the axis: what it covers, all values, their intervals and the
    /// reference, with some room beyond what it would not cover.
    pub fn range(&self) -> [f64; 2] {
        let values = self.series.iter().flat_map(|series| &series.values);
        let ends = values.flatten().flat_map(|one| {
            let [low, high] = one.interval.unwrap_or([one.value; 2]);
            [one.value, low, high]
        });
        let reference = self.reference.iter().map(|(value, _)| *value);
        let all = ends.chain(reference).filter(|value| value.is_finite());
        let [low, high] = all.fold(self.axis.covers, |[low, high], value| {
            [low.min(value), high.max(value)]
        });
        if high > low {
            let room = 0.04 * (high - low);
            let [least, most] = self.axis.covers;
            [
                if low < least { low - room } else { low },
                if high > most { high + room } else { high },
            ]
        } else {
            [low - 0.5, low + 0.5]
        }
    }

    /// Round values for the axis within [`Self::range`], at most six steps apart by 1, 2 or 5.
    pub fn ticks(&self) -> Vec<f64> {
        let [low, high] = self.range();
        let raw = (high - low) / 5.0;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= raw * 0.999)
            .unwrap_or(raw);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

/// The feature that goes with a finding or category best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingAssociation {
    /// The finding or category.
    pub name: String,
    /// The feature.
    pub feature: u32,
    /// Area under the ROC curve of its highest activation for the finding.
    pub auroc: f64,
    /// Natural logarithm of the odds ratio.
    pub log_odds: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// Adjusted p value within the feature's table.
    pub q: f64,
    /// Samples with it.
    pub n_with: u32,
    /// Samples without it.
    pub n_without: u32,
}

/// A score of explanations, or of a baseline of theirs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplanationScore {
    /// What was scored, e.g. `Detection` or `Detection, random dictionary`.
    pub name: String,
    /// The mean over features.
    pub value: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<[f64; 2]>,
    /// What guessing gives, where that is known.
    pub chance: Option<f64>,
}

/// How far explanations of a dictionary's features hold: the newest kept run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplanationScores {
    /// Name of the run.
    pub run: String,
    /// What explained.
    pub explained_by: String,
    /// What judged.
    pub judged_by: Option<String>,
    /// Features with a score.
    pub n_scored: usize,
    /// Features looked at.
    pub n_chosen: usize,
    /// When the run began, RFC 3339 in UTC.
    pub at: String,
    /// The scores, the dictionary's own before its baselines.
    pub scores: Vec<ExplanationScore>,
    /// What limits them.
    pub notes: Vec<String>,
}

/// What an evaluation would measure, and how long it would take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationPlan {
    /// Names of the metrics, in the order of the catalogue.
    pub metrics: Vec<String>,
    /// Rows it reads.
    pub n_rows: u64,
    /// Seconds, where evaluations of this project let them be told.
    pub seconds: Option<f64>,
    /// What the seconds are from, a sentence.
    pub basis: String,
}

/// Everything known of how good a dictionary is, for the screen and for a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DictionaryReport {
    /// The dictionary.
    pub dictionary: DictionaryView,
    /// What an evaluation would measure.
    pub plan: EvaluationPlan,
    /// The evaluation that is kept.
    pub evaluation: Option<KeptEvaluation>,
    /// What has changed since the evaluation, e.g. `saes/films`; empty where it holds.
    pub changed: Vec<String>,
    /// Per finding or category, the feature that goes with it best; empty before labels were
    /// proposed.
    pub associations: Vec<FindingAssociation>,
    /// How far explanations hold.
    pub explanations: Option<ExplanationScores>,
    /// What the report draws.
    pub charts: Vec<Chart>,
    /// Settings of the training as text, where the project knows them.
    pub settings: Vec<(String, String)>,
    /// Artefacts and their BLAKE3 hashes.
    pub hashes: Vec<(String, String)>,
}

/// A part of a report that can be written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportPart {
    /// The whole as one HTML file.
    Page,
    /// All its tables as one CSV file.
    Table,
    /// The chart of this id as SVG.
    Svg(String),
    /// The chart of this id as PNG.
    Png(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64], covers: [f64; 2]) -> Chart {
        Chart {
            id: "c".to_owned(),
            title: "T".to_owned(),
            shape: ChartShape::Rows,
            category: "Finding".to_owned(),
            categories: vec!["a".to_owned(); values.len()],
            axis: Axis {
                name: "AUROC".to_owned(),
                unit: String::new(),
                covers,
            },
            reference: None,
            series: vec![Series {
                name: "s".to_owned(),
                mark: Mark::Bar,
                values: values.iter().map(|&v| Some(ChartValue::exact(v))).collect(),
            }],
            source: String::new(),
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = chart(&[0.3, 0.9], [0.0, 1.0]).ticks();
        assert_eq!(ticks.len(), 6);
        assert!((ticks[1] - 0.2).abs() < 1e-12 && ticks[0] == 0.0);
        let wide = chart(&[-1.3, 734.0], [0.0, 0.0]);
        assert!(wide.range()[0] < -1.3 && wide.range()[1] > 734.0);
        assert_eq!(wide.ticks(), [0.0, 200.0, 400.0, 600.0]);
        assert_eq!(chart(&[], [2.0, 2.0]).range(), [1.5, 2.5]);
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(figure(0.123_46), "0.123");
        assert_eq!(figure(0.0), "0.000");
        assert_eq!(figure(123.45), "123.5");
        assert_eq!(figure(0.000_12), "1.2e-4");
    }
}
