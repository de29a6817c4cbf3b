use std::collections::BTreeMap;

use super::*;
use crate::test_data::shared_data;

mod damaged;
mod layouts;
mod options;

/// What a source becomes.
fn imported(source: &InteractionSource) -> ImportPlan {
    import_interactions("x", source).unwrap()
}

/// A folder with files.
fn folder_of_files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    folder
}

/// Histories by user, in the order of the records.
fn histories(plan: &ImportPlan) -> Vec<(&str, &[u32])> {
    let records = plan.records.iter();
    records
        .map(|record| (record.id.as_str(), record.items.as_slice()))
        .collect()
}

/// How many are for training, dev and test, by user.
fn parts(plan: &ImportPlan) -> Vec<[usize; 3]> {
    let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
    let users = tables.users.iter();
    users
        .map(|user| [user.train().len(), user.n_dev, user.n_test])
        .collect()
}

/// What the catalogue says of each item.
fn items(plan: &ImportPlan) -> Vec<(u32, &str, &str, Vec<&str>)> {
    let items = plan.catalogue.iter();
    items
        .map(|item| {
            (
                item.id,
                item.source_id.as_deref().unwrap_or(""),
                item.title.as_str(),
                item.categories.iter().map(String::as_str).collect(),
            )
        })
        .collect()
}

/// Whether one of the sentences is there.
fn says(sentences: &[String], sentence: &str) -> bool {
    let found = sentences.iter().any(|said| said == sentence);
    if !found {
        assert_eq!(sentences, [sentence], "not among them");
    }
    found
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn amazon_grocery_is_leave_one_out() {
    let Some(folder) = shared_data("recommender/amazon-grocery") else {
        return;
    };
    let plan = import_interactions("grocery", &InteractionSource::at(&folder)).unwrap();
    let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
    assert_eq!(tables.users.len(), 14_681);
    assert_eq!(tables.n_items, 8_713);
    let sum = |f: &dyn Fn(&UserHistory) -> usize| tables.users.iter().map(f).sum::<usize>();
    assert_eq!(sum(&|u| u.train().len()), 121_892);
    assert_eq!(sum(&|u| u.dev().count()), 14_681);
    assert_eq!(sum(&|u| u.test().count()), 14_681);
    assert!(
        plan.records
            .iter()
            .all(|r| r.n_held_out == 2 && r.facts.is_empty())
    );
    assert_eq!(plan.catalogue.len(), 8_713);
    assert!(
        plan.warnings.iter().any(|w| w.contains("no titles")),
        "{:?}",
        plan.warnings
    );
    let user = tables.users.iter().find(|u| u.user == "6185").unwrap();
    assert_eq!(user.dev().next().unwrap().1, 691);
    assert_eq!(user.test().next().unwrap().1, 762);
}

#[test]
fn movielens_in_the_rechorus_layout_has_titles() {
    let Some(folder) = shared_data("recommender/movielens-latest-small/loo5core") else {
        return;
    };
    let plan = import_interactions(
        "films",
        &InteractionSource {
            layout: Some(Layout::ReChorus),
            ..InteractionSource::at(&folder)
        },
    )
    .unwrap();
    assert_eq!(plan.records.len(), 671);
    assert_eq!(plan.catalogue.len(), 3_495);
    assert_eq!(plan.catalogue[0].title, "Jumanji (1995)");
    assert_eq!(
        plan.catalogue[0].categories,
        ["Adventure", "Children", "Fantasy"]
    );
}

#[test]
fn raw_movielens_gives_the_core_of_all_its_ratings() {
    let Some(folder) = shared_data("recommender/movielens-latest-small") else {
        return;
    };
    let plan = import_interactions("films", &InteractionSource::at(&folder)).unwrap();
    let n: usize = plan.records.iter().map(|r| r.items.len()).sum();
    assert_eq!(
        (plan.records.len(), plan.catalogue.len(), n),
        (671, 3_496, 90_072)
    );
    assert_eq!(plan.catalogue[0].title, "Toy Story (1995)");
}

/// The prepared set beside the raw one was made by a program that took the first line of both
/// files for a header: without that rating and without the film Toy Story it is the same, to the
/// item.
#[test]
fn raw_movielens_equals_the_prepared_split() {
    let Some(folder) = shared_data("recommender/movielens-latest-small") else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let ratings: Vec<String> = std::fs::read_to_string(folder.join("ratings.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .filter(|line| line.split(',').nth(1) != Some("1"))
        .map(str::to_owned)
        .collect();
    write(temporary.path(), &[("ratings.csv", &ratings.join("\n"))]);
    std::fs::copy(
        folder.join("movies.csv"),
        temporary.path().join("movies.csv"),
    )
    .unwrap();
    let tables = |path: &Path| {
        let plan = import_interactions("films", &InteractionSource::at(path)).unwrap();
        let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
        (tables, plan.catalogue)
    };
    let (raw, raw_titles) = tables(temporary.path());
    let (prepared, titles) = tables(&folder.join("loo5core"));
    assert_eq!(raw_titles, titles);
    assert_eq!(
        raw.users.iter().map(|u| u.train().len()).sum::<usize>(),
        88_482
    );
    let by_user = |tables: &InteractionTables| -> BTreeMap<String, (u32, u32)> {
        tables
            .users
            .iter()
            .map(|u| {
                let targets = (u.dev().next().unwrap().1, u.test().next().unwrap().1);
                (u.user.clone(), targets)
            })
            .collect()
    };
    assert_eq!(by_user(&raw), by_user(&prepared));
}

#[test]
fn uneven_splits_are_kept_as_they_are_and_said() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            (
                "train.csv",
                "user_id\titem_id\ttime\n1\t1\t1\n1\t2\t2\n2\t1\t1\n2\t2\t9\n",
            ),
            (
                "dev.csv",
                "user_id\titem_id\ttime\tneg_items\n1\t3\t3\t[1, 2]\n1\t4\t4\t[1]\n",
            ),
            ("test.csv", "user_id\titem_id\ttime\n1\t5\t5\n2\t3\t5\n"),
        ],
    );
    let plan = import_interactions("x", &InteractionSource::at(folder.path())).unwrap();
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
    let first = &tables.users[0];
    assert_eq!(first.train(), [1, 2]);
    assert_eq!(
        first.dev().map(|(h, t)| (h.len(), t)).collect::<Vec<_>>(),
        [(2, 3), (3, 4)]
    );
    assert_eq!(first.test().map(|(_, t)| t).collect::<Vec<_>>(), [5]);
    let second = &tables.users[1];
    assert_eq!(second.items, [1, 2, 3]);
    assert_eq!((second.dev().count(), second.test().count()), (0, 1));
}

#[test]
fn damaged_folders_end_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let fail = || {
        import_interactions("x", &InteractionSource::at(folder.path()))
            .unwrap_err()
            .to_string()
    };
    assert!(fail().contains("neither train.csv"), "{}", fail());
    write(
        folder.path(),
        &[
            ("train.csv", "user_id,item_id,time\n1,0,1\n"),
            ("dev.csv", "user_id,item_id,time\n"),
            ("test.csv", "user_id,item_id,time\n"),
        ],
    );
    assert!(
        fail().contains("line 2, column `item_id`: `0` is not an id from 1"),
        "{}",
        fail()
    );
    write(folder.path(), &[("train.csv", "user,item,time\n1,1,1\n")]);
    assert!(
        fail().contains("no column `user_id`; its columns are user, item, time"),
        "{}",
        fail()
    );
    write(folder.path(), &[("train.csv", "user_id,item_id,time\n")]);
    assert!(fail().contains("no interactions are left"), "{}", fail());
    let missing =
        import_interactions("x", &InteractionSource::at(&folder.path().join("y"))).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read"), "{missing}");
}
