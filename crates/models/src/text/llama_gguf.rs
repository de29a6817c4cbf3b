//! Reads the weights of a Llama-shaped decoder from a GGUF file.

use std::sync::Arc;

use candle_core::Device;

use super::llama::{Block, Llama, LlamaParts};
use super::{Gguf, LlamaConfig};
use crate::ModelError;
use crate::weights::{Linear, Weight};

/// A matrix of a block: its name between `blk.N.` and `.weight`, and its shape.
struct BlockMap {
    name: &'static str,
    shape: [usize; 2],
    /// Whether there is a `.bias` of as many values as the matrix has rows.
    has_bias: bool,
    /// Whether its rows are to be taken apart by [`half_split`].
    is_turned: bool,
}

/// The matrices of a block, in the order of [`read_block`].
fn block_maps(config: &LlamaConfig) -> [BlockMap; 7] {
    let (d, mlp, query, key) = (
        config.d_model,
        config.d_mlp,
        config.d_query(),
        config.d_key(),
    );
    let has_bias = config.family.has_biases();
    let is_turned = config.family.has_pairs_side_by_side();
    [
        ("attn_q", [query, d], has_bias, is_turned),
        ("attn_k", [key, d], has_bias, is_turned),
        ("attn_v", [key, d], has_bias, false),
        ("attn_output", [d, query], false, false),
        ("ffn_gate", [mlp, d], false, false),
        ("ffn_up", [mlp, d], false, false),
        ("ffn_down", [d, mlp], false, false),
    ]
    .map(|(name, shape, has_bias, is_turned)| BlockMap {
        name,
        shape,
        has_bias,
        is_turned,
    })
}

/// Names and shapes of the tensors of block `i`.
fn block_tensors(config: &LlamaConfig, i: usize) -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        (format!("blk.{i}.attn_norm.weight"), vec![config.d_model]),
        (format!("blk.{i}.ffn_norm.weight"), vec![config.d_model]),
    ];
    if config.family.has_head_norms() {
        for name in ["attn_q_norm", "attn_k_norm"] {
            tensors.push((format!("blk.{i}.{name}.weight"), vec![config.d_head]));
        }
    }
    for map in block_maps(config) {
        let name = map.name;
        tensors.push((format!("blk.{i}.{name}.weight"), map.shape.to_vec()));
        if map.has_bias {
            tensors.push((format!("blk.{i}.{name}.bias"), vec![map.shape[0]]));
        }
    }
    tensors
}

/// Every tensor the decoder reads: name and shape.
fn expected_tensors(gguf: &Gguf, config: &LlamaConfig) -> Vec<(String, Vec<usize>)> {
    let vocab = vec![config.n_vocab, config.d_model];
    let mut expected = vec![
        ("token_embd.weight".to_owned(), vocab.clone()),
        ("output_norm.weight".to_owned(), vec![config.d_model]),
    ];
    for i in 0..config.n_blocks {
        expected.extend(block_tensors(config, i));
    }
    if gguf.tensors().contains_key("output.weight") {
        expected.push(("output.weight".to_owned(), vocab));
    }
    if gguf.tensors().contains_key("rope_freqs.weight") {
        expected.push(("rope_freqs.weight".to_owned(), vec![config.d_head / 2]));
    }
    expected
}

/// Checks that every tensor the decoder needs is in the file with the right shape, and none that
/// it would silently leave out. Returns the number of weights.
pub(crate) fn check_tensors(gguf: &Gguf, config: &LlamaConfig) -> Result<u64, ModelError> {
    let expected = expected_tensors(gguf, config);
    let damage = |name: &str, expected: String| ModelError::Format {
        path: gguf.path().to_owned(),
        place: format!("tensor {name}"),
        expected,
    };
    let mut n_parameters = 0;
    for (name, shape) in &expected {
        let found = gguf.tensors().get(name).map(|entry| &entry.shape);
        if found != Some(shape) {
            let found = found.map_or("it is missing".to_owned(), |found| {
                format!("found {found:?}")
            });
            return Err(damage(name, format!("expected shape {shape:?}, {found}")));
        }
        n_parameters += shape.iter().map(|&dim| dim as u64).product::<u64>();
    }
    let mut names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match gguf
        .tensors()
        .keys()
        .find(|name| names.binary_search(&name.as_str()).is_err())
    {
        Some(name) => Err(damage(
            name,
            format!("a {} decoder has no such tensor", config.family.name()),
        )),
        None => Ok(n_parameters),
    }
}

/// Row i of the half-split order within a head of `d_head` rows: GGUF files keep the rows of a
/// pair next to each other, as `llama.cpp`'s rotation wants them.
fn half_split(row: usize, d_head: usize) -> usize {
    let (head, within) = (row / d_head, row % d_head);
    let half = d_head / 2;
    head * d_head + 2 * (within % half) + within / half
}

fn read_map(
    gguf: &Gguf,
    (i, d_head): (usize, usize),
    map: &BlockMap,
) -> Result<Linear, ModelError> {
    let name = format!("blk.{i}.{}", map.name);
    let mut matrix = gguf.matrix(&format!("{name}.weight"), map.shape)?;
    if map.is_turned {
        matrix = matrix.reordered(|row| half_split(row, d_head));
    }
    let bias = map
        .has_bias
        .then(|| gguf.tensor_f32(&format!("{name}.bias"), &map.shape[..1]))
        .transpose()?;
    Ok(Linear {
        weight: Weight::Coded(Arc::new(matrix)),
        bias,
    })
}

fn read_block(gguf: &Gguf, config: &LlamaConfig, i: usize) -> Result<Block, ModelError> {
    let norm = |name: &str, width| gguf.tensor_f32(&format!("blk.{i}.{name}.weight"), &[width]);
    let head_norm = |name: &str| {
        let is_there = config.family.has_head_norms();
        is_there.then(|| norm(name, config.d_head)).transpose()
    };
    let read = |map: &BlockMap| read_map(gguf, (i, config.d_head), map);
    let [q, k, v, o, gate, up, down] = block_maps(config);
    Ok(Block {
        attn_norm: norm("attn_norm", config.d_model)?,
        q: read(&q)?,
        q_norm: head_norm("attn_q_norm")?,
        k: read(&k)?,
        k_norm: head_norm("attn_k_norm")?,
        v: read(&v)?,
        o: read(&o)?,
        mlp_norm: norm("ffn_norm", config.d_model)?,
        gate: read(&gate)?,
        up: read(&up)?,
        down: read(&down)?,
    })
}

/// Reads all weights once, coded as they are in the file.
pub(crate) fn llama_from_gguf(gguf: &Gguf, config: LlamaConfig) -> Result<Llama, ModelError> {
    check_tensors(gguf, &config)?;
    let vocab = [config.n_vocab, config.d_model];
    let has = |name: &str| gguf.tensors().contains_key(name);
    let matrix = |name: &str| -> Result<Weight, ModelError> {
        Ok(Weight::Coded(Arc::new(gguf.matrix(name, vocab)?)))
    };
    let rope_factors = if has("rope_freqs.weight") {
        gguf.tensor_f32("rope_freqs.weight", &[config.d_head / 2])?
            .to_vec1::<f32>()?
    } else {
        Vec::new()
    };
    let parts = LlamaParts {
        embed: matrix("token_embd.weight")?,
        blocks: (0..config.n_blocks)
            .map(|i| read_block(gguf, &config, i))
            .collect::<Result<_, _>>()?,
        ln_final: gguf.tensor_f32("output_norm.weight", &[config.d_model])?,
        head: has("output.weight")
            .then(|| matrix("output.weight"))
            .transpose()?,
        rope_factors,
        device: Device::Cpu,
    };
    Ok(Llama::new(config, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_lie_side_by_side_are_taken_apart() {
        let order: Vec<usize> = (0..12).map(|row| half_split(row, 6)).collect();
        assert_eq!(order, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
