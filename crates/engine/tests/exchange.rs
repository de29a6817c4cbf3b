//! What the window asks when dictionaries and models come in and go out: the same calls as its
//! forms, on the folders that other tools wrote.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::views::{AddModelRequest, Arrival, ArrivalKind, Event, ImportRequest, JobEnd};
use engine::{Engine, ExportRequest, JobContext, SaeImport, SaeImportRequest, Session};
use schema::JobId;

const FILMS: &str = "films";
const MODEL: &str = "phantom-vlm";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// An engine on a project with films and the shipped model.
fn open(root: &Path) -> Engine {
    let session = Session::create(root).unwrap();
    let films = ImportRequest::PhantomRadiographs {
        name: FILMS.to_owned(),
        count: 30,
        seed: 3,
    };
    session.import(&films, &JobContext::silent()).unwrap();
    session.add_shipped_model(MODEL).unwrap();
    drop(session);
    let engine = Engine::forgetful(Arc::new(|| {})).unwrap();
    engine.open_project(root).unwrap();
    engine
}

/// How a job ended, and what it brought if it imported dictionaries.
fn wait(engine: &Engine, job: JobId) -> (JobEnd, Option<SaeImport>) {
    let began = Instant::now();
    let mut brought = None;
    while began.elapsed() < Duration::from_mins(10) {
        for event in engine.poll() {
            match event {
                Event::DictionariesImported(id, imported) if id == job => {
                    brought = Some(*imported);
                }
                Event::JobEnded(id, end) if id == job => return (end, brought),
                _ => {}
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the job did not end");
}

fn recognised(engine: &Engine, path: &Path) -> Arrival {
    engine.recognise(vec![path.display().to_string()]).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(1) {
        for event in engine.poll() {
            if let Event::Recognised(_, arrival) = event {
                return *arrival;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it was not told what was dropped");
}

fn failed(end: JobEnd) -> String {
    match end {
        JobEnd::Failed(text) => text,
        other => panic!("{other:?}"),
    }
}

fn finished(end: JobEnd) -> String {
    match end {
        JobEnd::Finished(text) => text,
        other => panic!("{other:?}"),
    }
}

/// What the form asks for after a folder was dropped.
fn asked(arrival: &Arrival) -> SaeImportRequest {
    SaeImportRequest {
        name: arrival.name.clone(),
        path: PathBuf::from(&arrival.path),
        format: "auto".to_owned(),
        model: Some(MODEL.to_owned()),
        dataset: Some(FILMS.to_owned()),
        ..SaeImportRequest::default()
    }
}

#[test]
fn a_dictionary_that_is_dropped_comes_in_and_goes_out() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("project"));
    let arrival = recognised(&engine, &repository("tests/fixtures/maira2_sae/ef1"));
    assert_eq!(arrival.kind, ArrivalKind::Dictionary);
    let request = asked(&arrival);
    let job = engine.import_sae(request.clone()).unwrap();
    assert_eq!(engine.jobs()[0].title, "Import ef1");
    let (end, brought) = wait(&engine, job);
    let sentence = finished(end);
    assert!(
        sentence.starts_with("Imported ef1: MatryoshkaBatchTopKSAE of 96 features"),
        "{sentence}"
    );
    let brought = brought.unwrap();
    assert_eq!(brought.sentence(), sentence);
    let test = brought.dictionaries[0].layer_test.as_ref().unwrap();
    assert_eq!(test.candidates.len(), 2);
    assert_eq!(brought.dictionaries[0].n_proposals, 20);
    let listed = engine.dictionaries().unwrap();
    assert_eq!(listed[0].name, "ef1");
    assert!(!listed[0].indexed);
    let harvests = engine.harvests().unwrap();
    assert_eq!(harvests[0].name, brought.dictionaries[0].harvest);

    // Again, on the rows that are there; the first name is taken.
    let on_rows = SaeImportRequest {
        harvest: Some(harvests[0].name.clone()),
        model: None,
        dataset: None,
        ..request
    };
    let (end, brought) = wait(&engine, engine.import_sae(on_rows.clone()).unwrap());
    assert!(failed(end).contains("saes/ef1 is already there"));
    assert_eq!(brought, None);
    // A file of a folder stands for it.
    let renamed = SaeImportRequest {
        name: "again".to_owned(),
        path: on_rows.path.join("ae.pt"),
        ..on_rows
    };
    finished(wait(&engine, engine.import_sae(renamed).unwrap()).0);
    assert_eq!(engine.dictionaries().unwrap().len(), 2);

    let out = dir.path().join("for-saelens");
    let export = ExportRequest {
        sae: "ef1".to_owned(),
        format: "saelens".to_owned(),
        out: out.clone(),
        k: None,
    };
    let written = finished(wait(&engine, engine.export_sae(export.clone()).unwrap()).0);
    assert!(
        written.contains("reconstructions of 256 rows differ by"),
        "{written}"
    );
    assert_eq!(recognised(&engine, &out).kind, ArrivalKind::Dictionary);
    let twice = failed(wait(&engine, engine.export_sae(export).unwrap()).0);
    assert!(twice.contains("choose a new or empty folder"), "{twice}");
}

#[test]
fn several_dictionaries_come_in_at_once_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("project"));
    let all = repository("tests/fixtures/maira2_sae");
    let arrival = recognised(&engine, &all);
    assert_eq!(arrival.said, "a folder of 3 dictionaries");
    let mut request = asked(&arrival);
    request.dataset = Some("gone".to_owned());
    let text = failed(wait(&engine, engine.import_sae(request.clone()).unwrap()).0);
    assert!(text.contains("gone"), "{text}");
    assert!(engine.dictionaries().unwrap().is_empty());
    request.dataset = Some(FILMS.to_owned());
    let (end, brought) = wait(&engine, engine.import_sae(request).unwrap());
    let sentence = finished(end);
    assert!(
        sentence.starts_with("Imported 3 dictionaries: maira2_sae-ef0.25"),
        "{sentence}"
    );
    assert_eq!(brought.unwrap().dictionaries.len(), 3);
}

#[test]
fn models_come_in_by_file_and_by_folder() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("project"));
    let gguf = recognised(&engine, &repository("tests/fixtures/qwen/qwen2.gguf"));
    assert_eq!(gguf.kind, ArrivalKind::Model);
    let request = AddModelRequest {
        name: gguf.name,
        path: gguf.path,
        weights: String::new(),
    };
    let sentence = finished(wait(&engine, engine.add_model(request.clone()).unwrap()).0);
    assert!(sentence.starts_with("Added qwen2 (Llama)"), "{sentence}");
    let folder = recognised(&engine, &repository("assets/phantom-vlm"));
    assert_eq!(folder.kind, ArrivalKind::Model, "{}", folder.said);
    let other = AddModelRequest {
        name: "other".to_owned(),
        path: folder.path,
        ..request.clone()
    };
    finished(wait(&engine, engine.add_model(other).unwrap()).0);
    let names = engine.model_names().unwrap();
    assert_eq!(names, ["other", MODEL, "qwen2"]);
    let entries = engine.model_entries().unwrap();
    assert!(entries[2].outside.is_some());

    for (name, path, weights, part) in [
        ("qwen2", request.path.as_str(), "", "qwen2"),
        ("new", "/nowhere/model.gguf", "", "no such file or folder"),
        (
            "new",
            request.path.as_str(),
            "q9",
            "is no coding of weights",
        ),
    ] {
        let refused = AddModelRequest {
            name: name.to_owned(),
            path: path.to_owned(),
            weights: weights.to_owned(),
        };
        let text = failed(wait(&engine, engine.add_model(refused).unwrap()).0);
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(engine.model_names().unwrap().len(), 3);
}
