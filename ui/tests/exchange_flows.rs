//! Dictionaries and models that come in from other tools and go out to them: forms, what is dropped,
//! what came of it, refusals; on an invented project.

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::{Event, JobEnd};
use schema::JobId;
use ui::bench::Invented;
use ui::{App, Backend as _, Screen, StartAt};

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
        ..StartAt::default()
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

fn shows(harness: &Harness<'static, App>, part: &str) -> bool {
    harness.query_all_by_label_contains(part).next().is_some()
}

fn type_over(harness: &mut Harness<'static, App>, field: &str, text: &str) {
    click(harness, field);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness.run_steps(2);
    harness.event(egui::Event::Text(text.to_owned()));
    harness.run_steps(4);
}

fn value(harness: &Harness<'static, App>, field: &str) -> String {
    harness.get_by_label(field).value().unwrap_or_default()
}

#[test]
fn a_dictionary_that_is_dropped_fills_the_form_and_comes_in() {
    let (mut harness, backend) = open(Screen::Gallery);
    drop_on(&mut harness, &["/data/maira-sae"]);
    assert_eq!(harness.state().screen(), Screen::Train);
    assert_eq!(value(&harness, "Dictionary"), "/data/maira-sae");
    assert_eq!(value(&harness, "Name"), "maira-sae");
    assert!(shows(&harness, "stand here"));
    // k is asked for a bare file only.
    assert!(harness.query_by_label("k").is_none());
    click(&mut harness, "Rows of the model invented-tower");
    click(&mut harness, "Rows of the dataset reports");
    click(&mut harness, "Test every block");
    click(&mut harness, "Import");
    assert_eq!(
        backend.asked().last().unwrap(),
        "import dictionary maira-sae from /data/maira-sae as auto, model invented-tower, dataset \
         reports, harvest none, hook none, hooks all, k none"
    );
    for part in [
        "Layer self-test on 2\u{a0}012 rows of films, made for k = 32",
        "blocks.2.hook_resid_post  0.0870  32.00  lowest",
        "as the dictionary's files say",
        "1990 proposals to review from the 2010 rows of interpretations.parquet",
        "second_opinion.csv: it names feature 4096",
        "FVU 0.087",
    ] {
        assert!(shows(&harness, part), "{part}");
    }
    assert!(shows(
        &harness,
        "Imported maira-sae: MatryoshkaBatchTopKSAE of 2048 features"
    ));
    // The form is ready for the next one.
    assert_eq!(value(&harness, "Name"), "");
}

#[test]
fn a_form_is_left_by_its_button_and_by_escape_and_keeps_what_was_typed() {
    for (screen, opens, title, field) in [
        (Screen::Data, "Import data…", "Import data", "Images folder"),
        (
            Screen::Train,
            "Import a dictionary",
            "From another tool",
            "Dictionary",
        ),
        (
            Screen::Models,
            "Add another model…",
            "Kept in memory",
            "Model",
        ),
        (
            Screen::Evaluate,
            "Export the dictionary",
            "Export films for another tool",
            "Export folder",
        ),
    ] {
        let (mut harness, backend) = open(screen);
        for by_key in [false, true] {
            click(&mut harness, opens);
            harness.get_by_label(title);
            type_over(&mut harness, field, "/data/x");
            if by_key {
                harness.key_press(egui::Key::Escape);
                harness.run_steps(4);
            } else {
                click(&mut harness, "Cancel");
            }
            let is_left = harness.query_by_label(title).is_none();
            assert!(is_left, "{title}, by key: {by_key}");
        }
        click(&mut harness, opens);
        assert_eq!(value(&harness, field), "/data/x");
        // A training is forecast unasked.
        let asked = backend.asked();
        let is_forecast = |one: &String| one.starts_with("forecast");
        assert!(asked.iter().all(is_forecast), "{title}: {asked:?}");
    }
}

#[test]
fn a_menu_that_is_open_takes_escape_for_itself() {
    let (mut harness, _) = open(Screen::Models);
    click(&mut harness, "Add another model…");
    click(&mut harness, "Coding in memory");
    harness.get_by_label("q8");
    harness.key_press(egui::Key::Escape);
    harness.run_steps(4);
    assert!(harness.query_by_label("q8").is_none());
    harness.get_by_label("Kept in memory");
}

#[test]
fn a_running_import_is_cancelled_from_its_form() {
    let (mut harness, backend) = open(Screen::Train);
    backend.take_time();
    drop_on(&mut harness, &["/data/maira-sae"]);
    click(&mut harness, "Import");
    assert!(harness.query_by_label("Import").is_none());
    click(&mut harness, "Cancel the import");
    assert_eq!(backend.asked().last().unwrap(), "cancel 36");
    // It can be asked for again, with what was typed.
    harness.get_by_label("Import");
    assert_eq!(value(&harness, "Name"), "maira-sae");

    drop_on(&mut harness, &["/data/tiny.gguf"]);
    click(&mut harness, "Add");
    click(&mut harness, "Cancel the adding of the model");
    assert_eq!(backend.asked().last().unwrap(), "cancel 35");
    harness.get_by_label("Add");
}

#[test]
fn a_running_import_of_data_is_cancelled_from_its_form() {
    let (mut harness, backend) = open(Screen::Data);
    backend.take_time();
    click(&mut harness, "Import data…");
    type_over(&mut harness, "Name", "chest");
    type_over(&mut harness, "Images folder", "/data/films");
    click(&mut harness, "Preview");
    click(&mut harness, "Import");
    assert!(harness.query_by_label("Preview").is_none());
    click(&mut harness, "Cancel the import");
    assert_eq!(backend.asked(), ["preview", "import", "cancel 3"]);
    harness.get_by_label("Preview");
}

#[test]
fn a_hook_point_and_a_harvest_can_be_chosen() {
    let (mut harness, backend) = open(Screen::Train);
    click(&mut harness, "Import a dictionary");
    assert!(shows(&harness, "Choose a folder or a file first"));
    click(&mut harness, "File of dictionary");
    assert_eq!(value(&harness, "Dictionary"), "/chosen");
    type_over(&mut harness, "Dictionary", "/data/rec.safetensors");
    type_over(&mut harness, "Name", "rec");
    harness.get_by_label("k");
    click(&mut harness, "Chosen here");
    click(&mut harness, "Hook point of the dictionary");
    click(&mut harness, "blocks.1.hook_resid_post  ·  64 wide");
    click(&mut harness, "Import");
    let asked = backend.asked();
    assert!(
        asked
            .last()
            .unwrap()
            .ends_with("harvest none, hook blocks.1.hook_resid_post, hooks none, k 8"),
        "{asked:?}"
    );

    click(&mut harness, "Folder of dictionary");
    click(&mut harness, "A harvest of the project");
    assert!(shows(&harness, "invented-tower over films"));
    click(&mut harness, "Harvest of the dictionary");
    click(&mut harness, "films-block-2");
    click(&mut harness, "Import");
    assert_eq!(
        backend.asked().last().unwrap(),
        "import dictionary chosen from /chosen as auto, model none, dataset none, harvest \
         films-block-2, hook none, hooks none, k none"
    );
}

#[test]
fn an_import_that_is_refused_says_why_and_leaves_the_form() {
    let (mut harness, backend) = open(Screen::Train);
    drop_on(&mut harness, &["/data/bad-sae"]);
    click(&mut harness, "Import");
    harness.get_by_label(
        "ae.pt: it names \"os.system\", and a file of tensors names nothing that runs",
    );
    assert_eq!(value(&harness, "Name"), "bad-sae");
    // It can be asked for again.
    click(&mut harness, "Import");
    let asked = backend.asked();
    let imports = asked
        .iter()
        .filter(|one| one.starts_with("import dictionary"));
    assert_eq!(imports.count(), 2);
    type_over(&mut harness, "Name", "films-k4");
    assert!(shows(&harness, "There is a dictionary of this name"));
}

#[test]
fn without_a_project_a_new_one_is_made_for_a_dictionary_and_for_a_model() {
    for (path, name, screen, part) in [
        (
            "/data/maira-sae",
            "maira-sae",
            Screen::Train,
            "From another tool",
        ),
        ("/data/tiny.gguf", "tiny", Screen::Models, "Kept in memory"),
    ] {
        let backend = Arc::new(Invented::new(200));
        backend.close_project();
        let mut harness = open_on(&backend, [1280.0, 800.0], StartAt::default());
        drop_on(&mut harness, &[path]);
        assert_eq!(harness.state().screen(), Screen::Start);
        click(&mut harness, "New project for this");
        assert_eq!(backend.asked(), [format!("new /new/{name}-project")]);
        assert_eq!(harness.state().screen(), screen);
        assert!(shows(&harness, part), "{part}");
        assert_eq!(value(&harness, "Name"), name);
    }
}

#[test]
fn a_model_that_is_dropped_is_added_or_refused() {
    let (mut harness, backend) = open(Screen::Gallery);
    drop_on(&mut harness, &["/data/tiny.gguf"]);
    assert_eq!(value(&harness, "Model"), "/data/tiny.gguf");
    click(&mut harness, "Coding in memory");
    click(&mut harness, "q8");
    click(&mut harness, "Add");
    assert_eq!(
        backend.asked().last().unwrap(),
        "add model tiny from /data/tiny.gguf, weights q8"
    );
    let added = JobEnd::Finished("Added tiny (Llama), 0.1 million weights".to_owned());
    backend.send(Event::JobEnded(JobId(35), added));
    harness.run_steps(4);
    harness.get_by_label("Added tiny (Llama), 0.1 million weights");

    drop_on(&mut harness, &["/data/bad.gguf"]);
    click(&mut harness, "Add");
    harness.get_by_label("/data/bad.gguf: the file ends before its tensors do");
    assert_eq!(value(&harness, "Model"), "/data/bad.gguf");
    type_over(&mut harness, "Name", "invented-tower");
    harness.get_by_label("There is a model of this name; choose another name");
}

#[test]
fn a_dictionary_goes_out_from_where_it_is_shown() {
    let (mut harness, backend) = open(Screen::Train);
    click(&mut harness, "Run films-wide, Ready");
    click(&mut harness, "Export films-wide");
    // The invented project lists this one among its runs only.
    assert_eq!(harness.state().screen(), Screen::Evaluate);
    harness.get_by_label("Export films for another tool");
    harness.get_by_label("Choose a new or empty folder first.");
    click(&mut harness, "dictionary_learning");
    click(&mut harness, "Choose export folder");
    click(&mut harness, "Export");
    assert_eq!(
        backend.asked().last().unwrap(),
        "export dictionary films as dictionary_learning into /chosen"
    );
    assert!(shows(
        &harness,
        "Written to /chosen as topk; read back, reconstructions of 256 rows differ by 1.2e-6 at most"
    ));
    click(&mut harness, "Export the dictionary");
    assert!(
        harness
            .query_by_label("Export films for another tool")
            .is_none()
    );
}
