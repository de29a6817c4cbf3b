//! Phantom shoppers through their public face: truth per position, predictable next items.

use std::collections::BTreeSet;

use datasets::phantom::{TASTES, shoppers};

#[test]
fn a_seed_names_the_shoppers() {
    let few = shoppers(1, 50);
    let many = shoppers(1, 80);
    assert_eq!(few, shoppers(1, 50));
    assert_eq!(few.records[..], many.records[..50]);
    assert_eq!(few.catalogue, many.catalogue);
    assert_ne!(few.records, shoppers(2, 50).records);
}

#[test]
fn the_catalogue_has_titles_and_categories_that_cut_across_tastes() {
    let shop = shoppers(1, 1);
    assert_eq!(shop.catalogue.len(), 300);
    for (id, item) in (1..).zip(&shop.catalogue) {
        assert_eq!(item.id, id);
        assert!(!item.title.is_empty() && item.categories.len() == 1);
    }
    let titles: BTreeSet<&str> = shop
        .catalogue
        .iter()
        .map(|item| item.title.as_str())
        .collect();
    assert_eq!(titles.len(), 300);
    let mut served = BTreeSet::new();
    for (taste, name) in shop.tastes.iter().zip(TASTES) {
        assert_eq!(taste.name, name);
        assert_eq!(taste.items.len(), 14);
        let categories: BTreeSet<&String> = taste
            .items
            .iter()
            .flat_map(|&id| &shop.catalogue[id as usize - 1].categories)
            .collect();
        assert!(categories.len() >= 3, "{name}");
        served.extend(taste.items.iter().copied());
    }
    assert_eq!(served.len(), 14 * TASTES.len());
}

#[test]
fn truth_lies_beside_every_item() {
    let shop = shoppers(7, 1_000);
    let (mut active, mut serving, mut stray) = (0_u32, 0_u32, 0_u32);
    for (record, truth) in shop.records.iter().zip(&shop.truth) {
        assert_eq!(record.items.len(), truth.len());
        assert!((8..=30).contains(&truth.len()));
        assert_eq!(record.n_held_out, 2);
        let named: BTreeSet<&str> = record
            .findings
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        assert!((1..=3).contains(&named.len()));
        let planted: BTreeSet<&str> = truth
            .iter()
            .flatten()
            .map(|&taste| TASTES[usize::from(taste)])
            .collect();
        assert_eq!(named, planted);
        let last = truth[truth.len() - 1];
        assert!(last.is_some());
        assert!(truth[truth.len() - 5..].iter().all(|taste| *taste == last));
        for (item, taste) in record.items.iter().zip(truth) {
            let serves = shop
                .tastes
                .iter()
                .position(|taste| taste.items.contains(item));
            active += u32::from(taste.is_some());
            serving += u32::from(serves.is_some());
            stray += u32::from(serves.is_some() && serves != taste.map(usize::from));
        }
    }
    assert_eq!(stray, 0);
    let share = f64::from(serving) / f64::from(active);
    assert!((0.83..0.92).contains(&share), "{share}");
}

#[test]
fn the_next_item_follows_from_the_active_taste() {
    let shop = shoppers(8, 1_000);
    let (mut from_taste, mut next_in_list, mut count) = (0_u32, 0_u32, 0_u32);
    for (record, truth) in shop.records.iter().zip(&shop.truth) {
        let Some(taste) = truth.last().copied().flatten() else {
            continue;
        };
        let list = &shop.tastes[usize::from(taste)].items;
        let (last, history) = record.items.split_last().unwrap();
        count += 1;
        from_taste += u32::from(list.contains(last));
        let before = history
            .iter()
            .rev()
            .find_map(|item| list.iter().position(|i| i == item));
        next_in_list += u32::from(before.is_some_and(|i| list[(i + 1) % list.len()] == *last));
    }
    let share = |n: u32| f64::from(n) / f64::from(count);
    assert!(
        (0.80..0.90).contains(&share(from_taste)),
        "{}",
        share(from_taste)
    );
    // Far above one in 300 by chance, yet not a certainty.
    assert!(
        (0.38..0.60).contains(&share(next_in_list)),
        "{}",
        share(next_in_list)
    );
}
