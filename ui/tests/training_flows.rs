//! The training screen, driven through the accessibility tree, on an invented project.

use std::sync::Arc;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, Node};
use ui::bench::Invented;
use ui::{App, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

fn open() -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(100));
    let start = StartAt {
        screen: Some(Screen::Train),
        ..StartAt::default()
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
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

fn open_list(harness: &mut Harness<'static, App>, list: &str) {
    let node = |harness: &Harness<'static, App>, act: &dyn Fn(&Node<'_>)| {
        act(&harness.get_by_role_and_label(Role::ComboBox, list));
    };
    node(harness, &|node| node.scroll_to_me());
    harness.run_steps(3);
    node(harness, &|node| node.click());
    harness.run_steps(4);
}

/// Opens a list and takes one of its entries.
fn choose(harness: &mut Harness<'static, App>, list: &str, entry: &str) {
    open_list(harness, list);
    harness.get_by_label(entry).click();
    harness.run_steps(4);
}

#[test]
fn the_mean_is_taken_off_the_rows_in_one_click_and_put_back() {
    let (mut harness, _) = open();
    choose(&mut harness, "Variant", "ReLU");
    rest(&mut harness);
    harness.get_by_label_contains("many may stay dead");
    click(&mut harness, "Take the mean off the rows");
    rest(&mut harness);
    harness.get_by_label_contains("Their mean is taken off them before training");
    let button = |harness: &Harness<'static, App>| {
        harness
            .query_by_label("Take the mean off the rows")
            .is_some()
    };
    assert!(!button(&harness));
    click(&mut harness, "Advanced settings");
    rest(&mut harness);
    // Shown, and undone there.
    click(&mut harness, "Train on rows less their mean");
    rest(&mut harness);
    harness.get_by_label_contains("many may stay dead");
    assert!(button(&harness));
}

#[test]
fn a_recipe_offers_its_own_variants_and_what_does_not_fit_is_said() {
    let (mut harness, backend) = open();
    choose(&mut harness, "Variant", "Gated");
    click(&mut harness, "Advanced settings");
    rest(&mut harness);
    choose(&mut harness, "Recipe", "sparsify");
    harness.get_by_label_contains("TopK and GroupMax as EleutherAI trains them");
    open_list(&mut harness, "Variant");
    assert!(harness.query_by_label("Gated").is_none());
    harness.get_by_label("GroupMax").click();
    harness.run_steps(4);
    harness.get_by_label_contains("The strongest of each of k equal groups");
    harness.get_by_label("768 features");
    harness
        .get_by_label("Active features k")
        .set_value_accesskit(7.0);
    harness.run_steps(4);
    harness.get_by_label_contains("expected a divisor of the 768 features");
    click(&mut harness, "Start training");
    assert!(asked(&backend).is_empty());
    harness
        .get_by_label("Active features k")
        .set_value_accesskit(8.0);
    harness.run_steps(4);
    click(&mut harness, "Start training");
    assert_eq!(asked(&backend), ["train films-own"]);
}

#[test]
fn a_queued_run_can_only_be_taken_out() {
    let (mut harness, backend) = open();
    click(&mut harness, "Several at once");
    harness.get_by_label("Values of k").focus();
    harness.run_steps(2);
    harness.get_by_label("Values of k").type_text("4, 8, 12");
    harness.run_steps(4);
    click(&mut harness, "Train 3 dictionaries");
    harness.get_by_label("Run films-standard-k12, Queued");
    click(&mut harness, "Run films-standard-k8, Queued");
    harness.get_by_label_contains("it begins when the runs before it are done");
    for absent in ["Resume", "Discard", "Stop and keep"] {
        assert!(harness.query_by_label(absent).is_none(), "{absent}");
    }
    click(&mut harness, "Take out");
    assert_eq!(asked(&backend)[1..], ["take out films-standard-k8"]);
    harness.get_by_label("Run films-standard-k12, Queued");
    harness.get_by_label("Run films-standard-k8, Not begun");
    click(&mut harness, "Discard");
    harness.get_by_label_contains("Really discard?");
    click(&mut harness, "Keep");
    assert!(harness.query_by_label_contains("Really discard?").is_none());
    assert_eq!(asked(&backend).len(), 2);
    click(&mut harness, "Discard");
    click(&mut harness, "Discard");
    assert_eq!(asked(&backend)[2..], ["discard films-standard-k8"]);
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
    // Escape and another run keep it.
    click(&mut harness, "Discard");
    harness.get_by_label_contains("Really discard?");
    harness.key_press(egui::Key::Escape);
    harness.run_steps(4);
    assert!(harness.query_by_label("Keep").is_none());
    click(&mut harness, "Discard");
    harness.get_by_label("Keep");
    click(&mut harness, "Run films-k16, Ready");
    click(&mut harness, "Run films-stopped, Stopped at 1\u{a0}200");
    assert!(harness.query_by_label("Keep").is_none());
    assert_eq!(asked(&backend), ["resume films-stopped"]);
    click(&mut harness, "Discard");
    click(&mut harness, "Discard");
    assert_eq!(
        asked(&backend),
        ["resume films-stopped", "discard films-stopped"]
    );
    click(&mut harness, "Run films-k16, Ready");
    click(&mut harness, "Open the gallery");
    assert_eq!(harness.state().screen(), Screen::Gallery);
}
