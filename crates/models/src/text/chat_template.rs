//! Chat formats: `ChatML`, that of `SmolLM2` and Qwen, and the templates that checkpoints bring
//! along. Knows no tokenizer.

use std::path::Path;

use minijinja::{Environment, context};

use crate::ModelError;

/// The chat template of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatTemplate {
    source: String,
    eos: String,
}

impl ChatTemplate {
    /// Reads the template of `chat_template.jinja`, `chat_template.json` or
    /// `tokenizer_config.json`; `None` where there is none.
    ///
    /// # Errors
    /// [`ModelError::Format`] when one of the files is no JSON.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, ModelError> {
        let tokenizer = json(&folder.join("tokenizer_config.json"))?;
        let eos = match tokenizer.as_ref().map(|value| &value["eos_token"]) {
            Some(serde_json::Value::String(eos)) => eos.clone(),
            Some(token) => token["content"].as_str().unwrap_or("").to_owned(),
            None => String::new(),
        };
        let plain = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
        let own = json(&folder.join("chat_template.json"))?;
        let text = |value: &Option<serde_json::Value>| {
            Some(value.as_ref()?["chat_template"].as_str()?.to_owned())
        };
        let source = plain.or_else(|| text(&own)).or_else(|| text(&tokenizer));
        Ok(source.map(|source| Self { source, eos }))
    }

    /// What the template puts before and after the user's turn when the model is to answer it.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the template fails, or does not repeat the content.
    pub(crate) fn around(&self, content: &str) -> Result<(String, String), ModelError> {
        let failed = |error: &minijinja::Error| {
            ModelError::Request(format!(
                "the chat template of the checkpoint fails: {error}"
            ))
        };
        let mut environment = Environment::new();
        environment
            .add_template("chat", &self.source)
            .map_err(|error| failed(&error))?;
        let template = environment
            .get_template("chat")
            .map_err(|error| failed(&error))?;
        let rendered = template
            .render(context! {
                messages => [context! {
                    role => "user",
                    content => [context! { type => "text", text => content }],
                }],
                add_generation_prompt => true,
                bos_token => "",
                eos_token => self.eos,
            })
            .map_err(|error| failed(&error))?;
        match rendered.split_once(content) {
            Some((before, after)) => Ok((before.to_owned(), after.to_owned())),
            None => Err(ModelError::Request(
                "the chat template of the checkpoint does not repeat what the user says".to_owned(),
            )),
        }
    }
}

/// The JSON of a file; `None` where there is no such file.
fn json(path: &Path) -> Result<Option<serde_json::Value>, ModelError> {
    let Ok(bytes) = std::fs::read(path) else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ModelError::Format {
            path: path.to_owned(),
            place: "(whole)".to_owned(),
            expected: format!("JSON: {error}"),
        })
}

/// What `SmolLM2`'s own template says when the caller gives no system prompt.
pub const DEFAULT_SYSTEM: &str =
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

/// One question in `ChatML`, ready for the model to answer. Control tokens stand in the text, so
/// it must be encoded with `parse_special`.
///
/// `system` is `None` for the default system prompt of `SmolLM2`'s template.
pub fn chat_prompt(system: Option<&str>, user: &str) -> String {
    let system = system.unwrap_or(DEFAULT_SYSTEM);
    format!(
        "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n\
         <|im_start|>assistant\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_prompt_replaces_the_default() {
        assert_eq!(
            chat_prompt(Some("Be brief."), "Hi"),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
             <|im_start|>assistant\n"
        );
        assert!(chat_prompt(None, "Hi").contains(DEFAULT_SYSTEM));
    }
}
