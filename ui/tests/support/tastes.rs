//! A project with phantom shoppers, a recommender and a dictionary of its user vectors.

use std::path::Path;

use engine::views::ImportRequest;
use engine::{HarvestRequest, JobContext, Session, TrainRecommenderRequest};
use schema::{HookPoint, SaeConfig};

const SHOPPERS: &str = "shoppers";
pub(crate) const TASTES: &str = "tastes";

/// Builds it, with so many epochs of the recommender and a dictionary of these settings.
pub(crate) fn build(root: &Path, epochs: u32, config: &SaeConfig) -> Session {
    let job = JobContext::silent();
    let session = Session::create(root).unwrap();
    let shoppers = ImportRequest::PhantomShoppers {
        name: SHOPPERS.to_owned(),
        count: 300,
        seed: 4,
    };
    session.import(&shoppers, &job).unwrap();
    let training = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: SHOPPERS.to_owned(),
        lr: Some(1e-3),
        epochs: Some(epochs),
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job).unwrap();
    let harvest = HarvestRequest {
        name: "rows".to_owned(),
        model: "sasrec".to_owned(),
        dataset: SHOPPERS.to_owned(),
        hook: HookPoint::UserVector,
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&harvest, &job).unwrap();
    session.train_sae(TASTES, "rows", config, &job).unwrap();
    session.build_feature_index(TASTES, &job).unwrap();
    session
}
