//! What a preview says about names in headers and text in pixels.

use super::super::counted;
use crate::dicom::{BurnedIn, Privacy};

/// How many files carry what.
#[derive(Debug, Default)]
pub(super) struct PrivacyCounts {
    named: usize,
    other_entries: usize,
    burned_in: usize,
    unmarked_captures: usize,
    pictures: usize,
}

impl PrivacyCounts {
    pub(super) fn add(&mut self, privacy: Privacy) {
        self.named += usize::from(privacy.names_patient);
        self.other_entries += usize::from(privacy.has_other_entries);
        match privacy.burned_in {
            BurnedIn::Yes => self.burned_in += 1,
            BurnedIn::CaptureWithoutStatement => self.unmarked_captures += 1,
            BurnedIn::PictureWithoutStatement => self.pictures += 1,
            BurnedIn::NotStated => {}
        }
    }

    /// One sentence for each kind that occurs.
    pub(super) fn warnings(&self) -> Vec<String> {
        let told = |of: String, n: usize, rest: &str, rests: &str| {
            let line = format!("{of} {}", if n == 1 { rest } else { rests });
            (n > 0).then_some(line)
        };
        let files =
            |n: usize, rest: &str, rests: &str| told(counted(n, "file", "files"), n, rest, rests);
        [
            files(
                self.named,
                "carries patient names or numbers; they are never read into the project",
                "carry patient names or numbers; they are never read into the project",
            ),
            files(
                self.other_entries,
                "carries dates, staff, institutions or device numbers; they are never read into the \
                 project",
                "carry dates, staff, institutions or device numbers; they are never read into the \
                 project",
            ),
            files(
                self.burned_in,
                "is marked as having text burned into its pixels, which may name the patient: look \
                 at it before it is shared",
                "are marked as having text burned into their pixels, which may name the patient: \
                 look at them before they are shared",
            ),
            files(
                self.unmarked_captures,
                "is a secondary capture that does not say whether text is burned into its pixels: \
                 look at it before it is shared",
                "are secondary captures that do not say whether text is burned into their pixels: \
                 look at them before they are shared",
            ),
            told(
                counted(self.pictures, "picture", "pictures"),
                self.pictures,
                "does not say whether text is burned into its pixels: look at it before it is shared",
                "do not say whether text is burned into their pixels: look at them before they are \
                 shared",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once() {
        let mut counts = PrivacyCounts::default();
        assert!(counts.warnings().is_empty());
        counts.add(Privacy {
            burned_in: BurnedIn::Yes,
            names_patient: true,
            has_other_entries: false,
        });
        counts.add(Privacy {
            burned_in: BurnedIn::CaptureWithoutStatement,
            names_patient: true,
            has_other_entries: false,
        });
        for _ in 0..2 {
            counts.add(Privacy {
                burned_in: BurnedIn::PictureWithoutStatement,
                ..Privacy::default()
            });
        }
        let warnings = counts.warnings();
        assert_eq!(
            warnings[0],
            "2 files carry patient names or numbers; they are never read into the project"
        );
        assert!(warnings[1].starts_with("1 file is marked as having text burned"));
        assert!(warnings[2].starts_with("1 file is a secondary capture"));
        assert_eq!(
            warnings[3],
            "2 pictures do not say whether text is burned into their pixels: look at them before \
             they are shared"
        );
        assert_eq!(warnings.len(), 4);
    }
}
