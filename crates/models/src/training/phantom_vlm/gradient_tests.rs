//! Finite differences against the gradients of every weight of both stages.

use candle_core::Tensor;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{Film, Mask};

use super::films::Films;
use super::stages::Trainer;
use super::{
    ContextPart, ContextTargets, PlantedFinding, VlmExample, VlmProgress, VlmTrainingConfig,
};
use crate::ModelError;
use crate::vision::vit::VitConfig;
use crate::vision_language::DecoderConfig;

fn small() -> VlmTrainingConfig {
    VlmTrainingConfig {
        n_films: 4,
        n_held_out: 0,
        batch: 4,
        film_loss_weight: 0.5,
        context: ContextTargets {
            place: ContextPart { n: 1, share: 0.1 },
            patch: ContextPart { n: 2, share: 0.3 },
            film: ContextPart { n: 2, share: 0.3 },
            weight: 1.0,
        },
        vision: Some(VitConfig {
            image_size: 16,
            patch_size: 4,
            d_patch_hidden: 12,
            d_model: 8,
            n_blocks: 2,
            n_heads: 2,
            d_mlp: 16,
            layer_norm_eps: 1e-6,
        }),
        decoder: Some(DecoderConfig {
            d_model: 8,
            n_blocks: 2,
            n_heads: 2,
            d_mlp: 12,
            n_positions: 40,
            rope_theta: 100.0,
            rms_norm_eps: 1e-5,
        }),
        ..VlmTrainingConfig::default()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of a source of examples"
)]
fn example(index: u32) -> Result<VlmExample, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(index));
    let flags: Vec<bool> = (0..256).map(|i| i % 16 < 6 && i < 100).collect();
    let words = ["left", "right", "mid", "low", "high"];
    Ok(VlmExample {
        film: Film {
            width: 16,
            height: 16,
            pixels: (0..256).map(|_| rng.random_range(0..256)).collect(),
            windows: Vec::new(),
            badges: Vec::new(),
        },
        findings: vec![PlantedFinding {
            finding: index as usize % 3,
            mask: (index % 3 != 2).then(|| Mask::from_flags(16, 16, &flags)),
        }],
        report: format!(
            "Seen {}. Then {} too.",
            words[index as usize],
            words[4 - index as usize]
        ),
    })
}

/// Along the gradient, and along a drawn direction, the loss must change as the gradient says.
fn check(loss: &dyn Fn() -> Tensor, vars: &[(String, candle_core::Var)]) {
    let value = || loss().to_scalar::<f32>().unwrap();
    let grads = loss().backward().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (name, var) in vars {
        let gradient = grads.get(var.as_tensor()).map(|grad| {
            let grad = grad.flatten_all().unwrap();
            grad.to_vec1::<f32>().unwrap()
        });
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        if name.ends_with("attention.k.bias") {
            // It shifts all scores of a query alike, which the softmax does not see.
            assert!(norm < 1e-5, "{name}: gradient of norm {norm}");
            continue;
        }
        assert!(norm > 1e-4, "{name}: gradient of norm {norm}");
        let start = var.as_tensor().copy().unwrap();
        let drawn: Vec<f32> = (0..gradient.len())
            .map(|_| rng.random::<f32>() - 0.5)
            .collect();
        for direction in [gradient.clone(), drawn] {
            let length = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
            let slope: f32 = gradient
                .iter()
                .zip(&direction)
                .map(|(g, d)| g * d)
                .sum::<f32>()
                / length;
            // Large enough for rounding, small enough to keep each film's highest patch the same.
            let step = 1e-3;
            let moved = |sign: f32| {
                let values: Vec<f32> = start
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap()
                    .iter()
                    .zip(&direction)
                    .map(|(v, d)| v + sign * step * d / length)
                    .collect();
                let moved = Tensor::from_vec(values, start.shape(), start.device()).unwrap();
                var.set(&moved).unwrap();
                value()
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            var.set(&start).unwrap();
            assert!(
                (measured - slope).abs() < 0.02 * norm + 2e-4,
                "{name}: gradient says {slope}, finite difference {measured}"
            );
        }
    }
}

#[test]
fn gradients_of_all_weights_agree_with_finite_differences() {
    let config = small();
    let folder = tempfile::tempdir().unwrap();
    let mut observer = |_: VlmProgress| std::ops::ControlFlow::Continue(());
    let films = Films::draw(&config, 3, &example, &mut observer).unwrap();
    let trainer = Trainer::new(&config, 3, &films, folder.path()).unwrap();
    let batch: Vec<_> = films.train.iter().collect();
    let tower_loss = || trainer.tower_loss(&batch).unwrap();
    check(&tower_loss, trainer.tower_vars());
    let tokens = trainer.tokens(&batch).unwrap().detach();
    let text_loss = || trainer.text_loss(&tokens, &batch).unwrap();
    check(&text_loss, trainer.text_vars());
}
