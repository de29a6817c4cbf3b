//! The door's part for galleries: what all features are filtered and plotted by.

use std::sync::Arc;

use engine::Engine;
use engine::views::{ChosenFeatures, FeaturePlot, FeaturePoints, FeatureQuery, GalleryFacets};
use schema::{FeatureId, JobId};

use super::{Answer, sentence};

/// What the window may ask of galleries; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Galleries {
    fn choose_features(
        &self,
        asker: &str,
        sae: &str,
        query: &FeatureQuery,
    ) -> Answer<ChosenFeatures>;
    fn gallery_facets(&self, sae: &str) -> Answer<Arc<GalleryFacets>>;
    fn feature_points(&self, sae: &str, plot: FeaturePlot) -> Answer<Option<Arc<FeaturePoints>>>;
    fn map_directions(&self, sae: &str) -> Answer<JobId>;
    fn build_gallery(&self, sae: &str) -> Answer<JobId>;
    fn read_score(&self, run: &str, feature: FeatureId) -> Answer<()>;
}

impl Galleries for Engine {
    fn choose_features(
        &self,
        asker: &str,
        sae: &str,
        query: &FeatureQuery,
    ) -> Answer<ChosenFeatures> {
        Self::choose_features(self, asker, sae, query).map_err(sentence)
    }

    fn gallery_facets(&self, sae: &str) -> Answer<Arc<GalleryFacets>> {
        Self::gallery_facets(self, sae).map_err(sentence)
    }

    fn feature_points(&self, sae: &str, plot: FeaturePlot) -> Answer<Option<Arc<FeaturePoints>>> {
        Self::feature_points(self, sae, plot).map_err(sentence)
    }

    fn map_directions(&self, sae: &str) -> Answer<JobId> {
        Self::map_directions(self, sae).map_err(sentence)
    }

    fn build_gallery(&self, sae: &str) -> Answer<JobId> {
        Self::build_gallery(self, sae).map_err(sentence)
    }

    fn read_score(&self, run: &str, feature: FeatureId) -> Answer<()> {
        Self::read_score(self, run, feature).map_err(sentence)
    }
}
