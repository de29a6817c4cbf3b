//! A dictionary of user vectors stops when its reconstructions rank no better, gives the best pass,
//! and is the same however often it was interrupted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::views::ImportRequest;
use engine::{
    ErrorKind, HarvestRequest, JobContext, Observer, Progress, Session, TrainRecommenderRequest,
};
use schema::{SaeConfig, SaeRecipe, SaeVariant, Split};

/// Stops its job once it has made so many steps.
struct StopAt(u64, Arc<AtomicBool>);

impl Observer for StopAt {
    fn progress(&self, progress: Progress) {
        if progress.stage == "Training dictionary" && progress.done >= self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn warning(&self, _: String) {}
}

fn stopping_at(step: u64) -> JobContext {
    let cancel = Arc::new(AtomicBool::new(false));
    let observer = StopAt(step, Arc::clone(&cancel));
    JobContext::new(cancel, Arc::new(observer))
}

fn harvest(session: &Session, name: &str, positions: &str) -> u64 {
    let request = HarvestRequest {
        name: name.to_owned(),
        model: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        hook: "hook_user_vector".parse().unwrap(),
        positions: positions.to_owned(),
        limit: None,
        pool: 1,
    };
    let job = JobContext::silent();
    session.harvest(&request, &job).unwrap().n_rows
}

fn build(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let job = JobContext::silent();
    let shoppers = ImportRequest::PhantomShoppers {
        name: "shoppers".to_owned(),
        count: 300,
        seed: 3,
    };
    session.import(&shoppers, &job).unwrap();
    let training = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        settings: "max_epochs = 6\nd_model = 32".to_owned(),
        lr: Some(2e-3),
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    session
}

fn bytes(session: &Session, name: &str) -> Vec<u8> {
    let folder = session.root().join("saes").join(name);
    std::fs::read(folder.join("sae.safetensors")).unwrap()
}

#[test]
fn the_best_pass_is_kept_and_an_interruption_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let session = build(&dir.path().join("project"));
    let n_users = harvest(&session, "users", "items");
    let n_contexts = harvest(&session, "contexts", "contexts");
    // A history of n items is read once after each, or as n - 1 histories of 1 to n - 1 items.
    assert!(n_contexts > 3 * n_users, "{n_contexts} {n_users}");

    let job = JobContext::silent();
    let config = SaeConfig {
        k: 4,
        lr: 1e-3,
        batch_rows: 512,
        steps: 100_000,
        early_stop: Some(2),
        ..SaeConfig::of_recipe(SaeRecipe::Recsae, SaeVariant::TopK, 64)
    };
    session.train_sae("whole", "users", &config, &job).unwrap();
    let passes: Vec<serde_json::Value> = serde_json::from_slice(
        &std::fs::read(session.root().join("saes/whole/passes.json")).unwrap(),
    )
    .unwrap();
    let ndcg: Vec<f64> = passes.iter().map(|p| p["ndcg"].as_f64().unwrap()).collect();
    let best = ndcg.iter().copied().fold(0.0, f64::max);
    assert_eq!(ndcg[ndcg.len() - 3], best, "{ndcg:?}");
    // What was kept is the dictionary of that pass, not of the last.
    let report = session
        .evaluate_ranking("sasrec", "shoppers", Split::Dev, Some("whole"))
        .unwrap();
    let kept = report.reconstructed_by_name().unwrap()["ndcg@5"];
    assert!((kept - best).abs() < 1e-12, "{kept} {best}");

    for step in [5, 13, 30] {
        let stopped = session.train_sae("parts", "users", &config, &stopping_at(step));
        assert_eq!(stopped.unwrap_err().kind, ErrorKind::Cancelled);
    }
    session.train_sae("parts", "users", &config, &job).unwrap();
    assert_eq!(bytes(&session, "whole"), bytes(&session, "parts"));

    let two = [("a".to_owned(), config.clone()), ("b".to_owned(), config)];
    let refused = session.train_saes("users", &two, &job).unwrap_err();
    assert!(refused.to_string().contains("stop early"), "{refused}");
}
