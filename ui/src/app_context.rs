//! What every panel may see: borrows of the application, and the sender of commands.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use engine::views::{
    DatasetView, DictionaryView, ExampleKind, FeatureCard, JobView, Revision, RunView,
};
use schema::FeatureId;

use crate::app::Layout;
use crate::backend::{Answer, Backend};
use crate::commands::{Command, CommandSender, Rail, Screen};
use crate::film_textures::{FilmTextures, HeatStyle};

/// Read by panels while they draw; changed only by `App::logic`.
pub(crate) struct AppContext<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) commands: &'a CommandSender,
    pub(crate) films: &'a FilmTextures,
    pub(crate) cards: &'a CardCache,
    pub(crate) layout: &'a Layout,
    pub(crate) dictionaries: &'a [DictionaryView],
    pub(crate) datasets: &'a [DatasetView],
    pub(crate) heat: HeatStyle,
    pub(crate) revision: Revision,
    pub(crate) runs: &'a [RunView],
    pub(crate) jobs: &'a [JobView],
    pub(crate) reviewer: &'a str,
    pub(crate) project_open: bool,
    pub(crate) look: Look,
    /// The place that is shown.
    pub(crate) screen: Screen,
}

/// How the window looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) light: bool,
    /// Size of everything, beside the screen's own.
    pub(crate) scale: f32,
    pub(crate) rail: Rail,
}

impl AppContext<'_> {
    /// Queues a command.
    pub(crate) fn send(&self, command: Command) {
        self.commands.send(command);
    }

    /// Whether the main panel of the place has all the room.
    pub(crate) fn is_alone(&self) -> bool {
        self.layout.is_alone(self.screen)
    }

    /// The dictionary called `name`.
    pub(crate) fn dictionary(&self, name: &str) -> Option<&DictionaryView> {
        self.dictionaries.iter().find(|view| view.name == name)
    }

    /// The dataset called `name`.
    pub(crate) fn dataset(&self, name: &str) -> Option<&DatasetView> {
        self.datasets.iter().find(|view| view.manifest.name == name)
    }

    /// A card, from the cache if nothing has changed.
    pub(crate) fn card(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeatureCard>> {
        self.cards.get(self.backend, self.revision, sae, feature)
    }
}

/// What the user calls examples of a dictionary.
pub(crate) fn kind_name(kind: ExampleKind) -> &'static str {
    match kind {
        ExampleKind::Film => "films",
        ExampleKind::Text => "reports",
        ExampleKind::History => "histories",
    }
}

/// A sample as a reader calls it: a bare number gets a noun.
pub(crate) fn sample_name(id: &str, is_history: bool) -> String {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
        let noun = if is_history { "User" } else { "Sample" };
        format!("{noun} {id}")
    } else {
        id.to_owned()
    }
}

/// A finding or category as a reader writes it: tables join its words with underscores.
pub(crate) fn in_words(name: &str) -> String {
    name.replace('_', " ")
}

/// Cards of one generation.
const GENERATION: usize = 512;

type Cards = HashMap<(Arc<str>, FeatureId), Answer<Arc<FeatureCard>>>;

/// Cards by dictionary and feature, valid for one revision.
///
/// Two generations: a card that is used moves to the young one; when that is full, the old one is
/// dropped. So no frame pays for dropping everything.
#[derive(Default)]
pub(crate) struct CardCache(RefCell<Generations>);

#[derive(Default)]
struct Generations {
    revision: Revision,
    names: Vec<Arc<str>>,
    young: Cards,
    old: Cards,
}

impl CardCache {
    fn get(
        &self,
        backend: &dyn Backend,
        revision: Revision,
        sae: &str,
        feature: FeatureId,
    ) -> Answer<Arc<FeatureCard>> {
        let mut inner = self.0.borrow_mut();
        if inner.revision != revision {
            *inner = Generations {
                revision,
                ..Generations::default()
            };
        }
        let known = inner.names.iter().find(|name| &***name == sae).cloned();
        let name = known.unwrap_or_else(|| {
            let name: Arc<str> = sae.into();
            inner.names.push(Arc::clone(&name));
            name
        });
        let key = (name, feature);
        if let Some(card) = inner.young.get(&key) {
            return card.clone();
        }
        let card = inner
            .old
            .remove(&key)
            .unwrap_or_else(|| backend.feature_card(sae, feature));
        if inner.young.len() >= GENERATION {
            inner.old = std::mem::take(&mut inner.young);
        }
        inner.young.insert(key, card.clone());
        card
    }
}
