//! How fast `SASRec` trains and ranks, against the products it cannot do without, in the same run.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use datasets::import::{InteractionSource, import_interactions};
use models::limits;
use models::recommenders::{
    EvaluationSet, InteractionData, Recommender, RecommenderConfig, RecommenderTraining,
    RecommenderWeights, UserHistory, train_recommender,
};
use models::{Architecture, ModelError};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::Split;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;

/// Users and items of Amazon Grocery, which `RecSAE` uses.
const N_USERS: usize = 14_681;
const N_ITEMS: u32 = 8_713;
/// Shortest and longest invented history, to train on about as many items as there.
const LENGTHS: (usize, usize) = (3, 15);

/// What a run took.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedOfRecommender {
    /// Threads that computed.
    pub threads: usize,
    /// Instances of an epoch.
    pub n_instances: u64,
    /// Seconds of training of the fastest epoch, evaluation left out.
    pub seconds_per_epoch: f64,
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// Users whose every item is scored and ranked in a second.
    pub users_per_second: f64,
    /// The same if nothing were done but the product of user and item vectors, at the rate of
    /// large f32 products.
    pub limit_users_per_second: f64,
}

impl SpeedOfRecommender {
    /// What a reader wants of it.
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        writeln!(
            lines,
            "SASRec: {:.2} s an epoch of {} instances, loss {:.4}, {} threads",
            self.seconds_per_epoch, self.n_instances, self.loss, self.threads
        )
        .ok();
        writeln!(
            lines,
            "full ranking: {:.0} users a second, {:.2} of what the product of their vectors alone \
             would take",
            self.users_per_second,
            self.users_per_second / self.limit_users_per_second
        )
        .ok();
        lines
    }
}

/// Times epochs of `SASRec` by `RecSAE`'s setting, and full ranking, on the histories of a folder in
/// the `ReChorus` layout, or on invented ones of Amazon Grocery's sizes.
///
/// # Errors
/// When the folder cannot be read, or the user stops it.
pub fn bench_recommenders(
    folder: Option<&Path>,
    epochs: u32,
    job: &JobContext,
) -> Result<SpeedOfRecommender> {
    let data = match folder {
        Some(folder) => read(folder)?,
        None => invented(),
    };
    let config = RecommenderConfig::of(Architecture::SasRec, data.n_users(), data.n_items)
        .ok_or_else(|| EngineError::other("SASRec has no preset"))?;
    let training = RecommenderTraining {
        max_epochs: epochs.max(1),
        patience: u32::MAX,
        ..RecommenderTraining::of(Architecture::SasRec)
    };
    // Without dev items nothing but training is timed.
    let mut train_only = data.clone();
    for user in &mut train_only.histories {
        user.dev.clear();
        user.test.clear();
    }
    let mut began = Instant::now();
    let mut fastest = f64::INFINITY;
    let trained = train_recommender(&config, &training, &train_only, None, &mut |progress| {
        if job.is_cancelled() {
            return ControlFlow::Break(());
        }
        if progress.step == progress.steps_per_epoch {
            fastest = fastest.min(began.elapsed().as_secs_f64());
            began = Instant::now();
        }
        ControlFlow::Continue(())
    });
    let trained = match trained {
        Err(ModelError::Cancelled) => return Err(EngineError::cancelled()),
        other => other?,
    };
    let n_instances: usize = data
        .histories
        .iter()
        .map(|user| user.train.len().saturating_sub(1))
        .sum();
    Ok(SpeedOfRecommender {
        threads: rayon::current_num_threads(),
        n_instances: n_instances as u64,
        seconds_per_epoch: fastest,
        loss: trained.epochs.last().map_or(0.0, |epoch| epoch.loss),
        users_per_second: ranking_speed(&data, &config)?,
        limit_users_per_second: limits::product_rate(9)
            / (2.0 * f64::from(config.d_model()) * f64::from(config.n_items())),
    })
}

/// Users whose vectors are made and ranked in a second, the best of three rounds.
fn ranking_speed(data: &InteractionData, config: &RecommenderConfig) -> Result<f64> {
    let model = Recommender::new(RecommenderWeights::random(config.clone(), 0)?, None)?;
    let set = EvaluationSet::new(data, Split::Test);
    let mut best = 0.0_f64;
    for _ in 0..3 {
        let began = Instant::now();
        let vectors = set.user_vectors(&model)?;
        std::hint::black_box(set.ranks(&model, &vectors)?);
        best = best.max(set.len() as f64 / began.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn read(folder: &Path) -> Result<InteractionData> {
    let source = InteractionSource {
        path: folder.to_owned(),
        ..InteractionSource::default()
    };
    let plan = import_interactions("bench", &source)
        .map_err(|error| EngineError::request(error.to_string()))?;
    let n_items = plan.catalogue.len() as u32;
    Ok(InteractionData::from_records(n_items, &plan.records)?)
}

/// Histories in which few items are much and most are little bought.
fn invented() -> InteractionData {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut item = || {
        let share: f64 = rng.random();
        1 + (f64::from(N_ITEMS - 1) * share * share * share) as u32
    };
    let histories = (0..N_USERS).map(|user| {
        let length = LENGTHS.0 + (user * 7) % (LENGTHS.1 - LENGTHS.0);
        let mut items: Vec<u32> = (0..length + 2).map(|_| item()).collect();
        let test = items.split_off(length + 1);
        let dev = items.split_off(length);
        UserHistory {
            train: items,
            dev,
            test,
            number: 0,
        }
    });
    InteractionData {
        n_items: N_ITEMS,
        histories: histories.collect(),
    }
}
