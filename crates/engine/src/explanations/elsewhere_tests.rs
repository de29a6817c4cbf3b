//! Explanations by a server of another computer: what is shown before, what goes there, and what does
//! not; and prompts that a server cannot hold. `127.1` is 127.0.0.1 to the system, and another
//! computer to the program, since it is no number as this program reads them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use super::ExplainRequest;
use super::tests::{FILMS, project};
use crate::explanation_source::ExplanationSource;
use crate::jobs::{JobContext, lock};
use crate::session::Session;

/// A server and the bodies it was sent.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

/// Answers every request for as long as the test runs; prompts of more than `most` bytes are refused
/// in the words of llama.cpp.
fn serve(most: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let answer_all = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "))
                    .and_then(|length| length.parse::<usize>().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let Some(body) = body.filter(|body| n == 0 || Some(body.len()) >= length) {
                    break body;
                }
            };
            let said = if body.contains("Description: ") {
                "1"
            } else {
                "left effusion"
            };
            let answer = if body.len() > most {
                "HTTP/1.1 400 Bad Request\r\n\r\nthe request exceeds the available context size"
                    .to_owned()
            } else {
                format!(
                    "HTTP/1.1 200 OK\r\n\r\n{{\"choices\": [{{\"message\": {{\"content\": \
                     \"{said}\"}}}}]}}"
                )
            };
            stream.write_all(answer.as_bytes()).unwrap();
            lock(&kept).push(body);
        }
    };
    thread::Builder::new().spawn(answer_all).unwrap();
    Server { port, heard }
}

/// Every report names a doctor and a day.
fn name_someone(folder: &Path) {
    let path = folder.join("datasets/phantoms/samples.jsonl");
    let mut changed = String::new();
    for line in fs::read_to_string(&path).unwrap().lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        let findings = record["report"]["findings"].as_str().unwrap().to_owned();
        let said = format!("Seen by Dr. Jones on 03/04/2019. {findings}");
        record["report"]["findings"] = said.into();
        changed += &record.to_string();
        changed.push('\n');
    }
    fs::write(path, changed).unwrap();
}

fn request(address: &str) -> ExplainRequest {
    let model = ExplanationSource::parse(&format!("{address}#little")).unwrap();
    ExplainRequest {
        explain: model.clone(),
        judge: Some(model),
        limit: Some(3),
        most: 3,
        n_construction: 4,
        has_baselines: false,
        ..ExplainRequest::new(FILMS)
    }
}

/// Reaches 127.0.0.1 only.
#[test]
fn loopback_another_computer_hears_what_was_shown_and_nobodys_name() {
    let server = serve(usize::MAX);
    let heard = || lock(&server.heard).clone();
    let address = format!("http://127.1:{}/v1", server.port);
    let folder = project();
    name_someone(folder.path());
    let session = Session::open(folder.path()).unwrap();
    let job = JobContext::silent();
    let request = request(&address);

    let refused = session.explain_features(&request, &job).unwrap_err();
    assert!(refused.message.contains("nothing was sent"), "{refused}");
    assert_eq!(
        session.address_to_allow(&request).unwrap().as_ref(),
        Some(&address)
    );
    let shown = session.preview_sending(&request, &address, &job).unwrap();
    assert!(shown.body.contains("[name] on [date]"), "{}", shown.body);
    assert!(heard().is_empty());
    assert!(session.explanation_runs().unwrap().is_empty());
    assert!(session.preview_sending(&request, "http://b", &job).is_err());

    session.allow_sending(&shown).unwrap();
    assert_eq!(session.address_to_allow(&request).unwrap(), None);
    let view = session.explain_features(&request, &job).unwrap();
    let sent = heard();
    assert_eq!(sent[0], shown.body);
    let most: usize = shown.planned.iter().map(|one| one.most).sum();
    assert!(sent.len() > 3 && sent.len() <= most, "{most}");
    for body in &sent {
        assert!(!body.contains("Jones") && !body.contains("2019"), "{body}");
    }
    assert_eq!(view.totals.n_explained, 3);
    assert!(view.settings.is_deidentified);
    let note = view
        .notes
        .iter()
        .find(|note| note.contains("another computer"));
    assert!(note.is_some(), "{:?}", view.notes);

    session.revoke_sending(&address).unwrap();
    let again = ExplainRequest { seed: 1, ..request };
    let refused = session.explain_features(&again, &job).unwrap_err();
    assert!(refused.message.contains("nothing was sent"), "{refused}");
    assert_eq!(heard().len(), sent.len());

    // The command line names the computer each time.
    session.allow_hosts(&["127.1".to_owned()]);
    session.explain_features(&again, &job).unwrap();
    assert!(heard().len() > sent.len());
}

/// Reaches 127.0.0.1 only.
#[test]
fn loopback_a_prompt_that_is_too_long_is_shortened_and_ends_no_run() {
    let longest = |most: usize, seed: u64| {
        let server = serve(most);
        let folder = project();
        let session = Session::open(folder.path()).unwrap();
        let request = ExplainRequest {
            judge: None,
            seed,
            ..request(&format!("http://127.0.0.1:{}/v1", server.port))
        };
        let view = session
            .explain_features(&request, &JobContext::silent())
            .unwrap();
        let longest = lock(&server.heard).iter().map(String::len).max().unwrap();
        (view, longest)
    };
    let (whole, length) = longest(usize::MAX, 0);
    assert!(whole.features.iter().all(|one| one.n_left_out == 0));
    let (shorter, _) = longest(length - 1, 0);
    assert_eq!(shorter.totals.n_explained, 3);
    assert!(shorter.features.iter().any(|one| one.n_left_out > 0));
    let note = |part: &str, notes: &[String]| notes.iter().any(|note| note.contains(part));
    assert!(note("left out of the prompts", &shorter.notes));
    let (none, _) = longest(10, 0);
    assert_eq!(none.totals.n_explained, 0);
    assert!(note(
        "3 of 3 features are not explained: prompt too long",
        &none.notes
    ));
    assert_eq!(none.features[0].not_explained, "prompt too long");
    assert!(none.features[0].explanation.is_empty());
}
