//! Pictures of every screen on the invented project, to be looked at by a person.
//!
//! `FLUOROSCOPE_PICTURES=DIR cargo test -p ui --test pictures` writes them; without the variable
//! nothing is drawn.

use std::path::PathBuf;
use std::sync::Arc;

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use ui::bench::Invented;
use ui::{App, Options, Screen, StartAt, Waker};

/// Sizes of windows, in points; the last is what is left of the first at 175 %.
const SIZES: [([f32; 2], &str); 3] = [
    ([1280.0, 800.0], "1280"),
    ([1920.0, 1080.0], "1920"),
    ([731.0, 457.0], "731"),
];

/// What is done before a picture is taken.
#[derive(Clone, Copy)]
enum Act {
    Click(&'static str),
    Type(&'static str, &'static str),
    Set(&'static str, f64),
    Press(egui::Key),
    /// Clicks what has this in its label.
    Part(&'static str),
}

fn act(harness: &mut Harness<'static, App>, act: Act) {
    let (Act::Click(label) | Act::Type(label, _) | Act::Set(label, _)) = act else {
        match act {
            Act::Press(key) => harness.key_press(key),
            Act::Part(part) => harness.get_by_label_contains(part).click(),
            _ => {}
        }
        harness.run_steps(4);
        return;
    };
    {
        // A list has the name of the label before it.
        let list = harness.query_by_role_and_label(Role::ComboBox, label);
        let node = list.unwrap_or_else(|| harness.get_by_label(label));
        node.scroll_to_me();
    }
    harness.run_steps(3);
    {
        let list = harness.query_by_role_and_label(Role::ComboBox, label);
        let node = list.unwrap_or_else(|| harness.get_by_label(label));
        match act {
            Act::Click(_) => node.click(),
            Act::Type(..) => node.focus(),
            Act::Set(_, value) => node.set_value_accesskit(value),
            Act::Press(_) | Act::Part(_) => {}
        }
    }
    harness.run_steps(4);
    if let Act::Type(_, text) = act {
        harness.get_by_label(label).type_text(text);
    }
    harness.run_steps(4);
}

fn picture(
    folder: &std::path::Path,
    name: &str,
    size: [f32; 2],
    start: StartAt,
    keys: &[(egui::Modifiers, egui::Key)],
    acts: &[Act],
) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        start,
        demo_folder: "/home/reader/fluoroscope-demo".to_owned(),
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size(size)
        .wgpu()
        .build_eframe(move |cc| {
            let backend = Arc::new(Invented::new(20_000));
            App::new(&cc.egui_ctx, backend, &Waker::default(), options)
        });
    // Long enough for a forecast to be there.
    harness.run_steps(if name.starts_with("train") { 80 } else { 6 });
    for &(modifiers, key) in keys {
        harness.key_press_modifiers(modifiers, key);
        harness.run_steps(3);
    }
    for &one in acts {
        act(&mut harness, one);
    }
    harness.run_steps(if acts.len() > 1 { 80 } else { 4 });
    let image = harness.render()?;
    image.save(folder.join(name))?;
    Ok(())
}

/// Pictures of one state of the window in both themes and sizes, where pictures are asked for.
fn pictures(name: &str, start: &StartAt, acts: &[Act]) -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES").map(PathBuf::from) else {
        return Ok(());
    };
    for (light, theme) in [(false, "dark"), (true, "light")] {
        for (size, size_name) in SIZES {
            let start = StartAt {
                light: Some(light),
                ..start.clone()
            };
            let file = format!("{name}-{theme}-{size_name}.png");
            picture(&folder, &file, size, start, &[], acts)?;
        }
    }
    Ok(())
}

/// Name, screen and what is on it.
fn shots() -> Vec<(&'static str, Screen, StartAt)> {
    let of = |dictionary: &str| StartAt {
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    let films = || of("films");
    vec![
        ("start", Screen::Start, StartAt::default()),
        ("data", Screen::Data, StartAt::default()),
        ("models", Screen::Models, StartAt::default()),
        ("train", Screen::Train, StartAt::default()),
        ("training", Screen::Train, StartAt::default()),
        ("gallery", Screen::Gallery, films()),
        (
            "beside",
            Screen::Gallery,
            StartAt {
                second_dictionary: Some("histories".to_owned()),
                ..films()
            },
        ),
        ("reports", Screen::Gallery, of("reports")),
        ("feature", Screen::Feature, films()),
        ("history", Screen::Feature, of("histories")),
        (
            "steer",
            Screen::Steer,
            StartAt {
                strength: Some(2.0),
                ..films()
            },
        ),
        (
            "ranked",
            Screen::Steer,
            StartAt {
                strength: Some(2.0),
                ..of("histories")
            },
        ),
        (
            "grounded",
            Screen::Steer,
            StartAt {
                strength: Some(3.0),
                ..films()
            },
        ),
        ("trace", Screen::Feature, of("reports")),
        ("compare", Screen::Feature, films()),
        ("settings", Screen::Settings, StartAt::default()),
        ("tour", Screen::Settings, films()),
        ("keys", Screen::Gallery, films()),
        ("palette", Screen::Gallery, films()),
    ]
}

#[test]
fn pictures_of_every_screen() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES").map(PathBuf::from) else {
        return Ok(());
    };
    for (light, theme) in [(false, "dark"), (true, "light")] {
        for (size, size_name) in SIZES {
            for (name, screen, start) in shots() {
                let keys: &[(egui::Modifiers, egui::Key)] = match name {
                    "keys" => &[(egui::Modifiers::NONE, egui::Key::Questionmark)],
                    "palette" => &[(egui::Modifiers::COMMAND, egui::Key::K)],
                    _ => &[],
                };
                let start = StartAt {
                    screen: Some(screen),
                    light: Some(light),
                    ..start
                };
                picture(
                    &folder,
                    &format!("{name}-{theme}-{size_name}.png"),
                    size,
                    start,
                    keys,
                    match name {
                        "trace" => &[Act::Click("Occlusion")],
                        "compare" => &[Act::Click("Compare"), Act::Press(egui::Key::ArrowRight)],
                        "tour" => &[Act::Click("Take the tour")],
                        "training" => &[Act::Click("Start training")],
                        "models" => &[Act::Click(
                            "Model invented-ranker, SASRec · trained on histories",
                        )],
                        _ => &[],
                    },
                )?;
            }
        }
    }
    Ok(())
}

#[test]
fn pictures_of_recommenders() -> Result<(), Box<dyn std::error::Error>> {
    let form = [
        Act::Click("Train a recommender…"),
        Act::Click("TiMiRec"),
        Act::Set("Learning rate", 0.001),
    ];
    let running = [
        Act::Click("Train a recommender…"),
        Act::Click("TiMiRec"),
        Act::Click("Start training"),
    ];
    let stopped = [
        Act::Click("Train a recommender…"),
        Act::Click("Start training"),
        Act::Click("Stop and keep"),
    ];
    let import = [
        Act::Click("Import a recommender…"),
        Act::Click("Choose checkpoint"),
        Act::Click("What the file may not say"),
    ];
    for (name, acts) in [
        ("models-form", &form[..]),
        ("models-running", &running),
        ("models-stopped", &stopped),
        ("models-import", &import),
    ] {
        let start = StartAt {
            screen: Some(Screen::Models),
            ..StartAt::default()
        };
        pictures(name, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_what_comes_in_and_goes_out() -> Result<(), Box<dyn std::error::Error>> {
    let import = [
        Act::Click("Import a dictionary"),
        Act::Click("Folder of dictionary"),
        Act::Click("Chosen here"),
        Act::Click("Import"),
    ];
    let bare = [
        Act::Click("Import a dictionary"),
        Act::Type("Dictionary", "/data/rec.safetensors"),
        Act::Click("A harvest of the project"),
    ];
    let add = [
        Act::Click("Add another model…"),
        Act::Click("File of model"),
    ];
    let export = [
        Act::Click("Export the dictionary"),
        Act::Click("Choose export folder"),
        Act::Click("Export"),
    ];
    for (name, screen, acts) in [
        ("train-import", Screen::Train, &import[..]),
        ("train-import-bare", Screen::Train, &bare),
        ("models-add", Screen::Models, &add),
        ("evaluate-export", Screen::Evaluate, &export),
    ] {
        let start = StartAt {
            screen: Some(screen),
            ..StartAt::default()
        };
        pictures(name, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_evaluation() -> Result<(), Box<dyn std::error::Error>> {
    let at = |dictionary: &str| StartAt {
        screen: Some(Screen::Evaluate),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    let measuring = [Act::Click("Measure")];
    let charts = [Act::Click(
        "Save as PNG: Findings or categories and the feature that goes with each best",
    )];
    pictures("evaluate", &at("films"), &[])?;
    pictures("evaluate-charts", &at("films"), &charts)?;
    pictures("evaluate-measuring", &at("reports"), &measuring)?;
    Ok(())
}

#[test]
fn pictures_of_ablation() -> Result<(), Box<dyn std::error::Error>> {
    let empty = [Act::Click("All users")];
    let measured = [
        Act::Click("All users"),
        Act::Click("Ablate"),
        Act::Click("Measure over all users"),
    ];
    let lists = [
        Act::Click("All users"),
        Act::Click("Ablate"),
        Act::Click("Measure over all users"),
        Act::Click("User of sample 41"),
    ];
    let swept = [
        Act::Click("Against a bias"),
        Act::Click("Sweep the strengths"),
        Act::Click("Strength 0.5x, NDCG@10 0.1900"),
    ];
    for (name, acts) in [
        ("ablate-empty", &empty[..]),
        ("ablate", &measured),
        ("ablate-lists", &lists),
        ("bias", &swept),
    ] {
        let start = StartAt {
            screen: Some(Screen::Steer),
            dictionary: Some("histories".to_owned()),
            feature: Some(3),
            ..StartAt::default()
        };
        pictures(name, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_training() -> Result<(), Box<dyn std::error::Error>> {
    let mean = [
        Act::Click("Variant"),
        Act::Click("ReLU"),
        Act::Click("Advanced settings"),
    ];
    let recipe = [
        Act::Click("Advanced settings"),
        Act::Click("Recipe"),
        Act::Click("sparsify"),
        Act::Click("Variant"),
        Act::Click("GroupMax"),
        Act::Set("Active features k", 7.0),
    ];
    let queued = [
        Act::Click("Several at once"),
        Act::Type("Values of k", "4, 8, 12"),
        Act::Click("Train 3 dictionaries"),
        Act::Click("Run films-standard-k8, Queued"),
    ];
    for (name, acts) in [
        ("train-mean", &mean[..]),
        ("train-recipe", &recipe),
        ("train-queued", &queued),
    ] {
        let start = StartAt {
            screen: Some(Screen::Train),
            ..StartAt::default()
        };
        pictures(name, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_concepts() -> Result<(), Box<dyn std::error::Error>> {
    let empty = [Act::Click("Concepts")];
    let listed = [
        Act::Click("Concepts"),
        Act::Click("Make concepts from keywords"),
        Act::Click("How these were made"),
    ];
    let one = [
        Act::Click("Concepts"),
        Act::Click("Make concepts from keywords"),
        Act::Click("Sort by feature"),
        Act::Part("Concept of feature 0: "),
    ];
    for (name, acts) in [
        ("concepts-empty", &empty[..]),
        ("concepts", &listed),
        ("concept", &one),
    ] {
        let start = StartAt {
            screen: Some(Screen::Gallery),
            dictionary: Some("histories".to_owned()),
            ..StartAt::default()
        };
        pictures(name, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_review() -> Result<(), Box<dyn std::error::Error>> {
    let name = Act::Type("Your name, kept with each decision", "Ada");
    let begin = Act::Click("Begin the review");
    let who: [Act; 0] = [];
    let first = [name, begin];
    let going = [
        name,
        begin,
        Act::Press(egui::Key::Num7),
        Act::Press(egui::Key::A),
        Act::Press(egui::Key::X),
        Act::Press(egui::Key::F),
        Act::Press(egui::Key::U),
        Act::Press(egui::Key::ArrowRight),
        Act::Press(egui::Key::E),
    ];
    let write_first = [
        name,
        begin,
        Act::Click("When the proposal is shown"),
        Act::Click("Write first"),
    ];
    let agreement = [name, begin, Act::Click("Agreement")];
    let disagreements = [name, begin, Act::Click("Disagreements")];
    let detection = [
        name,
        begin,
        Act::Click("Detection test"),
        Act::Click("Begin the test"),
        Act::Press(egui::Key::Y),
    ];
    for (file, dictionary, acts) in [
        ("review-who", "films", &who[..]),
        ("review-films", "films", &first),
        ("review-going", "films", &going),
        ("review-histories", "histories", &first),
        ("review-reports", "reports", &write_first),
        ("review-agreement", "films", &agreement),
        ("review-disagreements", "films", &disagreements),
        ("review-detection", "films", &detection),
    ] {
        let start = StartAt {
            screen: Some(Screen::Review),
            dictionary: Some(dictionary.to_owned()),
            ..StartAt::default()
        };
        pictures(file, &start, acts)?;
    }
    Ok(())
}

#[test]
fn pictures_of_the_gallerys_plots() -> Result<(), Box<dyn std::error::Error>> {
    let at = |screen, dictionary: &str| StartAt {
        screen: Some(screen),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    let gallery = at(Screen::Gallery, "reports");
    pictures("scatter", &gallery, &[Act::Click("Scatter")])?;
    let map = [Act::Click("Map"), Act::Click("Compute the map")];
    pictures("map", &gallery, &map)?;
    let tested = StartAt {
        feature: Some(0),
        ..at(Screen::Feature, "reports")
    };
    pictures("tested", &tested, &[Act::Click("Show what was tested")])
}

#[test]
fn pictures_of_films() -> Result<(), Box<dyn std::error::Error>> {
    let feature = StartAt {
        screen: Some(Screen::Feature),
        dictionary: Some("films".to_owned()),
        feature: Some(2),
        ..StartAt::default()
    };
    let lines = [Act::Click("Contours"), Act::Click("Marked")];
    pictures("contours", &feature, &lines)?;
    let study = StartAt {
        screen: Some(Screen::Data),
        dataset: Some("films".to_owned()),
        sample: Some(3),
        ..StartAt::default()
    };
    pictures("study", &study, &[Act::Press(egui::Key::P)])?;
    Ok(())
}
