//! What a language model is asked, and how it is to write; the model itself is the caller's.

use std::fmt;

use crate::ExplainError;

/// One question with what goes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chat {
    /// The role the model is given.
    pub system: String,
    /// Question and answer of each example, in order.
    pub examples: Vec<(String, String)>,
    /// The question.
    pub user: String,
    /// How the answer begins; the model writes on from there.
    pub lead_in: String,
}

impl fmt::Display for Chat {
    /// One part below the other under its role, for records and people; no model's own format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[system]\n{}", self.system)?;
        for (question, answer) in &self.examples {
            writeln!(f, "[user]\n{question}\n[assistant]\n{answer}")?;
        }
        write!(f, "[user]\n{}\n[assistant]\n{}", self.user, self.lead_in)
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writing {
    /// Tokens at most, ≥ 1.
    pub max_tokens: usize,
    /// Scores are divided by it before a token is drawn; 0 takes the most probable one each time.
    pub temperature: f32,
    /// Only the fewest most probable tokens that together reach this share are drawn from, in
    /// `(0, 1]`.
    pub top_p: f32,
    /// The same seed draws the same tokens.
    pub seed: u64,
}

/// A language model as explanations and judgements need it.
pub trait TextModel {
    /// What the model writes after the lead-in, without it.
    ///
    /// # Errors
    /// [`ExplainError::TextModel`] when it cannot; [`ExplainError::Stopped`] when it was told to stop.
    fn write(&self, chat: &Chat, how: Writing) -> Result<String, ExplainError>;

    /// Natural logarithms of the probabilities that the model goes on after the lead-in with each
    /// of the answers; `None` from a model that tells no probabilities.
    ///
    /// # Errors
    /// As [`TextModel::write`].
    fn choose(&self, chat: &Chat, answers: &[&str]) -> Result<Option<Vec<f64>>, ExplainError> {
        let _ = (chat, answers);
        Ok(None)
    }

    /// The level from 0 to 10 that the model expects behind each word, the words following the
    /// lead-in one a line, each followed by a tab; `None` from a model that tells no probabilities.
    /// All are asked in one pass: no word sees the level of another.
    ///
    /// # Errors
    /// As [`TextModel::write`].
    fn expect_levels(
        &self,
        chat: &Chat,
        words: &[String],
    ) -> Result<Option<Vec<f64>>, ExplainError> {
        let _ = (chat, words);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_shown_part_by_part() {
        let chat = Chat {
            system: "Be brief.".to_owned(),
            examples: vec![("2 + 2?".to_owned(), "It is 4".to_owned())],
            user: "1 + 1?".to_owned(),
            lead_in: "It is ".to_owned(),
        };
        assert_eq!(
            chat.to_string(),
            "[system]\nBe brief.\n[user]\n2 + 2?\n[assistant]\nIt is 4\n[user]\n1 + 1?\n\
             [assistant]\nIt is "
        );
    }
}
