//! Answers of language models, kept in a file line by line, so that a run that goes on asks nothing
//! twice.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use explain::{Chat, ExplainError, TextModel, Writing};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::jobs::{JobContext, lock};

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// BLAKE3 of model, prompt and settings.
    key: String,
    /// BLAKE3 of the model's file.
    model: String,
    /// The whole prompt.
    prompt: String,
    temperature: f32,
    top_p: f32,
    seed: u64,
    max_tokens: usize,
    text: String,
    /// Natural logarithms of probabilities, or levels of words, where these were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<Vec<f64>>,
    /// When, RFC 3339 in UTC.
    at: String,
}

/// What was answered: a text, or numbers; neither from a model that tells no numbers.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    text: String,
    numbers: Option<Vec<f64>>,
}

/// The answers of a run, in memory and on disk.
pub(crate) struct AnswerBook {
    known: Mutex<BTreeMap<String, Known>>,
    /// Opened with the first answer.
    file: Mutex<Option<File>>,
    /// `None` for a book that is forgotten.
    path: Option<PathBuf>,
}

impl AnswerBook {
    /// Opens the file, which need not exist; a last line that was not written whole is taken off, and
    /// a line before it that cannot be read stays in the file and answers nothing.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed =
            |error: std::io::Error| EngineError::other(format!("{}: {error}", path.display()));
        let mut known = BTreeMap::new();
        // Bytes: a kill may cut a letter in two.
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let end = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = &bytes[..end.map_or(0, |end| end + 1)];
        for line in whole.split(|&byte| byte == b'\n') {
            let Ok(answer) = serde_json::from_slice::<Answer>(line) else {
                continue;
            };
            let known_one = Known {
                text: answer.text,
                numbers: answer.numbers,
            };
            known.insert(answer.key, known_one);
        }
        if whole.len() < bytes.len() {
            store::write_atomically(path, whole, store::Durability::Process)?;
        }
        Ok(Self {
            known: Mutex::new(known),
            file: Mutex::new(None),
            path: Some(path.to_owned()),
        })
    }

    /// A book without a file.
    pub(crate) fn forgetful() -> Self {
        Self {
            known: Mutex::default(),
            file: Mutex::default(),
            path: None,
        }
    }

    /// Writes an answer into the file, in one call, so that a kill leaves a whole line or none.
    fn write(&self, answer: &Answer, path: &Path) -> std::io::Result<()> {
        let mut line = serde_json::to_string(answer)?;
        line.push('\n');
        let mut opened = lock(&self.file);
        let file = match opened.as_mut() {
            Some(file) => file,
            None => opened.insert(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let written = file.write_all(line.as_bytes());
        drop(opened);
        written
    }

    fn keep(&self, answer: &Answer) -> std::result::Result<(), ExplainError> {
        if let Some(path) = &self.path {
            self.write(answer, path)
                .map_err(|error| ExplainError::TextModel {
                    reason: format!("{}: {error}", path.display()),
                })?;
        }
        let known = Known {
            text: answer.text.clone(),
            numbers: answer.numbers.clone(),
        };
        lock(&self.known).insert(answer.key.clone(), known);
        Ok(())
    }
}

/// A language model that remembers what it said.
pub(crate) struct Remembering<'a> {
    pub(crate) model: &'a dyn TextModel,
    /// BLAKE3 of the model's file.
    pub(crate) hash: &'a str,
    pub(crate) book: &'a AnswerBook,
    pub(crate) job: &'a JobContext,
}

/// A question as it is looked up and kept.
struct Asked<'a> {
    kind: &'static str,
    prompt: &'a str,
    how: Writing,
}

impl Remembering<'_> {
    /// The answer that is known, or the one that `ask` gets, which is kept.
    fn answer(
        &self,
        asked: &Asked<'_>,
        ask: &mut dyn FnMut() -> std::result::Result<Known, ExplainError>,
    ) -> std::result::Result<Known, ExplainError> {
        let how = asked.how;
        // Without drawing, the seed changes nothing.
        let seed = if how.temperature > 0.0 { how.seed } else { 0 };
        let text = format!(
            "{}\n{}{}\n{}\n{}\n{seed}\n{}",
            self.hash, asked.kind, how.max_tokens, how.temperature, how.top_p, asked.prompt
        );
        let key = store::blake3_of_bytes(text.as_bytes());
        let known = lock(&self.book.known).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        if self.job.is_cancelled() {
            return Err(ExplainError::Stopped);
        }
        let known = ask()?;
        self.book.keep(&Answer {
            key,
            model: self.hash.to_owned(),
            prompt: asked.prompt.to_owned(),
            temperature: how.temperature,
            top_p: how.top_p,
            seed,
            max_tokens: how.max_tokens,
            text: known.text.clone(),
            numbers: known.numbers.clone(),
            at: store::utc_now(),
        })?;
        Ok(known)
    }

    fn numbers(
        &self,
        (kind, prompt): (&'static str, &str),
        ask: &mut dyn FnMut() -> std::result::Result<Option<Vec<f64>>, ExplainError>,
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        let asked = Asked {
            kind,
            prompt,
            how: Writing {
                max_tokens: 0,
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
            },
        };
        let known = self.answer(&asked, &mut || {
            Ok(Known {
                text: String::new(),
                numbers: ask()?,
            })
        })?;
        Ok(known.numbers)
    }
}

impl TextModel for Remembering<'_> {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        let prompt = chat.to_string();
        let asked = Asked {
            kind: "",
            prompt: &prompt,
            how,
        };
        let known = self.answer(&asked, &mut || {
            Ok(Known {
                text: self.model.write(chat, how)?,
                numbers: None,
            })
        })?;
        Ok(known.text)
    }

    fn choose(
        &self,
        chat: &Chat,
        answers: &[&str],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        let prompt = format!("{chat}\n[answers]\n{}", answers.join("\n"));
        self.numbers(("choose ", &prompt), &mut || {
            self.model.choose(chat, answers)
        })
    }

    fn expect_levels(
        &self,
        chat: &Chat,
        words: &[String],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        let prompt = format!("{chat}\n[words]\n{}", words.join("\n"));
        self.numbers(("levels ", &prompt), &mut || {
            self.model.expect_levels(chat, words)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Counting(Cell<u32>);

    impl TextModel for Counting {
        fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
            self.0.set(self.0.get() + 1);
            Ok(format!("{} {}", chat.user, how.seed))
        }
    }

    #[test]
    fn what_was_answered_is_not_asked_again_and_a_torn_line_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let model = Counting(Cell::new(0));
        let job = JobContext::silent();
        let ask = |user: &str, temperature: f32, seed: u64| {
            let book = AnswerBook::open(&path).unwrap();
            let remembering = Remembering {
                model: &model,
                hash: "abc",
                book: &book,
                job: &job,
            };
            let chat = Chat {
                user: user.to_owned(),
                ..Chat::default()
            };
            let how = Writing {
                max_tokens: 4,
                temperature,
                top_p: 1.0,
                seed,
            };
            (remembering.write(&chat, how).unwrap(), model.0.get())
        };
        assert_eq!(ask("a", 0.0, 1), ("a 1".to_owned(), 1));
        assert_eq!(ask("a", 0.0, 2), ("a 1".to_owned(), 1));
        assert_eq!(ask("b", 0.5, 1), ("b 1".to_owned(), 2));
        assert_eq!(ask("b", 0.5, 2), ("b 2".to_owned(), 3));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(ask("b", 0.5, 1).1, 3);
        assert_eq!(ask("b", 0.5, 2).1, 4);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        // A letter cut in two at the end, and a line in the middle that nobody can read.
        assert_eq!(ask("ä", 0.0, 1).1, 5);
        let mut bytes = fs::read(&path).unwrap();
        let cut = bytes.windows(2).rposition(|two| two == "ä".as_bytes());
        bytes.truncate(cut.unwrap() + 1);
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        drop(bytes.splice(first..first, *b"\xff{\n"));
        fs::write(&path, &bytes).unwrap();
        assert_eq!(ask("a", 0.0, 1).1, 5);
        assert_eq!(ask("b", 0.5, 1).1, 5);
        assert_eq!(ask("b", 0.5, 2).1, 5);
        assert_eq!(ask("ä", 0.0, 1).1, 6);
        let kept = fs::read(&path).unwrap();
        assert!(kept[first..].starts_with(b"\xff{\n"));
        assert_eq!(String::from_utf8_lossy(&kept).lines().count(), 5);
        assert_eq!(ask("ä", 0.0, 1).1, 6);
    }
}
