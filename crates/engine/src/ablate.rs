//! The job that measures a change of features over all users of a recommender: what they are shown,
//! what it costs, beside random features of like density.

mod debias;
mod figures;
mod test_users;

use std::sync::Arc;

use models::recommenders::RankedCases;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::{FeatureId, SteeringMode};

use self::figures::{Members, Statistic, first_ten};
use self::test_users::TestUsers;
use crate::edits::{Change, EditedDictionary, FeatureEdit};
use crate::error::{EngineError, Result};
use crate::evaluate_ranking::{by_user, n_distinct};
use crate::evaluate_sae::WithInterval;
use crate::indexed::{IndexedDictionary, item_view};
use crate::jobs::JobContext;
use crate::session::Session;
use crate::steer::feature_edit;
use crate::views::{
    AblationRequest, AblationView, ConceptItems, ControlEffect, ExampleLists, Exposure,
    GroupEffect, ItemView, ListFigures,
};

/// Items of a list.
pub(super) const N_LIST: usize = 10;
/// Items whose ranks before a change are told.
const N_DEEP: usize = 100;
/// Features of nearest density that a control is drawn from.
const LIKE_DENSITY: usize = 20;
/// Items of an example's history.
const N_HISTORY: usize = 12;
/// Items of the concept that are listed.
const N_LISTED: usize = 30;

impl Session {
    /// Changes features for every user of a part of the dataset and measures what comes of it.
    ///
    /// The error term of each vector is kept: only what the features add changes.
    ///
    /// # Errors
    /// When the dictionary is not of a recommender's user vectors, a feature or category does not
    /// exist, or there is nobody to rank for.
    pub fn ablate(&self, request: &AblationRequest, job: &JobContext) -> Result<AblationView> {
        if request.edits.is_empty() {
            return Err(EngineError::request(
                "no feature is to be changed; expected at least one",
            ));
        }
        let indexed = self.indexed(&request.sae)?;
        let edit = feature_edit(&indexed, &request.edits)?;
        let dataset = request.dataset.as_deref();
        let users = TestUsers::load(self, &indexed, dataset, request.split, job)?;
        let members = concept_members(&indexed, &users, request)?;
        let base = users.ranked(&users.vectors, N_DEEP)?;
        let (changed, places) = users.changed(&edit);
        job.check_cancelled()?;
        job.report("Ranking with the change", 0, 0, "users");
        let after = users.reranked(&base, &changed, &places, N_LIST)?;
        let statistic = Statistic::new(&base, &after, &members.flags);
        let of_users = users.set.users();
        let units = by_user(&of_users, request.seed);
        let controls = (request.n_controls > 0)
            .then(|| control_effect(&users, &indexed, request, (&base, &members), job))
            .transpose()?;
        Ok(AblationView {
            n_users: units.n_clusters() as u32,
            n_cases: base.ranks.len() as u32,
            n_changed: n_distinct(places.iter().map(|&at| of_users[at])) as u32,
            before: users.figures(&base, &users.vectors, &members),
            after: users.figures(&after, &changed, &members),
            share_change: statistic.share_change(&units),
            ndcg_change: statistic.ndcg_change(&units),
            groups: groups(&users, &places, &members, (&base, &after), request.seed),
            controls,
            examples: examples(
                &indexed,
                &users,
                (&base, &after),
                request.n_examples as usize,
            ),
            items: members.listed,
            request: request.clone(),
        })
    }
}

/// The concept's items, and their direct effects.
fn concept_members(
    indexed: &IndexedDictionary,
    users: &TestUsers,
    request: &AblationRequest,
) -> Result<Members> {
    let sae = &indexed.dictionary.sae;
    let mut direction = vec![0.0; sae.d_model()];
    for edit in &request.edits {
        let mean = indexed.index.summary(edit.feature)?.mean_activation;
        for (sum, along) in direction.iter_mut().zip(sae.decoder_row(edit.feature.0)) {
            *sum += mean * along;
        }
    }
    let effects = users.recommender.scores(&direction);
    let n_items = effects.len();
    let mut order: Vec<u32> = (1..=n_items as u32).collect();
    let effect = |item: u32| effects[item as usize - 1];
    order.sort_by(|&a, &b| effect(b).total_cmp(&effect(a)).then(a.cmp(&b)));
    let flags = named_items(indexed, n_items, &request.items)?.unwrap_or_else(|| {
        let n = match request.items {
            ConceptItems::Promoted(n) => n.max(1) as usize,
            _ => 0,
        };
        let mut flags = vec![false; n_items + 1];
        for &item in order.iter().take(n) {
            flags[item as usize] = true;
        }
        flags
    });
    let listed = order
        .into_iter()
        .filter(|&item| flags[item as usize])
        .take(N_LISTED)
        .map(|item| item_view(&indexed.dataset, item, effect(item)))
        .collect();
    Ok(Members { flags, listed })
}

/// Which items are meant, by id from 0; `None` where that depends on the features.
fn named_items(
    indexed: &IndexedDictionary,
    n_items: usize,
    items: &ConceptItems,
) -> Result<Option<Vec<bool>>> {
    match items {
        ConceptItems::Promoted(_) => Ok(None),
        ConceptItems::Category(name) => {
            category_flags(&indexed.dataset, &indexed.harvest.dataset, name).map(Some)
        }
        ConceptItems::Items(ids) => {
            let mut flags = vec![false; n_items + 1];
            for &id in ids {
                let flag = flags.get_mut(id as usize).filter(|_| id > 0);
                *flag.ok_or_else(|| {
                    EngineError::request(format!(
                        "there is no item {id}; item ids run from 1 to {n_items}"
                    ))
                })? = true;
            }
            Ok(Some(flags))
        }
    }
}

/// Which items have a category, by id from 0.
pub(super) fn category_flags(
    dataset: &store::Dataset,
    name: &str,
    category: &str,
) -> Result<Vec<bool>> {
    let mut flags = vec![false; dataset.catalogue.len() + 1];
    for item in &dataset.catalogue {
        if item.categories.iter().any(|known| known == category)
            && let Some(flag) = flags.get_mut(item.id as usize)
        {
            *flag = true;
        }
    }
    if flags.contains(&true) {
        return Ok(flags);
    }
    let mut known: Vec<&str> = dataset
        .catalogue
        .iter()
        .flat_map(|item| item.categories.iter().map(String::as_str))
        .collect();
    known.sort_unstable();
    known.dedup();
    known.truncate(8);
    Err(EngineError::request(format!(
        "datasets/{name} has no item of the category \"{category}\"; it has {}",
        if known.is_empty() {
            "no categories".to_owned()
        } else {
            known.join(", ")
        }
    )))
}

/// The same change on random features of like density.
fn control_effect(
    users: &TestUsers,
    indexed: &Arc<IndexedDictionary>,
    request: &AblationRequest,
    (base, members): (&RankedCases, &Members),
    job: &JobContext,
) -> Result<ControlEffect> {
    let changed: Vec<u32> = request.edits.iter().map(|edit| edit.feature.0).collect();
    let mut changes = [Vec::new(), Vec::new()];
    let mut sums = [0.0; 6];
    let n = u64::from(request.n_controls);
    for draw in 0..request.n_controls {
        job.check_cancelled()?;
        job.report("Changing random features", u64::from(draw), n, "sets");
        let alike = users.like_density(&changed, (request.seed, draw));
        let mut edits = request.edits.clone();
        for (edit, feature) in edits.iter_mut().zip(alike) {
            edit.feature = FeatureId(feature);
        }
        let (changed, places) = users.changed(&feature_edit(indexed, &edits)?);
        let after = users.reranked(base, &changed, &places, N_LIST)?;
        let statistic = Statistic::new(base, &after, &members.flags);
        changes[0].extend(statistic.plain_share_change());
        changes[1].extend(statistic.plain_ndcg_change());
        let exposure = users.exposure(&first_ten(&after));
        let figures = [
            mean(&statistic.hr[1]),
            mean(&statistic.ndcg[1]),
            mean(&statistic.share[1]),
            exposure.coverage,
            exposure.gini,
            exposure.popularity,
        ];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
    }
    let [share_change, ndcg_change] = changes.map(over_sets);
    let [hr_10, ndcg_10, share, coverage, gini, popularity] =
        sums.map(|sum| sum / f64::from(request.n_controls));
    Ok(ControlEffect {
        n: request.n_controls,
        share_change,
        ndcg_change,
        hr_10,
        ndcg_10,
        share,
        exposure: Exposure {
            coverage,
            gini,
            popularity,
        },
    })
}

/// Mean and the range that holds 95 % of the sets; `None` where the change has no value.
fn over_sets(mut values: Vec<f64>) -> Option<WithInterval> {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    let at = |share: f64| values[((n - 1) as f64 * share).round() as usize];
    (n > 0).then(|| WithInterval {
        value: mean(&values),
        interval: (n > 1).then(|| [at(0.025), at(0.975)]),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl TestUsers {
    /// A feature of like density for each of `changed`, none of them twice, at random.
    pub(super) fn like_density(&self, changed: &[u32], (seed, draw): (u64, u32)) -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(draw) + 1);
        let mut taken = changed.to_vec();
        let mut drawn = Vec::new();
        for &feature in changed {
            let own = self.density[feature as usize];
            let mut others: Vec<u32> = (0..self.density.len() as u32)
                .filter(|other| !taken.contains(other))
                .collect();
            let distance = |other: u32| (self.density[other as usize] - own).abs();
            others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
            others.truncate(LIKE_DENSITY);
            let one = others.choose(&mut rng).copied().unwrap_or(feature);
            taken.push(one);
            drawn.push(one);
        }
        drawn
    }
}

/// Features of a dictionary multiplied by a factor.
pub(super) fn scaled(
    indexed: &Arc<IndexedDictionary>,
    features: &[u32],
    strength: f32,
) -> FeatureEdit {
    let changes = features.iter().map(|&feature| Change {
        feature,
        mode: SteeringMode::Scale,
        amount: strength,
        scope: schema::PositionScope::All,
    });
    FeatureEdit {
        dictionary: EditedDictionary::Indexed(Arc::clone(indexed)),
        changes: changes.collect(),
    }
}

/// Cost by who is changed, who buys the concept's items, and how much a user bought.
fn groups(
    users: &TestUsers,
    changed: &[usize],
    members: &Members,
    (base, after): (&RankedCases, &RankedCases),
    seed: u64,
) -> Vec<GroupEffect> {
    let n = base.ranks.len();
    let mut is_changed = vec![false; n];
    for &place in changed {
        is_changed[place] = true;
    }
    let of_users = users.set.users();
    let histories = users.set.histories();
    let buys: Vec<bool> = histories
        .iter()
        .map(|history| history.iter().any(|&item| members.flags[item as usize]))
        .collect();
    let mut lengths: Vec<usize> = histories.iter().map(|history| history.len()).collect();
    lengths.sort_unstable();
    let middle = lengths.get(n / 2).copied().unwrap_or(0);
    let short = format!("Histories of up to {middle} items");
    let long = format!("Histories of more than {middle} items");
    let is_short: Vec<bool> = histories.iter().map(|h| h.len() <= middle).collect();
    // A flag of every user, and what those with it and those without are called.
    let splits = [
        (&is_changed, "Changed by it", "Not changed by it"),
        (
            &buys,
            "With such items in their history",
            "Without such items",
        ),
        (&is_short, short.as_str(), long.as_str()),
    ];
    let mut groups = Vec::new();
    for (flags, with, without) in splits {
        for (name, wanted) in [(with, true), (without, false)] {
            let places: Vec<usize> = (0..n).filter(|&at| flags[at] == wanted).collect();
            let who = (name, &places[..], &of_users[..]);
            groups.extend(group_effect(who, members, (base, after), seed));
        }
    }
    groups
}

/// Cost for the cases at some places, given the user of every case.
fn group_effect(
    (name, places, of_users): (&str, &[usize], &[u32]),
    members: &Members,
    (base, after): (&RankedCases, &RankedCases),
    seed: u64,
) -> Option<GroupEffect> {
    if places.is_empty() {
        return None;
    }
    let of = |ranked: &RankedCases| RankedCases {
        ranks: places.iter().map(|&at| ranked.ranks[at]).collect(),
        top: places.iter().map(|&at| ranked.top[at].clone()).collect(),
    };
    let statistic = Statistic::new(&of(base), &of(after), &members.flags);
    let difference = |weights: &[u32]| {
        let sum = |values: &[f64]| -> f64 {
            let each = values.iter().zip(weights);
            each.map(|(value, &weight)| value * f64::from(weight)).sum()
        };
        let total: u32 = weights.iter().sum();
        (total > 0).then(|| (sum(&statistic.ndcg[1]) - sum(&statistic.ndcg[0])) / f64::from(total))
    };
    let of_users: Vec<u32> = places.iter().map(|&at| of_users[at]).collect();
    let units = by_user(&of_users, seed);
    Some(GroupEffect {
        group: name.to_owned(),
        n_users: units.n_clusters() as u32,
        n_cases: places.len() as u32,
        hr_10: [mean(&statistic.hr[0]), mean(&statistic.hr[1])],
        ndcg_10: [mean(&statistic.ndcg[0]), mean(&statistic.ndcg[1])],
        change: WithInterval {
            value: mean(&statistic.ndcg[1]) - mean(&statistic.ndcg[0]),
            interval: units.interval(&difference),
        },
        share: [mean(&statistic.share[0]), mean(&statistic.share[1])],
    })
}

/// The lists that change most, side by side.
fn examples(
    indexed: &IndexedDictionary,
    users: &TestUsers,
    (base, after): (&RankedCases, &RankedCases),
    n: usize,
) -> Vec<ExampleLists> {
    let n_new = |at: usize| {
        let before = &base.top[at][..N_LIST.min(base.top[at].len())];
        let list = &after.top[at];
        list.iter().filter(|item| !before.contains(item)).count()
    };
    let mut order: Vec<(usize, usize)> = (0..base.ranks.len())
        .map(|at| (n_new(at), at))
        .filter(|&(moved, _)| moved > 0)
        .collect();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let histories = users.set.histories();
    let samples = users.set.users();
    let views = |items: &[u32]| -> Vec<ItemView> {
        let each = items.iter().take(N_LIST);
        each.map(|&item| item_view(&indexed.dataset, item, 0.0))
            .collect()
    };
    order
        .into_iter()
        .take(n)
        .map(|(_, at)| {
            let history = histories[at];
            let rank_before = |item: &u32| {
                let place = base.top[at].iter().position(|known| known == item);
                place.map_or(0, |place| place as u32 + 1)
            };
            ExampleLists {
                sample: samples[at],
                history: history[history.len().saturating_sub(N_HISTORY)..]
                    .iter()
                    .map(|&item| item_view(&indexed.dataset, item, 0.0))
                    .collect(),
                before: views(&base.top[at]),
                after: views(&after.top[at]),
                rank_before: after.top[at].iter().take(N_LIST).map(rank_before).collect(),
                target_rank: [base.ranks[at], after.ranks[at]],
            }
        })
        .collect()
}

/// Mean of figures; `None` for none.
pub(super) fn mean_figures(all: &[ListFigures]) -> Option<ListFigures> {
    let n = all.len() as f64;
    let mean = |of: fn(&ListFigures) -> f64| all.iter().map(of).sum::<f64>() / n;
    (!all.is_empty()).then(|| ListFigures {
        hr_10: mean(|f| f.hr_10),
        ndcg_10: mean(|f| f.ndcg_10),
        share: mean(|f| f.share),
        mean_rank: mean(|f| f.mean_rank),
        coverage: mean(|f| f.coverage),
        gini: mean(|f| f.gini),
        popularity: mean(|f| f.popularity),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_users_and_draws_them_whole() {
        let of = |ranks: [u32; 5]| RankedCases {
            ranks: ranks.to_vec(),
            top: vec![vec![1]; 5],
        };
        let members = Members {
            flags: vec![false, true],
            listed: Vec::new(),
        };
        // Two test items per user; the fifth case is of nobody in the group.
        let (base, after) = (of([1; 5]), of([20, 20, 1, 1, 1]));
        let who = ("all", &[0, 1, 2, 3][..], &[7, 7, 9, 9, 11][..]);
        let group = group_effect(who, &members, (&base, &after), 0).unwrap();
        assert_eq!((group.n_users, group.n_cases), (2, 4));
        assert_eq!(group.hr_10, [1.0, 0.5]);
        assert_eq!(group.change.value, -0.5);
        // A quarter of the draws have the first user alone, and a quarter the second.
        assert_eq!(group.change.interval, Some([-1.0, 0.0]));
    }

    #[test]
    fn a_change_that_is_nowhere_defined_has_no_mean() {
        assert_eq!(over_sets(Vec::new()), None);
        let one = over_sets(vec![-0.5]).unwrap();
        assert_eq!((one.value, one.interval), (-0.5, None));
    }
}
