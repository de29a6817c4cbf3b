//! What lists come to, before and after a change.

use explain::{ClusterBootstrap, shares_of};
use models::recommenders::RankedCases;

use super::N_LIST;
use crate::evaluate_sae::WithInterval;
use crate::views::ItemView;

/// The items whose places are counted.
pub(super) struct Members {
    /// By item id from 0.
    pub(super) flags: Vec<bool>,
    /// With their direct effect, highest first.
    pub(super) listed: Vec<ItemView>,
}

/// Gain of a rank in NDCG at 10.
pub(super) fn ndcg_10(rank: u32) -> f64 {
    if rank <= N_LIST as u32 {
        1.0 / (f64::from(rank) + 1.0).log2()
    } else {
        0.0
    }
}

/// `after / before − 1`; `None` where there was nothing.
pub(super) fn relative_change(before: f64, after: f64) -> Option<f64> {
    (before > 0.0).then(|| after / before - 1.0)
}

/// Shares and gains of every user before and after a change.
pub(super) struct Statistic {
    pub(super) share: [Vec<f64>; 2],
    pub(super) ndcg: [Vec<f64>; 2],
}

impl Statistic {
    pub(super) fn new(base: &RankedCases, after: &RankedCases, flags: &[bool]) -> Self {
        let lists = |ranked: &RankedCases| -> Vec<Vec<u32>> {
            let each = ranked.top.iter();
            each.map(|list| list[..N_LIST.min(list.len())].to_vec())
                .collect()
        };
        let gains = |ranked: &RankedCases| ranked.ranks.iter().map(|&r| ndcg_10(r)).collect();
        Self {
            share: [
                shares_of(&lists(base), flags),
                shares_of(&lists(after), flags),
            ],
            ndcg: [gains(base), gains(after)],
        }
    }

    pub(super) fn plain_share_change(&self) -> Option<f64> {
        relative_change(self.share[0].iter().sum(), self.share[1].iter().sum())
    }

    pub(super) fn plain_ndcg_change(&self) -> Option<f64> {
        relative_change(self.ndcg[0].iter().sum(), self.ndcg[1].iter().sum())
    }

    pub(super) fn share_change(&self, units: &ClusterBootstrap) -> WithInterval {
        with_interval(&self.share, units)
    }

    pub(super) fn ndcg_change(&self, units: &ClusterBootstrap) -> WithInterval {
        with_interval(&self.ndcg, units)
    }
}

/// Relative change of a sum over users.
fn with_interval(values: &[Vec<f64>; 2], units: &ClusterBootstrap) -> WithInterval {
    let sum = |values: &[f64], weights: &[u32]| -> f64 {
        let each = values.iter().zip(weights);
        each.map(|(value, &weight)| value * f64::from(weight)).sum()
    };
    let change =
        |weights: &[u32]| relative_change(sum(&values[0], weights), sum(&values[1], weights));
    WithInterval {
        value: change(&vec![1; values[0].len()]).unwrap_or(0.0),
        interval: units.interval(&change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_worked_example() {
        let ranked = |ranks: [u32; 2], top: [[u32; 2]; 2]| RankedCases {
            ranks: ranks.to_vec(),
            top: top.map(|list| list.to_vec()).to_vec(),
        };
        // Items 1 and 2 belong to the concept: 3 of 4 places before, 1 of 4 after.
        let base = ranked([1, 20], [[1, 2], [2, 3]]);
        let after = ranked([3, 1], [[3, 1], [4, 3]]);
        let statistic = Statistic::new(&base, &after, &[false, true, true, false, false]);
        let share = statistic.plain_share_change().unwrap();
        assert!((share - (1.0 / 3.0 - 1.0)).abs() < 1e-12);
        // Gains 1 + 0 before, 1/log2(4) + 1 after.
        assert!((statistic.plain_ndcg_change().unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(relative_change(0.0, 1.0), None);
    }
}
