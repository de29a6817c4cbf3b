//! A review in the window on a real engine, with the keys alone: sixty features, with labels taken,
//! written and refused, decisions taken back and restored, and in the middle a power cut. Every
//! decision that was shown as saved must be in the journal, in order.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/tastes.rs"]
mod tastes;
#[path = "support/window.rs"]
mod window;

use std::path::Path;
use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::JobContext;
use engine::views::QueueRequest;
use schema::{Decision, ReviewState, SaeConfig};
use tastes::TASTES;
use ui::{App, Screen, StartAt};

/// Features reviewed before and after the power cut.
const HALF: usize = 30;

/// A dictionary with proposals and nothing decided.
fn build(root: &Path) {
    let config = SaeConfig {
        n_features: 128,
        k: 8,
        steps: 200,
        batch_rows: 256,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    let session = tastes::build(root, 4, &config);
    let job = JobContext::silent();
    session.propose_keywords(TASTES, &job).unwrap();
    let queue = QueueRequest {
        reviewer: "A. Reader".to_owned(),
        ..QueueRequest::default()
    };
    let n_cases = session.queued_cases(TASTES, &queue).unwrap().len();
    assert!(n_cases > 2 * HALF, "only {n_cases} cases");
}

/// The window on the review, after the name was given.
fn open(root: &Path) -> Harness<'static, App> {
    let start = StartAt {
        screen: Some(Screen::Gallery),
        dictionary: Some(TASTES.to_owned()),
        ..StartAt::default()
    };
    let mut harness = window::open(root, start);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num7);
    harness.run_steps(4);
    harness.get_by_label("Who reviews?");
    type_in(&mut harness, "A. Reader");
    harness.key_press(Key::Enter);
    harness.run_steps(6);
    harness
}

/// Types into whatever has the keys.
fn type_in(harness: &mut Harness<'static, App>, text: &str) {
    harness.event(egui::Event::Text(text.to_owned()));
    harness.run_steps(2);
}

fn press(harness: &mut Harness<'static, App>, key: Key) {
    harness.key_press(key);
    harness.run_steps(3);
}

fn press_with(harness: &mut Harness<'static, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
}

/// The feature on the screen.
fn shown(harness: &mut Harness<'static, App>) -> u32 {
    window::wait_for(harness, "Feature ");
    let labels = harness.query_all_by_label_contains("Feature ");
    let numbers: Vec<u32> = labels
        .filter_map(|node| {
            // What a label reads is its value.
            let node = node.accesskit_node();
            let label = node.label().or_else(|| node.value())?;
            label.strip_prefix("Feature ")?.parse().ok()
        })
        .collect();
    assert_eq!(numbers.len(), 1, "{numbers:?}");
    numbers[0]
}

/// Waits until the last decision is said to be on the disk.
fn wait_until_saved(harness: &mut Harness<'static, App>) {
    let began = Instant::now();
    let waits = |harness: &Harness<'static, App>| {
        harness
            .query_all_by_label_contains("saving…  Feature ")
            .next()
            .is_some()
    };
    while waits(harness) {
        assert!(began.elapsed() < Duration::from_mins(1), "never saved");
        std::thread::sleep(Duration::from_millis(2));
        harness.run_steps(1);
    }
    harness.run_steps(4);
}

/// Draws frames until it is so.
fn until(harness: &mut Harness<'static, App>, is_so: impl Fn(&mut Harness<'static, App>) -> bool) {
    let began = Instant::now();
    while !is_so(harness) {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "never came; on the screen: {}",
            words_on(harness)
        );
        std::thread::sleep(Duration::from_millis(2));
        harness.run_steps(1);
    }
    harness.run_steps(3);
}

/// What is written on the screen about features and decisions.
fn words_on(harness: &Harness<'static, App>) -> String {
    let parts = ["eature", "done", "here is", "ejected", "ccepted"];
    let nodes = parts.map(|part| harness.query_all_by_label_contains(part));
    let words = nodes.into_iter().flatten().filter_map(|node| {
        let node = node.accesskit_node();
        node.label().or_else(|| node.value())
    });
    words.collect::<Vec<_>>().join(" | ")
}

/// Whether the feature on the screen stands as decided in this way.
fn is_decided(harness: &Harness<'static, App>, state: &str) -> bool {
    harness.query_by_label(state).is_some()
}

/// What a decision must say: feature, state, own words if any, and whether it takes one back.
type Expected = (u32, ReviewState, Option<String>, bool);

/// Reviews so many features; what was decided, in order.
fn review(harness: &mut Harness<'static, App>, n: usize) -> Vec<Expected> {
    let mut expected: Vec<Expected> = Vec::new();
    for i in 0..n {
        let feature = shown(harness);
        let mut say = |state, text: Option<&str>, takes_back| {
            expected.push((feature, state, text.map(str::to_owned), takes_back));
        };
        match i % 6 {
            0 => {
                press(harness, Key::Num7);
                press(harness, Key::A);
                say(ReviewState::Accepted, None, false);
            }
            1 => {
                press(harness, Key::X);
                say(ReviewState::Rejected, None, false);
            }
            2 => {
                press(harness, Key::ArrowRight);
                press(harness, Key::F);
                press(harness, Key::U);
                say(ReviewState::Unsure, None, false);
            }
            3 => {
                press(harness, Key::E);
                press_with(harness, Modifiers::COMMAND, Key::A);
                let own = format!("own words {i}");
                type_in(harness, &own);
                press(harness, Key::Enter);
                say(ReviewState::Edited, Some(&own), false);
            }
            4 => {
                press(harness, Key::S);
                say(ReviewState::Skipped, None, false);
            }
            _ => {
                press(harness, Key::A);
                say(ReviewState::Accepted, None, false);
                wait_until_saved(harness);
                // One is back at the feature; what was taken back is restored, and again taken back.
                press_with(harness, Modifiers::COMMAND, Key::Z);
                say(ReviewState::Unseen, None, true);
                until(harness, |harness| shown(harness) == feature);
                let both = Modifiers::COMMAND | Modifiers::SHIFT;
                press_with(harness, both, Key::Z);
                say(ReviewState::Accepted, None, true);
                until(harness, |harness| is_decided(harness, "Accepted"));
                press_with(harness, Modifiers::COMMAND, Key::Z);
                say(ReviewState::Unseen, None, true);
                until(harness, |harness| !is_decided(harness, "Accepted"));
                assert_eq!(shown(harness), feature);
                press(harness, Key::X);
                say(ReviewState::Rejected, None, false);
            }
        }
    }
    wait_until_saved(harness);
    expected
}

/// The decisions of the journal, in order.
fn journal(root: &Path) -> Vec<Decision> {
    let text = std::fs::read_to_string(root.join("journal/decisions.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check(decisions: &[Decision], expected: &[Expected]) {
    assert_eq!(decisions.len(), expected.len());
    for (at, (decision, (feature, state, text, takes_back))) in
        decisions.iter().zip(expected).enumerate()
    {
        assert_eq!(decision.feature.0, *feature, "line {at}");
        if !takes_back {
            assert_eq!(decision.state, *state, "line {at}");
        }
        assert_eq!(decision.takes_back.is_some(), *takes_back, "line {at}");
        assert_eq!(decision.reviewer, "A. Reader", "line {at}");
        if let Some(text) = text {
            assert_eq!(decision.text, *text, "line {at}");
        }
        if *state == ReviewState::Accepted && !takes_back {
            assert!(!decision.text.is_empty(), "line {at}");
        }
    }
}

/// The files as a power cut would leave them: whatever is on the disk now.
fn cut_power(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            cut_power(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn sixty_features_are_reviewed_by_keys_through_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (root, after) = (dir.path().join("project"), dir.path().join("after"));
    build(&root);
    let mut harness = open(&root);
    let mut expected = review(&mut harness, HALF);
    // A label half written is kept too.
    let half_written = shown(&mut harness);
    press(&mut harness, Key::E);
    press_with(&mut harness, Modifiers::COMMAND, Key::A);
    type_in(&mut harness, "half a la");
    std::thread::sleep(Duration::from_millis(50));
    // The window keeps it once a second.
    harness.run_steps(90);
    std::thread::sleep(Duration::from_millis(200));
    cut_power(&root, &after);
    check(&journal(&after), &expected);

    let mut again = open(&after);
    assert_eq!(shown(&mut again), half_written);
    let field = again.get_by_label("Label text");
    assert_eq!(field.accesskit_node().value().unwrap(), "half a la");
    // The last decision of the sitting before can be taken back, and restored.
    press(&mut again, Key::Escape);
    let last = expected.last().unwrap().0;
    press_with(&mut again, Modifiers::COMMAND, Key::Z);
    until(&mut again, |again| shown(again) == last);
    expected.push((last, ReviewState::Unseen, None, true));
    press_with(&mut again, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    until(&mut again, |again| is_decided(again, "Rejected"));
    expected.push((last, ReviewState::Rejected, None, true));
    check(&journal(&after), &expected);
    // On to the first that is open: it has the half-written label.
    while shown(&mut again) != half_written {
        press(&mut again, Key::J);
    }
    press(&mut again, Key::E);
    type_in(&mut again, "bel");
    press(&mut again, Key::Enter);
    expected.push((
        half_written,
        ReviewState::Edited,
        Some("half a label".to_owned()),
        false,
    ));
    expected.extend(review(&mut again, HALF - 1));
    check(&journal(&after), &expected);
    let decided: Vec<Decision> = journal(&after);
    assert!(decided.iter().any(|decision| decision.flagged));
    assert!(
        decided
            .iter()
            .any(|decision| decision.confidence == Some(7))
    );
    let timed = |decision: &&Decision| {
        let shown = decision.shown.as_ref();
        shown.is_some_and(|shown| shown.n_examples > 1)
    };
    assert!(decided.iter().any(|decision| timed(&decision)));
    again.get_by_label_contains(" done  ·  ");
}
