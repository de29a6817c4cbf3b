//! Which dictionary is at hand, and showing another one where one is.

use schema::FeatureId;

use crate::app::{App, AppContext, context};
use crate::commands::Screen;
use crate::options::StartAt;
use crate::toasts::Level;

impl App {
    /// The dictionary that the place at hand shows; elsewhere that of the gallery.
    pub(super) fn dictionary_at_hand(&self) -> Option<String> {
        let screens = &self.screens;
        let own = match self.screen {
            Screen::Feature => screens.feature.subject.as_ref().map(|(sae, _)| sae.clone()),
            Screen::Review => screens.review.dictionary.clone(),
            Screen::Steer => screens.steer.dictionary.clone(),
            Screen::Evaluate => screens.evaluate.dictionary(&context!(self)),
            _ => None,
        };
        own.or_else(|| screens.gallery.panes[0].dictionary.clone())
    }

    /// Shows another dictionary in the place at hand, and in the gallery.
    pub(super) fn switch_dictionary(&mut self, name: String) {
        let mut known = self.seen.dictionaries.iter();
        let Some(view) = known.find(|view| view.name == name) else {
            return;
        };
        let is_indexed = view.indexed;
        if self.screen == Screen::Steer && !self.backend.can_steer(&name) {
            let text = format!(
                "{name} cannot be steered: the model behind it neither writes nor ranks here"
            );
            self.toasts.push(Level::Warning, text);
            return;
        }
        self.screens.gallery.panes[0].use_dictionary(name.clone());
        match self.screen {
            // The gallery says how to get one.
            Screen::Feature | Screen::Review if !is_indexed => self.screen = Screen::Gallery,
            Screen::Feature => match self.screens.feature.last_of(&name) {
                Some(feature) => self.screens.feature.open(name, feature),
                None => self.start_feature(&StartAt::default()),
            },
            Screen::Review => self.screens.review.open(name),
            Screen::Steer => self.screens.steer.use_dictionary(&name),
            Screen::Evaluate => self.screens.evaluate.show(name),
            _ => {}
        }
    }

    /// Shows the features that are strongest on an item, by its title.
    pub(super) fn show_item(&mut self, sae: String, title: &str) {
        let pane = &mut self.screens.gallery.panes[0];
        pane.use_dictionary(sae);
        pane.shows_concepts = false;
        pane.query.text = format!("\"{title}\"");
        pane.query.fires_on_sample = None;
        self.screen = Screen::Gallery;
    }

    /// Adds a feature to those that are steered, and shows them.
    pub(super) fn steer_feature(&mut self, sae: &str, feature: FeatureId, sample: Option<u32>) {
        if !self.screens.steer.add_feature(sae, feature, sample) {
            let text = format!("Feature {feature} is not added: eight are the most at once");
            self.toasts.push(Level::Warning, text);
        }
        self.screen = Screen::Steer;
    }

    /// Opens a feature's page.
    pub(super) fn open_feature(&mut self, sae: String, feature: FeatureId) {
        self.screens.feature.open(sae, feature);
        self.screen = Screen::Feature;
    }

    /// Steers a sample with the sliders as they are, where their dictionary reads its dataset, else
    /// with the first dictionary that does.
    pub(super) fn steer_sample(&mut self, dataset: &str, sample: u32) {
        let on_it = self.seen.dictionaries.iter();
        let on_it = on_it.filter(|view| view.dataset == dataset);
        let mut names = on_it
            .map(|view| view.name.clone())
            .filter(|name| self.backend.can_steer(name));
        let at_hand = self.screens.steer.dictionary();
        let sae = names.clone().find(|name| Some(name.as_str()) == at_hand);
        if let Some(sae) = sae.or_else(|| names.next()) {
            self.screens.steer.steer_sample(&sae, sample);
            self.screen = Screen::Steer;
        } else {
            let text = "No dictionary of this dataset can steer its model";
            self.toasts.push(Level::Warning, text);
        }
    }
}
