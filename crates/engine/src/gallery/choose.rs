//! Which features pass a filter, and in which order.

use std::collections::BTreeSet;

use rayon::prelude::*;
use schema::FeatureId;
use store::Overview;

use super::known::BestAssociations;
use crate::labels::Labels;
use crate::views::{FeaturePoints, FeatureQuery, FeatureSort};

/// Features that one task looks at, at least.
const FEATURES_PER_TASK: usize = 4096;

/// What features are chosen by. Parts that are not known yet let every feature pass or, in the text
/// filter, say nothing.
pub(super) struct Facts<'a> {
    pub(super) overview: &'a Overview,
    pub(super) labels: &'a Labels,
    /// Features of each nested group; empty without groups.
    pub(super) groups: &'a [u32],
    pub(super) best: Option<&'a BestAssociations>,
    /// By feature, lower case: the words or titles on which it is strongest.
    pub(super) words: Option<&'a [String]>,
    /// Points of the plot that the query's rectangle lies on.
    pub(super) points: Option<&'a FeaturePoints>,
    /// Features active on the sample asked for.
    pub(super) fires: Option<&'a BTreeSet<u32>>,
}

/// The features that pass `query`, in its order.
pub(super) fn choose(query: &FeatureQuery, facts: &Facts<'_>) -> Vec<FeatureId> {
    let Facts {
        overview, labels, ..
    } = *facts;
    let text = query.text.trim().to_lowercase();
    let phrase = quoted(&text);
    let words: Vec<&str> = match phrase {
        Some(_) => Vec::new(),
        None => text.split_whitespace().collect(),
    };
    let wanted = query
        .association
        .as_ref()
        .zip(facts.best)
        .map(|(name, best)| (best, best.number(name)));
    let passes = |id: &FeatureId| {
        let at = id.0 as usize;
        let density = overview.density[at];
        let in_range = density >= query.min_density && density <= query.max_density;
        let strongest = || facts.words.and_then(|words| words.get(at));
        let mentions = |word: &&str| {
            labels.mentions(*id, word) || strongest().is_some_and(|text| text.contains(word))
        };
        let is_strongest_on =
            |phrase: &str| strongest().is_some_and(|text| text.lines().any(|line| line == phrase));
        in_range
            && !(query.hide_dead && density == 0.0)
            && query.state.is_none_or(|state| labels.state(*id) == state)
            && (!query.flagged || labels.is_flagged(*id))
            && facts.fires.is_none_or(|fires| fires.contains(&id.0))
            && query.score.is_none_or(|[low, high]| {
                let score = labels.measured(*id).map(|score| score.value as f32);
                score.is_some_and(|score| score >= low && score <= high)
            })
            && wanted.is_none_or(|(best, name)| name.is_some() && best.of(*id) == name)
            && query.area.zip(facts.points).is_none_or(|(area, points)| {
                let x = points.x.get(at).copied().unwrap_or(f32::NAN);
                let y = points.y.get(at).copied().unwrap_or(f32::NAN);
                area.contains(x, y)
            })
            && words.iter().all(mentions)
            && phrase.is_none_or(is_strongest_on)
    };
    let mut ids: Vec<FeatureId> = members(query.group, facts.groups, overview.density.len())
        .into_par_iter()
        .with_min_len(FEATURES_PER_TASK)
        .map(FeatureId)
        .filter(passes)
        .collect();
    sort(&mut ids, query.sort, facts);
    ids
}

/// What stands between quotation marks: it asks for a whole word or title.
fn quoted(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.is_empty()).then_some(inside)
}

/// Numbers of the features of a group, or of all.
fn members(group: Option<u32>, groups: &[u32], n_features: usize) -> std::ops::Range<u32> {
    let all = 0..n_features as u32;
    let Some(group) = group.filter(|_| !groups.is_empty()) else {
        return all;
    };
    let Some(&size) = groups.get(group as usize) else {
        return 0..0;
    };
    let first: u32 = groups[..group as usize].iter().sum();
    first.min(all.end)..(first + size).min(all.end)
}

/// Of features that are alike, the lower number comes first.
fn sort(ids: &mut [FeatureId], sort: FeatureSort, facts: &Facts<'_>) {
    let Facts {
        overview, labels, ..
    } = *facts;
    let last = f32::NEG_INFINITY;
    let score = |id: FeatureId| labels.measured(id).map(|score| score.value as f32);
    match sort {
        FeatureSort::Index => {}
        FeatureSort::Density => highest_first(ids, |id| overview.density[id.0 as usize]),
        FeatureSort::Rarest => highest_first(ids, |id| -overview.density[id.0 as usize]),
        FeatureSort::Maximum => highest_first(ids, |id| overview.max_activation[id.0 as usize]),
        FeatureSort::Mean => highest_first(ids, |id| overview.mean_activation[id.0 as usize]),
        FeatureSort::Association => highest_first(ids, |id| labels.auroc(id).unwrap_or(last)),
        FeatureSort::BestScore => highest_first(ids, |id| score(id).unwrap_or(last)),
        FeatureSort::WorstScore => highest_first(ids, |id| score(id).map_or(last, |score| -score)),
        FeatureSort::Disagreement => highest_first(ids, |id| f32::from(labels.disagreement(id))),
        FeatureSort::Surprise => highest_first(ids, |id| {
            let at = id.0 as usize;
            surprise(overview.max_activation[at], overview.density[at])
        }),
    }
}

/// A high maximum on few places: the maximum times the powers of ten by which the density is below
/// 1. Never active: 0.
fn surprise(maximum: f32, density: f32) -> f32 {
    if density > 0.0 {
        maximum * -density.log10()
    } else {
        0.0
    }
}

fn highest_first(ids: &mut [FeatureId], value: impl Fn(FeatureId) -> f32 + Sync) {
    let mut keyed: Vec<(f32, FeatureId)> = ids
        .par_iter()
        .with_min_len(FEATURES_PER_TASK)
        .map(|&id| (value(id), id))
        .collect();
    // Features are ascending before: in this order no two are alike.
    keyed.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (slot, (_, id)) in ids.iter_mut().zip(keyed) {
        *slot = id;
    }
}
