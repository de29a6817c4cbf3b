//! The catalogue of items: ids, titles, categories, pictures, and what of it is missing.

use std::collections::HashSet;
use std::path::Path;

use schema::CatalogueItem;

use super::super::counted;
use super::account::Account;
use super::histories::UserHistory;
use super::item_tables::ItemFacts;
use super::pictures::Pictures;
use super::rows::{Ids, Interactions};

/// The catalogue by id. Items that tables name and nobody has are left out and counted, but for
/// ids that are numbers from 1: these leave no gap.
pub(super) fn catalogue(
    interactions: &mut Interactions,
    ids: &[u32],
    folder: &Path,
) -> Vec<CatalogueItem> {
    let mut pictures = Pictures::find(folder);
    let tables = &mut interactions.item_tables;
    let named = |id: u32, name: &str, facts: ItemFacts, pictures: &mut Pictures| CatalogueItem {
        id,
        picture: pictures.of(name, facts.picture.as_deref()),
        title: facts.title,
        categories: facts.categories,
        source_id: facts.source_id,
    };
    let catalogue: Vec<CatalogueItem> = if interactions.ids == Ids::FromOne {
        let in_tables = tables.highest.as_ref().map_or(0, |(highest, _)| *highest);
        let highest = ids.iter().copied().max().unwrap_or(0).max(in_tables);
        (1..=highest)
            .map(|id| {
                let name = id.to_string();
                let facts = tables.by_id.remove(&name).unwrap_or_default();
                named(id, &name, facts, &mut pictures)
            })
            .collect()
    } else {
        let mut present: Vec<(u32, &String)> = ids
            .iter()
            .copied()
            .zip(&interactions.items.all)
            .filter(|(id, _)| *id > 0)
            .collect();
        present.sort_unstable();
        present
            .into_iter()
            .map(|(id, name)| {
                let facts = tables.by_id.remove(name).unwrap_or_default();
                CatalogueItem {
                    source_id: Some(name.clone()),
                    ..named(id, name, facts, &mut pictures)
                }
            })
            .collect()
    };
    let n_unused = tables.by_id.len();
    let account = &mut interactions.account;
    if n_unused > 0 {
        account.recognised.push(format!(
            "{} left out of the catalogue: the tables name them, but no interaction is left",
            counted(n_unused, "item is", "items are")
        ));
    }
    note_missing(&catalogue, account);
    pictures.note(account);
    catalogue
}

/// What the catalogue does not say.
fn note_missing(catalogue: &[CatalogueItem], account: &mut Account) {
    let count = |test: fn(&CatalogueItem) -> bool| catalogue.iter().filter(|i| test(i)).count();
    let n_titled = count(|item| !item.title.is_empty());
    let n_bare = count(|item| item.title.is_empty() && item.categories.is_empty());
    let categories: HashSet<&String> = catalogue.iter().flat_map(|i| &i.categories).collect();
    account.recognised.push(format!(
        "{} with a title, {}, {} with neither title nor category",
        counted(n_titled, "item", "items"),
        counted(categories.len(), "category", "categories"),
        counted(n_bare, "item", "items"),
    ));
    if n_titled == 0 {
        account
            .warnings
            .push("no titles: items can be shown by number only".to_owned());
    } else if n_titled < catalogue.len() {
        let n = catalogue.len() - n_titled;
        account.warnings.push(format!(
            "{} no title and {} shown by number",
            counted(n, "item has", "items have"),
            if n == 1 { "is" } else { "are" }
        ));
    }
}

/// Items that occur in held-out rows only.
pub(super) fn note_unseen(users: &[UserHistory], account: &mut Account) {
    let trained: HashSet<u32> = users.iter().flat_map(UserHistory::train).copied().collect();
    let all: HashSet<u32> = users.iter().flat_map(|user| &user.items).copied().collect();
    let n = all.len() - trained.len();
    if n > 0 {
        account.recognised.push(format!(
            "{} only in held-out rows: no model learns them",
            counted(n, "item occurs", "items occur")
        ));
    }
}
