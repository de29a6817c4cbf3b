//! A language model behind a server that speaks `OpenAI`'s protocol, as llama.cpp, vLLM, Ollama and
//! LM Studio do.
//!
//! A server of this computer, as a number or `localhost`, is asked at once: what is sent to 127.0.0.1
//! leaves through no wire. Another computer is asked only with a [`Permission`], by what
//! `elsewhere.rs` lets through. There is no encryption here.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use explain::{Chat, ExplainError, TextModel, Writing};
use serde_json::{Value, json};

use super::Voice;
use super::elsewhere::{Elsewhere, Permission};
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: a large model on a processor is slow.
const ANSWER: Duration = Duration::from_mins(10);
/// How often it is asked whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(200);
/// Largest answer that is read.
const MAX_ANSWER: usize = 4 << 20;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A number of this computer; `None` for another computer, which is looked up when it is asked.
    own: Option<SocketAddr>,
    /// Name or number without brackets, and port.
    place: (String, u16),
    host: String,
    /// Path of the interface, without a slash at its end.
    base: String,
    /// The model that is asked for; `None` for the first of the server's list.
    model: Option<String>,
}

impl Address {
    /// Reads `http://127.0.0.1:8080/v1`, or `http://10.0.0.7:8080/v1#model` of another computer.
    ///
    /// # Errors
    /// For what is no such address, and another computer's without a model.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let expected = "expected the address of a server such as http://127.0.0.1:8080/v1";
        let refused = |what: &str| Err(EngineError::request(format!("\"{text}\": {what}")));
        if text.starts_with("https://") {
            return refused(&format!(
                "https is not spoken here, so nothing could be sent encrypted; {expected}"
            ));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return refused(&format!("{expected}; other protocols are not spoken"));
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refused(&format!(
                "it has a space or a letter beyond ASCII; {expected}"
            ));
        }
        let (rest, model) = match rest.split_once('#') {
            Some((rest, model)) => (rest, Some(model.to_owned()).filter(|name| !name.is_empty())),
            None => (rest, None),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        let Some(port) = port else {
            return refused(&format!(
                "its port is no number from 0 to 65535; {expected}"
            ));
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let ip = if bare.eq_ignore_ascii_case("localhost") {
            Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            let v6 = bare.parse::<Ipv6Addr>().map(IpAddr::V6);
            bare.parse::<Ipv4Addr>().map(IpAddr::V4).or(v6).ok()
        };
        let is_name = !bare.is_empty()
            && bare
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if ip.is_none() && !is_name || ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast())
        {
            return refused(&format!("\"{name}\" is no computer; {expected}"));
        }
        let own = ip.filter(IpAddr::is_loopback);
        if own.is_none() && model.is_none() {
            return refused(
                "this is another computer, of which nothing is asked before you agreed; expected \
                 the name of its model behind a #, as in http://10.0.0.7:8080/v1#llama-3-8b",
            );
        }
        Ok(Self {
            own: own.map(|ip| SocketAddr::new(ip, port)),
            place: (bare.to_owned(), port),
            host: host.to_owned(),
            base: path.trim_end_matches('/').to_owned(),
            model,
        })
    }

    /// The address without the model, for another computer; `None` for this one.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        (self.own.is_none()).then(|| format!("http://{}{}", self.host, self.base))
    }

    /// The model that is asked for.
    pub(super) fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_default()
    }

    fn sockets(&self) -> std::io::Result<Vec<SocketAddr>> {
        if let Some(own) = self.own {
            return Ok(vec![own]);
        }
        let (name, port) = &self.place;
        Ok((name.as_str(), *port).to_socket_addrs()?.collect())
    }

    /// A connection to the first of its sockets that answers.
    fn connection(&self) -> std::io::Result<TcpStream> {
        let none = std::io::ErrorKind::NotFound;
        let mut tried = Err(std::io::Error::new(none, "there is no such computer"));
        for socket in self.sockets()? {
            tried = TcpStream::connect_timeout(&socket, CONNECT);
            if tried.is_ok() {
                break;
            }
        }
        tried
    }

    fn failed(&self, what: &str) -> String {
        format!("http://{}{}: {what}", self.host, self.base)
    }

    /// Sends one request and reads the JSON that comes back; fails within a moment once the job is
    /// to stop.
    fn exchange(
        &self,
        (method, path): (&str, &str),
        body: Option<&str>,
        job: &JobContext,
    ) -> std::result::Result<Value, String> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                self.failed("nothing answers there; is the server running?")
            }
            _ => self.failed(&error.to_string()),
        };
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: \
             application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.base,
            self.host,
            body.len()
        );
        let mut stream = self.connection().map_err(failed)?;
        stream.set_write_timeout(Some(CONNECT)).map_err(failed)?;
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let answer = read_whole(&mut stream, job).map_err(failed)?;
        read_answer(&answer).map_err(|what| self.failed(&what))
    }
}

/// All that comes, up to the end or the most that is read.
fn read_whole(stream: &mut TcpStream, job: &JobContext) -> std::io::Result<Vec<u8>> {
    use std::io::{Error, ErrorKind};
    stream.set_read_timeout(Some(LOOK))?;
    let began = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    while answer.len() < MAX_ANSWER {
        if job.is_stopping() {
            return Err(Error::other("stopped while it was asked"));
        }
        if began.elapsed() > ANSWER {
            return Err(Error::new(
                ErrorKind::TimedOut,
                format!("no answer within {} minutes", ANSWER.as_secs() / 60),
            ));
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            // Windows says that it timed out, others that they would have to wait.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    answer.truncate(MAX_ANSWER);
    Ok(answer)
}

/// The JSON in an HTTP/1.1 answer.
fn read_answer(answer: &[u8]) -> std::result::Result<Value, String> {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("the answer has no end of its head, as HTTP has")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let code: u32 = status
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("expected an HTTP answer, got \"{}\"", short(status)))?;
    let is_chunked = lines.any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    let body = &answer[end + 4..];
    let body = if is_chunked {
        joined(body).ok_or("a part of the answer is missing")?
    } else {
        body.to_vec()
    };
    if !(200..300).contains(&code) {
        let said = String::from_utf8_lossy(&body);
        return Err(format!("the server answers {code}: {}", short(&said)));
    }
    serde_json::from_slice(&body).map_err(|error| format!("the answer is no JSON: {error}"))
}

/// The parts of a chunked body, one behind the other.
fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(line + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size.checked_add(2)?..)?;
    }
}

fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(200).collect()
}

/// A server may tell its model's path: only the last part of it is shown.
fn short_name(model: &str) -> String {
    let last = model
        .rsplit(['/', '\\'])
        .find(|part| !part.trim().is_empty());
    let name = last.unwrap_or("model").trim();
    let name = name.strip_suffix(".gguf").unwrap_or(name);
    name.chars().take(60).collect()
}

struct ServerModel {
    address: Address,
    model: String,
    job: JobContext,
}

/// The server of an address; of this computer's it is asked which model it has, if none is named.
///
/// # Errors
/// For another computer without permission, when the server does not answer as `OpenAI`'s does, and
/// when the job is to stop.
pub(super) fn connect(
    from: &str,
    permission: Option<&Permission>,
    job: &JobContext,
) -> Result<Voice> {
    let address = Address::parse(from)?;
    let elsewhere = address.elsewhere();
    let allowed = elsewhere.map(|at| {
        let given = permission.filter(|permission| permission.address() == at);
        given.cloned().ok_or_else(|| Permission::missing(&at))
    });
    let allowed = allowed.transpose()?;
    let model = if let Some(model) = &address.model {
        model.clone()
    } else {
        let models = address
            .exchange(("GET", "/models"), None, job)
            .map_err(|reason| {
                if job.is_stopping() {
                    EngineError::cancelled()
                } else {
                    EngineError::request(reason)
                }
            })?;
        let first = models["data"][0]["id"].as_str();
        first.map(str::to_owned).ok_or_else(|| {
            EngineError::request(address.failed("expected a list of models, found none in it"))
        })?
    };
    let (hash, name) = hash_and_name(from, &model);
    let model = ServerModel {
        address,
        model,
        job: job.clone(),
    };
    Ok(Voice {
        hash,
        name,
        model: match allowed {
            Some(permission) => Box::new(Elsewhere::new(model, permission)),
            None => Box::new(model),
        },
    })
}

/// What stands for a server's model, whose weights are not seen, and what it is called.
pub(super) fn hash_and_name(from: &str, model: &str) -> (String, String) {
    let from = from.split('#').next().unwrap_or(from);
    let hash = store::blake3_of_bytes(format!("{from}\n{model}").as_bytes());
    (hash, short_name(model))
}

/// The body of a request, as it is sent.
pub(super) fn request_body(model: &str, chat: &Chat, how: Writing) -> String {
    let message = |role: &str, text: &str| json!({ "role": role, "content": text });
    let mut messages = vec![message("system", &chat.system)];
    for (question, answer) in &chat.examples {
        messages.push(message("user", question));
        messages.push(message("assistant", answer));
    }
    // Servers differ in whether they write on from a begun answer, so it is asked for in words.
    let asked = format!("{}\n\nBegin your answer with: {}", chat.user, chat.lead_in);
    messages.push(message(
        "user",
        if chat.lead_in.is_empty() {
            &chat.user
        } else {
            &asked
        },
    ));
    let body = json!({
        "model": model,
        "messages": messages,
        // The lead-in comes back as part of the answer.
        "max_tokens": how.max_tokens + chat.lead_in.len() / 2,
        "temperature": how.temperature,
        "top_p": how.top_p,
        "seed": how.seed,
        "stream": false,
    });
    format!("{body:#}")
}

/// What a server says of a prompt that it cannot hold, as llama.cpp, vLLM and `OpenAI` word it.
fn is_too_long(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("the server answers 4")
        && [
            "context length",
            "context size",
            "context_length",
            "context window",
        ]
        .iter()
        .any(|words| said.contains(words))
}

impl TextModel for ServerModel {
    fn write(&self, chat: &Chat, how: Writing) -> std::result::Result<String, ExplainError> {
        let body = request_body(&self.model, chat, how);
        let answer = self
            .address
            .exchange(("POST", "/chat/completions"), Some(&body), &self.job)
            .map_err(|reason| {
                if self.job.is_stopping() {
                    ExplainError::Stopped
                } else if is_too_long(&reason) {
                    ExplainError::PromptTooLong { reason }
                } else {
                    ExplainError::TextModel { reason }
                }
            })?;
        let text = answer["choices"][0]["message"]["content"]
            .as_str()
            .ok_or_else(|| ExplainError::TextModel {
                reason: self
                    .address
                    .failed("expected choices[0].message.content in the answer"),
            })?;
        // What a model that thinks aloud writes before its answer.
        let text = text.rsplit("</think>").next().unwrap_or(text).trim_start();
        Ok(text
            .strip_prefix(chat.lead_in.trim())
            .unwrap_or(text)
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::jobs::{Observer, Progress};

    struct Nobody;

    impl Observer for Nobody {
        fn progress(&self, _: Progress) {}
        fn warning(&self, _: String) {}
    }

    #[test]
    fn another_computer_needs_a_model_and_is_told_from_this_one() {
        for good in [
            "http://127.0.0.1:8080/v1",
            "http://localhost:1/v1/",
            "http://[::1]:11434/v1",
            "http://127.0.0.1",
        ] {
            assert_eq!(Address::parse(good).unwrap().elsewhere(), None, "{good}");
        }
        for other in [
            "http://192.168.0.7:8080/v1",
            "http://127.0.0.1.example.org/v1",
            "http://localhost.example.org/v1",
            "http://[::ffff:127.0.0.1]:80/v1",
        ] {
            let named = Address::parse(&format!("{other}/#m")).unwrap();
            assert_eq!(named.elsewhere().as_deref(), Some(other));
            let told = Address::parse(other).unwrap_err().message;
            assert!(told.contains("behind a #"), "{told}");
            let told = connect(&format!("{other}#m"), None, &JobContext::silent())
                .err()
                .unwrap();
            assert!(told.message.contains("nothing was sent"), "{told}");
        }
        for bad in [
            "https://127.0.0.1:8080/v1",
            "https://example.org/v1#m",
            "http://user@127.0.0.1:80/v1",
            "http://10.0.0.1/v1\r\nX: y#m",
            "http://127.0.0.1:99999/v1",
            "http://0.0.0.0:80/v1#m",
            "ftp://localhost/",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_no_name() {
        assert_eq!(short_name("/home/someone/models/llama.gguf"), "llama");
        assert_eq!(short_name("C:\\models\\qwen.gguf"), "qwen");
        assert_eq!(short_name("org/little-llama"), "little-llama");
        assert_eq!(short_name(&"x".repeat(300)).len(), 60);
    }

    #[test]
    fn answers_are_read_whole_or_in_parts() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 12}";
        assert_eq!(read_answer(whole).unwrap()["a"], 12);
        let parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n6;x\r\n: 12} \r\n0\r\n\r\n";
        assert_eq!(read_answer(parts).unwrap()["a"], 12);
        let refused = b"HTTP/1.1 503 Busy\r\n\r\nloading\nmodel";
        assert_eq!(
            read_answer(refused).unwrap_err(),
            "the server answers 503: loading model"
        );
        for broken in [
            &b"hello"[..],
            b"\r\n\r\n",
            &parts[..60],
            b"HTTP/1.1 200 OK\r\n\r\n<p>",
        ] {
            assert!(read_answer(broken).is_err());
        }
    }

    /// Answers each request in turn, and gives back what was asked.
    fn serve(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let thread = thread::Builder::new();
        let handle = thread.spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let n = stream.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&request);
                    let length = text
                        .lines()
                        .find_map(|line| line.strip_prefix("Content-Length: "))
                        .and_then(|length| length.parse::<usize>().ok());
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if n == 0 || body.is_some_and(|got| Some(got) >= length) {
                        break;
                    }
                }
                asked.push(String::from_utf8(request).unwrap());
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (address, handle.unwrap())
    }

    /// Reaches 127.0.0.1 only.
    #[test]
    fn loopback_a_server_that_does_not_answer_is_left_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1#slow", listener.local_addr().unwrap());
        let cancel = Arc::new(AtomicBool::new(false));
        let job = JobContext::new(Arc::clone(&cancel), Arc::new(Nobody));
        let voice = connect(&address, None, &job).unwrap();
        let stopper = thread::Builder::new()
            .spawn(move || {
                // Accepts and says nothing.
                let stream = listener.accept().unwrap();
                thread::sleep(Duration::from_millis(100));
                cancel.store(true, Ordering::Relaxed);
                (stream, listener)
            })
            .unwrap();
        let how = Writing {
            max_tokens: 1,
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
        };
        let began = Instant::now();
        let stopped = voice.model.write(&Chat::default(), how);
        assert_eq!(stopped, Err(ExplainError::Stopped));
        assert!(began.elapsed() < Duration::from_secs(30));
        // The connection stays open until here.
        drop(stopper.join().unwrap());
    }

    /// Reaches 127.0.0.1 only.
    #[test]
    fn loopback_a_server_is_asked_as_openai_is() {
        let (address, server) = serve(vec![
            r#"{"object": "list", "data": [{"id": "little-llama"}]}"#,
            r#"{"choices": [{"message": {"role": "assistant", "content":
                "<think>hm</think>\nThe words are about chest tubes."}}]}"#,
            r#"{"error": "none"}"#,
        ]);
        let voice = connect(&address, None, &JobContext::silent()).unwrap();
        assert_eq!(voice.name, "little-llama");
        let chat = Chat {
            system: "Be brief.".to_owned(),
            examples: vec![("Q".to_owned(), "A".to_owned())],
            user: "What?".to_owned(),
            lead_in: "The words are about".to_owned(),
        };
        let how = Writing {
            max_tokens: 16,
            temperature: 0.5,
            top_p: 0.9,
            seed: 3,
        };
        assert_eq!(voice.model.write(&chat, how).unwrap(), " chest tubes.");
        assert_eq!(voice.model.choose(&chat, &["1"]).unwrap(), None);
        let odd = voice.model.write(&chat, how).unwrap_err();
        assert!(odd.to_string().contains("choices[0]"), "{odd}");
        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("GET /v1/models HTTP/1.1\r\n"));
        assert!(asked[1].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
        let body = asked[1].split_once("\r\n\r\n").unwrap().1;
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["model"], "little-llama");
        assert_eq!(body["messages"][1]["content"], "Q");
        assert_eq!(body["messages"].as_array().unwrap().len(), 4);
        assert_eq!(body["seed"], 3);
    }
}
