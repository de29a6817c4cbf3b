//! Reads the weights of `TinyViT` from a safetensors file and folds batch norms into the maps.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::layers::{Block, Bottleneck, Linear, Neck, Stem, WindowAttention};
use crate::ModelError;
use crate::kernels::elementwise::{Depthwise, LayerNorm};

/// torch's default for batch and layer norms.
const NORM_EPS: f32 = 1e-5;
/// The neck's layer norms in SAM.
const NECK_EPS: f32 = 1e-6;
/// Channels of the neck.
pub(super) const NECK_WIDTH: usize = 256;

/// `config.json` of the encoder's folder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TinyVitConfig {
    /// Side of the square input in pixels.
    #[serde(rename = "in")]
    pub(super) side: usize,
    pub(super) embed_dims: [usize; 4],
    pub(super) depths: [usize; 4],
    pub(super) num_heads: [usize; 4],
    pub(super) window_sizes: [usize; 4],
    pub(super) mlp_ratio: f64,
    pub(super) mbconv_expand_ratio: f64,
    pub(super) local_conv_size: usize,
}

/// All layers, in the order of the forward pass.
pub(super) struct TinyVit {
    pub(super) stem: Stem,
    pub(super) bottlenecks: Vec<Bottleneck>,
    /// Blocks of the stages 1 to 3.
    pub(super) stages: [Vec<Block>; 3],
    /// What follows the stages 0 to 2.
    pub(super) merges: [Bottleneck; 3],
    pub(super) neck: Neck,
    pub(super) n_parameters: u64,
}

impl TinyVitConfig {
    /// Reads and checks `config.json` at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        let damage = |place: &str, expected: String| ModelError::Format {
            path: path.to_owned(),
            place: place.to_owned(),
            expected,
        };
        let config: Self = serde_json::from_str(&text)
            .map_err(|error| damage("the encoder's sizes", error.to_string()))?;
        let check = |holds: bool, place: &str, expected: &str| {
            if holds {
                Ok(())
            } else {
                Err(damage(place, format!("expected {expected}")))
            }
        };
        check(
            (8..=4096).contains(&config.side) && config.side.is_multiple_of(4),
            "key in",
            "a multiple of 4 from 8 to 4,096",
        )?;
        check(
            config.embed_dims.iter().all(|d| (1..=4096).contains(d))
                && config.embed_dims[0].is_multiple_of(2),
            "key embed_dims",
            "widths from 1 to 4,096, the first even",
        )?;
        check(
            config.depths.iter().all(|d| *d <= 64),
            "key depths",
            "at most 64 blocks a stage",
        )?;
        let heads = config.embed_dims.iter().zip(&config.num_heads);
        check(
            heads
                .into_iter()
                .all(|(d, heads)| *heads > 0 && d % heads == 0),
            "key num_heads",
            "divisors of embed_dims",
        )?;
        check(
            config.window_sizes.iter().all(|w| (1..=64).contains(w)),
            "key window_sizes",
            "windows of 1 to 64 tokens",
        )?;
        check(config.local_conv_size == 3, "key local_conv_size", "3")?;
        let ratios = [config.mlp_ratio, config.mbconv_expand_ratio];
        check(
            ratios.iter().all(|ratio| (0.1..=16.0).contains(ratio)),
            "keys mlp_ratio and mbconv_expand_ratio",
            "ratios from 0.1 to 16",
        )?;
        Ok(config)
    }

    /// Step of the merge after each of the stages 0 to 2: upstream does not halve the grid where
    /// the width becomes 320, 448 or 576.
    pub(super) fn merge_stride(&self, stage: usize) -> usize {
        match self.embed_dims[stage + 1] {
            320 | 448 | 576 => 1,
            _ => 2,
        }
    }

    /// Width of the output of a stage.
    pub(super) fn stage_width(&self, stage: usize) -> usize {
        self.embed_dims[(stage + 1).min(3)]
    }

    /// Tokens on a side of the output of a stage.
    pub(super) fn stage_side(&self, stage: usize) -> usize {
        (0..=stage.min(2)).fold(self.side, |side, i| side.div_ceil(self.merge_stride(i)))
    }
}

/// A safetensors file that is being read.
struct Weights<'a> {
    path: PathBuf,
    tensors: SafeTensors<'a>,
}

impl Weights<'_> {
    /// The f32 tensor `name`, which must have `shape`.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let damage = |expected: String| ModelError::Format {
            path: self.path.clone(),
            place: format!("tensor {name}"),
            expected,
        };
        let tensor = self
            .tensors
            .tensor(name)
            .map_err(|error| damage(format!("expected shape {shape:?}: {error}")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(damage(format!(
                "expected F32 of shape {shape:?}, found {:?} of shape {:?}",
                tensor.dtype(),
                tensor.shape()
            )));
        }
        let values: Vec<f32> = tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(damage(
                "holds a value that is not a finite number".to_owned(),
            ))
        }
    }

    /// A convolution without bias and its batch norm, as one map: weight `[out, rest]` and bias.
    fn convolution(
        &self,
        name: &str,
        shape: [usize; 4],
    ) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        let n_out = shape[0];
        let mut weight = self.get(&format!("{name}.c.weight"), &shape)?;
        let norm = |part: &str| self.get(&format!("{name}.bn.{part}"), &[n_out]);
        let (scale, shift) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let mut bias = Vec::with_capacity(n_out);
        for (i, row) in weight
            .chunks_exact_mut(shape[1..].iter().product())
            .enumerate()
        {
            let scale = scale[i] / (variance[i] + NORM_EPS).sqrt();
            for value in row.iter_mut() {
                *value *= scale;
            }
            bias.push(shift[i] - mean[i] * scale);
        }
        Ok((weight, bias))
    }

    fn pointwise(&self, name: &str, n_out: usize, n_in: usize) -> Result<Linear, ModelError> {
        let (weight, bias) = self.convolution(name, [n_out, n_in, 1, 1])?;
        Ok(Linear { weight, bias })
    }

    fn depthwise(&self, name: &str, width: usize, stride: usize) -> Result<Depthwise, ModelError> {
        let (weight, bias) = self.convolution(name, [width, 1, 3, 3])?;
        let taps = (0..9)
            .flat_map(|tap| weight.iter().skip(tap).step_by(9).copied())
            .collect();
        Ok(Depthwise { taps, bias, stride })
    }

    fn linear(&self, name: &str, n_out: usize, n_in: usize) -> Result<Linear, ModelError> {
        Ok(Linear {
            weight: self.get(&format!("{name}.weight"), &[n_out, n_in])?,
            bias: self.get(&format!("{name}.bias"), &[n_out])?,
        })
    }

    fn norm(&self, name: &str, width: usize, eps: f32) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm {
            weight: self.get(&format!("{name}.weight"), &[width])?,
            bias: self.get(&format!("{name}.bias"), &[width])?,
            eps,
        })
    }

    fn bottleneck(
        &self,
        name: &str,
        [n_in, hidden, n_out]: [usize; 3],
        stride: usize,
        has_shortcut: bool,
    ) -> Result<Bottleneck, ModelError> {
        Ok(Bottleneck {
            expand: self.pointwise(&format!("{name}.conv1"), hidden, n_in)?,
            depthwise: self.depthwise(&format!("{name}.conv2"), hidden, stride)?,
            project: self.pointwise(&format!("{name}.conv3"), n_out, hidden)?,
            has_shortcut,
        })
    }

    fn block(&self, config: &TinyVitConfig, stage: usize, i: usize) -> Result<Block, ModelError> {
        let width = config.embed_dims[stage];
        let hidden = (width as f64 * config.mlp_ratio) as usize;
        let (n_heads, window) = (config.num_heads[stage], config.window_sizes[stage]);
        let name = format!("layers.{stage}.blocks.{i}");
        let n = window * window;
        let biases = self.get(&format!("{name}.attn.attention_biases"), &[n_heads, n])?;
        let mut bias = Vec::with_capacity(n_heads * n * n);
        for head in biases.chunks_exact(n) {
            for (from, to) in (0..n).flat_map(|from| (0..n).map(move |to| (from, to))) {
                let down = (from / window).abs_diff(to / window);
                let across = (from % window).abs_diff(to % window);
                bias.push(head[down * window + across]);
            }
        }
        Ok(Block {
            attention: WindowAttention {
                norm: self.norm(&format!("{name}.attn.norm"), width, NORM_EPS)?,
                qkv: self.linear(&format!("{name}.attn.qkv"), 3 * width, width)?,
                proj: self.linear(&format!("{name}.attn.proj"), width, width)?,
                n_heads,
                window,
                bias,
            },
            local: self.depthwise(&format!("{name}.local_conv"), width, 1)?,
            norm: self.norm(&format!("{name}.mlp.norm"), width, NORM_EPS)?,
            fc1: self.linear(&format!("{name}.mlp.fc1"), hidden, width)?,
            fc2: self.linear(&format!("{name}.mlp.fc2"), width, hidden)?,
        })
    }

    fn neck(&self, width: usize) -> Result<Neck, ModelError> {
        let wide = self.get("neck.2.weight", &[NECK_WIDTH, NECK_WIDTH, 3, 3])?;
        let taps = (0..9)
            .map(|tap| Linear {
                weight: wide.iter().skip(tap).step_by(9).copied().collect(),
                bias: vec![0.0; NECK_WIDTH],
            })
            .collect();
        Ok(Neck {
            narrow: Linear {
                weight: self.get("neck.0.weight", &[NECK_WIDTH, width, 1, 1])?,
                bias: vec![0.0; NECK_WIDTH],
            },
            norm: self.norm("neck.1", NECK_WIDTH, NECK_EPS)?,
            taps,
            last_norm: self.norm("neck.3", NECK_WIDTH, NECK_EPS)?,
        })
    }
}

impl TinyVit {
    /// Reads all weights from the safetensors file at `path`.
    pub(super) fn read(path: &Path, config: &TinyVitConfig) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| ModelError::Format {
            path: path.to_owned(),
            place: "its header".to_owned(),
            expected: format!("expected a whole safetensors file: {error}"),
        })?;
        let n_parameters = tensors
            .iter()
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(_, tensor)| tensor.shape().iter().product::<usize>() as u64)
            .sum();
        let weights = Weights {
            path: path.to_owned(),
            tensors,
        };
        let dims = config.embed_dims;
        let hidden = (dims[0] as f64 * config.mbconv_expand_ratio) as usize;
        let merge = |i: usize| {
            let sizes = [dims[i], dims[i + 1], dims[i + 1]];
            let name = format!("layers.{i}.downsample");
            weights.bottleneck(&name, sizes, config.merge_stride(i), false)
        };
        let stage = |i: usize| -> Result<Vec<Block>, ModelError> {
            let blocks = 0..config.depths[i];
            blocks.map(|j| weights.block(config, i, j)).collect()
        };
        Ok(Self {
            stem: Stem {
                first: weights.pointwise("patch_embed.seq.0", dims[0] / 2, 3)?,
                second: weights.pointwise("patch_embed.seq.2", dims[0], dims[0] / 2)?,
            },
            bottlenecks: (0..config.depths[0])
                .map(|i| {
                    let sizes = [dims[0], hidden, dims[0]];
                    weights.bottleneck(&format!("layers.0.blocks.{i}"), sizes, 1, true)
                })
                .collect::<Result<_, _>>()?,
            stages: [stage(1)?, stage(2)?, stage(3)?],
            merges: [merge(0)?, merge(1)?, merge(2)?],
            neck: weights.neck(dims[3])?,
            n_parameters,
        })
    }
}
