//! Findings read from report texts by lists of phrases, without a model.
//!
//! The lists are files of the user's, in the layout of the `CheXpert` labeller: `mention/NAME.txt`
//! has a phrase a line by which the finding is mentioned, `unmention/NAME.txt` phrases inside which
//! such a mention does not count. A phrase begins at the start of a word and may end within one
//! ("opaci" is in "opacities"); `_` stands for a space.
//!
//! Whether a mention affirms, denies or leaves open is told by words around it, clause by clause.
//! The labeller's own rules need a parser of English; these are written after its comments and
//! `NegEx`, and `docs/data.md` says how far they agree with readers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use schema::Report;

use super::ImportError;

/// A finding whose list says what else is no normal film: never a finding of its own.
const NO_FINDING: &str = "no_finding";

/// What is said of a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Denied,
    Open,
    Affirmed,
}

/// Words that leave open what follows them in their clause.
const OPEN_BEFORE: [&str; 27] = [
    "cannot exclude",
    "cannot rule out",
    "can not exclude",
    "not exclude",
    "may",
    "might",
    "could",
    "possible",
    "possibly",
    "possibility",
    "probable",
    "probably",
    "potential",
    "potentially",
    "suggest",
    "suggests",
    "suggesting",
    "suggestion",
    "suspected",
    "suspicious for",
    "concern for",
    "concerning for",
    "questionable",
    "question of",
    "versus",
    "vs",
    "rule out",
];

/// Words that leave open all of their clause.
const OPEN_AROUND: [&str; 7] = [
    "not excluded",
    "not be excluded",
    "cannot be excluded",
    "difficult to exclude",
    "not be entirely excluded",
    "no new",
    "equivocal",
];

/// Words that deny what follows them in their clause.
const DENIED_BEFORE: [&str; 17] = [
    "no",
    "not",
    "without",
    "free of",
    "clear of",
    "negative for",
    "absence of",
    "resolution of",
    "clearing of",
    "removal of",
    "disappearance of",
    "rather than",
    "never",
    "neither",
    "nor",
    "denies",
    "interval removal",
];

/// Words that deny all of their clause.
const DENIED_AROUND: [&str; 13] = [
    "absent",
    "resolved",
    "removed",
    "no longer",
    "not seen",
    "not identified",
    "not present",
    "not enlarged",
    "normal",
    "unremarkable",
    "within normal",
    "excluded",
    "ruled out",
];

/// Phrases that name an organ and no change of it; they count with a word of [`CHANGED`] only.
const OF_ORGAN: [&str; 12] = [
    "the heart",
    "heart size",
    "cardiac size",
    "cardiac shadow",
    "cardiac contour",
    "cardiac silhouette",
    "cardiomediastinum",
    "contour",
    "mediastinum",
    "mediastinal configuration",
    "mediastinal silhouette",
    "pericardial silhouette",
];

/// What is said of an organ that is not as it should be.
const CHANGED: [&str; 10] = [
    "enlarge",
    "enlarged",
    "enlargement",
    "large",
    "increased",
    "prominent",
    "prominence",
    "widened",
    "widening",
    "borderline",
];

/// Words that begin a clause of its own.
const TURNS: [&str; 6] = ["but", "however", "although", "though", "otherwise", "aside"];

/// A finding and its phrases, in lower case.
#[derive(Debug, Clone, PartialEq)]
struct Phrases {
    name: String,
    mentions: Vec<String>,
    unmentions: Vec<String>,
}

/// Lists of phrases by which findings are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PhraseLists {
    path: PathBuf,
    findings: Vec<Phrases>,
}

impl PhraseLists {
    /// Reads a folder with `mention/*.txt` and, if there is one, `unmention/*.txt`; the folder may
    /// also be one above, called `phrases` below.
    ///
    /// # Errors
    /// [`ImportError`] when a file cannot be read or there is no phrase in any.
    pub(super) fn read(folder: &Path) -> Result<Self, ImportError> {
        let inner = folder.join("phrases");
        let root = if inner.join("mention").is_dir() {
            &inner
        } else {
            folder
        };
        let expected = "expected a table of findings, or a folder with lists of phrases, \
                        mention/NAME.txt";
        if folder.is_dir() && !root.join("mention").is_dir() {
            return Err(ImportError::nothing(folder, expected));
        }
        let mut mentions = lists(&root.join("mention"))?;
        mentions.remove(NO_FINDING);
        let mut unmentions = if root.join("unmention").is_dir() {
            lists(&root.join("unmention"))?
        } else {
            BTreeMap::new()
        };
        let findings: Vec<Phrases> = mentions
            .into_iter()
            .filter(|(_, phrases)| !phrases.is_empty())
            .map(|(stem, mentions)| Phrases {
                name: title(&stem),
                mentions,
                unmentions: unmentions.remove(&stem).unwrap_or_default(),
            })
            .collect();
        if findings.is_empty() {
            return Err(ImportError::nothing(folder, expected));
        }
        Ok(Self {
            path: folder.to_owned(),
            findings,
        })
    }

    /// What a report says of each finding that it mentions: of several mentions the one that affirms
    /// most.
    pub(super) fn said(&self, report: &Report) -> BTreeMap<&str, Said> {
        let mut said: BTreeMap<&str, Said> = BTreeMap::new();
        for part in [&report.findings, &report.impression] {
            for clause in clauses(part) {
                for finding in &self.findings {
                    for mention in finding.said(&clause) {
                        let known = said.entry(&finding.name).or_insert(mention);
                        *known = mention.max(*known);
                    }
                }
            }
        }
        said
    }

    /// A line for the preview.
    pub(super) fn describe(&self, n_read: usize) -> String {
        format!(
            "{}: phrases of {} findings, read in {n_read} reports",
            self.path.display(),
            self.findings.len()
        )
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Phrases {
    /// What a clause says at each mention.
    fn said(&self, clause: &str) -> Vec<Said> {
        let spans = |phrases: &[String]| -> Vec<(usize, usize)> {
            phrases
                .iter()
                .flat_map(|phrase| starts(clause, phrase, true).map(|at| (at, at + phrase.len())))
                .collect()
        };
        let hidden = spans(&self.unmentions);
        let mut all = Vec::new();
        for (from, to) in spans(&self.mentions) {
            if hidden.iter().any(|&(start, end)| start < to && from < end) {
                continue;
            }
            let phrase = clause[from..to].trim();
            let names_organ = OF_ORGAN.contains(&phrase);
            if names_organ && !CHANGED.iter().any(|word| has(clause, word)) {
                // "The heart is normal" denies; "the heart" alone says nothing.
                if DENIED_AROUND.iter().any(|cue| has(clause, cue)) {
                    all.push(Said::Denied);
                }
                continue;
            }
            all.push(said_at(clause, from));
        }
        all
    }
}

/// What the words around byte `at` of a clause say of what stands there.
fn said_at(clause: &str, at: usize) -> Said {
    let before = &clause[..at];
    let any = |text: &str, cues: &[&str]| cues.iter().any(|cue| has(text, cue));
    if any(clause, &OPEN_AROUND) || any(before, &OPEN_BEFORE) {
        Said::Open
    } else if any(before, &DENIED_BEFORE) || any(clause, &DENIED_AROUND) {
        Said::Denied
    } else {
        Said::Affirmed
    }
}

/// Whether a text holds words as they stand.
fn has(text: &str, words: &str) -> bool {
    starts(text, words, false).next().is_some()
}

/// Places where `phrase` begins at the start of a word, and ends at the end of one unless it is a
/// stem.
fn starts<'a>(text: &'a str, phrase: &'a str, is_stem: bool) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(phrase).filter_map(move |(at, _)| {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let begins = phrase.starts_with(' ') || !is_word(text[..at].chars().next_back());
        let ends = is_stem || !is_word(text[at + phrase.len()..].chars().next());
        (begins && ends).then_some(at)
    })
}

/// The clauses of a text in lower case, single spaces between words, one before and one after.
fn clauses(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let mut clauses = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let mut end = |words: &mut Vec<&str>| {
        if !words.is_empty() {
            clauses.push(format!(" {} ", words.join(" ")));
            words.clear();
        }
    };
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if TURNS.contains(&bare) {
            end(&mut words);
        }
        if !bare.is_empty() {
            words.push(bare);
        }
        // "1." begins a sentence as "clear." ends one; "2.5" does neither.
        if word.ends_with(['.', ';', ':', '?', '!']) {
            end(&mut words);
        }
    }
    end(&mut words);
    clauses
}

/// "Pleural Effusion" of `pleural_effusion`.
fn title(stem: &str) -> String {
    let words = stem.split('_').filter(|word| !word.is_empty());
    let upper = words.map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    });
    upper.collect::<Vec<_>>().join(" ")
}

/// The phrases of every `.txt` file of a folder, by the file's stem.
fn lists(folder: &Path) -> Result<BTreeMap<String, Vec<String>>, ImportError> {
    let entries = fs::read_dir(folder).map_err(cannot_read(folder))?;
    let mut lists = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(cannot_read(folder))?.path();
        if path.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(cannot_read(&path))?;
        let phrases = text
            .lines()
            .map(|line| line.trim().to_lowercase().replace('_', " "))
            .filter(|phrase| !phrase.trim().is_empty())
            .collect();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        lists.insert(stem.to_lowercase(), phrases);
    }
    Ok(lists)
}

fn cannot_read(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError + '_ {
    |source| ImportError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::reports::{ReportSource, import_reports};
    use crate::import::table::Table;
    use crate::test_data::shared_data;

    /// Lists of a few findings, written for the test.
    fn lists() -> (tempfile::TempDir, PhraseLists) {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("mention/pleural_effusion.txt", "effusion\npleural fluid\n"),
            (
                "mention/cardiomegaly.txt",
                "cardiomegaly\nheart size\nthe heart\n",
            ),
            ("mention/lung_opacity.txt", "opaci\nairspace disease\n"),
            ("mention/no_finding.txt", "hernia\n"),
            ("unmention/pleural_effusion.txt", "pericardial effusion\n"),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let lists = PhraseLists::read(folder.path()).unwrap();
        (folder, lists)
    }

    fn said(lists: &PhraseLists, text: &str) -> Vec<(String, Said)> {
        let report = Report {
            findings: text.to_owned(),
            ..Report::default()
        };
        let said = lists.said(&report).into_iter();
        said.map(|(name, said)| (name.to_owned(), said)).collect()
    }

    #[test]
    fn mentions_are_affirmed_denied_or_left_open() {
        use Said::{Affirmed, Denied, Open};
        let (_folder, lists) = lists();
        let effusion = |said| vec![("Pleural Effusion".to_owned(), said)];
        for (text, expected) in [
            ("Small left pleural effusion.", effusion(Affirmed)),
            ("No pneumothorax or effusion.", effusion(Denied)),
            ("Pericardial effusion.", Vec::new()),
            ("Effusions have resolved.", effusion(Denied)),
            ("An effusion is not excluded.", effusion(Open)),
            ("This may reflect pleural fluid.", effusion(Open)),
            ("No pneumothorax, but a small effusion.", effusion(Affirmed)),
            ("No effusion. Later a right effusion.", effusion(Affirmed)),
            ("Hiatal hernia.", Vec::new()),
        ] {
            assert_eq!(said(&lists, text), expected, "{text}");
        }
        let heart = |said| vec![("Cardiomegaly".to_owned(), said)];
        assert_eq!(said(&lists, "Heart size is normal."), heart(Denied));
        assert_eq!(
            said(&lists, "The heart is mildly enlarged."),
            heart(Affirmed)
        );
        assert_eq!(said(&lists, "The heart is not enlarged."), heart(Denied));
        assert_eq!(said(&lists, "Behind the heart."), Vec::new());
        let opacity = vec![("Lung Opacity".to_owned(), Affirmed)];
        assert_eq!(said(&lists, "Bibasilar opacities"), opacity);
    }

    #[test]
    fn a_folder_without_phrases_is_refused_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = PhraseLists::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("mention/NAME.txt"), "{error}");
        fs::create_dir(folder.path().join("mention")).unwrap();
        let error = PhraseLists::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("mention/NAME.txt"), "{error}");
    }

    /// The labeller's own worked examples.
    #[test]
    fn the_worked_examples_of_the_chexpert_labeller() {
        let Some(folder) = shared_data("radiology/chexpert-rules") else {
            return;
        };
        let lists = PhraseLists::read(&folder).unwrap();
        let table = Table::read(&folder.join("labeled_reports.csv"), None).unwrap();
        let (mut alike, mut cells) = (0, 0);
        for row in 0..table.rows.len() {
            let report = Report {
                findings: table.cell(row, 0).to_owned(),
                ..Report::default()
            };
            let said = lists.said(&report);
            for (column, name) in table.headers.iter().enumerate().skip(2) {
                let expected = match table.cell(row, column) {
                    "1.0" => Some(Said::Affirmed),
                    "0.0" => Some(Said::Denied),
                    "-1.0" => Some(Said::Open),
                    _ => None,
                };
                let got = said.get(name.as_str()).copied();
                cells += 1;
                alike += usize::from(got == expected);
                assert_eq!(got, expected, "row {row}, {name}");
            }
        }
        assert_eq!((alike, cells), (52, 52));
    }

    /// Against what readers said of the Indiana reports: the table of `docs/data.md`.
    #[test]
    #[expect(clippy::print_stderr, reason = "the table is read from here")]
    fn agrees_with_readers_on_the_indiana_reports() {
        let (Some(rules), Some(reports)) = (
            shared_data("radiology/chexpert-rules"),
            shared_data("radiology/iu-reports"),
        ) else {
            return;
        };
        let source = ReportSource {
            table: reports.join("iu_reports.csv"),
            labels: Some(reports.join("openi_gold_std14.csv")),
            ..ReportSource::default()
        };
        let by_readers = import_reports("iu", &source, 0).unwrap().records;
        let lists = PhraseLists::read(&rules).unwrap();
        for (theirs, ours, least) in [
            ("Atelectasis", "Atelectasis", 0.94),
            ("Cardiomegaly", "Cardiomegaly", 0.92),
            ("Effusion", "Pleural Effusion", 0.89),
            ("Pneumothorax", "Pneumothorax", 0.83),
            ("Consolidation", "Consolidation", 0.9),
            ("Edema", "Edema", 0.63),
            ("Pneumonia", "Pneumonia", 0.56),
        ] {
            // What is affirmed, and beside it what is mentioned at all.
            let [mut affirmed, mut mentioned] = [Counts::default(); 2];
            for record in &by_readers {
                let (Some(_), Some(report)) = (&record.findings, &record.report) else {
                    continue;
                };
                let said = lists.said(report).get(ours).copied();
                let truth = record.has_finding(theirs);
                affirmed.add((truth, said == Some(Said::Affirmed)));
                mentioned.add((truth, said.is_some()));
            }
            let [recall, precision, f1] = affirmed.figures();
            let alone = mentioned.figures()[2];
            eprintln!(
                "| {ours} | {} | {recall:.2} | {precision:.2} | {f1:.2} | {alone:.2} |",
                affirmed.both + affirmed.missed
            );
            assert!(f1 >= least && f1 > alone, "{ours}: {f1:.3}, {alone:.3}");
        }
    }

    #[derive(Default, Clone, Copy)]
    struct Counts {
        both: u32,
        missed: u32,
        wrong: u32,
    }

    impl Counts {
        fn add(&mut self, (truth, said): (bool, bool)) {
            self.both += u32::from(truth && said);
            self.missed += u32::from(truth && !said);
            self.wrong += u32::from(!truth && said);
        }

        /// Recall, precision, F1.
        fn figures(self) -> [f64; 3] {
            let of = |n: u32, all: u32| f64::from(n) / f64::from(all).max(1.0);
            [
                of(self.both, self.both + self.missed),
                of(self.both, self.both + self.wrong),
                of(2 * self.both, 2 * self.both + self.missed + self.wrong),
            ]
        }
    }
}
