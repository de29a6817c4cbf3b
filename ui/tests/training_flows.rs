//! The training screen, driven through the accessibility tree, on an invented project.

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use ui::bench::Invented;
use ui::{App, Options, Screen, StartAt, Waker};

fn open() -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(100));
    let options = Options {
        start: StartAt {
            screen: Some(Screen::Train),
            ..StartAt::default()
        },
        ..Options::default()
    };
    let door: Arc<Invented> = Arc::clone(&backend);
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .build_eframe(move |cc| App::new(&cc.egui_ctx, door, &Waker::default(), options));
    harness.run_steps(6);
    (harness, backend)
}

fn click(harness: &mut Harness<'static, App>, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run_steps(3);
    harness.get_by_label(label).click();
    harness.run_steps(4);
}

/// What was asked for beside forecasts.
fn asked(backend: &Invented) -> Vec<String> {
    let mut asked = backend.asked();
    asked.retain(|one| !one.starts_with("forecast"));
    asked
}

/// Long enough for settings to have come to rest.
fn rest(harness: &mut Harness<'static, App>) {
    harness.run_steps(80);
}

#[test]
fn settings_that_rest_are_forecast_once() {
    let (mut harness, backend) = open();
    rest(&mut harness);
    assert_eq!(backend.asked(), ["forecast k 16"]);
    harness.get_by_label("Rows 128\u{a0}000");
    harness.get_by_label_contains("mean to spread 2.31");
    rest(&mut harness);
    assert_eq!(backend.asked().len(), 1);
    harness
        .get_by_label("Active features k")
        .set_value_accesskit(24.0);
    rest(&mut harness);
    assert_eq!(backend.asked(), ["forecast k 16", "forecast k 24"]);
    harness.get_by_label("Your own settings.");
}

#[test]
fn a_preset_says_when_to_take_it_and_sets_the_dictionary() {
    let (mut harness, _) = open();
    click(&mut harness, "Preset Matryoshka");
    harness.get_by_label_contains("Nested: the first features");
    harness.get_by_label("768 features");
    harness.get_by_label("The first 24, 72, 168, 360, 768 features");
    harness
        .get_by_label("Nested prefixes")
        .set_value_accesskit(3.0);
    harness.run_steps(4);
    harness.get_by_label("The first 192, 384, 768 features");
}

#[test]
fn a_recommender_is_looked_at_where_it_ranks() {
    let (mut harness, _) = open();
    click(&mut harness, "Model invented-ranker");
    harness.get_by_label_contains("the user vector that ranks");
    harness.get_by_label("Train on histories");
    assert!(harness.query_by_label("Train on films").is_none());
    harness.get_by_label_contains("For user vectors of a recommender");
    harness.get_by_label("1\u{a0}024 features");
}

#[test]
fn a_run_starts_pauses_and_stops() {
    let (mut harness, backend) = open();
    rest(&mut harness);
    click(&mut harness, "Start training");
    assert_eq!(asked(&backend), ["train films-standard"]);
    // In the bar at the bottom and in the run's own card.
    let progress = harness.query_all_by_label_contains("1\u{a0}200 of 4\u{a0}000 steps");
    assert_eq!(progress.count(), 2);
    harness.get_by_label("Rows 187\u{a0}000/s");
    harness.get_by_label_contains("FVU of the batch 0.");
    click(&mut harness, "Pause training");
    click(&mut harness, "Go on training");
    click(&mut harness, "Stop and keep");
    assert_eq!(
        asked(&backend)[1..],
        ["pause 21 true", "pause 21 false", "cancel 21"]
    );
    harness.get_by_label("Resume");
}

#[test]
fn a_name_that_is_taken_cannot_be_started() {
    let (mut harness, backend) = open();
    rest(&mut harness);
    let field = harness.get_by_label("Name");
    field.focus();
    harness.run_steps(2);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness.run_steps(1);
    harness.get_by_label("Name").type_text("films");
    harness.run_steps(4);
    harness.get_by_label("There is a dictionary of this name; choose another name");
    click(&mut harness, "Start training");
    assert!(asked(&backend).is_empty());
}

#[test]
fn several_are_trained_in_one_go() {
    let (mut harness, backend) = open();
    click(&mut harness, "Several at once");
    harness.get_by_label("Values of k").focus();
    harness.run_steps(2);
    harness.get_by_label("Values of k").type_text("4, 8, many");
    harness.run_steps(4);
    harness.get_by_label_contains("\"many\" is no number above 0");
    for _ in 0.."many".len() {
        harness.key_press(egui::Key::Backspace);
        harness.run_steps(1);
    }
    harness.run_steps(4);
    click(&mut harness, "Train 2 dictionaries");
    assert_eq!(
        asked(&backend),
        ["train films-standard-k4, films-standard-k8"]
    );
}

#[test]
fn runs_are_compared_and_what_was_stopped_goes_on() {
    let (mut harness, backend) = open();
    harness.get_by_label("L0 and FVU of 5 dictionaries; on the front: films-k4, films, films-wide");
    click(&mut harness, "Run films-stopped, Stopped at 1\u{a0}200");
    harness.get_by_label_contains("step 1\u{a0}200 is kept");
    click(&mut harness, "Resume");
    click(&mut harness, "Discard");
    assert_eq!(
        asked(&backend),
        ["resume films-stopped", "discard films-stopped"]
    );
    click(&mut harness, "Run films-k16, Ready");
    click(&mut harness, "Open the gallery");
    assert_eq!(harness.state().screen(), Screen::Gallery);
}
