//! Training objectives as single numbers with gradients: next token, and presence of findings.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::activations::{exp, sigmoid};
use super::values::{cpu_slice, max, sum, tensor_like, tensor_slice};

/// Target of a position that does not count.
pub(crate) const IGNORED: u32 = u32::MAX;

struct NextToken {
    targets: Vec<u32>,
}

impl NextToken {
    fn n_counted(&self) -> f32 {
        self.targets
            .iter()
            .filter(|&&t| t != IGNORED)
            .count()
            .max(1) as f32
    }

    fn n_vocab(&self, n_values: usize) -> Result<usize> {
        let n_vocab = n_values / self.targets.len().max(1);
        let is_known = |&t: &u32| t == IGNORED || (t as usize) < n_vocab;
        if n_values != n_vocab * self.targets.len() || !self.targets.iter().all(is_known) {
            bail!("{n_values} logits for {} targets", self.targets.len());
        }
        Ok(n_vocab)
    }
}

impl CustomOp1 for NextToken {
    fn name(&self) -> &'static str {
        "next-token"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = cpu_slice(storage, layout)?;
        let n_vocab = self.n_vocab(logits.len())?;
        let losses: Vec<f32> = logits
            .par_chunks(n_vocab)
            .zip(&self.targets)
            .map(|(row, &target)| {
                if target == IGNORED {
                    return 0.0;
                }
                let highest = max(row);
                let total: f32 = row.iter().map(|&x| exp(x - highest)).sum();
                highest + total.ln() - row[target as usize]
            })
            .collect();
        let loss = sum(&losses) / self.n_counted();
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let factor = grad.to_scalar::<f32>()? / self.n_counted();
        let (storage, layout) = logits.storage_and_layout();
        let values = tensor_slice(&storage, layout)?;
        let n_vocab = self.n_vocab(values.len())?;
        let mut out = vec![0_f32; values.len()];
        out.par_chunks_mut(n_vocab)
            .zip(values.par_chunks(n_vocab))
            .zip(&self.targets)
            .for_each(|((out, row), &target)| {
                if target == IGNORED {
                    return;
                }
                let highest = max(row);
                for (out, &x) in out.iter_mut().zip(row) {
                    *out = exp(x - highest);
                }
                let scale = factor / sum(out);
                for out in out.iter_mut() {
                    *out *= scale;
                }
                out[target as usize] -= factor;
            });
        tensor_like(logits, out).map(Some)
    }
}

/// Mean cross-entropy of the next token over the positions that count, in nats.
///
/// # Shapes
/// - `logits`: `[.., n_vocab]`; `targets`: one id per row, [`IGNORED`] where it does not count
/// - returns: scalar
pub(crate) fn next_token_loss(logits: &Tensor, targets: Vec<u32>) -> Result<Tensor> {
    logits.contiguous()?.apply_op1(NextToken { targets })
}

struct Presence {
    targets: Vec<f32>,
    weights: Vec<f32>,
    divisor: f32,
}

impl CustomOp1 for Presence {
    fn name(&self) -> &'static str {
        "presence"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = cpu_slice(storage, layout)?;
        if logits.len() != self.targets.len() || logits.len() != self.weights.len() {
            bail!("{} logits for {} targets", logits.len(), self.targets.len());
        }
        let terms: Vec<f32> = logits
            .iter()
            .zip(self.targets.iter().zip(&self.weights))
            .map(|(&x, (&target, &weight))| {
                weight * (x.max(0.0) - x * target + (1.0 + exp(-x.abs())).ln())
            })
            .collect();
        let loss = sum(&terms) / self.divisor;
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let factor = grad.to_scalar::<f32>()? / self.divisor;
        let (storage, layout) = logits.storage_and_layout();
        let out = tensor_slice(&storage, layout)?
            .iter()
            .zip(self.targets.iter().zip(&self.weights))
            .map(|(&x, (&target, &weight))| factor * weight * (sigmoid(x) - target))
            .collect();
        tensor_like(logits, out).map(Some)
    }
}

/// Weighted binary cross-entropy, `Σ w · bce(logit, target) / divisor`, in nats.
///
/// # Shapes
/// - `logits`: any; `targets` in `[0, 1]` and `weights` ≥ 0: one per logit, row-major
/// - returns: scalar
pub(crate) fn presence_loss(
    logits: &Tensor,
    targets: Vec<f32>,
    weights: Vec<f32>,
    divisor: f32,
) -> Result<Tensor> {
    logits.contiguous()?.apply_op1(Presence {
        targets,
        weights,
        divisor,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn next_token_agrees_with_candle() {
        let values: Vec<f32> = (0..12).map(|i| ((i * 7) % 5) as f32 * 0.6).collect();
        let logits = Var::from_slice(&values, (3, 4), &Device::Cpu).unwrap();
        let ours = next_token_loss(&logits, vec![1, IGNORED, 3]).unwrap();
        let kept = Tensor::new(&[0_u32, 2], &Device::Cpu).unwrap();
        let targets = Tensor::new(&[1_u32, 3], &Device::Cpu).unwrap();
        let theirs =
            candle_nn::loss::cross_entropy(&logits.index_select(&kept, 0).unwrap(), &targets)
                .unwrap();
        let (a, b) = (ours.backward().unwrap(), theirs.backward().unwrap());
        let (a, b) = (a.get(&logits).unwrap(), b.get(&logits).unwrap());
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
        let difference = ours.to_scalar::<f32>().unwrap() - theirs.to_scalar::<f32>().unwrap();
        assert!(difference.abs() < 1e-6);
        assert!(next_token_loss(&logits, vec![1, 9, 3]).is_err());
    }

    #[test]
    fn presence_is_the_weighted_cross_entropy() {
        let logits = Var::from_slice(&[0.0_f32, 2.0], 2, &Device::Cpu).unwrap();
        let loss = presence_loss(&logits, vec![1.0, 0.0], vec![3.0, 1.0], 2.0).unwrap();
        let expected = f32::midpoint(3.0 * 2_f32.ln(), (1.0 + 2_f32.exp()).ln());
        assert!((loss.to_scalar::<f32>().unwrap() - expected).abs() < 1e-6);
        let grads = loss.backward().unwrap();
        let grads = grads.get(&logits).unwrap().to_vec1::<f32>().unwrap();
        assert!((grads[0] + 0.75).abs() < 1e-6);
        assert!((grads[1] - 0.5 / (1.0 + (-2_f32).exp())).abs() < 1e-6);
    }
}
