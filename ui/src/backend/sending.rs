//! The door's part for what may go to other computers.

use engine::Engine;
use engine::views::{SendingConsent, SendingView};

use super::{Answer, sentence};

/// What the window may ask of sending to other computers; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Sending {
    fn sending_consents(&self) -> Answer<Vec<SendingConsent>>;
    fn allow_sending(&self, shown: &SendingView) -> Answer<()>;
    fn revoke_sending(&self, address: &str) -> Answer<()>;
}

impl Sending for Engine {
    fn sending_consents(&self) -> Answer<Vec<SendingConsent>> {
        Self::sending_consents(self).map_err(sentence)
    }

    fn allow_sending(&self, shown: &SendingView) -> Answer<()> {
        Self::allow_sending(self, shown).map_err(sentence)
    }

    fn revoke_sending(&self, address: &str) -> Answer<()> {
        Self::revoke_sending(self, address).map_err(sentence)
    }
}
