//! A language model in a GGUF file as explanations and judgements ask it.

use std::ops::ControlFlow;
use std::path::Path;

use explain::{Chat, ExplainError, TextModel, Writing};
use models::text::{LlamaModel, LlamaOptions, inspect_gguf, load_gguf};
use models::{GenerationOptions, HookSpec, HookedModel as _, Sampling};

use super::Voice;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;

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

    /// The chat up to where the model writes on.
    fn render(self, chat: &Chat) -> String {
        let turn = |role: &str, text: &str| format!("{}{text}{}", self.begin(role), self.end());
        let mut text = turn("system", &chat.system);
        for (question, answer) in &chat.examples {
            text += &turn("user", question);
            text += &turn("assistant", answer);
        }
        text += &turn("user", &chat.user);
        text + &self.begin("assistant") + &chat.lead_in
    }
}

struct LocalModel {
    model: LlamaModel,
    marks: TurnMarks,
    n_context: usize,
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
            model,
            marks,
            n_context,
            job: job.clone(),
        }),
    })
}

impl TextModel for LocalModel {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        let failed = |error: models::ModelError| match error {
            models::ModelError::Cancelled => ExplainError::Stopped,
            other => ExplainError::TextModel {
                reason: other.to_string(),
            },
        };
        let text = self.marks.render(chat);
        let input = self.model.text_input(&text, true).map_err(failed)?;
        if input.n_dropped > 0 || input.ids.len() + how.max_tokens > self.n_context {
            return Err(ExplainError::TextModel {
                reason: format!(
                    "the prompt has {} tokens and its context holds {}",
                    input.ids.len() + input.n_dropped,
                    self.n_context
                ),
            });
        }
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
        let written = self
            .model
            .generate(&input, &HookSpec::default(), options, &mut on_token)
            .map_err(failed)?;
        if stopped {
            return Err(ExplainError::Stopped);
        }
        Ok(written.text)
    }
}

#[cfg(test)]
#[path = "../../../../tests/support/shared.rs"]
mod shared;

#[cfg(test)]
mod tests {
    use super::shared::shared;
    use super::*;

    const RECORDED: &str = include_str!("../../../explain/tests/smollm2_transcripts.json");

    /// Greedy answers of 135 M coded weights: near ties could fall otherwise on other processors, but
    /// a wrong chat format or a lost lead-in changes all of them.
    #[test]
    fn the_real_model_answers_as_recorded() {
        let Some(path) = shared("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else {
            return;
        };
        let voice = load(&path, &JobContext::silent()).unwrap();
        assert_eq!(voice.name, "SmolLM2-135M-Instruct.Q4_1");
        let turns: Vec<serde_json::Value> = serde_json::from_str(RECORDED).unwrap();
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
                max_tokens: turn["max_tokens"].as_u64().unwrap() as usize,
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
            };
            assert_eq!(
                voice.model.write(&chat, how).unwrap(),
                text(&turn["answer"])
            );
        }
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
    fn turns_are_marked_as_the_models_expect() {
        let chat = Chat {
            system: "S".to_owned(),
            examples: vec![("Q".to_owned(), "A".to_owned())],
            user: "U".to_owned(),
            lead_in: "L".to_owned(),
        };
        assert_eq!(
            TurnMarks::ChatMl.render(&chat),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n\
             <|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nU<|im_end|>\n\
             <|im_start|>assistant\nL"
        );
        let llama = TurnMarks::Llama3.render(&chat);
        assert!(llama.starts_with("<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"));
        assert!(llama.ends_with("U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nL"));
    }
}
