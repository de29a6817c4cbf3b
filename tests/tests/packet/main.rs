//! A packet opened from the file system with the network off, answered by keyboard by two readers,
//! and their answers taken back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use browser::{Browser, CTRL, SHIFT};
use engine::views::{FeatureQuery, ImportRequest};
use engine::{ErrorKind, FeatureFormat, HarvestRequest, JobContext, PacketRequest, Session};
use schema::{Decision, FeatureId, ReviewMode, ReviewState, SaeConfig};
use serde_json::{Value, json};

const N_ITEMS: usize = 7;

/// A dictionary of phantom films with proposed labels.
fn project(dir: &Path) -> Session {
    let session = Session::create(&dir.join("project")).unwrap();
    let job = JobContext::silent();
    let films = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: 80,
        seed: 3,
    };
    session.import(&films, &job).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/phantom-vlm");
    session.add_model("phantom-vlm", &model, None).unwrap();
    let harvest = HarvestRequest {
        name: "films".to_owned(),
        model: "phantom-vlm".to_owned(),
        dataset: "films".to_owned(),
        hook: "vision.blocks.1.hook_resid_post".parse().unwrap(),
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&harvest, &job).unwrap();
    let config = SaeConfig {
        n_features: 64,
        k: 6,
        lr: 2e-3,
        batch_rows: 256,
        steps: 150,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    session.train_sae("films", "films", &config, &job).unwrap();
    session.build_feature_index("films", &job).unwrap();
    session.propose_keywords("films", &job).unwrap();
    session
}

/// A published explanation that would be markup, were it not kept as text.
const EVIL: &str = "</script><script>window.ran = 1</script><img src=x onerror=window.ran=1>";

/// Takes a table in that explains one feature so, and refuses two that do not fit.
fn explain(session: &Session, feature: FeatureId, dir: &Path) {
    let table = dir.join("explanations.csv");
    let import = |rows: &str, by: &str| {
        std::fs::write(&table, rows).unwrap();
        session.import_explanations("films", &table, by)
    };
    let rows = format!("feature,explanation,score\n{feature},{EVIL},0.75\n");
    let taken = import(&rows, "our group").unwrap();
    assert_eq!((taken.n_rows, taken.n_proposals), (1, 1));
    let again = import(&rows, "our group").unwrap();
    assert_eq!((again.n_rows, again.n_proposals), (1, 0));
    let refused = import("feature,explanation\n0,rib\n64,rib\n", "").unwrap_err();
    let expected = "it names feature 64, but films has only 0 to 63";
    assert!(refused.message.contains(expected), "{refused}");
    let refused = import("name,age\nrib,3\n", "").unwrap_err();
    assert!(
        refused.message.contains("expected columns such as"),
        "{refused}"
    );
}

fn request(session: &Session, file: &Path) -> PacketRequest {
    // Only features with a proposal, so that each can be accepted.
    let features = session
        .feature_ids("films", &FeatureQuery::default())
        .unwrap()
        .into_iter()
        .filter(|&id| {
            !session
                .feature_card("films", id)
                .unwrap()
                .proposal
                .is_empty()
        })
        .take(N_ITEMS)
        .collect();
    PacketRequest {
        sae: "films".to_owned(),
        file: file.to_owned(),
        features,
        limit: 0,
        reviewer: String::new(),
        seed: 1,
        write_first: false,
    }
}

/// The file that a page saved, once it is whole.
fn saved(downloads: &Path, part_of_name: &str) -> PathBuf {
    let began = Instant::now();
    loop {
        let found = std::fs::read_dir(downloads)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                name.contains(part_of_name)
                    && path.extension().is_some_and(|ending| ending == "json")
            });
        if let Some(path) = found
            && read(&path).is_some()
        {
            return path;
        }
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "nothing was saved"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

const COUNT: &str = "document.getElementById('count').textContent";
const STATUS: &str = "document.getElementById('status').textContent";
const FEATURE: &str = "document.getElementById('feature').textContent";

/// Types another name, by keyboard.
fn sign(browser: &mut Browser, name: &str) {
    browser.press("Escape");
    browser.press("n");
    browser.wait_until("document.activeElement.id", &json!("reviewer"));
    browser.write(name);
    browser.press("Enter");
}

fn counted(browser: &mut Browser, n: usize) {
    browser.wait_until(COUNT, &json!(format!("{n} of {N_ITEMS}")));
}

/// Films are drawn, heat lies on them and goes while H is held.
fn look(browser: &mut Browser) {
    let shown =
        "[...document.querySelectorAll('#evidence img')].every((film) => film.naturalWidth > 0)";
    browser.wait_until(shown, &json!(true));
    let proposal = "document.getElementById('proposal').textContent";
    assert_eq!(browser.evaluate(proposal), json!(EVIL));
    assert_eq!(browser.evaluate("window.ran === undefined"), json!(true));
    assert!(
        browser
            .evaluate("document.querySelectorAll('#evidence .film canvas').length")
            .as_u64()
            > Some(4)
    );
    let ink = "[...document.querySelectorAll('#evidence .film canvas')].every((c) => \
               c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0))";
    assert_eq!(browser.evaluate(ink), json!(true));
    let says = "[...document.querySelectorAll('#evidence .film')].every((film) => \
                film.textContent.includes('Research use, not for diagnosis'))";
    assert_eq!(browser.evaluate(says), json!(true));
    let visibility =
        "getComputedStyle(document.querySelector('#evidence .film canvas')).visibility";
    assert_eq!(browser.evaluate(visibility), json!("visible"));
    browser.down("h", 0);
    browser.wait_until(visibility, &json!("hidden"));
    browser.up("h", 0);
    browser.wait_until(visibility, &json!("visible"));
    browser.press("]");
    browser.wait_until("document.getElementById('opacity').value", &json!("0.7"));
    browser.press("[");
    browser.press("?");
    browser.wait_until("document.getElementById('sheet').open", &json!(true));
    browser.press("a");
    browser.press("Escape");
    browser.wait_until("document.getElementById('sheet').open", &json!(false));
    browser.press("ArrowRight");
    browser.press("Enter");
    browser.wait_until("document.getElementById('large').open", &json!(true));
    browser.wait_until(
        "document.querySelector('#large figure').dataset.example",
        &json!("1"),
    );
    browser.press("Escape");
    browser.wait_until("document.getElementById('large').open", &json!(false));
    counted(browser, 0);
}

/// The page has no way out, whatever is tried in it.
fn no_way_out(browser: &mut Browser) {
    browser.evaluate(
        "window.refused = [], document.addEventListener('securitypolicyviolation', \
         (event) => window.refused.push(event.effectiveDirective)), 1",
    );
    let fetched = "fetch('http://127.0.0.1:9/').then(() => 'reached', () => 'refused')";
    assert_eq!(browser.evaluate(fetched), json!("refused"));
    browser.evaluate("new Image().src = 'http://127.0.0.1:9/picture', 1");
    browser.evaluate("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' })), 1");
    browser.wait_until("window.refused.length >= 3", &json!(true));
    assert_eq!(browser.evaluate("window.ran === undefined"), json!(true));
}

/// Seven decisions, one of each kind among them, undone and done again, kept over a reload.
fn first_reader(browser: &mut Browser) {
    sign(browser, "Dr Ä");
    let first = browser.evaluate(FEATURE);
    browser.press("f");
    browser.press("7");
    browser.press("a");
    counted(browser, 1);
    assert_ne!(browser.evaluate(FEATURE), first);
    browser.press("e");
    browser.press_with("a", CTRL);
    browser.write("tube </script> \"x\"");
    browser.press("Enter");
    counted(browser, 2);
    browser.press("x");
    browser.press("u");
    browser.press("s");
    counted(browser, 5);
    browser.press_with("z", CTRL);
    browser.press_with("z", CTRL);
    counted(browser, 3);
    browser.press_with("Z", CTRL | SHIFT);
    counted(browser, 4);
    browser.press("j");
    browser.press("k");
    browser.reload();
    browser.wait_until("document.getElementById('reviewer').value", &json!("Dr Ä"));
    counted(browser, 4);
    // The feature whose decision was taken back stays open.
    browser.press("j");
    browser.press("s");
    counted(browser, 5);
    browser.press("a");
    browser.press("a");
    counted(browser, N_ITEMS);
    browser.press_with("s", CTRL);
}

/// A packet that hides the proposed label until the reader has written one.
fn write_first(browser: &mut Browser, session: &Session, request: PacketRequest, downloads: &Path) {
    let file = request.file.with_extension("first.html");
    let request = PacketRequest {
        file,
        write_first: true,
        reviewer: "Dr C".to_owned(),
        ..request
    };
    session
        .write_packet(&request, &JobContext::silent())
        .unwrap();
    browser.visit(&request.file);
    browser.wait_until("document.getElementById('reviewer').value", &json!("Dr C"));
    let proposal = "document.getElementById('proposal').textContent";
    let hidden = json!("Shown after you have written your own.");
    assert_eq!(browser.evaluate(proposal), hidden);
    browser.press("a");
    let refused = format!("{STATUS}.startsWith('Write your own label first')");
    browser.wait_until(&refused, &json!(true));
    counted(browser, 0);
    browser.press("e");
    browser.write("my words");
    browser.press("Enter");
    browser.wait_until(proposal, &json!(EVIL));
    counted(browser, 0);
    browser.press("a");
    counted(browser, 1);
    assert_eq!(browser.evaluate(proposal), hidden);
    browser.press_with("s", CTRL);
    let saved = read(&saved(downloads, "Dr-C")).unwrap();
    assert_eq!(saved["mode"], json!("write-first"));
    let answer = &saved["answers"][0];
    assert_eq!(answer["wrote_first"], json!("my words"));
    assert_eq!(
        (&answer["text"], &answer["state"]),
        (&json!(EVIL), &json!("accepted"))
    );
}

fn pictures(browser: &mut Browser) {
    let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES") else {
        return;
    };
    for size in [[1280, 800], [1920, 1080]] {
        for theme in ["dark", "light"] {
            let name = format!("packet-{theme}-{}x{}.png", size[0], size[1]);
            browser.picture(&Path::new(&folder).join(name), size, theme);
        }
    }
}

/// Neither names of samples and patients nor paths stand in the page, and it is the same each time.
fn no_identity(session: &Session, page: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    let samples = session.root().join("datasets/films/samples.jsonl");
    let samples = std::fs::read_to_string(samples).unwrap();
    let mut n = 0;
    for line in samples.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        for name in [&sample["id"], &sample["group"], &sample["image"]["path"]] {
            let name = name.as_str().unwrap();
            assert!(!name.is_empty() && !text.contains(name), "{name}");
            n += 1;
        }
    }
    assert_eq!(n, 240);
    assert!(!text.contains(&session.root().display().to_string()));
    assert!(text.contains("default-src 'none'") && !text.contains("<script>window.ran"));
    let second = page.with_extension("again.html");
    let again = request(session, &second);
    session.write_packet(&again, &JobContext::silent()).unwrap();
    assert_eq!(std::fs::read_to_string(&second).unwrap(), text);
    let none = PacketRequest {
        features: Vec::new(),
        ..again
    };
    let refused = session.write_packet(&none, &JobContext::silent());
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Request);
}

#[test]
fn two_readers_answer_one_packet_by_keyboard_with_the_network_off() {
    let Some(program) = browser::program() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let session = project(dir.path());
    let page = dir.path().join("packet.html");
    let request = request(&session, &page);
    assert_eq!(request.features.len(), N_ITEMS);
    explain(&session, request.features[0], dir.path());
    let written = session
        .write_packet(&request, &JobContext::silent())
        .unwrap();
    no_identity(&session, &page);
    let downloads = dir.path().join("saved");
    std::fs::create_dir(&downloads).unwrap();
    let mut browser = Browser::open(&program, &dir.path().join("profile"), &downloads);
    browser.visit(&page);
    counted(&mut browser, 0);
    look(&mut browser);
    pictures(&mut browser);
    // Without a name nothing is saved.
    browser.press_with("s", CTRL);
    browser.wait_until("document.activeElement.id", &json!("reviewer"));
    first_reader(&mut browser);
    let of_first = saved(&downloads, "Dr-Ä");
    // The second reader starts anew, agrees on three features and rejects the others.
    sign(&mut browser, "Dr B");
    counted(&mut browser, 0);
    for key in ["a", "x", "x", "u", "x", "a", "x"] {
        browser.press(key);
    }
    counted(&mut browser, N_ITEMS);
    browser.press_with("s", CTRL);
    let of_second = saved(&downloads, "Dr-B");
    let own = |url: &String| {
        ["file:", "data:", "blob:"]
            .iter()
            .any(|kind| url.starts_with(kind))
    };
    let foreign: Vec<&String> = browser.requests.iter().filter(|url| !own(url)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    no_way_out(&mut browser);
    write_first(&mut browser, &session, request, &downloads);
    drop(browser);
    check_answers(&of_first, &session, &written.packet);
    merge(&session, [&of_first, &of_second], dir.path());
    argilla(&session, dir.path());
    lines_and_folder(&session, dir.path());
}

/// The records of Argilla hold the proposal as a suggestion and one response per reader.
fn argilla(session: &Session, dir: &Path) {
    let kept = std::env::var_os("FLUOROSCOPE_PICTURES").map(PathBuf::from);
    let file = kept.as_deref().unwrap_or(dir).join("argilla.json");
    let n = session.export_argilla("films", &file).unwrap();
    let records = read(&file).unwrap();
    let records = records.as_array().unwrap();
    assert_eq!(records.len(), n);
    let evil = records
        .iter()
        .find(|record| record["suggestions"]["label"]["value"] == json!(EVIL))
        .unwrap();
    assert_eq!(evil["suggestions"]["label"]["score"], json!(0.75));
    assert_eq!(evil["suggestions"]["label"]["agent"], json!("our group"));
    let decided = evil["responses"]["decision"].as_array().unwrap();
    assert_eq!(decided.len(), 2);
    assert!(
        decided
            .iter()
            .all(|said| said["value"] == json!("accepted"))
    );
    assert_ne!(decided[0]["user_id"], decided[1]["user_id"]);
    assert_eq!(evil["responses"]["confidence"][0]["value"], json!(7));
    let answered = records
        .iter()
        .filter(|r| !r["responses"]["decision"].is_null());
    assert_eq!(answered.count(), N_ITEMS);
}

/// Features as lines of JSON and as rows of Neuronpedia's folders, the same ones in both.
fn lines_and_folder(session: &Session, dir: &Path) {
    let job = JobContext::silent();
    let file = dir.join("features.jsonl");
    let export = |path: &Path, format| session.export_features("films", &[], (path, format), &job);
    let done = export(&file, FeatureFormat::Jsonl).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), done.n_features);
    let ours = |line: &&Value| line["explanations"].to_string().contains("our group");
    let line = lines.iter().find(ours).unwrap();
    let score = &line["explanations"][0]["source"]["score"];
    assert_eq!(score, &json!(0.75));
    assert_eq!(line["label"], json!(EVIL));
    let folder = dir.join("neuronpedia");
    // What a killed export leaves over stops no other.
    let left_over = dir.join("neuronpedia.part");
    std::fs::create_dir_all(left_over.join("features")).unwrap();
    std::fs::write(left_over.join(".fluoroscope-unfinished"), "").unwrap();
    let same = export(&folder, FeatureFormat::Neuronpedia).unwrap();
    assert_eq!(same.n_features, done.n_features);
    let rows = |kind: &str| -> Vec<Value> {
        let file = std::fs::File::open(folder.join(kind).join("batch-0.jsonl.gz")).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let features = rows("features");
    assert_eq!(features.len(), done.n_features);
    assert_eq!(features[0]["layer"], json!("1-films"));
    assert_eq!(rows("explanations").len(), same.n_explanations);
    let activations = rows("activations");
    assert_eq!(activations.len(), same.n_examples);
    for row in &activations {
        let values = row["values"].as_array().unwrap();
        assert_eq!(row["tokens"].as_array().unwrap().len(), values.len());
        let at = row["maxValueTokenIndex"].as_u64().unwrap() as usize;
        assert_eq!(values[at], row["maxValue"]);
    }
    assert_eq!(activations[0]["tokens"][0], json!("<img 0,0>"));
    let again = export(&folder, FeatureFormat::Neuronpedia).unwrap_err();
    assert!(again.message.contains("is there already"), "{again}");
    assert!(!dir.join("neuronpedia.part").exists());
}

/// The file that the first reader saved.
fn check_answers(file: &Path, session: &Session, packet: &str) {
    let saved = read(file).unwrap();
    assert_eq!(saved["format"], json!("fluoroscope-answers"));
    assert_eq!(saved["packet"], json!(packet));
    assert_eq!(saved["sae"], json!("films"));
    assert_eq!(saved["reviewer"], json!("Dr Ä"));
    let answers = saved["answers"].as_array().unwrap();
    let states: Vec<&str> = answers
        .iter()
        .map(|a| a["state"].as_str().unwrap())
        .collect();
    let expected = [
        "accepted", "edited", "rejected", "unsure", "skipped", "accepted", "accepted",
    ];
    assert_eq!(states, expected);
    assert_eq!(answers[0]["confidence"], json!(7));
    assert_eq!(answers[0]["flagged"], json!(true));
    assert_eq!(answers[1]["text"], json!("tube </script> \"x\""));
    for answer in answers {
        assert!(answer["seconds"].as_f64().unwrap() > 0.0, "{answer}");
        assert!(answer["heatmap"].as_bool().unwrap());
    }
    assert!(answers[0]["n_examples"].as_u64().unwrap() >= 2);
    let card = session
        .feature_card(
            "films",
            serde_json::from_value(answers[0]["feature"].clone()).unwrap(),
        )
        .unwrap();
    assert_eq!(answers[0]["text"], json!(card.proposal));
}

/// All decisions on the dictionary.
fn decisions(session: &Session) -> Vec<Decision> {
    let features = session.feature_ids("films", &FeatureQuery::default());
    let of = |&id: &FeatureId| session.feature_page("films", id).unwrap().decisions;
    features.unwrap().iter().flat_map(of).collect()
}

/// Both files become decisions of their readers, once, and the readers' kappa is what it is by
/// hand.
fn merge(session: &Session, files: [&Path; 2], dir: &Path) {
    let first = session.import_decisions("films", files[0], None).unwrap();
    assert_eq!((first.n_records, first.n_new), (7, 7));
    let second = session.import_decisions("films", files[1], None).unwrap();
    assert_eq!(second.n_new, 7);
    assert!(!second.new_conflicts.is_empty());
    for file in files {
        let again = session.import_decisions("films", file, None).unwrap();
        assert_eq!((again.n_new, again.n_known), (0, 7));
    }
    let all = decisions(session);
    assert_eq!(all.len(), 14);
    let by = |reviewer: &str| -> Vec<_> {
        let mut own: Vec<_> = all.iter().filter(|d| d.reviewer == reviewer).collect();
        own.sort_by_key(|decision| decision.feature);
        own
    };
    let (a, b) = (by("Dr Ä"), by("Dr B"));
    let flagged = a.iter().find(|decision| decision.flagged).unwrap();
    assert_eq!(
        (flagged.state, flagged.confidence),
        (ReviewState::Accepted, Some(7))
    );
    let shown = flagged.shown.as_ref().unwrap();
    assert_eq!(
        (shown.mode, shown.text.as_str()),
        (ReviewMode::ProposalFirst, flagged.edited_from.as_str())
    );
    assert!(shown.milliseconds > 0 && shown.heatmap);
    // A skipped feature says nothing. Of the other six they agree on four: accepted, rejected,
    // unsure, accepted. Margins of 3, 1, 1, 1 (right, other words, wrong, cannot tell) and 2, 0, 3,
    // 1 give p_e = 10/36, so kappa is (24 - 10) / (36 - 10).
    assert!(b.iter().all(|decision| decision.shown.is_some()));
    let report = session.agreement("films").unwrap();
    assert_eq!(report.n_compared, 6);
    let kappa = report.pairs[0].verdicts.cohen_kappa.unwrap().value.unwrap();
    assert!((kappa - 7.0 / 13.0).abs() < 1e-12, "{kappa}");
    // Answers to another dictionary are refused whole.
    let mut foreign = read(files[0]).unwrap();
    foreign["sae_hash"] = json!("0".repeat(64));
    let path = dir.join("foreign.json");
    std::fs::write(&path, foreign.to_string()).unwrap();
    let refused = session.import_decisions("films", &path, None).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Request);
    assert_eq!(decisions(session).len(), 14);
}
