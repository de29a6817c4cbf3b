//! What says what a feature of a recommender looks for: keywords, or a language model.

use schema::FeatureId;

use crate::concept_prompts::{explanation_chat, read_explanation};
use crate::shown_case::{ItemTexts, ShownCase};
use crate::text_model::{TextModel, Writing};
use crate::{
    ACTIVATING_LEVEL, ExplainError, Explained, Explainer, KeywordOptions, Keywords, PromptTemplate,
    TermTable,
};

/// Tokens of an explanation at most, as in `RecSAE`.
const MAX_TOKENS: usize = 64;

/// Explains by terms of titles and categories that the items of the cases have more often than the
/// catalogue.
///
/// An item counts where it is recommended, and in the history where the feature's level is told and
/// at least 5.
#[derive(Debug)]
pub struct KeywordExplainer<'a> {
    keywords: Keywords<'a>,
    n_items: usize,
}

impl<'a> KeywordExplainer<'a> {
    /// Explains by the terms of a catalogue ([`TermTable::of_catalogue`]). A term must be in two of
    /// the items at least, for there are few.
    ///
    /// # Errors
    /// Those of [`Keywords::new`].
    pub fn new(table: &'a TermTable) -> Result<Self, ExplainError> {
        let items: Vec<u32> = (0..table.n_samples() as u32).collect();
        let options = KeywordOptions {
            activating_share: 1.0,
            min_activating: 2,
            min_samples: 2,
            ..KeywordOptions::default()
        };
        Ok(Self {
            keywords: Keywords::new(table, &items, options)?,
            n_items: items.len(),
        })
    }
}

impl Explainer<ShownCase> for KeywordExplainer<'_> {
    fn explain(
        &self,
        feature: FeatureId,
        cases: &[ShownCase],
    ) -> Result<Option<Explained>, ExplainError> {
        let mut levels = vec![0.0_f32; self.n_items];
        for case in cases {
            let last = &case.recommended;
            let strong = case
                .history
                .iter()
                .filter(|shown| shown.level.is_some_and(|level| level >= ACTIVATING_LEVEL));
            for shown in strong.chain([last]) {
                let level = f32::from(shown.level.unwrap_or(1));
                if let Some(slot) = levels.get_mut((shown.item as usize).wrapping_sub(1)) {
                    *slot = slot.max(level);
                }
            }
        }
        let evidence = self.keywords.of(&levels)?;
        let proposal = self.keywords.propose(feature, &evidence, "");
        Ok(proposal.map(|proposal| Explained {
            text: proposal.text,
            evidence: proposal.evidence,
            prompt: None,
            n_left_out: 0,
        }))
    }
}

/// Explains by what a language model writes.
pub struct ModelExplainer<'a> {
    /// The model.
    pub model: &'a dyn TextModel,
    /// What it is asked; has the gap `{cases}`.
    pub template: &'a PromptTemplate,
    /// How items read.
    pub texts: &'a ItemTexts,
    /// How it writes; the number of tokens is set here.
    pub writing: Writing,
}

impl Explainer<ShownCase> for ModelExplainer<'_> {
    fn explain(
        &self,
        feature: FeatureId,
        cases: &[ShownCase],
    ) -> Result<Option<Explained>, ExplainError> {
        let chat = explanation_chat(self.template, cases, self.texts);
        let how = Writing {
            max_tokens: MAX_TOKENS,
            seed: self.writing.seed ^ u64::from(feature.0),
            ..self.writing
        };
        let text = read_explanation(&self.model.write(&chat, how)?);
        Ok(text.map(|text| Explained {
            text,
            evidence: Vec::new(),
            prompt: Some(chat.to_string()),
            n_left_out: 0,
        }))
    }
}
