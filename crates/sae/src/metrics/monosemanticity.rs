//! The monosemanticity score of a feature, exact and in linear time.

use crate::error::SaeError;

/// Embeddings of samples by which their likeness is judged, each of unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    d: usize,
    rows: Vec<f64>,
}

impl Embeddings {
    /// Takes the embeddings of all samples; each is scaled to unit length, so that likeness is the
    /// cosine. A row of zeros stays one: it is like nothing.
    ///
    /// # Shapes
    /// - `rows`: `[n_samples, d]`, f32
    ///
    /// # Errors
    /// [`SaeError::Shape`] if they are not whole rows, [`SaeError::NotFinite`].
    pub fn new(d: usize, rows: &[f32]) -> Result<Self, SaeError> {
        if d == 0 || !rows.len().is_multiple_of(d) {
            return Err(SaeError::shape(
                "the embeddings",
                format!("a multiple of {d}"),
                rows.len(),
            ));
        }
        if let Some(sample) = rows
            .chunks_exact(d)
            .position(|row| row.iter().any(|value| !value.is_finite()))
        {
            return Err(SaeError::NotFinite {
                what: format!("the embedding of sample {sample}"),
            });
        }
        let mut unit: Vec<f64> = rows.iter().copied().map(f64::from).collect();
        for row in unit.chunks_exact_mut(d) {
            let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            if norm > 0.0 {
                for value in row.iter_mut() {
                    *value /= norm;
                }
            }
        }
        Ok(Self { d, rows: unit })
    }

    /// Number of samples.
    pub fn n_samples(&self) -> usize {
        self.rows.len() / self.d
    }

    /// The monosemanticity score of one feature.
    ///
    /// `MS = Σ_{n<m} ã_n ã_m cos(e_n, e_m) / Σ_{n<m} ã_n ã_m`, `ã` the feature's activation on a
    /// sample, scaled so that its lowest over all samples is 0 and its highest 1. With
    /// `Σ_{n<m} ã_n ã_m ⟨e_n, e_m⟩ = (‖Σ ã_n e_n‖² − Σ ã_n² ‖e_n‖²) / 2` no pair is ever formed.
    /// 1: all samples that excite the feature are alike; the mean cosine of all pairs: it does not
    /// matter which. `None` for a feature that is active on fewer than two samples or equally on
    /// all.
    ///
    /// # Shapes
    /// - `activations`: samples and activations, each sample once; one not listed has 0
    ///
    /// # Errors
    /// [`SaeError::Shape`] if a sample has no embedding.
    ///
    /// # Source
    /// Pach et al. 2025, "Sparse Autoencoders Learn Monosemantic Features in Vision-Language
    /// Models" (arXiv 2504.02821), equation of `MS_k`, in the same value but without its quadratic
    /// sum. They embed with an image encoder that the dictionary was not trained on.
    ///
    /// # Example
    /// Embeddings `[1,0]`, `[0,1]`, `[1,1]`, activations 2, 1, 2 after 0 on a fourth sample:
    /// `ã = 1, ½, 1`; pairs `½·0 + 1·√½ + ½·√½` of weight 2: 0.53.
    pub fn monosemanticity(&self, activations: &[(u32, f32)]) -> Result<Option<f64>, SaeError> {
        let n_samples = self.n_samples();
        if let Some(&(sample, _)) = activations
            .iter()
            .find(|&&(sample, _)| sample as usize >= n_samples)
        {
            return Err(SaeError::shape(
                "the embeddings",
                format!("one of sample {sample}"),
                n_samples,
            ));
        }
        let values = || activations.iter().map(|&(_, value)| f64::from(value));
        let unlisted = if activations.len() < n_samples {
            0.0
        } else {
            f64::INFINITY
        };
        let lowest = values().fold(unlisted, f64::min);
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        if highest <= lowest || highest == f64::NEG_INFINITY {
            return Ok(None);
        }
        // A sample that is not listed has 0, which is above the lowest if that is negative.
        let scaled = |value: f64| (value - lowest) / (highest - lowest);
        let mut of_sample = vec![scaled(0.0); n_samples];
        for &(sample, value) in activations {
            of_sample[sample as usize] = scaled(f64::from(value));
        }
        let mut sum = vec![0.0; self.d];
        let (mut total, mut squares, mut own) = (0.0, 0.0, 0.0);
        for (&a, row) in of_sample.iter().zip(self.rows.chunks_exact(self.d)) {
            if a == 0.0 {
                continue;
            }
            total += a;
            squares += a * a;
            let mut length = 0.0;
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += a * value;
                length += value * value;
            }
            own += a * a * length;
        }
        let weight = total * total - squares;
        let alike = sum.iter().map(|value| value * value).sum::<f64>() - own;
        // Of one sample alone the weight is a rounding error.
        Ok((weight > 1e-12 * total * total).then(|| alike / weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(values: &[f32]) -> Vec<(u32, f32)> {
        (0..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn worked_example() {
        let rows = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 3.0];
        let embeddings = Embeddings::new(2, &rows).unwrap();
        let got = embeddings.monosemanticity(&[(0, 2.0), (1, 1.0), (2, 2.0)]);
        let expected = 1.5 * 0.5_f64.sqrt() / 2.0;
        assert!((got.unwrap().unwrap() - expected).abs() < 1e-7);
    }

    #[test]
    fn equals_the_quadratic_form() {
        let (n, d) = (40_u32, 5_u32);
        let rows: Vec<f32> = (0..n * d)
            .map(|i| (i * 37 % 23) as f32 / 11.0 - 1.0)
            .collect();
        let embeddings = Embeddings::new(d as usize, &rows).unwrap();
        for values in [
            (0..n).map(|i| (i * 29 % 17) as f32).collect::<Vec<_>>(),
            (0..n).map(|i| 3.0 + (i * 13 % 7) as f32).collect(),
        ] {
            let (low, high) = values
                .iter()
                .fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let (mut alike, mut weight) = (0.0, 0.0);
            for a in 0..n as usize {
                for b in a + 1..n as usize {
                    let scaled = |i: usize| f64::from((values[i] - low) / (high - low));
                    let row = |i: usize| &rows[i * d as usize..(i + 1) * d as usize];
                    let product = |x: &[f32], y: &[f32]| -> f64 {
                        let each = x.iter().zip(y);
                        each.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
                    };
                    let cosine = product(row(a), row(b))
                        / (product(row(a), row(a)) * product(row(b), row(b))).sqrt();
                    alike += scaled(a) * scaled(b) * cosine;
                    weight += scaled(a) * scaled(b);
                }
            }
            let got = embeddings
                .monosemanticity(&dense(&values))
                .unwrap()
                .unwrap();
            assert!(
                (got - alike / weight).abs() < 1e-6,
                "{got} {}",
                alike / weight
            );
        }
    }

    #[test]
    fn without_a_pair_there_is_no_score() {
        let embeddings = Embeddings::new(1, &[1.0, 2.0, -1.0]).unwrap();
        assert_eq!(embeddings.monosemanticity(&[]).unwrap(), None);
        assert_eq!(embeddings.monosemanticity(&[(1, 4.0)]).unwrap(), None);
        assert_eq!(embeddings.monosemanticity(&dense(&[2.0; 3])).unwrap(), None);
        assert!(embeddings.monosemanticity(&[(3, 1.0)]).is_err());
        assert!(Embeddings::new(2, &[1.0]).is_err());
        assert!(Embeddings::new(1, &[f32::NAN]).is_err());
    }
}
