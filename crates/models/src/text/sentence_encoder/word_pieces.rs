//! The word pieces of a BERT: `tokenizer.json`, or made from `vocab.txt`.

use std::path::Path;

use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Tokenizer, TruncationParams};

use super::{fault, json};
use crate::ModelError;

/// Reads the tokenizer of `folder`, which is to cut a text to `max_tokens` and to fill up none.
pub(super) fn read_tokenizer(
    folder: &Path,
    max_tokens: usize,
    n_vocab: usize,
) -> Result<Tokenizer, ModelError> {
    let whole = folder.join("tokenizer.json");
    let vocab = folder.join("vocab.txt");
    let (path, mut tokenizer) = if whole.exists() {
        let bytes = read(&whole)?;
        let tokenizer = Tokenizer::from_bytes(&bytes)
            .map_err(|error| fault(&whole, "the file", format!("expected a tokenizer: {error}")))?;
        (whole, tokenizer)
    } else if vocab.exists() {
        let tokenizer = from_vocab(folder, &vocab)?;
        (vocab, tokenizer)
    } else {
        return Err(fault(
            folder,
            "the folder",
            "expected tokenizer.json or vocab.txt, found neither",
        ));
    };
    let n_tokens = tokenizer
        .get_vocab(true)
        .values()
        .max()
        .map_or(0, |&last| last as usize + 1);
    if n_tokens == 0 || n_tokens > n_vocab {
        let expected =
            format!("expected 1 to {n_vocab} tokens, vocab_size of config.json, found {n_tokens}");
        return Err(fault(&path, "the vocabulary", expected));
    }
    let truncation = TruncationParams {
        max_length: max_tokens,
        ..TruncationParams::default()
    };
    // Published tokenizers cut and fill up to a length of their own.
    tokenizer
        .with_truncation(Some(truncation))
        .map_err(|error| fault(&path, "the file", format!("cannot cut texts: {error}")))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The tokenizer that BERT's own code makes of a list of pieces, one a line.
fn from_vocab(folder: &Path, path: &Path) -> Result<Tokenizer, ModelError> {
    let text = String::from_utf8(read(path)?).map_err(|error| {
        let place = format!("byte {}", error.utf8_error().valid_up_to());
        fault(path, &place, "expected text in UTF-8")
    })?;
    let pieces: Vocab = text
        .lines()
        .enumerate()
        .map(|(id, line)| (line.trim_end().to_owned(), id as u32))
        .collect();
    let special = |token: &str| {
        pieces
            .get(token)
            .map(|&id| (token.to_owned(), id))
            .ok_or_else(|| {
                fault(
                    path,
                    "the list",
                    format!("expected a line {token}, found none"),
                )
            })
    };
    let (cls, sep, unknown) = (special("[CLS]")?, special("[SEP]")?, special("[UNK]")?);
    let settings = json(&folder.join("tokenizer_config.json"))?;
    let lowercase = settings
        .as_ref()
        .and_then(|all| all["do_lower_case"].as_bool());
    let model = WordPiece::builder()
        .vocab(pieces)
        .unk_token(unknown.0)
        .build()
        .map_err(|error| fault(path, "the list", format!("expected word pieces: {error}")))?;
    let mut tokenizer = Tokenizer::new(model);
    let normalizer = BertNormalizer::new(true, true, None, lowercase.unwrap_or(true));
    tokenizer
        .with_normalizer(Some(normalizer))
        .map_err(|error| fault(path, "the list", format!("expected word pieces: {error}")))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    Ok(tokenizer)
}
