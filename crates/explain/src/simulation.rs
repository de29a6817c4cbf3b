//! Simulation: a model that is told an explanation predicts the activation at every token, and the
//! prediction is compared with what the feature does.

use crate::text_model::TextModel;
use crate::{ExplainError, Passage, PromptTemplate};

/// Predicted against actual activations of passages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// Correlation over all tokens of all passages (Pearson's r); `None` where one side does not
    /// vary.
    pub correlation: Option<f64>,
    /// Tokens compared.
    pub n_tokens: usize,
}

impl Simulated {
    /// The correlation of predictions with activations.
    ///
    /// # Source
    /// Bills et al. 2023, "Language models can explain neurons in language models": the correlation
    /// score.
    ///
    /// # Example
    /// ```
    /// use explain::Simulated;
    ///
    /// let score = Simulated::of(&[0.0, 5.0, 10.0], &[0.0, 1.0, 2.0]);
    /// assert!((score.correlation.unwrap() - 1.0).abs() < 1e-12);
    /// assert_eq!(Simulated::of(&[3.0, 3.0], &[0.0, 1.0]).correlation, None);
    /// ```
    pub fn of(predicted: &[f64], actual: &[f64]) -> Self {
        let n = predicted.len().min(actual.len());
        let mean = |values: &[f64]| values.iter().take(n).sum::<f64>() / n.max(1) as f64;
        let (mean_p, mean_a) = (mean(predicted), mean(actual));
        let [mut both, mut square_p, mut square_a] = [0.0_f64; 3];
        for (p, a) in predicted.iter().zip(actual) {
            both += (p - mean_p) * (a - mean_a);
            square_p += (p - mean_p).powi(2);
            square_a += (a - mean_a).powi(2);
        }
        let scale = (square_p * square_a).sqrt();
        Self {
            correlation: (scale > 1e-12).then(|| both / scale),
            n_tokens: n,
        }
    }
}

/// Simulates a feature on passages; `None` from a model that tells no probabilities.
///
/// # Errors
/// Those of [`TextModel::expect_levels`].
pub fn simulate(
    model: &dyn TextModel,
    template: &PromptTemplate,
    explanation: &str,
    passages: &[&Passage],
) -> Result<Option<Simulated>, ExplainError> {
    let (mut predicted, mut actual) = (Vec::new(), Vec::new());
    for passage in passages {
        if passage.activations.is_empty() {
            continue;
        }
        let plain = passage.plain();
        let chat = template.filled(&[("explanation", explanation), ("passage", &plain)]);
        let words: Vec<String> = passage
            .tokens
            .iter()
            .map(|token| token.trim().to_owned())
            .collect();
        let Some(levels) = model.expect_levels(&chat, &words)? else {
            return Ok(None);
        };
        predicted.extend(levels);
        actual.extend(passage.activations.iter().map(|&value| f64::from(value)));
    }
    Ok(Some(Simulated::of(&predicted, &actual)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chat, Writing};

    /// Expects 9 at words that the explanation names.
    struct Literal;

    impl TextModel for Literal {
        fn write(&self, _: &Chat, _: Writing) -> Result<String, ExplainError> {
            Err(ExplainError::Stopped)
        }

        fn expect_levels(
            &self,
            chat: &Chat,
            words: &[String],
        ) -> Result<Option<Vec<f64>>, ExplainError> {
            let named = |word: &String| chat.user.starts_with(word.as_str());
            Ok(Some(
                words
                    .iter()
                    .map(|word| if named(word) { 9.0 } else { 0.5 })
                    .collect(),
            ))
        }
    }

    #[test]
    fn the_right_explanation_correlates() {
        let template = PromptTemplate {
            system: String::new(),
            question: "{explanation}: {passage}".to_owned(),
            lead_in: String::new(),
            choices: Vec::new(),
            examples: Vec::new(),
        };
        let passage = Passage {
            tokens: ["A", " chest", " tube"].map(str::to_owned).to_vec(),
            activations: vec![0.0, 0.0, 3.0],
            strongest: 3.0,
        };
        let of = |text| {
            let score = simulate(&Literal, &template, text, &[&passage, &passage]);
            score.unwrap().unwrap()
        };
        assert!(of("tube").correlation.unwrap() > 0.99);
        assert!(of("chest").correlation.unwrap() < 0.0);
        assert_eq!(of("pleura").correlation, None);
        assert_eq!(of("tube").n_tokens, 6);
    }
}
