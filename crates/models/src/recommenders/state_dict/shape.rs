//! Tells architecture and shape of a recommender by the names and shapes of its tensors.

use candle_core::Tensor;

use super::super::config::{
    BprMfConfig, Gru4RecConfig, LightGcnConfig, RecommenderConfig, SasRecConfig, SasRecForm,
    TiMiRecConfig,
};
use super::recbole::{self, SASREC_QUERY};
use super::{StateDict, StateDictOptions, format_error};
use crate::{Architecture, ModelError};

/// Last items read where neither the file nor the user says.
const HISTORY_MAX: u32 = 20;

/// The same in `RecBole`.
const RECBOLE_HISTORY_MAX: u32 = 50;

/// Steps of propagation where nobody says.
const GRAPH_STEPS: u32 = 3;

/// The same in `RecBole`.
const RECBOLE_GRAPH_STEPS: u32 = 2;

/// Attention heads of `RecBole`'s `SASRec` where nobody says.
const RECBOLE_HEADS: u32 = 2;

/// A tensor that only one architecture has.
const TELLING: [(Architecture, &str); 6] = [
    (Architecture::BprMf, "u_embeddings.weight"),
    (Architecture::LightGcn, "encoder.embedding_dict.user_emb"),
    (Architecture::TiMiRec, "interest_extractor.W1.weight"),
    (Architecture::Gru4Rec, "rnn.weight_ih_l0"),
    (Architecture::SasRec, "p_embeddings.weight"),
    (Architecture::SasRec, SASREC_QUERY),
];

/// The architecture of a state dict.
fn architecture_of(
    state: &StateDict<'_>,
    wanted: Option<Architecture>,
) -> Result<Architecture, ModelError> {
    let named = TELLING
        .iter()
        .find(|(_, name)| state.tensors.contains_key(*name))
        .map(|(architecture, _)| *architecture);
    let has_two_tables =
        |a: Architecture| [Architecture::BprMf, Architecture::LightGcn].contains(&a);
    // RecBole names the tables of both alike.
    let agree =
        |a: Architecture, b: Architecture| a == b || (has_two_tables(a) && has_two_tables(b));
    let wanted = match wanted {
        Some(wanted) => Some(wanted),
        None => recbole::architecture(state)?,
    };
    match (wanted, named) {
        (Some(wanted), Some(named)) if !agree(wanted, named) => Err(format_error(
            state.path,
            "tensors",
            format!("expected those of {wanted:?}, found those of {named:?}"),
        )),
        (wanted, named) => Ok(wanted.or(named).unwrap_or(Architecture::SasRec)),
    }
}

/// The shape of a state dict, whose names were `RecBole`'s or not.
pub(super) fn shape_of(
    state: &StateDict<'_>,
    options: &StateDictOptions,
    is_recbole: bool,
) -> Result<RecommenderConfig, ModelError> {
    let architecture = architecture_of(state, options.architecture)?;
    let reader = Reader {
        state,
        options,
        is_recbole,
    };
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
    is_recbole: bool,
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

    /// A setting of the checkpoint, or what stands in for it.
    fn setting(&self, name: &str, plain: u32, in_recbole: u32) -> u32 {
        let told = recbole::whole_number(self.state, name);
        told.unwrap_or(if self.is_recbole { in_recbole } else { plain })
    }

    /// Ids of a table, whose row 0 is padding, and its width.
    fn ids(&self, name: &str) -> Result<(u32, u32), ModelError> {
        let (rows, width) = self.size(name)?;
        Ok((rows - 1, width))
    }

    fn has(&self, name: &str) -> bool {
        self.state.tensors.contains_key(name)
    }

    /// Layers of which the tensor of that name is there.
    fn n_layers(&self, name: impl Fn(usize) -> String) -> u32 {
        (0..=self.state.tensors.len())
            .take_while(|layer| self.has(&name(*layer)))
            .count() as u32
    }

    /// Last items read, given the position table.
    fn history_max(&self, table: Option<&str>) -> Result<u32, ModelError> {
        let Some(name) = table else {
            return Ok(self.options.history_max.unwrap_or_else(|| {
                self.setting("MAX_ITEM_LIST_LENGTH", HISTORY_MAX, RECBOLE_HISTORY_MAX)
            }));
        };
        let (rows, _) = self.size(name)?;
        // ReChorus has a row for padding too.
        let padding = u32::from(!self.is_recbole);
        let most = rows - padding;
        let wanted = self.options.history_max.unwrap_or(most);
        if wanted > most {
            return Err(format_error(
                self.state.path,
                &format!("tensor {name}"),
                format!(
                    "expected at least {} rows for histories of {wanted} items, found {}",
                    wanted + padding,
                    rows
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
            n_layers: self
                .options
                .n_layers
                .unwrap_or_else(|| self.setting("n_layers", GRAPH_STEPS, RECBOLE_GRAPH_STEPS)),
        }))
    }

    fn sasrec(&self) -> Result<RecommenderConfig, ModelError> {
        if self.has(SASREC_QUERY) {
            return self.recbole_sasrec();
        }
        let (n_items, d_model) = self.ids("i_embeddings.weight")?;
        let n_layers = self.n_layers(|layer| format!("transformer_block.{layer}.linear1.weight"));
        Ok(RecommenderConfig::SasRec(SasRecConfig {
            n_items,
            d_model,
            n_layers,
            n_heads: self.options.n_heads.unwrap_or(1),
            history_max: self.history_max(Some("p_embeddings.weight"))?,
            form: SasRecForm::ReChorus,
        }))
    }

    fn recbole_sasrec(&self) -> Result<RecommenderConfig, ModelError> {
        let (n_items, d_model) = self.ids("item_embedding.weight")?;
        let layer =
            |number: usize| format!("trm_encoder.layer.{number}.feed_forward.dense_1.weight");
        let (inner_width, _) = self.size(&layer(0))?;
        Ok(RecommenderConfig::SasRec(SasRecConfig {
            n_items,
            d_model,
            n_layers: self.n_layers(layer),
            n_heads: self
                .options
                .n_heads
                .unwrap_or_else(|| self.setting("n_heads", RECBOLE_HEADS, RECBOLE_HEADS)),
            history_max: self.history_max(Some("position_embedding.weight"))?,
            form: SasRecForm::RecBole { inner_width },
        }))
    }

    fn timirec(&self) -> Result<RecommenderConfig, ModelError> {
        let of = "interest_extractor";
        let (n_items, d_model) = self.ids(&format!("{of}.i_embeddings.weight"))?;
        let (attention_width, _) = self.size(&format!("{of}.W1.weight"))?;
        let (n_interests, _) = self.size(&format!("{of}.W2.weight"))?;
        let positions = format!("{of}.p_embeddings.weight");
        let has_positions = self.has(&positions);
        let n_hidden = self.n_layers(|layer| format!("proj.proj_{layer}.weight"));
        Ok(RecommenderConfig::TiMiRec(TiMiRecConfig {
            n_items,
            d_model,
            n_interests,
            attention_width,
            n_layers: n_hidden + 1,
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
