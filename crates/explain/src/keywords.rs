//! Keyword enrichment: terms over-represented where a feature is active.

use schema::{Association, Explanation, FeatureId};

use crate::association::from_table;
use crate::auroc::{area, midranks};
use crate::error::{ExplainError, all_finite, same_length};
use crate::{TermTable, TwoByTwo, benjamini_hochberg};

/// What another keyword must add to the balanced accuracy of those before it.
const LEAST_GAIN: f64 = 0.02;

/// How keywords are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeywordOptions {
    /// At most this share of the samples counts as activating: where a feature is active on
    /// more, the most strongly active of them. In `(0, 1]`.
    pub activating_share: f64,
    /// A term must be in so many activating samples, ≥ 1.
    pub min_activating: u32,
    /// A term must be in so many samples, ≥ 1.
    pub min_samples: u32,
    /// Highest adjusted p value, in `(0, 1]`.
    pub max_q: f64,
    /// Keywords kept, ≥ 1.
    pub max_keywords: usize,
}

impl Default for KeywordOptions {
    fn default() -> Self {
        Self {
            activating_share: 0.2,
            min_activating: 3,
            min_samples: 5,
            max_q: 0.05,
            max_keywords: 12,
        }
    }
}

/// Finds keywords of many features over the same samples.
#[derive(Debug)]
pub struct Keywords<'a> {
    table: &'a TermTable,
    /// Samples that are looked at, e.g. those of the training split, ascending.
    samples: Vec<u32>,
    /// `[n_terms]`: samples looked at that have the term.
    n_with: Vec<u32>,
    looked_at: Vec<bool>,
    options: KeywordOptions,
}

impl<'a> Keywords<'a> {
    /// Prepares the search among `samples` of `table`.
    ///
    /// # Errors
    /// [`ExplainError::NoSuchSample`].
    pub fn new(
        table: &'a TermTable,
        samples: &[u32],
        options: KeywordOptions,
    ) -> Result<Self, ExplainError> {
        let mut looked_at = vec![false; table.n_samples()];
        let mut n_with = vec![0; table.n_terms()];
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        samples.dedup();
        for &sample in &samples {
            let Some(flag) = looked_at.get_mut(sample as usize) else {
                return Err(ExplainError::NoSuchSample {
                    what: "samples for keywords",
                    sample,
                    n_samples: table.n_samples(),
                });
            };
            *flag = true;
            for &term in table.terms_of(sample) {
                n_with[term as usize] += 1;
            }
        }
        Ok(Self {
            table,
            samples,
            n_with,
            looked_at,
            options,
        })
    }

    /// Terms that are more frequent where the feature is active, best first.
    ///
    /// For each term with enough samples, the table of activating or not against with or without
    /// gives log-odds with 0.5 added to each cell, Woolf's interval and a p value (chi-square or
    /// Fisher's exact test), adjusted over the terms of this feature (Benjamini-Hochberg). Terms
    /// are ranked by the lower end of the interval, so that neither a rare term with extreme odds
    /// nor a frequent one with odds near 1 comes first; the AUROC is that of the activation for
    /// the term.
    ///
    /// # Shapes
    /// - `activations`: `[n_samples]` of the table, highest over positions, 0 where never active
    ///
    /// # Errors
    /// [`ExplainError::Length`]; [`ExplainError::NotFinite`].
    pub fn of(&self, activations: &[f32]) -> Result<Vec<Association>, ExplainError> {
        same_length(
            "activations for keywords",
            self.table.n_samples(),
            activations.len(),
        )?;
        all_finite("activations for keywords", activations)?;
        let activating = self.activating(activations);
        let n_active = activating.len() as u32;
        let n_inactive = self.samples.len() as u32 - n_active;
        let mut candidates = Vec::new();
        for (term, active_with) in self.count(&activating) {
            let n_with = self.n_with[term as usize];
            if active_with >= self.options.min_activating && n_with >= self.options.min_samples {
                let inactive_with = n_with - active_with;
                candidates.push((
                    term,
                    TwoByTwo {
                        active_with,
                        active_without: n_active - active_with,
                        inactive_with,
                        inactive_without: n_inactive - inactive_with,
                    },
                ));
            }
        }
        let p: Vec<f64> = candidates.iter().map(|(_, table)| table.p()).collect();
        let mut kept: Vec<(f64, u32, TwoByTwo, f64)> = candidates
            .into_iter()
            .zip(benjamini_hochberg(&p))
            .map(|((term, table), q)| (table.log_odds().1[0], term, table, q))
            .filter(|&(lower_end, _, _, q)| lower_end > 0.0 && q <= self.options.max_q)
            .collect();
        kept.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        kept.truncate(self.options.max_keywords);
        Ok(self.describe(&kept, activations))
    }

    /// The label that the best one to three keywords suggest; `None` if there is none.
    ///
    /// Keywords that say the same again are passed over: part of a term taken before, or a term
    /// that contains one, or one found in nearly the same samples. So are those whose interval
    /// begins below 0.7 of the best one's.
    pub fn propose(
        &self,
        feature: FeatureId,
        keywords: &[Association],
        at: &str,
    ) -> Option<Explanation> {
        let mut chosen: Vec<&Association> = Vec::new();
        for keyword in keywords {
            let strong = chosen
                .first()
                .is_none_or(|best| keyword.interval[0] >= 0.7 * best.interval[0]);
            if chosen.len() < 3
                && strong
                && !chosen
                    .iter()
                    .any(|other| self.says_the_same(keyword, other))
            {
                chosen.push(keyword);
            }
        }
        if chosen.is_empty() {
            return None;
        }
        let text: Vec<&str> = chosen.iter().map(|keyword| keyword.name.as_str()).collect();
        Some(Explanation {
            feature,
            text: text.join(", "),
            by: "keywords".to_owned(),
            evidence: keywords.to_vec(),
            at: at.to_owned(),
            ..Explanation::default()
        })
    }

    /// The label of the one to three keywords that together tell active from other samples best:
    /// the one with the highest balanced accuracy of "has it", then those that raise it by 0.02 or
    /// more, where having any of them counts. `None` if there is no keyword.
    ///
    /// # Errors
    /// As [`Keywords::of`].
    ///
    /// # Example
    /// Active samples have `tube` or `line`, others neither: `tube` alone misses those with `line`,
    /// both together tell all.
    pub fn propose_together(
        &self,
        feature: FeatureId,
        keywords: &[Association],
        activations: &[f32],
    ) -> Result<Option<Explanation>, ExplainError> {
        same_length(
            "activations for keywords",
            self.table.n_samples(),
            activations.len(),
        )?;
        let mut active: Vec<u32> = self.activating(activations);
        active.sort_unstable();
        let is_active = |sample: u32| active.binary_search(&sample).is_ok();
        let n_active = active.len();
        let n_others = self.samples.len() - n_active;
        if n_active == 0 || n_others == 0 {
            return Ok(None);
        }
        let accuracy = |terms: &[u32]| -> f64 {
            let has = |sample: &u32| {
                let own = self.table.terms_of(*sample);
                terms.iter().any(|term| own.binary_search(term).is_ok())
            };
            let (mut found, mut spared) = (0_usize, 0_usize);
            for sample in &self.samples {
                match (is_active(*sample), has(sample)) {
                    (true, true) => found += 1,
                    (false, false) => spared += 1,
                    _ => {}
                }
            }
            0.5 * (found as f64 / n_active as f64 + spared as f64 / n_others as f64)
        };
        let mut chosen: Vec<(&Association, u32)> = Vec::new();
        let mut best = 0.5;
        while chosen.len() < 3 {
            let taken: Vec<u32> = chosen.iter().map(|(_, term)| *term).collect();
            let next = keywords
                .iter()
                .filter_map(|keyword| Some((keyword, self.table.number_of(&keyword.name)?)))
                .filter(|(_, term)| !taken.contains(term))
                .map(|(keyword, term)| {
                    let with: Vec<u32> = taken.iter().copied().chain([term]).collect();
                    (keyword, term, accuracy(&with))
                })
                // Of equals the first, which is the surest.
                .reduce(|a, b| if b.2 > a.2 { b } else { a });
            match next {
                Some((keyword, term, value)) if value >= best + LEAST_GAIN => {
                    chosen.push((keyword, term));
                    best = value;
                }
                _ => break,
            }
        }
        if chosen.is_empty() {
            return Ok(None);
        }
        let text: Vec<&str> = chosen.iter().map(|(one, _)| one.name.as_str()).collect();
        let names = text.clone();
        let rest = keywords
            .iter()
            .filter(|one| !names.contains(&one.name.as_str()));
        let evidence = chosen.iter().map(|(one, _)| *one).chain(rest);
        Ok(Some(Explanation {
            feature,
            text: text.join(", "),
            by: "keywords".to_owned(),
            evidence: evidence.cloned().collect(),
            ..Explanation::default()
        }))
    }

    /// Samples looked at that are active, at most the share of the options, strongest kept. Of
    /// samples as strong as the weakest kept, all are kept or none.
    fn activating(&self, activations: &[f32]) -> Vec<u32> {
        let mut active: Vec<u32> = self
            .samples
            .iter()
            .copied()
            .filter(|&sample| activations[sample as usize] > 0.0)
            .collect();
        let limit = (self.options.activating_share * self.samples.len() as f64).ceil() as usize;
        if active.len() > limit {
            let strength = |sample: u32| activations[sample as usize];
            active.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)).then(a.cmp(&b)));
            let cut = strength(active[limit]);
            let keep = active.partition_point(|&sample| strength(sample) > cut);
            if keep > 0 {
                active.truncate(keep);
            }
        }
        active
    }

    /// How many activating samples have each term, terms ascending.
    fn count(&self, activating: &[u32]) -> Vec<(u32, u32)> {
        let mut terms: Vec<u32> = activating
            .iter()
            .flat_map(|&sample| self.table.terms_of(sample))
            .copied()
            .collect();
        terms.sort_unstable();
        terms
            .chunk_by(|a, b| a == b)
            .map(|same| (same[0], same.len() as u32))
            .collect()
    }

    fn describe(
        &self,
        kept: &[(f64, u32, TwoByTwo, f64)],
        activations: &[f32],
    ) -> Vec<Association> {
        if kept.is_empty() {
            return Vec::new();
        }
        let scores: Vec<f32> = self
            .samples
            .iter()
            .map(|&sample| activations[sample as usize])
            .collect();
        let mut ranks = vec![0.0; activations.len()];
        for (&sample, rank) in self.samples.iter().zip(midranks(&scores)) {
            ranks[sample as usize] = rank;
        }
        kept.iter()
            .map(|&(_, term, table, q)| {
                let sum = self.with_term(term).map(|s| ranks[s as usize]).sum();
                let n_with = (table.active_with + table.inactive_with) as usize;
                let auroc = area(sum, n_with, self.samples.len()).unwrap_or(0.5);
                let name = self.table.term(term).to_owned();
                Association {
                    q,
                    ..from_table(name, table, auroc)
                }
            })
            .collect()
    }

    fn with_term(&self, term: u32) -> impl Iterator<Item = u32> {
        self.table
            .samples_with(term)
            .iter()
            .copied()
            .filter(|&sample| self.looked_at[sample as usize])
    }

    fn says_the_same(&self, keyword: &Association, other: &Association) -> bool {
        let words = |name: &str| -> Vec<String> { name.split(' ').map(str::to_owned).collect() };
        let (a, b) = (words(&keyword.name), words(&other.name));
        if a.iter().all(|word| b.contains(word)) || b.iter().all(|word| a.contains(word)) {
            return true;
        }
        let (Some(a), Some(b)) = (
            self.table.number_of(&keyword.name),
            self.table.number_of(&other.name),
        ) else {
            return false;
        };
        let other_samples = self.table.samples_with(b);
        let both = self
            .with_term(a)
            .filter(|sample| other_samples.binary_search(sample).is_ok())
            .count() as f64;
        let either = f64::from(self.n_with[a as usize]) + f64::from(self.n_with[b as usize]) - both;
        both > 0.8 * either
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_terms;

    /// 60 reports: every third has an effusion, others deny it; every fifth has a nodule.
    fn reports() -> Vec<Vec<String>> {
        (0..60)
            .map(|i| {
                let effusion = if i % 3 == 0 {
                    "Small left pleural effusion."
                } else {
                    "No pleural effusion."
                };
                let nodule = if i % 5 == 0 { "Lung nodule." } else { "" };
                text_terms(&format!("{effusion} {nodule} Bones intact."))
            })
            .collect()
    }

    #[test]
    fn the_planted_word_is_found_and_its_denial_is_not() {
        let table = TermTable::new(&reports());
        let samples: Vec<u32> = (0..60).collect();
        let options = KeywordOptions {
            activating_share: 0.5,
            ..KeywordOptions::default()
        };
        let keywords = Keywords::new(&table, &samples, options).unwrap();
        let activations: Vec<f32> = (0..60)
            .map(|i| if i % 3 == 0 { 1.0 + i as f32 } else { 0.0 })
            .collect();
        let found = keywords.of(&activations).unwrap();
        let names: Vec<&str> = found.iter().map(|keyword| keyword.name.as_str()).collect();
        assert!(names.contains(&"effusion"), "{names:?}");
        for absent in ["no effusion", "nodule", "bones"] {
            assert!(!names.contains(&absent), "{names:?}");
        }
        let effusion = found.iter().find(|k| k.name == "effusion").unwrap();
        assert_eq!((effusion.n_with, effusion.n_without), (20, 40));
        assert_eq!(effusion.auroc, 1.0);
        assert!(effusion.q < 1e-6 && effusion.interval[0] > 2.0);
        let proposal = keywords.propose(FeatureId(4), &found, "now").unwrap();
        assert_eq!(proposal.feature, FeatureId(4));
        // All words of "small left pleural effusion" are in the same samples: one is enough.
        assert!(!proposal.text.contains(','), "{}", proposal.text);

        let denied: Vec<f32> = (0..60)
            .map(|i| if i % 3 == 0 { 0.0 } else { 1.0 })
            .collect();
        let options = KeywordOptions {
            activating_share: 1.0,
            ..options
        };
        let keywords = Keywords::new(&table, &samples, options).unwrap();
        let found = keywords.of(&denied).unwrap();
        assert!(found.iter().all(|keyword| keyword.name.starts_with("no ")));
        assert!(!found.is_empty());
    }

    #[test]
    fn noise_yields_no_keyword() {
        let table = TermTable::new(&reports());
        let samples: Vec<u32> = (0..60).collect();
        let keywords = Keywords::new(&table, &samples, KeywordOptions::default()).unwrap();
        let noise: Vec<f32> = (0..60_u32).map(|i| (i * 37 % 60) as f32).collect();
        let found = keywords.of(&noise).unwrap();
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(keywords.propose(FeatureId(0), &found, "now"), None);
        assert!(keywords.of(&vec![0.0; 60]).unwrap().is_empty());
        assert!(keywords.of(&noise[1..]).is_err());
        assert!(Keywords::new(&table, &[60], KeywordOptions::default()).is_err());
    }

    #[test]
    fn a_dense_feature_is_cut_to_its_strongest_samples() {
        let table = TermTable::new(&reports());
        let samples: Vec<u32> = (0..60).collect();
        let keywords = Keywords::new(&table, &samples, KeywordOptions::default()).unwrap();
        let activations: Vec<f32> = (0..60).map(|i| 60.0 - i as f32).collect();
        let expected: Vec<u32> = (0..12).collect();
        assert_eq!(keywords.activating(&activations), expected);
        // Equally strong everywhere: no cut can be justified.
        assert_eq!(keywords.activating(&[1.0; 60]).len(), 60);
    }
}
