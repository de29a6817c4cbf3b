//! How a feature goes with findings, categories or other names.

use schema::{Association, SampleRecord};

use crate::auroc::Ties;
use crate::error::{ExplainError, all_finite, same_length};
use crate::{TwoByTwo, benjamini_hochberg};

/// Which samples have a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The finding, category or term.
    pub name: String,
    /// `[n_samples]`; `None` where the source says nothing.
    pub present: Vec<Option<bool>>,
}

impl Outcome {
    /// The outcomes `names` of the findings of `records`. Samples whose findings are not stated
    /// are unknown.
    pub fn of_findings(records: &[SampleRecord], names: &[String]) -> Vec<Self> {
        names
            .iter()
            .map(|name| Self {
                name: name.clone(),
                present: records
                    .iter()
                    .map(|record| {
                        let findings = record.findings.as_ref()?;
                        Some(findings.contains(name))
                    })
                    .collect(),
            })
            .collect()
    }
}

/// Tests how a feature goes with each outcome, over the samples in which the outcome is known.
///
/// The feature is active on a sample where its highest activation is above `threshold`; the odds
/// ratio and the p value come from that two-by-two table (chi-square, or Fisher's exact test where
/// an expected count is below 5), the AUROC and its interval from the activations themselves (0.5
/// and none where they are not defined). `q` is adjusted over these outcomes; with several features, see [`adjust_together`].
///
/// # Shapes
/// - `activations`: `[n_samples]`, highest over positions, 0 where never active
/// - each outcome: `[n_samples]`
/// - returns: one per outcome, in their order
///
/// # Errors
/// [`ExplainError::Length`]; [`ExplainError::NotFinite`].
pub fn associate(
    activations: &[f32],
    outcomes: &[Outcome],
    threshold: f32,
) -> Result<Vec<Association>, ExplainError> {
    all_finite("activations", activations)?;
    let mut associations = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        same_length(
            "samples of an outcome",
            activations.len(),
            outcome.present.len(),
        )?;
        associations.push(one(activations, outcome, threshold));
    }
    adjust_together(&mut associations.iter_mut().collect::<Vec<_>>());
    Ok(associations)
}

fn one(activations: &[f32], outcome: &Outcome, threshold: f32) -> Association {
    let mut table = TwoByTwo::default();
    let (mut scores, mut with) = (Vec::new(), Vec::new());
    for (&activation, present) in activations.iter().zip(&outcome.present) {
        if let &Some(present) = present {
            table.count((activation > threshold, present));
            scores.push(activation);
            with.push(present);
        }
    }
    // One sort for both, since features times outcomes may be hundreds of thousands.
    let ties = Ties::new(&scores, &with);
    let auroc = ties.area().unwrap_or(0.5);
    // Where the groups are apart `DeLong` gives a point, which says nothing about few samples.
    let estimate = ties.estimate().filter(|found| found.standard_error > 0.0);
    Association {
        auroc_interval: estimate.map(|found| found.interval.map(|end| end as f32)),
        ..from_table(outcome.name.clone(), table, auroc)
    }
}

/// The record of one table; `q` is `p`, to be adjusted.
pub(crate) fn from_table(name: String, table: TwoByTwo, auroc: f64) -> Association {
    let (log_odds, [low, high]) = table.log_odds();
    let p = table.p();
    Association {
        name,
        log_odds: log_odds as f32,
        interval: [low as f32, high as f32],
        auroc: auroc as f32,
        auroc_interval: None,
        p,
        q: p,
        n_with: table.active_with + table.inactive_with,
        n_without: table.active_without + table.inactive_without,
    }
}

/// Adjusts `q` over all given associations as one family (Benjamini-Hochberg).
pub fn adjust_together(associations: &mut [&mut Association]) {
    let p: Vec<f64> = associations.iter().map(|a| a.p).collect();
    for (association, q) in associations.iter_mut().zip(benjamini_hochberg(&p)) {
        association.q = q;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_by_hand() {
        // Active on samples 0 to 3; the finding on 0, 1, 2 and 4; sample 5 is not stated.
        let activations = [0.9, 0.8, 0.7, 0.6, 0.0, 0.9, 0.0, 0.0, 0.0];
        let present = [
            Some(true),
            Some(true),
            Some(true),
            Some(false),
            Some(true),
            None,
            Some(false),
            Some(false),
            Some(false),
        ];
        let outcome = Outcome {
            name: "nodule".to_owned(),
            present: present.to_vec(),
        };
        let found = associate(&activations, std::slice::from_ref(&outcome), 0.0).unwrap();
        let found = &found[0];
        assert_eq!((found.n_with, found.n_without), (4, 4));
        // Table 3, 1, 1, 3, Fisher's tea.
        assert!((found.p - 0.485_714_285_714_285_7).abs() < 1e-12);
        assert_eq!(found.q, found.p);
        let expected = (3.5_f64 * 3.5 / (1.5 * 1.5)).ln();
        assert!((f64::from(found.log_odds) - expected).abs() < 1e-6);
        // Pairs: 0.9, 0.8, 0.7 each beat all four; 0 loses to 0.6 and ties three times.
        assert!((f64::from(found.auroc) - 13.5 / 16.0).abs() < 1e-6);
        // Shares won with it: 1, 1, 1 and 3/8, variance 25/256; without it: 3/4 and thrice 7/8,
        // variance 1/256. The standard error is √(26/1024), so that the upper end is cut off.
        let [low, high] = found.auroc_interval.unwrap();
        let expected = 13.5 / 16.0 - 1.959_964 * (26.0_f64 / 1024.0).sqrt();
        assert!((f64::from(low) - expected).abs() < 1e-6);
        assert_eq!(high, 1.0);
        assert!(associate(&activations[1..], &[outcome], 0.0).is_err());
    }

    #[test]
    fn findings_that_are_not_stated_are_unknown() {
        let record = |findings: Option<Vec<String>>| SampleRecord {
            findings,
            ..SampleRecord::default()
        };
        let records = [
            record(Some(vec!["nodule".to_owned()])),
            record(Some(Vec::new())),
            record(None),
        ];
        let outcomes = Outcome::of_findings(&records, &["nodule".to_owned()]);
        assert_eq!(outcomes[0].present, [Some(true), Some(false), None]);
    }

    #[test]
    fn an_outcome_nobody_has_is_no_association() {
        let outcome = Outcome {
            name: "x".to_owned(),
            present: vec![Some(false); 10],
        };
        let found = associate(&[1.0; 10], &[outcome], 0.0).unwrap();
        assert_eq!((found[0].p, found[0].auroc), (1.0, 0.5));
        assert_eq!(found[0].auroc_interval, None);
    }
}
