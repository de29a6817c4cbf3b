//! The project that a command works on, and which commands only read it.

use std::path::{Path, PathBuf};

use engine::{EngineError, Result, Session};

use crate::arguments::{
    Command, DatasetCommand, ExplainCommand, FeaturesCommand, HarvestCommand, ModelCommand,
    ProjectCommand, ReviewCommand, SaeCommand,
};
use crate::terminal;

/// Whether the command writes nothing into its project, so that it may run while a window has the
/// project open. A check and a backup are not among them: they need a project that keeps still.
pub(crate) fn only_reads(command: &Command) -> bool {
    match command {
        Command::Project(command) => matches!(command, ProjectCommand::Info),
        Command::Dataset(command) => match command {
            DatasetCommand::List | DatasetCommand::Show { .. } => true,
            DatasetCommand::ImportRadiographs { preview, .. }
            | DatasetCommand::ImportReports { preview, .. } => *preview,
            DatasetCommand::ImportInteractions(arguments) => arguments.preview,
            DatasetCommand::Phantom { .. } => false,
        },
        Command::Model(command) => matches!(
            command,
            ModelCommand::List | ModelCommand::Evaluate { .. } | ModelCommand::Run(_)
        ),
        Command::Harvest(command) => matches!(command, HarvestCommand::List),
        Command::Sae(command) => matches!(
            command,
            SaeCommand::List
                | SaeCommand::Locate { .. }
                | SaeCommand::Encode { .. }
                | SaeCommand::Export { .. }
        ),
        Command::Features(command) => !matches!(command, FeaturesCommand::Index { .. }),
        Command::Explain(command) => {
            matches!(command, ExplainCommand::List | ExplainCommand::Show { .. })
        }
        Command::Review(command) => !matches!(
            command,
            ReviewCommand::Decide(_) | ReviewCommand::Import { .. }
        ),
        Command::Steer(_) | Command::Ablate(_) => true,
        Command::Demo { .. }
        | Command::Open { .. }
        | Command::Debias(_)
        // A report measures what is not measured yet, and keeps it.
        | Command::Report(_)
        | Command::About
        | Command::Bench(_) => false,
    }
}

/// Opens the project that was named, or the current folder, for a command that may only read.
pub(crate) fn open(project: Option<&Path>, only_reads: bool) -> Result<Session> {
    if let Some(dir) = project {
        return open_in(dir, only_reads);
    }
    // By its whole name, which messages then give instead of a mere dot.
    let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    if !Session::is_project(&dir) {
        return Err(EngineError::request(
            "the current folder is no project; name one with --project DIR, or make one with \
             fluoroscope project new DIR",
        ));
    }
    open_in(&dir, only_reads)
}

fn open_in(dir: &Path, only_reads: bool) -> Result<Session> {
    if only_reads {
        open_reading(dir)
    } else {
        Session::open(dir)
    }
}

/// Opens a project to read it, and says so where another process has it open.
pub(crate) fn open_reading(dir: &Path) -> Result<Session> {
    let session = Session::open_reading(dir)?;
    for sentence in session.reading_notes() {
        terminal::note(&sentence);
    }
    Ok(session)
}
