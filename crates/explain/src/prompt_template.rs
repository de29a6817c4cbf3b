//! What a language model is asked, as a text with gaps that a user may change.

use serde::{Deserialize, Serialize};

use crate::Chat;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleTurn {
    /// What is asked.
    pub question: String,
    /// What is answered, lead-in included.
    pub answer: String,
}

/// A question with gaps: `{passages}`, `{passage}`, `{explanation}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTemplate {
    /// The role the model is given.
    pub system: String,
    /// The question, with gaps.
    pub question: String,
    /// How the answer begins.
    pub lead_in: String,
    /// Answers that the model chooses among, that for "active" first; empty where it writes freely.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Worked examples, in order.
    #[serde(default)]
    pub examples: Vec<ExampleTurn>,
}

impl PromptTemplate {
    /// The question with its gaps filled. What fills a gap is text: a gap in it is not filled again.
    ///
    /// # Example
    /// ```
    /// use explain::PromptTemplate;
    ///
    /// let template = PromptTemplate {
    ///     system: String::new(),
    ///     question: "Does {passage} fit {explanation}?".to_owned(),
    ///     lead_in: String::new(),
    ///     choices: Vec::new(),
    ///     examples: Vec::new(),
    /// };
    /// let chat = template.filled(&[("passage", "{explanation}"), ("explanation", "tubes")]);
    /// assert_eq!(chat.user, "Does {explanation} fit tubes?");
    /// ```
    pub fn filled(&self, gaps: &[(&str, &str)]) -> Chat {
        let mut user = String::new();
        let mut rest = self.question.as_str();
        'text: while let Some(at) = rest.find('{') {
            user += &rest[..at];
            rest = &rest[at..];
            for (name, text) in gaps {
                let gap = rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_prefix(name))
                    .and_then(|rest| rest.strip_prefix('}'));
                if let Some(after) = gap {
                    user += text;
                    rest = after;
                    continue 'text;
                }
            }
            user.push('{');
            rest = &rest[1..];
        }
        user += rest;
        Chat {
            system: self.system.clone(),
            examples: self
                .examples
                .iter()
                .map(|turn| (turn.question.clone(), turn.answer.clone()))
                .collect(),
            user,
            lead_in: self.lead_in.clone(),
        }
    }

    /// Whether the question has a gap of this name.
    pub fn has_gap(&self, name: &str) -> bool {
        self.question.contains(&format!("{{{name}}}"))
    }
}
