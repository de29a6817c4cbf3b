//! The frame of the window and how it feels: where it starts, the palette, the dictionary at hand,
//! what is dropped, panels, messages, who decides; on an invented project.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::views::{Event, JobEnd, Preferences};
use schema::{JobId, ReviewState};
use ui::bench::Invented;
use ui::{App, Backend as _, Options, Screen, StartAt, Waker};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/drops.rs"]
mod drops;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use drops::drop_on;
use invented::open_on;

fn open(screen: Screen) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(200));
    let start = StartAt {
        screen: Some(screen),
        feature: Some(3),
        ..StartAt::default()
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

/// The window as a double click on its icon opens it.
fn start(backend: &Arc<Invented>) -> Harness<'static, App> {
    let options = Options {
        reopen: true,
        ..Options::default()
    };
    start_with(backend, options)
}

fn start_with(backend: &Arc<Invented>, options: Options) -> Harness<'static, App> {
    let door: Arc<Invented> = Arc::clone(backend);
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .build_eframe(move |cc| App::new(&cc.egui_ctx, door, &Waker::default(), options));
    harness.run_steps(6);
    harness
}

#[test]
fn a_project_that_could_not_be_opened_from_the_desktop_is_told_in_the_window() {
    let options = Options {
        problem: Some("p is open in another Fluoroscope; close it there first".to_owned()),
        ..Options::default()
    };
    let harness = start_with(&Arc::new(Invented::new(20)), options);
    harness.get_by_label("p is open in another Fluoroscope; close it there first");
}

fn press(harness: &mut Harness<'static, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(4);
}

fn type_in(harness: &mut Harness<'static, App>, text: &str) {
    harness.event(egui::Event::Text(text.to_owned()));
    harness.run_steps(4);
}

fn search(harness: &mut Harness<'static, App>, text: &str) {
    press(harness, Modifiers::COMMAND, Key::K);
    type_in(harness, text);
}

fn shows(harness: &Harness<'static, App>, part: &str) -> bool {
    harness.query_all_by_label_contains(part).next().is_some()
}

#[test]
fn the_last_project_opens_where_it_was_left() {
    let (mut harness, backend) = open(Screen::Feature);
    // The place is kept once a second.
    harness.run_steps(80);
    drop(harness);
    backend.was_left_in("/projects/invented", true);
    let again = start(&backend);
    assert_eq!(backend.asked().last().unwrap(), "open /projects/invented");
    assert_eq!(again.state().screen(), Screen::Feature);
    again.get_by_label("Feature 3");
}

#[test]
fn the_form_of_a_sweep_is_as_it_was_left() {
    let (mut harness, backend) = open(Screen::Steer);
    for (field, value) in [("steps", 5.0), ("Random directions", 7.0)] {
        harness.get_by_label(field).scroll_to_me();
        harness.run_steps(3);
        harness.get_by_label(field).set_value_accesskit(value);
        harness.run_steps(4);
    }
    harness.run_steps(80);
    drop(harness);
    backend.was_left_in("/projects/invented", true);
    let mut again = start(&backend);
    assert_eq!(again.state().screen(), Screen::Steer);
    click(&mut again, "Run the sweep");
    let asked = backend.asked();
    let swept = asked.iter().rfind(|one| one.starts_with("sweep"));
    assert!(
        swept.is_some_and(|one| one.ends_with("in 5 beside 7")),
        "{asked:?}"
    );
}

#[test]
fn a_project_that_is_gone_is_one_sentence_on_start() {
    let backend = Arc::new(Invented::new(200));
    backend.was_left_in("/projects/gone", false);
    let harness = start(&backend);
    assert_eq!(harness.state().screen(), Screen::Start);
    harness.get_by_label("The last project, /projects/gone, is not there any more");
    assert!(backend.asked().is_empty());
}

#[test]
fn whoever_wants_starts_on_start() {
    let (mut harness, backend) = open(Screen::Settings);
    click(&mut harness, "Open the last project at start");
    assert!(backend.asked().last().unwrap().contains("reopen: false"));
    drop(harness);
    backend.was_left_in("/projects/invented", true);
    let harness = start(&backend);
    assert_eq!(harness.state().screen(), Screen::Start);
    harness.get_by_label("No project");
}

#[test]
fn a_decision_waits_for_the_name_of_who_makes_it() {
    let (mut harness, backend) = open(Screen::Feature);
    press(&mut harness, Modifiers::NONE, Key::A);
    assert!(backend.decisions().is_empty());
    let field = "Your name, kept with each decision";
    assert!(shows(&harness, field));
    // Letters are the name's now.
    type_in(&mut harness, "Ada");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    let decisions = backend.decisions();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].reviewer, "Ada");
    assert_eq!(decisions[0].state, ReviewState::Accepted);
    harness.get_by_label("Saved. Ctrl+Z takes it back");
    // It is asked once.
    press(&mut harness, Modifiers::NONE, Key::U);
    assert_eq!(backend.decisions().len(), 2);
    assert!(!shows(&harness, field));
}

#[test]
fn who_gives_no_name_decides_nothing() {
    let (mut harness, backend) = open(Screen::Feature);
    click(&mut harness, "Reject");
    click(&mut harness, "Decide nothing");
    assert!(backend.decisions().is_empty());
    harness.get_by_label("Reject");
}

#[test]
fn the_palette_groups_what_it_finds() {
    let (mut harness, _) = open(Screen::Start);
    search(&mut harness, "costophrenic");
    harness.get_by_label("Features by keyword or token, 8 of 600");
    assert!(!shows(&harness, "Features by label"));
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert_eq!(harness.state().screen(), Screen::Feature);
    harness.get_by_label("Feature 0");
    search(&mut harness, "pleural");
    harness.get_by_label("Features by label, 8 of 600");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    search(&mut harness, "histor");
    harness.get_by_label("Samples, 8 of 500");
    harness.get_by_label("Dictionaries");
    harness.get_by_label("Show dictionary histories");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    search(&mut harness, "no such thing");
    assert!(shows(&harness, "Nothing fits."));
}

#[test]
fn an_item_leads_to_the_features_that_are_strongest_on_it() {
    let (mut harness, _) = open(Screen::Start);
    search(&mut harness, "invented item 17");
    harness.get_by_label("Items");
    click(&mut harness, "Invented item 17");
    assert_eq!(harness.state().screen(), Screen::Gallery);
    // 16, 106 and 196.
    harness.get_by_label("3 of 200 features");
    harness.get_by_label("Feature 16: effusion, pleural, left");
}

#[test]
fn a_sample_is_found_by_its_name() {
    let (mut harness, _) = open(Screen::Start);
    search(&mut harness, "films-0123");
    harness.get_by_label("Samples");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert_eq!(harness.state().screen(), Screen::Data);
    assert!(shows(&harness, "films-0123"));
}

/// Chooses another dictionary in the top bar.
fn switch(harness: &mut Harness<'static, App>, text: &str) {
    click(harness, "Dictionary at hand");
    click(harness, text);
}

#[test]
fn the_dictionary_at_hand_is_switched_where_one_is() {
    let (mut harness, _) = open(Screen::Feature);
    harness.get_by_label("Feature 3 of films");
    switch(&mut harness, "reports · reports");
    assert_eq!(harness.state().screen(), Screen::Feature);
    assert!(shows(&harness, " of reports"));
    // What was looked at there before is there again.
    switch(&mut harness, "films · films");
    harness.get_by_label("Feature 3 of films");
    press(&mut harness, Modifiers::COMMAND, Key::Num8);
    switch(&mut harness, "reports · reports");
    assert!(shows(&harness, "reports cannot be steered"));
    switch(&mut harness, "histories · histories");
    let chosen = harness.get_by_label("Dictionary to steer");
    assert_eq!(
        chosen.accesskit_node().value().as_deref(),
        Some("histories")
    );
    press(&mut harness, Modifiers::COMMAND, Key::Num5);
    let chosen = harness.get_by_label("Dictionary on the left");
    assert_eq!(
        chosen.accesskit_node().value().as_deref(),
        Some("histories")
    );
    press(&mut harness, Modifiers::COMMAND, Key::Num9);
    switch(&mut harness, "films · films");
    let chosen = harness.get_by_label("Dictionary evaluated");
    assert_eq!(chosen.accesskit_node().value().as_deref(), Some("films"));
}

#[test]
fn a_table_that_is_dropped_goes_straight_to_its_preview() {
    let (mut harness, backend) = open(Screen::Gallery);
    drop_on(&mut harness, &["/data/ward.csv"]);
    assert_eq!(harness.state().screen(), Screen::Data);
    assert_eq!(backend.asked(), ["preview"]);
    harness.get_by_label("12 films would be imported, 1 skipped");
    drop_on(&mut harness, &["/data/shop.tsv"]);
    assert!(
        backend.asked()[1].starts_with("preview shop of /data/shop.tsv as csv"),
        "{:?}",
        backend.asked()
    );
    drop_on(&mut harness, &["/data/sasrec.pt"]);
    assert_eq!(harness.state().screen(), Screen::Models);
    harness.get_by_label("Import a recommender");
    drop_on(&mut harness, &["/data/tiny.gguf"]);
    assert_eq!(harness.state().screen(), Screen::Models);
    harness.get_by_label("Add a model");
    drop_on(&mut harness, &["/data/maira-sae"]);
    assert_eq!(harness.state().screen(), Screen::Train);
    harness.get_by_label("From another tool");
    assert_eq!(backend.asked().len(), 2);
    drop_on(&mut harness, &["/data/other-project"]);
    assert_eq!(backend.asked().last().unwrap(), "open /data/other-project");
}

#[test]
fn without_a_project_a_new_one_is_offered() {
    let backend = Arc::new(Invented::new(200));
    backend.close_project();
    let mut harness = open_on(&backend, [1280.0, 800.0], StartAt::default());
    drop_on(&mut harness, &["/data/ward-films"]);
    assert_eq!(harness.state().screen(), Screen::Start);
    harness.get_by_label("ward-films is a folder of 120 films");
    assert!(backend.asked().is_empty());
    click(&mut harness, "New project for this");
    assert_eq!(backend.asked(), ["new /new/ward-films-project", "preview"]);
    assert_eq!(harness.state().screen(), Screen::Data);
    harness.get_by_label("12 films would be imported, 1 skipped");
}

#[test]
fn what_cannot_be_used_is_one_sentence() {
    let (mut harness, backend) = open(Screen::Gallery);
    drop_on(&mut harness, &["/data/a.png", "/data/b.png"]);
    harness.get_by_label("These are 2 things; drop one at a time");
    drop_on(&mut harness, &["/data/song.mp3"]);
    harness.get_by_label("It is nothing that is known here");
    assert_eq!(harness.state().screen(), Screen::Gallery);
    assert!(backend.asked().is_empty());
}

#[test]
fn while_something_is_held_over_the_window_it_says_what_will_happen() {
    let (mut harness, _) = open(Screen::Gallery);
    let held = |path: &str| egui::HoveredFile {
        path: Some(PathBuf::from(path)),
        ..egui::HoveredFile::default()
    };
    harness.input_mut().hovered_files = vec![held("/data/ward-films")];
    harness.run_steps(3);
    let text = "Drop to import ward-films, a folder of 120 films: a preview comes first";
    harness.get_by_label(text);
    harness.input_mut().hovered_files = vec![held("/data/my-project")];
    harness.run_steps(3);
    harness.get_by_label("Drop to open the project my-project");
    harness.input_mut().hovered_files.clear();
    harness.run_steps(3);
    assert!(!shows(&harness, "Drop to "));
}

#[test]
fn the_main_panel_takes_all_the_room_and_gives_it_back() {
    let (mut harness, backend) = open(Screen::Feature);
    harness.get_by_label("Accept");
    press(&mut harness, Modifiers::NONE, Key::F11);
    assert!(harness.query_by_label("Accept").is_none());
    // Nothing is decided out of sight.
    press(&mut harness, Modifiers::NONE, Key::A);
    assert!(backend.decisions().is_empty());
    // Each place has its own.
    press(&mut harness, Modifiers::COMMAND, Key::Num8);
    assert!(!shows(&harness, "Show all panels"));
    press(&mut harness, Modifiers::COMMAND, Key::Num6);
    drop(harness);
    let start = StartAt {
        screen: Some(Screen::Feature),
        feature: Some(3),
        ..StartAt::default()
    };
    let mut again = open_on(&backend, [1280.0, 800.0], start);
    assert!(again.query_by_label("Accept").is_none());
    click(&mut again, "Show all panels");
    again.get_by_label("Accept");
}

#[test]
fn what_was_done_stands_in_the_bar_and_covers_nothing() {
    let (mut harness, backend) = open(Screen::Gallery);
    let done = JobEnd::Finished("Mapped the directions of films".to_owned());
    backend.send(Event::JobEnded(JobId(5), done));
    harness.run_steps(4);
    let text = harness
        .get_by_label("Mapped the directions of films")
        .rect();
    let bar = harness.get_by_label("No job is running").rect();
    assert!(
        (text.center().y - bar.center().y).abs() < 8.0,
        "{text:?} {bar:?}"
    );
    harness.run_steps(400);
    assert!(!shows(&harness, "Mapped the directions"));
}

#[test]
fn what_went_wrong_stands_above_the_bar_and_covers_nothing() {
    let (mut harness, backend) = open(Screen::Feature);
    let failed = JobEnd::Failed("The disk is full".to_owned());
    backend.send(Event::JobEnded(JobId(5), failed));
    harness.run_steps(4);
    let text = harness.get_by_label("The disk is full").rect();
    let bar = harness.get_by_label("No job is running").rect();
    assert!(text.bottom() <= bar.top(), "{text:?} {bar:?}");
    // The edge of the panel on the right is as high as the page.
    let edges = harness.query_all_by_role(egui::accesskit::Role::Splitter);
    let lowest = edges.map(|edge| edge.rect().bottom()).fold(0.0, f32::max);
    assert!(lowest > 200.0 && lowest <= text.top(), "{lowest} {text:?}");
    click(&mut harness, "Dismiss: The disk is full");
    assert!(!shows(&harness, "The disk is full"));
}

#[test]
fn the_buttons_of_a_review_stand_in_one_row_and_pace_is_told_from_five_on() {
    let (mut harness, backend) = open(Screen::Start);
    backend.set_reviewer("Ada");
    drop(harness);
    let start = StartAt {
        screen: Some(Screen::Review),
        ..StartAt::default()
    };
    harness = open_on(&backend, [1280.0, 800.0], start);
    let accept = harness.get_by_label("Accept").rect();
    let skip = harness.get_by_label("Skip").rect();
    assert!(
        (accept.center().y - skip.center().y).abs() < 2.0,
        "{accept:?} {skip:?}"
    );
    for n in 1..=5 {
        press(&mut harness, Modifiers::NONE, Key::A);
        assert_eq!(backend.decisions().len(), n);
        assert_eq!(shows(&harness, " s each"), n == 5, "after {n}");
    }
}

/// Builds the demo while the window is behind others, for so long.
fn demo_behind_others(seconds: f32, wants: bool) -> Vec<String> {
    let (mut harness, backend) = open(Screen::Start);
    let preferences = Preferences {
        notify: wants,
        ..Preferences::default()
    };
    assert_eq!(backend.set_preferences(preferences), Ok(()));
    click(&mut harness, "Build the demo project");
    let root = egui::ViewportId::ROOT;
    harness
        .input_mut()
        .viewports
        .entry(root)
        .or_default()
        .focused = Some(false);
    backend.age_jobs(seconds);
    harness.run_steps(3);
    let made = JobEnd::Finished("The demo is ready".to_owned());
    backend.send(Event::JobEnded(JobId(1), made));
    harness.run_steps(3);
    let asked = backend.asked().into_iter();
    asked.filter(|one| one.starts_with("notify")).collect()
}

#[test]
fn the_desktop_tells_of_a_long_job_behind_other_windows() {
    let told = demo_behind_others(60.0, true);
    assert_eq!(told, ["notify Build the demo project: The demo is ready"]);
    assert!(demo_behind_others(5.0, true).is_empty());
    assert!(demo_behind_others(60.0, false).is_empty());
}
