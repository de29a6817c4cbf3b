//! What a run of concepts is asked for, and how that is noted beside its results.

use std::path::{Path, PathBuf};

use explain::{CaseRule, Writing};
use serde::{Deserialize, Serialize};

use super::{Ground, LevelRule};
use crate::error::{EngineError, Result};
use crate::explanation_source::{
    ExplanationSource, check_source_choices, default_name, models_of, writing_of,
};
use crate::indexed::check_feature;
use crate::language_model::Voices;
use crate::prompts::ConceptPrompts;
use crate::views::ConceptSettingsView;

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
    /// Name of the run in the project; empty for one made of dictionary, explainer, conventions and
    /// judge, and of six digits where anything else is chosen otherwise.
    pub name: String,
    /// What explains.
    pub explain: ExplanationSource,
    /// What judges; `None` to explain only.
    pub judge: Option<ExplanationSource>,
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
            explain: ExplanationSource::Keywords,
            judge: Some(ExplanationSource::Keywords),
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
        for &feature in &self.features {
            check_feature(&self.sae, feature, n_features)?;
        }
        if self.most == 0 || self.limit == Some(0) {
            return Err(EngineError::request(
                "expected at least one feature and one case of each kind, got 0",
            ));
        }
        check_source_choices(self.judge.as_ref(), self.temperature, self.top_p)
    }

    /// Paths and addresses of the language models that are asked.
    pub(super) fn models(&self) -> impl Iterator<Item = String> {
        models_of(&self.explain, self.judge.as_ref())
    }

    /// Name of the run: of dictionary, explainer, conventions and judge, and where anything else is
    /// chosen otherwise than by the conventions, six digits that stand for it.
    pub(super) fn name(&self, voices: &Voices, record: &RunRecord) -> Result<String> {
        if !self.name.is_empty() {
            return Ok(self.name.clone());
        }
        let (plain, conventions) = match self.cases {
            CaseChoice::Apart => (Self::new(&self.sae), ""),
            CaseChoice::RecSae => (Self::recsae(&self.sae), "-recsae"),
        };
        let plain = Self {
            explain: self.explain.clone(),
            judge: self.judge.clone(),
            ..plain
        };
        let is_plain = *self == plain && record.prompts_blake3.is_none();
        let chosen = (!is_plain).then(|| record.without_time());
        let sources = (&self.explain, self.judge.as_ref());
        default_name(&self.sae, sources, conventions, voices, chosen.as_ref())
    }

    pub(super) fn rule(&self) -> CaseRule {
        match self.cases {
            CaseChoice::Apart => CaseRule::Apart { most: self.most },
            CaseChoice::RecSae => CaseRule::RecSae,
        }
    }

    pub(super) fn writing(&self) -> Writing {
        writing_of(self.temperature, self.top_p, self.seed)
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
    /// BLAKE3 of the prompts with gaps, where language models are asked and the project has changed
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompts_blake3: Option<String>,
}

impl RunRecord {
    pub(super) fn of(
        request: &ConceptRequest,
        ground: &Ground,
        (voices, prompts): (&Voices, &ConceptPrompts),
    ) -> Result<Self> {
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
            // Terms know no prompts.
            prompts_blake3: if request.models().next().is_some() {
                prompts.hash_if_changed()?
            } else {
                None
            },
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
        self.without_time() == other.without_time()
    }

    fn without_time(&self) -> Self {
        let mut own = self.clone();
        own.settings.at.clear();
        own
    }
}

fn hash(folder: &Path) -> Result<String> {
    let path = folder.join("latents.jsonl");
    let found = store::blake3_of_file(&path);
    Ok(found
        .map_err(|error| EngineError::request(error.to_string()))?
        .0)
}
