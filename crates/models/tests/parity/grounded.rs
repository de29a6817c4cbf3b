//! The reader of grounded reports against the reference's cases.

use models::vision_language::grounded::{box_on_film, parse_grounded};

use super::shared_files::{max_difference, numbers, shared_json};

const CASES: &str = "fixtures/maira_tiny/ref/postprocess_cases.json";

#[test]
fn reports_are_read_as_the_reference_reads_them() {
    let Some(cases) = shared_json(CASES) else {
        return;
    };
    let cases = cases["parse"].as_array().unwrap();
    assert!(cases.len() >= 9);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let report = parse_grounded(text);
        if case["parsed"] == "ERROR" {
            assert!(!report.warnings.is_empty(), "{text}");
            assert!(!report.sentences.is_empty(), "{text}");
            continue;
        }
        assert_eq!(report.warnings, Vec::<String>::new(), "{text}");
        if let Some(plain) = case["parsed"].as_str() {
            assert!(!report.is_grounded);
            assert_eq!(report.sentences[0].text, plain);
            continue;
        }
        let expected = case["parsed"].as_array().unwrap();
        assert_eq!(report.sentences.len(), expected.len());
        for (sentence, expected) in report.sentences.iter().zip(expected) {
            assert_eq!(sentence.text, expected[0].as_str().unwrap());
            let boxes: Vec<Vec<f32>> = match &expected[1] {
                serde_json::Value::Null => Vec::new(),
                boxes => numbers(boxes),
            };
            assert_eq!(sentence.boxes.len(), boxes.len());
            for (ours, theirs) in sentence.boxes.iter().zip(&boxes) {
                assert!(max_difference(ours, theirs) < 1e-6, "{text}");
            }
        }
    }
}

#[test]
fn boxes_come_back_to_the_film() {
    let Some(cases) = shared_json(CASES) else {
        return;
    };
    for case in cases["adjust_for_original_size"].as_array().unwrap() {
        let square: Vec<f32> = numbers(&case["box"]);
        let size = |key: &str| case[key].as_u64().unwrap() as u32;
        let square = <[f32; 4]>::try_from(square).unwrap();
        let ours = box_on_film(square, size("width"), size("height"));
        let theirs: Vec<f32> = numbers(&case["adjusted"]);
        assert!(max_difference(&ours, &theirs) < 1e-6);
    }
}
