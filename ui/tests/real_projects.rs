//! The window on real models and real data: radiographs through the `LiteMedSAM` encoder on the
//! left, `MovieLens` histories through a recommender trained on the spot on the right.
//!
//! The data lie in the folder that `FLUOROSCOPE_SHARED` names, or in `../shared`. Without them the
//! test says that it was skipped and why; with `FLUOROSCOPE_REQUIRE_SHARED=1` that is a failure.
//! `FLUOROSCOPE_PICTURES=DIR` keeps the picture that is checked.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::views::{ImportRequest, InteractionsRequest};
use engine::{Engine, HarvestRequest, JobContext, Session, TrainRecommenderRequest};
use schema::{HookPoint, SaeConfig};
use ui::{App, Options, Screen, StartAt, Waker};

const FILMS: &str = "films";
const MOVIES: &str = "movies";
/// Films and histories harvested: enough to see, few enough to wait for.
const N_FILMS: u32 = 16;
const N_HISTORIES: u32 = 150;

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let parts = [
        "data/radiology/cxr",
        "data/recommender/movielens-latest-small",
        "models/lite-medsam",
    ];
    let folders = parts.map(|part| root.join(part));
    let Some(absent) = folders.iter().find(|folder| !folder.is_dir()) else {
        return Some(root);
    };
    let absent = absent.display();
    let required = std::env::var("FLUOROSCOPE_REQUIRE_SHARED").as_deref() == Ok("1");
    assert!(!required, "{absent} is required but absent");
    eprintln!("skipped: {absent} is absent");
    None
}

/// A film dictionary and a recommender dictionary, each small.
fn build(root: &Path, shared: &Path) {
    let job = JobContext::silent();
    let session = Session::create(root).unwrap();
    let text = |part: &str| shared.join(part).display().to_string();
    let films = ImportRequest::Radiographs {
        name: FILMS.to_owned(),
        images: text("data/radiology/cxr"),
        table: text("data/radiology/cxr/images.csv"),
        columns: String::new(),
        labels: String::new(),
        boxes: text("data/radiology/cxr/boxes.csv"),
    };
    session.import(&films, &job).unwrap();
    let encoder = shared.join("models/lite-medsam");
    session.add_model("encoder", &encoder, None).unwrap();
    let movies = ImportRequest::Interactions(InteractionsRequest {
        name: MOVIES.to_owned(),
        path: text("data/recommender/movielens-latest-small"),
        ..InteractionsRequest::default()
    });
    session.import(&movies, &job).unwrap();
    let training = TrainRecommenderRequest {
        name: "recommender".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: MOVIES.to_owned(),
        lr: Some(1e-3),
        epochs: Some(2),
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    let harvests = [
        (
            FILMS,
            "encoder",
            HookPoint::VisionStageOut(3),
            "image",
            N_FILMS,
            4,
        ),
        (
            MOVIES,
            "recommender",
            HookPoint::UserVector,
            "items",
            N_HISTORIES,
            1,
        ),
    ];
    for (name, model, hook, positions, limit, pool) in harvests {
        let request = HarvestRequest {
            name: name.to_owned(),
            model: model.to_owned(),
            dataset: name.to_owned(),
            hook,
            positions: positions.to_owned(),
            limit: Some(limit),
            pool,
        };
        session.harvest(&request, &job).unwrap();
        let settings = SaeConfig {
            n_features: 64,
            k: 4,
            steps: 200,
            batch_rows: 512,
            warmup_steps: 20,
            decay_start: None,
            ..SaeConfig::default()
        };
        session.train_sae(name, name, &settings, &job).unwrap();
        session.build_feature_index(name, &job).unwrap();
        session.propose_keywords(name, &job).unwrap();
    }
}

/// The gallery with both dictionaries, once every film on it has been decoded.
fn gallery(root: &Path) -> Harness<'static, App> {
    let engine = Arc::new(Engine::forgetful(Arc::new(|| {})).unwrap());
    engine.open_project(root).unwrap();
    let options = Options {
        start: StartAt {
            screen: Some(Screen::Gallery),
            dictionary: Some(FILMS.to_owned()),
            second_dictionary: Some(MOVIES.to_owned()),
            light: Some(false),
            ..StartAt::default()
        },
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .wgpu()
        .build_eframe(move |cc| App::new(&cc.egui_ctx, engine, &Waker::default(), options));
    let began = Instant::now();
    harness.run_steps(4);
    while harness.state().is_loading() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
        harness.run_steps(1);
    }
    assert!(
        !harness.state().is_loading(),
        "films are still on their way"
    );
    harness.run_steps(3);
    harness
}

/// Cards whose description begins with `word`, as the middle of each and what it says.
fn cards(harness: &Harness<'static, App>, word: &str) -> Vec<(f32, String)> {
    harness
        .query_all_by_label_contains("Feature ")
        .filter_map(|node| {
            let says = node.accesskit_node().description()?;
            says.starts_with(word)
                .then(|| (node.rect().center().x, says))
        })
        .collect()
}

/// Share of the pixels of one half of the picture that are heatmap or strip colours: clearly warm,
/// which neither a grey film nor the grey window is.
fn warm_share(picture: &[u8], width: usize, columns: std::ops::Range<usize>) -> f64 {
    let mut warm = 0_u32;
    let mut all = 0_u32;
    for row in picture.chunks_exact(width * 4) {
        for pixel in row[columns.start * 4..columns.end * 4].chunks_exact(4) {
            let [red, _, blue] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
            all += 1;
            warm += u32::from(red - blue > 60);
        }
    }
    f64::from(warm) / f64::from(all)
}

#[test]
fn films_with_heatmaps_on_the_left_and_histories_on_the_right() {
    let Some(shared) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    build(&root, &shared);
    let mut harness = gallery(&root);
    harness.get_by_label("Dictionary on the left");
    harness.get_by_label("Dictionary on the right");

    let middle = 640.0;
    let films = cards(&harness, "Film ");
    let histories = cards(&harness, "History ");
    assert!(films.len() >= 2 && histories.len() >= 2);
    for (x, says) in &films {
        assert!(*x < middle, "at {x}: {says}");
        // Real films of the collection, each active somewhere but not everywhere.
        assert!(
            says.lines()
                .all(|line| line.contains(" with heatmap, active on "))
        );
        assert!(!says.contains("active on 0 of"), "{says}");
        assert!(says.contains(" of 256 patches"), "{says}");
    }
    for (x, says) in &histories {
        assert!(*x > middle, "at {x}: {says}");
        // Titles of MovieLens carry their year.
        assert!(says.contains("(19") || says.contains("(20"), "{says}");
    }

    let image = harness.render().unwrap();
    if let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES").map(PathBuf::from) {
        image.save(folder.join("real-beside.png")).unwrap();
    }
    let width = image.width() as usize;
    let pixels = image.into_raw();
    let (left, right) = (80..width / 2, width / 2..width - 20);
    for (half, columns) in [("left", left.clone()), ("right", right.clone())] {
        let share = warm_share(&pixels, width, columns);
        assert!(share > 0.005, "{half}: {share} of the pixels are warm");
    }

    // Heatmaps off: the films stay, their colour goes; the strips keep theirs.
    harness.state_mut().hide_heatmaps();
    harness.run_steps(3);
    let plain = harness.render().unwrap().into_raw();
    assert!(warm_share(&plain, width, left) < 0.002);
    assert!(warm_share(&plain, width, right) > 0.005);
    assert_ne!(plain, pixels);
}
