//! Review through the executable: no acknowledged decision is lost, whatever is killed; undo, redo,
//! other readers' decisions, queue and agreement.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/executable.rs"]
mod executable;
#[path = "../../tests/support/folders.rs"]
mod folders;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Output, Stdio};

use engine::Session;
use engine::views::{QueueRequest, ReviewAnswer, ReviewDraft};
use executable::{command, run};
use folders::copy_folder;
use schema::{CaseRole, FeatureId, ReviewMode, ReviewState};
use serde_json::{Value, json};

/// Runs a command in the project `p` that must succeed and returns its JSON.
fn json(dir: &Path, arguments: &[&str]) -> Value {
    let all = [arguments, &["--project", "p", "--json"]].concat();
    let output = run(dir, &all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// What the command says when it refuses.
fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, &[arguments, &["--project", "p"]].concat());
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A project with shoppers, a recommender, and a dictionary with index and proposals.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let made = run(at, &["project", "new", "p"]);
    assert!(made.status.success());
    std::fs::write(
        at.join("sae.toml"),
        "n_features = 64\nk = 4\nsteps = 300\nbatch_rows = 512\nwarmup_steps = 20\n",
    )
    .unwrap();
    for words in [
        "dataset phantom s --kind shoppers --count 600",
        "model train m --arch sasrec --dataset s --lr 0.001 --epochs 1",
        "harvest run h --model m --dataset s --hook hook_user_vector",
        "sae train d --harvest h --config sae.toml",
        "features index d",
        "explain propose d",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        json(at, &words);
    }
    dir
}

fn journal(dir: &Path) -> Vec<Value> {
    std::fs::read_to_string(dir.join("p/journal/decisions.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The scripted review: what is decided as number `i` of 2,000.
fn scripted(i: usize) -> Value {
    let feature = i % 64;
    match i % 5 {
        0 => json!({ "feature": feature, "state": "rejected", "confidence": 1 + i % 9 }),
        1 => json!({ "feature": feature, "state": "unsure", "flagged": true }),
        2 => json!({ "feature": feature, "state": "skipped" }),
        _ => json!({ "feature": feature, "state": "edited", "text": format!("label {i}"),
                     "shown": { "text": "seen", "by": "keywords", "milliseconds": i } }),
    }
}

/// Feeds the script from decision `from` on and kills the process after `n` answers. Returns the
/// answers that came, those after the signal among them.
fn review_until_killed(dir: &Path, from: usize, n: usize) -> Vec<Value> {
    let words = [
        "review",
        "decide",
        "d",
        "--reviewer",
        "Ada",
        "--project",
        "p",
    ];
    let mut child = command(dir, &words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feed = std::thread::Builder::new()
        .name("script".to_owned())
        .spawn(move || {
            for i in from..2000 {
                // The process may be gone.
                if writeln!(input, "{}", scripted(i)).is_err() {
                    break;
                }
            }
        })
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answers: Vec<Value> = Vec::new();
    let mut read = |line: std::io::Result<String>| {
        // A line without an end was never received.
        if let Ok(answer) = serde_json::from_str(&line.unwrap()) {
            answers.push(answer);
        }
    };
    lines.by_ref().take(n).for_each(&mut read);
    // SIGKILL: nothing of the process runs after it.
    child.kill().unwrap();
    lines.for_each(&mut read);
    child.wait().unwrap();
    feed.join().unwrap();
    answers
}

#[test]
fn twenty_kills_lose_no_acknowledged_decision_of_two_thousand() {
    let dir = project();
    let at = dir.path();
    let mut acknowledged: BTreeMap<u64, Value> = BTreeMap::new();
    let mut n_kills = 0;
    let mut from = 0;
    while from < 2000 {
        // 20 times somewhere on the way, then to the end.
        let n = if n_kills < 20 {
            40 + 7 * (n_kills % 9)
        } else {
            2000
        };
        for answer in review_until_killed(at, from, n.min(2000 - from)) {
            assert!(answer["refused"].is_null(), "{answer}");
            acknowledged.insert(answer["line"].as_u64().unwrap(), answer);
        }
        n_kills += 1;
        let lines = journal_after_kill(at);
        for (line, answer) in &acknowledged {
            let written = &lines[*line as usize];
            for field in ["hash", "feature", "state", "text"] {
                assert_eq!(written[field], answer[field], "line {line}");
            }
        }
        // What is durable without having been acknowledged is not given again.
        from = lines.len();
    }
    assert!(n_kills > 20, "{n_kills}");
    let lines = journal(at);
    assert_eq!(lines.len(), 2000);
    for (i, line) in lines.iter().enumerate() {
        let said = scripted(i);
        assert_eq!(line["feature"], said["feature"]);
        assert_eq!(line["state"], said["state"]);
        assert_eq!(line["shown"]["text"], said["shown"]["text"]);
    }
    assert!(
        run(at, &["project", "check", "--project", "p"])
            .status
            .success()
    );
    // The database stands where the journal does: number 1,984 + 7 was the last on feature 7.
    let page = json(at, &["features", "show", "d", "7"]);
    assert_eq!(page["card"]["state"], "unsure");
    assert_eq!(page["decisions"].as_array().unwrap().len(), 2000 / 64 + 1);
}

/// The whole lines of the journal; opening the project sets a torn one aside.
fn journal_after_kill(dir: &Path) -> Vec<Value> {
    json(dir, &["features", "show", "d", "0"]);
    journal(dir)
}

#[test]
fn undo_and_redo_work_after_restarts() {
    let dir = project();
    let at = dir.path();
    let decide = |rest: &str| {
        let words: Vec<&str> = ["review", "decide", "d"]
            .into_iter()
            .chain(rest.split(' '))
            .collect();
        json(at, &words)
    };
    let state = |feature: &str| {
        let page = json(at, &["features", "show", "d", feature]);
        let card = &page["card"];
        (
            card["state"].as_str().unwrap().to_owned(),
            card["label"].as_str().unwrap().to_owned(),
        )
    };
    decide("--reviewer Ada --feature 3 --state edited --text chocolate");
    decide("--reviewer Ada --feature 3 --state rejected");
    decide("--reviewer Grace --feature 5 --state unsure");
    let undone = decide("--reviewer Ada --undo");
    assert_eq!(
        (&undone["takes_back"], &undone["text"]),
        (&json!(1), &json!("chocolate"))
    );
    assert_eq!(state("3"), ("edited".to_owned(), "chocolate".to_owned()));
    decide("--reviewer Ada --undo");
    assert_eq!(state("3"), ("unseen".to_owned(), String::new()));
    assert_eq!(state("5").0, "unsure");
    let said = refused(
        at,
        &["review", "decide", "d", "--reviewer", "Ada", "--undo"],
    );
    assert!(said.contains("nothing to take back"), "{said}");
    decide("--reviewer Ada --redo");
    assert_eq!(state("3"), ("edited".to_owned(), "chocolate".to_owned()));
    decide("--reviewer Ada --redo");
    assert_eq!(state("3").0, "rejected");
    // A new decision ends what could be restored.
    decide("--reviewer Ada --undo");
    decide("--reviewer Ada --feature 4 --state skipped");
    refused(
        at,
        &["review", "decide", "d", "--reviewer", "Ada", "--redo"],
    );
    // Nothing was ever removed.
    assert_eq!(journal(at).len(), 9);
    assert!(
        run(at, &["project", "check", "--project", "p"])
            .status
            .success()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn another_readers_decisions_come_in_once_and_conflict_until_settled() {
    let dir = project();
    let at = dir.path();
    // Two copies of one project, one reader each.
    copy_folder(&at.join("p"), &at.join("q"));
    for (feature, state, text) in [
        (1, "edited", "tea"),
        (2, "edited", "Coffee"),
        (3, "rejected", ""),
    ] {
        let number = feature.to_string();
        let words = [
            "review",
            "decide",
            "d",
            "--feature",
            &number,
            "--state",
            state,
        ];
        let text: &[&str] = if text.is_empty() {
            &[]
        } else {
            &["--text", text]
        };
        json(at, &[&words[..], text, &["--reviewer", "Ada"]].concat());
    }
    let grace = "{\"feature\": 1, \"state\": \"edited\", \"text\": \"cocoa\"}\n\
                 {\"feature\": 2, \"state\": \"edited\", \"text\": \"coffee.\"}\n\
                 {\"feature\": 4, \"state\": \"unsure\"}\n{\"undo\": true}\n\
                 {\"feature\": 999, \"state\": \"unsure\"}\n";
    let words = [
        "review",
        "decide",
        "d",
        "--reviewer",
        "Grace",
        "--project",
        "q",
    ];
    let answers = with_input(at, &words, grace);
    assert_eq!(answers.status.code(), Some(2));
    let said = String::from_utf8(answers.stdout).unwrap();
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("refused") && last.contains("line 5") && last.contains("999"),
        "{last}"
    );
    for file in ["grace.jsonl", "grace.csv"] {
        let out = run(at, &["review", "export", "d", file, "--project", "q"]);
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{file}: {errors}");
    }
    let table = std::fs::read_to_string(at.join("grace.csv")).unwrap();
    assert_eq!(table.lines().count(), 5);
    assert!(table.contains(",Grace,1,edited,cocoa,"), "{table}");

    let import = ["review", "import", "d", "grace.jsonl"];
    let imported = json(at, &import);
    assert_eq!(
        (&imported["n_new"], &imported["n_known"]),
        (&json!(4), &json!(0))
    );
    assert_eq!(imported["new_conflicts"], json!([1]));
    let again = json(at, &import);
    assert_eq!((&again["n_new"], &again["n_known"]), (&json!(0), &json!(4)));
    let state = |feature: &str| {
        let page = json(at, &["features", "show", "d", feature]);
        (page["card"]["state"].clone(), page["card"]["label"].clone())
    };
    assert_eq!(state("1"), (json!("conflict"), json!("")));
    assert_eq!(state("2"), (json!("edited"), json!("Coffee")));
    assert_eq!(state("3").0, json!("rejected"));
    // Grace took it back, in the other project.
    assert_eq!(state("4").0, json!("unseen"));

    let report = json(at, &["review", "agreement", "d"]);
    assert_eq!(report["readers"], json!([["Ada", 3], ["Grace", 2]]));
    assert_eq!(report["n_compared"], 2);
    assert_eq!(report["texts"]["edit"]["n_features"], 2);
    assert_eq!(report["disagreements"][0]["feature"], 1);
    let queue = json(
        at,
        &[
            "review",
            "queue",
            "d",
            "--for",
            "adjudicate",
            "--reviewer",
            "Barbara",
        ],
    );
    assert_eq!(queue["cases"][0]["feature"], 1);
    let settle = [
        "review",
        "decide",
        "d",
        "--feature",
        "1",
        "--state",
        "edited",
        "--text",
        "cocoa",
    ];
    json(
        at,
        &[&settle[..], &["--adjudicate", "--reviewer", "Barbara"]].concat(),
    );
    assert_eq!(state("1"), (json!("edited"), json!("cocoa")));
    let report = json(at, &["review", "agreement", "d"]);
    assert_eq!(report["disagreements"][0]["open"], false);

    // Decisions on other weights are refused whole.
    let text = std::fs::read_to_string(at.join("grace.jsonl")).unwrap();
    let hash = journal(at)[0]["sae_hash"].as_str().unwrap().to_owned();
    std::fs::write(at.join("other.jsonl"), text.replace(&hash, &"0".repeat(64))).unwrap();
    let before = journal(at).len();
    let said = refused(at, &["review", "import", "d", "other.jsonl"]);
    assert!(
        said.contains("other.jsonl") && said.contains("another dictionary"),
        "{said}"
    );
    std::fs::write(at.join("torn.jsonl"), &text[..text.len() - 40]).unwrap();
    let said = refused(at, &["review", "import", "d", "torn.jsonl"]);
    assert!(said.contains("torn.jsonl, line 4"), "{said}");
    assert_eq!(journal(at).len(), before);
}

fn with_input(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(dir, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// A whole queue, reviewed through the engine as the window does it, closed and opened on the way.
#[test]
fn a_queue_is_gone_through_with_its_controls() {
    let dir = project();
    let root = dir.path().join("p");
    let queue = QueueRequest {
        reviewer: "Ada".to_owned(),
        seed: 3,
        everything: true,
        ..QueueRequest::default()
    };
    let session = Session::open(&root).unwrap();
    let n_cases = session.review_progress("d", &queue).unwrap().n_cases;
    let order = session.queued_cases("d", &queue).unwrap();
    half_of_it(&session, &queue);
    drop(session);

    let session = Session::open(&root).unwrap();
    let progress = session.review_progress("d", &queue).unwrap();
    let place = session.review_place("d", "Ada").unwrap().unwrap();
    assert_eq!((&place.queue, Some(place.case)), (&queue, progress.place));
    let item = session.review_item("d", &queue, place.case).unwrap();
    assert_eq!(item.draft.unwrap().text, "half a tho");
    assert_eq!(progress.median_seconds, Some(4.0));
    assert_eq!(
        progress.seconds_left,
        Some(4.0 * f64::from(n_cases - progress.n_done))
    );
    let same = session.queued_cases("d", &queue).unwrap();
    let features = |cases: &[engine::views::QueuedCase]| -> Vec<_> {
        cases
            .iter()
            .map(|c| (c.feature, c.proposal.clone()))
            .collect()
    };
    assert_eq!(features(&same), features(&order));
    while let Some(case) = session.review_progress("d", &queue).unwrap().next {
        answer(&session, &queue, case);
    }
    let done = session.review_progress("d", &queue).unwrap();
    assert_eq!((done.n_done, done.next), (n_cases, None));
    controls_are_kept_apart(&session, n_cases);
    blind_second_reader(&session);
    a_flag_is_found_and_answered(&session);
    a_person_is_tested(&session);
    assert!(session.stale_decisions("d").unwrap().is_empty());
}

/// Accepts what is proposed, else rejects.
fn answer(session: &Session, queue: &QueueRequest, case: u32) {
    let item = session.review_item("d", queue, case).unwrap();
    assert!(item.readings.is_empty());
    let state = if item.proposal.is_empty() {
        ReviewState::Rejected
    } else {
        ReviewState::Accepted
    };
    let answer = ReviewAnswer {
        feature: item.feature,
        state,
        milliseconds: 4000,
        n_examples: 6,
        heatmap: true,
        ..ReviewAnswer::default()
    };
    let recorded = session.decide_case("d", queue, case, &answer).unwrap();
    assert_eq!(recorded.decision.text, item.proposal);
}

fn half_of_it(session: &Session, queue: &QueueRequest) {
    let mut case = session.review_progress("d", queue).unwrap().next.unwrap();
    for _ in 0..20 {
        answer(session, queue, case);
        case = session.next_case("d", queue, case).unwrap().unwrap();
    }
    let draft = ReviewDraft {
        text: "half a tho".to_owned(),
        ..ReviewDraft::default()
    };
    session.keep_draft("d", queue, case, Some(&draft)).unwrap();
    let wrong = ReviewAnswer {
        feature: FeatureId(u32::MAX),
        state: ReviewState::Unsure,
        ..ReviewAnswer::default()
    };
    assert!(session.decide_case("d", queue, case, &wrong).is_err());
    // In sight of a proposal that is another one meanwhile.
    let unseen = ReviewAnswer {
        feature: session.review_item("d", queue, case).unwrap().feature,
        state: ReviewState::Rejected,
        shown: Some("a text of before".to_owned()),
        ..ReviewAnswer::default()
    };
    let refused = session.decide_case("d", queue, case, &unseen).unwrap_err();
    assert!(
        refused.message.contains("has changed meanwhile"),
        "{refused}"
    );
}

/// One repeat and one trap per twenty cases, in the records only; all repeats agree, all traps were
/// accepted, and no label of a feature is that of a trap.
fn controls_are_kept_apart(session: &Session, n_cases: u32) {
    let decisions = session.decisions("d").unwrap();
    let of = |role| decisions.iter().filter(move |d| d.role == role);
    let n_features = of(CaseRole::First).count();
    let n_controls = (n_features as f64 / 20.0).round() as usize;
    assert_eq!(of(CaseRole::Repeat).count(), n_controls);
    assert_eq!(of(CaseRole::Trap).count(), n_controls);
    assert_eq!(decisions.len(), n_cases as usize);
    for trap in of(CaseRole::Trap) {
        let shown = trap.shown.as_ref().unwrap();
        assert!(shown.of.is_some_and(|other| other != trap.feature));
        let card = session.feature_card("d", trap.feature).unwrap();
        assert_ne!(card.label, trap.text);
        assert_eq!(card.label, card.proposal);
    }
    let report = session.agreement("d").unwrap();
    assert_eq!(report.repeats[0].verdicts.raw.value, Some(1.0));
    assert_eq!(report.traps[0].share, 1.0);
    assert_eq!(report.n_compared, 0);
}

fn blind_second_reader(session: &Session) {
    let queue = QueueRequest {
        reviewer: "Grace".to_owned(),
        kind: engine::views::QueueKind::SecondReader,
        mode: ReviewMode::WriteFirst,
        no_controls: true,
        ..QueueRequest::default()
    };
    let case = session.review_progress("d", &queue).unwrap();
    assert_eq!(case.n_conflicts, None);
    let item = session.review_item("d", &queue, 0).unwrap();
    assert_eq!((item.decided, item.readings.len()), (None, 0));
    let answer = ReviewAnswer {
        feature: item.feature,
        state: ReviewState::Edited,
        text: "something else".to_owned(),
        wrote_first: "something".to_owned(),
        confidence: Some(8),
        ..ReviewAnswer::default()
    };
    let recorded = session.decide_case("d", &queue, 0, &answer).unwrap();
    assert_eq!(recorded.decision.role, CaseRole::SecondReader);
    let card = session.feature_card("d", item.feature).unwrap();
    assert_eq!(card.state, ReviewState::Conflict);
    session.undo("d", "Grace").unwrap().unwrap();
    let card = session.feature_card("d", item.feature).unwrap();
    assert_ne!(card.state, ReviewState::Conflict);
    let by_disagreement = QueueRequest {
        order: engine::views::QueueOrder::Disagreement,
        ..queue
    };
    assert!(session.review_progress("d", &by_disagreement).is_err());
}

/// What Ada flags is a case for Grace, until she has answered; then it is done and not flagged.
fn a_flag_is_found_and_answered(session: &Session) {
    let all = QueueRequest {
        reviewer: "Ada".to_owned(),
        ..QueueRequest::default()
    };
    let feature = session.review_item("d", &all, 0).unwrap().feature;
    let flagged = engine::DecisionRequest {
        feature,
        state: ReviewState::Unsure,
        reviewer: "Ada".to_owned(),
        flagged: true,
        ..engine::DecisionRequest::default()
    };
    session.record("d", &flagged).unwrap();
    let query = engine::views::FeatureQuery {
        flagged: true,
        ..engine::views::FeatureQuery::default()
    };
    assert_eq!(session.feature_ids("d", &query).unwrap(), [feature]);
    let queue = QueueRequest {
        reviewer: "Grace".to_owned(),
        kind: engine::views::QueueKind::Flagged,
        ..QueueRequest::default()
    };
    let cases = session.queued_cases("d", &queue).unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!((cases[0].feature, cases[0].done), (feature, false));
    let answer = ReviewAnswer {
        feature,
        state: ReviewState::Unsure,
        shown: Some(cases[0].proposal.clone()),
        ..ReviewAnswer::default()
    };
    session.decide_case("d", &queue, 0, &answer).unwrap();
    let progress = session.review_progress("d", &queue).unwrap();
    assert_eq!(
        (progress.n_cases, progress.n_done, progress.next),
        (1, 1, None)
    );
    assert!(session.feature_ids("d", &query).unwrap().is_empty());
    for reviewer in ["Grace", "Ada"] {
        session.undo("d", reviewer).unwrap().unwrap();
    }
}

/// Somebody who says "active" throughout is right half the time.
fn a_person_is_tested(session: &Session) {
    let query = engine::views::FeatureQuery {
        sort: engine::views::FeatureSort::Density,
        min_density: 0.02,
        max_density: 0.5,
        ..engine::views::FeatureQuery::default()
    };
    let ids = session.feature_ids("d", &query).unwrap();
    let test = ids
        .iter()
        .find_map(|feature| session.detection_test("d", *feature, 5).ok())
        .unwrap();
    let again = session.detection_test("d", test.feature, 5).unwrap();
    assert_eq!(test, again);
    let page = session.feature_page("d", test.feature).unwrap();
    let shown: Vec<u32> = page
        .top
        .iter()
        .chain(page.bands.iter().flatten())
        .map(|e| e.sample)
        .collect();
    assert!(
        test.cases
            .iter()
            .all(|case| !shown.contains(&case.sample) && case.activation == 0.0)
    );
    let all = vec![true; test.cases.len()];
    let result = session
        .record_detection("d", &test, "Ada", &all, 9000)
        .unwrap();
    assert_eq!(result.balanced_accuracy, 0.5);
    assert_eq!(result.active[0], result.active[1]);
    assert_eq!(result.silent[0], 0);
    assert!(
        session
            .record_detection("d", &test, "Ada", &all[1..], 0)
            .is_err()
    );
    assert_eq!(session.detection_results("d").unwrap(), [result]);
}
