//! How a film is looked at, apart from the film: what films beside each other share.

use egui::Vec2;
use schema::Window;

use super::FilmViewer;

/// Zoom, place, polarity and window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    zoom: f32,
    pan: Vec2,
    inverted: bool,
    window: LookWindow,
}

/// A window in terms that mean something on every film.
#[derive(Debug, Clone, PartialEq)]
enum LookWindow {
    /// The one that the film came with.
    First,
    /// One of the film's presets, by its name.
    Preset(String),
    /// Moved by hand: the centre's distance from that of the film's first window, and the width, both
    /// in widths of that window.
    ByHand { centre: f32, width: f32 },
}

impl Look {
    /// As the others take it over: a window that was not touched here stays the one they share.
    pub(crate) fn taken_over(self, before: &Self, shared: Option<&Self>) -> Self {
        match shared {
            Some(shared) if self.window == before.window => Self {
                window: shared.window.clone(),
                ..self
            },
            _ => self,
        }
    }
}

impl FilmViewer {
    /// How the film is looked at; `None` until it is here.
    pub(crate) fn look(&self) -> Option<Look> {
        let presets = &self.shown.as_ref()?.film.windows;
        let (first, window) = (presets.first()?, self.window.as_ref()?);
        let window = if window == first {
            LookWindow::First
        } else if presets.contains(window) {
            LookWindow::Preset(window.name.clone())
        } else {
            LookWindow::ByHand {
                centre: (window.centre - first.centre) / first.width.max(1.0),
                width: window.width / first.width.max(1.0),
            }
        };
        Some(Look {
            zoom: self.zoom,
            pan: self.pan,
            inverted: self.inverted,
            window,
        })
    }

    /// Looks at the film as at another one. A preset that this film has not is passed over.
    pub(crate) fn set_look(&mut self, look: &Look) {
        if self.look().is_none_or(|own| own == *look) {
            return;
        }
        (self.zoom, self.pan, self.inverted) = (look.zoom, look.pan, look.inverted);
        let Some(shown) = &self.shown else { return };
        let presets = &shown.film.windows;
        let window = match &look.window {
            LookWindow::First => presets.first().cloned(),
            LookWindow::Preset(name) => presets.iter().find(|own| own.name == *name).cloned(),
            LookWindow::ByHand { centre, width } => presets.first().map(|first| Window {
                name: "By hand".to_owned(),
                centre: first.centre + centre * first.width.max(1.0),
                width: (width * first.width.max(1.0)).max(1.0),
                ..first.without_table()
            }),
        };
        if let Some(window) = window
            && self.window.as_ref() != Some(&window)
        {
            self.choose(window);
        }
    }
}
