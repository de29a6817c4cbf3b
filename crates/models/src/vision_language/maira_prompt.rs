//! The prompts of MAIRA-2: what is asked, with every part of the text typed.
//!
//! Wordings of the plain report are those of the published interface. The instructions for
//! grounded reports and phrases are read from the `processing_maira2.py` of the user's checkpoint,
//! as data: its string literals are collected, nothing in it runs.

use std::path::Path;

use schema::PositionClass;

use crate::ModelError;

/// What stands for an image in a prompt.
pub const IMAGE: &str = "<image>";
/// What stands for a section that a study does not have.
const ABSENT: &str = "N/A";

/// What MAIRA-2 is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MairaTask<'a> {
    /// The findings, as text.
    #[default]
    Findings,
    /// The findings, each with boxes.
    Grounded,
    /// Boxes of one phrase.
    Phrase(&'a str),
}

/// Sections of a study that go into a prompt; `None` or blank where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StudyTexts<'a> {
    /// Why the study was made.
    pub indication: Option<&'a str>,
    /// How the films were made.
    pub technique: Option<&'a str>,
    /// What it is compared with.
    pub comparison: Option<&'a str>,
    /// Report of the prior study; left out without a prior film, as the published interface does.
    pub prior_report: Option<&'a str>,
}

/// Which films a prompt shows beside the current frontal one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StudyFilms {
    /// The current lateral one.
    pub has_lateral: bool,
    /// The prior frontal one.
    pub has_prior: bool,
}

/// Text in parts of one class each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypedText {
    parts: Vec<(String, PositionClass)>,
}

impl TypedText {
    fn fixed(mut self, text: &str) -> Self {
        self.parts
            .push((text.to_owned(), PositionClass::Boilerplate));
        self
    }

    fn image(mut self) -> Self {
        self.parts.push((IMAGE.to_owned(), PositionClass::Image));
        self
    }

    /// A section of the study, or what stands for none.
    fn section(mut self, text: Option<&str>, class: PositionClass) -> Self {
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => self.parts.push((text.to_owned(), class)),
            None => self
                .parts
                .push((ABSENT.to_owned(), PositionClass::Boilerplate)),
        }
        self
    }

    /// Puts fixed text around it.
    pub(crate) fn within(mut self, before: &str, after: &str) -> Self {
        let fixed = |text: &str| (text.to_owned(), PositionClass::Boilerplate);
        self.parts.insert(0, fixed(before));
        self.parts.push(fixed(after));
        self
    }

    /// Adds a part.
    pub(crate) fn then(mut self, text: &str, class: PositionClass) -> Self {
        self.parts.push((text.to_owned(), class));
        self
    }

    /// Any text with image markers, all else of one class.
    pub fn plain(text: &str, class: PositionClass) -> Self {
        let mut typed = Self::default();
        for (i, part) in text.split(IMAGE).enumerate() {
            if i > 0 {
                typed = typed.image();
            }
            if !part.is_empty() {
                typed.parts.push((part.to_owned(), class));
            }
        }
        typed
    }

    /// The parts in order.
    pub fn parts(&self) -> &[(String, PositionClass)] {
        &self.parts
    }

    /// All parts as one text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// Instructions that only the checkpoint's own files have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MairaInstructions {
    /// Asks for grounded findings; ends before ` INDICATION:`.
    pub grounded: Option<String>,
    /// Asks for the boxes of a phrase; ends before ` Finding:`.
    pub phrase: Option<String>,
}

impl MairaInstructions {
    /// Collects the instructions from `processing_maira2.py` in `folder`, where it is.
    pub fn read(folder: &Path) -> Self {
        std::fs::read_to_string(folder.join("processing_maira2.py")).map_or_else(
            |_absent| Self::default(),
            |source| Self::from_source(&source),
        )
    }

    /// Collects the instructions from the source of the processor.
    pub fn from_source(source: &str) -> Self {
        let literals = string_literals(source);
        let find = |words: &[&str], end: &str| {
            let text = literals
                .iter()
                .find(|text| words.iter().all(|word| text.contains(word)))?;
            let instruction = text.split(end).next().unwrap_or(text);
            Some(format!(" {}", instruction.trim()))
        };
        Self {
            grounded: find(&["bounding box", "finding", "sentence"], "INDICATION:"),
            phrase: find(&["bounding box", "phrase", "Repeat"], "Finding:"),
        }
    }
}

/// String literals of Python source, those next to each other joined; a replacement field of a
/// formatted one ends a literal.
fn string_literals(source: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut rest = source;
    // Whether only white space and comments came since the last literal.
    let mut joins = false;
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' || first == '\'' {
            let (text, after, is_whole) = string_literal(rest, first);
            match all.last_mut().filter(|_| joins) {
                Some(last) => last.push_str(&text),
                None => all.push(text),
            }
            joins = is_whole;
            rest = after;
        } else {
            // A prefix such as f or r before a quote joins as well.
            let is_prefix = matches!(first, 'f' | 'F' | 'r' | 'R' | 'b' | 'B' | 'u')
                && rest[1..].starts_with(['"', '\'']);
            joins &= first.is_whitespace() || is_prefix;
            rest = &rest[first.len_utf8()..];
        }
    }
    all
}

/// The literal at the start of `source`, what follows it, and whether it has no replacement field.
fn string_literal(source: &str, quote: char) -> (String, &str, bool) {
    let triple = quote.to_string().repeat(3);
    let close = if source.starts_with(&triple) {
        triple
    } else {
        quote.to_string()
    };
    let body = &source[close.len()..];
    let mut text = String::new();
    let mut is_whole = true;
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        if body[at..].starts_with(&close) {
            return (text, &body[at + close.len()..], is_whole);
        }
        match character {
            '\\' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, '\n')) | None => {}
                Some((_, other)) => text.push(other),
            },
            '{' => is_whole = false,
            other if is_whole => text.push(other),
            _ => {}
        }
    }
    (text, "", is_whole)
}

/// The user's turn.
///
/// # Errors
/// [`ModelError::Request`] when the instruction is one that the checkpoint's files do not have.
pub fn maira_content(
    task: MairaTask<'_>,
    films: StudyFilms,
    texts: StudyTexts<'_>,
    instructions: &MairaInstructions,
) -> Result<TypedText, ModelError> {
    let absent = |what: &str| {
        ModelError::Request(format!(
            "the instruction for {what} is not in this checkpoint's folder: expected it in \
             processing_maira2.py"
        ))
    };
    if let MairaTask::Phrase(phrase) = task {
        let instruction = instructions.phrase.as_deref();
        let instruction = instruction.ok_or_else(|| absent("grounding a phrase"))?;
        return Ok(TypedText::default()
            .fixed("Given the current frontal image")
            .image()
            .fixed(&format!("{instruction} Finding: "))
            .section(Some(phrase), PositionClass::Report));
    }
    let mut content = shown_films(films);
    if films.has_prior {
        content = content
            .fixed(" PRIOR_REPORT: ")
            .section(texts.prior_report, PositionClass::PriorReport);
    }
    let instruction = match task {
        MairaTask::Grounded => instructions
            .grounded
            .clone()
            .ok_or_else(|| absent("grounded reports"))?,
        _ => " Provide a structured description of the findings in the radiology study in \
              comparison to the prior frontal image."
            .to_owned(),
    };
    Ok(content
        .fixed(&format!("{instruction} INDICATION: "))
        .section(texts.indication, PositionClass::Indication)
        .fixed(" TECHNIQUE: ")
        .section(texts.technique, PositionClass::Technique)
        .fixed(" COMPARISON: ")
        .section(texts.comparison, PositionClass::Comparison))
}

/// The films of a study with what names them.
fn shown_films(films: StudyFilms) -> TypedText {
    let content = TypedText::default();
    if films == StudyFilms::default() {
        return content
            .fixed("Given the current frontal image only")
            .image();
    }
    let content = content.fixed("Given the current frontal image").image();
    match (films.has_lateral, films.has_prior) {
        (true, true) => content
            .fixed(" the current lateral image")
            .image()
            .fixed(" and the prior frontal image")
            .image(),
        (false, true) => content.fixed(" and the prior frontal image").image(),
        _ => content.fixed(" and the current lateral image").image(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
class Processor:
    """Turns studies into "prompts"."""
    def reporting(self, indication, get_grounding):
        if get_grounding:  # a comment with "quotes"
            prompt = (
                " Describe the findings. Each finding should be one sentence."
                f" If it is groundable, give its bounding boxes. INDICATION: {indication or 'N/A'} TECHNIQUE: "
            )
        return prompt
    def phrase(self, phrase):
        return f" Repeat the finding as a phrase with bounding boxes. Finding: {phrase}"
"#;

    #[test]
    fn instructions_are_collected_from_the_source() {
        let found = MairaInstructions::from_source(SOURCE);
        assert_eq!(
            found.grounded.as_deref(),
            Some(
                " Describe the findings. Each finding should be one sentence. If it is groundable, \
                 give its bounding boxes."
            )
        );
        assert_eq!(
            found.phrase.as_deref(),
            Some(" Repeat the finding as a phrase with bounding boxes.")
        );
        assert_eq!(
            MairaInstructions::from_source("x = 'ab"),
            MairaInstructions::default()
        );
    }

    #[test]
    fn every_combination_of_films_is_named() {
        let text = |has_lateral, has_prior| {
            let films = StudyFilms {
                has_lateral,
                has_prior,
            };
            let content = maira_content(
                MairaTask::Findings,
                films,
                StudyTexts {
                    indication: Some("Cough."),
                    prior_report: Some("Clear."),
                    ..StudyTexts::default()
                },
                &MairaInstructions::default(),
            );
            content.unwrap().text()
        };
        let end = " Provide a structured description of the findings in the radiology study in \
                   comparison to the prior frontal image. INDICATION: Cough. TECHNIQUE: N/A \
                   COMPARISON: N/A";
        for (films, start) in [
            (
                (false, false),
                "Given the current frontal image only<image>",
            ),
            (
                (true, false),
                "Given the current frontal image<image> and the current lateral image<image>",
            ),
            (
                (false, true),
                "Given the current frontal image<image> and the prior frontal image<image> \
                 PRIOR_REPORT: Clear.",
            ),
            (
                (true, true),
                "Given the current frontal image<image> the current lateral image<image> and the \
                 prior frontal image<image> PRIOR_REPORT: Clear.",
            ),
        ] {
            assert_eq!(text(films.0, films.1), format!("{start}{end}"));
        }
    }

    #[test]
    fn a_missing_instruction_is_an_error() {
        let nothing = MairaInstructions::default();
        let films = StudyFilms::default();
        let grounded = maira_content(MairaTask::Grounded, films, StudyTexts::default(), &nothing);
        assert!(
            grounded
                .unwrap_err()
                .to_string()
                .contains("processing_maira2.py")
        );
    }
}
