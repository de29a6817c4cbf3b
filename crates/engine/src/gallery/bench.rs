//! Times the choice of features of a wide dictionary, every one with a proposal and words.

use std::time::Instant;

use schema::{Explanation, FeatureId, MeasuredScore};
use store::Overview;

use super::choose::{Facts, choose};
use crate::labels::Labels;
use crate::views::{FeatureQuery, FeatureSort};

/// Times a query is answered; the middle counts.
const N_TIMES: usize = 9;
/// What invented words are taken from.
const WORDS: [&str; 8] = [
    "effusion",
    "pleural",
    "left",
    "opacity",
    "cardiac",
    "silhouette",
    "nodule",
    "tube",
];

/// How long one query takes.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTime {
    /// What was asked.
    pub query: String,
    /// Features found.
    pub n_found: usize,
    /// Milliseconds, the middle of several times.
    pub ms: f64,
}

/// Times filters and orders of `n_features` invented features.
///
/// # Cost
/// Some seconds and some hundred MB for 200,000 features.
pub fn query_times(n_features: u32) -> Vec<QueryTime> {
    let share = |id: u32, salt: u32| {
        let mixed = (id ^ salt.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        (mixed >> 8) as f32 / (1 << 24) as f32
    };
    let each = |salt| (0..n_features).map(|id| share(id, salt)).collect();
    let overview = Overview {
        density: each(1),
        sample_density: each(2),
        max_activation: each(3),
        mean_activation: each(4),
    };
    let word = |id: u32, salt: u32| WORDS[(share(id, salt) * WORDS.len() as f32) as usize];
    let proposal = |id: u32| Explanation {
        feature: FeatureId(id),
        text: format!("{}, {}", word(id, 5), word(id, 6)),
        score: Some(MeasuredScore {
            method: "detection".to_owned(),
            judge: "keywords".to_owned(),
            value: f64::from(share(id, 7)),
            interval: None,
            n_cases: 40,
        }),
        ..Explanation::default()
    };
    let labels = Labels::new(Vec::new(), (0..n_features).map(proposal).collect());
    let words: Vec<String> = (0..n_features)
        .map(|id| {
            let words: Vec<&str> = (8..16).map(|salt| word(id, salt)).collect();
            words.join("\n")
        })
        .collect();
    let facts = Facts {
        overview: &overview,
        labels: &labels,
        groups: &[],
        best: None,
        words: Some(&words),
        points: None,
        fires: None,
    };
    let text = |text: &str| FeatureQuery {
        text: text.to_owned(),
        ..FeatureQuery::default()
    };
    let sorted = |sort| FeatureQuery {
        sort,
        ..FeatureQuery::default()
    };
    [
        ("by number", FeatureQuery::default()),
        ("by density", sorted(FeatureSort::Density)),
        ("by best score", sorted(FeatureSort::BestScore)),
        ("the text effusion", text("effusion")),
        ("the text left nodule", text("left nodule")),
        ("the text meniscus, which none has", text("meniscus")),
    ]
    .map(|(name, query)| time(name, &query, &facts))
    .into()
}

fn time(name: &str, query: &FeatureQuery, facts: &Facts<'_>) -> QueryTime {
    let mut times = Vec::with_capacity(N_TIMES);
    let mut n_found = 0;
    for _ in 0..N_TIMES {
        let began = Instant::now();
        n_found = choose(query, facts).len();
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    QueryTime {
        query: name.to_owned(),
        n_found,
        ms: times[N_TIMES / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_find_what_they_say() {
        let times = query_times(4000);
        assert!(times[..3].iter().all(|time| time.n_found == 4000));
        assert!(times[3].n_found > 1000 && times[3].n_found < 4000);
        assert!(times[4].n_found > 0 && times[4].n_found < times[3].n_found);
        assert_eq!(times[5].n_found, 0);
    }
}
