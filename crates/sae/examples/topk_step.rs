//! Times a training step against the encoder product alone, in the same run.
//!
//! `cargo run --release -p sae --example topk_step -- [rows d_model n_features k steps]`; without
//! arguments the sizes of the project's notes. Rounds of both are interleaved; medians are given.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Instant;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sae::{InMemorySource, train};
use schema::{SaeConfig, SaeVariant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Sizes of one measurement.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    d_model: usize,
    n_features: usize,
    k: usize,
    steps: usize,
}

/// Milliseconds of one product `[rows, d_model] · [n_features, d_model]ᵀ` with the gemm crate.
#[expect(unsafe_code, reason = "the gemm crate takes pointers")]
fn product_ms(sizes: Sizes, x: &[f32], w: &[f32], out: &mut [f32]) -> f64 {
    let Sizes {
        rows: m,
        d_model: k,
        n_features: n,
        ..
    } = sizes;
    assert!(
        x.len() >= m * k && w.len() >= n * k && out.len() >= m * n,
        "operands too short"
    );
    let start = Instant::now();
    // SAFETY: the slices hold the m × k, n × k and m × n values that the strides reach, checked
    // above, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n.cast_signed(),
            false,
            x.as_ptr(),
            1,
            k.cast_signed(),
            w.as_ptr(),
            k.cast_signed(),
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(sizes: Sizes, variant: SaeVariant) -> Outcome {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random::<f32>() - 0.5).collect() };
    let rows = random(sizes.rows * sizes.d_model * 2);
    let weights = random(sizes.n_features * sizes.d_model);
    let mut out = vec![0.0; sizes.rows * sizes.n_features];
    let config = SaeConfig {
        variant,
        n_features: u32::try_from(sizes.n_features)?,
        k: u32::try_from(sizes.k)?,
        batch_rows: u32::try_from(sizes.rows)?,
        steps: u32::try_from(sizes.steps)?,
        warmup_steps: 1,
        threshold_start_step: 1,
        ..SaeConfig::default()
    };
    let mut source = InMemorySource::new(rows.clone(), sizes.d_model, 0)?;
    let (mut steps, mut products) = (Vec::new(), Vec::new());
    let mut clock = Instant::now();
    train(
        &config,
        &mut source,
        &mut |report| {
            if report.step > 0 {
                steps.push(clock.elapsed().as_secs_f64() * 1e3);
            }
            products.push(product_ms(sizes, &rows, &weights, &mut out));
            clock = Instant::now();
            ControlFlow::Continue(())
        },
        None,
    )?;
    let (step, product) = (median(steps), median(products));
    let flop = 2.0 * (sizes.rows * sizes.d_model * sizes.n_features) as f64;
    writeln!(
        std::io::stdout(),
        "{variant:?} {} rows, d_model {}, {} features, k {}: {step:.1} ms a step, encoder product \
         alone (gemm) {product:.1} ms = {:.0} GFLOP/s, ratio {:.2}",
        sizes.rows,
        sizes.d_model,
        sizes.n_features,
        sizes.k,
        flop / product / 1e6,
        step / product,
    )?;
    Ok(())
}

fn main() -> Outcome {
    let given: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    if let [rows, d_model, n_features, k, steps] = given[..] {
        let sizes = Sizes {
            rows,
            d_model,
            n_features,
            k,
            steps,
        };
        measure(sizes, SaeVariant::TopK)?;
        return measure(sizes, SaeVariant::BatchTopK);
    }
    for (rows, d_model, n_features, k, steps) in [
        (4096, 576, 4608, 32, 10),
        (4096, 64, 2048, 32, 30),
        (2048, 128, 1024, 16, 50),
    ] {
        let sizes = Sizes {
            rows,
            d_model,
            n_features,
            k,
            steps,
        };
        measure(sizes, SaeVariant::TopK)?;
        measure(sizes, SaeVariant::BatchTopK)?;
    }
    Ok(())
}
