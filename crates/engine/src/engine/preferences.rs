//! The door's part for what a user chooses for this computer, and for explaining with the language
//! model chosen there.

use std::sync::Arc;

use schema::JobId;

use crate::device::{DeviceChoice, set_device};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::explanation_source::ExplanationSource;
use crate::explanations::ExplainRequest;
use crate::jobs::lock;
use crate::settings::Settings;
use crate::threads::set_threads;
use crate::views::{
    Event, FILM_MEGABYTES, Preferences, PreferredDevice, SendingConsent, SendingView,
};

/// Chooses threads and device for the process: what is asked for here, else what the user chose in
/// the settings. Call once, before the first model is loaded.
///
/// A device of the settings that is not there any more is no error: the best that is there computes.
///
/// # Errors
/// When what is asked for here cannot be used, or something was chosen before.
pub fn choose_hardware(threads: Option<usize>, device: Option<DeviceChoice>) -> Result<()> {
    let stored = Settings::load().preferences;
    set_threads(threads.or(stored.threads.map(|threads| threads as usize)))?;
    if let Some(device) = device {
        return set_device(device);
    }
    let wanted = match stored.device {
        PreferredDevice::Auto => DeviceChoice::Auto,
        PreferredDevice::Cpu => DeviceChoice::Cpu,
        PreferredDevice::Cuda => DeviceChoice::Cuda,
        PreferredDevice::Metal => DeviceChoice::Metal,
    };
    set_device(wanted).or_else(|_not_there| set_device(DeviceChoice::Auto))
}

/// Refuses what cannot be heard.
fn check(wanted: &Preferences) -> Result<()> {
    let [least, most] = FILM_MEGABYTES;
    if !(least..=most).contains(&wanted.film_megabytes) {
        return Err(EngineError::request(format!(
            "memory for films is {} MB; expected {least} to {most}",
            wanted.film_megabytes
        )));
    }
    if wanted.threads == Some(0) {
        return Err(EngineError::request("threads is 0; expected at least 1"));
    }
    if !wanted.language_model.is_empty() {
        ExplanationSource::parse(&wanted.language_model)?;
    }
    Ok(())
}

impl Engine {
    /// What the user chose for this computer.
    pub fn preferences(&self) -> Preferences {
        lock(&self.shared.settings).preferences.clone()
    }

    /// Keeps what the user chose; memory for films is heard at once, device and threads at the next
    /// start.
    ///
    /// # Errors
    /// When a number is out of range, the language model's file is not there, or its address is none.
    /// Nothing is changed then.
    pub fn set_preferences(&self, wanted: Preferences) -> Result<()> {
        check(&wanted)?;
        self.films.keep_megabytes(wanted.film_megabytes);
        lock(&self.shared.settings).preferences = wanted;
        self.save_settings();
        Ok(())
    }

    /// Explains features of a dictionary of texts or films and tests the explanations, as a job; one
    /// that was stopped goes on where it was when the same is asked for again.
    ///
    /// A request that asks another computer, whose address was not allowed in this project, sends
    /// nothing: `Event::AsksToSend` says what it would send.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn explain(&self, request: ExplainRequest) -> Result<JobId> {
        let title = format!("Explain {}", request.sae);
        let shared = Arc::clone(&self.shared);
        self.start_in_project(&title, move |job, session| {
            if let Some(address) = session.address_to_allow(&request)? {
                let shown = session.preview_sending(&request, &address, job)?;
                shared.send(Event::AsksToSend(Box::new(shown), Box::new(request)));
                return Ok(format!("Nothing was sent: {address} waits for your leave"));
            }
            let view = session.explain_features(&request, job)?;
            Ok(told(&view))
        })
    }
}

impl Engine {
    /// Addresses of other computers that may be asked in the open project.
    ///
    /// # Errors
    /// When no project is open, or its settings cannot be read.
    pub fn sending_consents(&self) -> Result<Vec<SendingConsent>> {
        self.shared.session()?.sending_consents()
    }

    /// Allows the address of what was shown, in the open project, until that is taken back.
    ///
    /// # Errors
    /// When no project is open, or its settings cannot be written.
    pub fn allow_sending(&self, shown: &SendingView) -> Result<()> {
        self.shared.session()?.allow_sending(shown)
    }

    /// Takes the leave for an address back.
    ///
    /// # Errors
    /// When no project is open, the address was not allowed, or the settings cannot be written.
    pub fn revoke_sending(&self, address: &str) -> Result<()> {
        self.shared.session()?.revoke_sending(address)
    }
}

/// What a run of explanations came to, in one sentence.
fn told(view: &crate::views::ExplanationsView) -> String {
    let totals = &view.totals;
    let sae = &view.sae;
    let n = totals.n_explained;
    let scored = totals.detection.map(|detection| {
        let mean = detection.value;
        format!("; detection {mean:.2}, where guessing gives 0.50")
    });
    format!(
        "Explained {n} of {} features of {sae}{}",
        totals.n_chosen,
        scored.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_heard_is_refused() {
        let fine = Preferences::default();
        assert!(check(&fine).is_ok());
        for (wanted, told) in [
            (
                Preferences {
                    film_megabytes: 1,
                    ..fine.clone()
                },
                "expected 64 to 8192",
            ),
            (
                Preferences {
                    threads: Some(0),
                    ..fine.clone()
                },
                "at least 1",
            ),
            (
                Preferences {
                    language_model: "https://example.org/v1".to_owned(),
                    ..fine.clone()
                },
                "https is not spoken",
            ),
            (
                Preferences {
                    language_model: "/nowhere/model.gguf".to_owned(),
                    ..fine
                },
                "/nowhere/model.gguf",
            ),
        ] {
            let error = check(&wanted).unwrap_err();
            assert!(error.message.contains(told), "{}", error.message);
        }
    }
}
