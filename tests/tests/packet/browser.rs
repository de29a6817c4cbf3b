//! Chromium without a window, driven over a pipe: no socket is opened for it. By itself it opens
//! datagram sockets to read the interfaces of the network; it connects and sends to nothing, which
//! `scripts/check_no_sockets.sh` shows.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest that the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(90);
/// Names that the program has on the systems at hand.
const NAMES: [&str; 5] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "headless_shell",
];

/// A page in a browser.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    next: u64,
    /// Addresses that the page asked for.
    pub(crate) requests: Vec<String>,
    n_loads: usize,
}

/// Keys held down.
pub(crate) const CTRL: u32 = 2;
pub(crate) const SHIFT: u32 = 8;

/// The browser's program; `None` with a word on it where there is none, unless one is required.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn program() -> Option<String> {
    let named = std::env::var("FLUOROSCOPE_CHROMIUM").ok();
    let runs = |name: &String| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let found = named
        .into_iter()
        .chain(NAMES.iter().map(|&name| name.to_owned()))
        .find(runs);
    if found.is_none() {
        let required = std::env::var("FLUOROSCOPE_REQUIRE_CHROMIUM").is_ok_and(|v| v == "1");
        assert!(!required, "none of {NAMES:?} runs here");
        eprintln!("skipped: there is no Chromium here; FLUOROSCOPE_CHROMIUM can name one");
    }
    found
}

impl Browser {
    /// Opens an empty page; files that the page saves go to `downloads`.
    pub(crate) fn open(program: &str, profile: &Path, downloads: &Path) -> Self {
        // The protocol's pipe is on the file descriptors 3 and 4, which a shell can give.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--window-size=1280,800",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::Builder::new()
            .name("browser".to_owned())
            .spawn(move || {
                let mut bytes = Vec::new();
                while output.read_until(0, &mut bytes).is_ok_and(|n| n > 0) {
                    bytes.pop();
                    let message = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                    bytes.clear();
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            })
            .unwrap();
        let mut browser = Self {
            child,
            input,
            messages,
            session: String::new(),
            next: 0,
            requests: Vec::new(),
            n_loads: 0,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = browser.call(
            "Target.attachToTarget",
            &json!({ "targetId": target["targetId"], "flatten": true }),
        );
        let downloads = json!({
            "behavior": "allow", "downloadPath": downloads, "eventsEnabled": true,
        });
        browser.call("Browser.setDownloadBehavior", &downloads);
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        browser.call("Page.enable", &json!({}));
        browser.call("Network.enable", &json!({}));
        let offline = json!({
            "offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0,
        });
        browser.call("Network.emulateNetworkConditions", &offline);
        browser
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.input
            .write_all(format!("{command}\0").as_bytes())
            .unwrap();
        self.input.flush().unwrap();
        loop {
            let message = self.receive();
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let message = self.messages.recv_timeout(PATIENCE).unwrap();
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = message["params"]["request"]["url"].as_str().unwrap();
                self.requests.push(url.to_owned());
            }
            Some("Page.loadEventFired") => self.n_loads += 1,
            _ => {}
        }
        message
    }

    fn wait_for_load(&mut self, n_before: usize) {
        while self.n_loads == n_before {
            self.receive();
        }
    }

    /// Opens a file.
    pub(crate) fn visit(&mut self, file: &Path) {
        let n = self.n_loads;
        let url = format!("file://{}", file.display());
        let answer = self.call("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{answer}");
        self.wait_for_load(n);
    }

    /// Opens the same page again.
    pub(crate) fn reload(&mut self) {
        let n = self.n_loads;
        self.call("Page.reload", &json!({}));
        self.wait_for_load(n);
    }

    /// What an expression is in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression has a value.
    pub(crate) fn wait_until(&mut self, expression: &str, value: &Value) {
        let began = Instant::now();
        loop {
            let got = self.evaluate(expression);
            if got == *value {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{expression}: {got}, expected {value}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A key goes down, as from a keyboard.
    pub(crate) fn down(&mut self, key: &str, modifiers: u32) {
        let mut event = key_event(key, modifiers);
        event["type"] = json!(if event["text"].is_null() {
            "rawKeyDown"
        } else {
            "keyDown"
        });
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// And up again.
    pub(crate) fn up(&mut self, key: &str, modifiers: u32) {
        let mut event = key_event(key, modifiers);
        event["type"] = json!("keyUp");
        event["text"] = Value::Null;
        if let Some(event) = event.as_object_mut() {
            event.retain(|_, value| !value.is_null());
        }
        self.call("Input.dispatchKeyEvent", &event);
    }

    pub(crate) fn press_with(&mut self, key: &str, modifiers: u32) {
        self.down(key, modifiers);
        self.up(key, modifiers);
    }

    pub(crate) fn press(&mut self, key: &str) {
        self.press_with(key, 0);
    }

    /// Types a text key by key.
    pub(crate) fn write(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(&letter.to_string());
        }
    }

    /// Saves a picture of the page in a window of this size and theme.
    pub(crate) fn picture(&mut self, file: &Path, [width, height]: [u32; 2], theme: &str) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", &media);
        self.evaluate("new Promise((drawn) => setTimeout(drawn, 300))");
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        std::fs::write(file, bytes_of(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A key by its name (`Enter`, `ArrowLeft`) or the letter it writes.
fn key_event(key: &str, modifiers: u32) -> Value {
    let named = |code: u32| json!({ "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers });
    match key {
        "Enter" => {
            let mut event = named(13);
            event["text"] = json!("\r");
            event
        }
        "Escape" => named(27),
        "ArrowLeft" => named(37),
        "ArrowRight" => named(39),
        "ArrowDown" => named(40),
        letter => {
            let code = letter.to_uppercase().bytes().next().unwrap_or(0);
            let mut event = json!({
                "key": letter, "windowsVirtualKeyCode": code, "modifiers": modifiers,
            });
            if modifiers & CTRL == 0 {
                event["text"] = json!(letter);
            } else if letter == "a" {
                event["commands"] = json!(["selectAll"]);
            }
            event
        }
    }
}

/// RFC 4648, as the protocol has pictures.
fn bytes_of(base64: &str) -> Vec<u8> {
    let digits = base64.bytes().filter_map(|letter| match letter {
        b'A'..=b'Z' => Some(u32::from(letter - b'A')),
        b'a'..=b'z' => Some(u32::from(letter - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(letter - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let (mut bytes, mut held, mut n_bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        held = (held << 6) | digit;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((held >> n_bits) as u8);
            held &= (1 << n_bits) - 1;
        }
    }
    bytes
}
