//! What is sent to another computer: nothing, until its address was allowed in this project, by
//! someone who has seen the first request.

use explain::DEIDENTIFIED;
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::explanation_source::ExplanationSource;
use crate::explanations::ExplainRequest;
use crate::jobs::{JobContext, lock};
use crate::language_model::{FirstBody, Permission, Voice, elsewhere, load_voice, noting};
use crate::session::Session;
use crate::views::{PlannedRequests, SendingConsent, SendingView};

/// Setting of a project in which allowed addresses are kept.
const SETTING: &str = "addresses";

/// What may be sent where, in an open project.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Allowed addresses, once they were read.
    allowed: Option<Vec<Allowed>>,
    /// On the command line: the hosts that were named there, and no others.
    hosts: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Allowed {
    consent: SendingConsent,
    permission: Permission,
}

/// As it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct KeptConsent {
    address: String,
    at: String,
    shown_blake3: String,
}

impl Session {
    /// Does something with the allowed addresses, which are held meanwhile: what is read, changed and
    /// written by it is so in one go.
    fn with_allowed<T>(&self, what: impl FnOnce(&mut Vec<Allowed>) -> T) -> Result<T> {
        let mut sending = lock(&self.sending);
        if sending.allowed.is_none() {
            let text = self.project.setting(SETTING)?.unwrap_or_default();
            let kept: Vec<KeptConsent> = if text.is_empty() {
                Vec::new()
            } else {
                serde_json::from_str(&text).map_err(|error| {
                    EngineError::other(format!("the project's setting {SETTING}: {error}"))
                })?
            };
            let allowed = kept.into_iter().map(|one| Allowed {
                permission: Permission::new(&one.address),
                consent: SendingConsent {
                    address: one.address,
                    at: one.at,
                    shown_blake3: one.shown_blake3,
                },
            });
            sending.allowed = Some(allowed.collect());
        }
        let found = what(sending.allowed.get_or_insert_with(Vec::new));
        drop(sending);
        Ok(found)
    }

    fn keep_allowed(&self, allowed: &[Allowed]) -> Result<()> {
        let kept: Vec<KeptConsent> = allowed
            .iter()
            .map(|one| KeptConsent {
                address: one.consent.address.clone(),
                at: one.consent.at.clone(),
                shown_blake3: one.consent.shown_blake3.clone(),
            })
            .collect();
        let text = serde_json::to_string(&kept)
            .map_err(|error| EngineError::other(format!("allowed addresses: {error}")))?;
        Ok(self.project.set_setting_durably(SETTING, &text)?)
    }

    /// Addresses of other computers that may be asked in this project, in the order they were
    /// allowed.
    ///
    /// # Errors
    /// When the project's settings cannot be read.
    pub fn sending_consents(&self) -> Result<Vec<SendingConsent>> {
        self.with_allowed(|allowed| allowed.iter().map(|one| one.consent.clone()).collect())
    }

    /// Allows the address of what was shown, in this project, from now on; keeps when and the BLAKE3
    /// of the request that was shown.
    ///
    /// # Errors
    /// When the project's settings cannot be written; nothing is allowed then.
    pub fn allow_sending(&self, shown: &SendingView) -> Result<()> {
        self.with_allowed(|allowed| {
            let mut wanted = allowed.clone();
            // A job that runs by an earlier leave is ended by taking this one back, too.
            let known = wanted
                .iter()
                .find(|one| one.consent.address == shown.address);
            let permission = known.filter(|one| one.permission.stands()).map_or_else(
                || Permission::new(&shown.address),
                |one| one.permission.clone(),
            );
            wanted.retain(|one| one.consent.address != shown.address);
            wanted.push(Allowed {
                consent: SendingConsent {
                    address: shown.address.clone(),
                    at: store::utc_now(),
                    shown_blake3: store::blake3_of_bytes(shown.body.as_bytes()),
                },
                permission,
            });
            self.keep_allowed(&wanted)?;
            *allowed = wanted;
            Ok(())
        })?
    }

    /// Takes the leave for an address back; a job that runs sends nothing more there.
    ///
    /// # Errors
    /// When the address was not allowed, or the settings cannot be written.
    pub fn revoke_sending(&self, address: &str) -> Result<()> {
        self.with_allowed(|allowed| {
            let (gone, left): (Vec<Allowed>, Vec<Allowed>) = allowed
                .iter()
                .cloned()
                .partition(|one| one.consent.address == address);
            if gone.is_empty() {
                return Err(EngineError::request(format!(
                    "{address} is not allowed in this project"
                )));
            }
            for one in &gone {
                one.permission.take_back();
            }
            self.keep_allowed(&left)?;
            *allowed = left;
            Ok(())
        })?
    }

    /// From now on other computers are asked if they are among these, each a name or number with or
    /// without port, whatever was allowed in the window.
    pub fn allow_hosts(&self, hosts: &[String]) {
        lock(&self.sending).hosts = Some(hosts.to_vec());
    }

    fn permission(&self, address: &str) -> Result<Option<Permission>> {
        let hosts = lock(&self.sending).hosts.clone();
        if let Some(hosts) = hosts {
            let named = hosts.iter().any(|host| is_host_of(host, address));
            return Ok(named.then(|| Permission::new(address)));
        }
        self.with_allowed(|allowed| {
            let mut standing = allowed.iter().filter(|one| one.permission.stands());
            let found = standing.find(|one| one.consent.address == address);
            found.map(|one| one.permission.clone())
        })
    }

    /// A language model, of another computer only with leave.
    pub(crate) fn load_allowed_voice(&self, from: &str, job: &JobContext) -> Result<Voice> {
        let permission = match elsewhere(from) {
            Some(address) => Some(
                self.permission(&address)?
                    .ok_or_else(|| Permission::missing(&address))?,
            ),
            None => None,
        };
        load_voice(from, permission.as_ref(), job)
    }

    /// The first address of another computer that a request would ask and that is not allowed.
    ///
    /// # Errors
    /// When the project's settings cannot be read.
    pub fn address_to_allow(&self, request: &ExplainRequest) -> Result<Option<String>> {
        for address in request.elsewhere() {
            if self.permission(&address)?.is_none() {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }

    /// What a request would send to an address, with the first request as it would be sent. Nothing
    /// goes there, and nothing is written.
    ///
    /// # Errors
    /// Those of [`Session::explain_features`]; when nothing would be sent there.
    pub fn preview_sending(
        &self,
        request: &ExplainRequest,
        address: &str,
        job: &JobContext,
    ) -> Result<SendingView> {
        let (first, other) = (FirstBody::default(), FirstBody::default());
        let mut load = |from: &str| match elsewhere(from) {
            Some(at) if at == address => noting(from, &first),
            Some(at) if self.permission(&at)?.is_none() => noting(from, &other),
            _ => self.load_allowed_voice(from, job),
        };
        let planned = self.plan_explanations(request, &mut load, job);
        let body = lock(&first).take();
        let (Some(body), counts) = (body, planned?) else {
            return Err(EngineError::request(format!(
                "nothing would be asked of {address}: no feature has passages to explain"
            )));
        };
        Ok(SendingView {
            address: address.to_owned(),
            body,
            planned: counts.requests(request, address),
            deidentified: DEIDENTIFIED.to_owned(),
        })
    }
}

/// How much there is to ask, of the features that were chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) features: usize,
    /// Passages tested on.
    pub(crate) tests: usize,
    /// Passages with right and wrong marks.
    pub(crate) marked: usize,
}

impl Planned {
    /// At most so many requests of each kind go to an address.
    fn requests(self, request: &ExplainRequest, address: &str) -> Vec<PlannedRequests> {
        let is_there = |source: Option<String>| source.as_deref() == Some(address);
        let explains = is_there(request.explain.elsewhere());
        let judges = is_there(
            request
                .judge
                .as_ref()
                .and_then(ExplanationSource::elsewhere),
        );
        let [detect, fuzz] = request.asks();
        let detection = if judges && detect { self.tests } else { 0 };
        let fuzzing = if judges && fuzz { self.marked } else { 0 };
        let explanations = if explains { self.features } else { 0 };
        let swapped = if request.has_baselines { detection } else { 0 };
        let controls = if request.has_controls() {
            let share = |n: usize| {
                let limit = request.baseline_limit.unwrap_or(self.features);
                (n * limit.min(self.features)).div_ceil(self.features.max(1))
            };
            2 * share(explanations + detection + fuzzing + swapped)
        } else {
            0
        };
        [
            (
                "explanations, one for each feature; more where a prompt is too long",
                explanations,
            ),
            (
                "judgements whether a passage fits; twice where a prompt is too long",
                detection,
            ),
            ("judgements whether marked words fit", fuzzing),
            ("judgements by swapped explanations", swapped),
            ("the same of two dictionaries that mean nothing", controls),
        ]
        .into_iter()
        .filter(|(_, most)| *most > 0)
        .map(|(kind, most)| PlannedRequests {
            kind: kind.to_owned(),
            most,
        })
        .collect()
    }
}

/// Whether a name or number, with or without port, is the computer of an address; the address itself
/// is, too.
fn is_host_of(host: &str, address: &str) -> bool {
    let host = host.split('#').next().unwrap_or(host).trim_end_matches('/');
    if host == address {
        return true;
    }
    let rest = address.strip_prefix("http://").unwrap_or(address);
    let place = rest.split('/').next().unwrap_or(rest);
    let name = match place.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => place,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    [place, name, bare]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> SendingView {
        SendingView {
            address: address.to_owned(),
            body: "{}".to_owned(),
            planned: Vec::new(),
            deidentified: String::new(),
        }
    }

    #[test]
    fn leave_is_kept_with_the_project_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = "http://10.0.0.7:1/v1";
        let session = Session::create(folder.path()).unwrap();
        assert!(session.permission(at).unwrap().is_none());
        session.allow_sending(&shown(at)).unwrap();
        session.allow_sending(&shown("http://b/v1")).unwrap();
        drop(session);
        let session = Session::open(folder.path()).unwrap();
        let known = session.sending_consents().unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known[0].address, at);
        assert_eq!(known[0].shown_blake3, store::blake3_of_bytes(b"{}"));
        assert!(known[0].at.ends_with('Z'), "{}", known[0].at);
        assert!(session.permission(at).unwrap().is_some());
        assert!(
            session
                .permission("http://10.0.0.7:2/v1")
                .unwrap()
                .is_none()
        );
        session.revoke_sending(at).unwrap();
        assert!(session.permission(at).unwrap().is_none());
        assert!(session.revoke_sending(at).is_err());
        drop(session);
        let session = Session::open(folder.path()).unwrap();
        assert_eq!(session.sending_consents().unwrap().len(), 1);
    }

    #[test]
    fn leaves_that_are_given_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::create(folder.path()).unwrap();
        let address = |n: usize| format!("http://10.0.0.{n}/v1");
        std::thread::scope(|scope| {
            for n in 0..24 {
                let session = &session;
                scope.spawn(move || session.allow_sending(&shown(&address(n))).unwrap());
            }
        });
        std::thread::scope(|scope| {
            for n in 0..12 {
                let session = &session;
                scope.spawn(move || session.revoke_sending(&address(n)).unwrap());
            }
        });
        drop(session);
        let session = Session::open(folder.path()).unwrap();
        let known = session.sending_consents().unwrap();
        let mut left: Vec<String> = known.into_iter().map(|one| one.address).collect();
        left.sort();
        let mut expected: Vec<String> = (12..24).map(address).collect();
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn on_the_command_line_only_named_hosts_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::create(folder.path()).unwrap();
        let at = "http://llm.example.org:8080/v1";
        session.allow_sending(&shown(at)).unwrap();
        for (hosts, may) in [
            (vec![], false),
            (vec!["example.org"], false),
            (vec!["other", "LLM.example.org"], true),
            (vec!["llm.example.org:8080"], true),
            (vec!["llm.example.org:81"], false),
            (vec!["http://llm.example.org:8080/v1"], true),
            (vec!["http://llm.example.org:8080/v2"], false),
        ] {
            let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
            session.allow_hosts(&hosts);
            assert_eq!(session.permission(at).unwrap().is_some(), may, "{hosts:?}");
        }
        assert!(is_host_of("::2", "http://[::2]:80/v1") && !is_host_of("::2", "http://[::3]/"));
    }

    #[test]
    fn requests_are_counted_by_kind() {
        let at = "http://10.0.0.7/v1";
        let model = crate::ExplanationSource::parse(&format!("{at}#m")).unwrap();
        let planned = Planned {
            features: 4,
            tests: 40,
            marked: 20,
        };
        let request = ExplainRequest {
            explain: model.clone(),
            judge: Some(model),
            baseline_limit: Some(2),
            ..ExplainRequest::new("films")
        };
        let most: Vec<usize> = planned
            .requests(&request, at)
            .iter()
            .map(|one| one.most)
            .collect();
        // Half of 4 + 40 + 40, twice.
        assert_eq!(most, [4, 40, 40, 84]);
        assert!(planned.requests(&request, "http://other/v1").is_empty());
        let propose = ExplainRequest {
            judge: None,
            ..request
        };
        assert_eq!(planned.requests(&propose, at).len(), 1);
    }
}
