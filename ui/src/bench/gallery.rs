//! What an invented gallery is filtered and plotted by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use engine::views::{
    ChoiceTicket, ChosenFeatures, ControlView, DetectionView, Event, FeaturePlot, FeaturePoints,
    FeatureQuery, GalleryFacets, MeanView, ScoreEvidenceView, ScoreSettingsView, ScoreTotalsView,
    ScoredFeatureView, TestedPassageView,
};
use schema::{Explanation, FeatureId, JobId, MeasuredScore};

use super::invented::{Invented, mixed};
use crate::backend::{Answer, Galleries};

/// The only dictionary that has groups and kept evidence of scores.
const GROUPED: &str = "reports";

/// Requests for features that are not answered at once.
#[derive(Default)]
pub(super) struct Choosing {
    /// Of each gallery, what it asked for last and every ticket before.
    tickets: BTreeMap<String, u64>,
    /// Answers that came from threads.
    answers: Vec<Event>,
    /// While answers are held back: what was asked for, oldest first.
    held: Option<Vec<Event>>,
}

impl Invented {
    /// From now on features are chosen later, when [`Invented::let_choices_go`] says so.
    pub fn hold_choices(&self) {
        self.choosing().held.get_or_insert_with(Vec::new);
    }

    /// Answers all that was asked for meanwhile, the newest first: the worst order.
    pub fn let_choices_go(&self) {
        let held = self.choosing().held.take().unwrap_or_default();
        for event in held.into_iter().rev() {
            self.send(event);
        }
    }

    /// Answers that threads have ready.
    pub(super) fn chosen(&self) -> Vec<Event> {
        std::mem::take(&mut self.choosing().answers)
    }

    fn choosing(&self) -> MutexGuard<'_, Choosing> {
        self.choosing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Galleries for Invented {
    fn choose_features(
        &self,
        asker: &str,
        sae: &str,
        query: &FeatureQuery,
    ) -> Answer<ChosenFeatures> {
        let mut choosing = self.choosing();
        let next = choosing.tickets.values().max().map_or(1, |last| last + 1);
        choosing.tickets.insert(asker.to_owned(), next);
        let ticket = ChoiceTicket(next);
        let n_features = self.n_features;
        if let Some(held) = &mut choosing.held {
            let ids = Arc::new(ids_of(n_features, sae, query));
            held.push(Event::FeaturesChosen(ticket, Ok(ids)));
            return Ok(ChosenFeatures::Later(ticket));
        }
        drop(choosing);
        if n_features <= engine::CHOSEN_AT_ONCE {
            let ids = ids_of(n_features, sae, query);
            return Ok(ChosenFeatures::Now(Arc::new(ids)));
        }
        let shared = Arc::clone(&self.choosing);
        let (asker, sae, query) = (asker.to_owned(), sae.to_owned(), query.clone());
        engine::Engine::aside("invented gallery", move || {
            let ids = Arc::new(ids_of(n_features, &sae, &query));
            let mut choosing = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if choosing.tickets.get(&asker) == Some(&next) {
                choosing
                    .answers
                    .push(Event::FeaturesChosen(ticket, Ok(ids)));
            }
        });
        Ok(ChosenFeatures::Later(ticket))
    }

    fn gallery_facets(&self, sae: &str) -> Answer<Arc<GalleryFacets>> {
        let n = self.n_features;
        Ok(Arc::new(GalleryFacets {
            associations: vec![
                ("effusion".to_owned(), n.div_ceil(2)),
                ("mass".to_owned(), n / 2),
            ],
            groups: groups_of(n, sae),
            n_scored: n.div_ceil(3),
        }))
    }

    fn feature_points(&self, sae: &str, plot: FeaturePlot) -> Answer<Option<Arc<FeaturePoints>>> {
        if plot == FeaturePlot::Directions && !self.is_mapped(sae) {
            return Ok(None);
        }
        let all = 0..self.n_features;
        let points = match plot {
            FeaturePlot::Activity => FeaturePoints {
                x: all.clone().map(|id| activity(id)[0]).collect(),
                y: all.map(|id| activity(id)[1]).collect(),
                variance: None,
            },
            FeaturePlot::Directions => FeaturePoints {
                x: all.clone().map(|id| mixed(id, 7) - 0.5).collect(),
                y: all.map(|id| mixed(id, 8) - 0.5).collect(),
                variance: Some([0.12, 0.07]),
            },
        };
        Ok(Some(Arc::new(points)))
    }

    fn map_directions(&self, sae: &str) -> Answer<JobId> {
        self.note(format!("map {sae}"));
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(JobId(71))
    }

    fn build_gallery(&self, sae: &str) -> Answer<JobId> {
        self.note(format!("build {sae}"));
        Ok(JobId(72))
    }

    fn read_score(&self, run: &str, feature: FeatureId) -> Answer<()> {
        let answer = Box::new(Ok(evidence(run, feature)));
        self.send(Event::ScoreRead(run.to_owned(), feature, answer));
        Ok(())
    }
}

/// The proposal of a feature of reports that was measured.
pub(super) fn proposals(sae: &str, feature: FeatureId) -> Vec<Explanation> {
    let measured = score(feature.0).filter(|_| sae == GROUPED);
    let proposed = measured.map(|score| Explanation {
        feature,
        text: "effusion, pleural, left".to_owned(),
        by: "keywords".to_owned(),
        at: "2026-01-02T03:04:05Z".to_owned(),
        score: Some(score),
        run: "tested".to_owned(),
        ..Explanation::default()
    });
    proposed.into_iter().collect()
}

fn evidence(run: &str, feature: FeatureId) -> ScoreEvidenceView {
    let passage = |text: &str, activation, said| TestedPassageView {
        sample: 1,
        text: text.to_owned(),
        activation,
        is_hard: activation == 0.0,
        said,
    };
    let mean = |value| {
        Some(MeanView {
            value,
            interval: Some([value - 0.05, value + 0.05]),
        })
    };
    ScoreEvidenceView {
        run: run.to_owned(),
        settings: ScoreSettingsView {
            judged_by: Some("keywords".to_owned()),
            ..ScoreSettingsView::default()
        },
        feature: ScoredFeatureView {
            feature,
            section: "report".to_owned(),
            n_active: 40,
            explanation: "effusion, pleural, left".to_owned(),
            evidence: Vec::new(),
            prompt: None,
            construction: Vec::new(),
            tests: vec![
                passage("Small left pleural effusion.", 4.5, Some(0.9)),
                passage("The heart is enlarged.", 0.0, Some(0.7)),
                passage("No pneumothorax.", 0.0, None),
            ],
            detection: Some(DetectionView {
                balanced_accuracy: Some(0.75),
                interval: Some([0.6, 0.9]),
                ..DetectionView::default()
            }),
            shuffled: Some(0.51),
            fuzzing: None,
            simulation: None,
            embedding: None,
            is_divided_anew: false,
            n_left_out: 0,
            not_explained: String::new(),
        },
        totals: ScoreTotalsView {
            n_scored: 200,
            detection: mean(0.72),
            shuffled: mean(0.52),
            ..ScoreTotalsView::default()
        },
        controls: vec![ControlView {
            name: "random dictionary".to_owned(),
            totals: ScoreTotalsView {
                detection: mean(0.53),
                ..ScoreTotalsView::default()
            },
        }],
    }
}

impl Invented {
    fn is_mapped(&self, sae: &str) -> bool {
        self.asked().contains(&format!("map {sae}"))
    }
}

/// The features that pass a filter by text, score, finding, group and rectangle.
pub(super) fn ids_of(n_features: u32, sae: &str, query: &FeatureQuery) -> Vec<FeatureId> {
    let text = query.text.trim().to_lowercase();
    let first = groups_of(n_features, sae).first().copied();
    let fires: Option<BTreeSet<u32>> = query.fires_on_sample.map(|sample| {
        (0..n_features)
            .filter(|id| (id + sample) % 5 == 0)
            .collect()
    });
    (0..n_features)
        .filter(|id| {
            let best = if id % 2 == 0 { "effusion" } else { "mass" };
            (text.is_empty() || is_mentioned(sae, *id, &text))
                && query.association.as_ref().is_none_or(|name| name == best)
                && query.score.is_none_or(|[low, high]| {
                    score(*id).is_some_and(|score| {
                        let value = score.value as f32;
                        value >= low && value <= high
                    })
                })
                && query
                    .group
                    .zip(first)
                    .is_none_or(|(group, first)| (group == 0) == (*id < first))
                && query.area.is_none_or(|area| {
                    let [x, y] = match area.plot {
                        FeaturePlot::Activity => activity(*id),
                        FeaturePlot::Directions => [mixed(*id, 7) - 0.5, mixed(*id, 8) - 0.5],
                    };
                    area.contains(x, y)
                })
                && fires.as_ref().is_none_or(|fires| fires.contains(id))
        })
        .map(FeatureId)
        .collect()
}

/// Sizes of the groups of a Matryoshka dictionary.
fn groups_of(n_features: u32, sae: &str) -> Vec<u32> {
    if sae == GROUPED {
        vec![n_features / 4, n_features - n_features / 4]
    } else {
        Vec::new()
    }
}

/// Whether a feature's words hold `text`, or it is strongest on the item quoted.
fn is_mentioned(sae: &str, id: u32, text: &str) -> bool {
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(title) => sae == "histories" && format!("invented item {}", 1 + id % 90) == title,
        None => format!("{id} effusion pleural costophrenic").contains(text),
    }
}

/// `log10` of density and mean activation.
fn activity(id: u32) -> [f32; 2] {
    let density = (0.001 + mixed(id, 3) * 0.05).log10();
    [density, (mixed(id, 4) - 0.5) * 2.0 + 0.2 * density]
}

/// Every third proposal was measured.
pub(super) fn score(id: u32) -> Option<MeasuredScore> {
    let value = 0.5 + f64::from(mixed(id, 5)) * 0.5;
    id.is_multiple_of(3).then(|| MeasuredScore {
        method: "detection".to_owned(),
        judge: "keywords".to_owned(),
        value,
        interval: Some([value - 0.08, (value + 0.08).min(1.0)]),
        n_cases: 40,
    })
}
