//! Splits, least rating, core: on real data against counts made another way, and on invented rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A table of interactions, one user per letter.
fn table(rows: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let mut text = "user,item,time\n".to_owned();
    for (user, item, time) in rows {
        writeln!(text, "{user},{item},{time}").unwrap();
    }
    folder_of_files(&[("t.csv", &text)])
}

fn source(folder: &tempfile::TempDir) -> InteractionSource {
    InteractionSource::at(&folder.path().join("t.csv"))
}

#[test]
fn users_with_few_interactions_keep_what_they_can() {
    let folder = table(&[
        ("a", "x", "1"),
        ("b", "x", "1"),
        ("b", "y", "2"),
        ("c", "x", "3"),
        ("c", "y", "2"),
        ("c", "z", "1"),
    ]);
    let plan = imported(&source(&folder));
    assert_eq!(parts(&plan), [[1, 0, 0], [1, 0, 1], [1, 1, 1]]);
    assert_eq!(histories(&plan)[2], ("c", &[3, 2, 1][..]));
    for warning in [
        "1 user has one interaction: it is for training, nothing is held out",
        "1 user has two interactions: the first is for training, the second for test, none for dev",
    ] {
        assert!(says(&plan.warnings, warning));
    }
}

#[test]
fn global_time_cuts_all_users_at_the_same_days() {
    let day = |day: u32| (day * 86_400 + 5).to_string();
    let times: Vec<String> = (0..10).map(day).collect();
    let folder = table(&[
        ("a", "x", &times[0]),
        ("a", "y", &times[7]),
        ("a", "z", &times[8]),
        ("a", "w", &times[9]),
        ("late", "x", &times[8]),
        ("late", "y", &times[9]),
        ("b", "x", &times[3]),
        ("b", "late item", &times[9]),
    ]);
    let by_time = InteractionSource {
        split: Some(SplitRule::GlobalTime),
        ..source(&folder)
    };
    let plan = imported(&by_time);
    assert_eq!(parts(&plan), [[2, 1, 1], [1, 0, 1]]);
    assert_eq!(plan.manifest.skipped.len(), 2);
    assert!(says(
        &plan.recognised,
        "split by global time, 80, 10 and 10 % of 10 days (times in seconds): 3 rows of 2 users \
         for training, 1 row of 1 user for dev, 2 rows of 2 users for test"
    ));
    assert!(says(
        &plan.warnings,
        "2 rows are left out: the user has no interaction before the cut, so no model knows the \
         user"
    ));
    assert_eq!(
        plan.records[1].facts.get("user_number").map(String::as_str),
        Some("3")
    );
    // A file without times cannot be cut in time.
    let timeless = folder_of_files(&[("t.csv", "user,item\na,x\na,x\na,y\n")]);
    let asked = InteractionSource {
        split: Some(SplitRule::GlobalTime),
        ..source(&timeless)
    };
    let error = import_interactions("x", &asked).unwrap_err().to_string();
    assert!(error.contains("has no times"), "{error}");
    let plan = imported(&source(&timeless));
    assert_eq!(histories(&plan), [("a", &[1, 2][..])]);
    assert!(says(
        &plan.warnings,
        "no times: a user's items stand in the order of the file"
    ));
}

/// Counts of the cut, made from the lines of the file.
#[test]
fn real_movielens_by_global_time_loses_no_row_unsaid() {
    let Some(folder) = shared_data("recommender/movielens-latest-small") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("ratings.csv")).unwrap();
    let rows: Vec<(String, i64)> = text
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let rating: f64 = fields[2].parse().unwrap();
            (rating >= 4.0).then(|| (fields[0].to_owned(), fields[3].parse().unwrap()))
        })
        .collect();
    let days: Vec<i64> = rows.iter().map(|(_, time)| time / 86_400).collect();
    let (first, last) = (*days.iter().min().unwrap(), *days.iter().max().unwrap());
    let mut by_user: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for ((user, _), day) in rows.iter().zip(&days) {
        let share = (day - first) as f64 / (last - first + 1) as f64;
        let part = usize::from(share >= 0.8) + usize::from(share >= 0.9);
        by_user.entry(user).or_default()[part] += 1;
    }
    let known = by_user.iter().filter(|(_, counts)| counts[0] > 0);
    let known: BTreeMap<String, [usize; 3]> = known
        .map(|(user, counts)| ((*user).to_owned(), *counts))
        .collect();
    let plan = imported(&InteractionSource {
        min_rating: Some(4.0),
        core: Some(1),
        split: Some(SplitRule::GlobalTime),
        ..InteractionSource::at(&folder)
    });
    let users = plan.records.iter().map(|record| record.id.clone());
    let found: BTreeMap<String, [usize; 3]> = users.zip(parts(&plan)).collect();
    assert_eq!(found, known);
    let n_kept: usize = plan.records.iter().map(|record| record.items.len()).sum();
    let n_left_out: usize = plan
        .warnings
        .iter()
        .filter_map(|warning| warning.split_once(" rows are left out: the user has no"))
        .map(|(n, _)| n.parse::<usize>().unwrap())
        .sum();
    assert!(n_left_out > 1_000, "{:?}", plan.warnings);
    assert_eq!(n_kept + n_left_out, rows.len());
}

#[test]
fn real_grocery_can_be_cut_in_time_instead() {
    let Some(folder) = shared_data("recommender/amazon-grocery") else {
        return;
    };
    let plan = imported(&InteractionSource {
        split: Some(SplitRule::GlobalTime),
        ..InteractionSource::at(&folder)
    });
    let kept: usize = plan.records.iter().map(|record| record.items.len()).sum();
    let said = plan
        .warnings
        .iter()
        .find_map(|warning| warning.strip_suffix(
            " rows are left out: the user has no interaction before the cut, so no model knows the user",
        ));
    let left_out: usize = said.unwrap().parse().unwrap();
    assert_eq!(kept + left_out, 151_254);
    // Users left out leave gaps; the others keep the rows that a checkpoint has for them.
    let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
    assert!(tables.users.len() < 14_681);
    assert!(
        tables
            .users
            .iter()
            .all(|user| user.number.to_string() == user.user)
    );
}

/// Whatever the rows: each is kept or told of, ids have no gap, and every history is in order.
#[test]
fn no_row_is_lost_unsaid() {
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut text = "user,item,time,rating\n".to_owned();
        let n_rows = random.random_range(1..120);
        let mut times: BTreeMap<(String, String), BTreeSet<u32>> = BTreeMap::new();
        for _ in 0..n_rows {
            let id = |random: &mut ChaCha8Rng, letter: char| match random.random_range(0..12) {
                0 => String::new(),
                n => format!("{letter}{n}"),
            };
            let (user, item) = (id(&mut random, 'u'), id(&mut random, 'i'));
            let time: u32 = random.random_range(0..20) * 86_400;
            let rating = random.random_range(1..=5);
            writeln!(text, "{user},{item},{time},{rating}").unwrap();
            if !user.is_empty() && !item.is_empty() {
                times.entry((user, item)).or_default().insert(time);
            }
        }
        let folder = folder_of_files(&[("t.csv", &text)]);
        for split in [None, Some(SplitRule::GlobalTime)] {
            let source = InteractionSource {
                split,
                ..source(&folder)
            };
            let Ok(plan) = import_interactions("x", &source) else {
                assert!(times.is_empty(), "seed {seed}: {text}");
                continue;
            };
            let kept: usize = plan.records.iter().map(|record| record.items.len()).sum();
            assert_eq!(kept + plan.n_skipped, n_rows, "seed {seed}: {text}");
            for record in &plan.records {
                let mut last = 0;
                for &item in &record.items {
                    let name = plan.catalogue[item as usize - 1].source_id.clone().unwrap();
                    let known = &times[&(record.id.clone(), name)];
                    // The earliest time of that item that is not before the last item's.
                    last = *known.iter().find(|time| **time >= last).unwrap();
                }
            }
            let ids: BTreeSet<u32> = plan.records.iter().flat_map(|r| r.items.clone()).collect();
            if split.is_none() {
                assert_eq!(
                    ids,
                    (1..=plan.catalogue.len() as u32).collect(),
                    "seed {seed}"
                );
            }
        }
    }
}

#[test]
fn the_core_is_what_repeated_counting_leaves() {
    let mut n_kept = 0;
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pairs: BTreeSet<(u32, u32)> = BTreeSet::new();
        for _ in 0..90 {
            pairs.insert((random.random_range(0..15), random.random_range(0..15)));
        }
        let mut text = "user,item\n".to_owned();
        for (user, item) in &pairs {
            writeln!(text, "u{user},i{item}").unwrap();
        }
        // Another way: take away one user or item at a time.
        loop {
            let count =
                |test: &dyn Fn(&(u32, u32)) -> bool| pairs.iter().filter(|p| test(p)).count();
            let weak = pairs.iter().copied().find(|&(user, item)| {
                count(&|pair| pair.0 == user) < 4 || count(&|pair| pair.1 == item) < 4
            });
            match weak {
                Some(pair) => pairs.remove(&pair),
                None => break,
            };
        }
        let folder = folder_of_files(&[("t.csv", &text)]);
        let source = InteractionSource {
            core: Some(4),
            ..source(&folder)
        };
        let kept = import_interactions("x", &source).map_or(0, |plan| {
            plan.records.iter().map(|record| record.items.len()).sum()
        });
        assert_eq!(kept, pairs.len(), "seed {seed}");
        n_kept += kept;
    }
    assert!((200..1_800).contains(&n_kept), "{n_kept}");
}
