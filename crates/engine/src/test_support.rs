//! What tests of several jobs share.

#[path = "../../../tests/support/folders.rs"]
mod folders;

use explain::TextModel;

pub(crate) use self::folders::copy_folder;

use crate::language_model::Voice;

/// A language model that a test answers for.
pub(crate) fn scripted_voice(model: impl TextModel + 'static) -> Voice {
    Voice {
        name: "Scripted".to_owned(),
        hash: "0123".to_owned(),
        model: Box::new(model),
    }
}
