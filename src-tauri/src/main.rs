//! The program: reads the command line, opens the window or runs a command without one.

mod ablation;
mod arguments;
#[cfg(test)]
mod command_line_page;
mod concepts;
mod evaluation;
mod explanations;
mod foreign_sae;
mod headless;
mod installation;
mod loose_sae;
mod open_window;
mod packet;
mod report;
mod review;
mod run;
mod steering;
mod terminal;
mod text;
mod train_sae;
mod window;

use std::process::ExitCode;

use clap::Parser as _;
use engine::{DeviceChoice, ErrorKind};

use crate::arguments::{Arguments, BenchCommand, Command, Device};

/// The request was wrong.
const WRONG_REQUEST: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            terminal::complain(&error.message);
            match error.kind {
                ErrorKind::Request => ExitCode::from(WRONG_REQUEST),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: &Arguments) -> engine::Result<ExitCode> {
    engine::choose_hardware(
        arguments.threads,
        arguments.device.map(|device| match device {
            Device::Auto => DeviceChoice::Auto,
            Device::Cpu => DeviceChoice::Cpu,
            Device::Cuda => DeviceChoice::Cuda,
            Device::Metal => DeviceChoice::Metal,
        }),
    )?;
    let job = terminal::job_context()?;
    if let (Some(path), Some(_)) = (&arguments.path, &arguments.command) {
        return Err(engine::EngineError::request(format!(
            "\"{}\" stands before a command; name the project a command works on with --project",
            path.display()
        )));
    }
    match &arguments.command {
        None => open_window::open(arguments, open_window::given(arguments)?),
        Some(Command::Open { dir }) => open_window::open(arguments, Some(dir)),
        Some(Command::Bench(BenchCommand::Ui { features })) => {
            terminal::print(&bench_ui(*features)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Bench(BenchCommand::Steer)) => {
            let here = std::path::Path::new(".");
            terminal::print(&bench_steer(arguments.project.as_deref().unwrap_or(here))?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Bench(BenchCommand::Models { gguf, rounds })) => {
            let speeds = engine::bench_models(gguf, *rounds)?;
            terminal::print(&if arguments.json {
                format!("{}\n", serde_json::json!(speeds))
            } else {
                speeds.lines()
            });
            Ok(ExitCode::SUCCESS)
        }
        Some(command) => {
            let answer = headless::run(command, arguments.project.as_deref(), &job)?;
            if arguments.json {
                terminal::print(&format!("{}\n", answer.json));
            } else {
                terminal::print(&answer.lines);
            }
            if let Command::Demo {
                dir,
                headless: false,
                ..
            } = command
            {
                let default = std::path::PathBuf::from("fluoroscope-demo");
                return open_window::open(arguments, Some(dir.as_ref().unwrap_or(&default)));
            }
            Ok(if answer.failed {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
    }
}

/// CPU time of gallery frames against the budget of a frame.
fn bench_ui(n_features: u32) -> engine::Result<String> {
    const BUDGET_MS: f64 = 8.0;
    const FILM_SIDE: u32 = 3000;
    let line = |what: String, times: ui::bench::FrameTimes| {
        format!(
            "{what}, {} frames, CPU without the rasteriser: p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} \
             ms, slowest {:.2} ms; p95 is {:.2} of the budget of {BUDGET_MS} ms\n",
            times.n_frames,
            times.p50_ms,
            times.p95_ms,
            times.p99_ms,
            times.max_ms,
            times.p95_ms / BUDGET_MS
        )
    };
    let dragged = ui::bench::film_drag_times(FILM_SIDE).map_err(engine::EngineError::other)?;
    Ok([
        line(
            format!("Gallery of {n_features} features while scrolling"),
            ui::bench::gallery_frame_times(n_features),
        ),
        line(
            format!("The same beside the scatter of {n_features} features"),
            ui::bench::scatter_frame_times(n_features),
        ),
        line(
            "Feature page, another feature every fifth frame".to_owned(),
            ui::bench::feature_page_times(n_features),
        ),
        line(
            format!("Window and level dragged on a 16-bit film of {FILM_SIDE} x {FILM_SIDE}"),
            dragged,
        ),
    ]
    .concat())
}

/// Time from letting go of a slider to the frame that shows the answer, against its limits.
fn bench_steer(project: &std::path::Path) -> engine::Result<String> {
    const REPORT_MS: f64 = 1000.0;
    const RANKING_MS: f64 = 100.0;
    let times = ui::bench::steering_times(project).map_err(engine::EngineError::request)?;
    if times.is_empty() {
        return Err(engine::EngineError::request(
            "no dictionary of this project can be steered: its models write and rank nothing",
        ));
    }
    let lines = times.into_iter().map(|one| {
        let (what, limit) = if one.ranks {
            ("ranked list", RANKING_MS)
        } else {
            ("report", REPORT_MS)
        };
        format!(
            "Steering {}, slider to {what} on the screen, {} times: median {:.1} ms, worst {:.1} \
             ms (first {:.1} ms); worst is {:.2} of the limit of {limit} ms\n",
            one.dictionary,
            one.n_times,
            one.median_ms,
            one.worst_ms,
            one.first_ms,
            one.worst_ms / limit
        )
    });
    Ok(lines.collect())
}
