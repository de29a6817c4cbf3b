//! `sae encode`, `sae export`, and `sae train` outside a project.

use std::path::Path;

use engine::{
    EncodeRequest, EngineError, ExportRequest, JobContext, LooseTraining, Result, Session,
};
use serde_json::json;

use crate::arguments::SaeTrainArguments;
use crate::text::Answer;

/// Encodes the rows of a file; a name that is no path is looked for in the project.
pub(crate) fn encode(request: &EncodeRequest, project: Option<&Path>) -> Result<Answer> {
    let session = session_of(&request.sae, project)?;
    let answer = engine::encode_file(session.as_ref(), request)?;
    let fvu = answer.fvu.map_or_else(
        || "no FVU without --target".to_owned(),
        |fvu| format!("FVU {fvu:.4}"),
    );
    let lines = format!(
        "{} rows, {fvu}, L0 {:.2}, at most {} active features in a row\n",
        answer.n_rows, answer.l0, answer.most_active
    );
    Ok(Answer::new(json!(answer), lines))
}

/// The project that was named; for a name that is no path, the one of the current folder.
fn session_of(sae: &str, project: Option<&Path>) -> Result<Option<Session>> {
    let current = std::env::current_dir().unwrap_or_default();
    let is_name = !Path::new(sae).exists();
    let folder = match project {
        Some(folder) => Some(folder),
        None => (is_name && Session::is_project(&current)).then_some(current.as_path()),
    };
    folder.map(crate::opening::open_reading).transpose()
}

/// Writes a dictionary for another tool.
pub(crate) fn export(request: &ExportRequest, project: Option<&Path>) -> Result<Answer> {
    let session = session_of(&request.sae, project)?;
    let answer = engine::export_sae(session.as_ref(), request)?;
    let lines = format!("{}\n", answer.sentence(&request.out));
    Ok(Answer::new(json!(answer), lines))
}

/// Trains on the rows of a file.
pub(crate) fn train(arguments: &SaeTrainArguments, job: &JobContext) -> Result<Answer> {
    let (Some(input), Some(out)) = (&arguments.input, &arguments.out) else {
        return Err(EngineError::request("--input needs --out FOLDER"));
    };
    let request = LooseTraining {
        input: input.clone(),
        target: arguments.target.clone(),
        init: arguments.init.clone(),
        config: match arguments.config.as_slice() {
            [] => None,
            [file] => Some(file.clone()),
            _ => {
                let reason = "outside a project --config is given once at most";
                return Err(EngineError::request(reason));
            }
        },
        steps: arguments.steps,
        seed: arguments.seed,
        out: out.clone(),
    };
    let trained = engine::train_on_file(&request, job)?;
    let figures = trained.last.map_or_else(String::new, |last| {
        format!(
            ": loss {:.4}, FVU {:.4}, L0 {:.2}, {} dead",
            last.loss, last.fvu, last.l0, last.dead
        )
    });
    let lines = format!(
        "Trained {} steps into {}{figures}\n",
        trained.config.steps,
        out.display()
    );
    Ok(Answer::new(json!(trained), lines))
}
