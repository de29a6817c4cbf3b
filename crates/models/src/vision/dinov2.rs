//! `DINOv2` as Hugging Face lays it out: pre-norm blocks with `LayerScale`, CLS first, hooks
//! everywhere.
//!
//! # Source
//! `transformers`, `models/dinov2/modeling_dinov2.py`.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use schema::HookPoint;
use serde::Deserialize;

use crate::tensor_ops::{attention, gelu, layer_norm, scaled_residual, swiglu};
use crate::weights::{CodedMatrix, Linear, Reader, Weight};
use crate::{EditedPosition, HookRun, ModelError};

/// Sizes of a `DINOv2` tower, the keys of its `config.json`.
///
/// What a file leaves out has the default of the reference, which leaves out what equals it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the keys of the file")]
pub struct Dinov2Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of the width.
    pub num_attention_heads: usize,
    /// Width of the MLP as a multiple of the stream's.
    pub mlp_ratio: f64,
    /// Activation of the MLP; only `gelu` is known.
    pub hidden_act: String,
    /// Added to the variance in every norm.
    pub layer_norm_eps: f32,
    /// Side of the square image that the position embeddings were trained on, in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Channels of the image.
    pub num_channels: usize,
    /// Whether query, key and value have biases.
    pub qkv_bias: bool,
    /// `SwiGLU` in place of the plain MLP (the giant model).
    pub use_swiglu_ffn: bool,
    /// Whether a backbone's feature map goes through the final norm.
    pub apply_layernorm: bool,
    /// Whether a backbone's feature map is laid out as an image.
    pub reshape_hidden_states: bool,
    /// Names of the stages a backbone hands out: `stem`, `stage1`, ….
    pub out_features: Option<Vec<String>>,
}

impl Default for Dinov2Config {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            apply_layernorm: true,
            reshape_hidden_states: false,
            out_features: None,
        }
    }
}

impl Dinov2Config {
    /// What is wrong with the sizes, as key and expectation.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("num_channels", self.num_channels),
        ];
        if let Some((key, size)) = sizes
            .into_iter()
            .find(|(_, size)| !(1..=1 << 16).contains(size))
        {
            return Some((key, format!("expected 1 to 65536, found {size}")));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("expected a divisor of the width {}", self.hidden_size);
            return Some(("num_attention_heads", expected));
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            let expected = format!("expected a divisor of the image size {}", self.image_size);
            return Some(("patch_size", expected));
        }
        if self.hidden_act != "gelu" {
            let expected = format!("expected \"gelu\", found \"{}\"", self.hidden_act);
            return Some(("hidden_act", expected));
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio < 64.0) {
            return Some(("mlp_ratio", "expected a number from 0 to 64".to_owned()));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Some(("layer_norm_eps", "expected a number from 0 to 1".to_owned()));
        }
        None
    }

    /// Patches along one side of the image the position embeddings were trained on.
    pub fn grid_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Width of the MLP.
    fn d_mlp(&self) -> usize {
        let wide = (self.hidden_size as f64 * self.mlp_ratio) as usize;
        if self.use_swiglu_ffn {
            // As the reference rounds it.
            (wide * 2 / 3).div_ceil(8) * 8
        } else {
            wide
        }
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl Norm {
    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

enum Mlp {
    Plain { up: Linear, down: Linear },
    SwiGlu { both: Linear, down: Linear },
}

impl Mlp {
    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Plain { up, down } => down.apply(&gelu(&up.apply(x)?)?),
            Self::SwiGlu { both, down } => {
                let both = both.apply(x)?;
                let axis = both.dims().len() - 1;
                let width = both.dim(axis)? / 2;
                let gate = both.narrow(axis, 0, width)?;
                let up = both.narrow(axis, width, width)?;
                down.apply(&swiglu(&gate, &up)?)
            }
        }
    }
}

struct Block {
    norms: [Norm; 2],
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    mlp: Mlp,
    scales: [Tensor; 2],
}

/// A `DINOv2` tower.
pub(crate) struct Dinov2 {
    config: Dinov2Config,
    /// `[d, channels · patch²]`.
    patch_embed: Linear,
    cls: Tensor,
    /// `[1 + n_patches, d]`, CLS first.
    positions: Vec<f32>,
    blocks: Vec<Block>,
    ln_final: Norm,
    device: Device,
}

fn read_norm(reader: &Reader<'_>, name: &str, config: &Dinov2Config) -> Result<Norm, ModelError> {
    let shape = [config.hidden_size];
    Ok(Norm {
        weight: reader.tensor(&format!("{name}.weight"), &shape)?,
        bias: reader.tensor(&format!("{name}.bias"), &shape)?,
        eps: config.layer_norm_eps,
    })
}

fn read_block(reader: &Reader<'_>, config: &Dinov2Config, i: usize) -> Result<Block, ModelError> {
    let (d, d_mlp) = (config.hidden_size, config.d_mlp());
    let at = format!("encoder.layer.{i}");
    let part = |old: &str, new: &str| {
        let names = [
            format!("{at}.attention.attention.{old}"),
            format!("{at}.attention.{old}"),
            format!("{at}.attention.{new}"),
        ];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        reader.linear(&names, [d, d], config.qkv_bias)
    };
    let out = [
        format!("{at}.attention.output.dense"),
        format!("{at}.attention.o_proj"),
    ];
    let scale = |name: &str| reader.tensor(&format!("{at}.{name}.lambda1"), &[d]);
    let mlp = |name: &str, shape| reader.linear(&[&format!("{at}.mlp.{name}")], shape, true);
    Ok(Block {
        norms: [
            read_norm(reader, &format!("{at}.norm1"), config)?,
            read_norm(reader, &format!("{at}.norm2"), config)?,
        ],
        q: part("query", "q_proj")?,
        k: part("key", "k_proj")?,
        v: part("value", "v_proj")?,
        out: reader.linear(&[&out[0], &out[1]], [d, d], true)?,
        mlp: if config.use_swiglu_ffn {
            Mlp::SwiGlu {
                both: mlp("weights_in", [2 * d_mlp, d])?,
                down: mlp("weights_out", [d, d_mlp])?,
            }
        } else {
            Mlp::Plain {
                up: mlp("fc1", [d_mlp, d])?,
                down: mlp("fc2", [d, d_mlp])?,
            }
        },
        scales: [scale("layer_scale1")?, scale("layer_scale2")?],
    })
}

/// Place of a hook in the tower's forward pass; `None` for hooks elsewhere.
pub(crate) fn hook_order(hook: HookPoint, n_blocks: usize) -> Option<usize> {
    let in_block = |i: usize, slot: usize| (i < n_blocks).then_some(1 + 4 * i + slot);
    match hook {
        HookPoint::VisionEmbed => Some(0),
        HookPoint::VisionResidPre(i) => in_block(i, 0),
        HookPoint::VisionAttnOut(i) => in_block(i, 1),
        HookPoint::VisionMlpOut(i) => in_block(i, 2),
        HookPoint::VisionResidPost(i) => in_block(i, 3),
        HookPoint::VisionLnFinal => Some(1 + 4 * n_blocks),
        _ => None,
    }
}

/// Every hook point of a tower, in the order of the forward pass.
pub(crate) fn hook_points(n_blocks: usize) -> Vec<HookPoint> {
    let mut hooks = vec![HookPoint::VisionEmbed];
    for i in 0..n_blocks {
        hooks.extend([
            HookPoint::VisionResidPre(i),
            HookPoint::VisionAttnOut(i),
            HookPoint::VisionMlpOut(i),
            HookPoint::VisionResidPost(i),
        ]);
    }
    hooks.push(HookPoint::VisionLnFinal);
    hooks
}

/// What a run of the tower hands on.
pub(crate) struct TowerPass {
    /// `[batch, 1 + n_patches, d]` of each wanted state, in the order asked.
    pub(crate) states: Vec<Tensor>,
}

impl Dinov2 {
    /// Reads a tower; the reader's prefix ends before `embeddings`.
    pub(crate) fn read(reader: &Reader<'_>, config: &Dinov2Config) -> Result<Self, ModelError> {
        let (d, patch) = (config.hidden_size, config.patch_size);
        let n_positions = config.grid_side() * config.grid_side() + 1;
        let embed = "embeddings.patch_embeddings.projection";
        let kernel = [d, config.num_channels, patch, patch];
        let values = reader.values(&format!("{embed}.weight"), &kernel)?;
        let flat = [d, config.num_channels * patch * patch];
        let weight = if reader.load.is_dense {
            let tensor = Tensor::from_vec(values, (flat[0], flat[1]), &reader.load.device)?;
            Weight::Dense(tensor.to_dtype(reader.load.dtype)?)
        } else {
            Weight::Coded(Arc::new(CodedMatrix::from_f32(flat, &values)))
        };
        Ok(Self {
            patch_embed: Linear {
                weight,
                bias: Some(reader.tensor(&format!("{embed}.bias"), &[d])?),
            },
            cls: reader.tensor("embeddings.cls_token", &[1, 1, d])?,
            positions: reader.values("embeddings.position_embeddings", &[1, n_positions, d])?,
            blocks: (0..config.num_hidden_layers)
                .map(|i| read_block(reader, config, i))
                .collect::<Result<_, _>>()?,
            ln_final: read_norm(reader, "layernorm", config)?,
            device: reader.load.device.clone(),
            config: config.clone(),
        })
    }

    /// Position embeddings for a grid of `rows × columns` patches, `[1 + rows · columns, d]`.
    fn positions(&self, rows: usize, columns: usize) -> candle_core::Result<Tensor> {
        let (d, side) = (self.config.hidden_size, self.config.grid_side());
        if (rows, columns) == (side, side) {
            return Tensor::from_slice(&self.positions, (side * side + 1, d), &self.device);
        }
        let mut values = self.positions[..d].to_vec();
        values.extend(bicubic_grid(
            &self.positions[d..],
            d,
            [side, side],
            [rows, columns],
        ));
        Tensor::from_vec(values, (rows * columns + 1, d), &self.device)
    }

    /// Runs images up to the hook point at place `stop` of [`hook_order`].
    ///
    /// # Shapes
    /// - `images`: `[channels, height, width]` each, all of the same size
    /// - `positions`: one entry per row of `[n_images, 1 + n_patches]`, or empty without edits
    /// - `wanted`: numbers of hidden states, 0 the embeddings, i + 1 the output of block i,
    ///   `n_blocks + 1` after the final norm
    /// - states returned: `[n_images, 1 + n_patches, d]`; those beyond `stop` are left out
    pub(crate) fn forward(
        &self,
        (images, [height, width]): (&[&[f32]], [usize; 2]),
        positions: &[EditedPosition],
        (wanted, stop): (&[usize], usize),
        run: &mut HookRun<'_>,
    ) -> Result<TowerPass, ModelError> {
        let n_blocks = self.config.num_hidden_layers;
        let mut states = vec![None; wanted.len()];
        let mut keep = |number: usize, x: &Tensor| {
            for (state, _) in states.iter_mut().zip(wanted).filter(|(_, w)| **w == number) {
                *state = Some(x.clone());
            }
        };
        let mut x = self.embed(images, [height, width])?;
        x = run.visit(HookPoint::VisionEmbed, x, positions)?;
        keep(0, &x);
        for (i, block) in self.blocks.iter().enumerate() {
            if stop < 1 + 4 * i {
                break;
            }
            x = run.visit(HookPoint::VisionResidPre(i), x, positions)?;
            if stop == 1 + 4 * i {
                break;
            }
            x = self.block(i, block, x, positions, run)?;
            keep(i + 1, &x);
        }
        if stop > 4 * n_blocks {
            let normed = self.ln_final.apply(&x)?;
            let normed = run.visit(HookPoint::VisionLnFinal, normed, positions)?;
            keep(n_blocks + 1, &normed);
        }
        Ok(TowerPass {
            states: states.into_iter().flatten().collect(),
        })
    }

    fn block(
        &self,
        i: usize,
        block: &Block,
        x: Tensor,
        positions: &[EditedPosition],
        run: &mut HookRun<'_>,
    ) -> Result<Tensor, ModelError> {
        let zeros = || x.zeros_like();
        let h = block.norms[0].apply(&x)?;
        let heads = [self.config.num_attention_heads; 2];
        let (q, k, v) = (block.q.apply(&h)?, block.k.apply(&h)?, block.v.apply(&h)?);
        let h = block.out.apply(&attention(&q, &k, &v, heads, false)?)?;
        // What the branch adds to the stream, so with its scale.
        let h = scaled_residual(&zeros()?, &h, &block.scales[0])?;
        let h = run.visit(HookPoint::VisionAttnOut(i), h, positions)?;
        let x = (x + h)?;
        let h = block.mlp.apply(&block.norms[1].apply(&x)?)?;
        let h = scaled_residual(&x.zeros_like()?, &h, &block.scales[1])?;
        let h = run.visit(HookPoint::VisionMlpOut(i), h, positions)?;
        run.visit(HookPoint::VisionResidPost(i), (x + h)?, positions)
    }

    /// Patch embeddings plus positions, CLS first.
    fn embed(&self, images: &[&[f32]], [height, width]: [usize; 2]) -> Result<Tensor, ModelError> {
        let (d, patch, channels) = (
            self.config.hidden_size,
            self.config.patch_size,
            self.config.num_channels,
        );
        let (rows, columns) = (height / patch, width / patch);
        if rows == 0 || columns == 0 {
            return Err(ModelError::Request(format!(
                "an image of {width} × {height} pixels is smaller than a patch of {patch}"
            )));
        }
        let mut values =
            Vec::with_capacity(images.len() * channels * rows * columns * patch * patch);
        for image in images {
            if image.len() != channels * height * width {
                return Err(ModelError::Request(format!(
                    "expected an image of [{channels}, {height}, {width}], found {} values",
                    image.len()
                )));
            }
            for at in 0..rows * columns {
                let (row, column) = (at / columns * patch, at % columns * patch);
                for plane in image.chunks_exact(height * width) {
                    for y in row..row + patch {
                        values.extend_from_slice(&plane[y * width + column..][..patch]);
                    }
                }
            }
        }
        let n = rows * columns;
        let shape = (images.len(), n, channels * patch * patch);
        let patches = Tensor::from_vec(values, shape, &self.device)?;
        let embedded = self.patch_embed.apply(&patches)?;
        let cls = self.cls.expand((images.len(), 1, d))?.contiguous()?;
        let x = Tensor::cat(&[&cls, &embedded], 1)?;
        Ok(x.broadcast_add(&self.positions(rows, columns)?)?)
    }
}

/// Resizes a grid of vectors by cubic convolution with a = −0.75 and without antialiasing, edges
/// repeated.
///
/// # Source
/// torch's `interpolate(mode="bicubic", align_corners=False, size=…)`.
fn bicubic_grid(
    values: &[f32],
    d: usize,
    [from_rows, from_columns]: [usize; 2],
    [rows, columns]: [usize; 2],
) -> Vec<f32> {
    let across = cubic_taps(from_columns, columns);
    let down = cubic_taps(from_rows, rows);
    let mut out = vec![0_f32; rows * columns * d];
    for (at, out) in out.chunks_exact_mut(d).enumerate() {
        for &(y, wy) in &down[at / columns] {
            for &(x, wx) in &across[at % columns] {
                let source = &values[(y * from_columns + x) * d..][..d];
                for (out, value) in out.iter_mut().zip(source) {
                    *out += wy * wx * value;
                }
            }
        }
    }
    out
}

/// The four source places and weights of each target place.
fn cubic_taps(from: usize, to: usize) -> Vec<[(usize, f32); 4]> {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let scale = from as f32 / to as f32;
    (0..to)
        .map(|i| {
            let at = scale * (i as f32 + 0.5) - 0.5;
            let floor = at.floor();
            let t = at - floor;
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            let place = |offset: f32| (floor + offset).clamp(0.0, (from - 1) as f32) as usize;
            [
                (place(-1.0), weights[0]),
                (place(0.0), weights[1]),
                (place(1.0), weights[2]),
                (place(2.0), weights[3]),
            ]
        })
        .collect()
}

/// Reads the sizes of a tower from the object at `place` of a `config.json`.
pub(crate) fn read_config(
    value: &serde_json::Value,
    (path, place): (&Path, &str),
) -> Result<Dinov2Config, ModelError> {
    let bad = |key: &str, expected: String| ModelError::Format {
        path: path.to_owned(),
        place: format!("key {place}{key}"),
        expected,
    };
    let kind = value["model_type"].as_str().unwrap_or("");
    if kind != "dinov2" {
        let expected = format!("expected \"dinov2\", found \"{kind}\"");
        return Err(bad("model_type", expected));
    }
    let config = Dinov2Config::deserialize(value)
        .map_err(|error| bad("(whole)", format!("sizes of DINOv2: {error}")))?;
    match config.fault() {
        Some((key, expected)) => Err(bad(key, expected)),
        None => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_of_the_same_size_is_left_alone_and_a_constant_stays() {
        let values: Vec<f32> = (0..9).map(|i| i as f32).collect();
        assert_eq!(bicubic_grid(&values, 1, [3, 3], [3, 3]), values);
        let larger = bicubic_grid(&[2.0; 9], 1, [3, 3], [5, 4]);
        assert!(larger.iter().all(|value| (value - 2.0).abs() < 1e-5));
    }
}
