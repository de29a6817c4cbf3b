//! What goes to another computer: only with permission, and only without what tells who a patient is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use explain::{Chat, ExplainError, TextModel, Writing, deidentified};

use super::Voice;
use super::server::{Address, hash_and_name, request_body};
use crate::error::{EngineError, Result};
use crate::jobs::lock;

/// Leave to send to one address, which can be taken back while a job runs.
#[derive(Debug, Clone)]
pub(crate) struct Permission {
    address: String,
    stands: Arc<AtomicBool>,
}

impl Permission {
    /// Leave to send to an address without its model, as [`Address::elsewhere`] gives it.
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stands: Arc::new(AtomicBool::new(true)),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it was not taken back.
    pub(crate) fn stands(&self) -> bool {
        self.stands.load(Ordering::Acquire)
    }

    /// From now on nothing is sent with it.
    pub(crate) fn take_back(&self) {
        self.stands.store(false, Ordering::Release);
    }

    /// Why nothing goes to an address.
    pub(crate) fn missing(address: &str) -> EngineError {
        EngineError::request(format!(
            "nothing was sent to {address}, which is another computer: expected that you allow it, \
             in the window when it asks, on the command line with --allow-address and its name or number"
        ))
    }
}

/// A model of another computer.
pub(super) struct Elsewhere<M> {
    model: M,
    permission: Permission,
}

impl<M: TextModel> Elsewhere<M> {
    pub(super) fn new(model: M, permission: Permission) -> Self {
        Self { model, permission }
    }
}

impl<M: TextModel> TextModel for Elsewhere<M> {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        if !self.permission.stands() {
            return Err(ExplainError::TextModel {
                reason: format!(
                    "leave to send to {} was taken back; nothing more was sent",
                    self.permission.address
                ),
            });
        }
        self.model.write(&without_identity(chat), how)
    }
}

/// All that is said in a chat, without what tells who someone is.
fn without_identity(chat: &Chat) -> Chat {
    Chat {
        system: deidentified(&chat.system),
        examples: chat
            .examples
            .iter()
            .map(|(question, answer)| (deidentified(question), deidentified(answer)))
            .collect(),
        user: deidentified(&chat.user),
        lead_in: deidentified(&chat.lead_in),
    }
}

/// Where the first request that would have been sent is noted.
pub(crate) type FirstBody = Arc<std::sync::Mutex<Option<String>>>;

/// Notes the first request and sends nothing.
struct Noting {
    model: String,
    first: FirstBody,
}

impl TextModel for Noting {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        let body = request_body(&self.model, &without_identity(chat), how);
        lock(&self.first).get_or_insert(body);
        Err(ExplainError::Stopped)
    }
}

/// A stand-in for a server of another computer, which notes what would be sent first and stops
/// there.
///
/// # Errors
/// For what is no address.
pub(crate) fn noting(from: &str, first: &FirstBody) -> Result<Voice> {
    let address = Address::parse(from)?;
    let (hash, name) = hash_and_name(from, address.model());
    Ok(Voice {
        name,
        hash,
        model: Box::new(Noting {
            model: address.model().to_owned(),
            first: Arc::clone(first),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Hearing(Mutex<Vec<Chat>>);

    impl TextModel for Hearing {
        fn write(&self, chat: &Chat, _: Writing) -> std::result::Result<String, ExplainError> {
            lock(&self.0).push(chat.clone());
            Ok("heard".to_owned())
        }
    }

    const HOW: Writing = Writing {
        max_tokens: 1,
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };

    #[test]
    fn nobody_is_named_and_leave_can_be_taken_back() {
        let permission = Permission::new("http://10.0.0.7/v1");
        let model = Elsewhere::new(Hearing(Mutex::default()), permission.clone());
        let chat = Chat {
            system: "Seen by Dr. Jones".to_owned(),
            examples: vec![("on 3/4/2019".to_owned(), "MRN 12".to_owned())],
            user: "MRN: 4711".to_owned(),
            lead_in: "At 10:30".to_owned(),
        };
        assert_eq!(model.write(&chat, HOW).unwrap(), "heard");
        permission.take_back();
        let told = model.write(&chat, HOW).unwrap_err().to_string();
        assert!(told.contains("taken back"), "{told}");
        let heard = lock(&model.model.0);
        assert_eq!(heard.len(), 1);
        let said = heard[0].to_string();
        for kept in ["Jones", "2019", "12", "4711", "10:30"] {
            assert!(!said.contains(kept), "{said}");
        }
    }

    #[test]
    fn what_would_be_sent_is_noted_once() {
        let first = FirstBody::default();
        let voice = noting("http://10.0.0.7/v1#little", &first).unwrap();
        for user in ["Of 3/4/2019", "later"] {
            let chat = Chat {
                user: user.to_owned(),
                ..Chat::default()
            };
            let stopped = voice.model.write(&chat, HOW);
            assert_eq!(stopped, Err(ExplainError::Stopped));
        }
        let body = lock(&first).clone().unwrap();
        assert!(
            body.contains("Of [date]") && body.contains("\"little\""),
            "{body}"
        );
    }
}
