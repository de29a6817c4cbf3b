//! The gallery's filters, plots and links, driven through the accessibility tree on an invented
//! project.

use std::sync::Arc;

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use ui::bench::Invented;
use ui::{App, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

const N_FEATURES: u32 = 600;

fn open(dictionary: &str) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(N_FEATURES));
    let start = StartAt {
        screen: Some(Screen::Gallery),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    (open_on(&backend, [1600.0, 900.0], start), backend)
}

fn choose(harness: &mut Harness<'static, App>, list: &str, option: &str) {
    harness.get_by_role_and_label(Role::ComboBox, list).click();
    harness.run_steps(3);
    harness.get_by_label(option).click();
    harness.run_steps(3);
}

#[test]
fn filters_leave_what_they_say() {
    let (mut harness, _) = open("reports");
    harness.get_by_label("600 of 600 features");
    choose(&mut harness, "Finding, left", "mass · 300");
    harness.get_by_label("300 of 600 features");
    choose(&mut harness, "Finding, left", "Any finding");
    choose(&mut harness, "Group, left", "Group 1 · 150");
    harness.get_by_label("150 of 600 features");
    choose(&mut harness, "Group, left", "Any group");
    click(&mut harness, "Score range, left");
    click(&mut harness, "Holds well");
    assert!(harness.query_by_label("600 of 600 features").is_none());
    if harness.query_by_label("Any score").is_none() {
        click(&mut harness, "Score range, left");
    }
    click(&mut harness, "Any score");
    harness.get_by_label("600 of 600 features");
    // A keyword of a proposal, through the palette's search too.
    harness.get_by_label("Filter text, left").focus();
    harness.run_steps(2);
    harness
        .get_by_label("Filter text, left")
        .type_text("costophrenic");
    harness.run_steps(4);
    harness.get_by_label("600 of 600 features");
}

#[test]
fn old_cards_stay_until_the_newest_filter_is_answered() {
    let (mut harness, backend) = open("reports");
    harness.get_by_label("600 of 600 features");
    assert!(harness.query_by_label("filtering …").is_none());
    backend.hold_choices();
    choose(&mut harness, "Finding, left", "mass · 300");
    harness.get_by_label("filtering …");
    harness.get_by_label("600 of 600 features");
    choose(&mut harness, "Group, left", "Group 1 · 150");
    harness.get_by_label("filtering …");
    // The answer to the finding alone comes after that to both, and is not shown.
    backend.let_choices_go();
    harness.run_steps(3);
    harness.get_by_label("75 of 600 features");
    assert!(harness.query_by_label("filtering …").is_none());
}

#[test]
fn many_features_are_chosen_beside_the_frames() {
    let backend = Arc::new(Invented::new(30_000));
    let start = StartAt {
        screen: Some(Screen::Gallery),
        ..StartAt::default()
    };
    let mut harness = open_on(&backend, [1600.0, 900.0], start);
    let comes = |harness: &mut Harness<'static, App>, label: &str| {
        let began = std::time::Instant::now();
        while harness.query_by_label(label).is_none() {
            assert!(began.elapsed().as_secs() < 20, "{label} does not come");
            harness.run_steps(1);
        }
    };
    comes(&mut harness, "30\u{a0}000 of 30\u{a0}000 features");
    harness.get_by_label("Filter text, left").focus();
    harness.run_steps(2);
    harness.get_by_label("Filter text, left").type_text("29999");
    comes(&mut harness, "1 of 30\u{a0}000 features");
}

#[test]
fn a_rectangle_on_the_scatter_filters_and_can_be_taken_away() {
    let (mut harness, backend) = open("films");
    click(&mut harness, "Scatter");
    let plot = harness.get_by_label_contains("Density against mean activation, left");
    let rect = plot.rect();
    let from = rect.min + rect.size() * 0.5;
    let to = rect.max - egui::Vec2::splat(10.0);
    harness.drag_at(from);
    harness.run_steps(2);
    harness.hover_at(to);
    harness.run_steps(2);
    harness.drop_at(to);
    harness.run_steps(4);
    assert!(harness.query_by_label("600 of 600 features").is_none());
    harness.get_by_label("In the rectangle  ×");
    click(&mut harness, "Show all again");
    harness.get_by_label("600 of 600 features");
    click(&mut harness, "Map");
    click(&mut harness, "Compute the map");
    assert_eq!(backend.asked(), ["map films"]);
    harness.get_by_label_contains("Map of decoder directions, left");
}

#[test]
fn a_dictionary_without_a_gallery_gets_one_by_a_button() {
    let (mut harness, backend) = open("films");
    backend.take_gallery("films");
    harness.run_steps(4);
    click(&mut harness, "Build the gallery");
    assert_eq!(backend.asked(), ["build films"]);
}

#[test]
fn a_sample_chosen_in_one_half_filters_the_other_where_both_show_its_dataset() {
    let (mut harness, _) = open("films");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::D);
    harness.run_steps(4);
    let other = "Other half: features active on";
    let card = |harness: &Harness<'static, App>| {
        let cards = harness.query_all_by_label_contains("Feature 0: effusion");
        let mut cards: Vec<_> = cards.collect();
        cards.sort_by(|a, b| a.rect().left().total_cmp(&b.rect().left()));
        cards[0].click_secondary();
    };
    card(&harness);
    harness.run_steps(3);
    // Films left and histories right: no link.
    assert!(harness.query_all_by_label_contains(other).next().is_none());
    harness.key_press(egui::Key::Escape);
    harness.run_steps(3);
    choose(&mut harness, "Dictionary on the right", "films · films");
    card(&harness);
    harness.run_steps(3);
    harness
        .query_all_by_label_contains(other)
        .next()
        .unwrap()
        .click();
    harness.run_steps(4);
    // The left half still shows all, the right half a fifth.
    harness.get_by_label("600 of 600 features");
    harness.get_by_label("120 of 600 features");
    harness.get_by_label_contains("Active on sample");
}

#[test]
fn a_score_opens_to_its_passages_and_baselines() {
    let (mut harness, _) = open("reports");
    harness
        .query_all_by_label_contains("Feature 0: effusion")
        .next()
        .unwrap()
        .click();
    harness.run_steps(4);
    harness.get_by_label_contains("Parents: nearest in coarser groups");
    harness.get_by_label("Show what was tested").scroll_to_me();
    harness.run_steps(4);
    click(&mut harness, "Show what was tested");
    harness.run_steps(4);
    harness.get_by_label("right: judge 0.90");
    harness.get_by_label("wrong: judge 0.70");
    harness.get_by_label("no readable answer");
    click(&mut harness, "Hide what was tested");
    assert!(harness.query_by_label("right: judge 0.90").is_none());
}

#[test]
fn a_reader_sees_no_figures_of_the_making_of_a_dictionary() {
    let (mut harness, _) = open("reports");
    let has_figures = |harness: &Harness<'static, App>| {
        let mut found = harness.query_all_by_label_contains("FVU");
        found.next().is_some()
    };
    assert!(has_figures(&harness));
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Comma);
    harness.run_steps(4);
    click(&mut harness, "Layout for a reader");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num5);
    harness.run_steps(4);
    harness.get_by_label("on reports");
    assert!(!has_figures(&harness));
}
