//! Concepts of phantom shoppers, whose tastes are planted; language models are scripted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use explain::{Chat, ExplainError, TextModel, Writing};
use schema::{HookPoint, SaeConfig, SaeRecipe, SaeVariant};
use tempfile::TempDir;

use super::{ANSWERS, ConceptRequest, LevelRule};
use crate::explanation_source::ExplanationSource;
use crate::harvest::HarvestRequest;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::test_support::{copy_folder, scripted_voice};
use crate::train_recommender::TrainRecommenderRequest;
use crate::views::{ConceptView, ConceptsView, ImportRequest};

const N_SHOPPERS: u32 = 1200;
const SEED: u64 = 3;
const SAE: &str = "tastes";

/// A project with shoppers, recommender and dictionary, made once.
fn project() -> TempDir {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(built.path(), copy.path());
    copy
}

fn build() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::create(folder.path()).unwrap();
    let job = JobContext::silent();
    let request = ImportRequest::PhantomShoppers {
        name: "shoppers".to_owned(),
        count: N_SHOPPERS,
        seed: SEED,
    };
    session.import(&request, &job).unwrap();
    let request = TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        settings: "lr = 2e-3\nmax_epochs = 20\npatience = 5".to_owned(),
        seed: SEED,
        ..TrainRecommenderRequest::default()
    };
    session.train_recommender(&request, &job).unwrap();
    let request = HarvestRequest {
        name: "vectors".to_owned(),
        model: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        hook: HookPoint::UserVector,
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    let config = SaeConfig {
        k: 4,
        lr: 2e-3,
        steps: 600,
        batch_rows: 512,
        seed: SEED,
        ..SaeConfig::of_recipe(SaeRecipe::DictionaryLearning, SaeVariant::TopK, 64)
    };
    session.train_sae(SAE, "vectors", &config, &job).unwrap();
    folder
}

/// By feature the taste that most users of its activating test cases follow, where it is clear: told
/// by the planted truth, not by the cases that the explanation was made from.
fn tastes_of(view: &ConceptsView) -> BTreeMap<u32, (usize, &ConceptView)> {
    let truth = datasets::phantom::shoppers(SEED, N_SHOPPERS);
    let mut found = BTreeMap::new();
    for concept in &view.concepts {
        let active = concept.tests.iter();
        let active: Vec<_> = active
            .filter(|test| test.recommended.level.is_some_and(|level| level > 0))
            .collect();
        let mut counts = BTreeMap::new();
        for test in &active {
            let at_work = truth.truth[test.user as usize].last().copied().flatten();
            *counts.entry(at_work).or_insert(0) += 1;
        }
        let most = counts.into_iter().max_by_key(|&(_, n)| n);
        if let Some((Some(taste), n)) = most
            && active.len() >= 5
            && n * 10 >= active.len() * 7
        {
            found.insert(concept.feature.0, (usize::from(taste), concept));
        }
    }
    found
}

/// Whether at least half of the items that have the first term of an explanation serve the taste.
fn names_the_taste(explanation: &str, taste: usize) -> bool {
    let truth = datasets::phantom::shoppers(SEED, 1);
    let Some(term) = explanation
        .split(", ")
        .next()
        .filter(|term| !term.is_empty())
    else {
        return false;
    };
    let with = truth.catalogue.iter().filter(|item| {
        let categories = item.categories.iter().map(|name| name.to_lowercase());
        explain::title_terms(&item.title)
            .iter()
            .any(|have| have == term)
            || categories.into_iter().any(|have| have == term)
    });
    let with: Vec<u32> = with.map(|item| item.id).collect();
    let serving = with
        .iter()
        .filter(|id| truth.tastes[taste].items.contains(id));
    2 * serving.count() >= with.len() && !with.is_empty()
}

#[test]
fn keywords_name_the_planted_tastes_and_swapped_ones_do_not_hold() {
    let folder = project();
    let session = Session::open(folder.path()).unwrap();
    let job = JobContext::silent();
    let view = session.concepts(&ConceptRequest::new(SAE), &job).unwrap();
    let tastes = tastes_of(&view);
    let n_explained = |one: &&(usize, &ConceptView)| !one.1.explanation.is_empty();
    let explained = tastes.values().filter(n_explained).count();
    let named = tastes
        .values()
        .filter(|(taste, concept)| names_the_taste(&concept.explanation, *taste))
        .count();
    #[expect(clippy::print_stderr, reason = "says how close")]
    {
        eprintln!(
            "{named} of {} features of one taste are named ({explained} explained); totals {:?}; \
             swapped {:?}; random {:?}",
            tastes.len(),
            view.totals,
            view.shuffled,
            view.random_dictionary
        );
    }
    assert!(tastes.len() >= 10, "{}", tastes.len());
    assert!(
        named * 10 >= tastes.len() * 7,
        "{named} of {}",
        tastes.len()
    );
    let mean = |totals: &crate::views::ConceptTotalsView| totals.confidence.unwrap().value;
    let shuffled = view.shuffled.as_ref().unwrap();
    assert!(mean(&view.totals) > mean(shuffled) + 0.1);
    assert!(view.totals.n_interpretable > shuffled.n_interpretable);
    // Kept, listed, and made only once.
    assert_eq!(session.concept_runs().unwrap(), ["tastes-keywords"]);
    // Not assert_eq: a view is too long to print.
    assert!(session.concepts_of("tastes-keywords").unwrap() == view);
    assert!(session.concepts(&ConceptRequest::new(SAE), &job).unwrap() == view);
    let (_, faults) = session.check(&job).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    // Proposals are there to review and to score.
    let request = ConceptRequest {
        explain: ExplanationSource::Stored,
        ..ConceptRequest::new(SAE)
    };
    let scored = session.concepts(&request, &job).unwrap();
    assert_eq!(scored.settings.explained_by, "stored");
    assert_eq!(scored.totals.confidence, view.totals.confidence);
    assert_eq!(scored.random_dictionary, None);
}

#[test]
fn conventions_and_limits_are_kept() {
    let folder = project();
    let session = Session::open(folder.path()).unwrap();
    let job = JobContext::silent();
    let request = ConceptRequest {
        limit: Some(7),
        levels: LevelRule::PerFeature,
        ..ConceptRequest::recsae(SAE)
    };
    let view = session.concepts(&request, &job).unwrap();
    assert_eq!(view.concepts.len(), 7);
    for concept in &view.concepts {
        assert!(concept.tests.len() <= 10);
        for case in &concept.cases {
            assert!(case.recommended.level >= Some(5));
            assert!(case.history.iter().all(|item| item.level.is_none()));
        }
    }
    let few = ConceptRequest {
        features: vec![0, 1, 2, 3],
        most: 3,
        ..ConceptRequest::new(SAE)
    };
    let view = session.concepts(&few, &job).unwrap();
    assert!(!view.concepts.is_empty());
    for concept in &view.concepts {
        assert!(concept.feature.0 < 4 && concept.tests.len() <= 6);
        assert_eq!(concept.n_shared, 0);
        let users: Vec<u32> = concept.cases.iter().map(|case| case.user).collect();
        assert!(concept.tests.iter().all(|test| !users.contains(&test.user)));
    }
    let absent = ConceptRequest {
        features: vec![64],
        ..ConceptRequest::new(SAE)
    };
    let error = session.concepts(&absent, &job).unwrap_err();
    assert!(error.message.contains("no feature 64"), "{}", error.message);
    assert!(ExplanationSource::parse("http://localhost:1/v1").is_ok());
    let other = ExplanationSource::parse("http://10.0.0.1:1/v1#m").unwrap();
    assert_eq!(other.elsewhere().unwrap(), "http://10.0.0.1:1/v1");
    assert!(ExplanationSource::parse("/nowhere.gguf").is_err());
}

#[test]
fn a_finished_run_is_never_replaced_by_another_request() {
    let folder = project();
    let session = Session::open(folder.path()).unwrap();
    let job = JobContext::silent();
    let named = ConceptRequest {
        name: "mine".to_owned(),
        limit: Some(3),
        has_baselines: false,
        ..ConceptRequest::new(SAE)
    };
    let first = session.concepts(&named, &job).unwrap();
    let other = ConceptRequest {
        limit: Some(2),
        ..named.clone()
    };
    let error = session.concepts(&other, &job).unwrap_err();
    let said = "concepts/mine was made with other choices";
    assert!(error.message.contains(said), "{}", error.message);
    // Not assert_eq: a view is too long to print.
    assert!(session.concepts_of("mine").unwrap() == first);
    assert!(session.concepts(&named, &job).unwrap() == first);
    // Without a name, each request has its own.
    for limit in [2, 3] {
        let unnamed = ConceptRequest {
            name: String::new(),
            limit: Some(limit),
            ..named.clone()
        };
        let view = session.concepts(&unnamed, &job).unwrap();
        assert_eq!(view.name.len(), "tastes-keywords-012345".len());
        assert!(view.name.starts_with("tastes-keywords-"), "{}", view.name);
        assert!(session.concepts(&unnamed, &job).unwrap() == view);
    }
    assert_eq!(session.concept_runs().unwrap().len(), 3);
}

/// Says the most frequent long word among the strong items, and judges by it; stops after so many
/// answers.
struct Scripted {
    left: Rc<Cell<usize>>,
    /// Bytes of the longest chat that it reads.
    context: usize,
}

impl TextModel for Scripted {
    fn write(&self, chat: &Chat, _how: Writing) -> Result<String, ExplainError> {
        if self.left.get() == 0 {
            return Err(ExplainError::Stopped);
        }
        let length = chat.to_string().len();
        if length > self.context {
            return Err(ExplainError::PromptTooLong {
                reason: format!("{length} bytes"),
            });
        }
        self.left.set(self.left.get() - 1);
        if let Some(description) = chat.user.strip_prefix("Description: ") {
            let word = description.lines().next().unwrap_or_default();
            let last = chat.user.lines().last().unwrap_or_default().to_lowercase();
            return Ok(if last.contains(word) { " 9" } else { " 0" }.to_owned());
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for line in chat.user.lines() {
            let Some((title, level)) = line.split_once('\t') else {
                continue;
            };
            if level.parse::<u8>().is_ok_and(|level| level >= 5) {
                for word in title.split(' ').filter(|word| word.len() > 2) {
                    *counts.entry(word.to_lowercase()).or_default() += 1;
                }
            }
        }
        let most = counts.into_iter().max_by_key(|(_, n)| *n);
        Ok(format!(" {}.\nmore", most.unwrap_or_default().0))
    }
}

/// What is asked of the scripted model, which explains and judges.
fn scripted_request() -> ConceptRequest {
    let path = PathBuf::from("scripted.gguf");
    ConceptRequest {
        name: "tastes-scripted".to_owned(),
        explain: ExplanationSource::Model(path.clone()),
        judge: Some(ExplanationSource::Model(path)),
        limit: Some(6),
        most: 4,
        ..ConceptRequest::new(SAE)
    }
}

/// Runs with the scripted model, which gives at most so many answers; returns those it gave.
fn run_scripted(folder: &Path, answers: usize) -> (crate::Result<ConceptsView>, usize) {
    let session = Session::open(folder).unwrap();
    let request = scripted_request();
    let left = Rc::new(Cell::new(answers));
    let mut load = |_: &str| {
        Ok(scripted_voice(Scripted {
            left: Rc::clone(&left),
            context: usize::MAX,
        }))
    };
    let view = session.concepts_by(&request, &mut load, &JobContext::silent());
    (view, answers - left.get())
}

/// Runs in a fresh project with a model that reads chats of so many bytes.
fn run_with_context(context: usize) -> ConceptsView {
    let folder = project();
    let session = Session::open(folder.path()).unwrap();
    let request = scripted_request();
    let left = Rc::new(Cell::new(usize::MAX));
    let mut load = |_: &str| {
        Ok(scripted_voice(Scripted {
            left: Rc::clone(&left),
            context,
        }))
    };
    let view = session.concepts_by(&request, &mut load, &JobContext::silent());
    view.unwrap()
}

#[test]
fn a_prompt_that_is_too_long_is_shortened_and_ends_no_run() {
    let says = |view: &ConceptsView, part: &str| view.notes.iter().any(|note| note.contains(part));
    let length = |concept: &ConceptView| concept.prompt.as_ref().map_or(0, String::len);
    let whole = run_with_context(usize::MAX);
    assert!(whole.concepts.iter().all(|one| one.n_left_out == 0));
    assert!(!says(&whole, "left out of the prompts"));

    // One byte less than the longest prompt that has a case to spare.
    let spare = whole.concepts.iter().filter(|one| one.cases.len() > 1);
    let context = spare.map(length).max().unwrap() - 1;
    let shorter = run_with_context(context);
    assert!(says(&shorter, "left out of the prompts"));
    let mut n_shortened = 0;
    for (one, before) in shorter.concepts.iter().zip(&whole.concepts) {
        if length(before) <= context {
            assert_eq!((&one.prompt, one.n_left_out), (&before.prompt, 0));
        } else if before.cases.len() > 1 {
            assert!(one.n_left_out > 0 && !one.explanation.is_empty());
            assert!(length(one) <= context);
            n_shortened += 1;
        } else {
            assert_eq!(one.not_explained, "prompt too long");
        }
    }
    assert!(n_shortened > 0);

    let none = run_with_context(10);
    assert!(none.concepts.iter().all(|one| one.explanation.is_empty()));
    let n = none.concepts.len();
    assert!(says(
        &none,
        &format!("{n} of {n} features are not explained: prompt too long")
    ));
    assert_eq!(none.concepts[0].not_explained, "prompt too long");
    assert_eq!(none.totals.n_scored, 0);
}

/// The files of the run without the times.
fn files_without_times(folder: &Path) -> (ConceptsView, Vec<serde_json::Value>) {
    let place = folder.join("concepts/tastes-scripted");
    let mut view: ConceptsView =
        serde_json::from_slice(&fs::read(place.join("concepts.json")).unwrap()).unwrap();
    view.settings.at = String::new();
    let answers = fs::read_to_string(place.join(ANSWERS)).unwrap();
    let answers = answers.lines().map(|line| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["at"] = serde_json::Value::Null;
        value
    });
    (view, answers.collect())
}

#[test]
fn a_stopped_run_goes_on_to_the_same_results_and_asks_nothing_twice() {
    let undisturbed = project();
    let (view, n_asked) = run_scripted(undisturbed.path(), usize::MAX);
    let view = view.unwrap();
    assert!(n_asked > 50, "{n_asked}");
    let explained = view.concepts.iter().find(|one| !one.explanation.is_empty());
    let explained = explained.unwrap();
    assert!(explained.prompt.as_ref().unwrap().contains("<start>"));
    assert_eq!(view.settings.explainer_blake3.as_deref(), Some("0123"));

    let stopped = project();
    let mut n_before = 0;
    for answers in [20, 25] {
        let (view, n) = run_scripted(stopped.path(), answers);
        assert!(view.unwrap_err().is_cancelled());
        assert_eq!(n, answers);
        n_before += n;
        let session = Session::open(stopped.path()).unwrap();
        assert!(session.concept_runs().unwrap().is_empty());
        assert!(session.concepts_of("tastes-scripted").is_err());
    }
    let (view, n_rest) = run_scripted(stopped.path(), usize::MAX);
    view.unwrap();
    assert_eq!(n_before + n_rest, n_asked);
    assert!(files_without_times(stopped.path()) == files_without_times(undisturbed.path()));
    // Once more: nothing is asked.
    assert_eq!(run_scripted(stopped.path(), 0).1, 0);
    // Another wording is another request, and does not take the name.
    let session = Session::open(stopped.path()).unwrap();
    session.write_prompts().unwrap();
    drop(session);
    run_scripted(stopped.path(), 0).0.unwrap();
    let judge = stopped.path().join("prompts/concept_judge.toml");
    let text = fs::read_to_string(&judge).unwrap();
    fs::write(&judge, text.replace("Number:", "It is")).unwrap();
    let error = run_scripted(stopped.path(), 0).0.unwrap_err();
    assert!(error.message.contains("other choices"), "{}", error.message);
}
