//! Invented leave to send to other computers.

use engine::ExplainRequest;
use engine::views::{Event, PlannedRequests, SendingConsent, SendingView};

use schema::JobId;

use super::invented::Invented;
use crate::backend::{Answer, Sending};

impl Sending for Invented {
    fn sending_consents(&self) -> Answer<Vec<SendingConsent>> {
        Ok(self.state().consents.clone())
    }

    fn allow_sending(&self, shown: &SendingView) -> Answer<()> {
        self.note(format!("allow {}", shown.address));
        self.state().consents.push(SendingConsent {
            address: shown.address.clone(),
            at: "2026-11-28T07:00:00Z".to_owned(),
            shown_blake3: "0".repeat(64),
        });
        Ok(())
    }

    fn revoke_sending(&self, address: &str) -> Answer<()> {
        self.note(format!("revoke {address}"));
        self.state().consents.retain(|one| one.address != address);
        Ok(())
    }
}

impl Invented {
    pub(super) fn invented_explain(&self, request: &ExplainRequest) -> JobId {
        if !self.asks_to_send(request) {
            self.note(format!("explain {} by {:?}", request.sae, request.explain));
        }
        JobId(9)
    }

    /// A request that asks another computer waits for leave, as in the engine; `false` where it
    /// does not.
    fn asks_to_send(&self, request: &ExplainRequest) -> bool {
        let address = self.state().preferences.language_model.clone();
        let address = address.split('#').next().unwrap_or_default();
        let is_known = self
            .state()
            .consents
            .iter()
            .any(|one| one.address == address);
        if !address.starts_with("http://10.") || is_known {
            return false;
        }
        let shown = SendingView {
            address: address.to_owned(),
            body: "{\n  \"model\": \"little\",\n  \"text\": \"Seen by [name] on [date].\"\n}"
                .to_owned(),
            planned: vec![PlannedRequests {
                kind: "explanations, one for each feature".to_owned(),
                most: 20,
            }],
            deidentified: "dates, names behind Dr.".to_owned(),
        };
        self.send(Event::AsksToSend(
            Box::new(shown),
            Box::new(request.clone()),
        ));
        true
    }
}
