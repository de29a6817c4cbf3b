//! Invented concepts of the invented dictionary of histories.

use std::collections::BTreeMap;

use engine::views::{
    ConceptCaseView, ConceptItemView, ConceptPages, ConceptRunView, ConceptSettingsView,
    ConceptTestView, ConceptTotalsView, ConceptView, ConceptsView, MeanView,
};
use schema::FeatureId;

use super::invented::{items, mixed};

/// Features that have a concept.
const N_CONCEPTS: u32 = 60;
/// Test cases of each kind.
const N_TESTS: u32 = 8;

/// The one run.
pub(super) fn run(sae: &str) -> ConceptRunView {
    ConceptRunView {
        name: format!("{sae}-keywords"),
        explained_by: "keywords".to_owned(),
        judged_by: Some("keywords".to_owned()),
        cases: "apart".to_owned(),
        at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

fn shown(id: u32, level: Option<u8>) -> ConceptItemView {
    ConceptItemView {
        item: id,
        title: format!("Invented item {id}"),
        level,
    }
}

fn case(feature: u32, at: u32) -> ConceptCaseView {
    let item = |i: u32| 1 + (feature * 7 + at * 11 + i) % 90;
    ConceptCaseView {
        user: feature + at,
        history: (0..9)
            .map(|i| {
                let level = if i % 3 == 1 {
                    3 + (i + at) as u8 % 7
                } else {
                    0
                };
                shown(item(i), Some(level))
            })
            .collect(),
        recommended: shown(item(9), Some(10 - at as u8)),
    }
}

fn test(feature: u32, at: u32) -> ConceptTestView {
    let is_active = at < N_TESTS;
    let surprise = mixed(feature, at) < 0.2;
    ConceptTestView {
        user: 100 + feature + at,
        recommended: shown(
            1 + (feature * 13 + at * 5) % 90,
            Some(if is_active { 5 + (at % 6) as u8 } else { 0 }),
        ),
        predicted: (at != 5).then_some(if is_active == surprise { 1.5 } else { 8.0 }),
    }
}

fn concept(feature: u32) -> ConceptView {
    let tests: Vec<ConceptTestView> = (0..2 * N_TESTS).map(|at| test(feature, at)).collect();
    let n_right = |range: std::ops::Range<u32>| {
        let is_right = |at: &u32| {
            let said = test(feature, *at).predicted.is_some_and(|said| said > 5.0);
            said == (*at < N_TESTS)
        };
        f64::from(range.filter(is_right).count() as u32)
    };
    let n = f64::from(N_TESTS);
    let (found, spared) = (n_right(0..N_TESTS), n_right(N_TESTS..2 * N_TESTS));
    let confidence = (found + spared) / (2.0 * n);
    let is_mute = feature % 11 == 5;
    let known = |value: f64| (!is_mute).then_some(value);
    ConceptView {
        n_left_out: 0,
        not_explained: String::new(),
        feature: FeatureId(feature),
        n_active: 40 + feature as usize,
        explanation: match feature % 3 {
            _ if is_mute => String::new(),
            0 => "tea, green, loose leaf".to_owned(),
            1 => "coffee, dark roast".to_owned(),
            _ => "snacks without gluten for a long walk, nuts and dried fruit".to_owned(),
        },
        evidence: Vec::new(),
        prompt: None,
        cases: (0..5).map(|at| case(feature, at)).collect(),
        tests: if is_mute { Vec::new() } else { tests },
        n_shared: 0,
        recall: known(found / n),
        specificity: known(spared / n),
        confidence: known(confidence),
        interval: known(confidence).map(|value| [(value - 0.17).max(0.0), (value + 0.12).min(1.0)]),
        n_unparsed: usize::from(!is_mute),
        shuffled: known(0.5 + f64::from(mixed(feature, 77)) * 0.2),
    }
}

fn totals(confidence: f64, n_interpretable: usize) -> ConceptTotalsView {
    let mean = |value: f64| {
        Some(MeanView {
            value,
            interval: Some([value - 0.02, value + 0.02]),
        })
    };
    ConceptTotalsView {
        n_chosen: N_CONCEPTS as usize,
        n_scored: 55,
        recall: mean(confidence - 0.06),
        specificity: mean(confidence + 0.06),
        confidence: mean(confidence),
        n_interpretable,
        ..ConceptTotalsView::default()
    }
}

/// What the run holds.
pub(super) fn pages(name: &str) -> ConceptPages {
    let sae = name.trim_end_matches("-keywords");
    let concepts: Vec<ConceptView> = (0..N_CONCEPTS).map(concept).collect();
    let histories: BTreeMap<u32, Vec<u32>> = concepts
        .iter()
        .flat_map(|concept| &concept.tests)
        .map(|test| {
            (
                test.user,
                (0..9).map(|i| 1 + (test.user + i) % 90).collect(),
            )
        })
        .collect();
    ConceptPages {
        view: ConceptsView {
            name: name.to_owned(),
            sae: sae.to_owned(),
            model: "invented-ranker".to_owned(),
            dataset: sae.to_owned(),
            settings: ConceptSettingsView {
                explained_by: "keywords".to_owned(),
                judged_by: Some("keywords".to_owned()),
                cases: "apart".to_owned(),
                most: N_TESTS as usize,
                levels: "pooled".to_owned(),
                history_levels: true,
                top_p: 1.0,
                at: "2026-01-01T00:00:00Z".to_owned(),
                ..ConceptSettingsView::default()
            },
            n_rows: 500,
            n_features: 100,
            n_with_cases: 57,
            totals: totals(0.81, 31),
            random_dictionary: Some(totals(0.56, 2)),
            raw_dimensions: None,
            shuffled: Some(totals(0.51, 1)),
            concepts,
            notes: vec!["3 features are active on fewer than two test users".to_owned()],
            ..ConceptsView::default()
        },
        items: (0..90)
            .map(|i| items(i, 0.0).swap_remove(0))
            .map(|item| (item.id, item))
            .collect(),
        histories,
    }
}
