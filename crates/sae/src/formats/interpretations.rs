//! Published interpretations of features: tables as JSON, JSON Lines, CSV or Parquet.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};

use crate::error::SaeError;

/// Column names of the feature's number, first choice first.
const FEATURE: [&str; 5] = ["feature", "feature_idx", "feature_id", "latent", "index"];
/// Column names of the text.
const TEXT: [&str; 4] = ["interpretation", "explanation", "description", "label"];
/// Column names of the score.
const SCORE: [&str; 5] = [
    "score",
    "accuracy",
    "detection_score",
    "f1",
    "interpretability_score",
];

/// One row of a table of interpretations.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpretation {
    /// Which feature.
    pub feature: u32,
    /// What is said of it; not empty.
    pub text: String,
    /// How well that was found to hold, in the publisher's own scale.
    pub score: Option<f64>,
    /// The other columns, by name, as text.
    pub metadata: BTreeMap<String, String>,
}

/// Whether a file's name says that it could hold interpretations.
pub fn has_known_extension(path: &Path) -> bool {
    matches!(
        extension(path),
        "json" | "jsonl" | "csv" | "tsv" | "parquet"
    )
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|ext| ext.to_str()).unwrap_or("")
}

/// Reads a table of interpretations: a JSON list of objects, a JSON object keyed by the feature's
/// number (of objects or plain texts), JSON Lines, CSV, TSV or Parquet. Rows without a text are
/// left out. `None` if the file has no column of features or none of texts, so that it is a table
/// of something else.
///
/// Columns are told by name, whatever their case: `feature`, `feature_idx`, `feature_id`,
/// `latent` or `index`; `interpretation`, `explanation`, `description` or `label`; `score`,
/// `accuracy`, `detection_score`, `f1` or `interpretability_score`. All others are kept as text.
///
/// # Errors
/// [`SaeError::Io`] if the file cannot be read, [`SaeError::Format`] naming the row if it is
/// damaged or a feature's number is none.
pub fn read(path: &Path) -> Result<Option<Vec<Interpretation>>, SaeError> {
    let rows = if extension(path) == "parquet" {
        from_parquet(File::open(path).map_err(SaeError::io(path))?)
    } else {
        let bytes = fs::read(path).map_err(SaeError::io(path))?;
        match extension(path) {
            "json" => from_json(&bytes),
            "jsonl" => from_json_lines(&bytes),
            "csv" => from_csv(&bytes, b','),
            "tsv" => from_csv(&bytes, b'\t'),
            other => Err(format!("a table does not end in .{other}")),
        }
    }
    .map_err(|reason| SaeError::format(path, reason))?;
    from_rows(rows.unwrap_or_default()).map_err(|reason| SaeError::format(path, reason))
}

type Row = Map<String, Value>;
/// `None` where the file is whole but no table.
type Rows = Result<Option<Vec<Row>>, String>;

fn from_json(bytes: &[u8]) -> Rows {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no whole JSON ({error})"))?;
    match value {
        Value::Array(items) => Ok(items
            .into_iter()
            .map(|item| match item {
                Value::Object(row) => Some(row),
                _ => None,
            })
            .collect()),
        Value::Object(entries) => Ok(entries
            .into_iter()
            .map(|(key, value)| {
                let feature: u32 = key.trim().parse().ok()?;
                let mut row = match value {
                    Value::Object(row) => row,
                    Value::String(text) => Row::from_iter([("interpretation".into(), text.into())]),
                    _ => return None,
                };
                // A column of the same meaning yields to the key.
                row.retain(|name, _| !is_one_of(name, &FEATURE));
                row.insert("feature".to_owned(), feature.into());
                Some(row)
            })
            .collect()),
        _ => Ok(None),
    }
}

fn from_json_lines(bytes: &[u8]) -> Rows {
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_slice(line)
            .map_err(|error| format!("line {number}: it is no JSON object ({error})"))?;
        rows.push(row);
    }
    Ok(Some(rows))
}

fn from_csv(bytes: &[u8], delimiter: u8) -> Rows {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(bytes);
    let names: Vec<String> = reader
        .headers()
        .map_err(|error| error.to_string())?
        .iter()
        .map(str::to_owned)
        .collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        rows.push(
            names
                .iter()
                .zip(&record)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.clone(), Value::from(value)))
                .collect(),
        );
    }
    Ok(Some(rows))
}

/// The Parquet reader trusts lengths inside a file, so a damaged one may end it in a panic, which
/// goes no further than here.
fn from_parquet(file: File) -> Rows {
    let read = || -> parquet::errors::Result<Vec<Row>> {
        let reader = SerializedFileReader::new(file)?;
        let mut rows = Vec::new();
        for row in reader.get_row_iter(None)? {
            let row = row?;
            let cells = row
                .get_column_iter()
                .filter_map(|(name, field)| Some((name.clone(), cell(field)?)));
            rows.push(cells.collect());
        }
        Ok(rows)
    };
    match quietly(read) {
        Ok(Ok(rows)) => Ok(Some(rows)),
        Ok(Err(error)) => Err(format!("it is no whole Parquet file ({error})")),
        Err(_) => Err("it is no whole Parquet file (its pages are damaged)".to_owned()),
    }
}

thread_local! {
    /// Whether a panic of this thread is expected and becomes a sentence.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, whose panic is caught and not reported; those of other threads still are.
fn quietly<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |report| {
            if !IS_CAUGHT.get() {
                previous(report);
            }
        }));
    });
    IS_CAUGHT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    IS_CAUGHT.set(false);
    result
}

/// A cell as JSON; `None` where it is null.
fn cell(field: &Field) -> Option<Value> {
    Some(match field {
        Field::Null => return None,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => f64::from(*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.clone().into(),
        other => other.to_string().into(),
    })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.trim().eq_ignore_ascii_case(known))
}

/// The first of `names` that any row has, as it is written there.
fn column(rows: &[Row], names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        rows.iter()
            .flat_map(Map::keys)
            .find(|key| is_one_of(key, &[name]))
            .cloned()
    })
}

fn from_rows(rows: Vec<Row>) -> Result<Option<Vec<Interpretation>>, String> {
    let (Some(feature), Some(text)) = (column(&rows, &FEATURE), column(&rows, &TEXT)) else {
        return Ok(None);
    };
    let score = column(&rows, &SCORE);
    let mut found = Vec::with_capacity(rows.len());
    for (number, mut row) in (1..).zip(rows) {
        let id = row.remove(&feature).unwrap_or(Value::Null);
        let id = number_of(&id)
            .filter(|id| id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(id))
            .ok_or_else(|| {
                format!("row {number}: {feature} is {id}, expected the number of a feature")
            })?;
        let text = row.remove(&text).as_ref().map(text_of).unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        let score = score.as_ref().and_then(|name| {
            let score = number_of(row.get(name)?).filter(|score| score.is_finite())?;
            row.remove(name);
            Some(score)
        });
        found.push(Interpretation {
            feature: id as u32,
            text,
            score,
            metadata: row
                .iter()
                .map(|(name, value)| (name.trim().to_owned(), text_of(value)))
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .collect(),
        });
    }
    Ok(Some(found))
}

fn number_of(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Option<Vec<Interpretation>>, SaeError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn every_layout_says_the_same() {
        let list = r#"[{"feature_id": 3, "interpretation": "left effusion", "accuracy": 0.75,
            "level": 2}, {"feature_id": 4, "interpretation": null, "accuracy": null}]"#;
        let keyed = r#"{"3": {"explanation": "left effusion", "f1": 0.75, "level": 2}}"#;
        let lines =
            "{\"latent\": 3, \"label\": \"left effusion\", \"score\": 0.75, \"level\": 2}\n\n";
        let table =
            "\u{feff},Feature_Idx,Description,score,level\n0,3,left effusion,0.75,2\n1,4,,,\n";
        for (name, text) in [
            ("a.json", list),
            ("b.json", keyed),
            ("c.jsonl", lines),
            ("d.csv", table),
        ] {
            let rows = read_text(name, text).unwrap().unwrap();
            assert_eq!(rows.len(), 1, "{name}");
            assert_eq!(rows[0].feature, 3, "{name}");
            assert_eq!(rows[0].text, "left effusion", "{name}");
            assert_eq!(rows[0].score, Some(0.75), "{name}");
            let level = BTreeMap::from([("level".to_owned(), "2".to_owned())]);
            assert_eq!(rows[0].metadata, level, "{name}");
        }
        let plain = read_text("e.json", r#"{"7": "pacemaker"}"#)
            .unwrap()
            .unwrap();
        assert_eq!((plain[0].feature, plain[0].text.as_str()), (7, "pacemaker"));
    }

    #[test]
    fn damaged_parquet_is_an_answer_or_a_sentence() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/maira2_sae/ef0.5/interpretations.parquet");
        let bytes = fs::read(fixture).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len(), 6);
        let mut refused = 0;
        for at in (0..bytes.len()).step_by(4) {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            fs::write(&path, &changed).unwrap();
            refused += u32::from(read(&path).is_err());
            if at % 16 == 0 {
                fs::write(&path, &bytes[..at]).unwrap();
                assert!(read(&path).is_err(), "cut at {at}");
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn other_tables_are_told_apart_and_damage_is_named() {
        for (name, text) in [
            ("config.json", r#"{"trainer": {"k": 3}}"#),
            ("numbers.json", "[1, 2]"),
            ("loss.csv", "step,loss\n0,1.5\n"),
            ("empty.csv", ""),
        ] {
            assert_eq!(read_text(name, text).unwrap(), None, "{name}");
        }
        for (name, text, place) in [
            ("a.json", "[{", "JSON"),
            ("b.jsonl", "{\"feature\":1,\"label\":\"x\"}\n{", "line 2"),
            ("c.csv", "feature,label\n1,x\nminus,y\n", "row 2"),
            ("d.csv", "feature,label\n-1,x\n", "row 1"),
            ("e.csv", "feature,label\n1,x,y\n", "line: 2"),
            ("f.parquet", "PAR1 no", "Parquet"),
        ] {
            let error = read_text(name, text).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(place), "{error}");
        }
    }
}
