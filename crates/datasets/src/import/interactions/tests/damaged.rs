//! Damaged files end with one sentence that names the file and the place.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

fn sentence(source: &InteractionSource) -> String {
    let sentence = import_interactions("x", source).unwrap_err().to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

/// One file, imported by itself, and what is said of it.
fn check(name: &str, text: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let sentence = sentence(&InteractionSource {
        core: Some(1),
        ..InteractionSource::at(&path)
    });
    assert!(sentence.contains(expected), "{name}: {sentence}");
    assert!(sentence.contains(name), "{sentence}");
}

/// Name of a file, what it holds, and what is said of it.
const DAMAGED: &[(&str, &str, &str)] = &[
    // Nothing there.
    ("u.data", "", "no interactions are left"),
    ("ratings.dat", "", "no interactions are left"),
    (
        "ratings.csv",
        "",
        "no column `userId`; its columns are none",
    ),
    ("a.inter", "", "no column for `user`"),
    ("a.csv", "", "no column for `user`"),
    // A header only.
    (
        "ratings.csv",
        "userId,movieId,rating,timestamp\n",
        "no interactions are left",
    ),
    (
        "a.inter",
        "user_id:token\titem_id:token\n",
        "no interactions are left",
    ),
    ("a.csv", "user,item\n", "no interactions are left"),
    // A column that is not there.
    (
        "u.data",
        "1\t2\t3\n",
        "line 1: 3 fields where 4 (userId, movieId",
    ),
    (
        "ratings.dat",
        "1::2::3::4\n1::2::3\n",
        "line 2: 3 fields where the first line has 4",
    ),
    (
        "a.inter",
        "user_id:token\tx:float\nu\t1\n",
        "no column for `item`",
    ),
    (
        "a.csv",
        "user,thing\n1,2\n",
        "state it as item=COLUMN; its columns are user, thing",
    ),
    // A header without types.
    (
        "a.inter",
        "user_id\titem_id:token\nu\ti\n",
        "line 1, column `user_id`: the header is",
    ),
    (
        "a.inter",
        "user_id:token\titem_id_list:token_seq\titem_id:token\nu\ti\ti\n",
        "made ready",
    ),
    // Text where a number is expected.
    (
        "u.data",
        "one\t2\t3\t4\n",
        "line 1, column `userId`: `one` is not a whole number",
    ),
    (
        "u.data",
        "1\t2\t3\tnoon\n",
        "line 1, column `timestamp`: `noon` is not a time",
    ),
    (
        "ratings.dat",
        "1::2::good::4\n",
        "line 1, column `rating`: `good` is not a rating",
    ),
    (
        "a.inter",
        "user_id:token\titem_id:token\ttimestamp:float\nu\ti\tx\n",
        "line 2, column",
    ),
    (
        "a.csv",
        "user,item,time\n1,2,nan\n",
        "line 2, column `time`: `nan` is not a time",
    ),
    // Ids out of range.
    (
        "u.data",
        "1\t99999999999\t3\t4\n",
        "`99999999999` is not a whole number from 0 to",
    ),
    (
        "ratings.csv",
        "1,-2,3,4\n",
        "line 1, column `movieId`: `-2` is not a whole number",
    ),
];

#[test]
fn every_layout_names_what_is_wrong_and_where() {
    for (name, text, expected) in DAMAGED {
        check(name, text.as_bytes(), expected);
    }
    check(
        "a.csv",
        b"user,item\n1,\xff\xfe\n",
        "line 2: the text is not UTF-8",
    );
    check(
        "a.inter",
        b"user_id:token\titem_id:token\nu\t\xe9\n",
        "line 2: the text is not UTF-8",
    );
    check("a.txt", b"\xff\xd8\xff\xe0\x00\x10JFIF", "a.txt");
}

#[test]
fn ids_out_of_range_are_refused() {
    let head = "user_id\titem_id\ttime\n";
    for (id, expected) in [
        ("0", "line 2, column `item_id`: `0` is not an id from 1"),
        ("-3", "`-3` is not an id from 1 to 50000000"),
        ("4294967296", "`4294967296` is not an id from 1 to 50000000"),
        ("1.0", "`1.0` is not an id from 1"),
        (
            "49999999",
            "line 2: the item id 49999999 is out of range: only 1 items occur",
        ),
    ] {
        let folder = folder_of_files(&[
            ("train.csv", &format!("{head}1\t{id}\t1\n")),
            ("dev.csv", head),
            ("test.csv", head),
        ]);
        let said = sentence(&InteractionSource::at(folder.path()));
        assert!(
            said.contains(expected) && said.contains("train.csv"),
            "{said}"
        );
    }
    let folder = folder_of_files(&[
        ("train.csv", &format!("{head}1\t1\t1\n")),
        ("dev.csv", head),
        ("test.csv", head),
        ("item_info.csv", "item_id\ttitle\n1\tx\n40000000\ty\n"),
    ]);
    let said = sentence(&InteractionSource::at(folder.path()));
    assert!(
        said.contains("item_info.csv, line 3: the item id 40000000"),
        "{said}"
    );
}

#[test]
fn films_with_damaged_flags_are_refused() {
    let flags = ["0"; 18].join("|");
    let folder = folder_of_files(&[
        ("u.data", "1\t1\t5\t1\n"),
        ("u.item", &format!("1|T|d||u|{flags}|yes\n")),
    ]);
    let said = sentence(&InteractionSource::at(folder.path()));
    assert!(
        said.contains("u.item: line 1, column `Western`: `yes` is not a flag: 0 or 1"),
        "{said}"
    );
    write(folder.path(), &[("u.item", "1|T|d\n")]);
    let said = sentence(&InteractionSource::at(folder.path()));
    assert!(said.contains("u.item: line 1: 3 fields where 24"), "{said}");
}

/// A folder in the `ReChorus` layout, a table of interactions and a table of items.
fn small_sources() -> tempfile::TempDir {
    folder_of_files(&[
        ("train.csv", "user_id,item_id,time\n1,1,1\n"),
        ("dev.csv", "user_id,item_id,time\n"),
        ("test.csv", "user_id,item_id,time\n"),
        ("t.csv", "user,item\n1,1\n"),
        ("items.csv", "thing,title\n1,x\n"),
    ])
}

/// What is said when `change` is asked of `name` in the small sources.
fn asked(name: &str, expected: &str, change: fn(&mut InteractionSource)) {
    let folder = small_sources();
    let mut source = InteractionSource::at(&folder.path().join(name));
    change(&mut source);
    source.items = source.items.map(|items| folder.path().join(items));
    let said = sentence(&source);
    assert!(said.contains(expected), "{said}");
}

fn columns(text: &str) -> ColumnMap {
    ColumnMap::parse(text).unwrap()
}

#[test]
fn what_the_source_has_not_cannot_be_asked() {
    asked("", "a core of 0", |source| source.core = Some(0));
    asked("", "has no ratings", |source| source.min_rating = Some(4.0));
    asked("", "no number to compare", |source| {
        source.min_rating = Some(f64::NAN);
    });
    asked("", "the csv layout is a file", |source| {
        source.layout = Some(Layout::Csv);
    });
    asked("", "no file ending in .inter", |source| {
        source.layout = Some(Layout::RecBole);
    });
    asked("", "none of these is there", |source| {
        source.layout = Some(Layout::MovieLens);
    });
    asked("t.csv", "is not a folder", |source| {
        source.layout = Some(Layout::ReChorus);
    });
    asked("t.csv", "ends in .inter", |source| {
        source.layout = Some(Layout::RecBole);
    });
}

#[test]
fn columns_that_are_not_there_cannot_be_mapped() {
    asked("", "the ReChorus layout names its own columns", |source| {
        source.columns = columns("user=u");
    });
    let meaningless = "`user` in the column mapping has no meaning";
    asked("", meaningless, |source| {
        source.columns = columns("user=u");
        source.items = Some("items.csv".into());
    });
    asked("", "items.csv has no column for `item`", |source| {
        source.items = Some("items.csv".into());
    });
    let meaningless = "`image` in the column mapping has no meaning";
    asked("t.csv", meaningless, |source| {
        source.columns = columns("image=x");
    });
    let absent = "has no column `name`; its columns are user, item";
    asked("t.csv", absent, |source| {
        source.columns = columns("title=name");
    });
    let absent = "no column `thing`; its columns are user, item";
    asked("t.csv", absent, |source| {
        source.columns = columns("item=thing,title=name");
        source.items = Some("items.csv".into());
    });
}

/// Bytes changed, cut and inserted at random: an import or a sentence, never a panic.
#[test]
fn random_damage_never_panics() {
    let files: [(&str, &str); 6] = [
        ("u.data", "1\t10\t5\t30\n2\t30\t4\t20\n1\t30\t3\t10\n"),
        ("ratings.dat", "1::10::5::30\n2::30::4::20\n"),
        (
            "ratings.csv",
            "userId,movieId,rating,timestamp\n1,10,5,30\n2,30,4,20\n",
        ),
        (
            "a.inter",
            "user_id:token\titem_id:token\ttimestamp:float\nu\tx\t1\nu\ty\t2\nv\tx\t1\n",
        ),
        (
            "a.csv",
            "user,item,time,title\n1,\"x, y\",2020-01-01,T\n2,b,2020-01-02,U\n",
        ),
        (
            "a.tsv",
            "user\titem\ttime\n1\tx\t978300760\n2\tb\t978300761\n",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let (mut n_read, mut n_refused) = (0, 0);
    for (name, text) in files {
        let path = folder.path().join(name);
        for _ in 0..300 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..3) {
                    0 => bytes[at] = random.random(),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"\t,:|\n\"9e-"[random.random_range(0..9)]),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let split = [None, Some(SplitRule::GlobalTime)][random.random_range(0..2)];
            let source = InteractionSource {
                split,
                core: Some(1),
                ..InteractionSource::at(&path)
            };
            match import_interactions("x", &source) {
                Ok(_) => n_read += 1,
                Err(error) => {
                    n_refused += 1;
                    assert!(error.to_string().contains(name), "{error}");
                }
            }
        }
    }
    assert!(
        n_read > 100 && n_refused > 100,
        "{n_read} read, {n_refused} refused"
    );
}
