//! What a search over the open project finds.

use schema::FeatureId;

/// A search that was asked for; larger is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchTicket(pub u64);

/// The best of what was found, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits<T> {
    /// Best first; a handful.
    pub first: Vec<T>,
    /// All that fit.
    pub n: u32,
}

impl<T> Default for Hits<T> {
    fn default() -> Self {
        Self {
            first: Vec::new(),
            n: 0,
        }
    }
}

/// A feature that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFeature {
    /// Its dictionary.
    pub sae: String,
    /// Its number.
    pub feature: FeatureId,
    /// Its label, else its proposal, else empty.
    pub title: String,
    /// The keyword, token or item title that fits; empty where number or label do.
    pub why: String,
}

/// An item of a catalogue that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundItem {
    /// Its dataset.
    pub dataset: String,
    /// What to show for it.
    pub title: String,
    /// A dictionary with a gallery whose histories hold such items.
    pub sae: Option<String>,
    /// The first sample whose history holds it.
    pub sample: Option<u32>,
}

/// A sample that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSample {
    /// Its dataset.
    pub dataset: String,
    /// Its number there.
    pub sample: u32,
    /// Its name.
    pub id: String,
    /// Whether it is an item history.
    pub is_history: bool,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Features whose label, proposal or number fits.
    pub by_label: Hits<FoundFeature>,
    /// Other features of which a keyword fits, or a token or item on which they are strongest.
    pub by_keyword: Hits<FoundFeature>,
    /// Items by title or by the source's own id.
    pub items: Hits<FoundItem>,
    /// Samples by name.
    pub samples: Hits<FoundSample>,
    /// Whether tokens and items of a dictionary are still being read: a fuller answer follows.
    pub goes_on: bool,
}
