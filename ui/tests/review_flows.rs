//! The review, driven by keys and through the accessibility tree, on an invented project.

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::QueueOrder;
use schema::{ReviewMode, ReviewState};
use ui::bench::Invented;
use ui::{App, Backend as _, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

fn open_again(backend: &Arc<Invented>, dictionary: &str) -> Harness<'static, App> {
    let start = StartAt {
        screen: Some(Screen::Review),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    open_on(backend, [1280.0, 800.0], start)
}

fn open(dictionary: &str) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(300));
    (open_again(&backend, dictionary), backend)
}

fn begun(dictionary: &str) -> (Harness<'static, App>, Arc<Invented>) {
    let (mut harness, backend) = open(dictionary);
    harness.get_by_label("Who reviews?");
    type_in(&mut harness, "Ada");
    press(&mut harness, Key::Enter);
    (harness, backend)
}

fn type_in(harness: &mut Harness<'static, App>, text: &str) {
    harness.event(egui::Event::Text(text.to_owned()));
    harness.run_steps(3);
}

fn press(harness: &mut Harness<'static, App>, key: Key) {
    harness.key_press(key);
    harness.run_steps(4);
}

#[test]
fn decisions_come_from_readers_elsewhere_and_go_to_them() {
    let (mut harness, backend) = begun("films");
    click(&mut harness, "Agreement");
    for button in [
        "Write a packet…",
        "Take decisions in…",
        "Hand decisions out…",
    ] {
        click(&mut harness, button);
    }
    let asked: Vec<String> = backend
        .asked()
        .into_iter()
        .filter(|asked| asked.starts_with("exchange decisions"))
        .collect();
    assert_eq!(
        asked,
        [
            "exchange decisions on films, Packet { limit: 40, write_first: false }, /chosen",
            "exchange decisions on films, TakeIn, /chosen",
            "exchange decisions on films, HandOut, /chosen",
        ]
    );
}

#[test]
fn the_name_is_asked_once_and_a_project_goes_on_where_it_was() {
    let (mut harness, backend) = begun("films");
    harness.get_by_label("Reviewer: Ada");
    harness.get_by_label("Feature 0");
    press(&mut harness, Key::A);
    press(&mut harness, Key::J);
    harness.get_by_label("Feature 14");
    drop(harness);
    let harness = open_again(&backend, "films");
    harness.get_by_label("Reviewer: Ada");
    harness.get_by_label("Feature 14");
    harness.get_by_label_contains("1 of 40 done");
}

#[test]
fn the_queue_begins_with_the_clearest_and_says_what_it_counts() {
    let (mut harness, backend) = begun("films");
    harness.get_by_label_contains("0 of 40 done");
    harness.get_by_label(
        "38 features with a proposed label and 2 checks · not here: 31 without a proposal, 4 never \
         active",
    );
    harness.get_by_label("Queue order");
    press(&mut harness, Key::A);
    let place = backend.review_place("films").unwrap().unwrap();
    assert_eq!(place.queue.order, QueueOrder::Clearest);
}

#[test]
fn a_decision_carries_what_was_looked_at_and_how_sure_one_is() {
    let (mut harness, backend) = begun("films");
    press(&mut harness, Key::ArrowRight);
    press(&mut harness, Key::ArrowRight);
    press(&mut harness, Key::Num8);
    press(&mut harness, Key::F);
    harness.get_by_label("Flagged");
    press(&mut harness, Key::X);
    harness.get_by_label("saved  Feature 0 rejected");
    let decision = backend.decisions()[0].clone();
    assert_eq!(decision.reviewer, "Ada");
    assert_eq!(decision.state, ReviewState::Rejected);
    assert_eq!((decision.confidence, decision.flagged), (Some(8), true));
    let shown = decision.shown.unwrap_or_default();
    assert_eq!(shown.n_examples, 3);
    assert!(shown.heatmap && !shown.window_changed);
    assert!(shown.milliseconds > 0);
}

#[test]
fn a_decision_is_taken_back_and_restored() {
    let (mut harness, backend) = begun("histories");
    press(&mut harness, Key::A);
    press(&mut harness, Key::U);
    harness.get_by_label("Feature 14");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(4);
    harness.get_by_label("Feature 7");
    harness.get_by_label("taken back  Feature 7 unsure");
    assert_eq!(backend.decisions().len(), 1);
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    harness.run_steps(4);
    harness.get_by_label("saved  Feature 7 unsure");
    assert_eq!(backend.decisions().len(), 2);
}

#[test]
fn what_is_written_first_is_kept_beside_the_decision() {
    let (mut harness, backend) = begun("reports");
    click(&mut harness, "When the proposal is shown");
    click(&mut harness, "Write first");
    assert!(harness.query_by_label("effusion, pleural, left").is_none());
    // Letters belong into the field.
    type_in(&mut harness, "fluid");
    press(&mut harness, Key::A);
    assert!(backend.decisions().is_empty());
    press(&mut harness, Key::Enter);
    harness.get_by_label("effusion, pleural, left");
    harness.get_by_label("You wrote: fluid");
    press(&mut harness, Key::A);
    let decision = backend.decisions()[0].clone();
    assert_eq!(decision.state, ReviewState::Accepted);
    assert_eq!(decision.wrote_first, "fluid");
    assert_eq!(
        decision.shown.unwrap_or_default().mode,
        ReviewMode::WriteFirst
    );
    // The next one is hidden again.
    assert!(harness.query_by_label("effusion, pleural, left").is_none());
}

#[test]
fn blind_mode_hides_the_proposal_and_stays_at_the_feature() {
    let (mut harness, backend) = begun("films");
    press(&mut harness, Key::S);
    harness.get_by_label("Feature 7");
    harness.get_by_label("effusion, pleural, left");
    press(&mut harness, Key::B);
    harness.get_by_label("Feature 7");
    assert!(harness.query_by_label("effusion, pleural, left").is_none());
    // There is nothing to accept.
    press(&mut harness, Key::A);
    assert_eq!(backend.decisions().len(), 1);
    press(&mut harness, Key::B);
    harness.get_by_label("effusion, pleural, left");
}

#[test]
fn the_report_of_a_film_is_at_hand_where_it_gives_nothing_away() {
    const WORDS: &str = "Report and findings of this film";
    const REPORT: &str = "Small left pleural effusion.";
    let (mut harness, _) = begun("films");
    assert!(harness.query_by_label(REPORT).is_none());
    click(&mut harness, WORDS);
    harness.get_by_label(REPORT);
    press(&mut harness, Key::B);
    assert!(harness.query_by_label(WORDS).is_none());
    assert!(harness.query_by_label(REPORT).is_none());
    press(&mut harness, Key::B);
    harness.get_by_label(WORDS);
    click(&mut harness, "When the proposal is shown");
    click(&mut harness, "Write first");
    assert!(harness.query_by_label(WORDS).is_none());
    type_in(&mut harness, "fluid");
    press(&mut harness, Key::Enter);
    harness.get_by_label(WORDS);
}

#[test]
fn half_written_labels_are_there_again() {
    let (mut harness, backend) = begun("films");
    press(&mut harness, Key::E);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    type_in(&mut harness, "raised dia");
    press(&mut harness, Key::Escape);
    // Left, and so forgotten.
    assert!(harness.query_by_label("Label text").is_none());
    press(&mut harness, Key::E);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    type_in(&mut harness, "raised dia");
    harness.run_steps(90);
    drop(harness);
    let mut harness = open_again(&backend, "films");
    harness.get_by_label("Label text");
    press(&mut harness, Key::E);
    type_in(&mut harness, "phragm");
    press(&mut harness, Key::Enter);
    assert_eq!(backend.decisions()[0].text, "raised diaphragm");
    assert_eq!(backend.decisions()[0].state, ReviewState::Edited);
}

#[test]
fn agreement_and_disagreements_are_shown_and_lead_to_the_feature() {
    let (mut harness, _) = begun("films");
    click(&mut harness, "Agreement");
    harness.get_by_label_contains("Ada and Ben  38  0.87 (0.73 to 0.97)");
    harness.get_by_label_contains("Ada: accepted 1 of 12 traps, 8.3 %");
    harness.get_by_label_contains("Ada, repeats  38");
    click(&mut harness, "Disagreements");
    harness.get_by_label("Ben: raised left diaphragm");
    harness.get_by_label_contains("settled by Cleo: left effusion");
    click(&mut harness, "Settle feature 7");
    harness.get_by_label("Feature 7");
}

#[test]
fn the_detection_test_is_answered_by_keys() {
    let (mut harness, backend) = begun("films");
    click(&mut harness, "Detection test");
    harness.get_by_label("Results appear here, by feature and reader");
    click(&mut harness, "Begin the test");
    harness.get_by_label_contains("Case 1 of 6, 0 answered");
    for at in 0..6 {
        press(&mut harness, if at % 3 == 0 { Key::N } else { Key::Y });
    }
    harness.get_by_label_contains("6 answered");
    press(&mut harness, Key::Enter);
    harness.get_by_label_contains("Told rightly: ");
    harness.get_by_label_contains("of 3 active cases");
    assert!(backend.decisions().is_empty());
}

#[test]
fn a_test_of_people_stands_beside_its_judge_and_has_other_cases_the_next_time() {
    let (mut harness, backend) = begun("films");
    click(&mut harness, "Detection test");
    for seed in 0..2 {
        click(&mut harness, "Begin the test");
        harness.get_by_label("The cases of keywords");
        for _ in 0..6 {
            press(&mut harness, Key::Y);
        }
        press(&mut harness, Key::Enter);
        harness.get_by_label_contains("keywords on the same cases: 75");
        let asked = backend.asked();
        let test = format!("detection test of films 0, seed {seed}");
        assert!(asked.contains(&test), "{asked:?}");
    }
}

#[test]
fn a_proposal_that_changes_is_on_the_screen_before_it_is_judged() {
    let (mut harness, backend) = begun("films");
    harness.get_by_label("effusion, pleural, left");
    backend.propose("pneumothorax, left");
    harness.run_steps(4);
    harness.get_by_label("pneumothorax, left");
    press(&mut harness, Key::X);
    let decision = backend.decisions()[0].clone();
    assert_eq!(
        decision.shown.unwrap_or_default().text,
        "pneumothorax, left"
    );
    // What is being written stays; it is refused, and there again beside the new proposal.
    press(&mut harness, Key::E);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    type_in(&mut harness, "own words");
    backend.propose("raised diaphragm");
    harness.run_steps(4);
    press(&mut harness, Key::Enter);
    harness.run_steps(4);
    harness.get_by_label("the proposal has changed meanwhile: look at it again");
    assert_eq!(backend.decisions().len(), 1);
    harness.get_by_label("Feature 7");
    harness.get_by_label("Label text");
    harness.get_by_label("raised diaphragm");
}

#[test]
fn a_flag_stands_in_the_history_of_decisions() {
    let (mut harness, _) = begun("films");
    press(&mut harness, Key::F);
    press(&mut harness, Key::X);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num6);
    harness.run_steps(4);
    assert_eq!(harness.state().screen(), Screen::Feature);
    let mut told = harness.query_all_by_label_contains(", flagged");
    assert!(told.next().is_some());
}

#[test]
fn a_decision_out_of_sight_is_not_taken_back() {
    let (mut harness, backend) = begun("films");
    press(&mut harness, Key::X);
    let undo = |harness: &mut Harness<'static, App>| {
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
        harness.run_steps(4);
    };
    // Behind the sheet of keys.
    harness.key_press(Key::Questionmark);
    harness.run_steps(4);
    harness.get_by_label("Copy all keys");
    undo(&mut harness);
    assert_eq!(backend.decisions().len(), 1);
    click(&mut harness, "Close");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num5);
    harness.run_steps(4);
    undo(&mut harness);
    assert_eq!(backend.decisions().len(), 1);
    harness.get_by_label("Undo works on Feature, Review and Steer");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num7);
    harness.run_steps(4);
    undo(&mut harness);
    assert!(backend.decisions().is_empty());
    harness.get_by_label("Taken back: feature 0 of films");
}

#[test]
fn the_palette_leads_to_the_review() {
    let (mut harness, _) = begun("films");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num1);
    harness.run_steps(3);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(3);
    type_in(&mut harness, "agreement of");
    press(&mut harness, Key::Enter);
    assert_eq!(harness.state().screen(), Screen::Review);
    harness.get_by_label_contains("Ada and Ben");
}
