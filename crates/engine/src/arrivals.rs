//! What a file or folder that was dropped on the window is, and where a project for it could go.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use datasets::import::{Layout, LooksLike, looks_like};
use models::Architecture;

use crate::foreign_sae;
use crate::model_registry;
use crate::user_folders::free_folder;
use crate::views::{Arrival, ArrivalKind};

/// Bytes of a checkpoint in which names of its tensors are looked for.
const HEAD: u64 = 1 << 20;
/// Characters of a file's name that are kept.
const MOST_CHARACTERS: usize = 60;
/// Names of tensors that dictionaries have and recommenders do not.
const OF_DICTIONARIES: [&str; 5] = [
    "W_dec",
    "b_dec",
    "decoder.weight",
    "pre_bias",
    "latent_bias",
];

/// Tells what was dropped. May look into a folder for some seconds: not for a frame.
pub(crate) fn recognise(paths: &[PathBuf]) -> Arrival {
    let [path] = paths else {
        return Arrival {
            path: String::new(),
            name: String::new(),
            kind: ArrivalKind::Nothing,
            said: format!(
                "These are {} things; drop one at a time: a project, a folder of films, a table, a \
                 dictionary, a model, or a recommender's checkpoint",
                paths.len()
            ),
            folder: String::new(),
        };
    };
    let path = foreign_sae::whole_of(path);
    let (kind, said) = told(path);
    let name = path.file_stem().unwrap_or(path.as_os_str());
    let name = artefact_name(&name.to_string_lossy());
    // A table of films stands for the folder it lies in.
    let of_table = matches!(&kind, ArrivalKind::Films { table } if !table.is_empty());
    let shown = path.parent().filter(|_| of_table).unwrap_or(path);
    Arrival {
        path: shown.display().to_string(),
        folder: free_folder(&format!("{name}-project")),
        name,
        kind,
        said,
    }
}

/// A name that an artefact can have, from one of a file.
fn artefact_name(stem: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fit: String = stem
        .chars()
        .map(|c| if is_fit(c) { c } else { '-' })
        .take(MOST_CHARACTERS)
        .collect();
    let fit = fit.trim_matches('-');
    if fit.is_empty() {
        "dropped".to_owned()
    } else {
        fit.to_owned()
    }
}

fn told(path: &Path) -> (ArrivalKind, String) {
    let file = path.display();
    if !path.exists() {
        return nothing(format!("{file} is not there"));
    }
    if store::Project::is_link(path) || store::Project::is_project(path) {
        return (ArrivalKind::Project, "a project".to_owned());
    }
    if is_dictionary(path) {
        return (ArrivalKind::Dictionary, "a dictionary".to_owned());
    }
    match looks_like(path) {
        Some(LooksLike::Films { n, is_more }) => {
            let least = if is_more { "at least " } else { "" };
            let noun = if n == 1 { "film" } else { "films" };
            let table = String::new();
            (
                ArrivalKind::Films { table },
                format!("a folder of {least}{n} {noun}"),
            )
        }
        Some(LooksLike::TableOfFilms) => {
            let table = path.display().to_string();
            (ArrivalKind::Films { table }, "a table of films".to_owned())
        }
        Some(LooksLike::Reports) => (ArrivalKind::Reports, "a table of reports".to_owned()),
        Some(LooksLike::Interactions(layout)) => {
            let is_table = layout == Layout::Csv;
            let said = if is_table {
                "a table of interactions".to_owned()
            } else {
                format!("item histories of {}", layout.name())
            };
            (ArrivalKind::Interactions { is_table }, said)
        }
        Some(LooksLike::Film) => nothing(format!(
            "{file} is a single film; drop the folder it lies in to import its films"
        )),
        None => dictionaries_in(path).unwrap_or_else(|| of_model(path)),
    }
}

fn nothing(said: String) -> (ArrivalKind, String) {
    (ArrivalKind::Nothing, said)
}

/// A folder of several dictionaries, as expansion factors are published beside each other.
fn dictionaries_in(path: &Path) -> Option<(ArrivalKind, String)> {
    if !path.is_dir() {
        return None;
    }
    let n = foreign_sae::find_dictionaries(path, "auto").ok()?.len();
    let noun = if n == 1 { "dictionary" } else { "dictionaries" };
    Some((ArrivalKind::Dictionary, format!("a folder of {n} {noun}")))
}

fn of_model(path: &Path) -> (ArrivalKind, String) {
    match model_registry::recognise(path) {
        Ok(architecture) if architecture.is_recommender() => (
            ArrivalKind::Recommender,
            "a recommender's checkpoint".to_owned(),
        ),
        Ok(Architecture::Llama) => (ArrivalKind::Model, "a language model".to_owned()),
        Ok(_) => (ArrivalKind::Model, "a model".to_owned()),
        // What is laid out as a model is told what it lacks.
        Err(error) if is_like_a_model(path) => nothing(error.message),
        Err(_) => nothing(format!(
            "{} is neither a project, nor films, a table, item histories, a dictionary, a model or \
             a recommender's checkpoint",
            path.display()
        )),
    }
}

fn is_like_a_model(path: &Path) -> bool {
    path.join("config.json").is_file() || path.extension().is_some_and(|ending| ending == "gguf")
}

/// Whether it is a dictionary of another tool. Files of tensors are told by the names in their heads,
/// which both of safetensors and of `PyTorch`'s files stand there as they are.
fn is_dictionary(path: &Path) -> bool {
    if path.is_dir() {
        return foreign_sae::is_dictionary_folder(path);
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("safetensors" | "pt" | "pth" | "npz")) {
        return false;
    }
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let has = |name: &str| head.windows(name.len()).any(|at| at == name.as_bytes());
    read.is_ok() && (ending == Some("npz") || OF_DICTIONARIES.into_iter().any(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_and_where_it_could_go() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, bytes: &[u8]| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let one = |path: &Path| recognise(&[path.to_owned()]);
        let film = write("ward 3/a.png", b"");
        let ward = one(film.parent().unwrap());
        assert_eq!(ward.said, "a folder of 1 film");
        let table = String::new();
        assert_eq!(ward.kind, ArrivalKind::Films { table });
        assert_eq!(ward.name, "ward-3");
        assert_eq!(artefact_name("..Röntgen.2"), "R-ntgen-2");
        assert_eq!(artefact_name("片"), "dropped");
        assert!(Path::new(&ward.folder).is_absolute(), "{}", ward.folder);
        assert!(!Path::new(&ward.folder).exists());
        assert!(one(&film).said.contains("single film"));
        let list = write("ward 3/list.csv", b"filename,label\n");
        let listed = one(&list);
        let table = list.display().to_string();
        assert_eq!(listed.kind, ArrivalKind::Films { table });
        assert_eq!(listed.path, list.parent().unwrap().display().to_string());
        let sales = one(&write("sales.csv", b"user_id,item_id\n"));
        assert_eq!(sales.kind, ArrivalKind::Interactions { is_table: true });
        let checkpoint = one(&write("sasrec.pt", b"PK item_embedding.weight"));
        assert_eq!(checkpoint.kind, ArrivalKind::Recommender);
        let sae = one(&write("ae.pt", b"PK encoder.weight decoder.weight"));
        assert_eq!(sae.kind, ArrivalKind::Dictionary, "{}", sae.said);
        let model = one(&write("tiny.gguf", b"GGUF...."));
        assert_eq!(model.kind, ArrivalKind::Model);
        assert_eq!(model.said, "a language model");
        let broken = one(&write("broken.gguf", b"GGML...."));
        assert_eq!(broken.kind, ArrivalKind::Nothing);
        assert!(broken.said.contains("does not begin with the letters GGUF"));
        let config = write("other/config.json", br#"{"model_type": "bert"}"#);
        // As every model of Hugging Face calls its weights.
        write("other/model.safetensors", b"");
        let foreign = one(config.parent().unwrap());
        assert_eq!(foreign.kind, ArrivalKind::Nothing);
        assert!(foreign.said.contains("found \"bert\""), "{}", foreign.said);
        let other = one(&write("song.mp3", b"ID3"));
        assert_eq!(other.kind, ArrivalKind::Nothing);
        assert!(one(&root.join("gone")).said.ends_with("is not there"));
        let several = recognise(&[film, list]);
        assert!(several.said.starts_with("These are 2 things"));
        let project = root.join("project");
        crate::session::Session::create(&project).unwrap();
        assert_eq!(one(&project).kind, ArrivalKind::Project);
    }

    #[test]
    fn dictionaries_are_told_by_their_folders_and_by_a_file_of_them() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = here.join("../../tests/fixtures/maira2_sae");
        let told = recognise(std::slice::from_ref(&all));
        assert_eq!(told.kind, ArrivalKind::Dictionary);
        assert_eq!(told.said, "a folder of 3 dictionaries");
        assert_eq!(told.name, "maira2_sae");
        let one = all.join("ef1");
        let told = recognise(std::slice::from_ref(&one));
        assert_eq!(told.kind, ArrivalKind::Dictionary);
        let by_file = recognise(&[one.join("ae.pt")]);
        assert_eq!(by_file, told);
        let model = here.join("../../assets/phantom-vlm");
        assert_eq!(recognise(&[model]).kind, ArrivalKind::Model);
    }
}
