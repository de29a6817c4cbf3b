//! Dose-response sweeps of a phantom film and a phantom shopper: their runs, controls and files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::views::{
    ImportRequest, SavedChange, SteerOutcome, SteerRequest, SteeringExport, SteeringPart,
    SweepRange, SweepRequest, SweepRun, SweepView,
};
use engine::{
    HarvestRequest, JobContext, MeasuredOutcome, Observer, Progress, Session, SteeringExperiment,
    TrainRecommenderRequest,
};
use schema::{
    FeatureId, PositionScope, ReviewState, SaeConfig, SteeringMode, SteeringSpec, StrengthUnit,
};

const FILMS: &str = "films";
const WRITTEN: &str = "written";
const TASTES: &str = "tastes";

fn config() -> SaeConfig {
    SaeConfig {
        n_features: 48,
        k: 6,
        lr: 2e-3,
        batch_rows: 256,
        steps: 150,
        warmup_steps: 20,
        ..SaeConfig::default()
    }
}

/// Films, the shipped model, and a dictionary of an image hook and one of a text hook.
fn films_project(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let job = JobContext::silent();
    let films = ImportRequest::PhantomRadiographs {
        name: FILMS.to_owned(),
        count: 40,
        seed: 3,
    };
    session.import(&films, &job).unwrap();
    session.add_shipped_model("phantom-vlm").unwrap();
    for (name, hook, positions) in [
        (FILMS, "vision.blocks.1.hook_resid_post", "image"),
        (WRITTEN, "blocks.1.hook_resid_post", "report"),
    ] {
        let request = HarvestRequest {
            name: name.to_owned(),
            model: "phantom-vlm".to_owned(),
            dataset: FILMS.to_owned(),
            hook: hook.parse().unwrap(),
            positions: positions.to_owned(),
            limit: None,
            pool: 1,
        };
        session.harvest(&request, &job).unwrap();
        session.train_sae(name, name, &config(), &job).unwrap();
        session.build_feature_index(name, &job).unwrap();
    }
    session
}

fn shoppers(session: &Session) {
    let job = JobContext::silent();
    let shoppers = ImportRequest::PhantomShoppers {
        name: "shoppers".to_owned(),
        count: 200,
        seed: 4,
    };
    session.import(&shoppers, &job).unwrap();
    let training = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        lr: Some(1e-3),
        epochs: Some(3),
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    let request = HarvestRequest {
        name: TASTES.to_owned(),
        model: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        hook: "hook_user_vector".parse().unwrap(),
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    session.train_sae(TASTES, TASTES, &config(), &job).unwrap();
    session.build_feature_index(TASTES, &job).unwrap();
}

/// The live feature that is active on most rows.
fn feature(session: &Session, sae: &str) -> FeatureId {
    let features = (0..48).map(FeatureId);
    let density = |feature: &FeatureId| {
        let page = session.feature_page(sae, *feature).unwrap();
        page.n_active_rows
    };
    features.max_by_key(density).unwrap()
}

fn edit(feature: FeatureId, mode: SteeringMode, scope: PositionScope) -> SteeringSpec {
    SteeringSpec {
        feature,
        strength: 0.0,
        mode,
        unit: StrengthUnit::Max,
        scope,
    }
}

fn request(sae: &str, edits: Vec<SteeringSpec>) -> SweepRequest {
    SweepRequest {
        steer: SteerRequest {
            sae: sae.to_owned(),
            sample: 1,
            edits,
            control: false,
        },
        range: SweepRange {
            from: -4.0,
            to: 4.0,
            steps: 5,
        },
        n_controls: 3,
        seed: 11,
    }
}

fn run(session: &Session, request: &SweepRequest) -> SweepView {
    let mut n_told = 0;
    let view = session
        .sweep(request, &JobContext::silent(), &mut |_| n_told += 1)
        .unwrap();
    assert!(view.is_complete());
    assert_eq!(n_told, view.n_planned);
    view
}

/// The same but for the time it took.
fn timeless(mut view: SweepView) -> SweepView {
    view.seconds = 0.0;
    view
}

fn text_of(run: &SweepRun) -> &str {
    match run {
        SweepRun::Text { text, .. } => text,
        SweepRun::Ranking(_) => "",
    }
}

#[test]
fn films_are_swept_stopped_written_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let session = films_project(&dir.path().join("project"));
    let one = edit(
        feature(&session, FILMS),
        SteeringMode::Add,
        PositionScope::All,
    );
    let swept = request(FILMS, vec![one]);
    let view = run(&session, &swept);
    assert_eq!(view.points.len(), 5);
    assert!(view.length > 0.0);
    assert_eq!(view.n_planned, 20);
    let zero = &view.points[2];
    assert_eq!(zero.strength, 0.0);
    // Really run, not copied: a strength of 0 writes the very report of the unsteered model.
    assert_eq!(zero.features, view.unsteered);
    assert!(
        zero.controls
            .iter()
            .all(|control| *control == view.unsteered)
    );
    let far = &view.points[4];
    assert_ne!(text_of(&far.features), text_of(&view.unsteered));
    assert_eq!(far.controls.len(), 3);
    // What a strength does in the sweep is what it does when it is asked for alone.
    let mut alone = swept.steer.clone();
    alone.edits[0].strength = 4.0;
    let outcome = session
        .steer(&alone, &JobContext::silent())
        .unwrap()
        .outcome;
    let SteerOutcome::Text { before, after, .. } = &outcome else {
        unreachable!("films have reports")
    };
    assert_eq!(before, text_of(&view.unsteered));
    assert_eq!(after, text_of(&far.features));
    // The same seed gives the same runs, another one other directions.
    assert_eq!(timeless(run(&session, &swept)), timeless(view.clone()));
    beside_a_random_direction(&session, &swept);
    stopped(&session, &swept, &view);
    refused(&session, &swept);
    written(&session, dir.path(), (&alone, &view));
    kept(&session, one);
}

/// The random direction beside a single change is that of a sweep from seed 0, both ways.
fn beside_a_random_direction(session: &Session, swept: &SweepRequest) {
    let job = JobContext::silent();
    let view = run(
        session,
        &SweepRequest {
            n_controls: 1,
            seed: 0,
            ..swept.clone()
        },
    );
    for point in [&view.points[0], &view.points[2], &view.points[4]] {
        let mut alone = swept.steer.clone();
        alone.edits[0].strength = point.strength;
        assert_eq!(session.steer(&alone, &job).unwrap().control, None);
        alone.control = true;
        let steered = session.steer(&alone, &job).unwrap();
        let Some(SteerOutcome::Text { before, after, .. }) = &steered.control else {
            unreachable!("a control was asked for, and films have reports")
        };
        assert_eq!(before, text_of(&view.unsteered));
        assert_eq!(after, text_of(&point.controls[0]), "{}", point.strength);
    }
}

/// Stops a job once so many runs are reported.
struct StopsAfter(u64, Arc<AtomicBool>);

impl Observer for StopsAfter {
    fn progress(&self, progress: Progress) {
        if progress.unit == "runs" && progress.done >= self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn warning(&self, _: String) {}
}

/// A sweep that is stopped keeps what was run, the features' own curve first.
fn stopped(session: &Session, swept: &SweepRequest, whole: &SweepView) {
    let stop = |after| {
        let cancel = Arc::new(AtomicBool::new(false));
        let observer = Arc::new(StopsAfter(after, Arc::clone(&cancel)));
        let job = JobContext::new(cancel, observer);
        session.sweep(swept, &job, &mut |_| {})
    };
    let part = stop(7).unwrap();
    assert!(!part.is_complete());
    // The run that was under way is kept.
    assert!((7..=8).contains(&part.n_runs()), "{}", part.n_runs());
    assert_eq!(part.points.len(), 5);
    for (part, whole) in part.points.iter().zip(&whole.points) {
        assert_eq!(part.features, whole.features);
        assert_eq!(part.controls, whole.controls[..part.controls.len()]);
    }
    assert!(stop(0).unwrap_err().is_cancelled());
}

fn refused(session: &Session, swept: &SweepRequest) {
    let said = |request: &SweepRequest| {
        let answer = session.sweep(request, &JobContext::silent(), &mut |_| {});
        answer.unwrap_err().to_string()
    };
    let with = |edit: SteeringSpec| {
        let mut request = swept.clone();
        request.steer.edits = vec![edit];
        request
    };
    let one = swept.steer.edits[0];
    let ablated = SteeringSpec {
        mode: SteeringMode::Ablate,
        ..one
    };
    assert!(said(&with(ablated)).contains("no strength to sweep"));
    let nowhere = SteeringSpec {
        scope: PositionScope::Generated,
        ..one
    };
    let text = said(&with(nowhere));
    assert!(
        text.contains("\"generated\" reaches no position of vision."),
        "{text}"
    );
    let mut backwards = swept.clone();
    (backwards.range.from, backwards.range.to) = (4.0, -4.0);
    assert!(said(&backwards).contains("the lower one first"));
    let mut none = swept.clone();
    none.steer.edits.clear();
    assert!(said(&none).contains("expected at least one"));
}

/// Files of the experiment: JSON that reads back, a page, a table of every run, charts.
fn written(session: &Session, folder: &Path, (alone, view): (&SteerRequest, &SweepView)) {
    let job = JobContext::silent();
    let export = |part| SteeringExport {
        name: "louder".to_owned(),
        request: alone.clone(),
        known: None,
        sweep: Some(view.clone()),
        part,
    };
    let write = |part, name: &str| -> Vec<u8> {
        let file = folder.join(name);
        session.export_steering(&export(part), &file, &job).unwrap();
        std::fs::read(&file).unwrap()
    };
    let feature = alone.edits[0].feature;
    let label = "Kerley <B> lines";
    let edited = ReviewState::Edited;
    session
        .decide(&alone.sae, feature, edited, label, "Ada")
        .unwrap();
    let bytes = write(SteeringPart::Json, "e.json");
    let read: SteeringExperiment = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read.version, 1);
    assert_eq!(read.safety, "Research use, not for diagnosis");
    // By way of the same digits, of which a reader of JSON may drop the last.
    let digits = serde_json::to_string(view).unwrap();
    assert_eq!(read.sweep, serde_json::from_str(&digits).unwrap());
    assert_eq!(read.sweep.as_ref().unwrap().points.len(), view.points.len());
    assert_eq!(read.request, *alone);
    assert_eq!(read.dictionary.blake3, view.sae_hash);
    assert_eq!(read.features[0].feature, feature);
    assert_eq!(read.features[0].label, label);
    let MeasuredOutcome::Report { after, gained, .. } = &read.outcome else {
        unreachable!("films have reports")
    };
    assert_eq!(after, text_of(&view.points[4].features));
    let page = String::from_utf8(write(SteeringPart::Page, "e.html")).unwrap();
    for part in [
        "Steering experiment louder",
        "Research use, not for diagnosis",
        &view.sae_hash,
        "Share of words changed",
        "Kerley &lt;B&gt; lines",
        "<polygon",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(gained.iter().all(|finding| page.contains(finding)));
    // No file names who the patient is.
    let sample = session.sample_view(FILMS, alone.sample).unwrap();
    let json = String::from_utf8(bytes).unwrap();
    for text in [&page, &json] {
        assert!(!text.contains(&sample.id) && !text.contains(&sample.group));
    }

    let table = String::from_utf8(write(SteeringPart::Table, "e.csv")).unwrap();
    // Heading, the unsteered run, and every other.
    assert_eq!(table.lines().count(), 2 + 20);
    assert!(table.lines().next().unwrap().ends_with(",report,note"));
    let noted = ",\"Research use, not for diagnosis\"";
    assert!(table.lines().skip(1).all(|line| line.ends_with(noted)));
    assert!(table.lines().nth(1).unwrap().starts_with(",unsteered,0,"));
    let charts = view.charts();
    let ids: Vec<&str> = charts.iter().map(|chart| chart.id.as_str()).collect();
    assert_eq!(ids, ["words-changed", "findings-changed"]);
    let svg = write(SteeringPart::Svg("words-changed".to_owned()), "e.svg");
    assert!(svg.starts_with(b"<?xml"));
    let png = write(SteeringPart::Png("findings-changed".to_owned()), "e.png");
    assert!(png.starts_with(b"\x89PNG"));

    let mut other = export(SteeringPart::Json);
    other.request.sample += 1;
    let refused = session.export_steering(&other, &folder.join("x.json"), &job);
    assert!(refused.unwrap_err().to_string().contains("another sample"));
    other.sweep = None;
    other.part = SteeringPart::Table;
    assert!(
        session
            .export_steering(&other, &folder.join("x.csv"), &job)
            .is_err()
    );
    assert!(!folder.join("x.json").exists() && !folder.join("x.csv").exists());
}

/// A change keeps its sample and its positions, and `model run --steer` reads its file.
fn kept(session: &Session, one: SteeringSpec) {
    let change = SavedChange {
        name: "patches".to_owned(),
        sae: FILMS.to_owned(),
        edits: vec![SteeringSpec {
            strength: 1.5,
            scope: PositionScope::Image,
            ..one
        }],
        sample: Some(1),
    };
    session.save_change(&change).unwrap();
    assert_eq!(
        session.saved_changes().unwrap(),
        std::slice::from_ref(&change)
    );
    session.remove_change("patches").unwrap();
    assert!(session.saved_changes().unwrap().is_empty());

    // Where only what is written is changed, the first word is chosen as before.
    let feature = feature(session, WRITTEN);
    let swept = request(
        WRITTEN,
        vec![edit(feature, SteeringMode::Add, PositionScope::Generated)],
    );
    let view = run(session, &swept);
    assert_eq!(view.points[2].features, view.unsteered);
    let first = |run: &SweepRun| {
        let word = text_of(run).split(' ').next();
        word.map(|word| word.trim_end_matches('.').to_owned())
    };
    for point in &view.points {
        assert_eq!(first(&point.features), first(&view.unsteered));
    }
}

#[test]
fn a_shopper_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::create(&dir.path().join("project")).unwrap();
    shoppers(&session);
    let tastes = feature(&session, TASTES);
    let swept = request(
        TASTES,
        vec![edit(tastes, SteeringMode::Add, PositionScope::All)],
    );
    let view = run(&session, &swept);
    assert_eq!(view.promoted.len(), 20);
    assert_eq!(view.points[2].features, view.unsteered);
    let rise = |run: &SweepRun| match run {
        SweepRun::Ranking(effect) => effect.mean_rise,
        SweepRun::Text { .. } => 0.0,
    };
    // Scores are linear in the user vector: promoted items go up with the strength and down
    // against it, further than by chance.
    let own: Vec<f64> = view
        .points
        .iter()
        .map(|point| rise(&point.features))
        .collect();
    assert!(own.windows(2).all(|pair| pair[0] <= pair[1]), "{own:?}");
    assert!(own[0] < 0.0 && own[4] > 0.0, "{own:?}");
    for control in &view.points[4].controls {
        assert!(rise(control) < own[4], "{control:?} {own:?}");
    }
    let ids: Vec<String> = view.charts().into_iter().map(|chart| chart.id).collect();
    // Phantom shoppers have no held-out item whose rank could be told.
    assert_eq!(ids, ["mean-rise", "overlap"]);
    // A factor of 1 leaves the vector, whatever the direction.
    let mut scaled = request(
        TASTES,
        vec![edit(tastes, SteeringMode::Scale, PositionScope::All)],
    );
    (scaled.range.from, scaled.range.to, scaled.range.steps) = (0.0, 1.0, 2);
    let view = run(&session, &scaled);
    assert_eq!(view.points[1].features, view.unsteered);
    assert!(
        view.points[1]
            .controls
            .iter()
            .all(|run| *run == view.unsteered)
    );
    let nowhere = request(
        TASTES,
        vec![edit(tastes, SteeringMode::Add, PositionScope::Generated)],
    );
    let answer = session.sweep(&nowhere, &JobContext::silent(), &mut |_| {});
    assert!(answer.unwrap_err().to_string().contains("expected all"));
}
