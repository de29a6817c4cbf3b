//! Terms of report texts and of titles: lower-case words and pairs of neighbouring words.
//!
//! In reports a term counts by what is said of it. "No pleural effusion" yields `no effusion` and
//! `no pleural effusion`, never `effusion`; "prior nodule has resolved" yields `earlier nodule`.
//! So a feature that follows a finding is not drowned by reports that deny it, and a feature that
//! follows denials can be named too. The rules are few (in the manner of NegEx): a sentence is cut
//! into clauses at "but", "however" and their like; a cue such as "no", "without" or "clear of"
//! reaches to the end of its clause; "not" and "absent" cover their whole clause; "resolved", "removed", "no
//! longer", and "prior" or "previous" without a word of comparison put the clause into the past.

use std::collections::BTreeSet;

/// Words that carry no meaning alone, cues of negation and time included.
const STOP_WORDS: &[&str] = &[
    "a",
    "about",
    "above",
    "absence",
    "absent",
    "after",
    "again",
    "all",
    "also",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "before",
    "being",
    "both",
    "by",
    "can",
    "compared",
    "comparison",
    "could",
    "denies",
    "did",
    "do",
    "does",
    "earlier",
    "either",
    "evidence",
    "for",
    "formerly",
    "free",
    "from",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "his",
    "history",
    "identified",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "longer",
    "may",
    "might",
    "more",
    "most",
    "negative",
    "neither",
    "no",
    "nor",
    "not",
    "noted",
    "of",
    "on",
    "or",
    "other",
    "our",
    "out",
    "over",
    "previous",
    "previously",
    "prior",
    "removed",
    "resolved",
    "seen",
    "she",
    "should",
    "since",
    "so",
    "some",
    "study",
    "such",
    "than",
    "that",
    "the",
    "their",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "under",
    "unless",
    "until",
    "up",
    "was",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "will",
    "with",
    "within",
    "without",
    "would",
    "you",
    "your",
];

const CLAUSE_BREAKS: &[&str] = &[
    "although", "but", "except", "however", "though", "whereas", "yet",
];
const NEGATES_WHAT_FOLLOWS: &[&str] =
    &["absence", "denies", "negative", "neither", "no", "without"];
/// Only before "of".
const NEGATES_WITH_OF: &[&str] = &["clear", "free"];
const NEGATES_ITS_CLAUSE: &[&str] = &["absent", "not"];
const IN_THE_PAST: &[&str] = &["formerly", "removed", "resolved"];
const EARLIER: &[&str] = &["earlier", "history", "previous", "previously", "prior"];
/// With one of these, "prior" speaks of a comparison, and the finding is there.
const COMPARES: &[&str] = &[
    "again",
    "change",
    "changed",
    "compared",
    "comparison",
    "decreased",
    "enlarged",
    "improved",
    "increased",
    "larger",
    "new",
    "persistent",
    "persists",
    "progressed",
    "smaller",
    "stable",
    "unchanged",
    "worse",
    "worsened",
];
const CHANGES: &[&str] = &["change", "changed", "changes"];
/// Stands for punctuation that neighbouring words do not cross.
const GAP: &str = ",";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Present,
    Absent,
    Earlier,
}

impl Said {
    fn prefix(self) -> &'static str {
        match self {
            Self::Present => "",
            Self::Absent => "no ",
            Self::Earlier => "earlier ",
        }
    }
}

/// Terms of a report text, sorted, each once.
///
/// # Example
/// `Small left effusion. No pneumothorax.` gives `effusion`, `left`, `left effusion`,
/// `no pneumothorax`, `small`, `small left`.
pub fn text_terms(text: &str) -> Vec<String> {
    let mut terms = BTreeSet::new();
    for words in sentences(text) {
        for clause in words.split(|word| CLAUSE_BREAKS.contains(&word.as_str())) {
            let clause: Vec<&str> = clause.iter().map(String::as_str).collect();
            let said: Vec<Said> = said_of(&clause);
            add_terms(&clause, &said, &mut terms);
        }
    }
    terms.into_iter().collect()
}

/// Terms of a title, sorted, each once; nothing in it is a negation.
///
/// # Example
/// `No Country for Old Men (2007)` gives `country`, `men`, `old`, `old men`.
pub fn title_terms(title: &str) -> Vec<String> {
    let mut terms = BTreeSet::new();
    for words in sentences(title) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        add_terms(&words, &vec![Said::Present; words.len()], &mut terms);
    }
    terms.into_iter().collect()
}

fn add_terms(words: &[&str], said: &[Said], terms: &mut BTreeSet<String>) {
    for (i, word) in words.iter().enumerate() {
        if !is_content(word) {
            continue;
        }
        let prefix = said[i].prefix();
        terms.insert(format!("{prefix}{word}"));
        if let Some(next) = words.get(i + 1)
            && is_content(next)
            && said[i + 1] == said[i]
        {
            terms.insert(format!("{prefix}{word} {next}"));
        }
    }
}

fn is_content(word: &str) -> bool {
    word.chars().count() > 1
        && word.chars().any(char::is_alphabetic)
        // What was removed from a report to hide who it is about.
        && !word.chars().all(|c| c == 'x')
        && STOP_WORDS.binary_search(&word).is_err()
}

/// What is said of each word of a clause.
fn said_of(clause: &[&str]) -> Vec<Said> {
    let has = |list: &[&str]| clause.iter().any(|word| list.contains(word));
    let no_longer = clause.windows(2).any(|pair| pair == ["no", "longer"]);
    if no_longer || has(IN_THE_PAST) || (has(EARLIER) && !has(COMPARES)) {
        return vec![Said::Earlier; clause.len()];
    }
    // "No change" and "not changed" deny the change, not the finding.
    let of_change = |i: usize| {
        clause[i + 1..]
            .iter()
            .take(3)
            .any(|word| CHANGES.contains(word))
    };
    let cue =
        |list: &[&str]| (0..clause.len()).find(|&i| list.contains(&clause[i]) && !of_change(i));
    let clear_of = clause
        .windows(2)
        .position(|pair| NEGATES_WITH_OF.contains(&pair[0]) && pair[1] == "of");
    let mut said = vec![Said::Present; clause.len()];
    if cue(NEGATES_ITS_CLAUSE).is_some() {
        said.fill(Said::Absent);
    } else if let Some(start) = cue(NEGATES_WHAT_FOLLOWS).or(clear_of.map(|i| i + 1)) {
        said[start..].fill(Said::Absent);
    }
    said
}

/// Lower-case words sentence by sentence, [`GAP`] for other punctuation. A point between digits
/// ends no sentence.
fn sentences(text: &str) -> Vec<Vec<String>> {
    let characters: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut sentences = vec![Vec::new()];
    let mut word = String::new();
    for (i, &c) in characters.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| characters[i]);
        let after = characters.get(i + 1).copied();
        let between = |test: fn(char) -> bool| before.is_some_and(test) && after.is_some_and(test);
        let inside = match c {
            '-' | '\'' => between(char::is_alphanumeric),
            '.' => between(|c| c.is_ascii_digit()),
            _ => c.is_alphanumeric(),
        };
        if inside {
            word.push(c);
            continue;
        }
        let Some(sentence) = sentences.last_mut() else {
            continue;
        };
        if !word.is_empty() {
            sentence.push(std::mem::take(&mut word));
        }
        match c {
            '.' | '!' | '?' | ';' | '\n' => sentences.push(Vec::new()),
            c if !c.is_whitespace() => sentence.push(GAP.to_owned()),
            _ => {}
        }
    }
    if let Some(sentence) = sentences.last_mut()
        && !word.is_empty()
    {
        sentence.push(word);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(text_terms(text), expected, "{text}");
    }

    #[test]
    fn stop_words_are_sorted_for_the_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn words_and_pairs() {
        check(
            "Small left effusion. No pneumothorax.",
            &[
                "effusion",
                "left",
                "left effusion",
                "no pneumothorax",
                "small",
                "small left",
            ],
        );
        check(
            "Nodule, 2.5 cm, in the T-spine.",
            &["cm", "nodule", "t-spine"],
        );
        check("", &[]);
    }

    #[test]
    fn a_denied_finding_is_not_counted_as_present() {
        check(
            "No effusion or pneumothorax",
            &["no effusion", "no pneumothorax"],
        );
        check("Effusion is not seen.", &["no effusion"]);
        check(
            "Clear lungs without nodule",
            &["clear", "clear lungs", "lungs", "no nodule"],
        );
        check(
            "The XXXX lungs are clear of nodule.",
            &["clear", "lungs", "no nodule"],
        );
        check("No nodule, but effusion", &["effusion", "no nodule"]);
        check("No change in the effusion", &["change", "effusion"]);
    }

    #[test]
    fn a_finding_of_the_past_is_not_counted_as_present() {
        check("Prior nodule has resolved.", &["earlier nodule"]);
        check("The effusion is no longer seen.", &["earlier effusion"]);
        check("Tube was removed.", &["earlier tube"]);
        check(
            "Compared with the prior film, effusion increased.",
            &["effusion", "effusion increased", "film", "increased"],
        );
    }

    #[test]
    fn titles_know_no_negation() {
        assert_eq!(
            title_terms("No Country for Old Men (2007)"),
            ["country", "men", "old", "old men"]
        );
    }
}
