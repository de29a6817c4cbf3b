//! The door's part for the frame of the window: what was open last, what is dropped on
//! it, and the search.

use engine::Engine;
use engine::views::{RecentProject, SearchTicket};

use super::{Answer, notification, sentence};

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
    /// Lets the desktop tell something while the window is behind others; silent where no service
    /// does that.
    fn notify(&self, title: &str, text: &str);
    fn search(&self, text: &str) -> Answer<SearchTicket>;
}

impl Surroundings for Engine {
    fn last_project(&self) -> Option<RecentProject> {
        Self::last_project(self)
    }

    fn recognise(&self, paths: Vec<String>) -> Answer<()> {
        Self::recognise(self, paths).map_err(sentence)
    }

    fn notify(&self, title: &str, text: &str) {
        let (title, text) = (title.to_owned(), text.to_owned());
        Self::aside("notification", move || notification::show(&title, &text));
    }

    fn search(&self, text: &str) -> Answer<SearchTicket> {
        Self::search(self, text).map_err(sentence)
    }
}
