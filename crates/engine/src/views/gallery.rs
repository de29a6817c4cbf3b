//! What a gallery shows and asks for: cards, filters, orders and plots of all features.

use std::sync::Arc;

use schema::{FeatureId, MeasuredScore, ReviewState};
use serde::{Deserialize, Serialize};

use super::ExampleView;

/// How a gallery is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSort {
    /// By number.
    #[default]
    Index,
    /// Densest first.
    Density,
    /// Rarest first.
    Rarest,
    /// Highest maximum first.
    Maximum,
    /// Highest mean first.
    Mean,
    /// Strongest association (AUROC) first; features without one last.
    Association,
    /// Best measured proposals first; features without a measured score last.
    BestScore,
    /// Worst measured proposals first; features without a measured score last.
    WorstScore,
    /// Features on which readers differ, then those whose reader differs from the proposal.
    Disagreement,
    /// Highest activation times `-log10` of the density, highest first.
    Surprise,
}

/// Number of a request for features, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChoiceTicket(pub u64);

/// The features that a gallery asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenFeatures {
    /// Of a dictionary of few features: in order, at once.
    Now(Arc<Vec<FeatureId>>),
    /// Of many: an [`Event::FeaturesChosen`](super::Event::FeaturesChosen) of this ticket follows,
    /// unless the same gallery asks for others first.
    Later(ChoiceTicket),
}

/// A feature that fires on a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FiringView {
    /// Which.
    pub feature: FeatureId,
    /// Its label, else its proposal; may be empty.
    pub caption: String,
    /// Its highest activation on the sample.
    pub activation: f32,
    /// Where that is, from 0; on a film its patch, row-major.
    pub position: u32,
    /// The same in words, counted from 1: patch of a film, token of a text, item of a history.
    pub place: String,
}

/// Which features a gallery shows, and in which order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeatureQuery {
    /// Words that must each be the number or stand in the label, the proposal, the terms it rests
    /// on, or the words or titles on which the feature is strongest; empty for all. In quotation
    /// marks: a whole word or title on which it is strongest.
    pub text: String,
    /// Lowest density.
    pub min_density: f32,
    /// Highest density.
    pub max_density: f32,
    /// Only this state; `None` for all.
    pub state: Option<ReviewState>,
    /// Only features that are flagged for a second look.
    pub flagged: bool,
    /// Leave out features that are never active.
    pub hide_dead: bool,
    /// Only features active on this sample; `None` for all.
    pub fires_on_sample: Option<u32>,
    /// Lowest and highest measured score of the proposal, 0 to 1; `None` for all, features
    /// without a score among them.
    pub score: Option<[f32; 2]>,
    /// Only features whose best finding or category with q below 0.05 is this; `None` for all.
    pub association: Option<String>,
    /// Only this group of a dictionary with nested groups, from 0; `None` for all.
    pub group: Option<u32>,
    /// Only features in this rectangle of a plot; `None` for all.
    pub area: Option<PlotArea>,
    /// Order.
    pub sort: FeatureSort,
}

impl Default for FeatureQuery {
    fn default() -> Self {
        Self {
            text: String::new(),
            min_density: 0.0,
            max_density: 1.0,
            state: None,
            flagged: false,
            hide_dead: true,
            fires_on_sample: None,
            score: None,
            association: None,
            group: None,
            area: None,
            sort: FeatureSort::Index,
        }
    }
}

/// The term or finding that goes best with a feature, with the test it passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestAssociation {
    /// The term or finding.
    pub name: String,
    /// Area under the ROC curve of the highest activation per sample or item.
    pub auroc: f32,
    /// Adjusted p value.
    pub q: f64,
}

/// A card of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureCard {
    /// Which feature.
    pub feature: FeatureId,
    /// The approved label, or empty.
    pub label: String,
    /// The proposed text, or empty.
    pub proposal: String,
    /// Where its review stands.
    pub state: ReviewState,
    /// Share of positions on which it is active.
    pub density: f32,
    /// Share of samples.
    pub sample_density: f32,
    /// Highest activation.
    pub max_activation: f32,
    /// Counts of activations in equal bins from 0 to the maximum.
    pub histogram: Arc<Vec<u32>>,
    /// Strongest term or finding, once computed.
    pub association: Option<BestAssociation>,
    /// How far the proposal was found to be true, once measured.
    pub score: Option<MeasuredScore>,
    /// Its four top samples.
    pub top: Arc<Vec<ExampleView>>,
}

/// A plot with one point per feature.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FeaturePlot {
    /// `log10` of the density against `log10` of the mean activation.
    #[default]
    Activity,
    /// Decoder directions, projected on the plane in which they differ most.
    Directions,
}

/// A rectangle of a plot, in its units, edges included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlotArea {
    /// Which plot.
    pub plot: FeaturePlot,
    /// Lowest and highest x.
    pub x: [f32; 2],
    /// Lowest and highest y.
    pub y: [f32; 2],
}

impl PlotArea {
    /// Whether a point lies in it; `NaN` never does.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        (self.x[0]..=self.x[1]).contains(&x) && (self.y[0]..=self.y[1]).contains(&y)
    }
}

/// Where the features lie on a plot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeaturePoints {
    /// One x per feature; `NaN` where the feature has no place, e.g. because it is never active.
    pub x: Vec<f32>,
    /// One y per feature, as `x`.
    pub y: Vec<f32>,
    /// Directions: shares of the variance of the unit decoder rows along x and y.
    pub variance: Option<[f32; 2]>,
}

/// What features of a dictionary can be filtered by.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GalleryFacets {
    /// Findings or categories that are the best with q below 0.05 of some feature, with the number
    /// of these features, by name.
    pub associations: Vec<(String, u32)>,
    /// Features of each nested group, innermost first; empty without groups.
    pub groups: Vec<u32>,
    /// Features whose proposal has a measured score.
    pub n_scored: u32,
}

/// Where a feature stands among nested groups. Each feature: number, label or proposal, cosine of
/// the decoder directions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NestedView {
    /// Its group, from 0, the innermost and coarsest.
    pub group: u32,
    /// How many groups there are.
    pub n_groups: u32,
    /// Nearest features of the groups before its own, nearest first.
    pub parents: Vec<(FeatureId, String, f32)>,
    /// Nearest features of the groups after its own, nearest first.
    pub children: Vec<(FeatureId, String, f32)>,
}
