//! Small files in every layout, written by the test, and what becomes of them.

use std::fmt::Write as _;

use super::*;

/// The 24 fields of a film of MovieLens-100k; `flags` are the numbers of its genres.
fn film_100k(number: u32, title: &str, flags: &[usize]) -> String {
    let flags: Vec<&str> = (0..19)
        .map(|flag| if flags.contains(&flag) { "1" } else { "0" })
        .collect();
    format!(
        "{number}|{title}|01-Jan-1995||http://x/{number}|{}\n",
        flags.join("|")
    )
}

#[test]
fn movielens_100k_has_latin1_titles_and_flags() {
    let folder = folder_of_files(&[(
        "u.data",
        "2\t30\t4\t20\n1\t10\t5\t30\n1\t30\t3\t10\n2\t10\t4\t40\n1\t10\t5\t30\n2\t10\t1\t50\n",
    )]);
    let films = [
        film_100k(10, "Mis\u{e9}rables, Les (1995)", &[8, 14]),
        film_100k(20, "Nobody rated it (1995)", &[1]),
        film_100k(30, "unknown", &[0]),
    ];
    let latin1: Vec<u8> = films.concat().chars().map(|letter| letter as u8).collect();
    std::fs::write(folder.path().join("u.item"), latin1).unwrap();
    let source = InteractionSource {
        core: Some(1),
        ..InteractionSource::at(folder.path())
    };
    let plan = imported(&source);
    assert_eq!(histories(&plan), [("1", &[2, 1][..]), ("2", &[2, 1])]);
    assert_eq!(
        items(&plan),
        [
            (
                1,
                "10",
                "Mis\u{e9}rables, Les (1995)",
                vec!["Drama", "Romance"]
            ),
            (2, "30", "unknown", vec!["unknown"]),
        ]
    );
    let lines: Vec<&str> = plan
        .manifest
        .skipped
        .iter()
        .map(|skipped| skipped.place.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["5", "6"]);
    assert!(says(
        &plan.warnings,
        "1 row is left out: an earlier row has the same user, item and time"
    ));
    assert!(says(
        &plan.warnings,
        "1 row is left out: the user rated the same film before"
    ));
    assert!(says(
        &plan.recognised,
        "1 item is left out of the catalogue: the tables name them, but no interaction is left"
    ));
    // The file itself means the same.
    let file = InteractionSource {
        path: folder.path().join("u.data"),
        ..source
    };
    assert_eq!(imported(&file).records, plan.records);
}

#[test]
fn movielens_1m_takes_ratings_from_4_and_a_core() {
    let mut ratings = String::new();
    for user in 1..=3 {
        for film in 1..=3 {
            let height = 3 + (user + film) % 3;
            writeln!(ratings, "{user}::{film}::{height}::{film}00").unwrap();
        }
    }
    ratings += "9::1::5::7\n";
    let folder = folder_of_files(&[
        ("ratings.dat", ratings.as_str()),
        (
            "movies.dat",
            "1::Toy: \"Story\" (1995)::Animation|Children's\n2::Two::Drama\n3::Three::War\n",
        ),
    ]);
    let source = InteractionSource {
        min_rating: Some(4.0),
        core: Some(2),
        ..InteractionSource::at(folder.path())
    };
    let plan = imported(&source);
    // Each of three users rated two of three films at least 4, each film has two such users; the
    // ninth user has one.
    assert_eq!(
        histories(&plan),
        [("1", &[1, 3][..]), ("2", &[2, 3]), ("3", &[1, 2])]
    );
    assert_eq!(plan.catalogue[0].title, "Toy: \"Story\" (1995)");
    assert_eq!(plan.catalogue[0].categories, ["Animation", "Children's"]);
    assert!(says(
        &plan.recognised,
        "7 of 10 ratings have at least 4; 3 are left out"
    ));
    assert!(says(
        &plan.recognised,
        "6 interactions are left in the 2-core; 1 interaction of 1 user and 0 items left out"
    ));
    let usual = import_interactions("x", &InteractionSource::at(folder.path())).unwrap_err();
    assert!(
        usual.to_string().contains("no interactions are left"),
        "{usual}"
    );
}

/// `RecBole` factorises tokens of the interactions that are left, then of the item table.
#[test]
fn recbole_tokens_are_numbered_in_order_of_appearance() {
    let folder = folder_of_files(&[
        (
            "shop.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n\
             u9\tB00X\t2.0\t3.5\nu1\ta 1\t5.0\t9\nu9\ta 1\t4.0\t1\nu9\tB00X\t2.0\t3.5\n\
             u9\tB00X\t4.0\t7\nu1\tzz\t4.5\t2e0\n\tzz\t4.5\t2\n",
        ),
        (
            "shop.item",
            "item_id:token\tmovie_title:token_seq\tclass:token_seq\tyear:float\n\
             never\tNever bought\tDrama\t1\nzz\tA long title\tSci-Fi Children's\t2\n\
             B00X\t\t\t3\nzz\tAgain\tWar\t4\n",
        ),
        ("shop.user", "user_id:token\tage:token\nu9\t30\nu7\t31\n"),
    ]);
    let plan = imported(&InteractionSource::at(folder.path()));
    assert_eq!(histories(&plan), [("u9", &[2, 1, 1][..]), ("u1", &[3, 2])]);
    assert_eq!(
        items(&plan),
        [
            (1, "B00X", "", vec![]),
            (2, "a 1", "", vec![]),
            (3, "zz", "A long title", vec!["Sci-Fi", "Children's"]),
        ]
    );
    assert_eq!(parts(&plan), [[1, 1, 1], [1, 0, 1]]);
    assert_eq!(plan.catalogue[0].shown_title(), "item 1");
    for warning in [
        "1 row is left out: the row names no user or no item",
        "1 row is left out: an earlier row has the same user, item and time",
        "shop.item: 1 row is of an item that stood before; what the first says counts",
        "2 items have no title and are shown by number",
        "1 user has two interactions: the first is for training, the second for test, none for dev",
    ] {
        assert!(says(&plan.warnings, warning));
    }
    for sentence in [
        "1 interaction repeats an item of the same user at another time: kept",
        "shop.user: 2 users, 1 of them without interaction and left out; what else it says of \
         users is not read",
        "shop.inter: 7 rows; user from `user_id`, item from `item_id`, time from `timestamp`, \
         rating from `rating`",
    ] {
        assert!(says(&plan.recognised, sentence));
    }
    // Numbers follow what is left: without ratings below 4 the first token is another.
    let source = InteractionSource {
        min_rating: Some(4.0),
        ..InteractionSource::at(folder.path())
    };
    let plan = imported(&source);
    assert_eq!(histories(&plan), [("u1", &[3, 1][..]), ("u9", &[1, 2])]);
}

#[test]
fn recbole_benchmarks_say_what_is_held_out() {
    let head = "user_id:token\titem_id:token\ttimestamp:float\n";
    let rows = |rows: &str| format!("{head}{rows}");
    let folder = folder_of_files(&[
        ("b.train.inter", &rows("u\tx\t1\nu\ty\t2\nv\tx\t1\n")),
        ("b.valid.inter", &rows("u\tz\t3\n")),
        ("b.test.inter", &rows("v\ty\t4\nu\tw\t4\nu\tx\t9\n")),
        ("b.inter", &rows("only\tthis\t1\n")),
    ]);
    let plan = imported(&InteractionSource::at(folder.path()));
    assert_eq!(
        histories(&plan),
        [("u", &[1, 2, 3, 4, 1][..]), ("v", &[1, 2])]
    );
    assert_eq!(parts(&plan), [[2, 1, 2], [1, 0, 1]]);
    let part = InteractionSource::at(&folder.path().join("b.test.inter"));
    assert_eq!(imported(&part).records, plan.records);
    let again = InteractionSource {
        split: Some(SplitRule::LeaveOneOut),
        ..InteractionSource::at(folder.path())
    };
    assert_eq!(parts(&imported(&again)), [[3, 1, 1], [1, 0, 1]]);
    let whole = InteractionSource::at(&folder.path().join("b.inter"));
    assert_eq!(histories(&imported(&whole)), [("only", &[1][..])]);

    std::fs::remove_file(folder.path().join("b.test.inter")).unwrap();
    let error = import_interactions("x", &InteractionSource::at(folder.path())).unwrap_err();
    assert!(error.to_string().contains("no b.test.inter"), "{error}");
    std::fs::remove_file(folder.path().join("b.train.inter")).unwrap();
    std::fs::remove_file(folder.path().join("b.valid.inter")).unwrap();
    write(folder.path(), &[("c.inter", head)]);
    let error = import_interactions("x", &InteractionSource::at(folder.path())).unwrap_err();
    assert!(
        error.to_string().contains("several datasets, b, c;"),
        "{error}"
    );
}

#[test]
fn a_table_is_mapped_and_its_items_have_pictures() {
    let folder = folder_of_files(&[
        (
            "sales.csv",
            "customer;what;day;label\nann;p/1;2020-01-02;old name\nann;p2;2020-01-01;\n\
             bob;p3;2020-01-01 08:00;In the sales\nbob;p4;2020-01-01 09:00;\n",
        ),
        (
            "products.tsv",
            "what\tname\ttags\tphoto\np/1\tFirst\tA|B\tshelf/one.jpg\np2\tSecond\t\tgone.png\n\
             p4\tFourth\tC;D\thttps://example.org/4.png\n",
        ),
    ]);
    for (name, path) in [
        ("shelf", "one.jpg"),
        ("images", "p2.png"),
        ("images", "p9.jpg"),
    ] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join(path), b"x").unwrap();
    }
    std::fs::write(folder.path().join("images/p3.txt"), b"x").unwrap();
    let source = InteractionSource {
        path: folder.path().join("sales.csv"),
        columns: ColumnMap::parse(
            "user=customer,item=what,time=day,title=label,categories=tags,picture=photo",
        )
        .unwrap(),
        items: Some(folder.path().join("products.tsv")),
        ..InteractionSource::default()
    };
    let plan = imported(&source);
    assert_eq!(histories(&plan), [("ann", &[2, 1][..]), ("bob", &[3, 4])]);
    // The title is stated to be the column `label`, which only the sales have.
    assert_eq!(
        items(&plan),
        [
            (1, "p/1", "old name", vec!["A", "B"]),
            (2, "p2", "", vec![]),
            (3, "p3", "In the sales", vec![]),
            (4, "p4", "", vec!["C", "D"]),
        ]
    );
    let pictures: Vec<Option<String>> = plan.catalogue.iter().map(|i| i.picture.clone()).collect();
    let at = |name: &str| {
        let folder = folder.path().canonicalize().unwrap();
        Some(folder.join(name).display().to_string())
    };
    assert_eq!(
        pictures,
        [at("shelf/one.jpg"), at("images/p2.png"), None, None]
    );
    assert!(says(&plan.recognised, "2 items with a picture"));
    for warning in [
        "1 picture left out that a table names: the file is not there",
        "1 picture left out that a table names by an address: nothing is fetched",
    ] {
        assert!(says(&plan.warnings, warning));
    }
    // Unless stated otherwise, the table of items names titles.
    let source = InteractionSource {
        columns: ColumnMap::parse("user=customer,item=what,time=day").unwrap(),
        ..source
    };
    let titles: Vec<String> = imported(&source)
        .catalogue
        .into_iter()
        .map(|i| i.title)
        .collect();
    assert_eq!(titles, ["First", "Second", "", "Fourth"]);
}

/// A user's name is no title, and what identifies a person is not stored.
#[test]
fn people_are_numbered() {
    let folder = folder_of_files(&[(
        "t.csv",
        "e-mail,name,item,time\nann@x.org,Ann,a,1\nbob@x.org,Bob,b,1\nann@x.org,Ann,b,2\n",
    )]);
    let plan = imported(&InteractionSource {
        columns: ColumnMap::parse("user=e-mail").unwrap(),
        ..InteractionSource::at(&folder.path().join("t.csv"))
    });
    assert_eq!(histories(&plan), [("1", &[1, 2][..]), ("2", &[2])]);
    assert!(says(
        &plan.warnings,
        "the column `e-mail` may identify people: users are numbered in the order of appearance, \
         and its values are not stored"
    ));
    let stored = format!("{:?} {:?}", plan.records, plan.catalogue);
    assert!(
        !stored.contains("Ann") && !stored.contains("ann@"),
        "{stored}"
    );
}

#[test]
fn rechorus_users_with_gaps_keep_their_numbers() {
    let folder = folder_of_files(&[
        (
            "train.csv",
            "user_id\titem_id\ttime\n1\t1\t1\n5\t2\t1\n2\t7\t1\n5\t2\t3\n5\t2\t3\n",
        ),
        ("dev.csv", "user_id\titem_id\ttime\n5\t3\t4\n"),
        ("test.csv", "user_id\titem_id\ttime\n5\t1\t5\n"),
        ("titles.csv", "item_id,title\n2,Two\n8,Eight\n"),
    ]);
    let source = InteractionSource {
        items: Some(folder.path().join("titles.csv")),
        ..InteractionSource::at(folder.path())
    };
    let plan = imported(&source);
    assert_eq!(
        histories(&plan),
        [("1", &[1][..]), ("2", &[7]), ("5", &[2, 2, 3, 1])]
    );
    let numbers: Vec<Option<&String>> = plan
        .records
        .iter()
        .map(|record| record.facts.get("user_number"))
        .collect();
    assert_eq!(numbers, [None, None, Some(&"5".to_owned())]);
    let tables = InteractionTables::from_records(&plan.records, &plan.catalogue);
    assert_eq!(tables.users[2].number, 5);
    assert_eq!(plan.catalogue.len(), 8);
    assert_eq!(plan.catalogue[7].title, "Eight");
    assert!(says(&plan.warnings, "2 users with one interaction"));
    assert_eq!(plan.manifest.skipped.len(), 1);
}
