//! The Adam update of one slice of weights, fused.

use super::level::multiversion;

/// What one Adam step needs besides weights and moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    /// Learning rate divided by 1 − β₁ᵗ.
    pub(crate) rate: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub(crate) second_correction: f32,
    /// β₁ and β₂.
    pub(crate) betas: [f32; 2],
    /// Factor on the gradient, from clipping.
    pub(crate) gradient_scale: f32,
    /// This many times the weight is added to its gradient.
    pub(crate) weight_decay: f32,
}

/// Added to the denominator, as in `PyTorch`.
pub(crate) const ADAM_EPSILON: f32 = 1e-8;

multiversion! {
    /// One Adam step (Kingma and Ba 2015, as in `PyTorch`) on slices of one length.
    fn adam(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: AdamStep) {
        let n = weights.len();
        let (gradient, first, second) = (&gradient[..n], &mut first[..n], &mut second[..n]);
        let [beta_1, beta_2] = step.betas;
        for i in 0..n {
            let g = step.weight_decay.mul_add(weights[i], gradient[i] * step.gradient_scale);
            let m = (g - first[i]).mul_add(1.0 - beta_1, first[i]);
            let v = (beta_2 * second[i]) + (1.0 - beta_2) * g * g;
            first[i] = m;
            second[i] = v;
            weights[i] -= step.rate * m / v.sqrt().mul_add(step.second_correction, ADAM_EPSILON);
        }
    }
}

/// What one step of the schedule-free sign rule needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignStep {
    /// Learning rate.
    pub(crate) rate: f32,
    /// Share of the newest point in the average: 1 / steps so far.
    pub(crate) share: f32,
}

/// Momentum of the schedule-free average.
const MOMENTUM: f32 = 0.95;

multiversion! {
    /// One step of sign descent with schedule-free averaging; `points` are the points that the
    /// signs move, `weights` lie between them and their average.
    ///
    /// # Source
    /// `schedulefree` 1.4, `ScheduleFreeWrapper` around sparsify's `SignSGD`.
    fn signum(weights: &mut [f32], gradient: &[f32], points: &mut [f32], step: SignStep) {
        let n = weights.len();
        let (gradient, points) = (&gradient[..n], &mut points[..n]);
        for i in 0..n {
            let average = averaged(weights[i], points[i]);
            let sign = if gradient[i] > 0.0 {
                1.0
            } else if gradient[i] < 0.0 {
                -1.0
            } else {
                0.0
            };
            let point = points[i] - step.rate * sign;
            let average = lerp(average, point, step.share);
            points[i] = point;
            weights[i] = lerp(average, point, 1.0 - MOMENTUM);
        }
    }
}

/// The average that weights and points stand for.
pub(crate) fn averaged(weight: f32, point: f32) -> f32 {
    lerp(weight, point, 1.0 - 1.0 / MOMENTUM)
}

/// As `PyTorch` rounds it.
#[inline]
fn lerp(start: f32, end: f32, share: f32) -> f32 {
    if share.abs() < 0.5 {
        share.mul_add(end - start, start)
    } else {
        end - (end - start) * (1.0 - share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_move_points_and_weights_follow_their_average() {
        let (mut weights, mut points) = (vec![1.0, 1.0, 1.0], vec![1.0, 1.0, 1.0]);
        let first = SignStep {
            rate: 0.5,
            share: 1.0,
        };
        signum(&mut weights, &[2.0, -0.1, 0.0], &mut points, first);
        assert_eq!(points, [0.5, 1.5, 1.0]);
        // The average is the first point, and so are the weights.
        assert_eq!(weights, [0.5, 1.5, 1.0]);
        let second = SignStep {
            rate: 0.5,
            share: 0.5,
        };
        signum(&mut weights, &[2.0, 2.0, 0.0], &mut points, second);
        assert_eq!(points, [0.0, 1.0, 1.0]);
        for ((weight, point), average) in weights.iter().zip(&points).zip([0.25, 1.25, 1.0]) {
            assert!((averaged(*weight, *point) - average).abs() < 1e-6);
        }
    }
}
