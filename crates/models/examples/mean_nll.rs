//! Mean negative log-likelihood of token lists under a GGUF model, teacher-forced.
//!
//! `cargo run --release -p models --example mean_nll -- GGUF LISTS.json`, the file a JSON array of
//! arrays of ids. Prints one JSON object: the sum over all predicted tokens, their number, and the
//! sum of each list.

use std::path::Path;

use models::text::load_gguf;
use models::{HookSpec, ModelError, ModelInput};

fn main() -> Result<(), ModelError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gguf, lists] = arguments.as_slice() else {
        return Err(ModelError::Request(
            "expected a GGUF file and a JSON file of id lists".to_owned(),
        ));
    };
    let request = |error: &dyn std::fmt::Display| ModelError::Request(format!("{lists}: {error}"));
    let text = std::fs::read_to_string(lists).map_err(|error| request(&error))?;
    let lists: Vec<Vec<u32>> = serde_json::from_str(&text).map_err(|error| request(&error))?;
    let model = load_gguf(Path::new(gguf), "")?;
    let (mut sums, mut n_tokens) = (Vec::with_capacity(lists.len()), 0);
    for ids in lists {
        let input = ModelInput {
            ids,
            ..ModelInput::default()
        };
        let losses = model.token_losses(&input, &HookSpec::default())?;
        n_tokens += losses.len();
        sums.push(losses.iter().copied().map(f64::from).sum::<f64>());
    }
    let total: f64 = sums.iter().sum();
    let answer = serde_json::json!({
        "sum": total,
        "n_tokens": n_tokens,
        "mean": total / n_tokens as f64,
        "sums": sums,
    });
    #[expect(
        clippy::print_stdout,
        reason = "the figures are what this example is for"
    )]
    {
        println!("{answer}");
    }
    Ok(())
}
