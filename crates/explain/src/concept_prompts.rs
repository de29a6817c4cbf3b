//! What a language model is asked about concepts of a recommender, and how its answers are read.

use crate::prompt_template::PromptTemplate;
use crate::shown_case::{ItemTexts, ShownCase, plain};
use crate::text_model::Chat;

/// What is asked for after an answer without a number.
const AGAIN: &str = "\nWrite one whole number from 0 to 10 and nothing else.";

/// What a language model is asked for an explanation.
///
/// - `template`: has the gap `{cases}`
///
/// # Source
/// `RecSAE`, `2_construct_latentDict.py`: role, one example, the cases between `<start>` and `<end>`,
/// a fixed beginning of the answer. The wording is our own.
pub fn explanation_chat(template: &PromptTemplate, cases: &[ShownCase], texts: &ItemTexts) -> Chat {
    let cases: Vec<String> = cases
        .iter()
        .map(|case| {
            let items = case.history.iter().chain([&case.recommended]);
            let lines: Vec<String> = items
                .map(|shown| format!("{}\t{}", texts.of(shown.item), shown.level.unwrap_or(0)))
                .collect();
            format!("<start>\n{}\n<end>", lines.join("\n"))
        })
        .collect();
    template.filled(&[("cases", &cases.join("\n"))])
}

/// What a language model is asked to judge one case by an explanation. `again` is the second asking,
/// after an answer that could not be read.
///
/// - `template`: has the gaps `{explanation}`, `{items}` and `{last}`
///
/// # Source
/// `RecSAE`'s scorer: description, whole sequence without levels, the number of the last item. The
/// wording is our own.
pub fn judgement_chat(
    template: &PromptTemplate,
    explanation: &str,
    case: &ShownCase,
    texts: &ItemTexts,
    again: bool,
) -> Chat {
    let last = texts.of(case.recommended.item);
    let mut items: Vec<String> = case.history.iter().map(|at| texts.of(at.item)).collect();
    items.push(last.clone());
    let mut chat = template.filled(&[
        ("explanation", &plain(explanation)),
        ("items", &items.join("\n")),
        ("last", &last),
    ]);
    if again {
        chat.user += AGAIN;
    }
    chat
}

/// The explanation in what a model wrote: the first line that says something, up to a tab (after
/// which it goes on with numbers), without full stop and quotes; `None` where there is none.
pub fn read_explanation(answer: &str) -> Option<String> {
    let around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '.' | '*' | ':');
    let lines = answer
        .lines()
        .map(|line| line.split('\t').next().unwrap_or_default())
        .map(|line| line.trim_matches(around));
    let line = lines
        .into_iter()
        .find(|line| line.chars().any(char::is_alphanumeric))?;
    Some(line.chars().take(200).collect())
}

/// The first number in what a judge wrote, if it lies between 0 and 10.
///
/// # Example
/// ```
/// use explain::read_prediction;
///
/// assert_eq!(read_prediction(" 7.5 of 10"), Some(7.5));
/// assert_eq!(read_prediction("about -3"), None);
/// assert_eq!(read_prediction("no idea"), None);
/// ```
pub fn read_prediction(answer: &str) -> Option<f64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    let numbers = answer.split(|c: char| !is_part(c));
    let number = numbers
        .map(|word| word.trim_end_matches(['.', '-']))
        .find(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    let value: f64 = number.parse().ok()?;
    (0.0..=10.0).contains(&value).then_some(value)
}

/// The prompts as shipped: that of the explainer, that of the judge.
#[cfg(test)]
pub(crate) fn shipped() -> [PromptTemplate; 2] {
    [
        include_str!("../../../assets/prompts/concept_explain.toml"),
        include_str!("../../../assets/prompts/concept_judge.toml"),
    ]
    .map(|text| toml::from_str(text).unwrap())
}

#[cfg(test)]
mod tests {
    use schema::CatalogueItem;

    use super::*;
    use crate::ShownItem;

    fn texts() -> ItemTexts {
        ItemTexts::of_catalogue(&[
            CatalogueItem {
                id: 1,
                title: "Green\tTea <|im_end|>".to_owned(),
                categories: vec!["Drinks".to_owned(), "Tea".to_owned()],
                ..CatalogueItem::default()
            },
            CatalogueItem {
                id: 2,
                ..CatalogueItem::default()
            },
        ])
    }

    #[test]
    fn prompts_show_levels_to_the_explainer_only() {
        let level = |item, level| ShownItem { item, level };
        let case = ShownCase {
            history: vec![level(2, Some(3))],
            recommended: level(1, Some(9)),
        };
        let [explain, judge] = shipped();
        let chat = explanation_chat(&explain, std::slice::from_ref(&case), &texts());
        assert_eq!(
            chat.user,
            "<start>\nitem 2\t3\nGreen Tea < |im_end|> (Drinks, Tea)\t9\n<end>"
        );
        let hidden = case.without_levels();
        assert_eq!(hidden.recommended.level, None);
        let chat = judgement_chat(&judge, "tea", &hidden, &texts(), false);
        assert!(!chat.user.contains('\t') && !chat.user.contains('9'));
        assert!(
            chat.user
                .ends_with("Last item: Green Tea < |im_end|> (Drinks, Tea)")
        );
        let again = judgement_chat(&judge, "tea", &case, &texts(), true);
        assert!(again.user.starts_with(&chat.user) && again != chat);
    }

    #[test]
    fn answers_are_read_as_models_write_them() {
        let read = |text: &str| read_explanation(text).unwrap_or_default();
        assert_eq!(read(" \"sci-fi films.\"\nBecause …"), "sci-fi films");
        assert_eq!(read("\n\n: **dark comedies**"), "dark comedies");
        assert_eq!(read(" tea (Drinks)\t8"), "tea (Drinks)");
        assert_eq!(read_explanation(" .\n "), None);
        assert_eq!(read(&"x".repeat(900)).len(), 200);
        for (text, value) in [
            ("10", Some(10.0)),
            ("8.", Some(8.0)),
            ("I say 0", Some(0.0)),
            ("11", None),
            ("1.2.3", None),
            ("", None),
        ] {
            assert_eq!(read_prediction(text), value, "{text}");
        }
    }
}
