//! Which cases a queue holds: the features in their order, and the controls among them.

use std::collections::BTreeSet;

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{CaseRole, FeatureId};

/// Share of repeats, and of traps, among the cases.
const CONTROL_SHARE: f64 = 0.05;
/// Cases that lie between a feature and its repeat or trap at least, in a queue long enough.
const MIN_GAP: usize = 10;
/// Cases that lie between a feature and its repeat at most.
const MAX_GAP: usize = 40;
/// Features of like density, on each side, that a trap's label may come from.
const N_LIKE: usize = 10;

/// One case of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    /// The feature whose evidence is shown.
    pub(crate) feature: FeatureId,
    /// Why it is there.
    pub(crate) role: CaseRole,
    /// The feature whose proposal is shown: another one for a trap.
    pub(crate) label_of: FeatureId,
}

/// What a feature brings into a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) feature: FeatureId,
    pub(crate) density: f32,
    /// The proposal's words, as they are compared; empty without one.
    pub(crate) words: String,
}

/// A generator for one purpose, from the seed, the reviewer and the dictionary.
pub(crate) fn generator(parts: &[&str]) -> ChaCha8Rng {
    let hash = store::blake3_of_bytes(parts.join("\n").as_bytes());
    let seed = hash
        .get(..16)
        .and_then(|start| u64::from_str_radix(start, 16).ok())
        .unwrap_or_default();
    ChaCha8Rng::seed_from_u64(seed)
}

/// Which controls a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Controls {
    pub(crate) repeats: bool,
    pub(crate) traps: bool,
}

/// The cases of a queue over `candidates`, which are in their order.
pub(crate) fn plan(
    candidates: &[Candidate],
    role: CaseRole,
    controls: Controls,
    rng: &mut ChaCha8Rng,
) -> Vec<Case> {
    let n = candidates.len();
    let n_controls = if n < 2 {
        0
    } else {
        (CONTROL_SHARE * n as f64).round() as usize
    };
    let mut drawn: Vec<usize> = (0..n).collect();
    drawn.shuffle(rng);
    // Place among the candidates, before which the control stands.
    let mut extra: Vec<(usize, Case)> = Vec::new();
    let mut rest = Vec::with_capacity(n);
    for at in drawn {
        let room = at + MIN_GAP < n || n <= 2 * MIN_GAP;
        if controls.repeats && room && extra.len() < n_controls {
            let after = at + 1 + rng.random_range(MIN_GAP..=MAX_GAP);
            extra.push((after.min(n), own(candidates, at, CaseRole::Repeat)));
        } else {
            rest.push(at);
        }
    }
    if controls.traps {
        let like = Likeness::new(candidates);
        let traps: Vec<(usize, FeatureId)> = rest
            .into_iter()
            .filter_map(|at| Some((at, like.label_for(at, rng)?)))
            .take(n_controls)
            .collect();
        for (at, label_of) in traps {
            let far = |place: &usize| place.abs_diff(at) >= MIN_GAP.min(n / 2);
            let places: Vec<usize> = (0..=n).filter(far).collect();
            let place = places.choose(rng);
            let case = Case {
                label_of,
                ..own(candidates, at, CaseRole::Trap)
            };
            extra.push((place.copied().unwrap_or(n), case));
        }
    }
    extra.sort_by_key(|(place, _)| *place);
    let mut extra = extra.into_iter().peekable();
    let mut cases = Vec::with_capacity(n + extra.len());
    for at in 0..=n {
        while let Some((_, case)) = extra.next_if(|(place, _)| *place == at) {
            cases.push(case);
        }
        if at < n {
            cases.push(own(candidates, at, role));
        }
    }
    cases
}

fn own(candidates: &[Candidate], at: usize, role: CaseRole) -> Case {
    let feature = candidates[at].feature;
    Case {
        feature,
        role,
        label_of: feature,
    }
}

/// The candidates by density.
struct Likeness<'a> {
    candidates: &'a [Candidate],
    /// Places of candidates that have a proposal, by density.
    by_density: Vec<usize>,
    /// Where each candidate stands in that list; `None` without a proposal.
    rank: Vec<Option<usize>>,
}

impl<'a> Likeness<'a> {
    fn new(candidates: &'a [Candidate]) -> Self {
        let mut by_density: Vec<usize> = (0..candidates.len())
            .filter(|&at| !candidates[at].words.is_empty())
            .collect();
        by_density.sort_by(|&a, &b| {
            let [a, b] = [&candidates[a], &candidates[b]];
            a.density
                .total_cmp(&b.density)
                .then(a.feature.cmp(&b.feature))
        });
        let mut rank = vec![None; candidates.len()];
        for (at, &place) in by_density.iter().enumerate() {
            rank[place] = Some(at);
        }
        Self {
            candidates,
            by_density,
            rank,
        }
    }

    /// A feature of like density with another proposal.
    fn label_for(&self, at: usize, rng: &mut ChaCha8Rng) -> Option<FeatureId> {
        let rank = self.rank[at]?;
        let other = |&place: &usize| self.candidates[place].words != self.candidates[at].words;
        let below = self.by_density[..rank].iter().rev().copied();
        let above = self.by_density[rank + 1..].iter().copied();
        let like: BTreeSet<usize> = below
            .filter(other)
            .take(N_LIKE)
            .chain(above.filter(other).take(N_LIKE))
            .collect();
        let like: Vec<usize> = like.into_iter().collect();
        let place = *like.choose(rng)?;
        Some(self.candidates[place].feature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(n: u32) -> Vec<Candidate> {
        (0..n)
            .map(|i| Candidate {
                feature: FeatureId(i),
                density: (i % 17) as f32 / 100.0,
                words: format!("word {}", i % 29),
            })
            .collect()
    }

    fn plan_of(n: u32, reviewer: &str) -> Vec<Case> {
        let both = Controls {
            repeats: true,
            traps: true,
        };
        let mut rng = generator(&["7", reviewer]);
        plan(&candidates(n), CaseRole::First, both, &mut rng)
    }

    #[test]
    fn a_twentieth_are_repeats_and_a_twentieth_traps() {
        let cases = plan_of(200, "A");
        assert_eq!(cases.len(), 220);
        let in_role = |role| cases.iter().filter(move |case| case.role == role);
        assert_eq!(in_role(CaseRole::Repeat).count(), 10);
        assert_eq!(in_role(CaseRole::Trap).count(), 10);
        let firsts: Vec<u32> = in_role(CaseRole::First)
            .map(|case| case.feature.0)
            .collect();
        assert_eq!(firsts, (0..200).collect::<Vec<_>>());
        let place = |feature, role| {
            cases
                .iter()
                .position(|case| case.feature == feature && case.role == role)
                .unwrap()
        };
        let all = candidates(200);
        for case in in_role(CaseRole::Repeat) {
            assert!(place(case.feature, CaseRole::Repeat) > place(case.feature, CaseRole::First));
            assert_eq!(case.label_of, case.feature);
        }
        for case in in_role(CaseRole::Trap) {
            let first = place(case.feature, CaseRole::First);
            assert!(place(case.feature, CaseRole::Trap).abs_diff(first) >= MIN_GAP);
            let [shown, own] = [case.label_of, case.feature].map(|f| &all[f.0 as usize]);
            assert_ne!(shown.words, own.words);
            assert!((shown.density - own.density).abs() <= 0.02);
            assert!(in_role(CaseRole::Repeat).all(|other| other.feature != case.feature));
        }
    }

    #[test]
    fn a_plan_is_that_of_its_seed_and_reviewer() {
        assert_eq!(plan_of(100, "A"), plan_of(100, "A"));
        assert_ne!(plan_of(100, "A"), plan_of(100, "B"));
        for n in [0, 1, 2, 9, 11, 30] {
            assert!(plan_of(n, "A").len() >= n as usize);
        }
    }

    #[test]
    fn without_another_proposal_there_is_no_trap() {
        let mut all = candidates(60);
        for candidate in &mut all {
            "the same".clone_into(&mut candidate.words);
        }
        let traps = Controls {
            repeats: false,
            traps: true,
        };
        let cases = plan(&all, CaseRole::First, traps, &mut generator(&["1"]));
        assert_eq!(cases.len(), 60);
    }
}
