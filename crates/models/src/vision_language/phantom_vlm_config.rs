//! Sizes and vocabulary of the phantom vision-language model, as kept in its `config.json`.

use serde::{Deserialize, Serialize};

use super::parameters::{Initial, ParameterSpec};
use crate::Architecture;
use crate::text::word_tokenizer::WordTokenizer;
use crate::vision::vit::VitConfig;

/// Sizes of the decoder, Llama-shaped: `RMSNorm`, rotary positions, `SwiGLU`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_blocks: usize,
    /// Attention heads, a divisor of `d_model`.
    pub n_heads: usize,
    /// Width of the gated MLP.
    pub d_mlp: usize,
    /// Positions at most: prompt, patches and report together.
    pub n_positions: usize,
    /// Base of the rotary angles. 10,000 as in Llama.
    pub rope_theta: f32,
    /// Added to the mean square in every norm. 1e-5 as in Llama.
    pub rms_norm_eps: f32,
}

/// What `config.json` beside the weights holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhantomVlmConfig {
    /// Always `phantom-vlm`.
    pub architecture: Architecture,
    /// The image tower.
    pub vision: VitConfig,
    /// Hidden width of the projector, Linear, GELU, Linear.
    pub d_projector: usize,
    /// The text decoder.
    pub decoder: DecoderConfig,
    /// Tokens in the order of their ids.
    pub vocabulary: WordTokenizer,
    /// How it was trained, in words for the user.
    #[serde(default)]
    pub training: String,
}

impl PhantomVlmConfig {
    /// The sizes shipped with the program, for a vocabulary: about 0.9 million weights.
    pub fn shipped(vocabulary: WordTokenizer) -> Self {
        Self {
            architecture: Architecture::PhantomVlm,
            vision: VitConfig {
                image_size: 224,
                patch_size: 14,
                d_patch_hidden: 192,
                d_model: 96,
                n_blocks: 4,
                n_heads: 3,
                d_mlp: 384,
                layer_norm_eps: 1e-6,
            },
            d_projector: 192,
            decoder: DecoderConfig {
                d_model: 96,
                n_blocks: 2,
                n_heads: 3,
                d_mlp: 256,
                n_positions: 448,
                rope_theta: 10_000.0,
                rms_norm_eps: 1e-5,
            },
            vocabulary,
            training: String::new(),
        }
    }

    /// One sentence on what is wrong with the sizes, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let (vision, decoder) = (&self.vision, &self.decoder);
        if self.architecture != Architecture::PhantomVlm {
            return Some(format!(
                "expected architecture phantom-vlm, found {:?}",
                self.architecture
            ));
        }
        if vision.patch_size == 0 || vision.image_size % vision.patch_size != 0 {
            return Some(format!(
                "expected image_size to be a multiple of patch_size, found {} and {}",
                vision.image_size, vision.patch_size
            ));
        }
        let n_patches = vision.n_patches();
        if n_patches == 0 || n_patches > 4_096 || decoder.n_positions <= n_patches + 2 {
            return Some(format!(
                "expected room for {n_patches} patches and a report, found n_positions {}",
                decoder.n_positions
            ));
        }
        let widths = [
            (vision.d_model, vision.n_heads, 1),
            (decoder.d_model, decoder.n_heads, 2),
        ];
        for (d_model, n_heads, multiple) in widths {
            if n_heads == 0 || d_model == 0 || d_model % (n_heads * multiple) != 0 {
                return Some(format!(
                    "expected d_model to divide into n_heads even parts, found {d_model} and {n_heads}"
                ));
            }
        }
        let sizes = [
            vision.d_model,
            vision.d_mlp,
            vision.d_patch_hidden + 1,
            self.d_projector,
            decoder.d_model,
            decoder.d_mlp,
            decoder.n_positions,
            vision.n_blocks + 1,
            decoder.n_blocks + 1,
        ];
        sizes
            .iter()
            .any(|&size| size == 0 || size > 16_384)
            .then(|| "expected sizes from 1 to 16384".to_owned())
    }

    /// Names, shapes and initial values of all weights, in the order of the forward pass.
    pub(crate) fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = self.vision.parameters();
        specs.extend(self.text_parameters());
        specs
    }

    /// The weights after the image tower: projector and decoder.
    pub(crate) fn text_parameters(&self) -> Vec<ParameterSpec> {
        let (d_vision, d) = (self.vision.d_model, self.decoder.d_model);
        let (d_mlp, n_vocab) = (self.decoder.d_mlp, self.vocabulary.n_tokens());
        let mut specs = Vec::new();
        let mut add = |name: String, shape: &[usize], initial: Initial| {
            specs.push(ParameterSpec::new(name, shape, initial));
        };
        let hidden = self.d_projector;
        add(
            "projector.up.weight".to_owned(),
            &[hidden, d_vision],
            Initial::FanIn,
        );
        add(
            "projector.up.bias".to_owned(),
            &[hidden],
            Initial::Constant(0.0),
        );
        add(
            "projector.down.weight".to_owned(),
            &[d, hidden],
            Initial::FanIn,
        );
        add(
            "projector.down.bias".to_owned(),
            &[d],
            Initial::Constant(0.0),
        );
        add(
            "decoder.embed.weight".to_owned(),
            &[n_vocab, d],
            Initial::Normal(0.5),
        );
        for i in 0..self.decoder.n_blocks {
            add(
                format!("decoder.blocks.{i}.norm1.weight"),
                &[d],
                Initial::Constant(1.0),
            );
            for part in ["q", "k", "v", "out"] {
                let name = format!("decoder.blocks.{i}.attention.{part}.weight");
                add(name, &[d, d], Initial::FanIn);
            }
            add(
                format!("decoder.blocks.{i}.norm2.weight"),
                &[d],
                Initial::Constant(1.0),
            );
            add(
                format!("decoder.blocks.{i}.mlp.gate.weight"),
                &[d_mlp, d],
                Initial::FanIn,
            );
            add(
                format!("decoder.blocks.{i}.mlp.up.weight"),
                &[d_mlp, d],
                Initial::FanIn,
            );
            add(
                format!("decoder.blocks.{i}.mlp.down.weight"),
                &[d, d_mlp],
                Initial::FanIn,
            );
        }
        add(
            "decoder.ln_final.weight".to_owned(),
            &[d],
            Initial::Constant(1.0),
        );
        add(
            "decoder.unembed.weight".to_owned(),
            &[n_vocab, d],
            Initial::FanIn,
        );
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_sizes_are_sound_and_below_three_million_weights() {
        let words: Vec<String> = (0..480).map(|i| format!("w{i}")).collect();
        let config = PhantomVlmConfig::shipped(WordTokenizer::collect(
            words.iter().map(String::as_str),
            500,
        ));
        assert_eq!(config.fault(), None);
        let n: usize = config
            .parameters()
            .iter()
            .map(ParameterSpec::n_values)
            .sum();
        assert!(n > 500_000 && n < 1_500_000, "{n}");
    }

    #[test]
    fn unsound_sizes_are_named() {
        let good = PhantomVlmConfig::shipped(WordTokenizer::collect(["a"], 10));
        let mut config = good.clone();
        config.vision.patch_size = 15;
        assert!(
            config
                .fault()
                .is_some_and(|text| text.contains("multiple of patch_size"))
        );
        let mut config = good.clone();
        config.decoder.n_heads = 5;
        assert!(config.fault().is_some_and(|text| text.contains("n_heads")));
        let mut config = good;
        config.decoder.n_positions = 100;
        assert!(
            config
                .fault()
                .is_some_and(|text| text.contains("n_positions"))
        );
    }
}
