//! The film viewer through the accessibility tree: contours, layers of boxes, films of a study.

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use ui::bench::Invented;
use ui::{App, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

const SAFETY: &str = "Research use, not for diagnosis";

fn open(screen: Screen, start: StartAt) -> Harness<'static, App> {
    let backend = Arc::new(Invented::new(2_000));
    let start = StartAt {
        screen: Some(screen),
        ..start
    };
    open_on(&backend, [1600.0, 1000.0], start)
}

#[test]
fn a_film_is_saved_as_it_is_looked_at_under_no_name() {
    let backend = Arc::new(Invented::new(2_000));
    let start = StartAt {
        screen: Some(Screen::Feature),
        dictionary: Some("films".to_owned()),
        feature: Some(2),
        ..StartAt::default()
    };
    let mut harness = open_on(&backend, [1600.0, 1000.0], start);
    click(&mut harness, "Contours");
    click(&mut harness, "Marked");
    click(&mut harness, "Invert");
    click(&mut harness, "Save as PNG…");
    harness.run_steps(4);
    let asked = backend.asked();
    let saved: Vec<&String> = asked
        .iter()
        .filter(|line| line.starts_with("save"))
        .collect();
    assert_eq!(saved.len(), 1, "{asked:?}");
    let begins = "save film 0 of 2 to /chosen, inverted, 1 boxes, Window: centre";
    assert!(saved[0].starts_with(begins), "{saved:?}");
    assert!(
        saved[0].contains("Contours at 25, 50 and 75 % of"),
        "{saved:?}"
    );
    assert!(
        !saved[0].contains("films-"),
        "no name of a sample: {saved:?}"
    );
}

fn sample(sample: u32) -> Harness<'static, App> {
    open(
        Screen::Data,
        StartAt {
            dataset: Some("films".to_owned()),
            sample: Some(sample),
            ..StartAt::default()
        },
    )
}

/// What is said to be drawn over the film whose name begins so.
fn drawn_over(harness: &Harness<'static, App>, name: &str) -> String {
    let label = format!("Radiograph {name}");
    let film = harness.get_by_label_contains(&label);
    film.accesskit_node().description().unwrap_or_default()
}

fn has(harness: &Harness<'static, App>, name: &str) -> bool {
    harness
        .query_by_label_contains(&format!("Radiograph {name}"))
        .is_some()
}

fn is_on(harness: &Harness<'static, App>, label: &str) -> bool {
    let node = harness.get_by_label(label);
    node.accesskit_node().toggled() == Some(egui::accesskit::Toggled::True)
}

#[test]
fn a_heatmap_becomes_contours_by_switch_and_by_key() {
    let mut harness = open(
        Screen::Feature,
        StartAt {
            dictionary: Some("films".to_owned()),
            feature: Some(2),
            ..StartAt::default()
        },
    );
    let film = "films-0002";
    assert!(drawn_over(&harness, film).starts_with("Heatmap, smooth, up to"));
    click(&mut harness, "Contours");
    let lines = "Contours at 25, 50 and 75 % of";
    assert!(drawn_over(&harness, film).starts_with(lines));
    harness.key_press(egui::Key::C);
    harness.run_steps(3);
    assert!(drawn_over(&harness, film).starts_with("Heatmap, smooth"));
    click(&mut harness, "Smooth");
    assert!(drawn_over(&harness, film).starts_with("Heatmap, raw"));
    click(&mut harness, "Heatmap");
    assert!(drawn_over(&harness, film).starts_with("Heatmap hidden"));
}

#[test]
fn a_readers_boxes_are_off_on_a_feature_until_asked_for() {
    let mut harness = open(
        Screen::Feature,
        StartAt {
            dictionary: Some("films".to_owned()),
            feature: Some(2),
            ..StartAt::default()
        },
    );
    assert!(!drawn_over(&harness, "films-0002").contains("marked"));
    click(&mut harness, "Marked");
    assert!(drawn_over(&harness, "films-0002").ends_with("1 box marked in the dataset"));
}

#[test]
fn boxes_of_the_dataset_and_of_the_model_are_layers_of_their_own() {
    let mut harness = open(
        Screen::Steer,
        StartAt {
            dictionary: Some("films".to_owned()),
            feature: Some(3),
            ..StartAt::default()
        },
    );
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(3.0);
    harness.run_steps(6);
    let says = |harness: &Harness<'static, App>| -> Vec<String> {
        harness
            .query_all_by_label_contains(SAFETY)
            .filter_map(|node| node.accesskit_node().description())
            .filter(|text| text.contains("box"))
            .collect()
    };
    let both = says(&harness);
    assert!(
        both.iter()
            .any(|text| text.contains("marked in the dataset")
                && text.contains("placed by the model")),
        "{both:?}"
    );
    harness
        .get_all_by_label("Model's boxes")
        .next()
        .unwrap()
        .click();
    harness.run_steps(4);
    let left = says(&harness);
    let of_model = |texts: &[String]| {
        let with = texts.iter().filter(|text| text.contains("by the model"));
        with.count()
    };
    assert_eq!(of_model(&left), of_model(&both) - 1, "{left:?}");
    assert!(left.iter().any(|text| text.contains("marked")), "{left:?}");
}

#[test]
fn in_large_type_the_film_has_more_room_than_what_stands_beside_it() {
    let backend = Arc::new(Invented::new(2_000));
    // On Steer the film of the sample stands among the controls.
    for (screen, control, width) in [
        (Screen::Feature, "Accept", 300.0),
        (Screen::Steer, "Strength of feature 3", 200.0),
    ] {
        let start = StartAt {
            screen: Some(screen),
            dictionary: Some("films".to_owned()),
            feature: Some(3),
            ..StartAt::default()
        };
        // What is left of 1280 x 800 at 175 %.
        let harness = open_on(&backend, [731.0, 457.0], start);
        let film = harness.query_all_by_label_contains(SAFETY).next().unwrap();
        assert!(film.rect().width() > width, "{:?}", film.rect());
        let control = harness
            .query_all_by_label_contains(control)
            .next()
            .unwrap()
            .rect();
        assert!(
            control.min.x >= 0.0 && control.max.x <= 731.0,
            "{control:?}"
        );
    }
}

#[test]
fn the_films_of_a_study_hang_side_by_side() {
    let mut harness = sample(3);
    let (lateral, before) = ("Lateral · films-0003-lateral", "Prior, the study before ·");
    assert!(has(&harness, "films-0003") && has(&harness, lateral));
    assert!(!has(&harness, before), "earlier films wait for their key");
    harness.key_press(egui::Key::P);
    harness.run_steps(4);
    assert!(has(&harness, before));
    assert!(has(&harness, "Prior, 3 studies before ·"));
    harness.key_press(egui::Key::L);
    harness.run_steps(4);
    assert!(!has(&harness, lateral) && has(&harness, before));
    click(&mut harness, "Prior, the study before");
    assert!(!has(&harness, before) && has(&harness, "Prior, 3 studies before ·"));
    click(&mut harness, "Lateral");
    assert!(has(&harness, lateral));
    // A sample of one film has neither strip nor other films.
    let harness = sample(4);
    assert!(has(&harness, "films-0004"));
    assert!(harness.query_by_label("Lateral").is_none());
}

#[test]
fn films_are_looked_at_as_one_until_they_are_not() {
    let mut harness = sample(3);
    // With keys for the next film its tools are shown: what they say is that film's.
    let look = |harness: &mut Harness<'static, App>| -> (bool, bool) {
        let own = is_on(harness, "Invert");
        harness.key_press(egui::Key::O);
        harness.run_steps(4);
        let other = is_on(harness, "Invert");
        harness.key_press(egui::Key::O);
        harness.run_steps(4);
        (own, other)
    };
    assert_eq!(look(&mut harness), (false, false));
    harness.key_press(egui::Key::I);
    harness.run_steps(6);
    assert_eq!(look(&mut harness), (true, true));
    click(&mut harness, "Together");
    harness.key_press(egui::Key::I);
    harness.run_steps(6);
    assert_eq!(look(&mut harness), (false, true));
}
