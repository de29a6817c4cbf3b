//! Turns the command line into the window's options and opens it on a project.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory as _;
use engine::{Engine, EngineError, Result};

use crate::arguments::{Arguments, WindowArguments};
use crate::measured_window::MeasuredWindow;
use crate::{terminal, window};

/// Folder among the user's documents that the start screen offers for the demo project.
const DEMO_FOLDER: &str = "fluoroscope-demo";

/// The project that a command line without a command names.
pub(crate) fn given(arguments: &Arguments) -> Result<Option<&Path>> {
    match arguments.path.as_deref() {
        Some(path) if !path.exists() => Err(EngineError::request(neither(path))),
        Some(path) => Ok(Some(path)),
        None => Ok(arguments.project.as_deref()),
    }
}

fn neither(word: &Path) -> String {
    format!(
        "\"{}\" is neither a command nor a project's folder or file; fluoroscope --help lists the \
         commands",
        word.display()
    )
}

/// What to say where more follows on a first word that is no command: clap takes it for a project and
/// complains of what follows.
pub(crate) fn misspelt(error: &clap::Error) -> Option<String> {
    let word = std::env::args_os().nth(1)?;
    let text = word.to_string_lossy();
    let is_command = Arguments::command()
        .find_subcommand(text.as_ref())
        .is_some();
    let path = Path::new(&word);
    let is_wrong = error.kind() == clap::error::ErrorKind::UnknownArgument;
    (is_wrong && !is_command && !text.starts_with('-') && !path.exists()).then(|| neither(path))
}

/// Opens the window on `project`, on the current folder if that is one, or on the start screen.
pub(crate) fn open(arguments: &Arguments, project: Option<&Path>) -> Result<ExitCode> {
    let start = start_at(&arguments.window)?;
    let waker = ui::Waker::default();
    // What is measured depends on nobody's settings, and leaves none.
    let engine = Arc::new(if arguments.window.measure {
        Engine::forgetful(waker.wake())?
    } else {
        Engine::new(waker.wake())?
    });
    let here = Path::new(".");
    let given = project.or_else(|| engine::Session::is_project(here).then_some(here));
    let mut problem = None;
    if let Some(dir) = given {
        match engine.open_project(dir) {
            Err(error) if is_from_desktop(dir) => problem = Some(error.message),
            opened => opened?,
        }
    }
    // A picture shows what was asked for, whoever sat here before.
    let reopen = given.is_none() && arguments.window.screenshot.is_none();
    let screenshot = arguments.window.screenshot.clone().map(|file| {
        let sink: ui::ScreenshotSink = Box::new(move |picture: ui::Screenshot| {
            let written =
                engine::write_picture(&file, picture.width, picture.height, &picture.rgba);
            if let Err(error) = written {
                terminal::complain(&error.message);
            }
        });
        sink
    });
    let options = ui::Options {
        start,
        demo_folder: engine::free_folder(DEMO_FOLDER),
        reopen,
        problem,
        screenshot,
    };
    let shown: window::Shown = if arguments.window.measure {
        |app| Box::new(MeasuredWindow::new(app))
    } else {
        |app| Box::new(app)
    };
    window::open(&engine, &waker, options, shown)
        .map_err(|error| EngineError::other(format!("{error:#}")))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a project's file was opened from the desktop, where nobody reads what goes to a terminal:
/// what is wrong with it must then be told in the window.
fn is_from_desktop(path: &Path) -> bool {
    let has_display = cfg!(any(windows, target_os = "macos"))
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    engine::Session::is_link(path) && has_display && !std::io::stderr().is_terminal()
}

fn start_at(given: &WindowArguments) -> Result<ui::StartAt> {
    let screen = given
        .screen
        .as_deref()
        .map(|word| {
            word.parse().map_err(|_unknown| {
                EngineError::request(format!(
                    "\"{word}\" is no screen; expected start, data, models, train, gallery, \
                     feature or steer"
                ))
            })
        })
        .transpose()?;
    let size = given
        .size
        .as_deref()
        .map(|text| {
            let sides = text
                .split_once('x')
                .and_then(|(width, height)| Some([width.parse().ok()?, height.parse().ok()?]));
            sides.ok_or_else(|| {
                EngineError::request(format!(
                    "\"{text}\" is no window size; expected for example 1280x800"
                ))
            })
        })
        .transpose()?;
    Ok(ui::StartAt {
        screen,
        dictionary: given.dictionary.clone(),
        second_dictionary: given.beside.clone(),
        feature: given.show_feature,
        dataset: given.show_dataset.clone(),
        sample: given.show_sample,
        strength: given.show_strength,
        light: given.theme.as_deref().map(|theme| theme == "light"),
        size,
    })
}
