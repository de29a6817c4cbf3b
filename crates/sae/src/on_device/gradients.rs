//! Loss of a batch and its gradients, as dense products.

use candle_core::{Result, Tensor};

use super::choose::{Scope, highest};
use super::weights::{DeviceWeights, total};
use crate::dead_features::dead_features;
use crate::gradients::{BatchLoss, Plan};
use crate::variants::Selection;

/// What a step sees.
pub(super) struct Batch<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// Steps done before this one.
    pub(super) step: u32,
    pub(super) weights: &'a DeviceWeights,
    /// `[n_rows, d_model]`.
    pub(super) rows: &'a Tensor,
}

/// What a batch gave.
pub(super) struct Gradients {
    pub(super) loss: BatchLoss,
    pub(super) weights: DeviceWeights,
}

/// Codes of a batch and the way back to them.
struct Codes {
    /// 1 where a feature is active, `[n_rows, n_features]`.
    mask: Tensor,
    /// Activations, of the same shape.
    values: Tensor,
}

/// A nested prefix: the features that it has more than the one before.
struct Level {
    start: usize,
    len: usize,
    weight: f64,
}

/// Derivatives of one loss with respect to decoder and encoder.
struct Back {
    w_enc: Tensor,
    b_enc: Tensor,
    w_dec: Tensor,
}

impl Codes {
    fn of(pre_activations: &Tensor, scope: Scope) -> Result<Self> {
        let positive = pre_activations.relu()?;
        let mask = highest(&positive, scope)?;
        let values = (&positive * &mask)?;
        Ok(Self { mask, values })
    }

    /// The codes of one level.
    fn narrow(&self, level: &Level) -> Result<Self> {
        let part = |tensor: &Tensor| tensor.narrow(1, level.start, level.len)?.contiguous();
        Ok(Self {
            mask: part(&self.mask)?,
            values: part(&self.values)?,
        })
    }

    /// Goes back from the derivatives of the decoded rows to the rows of `w_dec` that these codes
    /// belong to, and on to the encoder that saw `input`.
    fn back(&self, of_decoded: &Tensor, w_dec: &Tensor, input: &Tensor) -> Result<Back> {
        let of_values = (of_decoded.matmul(&w_dec.t()?)? * &self.mask)?;
        Ok(Back {
            w_enc: of_values.t()?.matmul(input)?,
            b_enc: of_values.sum(0)?,
            w_dec: self.values.t()?.matmul(of_decoded)?,
        })
    }
}

impl Batch<'_> {
    /// Loss and raw gradients; counts the batch's rows in `rows_since_active`.
    ///
    /// # Source
    /// As `Scratch::batch` for the recipe of `dictionary_learning`.
    pub(super) fn gradients(&self, rows_since_active: &mut [u64]) -> Result<Gradients> {
        let (plan, weights) = (self.plan, self.weights);
        let (n_rows, d) = self.rows.dims2()?;
        let centred = self.rows.broadcast_sub(&weights.b_dec)?;
        let input = if plan.is_centred() {
            &centred
        } else {
            self.rows
        };
        let scope = match plan.selection(self.step, d) {
            Selection::OfBatch(k) => Scope::Batch(k as usize * n_rows),
            Selection::OfRow(k) => Scope::Row(k as usize),
            Selection::Each => Scope::Row(weights.b_enc.dims1()?),
        };
        let codes = Codes::of(&encode(input, &weights.w_enc, &weights.b_enc)?, scope)?;
        let levels = self.levels()?;
        let parts = levels
            .iter()
            .map(|level| codes.narrow(level))
            .collect::<Result<Vec<_>>>()?;
        let (weighted, error, losses) = self.decode(&levels, &parts, &centred)?;
        let sums = [
            losses,
            total(&error.sqr()?)?,
            variation(&error)?,
            variation(self.rows)?,
            lowest(&codes)?,
        ];
        let mut host: Vec<f32> =
            Tensor::cat(&[codes.mask.sum(0)?, Tensor::stack(&sums, 0)?], 0)?.to_vec1()?;
        let sums = host.split_off(rows_since_active.len());
        count(rows_since_active, &host, n_rows);
        let dead = dead_features(rows_since_active, plan.config.dead_after_rows);
        let mut loss = BatchLoss {
            reconstruction: f64::from(sums[0]) / n_rows as f64,
            fvu: match f64::from(sums[3]) {
                of_rows if of_rows > 0.0 => f64::from(sums[1]) / of_rows,
                _ => 0.0,
            },
            l0: host.iter().map(|&n| f64::from(n)).sum::<f64>() / n_rows as f64,
            n_dead: dead.len() as u32,
            lowest_activation: if sums[4].is_finite() { sums[4] } else { 0.0 },
            ..BatchLoss::default()
        };
        let scale = 2.0 / n_rows as f64;
        let mut back = self.back((&levels, &parts), (&weighted, scale), input)?;
        let direct = (weighted[0].sum(0)? * scale)?;
        if let Some((auxk, of_dead)) = self.auxiliary(&dead, &error, sums[2], input)? {
            loss.auxk = auxk;
            back = of_dead.add_to(&back, &dead)?;
        }
        let b_dec = if plan.is_centred() {
            let through = back.b_enc.unsqueeze(0)?.matmul(&weights.w_enc)?;
            (direct - through.squeeze(0)?)?
        } else {
            direct
        };
        Ok(Gradients {
            loss,
            weights: DeviceWeights {
                w_enc: back.w_enc,
                b_enc: back.b_enc,
                w_dec: back.w_dec,
                b_dec,
            },
        })
    }

    /// The nested prefixes; all features at once where there are none.
    fn levels(&self) -> Result<Vec<Level>> {
        let mut start = 0;
        let mut levels = Vec::new();
        for (size, weight) in self.plan.variant.levels() {
            let len = size as usize;
            levels.push(Level {
                start,
                len,
                weight: f64::from(weight),
            });
            start += len;
        }
        if levels.is_empty() {
            let len = self.weights.b_enc.dims1()?;
            let (start, weight) = (0, 1.0);
            levels.push(Level { start, len, weight });
        }
        Ok(levels)
    }

    /// For each level the sum of the weighted errors of this and all longer prefixes; the error of
    /// all features; and the weighted sum of squares.
    fn decode(
        &self,
        levels: &[Level],
        parts: &[Codes],
        centred: &Tensor,
    ) -> Result<(Vec<Tensor>, Tensor, Tensor)> {
        let mut error = centred.neg()?;
        let mut weighted = Vec::with_capacity(levels.len());
        let mut losses = Vec::with_capacity(levels.len());
        for (level, codes) in levels.iter().zip(parts) {
            let w_dec = self.weights.w_dec.narrow(0, level.start, level.len)?;
            error = (error + codes.values.matmul(&w_dec)?)?;
            losses.push((total(&error.sqr()?)? * level.weight)?);
            weighted.push((&error * level.weight)?);
        }
        for shorter in (0..levels.len().saturating_sub(1)).rev() {
            weighted[shorter] = (&weighted[shorter] + &weighted[shorter + 1])?;
        }
        Ok((weighted, error, Tensor::stack(&losses, 0)?.sum_all()?))
    }

    /// The way back of the reconstruction, level by level.
    fn back(
        &self,
        (levels, codes): (&[Level], &[Codes]),
        (weighted, scale): (&[Tensor], f64),
        input: &Tensor,
    ) -> Result<Back> {
        let mut parts = Vec::with_capacity(levels.len());
        for ((level, codes), weighted) in levels.iter().zip(codes).zip(weighted) {
            let w_dec = self.weights.w_dec.narrow(0, level.start, level.len)?;
            let of_decoded = (weighted * scale)?;
            parts.push(codes.back(&of_decoded, &w_dec, input)?);
        }
        let joined = |of: fn(&Back) -> &Tensor| {
            let parts: Vec<&Tensor> = parts.iter().map(of).collect();
            Tensor::cat(&parts, 0)
        };
        Ok(Back {
            w_enc: joined(|part| &part.w_enc)?,
            b_enc: joined(|part| &part.b_enc)?,
            w_dec: joined(|part| &part.w_dec)?,
        })
    }

    /// The auxiliary loss before its weight, and its derivatives for the dead features; `None`
    /// where there is nothing to reconstruct. `error` is x̂ − x and `variation` that of its rows.
    fn auxiliary(
        &self,
        dead: &[u32],
        error: &Tensor,
        variation: f32,
        input: &Tensor,
    ) -> Result<Option<(f64, Back)>> {
        let config = self.plan.config;
        let (variation, alpha) = (f64::from(variation), f64::from(config.auxk_alpha));
        if dead.is_empty() || alpha == 0.0 || variation <= 0.0 {
            return Ok(None);
        }
        let (_, d) = input.dims2()?;
        let wanted = config.top_k_aux.map_or(d / 2, |k| k as usize).max(1);
        let at = Tensor::from_slice(dead, dead.len(), input.device())?;
        let of_dead = |tensor: &Tensor| tensor.index_select(&at, 0);
        let w_dec = of_dead(&self.weights.w_dec)?;
        let (w_enc, b_enc) = (of_dead(&self.weights.w_enc)?, of_dead(&self.weights.b_enc)?);
        let scope = Scope::Row(wanted.min(dead.len()));
        let codes = Codes::of(&encode(input, &w_enc, &b_enc)?, scope)?;
        // The error to be reconstructed is x − x̂.
        let left = (codes.values.matmul(&w_dec)? + error)?;
        let squares: f32 = total(&left.sqr()?)?.to_scalar()?;
        let of_decoded = (left * (2.0 * alpha / variation))?;
        let back = codes.back(&of_decoded, &w_dec, input)?;
        Ok(Some((f64::from(squares) / variation, back)))
    }
}

impl Back {
    /// Adds derivatives of some features to those of all.
    fn add_to(&self, all: &Self, features: &[u32]) -> Result<Self> {
        let at = Tensor::from_slice(features, features.len(), all.b_enc.device())?;
        Ok(Self {
            w_enc: all.w_enc.index_add(&at, &self.w_enc, 0)?,
            b_enc: all.b_enc.index_add(&at, &self.b_enc, 0)?,
            w_dec: all.w_dec.index_add(&at, &self.w_dec, 0)?,
        })
    }
}

/// Pre-activations `[n_rows, n_features]`.
fn encode(input: &Tensor, w_enc: &Tensor, b_enc: &Tensor) -> Result<Tensor> {
    input.matmul(&w_enc.t()?)?.broadcast_add(b_enc)
}

/// Σ‖row − mean‖².
fn variation(rows: &Tensor) -> Result<Tensor> {
    let mean = rows.mean_keepdim(0)?;
    total(&rows.broadcast_sub(&mean)?.sqr()?)
}

/// The lowest activation above 0; infinity where there is none.
fn lowest(codes: &Codes) -> Result<Tensor> {
    // 1/value is highest where the value is lowest, and 1/∞ = 0 stands for all that are silent.
    let silent = (1.0 - &codes.mask)?;
    let apart = (&codes.values + silent)?.recip()?;
    let inverse = (apart * &codes.mask)?;
    inverse.max(1)?.max(0)?.recip()
}

/// Features active in a batch start anew, all others grow older.
fn count(rows_since_active: &mut [u64], n_active: &[f32], n_rows: usize) {
    for (rows, &n) in rows_since_active.iter_mut().zip(n_active) {
        *rows = if n > 0.0 { 0 } else { *rows + n_rows as u64 };
    }
}
