//! Trains a recommender on a folder in the `ReChorus` layout and prints HR and NDCG by full ranking.
//!
//! `train_recommender FOLDER [--arch sas-rec] [--lr 1e-4] [--seed 0] [--max-epochs 200] [--out FOLDER]`; with `--out` the
//! run is resumable and the model is saved there.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use models::Architecture;
use models::recommenders::{
    InteractionData, RecommenderConfig, RecommenderTraining, UserHistory, evaluate,
    train_recommender,
};
use schema::Split;

/// Takes the value that follows `name` out of the arguments.
fn option(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

/// User, item and time.
type Row = (u32, u32, f64);

/// Rows `user_id, item_id, time` of a table, in time order.
fn rows(path: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut rows = Vec::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split('\t');
        let mut next = || cells.next().ok_or("a row has fewer than three columns");
        rows.push((next()?.parse()?, next()?.parse()?, next()?.parse()?));
    }
    rows.sort_by(|a: &Row, b| a.2.total_cmp(&b.2));
    Ok(rows)
}

fn read(folder: &Path) -> Result<InteractionData, Box<dyn Error>> {
    let mut data = InteractionData::default();
    for (file, part) in [("train.csv", 0), ("dev.csv", 1), ("test.csv", 2)] {
        for (user, item, _) in rows(&folder.join(file))? {
            data.n_items = data.n_items.max(item);
            if data.histories.len() < user as usize {
                data.histories.resize(user as usize, UserHistory::default());
            }
            let user = &mut data.histories[user as usize - 1];
            [&mut user.train, &mut user.dev, &mut user.test][part].push(item);
        }
    }
    Ok(data)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().ok_or("the folder is missing")?);
    let name = option(&arguments, "--arch").unwrap_or_else(|| "sas-rec".to_owned());
    let architecture: Architecture = serde_json::from_value(serde_json::Value::String(name))?;
    let mut training = RecommenderTraining::of(architecture);
    if let Some(lr) = option(&arguments, "--lr") {
        training.lr = lr.parse()?;
    }
    if let Some(seed) = option(&arguments, "--seed") {
        training.seed = seed.parse()?;
    }
    if let Some(epochs) = option(&arguments, "--max-epochs") {
        training.max_epochs = epochs.parse()?;
    }
    let out = option(&arguments, "--out").map(PathBuf::from);
    let data = read(&folder)?;
    println!("{} users, {} items", data.histories.len(), data.n_items);
    let config = RecommenderConfig::of(architecture, data.n_users(), data.n_items)
        .ok_or("the architecture is no recommender")?;
    let start = Instant::now();
    let mut seen = (0, 0);
    let trained = train_recommender(&config, &training, &data, out.as_deref(), &mut |progress| {
        if (progress.stage, progress.epochs.len()) > seen && !progress.epochs.is_empty() {
            seen = (progress.stage, progress.epochs.len());
            if let Some(report) = progress.epochs.last() {
                let dev = report.dev.clone().unwrap_or_default();
                println!(
                    "epoch {} loss {:.4} dev HR@5 {:.4} NDCG@5 {:.4} at {:.1} s",
                    report.epoch,
                    report.loss,
                    dev.hr_at(5).unwrap_or(0.0),
                    dev.ndcg_at(5).unwrap_or(0.0),
                    start.elapsed().as_secs_f64()
                );
            }
        }
        ControlFlow::Continue(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "seed {}: {} epochs, best {}, {seconds:.1} s",
        training.seed,
        trained.epochs.len(),
        trained.best_epoch
    );
    let ks = [5, 10, 20, 50];
    for split in [Split::Dev, Split::Test] {
        let metrics = evaluate(&trained.model, &data, split, &ks)?;
        for (i, k) in ks.iter().enumerate() {
            let (hr, ndcg) = (metrics.hr[i], metrics.ndcg[i]);
            println!("{split:?} HR@{k} {hr:.4} NDCG@{k} {ndcg:.4}");
        }
    }
    if let Some(out) = out {
        trained.model.save(&out)?;
    }
    Ok(())
}
