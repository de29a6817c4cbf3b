//! Where training rows come from: the trait a trainer needs, and a source in memory.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::error::SaeError;

/// Rows of hook activations in an order that is a pure function of the source's seed.
///
/// The order is one endless sequence of rows. After [`seek`](Self::seek) to row `r` the next batch
/// begins with row `r` of that sequence, whatever was read before; this is what lets a resumed run
/// see the batches of an undisturbed one.
pub trait ActivationSource {
    /// Width of a row.
    fn d_model(&self) -> usize;

    /// Number of different rows.
    fn n_rows(&self) -> u64;

    /// Clears `out` and fills it with the next `rows` rows, `[rows, d_model]`.
    ///
    /// # Errors
    /// [`SaeError::Source`] if they cannot be read.
    fn next_batch(&mut self, rows: usize, out: &mut Vec<f32>) -> Result<(), SaeError>;

    /// Whether rows come with others that they are to predict.
    fn has_targets(&self) -> bool {
        false
    }

    /// Clears `out` and fills it with what the rows of the last batch are to predict,
    /// `[rows, d_model]`; with nothing where there is no such thing.
    ///
    /// # Errors
    /// [`SaeError::Source`] if they cannot be read.
    fn last_targets(&mut self, out: &mut Vec<f32>) -> Result<(), SaeError> {
        out.clear();
        Ok(())
    }

    /// How many rows of the sequence lie before the next batch.
    fn position(&self) -> u64;

    /// Moves to row `position` of the sequence.
    ///
    /// # Errors
    /// [`SaeError::Source`] if that cannot be done.
    fn seek(&mut self, position: u64) -> Result<(), SaeError>;
}

/// Rows in memory, each epoch in its own order, drawn from the seed and the epoch's number.
#[derive(Debug, Clone)]
pub struct InMemorySource {
    d_model: usize,
    rows: Vec<f32>,
    /// What each row is to predict; empty where there is no such thing.
    targets: Vec<f32>,
    /// Rows of the last batch.
    last: Vec<u32>,
    seed: Option<u64>,
    position: u64,
    /// The order of rows in `epoch`; empty until the first batch.
    order: Vec<u32>,
    epoch: u64,
}

impl InMemorySource {
    /// A source of `rows` `[n_rows, d_model]`, shuffled anew in every epoch.
    ///
    /// # Errors
    /// [`SaeError::Shape`] if there is no row, or `rows` is not whole rows.
    pub fn new(rows: Vec<f32>, d_model: usize, seed: u64) -> Result<Self, SaeError> {
        Self::with_order(rows, d_model, Some(seed))
    }

    /// The same, in the given order, over and over.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn in_order(rows: Vec<f32>, d_model: usize) -> Result<Self, SaeError> {
        Self::with_order(rows, d_model, None)
    }

    /// The same rows, each with the one that it is to predict, for a transcoder.
    ///
    /// # Errors
    /// [`SaeError::Shape`] if there are not as many values as the rows have.
    pub fn with_targets(self, targets: Vec<f32>) -> Result<Self, SaeError> {
        if targets.len() != self.rows.len() {
            let rows = |values: &[f32]| values.len() as f64 / self.d_model as f64;
            return Err(SaeError::shape(
                "the targets",
                format!("{} rows of {} values", rows(&self.rows), self.d_model),
                format!("{} such rows", rows(&targets)),
            ));
        }
        Ok(Self { targets, ..self })
    }

    fn with_order(rows: Vec<f32>, d_model: usize, seed: Option<u64>) -> Result<Self, SaeError> {
        if d_model == 0 || rows.is_empty() || !rows.len().is_multiple_of(d_model) {
            return Err(SaeError::shape(
                "the training rows",
                format!("a multiple of {d_model} (d_model) above 0"),
                rows.len(),
            ));
        }
        Ok(Self {
            d_model,
            rows,
            targets: Vec::new(),
            last: Vec::new(),
            seed,
            position: 0,
            order: Vec::new(),
            epoch: 0,
        })
    }

    fn set_epoch(&mut self, epoch: u64) {
        if !self.order.is_empty() && (self.epoch == epoch || self.seed.is_none()) {
            return;
        }
        self.order = (0..(self.rows.len() / self.d_model) as u32).collect();
        if let Some(seed) = self.seed {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(epoch);
            self.order.shuffle(&mut rng);
        }
        self.epoch = epoch;
    }
}

impl ActivationSource for InMemorySource {
    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_rows(&self) -> u64 {
        (self.rows.len() / self.d_model) as u64
    }

    fn next_batch(&mut self, rows: usize, out: &mut Vec<f32>) -> Result<(), SaeError> {
        out.clear();
        out.reserve(rows * self.d_model);
        let n_rows = self.n_rows();
        self.last.clear();
        for _ in 0..rows {
            self.set_epoch(self.position / n_rows);
            let row = self.order[(self.position % n_rows) as usize];
            self.last.push(row);
            let row = row as usize;
            out.extend_from_slice(&self.rows[row * self.d_model..(row + 1) * self.d_model]);
            self.position += 1;
        }
        Ok(())
    }

    fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    fn last_targets(&mut self, out: &mut Vec<f32>) -> Result<(), SaeError> {
        out.clear();
        if self.has_targets() {
            let d = self.d_model;
            let rows = self.last.iter().map(|&row| row as usize);
            for row in rows {
                out.extend_from_slice(&self.targets[row * d..(row + 1) * d]);
            }
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn seek(&mut self, position: u64) -> Result<(), SaeError> {
        self.position = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_a_function_of_seed_and_position() {
        let rows: Vec<f32> = (0..10_u8).map(f32::from).collect();
        let mut source = InMemorySource::new(rows.clone(), 1, 7).unwrap();
        let mut batches = Vec::new();
        let mut batch = Vec::new();
        for _ in 0..8 {
            source.next_batch(3, &mut batch).unwrap();
            batches.push(batch.clone());
        }
        let mut first: Vec<f32> = batches.concat()[..10].to_vec();
        let second = &batches.concat()[10..20];
        assert_ne!(first, second);
        first.sort_by(f32::total_cmp);
        assert_eq!(first, rows);
        let mut again = InMemorySource::new(rows, 1, 7).unwrap();
        for at in [5_usize, 0, 7, 3] {
            again.seek(3 * at as u64).unwrap();
            again.next_batch(3, &mut batch).unwrap();
            assert_eq!(batch, batches[at], "batch {at}");
        }
    }

    #[test]
    fn targets_come_in_the_order_of_their_rows() {
        let rows: Vec<f32> = (0..20_u8).map(f32::from).collect();
        let targets: Vec<f32> = rows.iter().map(|value| -value).collect();
        let source = InMemorySource::new(rows, 2, 7).unwrap();
        assert!(source.clone().with_targets(vec![0.0; 18]).is_err());
        let mut source = source.with_targets(targets).unwrap();
        let (mut batch, mut predicted) = (Vec::new(), Vec::new());
        // The second batch goes from one epoch into the next.
        for _ in 0..2 {
            source.next_batch(7, &mut batch).unwrap();
            source.last_targets(&mut predicted).unwrap();
            let negated: Vec<f32> = batch.iter().map(|value| -value).collect();
            assert_eq!(predicted, negated);
        }
    }

    #[test]
    fn partial_rows_are_refused() {
        assert!(InMemorySource::new(vec![1.0; 5], 2, 0).is_err());
        assert!(InMemorySource::new(Vec::new(), 2, 0).is_err());
    }
}
