//! Features with what was said of them, for other tools: one line of JSON each, or rows as
//! Neuronpedia's exports have them.
//!
//! Neither holds identity of patients or users: samples are numbers.

mod neuronpedia;

use std::path::{Path, PathBuf};

use schema::{Explanation, FeatureId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::named_files::{check_output, write_output};
use crate::session::Session;
use crate::views::{ExampleView, FeaturePage, FeatureQuery, SAFETY};

/// What an export looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureFormat {
    /// One line of JSON per feature, in one file.
    Jsonl,
    /// A folder with rows of features, activations and explanations.
    Neuronpedia,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportedFeatures {
    /// The file or folder.
    pub path: PathBuf,
    /// Features.
    pub n_features: usize,
    /// Proposed explanations and approved labels.
    pub n_explanations: usize,
    /// Examples.
    pub n_examples: usize,
}

impl Session {
    /// Writes features with label, explanations, scores, figures and examples; `features` empty for
    /// all that are active somewhere. What `path` names must not be there yet, for a folder.
    ///
    /// # Errors
    /// When there is no such dictionary or feature, the place cannot be written, or the user stops.
    pub fn export_features(
        &self,
        sae: &str,
        features: &[FeatureId],
        (path, format): (&Path, FeatureFormat),
        job: &JobContext,
    ) -> Result<ExportedFeatures> {
        if format == FeatureFormat::Jsonl {
            check_output(path)?;
        }
        let features = if features.is_empty() {
            self.feature_ids(sae, &FeatureQuery::default())?
        } else {
            features.to_vec()
        };
        let done = match format {
            FeatureFormat::Jsonl => self.export_lines(sae, &features, path, job),
            FeatureFormat::Neuronpedia => neuronpedia::export(self, sae, &features, path, job),
        }?;
        Ok(ExportedFeatures {
            path: path.to_owned(),
            ..done
        })
    }

    fn export_lines(
        &self,
        sae: &str,
        features: &[FeatureId],
        file: &Path,
        job: &JobContext,
    ) -> Result<ExportedFeatures> {
        let hash = self.indexed(sae)?.dictionary.hash.clone();
        let mut done = ExportedFeatures::default();
        let mut text = String::new();
        for page in pages(self, sae, features, job) {
            let page = page?;
            done.count(&page, page.top.len());
            text += &line(sae, &hash, &page).to_string();
            text.push('\n');
        }
        write_output(file, text.as_bytes())?;
        Ok(done)
    }
}

impl ExportedFeatures {
    fn count(&mut self, page: &FeaturePage, n_examples: usize) {
        self.n_features += 1;
        self.n_explanations += page.explanations.len() + usize::from(!page.card.label.is_empty());
        self.n_examples += n_examples;
    }
}

/// The pages of features, one after the other.
fn pages<'a>(
    session: &'a Session,
    sae: &'a str,
    features: &'a [FeatureId],
    job: &'a JobContext,
) -> impl Iterator<Item = Result<FeaturePage>> + 'a {
    features.iter().enumerate().map(move |(at, &feature)| {
        job.check_cancelled()?;
        job.report(
            "Exporting features",
            at as u64,
            features.len() as u64,
            "features",
        );
        session.feature_page(sae, feature)
    })
}

/// A proposal without the other columns of the table it was published in, which may hold anything.
fn without_columns(explanation: &Explanation) -> Explanation {
    let mut own = explanation.clone();
    if let Some(source) = &mut own.source {
        source.metadata.clear();
    }
    own
}

fn line(sae: &str, hash: &str, page: &FeaturePage) -> Value {
    let card = &page.card;
    let example = |example: &ExampleView| {
        json!({
            "sample": example.sample,
            "position": example.position,
            "activation": example.activation,
        })
    };
    json!({
        "note": SAFETY,
        "sae": sae,
        "sae_hash": hash,
        "feature": card.feature,
        "state": card.state,
        "label": card.label,
        "explanations": page.explanations.iter().map(without_columns).collect::<Vec<_>>(),
        "density": card.density,
        "sample_density": card.sample_density,
        "max_activation": card.max_activation,
        "mean_activation": page.mean_activation,
        "n_active_rows": page.n_active_rows,
        "histogram": card.histogram,
        "associations": page.associations,
        "promoted": page.writes.as_ref().map(|writes| &writes.promoted),
        "suppressed": page.writes.as_ref().map(|writes| &writes.suppressed),
        "neighbours": page.neighbours,
        "cofiring": page.cofiring,
        "examples": page.top.iter().map(example).collect::<Vec<_>>(),
    })
}

/// The format that a word names.
///
/// # Errors
/// When the word is none of them.
pub fn parse_feature_format(word: &str) -> Result<FeatureFormat> {
    match word {
        "jsonl" => Ok(FeatureFormat::Jsonl),
        "neuronpedia" => Ok(FeatureFormat::Neuronpedia),
        other => Err(EngineError::request(format!(
            "\"{other}\" is no format of features; expected jsonl or neuronpedia"
        ))),
    }
}
