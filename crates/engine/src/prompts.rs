//! What language models are asked, as files that a user may change.

use std::path::{Path, PathBuf};

use explain::PromptTemplate;

use crate::error::{EngineError, Result};
use crate::model_registry::to_json;
use crate::session::Session;

/// Folder of a project with changed prompts.
const FOLDER: &str = "prompts";

/// The prompts of a run over passages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompts {
    pub(crate) explain: PromptTemplate,
    pub(crate) explain_film: PromptTemplate,
    pub(crate) detect: PromptTemplate,
    pub(crate) fuzz: PromptTemplate,
    pub(crate) simulate: PromptTemplate,
}

/// Name, text as shipped, gaps that must be in it, number of choices.
type Shipped = (&'static str, &'static str, &'static [&'static str], usize);

const SHIPPED: [Shipped; 5] = [
    (
        "explain",
        include_str!("../../../assets/prompts/explain.toml"),
        &["passages"],
        0,
    ),
    (
        "explain_film",
        include_str!("../../../assets/prompts/explain_film.toml"),
        &["passages"],
        0,
    ),
    (
        "detect",
        include_str!("../../../assets/prompts/detect.toml"),
        &["explanation", "passage"],
        2,
    ),
    (
        "fuzz",
        include_str!("../../../assets/prompts/fuzz.toml"),
        &["explanation", "passage"],
        2,
    ),
    (
        "simulate",
        include_str!("../../../assets/prompts/simulate.toml"),
        &["explanation", "passage"],
        0,
    ),
];

/// The prompts of a run of concepts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConceptPrompts {
    pub(crate) explain: PromptTemplate,
    pub(crate) judge: PromptTemplate,
}

const SHIPPED_CONCEPTS: [Shipped; 2] = [
    (
        "concept_explain",
        include_str!("../../../assets/prompts/concept_explain.toml"),
        &["cases"],
        0,
    ),
    (
        "concept_judge",
        include_str!("../../../assets/prompts/concept_judge.toml"),
        &["explanation", "items"],
        0,
    ),
];

impl ConceptPrompts {
    /// The project's own prompts, and the shipped ones where it has none.
    ///
    /// # Errors
    /// As [`Prompts::read`].
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let [explain, judge] = &SHIPPED_CONCEPTS;
        Ok(Self {
            explain: template(root, explain)?,
            judge: template(root, judge)?,
        })
    }

    /// BLAKE3 of the prompts, where they are not the shipped ones.
    ///
    /// # Errors
    /// When they cannot be written down.
    pub(crate) fn hash_if_changed(&self) -> Result<Option<String>> {
        let [explain, judge] = &SHIPPED_CONCEPTS;
        let shipped = Self {
            explain: parsed(explain.1, explain.0, explain)?,
            judge: parsed(judge.1, judge.0, judge)?,
        };
        if *self == shipped {
            return Ok(None);
        }
        let bytes = to_json(&[&self.explain, &self.judge])?;
        Ok(Some(store::blake3_of_bytes(&bytes)))
    }
}

impl Prompts {
    /// The project's own prompts, and the shipped ones where it has none.
    ///
    /// # Errors
    /// When a file cannot be read, or lacks a gap that the prompt needs.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut read = SHIPPED.iter().map(|shipped| template(root, shipped));
        let mut next = || {
            read.next()
                .unwrap_or_else(|| Err(EngineError::other("a prompt is missing".to_owned())))
        };
        Ok(Self {
            explain: next()?,
            explain_film: next()?,
            detect: next()?,
            fuzz: next()?,
            simulate: next()?,
        })
    }
}

fn template(root: &Path, shipped: &Shipped) -> Result<PromptTemplate> {
    let &(name, text, ..) = shipped;
    let path = root.join(FOLDER).join(format!("{name}.toml"));
    match std::fs::read_to_string(&path) {
        Ok(text) => parsed(&text, &path.display().to_string(), shipped),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            parsed(text, &format!("{name}.toml"), shipped)
        }
        Err(error) => Err(EngineError::request(format!("{}: {error}", path.display()))),
    }
}

/// A prompt, with all that it needs.
fn parsed(text: &str, from: &str, &(_, _, gaps, n_choices): &Shipped) -> Result<PromptTemplate> {
    let template: PromptTemplate = toml::from_str(text).map_err(|error| {
        let what = error.to_string();
        let place = error
            .span()
            .map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let line = place.map_or(String::new(), |line| format!(" line {line}:"));
        EngineError::request(format!(
            "{from}:{line} {}",
            what.lines().last().unwrap_or("it cannot be read").trim()
        ))
    })?;
    if let Some(gap) = gaps.iter().find(|gap| !template.has_gap(gap)) {
        return Err(EngineError::request(format!(
            "{from}: expected the gap {{{gap}}} in its question"
        )));
    }
    if template.choices.len() == 2 && template.choices[0] == template.choices[1] {
        return Err(EngineError::request(format!(
            "{from}: expected two different choices, found \"{}\" twice",
            template.choices[0]
        )));
    }
    if template.choices.len() != n_choices {
        return Err(EngineError::request(format!(
            "{from}: expected {n_choices} choices, found {}",
            template.choices.len()
        )));
    }
    Ok(template)
}

impl Session {
    /// Writes the shipped prompts into the project's folder `prompts`, to be changed there; a file
    /// that is there stays. Returns the paths and whether each was written.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_prompts(&self) -> Result<Vec<(PathBuf, bool)>> {
        let folder = self.project.root().join(FOLDER);
        let failed = |path: &Path, error: std::io::Error| {
            EngineError::other(format!("{}: {error}", path.display()))
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let mut written = Vec::new();
        for (name, text, _, _) in SHIPPED.into_iter().chain(SHIPPED_CONCEPTS) {
            let path = folder.join(format!("{name}.toml"));
            let is_new = !path.exists();
            if is_new {
                store::write_atomically(&path, text.as_bytes(), store::Durability::Process)?;
            }
            written.push((path, is_new));
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_prompts_are_whole_and_a_changed_one_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = Prompts::read(folder.path()).unwrap();
        assert_eq!(shipped.detect.choices, [" 1", " 0"]);
        let own = folder.path().join("prompts");
        std::fs::create_dir(&own).unwrap();
        let detect = own.join("detect.toml");
        let mut changed = shipped.detect.clone();
        changed.system = "Sei kurz.".to_owned();
        std::fs::write(&detect, toml::to_string(&changed).unwrap()).unwrap();
        let read = Prompts::read(folder.path()).unwrap();
        assert_eq!(read.detect, changed);
        assert_eq!(read.fuzz, shipped.fuzz);
        for (bad, said) in [
            (
                "system = \"\"\nquestion = \"{passage}\"\nlead_in = \"\"",
                "{explanation}",
            ),
            ("system = \"\"\nquestio = \"\"", "questio"),
            (
                "system = \"\"\nquestion = \"{passage} {explanation}\"\nlead_in = \"\"",
                "2 choices",
            ),
        ] {
            std::fs::write(&detect, bad).unwrap();
            let error = Prompts::read(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains("detect.toml") && error.contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn changed_prompts_of_concepts_have_a_hash_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = ConceptPrompts::read(folder.path()).unwrap();
        assert_eq!(shipped.hash_if_changed().unwrap(), None);
        let own = folder.path().join("prompts");
        std::fs::create_dir(&own).unwrap();
        let path = own.join("concept_judge.toml");
        let mut judge = shipped.judge.clone();
        judge.lead_in = "Zahl:".to_owned();
        std::fs::write(&path, toml::to_string(&judge).unwrap()).unwrap();
        let changed = ConceptPrompts::read(folder.path()).unwrap();
        assert_eq!(
            (&changed.judge, &changed.explain),
            (&judge, &shipped.explain)
        );
        assert_eq!(changed.hash_if_changed().unwrap().unwrap().len(), 64);
        std::fs::write(
            &path,
            "system = \"\"\nquestion = \"{items}\"\nlead_in = \"\"",
        )
        .unwrap();
        let error = ConceptPrompts::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("concept_judge.toml") && error.contains("{explanation}"));
    }
}
