//! The Steer screen on an invented project: positions, the sweep and its files, presets, steps
//! back; driven through the accessibility tree.

use std::sync::Arc;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::{Event, JobEnd};
use schema::JobId;
use ui::bench::Invented;
use ui::{App, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

fn open(dictionary: &str) -> (Harness<'static, App>, Arc<Invented>) {
    open_at(StartAt {
        screen: Some(Screen::Steer),
        dictionary: Some(dictionary.to_owned()),
        feature: Some(3),
        ..StartAt::default()
    })
}

fn open_at(start: StartAt) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(200));
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

fn slide(harness: &mut Harness<'static, App>, strength: f64) {
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(strength);
    harness.run_steps(4);
}

fn undo(harness: &mut Harness<'static, App>) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(4);
}

fn redo(harness: &mut Harness<'static, App>) {
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    harness.run_steps(4);
}

fn choose(harness: &mut Harness<'static, App>, list: &str, entry: &str) {
    harness
        .get_by_role_and_label(Role::ComboBox, list)
        .scroll_to_me();
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::ComboBox, list).click();
    harness.run_steps(4);
    let entries = harness.query_all_by_label(entry);
    let last = entries.last();
    assert!(last.is_some(), "{entry} is not in {list}");
    if let Some(last) = last {
        last.click_accesskit();
    }
    harness.run_steps(2);
    if has(harness, entry) {
        harness.key_press(egui::Key::Escape);
    }
    harness.run_steps(4);
}

fn has(harness: &Harness<'static, App>, label: &str) -> bool {
    harness.query_all_by_label(label).next().is_some()
}

#[test]
fn positions_are_chosen_asked_for_and_said() {
    let (mut harness, backend) = open("films");
    slide(&mut harness, 2.0);
    choose(&mut harness, "Positions changed", "what is written");
    assert_eq!(
        backend.asked(),
        ["steer 3 by 2", "steer 3 by 2 at generated"]
    );
    harness.get_by_label_contains("the first new word is chosen before that and stays");
    harness.get_by_label("Add 2.00x to feature 3; what is written, on sample 0");
    choose(&mut harness, "Positions changed", "positions by number");
    assert_eq!(backend.asked()[2], "steer 3 by 2 at 0..1");
}

#[test]
fn the_film_that_is_looked_at_in_data_is_steered() {
    let (mut harness, _) = open_at(StartAt {
        screen: Some(Screen::Data),
        dataset: Some("films".to_owned()),
        sample: Some(7),
        ..StartAt::default()
    });
    click(&mut harness, "Steer this sample");
    assert_eq!(harness.state().screen(), Screen::Steer);
    harness.get_by_label("Radiograph films-0007. Research use, not for diagnosis");
}

#[test]
fn a_recommender_has_no_positions_to_choose() {
    let (harness, _) = open("histories");
    harness.get_by_label("Strength of feature 3");
    assert!(!has(&harness, "Positions changed"));
}

#[test]
fn gained_and_lost_are_rows_of_chips() {
    let (mut harness, _) = open("films");
    slide(&mut harness, 2.0);
    harness.get_by_label("Gained: left effusion");
    harness.get_by_label("Gained: nodule");
    harness.get_by_label("Lost");
    harness.get_by_label("none");
}

#[test]
fn the_film_fills_the_card_and_opens_large() {
    let (mut harness, _) = open("films");
    let film = harness.get_by_label("Radiograph films-0000. Research use, not for diagnosis");
    assert!(film.rect().width() > 300.0, "{:?}", film.rect());
    click(&mut harness, "Open large");
    assert_eq!(harness.state().screen(), Screen::Data);
}

#[test]
fn a_sweep_is_run_and_written() {
    let (mut harness, backend) = open("films");
    click(&mut harness, "Run the sweep");
    assert_eq!(backend.asked(), ["sweep 3 from -4 to 4 in 9 beside 3"]);
    harness.get_by_label("Progress of the sweep");
    harness.get_by_label("9 of 36 runs so far");
    assert!(!has(&harness, "Run the sweep"));
    backend.finish_sweep();
    harness.run_steps(4);
    assert!(!has(&harness, "Progress of the sweep"));
    assert!(!has(&harness, "9 of 36 runs so far"));
    // Strength, words changed, random, findings changed, random, gained, lost.
    harness.get_by_label(
        "2.00x  0.400  0.020 (0.000 to 0.040)  1.000  0.000 (0.000 to 0.000)  left effusion  none",
    );
    harness.get_by_label_contains("How much of the report changes; -4, Feature 3: 0.800");
    click(&mut harness, "Findings gained or lost");
    harness.get_by_label_contains("How many findings are gained or lost; -4, Feature 3: 0.000");
    for label in [
        "Save table as CSV…",
        "Save chart as SVG…",
        "Save chart as PNG…",
        "Save as JSON…",
        "Save as HTML…",
    ] {
        click(&mut harness, label);
    }
    assert_eq!(
        backend.asked()[1..],
        [
            "write Table of \"\" with 36 runs to /chosen",
            "write Svg(\"findings-changed\") of \"\" with 36 runs to /chosen",
            "write Png(\"findings-changed\") of \"\" with 36 runs to /chosen",
            "write Json of \"\" with 36 runs to /chosen",
            "write Page of \"\" with 36 runs to /chosen",
        ]
    );
    // Of another sample the experiment holds no sweep, and the screen says whose it shows.
    click(&mut harness, "Next sample");
    harness.get_by_label_contains("Of sample 0, as features");
    click(&mut harness, "Save as JSON…");
    let last = backend.asked().pop();
    assert_eq!(
        last.as_deref(),
        Some("write Json of \"\" with 0 runs to /chosen")
    );
}

#[test]
fn a_sweep_that_is_stopped_keeps_its_runs() {
    let (mut harness, backend) = open("histories");
    click(&mut harness, "Run the sweep");
    click(&mut harness, "Cancel the sweep");
    assert_eq!(backend.asked()[1], "cancel 53");
    harness.get_by_label("9 of 36 runs then stopped");
    harness.get_by_label_contains("Rank of the held-out item");
    harness.get_by_label_contains("4.00x  16.000  –  6.000  –  0.200  –");
    click(&mut harness, "Run the sweep");
    harness.get_by_label("9 of 36 runs so far");
}

#[test]
fn what_cannot_be_swept_is_said() {
    let (mut harness, backend) = open("films");
    click(&mut harness, "Ablate");
    harness.get_by_label_contains("To ablate has no strength to sweep");
    click(&mut harness, "Run the sweep");
    click(&mut harness, "Clamp");
    click(&mut harness, "Run the sweep");
    let asked = backend.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[2].starts_with("sweep 3"));
    let problem = "there is no sample 9".to_owned();
    backend.send(Event::Swept(JobId(53), Box::new(Err(problem.clone()))));
    backend.send(Event::JobEnded(JobId(53), JobEnd::Finished(String::new())));
    harness.run_steps(3);
    harness.get_by_label(&problem);
}

#[test]
fn sliders_features_mode_and_positions_are_taken_back() {
    let (mut harness, backend) = open("films");
    slide(&mut harness, 2.0);
    slide(&mut harness, 4.0);
    click(&mut harness, "Clamp");
    choose(&mut harness, "Positions changed", "the image");
    click(&mut harness, "Remove feature 3");
    assert!(!has(&harness, "Strength of feature 3"));
    undo(&mut harness);
    harness.get_by_label("Strength of feature 3");
    assert_eq!(
        backend.asked().pop().as_deref(),
        Some("steer 3 by 4 at image")
    );
    undo(&mut harness);
    assert_eq!(backend.asked().pop().as_deref(), Some("steer 3 by 4"));
    harness.get_by_label_contains("Clamp to 4.00x feature 3");
    undo(&mut harness);
    harness.get_by_label_contains("Add 4.00x to feature 3");
    undo(&mut harness);
    harness.get_by_label_contains("Add 2.00x to feature 3");
    redo(&mut harness);
    harness.get_by_label_contains("Add 4.00x to feature 3");
    // Something new ends what could be restored.
    slide(&mut harness, 1.0);
    redo(&mut harness);
    harness.get_by_label("There is no change to restore here");
    let ended = (0..8).any(|_| {
        undo(&mut harness);
        has(&harness, "There is no change to take back here")
    });
    assert!(ended);
    assert!(!backend.asked().iter().any(|asked| asked.contains("undo")));
}

#[test]
fn an_experiment_is_saved_used_removed_and_put_back() {
    let (mut harness, backend) = open("films");
    slide(&mut harness, 2.0);
    click(&mut harness, "Preset name");
    harness.get_by_label("Preset name").type_text("calm");
    harness.run_steps(3);
    click(&mut harness, "Save as preset");
    click(&mut harness, "Next sample");
    slide(&mut harness, -1.0);
    click(&mut harness, "Use preset calm");
    harness.get_by_label("Add 2.00x to feature 3, on sample 0");
    click(&mut harness, "Remove preset calm");
    assert!(!has(&harness, "Use preset calm"));
    undo(&mut harness);
    harness.get_by_label("Use preset calm");
    assert!(!has(&harness, "Put calm back"));
    redo(&mut harness);
    assert!(!has(&harness, "Use preset calm"));
    undo(&mut harness);
    click(&mut harness, "Save as HTML…");
    let asked = backend.asked();
    assert_eq!(
        asked,
        [
            "steer 3 by 2",
            "save calm",
            "steer 3 by 2",
            "steer 3 by -1",
            "steer 3 by 2",
            "remove calm",
            "save calm",
            "remove calm",
            "save calm",
            "write Page of \"calm\" with 0 runs to /chosen",
        ]
    );
}

#[test]
fn after_a_restart_one_button_runs_what_was_left() {
    let (mut harness, backend) = open("films");
    slide(&mut harness, 2.0);
    choose(&mut harness, "Positions changed", "the prompt");
    // The place is kept once a second.
    for _ in 0..8 {
        harness.run_steps(10);
    }
    drop(harness);
    backend.send(Event::ProjectChanged);
    let mut harness = open_on(&backend, [1280.0, 800.0], StartAt::default());
    harness.run_steps(4);
    assert_eq!(harness.state().screen(), Screen::Steer);
    harness.get_by_label("Not computed yet");
    let before = backend.asked().len();
    click(&mut harness, "Run");
    assert_eq!(backend.asked().len(), before + 1);
    assert_eq!(
        backend.asked().pop().as_deref(),
        Some("steer 3 by 2 at prompt")
    );
    harness.get_by_label("After: Small left pleural effusion.");
    assert!(!has(&harness, "Not computed yet"));
}

#[test]
fn a_random_direction_stands_beside_the_features_where_that_is_wanted() {
    let (mut harness, backend) = open("films");
    slide(&mut harness, 2.0);
    assert!(harness.query_by_label("Random direction").is_none());
    click(&mut harness, "Beside a random direction");
    harness.run_steps(4);
    let asked = backend.asked();
    assert!(
        asked.last().unwrap().ends_with("beside a random direction"),
        "{asked:?}"
    );
    harness.get_by_label("Random direction");
    harness.get_by_label("Random: lost: nodule");
    click(&mut harness, "Beside a random direction");
    harness.run_steps(4);
    assert!(harness.query_by_label("Random direction").is_none());
}

#[test]
fn a_ninth_feature_is_refused_in_words() {
    let (mut harness, _) = open("films");
    let is_told = |harness: &Harness<'static, App>| {
        let told = "is not added: eight are the most at once";
        harness.query_all_by_label_contains(told).next().is_some()
    };
    for _ in 4..12 {
        assert!(!is_told(&harness));
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Num6);
        harness.run_steps(4);
        harness.key_press(Key::J);
        harness.run_steps(4);
        click(&mut harness, "Steer this feature");
        assert_eq!(harness.state().screen(), Screen::Steer);
    }
    assert!(is_told(&harness));
}
