//! Every metric of dictionaries on small phantoms: films with their model, shoppers with a
//! recommender trained here.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::views::{ImportRequest, metric_views};
use engine::{
    EvaluateRequest, EvaluationReport, HarvestRequest, JobContext, Observer, Progress, Session,
};
use schema::SaeConfig;

fn harvest(session: &Session, dataset: &str, model: &str, hook: &str, positions: &str) {
    let request = HarvestRequest {
        name: dataset.to_owned(),
        model: model.to_owned(),
        dataset: dataset.to_owned(),
        hook: hook.parse().unwrap(),
        positions: positions.to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &JobContext::silent()).unwrap();
}

fn train(session: &Session, name: &str, harvest: &str, seed: u64) {
    let config = SaeConfig {
        n_features: 64,
        k: 6,
        lr: 2e-3,
        batch_rows: 256,
        steps: 300,
        warmup_steps: 20,
        seed,
        ..SaeConfig::default()
    };
    let job = JobContext::silent();
    session.train_sae(name, harvest, &config, &job).unwrap();
}

fn evaluate(session: &Session, request: &EvaluateRequest) -> EvaluationReport {
    session
        .evaluate_sae(request, &JobContext::silent())
        .unwrap()
}

/// Names of the metrics; each value is a number, inside its interval where that is of a mean.
fn check(report: &EvaluationReport) -> Vec<&str> {
    for metric in &report.metrics {
        let known = metric_views().into_iter().find(|view| view.id == metric.id);
        assert!(known.is_some(), "{}", metric.id);
        assert!(metric.value.is_finite() && metric.n > 0, "{metric:?}");
        if let Some([low, high]) = metric.interval {
            assert!(low <= high, "{metric:?}");
            // Of a count of splits or recoveries a resample need not give the value itself.
            if !["splitting", "planted_recovered", "absorption"].contains(&metric.id.as_str()) {
                assert!(low <= metric.value && metric.value <= high, "{metric:?}");
            }
        }
    }
    report
        .metrics
        .iter()
        .map(|metric| metric.id.as_str())
        .collect()
}

fn better(report: &EvaluationReport, id: &str, sign: f64) {
    let metric = report.metric(id).unwrap();
    for baseline in [metric.random_dictionary, metric.shuffled]
        .into_iter()
        .flatten()
    {
        assert!(sign * metric.value > sign * baseline, "{metric:?}");
    }
}

#[test]
fn films_beside_their_baselines() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::create(&dir.path().join("project")).unwrap();
    let job = JobContext::silent();
    let films = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: 120,
        seed: 3,
    };
    session.import(&films, &job).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/phantom-vlm");
    session.add_model("phantom-vlm", &model, None).unwrap();
    harvest(
        &session,
        "films",
        "phantom-vlm",
        "vision.blocks.1.hook_resid_post",
        "image",
    );
    train(&session, "first", "films", 0);
    train(&session, "second", "films", 1);
    let request = EvaluateRequest {
        against: Some("second".to_owned()),
        loss_samples: 3,
        ..EvaluateRequest::of("first")
    };
    let report = evaluate(&session, &request);
    let ids = check(&report);
    for id in [
        "fvu",
        "explained_variance",
        "cosine",
        "l0",
        "l1",
        "density",
        "dead_share",
        "dense_share",
        "loss_recovered",
        "neighbour_cosine",
        "stability",
        "shared_share",
        "probe_auroc_1",
        "probe_auroc_5",
        "probe_f1_1",
        "probe_f1_5",
        "monosemanticity",
        "splitting",
        "absorption",
        "planted_f1",
        "planted_recovered",
    ] {
        assert!(ids.contains(&id), "{id}: {ids:?} {:?}", report.notes);
    }
    better(&report, "fvu", -1.0);
    better(&report, "explained_variance", 1.0);
    better(&report, "cosine", 1.0);
    better(&report, "loss_recovered", 1.0);
    better(&report, "stability", 1.0);
    better(&report, "probe_auroc_5", 1.0);
    better(&report, "planted_f1", 1.0);
    let fvu = report.metric("fvu").unwrap();
    assert!((fvu.value - report.evaluation.all.fvu).abs() < 1e-6);
    assert!(fvu.shuffled.unwrap() > 1.0);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["all"]["l0"],
        serde_json::json!(report.evaluation.all.l0)
    );
    assert!(json["random"]["fvu"].is_number() && json["all"]["dead_share"].is_number());
    let bars = report.densities.iter().map(|bar| bar.n_features);
    let n_dead = report.metric("dead_share").unwrap().value * 64.0;
    assert_eq!(bars.sum::<u64>(), 64 - n_dead.round() as u64);
    assert_eq!(evaluate(&session, &request), report);
    what_does_not_fit_is_refused(&session);
}

/// Counts what a job reports.
#[derive(Default)]
struct Reports(AtomicUsize);

impl Observer for Reports {
    fn progress(&self, _: Progress) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn warning(&self, _: String) {}
}

/// A dictionary beside itself, one that is not there or of another width, embeddings of other
/// samples: all before the first row is read.
fn what_does_not_fit_is_refused(session: &Session) {
    let reports = Arc::new(Reports::default());
    let watched = JobContext::new(Arc::default(), Arc::clone(&reports) as Arc<dyn Observer>);
    let refused = |request: EvaluateRequest| {
        let error = session.evaluate_sae(&request, &watched).unwrap_err();
        assert_eq!(reports.0.load(Ordering::Relaxed), 0, "{error}");
        error.to_string()
    };
    let job = JobContext::silent();
    let itself = refused(EvaluateRequest {
        against: Some("first".to_owned()),
        ..EvaluateRequest::of("first")
    });
    assert!(itself.contains("--against first"), "{itself}");
    assert!(!refused(EvaluateRequest::of("third")).is_empty());
    let absent = refused(EvaluateRequest {
        against: Some("third".to_owned()),
        ..EvaluateRequest::of("first")
    });
    assert!(absent.contains("third"), "{absent}");
    session.import(&films_named("others"), &job).unwrap();
    harvest(session, "others", "phantom-vlm", "vision.ln_final", "image");
    let apart = refused(EvaluateRequest {
        embeddings: Some("others".to_owned()),
        ..EvaluateRequest::of("first")
    });
    assert!(apart.contains("of the same samples"), "{apart}");
}

fn films_named(name: &str) -> ImportRequest {
    ImportRequest::PhantomRadiographs {
        name: name.to_owned(),
        count: 8,
        seed: 4,
    }
}

#[test]
fn shoppers_beside_their_baselines() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::create(&dir.path().join("project")).unwrap();
    let job = JobContext::silent();
    let shoppers = ImportRequest::PhantomShoppers {
        name: "shoppers".to_owned(),
        count: 300,
        seed: 3,
    };
    session.import(&shoppers, &job).unwrap();
    let settings = "max_epochs = 6";
    let training = engine::TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        settings: settings.to_owned(),
        lr: Some(2e-3),
        ..engine::TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    harvest(&session, "shoppers", "sasrec", "hook_user_vector", "items");
    train(&session, "first", "shoppers", 0);
    let report = evaluate(&session, &EvaluateRequest::of("first"));
    let ids = check(&report);
    for id in [
        "hr_kept",
        "ndcg_kept",
        "probe_auroc_1",
        "monosemanticity",
        "splitting",
        "absorption",
        "planted_f1",
    ] {
        assert!(ids.contains(&id), "{id}: {ids:?} {:?}", report.notes);
    }
    assert!(!ids.contains(&"loss_recovered") && !ids.contains(&"stability"));
    better(&report, "fvu", -1.0);
    better(&report, "planted_f1", 1.0);
    // So small a dictionary need not beat random directions, but labels dealt anew it must.
    let probe = report.metric("probe_auroc_5").unwrap();
    assert!(probe.value > probe.shuffled.unwrap() + 0.1, "{probe:?}");
}
