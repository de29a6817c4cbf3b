//! What predicts from an explanation whether a feature is active: keywords, or a language model.

use std::collections::BTreeSet;

use crate::concept_prompts::{judgement_chat, read_prediction};
use crate::shown_case::{ItemTexts, ShownCase};
use crate::text_model::{TextModel, Writing};
use crate::{ExplainError, Judge, PromptTemplate, TermTable};

/// Tokens of a judgement at most.
const MAX_TOKENS: usize = 8;

/// Judges by terms: 10 where the recommended item has one of the explanation, else 10 times the share
/// of the shown history that does.
///
/// Terms of an explanation are its parts between commas, its words and its pairs of words, as far as
/// the catalogue has them.
#[derive(Debug, Clone)]
pub struct KeywordJudge<'a> {
    table: &'a TermTable,
}

impl<'a> KeywordJudge<'a> {
    /// Judges by the terms of a catalogue ([`TermTable::of_catalogue`]).
    pub fn new(table: &'a TermTable) -> Self {
        Self { table }
    }

    fn has(&self, item: u32, named: &BTreeSet<u32>) -> bool {
        let at = item.wrapping_sub(1);
        (at as usize) < self.table.n_samples()
            && self
                .table
                .terms_of(at)
                .iter()
                .any(|term| named.contains(term))
    }
}

impl Judge<ShownCase> for KeywordJudge<'_> {
    fn predict(&self, explanation: &str, case: &ShownCase) -> Result<Option<f64>, ExplainError> {
        let named = self.table.named_in(explanation);
        if self.has(case.recommended.item, &named) {
            return Ok(Some(10.0));
        }
        let n = case.history.len().max(1) as f64;
        let n_with = case
            .history
            .iter()
            .filter(|shown| self.has(shown.item, &named))
            .count();
        Ok(Some(10.0 * n_with as f64 / n))
    }
}

/// Judges by what a language model answers; an answer that cannot be read is asked for once more.
pub struct ModelJudge<'a> {
    /// The model.
    pub model: &'a dyn TextModel,
    /// What it is asked; has the gaps `{explanation}`, `{items}` and `{last}`.
    pub template: &'a PromptTemplate,
    /// How items read.
    pub texts: &'a ItemTexts,
    /// How it writes; the number of tokens is set here.
    pub writing: Writing,
}

impl Judge<ShownCase> for ModelJudge<'_> {
    fn predict(&self, explanation: &str, case: &ShownCase) -> Result<Option<f64>, ExplainError> {
        for again in [false, true] {
            let chat = judgement_chat(self.template, explanation, case, self.texts, again);
            let how = Writing {
                max_tokens: MAX_TOKENS,
                ..self.writing
            };
            if let Some(said) = read_prediction(&self.model.write(&chat, how)?) {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use schema::{CatalogueItem, FeatureId};

    use super::*;
    use crate::concept_prompts::shipped;
    use crate::{
        Chat, Explainer as _, KeywordExplainer, ModelExplainer, ShownItem, judgement_chat,
    };

    /// Twenty items: every fourth is a comedy, the first three of them about pirates.
    fn catalogue() -> Vec<CatalogueItem> {
        (0..20)
            .map(|at| CatalogueItem {
                id: at + 1,
                title: if [0, 4, 8].contains(&at) {
                    format!("Pirates {}", ["home", "abroad", "ahoy"][at as usize / 4])
                } else {
                    format!("Title{at}")
                },
                categories: if at % 4 == 0 {
                    vec!["Comedy".to_owned()]
                } else {
                    vec!["Drama".to_owned()]
                },
                ..CatalogueItem::default()
            })
            .collect()
    }

    fn case(history: &[(u32, u8)], recommended: u32) -> ShownCase {
        let shown = |item, level| ShownItem {
            item,
            level: Some(level),
        };
        ShownCase {
            history: history
                .iter()
                .map(|&(item, level)| shown(item, level))
                .collect(),
            recommended: shown(recommended, 9),
        }
    }

    #[test]
    fn keywords_name_what_strong_items_share_and_judge_by_it() {
        let table = TermTable::of_catalogue(&catalogue());
        let explainer = KeywordExplainer::new(&table).unwrap();
        // Weak items of the history, dramas all, count for nothing.
        let weak = [(2, 1), (3, 4), (4, 2)];
        let cases = [case(&weak, 1), case(&weak, 5), case(&[(9, 8)], 13)];
        let explained = explainer.explain(FeatureId(0), &cases).unwrap().unwrap();
        let terms: Vec<&str> = explained.text.split(", ").collect();
        assert!(
            terms.contains(&"pirates") || terms.contains(&"comedy"),
            "{terms:?}"
        );
        assert!(!terms.contains(&"drama"));
        assert_eq!(explained.evidence[0].name, terms[0]);

        let judge = KeywordJudge::new(&table);
        let said = |text: &str, history: &[(u32, u8)], item| {
            judge.predict(text, &case(history, item)).unwrap()
        };
        assert_eq!(said("pirates", &[], 5), Some(10.0));
        assert_eq!(
            said("pirates", &[(1, 0), (2, 0), (3, 0), (6, 0)], 7),
            Some(2.5)
        );
        assert_eq!(said("Films about pirates.", &[], 9), Some(10.0));
        assert_eq!(said("comedy, pirates", &[], 13), Some(10.0));
        assert_eq!(said("nothing of this shop", &[(1, 0)], 1), Some(0.0));
        assert_eq!(said("pirates", &[], 99), Some(0.0));
        // Nothing in common: nothing to say.
        let nothing = explainer.explain(FeatureId(0), &[case(&[], 2)]).unwrap();
        assert_eq!(nothing, None);
    }

    /// Answers in turn, and what it was asked.
    struct Scripted(RefCell<Vec<&'static str>>, RefCell<Vec<Chat>>);

    impl TextModel for Scripted {
        fn write(&self, chat: &Chat, how: Writing) -> Result<String, ExplainError> {
            assert!(how.max_tokens > 0);
            self.1.borrow_mut().push(chat.clone());
            self.0
                .borrow_mut()
                .pop()
                .map(str::to_owned)
                .ok_or(ExplainError::Stopped)
        }
    }

    #[test]
    fn a_model_is_asked_twice_and_then_its_answer_counts_as_unread() {
        let texts = ItemTexts::of_catalogue(&catalogue());
        let [_, template] = shipped();
        let ask = |answers: Vec<&'static str>| {
            let model = Scripted(RefCell::new(answers), RefCell::default());
            let judge = ModelJudge {
                model: &model,
                template: &template,
                texts: &texts,
                writing: WRITING,
            };
            let said = judge.predict("pirates", &case(&[(2, 3)], 1));
            (said, model.1.into_inner())
        };
        let (said, asked) = ask(vec![" 9"]);
        assert_eq!((said, asked.len()), (Ok(Some(9.0)), 1));
        let first = judgement_chat(&template, "pirates", &case(&[(2, 3)], 1), &texts, false);
        assert_eq!(asked, [first]);
        let (said, asked) = ask(vec!["3", "eleven"]);
        assert_eq!((said, asked.len()), (Ok(Some(3.0)), 2));
        assert_ne!(asked[0], asked[1]);
        assert_eq!(ask(vec!["none", "12"]).0, Ok(None));
        assert_eq!(ask(Vec::new()).0, Err(ExplainError::Stopped));
    }

    const WRITING: Writing = Writing {
        max_tokens: 1,
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };

    #[test]
    fn what_a_model_writes_is_the_explanation_and_the_prompt_is_kept() {
        let texts = ItemTexts::of_catalogue(&catalogue());
        let model = Scripted(
            RefCell::new(vec!["\n", " pirate films.\nMore"]),
            RefCell::default(),
        );
        let [template, _] = shipped();
        let explainer = ModelExplainer {
            model: &model,
            template: &template,
            texts: &texts,
            writing: WRITING,
        };
        let cases = [case(&[(2, 0)], 1)];
        let explained = explainer.explain(FeatureId(3), &cases).unwrap().unwrap();
        assert_eq!(explained.text, "pirate films");
        let prompt = explained.prompt.unwrap();
        assert!(prompt.contains("Pirates home (Comedy)\t9"), "{prompt}");
        assert_eq!(explainer.explain(FeatureId(3), &cases), Ok(None));
    }
}
