//! Logistic regression with a ridge, for probes on a few columns or on all dimensions of a hook.

use crate::error::{ExplainError, same_length};

/// Newton steps at most; few are needed.
const MAX_STEPS: usize = 50;
/// Change of all coefficients below which a fit is done.
const DONE: f64 = 1e-9;

/// A fitted logistic regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// One coefficient per column.
    pub weights: Vec<f64>,
    /// Intercept.
    pub bias: f64,
}

impl Logistic {
    /// Minimises `½ λ ‖w‖² + Σ log(1 + exp(−y (w·x + b)))`, `y` being 1 or −1; the intercept is not
    /// shrunk.
    ///
    /// # Shapes
    /// - `rows`: `[n, d]`, best of about unit variance; `truth`: `[n]`
    /// - `ridge`: λ > 0
    ///
    /// # Errors
    /// [`ExplainError::Length`] if the shapes do not agree.
    ///
    /// # Determinism
    /// A function of its arguments.
    ///
    /// # Source
    /// Newton's method (iteratively reweighted least squares) with halved steps; the objective of
    /// scikit-learn's `LogisticRegression` with `C = 1/λ`.
    ///
    /// # Example
    /// Rows −1 (without) and 1 (with), λ = 2 (1 − σ(1)) = 0.538: w = 1, b = 0.
    pub fn fit(d: usize, rows: &[f64], truth: &[bool], ridge: f64) -> Result<Self, ExplainError> {
        same_length("rows of a probe", truth.len() * d, rows.len())?;
        let mut at = vec![0.0; d + 1];
        let mut loss = objective(d, rows, truth, ridge, &at);
        for _ in 0..MAX_STEPS {
            let Some(step) = newton_step(d, rows, truth, ridge, &at) else {
                break;
            };
            let mut length = 1.0;
            let (next, next_loss) = loop {
                let next: Vec<f64> = at.iter().zip(&step).map(|(a, s)| a - length * s).collect();
                let next_loss = objective(d, rows, truth, ridge, &next);
                if next_loss <= loss || length < 1e-6 {
                    break (next, next_loss);
                }
                length /= 2.0;
            };
            if next_loss > loss {
                break;
            }
            let moved = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
            (at, loss) = (next, next_loss);
            if moved < DONE {
                break;
            }
        }
        let bias = at.pop().unwrap_or_default();
        Ok(Self { weights: at, bias })
    }

    /// `w·x + b`, above 0 where the probe says yes.
    pub fn logit(&self, row: &[f64]) -> f64 {
        let along: f64 = row.iter().zip(&self.weights).map(|(x, w)| x * w).sum();
        along + self.bias
    }
}

fn logit_of(d: usize, row: &[f64], at: &[f64]) -> f64 {
    row.iter().zip(at).map(|(x, w)| x * w).sum::<f64>() + at[d]
}

fn objective(d: usize, rows: &[f64], truth: &[bool], ridge: f64, at: &[f64]) -> f64 {
    let mut loss = 0.5 * ridge * at[..d].iter().map(|w| w * w).sum::<f64>();
    for (i, &with) in truth.iter().enumerate() {
        let logit = logit_of(d, &rows[i * d..(i + 1) * d], at);
        let margin = if with { logit } else { -logit };
        // log(1 + e^−m) without overflow.
        loss += (-margin.abs()).exp().ln_1p() + (-margin).max(0.0);
    }
    loss
}

/// Hessian⁻¹ · gradient at the coefficients, the intercept last.
fn newton_step(d: usize, rows: &[f64], truth: &[bool], ridge: f64, at: &[f64]) -> Option<Vec<f64>> {
    let n = d + 1;
    let mut gradient: Vec<f64> = at.iter().map(|w| ridge * w).collect();
    gradient[d] = 0.0;
    let mut hessian = vec![0.0; n * n];
    let mut extended = vec![1.0; n];
    for (i, &with) in truth.iter().enumerate() {
        extended[..d].copy_from_slice(&rows[i * d..(i + 1) * d]);
        let p = 1.0 / (1.0 + (-logit_of(d, &extended[..d], at)).exp());
        let residual = p - f64::from(u8::from(with));
        let curvature = p * (1.0 - p);
        for (a, &x) in extended.iter().enumerate() {
            gradient[a] += residual * x;
            let scaled = curvature * x;
            if scaled != 0.0 {
                let row = &mut hessian[a * n..=a * n + a];
                for (sum, &y) in row.iter_mut().zip(&extended) {
                    *sum += scaled * y;
                }
            }
        }
    }
    for a in 0..d {
        hessian[a * n + a] += ridge;
    }
    // Keeps the intercept's row solvable where every p is 0 or 1.
    hessian[d * n + d] += 1e-9;
    solve(hessian, gradient)
}

/// Solves a symmetric positive system of which the lower half is given (Cholesky).
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let products: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - products;
            if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                a[i * n + i] = rest.sqrt();
            } else {
                a[i * n + j] = rest / a[j * n + j];
            }
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - known) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - known) / a[i * n + i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // At w = 1 the gradient λ w − 2 (1 − σ(w)) is 0.
        let ridge = 2.0 * (1.0 - 1.0 / (1.0 + (-1.0_f64).exp()));
        let fit = Logistic::fit(1, &[-1.0, 1.0], &[false, true], ridge).unwrap();
        assert!((fit.weights[0] - 1.0).abs() < 1e-9, "{fit:?}");
        assert!(fit.bias.abs() < 1e-9);
        assert!((fit.logit(&[2.0]) - 2.0).abs() < 1e-9);
        // Without information the intercept is the log odds, here of 3 in 4.
        let fit = Logistic::fit(1, &[0.0; 4], &[true, true, true, false], 1.0).unwrap();
        assert!((fit.bias - 3_f64.ln()).abs() < 1e-6, "{fit:?}");
    }

    #[test]
    fn the_gradient_is_zero_at_the_fit() {
        let d = 3;
        let rows: Vec<f64> = (0..60_u32)
            .map(|i| f64::from(i * 37 % 19) / 9.0 - 1.0)
            .collect();
        let truth: Vec<bool> = (0..20).map(|i| i * 7 % 5 < 2).collect();
        let fit = Logistic::fit(d, &rows, &truth, 0.5).unwrap();
        let mut at = fit.weights.clone();
        at.push(fit.bias);
        for coordinate in 0..=d {
            let mut slope = 0.0;
            for sign in [1.0, -1.0] {
                let mut moved = at.clone();
                moved[coordinate] += sign * 1e-5;
                slope += sign * objective(d, &rows, &truth, 0.5, &moved);
            }
            assert!((slope / 2e-5).abs() < 1e-6, "{coordinate}: {slope}");
        }
    }

    #[test]
    fn separable_rows_end_at_finite_coefficients() {
        let rows = [-100.0, -90.0, 90.0, 100.0];
        let truth = [false, false, true, true];
        let fit = Logistic::fit(1, &rows, &truth, 1e-3).unwrap();
        assert!(fit.weights[0] > 0.0 && fit.weights[0].is_finite());
        let nobody = Logistic::fit(1, &rows, &[false; 4], 1.0).unwrap();
        assert!(nobody.logit(&[0.0]) < -3.0);
        assert!(Logistic::fit(2, &rows, &truth, 1.0).is_err());
    }
}
