//! AUROC, F1 and agreement against values of scikit-learn, Delphi and the package `krippendorff` in
//! the shared fixtures.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

use std::fs;
use std::path::{Path, PathBuf};

use explain::agreement::{Level, Ratings, Weighting};
use explain::{Confidence, Detection, F1Counts, auroc, auroc_interval, frequency_weighted};
use serde_json::Value;

/// A file of the shared folder, or `None` if there is no such folder here.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn shared(file: &str) -> Option<Value> {
    let root = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join(file);
    if !path.is_file() {
        let required = std::env::var("FLUOROSCOPE_REQUIRE_SHARED").is_ok_and(|v| v == "1");
        assert!(!required, "{} is missing", path.display());
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(serde_json::from_slice(&fs::read(&path).unwrap()).unwrap())
}

fn flags(values: &Value) -> Vec<bool> {
    let flag = |value: &Value| value.as_bool().or(value.as_u64().map(|n| n == 1));
    values
        .as_array()
        .unwrap()
        .iter()
        .map(|v| flag(v).unwrap_or(false))
        .collect()
}

#[test]
fn auroc_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/detection_fuzzing.json") else {
        return;
    };
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let Some(expected) = case["auc"].as_f64() else {
            continue;
        };
        let activating = flags(&case["activating"]);
        // Rows whose prediction is null were dropped by the reference.
        let (mut scores, mut with) = (Vec::new(), Vec::new());
        for (i, probability) in case["probability"].as_array().unwrap().iter().enumerate() {
            if let Some(probability) = probability.as_f64()
                && !case["prediction"][i].is_null()
            {
                scores.push(probability as f32);
                with.push(activating[i]);
            }
        }
        let got = auroc(&scores, &with).unwrap().unwrap();
        assert!(
            (got - expected).abs() < 1e-12,
            "{}: {got} {expected}",
            case["name"]
        );
        if let Some(estimate) = auroc_interval(&scores, &with).unwrap() {
            assert!((estimate.value - expected).abs() < 1e-12);
        }
        compared += 1;
    }
    assert!(compared > 0);
}

/// The detection and fuzzing scores of Delphi and scikit-learn, from the same answers.
#[test]
fn detection_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/detection_fuzzing.json") else {
        return;
    };
    let close = |name: &Value, got: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!((got - expected).abs() < 1e-12, "{name}: {got} {expected}");
    };
    let cases = fixture["cases"].as_array().unwrap();
    for case in cases {
        let said: Vec<Option<f64>> = case["prediction"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::as_f64)
            .collect();
        let score = Detection::of(&flags(&case["activating"]), &said);
        let confusion = &case["delphi_confusion"];
        for (key, count) in [
            ("true_positives", score.n_found),
            ("true_negatives", score.n_spared),
            ("false_positives", score.n_false),
            ("false_negatives", score.n_missed),
        ] {
            assert_eq!(confusion[key], count, "{}: {key}", case["name"]);
        }
        // Delphi takes 0 where there is nothing to divide by.
        let or_zero = |value: Option<f64>| value.unwrap_or(0.0);
        let metrics = &case["delphi_metrics"];
        let [recall, specificity] = [score.recall(), score.specificity()].map(or_zero);
        let name = &case["name"];
        close(name, or_zero(score.precision()), &metrics["precision"]);
        close(name, recall, &metrics["recall"]);
        close(name, specificity, &metrics["true_negative_rate"]);
        close(name, 0.5 * (recall + specificity), &metrics["accuracy"]);
        close(name, or_zero(score.f1()), &metrics["f1_score"]);
        if let Some(both) = score.balanced_accuracy() {
            close(name, both, &metrics["accuracy"]);
        }
    }
    assert!(cases.len() > 3);

    let weighted = &fixture["frequency_weighted_f1"];
    let scores: Vec<(f64, u64)> = weighted["latents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|latent| {
            let said: Vec<Option<f64>> = latent["prediction"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::as_f64)
                .collect();
            let score = Detection::of(&flags(&latent["activating"]), &said);
            let count = latent["firing_count"].as_u64().unwrap();
            (score.f1().unwrap_or(0.0), count)
        })
        .collect();
    let got = frequency_weighted(&scores).unwrap();
    // The reference sums in f32.
    let expected = weighted["value"].as_f64().unwrap();
    assert!((got - expected).abs() < 1e-6, "{got} {expected}");
}

#[test]
fn f1_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/recsae_confidence.json") else {
        return;
    };
    let mut compared = 0;
    for latent in fixture["latents"].as_array().unwrap() {
        let said = flags(&latent["llm_says_active"]);
        let mut counts = F1Counts::default();
        for (activation, said) in latent["activation"].as_array().unwrap().iter().zip(said) {
            match (said, activation.as_f64().unwrap() > 0.0) {
                (true, true) => counts.true_positive += 1,
                (true, false) => counts.false_positive += 1,
                (false, true) => counts.false_negative += 1,
                (false, false) => {}
            }
        }
        for (got, key) in [
            (counts.f1(), "f1"),
            (counts.precision(), "precision"),
            (counts.recall(), "recall"),
        ] {
            let expected = latent[key].as_f64().unwrap();
            assert!(
                (got - expected).abs() < 1e-12,
                "{}: {key}",
                latent["latent"]
            );
        }
        compared += 1;
    }
    assert!(compared > 0);
}

/// A yes is a prediction of 10 and a no one of 0; what `RecSAE` calls precision is the specificity.
#[test]
fn confidence_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/recsae_confidence.json") else {
        return;
    };
    let latents = fixture["latents"].as_array().unwrap();
    for latent in latents {
        let name = &latent["latent"];
        let said = flags(&latent["llm_says_active"]);
        let (mut activating, mut silent) = (Vec::new(), Vec::new());
        for (activation, said) in latent["activation"].as_array().unwrap().iter().zip(said) {
            let cases = if activation.as_f64().unwrap() > 0.0 {
                &mut activating
            } else {
                &mut silent
            };
            cases.push(Some(if said { 10.0 } else { 0.0 }));
        }
        let score = Confidence::of(&activating, &silent);
        let count = |key: &str| latent[key].as_f64().unwrap();
        assert_eq!(score.n_unparsed, 0, "{name}");
        let n: f64 = ["tp", "fp", "fn", "tn"].map(count).iter().sum();
        assert_eq!(score.n_cases as f64, n, "{name}");
        let close = |got: Option<f64>, expected: f64| {
            let got = got.unwrap();
            assert!((got - expected).abs() < 1e-12, "{name}: {got} {expected}");
        };
        close(score.value, count("accuracy"));
        if latent["recall_defined"].as_bool().unwrap() {
            close(score.recall, count("recall"));
        } else {
            assert_eq!(score.recall, None, "{name}");
        }
        let n_silent = count("tn") + count("fp");
        if n_silent > 0.0 {
            close(score.specificity, count("tn") / n_silent);
        } else {
            assert_eq!(score.specificity, None, "{name}");
        }
    }
    assert!(latents.len() > 3);
}

/// Columns of a fixture, one list per reader, as rows of a table.
fn by_feature(readers: &[Vec<Option<f64>>]) -> Vec<Vec<Option<f64>>> {
    (0..readers[0].len())
        .map(|feature| readers.iter().map(|reader| reader[feature]).collect())
        .collect()
}

fn numbers(values: &Value) -> Vec<Option<f64>> {
    values
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_f64)
        .collect()
}

#[test]
fn cohen_kappa_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/cohen_kappa.json") else {
        return;
    };
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let rows = by_feature(&[numbers(&case["a"]), numbers(&case["b"])]);
        let ratings = Ratings::of_numbers(&rows).unwrap();
        let name = &case["name"];
        for (got, key) in [
            (ratings.cohen_kappa(Weighting::Unweighted), "kappa"),
            (ratings.cohen_kappa(Weighting::Linear), "kappa_linear"),
            (ratings.cohen_kappa(Weighting::Quadratic), "kappa_quadratic"),
            (ratings.raw_agreement(), "po"),
        ] {
            let (got, expected) = (got.unwrap(), case[key].as_f64().unwrap());
            assert!(
                (got - expected).abs() < 1e-12,
                "{name} {key}: {got} {expected}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 40);
}

#[test]
fn krippendorff_alpha_equals_the_reference() {
    let Some(fixture) = shared("fixtures/scores/krippendorff_alpha.json") else {
        return;
    };
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let readers: Vec<_> = case["ratings"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        let ratings = Ratings::of_numbers(&by_feature(&readers)).unwrap();
        for (level, key) in [
            (Level::Nominal, "nominal"),
            (Level::Ordinal, "ordinal"),
            (Level::Interval, "interval"),
            (Level::Ratio, "ratio"),
        ] {
            let got = ratings.krippendorff_alpha(level).unwrap();
            let expected = case[key].as_f64().unwrap();
            assert!(
                (got - expected).abs() < 1e-12,
                "{} {key}: {got} {expected}",
                case["name"]
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 36);
}
