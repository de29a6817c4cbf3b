//! Concepts of a recommender's dictionary in the window on a real engine with phantom shoppers: from
//! the empty page over the job to the cases of one concept.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/tastes.rs"]
mod tastes;
#[path = "support/window.rs"]
mod window;

use std::path::Path;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::views::{ConceptView, ConceptsView};
use schema::SaeConfig;
use tastes::TASTES;
use ui::{App, Screen, StartAt};

const RUN: &str = "tastes-keywords";

/// A dictionary of tastes.
fn build(root: &Path) {
    let config = SaeConfig {
        n_features: 32,
        k: 4,
        steps: 300,
        batch_rows: 256,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    tastes::build(root, 8, &config);
}

fn open(root: &Path) -> Harness<'static, App> {
    let start = StartAt {
        screen: Some(Screen::Gallery),
        dictionary: Some(TASTES.to_owned()),
        ..StartAt::default()
    };
    window::open(root, start)
}

/// The features of the rows in sight, from above.
fn listed(harness: &Harness<'static, App>) -> Vec<u32> {
    let rows = harness.query_all_by_label_contains("Concept of feature ");
    let mut rows: Vec<(f32, u32)> = rows
        .map(|row| {
            let label = row.accesskit_node().label().unwrap();
            let number = label.trim_start_matches("Concept of feature ");
            let number = number.split(':').next().unwrap().parse().unwrap();
            (row.rect().top(), number)
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().map(|(_, feature)| feature).collect()
}

/// What the file of the run says of the best concept with words.
fn best(root: &Path) -> (ConceptsView, ConceptView) {
    let text = std::fs::read(root.join("concepts").join(RUN).join("concepts.json")).unwrap();
    let view: ConceptsView = serde_json::from_slice(&text).unwrap();
    let mut scored: Vec<&ConceptView> = view.concepts.iter().collect();
    scored.sort_by(|a, b| {
        let by = b.confidence.partial_cmp(&a.confidence).unwrap();
        by.then(a.feature.cmp(&b.feature))
    });
    let best = scored[0].clone();
    (view, best)
}

#[test]
fn concepts_are_made_sorted_opened_and_followed_to_feature_and_steering() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    build(&root);
    let mut harness = open(&root);
    clicks::click(&mut harness, "Concepts");
    harness.get_by_label("No concepts yet");
    clicks::click(&mut harness, "Make concepts from keywords");
    window::wait_for(&mut harness, "This dictionary  ");
    let (view, best) = best(&root);

    // Totals stand beside the three baselines.
    let mean = view.totals.confidence.unwrap();
    harness.get_by_label_contains(&format!("This dictionary  {}  ", view.totals.n_scored));
    assert!(
        harness
            .query_all_by_label_contains(&format!("{:.2} (", mean.value))
            .next()
            .is_some()
    );
    for name in ["Random dictionary", "Raw dimensions", "Swapped concepts"] {
        harness.get_by_label_contains(&format!("{name}  "));
    }

    // The best first; by number after a click on the head.
    assert_eq!(listed(&harness)[0], best.feature.0);
    clicks::click(&mut harness, "Sort by feature");
    let by_number = listed(&harness);
    assert!(
        by_number.is_sorted() && by_number.len() > 3,
        "{by_number:?}"
    );
    clicks::click(&mut harness, "Sort by confidence");
    assert_eq!(listed(&harness)[0], best.feature.0);

    // One concept: what it was read off, and what the judge said of each test case.
    let row = format!(
        "Concept of feature {}: {}, confidence {:.2}",
        best.feature,
        best.explanation,
        best.confidence.unwrap()
    );
    harness.get_by_label_contains(&row).click();
    harness.run_steps(6);
    let case = &best.cases[0];
    harness.get_by_label(&format!(
        "User {}, level {} at {}",
        case.user,
        case.recommended.level.unwrap(),
        case.recommended.title
    ));
    let cards = harness.query_all_by_label_contains("Item ");
    assert!(cards.count() >= case.history.len());
    let n_right = best
        .tests
        .iter()
        .filter(|test| {
            let is_active = test.recommended.level > Some(0);
            is_active == test.predicted.is_some_and(|said| said > 5.0)
        })
        .count();
    harness.get_by_label_contains(&format!("{n_right} of {} told rightly", best.tests.len()));
    let test = harness.query_all_by_label_contains("Test ");
    let with_verdict = test
        .filter_map(|node| node.accesskit_node().label())
        .filter(|label| label.ends_with(", right") || label.ends_with(", wrong"));
    assert_eq!(with_verdict.count(), best.tests.len());
    // A test case opens into its history.
    let first = format!("Test 1: {}", best.tests[0].recommended.title);
    harness.get_by_label_contains(&first).scroll_to_me();
    harness.run_steps(3);
    harness.get_by_label_contains(&first).click();
    harness.run_steps(4);
    harness.get_by_label_contains(&format!("User {}, last ", best.tests[0].user));

    // To the feature page, back, and to steering.
    clicks::click(&mut harness, "Feature page");
    assert_eq!(harness.state().screen(), Screen::Feature);
    window::wait_for(&mut harness, "Recommended next: ");
    clicks::click(&mut harness, "Concept");
    assert_eq!(harness.state().screen(), Screen::Gallery);
    window::wait_for(&mut harness, "told rightly");
    clicks::click(&mut harness, "Steer this feature");
    assert_eq!(harness.state().screen(), Screen::Steer);
    harness.get_by_label(&format!("Strength of feature {}", best.feature));
}
