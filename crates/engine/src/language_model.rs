//! Language models that explain and judge: a GGUF file run here, or a server; and the answers that are
//! kept of them.

mod answers;
mod elsewhere;
mod local_model;
mod server;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use explain::TextModel;

pub(crate) use self::answers::{AnswerBook, Remembering};
pub(crate) use self::elsewhere::{FirstBody, Permission, noting};

use crate::error::Result;
use crate::jobs::JobContext;
use crate::named_files::check_input;

/// A language model that was loaded.
pub(crate) struct Voice {
    /// Its name.
    pub(crate) name: String,
    /// BLAKE3 of its file, or of address and name of a server's model.
    pub(crate) hash: String,
    /// The model.
    pub(crate) model: Box<dyn TextModel>,
}

/// Language models by the path or address they were asked for.
pub(crate) type Voices = BTreeMap<String, Voice>;

/// The path or address of a language model, if it may be asked.
///
/// # Errors
/// For what is no address, and a path without file.
pub(crate) fn model_source(text: &str) -> Result<String> {
    if text.contains("://") {
        server::Address::parse(text)?;
        return Ok(text.to_owned());
    }
    check_input(
        Path::new(text),
        "keywords, the path of a GGUF file, or the address of a server such as \
         http://127.0.0.1:8080/v1",
    )?;
    Ok(text.to_owned())
}

/// The address without the model, of another computer; `None` for a file and for this computer.
pub(crate) fn elsewhere(from: &str) -> Option<String> {
    if !from.contains("://") {
        return None;
    }
    server::Address::parse(from).ok()?.elsewhere()
}

/// Loads the model of a GGUF file, or asks a server which model it has.
///
/// # Errors
/// When the file cannot be read, the model knows no chats, the server does not answer, or it is of
/// another computer and there is no permission for it.
pub(crate) fn load_voice(
    from: &str,
    permission: Option<&Permission>,
    job: &JobContext,
) -> Result<Voice> {
    if from.contains("://") {
        return server::connect(from, permission, job);
    }
    local_model::load(Path::new(from), job)
}

/// Loads the models of these paths and addresses, each once.
///
/// # Errors
/// Those of `load`.
pub(crate) fn load_voices(
    models: impl Iterator<Item = String>,
    load: &mut dyn FnMut(&str) -> Result<Voice>,
) -> Result<Voices> {
    let mut voices = Voices::new();
    for from in models {
        if let Entry::Vacant(free) = voices.entry(from) {
            let voice = load(free.key())?;
            free.insert(voice);
        }
    }
    Ok(voices)
}
