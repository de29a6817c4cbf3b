//! Sentences as vectors: all-MiniLM-L6-v2 and its kind, a BERT whose rows are averaged.
//!
//! Reads the folder that sentence-transformers publishes. Texts that mean alike point alike; a
//! negation hardly turns them.

mod bert;
mod word_pieces;

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;

use bert::{Bert, BertConfig};
use word_pieces::read_tokenizer;

use crate::ModelError;
use crate::weights::WeightFiles;

/// Rows that go through the encoder at once: of the widest part of `MiniLM`, 12 MB.
const ROWS: usize = 2048;

/// A text encoder whose vectors have length 1, so that their inner product is their cosine.
pub struct SentenceEncoder {
    name: String,
    tokenizer: Tokenizer,
    bert: Bert,
    max_tokens: usize,
    n_parameters: u64,
}

/// Loads the sentence encoder in `folder`: `config.json`, `model.safetensors`, `tokenizer.json` or
/// `vocab.txt`, and what `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json`
/// say where they are there.
///
/// # Errors
/// [`ModelError::Read`] or [`ModelError::Format`] with the file and the place that is wrong: another
/// kind of model, another way to make one vector of the rows, a missing or misshapen tensor.
pub fn load_sentence_encoder(folder: &Path) -> Result<SentenceEncoder, ModelError> {
    let config = BertConfig::read(&folder.join("config.json"))?;
    check_modules(&folder.join("modules.json"))?;
    check_pooling(&folder.join("1_Pooling").join("config.json"))?;
    let max_tokens = read_limit(&folder.join("sentence_bert_config.json"), &config)?;
    let tokenizer = read_tokenizer(folder, max_tokens, config.n_vocab)?;
    let files = WeightFiles::open(folder)?;
    let name = folder.file_name().map_or("BERT".to_owned(), |name| {
        name.to_string_lossy().into_owned()
    });
    Ok(SentenceEncoder {
        name,
        tokenizer,
        n_parameters: files.n_parameters(),
        bert: Bert::read(&files, config)?,
        max_tokens,
    })
}

impl SentenceEncoder {
    /// Name of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers of a vector; 384 for `MiniLM`.
    pub fn width(&self) -> usize {
        self.bert.config().d_model
    }

    /// Tokens of a text at most, those around it included; what follows is left out.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Number of weights in the files.
    pub fn n_parameters(&self) -> u64 {
        self.n_parameters
    }

    /// Token ids of `text` as the encoder reads it, `[CLS]` and `[SEP]` included, cut to
    /// [`SentenceEncoder::max_tokens`].
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.tokenizer.encode_fast(text, true);
        let encoding = encoding.map_err(|error| {
            ModelError::Request(format!("the text cannot be tokenised: {error}"))
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The vector of each text: the mean of the last block's rows over all its tokens, divided by
    /// its length. An empty text has a vector too.
    ///
    /// # Shapes
    /// - returns: `[texts.len(), width]`, row-major; each row of length 1
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails, [`ModelError::Tensor`] if a product does.
    ///
    /// # Determinism
    /// A text has the same vector whatever texts are beside it, but for the rounding of sums.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, ModelError> {
        let mut all = Vec::with_capacity(texts.len() * self.width());
        let mut lens = Vec::new();
        let mut packed = Vec::new();
        for text in texts {
            let ids = self.ids(text)?;
            if !packed.is_empty() && packed.len() + ids.len() > ROWS {
                self.encode_packed(&packed, &lens, &mut all)?;
                packed.clear();
                lens.clear();
            }
            lens.push(ids.len());
            packed.extend(ids);
        }
        if !packed.is_empty() {
            self.encode_packed(&packed, &lens, &mut all)?;
        }
        Ok(all)
    }

    /// Adds the vectors of texts of `lens` tokens, which lie one after another in `ids`.
    fn encode_packed(
        &self,
        ids: &[u32],
        lens: &[usize],
        all: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let width = self.width();
        let rows = self
            .bert
            .forward(ids, lens)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let mut rest = rows.as_slice();
        for &len in lens {
            let (of_text, after) = rest.split_at(len * width);
            rest = after;
            let mut sum = vec![0_f64; width];
            for row in of_text.chunks_exact(width) {
                for (sum, value) in sum.iter_mut().zip(row) {
                    *sum += f64::from(*value);
                }
            }
            // The mean and the sum point alike.
            let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
            all.extend(sum.iter().map(|value| (value / length.max(1e-12)) as f32));
        }
        Ok(())
    }
}

/// The JSON of a file; `None` where there is no such file.
fn json(path: &Path) -> Result<Option<Value>, ModelError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ModelError::Read {
            path: path.to_owned(),
            source,
        }),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| fault(path, "the file", format!("expected JSON: {error}"))),
    }
}

fn fault(path: &Path, place: &str, expected: impl Into<String>) -> ModelError {
    ModelError::Format {
        path: path.to_owned(),
        place: place.to_owned(),
        expected: expected.into(),
    }
}

/// Refuses folders that do more with the rows than to average and to normalise them.
fn check_modules(path: &Path) -> Result<(), ModelError> {
    let Some(modules) = json(path)? else {
        return Ok(());
    };
    for (i, module) in modules.as_array().into_iter().flatten().enumerate() {
        let kind = module["type"].as_str().unwrap_or("");
        let last = kind.rsplit('.').next().unwrap_or("");
        if !["Transformer", "Pooling", "Normalize"].contains(&last) {
            return Err(fault(
                path,
                &format!("entry {i}, key type"),
                format!("expected a Transformer, Pooling or Normalize, found \"{kind}\""),
            ));
        }
    }
    Ok(())
}

/// Refuses other ways to make one vector of the rows.
fn check_pooling(path: &Path) -> Result<(), ModelError> {
    let Some(pooling) = json(path)? else {
        return Ok(());
    };
    for (key, value) in pooling.as_object().into_iter().flatten() {
        let is_mean = key == "pooling_mode_mean_tokens";
        if key.starts_with("pooling_mode_") && value.as_bool() != Some(is_mean) {
            return Err(fault(
                path,
                &format!("key {key}"),
                format!("expected {is_mean}, the mean of all tokens, found {value}"),
            ));
        }
    }
    Ok(())
}

/// Tokens of a text at most.
fn read_limit(path: &Path, config: &BertConfig) -> Result<usize, ModelError> {
    let Some(value) = json(path)?.map(|mut settings| settings["max_seq_length"].take()) else {
        return Ok(config.n_context);
    };
    match value.as_u64().map(|limit| limit as usize) {
        None if value.is_null() => Ok(config.n_context),
        // Two of them are [CLS] and [SEP].
        Some(limit) if (3..=config.n_context).contains(&limit) => Ok(limit),
        _ => Err(fault(
            path,
            "key max_seq_length",
            format!("expected 3 to {} tokens, found {value}", config.n_context),
        )),
    }
}
