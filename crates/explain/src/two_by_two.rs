//! The table of active or not against with or without, and what follows from it.

use crate::chi_square_p;

/// 97.5 % quantile of the normal distribution.
pub(crate) const Z_975: f64 = 1.959_963_984_540_054;

/// Counts of samples: feature active or not, name present or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TwoByTwo {
    /// Active, with the name.
    pub active_with: u32,
    /// Active, without it.
    pub active_without: u32,
    /// Not active, with it.
    pub inactive_with: u32,
    /// Not active, without it.
    pub inactive_without: u32,
}

impl TwoByTwo {
    /// Adds one sample: whether it is active, and whether it has the name.
    pub fn count(&mut self, sample: (bool, bool)) {
        let cell = match sample {
            (true, true) => &mut self.active_with,
            (true, false) => &mut self.active_without,
            (false, true) => &mut self.inactive_with,
            (false, false) => &mut self.inactive_without,
        };
        *cell += 1;
    }

    fn cells(self) -> [f64; 4] {
        [
            self.active_with,
            self.active_without,
            self.inactive_with,
            self.inactive_without,
        ]
        .map(f64::from)
    }

    /// Samples in all.
    pub fn total(self) -> u64 {
        u64::from(self.active_with)
            + u64::from(self.active_without)
            + u64::from(self.inactive_with)
            + u64::from(self.inactive_without)
    }

    /// Natural logarithm of the odds ratio with 0.5 added to each cell (Haldane-Anscombe), and
    /// its 95 % interval: `ln OR ± 1.96 · √(Σ 1/cell)` (Woolf).
    ///
    /// # Example
    /// 10, 20, 5, 65 gives 1.8083, from 0.6635 to 2.9530.
    pub fn log_odds(self) -> (f64, [f64; 2]) {
        let [a, b, c, d] = self.cells().map(|cell| cell + 0.5);
        let log_odds = (a * d / (b * c)).ln();
        let error = (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt();
        (
            log_odds,
            [log_odds - Z_975 * error, log_odds + Z_975 * error],
        )
    }

    /// Lowest of the four counts expected if activity and name were independent.
    pub fn lowest_expected(self) -> f64 {
        let [a, b, c, d] = self.cells();
        let total = a + b + c + d;
        if total == 0.0 {
            return 0.0;
        }
        (a + b).min(c + d) * (a + c).min(b + d) / total
    }

    /// Two-sided p value: Pearson's chi-square without correction where every expected count is
    /// at least 5, Fisher's exact test otherwise.
    pub fn p(self) -> f64 {
        if self.lowest_expected() >= 5.0 {
            let [a, b, c, d] = self.cells();
            let margins = (a + b) * (c + d) * (a + c) * (b + d);
            chi_square_p((a * d - b * c).powi(2) * (a + b + c + d) / margins)
        } else {
            self.fisher_exact_p()
        }
    }

    /// Two-sided p value of Fisher's exact test: the tables with these margins that are at most
    /// as likely as this one (within a relative 1e-7, as `SciPy` does).
    ///
    /// # Example
    /// 8, 2, 1, 5 gives 0.034965.
    pub fn fisher_exact_p(self) -> f64 {
        let [a, b, c, d] = self.cells();
        let (active, inactive, with) = (a + b, c + d, a + c);
        let low = (with - inactive).max(0.0) as u32;
        let high = with.min(active) as u32;
        // Likelihoods relative to that of this table, from the ratio of neighbours.
        let up = |k: f64| (with - k) * (active - k) / ((k + 1.0) * (inactive - with + k + 1.0));
        let (mut at_most_as_likely, mut all) = (1.0, 1.0);
        let mut add = |relative: f64| {
            all += relative;
            if relative <= 1.0 + 1e-7 {
                at_most_as_likely += relative;
            }
        };
        let mut relative = 1.0;
        for k in self.active_with..high {
            relative *= up(f64::from(k));
            add(relative);
        }
        relative = 1.0;
        for k in (low..self.active_with).rev() {
            relative /= up(f64::from(k));
            add(relative);
        }
        (at_most_as_likely / all).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cells: [u32; 4]) -> TwoByTwo {
        let [active_with, active_without, inactive_with, inactive_without] = cells;
        TwoByTwo {
            active_with,
            active_without,
            inactive_with,
            inactive_without,
        }
    }

    #[test]
    fn log_odds_by_hand() {
        let (log_odds, [low, high]) = table([10, 20, 5, 65]).log_odds();
        assert!((log_odds - 1.808_262).abs() < 1e-5, "{log_odds}");
        assert!((low - 0.663_56).abs() < 1e-4, "{low}");
        assert!((high - 2.952_96).abs() < 1e-4, "{high}");
        let (zero, [low, high]) = table([0, 0, 0, 0]).log_odds();
        assert_eq!(zero, 0.0);
        assert!(low < -3.0 && high > 3.0);
    }

    #[test]
    fn fisher_exact_equals_published_values() {
        for (cells, p) in [
            ([8, 2, 1, 5], 0.034_965_034_965_034_97),
            // Fisher's lady tasting tea.
            ([3, 1, 1, 3], 0.485_714_285_714_285_7),
            ([0, 0, 5, 5], 1.0),
            ([5, 0, 0, 5], 2.0 / 252.0),
        ] {
            let got = table(cells).fisher_exact_p();
            assert!((got - p).abs() < 1e-14, "{cells:?}: {got}");
        }
    }

    #[test]
    fn fisher_exact_equals_enumeration_by_factorials() {
        let choose =
            |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for a in 0..8_u32 {
            for b in 0..6_u32 {
                let (c, d) = (3, 7);
                let likelihood = |k: u32| choose(a + b, k) * choose(c + d, a + c - k);
                let low = (a + c).saturating_sub(c + d);
                let all: Vec<f64> = (low..=(a + c).min(a + b)).map(likelihood).collect();
                let this = likelihood(a);
                let tail: f64 = all.iter().filter(|&&l| l <= this * (1.0 + 1e-7)).sum();
                let expected = tail / all.iter().sum::<f64>();
                let got = table([a, b, c, d]).fisher_exact_p();
                assert!((got - expected).abs() < 1e-12, "{a} {b}: {got} {expected}");
            }
        }
    }

    #[test]
    fn large_tables_use_chi_square_and_agree_with_fisher() {
        let large = table([60, 40, 45, 55]);
        // Chi-square: (60·55 − 40·45)² · 200 / (100·100·105·95) = 4.5113.
        assert!((large.p() - 0.033_67).abs() < 1e-4, "{}", large.p());
        assert!((large.p() - large.fisher_exact_p()).abs() < 0.02);
        assert!(table([8, 2, 1, 5]).p() > 0.03);
    }
}
