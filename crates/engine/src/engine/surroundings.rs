//! The door's part for the frame of the window: what was open last, and the search.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::lock;
use crate::views::{Event, RecentProject, SearchTicket};

impl Engine {
    /// The project that was open when the program was left; none where the user had closed it.
    pub fn last_project(&self) -> Option<RecentProject> {
        lock(&self.shared.settings).last()
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
