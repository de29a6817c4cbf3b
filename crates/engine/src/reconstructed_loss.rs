//! The loss of a report's tokens when a model runs on something else in place of the rows that a
//! dictionary reads.

use std::sync::Arc;

use models::{ActivationEdit, EditedPosition, HookSpec, ModelError, ModelInput};
use sae::SparseAutoencoder;
use schema::{HarvestManifest, PositionClass};
use store::Dataset;

use crate::error::{EngineError, Result};
use crate::harvest::{load_film_of, record_of};
use crate::model_registry::LoadedModel;

/// What stands in place of the rows.
#[derive(Clone, Copy)]
pub(crate) enum Instead<'a> {
    /// The rows themselves.
    Nothing,
    /// Zeros.
    Zeros,
    /// What a dictionary makes of them.
    Reconstruction(&'a Arc<SparseAutoencoder>),
}

/// Puts something else in place of the rows that a dictionary reads.
struct Replaced {
    /// The dictionary whose reconstruction it is; `None` for zeros.
    by: Option<Arc<SparseAutoencoder>>,
    classes: Vec<PositionClass>,
}

impl ActivationEdit for Replaced {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let read: Vec<usize> = (0..positions.len())
            .filter(|&at| self.classes.contains(&positions[at].class))
            .collect();
        let chosen: Vec<f32> = read
            .iter()
            .flat_map(|&at| rows[at * d_model..(at + 1) * d_model].iter().copied())
            .collect();
        let replaced = match &self.by {
            None => vec![0.0; chosen.len()],
            // Rows that cannot be encoded end in a loss that is no number, which is reported.
            Some(sae) => sae
                .reconstruct(&chosen)
                .unwrap_or_else(|_| vec![f32::NAN; chosen.len()]),
        };
        for (&at, row) in read.iter().zip(replaced.chunks_exact(d_model)) {
            rows[at * d_model..(at + 1) * d_model].copy_from_slice(row);
        }
    }
}

/// A sample with its report, as the model reads it.
pub(crate) fn prepare_report(
    model: &LoadedModel,
    dataset: &Dataset,
    sample: u32,
) -> Result<ModelInput> {
    let film = load_film_of(dataset, sample)?;
    Ok(model.hooked.prepare(models::ModelSample {
        film: film.as_ref(),
        report: record_of(dataset, sample)?.report.as_ref(),
        ..models::ModelSample::default()
    })?)
}

/// Sum of −log p over the tokens of the report, in nats, and how many there are, with something in
/// place of the rows of a harvest; `None` for a model that writes no text.
pub(crate) fn report_loss(
    model: &LoadedModel,
    manifest: &HarvestManifest,
    input: &ModelInput,
    instead: Instead<'_>,
) -> Result<Option<(f64, u64)>> {
    let by = match instead {
        Instead::Nothing => None,
        Instead::Zeros => Some(None),
        Instead::Reconstruction(sae) => Some(Some(Arc::clone(sae))),
    };
    let spec = by.map_or_else(HookSpec::default, |by| {
        let edit: Arc<dyn ActivationEdit> = Arc::new(Replaced {
            by,
            classes: manifest.classes.clone(),
        });
        HookSpec {
            edits: vec![(manifest.hook, edit)],
            ..HookSpec::default()
        }
    });
    match model.hooked.logits(input, &spec) {
        Ok((logits, _)) => loss_of(input, &logits).map(Some),
        Err(ModelError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn loss_of(input: &ModelInput, logits: &[f32]) -> Result<(f64, u64)> {
    let n_vocab = logits.len() / input.ids.len().max(1);
    let (mut sum, mut n) = (0.0, 0);
    for at in 1..input.ids.len() {
        if input.classes.get(at) != Some(&PositionClass::Report) {
            continue;
        }
        let row = &logits[(at - 1) * n_vocab..at * n_vocab];
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|&score| f64::from(score - most).exp()).sum();
        let own = row.get(input.ids[at] as usize).copied().unwrap_or(f32::NAN);
        sum += total.ln() + f64::from(most - own);
        n += 1;
    }
    if f64::is_finite(sum) {
        Ok((sum, n))
    } else {
        Err(EngineError::other(
            "the loss of a report is not a finite number",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_a_report_by_hand() {
        let input = ModelInput {
            ids: vec![0, 1, 1],
            classes: vec![
                PositionClass::Bos,
                PositionClass::Boilerplate,
                PositionClass::Report,
            ],
            ..ModelInput::default()
        };
        // The last token is predicted from the second position, with odds of 3 to 1 against it.
        let logits = [9.0, 0.0, 3_f32.ln(), 0.0, 5.0, 5.0];
        let (loss, n) = loss_of(&input, &logits).unwrap();
        assert!((loss - 4_f64.ln()).abs() < 1e-6, "{loss}");
        assert_eq!(n, 1);
        assert!(loss_of(&input, &[f32::NAN; 6]).is_err());
    }

    #[test]
    fn only_rows_that_the_dictionary_reads_are_replaced() {
        let position = |class| EditedPosition {
            position: 0,
            prompt_len: 2,
            class,
        };
        let mut rows = vec![1.0, 2.0, 3.0, 4.0];
        let zeros = Replaced {
            by: None,
            classes: vec![PositionClass::Report],
        };
        let positions = [
            position(PositionClass::Image),
            position(PositionClass::Report),
        ];
        zeros.apply(&mut rows, 2, &positions);
        assert_eq!(rows, [1.0, 2.0, 0.0, 0.0]);
    }
}
