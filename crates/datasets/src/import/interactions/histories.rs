//! Item histories by user, what is held out of each, and their form as records.

use std::collections::BTreeMap;

use schema::{CatalogueItem, SampleRecord};

use super::account::Account;

/// What a layout holds, before it becomes an import plan.
#[derive(Debug, Default)]
pub(super) struct Histories {
    pub(super) users: Vec<UserHistory>,
    pub(super) catalogue: Vec<CatalogueItem>,
    pub(super) account: Account,
}

/// One user's items, oldest first: those for training, then those held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserHistory {
    /// What the source calls the user.
    pub user: String,
    /// The user's row in tables made from the source, from 1.
    pub number: u32,
    /// Item ids from 1, oldest first.
    pub items: Vec<u32>,
    /// How many of the items are for dev, standing before those for test. 1 in leave-one-out.
    pub n_dev: usize,
    /// How many of the last items are for test. 1 in leave-one-out.
    pub n_test: usize,
}

impl UserHistory {
    /// Items a model may be trained on.
    pub fn train(&self) -> &[u32] {
        &self.items[..self.items.len() - self.n_dev - self.n_test]
    }

    /// What to predict when choosing: each with all the items before it.
    pub fn dev(&self) -> impl Iterator<Item = (&[u32], u32)> {
        let end = self.items.len() - self.n_test;
        self.targets(end - self.n_dev..end)
    }

    /// What to predict when measuring: each with all the items before it, dev items included.
    pub fn test(&self) -> impl Iterator<Item = (&[u32], u32)> {
        self.targets(self.items.len() - self.n_test..self.items.len())
    }

    fn targets(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = (&[u32], u32)> {
        range
            .filter(|at| *at > 0)
            .map(|at| (&self.items[..at], self.items[at]))
    }
}

/// What the trainer of a recommender needs, by user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InteractionTables {
    /// Users in the order of the records.
    pub users: Vec<UserHistory>,
    /// Highest item id: ids are `1..=n_items`.
    pub n_items: u32,
}

impl InteractionTables {
    /// Reads the tables off the records of a dataset of interactions.
    ///
    /// The facts `dev` and `test` of a record say how its held-out items divide; without them the
    /// layout is leave-one-out: the last item is for test, the others held out for dev. The fact
    /// `user_number` is a user's number where that is not the record's index + 1.
    pub fn from_records(records: &[SampleRecord], catalogue: &[CatalogueItem]) -> Self {
        let n_items = records
            .iter()
            .flat_map(|record| record.items.iter().copied())
            .chain(catalogue.iter().map(|item| item.id))
            .max()
            .unwrap_or(0);
        let users = records
            .iter()
            .enumerate()
            .map(|(index, record)| {
                let held_out = (record.n_held_out as usize).min(record.items.len());
                let stated = record.facts.get("test").and_then(|n| n.parse().ok());
                let n_test = stated.unwrap_or(1).min(held_out);
                let number = record.facts.get("user_number");
                UserHistory {
                    user: record.id.clone(),
                    number: number
                        .and_then(|n| n.parse().ok())
                        .unwrap_or(index as u32 + 1),
                    items: record.items.clone(),
                    n_dev: held_out - n_test,
                    n_test,
                }
            })
            .collect();
        Self { users, n_items }
    }
}

/// The record of a user, the `index`-th of the dataset.
pub(super) fn record_of(index: usize, user: &UserHistory) -> SampleRecord {
    let leave_one_out = user.n_dev == 1 && user.n_test == 1;
    let mut facts = BTreeMap::new();
    if !leave_one_out {
        facts.insert("dev".to_owned(), user.n_dev.to_string());
        facts.insert("test".to_owned(), user.n_test.to_string());
    }
    if user.number as usize != index + 1 {
        facts.insert("user_number".to_owned(), user.number.to_string());
    }
    SampleRecord {
        id: user.user.clone(),
        group: user.user.clone(),
        items: user.items.clone(),
        n_held_out: (user.n_dev + user.n_test) as u32,
        facts,
        ..SampleRecord::default()
    }
}
