//! A tokenizer of whole words with a vocabulary collected from the training reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Padding; never fed to a model.
pub const PAD: u32 = 0;
/// Beginning of the sequence.
pub const BOS: u32 = 1;
/// End of the report.
pub const EOS: u32 = 2;
/// A word outside the vocabulary.
pub const UNKNOWN: u32 = 3;
/// Stands for one image patch.
pub const IMAGE: u32 = 4;
/// Opens the report; the same in every prompt.
pub const REPORT: u32 = 5;

const SPECIAL: [&str; 6] = ["<pad>", "<bos>", "<eos>", "<unk>", "<image>", "<report>"];
/// Marks that are tokens of their own at the end of a word.
const CLOSING: [char; 7] = ['.', ',', ';', ':', ')', '?', '!'];

/// Splits text into words and closing marks; a word at the start of a sentence is written small.
///
/// Ids below 6 are special: padding, start, end, unknown, image patch, start of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct WordTokenizer {
    tokens: Vec<String>,
    ids: BTreeMap<String, u32>,
}

impl TryFrom<Vec<String>> for WordTokenizer {
    type Error = String;

    fn try_from(tokens: Vec<String>) -> Result<Self, Self::Error> {
        if tokens.len() < SPECIAL.len() || tokens.iter().zip(SPECIAL).any(|(a, b)| a != b) {
            return Err(format!("a vocabulary begins with {}", SPECIAL.join(", ")));
        }
        let ids: BTreeMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
        if ids.len() != tokens.len() {
            return Err("a word stands twice in the vocabulary".to_owned());
        }
        Ok(Self { tokens, ids })
    }
}

impl From<WordTokenizer> for Vec<String> {
    fn from(tokenizer: WordTokenizer) -> Self {
        tokenizer.tokens
    }
}

impl WordTokenizer {
    /// Collects the words of `texts`; the most frequent ones when there are more than
    /// `max_tokens`, ties in alphabetical order. Ids are in alphabetical order.
    pub fn collect<'a>(texts: impl IntoIterator<Item = &'a str>, max_tokens: usize) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            for piece in pieces(text) {
                *counts.entry(piece).or_default() += 1;
            }
        }
        let mut by_count: Vec<(String, usize)> = counts.into_iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        by_count.truncate(max_tokens.saturating_sub(SPECIAL.len()));
        let words: BTreeSet<String> = by_count
            .into_iter()
            .map(|(word, _)| word)
            .filter(|word| !SPECIAL.contains(&word.as_str()))
            .collect();
        let tokens: Vec<String> = SPECIAL
            .iter()
            .map(|&token| token.to_owned())
            .chain(words)
            .collect();
        let ids = tokens.iter().cloned().zip(0..).collect();
        Self { tokens, ids }
    }

    /// Number of tokens, special ones included.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Text of a token, e.g. `effusion` or `<eos>`; empty for an id beyond the vocabulary.
    pub fn token(&self, id: u32) -> &str {
        self.tokens.get(id as usize).map_or("", String::as_str)
    }

    /// Ids of the words and marks of `text`.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        pieces(text)
            .iter()
            .map(|piece| self.ids.get(piece).copied().unwrap_or(UNKNOWN))
            .collect()
    }

    /// The text as it is to be appended after `before`: a blank where one belongs, and a capital
    /// at the start of a sentence. Special tokens other than unknown give nothing.
    pub fn piece_after(&self, before: &str, id: u32) -> String {
        let token = self.token(id);
        if token.is_empty() || (id != UNKNOWN && (id as usize) < SPECIAL.len()) {
            return String::new();
        }
        let is_mark = token.chars().count() == 1 && token.starts_with(CLOSING);
        let blank = if before.is_empty() || is_mark || before.ends_with('(') {
            ""
        } else {
            " "
        };
        let word = if starts_sentence(before) {
            let mut letters = token.chars();
            letters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .chain(letters)
                .collect()
        } else {
            token.to_owned()
        };
        format!("{blank}{word}")
    }

    /// The text of `ids`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for &id in ids {
            let piece = self.piece_after(&text, id);
            text.push_str(&piece);
        }
        text
    }
}

fn starts_sentence(before: &str) -> bool {
    before.is_empty() || before.ends_with(['.', '?', '!'])
}

/// Words and marks of `text`, sentence starts written small.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut starts = true;
    for chunk in text.split_whitespace() {
        let mut word = chunk;
        if let Some(rest) = word.strip_prefix('(').filter(|rest| !rest.is_empty()) {
            pieces.push("(".to_owned());
            word = rest;
        }
        let trimmed = word.trim_end_matches(CLOSING);
        let (body, marks) = word.split_at(trimmed.len());
        if !body.is_empty() {
            pieces.push(if starts {
                small_start(body)
            } else {
                body.to_owned()
            });
            starts = false;
        }
        for mark in marks.chars() {
            pieces.push(mark.to_string());
            starts = matches!(mark, '.' | '?' | '!');
        }
    }
    pieces
}

/// `word` with a small first letter, unless it is an abbreviation in capitals.
fn small_start(word: &str) -> String {
    let mut letters = word.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    if letters.clone().any(char::is_uppercase) {
        return word.to_owned();
    }
    first.to_lowercase().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "No effusion (small). ETT in place, 3.5 cm above. A right-sided line.";

    #[test]
    fn known_text_round_trips() {
        let tokenizer = WordTokenizer::collect([TEXT], 100);
        let ids = tokenizer.encode(TEXT);
        assert_eq!(tokenizer.decode(&ids), TEXT);
        assert!(ids.iter().all(|&id| id > REPORT));
        assert!(tokenizer.encode("3.5").len() == 1);
        let json = serde_json::to_string(&tokenizer).unwrap();
        assert_eq!(
            serde_json::from_str::<WordTokenizer>(&json).unwrap(),
            tokenizer
        );
    }

    #[test]
    fn rare_words_are_left_out_and_read_as_unknown() {
        let tokenizer = WordTokenizer::collect(["a a b b c"], SPECIAL.len() + 2);
        assert_eq!(tokenizer.n_tokens(), SPECIAL.len() + 2);
        assert_eq!(tokenizer.encode("a c"), [6, UNKNOWN]);
        assert_eq!(tokenizer.decode(&[BOS, 6, UNKNOWN, EOS]), "A <unk>");
    }

    #[test]
    fn a_wrong_vocabulary_is_refused() {
        assert!(serde_json::from_str::<WordTokenizer>(r#"["a","b"]"#).is_err());
        let twice = r#"["<pad>","<bos>","<eos>","<unk>","<image>","<report>","a","a"]"#;
        assert!(serde_json::from_str::<WordTokenizer>(twice).is_err());
    }
}
