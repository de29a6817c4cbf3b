//! The byte-level BPE tokenizer a GGUF file carries. Knows no model.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{PreTokenizerWrapper, Tokenizer};

use super::gguf::{Gguf, GgufValue};
use crate::ModelError;

/// llama.cpp's split for `llama-bpe` (Llama 3).
const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// llama.cpp's split for `qwen2`.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// ggml's token types that are not ordinary text: control and user-defined tokens.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
/// Control tokens that end a turn or a text, whichever of them the file names as its end.
///
/// # Source
/// `llama.cpp`, `llama_vocab::impl::load`, `special_eog_ids`.
const ENDS: [&str; 4] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
];

/// Turns text into token ids and back, as llama.cpp does for the same file.
pub struct GgufTokenizer {
    bpe: Tokenizer,
    /// The bytes each id stands for.
    pieces: Vec<Vec<u8>>,
    /// Tokens that are found in the text as a whole: text, id, and whether it is a control token.
    wholes: Vec<(String, u32, bool)>,
    bos: Option<u32>,
    eos: Option<u32>,
    /// `eos`, and those of [`ENDS`] that the file has.
    ends: Vec<u32>,
    add_bos: bool,
}

impl GgufTokenizer {
    /// Builds the tokenizer from the metadata of `gguf`.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the file's tokenizer is of a kind this build does not know, or
    /// its tables are damaged.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        const MODEL: &str = "tokenizer.ggml.model";
        const TYPES: &str = "tokenizer.ggml.token_type";
        if gguf.text(MODEL)? != "gpt2" {
            return Err(gguf.bad_key(MODEL, "\"gpt2\" (byte-level BPE)"));
        }
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let types = match gguf.get(TYPES) {
            None => vec![1; tokens.len()],
            Some(GgufValue::Integers(types)) if types.len() == tokens.len() => types.clone(),
            Some(_) => {
                let expected = format!("{} integers, one per token", tokens.len());
                return Err(gguf.bad_key(TYPES, &expected));
            }
        };
        let bpe = build_bpe(gguf, tokens)?;
        let mut wholes = Vec::new();
        let mut pieces = Vec::with_capacity(tokens.len());
        for (id, (token, &kind)) in tokens.iter().zip(&types).enumerate() {
            if (kind == CONTROL || kind == USER_DEFINED) && !token.is_empty() {
                wholes.push((token.clone(), id as u32, kind == CONTROL));
                pieces.push(token.clone().into_bytes());
            } else {
                pieces.push(bytes_of_token(token));
            }
        }
        // The longest first, so that a token that begins like another is found.
        wholes.sort_by_key(|(text, id, _)| (std::cmp::Reverse(text.len()), *id));
        let special = |key: &str| -> Result<Option<u32>, ModelError> {
            match gguf.get(key) {
                None => Ok(None),
                Some(_) => match gguf.count(key)? {
                    id if (id as usize) < tokens.len() => Ok(Some(id)),
                    _ => Err(gguf.bad_key(key, &format!("a token id below {}", tokens.len()))),
                },
            }
        };
        let bos = special("tokenizer.ggml.bos_token_id")?;
        let eos = special("tokenizer.ggml.eos_token_id")?;
        let known = wholes
            .iter()
            .filter(|(text, _, is_control)| *is_control && ENDS.contains(&text.as_str()));
        let ends = eos.into_iter().chain(known.map(|(_, id, _)| *id)).collect();
        Ok(Self {
            bpe,
            pieces,
            wholes,
            bos,
            eos,
            ends,
            add_bos: bos.is_some() && gguf.flag("tokenizer.ggml.add_bos_token", false)?,
        })
    }

    /// Number of token ids.
    pub fn n_vocab(&self) -> usize {
        self.pieces.len()
    }

    /// The token that ends a text, if the file names one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether `id` ends a turn or a text: the file's own end, or a control token made for that.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The token to put before every text, if the file asks for one.
    pub fn leading_bos(&self) -> Option<u32> {
        self.bos.filter(|_| self.add_bos)
    }

    /// The id of the token that is written exactly `text`, among control and user-defined tokens.
    pub fn special_id(&self, text: &str) -> Option<u32> {
        let (_, id, _) = self.wholes.iter().find(|(whole, _, _)| whole == text)?;
        Some(*id)
    }

    /// Token ids of `text`, without a beginning-of-sequence token. With `parse_special`, control
    /// tokens such as `<|im_start|>` written in the text become their ids; without, they are
    /// plain text.
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails on the text.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>, ModelError> {
        let mut ids = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let next = self
                .wholes
                .iter()
                .filter(|(_, _, is_control)| parse_special || !is_control)
                .filter_map(|(whole, id, _)| Some((rest.find(whole.as_str())?, whole, *id)))
                .min_by_key(|(at, _, _)| *at);
            let Some((at, whole, id)) = next else {
                self.encode_plain(rest, &mut ids)?;
                break;
            };
            self.encode_plain(&rest[..at], &mut ids)?;
            ids.push(id);
            rest = &rest[at + whole.len()..];
        }
        Ok(ids)
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), ModelError> {
        if text.is_empty() {
            return Ok(());
        }
        let encoding = self
            .bpe
            .encode_fast(text, false)
            .map_err(|source| ModelError::Request(format!("cannot tokenise the text: {source}")))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    /// The bytes `id` stands for; empty for an unknown id.
    pub fn piece(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// The text of `ids`; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.piece(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text of each of `ids` within their sequence. A character whose bytes are divided among
    /// several tokens stands whole at the token with its first byte, and the others are empty, so
    /// the texts joined are the text of the sequence.
    pub fn texts(&self, ids: &[u32]) -> Vec<String> {
        let mut stream = PieceStream::default();
        let mut texts = vec![String::new(); ids.len()];
        let mut owner = 0;
        for (i, &id) in ids.iter().enumerate() {
            if stream.pending.is_empty() {
                owner = i;
            }
            let was_pending = !stream.pending.is_empty();
            let text = stream.push(self.piece(id));
            if was_pending {
                // The divided character goes to its first token, the rest to this one.
                let mut chars = text.chars();
                texts[owner].extend(chars.next());
                texts[i].push_str(chars.as_str());
                if !text.is_empty() {
                    owner = i;
                }
            } else {
                texts[i].push_str(&text);
            }
        }
        if let Some(last) = texts.get_mut(owner) {
            last.push_str(&stream.finish());
        }
        texts
    }
}

/// Turns bytes that come in pieces into text, holding back a character until it is whole.
#[derive(Debug, Default)]
pub struct PieceStream {
    pending: Vec<u8>,
}

impl PieceStream {
    /// The text that is complete after `piece`.
    pub fn push(&mut self, piece: &[u8]) -> String {
        self.pending.extend_from_slice(piece);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let (valid, rest) = self.pending.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(broken) = error.error_len() else {
                        self.pending = rest.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.pending = rest[broken..].to_vec();
                }
            }
        }
    }

    /// What is left when no piece follows.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Builds the BPE model with the splits that the file's `tokenizer.ggml.pre` names.
fn build_bpe(gguf: &Gguf, tokens: &[String]) -> Result<Tokenizer, ModelError> {
    const PRE: &str = "tokenizer.ggml.pre";
    const MERGES: &str = "tokenizer.ggml.merges";
    let splits: Vec<PreTokenizerWrapper> = match gguf.text(PRE)? {
        "smollm" => vec![
            Digits::new(true).into(),
            ByteLevel::new(false, true, true).into(),
        ],
        "gpt-2" => vec![ByteLevel::new(false, true, true).into()],
        "llama-bpe" | "llama3" => regex_split(LLAMA3_SPLIT)?,
        "qwen2" => regex_split(QWEN2_SPLIT)?,
        _ => {
            return Err(gguf.bad_key(
                PRE,
                "one of \"smollm\", \"gpt-2\", \"llama-bpe\", \"qwen2\"",
            ));
        }
    };
    let vocab: Vocab = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id as u32))
        .collect();
    let mut merges = Vec::new();
    for merge in gguf.texts(MERGES)? {
        // A merged piece may not hold a space, but its first character may stand for one.
        match merge.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() => {
                merges.push((left.to_owned(), right.to_owned()));
            }
            _ => {
                return Err(ModelError::Format {
                    path: gguf.path().to_owned(),
                    place: format!("key {MERGES}, entry {}", merges.len()),
                    expected: format!(
                        "expected two pieces with a space between, found \"{merge}\""
                    ),
                });
            }
        }
    }
    let ignore_merges = matches!(gguf.text(PRE)?, "llama-bpe" | "llama3");
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(|source| ModelError::Format {
            path: gguf.path().to_owned(),
            place: format!("key {MERGES}"),
            expected: format!("expected merges of known tokens: {source}"),
        })?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(splits)));
    Ok(tokenizer)
}

/// A split by `pattern`, then bytes.
fn regex_split(pattern: &str) -> Result<Vec<PreTokenizerWrapper>, ModelError> {
    let split = Split::new(
        SplitPattern::Regex(pattern.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(|source| ModelError::Request(format!("the split of the tokenizer: {source}")))?;
    Ok(vec![
        split.into(),
        ByteLevel::new(false, true, false).into(),
    ])
}

/// The bytes of a token in the byte-level alphabet: GPT-2 writes each byte as one printable
/// character, those that are not printable from U+0100 on.
fn bytes_of_token(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for character in token.chars() {
        match byte_of_char(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The byte a character of the byte-level alphabet stands for.
fn byte_of_char(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => u8::try_from(code).ok(),
        // 0x00 to 0x20, 0x7F to 0xA0 and 0xAD in this order.
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        let mut seen: Vec<u8> = (0..0x200)
            .filter_map(char::from_u32)
            .filter_map(byte_of_char)
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of_char('Ġ'), Some(b' '));
        assert_eq!(byte_of_char('Ċ'), Some(b'\n'));
    }

    #[test]
    fn characters_in_pieces_are_held_back_until_whole() {
        let mut stream = PieceStream::default();
        assert_eq!(stream.push(b"a\xC2"), "a");
        assert_eq!(stream.push(b"\xB5g"), "µg");
        assert_eq!(stream.push(b"\xFFx\xE2"), "\u{FFFD}x");
        assert_eq!(stream.finish(), "\u{FFFD}");
        assert_eq!(stream.finish(), "");
    }
}
