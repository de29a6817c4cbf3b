//! What a run of explanations over passages is asked for, and how that is noted beside its results.

use schema::{Explanation, FeatureId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use explain::Writing;

use super::passages::HowMany;
use crate::error::{EngineError, Result};
use crate::explanation_source::{
    ExplanationSource, check_source_choices, default_name, models_of, writing_of,
};
use crate::indexed::check_feature;
use crate::language_model::Voices;
use crate::model_registry::to_json;
use crate::prompts::Prompts;
use crate::views::ScoreSettingsView;

/// How explanations are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScoreMethod {
    /// Does the judge tell passages on which the feature is active from others?
    Detection,
    /// Does the judge tell right marks from wrong ones? Needs a language model.
    Fuzzing,
    /// Does the judge predict the activation at each token? Needs a language model run here.
    Simulation,
    /// Is the explanation's sentence vector nearer to passages on which the feature is active? Needs
    /// a sentence encoder, and no judge that reads.
    Embedding,
}

impl ScoreMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [
        Self::Detection,
        Self::Fuzzing,
        Self::Simulation,
        Self::Embedding,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Fuzzing => "fuzzing",
            Self::Simulation => "simulation",
            Self::Embedding => "embedding",
        }
    }

    fn needs_language_model(self) -> bool {
        matches!(self, Self::Fuzzing | Self::Simulation)
    }

    /// The method of a name.
    ///
    /// # Errors
    /// For any other word.
    pub fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| {
            EngineError::request(format!(
                "\"{name}\" is no method; expected detection, fuzzing, simulation, embedding, or, \
                 for dictionaries of user vectors, confidence"
            ))
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainRequest {
    /// The dictionary, of a text or a film.
    pub sae: String,
    /// Name of the run; empty for one made of dictionary, explainer and judge.
    pub name: String,
    /// What explains.
    pub explain: ExplanationSource,
    /// What judges; `None` to explain only.
    pub judge: Option<ExplanationSource>,
    /// How explanations are tested.
    pub methods: Vec<ScoreMethod>,
    /// Folder of the sentence encoder that the method embedding needs.
    pub encoder: Option<PathBuf>,
    /// Which features; empty for all, or for as many as `limit` says.
    pub features: Vec<u32>,
    /// So many features, drawn by the seed.
    pub limit: Option<usize>,
    /// Features of each baseline, at most as many as of the dictionary; `None` for as many.
    pub baseline_limit: Option<usize>,
    /// Passages that an explanation is made from, ≥ 2.
    pub n_construction: usize,
    /// Test passages of each kind at most, ≥ 2.
    pub most: usize,
    /// Temperature of language models, ≥ 0.
    pub temperature: f32,
    /// Share of the most probable tokens drawn from, in `(0, 1]`.
    pub top_p: f32,
    /// Seed of passages, features and models.
    pub seed: u64,
    /// Whether swapped explanations, a random and an untrained dictionary are measured too.
    pub has_baselines: bool,
}

impl ExplainRequest {
    /// Keywords explain and judge by detection, 10 passages to explain from, 25 of each kind to test
    /// on.
    pub fn new(sae: &str) -> Self {
        Self {
            sae: sae.to_owned(),
            name: String::new(),
            explain: ExplanationSource::Keywords,
            judge: Some(ExplanationSource::Keywords),
            methods: vec![ScoreMethod::Detection],
            encoder: None,
            features: Vec::new(),
            limit: None,
            baseline_limit: None,
            n_construction: 10,
            most: 25,
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
            has_baselines: true,
        }
    }

    /// Refuses what cannot be done.
    pub(super) fn check(&self, n_features: u32) -> Result<()> {
        for &feature in &self.features {
            check_feature(&self.sae, feature, n_features)?;
        }
        check_source_choices(self.judge.as_ref(), self.temperature, self.top_p)?;
        let refused = |what: &str| Err(EngineError::request(what.to_owned()));
        if self.limit == Some(0) || self.baseline_limit == Some(0) {
            return refused("expected at least one feature, got 0");
        }
        if self.most < 2 || self.n_construction < 2 {
            return Err(EngineError::request(format!(
                "expected at least two passages to explain from and two of each kind to test on, \
                 got {} and {}",
                self.n_construction, self.most
            )));
        }
        let by_keywords = self.judge == Some(ExplanationSource::Keywords);
        if let Some(method) = self
            .methods
            .iter()
            .find(|&&method| by_keywords && method.needs_language_model())
        {
            return Err(EngineError::request(format!(
                "{} needs a language model as judge; keywords judge by detection only",
                method.name()
            )));
        }
        let is_server =
            |source: &ExplanationSource| source.model().is_some_and(|at| at.contains("://"));
        if self.judge.as_ref().is_some_and(is_server)
            && self.methods.contains(&ScoreMethod::Simulation)
        {
            return refused(
                "simulation needs the probabilities of a language model run here; a server tells \
                 none",
            );
        }
        if let Some(folder) = &self.encoder
            && !folder.join("model.safetensors").is_file()
        {
            return Err(EngineError::request(format!(
                "{}: expected the folder of a sentence encoder such as all-MiniLM-L6-v2, with \
                 model.safetensors in it",
                folder.display()
            )));
        }
        if self.encoder.is_none() && self.methods.contains(&ScoreMethod::Embedding) {
            return refused(
                "embedding needs the folder of a sentence encoder such as all-MiniLM-L6-v2",
            );
        }
        if self.judge.is_some() && self.methods.is_empty() {
            return refused("expected at least one method to judge by");
        }
        Ok(())
    }

    /// Addresses of other computers that are asked, without their models, each once, in the order
    /// in which they are asked first.
    pub(crate) fn elsewhere(&self) -> Vec<String> {
        let sources = [Some(&self.explain), self.judge.as_ref()];
        let sources = sources.into_iter().flatten();
        let mut all: Vec<String> = sources.filter_map(ExplanationSource::elsewhere).collect();
        all.dedup();
        all
    }

    /// Whether a judge is asked for detection, and for fuzzing.
    pub(crate) fn asks(&self) -> [bool; 2] {
        [ScoreMethod::Detection, ScoreMethod::Fuzzing].map(|method| self.has(method))
    }

    /// Whether a random and an untrained dictionary are measured too.
    pub(crate) fn has_controls(&self) -> bool {
        self.has_baselines && self.judge.is_some() && self.explain != ExplanationSource::Stored
    }

    /// Paths and addresses of the language models that are asked.
    pub(super) fn models(&self) -> impl Iterator<Item = String> {
        models_of(&self.explain, self.judge.as_ref())
    }

    /// Name of the run: of dictionary, explainer and judge, and where anything else is chosen
    /// otherwise than by default, six digits that stand for it.
    pub(super) fn name(&self, voices: &Voices, record: &RunRecord) -> Result<String> {
        if !self.name.is_empty() {
            return Ok(self.name.clone());
        }
        let plain = Self {
            explain: self.explain.clone(),
            judge: self.judge.clone(),
            ..Self::new(&self.sae)
        };
        let chosen = (*self != plain).then(|| record.without_time());
        let sources = (&self.explain, self.judge.as_ref());
        default_name(&self.sae, sources, "", voices, chosen.as_ref())
    }

    pub(super) fn how_many(&self) -> HowMany {
        HowMany {
            construction: self.n_construction,
            tests: self.most,
        }
    }

    pub(super) fn writing(&self) -> Writing {
        writing_of(self.temperature, self.top_p, self.seed)
    }

    pub(super) fn has(&self, method: ScoreMethod) -> bool {
        self.judge.is_some() && self.methods.contains(&method)
    }
}

/// Number of the procedure; raised with every change of it, so that what an earlier version found is
/// not taken for what this one would find.
const PROCEDURE: u32 = 1;

/// Everything that decides the results, and when the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    procedure: u32,
    sae: String,
    sae_blake3: String,
    pub(super) settings: ScoreSettingsView,
    features: Vec<u32>,
    limit: Option<usize>,
    baseline_limit: Option<usize>,
    /// BLAKE3 of the prompts with gaps.
    prompts_blake3: String,
    /// BLAKE3 of the sentence encoder's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder_blake3: Option<String>,
    /// BLAKE3 of the proposals that are judged, where they were there.
    stored_blake3: Option<String>,
}

impl RunRecord {
    pub(super) fn of(
        request: &ExplainRequest,
        sae_blake3: &str,
        (voices, prompts): (&Voices, &Prompts),
        stored: Option<&BTreeMap<FeatureId, Explanation>>,
    ) -> Result<Self> {
        let (explained_by, explainer_blake3) = request.explain.described(voices);
        let judge = request.judge.as_ref();
        let (judged_by, judge_blake3) = judge.map(|judge| judge.described(voices)).unzip();
        let all = [
            &prompts.explain,
            &prompts.explain_film,
            &prompts.detect,
            &prompts.fuzz,
            &prompts.simulate,
        ];
        Ok(Self {
            procedure: PROCEDURE,
            sae: request.sae.clone(),
            sae_blake3: sae_blake3.to_owned(),
            settings: ScoreSettingsView {
                is_same_model: explainer_blake3.is_some()
                    && Some(&explainer_blake3) == judge_blake3.as_ref(),
                explained_by,
                explainer_blake3,
                judged_by,
                judge_blake3: judge_blake3.flatten(),
                methods: request
                    .methods
                    .iter()
                    .filter(|_| request.judge.is_some())
                    .map(|method| method.name().to_owned())
                    .collect(),
                n_construction: request.n_construction,
                most: request.most,
                temperature: request.temperature,
                top_p: request.top_p,
                seed: request.seed,
                has_baselines: request.has_baselines,
                is_deidentified: !request.elsewhere().is_empty(),
                at: store::utc_now(),
            },
            features: request.features.clone(),
            limit: request.limit,
            baseline_limit: request.baseline_limit,
            prompts_blake3: store::blake3_of_bytes(&to_json(&all)?),
            encoder_blake3: request
                .encoder
                .as_ref()
                .map(|folder| store::blake3_of_file(&folder.join("model.safetensors")))
                .transpose()
                .map_err(|error| EngineError::request(error.to_string()))?
                .map(|(hash, _)| hash),
            stored_blake3: stored
                .map(|stored| Ok::<_, EngineError>(store::blake3_of_bytes(&to_json(stored)?)))
                .transpose()?,
        })
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
