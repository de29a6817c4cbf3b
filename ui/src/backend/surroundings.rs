//! The door's part for the frame of the window: what was open last, what is dropped on
//! it, and the search.

use engine::Engine;
use engine::views::{RecentProject, SearchTicket};

use super::{Answer, sentence};

/// What the frame of the window may ask; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Surroundings {
    fn last_project(&self) -> Option<RecentProject>;
    fn recognise(&self, paths: Vec<String>) -> Answer<()>;
    fn search(&self, text: &str) -> Answer<SearchTicket>;
}

impl Surroundings for Engine {
    fn last_project(&self) -> Option<RecentProject> {
        Self::last_project(self)
    }

    fn recognise(&self, paths: Vec<String>) -> Answer<()> {
        Self::recognise(self, paths).map_err(sentence)
    }

    fn search(&self, text: &str) -> Answer<SearchTicket> {
        Self::search(self, text).map_err(sentence)
    }
}
