//! Reviews of a project that another process has open: nothing in its folder is written.

use std::path::Path;

use super::{DECISIONS, DETECTIONS, Reviews};
use crate::Result;
use crate::database::Database;
use crate::journal::Journal;
use crate::project_lock::Holder;

impl Reviews {
    /// Reads the journals of the project in `root` as far as they are written, and opens a copy of
    /// its database in the folder `into`, brought up to them. Returns what the user should know.
    pub(crate) fn read(root: &Path, into: &Path, holder: &Holder) -> Result<(Self, Vec<String>)> {
        // The copy first, so that the journal is at least as far as the database.
        let (database, unreadable) = Database::copy(root, into)?;
        let (journal, lines) = Journal::read(root, DECISIONS, holder)?;
        let (detections, tests) = Journal::read(root, DETECTIONS, holder)?;
        let mut notices: Vec<String> = unreadable.into_iter().collect();
        let mut reviews = Self::of(
            (journal, &lines),
            (detections, tests),
            database,
            &mut notices,
        );
        if !reviews.follows(&lines)? {
            reviews.rebuild(&lines)?;
        }
        reviews.database.refuse_writing(holder);
        Ok((reviews, notices))
    }
}
