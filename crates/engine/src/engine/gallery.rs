//! The door's part for galleries: what all features are chosen and plotted by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use schema::{FeatureId, JobId};

use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::lock;
use crate::session::Session;
use crate::views::{
    ChoiceTicket, ChosenFeatures, Event, FeaturePlot, FeaturePoints, FeatureQuery, GalleryFacets,
};

/// The widest dictionary whose features are chosen at once: that takes 3 ms at most.
pub const CHOSEN_AT_ONCE: u32 = 20_000;

/// Which request for features each gallery waits for.
#[derive(Default)]
pub(super) struct Choices(Mutex<(u64, BTreeMap<String, u64>)>);

impl Choices {
    /// A new request of the gallery `asker`, in place of the one it may still wait for.
    fn ask(&self, asker: &str) -> ChoiceTicket {
        let mut choices = lock(&self.0);
        choices.0 += 1;
        let ticket = choices.0;
        choices.1.insert(asker.to_owned(), ticket);
        ChoiceTicket(ticket)
    }

    /// Whether the gallery waits for this request still.
    fn is_awaited(&self, asker: &str, ticket: ChoiceTicket) -> bool {
        lock(&self.0).1.get(asker) == Some(&ticket.0)
    }
}

impl Engine {
    /// The features a gallery shows, in order. May cost some milliseconds for a wide dictionary:
    /// keep the answer until the query or the revision changes. Top words, item titles and findings
    /// are read in the background at first; the revision changes when they are there.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn feature_ids(&self, sae: &str, query: &FeatureQuery) -> Result<Arc<Vec<FeatureId>>> {
        let session = self.shared.session()?;
        if query.association.is_some() || !query.text.is_empty() {
            self.read_gallery(&session, sae);
        }
        Ok(Arc::new(session.known_feature_ids(sae, query)?))
    }

    /// The features that the gallery `asker` is to show: at once where the dictionary has few, else
    /// by [`Event::FeaturesChosen`]; a newer request of the same gallery replaces this one. Top
    /// words, item titles and findings are read as by [`Engine::feature_ids`].
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn choose_features(
        &self,
        asker: &str,
        sae: &str,
        query: &FeatureQuery,
    ) -> Result<ChosenFeatures> {
        let session = self.shared.session()?;
        let ticket = self.shared.choices.ask(asker);
        if session.indexed(sae)?.index.n_features() <= CHOSEN_AT_ONCE {
            return Ok(ChosenFeatures::Now(self.feature_ids(sae, query)?));
        }
        if query.association.is_some() || !query.text.is_empty() {
            self.read_gallery(&session, sae);
        }
        let shared = Arc::clone(&self.shared);
        let (asker, sae, query) = (asker.to_owned(), sae.to_owned(), query.clone());
        self.choosing.run(move || {
            if !shared.choices.is_awaited(&asker, ticket) {
                return;
            }
            let chosen = session.known_feature_ids(&sae, &query).map(Arc::new);
            if shared.choices.is_awaited(&asker, ticket) {
                let answer = chosen.map_err(|error| error.message);
                shared.send(Event::FeaturesChosen(ticket, answer));
            }
        });
        Ok(ChosenFeatures::Later(ticket))
    }

    /// What a gallery can be filtered by. Findings are read in the background at first; the revision
    /// changes when they are there.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn gallery_facets(&self, sae: &str) -> Result<Arc<GalleryFacets>> {
        let session = self.shared.session()?;
        self.read_gallery(&session, sae);
        Ok(Arc::new(session.gallery_facets(sae)?))
    }

    /// Where the features lie on a plot; `None` where it must be computed first.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn feature_points(
        &self,
        sae: &str,
        plot: FeaturePlot,
    ) -> Result<Option<Arc<FeaturePoints>>> {
        self.shared.session()?.feature_points(sae, plot)
    }

    /// Computes the map of decoder directions, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn map_directions(&self, sae: &str) -> Result<JobId> {
        let sae = sae.to_owned();
        self.start_in_project(
            &format!("Map the directions of {sae}"),
            move |job, session| {
                session.map_directions(&sae, job)?;
                Ok(format!("Mapped the directions of {sae}"))
            },
        )
    }

    /// Builds the gallery of a dictionary that has none, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn build_gallery(&self, sae: &str) -> Result<JobId> {
        let sae = sae.to_owned();
        self.start_in_project(
            &format!("Build the gallery of {sae}"),
            move |job, session| {
                session.build_feature_index(&sae, job)?;
                Ok(format!("Built the gallery of {sae}"))
            },
        )
    }

    /// Reads what a measured score rests on; `Event::ScoreRead` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_score(&self, run: &str, feature: FeatureId) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let run = run.to_owned();
        self.reading.run(move || {
            let answer = session.score_evidence(&run, feature);
            let answer = answer.map_err(|error| error.message);
            shared.send(Event::ScoreRead(run, feature, Box::new(answer)));
        });
        Ok(())
    }

    fn read_gallery(&self, session: &Arc<Session>, sae: &str) {
        if !session.galleries.must_read(sae) {
            return;
        }
        let (session, shared) = (Arc::clone(session), Arc::clone(&self.shared));
        let sae = sae.to_owned();
        self.reading.run(move || {
            // What cannot be read filters nothing; the dictionary's own errors are told elsewhere.
            session.read_gallery(&sae).ok();
            shared.changed();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_waits_for_its_newest_request_alone() {
        let choices = Choices::default();
        let first = choices.ask("left");
        let other = choices.ask("right");
        assert!(choices.is_awaited("left", first));
        let second = choices.ask("left");
        assert!(second > first);
        assert!(!choices.is_awaited("left", first));
        assert!(choices.is_awaited("left", second));
        assert!(choices.is_awaited("right", other));
        assert!(!choices.is_awaited("right", second));
    }
}
