//! How files of interactions are arranged, and how what they hold is divided.

use std::path::Path;

/// How files of interactions are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `train.csv`, `dev.csv`, `test.csv` with `user_id`, `item_id`, `time`.
    ReChorus,
    /// The files of `GroupLens`: `ratings.csv` and `movies.csv` (latest-small, 10M and later),
    /// `ratings.dat` and `movies.dat` (1M), or `u.data` and `u.item` (100k).
    MovieLens,
    /// `RecBole`'s atomic files: `NAME.inter` and `NAME.item`, or the parts of a benchmark,
    /// `NAME.train.inter`, `NAME.valid.inter`, `NAME.test.inter`.
    RecBole,
    /// A table of interactions whose columns are recognised by name or stated.
    Csv,
}

/// What is said of a path of which no layout is recognised.
pub(super) const UNKNOWN: &str = "it holds neither train.csv, dev.csv and test.csv (ReChorus), nor \
                                  ratings.csv, ratings.dat or u.data (MovieLens), nor a file \
                                  ending in .inter (RecBole); a table of interactions (csv) is \
                                  given as a file ending in .csv or .tsv";

impl Layout {
    /// Every layout, with its name on the command line.
    pub const ALL: [(&'static str, Self); 4] = [
        ("rechorus", Self::ReChorus),
        ("movielens", Self::MovieLens),
        ("recbole", Self::RecBole),
        ("csv", Self::Csv),
    ];

    /// The layout of that name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, layout)| *layout)
    }

    /// Its name in sentences.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReChorus => "ReChorus",
            Self::MovieLens => "MovieLens",
            Self::RecBole => "RecBole",
            Self::Csv => "CSV",
        }
    }

    /// The layout of a folder or file, judged by the names of files.
    pub fn detect(path: &Path) -> Option<Self> {
        if path.is_file() {
            return Self::of_file(path);
        }
        let has = |name: &str| path.join(name).is_file();
        if has("train.csv") && has("dev.csv") && has("test.csv") {
            Some(Self::ReChorus)
        } else if ["ratings.csv", "ratings.dat", "u.data"]
            .into_iter()
            .any(has)
        {
            Some(Self::MovieLens)
        } else {
            let mut entries = std::fs::read_dir(path).ok()?;
            entries
                .any(|entry| entry.is_ok_and(|entry| ends_in(&entry.path(), "inter")))
                .then_some(Self::RecBole)
        }
    }

    fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if ["ratings.csv", "ratings.dat", "u.data"].contains(&name) {
            Some(Self::MovieLens)
        } else if ends_in(path, "inter") {
            Some(Self::RecBole)
        } else {
            ["csv", "tsv", "txt"]
                .into_iter()
                .any(|end| ends_in(path, end))
                .then_some(Self::Csv)
        }
    }

    /// The k-core that is taken unasked.
    pub(super) fn usual_core(self) -> u32 {
        match self {
            Self::MovieLens => 5,
            Self::ReChorus | Self::RecBole | Self::Csv => 1,
        }
    }
}

/// Whether the name of a file ends in `.end`, whatever the case of its letters.
pub(super) fn ends_in(path: &Path, end: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(end))
}

/// Which interactions are held out of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitRule {
    /// Of every user the last for test, the one before it for dev. Of two, the last is for test;
    /// a single one is for training.
    LeaveOneOut,
    /// What falls into the last fifth of the days of the whole period: the first half of that for
    /// dev, the rest for test.
    GlobalTime,
}

impl SplitRule {
    /// Every rule, with its name on the command line.
    pub const ALL: [(&'static str, Self); 2] = [
        ("leave-one-out", Self::LeaveOneOut),
        ("global-time", Self::GlobalTime),
    ];

    /// The rule of that name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, rule)| *rule)
    }
}
