//! Runs from samples to gallery: stopped anywhere and gone on with, they give the bytes of an
//! undisturbed one; forecasts count the rows that are recorded.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::views::{Event, ImportRequest, JobEnd, JobView, RunRequest, RunState};
use engine::{Engine, HarvestRequest, JobContext, Observer, Progress, Session};
use safetensors::SafeTensors;
use schema::{HookPoint, SaeConfig, SaeVariant};

const HOOK: HookPoint = HookPoint::VisionLnFinal;

fn build(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let films = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: 16,
        seed: 5,
    };
    session.import(&films, &JobContext::silent()).unwrap();
    session.add_shipped_model("phantom").unwrap();
    session
}

fn request(name: &str) -> RunRequest {
    RunRequest {
        name: name.to_owned(),
        model: "phantom".to_owned(),
        dataset: "films".to_owned(),
        hook: HOOK,
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
        config: SaeConfig {
            n_features: 64,
            k: 4,
            batch_rows: 256,
            steps: 60,
            warmup_steps: 5,
            seed: 11,
            ..SaeConfig::default()
        },
    }
}

/// Stops its job once a stage whose name begins so has come so far.
struct StopAt {
    stage: &'static str,
    done: u64,
    cancel: Arc<AtomicBool>,
}

impl Observer for StopAt {
    fn progress(&self, progress: Progress) {
        if progress.stage.starts_with(self.stage) && progress.done >= self.done {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn warning(&self, _: String) {}
}

fn stopping_at(stage: &'static str, done: u64) -> JobContext {
    let cancel = Arc::new(AtomicBool::new(false));
    let observer = StopAt {
        stage,
        done,
        cancel: Arc::clone(&cancel),
    };
    JobContext::new(cancel, Arc::new(observer))
}

fn weights(root: &Path, name: &str) -> Vec<u8> {
    std::fs::read(root.join("saes").join(name).join("sae.safetensors")).unwrap()
}

fn state(session: &Session, name: &str) -> (RunState, u32) {
    let views = session.run_views().unwrap();
    let view = views.iter().find(|view| view.name == name).unwrap();
    assert_eq!(view.config.as_ref().unwrap().seed, 11);
    assert_eq!(view.hook, Some(HOOK));
    (view.state, view.steps_done)
}

#[test]
fn a_run_that_is_stopped_twice_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (dir.path().join("a"), dir.path().join("b"));
    let session = build(&root);
    session.begin_runs(&[request("one")]).unwrap();
    let stopped = session.train_run(&request("one"), &stopping_at("Recording", 0));
    assert!(stopped.unwrap_err().is_cancelled());
    assert_eq!(state(&session, "one"), (RunState::Recording, 0));
    assert_eq!(session.harvests().unwrap().len(), 0);

    // The program ends and starts again.
    drop(session);
    let session = Session::open(&root).unwrap();
    let stopped = session.resume_run("one", &stopping_at("Training dictionary", 23));
    assert!(stopped.unwrap_err().is_cancelled());
    assert_eq!(state(&session, "one"), (RunState::Training, 23));
    assert_eq!(session.training_curve("one").unwrap().steps.len(), 23);

    drop(session);
    let session = Session::open(&root).unwrap();
    let job = JobContext::silent();
    session.resume_run("one", &job).unwrap();
    assert_eq!(state(&session, "one"), (RunState::Ready, 60));
    let curve = session.training_curve("one").unwrap();
    assert_eq!(curve.steps.len(), 60);
    let told: Vec<u32> = curve.kept.iter().map(|point| point.step).collect();
    assert_eq!(told, [12, 24, 36, 48, 60]);
    let again = session.resume_run("one", &job).unwrap_err();
    assert!(again.message.contains("nothing to resume"), "{again}");

    // The way of the command line: harvest run, then sae train.
    let plain = build(&other);
    let harvest = HarvestRequest {
        name: "rows".to_owned(),
        model: "phantom".to_owned(),
        dataset: "films".to_owned(),
        hook: HOOK,
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
    };
    plain.harvest(&harvest, &job).unwrap();
    let config = request("one").config;
    plain.train_sae("one", "rows", &config, &job).unwrap();
    assert!(weights(&root, "one") == weights(&other, "one"));
    let kept = |root: &Path| std::fs::read_to_string(root.join("saes/one/kept.jsonl")).unwrap();
    assert_eq!(kept(&root), kept(&other));
}

#[test]
fn a_second_run_takes_the_harvest_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let session = build(&dir.path().join("a"));
    let job = JobContext::silent();
    let requests = request("many").sweep(&[2, 4], &[]);
    session.begin_runs(&requests).unwrap();
    let names = |state| -> Vec<String> {
        let views = session.run_views().unwrap();
        let views = views.into_iter().filter(|view| view.state == state);
        views.map(|view| view.name).collect()
    };
    assert_eq!(names(RunState::Recording), ["many-k2", "many-k4"]);
    for request in &requests {
        session.train_run(request, &job).unwrap();
    }
    assert_eq!(names(RunState::Ready), ["many-k2", "many-k4"]);
    let harvests = session.harvests().unwrap();
    assert_eq!(harvests.len(), 1);
    assert_eq!(harvests[0].name, "films-vision.ln_final");
    let other_place = RunRequest {
        name: "other".to_owned(),
        pool: 2,
        ..request("other")
    };
    session.train_run(&other_place, &job).unwrap();
    let mut names: Vec<_> = session.harvests().unwrap();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(names[1].name, "films-vision.ln_final-2");
    assert_eq!(names[1].pool, 2);
}

#[test]
fn what_cannot_be_trained_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a");
    let session = build(&root);
    let mut wrong = request("one");
    wrong.config.k = 65;
    let refused = session.begin_runs(&[request("two"), wrong]).unwrap_err();
    assert!(refused.message.contains("expected 1 to 64"), "{refused}");
    assert!(session.run_views().unwrap().is_empty());
    assert!(session.begin_runs(&[]).is_err());
    let mut nameless = request(" ");
    assert!(session.begin_runs(&[nameless.clone()]).is_err());
    nameless.name = "../up".to_owned();
    assert!(session.begin_runs(&[nameless]).is_err());

    session.begin_runs(&[request("one")]).unwrap();
    let taken = session.begin_runs(&[request("one")]).unwrap_err();
    assert!(taken.message.contains("resume or discard it"), "{taken}");
    session.discard_run("one").unwrap();
    assert!(session.run_views().unwrap().is_empty());
    let never = session.resume_sae("one", &JobContext::silent());
    assert!(never.unwrap_err().message.contains("never begun"));
    let mut nowhere = request("one");
    nowhere.hook = HookPoint::VisionNeck;
    let refused = session.begin_runs(&[nowhere]).unwrap_err();
    assert!(refused.message.contains("no hook point"), "{refused}");
}

#[test]
fn a_forecast_counts_the_rows_that_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let session = build(&dir.path().join("a"));
    let job = JobContext::silent();
    let text_hook = HookPoint::ResidPost(0);
    for (name, hook, positions, pool) in [
        ("patches", HOOK, "image", 1),
        ("pooled", HOOK, "image", 3),
        ("report", text_hook, "report", 1),
        ("both", text_hook, "image,text", 1),
    ] {
        let asked = RunRequest {
            hook,
            positions: positions.to_owned(),
            pool,
            ..request(name)
        };
        let before = session.forecast(&asked, &job).unwrap();
        assert!(before.rows.is_exact && before.harvest.is_none(), "{name}");
        assert!(before.seconds.harvest > 0.0 && before.seconds.training > 0.0);
        let harvest = session.root().join("activations");
        let n_before = std::fs::read_dir(&harvest).map_or(0, Iterator::count);
        let outcome = session.train_run(&asked, &job).unwrap();
        assert_eq!(before.rows.n, outcome.all.n_rows, "{name}");
        let n_held_out = outcome.held_out.map_or(0, |held_out| held_out.n_rows);
        assert_eq!(before.rows.n - before.rows.n_training, n_held_out, "{name}");
        assert_eq!(std::fs::read_dir(&harvest).unwrap().count(), n_before + 1);
        let after = session.forecast(&asked, &job).unwrap();
        assert_eq!(after.rows, before.rows, "{name}");
        assert!(after.harvest.is_some() && after.seconds.harvest == 0.0);
        assert_eq!(after.disk.harvest, 0);
    }
}

#[test]
fn a_forecast_refuses_what_a_run_would() {
    let dir = tempfile::tempdir().unwrap();
    let session = build(&dir.path().join("a"));
    let mut wrong = request("one");
    wrong.config.variant = SaeVariant::BatchTopK;
    wrong.config.threshold_start_step = 60;
    let refused = session.forecast(&wrong, &JobContext::silent());
    assert!(
        refused
            .unwrap_err()
            .message
            .contains("threshold_start_step")
    );
    let mut wrong = request("one");
    wrong.positions = "items".to_owned();
    assert!(session.forecast(&wrong, &JobContext::silent()).is_err());
}

#[test]
fn dictionaries_trained_on_one_pass_are_those_trained_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (dir.path().join("a"), dir.path().join("b"));
    let job = JobContext::silent();
    let runs = [4, 6].map(|k| {
        let config = SaeConfig {
            k,
            ..request("").config
        };
        (format!("k{k}"), config)
    });
    let harvest = HarvestRequest {
        name: "tokens".to_owned(),
        model: "phantom".to_owned(),
        dataset: "films".to_owned(),
        hook: HOOK,
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
    };
    let [session, alone] = [&root, &other].map(|root| {
        let session = build(root);
        session.harvest(&harvest, &job).unwrap();
        session
    });
    let evaluations = session.train_saes("tokens", &runs, &job).unwrap();
    assert!(evaluations[1].all.l0 > evaluations[0].all.l0);
    for (name, config) in &runs {
        alone.train_sae(name, "tokens", config, &job).unwrap();
        assert_eq!(weights(&root, name), weights(&other, name));
    }
    let mut twice = runs.clone();
    twice[1].0 = "k4".to_owned();
    let refused = session.train_saes("tokens", &twice, &job).unwrap_err();
    assert!(
        refused.message.contains("already there"),
        "{}",
        refused.message
    );
    let mut seeds = runs.map(|(name, config)| (format!("{name}-again"), config));
    seeds[1].1.seed = 3;
    let refused = session.train_saes("tokens", &seeds, &job).unwrap_err();
    assert!(refused.message.contains("one seed"), "{}", refused.message);
    assert!(!root.join("saes/k4-again").exists());
}

/// Waits until the jobs of the engine are as asked for, or ended.
fn wait_until(engine: &Engine, what: impl Fn(&[JobView]) -> bool) -> Vec<Event> {
    let mut events = engine.poll();
    let began = Instant::now();
    while !what(&engine.jobs()) {
        assert!(began.elapsed() < Duration::from_mins(10), "it did not come");
        std::thread::sleep(Duration::from_millis(2));
        events.extend(engine.poll());
    }
    events
}

#[test]
fn a_run_taken_out_of_a_running_job_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a");
    drop(build(&root));
    let engine = Engine::forgetful(Arc::new(|| {})).unwrap();
    engine.open_project(&root).unwrap();
    let job = engine
        .train(request("many").sweep(&[2, 3, 4], &[]))
        .unwrap();
    // Paused where it first looks, it cannot run ahead of the test.
    engine.pause(job, true);
    wait_until(&engine, |jobs| {
        jobs[0].subject == "many-k2" && jobs[0].queued.len() == 2
    });
    assert_eq!(engine.jobs()[0].queued, ["many-k3", "many-k4"]);
    for held in ["many-k2", "many-k3"] {
        let refused = engine.discard_run(held).unwrap_err();
        assert!(refused.message.contains("a running job"), "{refused}");
        let refused = engine.resume_runs(vec![held.to_owned()]).unwrap_err();
        assert!(refused.message.contains("a running job"), "{refused}");
    }
    engine.take_out("many-k3").unwrap();
    let again = engine.take_out("many-k3").unwrap_err();
    assert!(again.message.contains("does not wait"), "{again}");
    engine.pause(job, false);
    let events = wait_until(&engine, <[JobView]>::is_empty);
    let made = events.iter().find_map(|event| match event {
        Event::JobEnded(id, JobEnd::Finished(made)) if *id == job => Some(made.clone()),
        _ => None,
    });
    let made = made.unwrap();
    assert!(made.contains("many-k2") && made.contains("many-k4"));
    assert!(!made.contains("many-k3"), "{made}");
    let states: Vec<RunState> = engine.runs().unwrap().iter().map(|run| run.state).collect();
    let expected = [RunState::Ready, RunState::Recording, RunState::Ready];
    assert_eq!(states, expected);
    engine.discard_run("many-k3").unwrap();
    wait_until(&engine, <[JobView]>::is_empty);
    assert_eq!(engine.runs().unwrap().len(), 2);
}

/// A shard that holds NaN, or rows of another width, ends the training in a sentence that names the
/// file and the place; the last checkpoint is kept, and with the file mended the run goes on to the
/// same bytes.
#[test]
fn a_damaged_shard_is_named_and_costs_no_step() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (dir.path().join("a"), dir.path().join("b"));
    let job = JobContext::silent();
    for root in [&root, &other] {
        let session = build(root);
        session.begin_runs(&[request("one")]).unwrap();
        if root == &other {
            session.resume_run("one", &job).unwrap();
        }
    }
    let session = Session::open(&root).unwrap();
    let stopped = session.resume_run("one", &stopping_at("Training dictionary", 23));
    assert!(stopped.unwrap_err().is_cancelled());
    let harvests = session.harvests().unwrap();
    let shard = root
        .join("activations")
        .join(&harvests[0].name)
        .join("00000.safetensors");
    let whole = std::fs::read(&shard).unwrap();
    let rows = SafeTensors::deserialize(&whole).unwrap();
    let view = rows.tensor("rows").unwrap();
    let start = view.data().as_ptr() as usize - whole.as_ptr() as usize;
    let d = view.shape()[1];
    let mut not_finite = whole.clone();
    let at = start + 4 * (2 * d + 3);
    not_finite[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let narrower = String::from_utf8_lossy(&whole[8..start]).replace(
        &format!("[{},{d}]", view.shape()[0]),
        &format!("[{},{}]", view.shape()[0] * 2, d / 2),
    );
    let mut of_another_width = whole.clone();
    of_another_width[8..start].copy_from_slice(narrower.as_bytes());
    for (damage, expected) in [
        (
            &not_finite,
            "row 2 (sample 0, position 2), dimension 3 is NaN",
        ),
        (&of_another_width, "rows"),
    ] {
        std::fs::write(&shard, damage).unwrap();
        let error = session.resume_run("one", &job).unwrap_err().message;
        assert!(error.contains("00000.safetensors"), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(state(&session, "one"), (RunState::Training, 23));
    }
    std::fs::write(&shard, &whole).unwrap();
    session.resume_run("one", &job).unwrap();
    assert!(weights(&root, "one") == weights(&other, "one"));
}

#[test]
fn a_project_is_free_as_soon_as_its_engine_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a");
    drop(Session::create(&root).unwrap());
    for _ in 0..50 {
        let engine = Engine::forgetful(Arc::new(|| {})).unwrap();
        engine.open_project(&root).unwrap();
        drop(engine);
        drop(Session::open(&root).unwrap());
    }
}
