//! The main flows, driven through the accessibility tree without a window, on an invented project.

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use schema::ReviewState;
use ui::bench::Invented;
use ui::{App, Backend as _, Options, Screen, StartAt, Waker};

#[path = "support/invented.rs"]
mod invented;

use invented::open_on;

fn open(screen: Screen, start: StartAt) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(20_000));
    backend.set_reviewer("Ada");
    let start = StartAt {
        screen: Some(screen),
        ..start
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

#[test]
fn the_rail_reaches_every_screen() {
    let (mut harness, _) = open(Screen::Start, StartAt::default());
    for name in [
        "Data", "Models", "Train", "Gallery", "Feature", "Review", "Steer", "Evaluate", "Settings",
        "Start",
    ] {
        harness
            .get_by_role_and_label(egui::accesskit::Role::Button, name)
            .click();
        harness.run_steps(3);
        assert_eq!(harness.state().screen().name(), name);
    }
}

#[test]
fn one_click_builds_the_demo_and_its_job_can_be_stopped() {
    let (mut harness, backend) = open(Screen::Start, StartAt::default());
    harness.get_by_label("Build the demo project").click();
    harness.run_steps(3);
    assert_eq!(backend.asked(), ["demo /tmp/fluoroscope-demo"]);
    harness.get_by_label_contains("400 of 1\u{a0}000 steps  ·");
    harness.get_by_label("Stop Build the demo project").click();
    harness.run_steps(3);
    assert_eq!(backend.asked()[1], "cancel 1");
    harness.get_by_label("No job is running");
}

#[test]
fn jobs_beyond_the_third_are_scrolled_to_and_stopped() {
    let (mut harness, backend) = open(Screen::Start, StartAt::default());
    for _ in 0..5 {
        backend.build_demo("/tmp/fluoroscope-demo").unwrap();
    }
    harness.run_steps(3);
    let stop = "Stop Build the demo project";
    assert_eq!(harness.query_all_by_label(stop).count(), 5);
    let more = harness.get_by_label_contains("and 2 more").rect();
    assert!(more.bottom() <= 800.0, "{more:?}");
    let last = |harness: &Harness<'static, App>, click: bool| {
        let last = harness.query_all_by_label(stop).nth(4).unwrap();
        if click {
            last.click();
        } else {
            last.scroll_to_me();
        }
    };
    last(&harness, false);
    harness.run_steps(4);
    last(&harness, true);
    harness.run_steps(3);
    assert_eq!(backend.asked().last().unwrap(), "cancel 1");
}

#[test]
fn a_job_can_wait_and_go_on() {
    let (mut harness, backend) = open(Screen::Start, StartAt::default());
    harness.get_by_label("Build the demo project").click();
    harness.run_steps(3);
    harness
        .get_by_label("Pause: Build the demo project")
        .click();
    harness.run_steps(3);
    harness.get_by_label_contains("Paused  ·  Training dictionary");
    harness
        .get_by_label("Go on: Build the demo project")
        .click();
    harness.run_steps(3);
    assert_eq!(backend.asked()[1..], ["pause 1 true", "pause 1 false"]);
}

#[test]
fn a_project_opens_where_it_was_left() {
    let (mut harness, backend) = feature_page();
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num1);
    harness.run_steps(3);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num6);
    // The place is kept once a second.
    harness.run_steps(80);
    drop(harness);
    let door: Arc<Invented> = Arc::clone(&backend);
    // Nothing is drawn before the project is there.
    let mut again = Harness::builder()
        .with_size([1280.0, 800.0])
        .build_eframe(move |cc| {
            App::new(&cc.egui_ctx, door, &Waker::default(), Options::default())
        });
    backend.send(engine::views::Event::ProjectChanged);
    again.run_steps(4);
    assert_eq!(again.state().screen(), Screen::Feature);
    again.get_by_label("Feature 3");
}

#[test]
fn a_card_opens_its_feature_page() {
    let (mut harness, _) = open(Screen::Gallery, StartAt::default());
    harness.get_by_label("20\u{a0}000 of 20\u{a0}000 features");
    harness
        .get_by_label("Feature 2: effusion, pleural, left")
        .click();
    harness.run_steps(3);
    assert_eq!(harness.state().screen(), Screen::Feature);
    harness.get_by_label("Feature 2");
    harness.get_by_label(
        "Radiograph films-0002 · train · activation 9.00. Research use, not for diagnosis",
    );
}

#[test]
fn the_filter_narrows_the_cards() {
    let (mut harness, _) = open(Screen::Gallery, StartAt::default());
    harness.get_by_label("Filter text, left").focus();
    harness.run_steps(2);
    harness.get_by_label("Filter text, left").type_text("1234");
    harness.run_steps(4);
    harness.get_by_label("12 of 20\u{a0}000 features");
    harness.get_by_label("Feature 1234: effusion, pleural, left");
}

#[test]
fn films_and_histories_stand_side_by_side() {
    let start = StartAt {
        dictionary: Some("films".to_owned()),
        second_dictionary: Some("histories".to_owned()),
        ..StartAt::default()
    };
    let (mut harness, _) = open(Screen::Gallery, start);
    harness.get_by_label("Dictionary on the left");
    harness.get_by_label("Dictionary on the right");
    harness.get_by_label("Filter text, right").focus();
    harness.run_steps(2);
    harness.get_by_label("Filter text, right").type_text("1234");
    harness.run_steps(4);
    harness.get_by_label("12 of 20\u{a0}000 features");
    harness.get_by_label("20\u{a0}000 of 20\u{a0}000 features");
}

fn feature_page() -> (Harness<'static, App>, Arc<Invented>) {
    on_feature_3(Screen::Feature, "films")
}

#[test]
fn decisions_by_key_are_made_and_taken_back() {
    let (mut harness, backend) = feature_page();
    harness.key_press(egui::Key::A);
    harness.run_steps(4);
    let decisions = backend.decisions();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].state, ReviewState::Accepted);
    assert_eq!(decisions[0].text, "effusion, pleural, left");
    harness.get_by_label("Saved. Ctrl+Z takes it back");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
    harness.run_steps(4);
    assert!(backend.decisions().is_empty());
    harness.get_by_label("Taken back. Ctrl+Shift+Z restores it");
    harness.get_by_label("Taken back: feature 3 of films");
    harness.key_press(egui::Key::U);
    harness.run_steps(4);
    assert_eq!(backend.decisions()[0].state, ReviewState::Unsure);
}

#[test]
fn an_edited_label_is_saved_with_enter() {
    let (mut harness, backend) = feature_page();
    harness.get_by_label("Edit").click();
    harness.run_steps(3);
    harness.get_by_label("Label text").type_text(" base");
    harness.run_steps(2);
    harness.key_press(egui::Key::Enter);
    harness.run_steps(4);
    let decisions = backend.decisions();
    assert_eq!(decisions[0].state, ReviewState::Edited);
    assert_eq!(decisions[0].text, "effusion, pleural, left base");
}

#[test]
fn letters_typed_into_the_label_decide_nothing() {
    let (mut harness, backend) = feature_page();
    harness.key_press(egui::Key::E);
    harness.run_steps(3);
    harness.key_press(egui::Key::A);
    harness.key_press(egui::Key::X);
    harness.run_steps(3);
    assert!(backend.decisions().is_empty());
}

#[test]
fn a_film_has_its_report_and_findings_beside_it() {
    const WORDS: &str = "Report and findings of this film";
    const REPORT: &str = "Small left pleural effusion.";
    let (mut harness, _) = feature_page();
    assert!(harness.query_by_label(REPORT).is_none());
    harness.get_by_label(WORDS).scroll_to_me();
    harness.run_steps(3);
    harness.get_by_label(WORDS).click();
    harness.run_steps(4);
    harness.get_by_label(REPORT);
    // A text is shown whole.
    let (harness, _) = on_feature_3(Screen::Feature, "reports");
    assert!(harness.query_by_label(WORDS).is_none());
}

#[test]
fn associations_tell_the_interval_of_their_area() {
    let (harness, _) = feature_page();
    harness.get_by_label_contains("0.91 (0.86 to 0.95)");
}

/// The window on feature 3 of a dictionary.
fn on_feature_3(screen: Screen, dictionary: &str) -> (Harness<'static, App>, Arc<Invented>) {
    open(
        screen,
        StartAt {
            dictionary: Some(dictionary.to_owned()),
            feature: Some(3),
            ..StartAt::default()
        },
    )
}

#[test]
fn letting_go_of_a_slider_asks_for_a_report() {
    let (mut harness, backend) = on_feature_3(Screen::Steer, "films");
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(2.0);
    harness.run_steps(4);
    assert_eq!(backend.asked(), ["steer 3 by 2"]);
    harness.get_by_label("After: Small left pleural effusion.");
    harness.get_by_label("Gained: left effusion");
}

#[test]
fn a_grounded_report_shows_its_sentences_beside_the_film() {
    let (mut harness, backend) = on_feature_3(Screen::Steer, "films");
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(3.0);
    harness.run_steps(6);
    assert_eq!(backend.asked(), ["steer 3 by 3"]);
    harness.get_by_label("There is a small left pleural effusion.");
    harness.get_by_label("(no place given)");
}

#[test]
fn a_text_feature_is_traced_to_the_film() {
    let (mut harness, backend) = on_feature_3(Screen::Feature, "reports");
    harness.get_by_label("Occlusion").click();
    harness.run_steps(6);
    assert_eq!(backend.asked(), ["trace 3 Occlusion"]);
    harness.get_by_label_contains("traced from \"effusion\"");
}

#[test]
fn ctrl_k_finds_a_feature_by_number() {
    let (mut harness, _) = open(Screen::Start, StartAt::default());
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run_steps(3);
    harness.get_by_label("Search").type_text("19999");
    harness.run_steps(3);
    harness.key_press(egui::Key::Enter);
    harness.run_steps(4);
    assert_eq!(harness.state().screen(), Screen::Feature);
    harness.get_by_label("Feature 19999");
}

#[test]
fn nothing_is_imported_without_a_preview() {
    let (mut harness, backend) = open(Screen::Data, StartAt::default());
    harness.get_by_label("Import data…").click();
    harness.run_steps(3);
    harness.get_by_label("Name").focus();
    harness.run_steps(2);
    harness.get_by_label("Name").type_text("ward");
    harness.run_steps(2);
    harness.get_by_label("Import").click();
    harness.run_steps(2);
    assert!(backend.asked().is_empty());
    harness.get_by_label("Preview").click();
    harness.run_steps(4);
    harness.get_by_label("12 films would be imported, 1 skipped");
    harness.get_by_label("broken.png: the file ends before the image does");
    harness.get_by_label("Import").click();
    harness.run_steps(2);
    assert_eq!(backend.asked(), ["preview", "import"]);
}

#[test]
fn a_table_of_interactions_is_mapped_column_by_column() {
    let (mut harness, backend) = open(Screen::Data, StartAt::default());
    harness.get_by_label("Import data…").click();
    harness.run_steps(3);
    harness.get_by_label("Interactions").click();
    harness.run_steps(2);
    assert!(harness.query_by_label("User column").is_none());
    harness.get_by_label("Table (CSV)").click();
    harness.run_steps(2);
    for (field, text) in [
        ("Name", "shop"),
        ("File", "sales.csv"),
        ("Items table", "products.csv"),
        ("User column", "customer"),
        ("Picture column", "photo"),
        ("Least rating", "4"),
        ("Core", "10"),
    ] {
        harness.get_by_label(field).focus();
        harness.run_steps(2);
        harness.get_by_label(field).type_text(text);
        harness.run_steps(2);
    }
    harness.get_by_label("By global time").click();
    harness.run_steps(2);
    harness.get_by_label("Preview").click();
    harness.run_steps(4);
    harness.get_by_label("30 histories would be imported, 2 skipped");
    harness.get_by_label("300 interactions of 30 users with 40 items");
    harness.get_by_label("Import").click();
    harness.run_steps(2);
    assert_eq!(
        backend.asked(),
        [
            "preview shop of sales.csv as csv, columns user=customer,picture=photo, items \
             products.csv, split global-time, rating 4, core 10",
            "import"
        ]
    );
}

#[test]
fn an_error_stays_until_it_is_dismissed() {
    let (mut harness, _) = open(Screen::Start, StartAt::default());
    harness.get_by_label("Project folder").focus();
    harness.run_steps(2);
    harness.get_by_label("Project folder").type_text("/full");
    harness.run_steps(2);
    harness.get_by_label("New project").click();
    harness.run_steps(600);
    let text = "/full is not empty; expected a new or empty folder";
    harness.get_by_label(text);
    harness.get_by_label(&format!("Dismiss: {text}")).click();
    harness.run_steps(3);
    assert!(harness.query_by_label(text).is_none());
}

#[test]
fn a_screen_without_a_project_offers_the_next_step() {
    let (mut harness, _) = open(Screen::Start, StartAt::default());
    harness.get_by_label("Close project").click();
    harness.run_steps(3);
    for name in ["Data", "Models", "Train", "Gallery", "Feature", "Steer"] {
        harness
            .get_by_role_and_label(egui::accesskit::Role::Button, name)
            .click();
        harness.run_steps(3);
        let next = if name == "Feature" {
            "Go to Gallery"
        } else {
            "Go to Start"
        };
        harness.get_by_label(next);
    }
}

#[test]
fn every_control_has_a_name() {
    for screen in Screen::ALL {
        let (mut harness, _) = open(
            screen,
            StartAt {
                feature: Some(1),
                ..StartAt::default()
            },
        );
        harness.run_steps(3);
        assert_eq!(
            harness.unnamed_widgets(),
            Vec::<String>::new(),
            "{screen:?}"
        );
        for key in [egui::Key::K, egui::Key::D] {
            harness.key_press_modifiers(egui::Modifiers::COMMAND, key);
            harness.run_steps(3);
            assert_eq!(
                harness.unnamed_widgets(),
                Vec::<String>::new(),
                "{screen:?}"
            );
            harness.key_press(egui::Key::Escape);
            harness.run_steps(3);
        }
    }
}

#[test]
fn an_inverted_film_says_so() {
    let (mut harness, _) = feature_page();
    let checked = |harness: &Harness<'static, App>| {
        use egui_kittest::kittest::NodeT as _;
        let invert = harness.get_by_label("Invert");
        invert.accesskit_node().toggled()
    };
    assert_ne!(checked(&harness), Some(egui::accesskit::Toggled::True));
    harness.key_press(egui::Key::I);
    harness.run_steps(3);
    assert_eq!(checked(&harness), Some(egui::accesskit::Toggled::True));
}

#[test]
fn a_job_that_fails_says_so() {
    let (mut harness, backend) = open(Screen::Gallery, StartAt::default());
    let text = "images/broken.png ends before the image does";
    backend.send(engine::views::Event::JobEnded(
        schema::JobId(9),
        engine::views::JobEnd::Failed(text.to_owned()),
    ));
    harness.run_steps(3);
    harness.get_by_label(text);
}
