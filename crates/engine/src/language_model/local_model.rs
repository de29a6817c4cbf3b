//! A language model in a GGUF file as explanations and judgements ask it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use explain::{Chat, ExplainError, TextModel, Writing};
use models::text::{LlamaModel, LlamaOptions, TextReader, inspect_gguf, load_gguf};
use models::{GenerationOptions, HookedModel as _, ModelError, Sampling};

use super::Voice;
use crate::error::{EngineError, Result};
use crate::jobs::{JobContext, lock};

/// Digits that the level of a word is told by.
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Stands for the level of every word before, so that none is seen.
const UNKNOWN: &str = "?\n";

/// How a model marks the turns of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnMarks {
    /// `<|im_start|>role … <|im_end|>`: `SmolLM2`, Qwen.
    ChatMl,
    /// `<|start_header_id|>role<|end_header_id|> … <|eot_id|>`: Llama 3, which `RecSAE` uses.
    Llama3,
}

impl TurnMarks {
    fn of(model: &LlamaModel) -> Option<Self> {
        let knows = |token: &str| model.tokenizer().special_id(token).is_some();
        match (knows("<|im_start|>"), knows("<|start_header_id|>")) {
            (true, _) => Some(Self::ChatMl),
            (false, true) => Some(Self::Llama3),
            (false, false) => None,
        }
    }

    fn begin(self, role: &str) -> String {
        match self {
            Self::ChatMl => format!("<|im_start|>{role}\n"),
            Self::Llama3 => format!("<|start_header_id|>{role}<|end_header_id|>\n\n"),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::ChatMl => "<|im_end|>\n",
            Self::Llama3 => "<|eot_id|>",
        }
    }

    /// The chat up to where the model writes on. A model that may think aloud first, as Qwen 3 does,
    /// is told that it has done so.
    fn render(self, chat: &Chat, thinks: bool) -> String {
        let turn = |role: &str, text: &str| format!("{}{text}{}", self.begin(role), self.end());
        let mut text = turn("system", &chat.system);
        for (question, answer) in &chat.examples {
            text += &turn("user", question);
            text += &turn("assistant", answer);
        }
        text += &turn("user", &chat.user);
        let thought = if thinks {
            "<think>\n\n</think>\n\n"
        } else {
            ""
        };
        text + &self.begin("assistant") + thought + &chat.lead_in
    }
}

struct LocalModel {
    model: LlamaModel,
    marks: TurnMarks,
    thinks: bool,
    n_context: usize,
    /// What was read last: questions that begin alike are read on from there.
    reader: Mutex<TextReader>,
    job: JobContext,
}

/// Loads the model of a GGUF file.
///
/// # Errors
/// When the file cannot be read, or the model knows no chats.
pub(super) fn load(path: &Path, job: &JobContext) -> Result<Voice> {
    job.report("Loading the language model", 0, 0, "models");
    let (hash, _) = store::blake3_of_file(path)?;
    let n_context = inspect_gguf(path)?.n_context;
    let options = LlamaOptions {
        max_tokens: n_context,
    };
    let model = load_gguf(path, &hash)?.with_options(options);
    let marks = TurnMarks::of(&model).ok_or_else(|| {
        EngineError::request(format!(
            "{}: expected a model that was taught to chat; its vocabulary has neither \
             <|im_start|> nor <|start_header_id|>",
            path.display()
        ))
    })?;
    Ok(Voice {
        name: model.card().name.clone(),
        hash,
        model: Box::new(LocalModel {
            thinks: model.tokenizer().special_id("<think>").is_some(),
            model,
            marks,
            n_context,
            reader: Mutex::new(TextReader::new().stopping_when({
                let job = job.clone();
                move || job.is_stopping()
            })),
            job: job.clone(),
        }),
    })
}

fn failed(error: ModelError) -> ExplainError {
    match error {
        ModelError::Cancelled => ExplainError::Stopped,
        other => ExplainError::TextModel {
            reason: other.to_string(),
        },
    }
}

impl LocalModel {
    fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, ExplainError> {
        self.model.tokenizer().encode(text, true).map_err(failed)
    }

    /// The question's tokens, if an answer of `n_more` finds room behind them.
    fn prompt(&self, chat: &Chat, n_more: usize) -> std::result::Result<Vec<u32>, ExplainError> {
        let text = self.marks.render(chat, self.thinks);
        let input = self.model.text_input(&text, true).map_err(failed)?;
        if input.n_dropped > 0 || input.ids.len() + n_more > self.n_context {
            return Err(ExplainError::PromptTooLong {
                reason: format!(
                    "the prompt has {} tokens and its context holds {}",
                    input.ids.len() + input.n_dropped,
                    self.n_context
                ),
            });
        }
        Ok(input.ids)
    }
}

impl TextModel for LocalModel {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        let ids = self.prompt(chat, how.max_tokens)?;
        let options = GenerationOptions {
            max_new_tokens: how.max_tokens,
            sampling: (how.temperature > 0.0).then_some(Sampling {
                temperature: how.temperature,
                top_p: how.top_p,
                seed: how.seed,
            }),
            ..GenerationOptions::default()
        };
        let mut stopped = false;
        let mut on_token = |_: &str| {
            stopped = self.job.is_cancelled();
            if stopped {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut reader = lock(&self.reader);
        reader.read(&self.model, &ids).map_err(failed)?;
        let written = reader
            .write(&self.model, &options, &mut on_token)
            .map_err(failed)?;
        drop(reader);
        if stopped {
            return Err(ExplainError::Stopped);
        }
        Ok(written.text)
    }

    fn choose(
        &self,
        chat: &Chat,
        answers: &[&str],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        let answers = answers
            .iter()
            .map(|answer| self.ids(answer))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let longest = answers.iter().map(Vec::len).max().unwrap_or(0);
        let ids = self.prompt(chat, longest)?;
        let mut reader = lock(&self.reader);
        reader.read(&self.model, &ids).map_err(failed)?;
        let found = reader
            .log_probabilities(&self.model, &answers)
            .map_err(failed)?;
        Ok(Some(found.into_iter().map(rounded).collect()))
    }

    fn expect_levels(
        &self,
        chat: &Chat,
        words: &[String],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        let digits = DIGITS
            .iter()
            .map(|digit| self.ids(digit))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let digits: Vec<u32> = digits.concat();
        if digits.len() != DIGITS.len() {
            return Err(ExplainError::TextModel {
                reason: "its digits are not single tokens, by which levels are told".to_owned(),
            });
        }
        let unknown = self.ids(UNKNOWN)?;
        let mut tail = self.ids("\n")?;
        let mut places = Vec::with_capacity(words.len());
        for word in words {
            tail.extend(self.ids(&format!("{word}\t"))?);
            places.push(tail.len() - 1);
            tail.extend(&unknown);
        }
        let mut ids = self.prompt(chat, tail.len())?;
        for place in &mut places {
            *place += ids.len();
        }
        ids.extend(tail);
        let found = lock(&self.reader)
            .log_probabilities_at(&self.model, &ids, (&places, &digits))
            .map_err(failed)?;
        Ok(Some(
            found
                .iter()
                .map(|scores| rounded(expected_level(scores)))
                .collect(),
        ))
    }
}

/// To a thousandth: how much of a question was read before may change the last digits of a sum.
fn rounded(value: f64) -> f64 {
    (1000.0 * value).round() / 1000.0
}

/// The expected digit of log-probabilities of 0 to 9, on the scale from 0 to 10.
fn expected_level(scores: &[f64]) -> f64 {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    let sum: f64 = (0_u8..)
        .zip(&weights)
        .map(|(digit, weight)| f64::from(digit) * weight)
        .sum();
    10.0 / 9.0 * sum / total
}

#[cfg(test)]
#[path = "../../../../tests/support/shared.rs"]
mod shared;

#[cfg(test)]
mod tests {
    use super::shared::shared;
    use super::*;

    /// The turns of a file of transcripts.
    fn recorded(name: &str) -> Vec<serde_json::Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../explain/tests");
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
    }

    /// Probabilities of coded weights differ a little between processors.
    fn assert_near(found: &[f64], recorded: &serde_json::Value) {
        let recorded: Vec<f64> = serde_json::from_value(recorded.clone()).unwrap();
        assert_eq!(found.len(), recorded.len());
        for (found, recorded) in found.iter().zip(&recorded) {
            assert!((found - recorded).abs() < 0.1, "{found} beside {recorded}");
        }
    }

    /// Greedy answers of 135 M coded weights: near ties could fall otherwise on other processors, but
    /// a wrong chat format or a lost lead-in changes all of them.
    #[test]
    fn the_real_model_answers_as_recorded() {
        let Some(path) = shared("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else {
            return;
        };
        let voice = load(&path, &JobContext::silent()).unwrap();
        assert_eq!(voice.name, "SmolLM2-135M-Instruct.Q4_1");
        let mut turns = recorded("smollm2_transcripts.json");
        turns.extend(recorded("smollm2_passages.json"));
        // What a turn that is new in a file is to be given.
        let mut missing = Vec::new();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        for turn in &turns {
            let examples = turn["examples"].as_array().unwrap().iter();
            let chat = Chat {
                system: text(&turn["system"]),
                examples: examples
                    .map(|pair| (text(&pair[0]), text(&pair[1])))
                    .collect(),
                user: text(&turn["user"]),
                lead_in: text(&turn["lead_in"]),
            };
            let how = Writing {
                max_tokens: turn["max_tokens"].as_u64().unwrap_or(1) as usize,
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
            };
            if let Some(choices) = turn["choices"].as_array() {
                let choices: Vec<&str> = choices.iter().filter_map(|one| one.as_str()).collect();
                let found = voice.model.choose(&chat, &choices).unwrap().unwrap();
                if turn["log_probabilities"].is_null() {
                    missing.push(format!("{found:?}"));
                    continue;
                }
                assert_near(&found, &turn["log_probabilities"]);
            } else if let Some(words) = turn["words"].as_array() {
                let words: Vec<String> = words.iter().map(text).collect();
                let found = voice.model.expect_levels(&chat, &words).unwrap().unwrap();
                if turn["levels"].is_null() {
                    missing.push(format!("{found:?}"));
                    continue;
                }
                assert_near(&found, &turn["levels"]);
            } else {
                let answer = voice.model.write(&chat, how).unwrap();
                if turn["answer"].is_null() {
                    missing.push(format!("{answer:?}"));
                    continue;
                }
                assert_eq!(answer, text(&turn["answer"]));
            }
        }
        assert!(missing.is_empty(), "not recorded:\n{}", missing.join("\n"));
        // Which of two answers is the likelier, and levels of words in one pass.
        let chat = Chat {
            system: "Answer 1 for yes and 0 for no.".to_owned(),
            user: "Is a chest tube a tube?".to_owned(),
            lead_in: "Answer:".to_owned(),
            ..Chat::default()
        };
        let both = voice.model.choose(&chat, &[" 1", " 0"]).unwrap().unwrap();
        assert!(both.iter().all(|p| *p < 0.0 && *p > -12.0), "{both:?}");
        let again = voice.model.choose(&chat, &[" 0", " 1"]).unwrap().unwrap();
        assert!((both[0] - again[1]).abs() < 1e-4 && (both[1] - again[0]).abs() < 1e-4);
        let words = ["chest", "tube"].map(str::to_owned);
        let levels = voice.model.expect_levels(&chat, &words).unwrap().unwrap();
        assert!(levels.iter().all(|level| (0.0..=10.0).contains(level)));
        assert_eq!(levels.len(), 2);
        // What does not fit is refused, not cut.
        let long = Chat {
            user: "tea ".repeat(9000),
            ..Chat::default()
        };
        let how = Writing {
            max_tokens: 8,
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
        };
        assert!(voice.model.write(&long, how).is_err());
    }

    #[test]
    fn levels_are_expected_digits() {
        let sure_of = |digit: usize| {
            let mut scores = vec![-100.0; 10];
            scores[digit] = 0.0;
            expected_level(&scores)
        };
        assert!(sure_of(0) < 1e-9 && (sure_of(9) - 10.0).abs() < 1e-9);
        assert!((expected_level(&[-2.0; 10]) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn turns_are_marked_as_the_models_expect() {
        let chat = Chat {
            system: "S".to_owned(),
            examples: vec![("Q".to_owned(), "A".to_owned())],
            user: "U".to_owned(),
            lead_in: "L".to_owned(),
        };
        assert_eq!(
            TurnMarks::ChatMl.render(&chat, false),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n\
             <|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nU<|im_end|>\n\
             <|im_start|>assistant\nL"
        );
        let llama = TurnMarks::Llama3.render(&chat, false);
        assert!(llama.starts_with("<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"));
        let quiet = TurnMarks::ChatMl.render(&chat, true);
        assert!(quiet.ends_with("assistant\n<think>\n\n</think>\n\nL"));
        assert!(llama.ends_with("U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nL"));
    }
}
