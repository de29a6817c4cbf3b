//! The executable as tests start it: with a configuration folder of its own, so that no test touches
//! the user's, and nothing on standard input.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A command that is not started yet.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluoroscope"));
    command
        .args(arguments)
        .current_dir(dir)
        .env("XDG_CONFIG_HOME", dir.join("config"))
        // A project's file that cannot be opened is told in a window where there is a display.
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}
