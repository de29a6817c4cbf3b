//! What a run of concepts is asked for, and how that is noted beside its results.

use std::path::{Path, PathBuf};

use explain::{CaseRule, Writing};
use serde::{Deserialize, Serialize};

use super::{Ground, LevelRule};
use crate::error::{EngineError, Result};
use crate::language_model::{Voices, model_source};
use crate::views::ConceptSettingsView;

/// What explains or judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConceptSource {
    /// Terms of titles and categories.
    Keywords,
    /// A language model: the path of a GGUF file, or the address of a server on this computer.
    Model(PathBuf),
    /// Proposals that are there already; explains only.
    Stored,
}

impl ConceptSource {
    /// `keywords`, the path of a GGUF file, or an address such as `http://127.0.0.1:8080/v1`.
    ///
    /// # Errors
    /// For the address of another computer, and a path without file.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "keywords" {
            return Ok(Self::Keywords);
        }
        Ok(Self::Model(PathBuf::from(model_source(text)?)))
    }

    /// The model's path or address.
    pub(crate) fn model(&self) -> Option<String> {
        match self {
            Self::Model(path) => Some(path.display().to_string()),
            Self::Keywords | Self::Stored => None,
        }
    }

    /// Name for people, and BLAKE3 of the model's file.
    pub(crate) fn described(&self, voices: &Voices) -> (String, Option<String>) {
        match self {
            Self::Keywords => ("keywords".to_owned(), None),
            Self::Stored => ("stored".to_owned(), None),
            Self::Model(path) => match voices.get(&path.display().to_string()) {
                Some(voice) => (voice.name.clone(), Some(voice.hash.clone())),
                None => (path.display().to_string(), None),
            },
        }
    }
}

/// How cases are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseChoice {
    /// No case in both parts, distinct items and users, half of the non-activating cases hard.
    Apart,
    /// As `RecSAE`: five cases of each kind at most, those for the explanation serving again.
    RecSae,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ConceptRequest {
    /// The dictionary, of user vectors.
    pub sae: String,
    /// Name of the run in the project; empty for one made of dictionary, explainer and conventions.
    pub name: String,
    /// What explains.
    pub explain: ConceptSource,
    /// What judges; `None` to explain only.
    pub judge: Option<ConceptSource>,
    /// Which features; empty for all, or for as many as `limit` says.
    pub features: Vec<u32>,
    /// So many features, drawn by the seed.
    pub limit: Option<usize>,
    /// How cases are chosen.
    pub cases: CaseChoice,
    /// Test cases of each kind at most, ≥ 1; with `RecSae` it is 5.
    pub most: usize,
    /// Deciles that levels are told by.
    pub levels: LevelRule,
    /// Whether explainers see the level at each item of a history; else at the recommended one.
    pub history_levels: bool,
    /// Temperature of language models, ≥ 0.
    pub temperature: f32,
    /// Share of the most probable tokens drawn from, in `(0, 1]`.
    pub top_p: f32,
    /// Seed of cases, samples and models.
    pub seed: u64,
    /// Whether random dictionary, raw dimensions and swapped explanations are measured too.
    pub has_baselines: bool,
    /// Folder of a published list to compare with.
    pub published: Option<PathBuf>,
}

impl ConceptRequest {
    /// Our conventions: keywords explain and judge, cases apart, up to 50 of each kind, pooled
    /// levels at every item, the same answer each time.
    pub fn new(sae: &str) -> Self {
        Self {
            sae: sae.to_owned(),
            name: String::new(),
            explain: ConceptSource::Keywords,
            judge: Some(ConceptSource::Keywords),
            features: Vec::new(),
            limit: None,
            cases: CaseChoice::Apart,
            most: 50,
            levels: LevelRule::Pooled,
            history_levels: true,
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
            has_baselines: true,
            published: None,
        }
    }

    /// `RecSAE`'s: its cases, the level at the recommended item only, temperature 0.6, top-p 0.9.
    pub fn recsae(sae: &str) -> Self {
        Self {
            cases: CaseChoice::RecSae,
            history_levels: false,
            temperature: 0.6,
            top_p: 0.9,
            ..Self::new(sae)
        }
    }

    /// Refuses what cannot be done.
    pub(super) fn check(&self, n_features: u32) -> Result<()> {
        if let Some(bad) = self.features.iter().find(|&&feature| feature >= n_features) {
            return Err(EngineError::request(format!(
                "{} has no feature {bad}, only 0 to {}",
                self.sae,
                n_features.saturating_sub(1)
            )));
        }
        let refused = |what: &str| Err(EngineError::request(what.to_owned()));
        if self.most == 0 || self.limit == Some(0) {
            return refused("expected at least one feature and one case of each kind, got 0");
        }
        if self.judge == Some(ConceptSource::Stored) {
            return refused("stored proposals explain, they do not judge");
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refused("expected a temperature of 0 or above");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refused("expected a top-p above 0 and up to 1");
        }
        Ok(())
    }

    /// Paths and addresses of the language models that are asked.
    pub(super) fn models(&self) -> impl Iterator<Item = String> {
        let judge = self.judge.as_ref().and_then(ConceptSource::model);
        self.explain.model().into_iter().chain(judge)
    }

    /// Name of the run.
    pub(super) fn name(&self, voices: &Voices) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let (by, _) = self.explain.described(voices);
        let by: String = by.to_lowercase().chars().map(allowed).collect();
        let conventions = match self.cases {
            CaseChoice::Apart => "",
            CaseChoice::RecSae => "-recsae",
        };
        let judged = match &self.judge {
            None => "-proposed",
            Some(judge) if *judge == self.explain => "",
            Some(ConceptSource::Keywords) => "-judged-by-keywords",
            Some(_) => "-judged",
        };
        format!("{}-{by}{conventions}{judged}", self.sae)
    }

    pub(super) fn rule(&self) -> CaseRule {
        match self.cases {
            CaseChoice::Apart => CaseRule::Apart { most: self.most },
            CaseChoice::RecSae => CaseRule::RecSae,
        }
    }

    pub(super) fn writing(&self) -> Writing {
        Writing {
            max_tokens: 1,
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
        }
    }
}

/// Everything that decides the results, and when the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    sae: String,
    sae_blake3: String,
    model: String,
    dataset: String,
    pub(super) settings: ConceptSettingsView,
    features: Vec<u32>,
    limit: Option<usize>,
    has_baselines: bool,
    /// Folder and BLAKE3 of the published list.
    published: Option<(String, String)>,
    /// BLAKE3 of the proposals that are judged, where they were there.
    stored_blake3: Option<String>,
}

impl RunRecord {
    pub(super) fn of(request: &ConceptRequest, ground: &Ground, voices: &Voices) -> Result<Self> {
        let (explained_by, explainer_blake3) = request.explain.described(voices);
        let judge = request.judge.as_ref();
        let (judged_by, judge_blake3) = judge.map(|judge| judge.described(voices)).unzip();
        let published = request
            .published
            .as_deref()
            .map(|folder| Ok::<_, EngineError>((folder.display().to_string(), hash(folder)?)))
            .transpose()?;
        Ok(Self {
            sae: request.sae.clone(),
            sae_blake3: ground.dictionary.hash.clone(),
            model: ground.model.clone(),
            dataset: ground.dataset.clone(),
            settings: ConceptSettingsView {
                explained_by,
                explainer_blake3,
                judged_by,
                judge_blake3: judge_blake3.flatten(),
                cases: match request.cases {
                    CaseChoice::Apart => "apart".to_owned(),
                    CaseChoice::RecSae => "recsae".to_owned(),
                },
                most: match request.cases {
                    CaseChoice::Apart => request.most,
                    CaseChoice::RecSae => 5,
                },
                levels: request.levels.name().to_owned(),
                history_levels: request.history_levels,
                temperature: request.temperature,
                top_p: request.top_p,
                seed: request.seed,
                at: store::utc_now(),
            },
            features: request.features.clone(),
            limit: request.limit,
            has_baselines: request.has_baselines,
            published,
            stored_blake3: None,
        })
    }

    /// Notes which stored proposals are judged.
    pub(super) fn with_stored(mut self, blake3: String) -> Self {
        self.stored_blake3 = Some(blake3);
        self
    }

    /// Which dictionary it is about, and how it was made.
    pub(super) fn dictionary_and_settings(self) -> (String, ConceptSettingsView) {
        (self.sae, self.settings)
    }

    /// Whether all but the time is the same.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.settings.at.clone_from(&self.settings.at);
        *self == other
    }
}

fn hash(folder: &Path) -> Result<String> {
    let path = folder.join("latents.jsonl");
    let found = store::blake3_of_file(&path);
    Ok(found
        .map_err(|error| EngineError::request(error.to_string()))?
        .0)
}
