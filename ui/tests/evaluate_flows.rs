//! The Evaluate screen on an invented project, driven through the accessibility tree.

use std::sync::Arc;

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::{Event, JobEnd, PathPurpose};
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
    let backend = Arc::new(Invented::new(2_000));
    let start = StartAt {
        screen: Some(Screen::Evaluate),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

#[test]
fn what_was_measured_stands_beside_its_baselines() {
    let (harness, _) = open("films");
    harness.get_by_label_contains("last measured 2026-11-27 09:30 UTC");
    // Value, interval, random dictionary, shuffled; which way is better.
    let row = "FVU  lower  0.125  0.121 to 0.128  0.525  0.473  –  250\u{a0}000 rows";
    harness.get_by_label(row);
    harness.get_by_label_contains("L0  neither  16.000");
    harness.get_by_label_contains("effusion, 5 features: 0.970 (0.940 to 0.991)");
    harness.get_by_label_contains("40 of 60 features have a score");
    harness.get_by_label("Measure again");
}

#[test]
fn a_dictionary_is_measured_and_the_job_can_be_stopped() {
    let (mut harness, backend) = open("reports");
    harness.get_by_label_contains("was not measured yet");
    assert!(harness.query_by_label_contains("FVU  lower").is_none());
    harness.get_by_label("Measure").click();
    harness.run_steps(4);
    assert_eq!(backend.asked(), ["evaluate reports"]);
    assert!(harness.query_by_label("Measure").is_none());
    harness.get_by_label("Progress of the measurement");
    harness.get_by_label("Cancel the measurement").click();
    harness.run_steps(4);
    assert_eq!(backend.asked()[1], "cancel 61");
    // The stand-in has measured it all the same.
    harness.get_by_label("Measure again");
    harness.get_by_label_contains("FVU  lower");
}

#[test]
fn a_second_dictionary_has_its_own_column_or_is_matched() {
    let (mut harness, backend) = open("films");
    choose(&mut harness, "Dictionary beside it", "histories");
    harness.get_by_label_contains("histories was not measured yet");
    choose(&mut harness, "Dictionary matched with", "reports");
    click(&mut harness, "Measure again");
    assert_eq!(backend.asked(), ["evaluate films against reports"]);
}

fn choose(harness: &mut Harness<'static, App>, list: &str, entry: &str) {
    harness.get_by_role_and_label(Role::ComboBox, list).click();
    harness.run_steps(4);
    let entries = harness.query_all_by_label(entry);
    let last = entries.last();
    assert!(last.is_some(), "{entry} is not in {list}");
    if let Some(last) = last {
        last.click();
    }
    harness.run_steps(4);
}

#[test]
fn the_report_and_its_parts_are_saved_where_the_dialog_says() {
    let (mut harness, backend) = open("films");
    for label in [
        "Save report as HTML…",
        "Save table as CSV…",
        "Save as SVG: How many features are how dense",
        "Save as PNG: How well features tell findings or categories",
    ] {
        click(&mut harness, label);
    }
    assert_eq!(
        backend.asked(),
        [
            "save Page of films to /chosen",
            "save Table of films to /chosen",
            "save Svg(\"density\") of films to /chosen",
            "save Png(\"concept-auroc\") of films to /chosen",
        ]
    );
    // Nothing is written where the dialog was closed.
    backend.send(Event::PathChosen(PathPurpose::ReportPage, None));
    harness.run_steps(4);
    assert_eq!(backend.asked().len(), 4);
}

#[test]
fn another_dictionary_is_chosen_and_an_error_is_said() {
    let (mut harness, backend) = open("films");
    choose(&mut harness, "Dictionary evaluated", "histories");
    harness.get_by_label_contains("was not measured yet");
    harness.get_by_label("Evaluate histories");
    let problem = "evaluations/histories/evaluation.json: it ends too early".to_owned();
    backend.send(Event::Evaluated(
        "histories".to_owned(),
        Err(problem.clone()),
    ));
    harness.run_steps(2);
    harness.get_by_label(&problem);
    click(&mut harness, "Try again");
    harness.get_by_label_contains("was not measured yet");
    backend.send(Event::JobEnded(
        JobId(61),
        JobEnd::Failed("histories has no rows".to_owned()),
    ));
    harness.run_steps(2);
    harness.get_by_label("histories has no rows");
}

#[test]
fn without_a_project_the_next_step_is_said() {
    let (mut harness, backend) = open("films");
    ui::Backend::close_project(&*backend);
    harness.run_steps(4);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num9);
    harness.run_steps(4);
    harness.get_by_label("No dictionary yet");
    click(&mut harness, "Open Start");
    assert_eq!(harness.state().screen(), Screen::Start);
}
