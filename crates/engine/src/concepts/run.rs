//! One run: rows, cases, explanations, judgements, baselines, yardstick.

use explain::{
    Confidence, Explainer, ItemTexts, Judge, KeywordExplainer, KeywordJudge, ModelExplainer,
    ModelJudge, ShownCase, TermTable,
};
use sae::SparseAutoencoder;
use schema::{Explanation, HookPoint};

use super::feature_set::{FeatureSet, LevelRule};
use super::output::{Output, proposals};
use super::request::{CaseChoice, ConceptRequest, RunRecord};
use super::rows::{TestRows, mean_of, n_users};
use super::scoring::{Asking, Chosen, Scored, StoredExplainer, totals_of, totals_with_items};
use super::{Ground, yardstick};
use crate::error::Result;
use crate::explanation_source::{ExplanationSource, drawn};
use crate::jobs::JobContext;
use crate::language_model::{AnswerBook, Remembering, Voices};
use crate::prompt_lengths;
use crate::prompts::ConceptPrompts;
use crate::session::Session;
use crate::train_sae::random_control;
use crate::views::{ConceptTotalsView, ConceptsView, YardstickView};

/// A run that was begun.
pub(super) struct Run<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a ConceptRequest,
    pub(super) ground: &'a Ground,
    pub(super) voices: &'a Voices,
    pub(super) prompts: &'a ConceptPrompts,
    pub(super) book: AnswerBook,
    pub(super) name: String,
    pub(super) record: RunRecord,
    pub(super) job: &'a JobContext,
}

/// Results, and proposals for the review with who made them.
type Outcome = (ConceptsView, Option<(String, Vec<Explanation>)>);

/// Features of the dictionary and of its two baselines.
struct Sets {
    own: FeatureSet,
    random: FeatureSet,
    random_dictionary: SparseAutoencoder,
    dimensions: FeatureSet,
}

impl Run<'_> {
    pub(super) fn run(self) -> Result<Outcome> {
        let request = self.request;
        let one_per_user = request.cases == CaseChoice::Apart;
        let rows = TestRows::read(
            &self.ground.recommender,
            &self.ground.data,
            (one_per_user, request.history_levels),
            self.job,
        )?;
        let sets = self.sets(&rows)?;
        let texts = ItemTexts::of_catalogue(&self.ground.catalogue);
        let table = TermTable::of_catalogue(&self.ground.catalogue);
        let explain_model = self.remembering(&request.explain);
        let explainer = self.explainer(&table, &texts, explain_model.as_ref())?;
        let judge_model = request.judge.as_ref().and_then(|by| self.remembering(by));
        let judge = self.judge(&table, &texts, judge_model.as_ref());
        let asking = Asking {
            rows: &rows,
            rule: request.rule(),
            seed: request.seed,
            judge: judge.as_deref(),
            job: self.job,
        };
        let with_cases = asking.with_cases(&sets.own);
        let chosen = self.chosen(&with_cases);
        let stage = "Explaining and judging features";
        let scored = asking.score(&sets.own, &chosen, explainer.as_ref(), stage)?;
        let swapped = if request.has_baselines {
            asking.shuffled(&sets.own, &scored)?
        } else {
            vec![None; scored.len()]
        };
        let [random, dimensions] =
            self.baselines(&asking, &sets, explainer.as_ref(), scored.len())?;
        let output = Output {
            set: &sets.own,
            rows: &rows,
            texts: &texts,
        };
        let concepts = scored.iter().zip(&swapped);
        let swapped_scores: Vec<Confidence> = swapped.iter().copied().flatten().collect();
        let seed = request.seed;
        let view = ConceptsView {
            name: self.name.clone(),
            sae: request.sae.clone(),
            model: self.ground.model.clone(),
            dataset: self.ground.dataset.clone(),
            settings: self.record.settings.clone(),
            n_rows: rows.rows.len(),
            n_features: sets.own.n_features(),
            n_with_cases: with_cases.len(),
            totals: totals_with_items(&sets.own, &scored, self.items(&rows), seed),
            random_dictionary: random,
            raw_dimensions: dimensions,
            shuffled: (!swapped_scores.is_empty())
                .then(|| totals_of(scored.len(), &swapped_scores, seed)),
            yardstick: self.yardstick(&sets, &rows)?,
            concepts: concepts
                .map(|(one, &swapped)| output.concept(one, swapped))
                .collect(),
            notes: self.notes(&rows, &scored),
        };
        let by = format!("concepts: {}", self.record.settings.explained_by);
        let proposed = proposals(&scored, &by, &self.record.settings, &self.name);
        let is_new = request.explain != ExplanationSource::Stored;
        Ok((view, is_new.then_some((by, proposed))))
    }

    fn sets(&self, rows: &TestRows) -> Result<Sets> {
        self.job.report("Encoding test users", 0, 0, "users");
        let sae = &self.ground.dictionary.sae;
        let d = sae.d_model();
        let rule = self.request.levels;
        let own = FeatureSet::of_dictionary(sae, rows, rule)?;
        let n_active: usize = (0..own.n_features() as u32).map(|f| own.n_active(f)).sum();
        let l0 = n_active as f64 / rows.rows.len().max(1) as f64;
        let mean = mean_of(&rows.vectors, d);
        let random = random_control(sae, &mean, l0, self.request.seed)?;
        self.job.check_cancelled()?;
        Ok(Sets {
            own,
            random: FeatureSet::of_dictionary(&random, rows, rule)?,
            random_dictionary: random,
            dimensions: FeatureSet::of_dimensions(rows, d)?,
        })
    }

    fn remembering(&self, source: &ExplanationSource) -> Option<Remembering<'_>> {
        source.remembering(self.voices, &self.book, self.job)
    }

    fn explainer<'b>(
        &'b self,
        table: &'b TermTable,
        texts: &'b ItemTexts,
        model: Option<&'b Remembering<'b>>,
    ) -> Result<Box<dyn Explainer<ShownCase> + 'b>> {
        if let Some(model) = model {
            return Ok(Box::new(ModelExplainer {
                model,
                template: &self.prompts.explain,
                texts,
                writing: self.request.writing(),
            }));
        }
        if self.request.explain == ExplanationSource::Stored {
            let stored = self.session.stored_proposals(&self.request.sae)?;
            return Ok(Box::new(StoredExplainer(stored)));
        }
        Ok(Box::new(KeywordExplainer::new(table)?))
    }

    fn judge<'b>(
        &'b self,
        table: &'b TermTable,
        texts: &'b ItemTexts,
        model: Option<&'b Remembering<'b>>,
    ) -> Option<Box<dyn Judge<ShownCase> + 'b>> {
        self.request.judge.as_ref()?;
        Some(match model {
            Some(model) => Box::new(ModelJudge {
                model,
                template: &self.prompts.judge,
                texts,
                writing: self.request.writing(),
            }),
            None => Box::new(KeywordJudge::new(table)),
        })
    }

    /// The features that are explained.
    fn chosen(&self, with_cases: &Chosen) -> Chosen {
        let named = &self.request.features;
        let mut chosen = with_cases.clone();
        if !named.is_empty() {
            chosen.retain(|feature, _| named.contains(feature));
        }
        drawn(&chosen, self.request.limit, self.request.seed)
    }

    /// A random dictionary and the raw dimensions by the same procedure, as many features.
    fn baselines(
        &self,
        asking: &Asking<'_>,
        sets: &Sets,
        explainer: &dyn Explainer<ShownCase>,
        n: usize,
    ) -> Result<[Option<ConceptTotalsView>; 2]> {
        let can_explain = self.request.explain != ExplanationSource::Stored;
        if !self.request.has_baselines || !can_explain || asking.judge.is_none() {
            return Ok([None, None]);
        }
        let measure = |set: &FeatureSet, stage: &str| {
            let chosen = drawn(&asking.with_cases(set), Some(n), self.request.seed);
            let scored = asking.score(set, &chosen, explainer, stage)?;
            let items = self.items(asking.rows);
            Ok::<_, crate::EngineError>(totals_with_items(set, &scored, items, self.request.seed))
        };
        Ok([
            Some(measure(&sets.random, "The same of a random dictionary")?),
            Some(measure(&sets.dimensions, "The same of raw dimensions")?),
        ])
    }

    fn items<'b>(&'b self, rows: &'b TestRows) -> (&'b TestRows, &'b [f32], usize) {
        let recommender = &self.ground.recommender;
        let d = recommender.config().d_model() as usize;
        (rows, recommender.item_vectors(), d)
    }

    fn yardstick(&self, sets: &Sets, rows: &TestRows) -> Result<YardstickView> {
        let seed = self.request.seed;
        let title_of = |item: u32| {
            let known = self.ground.catalogue.get((item as usize).wrapping_sub(1))?;
            (!known.title.trim().is_empty()).then(|| known.title.clone())
        };
        // RecSAE's own levels, whatever the run's are.
        let measure = |set: &FeatureSet, sae: &SparseAutoencoder| {
            if self.request.levels == LevelRule::Pooled {
                return Ok(yardstick::measure(set, rows, seed, &title_of));
            }
            let pooled = FeatureSet::of_dictionary(sae, rows, LevelRule::Pooled)?;
            Ok::<_, crate::EngineError>(yardstick::measure(&pooled, rows, seed, &title_of))
        };
        let own = measure(&sets.own, &self.ground.dictionary.sae)?;
        let random = measure(&sets.random, &sets.random_dictionary)?;
        let published = self.request.published.as_deref();
        let published = published
            .map(|folder| yardstick::published(folder, seed))
            .transpose()?;
        let (published_items, published_titles) =
            published.map(|list| (list.items, list.titles)).unzip();
        Ok(YardstickView {
            own_items: own.items,
            random_items: random.items,
            published_items,
            own_titles: own.titles,
            random_titles: random.titles,
            published_titles: published_titles.flatten(),
        })
    }

    fn notes(&self, rows: &TestRows, scored: &[Scored]) -> Vec<String> {
        let mut notes = Vec::new();
        let request = self.request;
        let n_shared: usize = scored.iter().map(|one| one.cases.n_shared).sum();
        if n_shared > 0 {
            notes.push(format!(
                "{n_shared} test cases were construction cases too, as RecSAE has it: confidence is \
                 the higher for it"
            ));
        }
        let n_silent = scored.iter().filter(|one| one.explained.is_none()).count();
        if n_silent > 0 {
            notes.push(format!(
                "{n_silent} of {} features have no explanation and no confidence; means are over \
                 the others",
                scored.len()
            ));
        }
        let lengths = scored.iter().map(|one| {
            let n_left_out = one.explained.as_ref().map_or(0, |one| one.n_left_out);
            (one.is_too_long, n_left_out)
        });
        notes.extend(prompt_lengths::notes("cases", lengths));
        let n_lost = request
            .features
            .iter()
            .filter(|&&feature| !scored.iter().any(|one| one.feature == feature))
            .count();
        if n_lost > 0 {
            notes.push(format!(
                "{n_lost} of the features named have no cases to explain and to test, or were not \
                 drawn"
            ));
        }
        if request.history_levels && rows.places.is_none() {
            notes.push(format!(
                "models/{} does not read histories, so that levels stand at the recommended item only",
                self.ground.model
            ));
        }
        if request.explain == ExplanationSource::Stored && request.has_baselines {
            notes.push(
                "Proposals that were there are judged: a random dictionary and raw dimensions have \
                 none, explain concepts measures them"
                    .to_owned(),
            );
        }
        let n_users = n_users(&rows.rows);
        if n_users < rows.rows.len() {
            notes.push(format!(
                "{} test rows are of {n_users} users at {}: rows of one user resemble each other",
                rows.rows.len(),
                HookPoint::UserVector
            ));
        }
        notes
    }
}
