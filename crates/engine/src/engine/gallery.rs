//! The door's part for galleries: what all features are chosen and plotted by.

use std::sync::Arc;

use schema::{FeatureId, JobId};

use crate::engine::Engine;
use crate::error::Result;
use crate::session::Session;
use crate::views::{Event, FeaturePlot, FeaturePoints, FeatureQuery, GalleryFacets};

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
