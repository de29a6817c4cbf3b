//! `ChatML`, the chat format of `SmolLM2` and Qwen. Knows no tokenizer.

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
