//! What a project that is only read has of its own: who has it open, and a folder for copies.

use std::path::Path;

use crate::Result;
use crate::error::AtPath as _;
use crate::project_lock::Holder;

/// Kept for as long as the project is read; the folder goes with it.
#[derive(Debug)]
pub(crate) struct Reading {
    holder: Holder,
    copies: tempfile::TempDir,
}

impl Reading {
    /// Makes the folder, for this user alone.
    pub(crate) fn of(holder: Holder) -> Result<Self> {
        let prefix = "fluoroscope-reading-";
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let copies = builder
            .tempdir()
            .at(&tempfile::env::temp_dir().join(prefix))?;
        Ok(Self { holder, copies })
    }

    /// Who has the project open.
    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Folder outside the project for what is copied from it.
    pub(crate) fn copies(&self) -> &Path {
        self.copies.path()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn copies_are_for_this_user_alone() {
        let project = tempfile::tempdir().unwrap();
        let reading = Reading::of(Holder::of(project.path())).unwrap();
        let mode = std::fs::metadata(reading.copies())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
