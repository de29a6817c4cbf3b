//! Times a training step against the encoder product alone, in the same run.
//!
//! `cargo run --release -p sae --example topk_step -- [rows d_model n_features k steps]`; without
//! arguments the sizes of the project's notes. Rounds of both are interleaved; medians are given.
//! With `--cpu` first, all runs on one thread and its mean CPU time is given (Linux only), which
//! holds on a busy machine too. With `--recsae` next, `RecSAE`'s recipe alone.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sae::{InMemorySource, train};
use schema::{SaeConfig, SaeRecipe, SaeVariant};

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

/// What is measured, on how many threads.
#[derive(Clone, Copy, PartialEq)]
enum Clock {
    /// Wall time on all threads.
    Wall(Instant),
    /// CPU time of this thread, the only one.
    OneThread,
}

impl Clock {
    /// Time since a fixed moment.
    fn now(self) -> Duration {
        match self {
            Self::Wall(start) => start.elapsed(),
            Self::OneThread => std::fs::read_to_string("/proc/thread-self/schedstat")
                .ok()
                .and_then(|text| text.split(' ').next()?.parse().ok())
                .map_or(Duration::ZERO, Duration::from_nanos),
        }
    }

    /// The median of wall times; the mean of CPU times, which the system counts in large pieces.
    fn typical(self, mut values: Vec<f64>) -> f64 {
        if self == Self::OneThread {
            return values.iter().sum::<f64>() / values.len() as f64;
        }
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn parallelism(self) -> gemm::Parallelism {
        match self {
            Self::Wall(_) => gemm::Parallelism::Rayon(0),
            Self::OneThread => gemm::Parallelism::None,
        }
    }
}

/// Milliseconds between two readings.
fn ms(from: Duration, to: Duration) -> f64 {
    to.saturating_sub(from).as_secs_f64() * 1e3
}

/// Milliseconds of one product `[rows, d_model] · [n_features, d_model]ᵀ` with the gemm crate.
#[expect(unsafe_code, reason = "the gemm crate takes pointers")]
fn product_ms(sizes: Sizes, time: Clock, x: &[f32], w: &[f32], out: &mut [f32]) -> f64 {
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
    let start = time.now();
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
            time.parallelism(),
        );
    }
    ms(start, time.now())
}

fn measure(sizes: Sizes, time: Clock, (recipe, variant): (SaeRecipe, SaeVariant)) -> Outcome {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random::<f32>() - 0.5).collect() };
    // So many rows that small batches do not begin an epoch every other step.
    let n_rows = (2 * sizes.rows).max((1 << 23) / sizes.d_model);
    let rows = random(n_rows * sizes.d_model);
    let weights = random(sizes.n_features * sizes.d_model);
    let mut out = vec![0.0; sizes.rows * sizes.n_features];
    let config = SaeConfig {
        n_features: u32::try_from(sizes.n_features)?,
        k: u32::try_from(sizes.k)?,
        batch_rows: u32::try_from(sizes.rows)?,
        steps: u32::try_from(sizes.steps)?,
        warmup_steps: 1,
        threshold_start_step: 1,
        ..SaeConfig::of_recipe(recipe, variant, u32::try_from(sizes.n_features)?)
    };
    let mut source = InMemorySource::new(rows.clone(), sizes.d_model, 0)?;
    let (mut steps, mut products) = (Vec::new(), Vec::new());
    let mut clock = time.now();
    train(
        &config,
        &mut source,
        &mut |report| {
            if report.step > 0 {
                steps.push(ms(clock, time.now()));
            }
            products.push(product_ms(sizes, time, &rows, &weights, &mut out));
            clock = time.now();
            ControlFlow::Continue(())
        },
        None,
    )?;
    let (step, product) = (time.typical(steps), time.typical(products));
    let flop = 2.0 * (sizes.rows * sizes.d_model * sizes.n_features) as f64;
    writeln!(
        std::io::stdout(),
        "{recipe:?} {variant:?} {} rows, d_model {}, {} features, k {}: {step:.3} ms a step, \
         encoder product alone (gemm) {product:.3} ms = {:.0} GFLOP/s, ratio {:.2}",
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
    let mut given: Vec<String> = std::env::args().skip(1).collect();
    let one_thread = given.first().is_some_and(|text| text == "--cpu");
    if one_thread {
        given.remove(0);
    }
    let only_recsae = given.first().is_some_and(|text| text == "--recsae");
    if only_recsae {
        given.remove(0);
    }
    let given: Vec<usize> = given
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let all = match given[..] {
        [rows, d_model, n_features, k, steps] => vec![[rows, d_model, n_features, k, steps]],
        _ => vec![
            [4096, 576, 4608, 32, 10],
            [4096, 64, 2048, 32, 30],
            [2048, 128, 1024, 16, 50],
        ],
    };
    let run = |time: Clock| -> Result<(), String> {
        for &[rows, d_model, n_features, k, steps] in &all {
            let sizes = Sizes {
                rows,
                d_model,
                n_features,
                k,
                steps,
            };
            let kinds = [
                (SaeRecipe::DictionaryLearning, SaeVariant::TopK),
                (SaeRecipe::DictionaryLearning, SaeVariant::BatchTopK),
                (SaeRecipe::Recsae, SaeVariant::TopK),
            ];
            for kind in kinds.into_iter().skip(if only_recsae { 2 } else { 0 }) {
                measure(sizes, time, kind).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    };
    if one_thread {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        pool.install(|| run(Clock::OneThread))?;
    } else {
        run(Clock::Wall(Instant::now()))?;
    }
    Ok(())
}
