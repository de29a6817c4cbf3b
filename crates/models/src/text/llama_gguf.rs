//! Reads the weights of a Llama-shaped decoder from a GGUF file.

use std::sync::Arc;

use candle_core::Device;

use super::llama::{Block, Llama, LlamaParts};
use super::{Gguf, LlamaConfig};
use crate::ModelError;
use crate::weights::{CodedMatrix, Linear, Weight};

/// Names and shapes of the tensors of block `i`, in the order of [`read_block`].
fn block_tensors(config: &LlamaConfig, i: usize) -> [(String, Vec<usize>); 9] {
    let (d, mlp, query, key) = (
        config.d_model,
        config.d_mlp,
        config.d_query(),
        config.d_key(),
    );
    [
        ("attn_norm", vec![d]),
        ("attn_q", vec![query, d]),
        ("attn_k", vec![key, d]),
        ("attn_v", vec![key, d]),
        ("attn_output", vec![d, query]),
        ("ffn_norm", vec![d]),
        ("ffn_gate", vec![mlp, d]),
        ("ffn_up", vec![mlp, d]),
        ("ffn_down", vec![d, mlp]),
    ]
    .map(|(name, shape)| (format!("blk.{i}.{name}.weight"), shape))
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
            "a plain Llama decoder has no such tensor".to_owned(),
        )),
        None => Ok(n_parameters),
    }
}

/// The matrix `name`, coded as in the file where this build multiplies that coding, else as f32.
fn read_matrix(gguf: &Gguf, name: &str, shape: &[usize]) -> Result<CodedMatrix, ModelError> {
    let &[rows, columns] = shape else {
        return Err(ModelError::Request(format!("{name} is no matrix")));
    };
    gguf.matrix(name, [rows, columns])
}

/// Row i of the half-split order within a head of `d_head` rows: GGUF files keep the rows of a
/// pair next to each other, as `llama.cpp`'s rotation wants them.
fn half_split(row: usize, d_head: usize) -> usize {
    let (head, within) = (row / d_head, row % d_head);
    let half = d_head / 2;
    head * d_head + 2 * (within % half) + within / half
}

fn read_block(gguf: &Gguf, config: &LlamaConfig, i: usize) -> Result<Block, ModelError> {
    let [attn_norm, q, k, v, o, mlp_norm, gate, up, down] = block_tensors(config, i);
    let linear = |matrix: CodedMatrix| Linear {
        weight: Weight::Coded(Arc::new(matrix)),
        bias: None,
    };
    let read = |(name, shape): &(String, Vec<usize>)| read_matrix(gguf, name, shape);
    let turned = |tensor| -> Result<Linear, ModelError> {
        let order = |row| half_split(row, config.d_head);
        Ok(linear(read(tensor)?.reordered(order)))
    };
    Ok(Block {
        attn_norm: gguf.tensor_f32(&attn_norm.0, &attn_norm.1)?,
        q: turned(&q)?,
        k: turned(&k)?,
        v: linear(read(&v)?),
        o: linear(read(&o)?),
        mlp_norm: gguf.tensor_f32(&mlp_norm.0, &mlp_norm.1)?,
        gate: linear(read(&gate)?),
        up: linear(read(&up)?),
        down: linear(read(&down)?),
    })
}

/// Reads all weights once, coded as they are in the file.
pub(crate) fn llama_from_gguf(gguf: &Gguf, config: LlamaConfig) -> Result<Llama, ModelError> {
    check_tensors(gguf, &config)?;
    let vocab = [config.n_vocab, config.d_model];
    let has = |name: &str| gguf.tensors().contains_key(name);
    let matrix = |name: &str| -> Result<Weight, ModelError> {
        Ok(Weight::Coded(Arc::new(read_matrix(gguf, name, &vocab)?)))
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
