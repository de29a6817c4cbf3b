//! Concepts of a recommender's dictionary as the window shows them: the runs of a dictionary, and
//! one run with everything that its cases are drawn from.

use std::collections::{BTreeMap, BTreeSet};

use explain::N_SHOWN;
use models::recommenders::EvaluationSet;
use schema::Split;

use crate::concepts::concept_settings;
use crate::error::Result;
use crate::indexed::item_view;
use crate::session::Session;
use crate::views::{ConceptPages, ConceptRunView, ConceptsView};

impl Session {
    /// Finished runs of concepts of a dictionary, newest first.
    ///
    /// # Errors
    /// When the folder cannot be listed, or the record of a run is damaged.
    pub fn concept_runs_of(&self, sae: &str) -> Result<Vec<ConceptRunView>> {
        let mut runs = Vec::new();
        for name in self.concept_runs()? {
            let (of, settings) = concept_settings(self, &name)?;
            if of == sae {
                runs.push(ConceptRunView {
                    name,
                    explained_by: settings.explained_by,
                    judged_by: settings.judged_by,
                    cases: settings.cases,
                    at: settings.at,
                });
            }
        }
        runs.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.name.cmp(&b.name)));
        Ok(runs)
    }

    /// One run with the items of its cases and the histories behind its test cases. A large file:
    /// away from the frame.
    ///
    /// # Errors
    /// When there is no such run, it is not finished, or a file is damaged.
    pub fn concept_pages(&self, name: &str) -> Result<ConceptPages> {
        let view = self.concepts_of(name)?;
        let dataset = self.dataset(&view.dataset)?;
        let histories = self.test_histories(&view)?;
        let mut wanted: BTreeSet<u32> = histories.values().flatten().copied().collect();
        for concept in &view.concepts {
            for case in &concept.cases {
                wanted.extend(case.history.iter().map(|item| item.item));
                wanted.insert(case.recommended.item);
            }
            wanted.extend(concept.tests.iter().map(|test| test.recommended.item));
        }
        let items = wanted
            .into_iter()
            .map(|id| (id, item_view(&dataset, id, 0.0)))
            .collect();
        Ok(ConceptPages {
            view,
            items,
            histories,
        })
    }

    /// Last items before the held-out one of each user that is a test case, oldest first. Users
    /// with several held-out items are left out where the run may have taken any of them.
    fn test_histories(&self, view: &ConceptsView) -> Result<BTreeMap<u32, Vec<u32>>> {
        let tested: BTreeSet<u32> = view
            .concepts
            .iter()
            .flat_map(|concept| concept.tests.iter().map(|test| test.user))
            .collect();
        let data = self.interactions(&view.dataset)?;
        let set = EvaluationSet::new(&data, Split::Test);
        let (users, queries) = (set.users(), set.queries());
        let mut n_rows: BTreeMap<u32, usize> = BTreeMap::new();
        for &user in &users {
            *n_rows.entry(user).or_default() += 1;
        }
        let takes_last = view.settings.cases == "apart";
        let mut histories = BTreeMap::new();
        // Of several the last stays.
        for (&user, query) in users.iter().zip(&queries) {
            if tested.contains(&user) && (takes_last || n_rows.get(&user) == Some(&1)) {
                let from = query.history.len().saturating_sub(N_SHOWN);
                histories.insert(user, query.history[from..].to_vec());
            }
        }
        Ok(histories)
    }
}
