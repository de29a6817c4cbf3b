//! One pass of a recommender over histories or users, outside any project: vectors, scores and
//! ranked items, with a dictionary's reconstruction and with changes of features where asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use models::recommenders::{Recommender, StateDictOptions};
use models::tensor_files::{NamedTensors, TensorValues, read_ids, write_tensors};
use models::{Captured, HookSpec, HookedModel as _, ModelInput};
use sae::SparseAutoencoder;
use schema::HookPoint;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::loose_sae::{check_output, open_dictionary};
use crate::model_registry::LoadedModel;
use crate::run_model::expand_hooks;
use crate::session::Session;
use crate::steering_file::read_steering;
use crate::train_recommender::recommender_named;

/// Items of a ranked list.
const N_TOP: usize = 10;

/// What a bare state dict of a recommender does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecommenderFile {
    /// bprmf, lightgcn, sasrec, timirec or gru4rec; told by the tensors where it is `None`.
    pub arch: Option<String>,
    /// Attention heads.
    pub heads: Option<u32>,
    /// Steps of propagation of `LightGCN`.
    pub layers: Option<u32>,
    /// Last items of a history that are read.
    pub history_max: Option<u32>,
    /// Train interactions for `LightGCN`: `FILE.safetensors:KEY` of `[n, 2]`.
    pub interactions: Option<String>,
}

/// What a recommender is to be run on.
#[derive(Debug, Clone, Default)]
pub struct RankRequest {
    /// Folder or file of the model, or its name in the project.
    pub model: String,
    /// What the file does not say.
    pub file: RecommenderFile,
    /// A JSON list of lists of item ids, oldest first.
    pub histories: Option<PathBuf>,
    /// A JSON list of users' numbers.
    pub users: Option<PathBuf>,
    /// A dictionary: its path or its name in the project.
    pub sae: Option<String>,
    /// Active features, where the dictionary's file does not say.
    pub k: Option<u32>,
    /// A steering file.
    pub steer: Option<PathBuf>,
    /// Whether the items of a history are left out of its ranked list.
    pub mask_history: bool,
    /// Where the tensors go.
    pub dump: Option<PathBuf>,
    /// Hook points to capture, with commas.
    pub hooks: String,
}

/// What a run gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RankAnswer {
    /// Histories or users.
    pub n: usize,
    /// The ten best items of each, best first.
    pub top_items: Vec<Vec<u32>>,
    /// The same through the dictionary's reconstruction.
    pub top_items_reconstructed: Vec<Vec<u32>>,
    /// Tensors written, with their shapes.
    pub dumped: Vec<(String, Vec<usize>)>,
    /// Seconds of the run.
    pub run_seconds: f32,
}

/// Runs a recommender once.
///
/// # Errors
/// When a file cannot be read, an id is out of range, or model, dictionary and changes do not fit
/// together.
pub fn run_recommender(session: Option<&Session>, request: &RankRequest) -> Result<RankAnswer> {
    if let Some(path) = &request.dump {
        check_output(path)?;
    }
    let (histories, users) = read_queries(request)?;
    let n = histories.len().max(users.len());
    let model = load(session, request)?;
    let recommender = model.as_recommender()?;
    let hooked = model.hooked.as_ref();
    let mut hooks = expand_hooks(&request.hooks, hooked)?;
    hooks.retain(|hook| *hook != HookPoint::UserVector);
    hooks.push(HookPoint::UserVector);
    let edits = match &request.steer {
        Some(path) => read_steering(path, session, (hooked, request.k))?,
        None => Vec::new(),
    };
    let inputs = prepare(recommender, &histories, &users)?;
    let began = Instant::now();
    let spec = HookSpec {
        capture: hooks,
        edits,
        keep_at: None,
    };
    let captured = recommender.capture_with(&inputs, &spec)?;
    let d = recommender.config().d_model() as usize;
    let vectors = deciding_rows(&captured, d);
    let n_items = recommender.config().n_items() as usize;
    let mut dump = NamedTensors::new();
    let mut ranked = |vectors: Vec<f32>, names: [&str; 3]| {
        let scores = recommender.scores(&vectors);
        let top = top_items(&scores, n_items, |at| {
            let seen = histories.get(at).filter(|_| request.mask_history);
            seen.map_or(&[][..], Vec::as_slice)
        });
        insert(&mut dump, names[0], vec![n, d], TensorValues::F32(vectors));
        insert(
            &mut dump,
            names[1],
            vec![n, n_items],
            TensorValues::F32(scores),
        );
        let width = top.first().map_or(0, Vec::len);
        let ids = top.iter().flatten().map(|&id| i64::from(id)).collect();
        insert(&mut dump, names[2], vec![n, width], TensorValues::I64(ids));
        top
    };
    let names = ["hook_user_vector", "scores", "top_items"];
    let mut answer = RankAnswer {
        n,
        top_items: ranked(vectors.clone(), names),
        ..RankAnswer::default()
    };
    if let Some(name) = &request.sae {
        let sae = open_dictionary(session, name, request.k)?;
        if sae.d_model() != d {
            return Err(EngineError::request(format!(
                "{name} reads rows of {} numbers, the user vectors have {d}",
                sae.d_model()
            )));
        }
        let back = reconstructed(recommender, &sae, (&inputs, &spec), &vectors)?;
        let names = [
            "reconstruction",
            "scores_reconstructed",
            "top_items_reconstructed",
        ];
        answer.top_items_reconstructed = ranked(back, names);
    }
    insert_captured(&mut dump, &captured);
    answer.run_seconds = began.elapsed().as_secs_f32();
    if let Some(path) = &request.dump {
        answer.dumped = dump
            .iter()
            .map(|(name, (shape, _))| (name.clone(), shape.clone()))
            .collect();
        write_tensors(path, &dump)?;
    }
    Ok(answer)
}

/// What the model reads of each entry.
fn prepare(
    recommender: &Recommender,
    histories: &[Vec<u32>],
    users: &[u32],
) -> Result<Vec<ModelInput>> {
    (0..histories.len().max(users.len()))
        .map(|at| {
            let sample = models::ModelSample {
                items: histories.get(at).map(Vec::as_slice),
                user: users.get(at).copied(),
                ..models::ModelSample::default()
            };
            recommender.prepare(sample).map_err(|error| {
                EngineError::request(format!("entry {at}, counted from 0: {error}"))
            })
        })
        .collect()
}

/// User vectors through a dictionary. A change moves the reconstruction as far as it moves the
/// vector, whose error it keeps.
fn reconstructed(
    recommender: &Recommender,
    sae: &SparseAutoencoder,
    (inputs, spec): (&[ModelInput], &HookSpec),
    changed: &[f32],
) -> Result<Vec<f32>> {
    if spec.edits.is_empty() {
        return Ok(sae.reconstruct(changed)?);
    }
    let unchanged = recommender.capture(inputs, &[HookPoint::UserVector])?;
    let unchanged = deciding_rows(&unchanged, sae.d_model());
    let mut back = sae.reconstruct(&unchanged)?;
    for ((back, after), before) in back.iter_mut().zip(changed).zip(&unchanged) {
        *back += after - before;
    }
    Ok(back)
}

fn insert(dump: &mut NamedTensors, name: &str, shape: Vec<usize>, values: TensorValues) {
    dump.insert(name.to_owned(), (shape, values));
}

/// The last row of each entry at the user vector.
fn deciding_rows(captured: &[Vec<Captured>], d: usize) -> Vec<f32> {
    captured
        .iter()
        .filter_map(|of_entry| of_entry.last())
        .flat_map(|rows| rows.values[rows.values.len() - d..].iter().copied())
        .collect()
}

/// What other hook points gave, entries laid end to end, `[Σ rows, d]`.
fn insert_captured(dump: &mut NamedTensors, captured: &[Vec<Captured>]) {
    let Some(first) = captured.first() else {
        return;
    };
    for (at, hook) in first.iter().enumerate().take(first.len() - 1) {
        let values: Vec<f32> = captured
            .iter()
            .flat_map(|of_entry| of_entry[at].values.iter().copied())
            .collect();
        let shape = vec![values.len() / hook.d_model, hook.d_model];
        insert(
            dump,
            &hook.hook.to_string(),
            shape,
            TensorValues::F32(values),
        );
    }
}

/// The ten best items of each row of scores; ties by lower id.
fn top_items<'a>(
    scores: &[f32],
    n_items: usize,
    left_out: impl Fn(usize) -> &'a [u32],
) -> Vec<Vec<u32>> {
    scores
        .chunks_exact(n_items)
        .enumerate()
        .map(|(at, scores)| {
            let left_out = left_out(at);
            let mut ids: Vec<u32> = (1..=n_items as u32)
                .filter(|id| !left_out.contains(id))
                .collect();
            ids.sort_by(|&a, &b| {
                scores[b as usize - 1]
                    .total_cmp(&scores[a as usize - 1])
                    .then(a.cmp(&b))
            });
            ids.truncate(N_TOP);
            ids
        })
        .collect()
}

fn load(session: Option<&Session>, request: &RankRequest) -> Result<Arc<LoadedModel>> {
    let path = Path::new(&request.model);
    if !path.exists()
        && let Some(session) = session
    {
        if request.file != RecommenderFile::default() {
            return Err(EngineError::request(format!(
                "--arch, --heads, --layers, --history-max and --interactions say what a file does \
                 not; models/{} needs none of them",
                request.model
            )));
        }
        return session.model(&request.model);
    }
    let recommender = load_recommender(path, &request.file, None)?;
    Ok(Arc::new(LoadedModel::of_recommender(
        &request.model,
        recommender,
    )))
}

/// Reads a recommender from its folder or a bare state dict; `pairs` are the train interactions of a
/// dataset, where `file` names none.
pub(crate) fn load_recommender(
    path: &Path,
    file: &RecommenderFile,
    pairs: Option<Vec<(u32, u32)>>,
) -> Result<Recommender> {
    let options = StateDictOptions {
        architecture: file.arch.as_deref().map(recommender_named).transpose()?,
        n_heads: file.heads,
        n_layers: file.layers,
        history_max: file.history_max,
        train_pairs: file
            .interactions
            .as_deref()
            .map(read_pairs)
            .transpose()?
            .or(pairs)
            .map(Into::into),
    };
    Ok(Recommender::load(path, &options)?)
}

/// User and item of every train interaction.
fn read_pairs(place: &str) -> Result<Vec<(u32, u32)>> {
    let (shape, numbers) = read_ids(place)?;
    if !matches!(shape.as_slice(), [_, 2]) {
        return Err(EngineError::request(format!(
            "{place}: expected users and items of shape [n, 2], found {shape:?}"
        )));
    }
    Ok(numbers
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}

/// Histories and users as they were asked for; where both are, one of each per entry.
fn read_queries(request: &RankRequest) -> Result<(Vec<Vec<u32>>, Vec<u32>)> {
    let histories: Vec<Vec<u32>> = match &request.histories {
        Some(path) => read_list(path, "a JSON list of lists of item ids, oldest first")?,
        None => Vec::new(),
    };
    let users: Vec<u32> = match &request.users {
        Some(path) => read_list(path, "a JSON list of users' numbers")?,
        None => Vec::new(),
    };
    if histories.is_empty() && users.is_empty() {
        return Err(EngineError::request(
            "nobody to recommend to: expected at least one history in --histories FILE.json, or \
             one user in --users FILE.json",
        ));
    }
    if !histories.is_empty() && !users.is_empty() && histories.len() != users.len() {
        return Err(EngineError::request(format!(
            "--histories has {} entries and --users {}; expected as many",
            histories.len(),
            users.len()
        )));
    }
    Ok((histories, users))
}

fn read_list<T: serde::de::DeserializeOwned>(path: &Path, expected: &str) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        EngineError::request(format!("cannot read {}: {error}", path.display()))
    })?;
    serde_json::from_str(&text).map_err(|error| {
        EngineError::request(format!(
            "{}: expected {expected}, found: {error}",
            path.display()
        ))
    })
}
