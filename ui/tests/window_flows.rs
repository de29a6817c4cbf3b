//! The window itself: keys that can be changed, commands of the palette, settings, the tour, and
//! every control by keyboard; on an invented project.

use std::collections::BTreeSet;
use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use ui::bench::{Invented, palette_names};
use ui::{App, Backend as _, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

fn open_again(backend: &Arc<Invented>, screen: Screen) -> Harness<'static, App> {
    let start = StartAt {
        screen: Some(screen),
        feature: Some(3),
        ..StartAt::default()
    };
    open_on(backend, [1280.0, 800.0], start)
}

fn open(screen: Screen) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(200));
    (open_again(&backend, screen), backend)
}

fn press(harness: &mut Harness<'static, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(4);
}

/// What a command of the palette does: leads to a place, asks the engine, or shows something.
enum Does {
    Leads(&'static str),
    Asks(&'static str),
    Shows(&'static str),
    Hides(&'static str),
    /// On the film.
    Draws(&'static str),
}

fn palette_table() -> Vec<(&'static str, Does)> {
    use Does::{Asks, Draws, Hides, Leads, Shows};
    vec![
        ("Go to Start", Leads("Start")),
        ("Go to Data", Leads("Data")),
        ("Go to Models", Leads("Models")),
        ("Go to Train", Leads("Train")),
        ("Go to Gallery", Leads("Gallery")),
        ("Go to Feature", Leads("Feature")),
        ("Go to Review", Leads("Review")),
        ("Go to Steer", Leads("Steer")),
        ("Go to Evaluate", Leads("Evaluate")),
        ("Go to Settings", Leads("Settings")),
        ("Two dictionaries side by side", Leads("Gallery")),
        ("Dark or light", Shows("Switch to Dark")),
        ("Main panel alone, or all panels", Shows("Show all panels")),
        ("Open a project", Asks("open /chosen")),
        ("New project", Asks("new /chosen")),
        (
            "Take the last decision or step back",
            Shows("There is no decision to take back"),
        ),
        (
            "Restore what was taken back",
            Shows("There is nothing to restore"),
        ),
        ("Show or hide heatmaps", Hides("Heatmap")),
        ("Heatmap raw or smooth", Draws("Heatmap, raw")),
        ("Heatmap as contours", Draws("Contours at 25, 50 and 75 %")),
        ("Keys and words", Shows("Copy all keys")),
        ("Next feature", Shows("Feature 4")),
        ("Previous feature", Shows("Feature 2")),
        ("Blind: hide the proposal", Leads("Review")),
        ("Train a dictionary", Leads("Train")),
        ("Import a dictionary", Shows("From another tool")),
        (
            "Export a dictionary",
            Shows("Export films for another tool"),
        ),
        ("Add a model", Shows("Kept in memory")),
        ("Train a recommender", Leads("Models")),
        ("Import a recommender", Leads("Models")),
        ("Concepts of a recommender", Leads("Gallery")),
        ("Review labels", Leads("Review")),
        ("Review: disagreements", Leads("Review")),
        ("Review: agreement of readers", Leads("Review")),
        ("Review: detection test", Leads("Review")),
        ("Close the project", Shows("No project")),
        ("Take the tour", Shows("Tour, step 1 of 5")),
        ("Layout for readers", Hides("Models")),
        ("Layout for researchers", Shows("Models")),
        ("Larger text and films", Shows("Feature 3")),
        ("Usual size", Shows("Feature 3")),
    ]
}

#[test]
fn every_command_of_the_palette_does_what_it_says() {
    let table = palette_table();
    let named: BTreeSet<&str> = table.iter().map(|(name, _)| *name).collect();
    let listed: BTreeSet<&str> = palette_names().into_iter().collect();
    assert_eq!(named, listed);
    for (name, does) in table {
        let (mut harness, backend) = open(Screen::Feature);
        press(&mut harness, Modifiers::COMMAND, Key::K);
        harness.get_by_label("Search").type_text(name);
        harness.run_steps(3);
        press(&mut harness, Modifiers::NONE, Key::Enter);
        harness.run_steps(4);
        match does {
            Does::Leads(screen) => assert_eq!(harness.state().screen().name(), screen, "{name}"),
            Does::Asks(asked) => {
                let all = backend.asked();
                assert!(all.iter().any(|one| one == asked), "{name}: {all:?}");
            }
            Does::Shows(label) => {
                assert!(
                    harness.query_all_by_label_contains(label).next().is_some(),
                    "{name}: no {label}"
                );
            }
            Does::Draws(text) => {
                let mut films = harness.query_all_by_label_contains("Radiograph");
                let drawn = films.find_map(|film| film.accesskit_node().description());
                let drawn = drawn.unwrap_or_default();
                assert!(drawn.starts_with(text), "{name}: {drawn}");
            }
            Does::Hides(label) => {
                let shown = harness.query_by_label(label);
                let is_off = shown.is_none_or(|node| {
                    let toggled = node.accesskit_node().toggled();
                    toggled == Some(egui::accesskit::Toggled::False)
                });
                assert!(is_off, "{name}: {label} is there");
            }
        }
    }
}

#[test]
fn a_key_can_be_changed_and_is_kept() {
    let backend = Arc::new(Invented::new(200));
    backend.set_reviewer("Ada");
    let mut harness = open_again(&backend, Screen::Settings);
    click(&mut harness, "Key of Accept the proposal: A");
    harness.get_by_label("Key of Accept the proposal: Press a key…");
    // The new key does nothing else meanwhile.
    press(&mut harness, Modifiers::COMMAND, Key::D);
    let refused = "Ctrl+D is the key of \"Two dictionaries side by side\"";
    assert!(
        harness
            .query_all_by_label_contains(refused)
            .next()
            .is_some()
    );
    assert_eq!(harness.state().screen(), Screen::Settings);
    harness.get_by_label("Key of Accept the proposal: A");
    click(&mut harness, "Key of Accept the proposal: A");
    press(&mut harness, Modifiers::NONE, Key::Q);
    harness.get_by_label("Key of Accept the proposal: Q");
    press(&mut harness, Modifiers::COMMAND, Key::Num6);
    press(&mut harness, Modifiers::NONE, Key::A);
    assert!(backend.decisions().is_empty());
    press(&mut harness, Modifiers::NONE, Key::Q);
    assert_eq!(backend.decisions().len(), 1);
    harness.get_by_label("Accept");

    drop(harness);
    let mut again = open_again(&backend, Screen::Settings);
    again.get_by_label("Key of Accept the proposal: Q");
    click(&mut again, "Key of Accept the proposal as from the start");
    again.get_by_label("Key of Accept the proposal: A");
    click(&mut again, "Key of Invert: I");
    press(&mut again, Modifiers::NONE, Key::Delete);
    again.get_by_label("Key of Invert: none");
    click(&mut again, "All as from the start");
    again.get_by_label("Key of Invert: I");
}

#[test]
fn settings_are_asked_of_the_engine_and_refusals_are_told() {
    let (mut harness, backend) = open(Screen::Settings);
    click(&mut harness, "Device: CPU");
    let asked = backend.asked();
    assert!(asked.last().unwrap().contains("device: Cpu"), "{asked:?}");
    click(&mut harness, "Model");
    harness
        .get_by_label("Model")
        .type_text("https://example.org/v1");
    harness.run_steps(2);
    press(&mut harness, Modifiers::NONE, Key::Enter);
    harness.get_by_label("https://example.org/v1: https is not spoken here");
    click(&mut harness, "Light theme");
    harness.get_by_label("Switch to Dark");
    click(&mut harness, "Size 150 %");
    assert!((harness.ctx.zoom_factor() - 1.5).abs() < 1e-3);
    click(&mut harness, "Size 100 %");
    click(&mut harness, "Layout for a reader");
    assert!(harness.query_by_label("Train").is_none());
    click(&mut harness, "Layout for a researcher");
    harness.get_by_label("Train");
}

/// A model of another computer, asked for in the gallery: the question, with what would be sent.
fn asks_elsewhere() -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(200));
    let elsewhere = engine::views::Preferences {
        language_model: "http://10.0.0.7:8080/v1#little".to_owned(),
        ..engine::views::Preferences::default()
    };
    assert!(ui::Backend::set_preferences(&*backend, elsewhere).is_ok());
    let mut harness = open_again(&backend, Screen::Gallery);
    ask_elsewhere(&mut harness);
    (harness, backend)
}

fn ask_elsewhere(harness: &mut Harness<'static, App>) {
    click(harness, "Explain features of films");
    click(harness, "v1#little: every feature");
    harness.run_steps(4);
}

fn explained(backend: &Invented) -> usize {
    let asked = backend.asked();
    asked
        .iter()
        .filter(|one| one.starts_with("explain films"))
        .count()
}

#[test]
fn nothing_goes_to_another_computer_before_one_has_seen_it_and_said_so() {
    let (mut harness, backend) = asks_elsewhere();
    harness.get_by_label("Send to http://10.0.0.7:8080/v1?");
    harness.get_by_label("20: explanations, one for each feature");
    harness.get_by_label("dates, names behind Dr.");
    harness.get_by_label_contains("unencrypted");
    let request = harness.get_by_label("The first request, as it would be sent");
    assert!(request.value().unwrap().contains("Seen by [name]"));
    click(&mut harness, "Cancel");
    assert!(harness.query_by_label_contains("Send to http").is_none());
    let asked = backend.asked();
    assert!(
        !asked.iter().any(|one| one.starts_with("allow")),
        "{asked:?}"
    );
    assert_eq!(explained(&backend), 0);
    // It is asked again the next time.
    ask_elsewhere(&mut harness);
    harness.get_by_label("Cancel");
}

#[test]
fn leave_to_send_holds_until_it_is_taken_back_in_the_settings() {
    let (mut harness, backend) = asks_elsewhere();
    click(&mut harness, "Send to http://10.0.0.7:8080/v1");
    assert!(
        backend
            .asked()
            .contains(&"allow http://10.0.0.7:8080/v1".to_owned())
    );
    assert_eq!(explained(&backend), 1);
    harness.get_by_label_contains("a language model elsewhere may be asked");
    ask_elsewhere(&mut harness);
    assert!(harness.query_by_label_contains("Send to http").is_none());
    assert_eq!(explained(&backend), 2);
    let mut settings = open_again(&backend, Screen::Settings);
    settings.get_by_label("http://10.0.0.7:8080/v1, since 2026-11-28");
    click(
        &mut settings,
        "Send nothing more to http://10.0.0.7:8080/v1",
    );
    assert!(
        backend
            .asked()
            .contains(&"revoke http://10.0.0.7:8080/v1".to_owned())
    );
    settings.get_by_label_contains("unless you allow it");
    ask_elsewhere(&mut harness);
    harness.get_by_label("Send to http://10.0.0.7:8080/v1?");
    assert_eq!(explained(&backend), 2);
}

#[test]
fn the_tour_goes_through_five_places_and_does_not_come_back() {
    let (mut harness, _) = open(Screen::Settings);
    click(&mut harness, "Take the tour");
    for (step, screen) in [
        Screen::Gallery,
        Screen::Feature,
        Screen::Review,
        Screen::Steer,
        Screen::Data,
    ]
    .into_iter()
    .enumerate()
    {
        harness.get_by_label(&format!("Tour, step {} of 5", step + 1));
        assert_eq!(harness.state().screen(), screen);
        click(&mut harness, "Next step of the tour");
    }
    assert!(harness.query_by_label_contains("Tour, step").is_none());
}

#[test]
fn going_elsewhere_ends_the_tour() {
    let (mut harness, _) = open(Screen::Settings);
    click(&mut harness, "Take the tour");
    harness.get_by_label("Tour, step 1 of 5");
    press(&mut harness, Modifiers::COMMAND, Key::Num8);
    assert!(harness.query_by_label_contains("Tour, step").is_none());
}

#[test]
fn the_first_demo_starts_the_tour_once() {
    let (mut harness, backend) = open(Screen::Start);
    click(&mut harness, "Build the demo project");
    let made = engine::views::JobEnd::Finished("The demo is ready".to_owned());
    backend.send(engine::views::Event::JobEnded(
        schema::JobId(1),
        made.clone(),
    ));
    harness.run_steps(5);
    harness.get_by_label("Tour, step 1 of 5");
    click(&mut harness, "End the tour");
    backend.send(engine::views::Event::JobEnded(schema::JobId(1), made));
    harness.run_steps(5);
    assert!(harness.query_by_label_contains("Tour, step").is_none());
}

#[test]
fn a_dictionary_of_films_can_be_explained_from_the_gallery() {
    let (mut harness, backend) = open(Screen::Gallery);
    click(&mut harness, "Explain features of films");
    click(&mut harness, "From keywords");
    assert_eq!(backend.asked().last().unwrap(), "explain films by Keywords");
}

#[test]
fn two_films_are_compared() {
    let (mut harness, _) = open(Screen::Feature);
    let films = |harness: &Harness<'static, App>| {
        let all = harness.query_all_by_label_contains("Research use, not for diagnosis");
        all.filter(|node| node.accesskit_node().role() == egui::accesskit::Role::Image)
            .filter_map(|node| node.accesskit_node().label())
            .collect::<Vec<String>>()
    };
    assert!(!films(&harness).is_empty());
    click(&mut harness, "Compare");
    press(&mut harness, Modifiers::NONE, Key::ArrowRight);
    let both = films(&harness);
    assert_eq!(both.len(), 2);
    assert_ne!(both[0], both[1]);
    click(&mut harness, "Compare");
    let left = films(&harness);
    assert!(
        left.contains(&both[1]) && !left.contains(&both[0]),
        "{left:?}"
    );
}

/// Labels of all controls that can be clicked or typed in, but for those of the frame of the window.
fn controls(harness: &Harness<'static, App>) -> BTreeSet<String> {
    let nodes = harness.root().children_recursive();
    nodes
        .map(|node| node.accesskit_node())
        .filter(|node| {
            use egui::accesskit::Role;
            let kinds = [
                Role::Button,
                Role::CheckBox,
                Role::TextInput,
                Role::Slider,
                Role::ComboBox,
                Role::SpinButton,
                Role::RadioButton,
                Role::Link,
            ];
            kinds.contains(&node.role()) && !node.is_hidden() && !node.is_disabled()
        })
        .filter_map(|node| node.label())
        .collect()
}

#[test]
fn every_control_is_reached_by_tab() {
    for screen in Screen::ALL {
        let (mut harness, _) = open(screen);
        let wanted = controls(&harness);
        assert!(wanted.len() > 8, "{screen:?}: {wanted:?}");
        let mut reached = BTreeSet::new();
        for _ in 0..2 * wanted.len() + 60 {
            harness.key_press(Key::Tab);
            harness.run_steps(2);
            let nodes = harness.root().children_recursive();
            let focused = nodes
                .map(|node| node.accesskit_node())
                .find(egui_kittest::kittest::AccessKitNode::is_focused);
            if let Some(label) = focused.and_then(|node| node.label()) {
                reached.insert(label);
            }
            if wanted.is_subset(&reached) {
                break;
            }
        }
        // What came on its way, such as a forecast, takes its button with it.
        let still = controls(&harness);
        let missed: Vec<&String> = wanted
            .difference(&reached)
            .filter(|label| still.contains(*label))
            .collect();
        assert!(missed.is_empty(), "{screen:?}: {missed:?}");
    }
}
