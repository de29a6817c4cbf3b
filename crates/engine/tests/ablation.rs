//! Features of phantom shoppers changed for everyone: planted tastes go, other users pay little.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use engine::views::{AblationRequest, Bias, ConceptItems, DebiasRequest, ImportRequest};
use engine::{HarvestRequest, JobContext, RankRequest, Session, TrainRecommenderRequest};
use schema::{
    FeatureId, PositionScope, SaeConfig, Split, SteeringMode, SteeringSpec, StrengthUnit,
};

const SEED: u64 = 0;
const N_SHOPPERS: u32 = 1500;

/// Shoppers, a recommender and its dictionary with an index.
fn build(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let job = JobContext::silent();
    let shoppers = ImportRequest::PhantomShoppers {
        name: "shoppers".to_owned(),
        count: N_SHOPPERS,
        seed: SEED,
    };
    session.import(&shoppers, &job).unwrap();
    let training = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        settings: "lr = 1e-3\nmax_epochs = 30\npatience = 5".to_owned(),
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    let request = HarvestRequest {
        name: "shoppers".to_owned(),
        model: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        hook: "hook_user_vector".parse().unwrap(),
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    let config = SaeConfig {
        n_features: 256,
        k: 4,
        lr: 2e-3,
        batch_rows: 512,
        steps: 3000,
        ..SaeConfig::default()
    };
    session
        .train_sae("concepts", "shoppers", &config, &job)
        .unwrap();
    session.build_feature_index("concepts", &job).unwrap();
    session
}

fn ablating(features: &[u32], items: ConceptItems) -> AblationRequest {
    let edits = features.iter().map(|&feature| SteeringSpec {
        feature: FeatureId(feature),
        strength: 0.0,
        mode: SteeringMode::Ablate,
        unit: StrengthUnit::Max,
        scope: PositionScope::All,
    });
    AblationRequest {
        sae: "concepts".to_owned(),
        edits: edits.collect(),
        dataset: None,
        split: Split::Test,
        items,
        n_controls: 5,
        n_examples: 2,
        seed: 1,
    }
}

/// One project for all tests of this file: it takes most of the time.
#[test]
fn planted_tastes_go_and_others_pay_little() {
    let dir = tempfile::tempdir().unwrap();
    let session = build(&dir.path().join("project"));
    let job = JobContext::silent();
    let found = session.recover_tastes("concepts", SEED, 300, &job).unwrap();
    let planted = datasets::phantom::shoppers(SEED, 1);
    let mut n_gone = [0; 2];
    let mut n_clear = 0;
    for taste in &planted.tastes {
        let recovery = &found[&taste.name];
        let items = ConceptItems::Items(taste.items.clone());
        let set = session
            .features_adding_to("concepts", &items, 8, &job)
            .unwrap();
        let set: Vec<u32> = set.iter().map(|one| one.feature).collect();
        if recovery.best_f1 < 0.8 {
            continue;
        }
        n_clear += 1;
        for (gone, features) in n_gone.iter_mut().zip([vec![recovery.best_feature], set]) {
            let view = session
                .ablate(&ablating(&features, items.clone()), &job)
                .unwrap();
            let group = |name: &str| view.groups.iter().find(|g| g.group == name).unwrap();
            let active = group("Changed by it").share;
            let others = group("Without such items").ndcg_10;
            *gone += usize::from(active[1] <= 0.2 * active[0]);
            assert!((others[1] / others[0] - 1.0).abs() < 0.02, "{}", taste.name);
            let controls = view.controls.as_ref().unwrap();
            let value = |change: Option<engine::WithInterval>| change.unwrap().value;
            assert!(value(view.share_change) < value(controls.share_change) - 0.1);
        }
    }
    // docs/recommenders.md has the figures: a taste's one feature is most of it, a set nearly all.
    assert!(n_clear >= 12, "{n_clear}");
    assert!(n_gone[0] * 3 >= n_clear, "{n_gone:?} of {n_clear}");
    assert!(n_gone[1] * 4 >= n_clear * 3, "{n_gone:?} of {n_clear}");
    the_rest(&session, dir.path(), &planted.tastes[0].items);
}

/// Requests that are refused, sweeps, and what is written for use without the project.
fn the_rest(session: &Session, folder: &Path, items: &[u32]) {
    let job = JobContext::silent();
    let refused =
        |request: &AblationRequest| session.ablate(request, &job).unwrap_err().to_string();
    assert!(refused(&ablating(&[], ConceptItems::Promoted(5))).contains("no feature"));
    let beyond = refused(&ablating(&[0], ConceptItems::Items(vec![301])));
    assert!(beyond.contains("1 to 300"), "{beyond}");
    let unknown = refused(&ablating(&[0], ConceptItems::Category("Shoes".to_owned())));
    assert!(
        unknown.contains("Shoes") && unknown.contains("Bakery"),
        "{unknown}"
    );

    let view = session
        .ablate(&ablating(&[3, 4], ConceptItems::Promoted(10)), &job)
        .unwrap();
    assert_eq!((view.n_users, view.n_cases), (N_SHOPPERS, N_SHOPPERS));
    // A change of nothing is no change of 0 %.
    let nothing = ablating(&[3, 4], ConceptItems::Items(Vec::new()));
    let nothing = session.ablate(&nothing, &job).unwrap();
    assert_eq!(nothing.share_change, None);
    assert_eq!(nothing.controls.unwrap().share_change, None);
    let controls = view.controls.as_ref().unwrap();
    assert!(controls.exposure.coverage > 0.0 && controls.hr_10 > 0.0);
    assert_eq!(view.items.len(), 10);
    assert!(
        view.items
            .windows(2)
            .all(|pair| pair[0].activation >= pair[1].activation)
    );
    for example in &view.examples {
        assert_eq!((example.before.len(), example.after.len()), (10, 10));
        assert_ne!(example.before, example.after);
    }
    assert_eq!(view, session.ablate(&view.request, &job).unwrap());

    let request = DebiasRequest {
        sae: "concepts".to_owned(),
        bias: Bias::Popularity,
        n_features: 8,
        strengths: vec![1.0, 0.5, 0.0],
        dataset: None,
        n_controls: 2,
        seed: 0,
    };
    let sweep = session.debias(&request, &job).unwrap();
    let shares: Vec<f64> = sweep.points.iter().map(|point| point.test.share).collect();
    assert!(shares[2] < shares[0], "{shares:?}");
    let untouched = &sweep.points[0];
    assert_eq!(untouched.control, Some(untouched.dev));

    // What is written ranks as the sweep said, without the project.
    let out = folder.join("milder");
    let features: Vec<u32> = sweep.features.iter().map(|one| one.feature).collect();
    session
        .export_steered("concepts", &features, 0.0, &out)
        .unwrap();
    assert!(!folder.join("milder.part").exists());
    assert!(!out.join(".fluoroscope-unfinished").exists());
    let history = folder.join("history.json");
    std::fs::write(&history, serde_json::to_vec(&vec![items]).unwrap()).unwrap();
    let run = |steer: bool| {
        let request = RankRequest {
            model: out.display().to_string(),
            histories: Some(history.clone()),
            steer: steer.then(|| out.join("steering.toml")),
            ..RankRequest::default()
        };
        engine::run_recommender(None, &request).unwrap().top_items
    };
    assert_ne!(run(true), run(false));
    let again = session.export_steered("concepts", &features, 0.0, &out);
    assert!(again.unwrap_err().to_string().contains("not empty"));
}
