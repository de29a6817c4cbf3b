//! The tokenizer of a Hugging Face checkpoint: `tokenizer.json`, and what ends a text.

use std::path::Path;

use tokenizers::Tokenizer;

use super::generation::Vocabulary;
use crate::ModelError;

/// One token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Bytes of the text it stands for; empty for tokens that were added around it.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A tokenizer with the ids that end a text.
pub struct HfTokenizer {
    tokenizer: Tokenizer,
    ends: Vec<u32>,
}

/// An id, or a list of ids, under `eos_token_id` of a JSON file.
fn ends_of(path: &Path) -> Option<Vec<u32>> {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let place = [&value, &value["text_config"]]
        .into_iter()
        .map(|object| &object["eos_token_id"])
        .find(|ids| !ids.is_null())?;
    let one = |id: &serde_json::Value| id.as_u64().map(|id| id as u32);
    match place.as_array() {
        Some(ids) => Some(ids.iter().filter_map(one).collect()),
        None => Some(vec![one(place)?]),
    }
}

impl HfTokenizer {
    /// Reads `tokenizer.json` of a folder, and the ends from `generation_config.json` or
    /// `config.json`.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Format`].
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
        let tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| ModelError::Format {
            path: path.clone(),
            place: "(whole)".to_owned(),
            expected: format!("a tokenizer: {error}"),
        })?;
        let ends = ["generation_config.json", "config.json"]
            .iter()
            .find_map(|name| ends_of(&folder.join(name)))
            .unwrap_or_default();
        Ok(Self { tokenizer, ends })
    }

    /// Ids of a text, the beginning-of-sequence token included where the tokenizer adds one.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| {
            ModelError::Request(format!("the text cannot be tokenised: {error}"))
        })?;
        let added = encoding.get_special_tokens_mask();
        Ok(encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .zip(added)
            .map(|((&id, &(start, end)), &added)| Token {
                id,
                start,
                end: if added == 1 && start == 0 && end == 0 {
                    0
                } else {
                    end
                },
            })
            .collect())
    }

    /// Ids of a text.
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self
            .encode(text)?
            .into_iter()
            .map(|token| token.id)
            .collect())
    }

    /// Text of ids, special tokens included or left out.
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails.
    pub fn text(&self, ids: &[u32], keep_special: bool) -> Result<String, ModelError> {
        self.tokenizer
            .decode(ids, !keep_special)
            .map_err(|error| ModelError::Request(format!("the ids are no text: {error}")))
    }

    /// The id of a token by its exact text.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// A token as a reader should see it: with the space before it where it has one.
    pub fn token_text(&self, id: u32) -> String {
        let Some(piece) = self.tokenizer.id_to_token(id) else {
            return String::new();
        };
        if let Some(rest) = piece.strip_prefix('\u{2581}') {
            return format!(" {}", rest.replace('\u{2581}', " "));
        }
        if piece.starts_with('<') && piece.ends_with('>') {
            return piece;
        }
        self.text(&[id], true).unwrap_or(piece)
    }
}

impl Vocabulary for HfTokenizer {
    fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    fn decode(&self, ids: &[u32]) -> String {
        // Grounding tokens must stay in the text even where a tokenizer calls them special.
        self.text(ids, true).unwrap_or_default()
    }
}
