//! The curves of a sweep as charts: the features' own, and the band of the random directions.

use schema::StrengthUnit;

use crate::views::{
    Axis, Chart, ChartShape, ChartValue, Mark, Series, SweepRun, SweepView, figure, tick_words,
};

/// What is read from a run, and how its chart is called.
struct Measure {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    covers: [f64; 2],
    of: fn(&SweepRun) -> Option<f64>,
}

const MEASURES: [Measure; 5] = [
    Measure {
        id: "words-changed",
        title: "How much of the report changes",
        axis: "Share of words changed",
        covers: [0.0, 1.0],
        of: |run| match run {
            SweepRun::Text { words_changed, .. } => Some(*words_changed),
            SweepRun::Ranking(_) => None,
        },
    },
    Measure {
        id: "findings-changed",
        title: "How many findings are gained or lost",
        axis: "Findings gained or lost",
        covers: [0.0, 1.0],
        of: |run| match run {
            SweepRun::Text {
                findings: Some(findings),
                ..
            } => Some((findings.gained.len() + findings.lost.len()) as f64),
            _ => None,
        },
    },
    Measure {
        id: "mean-rise",
        title: "How far the items that the features promote move up",
        axis: "Ranks moved up, on average",
        covers: [0.0, 0.0],
        of: |run| match run {
            SweepRun::Ranking(effect) => Some(effect.mean_rise),
            SweepRun::Text { .. } => None,
        },
    },
    Measure {
        id: "target-rank",
        title: "Where the item that was really chosen next stands",
        axis: "Rank of the held-out item",
        covers: [1.0, 1.0],
        of: |run| match run {
            SweepRun::Ranking(effect) => effect.target_rank.map(f64::from),
            SweepRun::Text { .. } => None,
        },
    },
    Measure {
        id: "overlap",
        title: "How much of the first ten stays",
        axis: "Share of the unsteered top 10",
        covers: [0.0, 1.0],
        of: |run| match run {
            SweepRun::Ranking(effect) => Some(effect.overlap),
            SweepRun::Text { .. } => None,
        },
    },
];

/// Mean of the random directions, from the least to the largest of them.
fn band(values: &[f64]) -> Option<ChartValue> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!values.is_empty()).then(|| ChartValue {
        value: values.iter().sum::<f64>() / values.len() as f64,
        interval: Some([low, high]),
    })
}

impl SweepView {
    /// A chart for each thing that was measured: by strength, the features' own value and, as a
    /// band from the least to the largest, that of the random directions.
    pub fn charts(&self) -> Vec<Chart> {
        let measured = |measure: &&Measure| (measure.of)(&self.unsteered).is_some();
        let measured = MEASURES.iter().filter(measured);
        measured.map(|measure| self.chart(measure)).collect()
    }

    /// What the curve of the features is called.
    fn name(&self) -> String {
        match self.request.steer.edits.as_slice() {
            [edit] => format!("Feature {}", edit.feature),
            edits => format!("The {} features", edits.len()),
        }
    }

    /// What the strengths are.
    fn strength_name(&self) -> &'static str {
        let edits = &self.request.steer.edits;
        if self.request.is_by_factor() {
            "Factor of the activation"
        } else if edits.iter().all(|edit| edit.unit == StrengthUnit::Absolute) {
            "Strength, in units of the activation"
        } else {
            "Strength, times the observed maximum"
        }
    }

    fn chart(&self, measure: &Measure) -> Chart {
        let own = self.points.iter().map(|point| {
            let value = (measure.of)(&point.features);
            value.map(ChartValue::exact)
        });
        let controls = self.points.iter().map(|point| {
            let values = point.controls.iter().filter_map(measure.of);
            band(&values.collect::<Vec<f64>>())
        });
        let mut series = vec![Series {
            name: self.name(),
            mark: Mark::Point,
            values: own.collect(),
        }];
        let n = self.request.n_controls;
        if n > 0 {
            series.push(Series {
                name: format!("{n} random directions, mean and range"),
                mark: Mark::Band,
                values: controls.collect(),
            });
        }
        let unsteered = (measure.of)(&self.unsteered).map(|value| {
            let words = if value == 0.0 {
                "0".to_owned()
            } else {
                figure(value)
            };
            (value, format!("unsteered {words}"))
        });
        let steer = &self.request.steer;
        let scope = steer.edits.first().map_or_else(String::new, |edit| {
            format!("; positions: {}; {:?}", edit.scope, edit.mode).to_lowercase()
        });
        let stopped = if self.is_complete() {
            String::new()
        } else {
            format!("; {} of {} runs", self.n_runs(), self.n_planned)
        };
        Chart {
            id: measure.id.to_owned(),
            title: measure.title.to_owned(),
            shape: ChartShape::Curves,
            category: self.strength_name().to_owned(),
            categories: self
                .points
                .iter()
                .map(|point| tick_words(f64::from(point.strength)))
                .collect(),
            axis: Axis {
                name: measure.axis.to_owned(),
                unit: String::new(),
                covers: measure.covers,
            },
            reference: unsteered,
            series,
            source: format!(
                "{}, sample {}{scope}; random directions of the same length, seed {}{stopped}",
                steer.sae, steer.sample, self.request.seed
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_from_the_least_to_the_largest() {
        let found = band(&[0.25, 1.0, 0.25]).unwrap();
        assert_eq!((found.value, found.interval), (0.5, Some([0.25, 1.0])));
        assert_eq!(band(&[]), None);
    }
}
