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

/// 1 where a rank is among the first ten, else 0.
pub(super) fn hit_10(rank: u32) -> f64 {
    f64::from(u8::from(rank <= N_LIST as u32))
}

/// The first ten of each case.
pub(super) fn first_ten(ranked: &RankedCases) -> Vec<Vec<u32>> {
    let each = ranked.top.iter();
    each.map(|list| list[..N_LIST.min(list.len())].to_vec())
        .collect()
}

/// `after / before − 1`; `None` where there was nothing.
pub(super) fn relative_change(before: f64, after: f64) -> Option<f64> {
    (before > 0.0).then(|| after / before - 1.0)
}

/// Shares, hits and gains of every case before and after a change.
pub(super) struct Statistic {
    pub(super) share: [Vec<f64>; 2],
    pub(super) hr: [Vec<f64>; 2],
    pub(super) ndcg: [Vec<f64>; 2],
}

impl Statistic {
    pub(super) fn new(base: &RankedCases, after: &RankedCases, flags: &[bool]) -> Self {
        let hits = |ranked: &RankedCases| ranked.ranks.iter().map(|&r| hit_10(r)).collect();
        let gains = |ranked: &RankedCases| ranked.ranks.iter().map(|&r| ndcg_10(r)).collect();
        Self {
            share: [
                shares_of(&first_ten(base), flags),
                shares_of(&first_ten(after), flags),
            ],
            hr: [hits(base), hits(after)],
            ndcg: [gains(base), gains(after)],
        }
    }

    pub(super) fn plain_share_change(&self) -> Option<f64> {
        relative_change(self.share[0].iter().sum(), self.share[1].iter().sum())
    }

    pub(super) fn plain_ndcg_change(&self) -> Option<f64> {
        relative_change(self.ndcg[0].iter().sum(), self.ndcg[1].iter().sum())
    }

    pub(super) fn share_change(&self, units: &ClusterBootstrap) -> Option<WithInterval> {
        with_interval(&self.share, units)
    }

    pub(super) fn ndcg_change(&self, units: &ClusterBootstrap) -> Option<WithInterval> {
        with_interval(&self.ndcg, units)
    }
}

/// Relative change of a sum over cases, with an interval over users; `None` where there was nothing.
fn with_interval(values: &[Vec<f64>; 2], units: &ClusterBootstrap) -> Option<WithInterval> {
    let sum = |values: &[f64], weights: &[u32]| -> f64 {
        let each = values.iter().zip(weights);
        each.map(|(value, &weight)| value * f64::from(weight)).sum()
    };
    let change =
        |weights: &[u32]| relative_change(sum(&values[0], weights), sum(&values[1], weights));
    change(&vec![1; values[0].len()]).map(|value| WithInterval {
        value,
        interval: units.interval(&change),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate_ranking::by_user;

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
        assert_eq!(statistic.hr, [[1.0, 0.0], [1.0, 1.0]]);
        // A change of nothing is none.
        let units = by_user(&[0, 1], 0);
        let nowhere = Statistic::new(&base, &after, &[false; 5]);
        assert_eq!(nowhere.share_change(&units), None);
        assert!(nowhere.ndcg_change(&units).is_some());
    }

    #[test]
    fn two_test_items_of_a_user_are_drawn_together() {
        // User 7 has two items that the change makes worse, user 9 two that it leaves.
        let of = |ranks: [u32; 4]| RankedCases {
            ranks: ranks.to_vec(),
            top: vec![vec![1]; 4],
        };
        let statistic = Statistic::new(&of([1; 4]), &of([20, 20, 1, 1]), &[false, true]);
        let units = by_user(&[7, 7, 9, 9], 0);
        assert_eq!(units.n_clusters(), 2);
        let change = statistic.ndcg_change(&units).unwrap();
        assert_eq!(change.value, -0.5);
        // Only user 7, both, or only user 9, a quarter of the draws for either end.
        assert_eq!(change.interval, Some([-1.0, 0.0]));
    }
}
