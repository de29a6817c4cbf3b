//! A report as tokens, each with its class: section headings are boilerplate. Knows no tensors.

use schema::{PositionClass, Report};

use super::GgufTokenizer;
use crate::{ModelError, ModelInput};

/// The sections of `report` in the order they are read, with heading and class; empty ones are
/// left out.
fn sections(report: &Report) -> Vec<(&'static str, &str, PositionClass)> {
    [
        ("INDICATION:", &report.indication, PositionClass::Indication),
        ("COMPARISON:", &report.comparison, PositionClass::Comparison),
        ("FINDINGS:", &report.findings, PositionClass::Report),
        ("IMPRESSION:", &report.impression, PositionClass::Report),
    ]
    .into_iter()
    .map(|(heading, text, class)| (heading, text.trim(), class))
    .filter(|(_, text, _)| !text.is_empty())
    .collect()
}

/// Tokens under construction.
struct Tokens<'a> {
    tokenizer: &'a GgufTokenizer,
    input: ModelInput,
}

impl<'a> Tokens<'a> {
    /// Begins a text, with the beginning-of-sequence token where the model wants one.
    fn new(tokenizer: &'a GgufTokenizer) -> Self {
        let mut tokens = Self {
            tokenizer,
            input: ModelInput::default(),
        };
        if let Some(bos) = tokenizer.leading_bos() {
            tokens.input.ids.push(bos);
            tokens.input.classes.push(PositionClass::Bos);
        }
        tokens
    }

    fn push(&mut self, text: &str, special: bool, class: PositionClass) -> Result<(), ModelError> {
        let ids = self.tokenizer.encode(text, special)?;
        let classes = std::iter::repeat_n(class, ids.len());
        self.input.classes.extend(classes);
        self.input.ids.extend(ids);
        Ok(())
    }

    /// Cuts the tokens to `limit` and adds their texts.
    fn finish(mut self, limit: usize) -> ModelInput {
        self.input.texts = self.tokenizer.texts(&self.input.ids);
        self.input.n_dropped = self.input.ids.len().saturating_sub(limit);
        self.input.ids.truncate(limit);
        self.input.classes.truncate(limit);
        self.input.texts.truncate(limit);
        self.input
    }
}

/// The whole report: each section on its own line after its heading, e.g.
/// `FINDINGS: The heart is enlarged.`, cut after `limit` tokens.
///
/// # Errors
/// [`ModelError::Request`] if the tokenizer fails.
pub(crate) fn report_input(
    tokenizer: &GgufTokenizer,
    report: &Report,
    limit: usize,
) -> Result<ModelInput, ModelError> {
    let mut tokens = Tokens::new(tokenizer);
    for (i, (heading, text, class)) in sections(report).into_iter().enumerate() {
        let line_break = if i == 0 { "" } else { "\n" };
        let heading = format!("{line_break}{heading}");
        tokens.push(&heading, false, PositionClass::Boilerplate)?;
        tokens.push(&format!(" {text}"), false, class)?;
    }
    Ok(tokens.finish(limit))
}

/// What precedes the findings of `report`, up to the heading `FINDINGS:`, so that the model
/// writes on from there; cut after `limit` tokens.
///
/// # Errors
/// [`ModelError::Request`] if the tokenizer fails.
pub(crate) fn report_prompt(
    tokenizer: &GgufTokenizer,
    report: Option<&Report>,
    limit: usize,
) -> Result<ModelInput, ModelError> {
    let mut tokens = Tokens::new(tokenizer);
    let before = report.map(|report| Report {
        indication: report.indication.clone(),
        comparison: report.comparison.clone(),
        ..Report::default()
    });
    for (heading, text, class) in before.iter().flat_map(sections) {
        tokens.push(heading, false, PositionClass::Boilerplate)?;
        tokens.push(&format!(" {text}"), false, class)?;
        tokens.push("\n", false, PositionClass::Boilerplate)?;
    }
    tokens.push("FINDINGS:", false, PositionClass::Boilerplate)?;
    Ok(tokens.finish(limit))
}

/// Any text, all of class `class`, cut after `limit` tokens.
///
/// # Errors
/// [`ModelError::Request`] if the tokenizer fails.
pub(crate) fn text_input(
    tokenizer: &GgufTokenizer,
    text: &str,
    parse_special: bool,
    class: PositionClass,
    limit: usize,
) -> Result<ModelInput, ModelError> {
    let mut tokens = Tokens::new(tokenizer);
    tokens.push(text, parse_special, class)?;
    Ok(tokens.finish(limit))
}
