//! How much of what a model does is kept when it runs on reconstructions.

/// Share of the loss that a reconstruction recovers, between ablation to zero and the model itself.
///
/// `recovered = (L_zero − L_sae) / (L_zero − L_clean)`: 1 is as good as the unchanged model, 0 no
/// better than zeros; below 0 is worse. `None` where zeros do not raise the loss.
///
/// # Shapes
/// - mean losses per token, nats (any one unit): with zeros in place of the activations, with
///   reconstructions, and unchanged
///
/// # Source
/// Bricken et al. 2023, "Towards Monosemanticity"; `loss_recovered` of `dictionary_learning`'s
/// `evaluation.py`.
///
/// # Example
/// Losses 5 with zeros, 3.5 with reconstructions, 3 unchanged: 0.75.
pub fn loss_recovered(zero: f64, sae: f64, clean: f64) -> Option<f64> {
    let raised = zero - clean;
    (raised > 0.0).then(|| (zero - sae) / raised)
}

/// Share of a ranking metric (HR@k, NDCG@k) that is kept when user vectors are reconstructed.
///
/// `kept = M_sae / M_clean`; `None` where the unchanged model scores 0.
///
/// # Source
/// Wang et al. 2024 (`RecSAE`, arXiv 2411.06112), which reports both values side by side.
///
/// # Example
/// NDCG@10 0.06 of 0.08: 0.75.
pub fn share_kept(with: f64, without: f64) -> Option<f64> {
    (without > 0.0).then(|| with / without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(loss_recovered(5.0, 3.5, 3.0), Some(0.75));
        assert_eq!(loss_recovered(5.0, 6.0, 3.0), Some(-0.5));
        assert_eq!(loss_recovered(3.0, 3.0, 3.0), None);
        assert!((share_kept(0.06, 0.08).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(share_kept(0.1, 0.0), None);
    }
}
