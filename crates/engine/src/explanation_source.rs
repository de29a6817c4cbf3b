//! What explains and what judges, and what runs of concepts and of explanations ask alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use explain::Writing;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::language_model::{AnswerBook, Remembering, Voices, elsewhere, model_source};
use crate::model_registry::to_json;

/// What explains or judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplanationSource {
    /// Terms: of titles and categories, of reports and findings.
    Keywords,
    /// A language model: the path of a GGUF file, or the address of a server.
    Model(PathBuf),
    /// Proposals that are there already; explains only.
    Stored,
}

impl ExplanationSource {
    /// `keywords`, the path of a GGUF file, or an address such as `http://127.0.0.1:8080/v1`.
    ///
    /// # Errors
    /// For what is no address, and a path without file.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "keywords" {
            return Ok(Self::Keywords);
        }
        Ok(Self::Model(PathBuf::from(model_source(text)?)))
    }

    /// Where the model is, if it is on another computer: its address without the model's name.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        elsewhere(&self.model()?)
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

    /// The loaded model, answering from the book what it was asked before; `None` for what is no
    /// model.
    pub(crate) fn remembering<'a>(
        &self,
        voices: &'a Voices,
        book: &'a AnswerBook,
        job: &'a JobContext,
    ) -> Option<Remembering<'a>> {
        let voice = voices.get(&self.model()?)?;
        Some(Remembering {
            model: voice.model.as_ref(),
            hash: &voice.hash,
            book,
            job,
        })
    }
}

/// Paths and addresses of the language models that are asked.
pub(crate) fn models_of(
    explain: &ExplanationSource,
    judge: Option<&ExplanationSource>,
) -> impl Iterator<Item = String> + use<> {
    let judge = judge.and_then(ExplanationSource::model);
    explain.model().into_iter().chain(judge)
}

/// Refuses a judge that is none, and ways of writing that there are not.
///
/// # Errors
/// The first of these that was asked for.
pub(crate) fn check_source_choices(
    judge: Option<&ExplanationSource>,
    temperature: f32,
    top_p: f32,
) -> Result<()> {
    let refused = |what: &str| Err(EngineError::request(what));
    if judge == Some(&ExplanationSource::Stored) {
        return refused("stored proposals explain, they do not judge");
    }
    if !(temperature >= 0.0 && temperature.is_finite()) {
        return refused("expected a temperature of 0 or above");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return refused("expected a top-p above 0 and up to 1");
    }
    Ok(())
}

/// How language models write; explainers and judges set the number of tokens.
pub(crate) fn writing_of(temperature: f32, top_p: f32, seed: u64) -> Writing {
    Writing {
        max_tokens: 1,
        temperature,
        top_p,
        seed,
    }
}

/// Characters of a source's name in that of a run.
const NAMED: usize = 40;

/// Name of a run that was given none: of dictionary, explainer, conventions and judge, and where
/// anything else is chosen otherwise than by default, six digits that stand for it.
///
/// - `chosen`: what was asked for, without its time; `None` where all else is as by default
///
/// # Errors
/// When what was asked for cannot be written down.
pub(crate) fn default_name<R: Serialize>(
    sae: &str,
    (explain, judge): (&ExplanationSource, Option<&ExplanationSource>),
    conventions: &str,
    voices: &Voices,
    chosen: Option<&R>,
) -> Result<String> {
    let named = |source: &ExplanationSource| in_a_name(&source.described(voices).0);
    let judged = match judge {
        None => "-proposed".to_owned(),
        Some(judge) if judge == explain => String::new(),
        Some(judge) => format!("-judged-by-{}", named(judge)),
    };
    let chosen = match chosen {
        None => String::new(),
        Some(record) => {
            let hash = store::blake3_of_bytes(&to_json(record)?);
            format!("-{}", &hash[..6])
        }
    };
    Ok(format!(
        "{sae}-{}{conventions}{judged}{chosen}",
        named(explain)
    ))
}

/// A text as part of a run's name: small letters and digits, all else a hyphen, the beginning of a
/// long one.
fn in_a_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let small = text.to_lowercase();
    small.chars().map(allowed).take(NAMED).collect()
}

/// Some of the features, drawn by the seed, or all.
pub(crate) fn drawn<C: Clone>(
    chosen: &BTreeMap<u32, C>,
    limit: Option<usize>,
    seed: u64,
) -> BTreeMap<u32, C> {
    let Some(limit) = limit.filter(|&limit| limit < chosen.len()) else {
        return chosen.clone();
    };
    let features: Vec<u32> = chosen.keys().copied().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kept: BTreeSet<u32> = features.choose_multiple(&mut rng, limit).copied().collect();
    let mut drawn = chosen.clone();
    drawn.retain(|feature, _| kept.contains(feature));
    drawn
}
