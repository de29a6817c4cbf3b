//! Rows brought to mean 0 and one scale, and what that does to the loss.

/// Added to the standard deviation.
const EPSILON: f32 = 1e-5;

/// Rows after normalisation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerNorm {
    /// (x − mean) / (std + ε), `[n_rows, d_model]`.
    pub(crate) rows: Vec<f32>,
    /// Mean of each row.
    pub(crate) means: Vec<f32>,
    /// Unbiased standard deviation of each row.
    pub(crate) deviations: Vec<f32>,
}

impl LayerNorm {
    /// Normalises `rows` `[n_rows, d]`.
    ///
    /// # Source
    /// `SAELens` 6.54, `run_time_activation_ln_in`: the unbiased deviation, ε added to it.
    pub(crate) fn of(rows: &[f32], d: usize) -> Self {
        let n = rows.len() / d;
        let mut made = Self {
            rows: Vec::with_capacity(rows.len()),
            means: Vec::with_capacity(n),
            deviations: Vec::with_capacity(n),
        };
        for row in rows.chunks_exact(d) {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / d as f64;
            let squares: f64 = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
            let deviation = (squares / (d.max(2) - 1) as f64).sqrt() as f32;
            let mean = mean as f32;
            made.rows
                .extend(row.iter().map(|v| (v - mean) / (deviation + EPSILON)));
            made.means.push(mean);
            made.deviations.push(deviation);
        }
        made
    }

    /// What the decoder should give, (x − mean) / std − `b_dec`: the reconstruction is brought back
    /// by the deviation alone.
    pub(crate) fn targets(&self, b_dec: &[f32]) -> Vec<f32> {
        let d = b_dec.len();
        let each = self.rows.chunks_exact(d).zip(&self.deviations);
        each.flat_map(|(row, &deviation)| {
            // A row without spread has no direction to reconstruct.
            let factor = if deviation > 0.0 {
                (deviation + EPSILON) / deviation
            } else {
                0.0
            };
            std::iter::zip(row, b_dec).map(move |(v, bias)| v.mul_add(factor, -bias))
        })
        .collect()
    }

    /// Weight of each row's squared error in the units of x.
    pub(crate) fn weights(&self) -> Vec<f32> {
        self.deviations.iter().map(|s| s * s).collect()
    }

    /// Brings reconstructions `[n_rows, d]` back, in place.
    pub(crate) fn bring_back(&self, rows: &mut [f32], d: usize) {
        let scales = self.means.iter().zip(&self.deviations);
        for (row, (&mean, &deviation)) in rows.chunks_exact_mut(d).zip(scales) {
            for value in row {
                *value = value.mul_add(deviation, mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand_and_back() {
        // Mean 2, squares 1 + 0 + 1, unbiased deviation 1.
        let norm = LayerNorm::of(&[1.0, 2.0, 3.0], 3);
        assert_eq!((norm.means[0], norm.deviations[0]), (2.0, 1.0));
        assert!((norm.rows[0] + 1.0 / 1.00001).abs() < 1e-7);
        let mut back = norm.targets(&[0.0; 3]);
        norm.bring_back(&mut back, 3);
        for (value, expected) in back.iter().zip([1.0, 2.0, 3.0]) {
            assert!((value - expected).abs() < 1e-6);
        }
        let flat = LayerNorm::of(&[4.0, 4.0], 2);
        assert_eq!(flat.rows, [0.0, 0.0]);
        let mut back = flat.targets(&[0.0; 2]);
        flat.bring_back(&mut back, 2);
        assert_eq!(back, [4.0, 4.0]);
    }
}
