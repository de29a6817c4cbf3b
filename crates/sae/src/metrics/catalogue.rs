//! The catalogue of metrics: what each is called, how it is defined, and which way is better.

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Higher is better.
    Higher,
    /// Lower is better.
    Lower,
    /// Neither: it describes.
    None,
}

impl Direction {
    /// In words, for a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
            Self::None => "describes",
        }
    }
}

/// What a user is told of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricDefinition {
    /// Key in JSON.
    pub id: &'static str,
    /// The field's term.
    pub name: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Which values there are, and what they mean.
    pub range: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// One sentence for the screen.
    pub tooltip: &'static str,
    /// What the 95 % interval resamples.
    pub resampled: &'static str,
    /// Where the definition is from.
    pub source: &'static str,
}

/// A metric of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// FVU.
    Fvu,
    /// Explained variance.
    ExplainedVariance,
    /// Cosine.
    Cosine,
    /// L0.
    L0,
    /// L1.
    L1,
    /// Median density.
    Density,
    /// Dead share.
    DeadShare,
    /// Dense share.
    DenseShare,
    /// Loss recovered.
    LossRecovered,
    /// HR@10 kept.
    HrKept,
    /// NDCG@10 kept.
    NdcgKept,
    /// Nearest neighbour.
    NeighbourCosine,
    /// Stability.
    Stability,
    /// Shared features.
    SharedShare,
    /// Probe AUROC, 1 feature.
    ProbeAuroc1,
    /// Probe AUROC, 5 features.
    ProbeAuroc5,
    /// Probe F1, 1 feature.
    ProbeF1x1,
    /// Probe F1, 5 features.
    ProbeF1x5,
    /// Monosemanticity.
    Monosemanticity,
    /// Features per concept.
    Splitting,
    /// Absorption.
    Absorption,
    /// Planted concepts, F1.
    PlantedF1,
    /// Planted concepts recovered.
    PlantedRecovered,
}

impl Metric {
    /// All of them, in the order of a table.
    pub const ALL: [Self; 23] = [
        Self::Fvu,
        Self::ExplainedVariance,
        Self::Cosine,
        Self::L0,
        Self::L1,
        Self::Density,
        Self::DeadShare,
        Self::DenseShare,
        Self::LossRecovered,
        Self::HrKept,
        Self::NdcgKept,
        Self::NeighbourCosine,
        Self::Stability,
        Self::SharedShare,
        Self::ProbeAuroc1,
        Self::ProbeAuroc5,
        Self::ProbeF1x1,
        Self::ProbeF1x5,
        Self::Monosemanticity,
        Self::Splitting,
        Self::Absorption,
        Self::PlantedF1,
        Self::PlantedRecovered,
    ];

    /// What it is.
    pub fn definition(self) -> &'static MetricDefinition {
        &DEFINITIONS[self as usize]
    }

    /// Its key in JSON.
    pub fn id(self) -> &'static str {
        self.definition().id
    }
}

/// In the order of [`Metric::ALL`].
static DEFINITIONS: [MetricDefinition; 23] = [
    MetricDefinition {
        id: "fvu",
        name: "FVU",
        formula: "Σ‖x − x̂‖² / Σ‖x − x̄‖²",
        unit: "none",
        range: "0 and up; 1 is no better than the mean",
        direction: Direction::Lower,
        tooltip: "Share of the activations' variance that the reconstruction misses.",
        resampled: "patients or users",
        source: "https://en.wikipedia.org/wiki/Fraction_of_variance_unexplained",
    },
    MetricDefinition {
        id: "explained_variance",
        name: "Explained variance",
        formula: "1 − Σ‖e − ē‖² / Σ‖x − x̄‖², e = x − x̂",
        unit: "none",
        range: "up to 1; 0 is no better than a constant",
        direction: Direction::Higher,
        tooltip: "Share of the variance that the reconstruction gives back, a constant error not counted; 1 − FVU is never above it.",
        resampled: "patients or users",
        source: "frac_variance_explained of dictionary_learning 0.1.0",
    },
    MetricDefinition {
        id: "cosine",
        name: "Cosine",
        formula: "mean of ⟨x, x̂⟩ / (‖x‖ ‖x̂‖)",
        unit: "none",
        range: "−1 to 1",
        direction: Direction::Higher,
        tooltip: "How well the direction of an activation is kept, whatever its length.",
        resampled: "patients or users",
        source: "cossim of dictionary_learning 0.1.0",
    },
    MetricDefinition {
        id: "l0",
        name: "L0",
        formula: "mean number of features with f_i > 0 per row",
        unit: "features per row",
        range: "0 to the number of features",
        direction: Direction::None,
        tooltip: "How many features are active at a position; compare dictionaries only at a similar L0.",
        resampled: "patients or users",
        source: "Bricken et al. 2023, Towards Monosemanticity",
    },
    MetricDefinition {
        id: "l1",
        name: "L1",
        formula: "mean of Σ f_i per row",
        unit: "units of the activation",
        range: "0 and up",
        direction: Direction::None,
        tooltip: "Sum of the feature activations at a position; grows with the scale of the hook.",
        resampled: "patients or users",
        source: "Bricken et al. 2023, Towards Monosemanticity",
    },
    MetricDefinition {
        id: "density",
        name: "Median density",
        formula: "median over live features of n_i / n; the histogram counts log10 of it in half decades",
        unit: "share of rows",
        range: "0 to 1",
        direction: Direction::None,
        tooltip: "On what share of the positions a typical feature is active; the histogram shows all of them.",
        resampled: "not resampled",
        source: "Bricken et al. 2023, Towards Monosemanticity (feature density histogram)",
    },
    MetricDefinition {
        id: "dead_share",
        name: "Dead share",
        formula: "#{i : n_i = 0} / n_features",
        unit: "share of features",
        range: "0 to 1",
        direction: Direction::Lower,
        tooltip: "Features that are active nowhere on these rows: capacity that is not used.",
        resampled: "not resampled",
        source: "Gao et al. 2024, arXiv 2406.04093 (there, over a window of training)",
    },
    MetricDefinition {
        id: "dense_share",
        name: "Dense share",
        formula: "#{i : n_i / n > 0.1} / n_features",
        unit: "share of features",
        range: "0 to 1",
        direction: Direction::None,
        tooltip: "Features active on more than a tenth of the positions: often position or size rather than a concept.",
        resampled: "not resampled",
        source: "Sun et al. 2025, arXiv 2506.15679",
    },
    MetricDefinition {
        id: "loss_recovered",
        name: "Loss recovered",
        formula: "(L_zero − L_sae) / (L_zero − L_clean), L the mean loss of a report token",
        unit: "none",
        range: "up to 1; 0 is no better than zeros",
        direction: Direction::Higher,
        tooltip: "How much of the model's skill at writing reports survives when it runs on reconstructions.",
        resampled: "patients",
        source: "Bricken et al. 2023; dictionary_learning's evaluation.py",
    },
    MetricDefinition {
        id: "hr_kept",
        name: "HR@10 kept",
        formula: "HR@10 of reconstructed user vectors / HR@10 of the user vectors",
        unit: "none",
        range: "0 and up; 1 is all of it",
        direction: Direction::Higher,
        tooltip: "Share of the recommender's hits among the first ten that survive when it runs on reconstructions.",
        resampled: "users",
        source: "Wang et al. 2024, arXiv 2411.06112",
    },
    MetricDefinition {
        id: "ndcg_kept",
        name: "NDCG@10 kept",
        formula: "NDCG@10 of reconstructed user vectors / NDCG@10 of the user vectors",
        unit: "none",
        range: "0 and up; 1 is all of it",
        direction: Direction::Higher,
        tooltip: "Share of the recommender's ranking quality that survives when it runs on reconstructions.",
        resampled: "users",
        source: "Wang et al. 2024, arXiv 2411.06112",
    },
    MetricDefinition {
        id: "neighbour_cosine",
        name: "Nearest neighbour",
        formula: "mean over features of the highest cosine with another decoder row",
        unit: "none",
        range: "−1 to 1",
        direction: Direction::None,
        tooltip: "How close the nearest other direction of the dictionary is: near 1, much is said twice.",
        resampled: "not resampled",
        source: "Bricken et al. 2023; max_cos_sim of SAEBench (arXiv 2503.09532)",
    },
    MetricDefinition {
        id: "stability",
        name: "Stability",
        formula: "mean cosine of decoder rows matched one to one (Hungarian method)",
        unit: "none",
        range: "−1 to 1",
        direction: Direction::Higher,
        tooltip: "How alike the features of another training are, each matched with its counterpart.",
        resampled: "features",
        source: "Paulo and Belrose 2025, arXiv 2501.16615",
    },
    MetricDefinition {
        id: "shared_share",
        name: "Shared features",
        formula: "share of matched features with cosine > 0.7",
        unit: "share of features",
        range: "0 to 1",
        direction: Direction::Higher,
        tooltip: "Share of the features that another training found too.",
        resampled: "features",
        source: "Paulo and Belrose 2025, arXiv 2501.16615",
    },
    MetricDefinition {
        id: "probe_auroc_1",
        name: "Probe AUROC, 1 feature",
        formula: "mean over concepts of the AUROC of a logistic probe on 1 feature, chosen on training patients, on others",
        unit: "none",
        range: "0 to 1; 0.5 is chance",
        direction: Direction::Higher,
        tooltip: "How well one feature alone tells who has a finding or which category an item is of.",
        resampled: "patients or users",
        source: "Gurnee et al. 2023, arXiv 2305.01610; SAEBench, arXiv 2503.09532",
    },
    MetricDefinition {
        id: "probe_auroc_5",
        name: "Probe AUROC, 5 features",
        formula: "as with 1 feature, the probe reading the best 5",
        unit: "none",
        range: "0 to 1; 0.5 is chance",
        direction: Direction::Higher,
        tooltip: "How well five features together tell who has a finding or which category an item is of.",
        resampled: "patients or users",
        source: "Gurnee et al. 2023, arXiv 2305.01610; SAEBench, arXiv 2503.09532",
    },
    MetricDefinition {
        id: "probe_f1_1",
        name: "Probe F1, 1 feature",
        formula: "mean over concepts of the F1 of that probe, its threshold chosen on training patients",
        unit: "none",
        range: "0 to 1",
        direction: Direction::Higher,
        tooltip: "Precision and recall together of a probe on one feature, on patients it has not seen.",
        resampled: "patients or users",
        source: "Gurnee et al. 2023, arXiv 2305.01610",
    },
    MetricDefinition {
        id: "probe_f1_5",
        name: "Probe F1, 5 features",
        formula: "as with 1 feature, the probe reading the best 5",
        unit: "none",
        range: "0 to 1",
        direction: Direction::Higher,
        tooltip: "Precision and recall together of a probe on five features, on patients it has not seen.",
        resampled: "patients or users",
        source: "Gurnee et al. 2023, arXiv 2305.01610",
    },
    MetricDefinition {
        id: "monosemanticity",
        name: "Monosemanticity",
        formula: "mean over features of Σ_{n<m} ã_n ã_m cos(e_n, e_m) / Σ_{n<m} ã_n ã_m",
        unit: "none",
        range: "−1 to 1; the mean cosine of all pairs is chance",
        direction: Direction::Higher,
        tooltip: "How alike the samples are that excite a feature, judged by an embedding.",
        resampled: "features",
        source: "Pach et al. 2025, arXiv 2504.02821",
    },
    MetricDefinition {
        id: "splitting",
        name: "Features per concept",
        formula: "mean over planted concepts of the smallest k ≤ 10 from which one more feature raises the F1 of a k-sparse probe by no more than 0.03",
        unit: "features",
        range: "1 to 10",
        direction: Direction::Lower,
        tooltip: "Over how many features a planted concept is spread.",
        resampled: "patients or users",
        source: "Chanin et al. 2024, arXiv 2409.14507",
    },
    MetricDefinition {
        id: "absorption",
        name: "Absorption",
        formula: "mean over planted concepts of: positions with the concept, found by a dense probe, on which none of its features is active and one other feature carries at least 0.4 of the projection on the probe / positions with the concept that the probe finds",
        unit: "share of positions",
        range: "0 to 1",
        direction: Direction::Lower,
        tooltip: "How often a concept's own features stay silent because another feature has taken it over.",
        resampled: "patients or users",
        source: "Chanin et al. 2024, arXiv 2409.14507; share of 0.4 as in SAEBench, arXiv 2503.09532",
    },
    MetricDefinition {
        id: "planted_f1",
        name: "Planted concepts, F1",
        formula: "mean over planted concepts of the F1 of the best single feature, chosen on training units, on fresh ones",
        unit: "none",
        range: "0 to 1",
        direction: Direction::Higher,
        tooltip: "How well the best feature for each planted concept tells where it is.",
        resampled: "films or shoppers",
        source: "this project: docs/dictionaries.md",
    },
    MetricDefinition {
        id: "planted_recovered",
        name: "Planted concepts recovered",
        formula: "planted concepts whose best feature has F1 ≥ 0.8 / planted concepts",
        unit: "share of concepts",
        range: "0 to 1",
        direction: Direction::Higher,
        tooltip: "Share of the planted concepts that got a feature which finds them.",
        resampled: "films or shoppers",
        source: "this project: docs/dictionaries.md",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_entry() {
        let mut ids: Vec<&str> = Metric::ALL.iter().map(|metric| metric.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Metric::ALL.len());
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, at);
            let definition = metric.definition();
            assert!(definition.tooltip.ends_with('.'), "{}", definition.id);
            assert_eq!(definition.tooltip.matches(". ").count(), 0);
        }
        assert_eq!(Metric::Absorption.id(), "absorption");
        assert_eq!(Metric::PlantedRecovered.id(), "planted_recovered");
    }

    #[test]
    fn the_document_lists_each() {
        let document = include_str!("../../../../docs/metrics.md");
        for metric in Metric::ALL {
            let definition = metric.definition();
            for part in [
                format!("`{}`", definition.id),
                format!("### {}", definition.name),
                definition.formula.to_owned(),
                definition.tooltip.to_owned(),
                definition.direction.words().to_owned(),
            ] {
                assert!(document.contains(&part), "{}: {part}", definition.id);
            }
        }
    }
}
