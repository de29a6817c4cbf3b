//! The catalogue of metrics as plain data, for tables and tooltips.

use sae::{Direction, Metric};
use serde::Serialize;

/// What a user is told of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MetricView {
    /// Key in JSON.
    pub id: &'static str,
    /// The field's term.
    pub name: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Which values there are, and what they mean.
    pub range: &'static str,
    /// `higher is better`, `lower is better` or `describes`.
    pub direction: &'static str,
    /// 1 where higher is better, −1 where lower is, 0 where neither.
    pub sign: i8,
    /// One sentence.
    pub tooltip: &'static str,
    /// What its 95 % interval resamples.
    pub resampled: &'static str,
    /// Where the definition is from.
    pub source: &'static str,
}

impl From<Metric> for MetricView {
    fn from(metric: Metric) -> Self {
        let definition = metric.definition();
        Self {
            id: definition.id,
            name: definition.name,
            formula: definition.formula,
            unit: definition.unit,
            range: definition.range,
            direction: definition.direction.words(),
            sign: match definition.direction {
                Direction::Higher => 1,
                Direction::Lower => -1,
                Direction::None => 0,
            },
            tooltip: definition.tooltip,
            resampled: definition.resampled,
            source: definition.source,
        }
    }
}

/// Every metric of dictionaries, in the order of a table.
pub fn metric_views() -> Vec<MetricView> {
    Metric::ALL.into_iter().map(MetricView::from).collect()
}

/// The metric with a key in JSON.
pub fn metric_view(id: &str) -> Option<MetricView> {
    metric_views().into_iter().find(|view| view.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_its_key() {
        assert_eq!(metric_views().len(), Metric::ALL.len());
        let fvu = metric_view("fvu").unwrap();
        assert_eq!((fvu.name, fvu.sign), ("FVU", -1));
        assert_eq!(metric_view("no such metric"), None);
    }
}
