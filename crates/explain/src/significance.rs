//! p values and their adjustment for many tests.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// Probability that a chi-square variable with one degree of freedom exceeds `statistic`:
/// `erfc(√(statistic / 2))`.
///
/// # Example
/// `3.841458820694124` gives `0.05`.
pub fn chi_square_p(statistic: f64) -> f64 {
    if statistic > 0.0 {
        erfc((statistic / 2.0).sqrt())
    } else {
        1.0
    }
}

/// Complementary error function for `x ≥ 0`, to about 1e-14 relative: its series below 2, its
/// continued fraction (Lentz) above.
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        // erf x = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)), all terms positive.
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - FRAC_2_SQRT_PI * (-x * x).exp() * sum;
    }
    // erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from the far end.
    let mut fraction = x;
    for n in (1..=120).rev() {
        fraction = x + f64::from(n) / 2.0 / fraction;
    }
    (-x * x).exp() / (PI.sqrt() * fraction)
}

/// Benjamini-Hochberg adjusted p values: the lowest false discovery rate at which each test is
/// still counted, `q(i) = min over j ≥ i of p(j) · m / j` in ascending order of p.
///
/// # Source
/// Benjamini and Hochberg 1995; equal to R's `p.adjust(p, "BH")`.
///
/// # Example
/// `[0.01, 0.04, 0.03, 0.005]` gives `[0.02, 0.04, 0.04, 0.02]`.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut q = vec![0.0; p.len()];
    let mut lowest = 1.0_f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        lowest = lowest.min(p[i] * p.len() as f64 / (rank + 1) as f64);
        q[i] = lowest;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_chi_square_distribution() {
        for (statistic, p) in [
            (0.0, 1.0),
            (0.454_936_423_119_572_8, 0.5),
            (3.841_458_820_694_124, 0.05),
            (6.634_896_601_021_213, 0.01),
            (10.827_566_170_662_733, 0.001),
            (100.0, 1.523_970_604_832_105e-23),
        ] {
            let got = chi_square_p(statistic);
            assert!((got - p).abs() <= 1e-12 * p, "{statistic}: {got} {p}");
        }
    }

    #[test]
    fn both_forms_of_erfc_meet() {
        let below = erfc(2.0 - 1e-12);
        let above = erfc(2.0);
        // Their difference is the slope times 1e-12.
        assert!((below - above).abs() < 1e-13, "{below} {above}");
        assert!((above - 0.004_677_734_981_047_266).abs() < 1e-16);
    }

    #[test]
    fn adjusted_p_values_equal_those_of_r() {
        let q = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005]);
        for (got, expected) in q.iter().zip([0.02, 0.04, 0.04, 0.02]) {
            assert!((got - expected).abs() < 1e-15, "{q:?}");
        }
        assert_eq!(benjamini_hochberg(&[0.9, 0.8]), [0.9, 0.9]);
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
