//! The page of an invented feature, and the invented datasets.

use std::sync::Arc;

use engine::views::{DatasetView, ExampleKind, FeaturePage, NestedView, WritesView};
use schema::{Association, DatasetKind, DatasetManifest, FeatureId};

use super::invented::{Invented, N_SAMPLES, example, kind_of};
use super::recommenders;
use crate::backend::{Answer, Backend as _};

impl Invented {
    /// Everything about an invented feature.
    pub(super) fn page(&self, sae: &str, feature: FeatureId) -> Answer<FeaturePage> {
        let card = self.feature_card(sae, feature)?;
        let decisions = self.state().decisions.iter().rev().cloned().collect();
        Ok(FeaturePage {
            card: (*card).clone(),
            kind: kind_of(sae),
            n_active_rows: 1234,
            mean_activation: 2.5,
            top: Arc::new((0..8).map(|i| example(sae, feature, i)).collect()),
            bands: Arc::new(
                (0..4)
                    .map(|band| {
                        (0..6)
                            .map(|i| example(sae, feature, band * 4 + i))
                            .collect()
                    })
                    .collect(),
            ),
            neighbours: vec![(FeatureId(5), "effusion, right".to_owned(), 0.62)],
            nested: (sae == "reports").then(|| NestedView {
                group: 1,
                n_groups: 2,
                parents: vec![(FeatureId(2), "fluid".to_owned(), 0.7)],
                children: Vec::new(),
            }),
            cofiring: vec![(FeatureId(9), String::new(), 0.3)],
            associations: vec![Association {
                name: "effusion".to_owned(),
                log_odds: 3.2,
                interval: [2.6, 3.8],
                auroc: 0.91,
                auroc_interval: Some([0.86, 0.95]),
                p: 1e-9,
                q: 1e-8,
                n_with: 80,
                n_without: 420,
            }],
            writes: Some(WritesView {
                promoted: vec![(" effusion".to_owned(), 2.1)],
                suppressed: vec![(" clear".to_owned(), -1.4)],
                items: (kind_of(sae) == ExampleKind::History)
                    .then(|| recommenders::effects(feature.0)),
            }),
            explanations: super::gallery::proposals(sae, feature),
            decisions,
            warnings: Vec::new(),
            notes: Vec::new(),
        })
    }
}

/// The invented datasets.
pub(super) fn datasets() -> Vec<DatasetView> {
    let view = |name: &str, kind| DatasetView {
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind,
            n_samples: N_SAMPLES,
            findings: vec!["effusion".to_owned()],
            source: "invented for tests".to_owned(),
            licence: None,
            skipped: Vec::new(),
            planted: true,
            seed: Some(0),
        },
        n_by_split: [400, 50, 50],
        n_groups: N_SAMPLES,
        n_items: 90,
        categories: if kind == DatasetKind::Interactions {
            vec!["Tea".to_owned(), "Invented".to_owned()]
        } else {
            Vec::new()
        },
    };
    vec![
        view("films", DatasetKind::Radiographs),
        view("histories", DatasetKind::Interactions),
        view("reports", DatasetKind::Reports),
    ]
}
