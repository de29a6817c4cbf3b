//! Which rows a concept is read off, and which it is tested on.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;

/// Rows of a feature at this level or above count as activating.
pub const ACTIVATING_LEVEL: u8 = 5;

/// Highest rows that `RecSAE` looks at, and cases of each kind that it takes.
const N_TOP: usize = 10;
const N_CASES: usize = 5;

/// A row on which a feature is active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveRow {
    /// Which row.
    pub row: u32,
    /// The item the row recommends first.
    pub item: u32,
    /// Its activation, above 0.
    pub value: f32,
    /// Its level, 1 to 10.
    pub level: u8,
}

/// How cases are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseRule {
    /// As `RecSAE`: of the ten highest rows five at random for the explanation, the others for the
    /// test, filled up to five from those of the explanation; five or fewer serve both. The test's
    /// other half is five rows at random on which the feature is not active.
    RecSae,
    /// No row in both parts; each item once in the explanation's; up to `most` rows of each kind in
    /// the test, half of those where the feature is not active being rows where nearby features are.
    Apart {
        /// Rows of each kind in the test at most, ≥ 1.
        most: usize,
    },
}

/// Rows of one feature by what they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConceptCases {
    /// Rows the explanation is made from.
    pub construction: Vec<u32>,
    /// Rows of the test on which the feature is active at level 5 or above.
    pub activating: Vec<u32>,
    /// Rows of the test on which it is not active.
    pub non_activating: Vec<u32>,
    /// Rows that are in both parts.
    pub n_shared: usize,
}

/// Chooses the cases of one feature; `None` where no row reaches level 5, or, by [`CaseRule::Apart`],
/// none is left for the test.
///
/// `rows` are those on which the feature is active, in any order; `n_rows` how many there are in
/// all; `nearby` rows on which features of near direction are active, for hard cases.
///
/// # Determinism
/// The same seed and feature give the same cases.
pub fn choose_cases(
    rows: &[ActiveRow],
    (n_rows, nearby): (u32, &[u32]),
    rule: CaseRule,
    (seed, feature): (u64, u32),
) -> Option<ConceptCases> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(feature));
    let active: BTreeSet<u32> = rows.iter().map(|row| row.row).collect();
    let mut high: Vec<ActiveRow> = rows
        .iter()
        .copied()
        .filter(|row| row.level >= ACTIVATING_LEVEL)
        .collect();
    high.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.row.cmp(&b.row)));
    if high.is_empty() {
        return None;
    }
    let is_silent = |row: &u32| !active.contains(row);
    match rule {
        CaseRule::RecSae => {
            let mut cases = recsae(&high, &mut rng);
            cases.non_activating = silent_rows(n_rows, N_CASES, is_silent, &mut rng);
            Some(cases)
        }
        CaseRule::Apart { most } => {
            let mut cases = apart(&high, most, &mut rng)?;
            let wanted = cases.activating.len();
            let mut hard: Vec<u32> = nearby.iter().copied().filter(is_silent).collect();
            hard.sort_unstable();
            hard.dedup();
            let hard: Vec<u32> = hard
                .choose_multiple(&mut rng, wanted / 2)
                .copied()
                .collect();
            let rest = wanted - hard.len();
            let is_new = |row: &u32| is_silent(row) && !hard.contains(row);
            cases.non_activating = silent_rows(n_rows, rest, is_new, &mut rng);
            cases.non_activating.extend(&hard);
            Some(cases)
        }
    }
}

fn recsae(high: &[ActiveRow], rng: &mut ChaCha8Rng) -> ConceptCases {
    let top: Vec<u32> = high.iter().take(N_TOP).map(|row| row.row).collect();
    if top.len() <= N_CASES {
        return ConceptCases {
            n_shared: top.len(),
            activating: top.clone(),
            construction: top,
            non_activating: Vec::new(),
        };
    }
    let construction: Vec<u32> = top.choose_multiple(rng, N_CASES).copied().collect();
    let mut activating: Vec<u32> = top
        .iter()
        .copied()
        .filter(|row| !construction.contains(row))
        .collect();
    let n_shared = N_CASES - activating.len();
    activating.extend(construction.choose_multiple(rng, n_shared));
    ConceptCases {
        construction,
        activating,
        non_activating: Vec::new(),
        n_shared,
    }
}

/// The highest rows with different items for the explanation, at most half of all; of the others an
/// even spread over their ranks for the test.
fn apart(high: &[ActiveRow], most: usize, rng: &mut ChaCha8Rng) -> Option<ConceptCases> {
    let n_construction = N_CASES.min(high.len() / 2);
    if n_construction == 0 {
        return None;
    }
    let mut items = BTreeSet::new();
    let mut construction = Vec::new();
    let mut rest = Vec::new();
    for row in high {
        if construction.len() < n_construction && items.insert(row.item) {
            construction.push(row.row);
        } else {
            rest.push(row.row);
        }
    }
    let n = rest.len().min(most.max(1));
    let mut activating: Vec<u32> = (0..n).map(|i| rest[i * rest.len() / n]).collect();
    activating.shuffle(rng);
    Some(ConceptCases {
        construction,
        activating,
        non_activating: Vec::new(),
        n_shared: 0,
    })
}

/// Rows at random that pass a test, each once; fewer where there are not so many.
fn silent_rows(
    n_rows: u32,
    wanted: usize,
    passes: impl Fn(&u32) -> bool,
    rng: &mut ChaCha8Rng,
) -> Vec<u32> {
    let candidates: Vec<u32> = (0..n_rows).filter(passes).collect();
    candidates.choose_multiple(rng, wanted).copied().collect()
}

/// How many different items the construction cases recommend first; `RecSAE`'s published list gives
/// it for 1,004 features.
///
/// # Example
/// Cases that recommend 7, 7, 9, 3 and 7 have three.
pub fn n_distinct_items(cases: &ConceptCases, item_of: impl Fn(u32) -> u32) -> usize {
    let items: BTreeSet<u32> = cases.construction.iter().map(|&row| item_of(row)).collect();
    items.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: u32) -> Vec<ActiveRow> {
        (0..n)
            .map(|row| ActiveRow {
                row,
                item: 1 + row / 2,
                value: 100.0 - row as f32,
                level: if row < 30 { 9 } else { 3 },
            })
            .collect()
    }

    #[test]
    fn recsae_takes_five_of_the_ten_highest() {
        let cases = choose_cases(&rows(40), (100, &[]), CaseRule::RecSae, (0, 3)).unwrap();
        assert_eq!(cases.construction.len(), 5);
        assert_eq!((cases.activating.len(), cases.n_shared), (5, 0));
        let both: BTreeSet<u32> = cases
            .construction
            .iter()
            .chain(&cases.activating)
            .copied()
            .collect();
        assert_eq!(both, (0..10).collect());
        assert_eq!(cases.non_activating.len(), 5);
        assert!(cases.non_activating.iter().all(|&row| row >= 40));
    }

    #[test]
    fn recsae_shares_rows_where_there_are_few() {
        for (n, shared) in [(4, 4), (5, 5), (7, 3)] {
            let cases = choose_cases(&rows(n), (100, &[]), CaseRule::RecSae, (0, 3)).unwrap();
            assert_eq!(cases.n_shared, shared, "{n}");
            assert_eq!(cases.activating.len(), (n as usize).min(5));
        }
        let weak: Vec<ActiveRow> = rows(40).split_off(30);
        assert_eq!(
            choose_cases(&weak, (100, &[]), CaseRule::RecSae, (0, 3)),
            None
        );
    }

    #[test]
    fn parts_that_are_apart_share_no_row_and_the_explanation_no_item() {
        let rule = CaseRule::Apart { most: 12 };
        let nearby: Vec<u32> = (35..60).collect();
        let cases = choose_cases(&rows(40), (100, &nearby), rule, (0, 3)).unwrap();
        assert_eq!(cases.construction, [0, 2, 4, 6, 8]);
        assert_eq!(cases.activating.len(), 12);
        assert_eq!(cases.non_activating.len(), 12);
        assert!(
            cases
                .activating
                .iter()
                .all(|row| !cases.construction.contains(row))
        );
        // 35 to 39 are active themselves; half are of the nearby ones that are not.
        let n_hard = cases
            .non_activating
            .iter()
            .filter(|row| (40..60).contains(*row))
            .count();
        assert!(n_hard >= 6, "{cases:?}");
        let distinct: BTreeSet<u32> = cases.non_activating.iter().copied().collect();
        assert_eq!(distinct.len(), 12);
        assert_eq!(n_distinct_items(&cases, |row| 1 + row / 2), 5);
        let lonely = choose_cases(&rows(1), (100, &[]), rule, (0, 3));
        assert_eq!(lonely, None);
    }

    #[test]
    fn the_seed_and_the_feature_decide() {
        let choose = |seed| choose_cases(&rows(40), (100, &[]), CaseRule::RecSae, seed).unwrap();
        assert_eq!(choose((1, 2)), choose((1, 2)));
        assert_ne!(choose((1, 2)), choose((1, 3)));
        assert_ne!(choose((1, 2)), choose((2, 2)));
    }
}
