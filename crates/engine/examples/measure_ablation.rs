//! Ablates the feature of every planted taste for all shoppers, one dictionary after the other.
//!
//! `measure_ablation WORK SETTINGS.toml[,…] [SHOPPERS] [SEED]`: builds shoppers and a recommender in
//! WORK once, trains a dictionary with each file of settings, and prints what ablating a taste's
//! best feature does to the share of its items in the first ten, and to NDCG of users without them.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::error::Error;
use std::path::Path;

use engine::views::{AblationRequest, ConceptItems, ImportRequest};
use engine::{HarvestRequest, JobContext, Session, TrainRecommenderRequest, sae_config_from_toml};
use schema::{
    FeatureId, PositionScope, SaeConfig, Split, SteeringMode, SteeringSpec, StrengthUnit,
};

/// Features of the set that is ablated beside the single best one, at most.
const N_SET: u32 = 8;

/// What an ablation comes to.
struct Outcome {
    /// Relative change of the share of the items in the first ten.
    change: f64,
    interval: [f64; 2],
    /// The same for random features.
    control: f64,
    /// Relative change of NDCG at 10 of users without such items in their history.
    others: f64,
    /// As `change`, of users that the features were active on.
    of_active: f64,
    /// As `change`, of users with the taste: only they have its items in their history.
    of_owners: f64,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = self.interval.map(|end| 100.0 * end);
        write!(
            f,
            "{:+.1} % [{low:+.1}, {high:+.1}] | {:+.1} % | {:+.1} % | {:+.1} % | {:+.2} %",
            100.0 * self.change,
            100.0 * self.of_owners,
            100.0 * self.of_active,
            100.0 * self.control,
            100.0 * self.others
        )
    }
}

fn ablated(
    session: &Session,
    sae: &str,
    (features, factor): (&[u32], f32),
    items: &ConceptItems,
) -> Result<Outcome, Box<dyn Error>> {
    let edits = features.iter().map(|&feature| SteeringSpec {
        feature: FeatureId(feature),
        strength: factor,
        mode: SteeringMode::Scale,
        unit: StrengthUnit::Max,
        scope: PositionScope::All,
    });
    let request = AblationRequest {
        sae: sae.to_owned(),
        edits: edits.collect(),
        dataset: None,
        split: Split::Test,
        items: items.clone(),
        n_controls: 10,
        n_examples: 0,
        seed: 0,
    };
    let view = session.ablate(&request, &JobContext::silent())?;
    let share_change = |name: &str| {
        let group = view.groups.iter().find(|g| g.group == name);
        let [was, is] = group.map_or([1.0, 1.0], |group| group.share);
        is / was - 1.0
    };
    let others = view.groups.iter().find(|g| g.group == "Without such items");
    let [before, after] = others.map_or([1.0, 1.0], |group| group.ndcg_10);
    Ok(Outcome {
        change: view.share_change.map_or(f64::NAN, |one| one.value),
        interval: view
            .share_change
            .and_then(|one| one.interval)
            .unwrap_or_default(),
        control: view
            .controls
            .and_then(|one| one.share_change)
            .map_or(f64::NAN, |one| one.value),
        others: after / before - 1.0,
        of_active: share_change("Changed by it"),
        of_owners: share_change("With such items in their history"),
    })
}

/// Opens the project, or builds it.
fn project(root: &Path, count: u32, seed: u64) -> Result<Session, Box<dyn Error>> {
    if Session::is_project(root) {
        return Ok(Session::open(root)?);
    }
    let session = Session::create(root)?;
    let job = JobContext::silent();
    let name = "shoppers".to_owned();
    session.import(&ImportRequest::PhantomShoppers { name, count, seed }, &job)?;
    let training = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        settings: "lr = 1e-3\nmax_epochs = 30\npatience = 5".to_owned(),
        seed,
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &job)?;
    let request = HarvestRequest {
        name: "shoppers".to_owned(),
        model: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        hook: "hook_user_vector".parse()?,
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job)?;
    Ok(session)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, files, rest @ ..] = arguments.as_slice() else {
        return Err("expected WORK and SETTINGS.toml".into());
    };
    let count = rest.first().map_or(Ok(1500), |text| text.parse())?;
    let seed = rest.get(1).map_or(Ok(0), |text| text.parse())?;
    let session = project(Path::new(work), count, seed)?;
    let job = JobContext::silent();
    for (number, file) in files.split(',').enumerate() {
        let name = format!("concepts-{number}");
        let config = sae_config_from_toml(&std::fs::read_to_string(file)?, &SaeConfig::default())?;
        let evaluation = session.train_sae(&name, "shoppers", &config, &job)?;
        session.build_feature_index(&name, &job)?;
        let found = session.recover_tastes(&name, seed, 300, &job)?;
        println!(
            "{file}: FVU {:.3}, L0 {:.2}",
            evaluation.all.fvu, evaluation.all.l0
        );
        let mut n_gone = [0; 3];
        let mut n_gone_of_owners = [0; 3];
        let planted = datasets::phantom::shoppers(seed, 1);
        for taste in &planted.tastes {
            let recovery = &found[&taste.name];
            let items = ConceptItems::Items(taste.items.clone());
            let all = session.features_adding_to(&name, &items, N_SET, &job)?;
            let set: Vec<u32> = all.iter().map(|one| one.feature).collect();
            let one = ablated(&session, &name, (&[recovery.best_feature], 0.0), &items)?;
            if set.is_empty() {
                continue;
            }
            let many = ablated(&session, &name, (&set, 0.0), &items)?;
            let turned = ablated(&session, &name, (&[recovery.best_feature], -1.0), &items)?;
            for (at, outcome) in [&one, &turned, &many].into_iter().enumerate() {
                n_gone[at] += u32::from(outcome.change <= -0.8);
                n_gone_of_owners[at] += u32::from(outcome.of_owners <= -0.8);
            }
            println!(
                "| {} | {:.2} | {one} | {turned} | {} | {many} |",
                taste.name,
                recovery.best_f1,
                set.len()
            );
        }
        println!(
            "of {} tastes, 80 % of their places are lost by one feature ablated, one turned round, \
             the set ablated: {n_gone:?} over all users, {n_gone_of_owners:?} over users with the \
             taste",
            planted.tastes.len(),
        );
    }
    Ok(())
}
