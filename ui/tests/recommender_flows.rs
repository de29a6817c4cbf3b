//! Items, histories and the models screen, driven through the accessibility tree, on an invented
//! project.

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::{Event, JobEnd};
use schema::JobId;
use ui::bench::Invented;
use ui::{App, Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/invented.rs"]
mod invented;

use clicks::click;
use invented::open_on;

fn open(screen: Screen, start: StartAt) -> (Harness<'static, App>, Arc<Invented>) {
    let backend = Arc::new(Invented::new(100));
    let start = StartAt {
        screen: Some(screen),
        ..start
    };
    (open_on(&backend, [1280.0, 800.0], start), backend)
}

fn models() -> (Harness<'static, App>, Arc<Invented>) {
    open(Screen::Models, StartAt::default())
}

fn feature_of_histories(screen: Screen) -> (Harness<'static, App>, Arc<Invented>) {
    let start = StartAt {
        dictionary: Some("histories".to_owned()),
        feature: Some(3),
        ..StartAt::default()
    };
    open(screen, start)
}

#[test]
fn a_feature_shows_the_whole_history_and_what_is_recommended_next() {
    let (harness, _) = feature_of_histories(Screen::Feature);
    harness.get_by_label_contains("34 items, oldest first, active on");
    harness.get_by_label_contains("Recommended next: Invented item");
    // The last item of the history, which the examples' windows do not hold.
    harness.get_by_label_contains("Item 34: Invented item");
    assert!(
        harness
            .query_all_by_label_contains(", level ")
            .next()
            .is_some()
    );
    harness.get_by_label_contains("7 of the 10 strongest histories recommend the same item: ");
}

#[test]
fn another_example_brings_its_own_history() {
    let (mut harness, _) = feature_of_histories(Screen::Feature);
    let first = |harness: &Harness<'static, App>| {
        let mut cards = harness.query_all_by_label_contains("Item 1: Invented item");
        let card = cards.next().map(|node| {
            use egui_kittest::kittest::NodeT as _;
            node.accesskit_node().label()
        });
        card.flatten()
    };
    let before = first(&harness);
    assert!(before.is_some());
    harness.key_press(egui::Key::ArrowRight);
    harness.run_steps(4);
    assert_ne!(first(&harness), before);
}

#[test]
fn promoted_and_demoted_items_stand_with_signed_effects() {
    let (harness, _) = feature_of_histories(Screen::Feature);
    harness.get_by_label_contains("Promoted 1: Invented item 24, +3.40");
    harness.get_by_label_contains("Demoted 1: Invented item 54, -2.04");
    for (name, n) in [("Promoted ", 10), ("Demoted ", 10)] {
        assert_eq!(harness.query_all_by_label_contains(name).count(), n);
    }
}

#[test]
fn ranked_items_say_where_they_stood() {
    let (mut harness, _) = feature_of_histories(Screen::Steer);
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(2.0);
    harness.run_steps(4);
    harness.get_by_label_contains("After 1: Invented item 3, was 2");
    harness.get_by_label_contains("Before 10: Invented item 11");
}

#[test]
fn a_model_shows_its_hook_points_and_how_its_training_went() {
    let (mut harness, _) = models();
    click(
        &mut harness,
        "Model invented-ranker, SASRec · trained on histories",
    );
    harness.get_by_label("Trained on  histories");
    harness.get_by_label("Epoch kept 21");
    harness.get_by_label_contains("Dev NDCG@5 0.2");
    harness.get_by_label_contains("Learning rate 0.0001");
    click(&mut harness, "Train a dictionary at hook_user_vector");
    assert_eq!(harness.state().screen(), Screen::Train);
    harness.get_by_label_contains("the user vector that ranks");
}

#[test]
fn a_large_model_is_read_when_that_is_asked_for() {
    let (mut harness, _) = models();
    harness.get_by_label("Size of its files  4.7 GB");
    let hooks = "Train a dictionary at blocks.0.hook_resid_post";
    assert!(harness.query_by_label(hooks).is_none());
    click(&mut harness, "Read its shape and hook points");
    harness.get_by_label(hooks);
}

#[test]
fn a_recommender_is_trained_paused_and_stopped() {
    let (mut harness, backend) = models();
    click(&mut harness, "Train a recommender…");
    click(&mut harness, "TiMiRec");
    harness.get_by_label_contains("trained in two stages");
    click(&mut harness, "Back to the preset");
    harness.get_by_label("Interests").set_value_accesskit(4.0);
    harness.run_steps(4);
    harness
        .get_by_label("Learning rate")
        .set_value_accesskit(0.001);
    harness.run_steps(4);
    harness.get_by_label("preset 0.0001");
    harness.get_by_label("Seed").set_value_accesskit(7.0);
    harness.run_steps(4);
    click(&mut harness, "Start training");
    assert_eq!(
        backend.asked(),
        ["train timirec on histories as histories-timirec, seed 7, lr = 0.001, n_interests = 4"]
    );
    harness.get_by_label("Training histories-timirec, Training · epoch 12");
    harness.get_by_label_contains("Stage 1 of 2");
    harness.get_by_label_contains("Stage 2 of 2");
    harness.get_by_label("Epochs 26");
    harness.get_by_label("Epochs 12");
    click(&mut harness, "Pause training");
    harness.get_by_label("Training histories-timirec, Paused · epoch 12");
    click(&mut harness, "Go on training");
    click(&mut harness, "Stop and keep");
    assert_eq!(
        backend.asked()[1..],
        ["pause 31 true", "pause 31 false", "cancel 31"]
    );
    // What was seen of it stays, and it can be gone on with.
    harness.get_by_label_contains("Its last finished epoch is kept");
    harness.get_by_label("Epochs 12");
    click(&mut harness, "Resume");
    assert_eq!(backend.asked()[4], "resume histories-timirec");
    click(&mut harness, "Discard");
    assert_eq!(backend.asked().len(), 5);
    harness.get_by_label_contains("Really discard?");
    click(&mut harness, "Discard");
    assert_eq!(backend.asked()[5], "discard histories-timirec");
    assert!(
        harness
            .query_by_label_contains("Training histories-timirec")
            .is_none()
    );
}

#[test]
fn what_cannot_be_trained_is_said_before_it_begins() {
    let (mut harness, backend) = models();
    click(&mut harness, "Train a recommender…");
    harness.get_by_label("Heads").set_value_accesskit(3.0);
    harness.run_steps(4);
    harness.get_by_label_contains("which does not divide d_model = 64");
    click(&mut harness, "Start training");
    assert!(backend.asked().is_empty());
    click(&mut harness, "Back to the preset");
    let field = harness.get_by_label("Name");
    field.focus();
    harness.run_steps(2);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness.run_steps(1);
    harness.get_by_label("Name").type_text("invented-ranker");
    harness.run_steps(4);
    harness.get_by_label("There is a model of this name; choose another name");
    click(&mut harness, "Start training");
    assert!(backend.asked().is_empty());
}

#[test]
fn a_checkpoint_is_imported() {
    let (mut harness, backend) = models();
    click(&mut harness, "Import a recommender…");
    click(&mut harness, "Import");
    assert!(backend.asked().is_empty());
    click(&mut harness, "Choose checkpoint");
    click(&mut harness, "SASRec");
    click(&mut harness, "For the items of histories");
    click(&mut harness, "What the file may not say");
    harness.run_steps(20);
    harness.get_by_label("Heads").focus();
    harness.run_steps(2);
    harness.get_by_label("Heads").type_text("4");
    harness.run_steps(4);
    click(&mut harness, "Import");
    let asked = "import chosen from /chosen as sasrec for histories, heads 4";
    assert_eq!(backend.asked(), [asked]);

    // It waits for its own job alone; what failed can be asked for again.
    let failed = || JobEnd::Failed("/chosen: the checkpoint has no item embeddings".to_owned());
    backend.send(Event::JobEnded(JobId(33), failed()));
    harness.run_steps(4);
    click(&mut harness, "Import");
    assert_eq!(backend.asked(), [asked]);
    backend.send(Event::JobEnded(JobId(34), failed()));
    harness.run_steps(4);
    click(&mut harness, "Import");
    assert_eq!(backend.asked(), [asked, asked]);
}

fn all_users() -> (Harness<'static, App>, Arc<Invented>) {
    let (mut harness, backend) = feature_of_histories(Screen::Steer);
    click(&mut harness, "All users");
    (harness, backend)
}

#[test]
fn a_change_is_measured_over_all_users() {
    let (mut harness, backend) = all_users();
    harness.get_by_label("What the change does to all users appears here");
    harness.get_by_label_contains("To add 0 changes nothing");
    click(&mut harness, "Measure over all users");
    assert!(backend.asked().is_empty());
    click(&mut harness, "Ablate");
    click(&mut harness, "Items of a category");
    click(&mut harness, "Measure over all users");
    assert_eq!(
        backend.asked(),
        ["ablate 3 Ablate 0 counting Category(\"Tea\") of Test beside 20"]
    );
    harness.get_by_label("500 users, of whom 212 are changed by it");
    harness.get_by_label("Share of the counted items in the top 10  26 %  8.4 %  −67.7 %  26 %");
    harness.get_by_label_contains("Gini of exposure  0.6100  0.5380  −11.8 %  0.6089");
    harness.get_by_label("This change  −67.7 % (−72.7 % to −62.7 %)  −3.1 % (−5.1 % to −1.1 %)");
    harness.get_by_label_contains("20 random sets of like density  −1.2 %");
    let group = "Changed by it  212  −0.0142 (−0.0172 to −0.0112)  33 % to 31 %  41 % to 7.0 %";
    harness.get_by_label(group);
    harness.get_by_label_contains("Counted 1: Invented item");
    harness.get_by_label("The item the user really chose next: rank 9, now 4");
    harness.get_by_label_contains("After 1: Invented item 25, was 5");
    harness.get_by_label_contains("After 9: Invented item 33, new");
    click(&mut harness, "User of sample 42");
    harness.get_by_label("The item the user really chose next: rank 9, now 6");
}

#[test]
fn a_slider_asks_for_nobody_while_all_users_are_looked_at() {
    let (mut harness, backend) = all_users();
    click(&mut harness, "Scale");
    harness
        .get_by_label("Strength of feature 3")
        .set_value_accesskit(0.5);
    harness.run_steps(4);
    assert!(backend.asked().is_empty());
    click(&mut harness, "Measure over all users");
    assert_eq!(
        backend.asked(),
        ["ablate 3 Scale 0.5 counting Promoted(20) of Test beside 20"]
    );
}

#[test]
fn a_change_is_saved_used_removed_and_put_back() {
    let (mut harness, backend) = all_users();
    click(&mut harness, "Clamp");
    harness.get_by_label("Preset name").focus();
    harness.run_steps(2);
    harness.get_by_label("Preset name").type_text("calm");
    harness.run_steps(2);
    click(&mut harness, "Save as preset");
    click(&mut harness, "Remove feature 3");
    assert!(harness.query_by_label("Strength of feature 3").is_none());
    click(&mut harness, "Use preset calm");
    harness.get_by_label("Strength of feature 3");
    click(&mut harness, "Export…");
    click(&mut harness, "Remove preset calm");
    assert!(harness.query_by_label("Use preset calm").is_none());
    click(&mut harness, "Put calm back");
    harness.get_by_label("Use preset calm");
    assert_eq!(
        backend.asked(),
        [
            "save calm",
            "export calm into /chosen",
            "remove calm",
            "save calm"
        ]
    );
}

#[test]
fn a_bias_is_swept_and_a_strength_is_taken_on() {
    let (mut harness, backend) = feature_of_histories(Screen::Steer);
    click(&mut harness, "Against a bias");
    click(&mut harness, "Sweep the strengths");
    assert_eq!(
        backend.asked(),
        ["debias Popularity at [1.0, 0.75, 0.5, 0.25, 0.0] with 4"]
    );
    harness.get_by_label_contains("NDCG@10 against popularity of the top 10 at 1x, 0.75x");
    click(&mut harness, "Strength 0.5x, NDCG@10 0.1900");
    click(&mut harness, "Use strength 0.5x");
    for feature in [3, 7, 11, 15] {
        harness.get_by_label(&format!("Strength of feature {feature}"));
    }
    click(&mut harness, "Measure over all users");
    assert_eq!(
        backend.asked()[1],
        "ablate 3 Scale 0.5, 7 Scale 0.5, 11 Scale 0.5, 15 Scale 0.5 counting Promoted(20) of Test \
         beside 20"
    );
}

#[test]
fn only_recommenders_are_measured_over_all_users() {
    let start = StartAt {
        dictionary: Some("films".to_owned()),
        feature: Some(3),
        ..StartAt::default()
    };
    let (harness, _) = open(Screen::Steer, start);
    assert!(harness.query_by_label("All users").is_none());
}

#[test]
fn concepts_are_filtered_and_survive_a_look_elsewhere() {
    let (mut harness, backend) = feature_of_histories(Screen::Gallery);
    click(&mut harness, "Concepts");
    harness.get_by_label("No concepts yet");
    click(&mut harness, "Conventions of the concepts");
    click(&mut harness, "Cases as RecSAE");
    click(&mut harness, "Make concepts from keywords");
    harness.run_steps(4);
    assert_eq!(backend.asked(), ["concepts of histories RecSae"]);
    harness.get_by_label("Raw dimensions  not measured in this run");
    harness.get_by_label("60 of 60 features");
    click(&mut harness, "Filter concepts, left");
    harness
        .get_by_label("Filter concepts, left")
        .type_text("coffee");
    harness.run_steps(4);
    harness.get_by_label("18 of 60 features");
    click(&mut harness, "Sort by feature");
    let row = |harness: &Harness<'static, App>| {
        let mut rows = harness.query_all_by_label_contains("Concept of feature 1: coffee");
        rows.next().is_some()
    };
    assert!(row(&harness));
    // What one looked at is there when one comes back from a film dictionary's feature.
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num1);
    harness.run_steps(3);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num5);
    harness.run_steps(3);
    assert!(row(&harness));
}

#[test]
fn a_feature_without_concept_says_so() {
    let start = StartAt {
        dictionary: Some("histories".to_owned()),
        feature: Some(77),
        ..StartAt::default()
    };
    let (mut harness, backend) = open(Screen::Feature, start);
    click(&mut harness, "Concept");
    assert_eq!(harness.state().screen(), Screen::Gallery);
    click(&mut harness, "Make concepts from keywords");
    harness.run_steps(4);
    assert_eq!(backend.asked().len(), 1);
    harness.get_by_label_contains("Feature 77 has no concept in this run");
}
