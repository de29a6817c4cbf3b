//! How often features are active: dead share, dense share, and the histogram of densities.

/// Density above which a feature counts as dense: active on more than a tenth of the rows.
///
/// # Source
/// The bound of Sun et al. 2025, "Dense SAE Latents Are Features, Not Bugs" (arXiv 2506.15679).
pub const DENSE_ABOVE: f64 = 0.1;

/// Bins per decade of [`density_histogram`].
const PER_DECADE: i32 = 2;
/// Decades below 1 that have bins of their own.
const DECADES: i32 = 6;

/// One bar of the density histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DensityBin {
    /// Lowest density of the bin, counted with it; 0 for the first.
    pub from: f64,
    /// Density at which the next bin begins; the last includes 1.
    pub to: f64,
    /// Features in it.
    pub n_features: u64,
}

/// Share of features that were active on no row.
///
/// `dead = #{i : n_i = 0} / n_features`; 0 without features.
///
/// # Shapes
/// - `active_rows`: `[n_features]`, rows on which each feature is active
///
/// # Example
/// Active on 0, 3, 0 and 1 rows: 1/2.
pub fn dead_share(active_rows: &[u64]) -> f64 {
    share_of(active_rows, |rows| rows == 0)
}

/// Share of features whose density is above [`DENSE_ABOVE`].
///
/// `dense = #{i : n_i / n > 0.1} / n_features`.
///
/// # Shapes
/// - `active_rows`: `[n_features]`, of `n_rows` rows
///
/// # Example
/// Active on 1, 2, 5 and 0 of 10 rows: 1/2; a tenth itself is not dense.
pub fn dense_share(active_rows: &[u64], n_rows: u64) -> f64 {
    share_of(active_rows, |rows| {
        rows as f64 > DENSE_ABOVE * n_rows as f64
    })
}

fn share_of(active_rows: &[u64], counts: impl Fn(u64) -> bool) -> f64 {
    let n = active_rows.iter().filter(|&&rows| counts(rows)).count();
    n as f64 / active_rows.len().max(1) as f64
}

/// Features by density, in half decades: below 1e-6, 1e-6 to 3.2e-6, … 0.32 to 1. Dead features
/// are in no bin.
///
/// # Shapes
/// - `active_rows`: `[n_features]`, of `n_rows` rows
/// - returns: 13 bins, rarest first
///
/// # Example
/// Active on 0, 1 and 10 of 10 rows: one feature in the bin from 0.1, one in the last.
pub fn density_histogram(active_rows: &[u64], n_rows: u64) -> Vec<DensityBin> {
    let lowest = -DECADES * PER_DECADE;
    let edge = |step: i32| 10_f64.powf(f64::from(step) / f64::from(PER_DECADE));
    let mut bins = vec![DensityBin {
        from: 0.0,
        to: edge(lowest),
        n_features: 0,
    }];
    bins.extend((lowest..0).map(|step| DensityBin {
        from: edge(step),
        to: edge(step + 1),
        n_features: 0,
    }));
    let last = bins.len() - 1;
    for &rows in active_rows.iter().filter(|&&rows| rows > 0) {
        let density = rows as f64 / n_rows.max(1) as f64;
        let at = bins.partition_point(|bin| bin.to <= density);
        bins[at.min(last)].n_features += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        assert_eq!(dead_share(&[0, 3, 0, 1]), 0.5);
        assert_eq!(dead_share(&[]), 0.0);
        assert_eq!(dense_share(&[1, 2, 5, 0], 10), 0.5);
    }

    #[test]
    fn every_live_feature_is_in_one_bin() {
        let bins = density_histogram(&[0, 1, 10], 10);
        assert_eq!(bins.len(), 13);
        assert_eq!(bins.iter().map(|bin| bin.n_features).sum::<u64>(), 2);
        let of_a_tenth = bins.iter().find(|bin| bin.from == 0.1).unwrap();
        assert_eq!(of_a_tenth.n_features, 1);
        assert_eq!(bins[12].n_features, 1);
        assert!(bins.windows(2).all(|pair| pair[0].to == pair[1].from));
        // Rarer than the lowest edge.
        assert_eq!(density_histogram(&[1], 100_000_000)[0].n_features, 1);
    }
}
