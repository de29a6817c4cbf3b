//! Checkpoints of `RecBole`: its names for the tensors that `ReChorus` names otherwise.

use candle_core::{DType, Device, Tensor};
use torch_file::printable;

use super::{Setting, StateDict, format_error};
use crate::{Architecture, ModelError};

/// A tensor that only `SASRec` in `RecBole`'s form has.
pub(super) const SASREC_QUERY: &str = "trm_encoder.layer.0.multi_head_attention.query.weight";

/// Gives the tensors of a `RecBole` checkpoint the names they have in `ReChorus`, whose models of
/// the same name compute the same; but for `SASRec`, which has a form of its own. Returns whether
/// the names were `RecBole`'s.
///
/// # Errors
/// [`ModelError::Format`] for a model of `RecBole` that is built differently.
pub(super) fn rename(state: &mut StateDict<'_>) -> Result<bool, ModelError> {
    if state.tensors.contains_key(SASREC_QUERY) {
        check_sasrec(state)?;
        return Ok(true);
    }
    if state.tensors.contains_key("gru_layers.weight_hh_l0") {
        rename_gru(state)?;
        return Ok(true);
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
    let has_both = moves
        .iter()
        .all(|(from, ..)| state.tensors.contains_key(*from));
    if has_both {
        for (from, factor, graph) in moves {
            if let Some(tensor) = state.tensors.remove(from) {
                state.tensors.insert(graph.to_owned(), tensor.clone());
                state.tensors.insert(factor.to_owned(), tensor);
            }
        }
    }
    Ok(has_both)
}

/// What the settings say of the model; `None` if nothing.
///
/// # Errors
/// [`ModelError::Format`] for a model that is none of those read here.
pub(super) fn architecture(state: &StateDict<'_>) -> Result<Option<Architecture>, ModelError> {
    match state.settings.get("model") {
        Some(Setting::Text(name)) => match name.as_str() {
            "BPR" => Ok(Some(Architecture::BprMf)),
            "LightGCN" => Ok(Some(Architecture::LightGcn)),
            "GRU4Rec" => Ok(Some(Architecture::Gru4Rec)),
            "SASRec" => Ok(Some(Architecture::SasRec)),
            other => Err(format_error(
                state.path,
                "config, model",
                format!(
                    "expected BPR, LightGCN, GRU4Rec or SASRec, found {}; if it computes as one of \
                     them does, give the architecture",
                    printable(other)
                ),
            )),
        },
        _ => Ok(None),
    }
}

/// A whole number among the settings.
pub(super) fn whole_number(state: &StateDict<'_>, name: &str) -> Option<u32> {
    match state.settings.get(name) {
        Some(Setting::Number(number)) if number.fract() == 0.0 => (0.0..=f64::from(u32::MAX))
            .contains(number)
            .then_some(*number as u32),
        _ => None,
    }
}

/// Settings of `SASRec` that its tensors do not show.
fn check_sasrec(state: &StateDict<'_>) -> Result<(), ModelError> {
    let wrong = |name: &str, expected: &str, found: &dyn std::fmt::Display| {
        let expected = format!("expected {expected}, found {found}");
        Err(format_error(
            state.path,
            &format!("config, {name}"),
            expected,
        ))
    };
    match state.settings.get("hidden_act") {
        Some(Setting::Text(name)) if name != "gelu" => {
            return wrong("hidden_act", "gelu", &printable(name));
        }
        _ => {}
    }
    match state.settings.get("layer_norm_eps") {
        Some(Setting::Number(eps)) if *eps != 1e-12 => wrong("layer_norm_eps", "1e-12", eps),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;

    fn state(settings: &[(&str, Setting)]) -> StateDict<'static> {
        let query = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let settings = settings.iter().cloned();
        StateDict {
            path: Path::new("a.pth"),
            tensors: HashMap::from([(SASREC_QUERY.to_owned(), query)]),
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    #[test]
    fn a_model_built_differently_is_refused() {
        let text = |text: &str| Setting::Text(text.to_owned());
        for (setting, expected) in [
            (("hidden_act", text("swish")), "expected gelu, found swish"),
            (
                ("layer_norm_eps", Setting::Number(1e-5)),
                "expected 1e-12, found 0.00001",
            ),
        ] {
            let error = rename(&mut state(&[setting])).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = architecture(&state(&[("model", text("BERT4Rec"))])).unwrap_err();
        assert!(error.to_string().contains("found BERT4Rec"), "{error}");
        let plain = state(&[
            ("model", text("SASRec")),
            ("hidden_act", text("gelu")),
            ("layer_norm_eps", Setting::Number(1e-12)),
            ("n_heads", Setting::Number(3.0)),
            ("dropout", Setting::Number(0.5)),
        ]);
        assert_eq!(architecture(&plain).unwrap(), Some(Architecture::SasRec));
        assert_eq!(whole_number(&plain, "n_heads"), Some(3));
        assert_eq!(whole_number(&plain, "dropout"), None);
        assert!(rename(&mut state(&[])).unwrap());
    }
}
