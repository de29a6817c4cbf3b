//! What explains passages and what judges them.

use std::collections::BTreeSet;

use schema::FeatureId;

use crate::concept_prompts::{read_explanation, read_prediction};
use crate::text_model::{TextModel, Writing};
use crate::{
    Chat, ExplainError, Explained, Explainer, Judge, Passage, PromptTemplate, TermTable,
    text_terms, words_of,
};

/// Tokens of an explanation at most.
const MAX_TOKENS: usize = 32;
/// Tokens of a judgement at most, where the model writes it.
const MAX_ANSWER: usize = 8;
/// Active tokens listed under a passage.
const LISTED: usize = 5;

/// Explains passages by what a language model writes.
pub struct PassageExplainer<'a> {
    /// The model.
    pub model: &'a dyn TextModel,
    /// What it is asked; has the gap `{passages}`.
    pub template: &'a PromptTemplate,
    /// How it writes; the number of tokens is set here.
    pub writing: Writing,
}

impl Explainer<Passage> for PassageExplainer<'_> {
    fn explain(
        &self,
        feature: FeatureId,
        cases: &[Passage],
    ) -> Result<Option<Explained>, ExplainError> {
        let how = Writing {
            max_tokens: MAX_TOKENS,
            seed: self.writing.seed ^ u64::from(feature.0),
            ..self.writing
        };
        let mut cases = cases.to_vec();
        let mut n_left_out = 0;
        // The weakest passages go first, then the worked examples.
        let mut has_examples = true;
        let (text, chat) = loop {
            let mut chat = self
                .template
                .filled(&[("passages", &shown_passages(&cases))]);
            if !has_examples {
                chat.examples.clear();
            }
            match self.model.write(&chat, how) {
                Err(ExplainError::PromptTooLong { .. }) if cases.len() > 1 => {
                    leave_weakest_out(&mut cases);
                    n_left_out += 1;
                }
                Err(ExplainError::PromptTooLong { .. }) if !chat.examples.is_empty() => {
                    n_left_out += chat.examples.len();
                    has_examples = false;
                }
                answer => break (read_explanation(&answer?), chat),
            }
        };
        Ok(text.map(|text| Explained {
            text,
            evidence: Vec::new(),
            prompt: Some(chat.to_string()),
            n_left_out,
        }))
    }
}

/// Takes the passage out on which the feature is weakest, of equals the last.
fn leave_weakest_out(cases: &mut Vec<Passage>) {
    let weakest = (0..cases.len())
        .rev()
        .min_by(|&a, &b| cases[a].strongest.total_cmp(&cases[b].strongest));
    if let Some(at) = weakest {
        cases.remove(at);
    }
}

/// Passages as an explainer reads them: numbered, strong tokens marked, and below each the levels of
/// its strongest tokens, or of the whole.
pub fn shown_passages(cases: &[Passage]) -> String {
    let highest = cases.iter().map(|case| case.strongest).fold(0.0, f32::max);
    let shown: Vec<String> = cases
        .iter()
        .zip(1..)
        .map(|(case, number)| {
            let levels: Vec<String> = case
                .levels(highest, LISTED)
                .iter()
                .map(|(token, level)| format!("{token} {level}"))
                .collect();
            let below = if levels.is_empty() {
                format!("the whole {}", case.level(highest))
            } else {
                levels.join(", ")
            };
            format!("{number}. {}\n({below})", case.marked())
        })
        .collect();
    shown.join("\n")
}

/// A passage as a judge sees it: a text, without any activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedText(pub String);

/// Judges passages by which answer a language model finds more probable, or by what it writes where
/// it tells no probabilities.
pub struct PassageJudge<'a> {
    /// The model.
    pub model: &'a dyn TextModel,
    /// What it is asked; has the gaps `{explanation}` and `{passage}`, and two choices.
    pub template: &'a PromptTemplate,
    /// How it writes; the number of tokens is set here.
    pub writing: Writing,
}

impl Judge<JudgedText> for PassageJudge<'_> {
    fn predict(&self, explanation: &str, case: &JudgedText) -> Result<Option<f64>, ExplainError> {
        let gaps = [("explanation", explanation), ("passage", &case.0)];
        let chat = self.template.filled(&gaps);
        match self.asked(&chat) {
            // Once more without worked examples; what is too long even so is counted as unread.
            Err(ExplainError::PromptTooLong { .. }) => {
                let short = Chat {
                    examples: Vec::new(),
                    ..chat
                };
                match self.asked(&short) {
                    Err(ExplainError::PromptTooLong { .. }) => Ok(None),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }
}

impl PassageJudge<'_> {
    fn asked(&self, chat: &Chat) -> Result<Option<f64>, ExplainError> {
        let choices: Vec<&str> = self.template.choices.iter().map(String::as_str).collect();
        if let [_, _] = choices[..]
            && let Some(found) = self.model.choose(chat, &choices)?
            && let [active, silent] = found[..]
        {
            // 1 / (1 + exp(silent - active)), without overflow.
            return Ok(Some(10.0 / (1.0 + (silent - active).exp())));
        }
        let how = Writing {
            max_tokens: MAX_ANSWER,
            ..self.writing
        };
        let answer = self.model.write(chat, how)?;
        Ok(self.read(&answer))
    }

    /// An answer that begins like one of the choices, or a number from 0 to 1.
    fn read(&self, answer: &str) -> Option<f64> {
        let answer = answer.trim().to_lowercase();
        for (choice, value) in self.template.choices.iter().zip([10.0, 0.0]) {
            let choice = choice.trim().to_lowercase();
            let rest = answer.strip_prefix(&choice);
            if rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
                return Some(value);
            }
        }
        read_prediction(&answer)
            .filter(|value| *value <= 1.0)
            .map(|value| 10.0 * value)
    }
}

/// Judges passages by terms: above 5 where the passage says what a term of the explanation names, and
/// 0 where it does not. "No effusion" does not name an effusion.
///
/// Terms of an explanation are its parts between commas, where all of them are terms of the table,
/// as keywords are; else its words and pairs of words, as far as the table has them. A part between
/// quotation marks is a word as it is written, denied or not.
#[derive(Debug)]
pub struct PassageKeywordJudge<'a> {
    table: &'a TermTable,
}

impl<'a> PassageKeywordJudge<'a> {
    /// Judges by the terms of a table.
    pub fn new(table: &'a TermTable) -> Self {
        Self { table }
    }
}

/// The parts of an explanation that are words in quotation marks, and the rest.
fn quoted_and_rest(explanation: &str) -> (BTreeSet<String>, String) {
    let (mut quoted, mut rest) = (BTreeSet::new(), Vec::new());
    for part in explanation.split(',').map(str::trim) {
        let inner = part
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'));
        match inner {
            Some(word) => {
                quoted.insert(word.to_lowercase());
            }
            None => rest.push(part),
        }
    }
    (quoted, rest.join(", "))
}

impl Judge<JudgedText> for PassageKeywordJudge<'_> {
    fn predict(&self, explanation: &str, case: &JudgedText) -> Result<Option<f64>, ExplainError> {
        let (quoted, rest) = quoted_and_rest(explanation);
        let named = self.table.named_in(&rest);
        let said: BTreeSet<u32> = text_terms(&case.0)
            .iter()
            .filter_map(|term| self.table.number_of(term))
            .collect();
        let n_named = named.len() + quoted.len();
        let n_said =
            named.intersection(&said).count() + quoted.intersection(&words_of(&case.0)).count();
        if n_said == 0 {
            return Ok(Some(0.0));
        }
        // The more of what is named is said, the surer; one term is enough to say so.
        Ok(Some(6.0 + 4.0 * n_said as f64 / n_named as f64))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn passage(text: &[(&str, f32)]) -> Passage {
        Passage {
            tokens: text.iter().map(|(token, _)| (*token).to_owned()).collect(),
            activations: text.iter().map(|&(_, value)| value).collect(),
            strongest: text.iter().map(|&(_, value)| value).fold(0.0, f32::max),
        }
    }

    #[test]
    fn passages_are_numbered_with_marks_and_levels() {
        let cases = [
            passage(&[("A", 0.0), (" chest", 1.0), (" tube", 4.0), (".", 0.0)]),
            Passage {
                tokens: vec!["A film.".to_owned()],
                activations: Vec::new(),
                strongest: 2.0,
            },
        ];
        assert_eq!(
            shown_passages(&cases),
            "1. A chest <<tube>>.\n(tube 10, chest 3)\n2. A film.\n(the whole 5)"
        );
    }

    /// Chooses as told, or writes as told.
    struct Told(Option<[f64; 2]>, &'static str, RefCell<Vec<Chat>>);

    impl TextModel for Told {
        fn write(&self, chat: &Chat, _how: Writing) -> Result<String, ExplainError> {
            self.2.borrow_mut().push(chat.clone());
            Ok(self.1.to_owned())
        }

        fn choose(&self, _: &Chat, choices: &[&str]) -> Result<Option<Vec<f64>>, ExplainError> {
            assert_eq!(choices, [" yes", " no"]);
            Ok(self.0.map(|both| both.to_vec()))
        }
    }

    /// Holds prompts up to so many characters.
    struct Small(usize, RefCell<Vec<Chat>>);

    impl TextModel for Small {
        fn write(&self, chat: &Chat, _how: Writing) -> Result<String, ExplainError> {
            let length = chat.to_string().len();
            if length > self.0 {
                let reason = format!("{length} of {}", self.0);
                return Err(ExplainError::PromptTooLong { reason });
            }
            self.1.borrow_mut().push(chat.clone());
            Ok("1".to_owned())
        }
    }

    #[test]
    fn too_long_a_prompt_is_shortened_by_its_weakest_passages_then_its_examples() {
        let cases: Vec<Passage> = [3.0, 1.0, 4.0, 2.0]
            .map(|value| passage(&[(&format!("Passage {value}"), value)]))
            .to_vec();
        let template = PromptTemplate {
            question: "{passages}".to_owned(),
            examples: vec![crate::ExampleTurn {
                question: "Q".repeat(40),
                answer: "A".to_owned(),
            }],
            ..template()
        };
        let explain = |most: usize| {
            let model = Small(most, RefCell::default());
            let explainer = PassageExplainer {
                model: &model,
                template: &template,
                writing: HOW,
            };
            let said = explainer.explain(FeatureId(0), &cases);
            (said, model.1.into_inner())
        };
        let (said, asked) = explain(10_000);
        assert_eq!(said.unwrap().unwrap().n_left_out, 0);
        let whole = asked[0].to_string().len();
        let (said, asked) = explain(whole - 1);
        assert_eq!(said.unwrap().unwrap().n_left_out, 1);
        let user = &asked[0].user;
        assert!(
            !user.contains("Passage 1") && user.contains("Passage 2"),
            "{user}"
        );
        let (said, asked) = explain(whole - 100);
        let said = said.unwrap().unwrap();
        assert_eq!(said.n_left_out, 4, "{asked:?}");
        assert!(asked[0].user.contains("Passage 4") && asked[0].examples.is_empty());
        assert!(matches!(
            explain(5).0,
            Err(ExplainError::PromptTooLong { .. })
        ));

        let model = Small(5, RefCell::default());
        let judge = PassageJudge {
            model: &model,
            template: &template,
            writing: HOW,
        };
        let unread = judge.predict("tubes", &JudgedText("A tube.".to_owned()));
        assert_eq!(unread, Ok(None));
    }

    const HOW: Writing = Writing {
        max_tokens: 1,
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };

    fn template() -> PromptTemplate {
        PromptTemplate {
            system: "Judge.".to_owned(),
            question: "{explanation}? {passage}".to_owned(),
            lead_in: "Answer:".to_owned(),
            choices: vec![" yes".to_owned(), " no".to_owned()],
            examples: Vec::new(),
        }
    }

    fn predict(model: &Told) -> Option<f64> {
        let template = template();
        let judge = PassageJudge {
            model,
            template: &template,
            writing: Writing {
                max_tokens: 1,
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
            },
        };
        judge
            .predict("tubes", &JudgedText("A chest tube.".to_owned()))
            .unwrap()
    }

    #[test]
    fn probabilities_decide_and_else_what_is_written() {
        let with = |both| predict(&Told(Some(both), "", RefCell::default()));
        assert_eq!(with([-1.0, -1.0]), Some(5.0));
        assert!(with([-0.1, -5.0]).unwrap() > 9.9 && with([-900.0, 0.0]) == Some(0.0));
        let writes = |text| {
            let model = Told(None, text, RefCell::default());
            let said = predict(&model);
            assert_eq!(model.2.borrow()[0].user, "tubes? A chest tube.");
            said
        };
        assert_eq!(writes(" Yes."), Some(10.0));
        assert_eq!(writes("no"), Some(0.0));
        assert_eq!((writes("not sure"), writes("7")), (None, None));
        assert_eq!((writes("1"), writes("0.2")), (Some(10.0), Some(2.0)));
    }

    #[test]
    fn keywords_judge_by_what_is_said_not_by_what_is_denied() {
        let said = |text: &str| text_terms(text);
        let table = TermTable::new(&[
            said("Large pleural effusion."),
            said("No effusion. Chest tube."),
        ]);
        let judge = PassageKeywordJudge::new(&table);
        let predict = |explanation: &str, text: &str| {
            judge
                .predict(explanation, &JudgedText(text.to_owned()))
                .unwrap()
                .unwrap()
        };
        assert!(predict("effusion", "There is an effusion.") > 9.9);
        assert!(predict("effusion", "There is no effusion.") < 0.1);
        assert!(predict("effusion, tube", "A tube.") > 5.0);
        assert!(predict("words about a tube", "The tube ends there.") > 5.0);
        assert!(predict("something else", "A tube.") < 0.1);
        // A word in quotation marks counts as it is written.
        assert!(predict("\"effusion\"", "There is no effusion.") > 9.9);
        assert!(predict("\"effusions\", chest", "There is no effusion.") < 0.1);
    }
}
