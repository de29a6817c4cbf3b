//! Sums and products along one row.

use super::level::multiversion;

/// Lanes of a sum: partial sums are kept in this many lanes, added up in one fixed order.
const LANES: usize = 32;
/// Elements handled at once where nothing is added up across them: one AVX-512 register.
const WIDTH: usize = 16;

/// Σ a·b in 32 lanes of fused multiply-adds. Both slices have the same length.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
pub(super) fn dot_inline(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    let mut rest = 0_f32;
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        rest = a.mul_add(b, rest);
    }
    sum_of_lanes(&lanes) + rest
}

/// The lanes in the fixed order: halves onto each other, five times. Written out, so that it stays
/// in registers.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
fn sum_of_lanes(lanes: &[f32; LANES]) -> f32 {
    let sixteen: [f32; 16] = std::array::from_fn(|i| lanes[i] + lanes[i + 16]);
    let eight: [f32; 8] = std::array::from_fn(|i| sixteen[i] + sixteen[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    let two = [four[0] + four[2], four[1] + four[3]];
    two[0] + two[1]
}

/// y += a·x.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
pub(super) fn add_scaled_inline(y: &mut [f32], a: f32, x: &[f32]) {
    let (y_chunks, y_rest) = y.as_chunks_mut::<WIDTH>();
    let (x_chunks, x_rest) = x.as_chunks::<WIDTH>();
    for (y, x) in y_chunks.iter_mut().zip(x_chunks) {
        for i in 0..WIDTH {
            y[i] = a.mul_add(x[i], y[i]);
        }
    }
    for (y, &x) in y_rest.iter_mut().zip(x_rest) {
        *y = a.mul_add(x, *y);
    }
}

/// y += a₀·x₀ + a₁·x₁ + a₂·x₂ + a₃·x₃, in this order per element.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
pub(super) fn add_scaled_4_inline(y: &mut [f32], a: [f32; 4], x: [&[f32]; 4]) {
    let (y_chunks, y_rest) = y.as_chunks_mut::<WIDTH>();
    let [x0, x1, x2, x3] = x.map(|x| x.as_chunks::<WIDTH>());
    let fours = x0.0.iter().zip(x1.0).zip(x2.0).zip(x3.0);
    for (y, (((x0, x1), x2), x3)) in y_chunks.iter_mut().zip(fours) {
        for i in 0..WIDTH {
            let mut sum = a[0].mul_add(x0[i], y[i]);
            sum = a[1].mul_add(x1[i], sum);
            sum = a[2].mul_add(x2[i], sum);
            y[i] = a[3].mul_add(x3[i], sum);
        }
    }
    let fours = x0.1.iter().zip(x1.1).zip(x2.1).zip(x3.1);
    for (y, (((x0, x1), x2), x3)) in y_rest.iter_mut().zip(fours) {
        let mut sum = a[0].mul_add(*x0, *y);
        sum = a[1].mul_add(*x1, sum);
        sum = a[2].mul_add(*x2, sum);
        *y = a[3].mul_add(*x3, sum);
    }
}

multiversion! {
    /// Σ a·b of two slices of one length.
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_inline(a, b)
    }
}

multiversion! {
    /// y += a·x.
    fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
        add_scaled_inline(y, a, x);
    }
}

multiversion! {
    /// Σ (a − b)².
    fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0_f32; LANES];
        let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
        for (a, b) in a_chunks.zip(b_chunks) {
            for i in 0..LANES {
                let difference = a[i] - b[i];
                lanes[i] = difference.mul_add(difference, lanes[i]);
            }
        }
        let mut rest = 0_f32;
        for (&a, &b) in a_rest.iter().zip(b_rest) {
            rest = (a - b).mul_add(a - b, rest);
        }
        lanes.iter().sum::<f32>() + rest
    }
}

multiversion! {
    /// Whether every value is finite.
    fn is_finite(values: &[f32]) -> bool {
        // 0·x is NaN exactly where x is not finite.
        let mut lanes = [0_f32; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += chunk[i] * 0.0;
            }
        }
        lanes.iter().sum::<f32>() + rest.iter().map(|x| x * 0.0).sum::<f32>() == 0.0
    }
}

multiversion! {
    /// `centred = x − mean` for one row; adds the result to `column_sums` and returns Σ centred².
    fn centre(x: &[f32], mean: &[f32], centred: &mut [f32], column_sums: &mut [f32]) -> f32 {
        let n = x.len();
        let (mean, column_sums) = (&mean[..n], &mut column_sums[..n]);
        let centred = &mut centred[..n];
        for i in 0..n {
            centred[i] = x[i] - mean[i];
            column_sums[i] += centred[i];
        }
        dot_inline(centred, centred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn sums_equal_the_plain_ones() {
        for n in [0, 1, 31, 32, 33, 100, 576] {
            let a = reference::values(n, 1);
            let b = reference::values(n, 2);
            let plain: f64 = a
                .iter()
                .zip(&b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4, "dot of {n}");
            let plain: f64 = a
                .iter()
                .zip(&b)
                .map(|(&a, &b)| f64::from(a - b).powi(2))
                .sum();
            assert!(
                (f64::from(squared_distance(&a, &b)) - plain).abs() < 1e-3,
                "distance of {n}"
            );
        }
    }

    #[test]
    fn one_value_that_is_not_finite_is_found() {
        for n in [1, 40, 64] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = reference::values(n, 3);
                assert!(is_finite(&values));
                values[n - 1] = bad;
                assert!(!is_finite(&values), "{bad} at the end of {n}");
            }
        }
    }
}
