//! The language-model route on recorded answers of `SmolLM2-135M-Instruct` (`Q4_1`, greedy), so that
//! it runs without a model. `engine` checks that the model still answers so.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::cell::Cell;
use std::collections::BTreeMap;

use explain::{
    Chat, ExplainError, Explainer as _, ItemTexts, Judge as _, JudgedText, ModelExplainer,
    ModelJudge, Passage, PassageExplainer, PassageJudge, PromptTemplate, ShownCase, ShownItem,
    TextModel, Writing, simulate,
};
use schema::{CatalogueItem, FeatureId};

/// What the model said of items of a shop.
const CASES: &str = include_str!("smollm2_transcripts.json");
/// What it said of passages of reports, asked with the prompts as shipped.
const PASSAGES: &str = include_str!("smollm2_passages.json");

/// Turns by prompt, and how often it was asked.
struct Recorded {
    turns: BTreeMap<String, serde_json::Value>,
    n_asked: Cell<usize>,
}

impl Recorded {
    fn read(recorded: &str) -> Self {
        let turns: Vec<serde_json::Value> = serde_json::from_str(recorded).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let turns = turns.into_iter().map(|turn| {
            let examples = turn["examples"].as_array().unwrap().iter();
            let chat = Chat {
                system: text(&turn["system"]),
                examples: examples
                    .map(|pair| (text(&pair[0]), text(&pair[1])))
                    .collect(),
                user: text(&turn["user"]),
                lead_in: text(&turn["lead_in"]),
            };
            (chat.to_string(), turn)
        });
        Self {
            turns: turns.collect(),
            n_asked: Cell::new(0),
        }
    }

    fn turn(&self, chat: &Chat) -> Result<&serde_json::Value, ExplainError> {
        self.n_asked.set(self.n_asked.get() + 1);
        let prompt = chat.to_string();
        self.turns
            .get(&prompt)
            .ok_or_else(|| ExplainError::TextModel {
                reason: format!("nothing was recorded for\n{prompt}"),
            })
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

impl TextModel for Recorded {
    fn write(&self, chat: &Chat, _how: Writing) -> Result<String, ExplainError> {
        Ok(self.turn(chat)?["answer"].as_str().unwrap().to_owned())
    }

    fn choose(&self, chat: &Chat, answers: &[&str]) -> Result<Option<Vec<f64>>, ExplainError> {
        let turn = self.turn(chat)?;
        assert_eq!(turn["choices"], serde_json::json!(answers));
        Ok(Some(numbers(&turn["log_probabilities"])))
    }

    fn expect_levels(
        &self,
        chat: &Chat,
        words: &[String],
    ) -> Result<Option<Vec<f64>>, ExplainError> {
        let turn = self.turn(chat)?;
        assert_eq!(turn["words"], serde_json::json!(words));
        Ok(Some(numbers(&turn["levels"])))
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
    let model = Recorded::read(CASES);
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

fn template(text: &str) -> PromptTemplate {
    toml::from_str(text).unwrap()
}

fn passage(text: &[(&str, f32)]) -> Passage {
    let activations: Vec<f32> = text.iter().map(|(_, value)| *value).collect();
    Passage {
        tokens: text.iter().map(|(token, _)| (*token).to_owned()).collect(),
        strongest: activations.iter().copied().fold(0.0, f32::max),
        activations,
    }
}

#[test]
fn passages_are_explained_detected_fuzzed_and_simulated_from_the_recorded_answers() {
    let model = Recorded::read(PASSAGES);
    let writing = Writing {
        max_tokens: 1,
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };
    let right = passage(&[
        ("Right", 0.0),
        (" pleural", 2.0),
        (" effusion", 8.0),
        (".", 0.0),
        (" Heart", 0.0),
        (" is", 0.0),
        (" normal", 0.0),
        (".", 0.0),
    ]);
    let left = passage(&[
        ("Small", 0.0),
        (" left", 1.0),
        (" effusion", 7.0),
        (" is", 0.0),
        (" seen", 0.0),
        (".", 0.0),
    ]);
    let silent = passage(&[
        ("No", 0.0),
        (" focal", 0.0),
        (" consolidation", 0.0),
        (".", 0.0),
    ]);
    let asked = template(include_str!("../../../assets/prompts/explain.toml"));
    let explainer = PassageExplainer {
        model: &model,
        template: &asked,
        writing,
    };
    let explained = explainer.explain(FeatureId(1), &[right.clone(), left]);
    assert_eq!(explained.unwrap().unwrap().text, OF_PASSAGES);

    let told = "pleural effusion";
    let judged = |prompt: &str, text: String| {
        let template = template(prompt);
        let judge = PassageJudge {
            model: &model,
            template: &template,
            writing,
        };
        let value = judge.predict(told, &JudgedText(text)).unwrap().unwrap();
        (100.0 * value).round() / 100.0
    };
    let detect = include_str!("../../../assets/prompts/detect.toml");
    let fuzz = include_str!("../../../assets/prompts/fuzz.toml");
    let said = [
        judged(detect, right.plain()),
        judged(detect, silent.plain()),
        judged(fuzz, right.marked()),
        judged(fuzz, right.marked_wrongly(0).unwrap()),
    ];
    assert_eq!(said, OF_JUDGEMENTS);
    let asked = template(include_str!("../../../assets/prompts/simulate.toml"));
    let simulated = simulate(&model, &asked, told, &[&right, &silent]);
    let simulated = simulated.unwrap().unwrap();
    assert_eq!(simulated.n_tokens, 12);
    let correlation = simulated.correlation.unwrap();
    assert!((correlation - OF_SIMULATION).abs() < 1e-3, "{correlation}");
    assert_eq!(model.n_asked.get(), 7);
}

/// What the small model makes of the marked words.
const OF_PASSAGES: &str = "pleural effusions";
/// Detection of a passage that fits and of one that does not, then fuzzing of marks that fit and of
/// marks that do not.
const OF_JUDGEMENTS: [f64; 4] = [6.72, 5.54, 6.97, 6.89];
/// Correlation of the simulated activations.
const OF_SIMULATION: f64 = 0.417;
