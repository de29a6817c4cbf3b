//! Over how many features a concept is split.

/// By how much one more feature must raise F1 to count as part of the concept.
///
/// # Source
/// 0.03 in Chanin et al. 2024 (arXiv 2409.14507).
pub const SPLIT_GAIN: f64 = 0.03;

/// Features that a concept is spread over: the smallest `k` from which one more feature raises the
/// F1 of a k-sparse probe by no more than [`SPLIT_GAIN`]; 0 without values.
///
/// # Shapes
/// - `f1`: F1 with 1, 2, 3 … features
///
/// # Source
/// Feature splitting of Chanin et al. 2024 (arXiv 2409.14507), who find with it the features whose
/// silence can be absorption.
///
/// # Example
/// F1 of 0.50, 0.70, 0.72, 0.80: 2, since the third adds 0.02.
pub fn n_split(f1: &[f64]) -> usize {
    let gains = f1.windows(2).map(|pair| pair[1] - pair[0]);
    let stops = gains.take_while(|&gain| gain > SPLIT_GAIN).count();
    if f1.is_empty() { 0 } else { stops + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(n_split(&[0.5, 0.7, 0.72, 0.8]), 2);
        assert_eq!(n_split(&[0.9, 0.9]), 1);
        assert_eq!(n_split(&[0.1, 0.2, 0.3]), 3);
        assert_eq!(n_split(&[0.4]), 1);
        assert_eq!(n_split(&[]), 0);
    }
}
