//! Times the text model and the image encoder, in wall time and CPU time of the whole process.
//!
//! `cargo run --release -p models --example time_models -- GGUF ENCODER_FOLDER [ROUNDS] [ONLY]`,
//! where ONLY is a part of the names of what is timed.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use models::text::load_gguf;
use models::vision::load_tiny_vit;
use models::{GenerationOptions, HookSpec, HookedModel as _, ModelError, ModelInput};
use schema::{HookPoint, PositionClass};

/// CPU seconds of this process so far, from Linux's schedstat; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e9
}

/// Runs `work` `rounds` times and prints the least wall and CPU time of `units` units.
fn time(
    what: &str,
    (rounds, units): (usize, usize),
    work: &mut dyn FnMut() -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    if std::env::args()
        .nth(4)
        .is_some_and(|only| !what.contains(&only))
    {
        return Ok(());
    }
    let (mut wall, mut cpu) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        work()?;
        wall = wall.min(start.elapsed().as_secs_f64());
        cpu = cpu.min(cpu_seconds() - cpu_start);
    }
    let units = units as f64;
    #[expect(
        clippy::print_stdout,
        reason = "the figures are what this example is for"
    )]
    {
        println!(
            "{what}: {:.4} s wall, {:.4} s CPU each; {:.2} a second",
            wall / units,
            cpu / units,
            units / wall
        );
    }
    Ok(())
}

fn main() -> Result<(), ModelError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gguf, folder, rest @ ..] = arguments.as_slice() else {
        return Err(ModelError::Request(
            "expected a GGUF file and an encoder folder".to_owned(),
        ));
    };
    let rounds = rest.first().and_then(|n| n.parse().ok()).unwrap_or(3);
    let encoder = load_tiny_vit(Path::new(folder), "")?;
    let film = ModelInput {
        pixels: (0..3 * 256 * 256)
            .map(|i| (i % 251) as f32 / 250.0)
            .collect(),
        pixel_shape: [3, 256, 256],
        ..ModelInput::default()
    };
    for hook in encoder.card().hooks.clone() {
        time(&format!("film to {}", hook.hook), (rounds, 1), &mut || {
            encoder
                .capture(std::slice::from_ref(&film), &[hook.hook])
                .map(drop)
        })?;
    }
    let model = load_gguf(Path::new(gguf), "")?;
    let input = |n: u32| ModelInput {
        ids: (0..n).map(|i| 100 + i * 37 % 20_000).collect(),
        classes: vec![PositionClass::Report; n as usize],
        ..ModelInput::default()
    };
    let prompt = input(128);
    time("prefill, tokens", (rounds, 128), &mut || {
        let hooks = [HookPoint::LnFinal];
        model
            .capture(std::slice::from_ref(&prompt), &hooks)
            .map(drop)
    })?;
    let batch: Vec<ModelInput> = (0..8).map(|_| input(64)).collect();
    time(
        "8 reports of 64 to block 15, tokens",
        (rounds, 512),
        &mut || model.capture(&batch, &[HookPoint::ResidPost(15)]).map(drop),
    )?;
    let options = GenerationOptions {
        max_new_tokens: 21,
        ignore_eos: true,
        keep_logits: false,
        sampling: None,
    };
    let short = input(1);
    time("decode, tokens", (rounds, 20), &mut || {
        let mut go_on = |_: &str| ControlFlow::Continue(());
        model
            .generate(&short, &HookSpec::default(), options, &mut go_on)
            .map(drop)
    })
}
