//! Tells architecture and shape of a recommender by the names and shapes of its tensors.

use candle_core::Tensor;

use super::super::config::{
    BprMfConfig, Gru4RecConfig, LightGcnConfig, RecommenderConfig, SasRecConfig, TiMiRecConfig,
};
use super::{StateDict, StateDictOptions, format_error};
use crate::{Architecture, ModelError};

/// Last items read where neither the file nor the user says.
const HISTORY_MAX: u32 = 20;

/// Steps of propagation where nobody says.
const GRAPH_STEPS: u32 = 3;

/// A tensor that only one architecture has.
const TELLING: [(Architecture, &str); 5] = [
    (Architecture::BprMf, "u_embeddings.weight"),
    (Architecture::LightGcn, "encoder.embedding_dict.user_emb"),
    (Architecture::TiMiRec, "interest_extractor.W1.weight"),
    (Architecture::Gru4Rec, "rnn.weight_ih_l0"),
    (Architecture::SasRec, "p_embeddings.weight"),
];

/// The shape of a state dict.
pub(super) fn shape_of(
    state: &StateDict<'_>,
    options: &StateDictOptions,
) -> Result<RecommenderConfig, ModelError> {
    let told = TELLING
        .iter()
        .find(|(_, name)| state.tensors.contains_key(*name))
        .map(|(architecture, _)| *architecture);
    let has_two_tables =
        |a: Option<Architecture>| matches!(a, Some(Architecture::BprMf | Architecture::LightGcn));
    let architecture = match (options.architecture, told) {
        (Some(wanted), told) if told.is_none_or(|told| told == wanted) => wanted,
        // RecBole names the tables of both alike.
        (Some(wanted), told) if has_two_tables(Some(wanted)) && has_two_tables(told) => wanted,
        (Some(wanted), Some(told)) => {
            return Err(format_error(
                state.path,
                "tensors",
                format!("expected those of {wanted:?}, found those of {told:?}"),
            ));
        }
        (_, Some(told)) => told,
        (_, None) => Architecture::SasRec,
    };
    let reader = Reader { state, options };
    let config = match architecture {
        Architecture::BprMf => reader.bprmf()?,
        Architecture::LightGcn => reader.lightgcn()?,
        Architecture::SasRec => reader.sasrec()?,
        Architecture::TiMiRec => reader.timirec()?,
        Architecture::Gru4Rec => reader.gru4rec()?,
        other => {
            return Err(ModelError::Request(format!(
                "{other:?} is no recommender; expected bprmf, lightgcn, sasrec, timirec or gru4rec"
            )));
        }
    };
    config
        .check()
        .map_err(|error| format_error(state.path, "shape of the model", error.to_string()))?;
    Ok(config)
}

struct Reader<'a> {
    state: &'a StateDict<'a>,
    options: &'a StateDictOptions,
}

impl Reader<'_> {
    /// Rows and columns of a tensor.
    fn size(&self, name: &str) -> Result<(u32, u32), ModelError> {
        match self.state.tensors.get(name).map(Tensor::dims) {
            Some(&[rows, width]) if rows >= 1 && width >= 1 => Ok((rows as u32, width as u32)),
            Some(shape) => Err(format_error(
                self.state.path,
                &format!("tensor {name}"),
                format!("expected rows and columns, found {shape:?}"),
            )),
            None => Err(format_error(
                self.state.path,
                &format!("tensor {name}"),
                "expected in the state dict of a recommender, not there".to_owned(),
            )),
        }
    }

    /// Ids of a table, whose row 0 is padding, and its width.
    fn ids(&self, name: &str) -> Result<(u32, u32), ModelError> {
        let (rows, width) = self.size(name)?;
        Ok((rows - 1, width))
    }

    fn has(&self, name: &str) -> bool {
        self.state.tensors.contains_key(name)
    }

    /// Last items read, given the position table.
    fn history_max(&self, table: Option<&str>) -> Result<u32, ModelError> {
        let Some(name) = table else {
            return Ok(self.options.history_max.unwrap_or(HISTORY_MAX));
        };
        let (most, _) = self.ids(name)?;
        let wanted = self.options.history_max.unwrap_or(most);
        if wanted > most {
            return Err(format_error(
                self.state.path,
                &format!("tensor {name}"),
                format!(
                    "expected at least {} rows for histories of {wanted} items, found {}",
                    wanted + 1,
                    most + 1
                ),
            ));
        }
        Ok(wanted)
    }

    fn bprmf(&self) -> Result<RecommenderConfig, ModelError> {
        let (n_items, d_model) = self.ids("i_embeddings.weight")?;
        let (n_users, _) = self.ids("u_embeddings.weight")?;
        Ok(RecommenderConfig::BprMf(BprMfConfig {
            n_users,
            n_items,
            d_model,
        }))
    }

    fn lightgcn(&self) -> Result<RecommenderConfig, ModelError> {
        let (n_items, d_model) = self.ids("encoder.embedding_dict.item_emb")?;
        let (n_users, _) = self.ids("encoder.embedding_dict.user_emb")?;
        Ok(RecommenderConfig::LightGcn(LightGcnConfig {
            n_users,
            n_items,
            d_model,
            n_layers: self.options.n_layers.unwrap_or(GRAPH_STEPS),
        }))
    }

    fn sasrec(&self) -> Result<RecommenderConfig, ModelError> {
        let (n_items, d_model) = self.ids("i_embeddings.weight")?;
        let n_layers = (0..=self.state.tensors.len())
            .take_while(|layer| self.has(&format!("transformer_block.{layer}.linear1.weight")))
            .count();
        Ok(RecommenderConfig::SasRec(SasRecConfig {
            n_items,
            d_model,
            n_layers: n_layers as u32,
            n_heads: self.options.n_heads.unwrap_or(1),
            history_max: self.history_max(Some("p_embeddings.weight"))?,
        }))
    }

    fn timirec(&self) -> Result<RecommenderConfig, ModelError> {
        let of = "interest_extractor";
        let (n_items, d_model) = self.ids(&format!("{of}.i_embeddings.weight"))?;
        let (attention_width, _) = self.size(&format!("{of}.W1.weight"))?;
        let (n_interests, _) = self.size(&format!("{of}.W2.weight"))?;
        let positions = format!("{of}.p_embeddings.weight");
        let has_positions = self.has(&positions);
        let n_hidden = (0..=self.state.tensors.len())
            .take_while(|layer| self.has(&format!("proj.proj_{layer}.weight")))
            .count();
        Ok(RecommenderConfig::TiMiRec(TiMiRecConfig {
            n_items,
            d_model,
            n_interests,
            attention_width,
            n_layers: n_hidden as u32 + 1,
            history_max: self.history_max(has_positions.then_some(&positions))?,
            has_positions,
            has_block: self.has(&format!("{of}.transformer.linear1.weight")),
            has_predictor: self.has("proj.proj_final.weight"),
        }))
    }

    fn gru4rec(&self) -> Result<RecommenderConfig, ModelError> {
        let (n_items, d_model) = self.ids("i_embeddings.weight")?;
        let (_, hidden_width) = self.size("rnn.weight_hh_l0")?;
        Ok(RecommenderConfig::Gru4Rec(Gru4RecConfig {
            n_items,
            d_model,
            hidden_width,
            history_max: self.history_max(None)?,
        }))
    }
}
