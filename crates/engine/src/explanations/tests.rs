//! Explanations of phantom films and reports, whose findings are planted; language models are
//! scripted.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use explain::{Chat, ExplainError, TextModel, Writing};
use schema::{SaeConfig, Split};
use tempfile::TempDir;

use super::{ANSWERS, ExplainRequest, ScoreMethod};
use crate::explanation_source::ExplanationSource;
use crate::harvest::HarvestRequest;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::test_support::{copy_folder, scripted_voice};
use crate::views::{ExplanationsView, ImportRequest, ScoredFeatureView};

pub(super) const FILMS: &str = "films";
const REPORTS: &str = "reports";

/// A project with phantom films, and dictionaries of the image tower and of the text.
pub(super) fn project() -> TempDir {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::create(folder.path()).unwrap();
        let job = JobContext::silent();
        let films = ImportRequest::PhantomRadiographs {
            name: "phantoms".to_owned(),
            count: 360,
            seed: 5,
        };
        session.import(&films, &job).unwrap();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/phantom-vlm");
        session.add_model("phantom-vlm", &model, None).unwrap();
        for (name, hook, positions) in [
            (FILMS, "vision.blocks.1.hook_resid_post", "image"),
            (REPORTS, "blocks.1.hook_resid_post", "report"),
        ] {
            let request = HarvestRequest {
                name: name.to_owned(),
                model: "phantom-vlm".to_owned(),
                dataset: "phantoms".to_owned(),
                hook: hook.parse().unwrap(),
                positions: positions.to_owned(),
                limit: None,
                pool: 1,
            };
            session.harvest(&request, &job).unwrap();
            let config = SaeConfig {
                n_features: 96,
                k: 6,
                lr: 2e-3,
                batch_rows: 256,
                steps: 600,
                warmup_steps: 20,
                seed: 0,
                ..SaeConfig::default()
            };
            session.train_sae(name, name, &config, &job).unwrap();
            session.build_feature_index(name, &job).unwrap();
        }
        folder
    });
    // Each test has its own copy, since a project is open once only.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(built.path(), copy.path());
    copy
}

fn run(folder: &Path, request: &ExplainRequest) -> ExplanationsView {
    let session = Session::open(folder).unwrap();
    session
        .explain_features(request, &JobContext::silent())
        .unwrap()
}

/// No patient is both explained from and tested on, and what is said to be silent is.
fn check_cases(folder: &Path, view: &ExplanationsView) {
    let session = Session::open(folder).unwrap();
    let dataset = session.dataset("phantoms").unwrap();
    let group = |sample: u32| dataset.records[sample as usize].group.clone();
    assert!(view.features.len() > 10, "{}", view.features.len());
    for one in &view.features {
        let explained: BTreeSet<String> = one
            .construction
            .iter()
            .map(|case| group(case.sample))
            .collect();
        let tested: BTreeSet<String> = one.tests.iter().map(|case| group(case.sample)).collect();
        assert!(explained.is_disjoint(&tested), "feature {}", one.feature);
        if !one.is_divided_anew {
            let split = |sample: u32| dataset.records[sample as usize].split;
            assert!(
                one.construction
                    .iter()
                    .all(|case| split(case.sample) == Split::Train)
            );
            assert!(
                one.tests
                    .iter()
                    .all(|case| split(case.sample) != Split::Train)
            );
        }
        let n_active = one
            .tests
            .iter()
            .filter(|case| case.activation > 0.0)
            .count();
        assert!(n_active >= 2 && one.tests.len() > n_active);
    }
}

#[test]
fn keywords_explain_films_better_than_chance_beside_controls() {
    let project = project();
    let request = ExplainRequest::new(FILMS);
    let view = run(project.path(), &request);
    check_cases(project.path(), &view);
    let totals = &view.totals;
    let detection = totals.detection.unwrap();
    let swapped = totals.shuffled.unwrap();
    assert!(detection.interval.unwrap()[0] > 0.5, "{detection:?}");
    assert!(
        detection.value > swapped.value + 0.05,
        "{detection:?} {swapped:?}"
    );
    assert!(totals.separation.unwrap() > 0.6, "{:?}", totals.separation);
    assert_eq!(totals.n_unparsed, 0);
    let names: Vec<&str> = view.controls.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["random dictionary", "untrained dictionary"]);
    // A random direction on films goes with strong findings too: controls are told, not assumed.
    for control in &view.controls {
        let totals = &control.totals;
        assert!(
            totals.n_scored > 10 && totals.shuffled.is_some(),
            "{control:?}"
        );
    }
    // The proposals carry their scores; the same request is not done again.
    let session = Session::open(project.path()).unwrap();
    let best = view
        .features
        .iter()
        .find(|one| {
            one.detection
                .as_ref()
                .is_some_and(|d| d.balanced_accuracy.is_some())
        })
        .unwrap();
    let known = &session.explanations_of(FILMS, best.feature).unwrap()[0];
    let score = known.score.as_ref().unwrap();
    assert_eq!(
        (known.by.as_str(), score.judge.as_str()),
        ("keywords", "keywords")
    );
    assert_eq!(
        Some(score.value),
        best.detection.as_ref().unwrap().balanced_accuracy
    );
    assert_eq!(known.run, view.name);
    // Of features that belong to a planted finding most have it named, a swapped text names none.
    let planted = session.planted_names(&view).unwrap().unwrap();
    assert_eq!(planted.n_findings, 12);
    assert!(planted.n_belonging >= 3, "{planted:?}");
    assert!(2 * planted.n_named > planted.n_belonging, "{planted:?}");
    let mut silent = view.clone();
    for one in &mut silent.features {
        "nothing of the kind".clone_into(&mut one.explanation);
    }
    let unnamed = session.planted_names(&silent).unwrap().unwrap();
    assert_eq!(
        (unnamed.n_named, unnamed.n_belonging),
        (0, planted.n_belonging)
    );
    drop(session);
    assert_eq!(run(project.path(), &request), view);
}

#[test]
fn a_person_is_tested_on_the_cases_of_the_judge() {
    let project = project();
    let request = ExplainRequest {
        has_baselines: false,
        ..ExplainRequest::new(FILMS)
    };
    let view = run(project.path(), &request);
    let enough = |one: &ScoredFeatureView| {
        let n_active = one.tests.iter().filter(|at| at.activation > 0.0).count();
        n_active >= 3 && one.tests.len() >= n_active + 3
    };
    let is_scored = |one: &&ScoredFeatureView| {
        !one.explanation.is_empty() && one.detection.is_some() && enough(one)
    };
    let scored = view.features.iter().find(is_scored).unwrap();
    let session = Session::open(project.path()).unwrap();
    let test = session.detection_test(FILMS, scored.feature, 0).unwrap();
    assert_eq!(test.judged_by.as_deref(), Some("keywords"));
    assert!(test.cases.len() >= 6, "{}", test.cases.len());
    // Whoever says what the judge said has its figure.
    let mut said = Vec::new();
    for case in &test.cases {
        let explained = &scored.construction;
        assert!(explained.iter().all(|one| one.sample != case.sample));
        let mut tests = scored.tests.iter();
        let same = tests.find(|one| one.sample == case.sample).unwrap();
        said.push(same.said.unwrap() > 0.5);
    }
    let recorded = session.record_detection(FILMS, &test, "Ada", &said, 1000);
    let result = recorded.unwrap();
    let judge = result.judge.clone().unwrap();
    assert_eq!((judge.name.as_str(), judge.n_unread), ("keywords", 0));
    let figure = judge.balanced_accuracy.unwrap();
    assert!((result.balanced_accuracy - figure).abs() < 1e-12);
    assert_eq!(session.detection_results(FILMS).unwrap(), [result]);
}

#[test]
fn a_small_run_leaves_other_proposals_and_other_runs_as_they_are() {
    let project = project();
    let whole = run(
        project.path(),
        &ExplainRequest {
            judge: None,
            ..ExplainRequest::new(FILMS)
        },
    );
    let n_proposed = || {
        let session = Session::open(project.path()).unwrap();
        let all = session.project.latest_explanations(FILMS).unwrap();
        (
            all.len(),
            all.iter().filter(|one| one.score.is_some()).count(),
        )
    };
    assert_eq!(n_proposed(), (whole.totals.n_explained, 0));
    let explained = whole
        .features
        .iter()
        .find(|one| !one.explanation.is_empty());
    let small = ExplainRequest {
        features: vec![explained.unwrap().feature.0],
        has_baselines: false,
        ..ExplainRequest::new(FILMS)
    };
    let one = run(project.path(), &small);
    assert_ne!(one.name, whole.name);
    assert_eq!(n_proposed(), (whole.totals.n_explained, 1));
    // Another's proposals for some features: a test of what stands changes scores, nothing else.
    let session = Session::open(project.path()).unwrap();
    let theirs = schema::Explanation {
        feature: explained.unwrap().feature,
        text: "something else".to_owned(),
        by: "our group".to_owned(),
        ..schema::Explanation::default()
    };
    session.project.put_explanations(FILMS, &[theirs]).unwrap();
    session.forget_labels(FILMS);
    drop(session);
    let stored = ExplainRequest {
        explain: ExplanationSource::Stored,
        ..ExplainRequest::new(FILMS)
    };
    run(project.path(), &stored);
    assert_eq!(n_proposed().0, whole.totals.n_explained);
    let session = Session::open(project.path()).unwrap();
    let known = session
        .explanations_of(FILMS, explained.unwrap().feature)
        .unwrap();
    let makers: Vec<&str> = known.iter().map(|one| one.by.as_str()).collect();
    assert_eq!(makers, ["our group", "keywords"]);
    // A name is never used for another request.
    let named = |seed| ExplainRequest {
        name: "mine".to_owned(),
        seed,
        judge: None,
        ..ExplainRequest::new(FILMS)
    };
    let job = JobContext::silent();
    session.explain_features(&named(0), &job).unwrap();
    let error = session.explain_features(&named(1), &job).unwrap_err();
    assert!(error.to_string().contains("give another name"), "{error}");
    assert_eq!(session.explanations_run("mine").unwrap().settings.seed, 0);
}

/// Explains by the word that is marked most often, chooses by whether the passage has it, and
/// expects levels where the word is it.
struct Scripted {
    left: Rc<Cell<usize>>,
}

impl Scripted {
    fn count(&self) -> std::result::Result<(), ExplainError> {
        let left = self
            .left
            .get()
            .checked_sub(1)
            .ok_or(ExplainError::Stopped)?;
        self.left.set(left);
        Ok(())
    }

    fn parts(chat: &Chat) -> (String, String) {
        let (head, passage) = chat.user.split_once("\nPassage: ").unwrap();
        let explanation = head.trim_start().strip_prefix("Description: ").unwrap();
        (explanation.to_owned(), passage.to_owned())
    }
}

impl TextModel for Scripted {
    fn write(&self, chat: &Chat, _: Writing) -> std::result::Result<String, ExplainError> {
        self.count()?;
        let marked = chat.user.split("<<").skip(1);
        let mut words: Vec<&str> = marked
            .filter_map(|rest| rest.split(">>").next()?.split_whitespace().next())
            .collect();
        words.sort_unstable();
        let most = words
            .chunk_by(|a, b| a == b)
            .max_by_key(|same| same.len())
            .map_or("nothing", |same| same[0]);
        Ok(format!(" {most}.\nmore"))
    }

    fn choose(
        &self,
        chat: &Chat,
        answers: &[&str],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        self.count()?;
        assert_eq!(answers, [" 1", " 0"]);
        let (explanation, passage) = Self::parts(chat);
        let wanted = if passage.contains("<<") {
            passage.contains(&format!("<<{explanation}"))
        } else {
            passage.contains(&explanation)
        };
        Ok(Some(if wanted {
            vec![-0.1, -3.0]
        } else {
            vec![-3.0, -0.1]
        }))
    }

    fn expect_levels(
        &self,
        chat: &Chat,
        words: &[String],
    ) -> std::result::Result<Option<Vec<f64>>, ExplainError> {
        self.count()?;
        let (explanation, _) = Self::parts(chat);
        let level = |word: &String| if *word == explanation { 9.0 } else { 0.1 };
        Ok(Some(words.iter().map(level).collect()))
    }
}

/// Runs with the scripted model, which gives at most so many answers; returns those it gave.
fn run_scripted(folder: &Path, answers: usize) -> (crate::Result<ExplanationsView>, usize) {
    let session = Session::open(folder).unwrap();
    let path = PathBuf::from("scripted.gguf");
    let request = ExplainRequest {
        explain: ExplanationSource::Model(path.clone()),
        judge: Some(ExplanationSource::Model(path)),
        methods: vec![
            ScoreMethod::Detection,
            ScoreMethod::Fuzzing,
            ScoreMethod::Simulation,
        ],
        limit: Some(8),
        baseline_limit: Some(3),
        most: 5,
        ..ExplainRequest::new(REPORTS)
    };
    let left = Rc::new(Cell::new(answers));
    let mut load = |_: &str| {
        Ok(scripted_voice(Scripted {
            left: Rc::clone(&left),
        }))
    };
    let view = session.explain_features_by(&request, &mut load, &JobContext::silent());
    (view, answers - left.get())
}

#[test]
fn a_language_model_is_asked_once_and_its_right_words_score() {
    let whole = project();
    let (view, n_asked) = run_scripted(whole.path(), usize::MAX);
    let view = view.unwrap();
    assert!(view.settings.is_same_model && n_asked > 100, "{n_asked}");
    assert_eq!((view.totals.n_explained, view.features.len()), (8, 8));
    let totals = &view.totals;
    let value = |mean: Option<crate::views::MeanView>| mean.unwrap().value;
    assert!(value(totals.fuzzing) > 0.6, "{totals:?}");
    assert!(value(totals.simulation) > 0.1, "{totals:?}");
    assert!(
        value(totals.detection) > value(totals.shuffled),
        "{totals:?}"
    );
    assert!(totals.n_answers > 80 && totals.n_unparsed == 0);
    assert!(view.features[0].prompt.as_ref().unwrap().contains("<<"));
    assert!(view.controls.iter().all(|one| one.totals.n_chosen <= 3));

    // Stopped in the middle and gone on with: the same, and nothing is asked twice.
    let stopped = project();
    let (cut, first) = run_scripted(stopped.path(), n_asked / 2);
    assert!(cut.is_err());
    let (resumed, second) = run_scripted(stopped.path(), usize::MAX);
    assert_eq!(first + second, n_asked);
    let mut resumed = resumed.unwrap();
    resumed.settings.at.clone_from(&view.settings.at);
    assert_eq!(resumed, view);
    let answers = stopped
        .path()
        .join("explanations")
        .join(&view.name)
        .join(ANSWERS);
    assert_eq!(
        fs::read_to_string(answers).unwrap().lines().count(),
        n_asked
    );
}

#[test]
fn stored_proposals_are_judged_and_keep_their_maker() {
    let project = project();
    let propose = ExplainRequest {
        judge: None,
        ..ExplainRequest::new(FILMS)
    };
    let proposed = run(project.path(), &propose);
    assert!(proposed.totals.detection.is_none() && proposed.controls.is_empty());
    let score = ExplainRequest {
        explain: ExplanationSource::Stored,
        ..ExplainRequest::new(FILMS)
    };
    let scored = run(project.path(), &score);
    assert!(scored.totals.n_scored > 5 && scored.controls.is_empty());
    let feature = scored
        .features
        .iter()
        .find(|one| one.detection.is_some())
        .unwrap();
    let session = Session::open(project.path()).unwrap();
    let known = &session.explanations_of(FILMS, feature.feature).unwrap()[0];
    assert_eq!(known.by, "keywords");
    assert!(known.score.is_some() && known.run == scored.name);
}

#[test]
fn what_cannot_be_done_is_refused_in_a_sentence() {
    let project = project();
    let session = Session::open(project.path()).unwrap();
    let refused = |request: ExplainRequest| {
        session
            .explain_features(&request, &JobContext::silent())
            .unwrap_err()
            .to_string()
    };
    let base = || ExplainRequest::new(FILMS);
    let none = refused(ExplainRequest {
        features: vec![4000],
        ..base()
    });
    assert!(none.contains("no feature 4000, only 0 to 95"), "{none}");
    let fuzz = refused(ExplainRequest {
        methods: vec![ScoreMethod::Fuzzing],
        ..base()
    });
    assert!(fuzz.contains("needs a language model"), "{fuzz}");
    let vectors = refused(ExplainRequest {
        methods: vec![ScoreMethod::Embedding],
        ..base()
    });
    assert!(vectors.contains("sentence encoder"), "{vectors}");
    let few = refused(ExplainRequest { most: 1, ..base() });
    assert!(few.contains("at least two"), "{few}");
    let missing = refused(ExplainRequest::new("none"));
    assert!(missing.contains("none"), "{missing}");
    let stored = refused(ExplainRequest {
        explain: ExplanationSource::Stored,
        ..base()
    });
    assert!(stored.contains("no proposals"), "{stored}");
    assert!(ExplanationSource::parse("http://10.0.0.1/v1").is_err());
    assert!(ExplanationSource::parse("https://10.0.0.1/v1#m").is_err());
    assert!(ScoreMethod::parse("confidence").is_err());
}

/// With the tiny random encoder of the parity tests: arithmetic, not meaning.
#[test]
fn sentence_vectors_score_where_an_encoder_is_given() {
    let project = project();
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/minilm_tiny");
    let request = ExplainRequest {
        methods: vec![ScoreMethod::Embedding],
        encoder: Some(encoder),
        limit: Some(5),
        has_baselines: false,
        ..ExplainRequest::new(REPORTS)
    };
    let view = run(project.path(), &request);
    let scores: Vec<f64> = view
        .features
        .iter()
        .filter_map(|one| one.embedding)
        .collect();
    assert!(!scores.is_empty() && scores.iter().all(|auc| (0.0..=1.0).contains(auc)));
    assert!(view.totals.embedding.is_some() && view.totals.detection.is_none());
}
