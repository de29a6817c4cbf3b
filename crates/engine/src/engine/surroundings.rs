//! The door's part for the frame of the window: what was open last, what is dropped on
//! it, and the search.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::jobs::lock;
use crate::views::{Event, RecentProject, SearchTicket};

impl Engine {
    /// The project that was open when the program was left; none where the user had closed it.
    pub fn last_project(&self) -> Option<RecentProject> {
        lock(&self.shared.settings).last()
    }

    /// Does something that may wait for another program, on a thread of its own. Where none can be
    /// started it is not done.
    pub fn aside(name: &str, task: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(task).ok();
    }

    /// Tells what files and folders are that are dropped on the window; `Event::Recognised` follows.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn recognise(&self, paths: Vec<String>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        // A thread of its own: a folder on a slow disk holds nobody else up.
        std::thread::Builder::new()
            .name("dropped files".to_owned())
            .spawn(move || {
                let files: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
                let arrival = crate::arrivals::recognise(&files);
                shared.send(Event::Recognised(paths, Box::new(arrival)));
            })
            .map(drop)
            .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))
    }

    /// Searches features, items and samples of the project; `Event::Found` follows, twice where
    /// tokens and items of a dictionary must be read first. A newer search replaces it.
    ///
    /// # Errors
    /// When no project is open.
    pub fn search(&self, text: &str) -> Result<SearchTicket> {
        let session = self.shared.session()?;
        let ticket = self.shared.latest_search.fetch_add(1, Ordering::AcqRel) + 1;
        let shared = Arc::clone(&self.shared);
        let text = text.to_owned();
        self.searching.run(move || {
            let is_stale = || shared.latest_search.load(Ordering::Acquire) != ticket;
            let Some(found) = session.search(&text, &is_stale) else {
                return;
            };
            let goes_on = found.goes_on;
            shared.send(Event::Found(SearchTicket(ticket), Box::new(found)));
            if !goes_on {
                return;
            }
            session.read_all_galleries(&is_stale);
            if let Some(mut found) = session.search(&text, &is_stale) {
                // What could not be read now will not come.
                found.goes_on = false;
                shared.send(Event::Found(SearchTicket(ticket), Box::new(found)));
            }
        });
        Ok(SearchTicket(ticket))
    }
}
