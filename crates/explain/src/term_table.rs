//! Which terms each sample, or each item, has.

use std::collections::{BTreeMap, BTreeSet};

use schema::{CatalogueItem, SampleRecord};

use crate::{text_terms, title_terms};

/// Terms by sample and samples by term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermTable {
    terms: Vec<String>,
    by_sample: Vec<Vec<u32>>,
    by_term: Vec<Vec<u32>>,
}

impl TermTable {
    /// From the terms of each sample, in any order.
    pub fn new(samples: &[Vec<String>]) -> Self {
        let terms: BTreeSet<&str> = samples.iter().flatten().map(String::as_str).collect();
        let numbers: BTreeMap<&str, u32> = terms.iter().copied().zip(0..).collect();
        let mut by_term = vec![Vec::new(); terms.len()];
        let mut by_sample = Vec::with_capacity(samples.len());
        for (sample, list) in (0..).zip(samples) {
            let mut list: Vec<u32> = list
                .iter()
                .filter_map(|term| numbers.get(term.as_str()).copied())
                .collect();
            list.sort_unstable();
            list.dedup();
            for &term in &list {
                by_term[term as usize].push(sample);
            }
            by_sample.push(list);
        }
        Self {
            terms: terms.into_iter().map(str::to_owned).collect(),
            by_sample,
            by_term,
        }
    }

    /// From what each sample states: its report, its findings, and the titles and categories of
    /// its items.
    pub fn of_records(records: &[SampleRecord], catalogue: &[CatalogueItem]) -> Self {
        let items: BTreeMap<u32, Vec<String>> = catalogue
            .iter()
            .map(|item| (item.id, item_terms(item)))
            .collect();
        let lists: Vec<Vec<String>> = records
            .iter()
            .map(|record| {
                let mut terms = record
                    .report
                    .as_ref()
                    .map_or_else(Vec::new, |report| text_terms(&report.text()));
                terms.extend(record.findings.iter().flatten().map(|f| f.to_lowercase()));
                for item in &record.items {
                    terms.extend(items.get(item).into_iter().flatten().cloned());
                }
                terms
            })
            .collect();
        Self::new(&lists)
    }

    /// From the titles and categories of items: sample `i` of the table is `catalogue[i]`. For
    /// features of a recommender, an item's activation being the highest at which it stood.
    pub fn of_catalogue(catalogue: &[CatalogueItem]) -> Self {
        Self::new(&catalogue.iter().map(item_terms).collect::<Vec<_>>())
    }

    /// Number of samples.
    pub fn n_samples(&self) -> usize {
        self.by_sample.len()
    }

    /// Number of terms.
    pub fn n_terms(&self) -> usize {
        self.terms.len()
    }

    /// The text of a term.
    ///
    /// # Panics
    /// If there is no such term.
    pub fn term(&self, term: u32) -> &str {
        &self.terms[term as usize]
    }

    /// The number of a term, if any sample has it.
    pub fn number_of(&self, term: &str) -> Option<u32> {
        let found = self
            .terms
            .binary_search_by(|known| known.as_str().cmp(term));
        found.ok().map(|number| number as u32)
    }

    /// The terms that an explanation names. Where it has whole parts between commas that are terms,
    /// as keywords have, these alone; else all its words and pairs of words that are terms.
    pub fn named_in(&self, explanation: &str) -> BTreeSet<u32> {
        let lower = explanation.to_lowercase();
        let parts: Vec<&str> = lower.split(',').map(str::trim).collect();
        let known: BTreeSet<u32> = parts
            .iter()
            .filter_map(|part| self.number_of(part))
            .collect();
        if known.len() == parts.len() {
            return known;
        }
        let around = |c: char| !c.is_alphanumeric();
        let words = lower
            .split_whitespace()
            .map(|word| word.trim_matches(around));
        title_terms(explanation)
            .iter()
            .map(String::as_str)
            .chain(words)
            .filter_map(|term| self.number_of(term))
            .chain(known)
            .collect()
    }

    /// Terms of a sample, ascending.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn terms_of(&self, sample: u32) -> &[u32] {
        &self.by_sample[sample as usize]
    }

    /// Samples with a term, ascending.
    ///
    /// # Panics
    /// If there is no such term.
    pub fn samples_with(&self, term: u32) -> &[u32] {
        &self.by_term[term as usize]
    }
}

/// Words of the title, and each category as one term.
fn item_terms(item: &CatalogueItem) -> Vec<String> {
    let mut terms = title_terms(&item.title);
    terms.extend(item.categories.iter().map(|name| name.to_lowercase()));
    terms
}
