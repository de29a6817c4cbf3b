//! A named thread that runs small tasks in order: decisions and steering, off the frame.

use std::thread::JoinHandle;

use crossbeam_channel::{Sender, unbounded};

use crate::error::{EngineError, Result};

type Task = Box<dyn FnOnce() + Send>;

/// Runs tasks one after another. Dropping it runs what was given before, then ends.
pub(crate) struct Worker {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let (tasks, queue) = unbounded::<Task>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for task in queue {
                    // A task that panics must not take the later ones with it.
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)).ok();
                }
            })
            .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    /// Adds a task.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) {
        if let Some(tasks) = &self.tasks {
            tasks.send(Box::new(task)).ok();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
