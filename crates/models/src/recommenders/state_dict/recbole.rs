//! Checkpoints of `RecBole`: its names for the tensors that `ReChorus` names otherwise.

use candle_core::{DType, Device, Tensor};

use super::{StateDict, format_error};
use crate::ModelError;

/// Gives the tensors of a `RecBole` checkpoint the names they have in `ReChorus`, whose models of
/// the same name compute the same.
///
/// # Errors
/// [`ModelError::Format`] for a model of `RecBole` that is built differently.
pub(super) fn rename(state: &mut StateDict<'_>) -> Result<(), ModelError> {
    if state
        .tensors
        .contains_key("trm_encoder.layer.0.multi_head_attention.query.weight")
    {
        return Err(format_error(
            state.path,
            "tensors",
            "this is SASRec as RecBole builds it (output projection, GELU, positions counted from \
             the oldest item), which is not read here; expected ReChorus' form"
                .to_owned(),
        ));
    }
    if state.tensors.contains_key("gru_layers.weight_hh_l0") {
        return rename_gru(state);
    }
    let moves = [
        (
            "item_embedding.weight",
            "i_embeddings.weight",
            "encoder.embedding_dict.item_emb",
        ),
        (
            "user_embedding.weight",
            "u_embeddings.weight",
            "encoder.embedding_dict.user_emb",
        ),
    ];
    if moves
        .iter()
        .all(|(from, ..)| state.tensors.contains_key(*from))
    {
        for (from, factor, graph) in moves {
            if let Some(tensor) = state.tensors.remove(from) {
                state.tensors.insert(graph.to_owned(), tensor.clone());
                state.tensors.insert(factor.to_owned(), tensor);
            }
        }
    }
    Ok(())
}

/// One recurrent layer without biases, then a linear layer.
fn rename_gru(state: &mut StateDict<'_>) -> Result<(), ModelError> {
    if state.tensors.contains_key("gru_layers.weight_hh_l1") {
        return Err(format_error(
            state.path,
            "tensor gru_layers.weight_hh_l1",
            "expected one recurrent layer, found more".to_owned(),
        ));
    }
    let moves = [
        ("item_embedding.weight", "i_embeddings.weight"),
        ("gru_layers.weight_ih_l0", "rnn.weight_ih_l0"),
        ("gru_layers.weight_hh_l0", "rnn.weight_hh_l0"),
        ("gru_layers.bias_ih_l0", "rnn.bias_ih_l0"),
        ("gru_layers.bias_hh_l0", "rnn.bias_hh_l0"),
        ("dense.weight", "out.weight"),
        ("dense.bias", "out.bias"),
    ];
    for (from, to) in moves {
        if let Some(tensor) = state.tensors.remove(from) {
            state.tensors.insert(to.to_owned(), tensor);
        }
    }
    if let Some(rows) = state.tensors.get("rnn.weight_hh_l0").map(Tensor::dims) {
        let n = rows.first().copied().unwrap_or(0);
        for bias in ["rnn.bias_ih_l0", "rnn.bias_hh_l0"] {
            if !state.tensors.contains_key(bias) {
                let zeros = Tensor::zeros(n, DType::F32, &Device::Cpu)?;
                state.tensors.insert(bias.to_owned(), zeros);
            }
        }
    }
    Ok(())
}
