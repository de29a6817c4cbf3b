//! A part of a report as an explainer or a judge reads it: its tokens, and how active a feature is
//! at each.

use std::collections::BTreeSet;

/// Tokens above this share of the passage's strongest are marked, as in Delphi.
const MARKED_SHARE: f32 = 0.3;
/// Longest text shown, in characters.
const MAX_TEXT: usize = 700;

/// A passage and a feature's activation in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Passage {
    /// Its tokens, with the spaces they stand for.
    pub tokens: Vec<String>,
    /// Activation at each token; empty where only the whole is known, as of the report of a film.
    pub activations: Vec<f32>,
    /// The feature's activation at the passage's strongest place, or on the whole.
    pub strongest: f32,
}

impl Passage {
    /// The text on one line, without control tokens of chats, cut after 700 characters.
    pub fn plain(&self) -> String {
        one_line(&self.tokens.concat())
    }

    /// The text with tokens above 0.3 of the strongest one between `<<` and `>>`, neighbours
    /// together. Without activations by token, the plain text.
    ///
    /// # Source
    /// Delphi's default threshold and delimiters.
    pub fn marked(&self) -> String {
        let least = MARKED_SHARE * self.strongest;
        let is_marked: Vec<bool> = self
            .activations
            .iter()
            .map(|&value| value > 0.0 && value > least)
            .collect();
        self.marked_at(&is_marked)
    }

    /// Words, in lower case, at which the feature is active above 0.3 of its strongest; a word is as
    /// active as its most active token.
    ///
    /// # Example
    /// ```
    /// use explain::Passage;
    ///
    /// let passage = Passage {
    ///     tokens: ["No", " eff", "usion", "."].map(str::to_owned).to_vec(),
    ///     activations: vec![0.1, 0.0, 2.0, 0.0],
    ///     strongest: 2.0,
    /// };
    /// assert_eq!(passage.active_words(), ["effusion"]);
    /// ```
    pub fn active_words(&self) -> Vec<String> {
        let least = MARKED_SHARE * self.strongest;
        let mut words: Vec<(String, f32)> = vec![(String::new(), 0.0)];
        for (token, &value) in self.tokens.iter().zip(&self.activations) {
            for c in token.chars() {
                if !c.is_alphanumeric() {
                    words.push((String::new(), 0.0));
                    continue;
                }
                if let Some((word, highest)) = words.last_mut() {
                    word.extend(c.to_lowercase());
                    *highest = highest.max(value);
                }
            }
        }
        words.retain(|(word, value)| !word.is_empty() && *value > 0.0 && *value > least);
        let mut words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// The text with these tokens between `<<` and `>>`.
    fn marked_at(&self, is_marked: &[bool]) -> String {
        let mut text = String::new();
        let mut open = false;
        for (at, token) in self.tokens.iter().enumerate() {
            let marked = is_marked.get(at).copied().unwrap_or(false);
            let word = token.trim_start();
            if marked && !open {
                text += &token[..token.len() - word.len()];
                text += "<<";
                text += word;
            } else {
                if open && !marked {
                    text += ">>";
                }
                text += token;
            }
            open = marked;
        }
        if open {
            text += ">>";
        }
        one_line(&text)
    }

    /// The text with as many tokens marked as [`Passage::marked`] marks, but at places where the
    /// feature is silent, in one run that begins at the `start`-th such place; `None` where there
    /// are too few.
    pub fn marked_wrongly(&self, start: usize) -> Option<String> {
        let least = MARKED_SHARE * self.strongest;
        let n_marked = self
            .activations
            .iter()
            .filter(|&&value| value > 0.0 && value > least)
            .count()
            .max(1);
        let silent: Vec<usize> = self
            .activations
            .iter()
            .enumerate()
            .filter(|&(at, &value)| {
                let word = self.tokens.get(at).map_or("", |token| token.trim());
                value <= 0.0 && word.chars().any(char::is_alphanumeric)
            })
            .map(|(at, _)| at)
            .collect();
        if silent.len() < n_marked {
            return None;
        }
        let mut is_marked = vec![false; self.tokens.len()];
        for i in 0..n_marked {
            is_marked[silent[(start + i) % silent.len()]] = true;
        }
        Some(self.marked_at(&is_marked))
    }

    /// Active tokens with their levels from 1 to 10, the tenth of `highest` rounded up, strongest
    /// first, at most `most`.
    ///
    /// # Example
    /// ```
    /// use explain::Passage;
    ///
    /// let passage = Passage {
    ///     tokens: vec!["small".to_owned(), " effusion".to_owned()],
    ///     activations: vec![0.5, 2.0],
    ///     strongest: 2.0,
    /// };
    /// assert_eq!(passage.levels(2.0, 5), [("effusion".to_owned(), 10), ("small".to_owned(), 3)]);
    /// assert_eq!(passage.marked(), "small<< effusion>>".replace("<< ", " <<"));
    /// ```
    pub fn levels(&self, highest: f32, most: usize) -> Vec<(String, u8)> {
        let mut active: Vec<(&String, f32)> = self
            .tokens
            .iter()
            .zip(self.activations.iter().copied())
            .filter(|&(_, value)| value > 0.0)
            .collect();
        active.sort_by(|a, b| b.1.total_cmp(&a.1));
        active
            .iter()
            .take(most)
            .map(|(token, value)| (one_line(token), level(*value, highest)))
            .collect()
    }

    /// Level of the whole passage, 0 to 10.
    pub fn level(&self, highest: f32) -> u8 {
        level(self.strongest, highest)
    }
}

/// The words of a text in lower case, each once.
pub fn words_of(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Tenths of `highest`, rounded up: 0 for silence, 10 for the highest.
pub(crate) fn level(value: f32, highest: f32) -> u8 {
    if value <= 0.0 || highest <= 0.0 {
        return 0;
    }
    (10.0 * value / highest).ceil().clamp(1.0, 10.0) as u8
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ").replace("<|", "< |");
    line.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage() -> Passage {
        let tokens = [
            "No",
            " small",
            " pleural",
            " effusion",
            ".\n",
            " <|im_end|>",
        ];
        Passage {
            tokens: tokens.map(str::to_owned).to_vec(),
            activations: vec![0.0, 0.2, 1.5, 4.0, 0.0, 0.0],
            strongest: 4.0,
        }
    }

    #[test]
    fn strong_neighbours_are_marked_together() {
        assert_eq!(passage().plain(), "No small pleural effusion. < |im_end|>");
        assert_eq!(
            passage().marked(),
            "No small <<pleural effusion>>. < |im_end|>"
        );
        assert_eq!(
            passage().levels(8.0, 2),
            [("effusion".to_owned(), 5), ("pleural".to_owned(), 2)]
        );
        assert_eq!((passage().level(4.0), passage().level(0.0)), (10, 0));
    }

    #[test]
    fn wrong_marks_are_as_many_and_never_where_the_feature_is() {
        // Two silent words, "No" and the control token.
        let wrong = passage().marked_wrongly(0).unwrap();
        assert_eq!(
            wrong,
            "<<No>> small pleural effusion. << < |im_end|>>>".replace("<< <", "<<<")
        );
        let everywhere = Passage {
            activations: vec![1.0; 6],
            ..passage()
        };
        assert_eq!(everywhere.marked_wrongly(3), None);
    }

    #[test]
    fn what_is_known_of_the_whole_only_is_shown_plainly() {
        let film = Passage {
            activations: Vec::new(),
            ..passage()
        };
        assert_eq!(film.marked(), film.plain());
        assert!(film.levels(4.0, 5).is_empty());
        assert_eq!(film.marked_wrongly(0), None);
    }
}
