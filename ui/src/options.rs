//! How the window starts, and what it remembers between two starts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::views::{FeatureQuery, SweepRange};
use schema::{FeatureId, PositionScope, SteeringMode};
use serde::{Deserialize, Serialize};

use crate::commands::{Rail, Screen};
use crate::film_textures::HeatStyle;
use crate::screens::gallery::pane::first_query;

/// Where the window opens; everything left out is as it was last time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartAt {
    /// Place in the rail.
    pub screen: Option<Screen>,
    /// Dictionary of the gallery (left half), the feature page and steering.
    pub dictionary: Option<String>,
    /// Dictionary of the gallery's right half; shows two side by side.
    pub second_dictionary: Option<String>,
    /// Feature of the feature page and of steering.
    pub feature: Option<u32>,
    /// Dataset of the data screen.
    pub dataset: Option<String>,
    /// Sample of the data screen and of steering.
    pub sample: Option<u32>,
    /// Strength of `feature` on the steering screen, in observed maxima.
    pub strength: Option<f32>,
    /// Whether the theme is light.
    pub light: Option<bool>,
    /// Inner size of the window, in points.
    pub size: Option<[f32; 2]>,
}

/// A picture of the window, taken once everything asked for is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green, blue, alpha per pixel, row-major.
    pub rgba: Vec<u8>,
}

/// Receives the picture.
pub type ScreenshotSink = Box<dyn FnOnce(Screenshot) + Send>;

/// Options of the window.
#[derive(Default)]
pub struct Options {
    /// Where to open.
    pub start: StartAt,
    /// Folder that the start screen offers for the demo project.
    pub demo_folder: String,
    /// Whether the project that was open last opens again, unless the user wants to start on Start.
    pub reopen: bool,
    /// What went wrong before the window opened, to be told in it.
    pub problem: Option<String>,
    /// Takes one picture, then closes the window.
    pub screenshot: Option<ScreenshotSink>,
}

/// Wakes the window from any thread once there is one.
#[derive(Clone, Default)]
pub struct Waker(Arc<Mutex<Option<egui::Context>>>);

impl Waker {
    /// The closure to give to `Engine::new`.
    pub fn wake(&self) -> Arc<dyn Fn() + Send + Sync> {
        let waker = self.clone();
        Arc::new(move || {
            let ctx = waker
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some(ctx) = ctx {
                ctx.request_repaint();
            }
        })
    }

    pub(crate) fn connect(&self, ctx: &egui::Context) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ctx.clone());
    }
}

/// One half of the gallery, as remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RememberedPane {
    pub(crate) dictionary: Option<String>,
    pub(crate) query: FeatureQuery,
    /// Whether concepts are shown in place of cards.
    pub(crate) concepts: bool,
}

impl Default for RememberedPane {
    fn default() -> Self {
        Self {
            dictionary: None,
            query: first_query(),
            concepts: false,
        }
    }
}

/// The sliders of the steering screen, as remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RememberedSteering {
    pub(crate) dictionary: String,
    pub(crate) sample: u32,
    /// Feature and strength.
    pub(crate) knobs: Vec<(FeatureId, f32)>,
    pub(crate) mode: SteeringMode,
    pub(crate) scope: PositionScope,
    /// Whether a random direction stands beside what the features do.
    pub(crate) control: bool,
    pub(crate) sweep: RememberedSweep,
}

/// The form of the dose-response sweep, as remembered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RememberedSweep {
    pub(crate) range: SweepRange,
    /// Random directions beside the features.
    pub(crate) n_controls: u32,
}

impl Default for RememberedSweep {
    fn default() -> Self {
        Self {
            range: SweepRange::default(),
            n_controls: 3,
        }
    }
}

/// Where one was in a project; unknown or missing fields fall back to defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    pub(crate) screen: Screen,
    pub(crate) side_by_side: bool,
    pub(crate) panes: [RememberedPane; 2],
    /// Dictionary and feature of the feature page.
    pub(crate) feature: Option<(String, FeatureId)>,
    /// Dictionary under review.
    pub(crate) review: Option<String>,
    /// Dataset and sample of the data screen.
    pub(crate) dataset: Option<String>,
    pub(crate) sample: u32,
    /// Dictionary of the evaluation.
    pub(crate) evaluated: Option<String>,
    pub(crate) steering: Option<RememberedSteering>,
}

impl Place {
    /// Reads what [`Place::to_text`] wrote; anything else is no place.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the window remembers of itself, whatever the project; unknown or missing fields fall back
/// to defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Remembered {
    pub(crate) light: bool,
    pub(crate) heat: HeatStyle,
    pub(crate) size: [f32; 2],
    /// Widths and heights of panels, by name.
    pub(crate) panels: BTreeMap<String, f32>,
    /// Places whose main panel has all the room.
    pub(crate) alone: Vec<Screen>,
    /// Whether the window filled the screen.
    pub(crate) maximized: bool,
    /// Size of everything, beside the screen's own.
    pub(crate) scale: f32,
    pub(crate) rail: Rail,
    /// Keys that differ from those of the start, by action.
    pub(crate) keys: BTreeMap<String, String>,
    /// Whether the tour was seen or put away.
    pub(crate) toured: bool,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            light: false,
            heat: HeatStyle::default(),
            size: [1280.0, 800.0],
            panels: BTreeMap::new(),
            alone: Vec::new(),
            maximized: false,
            scale: 1.0,
            rail: Rail::default(),
            keys: BTreeMap::new(),
            toured: false,
        }
    }
}

impl Remembered {
    /// Reads what [`Remembered::to_text`] wrote; anything else is forgotten.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_round_trips_and_survives_nonsense() {
        let memory = Remembered {
            light: true,
            ..Remembered::default()
        };
        assert_eq!(Remembered::from_text(&memory.to_text()), memory);
        assert_eq!(Remembered::from_text("{"), Remembered::default());
        let mut place = Place {
            feature: Some(("films".to_owned(), FeatureId(3))),
            ..Place::default()
        };
        place.panes[1].dictionary = Some("tastes".to_owned());
        place.steering = Some(RememberedSteering {
            dictionary: "films".to_owned(),
            sample: 4,
            knobs: vec![(FeatureId(3), 1.5)],
            mode: SteeringMode::Clamp,
            scope: PositionScope::Range {
                from: 2,
                to: Some(9),
            },
            control: true,
            sweep: RememberedSweep {
                n_controls: 7,
                ..RememberedSweep::default()
            },
        });
        assert_eq!(Place::from_text(&place.to_text()), Some(place));
        assert_eq!(Place::from_text("{"), None);
        let old = Place::from_text("{\"screen\":\"gallery\",\"gone\":1}");
        let before = "{\"steering\":{\"dictionary\":\"films\"}}";
        let steering = Place::from_text(before).and_then(|place| place.steering);
        assert_eq!(steering.map(|one| one.sweep.n_controls), Some(3));
        assert_eq!(old.map(|old| old.screen), Some(Screen::Gallery));
    }
}
