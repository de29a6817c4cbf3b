//! What the window asks of a recommender, on phantom shoppers: trainings that are stopped and gone
//! on with, whole histories with what is recommended after them, and what features promote.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::views::{
    Event, ExampleContent, FeaturePlot, FeatureQuery, FeatureSort, HistoryRequest, ImportRequest,
    JobEnd, SavedChange, SteerOutcome, SteerRequest,
};
use engine::{
    Engine, HarvestRequest, JobContext, RankRequest, Session, TrainRecommenderRequest,
    run_recommender,
};
use schema::{FeatureId, HookPoint, JobId, PositionScope, SaeConfig, SteeringMode};
use schema::{SteeringSpec, StrengthUnit};

const SHOPPERS: &str = "shoppers";

fn build(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let shoppers = ImportRequest::PhantomShoppers {
        name: SHOPPERS.to_owned(),
        count: 300,
        seed: 4,
    };
    session.import(&shoppers, &JobContext::silent()).unwrap();
    session
}

fn request(name: &str, arch: &str) -> TrainRecommenderRequest {
    TrainRecommenderRequest {
        name: name.to_owned(),
        arch: arch.to_owned(),
        dataset: SHOPPERS.to_owned(),
        settings: "lr = 0.001\nd_model = 16\nmax_epochs = 12\npatience = 12".to_owned(),
        ..TrainRecommenderRequest::default()
    }
}

/// Polls until the job has ended.
fn wait(engine: &Engine, job: JobId) -> JobEnd {
    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(10) {
        for event in engine.poll() {
            match event {
                Event::JobEnded(id, end) if id == job => return end,
                _ => {}
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the job did not end");
}

fn weights(root: &Path, name: &str) -> Vec<u8> {
    std::fs::read(root.join("models").join(name).join("model.safetensors")).unwrap()
}

#[test]
fn a_stopped_training_is_listed_goes_on_and_keeps_its_curves() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("window");
    drop(build(&root));
    let engine = Engine::forgetful(Arc::new(|| {})).unwrap();
    engine.open_project(&root).unwrap();
    let asked = request("interests", "timirec");
    let job = engine.train_recommender(asked.clone()).unwrap();
    let again = engine.train_recommender(asked.clone()).unwrap_err();
    assert!(
        again.message.contains("belongs to a running job"),
        "{again}"
    );
    // Into the second stage, so that both have a curve.
    let began = Instant::now();
    while !engine.jobs().iter().any(|job| job.epochs.len() > 1) {
        assert!(began.elapsed() < Duration::from_mins(10));
        assert_eq!(engine.jobs()[0].model(), Some("interests"));
        std::thread::sleep(Duration::from_millis(1));
    }
    let live = engine.jobs()[0].epochs.clone();
    engine.cancel(job);
    assert_eq!(wait(&engine, job), JobEnd::Cancelled);
    let unfinished = engine.unfinished_recommenders().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].request, asked);
    assert!(unfinished[0].has_checkpoint);
    let mut other = asked.clone();
    other.seed = 9;
    let refused = engine.train_recommender(other).unwrap_err();
    assert!(refused.message.contains("other settings"), "{refused}");

    let job = engine.resume_recommender("interests").unwrap();
    let JobEnd::Finished(sentence) = wait(&engine, job) else {
        panic!("it did not finish");
    };
    assert!(
        sentence.starts_with("Trained interests: the best of"),
        "{sentence}"
    );
    assert!(engine.unfinished_recommenders().unwrap().is_empty());
    let entries = engine.model_entries().unwrap();
    assert_eq!(entries[0].trained_on.as_deref(), Some(SHOPPERS));
    let record = entries[0].training.as_ref().unwrap();
    assert_eq!(record.stages.len(), 2);
    // Written as text and read again, the last digit may differ.
    let like = |kept: &[f64], live: &[f64]| {
        let pairs = kept.iter().zip(live);
        kept.len() >= live.len() && pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12)
    };
    assert_eq!(record.stages[0].loss.len(), live[0].loss.len());
    for (kept, live) in record.stages.iter().zip(live.iter()) {
        assert!(like(&kept.loss, &live.loss));
        assert!(like(&kept.ndcg, &live.ndcg) && like(&kept.hr, &live.hr));
    }
    assert!(
        record
            .settings
            .contains(&("Learning rate".to_owned(), "0.001".to_owned()))
    );
    drop(engine);

    // The bytes of a training that nobody disturbed.
    let other = dir.path().join("commands");
    let session = build(&other);
    session
        .train_recommender(&asked, &JobContext::silent())
        .unwrap();
    assert!(weights(&root, "interests") == weights(&other, "interests"));
}

#[test]
fn what_cannot_be_trained_is_refused_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    let session = build(&root);
    let mut asked = request("ranker", "sasrec");
    asked.settings = "n_heads = 7".to_owned();
    let error = session.begin_recommender(&asked).unwrap_err();
    assert!(error.message.contains("does not divide"), "{error}");
    asked = request("../ranker", "sasrec");
    assert!(session.begin_recommender(&asked).is_err());
    assert!(session.unfinished_recommenders().unwrap().is_empty());
    asked = request("ranker", "sasrec");
    session.begin_recommender(&asked).unwrap();
    let unfinished = session.unfinished_recommenders().unwrap();
    assert!(!unfinished[0].has_checkpoint);
    session.discard_recommender("ranker").unwrap();
    assert!(session.unfinished_recommenders().unwrap().is_empty());
    assert!(session.discard_recommender("ranker").is_err());
}

/// A recommender with a dictionary and its gallery.
fn with_dictionary(root: &Path) -> Session {
    let session = build(root);
    let job = JobContext::silent();
    session
        .train_recommender(&request("ranker", "sasrec"), &job)
        .unwrap();
    let harvest = HarvestRequest {
        name: "rows".to_owned(),
        model: "ranker".to_owned(),
        dataset: SHOPPERS.to_owned(),
        hook: HookPoint::UserVector,
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&harvest, &job).unwrap();
    let config = SaeConfig {
        n_features: 32,
        k: 4,
        steps: 200,
        batch_rows: 256,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    session.train_sae("tastes", "rows", &config, &job).unwrap();
    session.build_feature_index("tastes", &job).unwrap();
    session
}

/// The item ranked first after a history, by the command line's way.
fn first_ranked(session: &Session, folder: &Path, items: &[u32]) -> u32 {
    let file = folder.join("histories.json");
    std::fs::write(&file, format!("[{items:?}]")).unwrap();
    let asked = RankRequest {
        model: "ranker".to_owned(),
        histories: Some(file),
        mask_history: true,
        ..RankRequest::default()
    };
    run_recommender(Some(session), &asked).unwrap().top_items[0][0]
}

/// Score of `item` with the feature turned up so far.
fn score_at(session: &Session, feature: FeatureId, strength: f32, item: u32) -> Option<f32> {
    let asked = SteerRequest {
        sae: "tastes".to_owned(),
        sample: 0,
        edits: vec![SteeringSpec {
            feature,
            strength,
            mode: SteeringMode::Add,
            unit: StrengthUnit::Max,
            scope: PositionScope::All,
        }],
        control: false,
    };
    let view = session.steer(&asked, &JobContext::silent()).unwrap();
    let SteerOutcome::Ranking { after, .. } = view.outcome else {
        panic!("a recommender ranks");
    };
    let found = after.iter().find(|view| view.id == item);
    found.map(|view| view.activation)
}

#[test]
fn histories_come_whole_and_effects_are_those_of_steering() {
    let dir = tempfile::tempdir().unwrap();
    let session = with_dictionary(&dir.path().join("project"));
    let query = FeatureQuery {
        sort: FeatureSort::Density,
        ..FeatureQuery::default()
    };
    let feature = session.feature_ids("tastes", &query).unwrap()[0];
    let page = session.feature_page("tastes", feature).unwrap();
    let example = &page.top[0];
    let asked = HistoryRequest {
        sae: "tastes".to_owned(),
        feature,
        sample: example.sample,
    };
    let view = session.history(&asked).unwrap();
    let sample = session.sample_view(SHOPPERS, example.sample).unwrap();
    let n_train = sample.items.len() - sample.n_held_out as usize;
    let ids: Vec<u32> = view.items.iter().map(|item| item.id).collect();
    let known: Vec<u32> = sample.items[..n_train].iter().map(|item| item.id).collect();
    assert_eq!(ids, known);
    // The strongest place has the example's activation and the highest level.
    let place = example.position as usize;
    assert_eq!(view.items[place].activation, example.activation);
    assert_eq!(view.levels[place], 10);
    for (item, &level) in view.items.iter().zip(view.levels.iter()) {
        assert_eq!(item.activation > 0.0, level > 0);
        assert!(item.popularity.n_train > 0 && item.popularity.percentile < 1.0);
    }
    let ExampleContent::History { items } = &example.content else {
        panic!("a history");
    };
    let hottest = items.iter().map(|item| item.activation).fold(0.0, f32::max);
    assert_eq!(hottest, example.activation);
    let recommended = view.recommended.unwrap();
    assert_eq!(recommended.id, first_ranked(&session, dir.path(), &ids));

    // The title of the item it is strongest on finds the feature; there is no group and no score.
    let strongest = view.items[place].title.clone();
    let searched = session.feature_ids(
        "tastes",
        &FeatureQuery {
            text: strongest,
            ..FeatureQuery::default()
        },
    );
    assert!(searched.unwrap().contains(&feature));
    let facets = session.gallery_facets("tastes").unwrap();
    assert!(facets.groups.is_empty() && facets.n_scored == 0);
    // The map is computed once and kept.
    let plot = FeaturePlot::Directions;
    assert!(session.feature_points("tastes", plot).unwrap().is_none());
    let map = session
        .map_directions("tastes", &JobContext::silent())
        .unwrap();
    assert!(map.x.iter().chain(&map.y).all(|value| value.is_finite()));
    let [first, second] = map.variance.unwrap();
    assert!(first >= second && second > 0.0 && first + second <= 1.0);
    assert_eq!(
        session.feature_points("tastes", plot).unwrap().unwrap(),
        map
    );

    let effects = page.writes.unwrap().items.unwrap();
    assert_eq!(effects.promoted.len(), 10);
    assert!(effects.demoted.iter().all(|item| item.activation < 0.0));
    let most = &effects.promoted[0];
    assert!(most.activation >= effects.promoted[1].activation);
    // Far enough up that the item is in the list, then one maximum further.
    let scores = [60.0, 61.0].map(|strength| score_at(&session, feature, strength, most.id));
    let [Some(lower), Some(higher)] = scores else {
        panic!("the most promoted item is not in the list");
    };
    let change = higher - lower;
    assert!(
        (change - most.activation).abs() < 0.02 * most.activation,
        "{change} against {}",
        most.activation
    );
}

#[test]
fn a_change_is_kept_and_taken_out_of_the_project_to_the_same_lists() {
    let dir = tempfile::tempdir().unwrap();
    let session = with_dictionary(&dir.path().join("project"));
    let query = FeatureQuery {
        sort: FeatureSort::Density,
        ..FeatureQuery::default()
    };
    let features = session.feature_ids("tastes", &query).unwrap();
    let change = SavedChange {
        name: "louder".to_owned(),
        sae: "tastes".to_owned(),
        edits: vec![
            SteeringSpec {
                feature: features[0],
                strength: 1.5,
                mode: SteeringMode::Add,
                unit: StrengthUnit::Max,
                scope: PositionScope::All,
            },
            SteeringSpec {
                feature: features[1],
                strength: 0.25,
                mode: SteeringMode::Scale,
                unit: StrengthUnit::Max,
                scope: PositionScope::All,
            },
        ],
        sample: Some(7),
    };
    session.save_change(&change).unwrap();
    assert_eq!(
        session.saved_changes().unwrap(),
        std::slice::from_ref(&change)
    );
    let nameless = SavedChange {
        name: "../louder".to_owned(),
        ..change.clone()
    };
    assert!(session.save_change(&nameless).is_err());

    // In the project by its name, outside it by the folder alone: the same lists.
    let histories = dir.path().join("histories.json");
    let items: Vec<u32> = session
        .sample_view(SHOPPERS, 7)
        .unwrap()
        .items
        .iter()
        .map(|item| item.id)
        .collect();
    std::fs::write(&histories, format!("[{items:?}]")).unwrap();
    let folder = dir.path().join("out").join("louder");
    session.export_change(&change, &folder).unwrap();
    let asked = |model: String, steer: Option<PathBuf>| RankRequest {
        model,
        histories: Some(histories.clone()),
        steer,
        ..RankRequest::default()
    };
    let kept = session.root().join("steering/louder.toml");
    let within = run_recommender(Some(&session), &asked("ranker".to_owned(), Some(kept))).unwrap();
    let folder_name = folder.display().to_string();
    let steering = folder.join("steering.toml");
    let outside = run_recommender(None, &asked(folder_name.clone(), Some(steering))).unwrap();
    let unchanged = run_recommender(None, &asked(folder_name, None)).unwrap();
    assert_eq!(within.top_items, outside.top_items);
    assert_ne!(unchanged.top_items, outside.top_items);
    let again = session.export_change(&change, &folder).unwrap_err();
    assert!(again.message.contains("not empty"), "{again}");

    session.remove_change("louder").unwrap();
    assert!(session.saved_changes().unwrap().is_empty());
    assert!(session.remove_change("louder").is_err());
}
