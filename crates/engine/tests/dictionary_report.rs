//! The report of a dictionary on phantom films: kept, read again, and written to files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use engine::views::{DictionaryReport, Event, ImportRequest, JobEnd, ReportPart, figure};
use engine::{
    Engine, EvaluateRequest, ExplainRequest, HarvestRequest, JobContext, ReportFiles, Session,
};
use schema::SaeConfig;
use store::ArtefactKind;

const NAME: &str = "films";

fn config(seed: u64) -> SaeConfig {
    SaeConfig {
        n_features: 48,
        k: 6,
        lr: 2e-3,
        batch_rows: 256,
        steps: 150,
        warmup_steps: 20,
        seed,
        ..SaeConfig::default()
    }
}

fn project(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let job = JobContext::silent();
    let films = ImportRequest::PhantomRadiographs {
        name: NAME.to_owned(),
        count: 120,
        seed: 3,
    };
    session.import(&films, &job).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/phantom-vlm");
    session.add_model("phantom-vlm", &model, None).unwrap();
    let request = HarvestRequest {
        name: NAME.to_owned(),
        model: "phantom-vlm".to_owned(),
        dataset: NAME.to_owned(),
        hook: "vision.blocks.1.hook_resid_post".parse().unwrap(),
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    session.train_sae(NAME, NAME, &config(0), &job).unwrap();
    session.build_feature_index(NAME, &job).unwrap();
    session
}

fn request() -> EvaluateRequest {
    EvaluateRequest {
        loss_samples: 1,
        ..EvaluateRequest::of(NAME)
    }
}

#[test]
fn kept_read_again_written_and_out_of_date() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    let session = project(&root);
    let job = JobContext::silent();
    let before = session.dictionary_report(NAME).unwrap();
    assert!(before.evaluation.is_none() && before.charts.is_empty());
    assert!(before.plan.seconds.is_none() && before.plan.n_rows > 0);
    let page = dir.path().join("early.html");
    let refused = session.save_report_part(NAME, &ReportPart::Page, &page);
    assert!(refused.unwrap_err().to_string().contains("not evaluated"));
    assert!(!page.exists());

    // The same numbers as `sae evaluate` prints.
    let printed = serde_json::to_value(session.evaluate_sae(&request(), &job).unwrap()).unwrap();
    session.propose_keywords(NAME, &job).unwrap();
    session.evaluate_and_keep(&request(), &job).unwrap();
    drop(session);
    let session = Session::open(&root).unwrap();
    let report = session.dictionary_report(NAME).unwrap();
    let kept = report.evaluation.as_ref().unwrap();
    let read = serde_json::to_value(&kept.report).unwrap();
    same_numbers(&printed, &read, "");
    let planned = &report.plan.metrics;
    for metric in &kept.report.metrics {
        assert!(planned.contains(&metric.name), "{}", metric.name);
    }
    assert_eq!(report.plan.seconds, Some(kept.seconds));
    assert!(report.changed.is_empty() && !report.associations.is_empty());
    let ids: Vec<&str> = report
        .charts
        .iter()
        .map(|chart| chart.id.as_str())
        .collect();
    for id in [
        "density",
        "concept-auroc",
        "planted-recovery",
        "associations",
    ] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
    assert!(session.check(&job).unwrap().1.is_empty());

    files(&session, dir.path());
    drop(session);
    trained_anew(&root);
}

/// The same structure, numbers alike to the last digits that a parser of JSON may read otherwise.
fn same_numbers(a: &serde_json::Value, b: &serde_json::Value, place: &str) {
    use serde_json::Value;
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            assert!(
                (x - y).abs() <= 1e-14 * x.abs().max(1e-300),
                "{place}: {x} {y}"
            );
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len(), "{place}");
            for (at, (x, y)) in x.iter().zip(y).enumerate() {
                same_numbers(x, y, &format!("{place}/{at}"));
            }
        }
        (Value::Object(x), Value::Object(y)) => {
            assert_eq!(x.len(), y.len(), "{place}");
            for (key, value) in x {
                same_numbers(value, &y[key], &format!("{place}/{key}"));
            }
        }
        _ => assert_eq!(a, b, "{place}"),
    }
}

fn files(session: &Session, folder: &Path) {
    let job = JobContext::silent();
    let asked = ExplainRequest {
        limit: Some(6),
        ..ExplainRequest::new(NAME)
    };
    let run = session.explain_features(&asked, &job).unwrap();
    let has_scores = run.totals.detection.is_some();
    let report = session.measured_report(NAME, false, &job).unwrap();
    let kept = report.evaluation.as_ref().unwrap();
    assert_eq!(kept, &session.kept_evaluation(NAME).unwrap().unwrap());
    let scores = report.explanations.unwrap();
    assert_eq!(scores.run, run.name);
    assert_eq!(!scores.scores.is_empty(), has_scores);

    let report = session.dictionary_report(NAME).unwrap();
    let files = ReportFiles {
        page: Some(folder.join("report.html")),
        csv: Some(folder.join("report.csv")),
        svg: Some(folder.join("svg")),
        png: Some(folder.join("png")),
    };
    let written = Session::write_report(&report, &files, &job).unwrap();
    assert_eq!(written.len(), 2 + 2 * report.charts.len());
    charts(&report, folder);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    keep_picture("report.html", page.as_bytes());
    assert!(page.contains("default-src 'none'") && page.contains("not for diagnosis"));
    for word in [
        " src=",
        "href=",
        "url(",
        "@import",
        "<script",
        "<link",
        " style=\"",
        "xmlns",
        "{{",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let kept = report.evaluation.as_ref().unwrap();
    let csv = std::fs::read_to_string(folder.join("report.csv")).unwrap();
    for metric in &kept.report.metrics {
        assert!(page.contains(&figure(metric.value)), "{}", metric.id);
        let line = format!(",{},{},", metric.id, metric.value);
        assert!(csv.contains(&line), "{line}");
    }
    for (name, hash) in &report.hashes {
        assert!(page.contains(name) && page.contains(hash), "{name}");
    }
    let is_noted = |line: &str| line.ends_with(",\"Research use, not for diagnosis\"");
    assert!(csv.lines().skip(1).all(is_noted));
    let n_columns = csv.lines().next().unwrap().split(',').count();
    assert!(n_columns == 13 && csv.lines().count() > kept.report.metrics.len() + 10);

    single_parts(session, folder);
}

/// A chart by itself is the same file; one that is not there is refused.
fn single_parts(session: &Session, folder: &Path) {
    let one = folder.join("one.svg");
    let part = ReportPart::Svg("density".to_owned());
    session.save_report_part(NAME, &part, &one).unwrap();
    let same = std::fs::read(folder.join("svg/density.svg")).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), same);
    let absent = ReportPart::Png("no-such".to_owned());
    let refused = session.save_report_part(NAME, &absent, &one).unwrap_err();
    assert!(
        refused.to_string().contains("no chart no-such"),
        "{refused}"
    );
}

/// Every chart as a file, with each of its values.
fn charts(report: &DictionaryReport, folder: &Path) {
    for chart in &report.charts {
        let svg = std::fs::read_to_string(folder.join(format!("svg/{}.svg", chart.id))).unwrap();
        assert!(svg.contains(&chart.title) && svg.contains("not for diagnosis"));
        for value in chart
            .series
            .iter()
            .flat_map(|series| &series.values)
            .flatten()
        {
            let words = if value.interval.is_none() && value.value >= 1.0 && chart.id == "density" {
                format!("{:.0}", value.value)
            } else {
                figure(value.value)
            };
            assert!(svg.contains(&words), "{}: {words}", chart.id);
        }
        let png = std::fs::read(folder.join(format!("png/{}.png", chart.id))).unwrap();
        assert_eq!(png[1..4], *b"PNG");
        keep_picture(&format!("report-{}.png", chart.id), &png);
    }
}

/// Keeps a file for a person to look at, where `FLUOROSCOPE_PICTURES` names a folder.
fn keep_picture(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES") {
        std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
    }
}

/// A dictionary that is replaced by another makes its report out of date, which is said; the next
/// one asked for is measured anew.
fn trained_anew(root: &Path) {
    let job = JobContext::silent();
    let project = store::Project::open(root).unwrap();
    for kind in [ArtefactKind::Sae, ArtefactKind::Features] {
        project.remove(kind, NAME).unwrap();
    }
    drop(project);
    let session = Session::open(root).unwrap();
    let old = session.kept_evaluation(NAME).unwrap().unwrap();
    session.train_sae(NAME, NAME, &config(1), &job).unwrap();
    let report = session.dictionary_report(NAME).unwrap();
    assert_eq!(report.changed, ["saes/films"]);
    assert_eq!(report.evaluation.unwrap(), old);
    let anew = session.measured_report(NAME, false, &job).unwrap();
    assert!(anew.changed.is_empty());
    assert_ne!(anew.evaluation.unwrap().sae_hash, old.sae_hash);
}

#[test]
fn the_window_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    drop(project(&root));
    let engine = Engine::forgetful(std::sync::Arc::new(|| {})).unwrap();
    engine.open_project(&root).unwrap();
    let wait = |until: &dyn Fn(&Event) -> bool| {
        let began = std::time::Instant::now();
        let mut seen = Vec::new();
        loop {
            seen.extend(engine.poll());
            if seen.iter().any(until) {
                return seen;
            }
            assert!(began.elapsed() < std::time::Duration::from_mins(10));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    engine.read_report(NAME).unwrap();
    let seen = wait(&|event| matches!(event, Event::Evaluated(..)));
    let is_empty = |event: &Event| matches!(event, Event::Evaluated(name, Ok(report)) if name == NAME && report.evaluation.is_none());
    assert!(seen.iter().any(is_empty));
    let job = engine.evaluate(request()).unwrap();
    let seen = wait(&|event| matches!(event, Event::JobEnded(id, _) if *id == job));
    let measured = |event: &Event| matches!(event, Event::Evaluated(_, Ok(report)) if report.evaluation.is_some());
    assert!(seen.iter().any(measured));
    let file = dir.path().join("report.html");
    let job = engine.save_report(NAME, ReportPart::Page, &file).unwrap();
    let seen = wait(&|event| matches!(event, Event::JobEnded(id, _) if *id == job));
    let wrote = |event: &Event| matches!(event, Event::JobEnded(_, JobEnd::Finished(text)) if text.contains("report.html"));
    assert!(seen.iter().any(wrote) && file.is_file());
    // A job that is stopped keeps nothing and says nothing of the dictionary.
    let job = engine.evaluate(request()).unwrap();
    engine.cancel(job);
    let seen = wait(&|event| matches!(event, Event::JobEnded(id, _) if *id == job));
    assert!(
        !seen
            .iter()
            .any(|event| matches!(event, Event::Evaluated(..)))
    );
    let absent = engine.evaluate(EvaluateRequest::of("none")).unwrap();
    let seen = wait(&|event| matches!(event, Event::JobEnded(id, _) if *id == absent));
    let failed = |event: &Event| matches!(event, Event::Evaluated(name, Err(text)) if name == "none" && text.contains("none"));
    assert!(seen.iter().any(failed));
}
