//! The language-model route on recorded answers of `SmolLM2-135M-Instruct` (`Q4_1`, greedy), so that
//! it runs without a model. `engine` checks that the model still answers so.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::cell::Cell;
use std::collections::BTreeMap;

use explain::{
    Chat, ExplainError, Explainer as _, ItemTexts, Judge as _, ModelExplainer, ModelJudge,
    ShownCase, ShownItem, TextModel, Writing,
};
use schema::{CatalogueItem, FeatureId};

const RECORDED: &str = include_str!("smollm2_transcripts.json");

/// Answers by prompt, and how often it was asked.
struct Recorded {
    answers: BTreeMap<String, String>,
    n_asked: Cell<usize>,
}

impl Recorded {
    fn read() -> Self {
        let turns: Vec<serde_json::Value> = serde_json::from_str(RECORDED).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let answers = turns.iter().map(|turn| {
            let examples = turn["examples"].as_array().unwrap().iter();
            let chat = Chat {
                system: text(&turn["system"]),
                examples: examples
                    .map(|pair| (text(&pair[0]), text(&pair[1])))
                    .collect(),
                user: text(&turn["user"]),
                lead_in: text(&turn["lead_in"]),
            };
            (chat.to_string(), text(&turn["answer"]))
        });
        Self {
            answers: answers.collect(),
            n_asked: Cell::new(0),
        }
    }
}

impl TextModel for Recorded {
    fn write(&self, chat: &Chat, _how: Writing) -> Result<String, ExplainError> {
        self.n_asked.set(self.n_asked.get() + 1);
        let prompt = chat.to_string();
        self.answers
            .get(&prompt)
            .cloned()
            .ok_or_else(|| ExplainError::TextModel {
                reason: format!("nothing was recorded for\n{prompt}"),
            })
    }
}

fn shop() -> ItemTexts {
    let titles = [
        "Loose Leaf Green Tea",
        "Glass Teapot",
        "Loose Leaf Assam Tea",
        "Cat Food Salmon Pouches",
        "Loose Leaf Oolong Tea",
        "Paper Towels",
    ];
    let item = |(id, title): (u32, &&str)| CatalogueItem {
        id,
        title: (*title).to_owned(),
        ..CatalogueItem::default()
    };
    let items: Vec<CatalogueItem> = (1..).zip(&titles).map(item).collect();
    ItemTexts::of_catalogue(&items)
}

fn case(items: &[(u32, u8)]) -> ShownCase {
    let mut shown: Vec<ShownItem> = items
        .iter()
        .map(|&(item, level)| ShownItem {
            item,
            level: Some(level),
        })
        .collect();
    let recommended = shown.pop().unwrap();
    ShownCase {
        history: shown,
        recommended,
    }
}

#[test]
fn an_explanation_and_its_judgements_come_from_the_recorded_answers() {
    let model = Recorded::read();
    let texts = shop();
    let writing = Writing {
        max_tokens: 1,
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };
    let [explain, judge] = [
        include_str!("../../../assets/prompts/concept_explain.toml"),
        include_str!("../../../assets/prompts/concept_judge.toml"),
    ]
    .map(|text| toml::from_str(text).unwrap());
    let explainer = ModelExplainer {
        model: &model,
        template: &explain,
        texts: &texts,
        writing,
    };
    let cases = [
        case(&[(6, 0), (2, 7), (3, 8)]),
        case(&[(4, 0), (1, 9), (5, 9)]),
    ];
    let explained = explainer.explain(FeatureId(1), &cases).unwrap().unwrap();
    assert_eq!(explained.text, EXPLANATION);
    let judge = ModelJudge {
        model: &model,
        template: &judge,
        texts: &texts,
        writing,
    };
    let predict = |items: &[(u32, u8)]| {
        judge
            .predict("loose leaf tea", &case(items).without_levels())
            .unwrap()
    };
    let said = [predict(&[(2, 0), (1, 0)]), predict(&[(6, 0), (4, 0)])];
    assert_eq!(said, JUDGEMENTS);
    assert_eq!(model.n_asked.get(), 3);
}

/// What the small model makes of it: the shelf rather than the taste.
const EXPLANATION: &str = "food and drinks";
/// And it says 10 to the cat food as well.
const JUDGEMENTS: [Option<f64>; 2] = [Some(10.0), Some(10.0)];
