//! Plots of dictionaries that took a while to compute, kept until they are deleted.

use std::fs;
use std::path::PathBuf;

use crate::error::AtPath as _;
use crate::thumbnails::CACHE;
use crate::{Durability, Project, Result, validate_name, write_atomically};

impl Project {
    fn plot_place(&self, name: &str) -> Result<PathBuf> {
        validate_name(name)?;
        let folder = self.root().join(CACHE).join("plots");
        Ok(folder.join(format!("{name}.json")))
    }

    /// The bytes kept under a name, e.g. the hash of what the plot was made from. `None` where there
    /// are none or they cannot be read: then the plot is made again.
    pub fn kept_plot(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.plot_place(name).ok()?).ok()
    }

    /// Keeps the bytes of a plot. They may be deleted at any time.
    ///
    /// # Errors
    /// When the name is none for a file, or the disk refuses.
    pub fn keep_plot(&self, name: &str, content: &[u8]) -> Result<()> {
        self.writable()?;
        let place = self.plot_place(name)?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).at(folder)?;
        }
        write_atomically(&place, content, Durability::Process)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_kept_until_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let project = Project::create(&dir.path().join("p")).unwrap();
        assert_eq!(project.kept_plot("directions-1"), None);
        project.keep_plot("directions-1", b"[1]").unwrap();
        assert_eq!(project.kept_plot("directions-1").unwrap(), b"[1]");
        assert!(project.keep_plot("../x", b"").is_err());
        fs::remove_dir_all(project.root().join(CACHE)).unwrap();
        assert_eq!(project.kept_plot("directions-1"), None);
    }
}
