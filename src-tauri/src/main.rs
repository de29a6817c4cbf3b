//! The program: reads the command line, opens the window or runs a command without one.

mod ablation;
mod arguments;
mod bench;
#[cfg(test)]
mod command_line_page;
mod concepts;
mod evaluation;
mod explanations;
mod foreign_sae;
mod headless;
mod installation;
mod loose_sae;
mod measured_window;
mod open_window;
mod opening;
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

use engine::{DeviceChoice, ErrorKind};

use crate::arguments::{Arguments, BenchCommand, Command, Device};

/// The request was wrong.
const WRONG_REQUEST: u8 = 2;

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            if let Some(problem) = open_window::misspelt(&error) {
                terminal::complain(&problem);
                return ExitCode::from(WRONG_REQUEST);
            }
            error.exit();
        }
    };
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
            terminal::print(&bench::ui(*features, arguments.project.as_deref())?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Bench(BenchCommand::Steer)) => {
            let here = std::path::Path::new(".");
            terminal::print(&bench::steer(arguments.project.as_deref().unwrap_or(here))?);
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
