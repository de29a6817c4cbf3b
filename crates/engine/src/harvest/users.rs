//! User vectors of the histories of a dataset.

use models::HookedModel as _;
use models::recommenders::{Recommender, UserQuery};
use schema::{HookPoint, PositionClass, RowRef, SampleRecord};

use super::{SampleRows, SampleSidecar, training_items};
use crate::error::Result;

/// The user's row in a table of users: what the import says, or the place in the dataset plus 1.
pub(crate) fn user_number(record: &SampleRecord, sample: u32) -> u32 {
    let stated = record.facts.get("user_number");
    stated
        .and_then(|text| text.parse().ok())
        .unwrap_or(sample + 1)
}

/// What a recommender is asked after each item of the training part.
pub(crate) fn prefixes(record: &SampleRecord, sample: u32) -> Vec<UserQuery<'_>> {
    let items = training_items(record);
    let user = Some(user_number(record, sample));
    (1..=items.len())
        .map(|end| UserQuery {
            user,
            history: &items[..end],
        })
        .collect()
}

/// Histories before each train item that a recommender is trained to predict, and the rows that each
/// gives when every position of it is read.
fn contexts<'a>(recommender: &Recommender, record: &'a SampleRecord) -> Vec<&'a [u32]> {
    let items = training_items(record);
    let keep = recommender.config().history_max().unwrap_or(u32::MAX) as usize;
    (1..items.len())
        .map(|end| &items[end.saturating_sub(keep)..end])
        .collect()
}

/// How many rows [`read`] gives.
pub(super) fn n_rows(recommender: &Recommender, record: &SampleRecord, every_context: bool) -> u64 {
    let n = training_items(record).len();
    if !every_context {
        return n as u64;
    }
    if !recommender.config().has_vector_per_item() {
        return n.saturating_sub(1) as u64;
    }
    let rows = contexts(recommender, record);
    rows.iter().map(|history| history.len() as u64).sum()
}

/// User vectors of one sample.
///
/// Row p is what the recommender would know of the user had the history ended with item p. With
/// `every_context`, as `RecSAE` trains, every history that the recommender was trained to go on from
/// is read, and of each all positions, so that an item comes as often as histories hold it.
pub(super) fn read(
    recommender: &Recommender,
    record: &SampleRecord,
    sample: u32,
    every_context: bool,
) -> Result<SampleRows> {
    let (rows, positions) = if every_context {
        read_contexts(recommender, record, sample)?
    } else {
        let n = training_items(record).len() as u32;
        let rows = recommender.user_vectors(&prefixes(record, sample))?;
        (rows, (0..n).collect())
    };
    let refs = positions.into_iter().map(|position| RowRef {
        sample,
        position,
        class: PositionClass::Item,
    });
    Ok(SampleRows {
        rows,
        refs: refs.collect(),
        sidecar: SampleSidecar {
            sample,
            grid: None,
            texts: Vec::new(),
            classes: Vec::new(),
        },
    })
}

/// Rows of all contexts, and the place of each row's item in the history.
fn read_contexts(
    recommender: &Recommender,
    record: &SampleRecord,
    sample: u32,
) -> Result<(Vec<f32>, Vec<u32>)> {
    let inputs = contexts(recommender, record)
        .into_iter()
        .map(|history| {
            recommender.prepare(models::ModelSample {
                items: Some(history),
                user: Some(user_number(record, sample)),
                ..models::ModelSample::default()
            })
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let captured = recommender.capture(&inputs, &[HookPoint::UserVector])?;
    let mut found: Vec<(u32, &[f32])> = Vec::new();
    for (end, of_context) in (1_u32..).zip(&captured) {
        for captured in of_context {
            let first = end - captured.n_rows as u32;
            found.extend((first..).zip(captured.values.chunks_exact(captured.d_model)));
        }
    }
    // A harvest stands in the order of samples and positions.
    found.sort_by_key(|(position, _)| *position);
    let rows = found.iter().flat_map(|(_, row)| row.iter().copied());
    Ok((
        rows.collect(),
        found.iter().map(|(position, _)| *position).collect(),
    ))
}
