//! Pictures of every screen on the invented project, to be looked at by a person.
//!
//! `FLUOROSCOPE_PICTURES=DIR cargo test -p ui --test pictures` writes them; without the variable
//! nothing is drawn.

use std::path::PathBuf;
use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use ui::bench::Invented;
use ui::{App, Options, Screen, StartAt, Waker};

fn picture(
    folder: &std::path::Path,
    name: &str,
    size: [f32; 2],
    start: StartAt,
    keys: &[(egui::Modifiers, egui::Key)],
    click: Option<&str>,
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
    if let Some(label) = click {
        harness.get_by_label(label).click();
        harness.run_steps(8);
    }
    harness.run_steps(4);
    let image = harness.render()?;
    image.save(folder.join(name))?;
    Ok(())
}

#[test]
fn pictures_of_every_screen() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::var_os("FLUOROSCOPE_PICTURES").map(PathBuf::from) else {
        return Ok(());
    };
    let of = |dictionary: &str| StartAt {
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    let films = || of("films");
    for (light, theme) in [(false, "dark"), (true, "light")] {
        for (size, size_name) in [([1280.0, 800.0], "1280"), ([1920.0, 1080.0], "1920")] {
            let shots = [
                ("start", Screen::Start, StartAt::default()),
                ("data", Screen::Data, StartAt::default()),
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
                    "grounded",
                    Screen::Steer,
                    StartAt {
                        strength: Some(3.0),
                        ..films()
                    },
                ),
                ("trace", Screen::Feature, of("reports")),
                ("keys", Screen::Gallery, films()),
                ("palette", Screen::Gallery, films()),
            ];
            for (name, screen, start) in shots {
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
                        "trace" => Some("Occlusion"),
                        "training" => Some("Start training"),
                        _ => None,
                    },
                )?;
            }
        }
    }
    Ok(())
}
