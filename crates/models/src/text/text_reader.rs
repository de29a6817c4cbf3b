//! A text that is read once and read on from many times: questions that begin alike share the keys
//! and values of their common beginning.

use std::ops::ControlFlow;

use candle_core::Tensor;
use schema::{HookPoint, PositionClass};

use super::generation::prompt_positions;
use super::llama::{PackedRows, Sequence};
use super::llama_model::LlamaModel;
use crate::hooks::Stop;
use crate::{Generation, GenerationOptions, HookRun, HookSpec, ModelError};

/// Positions that there is room for at first; more is made when it is needed.
const FIRST_CAPACITY: usize = 512;
/// Rows whose scores over the vocabulary are held at once.
const ROWS: usize = 64;

/// What a model has read, to go on from.
#[derive(Default)]
pub struct TextReader {
    sequence: Option<Sequence>,
    capacity: usize,
    ids: Vec<u32>,
    /// `[1, d_model]` after the final norm, of the last position read.
    state: Option<Tensor>,
    n_read: u64,
    n_kept: u64,
    stop: Option<Box<Stop>>,
}

impl TextReader {
    /// A reader that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `stop` between the parts of every block of the model, and reads no further once it says
    /// so: reading then fails with [`ModelError::Cancelled`].
    #[must_use]
    pub fn stopping_when(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Positions that were computed, and positions that were kept from the text before.
    pub fn counts(&self) -> [u64; 2] {
        [self.n_read, self.n_kept]
    }

    /// Reads `ids` from their beginning; as far as they begin like the text read before, what is
    /// known of it stays.
    ///
    /// # Errors
    /// As [`LlamaModel::token_losses`].
    pub fn read(&mut self, model: &LlamaModel, ids: &[u32]) -> Result<(), ModelError> {
        self.read_rows(model, ids, ids.len().saturating_sub(1))?;
        Ok(())
    }

    /// Reads `ids`; at most `kept` positions of the text before are kept. Returns the rows after the
    /// final norm of all other positions.
    fn read_rows(
        &mut self,
        model: &LlamaModel,
        ids: &[u32],
        kept: usize,
    ) -> Result<Tensor, ModelError> {
        model.check_length(ids)?;
        self.reserve(model, ids.len())?;
        let alike = ids.iter().zip(&self.ids).take_while(|(a, b)| a == b);
        let n_kept = alike.count().min(kept);
        // Until all went well, nothing past it counts as read.
        self.ids.truncate(n_kept);
        self.state = None;
        let rows = self.forward(model, n_kept, &ids[n_kept..])?;
        self.state = Some(rows.narrow(0, ids.len() - n_kept - 1, 1)?);
        self.ids.extend_from_slice(&ids[n_kept..]);
        self.n_read += (ids.len() - n_kept) as u64;
        self.n_kept += n_kept as u64;
        Ok(rows)
    }

    /// Natural logarithms of the probabilities that the text read goes on with each continuation.
    /// The text read stays what it is.
    ///
    /// # Errors
    /// As [`LlamaModel::token_losses`]; [`ModelError::Request`] before anything was read, and for an
    /// empty continuation.
    pub fn log_probabilities(
        &mut self,
        model: &LlamaModel,
        continuations: &[Vec<u32>],
    ) -> Result<Vec<f64>, ModelError> {
        let Some(state) = self.state.clone() else {
            return Err(ModelError::Request("no text was read yet".to_owned()));
        };
        let first = log_softmax_rows(model, &state)?;
        let mut found = Vec::with_capacity(continuations.len());
        for continuation in continuations {
            let Some((&head, tail)) = continuation.split_first() else {
                return Err(ModelError::Request(
                    "an answer to choose from is empty".to_owned(),
                ));
            };
            model.check_length(continuation)?;
            let mut sum = at(&first[0], head);
            if !tail.is_empty() {
                let n = self.ids.len();
                self.reserve(model, n + continuation.len())?;
                // The last token's own row tells nothing of it.
                let rows = self.forward(model, n, &continuation[..tail.len()])?;
                let scores = log_softmax_rows(model, &rows)?;
                let each = tail.iter().zip(&scores).map(|(&id, row)| at(row, id));
                sum += each.sum::<f64>();
            }
            found.push(sum);
        }
        Ok(found)
    }

    /// Natural logarithms of the probabilities of single tokens after each of some positions of a
    /// text, all in one pass.
    ///
    /// # Shapes
    /// - `places`: positions in `ids`, whose next token is asked for
    /// - returns: `[places.len()][tokens.len()]`
    ///
    /// # Errors
    /// As [`TextReader::read`]; [`ModelError::Request`] for a place past the end.
    pub fn log_probabilities_at(
        &mut self,
        model: &LlamaModel,
        ids: &[u32],
        (places, tokens): (&[usize], &[u32]),
    ) -> Result<Vec<Vec<f64>>, ModelError> {
        let Some(&first) = places.iter().min() else {
            return Ok(Vec::new());
        };
        if places.iter().any(|&place| place >= ids.len()) {
            return Err(ModelError::Request(
                "a place past the end of the text was asked for".to_owned(),
            ));
        }
        let rows = self.read_rows(model, ids, first)?;
        let from = ids.len() - rows.dim(0)?;
        let mut found = Vec::with_capacity(places.len());
        for chunk in places.chunks(ROWS) {
            let wanted: Vec<u32> = chunk.iter().map(|&place| (place - from) as u32).collect();
            let wanted = Tensor::new(wanted, rows.device())?;
            let scores = log_softmax_rows(model, &rows.index_select(&wanted, 0)?)?;
            found.extend(
                scores
                    .iter()
                    .map(|row| tokens.iter().map(|&id| at(row, id)).collect()),
            );
        }
        Ok(found)
    }

    /// Writes on from the text read, which stays what it is.
    ///
    /// # Errors
    /// As [`crate::HookedModel::generate`]; [`ModelError::Request`] before anything was read.
    pub fn write(
        &mut self,
        model: &LlamaModel,
        options: &GenerationOptions,
        on_token: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, ModelError> {
        let n = self.ids.len();
        self.reserve(model, n + options.max_new_tokens)?;
        let (Some(state), Some(sequence)) = (self.state.clone(), self.sequence.as_mut()) else {
            return Err(ModelError::Request("no text was read yet".to_owned()));
        };
        sequence.truncate(n);
        let nothing = HookSpec::default();
        let writer = model.writer(&nothing, options);
        let mut texts = [writer.begin(n, 0)];
        let mut on_piece = |_: usize, piece: &str| on_token(piece);
        writer.go_on(&mut texts, &mut [sequence], &[state], &mut on_piece)?;
        let [text] = texts;
        Ok(text.written)
    }

    /// Room for `n` positions; what was read is read again where the room must grow.
    fn reserve(&mut self, model: &LlamaModel, n: usize) -> Result<(), ModelError> {
        if n <= self.capacity && self.sequence.is_some() {
            return Ok(());
        }
        let capacity = n.max(FIRST_CAPACITY).next_power_of_two();
        self.sequence = Some(model.llama.sequence(capacity)?);
        self.capacity = capacity;
        let ids = std::mem::take(&mut self.ids);
        let had_state = self.state.take().is_some();
        if had_state && !ids.is_empty() {
            let rows = self.forward(model, 0, &ids)?;
            self.state = Some(rows.narrow(0, ids.len() - 1, 1)?);
            self.ids = ids;
        }
        Ok(())
    }

    /// Runs `ids` as the positions from `n_before` on.
    fn forward(
        &mut self,
        model: &LlamaModel,
        n_before: usize,
        ids: &[u32],
    ) -> Result<Tensor, ModelError> {
        let Some(sequence) = self.sequence.as_mut() else {
            return Err(ModelError::Request("no text was read yet".to_owned()));
        };
        sequence.truncate(n_before);
        let classes = vec![PositionClass::Boilerplate; ids.len()];
        let positions = prompt_positions(&classes);
        let rows = PackedRows {
            lens: &[ids.len()],
            positions: &positions,
        };
        let nothing = HookSpec::default();
        let begin = (model.llama.embed(ids)?, HookPoint::Embed);
        let run = &mut HookRun::new(&nothing).stopping_when(self.stop.as_deref());
        model
            .llama
            .forward(begin, &rows, &mut [sequence], usize::MAX, run)
    }
}

/// Scores over the vocabulary of rows after the final norm, as logarithms of probabilities.
fn log_softmax_rows(model: &LlamaModel, rows: &Tensor) -> Result<Vec<Vec<f64>>, ModelError> {
    let scores = model.llama.logits(rows)?.to_vec2::<f32>()?;
    Ok(scores
        .iter()
        .map(|row| {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = row.iter().map(|&v| f64::from(v - most).exp()).sum();
            let total = f64::from(most) + sum.ln();
            row.iter().map(|&v| f64::from(v) - total).collect()
        })
        .collect())
}

fn at(row: &[f64], id: u32) -> f64 {
    row.get(id as usize).copied().unwrap_or(f64::NEG_INFINITY)
}
