//! Opens the window: the first renderer that starts, the other one if it does not.

use std::sync::Arc;

use engine::Engine;

use crate::terminal;

/// Renderers in the order in which they are tried.
fn renderers() -> [eframe::Renderer; 2] {
    if cfg!(any(windows, target_os = "macos")) {
        [eframe::Renderer::Wgpu, eframe::Renderer::Glow]
    } else {
        [eframe::Renderer::Glow, eframe::Renderer::Wgpu]
    }
}

fn native_options(
    renderer: eframe::Renderer,
    size: [f32; 2],
    maximized: bool,
) -> eframe::NativeOptions {
    eframe::NativeOptions {
        viewport: eframe::egui::ViewportBuilder::default()
            .with_title("Fluoroscope")
            // Must equal StartupWMClass of the desktop file.
            .with_app_id("fluoroscope")
            .with_inner_size(size)
            .with_maximized(maximized)
            .with_min_inner_size([960.0, 600.0]),
        renderer,
        ..eframe::NativeOptions::default()
    }
}

/// Where films are put through their window, as the environment asks.
fn film_drawing() -> anyhow::Result<ui::FilmDrawing> {
    let asked = std::env::var("FLUOROSCOPE_FILMS").unwrap_or_default();
    ui::FilmDrawing::named(&asked)
        .map_err(|problem| anyhow::anyhow!("FLUOROSCOPE_FILMS: {problem}"))
}

/// The application as the window shows it.
pub(crate) type Shown = fn(ui::App) -> Box<dyn eframe::App>;

/// Shows the window until it is closed. `waker` is the one whose closure `engine` calls.
///
/// # Errors
/// When no renderer can start, e.g. because there is no display.
pub(crate) fn open(
    engine: &Arc<Engine>,
    waker: &ui::Waker,
    options: ui::Options,
    shown: Shown,
) -> anyhow::Result<()> {
    let drawing = film_drawing()?;
    let size = ui::window_size(&**engine, &options.start);
    let maximized = options.start.size.is_none() && ui::window_was_maximized(&**engine);
    // The options are used by the first renderer that gets as far as making the application.
    let options = Arc::new(std::sync::Mutex::new(Some(options)));
    let mut problems = Vec::new();
    for renderer in renderers() {
        let (engine, waker) = (Arc::clone(engine), waker.clone());
        let options = Arc::clone(&options);
        let result = eframe::run_native(
            "Fluoroscope",
            native_options(renderer, size, maximized),
            Box::new(move |cc| {
                let options = options
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .take()
                    .unwrap_or_default();
                let by_card = ui::draw_films_on_card(cc, drawing);
                if drawing == ui::FilmDrawing::Card && !by_card {
                    terminal::complain("no card here draws films: the processor does");
                }
                Ok(shown(ui::App::new(&cc.egui_ctx, engine, &waker, options)))
            }),
        );
        match result {
            Ok(()) => return Ok(()),
            Err(problem) => problems.push(format!("{renderer:?}: {problem}")),
        }
    }
    anyhow::bail!("cannot open a window ({})", problems.join("; "))
}
