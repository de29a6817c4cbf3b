//! Films drawn by the card's shader beside those drawn by the processor: the same grey levels.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::sync::Arc;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use ui::bench::Invented;
use ui::{App, FilmDrawing, Options, Screen, StartAt, Waker};

/// Frames after which the film is there.
const N_FRAMES: usize = 30;

/// Grey levels by which a pixel may differ: cards place the corners of a texture, and weigh its
/// pixels, in steps of 1/256, which shows at sharp edges.
const MOST_LEVELS: u8 = 6;
/// Pixels of 1,024,000 that may differ by more than one level.
const MOST_PIXELS: usize = 2_000;

/// The page of a feature with a film of `side` pixels a side.
fn open(side: u32, drawing: FilmDrawing) -> Harness<'static, App> {
    let options = Options {
        start: StartAt {
            screen: Some(Screen::Feature),
            dictionary: Some("films".to_owned()),
            feature: Some(2),
            light: Some(false),
            ..StartAt::default()
        },
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .wgpu()
        .build_eframe(move |cc| {
            let by_card = ui::draw_films_on_card(cc, drawing);
            assert_eq!(by_card, drawing == FilmDrawing::Card);
            let backend = Arc::new(Invented::new(200).with_films_of(side));
            App::new(&cc.egui_ctx, backend, &Waker::default(), options)
        });
    harness.run_steps(N_FRAMES);
    // A large film is uploaded over several frames, each of which must be drawn.
    for _ in 0..6 {
        harness.run_steps(1);
        harness.render().unwrap();
    }
    harness
}

/// Middle of the large film.
fn middle(harness: &Harness<'static, App>) -> egui::Pos2 {
    let film = harness.get_by_label_contains("Radiograph");
    let bounds = film.accesskit_node().bounding_box().unwrap();
    let at = |low: f64, high: f64| f64::midpoint(low, high) as f32;
    egui::pos2(at(bounds.x0, bounds.x1), at(bounds.y0, bounds.y1))
}

/// Asserts that both draw the same; what the card has drawn.
fn same(pair: &mut [Harness<'static, App>; 2], what: &str) -> Vec<u8> {
    let [processor, card] = pair.each_mut().map(|harness| harness.render().unwrap());
    let apart = processor
        .pixels()
        .zip(card.pixels())
        .map(|(a, b)| (0..3).map(|at| a.0[at].abs_diff(b.0[at])).max().unwrap());
    let apart: Vec<u8> = apart.filter(|&apart| apart > 1).collect();
    let worst = apart.iter().max().copied().unwrap_or(0);
    let problem = format!("{what}: {} pixels up to {worst} levels apart", apart.len());
    assert!(
        worst <= MOST_LEVELS && apart.len() <= MOST_PIXELS,
        "{problem}"
    );
    card.into_raw()
}

#[test]
fn the_card_draws_what_the_processor_draws() {
    for side in [700, 3000] {
        let mut pair = [FilmDrawing::Processor, FilmDrawing::Card].map(|how| open(side, how));
        let first = same(&mut pair, &format!("{side} pixels"));
        for harness in &mut pair {
            let at = middle(harness);
            harness.drag_at(at);
            harness.run_steps(2);
            harness.hover_at(at + egui::vec2(60.0, 40.0));
            harness.run_steps(2);
            harness.drop_at(at + egui::vec2(60.0, 40.0));
            harness.run_steps(2);
        }
        let dragged = same(&mut pair, &format!("{side} pixels, window dragged"));
        assert!(first != dragged, "dragging changes what is seen");
        for harness in &mut pair {
            harness.key_press(egui::Key::I);
            harness.run_steps(2);
        }
        let inverted = same(&mut pair, &format!("{side} pixels, inverted"));
        assert!(inverted != dragged, "inverting changes what is seen");
        for harness in &mut pair {
            let at = middle(harness);
            harness.hover_at(at);
            harness.run_steps(2);
            for _ in 0..3 {
                harness.event(egui::Event::Zoom(1.7));
                harness.run_steps(2);
                harness.render().unwrap();
            }
            for _ in 0..4 {
                harness.run_steps(1);
                harness.render().unwrap();
            }
        }
        let near = same(&mut pair, &format!("{side} pixels, near"));
        assert!(near != inverted, "zooming changes what is seen");
    }
}
