//! Training rows out of a harvest's shards, read ahead of the trainer: one shard that rows are
//! taken from and the next one in memory; the order is a function of the seed.

use std::thread::JoinHandle;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sae::{ActivationSource, SaeError};
use store::{HarvestReader, Shard};

/// Rows of a harvest that pass a test on their sample, in an endless shuffled sequence.
///
/// Each epoch visits the shards in its own order, and the rows of each shard in their own order;
/// both are drawn from the seed and the epoch, so a resumed run sees the same batches.
pub(crate) struct ShardSource<'a> {
    reader: &'a HarvestReader,
    keep: &'a dyn Fn(u32) -> bool,
    seed: u64,
    /// Kept rows per shard.
    kept: Vec<u64>,
    n_rows: u64,
    position: u64,
    current: Option<Current>,
    ahead: Option<Ahead>,
}

/// The shard that is read while rows are taken from the one before.
struct Ahead {
    index: usize,
    reading: JoinHandle<Result<Shard, String>>,
}

/// The shard being read.
struct Current {
    epoch: u64,
    /// First row of the shard within the epoch.
    begins_at: u64,
    shard: Shard,
    /// Rows of the shard in the order they are given out.
    order: Vec<u32>,
}

fn unreadable(error: impl std::fmt::Display) -> SaeError {
    SaeError::Source {
        reason: error.to_string(),
    }
}

impl<'a> ShardSource<'a> {
    /// Counts the rows whose sample passes `keep`.
    ///
    /// # Errors
    /// When a shard cannot be read, or no row passes.
    pub(crate) fn new(
        reader: &'a HarvestReader,
        keep: &'a dyn Fn(u32) -> bool,
        seed: u64,
    ) -> Result<Self, SaeError> {
        let mut kept = Vec::with_capacity(reader.n_shards());
        for shard in 0..reader.n_shards() {
            let shard = reader.read_shard(shard).map_err(unreadable)?;
            kept.push(shard.refs.iter().filter(|row| keep(row.sample)).count() as u64);
        }
        let n_rows = kept.iter().sum();
        if n_rows == 0 {
            return Err(SaeError::Source {
                reason: "no row of the harvest belongs to a training sample".to_owned(),
            });
        }
        Ok(Self {
            reader,
            keep,
            seed,
            kept,
            n_rows,
            position: 0,
            current: None,
            ahead: None,
        })
    }

    fn rng(&self, epoch: u64, stream: u64) -> ChaCha8Rng {
        let mut rng =
            ChaCha8Rng::seed_from_u64(self.seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.set_stream(stream);
        rng
    }

    fn shard_order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.kept.len())
            .filter(|&shard| self.kept[shard] > 0)
            .collect();
        order.shuffle(&mut self.rng(epoch, 0));
        order
    }

    /// Loads the shard that holds row `within` of `epoch`, and begins to read the one after it.
    fn load(&mut self, epoch: u64, within: u64) -> Result<(), SaeError> {
        let mut begins_at = 0;
        let order = self.shard_order(epoch);
        for (at, &shard_index) in order.iter().enumerate() {
            let n = self.kept[shard_index];
            if within < begins_at + n {
                // Freed before another is read, so that there are never more than two.
                self.current = None;
                let shard = self.read(shard_index)?;
                let next = match order.get(at + 1) {
                    Some(&next) => Some(next),
                    None => self.shard_order(epoch + 1).first().copied(),
                };
                self.read_ahead(next.filter(|&next| next != shard_index));
                let mut order: Vec<u32> = (0..shard.refs.len() as u32)
                    .filter(|&row| (self.keep)(shard.refs[row as usize].sample))
                    .collect();
                order.shuffle(&mut self.rng(epoch, 1 + shard_index as u64));
                self.current = Some(Current {
                    epoch,
                    begins_at,
                    shard,
                    order,
                });
                return Ok(());
            }
            begins_at += n;
        }
        Err(SaeError::Source {
            reason: format!("row {within} lies past the end of the harvest"),
        })
    }

    /// A shard: the one that was read ahead, or another, which then is read now.
    fn read(&mut self, index: usize) -> Result<Shard, SaeError> {
        match self.ahead.take() {
            Some(ahead) if ahead.index == index => {
                let read = ahead.reading.join().unwrap_or_else(|_panic| {
                    Err(format!(
                        "shard {index} could not be read: its reader failed"
                    ))
                });
                read.map_err(|reason| SaeError::Source { reason })
            }
            _ => self.reader.read_shard(index).map_err(unreadable),
        }
    }

    /// Begins to read a shard on a thread of its own; without one the shard is read when needed.
    fn read_ahead(&mut self, index: Option<usize>) {
        let Some(index) = index else { return };
        let reader = self.reader.clone();
        let read = move || reader.read_shard(index).map_err(|error| error.to_string());
        self.ahead = std::thread::Builder::new()
            .name(format!("shard {index}"))
            .spawn(read)
            .ok()
            .map(|reading| Ahead { index, reading });
    }
}

impl ActivationSource for ShardSource<'_> {
    fn d_model(&self) -> usize {
        self.reader.d_model()
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn next_batch(&mut self, rows: usize, out: &mut Vec<f32>) -> Result<(), SaeError> {
        out.clear();
        for _ in 0..rows {
            let (epoch, within) = (self.position / self.n_rows, self.position % self.n_rows);
            let is_loaded = self.current.as_ref().is_some_and(|current| {
                current.epoch == epoch
                    && within >= current.begins_at
                    && within < current.begins_at + current.order.len() as u64
            });
            if !is_loaded {
                self.load(epoch, within)?;
            }
            if let Some(current) = &self.current {
                let row = current.order[(within - current.begins_at) as usize];
                out.extend_from_slice(current.shard.row(row as usize));
            }
            self.position += 1;
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
