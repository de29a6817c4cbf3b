//! One forward pass or generation of a model, outside any project: reads images and text or ready
//! tensors, steers, writes down what was asked for.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use models::tensor_files::{NamedTensors, TensorValues, read_tensor, write_tensors};
use models::vision_language::maira_prompt::{MairaTask, StudyFilms, StudyTexts};
use models::{
    Captured, GenerationOptions, HookSpec, HookedModel, ModelInput, PromptImage, Sampling,
};
use schema::{Film, HookPoint};
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::located::{LocatedReport, LocatedSentence};
use crate::loose_sae::check_output;
use crate::model_registry::{self, LoadedModel};
use crate::session::Session;
use crate::steering_file::read_steering;

/// The films and sections of a study, of which MAIRA-2's own prompt is assembled.
#[derive(Debug, Clone, Default)]
pub struct StudyRequest {
    /// `findings`, `grounded`, or `phrase=TEXT`.
    pub task: String,
    /// The current lateral film.
    pub lateral: Option<PathBuf>,
    /// The frontal film of the prior study.
    pub prior: Option<PathBuf>,
    /// Why the study was made.
    pub indication: Option<String>,
    /// How the films were made.
    pub technique: Option<String>,
    /// What it is compared with.
    pub comparison: Option<String>,
    /// Report of the prior study.
    pub prior_report: Option<String>,
}

/// What a model is to be run on.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Folder or file of the model, or its name in the project.
    pub model: String,
    /// Films, in the order of the markers of the prompt.
    pub images: Vec<PathBuf>,
    /// A raw prompt; without it and without ids, a study's prompt is assembled.
    pub prompt: Option<String>,
    /// A JSON list of token ids, images already expanded, in place of a prompt.
    pub input_ids: Option<PathBuf>,
    /// Processed pixels in place of films: `FILE.safetensors:KEY` each.
    pub pixel_values: Vec<String>,
    /// The study, for a prompt that is assembled.
    pub study: StudyRequest,
    /// Tokens to write at most.
    pub max_new_tokens: Option<usize>,
    /// Go on past the end of the text.
    pub ignore_eos: bool,
    /// 0 is greedy.
    pub temperature: f32,
    /// Share of the most probable tokens that are drawn from.
    pub top_p: f32,
    /// Seed of the drawing.
    pub seed: u64,
    /// A steering file.
    pub steer: Option<PathBuf>,
    /// Where captured tensors go.
    pub dump: Option<PathBuf>,
    /// Hook points to capture, with commas; `*` stands for every number.
    pub hooks: String,
    /// Whether the scores of every generated token are kept too.
    pub dump_generated_logits: bool,
    /// Coding of the weights in memory: f32, f16, bf16, q8 or q4.
    pub weights: Option<String>,
}

/// What a run gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunAnswer {
    /// Where the model computed: CPU, CUDA or Metal.
    pub device: String,
    /// Positions of the prompt.
    pub n_prompt: usize,
    /// The text written; empty where none was asked for.
    pub text: String,
    /// Its token ids.
    pub generated_ids: Vec<u32>,
    /// Its sentences with boxes on the film, where it is a grounded report.
    pub sentences: Vec<LocatedSentence>,
    /// Why the text ends where it does; empty where none was asked for.
    pub ended: &'static str,
    /// What could not be read of a grounded report, and what was left out of the prompt.
    pub warnings: Vec<String>,
    /// Tensors written, with their shapes.
    pub dumped: Vec<(String, Vec<usize>)>,
    /// Seconds to load the model.
    pub load_seconds: f32,
    /// Seconds of the run.
    pub run_seconds: f32,
}

/// Runs a model once.
///
/// # Errors
/// When a file cannot be read, a hook does not exist, or prompt and images do not fit.
pub fn run_model(
    session: Option<&Session>,
    request: &RunRequest,
    job: &JobContext,
) -> Result<RunAnswer> {
    check_request(request)?;
    let began = Instant::now();
    let model = load(session, request)?;
    let load_seconds = began.elapsed().as_secs_f32();
    let hooked = model.hooked.as_ref();
    let hooks = expand_hooks(&request.hooks, hooked)?;
    let edits = match &request.steer {
        Some(path) => read_steering(path, session, (hooked, None))?,
        None => Vec::new(),
    };
    let films = request
        .images
        .iter()
        .chain(&request.study.lateral)
        .chain(&request.study.prior)
        .map(|path| load_film(path))
        .collect::<Result<Vec<_>>>()?;
    let input = input_of(&model, request, &films)?;
    job.check_cancelled()?;
    let began = Instant::now();
    let spec = HookSpec {
        capture: hooks,
        edits,
        keep_at: None,
    };
    let mut answer = RunAnswer {
        device: model.device.to_owned(),
        n_prompt: input.ids.len(),
        load_seconds,
        ..RunAnswer::default()
    };
    if request.study.prior_report.is_some() && request.study.prior.is_none() {
        answer.warnings.push(
            "the prior report was left out, as MAIRA-2 reads it only with the prior film (--prior)"
                .to_owned(),
        );
    }
    let mut dump = NamedTensors::new();
    if request.dump.is_some() {
        let (logits, captured) = hooked.logits(&input, &spec)?;
        dump_prompt(&mut dump, &input, &captured, logits);
    }
    let n_tokens = request
        .max_new_tokens
        .unwrap_or_else(|| default_length(request));
    if n_tokens > 0 {
        write_text(
            hooked,
            (&input, &spec),
            (request, n_tokens),
            &mut answer,
            &mut dump,
            job,
        )?;
        if let Some(film) = films.first().filter(|_| is_grounded(request, &answer.text)) {
            let located = LocatedReport::read(&answer.text, [film.width, film.height]);
            answer.sentences = located.sentences;
            answer.warnings.extend(located.warnings);
        }
    }
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

/// Refuses what can be told to be wrong before a large model is loaded.
fn check_request(request: &RunRequest) -> Result<()> {
    let refuse = |what: String| Err(EngineError::request(what));
    if !(request.temperature.is_finite() && request.temperature >= 0.0) {
        return refuse(format!(
            "--temperature is {}, expected a number of at least 0",
            request.temperature
        ));
    }
    if !(request.top_p > 0.0 && request.top_p <= 1.0) {
        return refuse(format!(
            "--top-p is {}, expected above 0 and at most 1",
            request.top_p
        ));
    }
    if request.prompt.as_deref().is_some_and(str::is_empty) {
        return refuse("--prompt is empty".to_owned());
    }
    let StudyRequest {
        task,
        indication,
        technique,
        comparison,
        prior_report,
        ..
    } = &request.study;
    let sections = [indication, technique, comparison, prior_report];
    let has_study = !matches!(task.as_str(), "" | "findings")
        || sections.iter().any(|section| section.is_some());
    let has_prompt = request.prompt.is_some() || request.input_ids.is_some();
    if has_prompt && has_study {
        return refuse(
            "--prompt and --input-ids take the place of the study's prompt; leave --task and the \
             sections out"
                .to_owned(),
        );
    }
    if !has_prompt && request.pixel_values.is_empty() {
        match request.images.len() {
            1 => {}
            0 => return refuse("no film: give --image FILE, or a text by --prompt".to_owned()),
            n => {
                return refuse(format!(
                    "{n} films by --image, but a study has one frontal film; give the lateral one \
                     by --lateral and that of the prior study by --prior"
                ));
            }
        }
    }
    match &request.dump {
        Some(path) => check_dump(path, request),
        None if !request.hooks.is_empty() => refuse(
            "--hooks says what is captured, but --dump FILE.safetensors, where it goes, is missing"
                .to_owned(),
        ),
        None if request.dump_generated_logits => {
            refuse("--dump-generated-logits needs --dump FILE.safetensors".to_owned())
        }
        None => Ok(()),
    }
}

fn check_dump(path: &Path, request: &RunRequest) -> Result<()> {
    check_output(path)?;
    if request.dump_generated_logits && request.max_new_tokens.is_none_or(|n| n == 0) {
        return Err(EngineError::request(
            "--dump-generated-logits needs --max-new-tokens above 0, since with --dump no text is \
             written unless it is asked for",
        ));
    }
    Ok(())
}

/// Whether the text is one that names places on the film.
fn is_grounded(request: &RunRequest, text: &str) -> bool {
    let task = &request.study.task;
    let is_raw = request.prompt.is_some() || request.input_ids.is_some();
    task == "grounded" || task.starts_with("phrase=") || is_raw && text.contains("<box>")
}

/// Tokens at most where the user names no number: what MAIRA-2's own examples use.
fn default_length(request: &RunRequest) -> usize {
    if request.dump.is_some() {
        return 0;
    }
    match request.study.task.as_str() {
        "grounded" => 450,
        task if task.starts_with("phrase=") => 150,
        _ => 300,
    }
}

fn load(session: Option<&Session>, request: &RunRequest) -> Result<Arc<LoadedModel>> {
    let path = Path::new(&request.model);
    if !path.exists()
        && let Some(session) = session
    {
        if let Some(weights) = &request.weights {
            return Err(EngineError::request(format!(
                "--weights {weights} does not apply to a model of the project, which was given its \
                 own by `model add`; leave it out or name the model's folder"
            )));
        }
        return session.model(&request.model);
    }
    let coding = request
        .weights
        .as_deref()
        .map(model_registry::coding_named)
        .transpose()?;
    model_registry::load_path(path, coding).map(Arc::new)
}

fn load_film(path: &Path) -> Result<Film> {
    datasets::film::load_film(path).map_err(|error| EngineError::request(error.to_string()))
}

/// The hooks of a list; `*` stands for every number.
///
/// # Errors
/// When a name fits no hook point of the model; the nearest ones are named.
pub(crate) fn expand_hooks(list: &str, model: &dyn HookedModel) -> Result<Vec<HookPoint>> {
    let known = || model.card().hooks.iter().map(|info| info.hook);
    let mut hooks = Vec::new();
    for pattern in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let found: Vec<HookPoint> = known()
            .filter(|hook| fits(pattern, &hook.to_string()))
            .collect();
        if found.is_empty() {
            return Err(EngineError::request(format!(
                "{} has no hook point {pattern}; the nearest it has are {}",
                model.card().name,
                models::hooks::nearest_hooks(pattern, known())
            )));
        }
        hooks.extend(found);
    }
    hooks.dedup();
    Ok(hooks)
}

/// Whether a name fits a pattern in which `*` stands for a number.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('.'), name.split('.'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some("*"), Some(part)) if part.parse::<u32>().is_ok() => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

fn input_of(model: &LoadedModel, request: &RunRequest, films: &[Film]) -> Result<ModelInput> {
    let hooked = model.hooked.as_ref();
    let pixels = request
        .pixel_values
        .iter()
        .map(|place| read_pixels(place))
        .collect::<Result<Vec<_>>>()?;
    if !pixels.is_empty() && !films.is_empty() {
        return Err(EngineError::request(
            "--image and --pixel-values exclude each other",
        ));
    }
    let processed = pixels
        .iter()
        .map(|(values, shape)| PromptImage::Processed(values, *shape));
    let images: Vec<PromptImage<'_>> = films
        .iter()
        .map(PromptImage::Film)
        .chain(processed)
        .collect();
    match (&request.input_ids, &request.prompt) {
        (Some(_), Some(_)) => Err(EngineError::request(
            "--prompt and --input-ids exclude each other",
        )),
        (Some(path), None) => Ok(hooked.prepare_ids(&read_ids(path)?, &images)?),
        (None, Some(prompt)) => Ok(hooked.prepare_text(prompt, &images)?),
        (None, None) => study_input(hooked, &request.study, &images),
    }
}

/// MAIRA-2's own prompt.
fn study_input(
    hooked: &dyn HookedModel,
    study: &StudyRequest,
    images: &[PromptImage<'_>],
) -> Result<ModelInput> {
    let task = match study.task.as_str() {
        "" | "findings" => MairaTask::Findings,
        "grounded" => MairaTask::Grounded,
        task => match task.strip_prefix("phrase=") {
            Some(phrase) => MairaTask::Phrase(phrase),
            None => {
                return Err(EngineError::request(format!(
                    "\"{task}\" is no task; expected findings, grounded or phrase=TEXT"
                )));
            }
        },
    };
    let texts = StudyTexts {
        indication: study.indication.as_deref(),
        technique: study.technique.as_deref(),
        comparison: study.comparison.as_deref(),
        prior_report: study.prior_report.as_deref(),
    };
    let shown = StudyFilms {
        has_lateral: study.lateral.is_some(),
        has_prior: study.prior.is_some(),
    };
    Ok(hooked.prepare_study(task, (shown, texts), images)?)
}

fn read_ids(path: &Path) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        EngineError::request(format!("cannot read {}: {error}", path.display()))
    })?;
    let bad = |what: String| {
        EngineError::request(format!(
            "{}: expected a JSON list of token ids: {what}",
            path.display()
        ))
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    // A batch of one is a list in a list.
    let list = match &value {
        serde_json::Value::Object(map) => map.get("input_ids").unwrap_or(&value),
        other => other,
    };
    let list = match list.as_array().map(Vec::as_slice) {
        Some([inner @ serde_json::Value::Array(_)]) => inner,
        _ => list,
    };
    serde_json::from_value(list.clone()).map_err(|error| bad(error.to_string()))
}

/// Pixels of one image: values and `[channels, height, width]`.
fn read_pixels(place: &str) -> Result<(Vec<f32>, [usize; 3])> {
    let (shape, values) = read_tensor(place)?;
    match *shape.as_slice() {
        [c, h, w] | [1, c, h, w] => Ok((values, [c, h, w])),
        _ => Err(EngineError::request(format!(
            "{place}: expected an image of [3, h, w] or [1, 3, h, w], found {shape:?}"
        ))),
    }
}

/// What the prompt pass gave, under the names that scripts rely on.
fn dump_prompt(
    dump: &mut NamedTensors,
    input: &ModelInput,
    captured: &[Captured],
    logits: Vec<f32>,
) {
    let n = input.ids.len();
    let ids = input.ids.iter().map(|&id| i64::from(id)).collect();
    dump.insert("input_ids".to_owned(), (vec![n], TensorValues::I64(ids)));
    let images = std::iter::once(&input.pixels).chain(&input.further_pixels);
    let mut n_images = 0;
    for pixels in images.filter(|pixels| !pixels.is_empty()) {
        let values = TensorValues::F32(pixels.clone());
        let name = format!("pixel_values.{n_images}");
        dump.insert(name, (input.pixel_shape.to_vec(), values));
        n_images += 1;
    }
    for one in captured {
        let shape = if one.hook.is_vision() {
            let n_images = n_images.max(1);
            vec![n_images, one.n_rows / n_images, one.d_model]
        } else {
            vec![one.n_rows, one.d_model]
        };
        let values = TensorValues::F32(one.values.clone());
        dump.insert(one.hook.to_string(), (shape, values));
    }
    let n_vocab = logits.len() / n.max(1);
    dump.insert(
        "logits".to_owned(),
        (vec![n, n_vocab], TensorValues::F32(logits)),
    );
}

fn write_text(
    hooked: &dyn HookedModel,
    (input, spec): (&ModelInput, &HookSpec),
    (request, n_tokens): (&RunRequest, usize),
    answer: &mut RunAnswer,
    dump: &mut NamedTensors,
    job: &JobContext,
) -> Result<()> {
    let options = GenerationOptions {
        max_new_tokens: n_tokens,
        ignore_eos: request.ignore_eos,
        keep_logits: request.dump_generated_logits,
        sampling: (request.temperature > 0.0).then_some(Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            seed: request.seed,
        }),
    };
    let edits_only = HookSpec {
        capture: Vec::new(),
        ..spec.clone()
    };
    let mut n_written = 0;
    let generation = hooked.generate(input, &edits_only, options, &mut |_| {
        n_written += 1;
        job.report("Writing", n_written, n_tokens as u64, "tokens");
        if job.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    job.check_cancelled()?;
    let n = generation.ids.len();
    let ids = generation.ids.iter().map(|&id| i64::from(id)).collect();
    dump.insert(
        "generated_ids".to_owned(),
        (vec![n], TensorValues::I64(ids)),
    );
    if request.dump_generated_logits {
        let shape = vec![n, generation.logits.len() / n.max(1)];
        let values = TensorValues::F32(generation.logits);
        dump.insert("generated_logits".to_owned(), (shape, values));
    }
    answer.ended = if generation.is_complete {
        "end of text"
    } else if n == n_tokens {
        "as many tokens as may be written"
    } else {
        "the model's context is full"
    };
    answer.text = generation.text;
    answer.generated_ids = generation.ids;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_number() {
        assert!(fits(
            "blocks.*.hook_resid_post",
            "blocks.12.hook_resid_post"
        ));
        assert!(!fits(
            "blocks.*.hook_resid_post",
            "vision.blocks.1.hook_resid_post"
        ));
        assert!(!fits("blocks.*", "blocks.1.hook_resid_post"));
        assert!(!fits("*", "embed"));
    }
}
