//! A DINOv2-style vision transformer: pre-norm blocks with `LayerScale`, CLS first, hooks.

use candle_core::Tensor;
use schema::HookPoint;
use serde::{Deserialize, Serialize};

use crate::differentiable::activations::gelu;
use crate::differentiable::affine::{add_row, linear, scaled_residual};
use crate::differentiable::attention::attention;
use crate::differentiable::norms::layer_norm;
use crate::vision_language::parameters::{Initial, ParameterSpec, Parameters};
use crate::{EditedPosition, HookRun, ModelError};

/// Sizes of a vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Side of the square image in pixels, a multiple of `patch_size`.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Width of the hidden layer of the patch embedding; 0 for the linear one of `DINOv2`. A small
    /// network trained from scratch sees thin lines better with one.
    pub d_patch_hidden: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_blocks: usize,
    /// Attention heads, a divisor of `d_model`.
    pub n_heads: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Added to the variance in every norm. 1e-6 as in `DINOv2`.
    pub layer_norm_eps: f32,
}

impl VitConfig {
    /// Patches along one side.
    pub fn grid_size(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    /// Number of patches.
    pub fn n_patches(&self) -> usize {
        self.grid_size() * self.grid_size()
    }

    /// Names, shapes and initial values of the weights.
    pub(crate) fn parameters(&self) -> Vec<ParameterSpec> {
        let (d, n_pixels) = (self.d_model, self.patch_size * self.patch_size);
        let mut specs = Vec::new();
        let mut add = |name: String, shape: &[usize], initial: Initial| {
            specs.push(ParameterSpec::new(format!("vision.{name}"), shape, initial));
        };
        let mut d_patch = n_pixels;
        if self.d_patch_hidden > 0 {
            let hidden = self.d_patch_hidden;
            add(
                "patch_embed.hidden.weight".to_owned(),
                &[hidden, n_pixels],
                Initial::FanIn,
            );
            add(
                "patch_embed.hidden.bias".to_owned(),
                &[hidden],
                Initial::Constant(0.0),
            );
            d_patch = hidden;
        }
        add(
            "patch_embed.weight".to_owned(),
            &[d, d_patch],
            Initial::FanIn,
        );
        add("patch_embed.bias".to_owned(), &[d], Initial::Constant(0.0));
        add("cls_token".to_owned(), &[1, 1, d], Initial::Normal(0.02));
        add(
            "position_embed".to_owned(),
            &[self.n_patches() + 1, d],
            Initial::Normal(0.1),
        );
        for i in 0..self.n_blocks {
            self.add_block(i, &mut add);
        }
        add("ln_final.weight".to_owned(), &[d], Initial::Constant(1.0));
        add("ln_final.bias".to_owned(), &[d], Initial::Constant(0.0));
        specs
    }

    /// Adds the weights of block `i`.
    fn add_block(&self, i: usize, add: &mut dyn FnMut(String, &[usize], Initial)) {
        let d = self.d_model;
        for norm in ["norm1", "norm2"] {
            add(
                format!("blocks.{i}.{norm}.weight"),
                &[d],
                Initial::Constant(1.0),
            );
            add(
                format!("blocks.{i}.{norm}.bias"),
                &[d],
                Initial::Constant(0.0),
            );
        }
        for part in ["q", "k", "v", "out"] {
            add(
                format!("blocks.{i}.attention.{part}.weight"),
                &[d, d],
                Initial::FanIn,
            );
            add(
                format!("blocks.{i}.attention.{part}.bias"),
                &[d],
                Initial::Constant(0.0),
            );
        }
        add(
            format!("blocks.{i}.mlp.up.weight"),
            &[self.d_mlp, d],
            Initial::FanIn,
        );
        add(
            format!("blocks.{i}.mlp.up.bias"),
            &[self.d_mlp],
            Initial::Constant(0.0),
        );
        add(
            format!("blocks.{i}.mlp.down.weight"),
            &[d, self.d_mlp],
            Initial::FanIn,
        );
        add(
            format!("blocks.{i}.mlp.down.bias"),
            &[d],
            Initial::Constant(0.0),
        );
        for scale in ["layer_scale1", "layer_scale2"] {
            add(format!("blocks.{i}.{scale}"), &[d], Initial::Constant(0.5));
        }
    }
}

struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn load(parameters: &Parameters, name: &str) -> Result<Self, ModelError> {
        Ok(Self {
            weight: parameters.get(&format!("{name}.weight"))?,
            bias: parameters.get(&format!("{name}.bias"))?,
        })
    }

    fn linear(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }

    fn norm(&self, x: &Tensor, eps: f32) -> candle_core::Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, eps)
    }
}

struct Block {
    norms: [Affine; 2],
    q: Affine,
    k: Affine,
    v: Affine,
    out: Affine,
    up: Affine,
    down: Affine,
    scales: [Tensor; 2],
}

impl Block {
    fn load(parameters: &Parameters, i: usize) -> Result<Self, ModelError> {
        let affine = |name: &str| Affine::load(parameters, &format!("vision.blocks.{i}.{name}"));
        let scale = |name: &str| parameters.get(&format!("vision.blocks.{i}.{name}"));
        Ok(Self {
            norms: [affine("norm1")?, affine("norm2")?],
            q: affine("attention.q")?,
            k: affine("attention.k")?,
            v: affine("attention.v")?,
            out: affine("attention.out")?,
            up: affine("mlp.up")?,
            down: affine("mlp.down")?,
            scales: [scale("layer_scale1")?, scale("layer_scale2")?],
        })
    }

    fn forward(&self, x: &Tensor, config: &VitConfig) -> candle_core::Result<Tensor> {
        let normed = self.norms[0].norm(x, config.layer_norm_eps)?;
        let mixed = attention(
            &self.q.linear(&normed)?,
            &self.k.linear(&normed)?,
            &self.v.linear(&normed)?,
            [config.n_heads; 2],
            false,
        )?;
        let x = scaled_residual(x, &self.out.linear(&mixed)?, &self.scales[0])?;
        let normed = self.norms[1].norm(&x, config.layer_norm_eps)?;
        let hidden = gelu(&self.up.linear(&normed)?)?;
        scaled_residual(&x, &self.down.linear(&hidden)?, &self.scales[1])
    }
}

/// The image tower. Weights are shared with the [`Parameters`] it was built from, so a trainer
/// that changes those changes the model.
pub struct Vit {
    config: VitConfig,
    patch_hidden: Option<Affine>,
    patch_embed: Affine,
    cls_token: Tensor,
    position_embed: Tensor,
    blocks: Vec<Block>,
    ln_final: Affine,
}

impl Vit {
    /// Takes the weights named `vision.*`.
    pub(crate) fn load(config: &VitConfig, parameters: &Parameters) -> Result<Self, ModelError> {
        let patch_hidden = if config.d_patch_hidden > 0 {
            Some(Affine::load(parameters, "vision.patch_embed.hidden")?)
        } else {
            None
        };
        Ok(Self {
            config: config.clone(),
            patch_hidden,
            patch_embed: Affine::load(parameters, "vision.patch_embed")?,
            cls_token: parameters.get("vision.cls_token")?,
            position_embed: parameters.get("vision.position_embed")?,
            blocks: (0..config.n_blocks)
                .map(|i| Block::load(parameters, i))
                .collect::<Result<_, _>>()?,
            ln_final: Affine::load(parameters, "vision.ln_final")?,
        })
    }

    /// Runs the tower; `None` when `last` was reached before its end.
    ///
    /// # Shapes
    /// - `patches`: `[batch, n_patches, patch_size²]`, patches and their pixels row-major
    /// - `positions`: one entry per row of `[batch, 1 + n_patches]`, or empty without edits
    /// - returns: `[batch, 1 + n_patches, d_model]`, after the final norm, CLS first
    pub(crate) fn forward(
        &self,
        patches: &Tensor,
        run: &mut HookRun<'_>,
        positions: &[EditedPosition],
        last: Option<HookPoint>,
    ) -> Result<Option<Tensor>, ModelError> {
        let (batch, n_patches, _) = patches.dims3()?;
        let d = self.config.d_model;
        let embedded = match &self.patch_hidden {
            Some(hidden) => self.patch_embed.linear(&gelu(&hidden.linear(patches)?)?)?,
            None => self.patch_embed.linear(patches)?,
        };
        let cls = self.cls_token.expand((batch, 1, d))?.contiguous()?;
        let x = Tensor::cat(&[&cls, &embedded], 1)?;
        let mut x =
            add_row(&x, &self.position_embed.flatten_all()?)?.reshape((batch, n_patches + 1, d))?;
        x = run.visit(HookPoint::VisionEmbed, x, positions)?;
        if last == Some(HookPoint::VisionEmbed) {
            return Ok(None);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let hook = HookPoint::VisionResidPost(i);
            x = run.visit(hook, block.forward(&x, &self.config)?, positions)?;
            if last == Some(hook) {
                return Ok(None);
            }
        }
        let x = self.ln_final.norm(&x, self.config.layer_norm_eps)?;
        let x = run.visit(HookPoint::VisionLnFinal, x, positions)?;
        Ok((last != Some(HookPoint::VisionLnFinal)).then_some(x))
    }
}
