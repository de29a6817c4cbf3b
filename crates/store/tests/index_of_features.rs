//! The feature index through the public interface, against a naive computation.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use schema::{
    DatasetKind, DatasetManifest, FeatureId, HarvestManifest, HookPoint, Neighbour, PositionClass,
    RowRef, SampleRecord,
};
use store::{
    ArtefactId, ArtefactKind, FeatureIndex, FeatureIndexWriter, HarvestWriter, Project, RowCodes,
    StoreError,
};

const N_FEATURES: u32 = 300;
const N_SAMPLES: u32 = 90;
const POSITIONS: u32 = 7;

fn project(dir: &Path) -> Project {
    let project = Project::create(dir).unwrap();
    let manifest = DatasetManifest {
        name: "d".to_owned(),
        kind: DatasetKind::Reports,
        n_samples: N_SAMPLES,
        findings: Vec::new(),
        source: "test".to_owned(),
        licence: None,
        skipped: Vec::new(),
        planted: false,
        seed: None,
    };
    let records = vec![SampleRecord::default(); N_SAMPLES as usize];
    project
        .write_dataset(&manifest, &records, &[], &mut std::iter::empty())
        .unwrap();
    let model = project.begin(ArtefactKind::Model, "m").unwrap();
    model.write("model.json", b"{}").unwrap();
    model.finish(&[], &[]).unwrap();
    let manifest = HarvestManifest {
        name: "h".to_owned(),
        model: "m".to_owned(),
        model_hash: String::new(),
        dataset: "d".to_owned(),
        dataset_hash: project
            .file_hash(ArtefactKind::Dataset, "d", "samples.jsonl")
            .unwrap(),
        hook: HookPoint::ResidPost(0),
        classes: vec![PositionClass::Report],
        d_model: 1,
        pool: 1,
        samples_per_shard: 100,
        n_samples: N_SAMPLES,
    };
    let mut writer = HarvestWriter::create_or_resume(&project, manifest).unwrap();
    writer.write_shard(0, &[], &[]).unwrap();
    writer.finish().unwrap();
    add_sae(&project, b"weights");
    project
}

fn add_sae(project: &Project, weights: &[u8]) {
    let sae = project.begin_replacing(ArtefactKind::Sae, "s").unwrap();
    sae.write("sae.safetensors", weights).unwrap();
    let harvest = ArtefactId::new(ArtefactKind::Harvest, "h").unwrap();
    sae.finish(&[harvest], &[]).unwrap();
}

/// Activation of a feature on a row: a fixed pattern in which feature 0 is active everywhere and
/// the last never.
fn activation(row: u32, feature: u32) -> f32 {
    if feature == N_FEATURES - 1 {
        return 0.0;
    }
    let mixed = (u64::from(row) * 1_000_003 + u64::from(feature) * 7_919)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 33;
    if feature == 0 || mixed % 20 == 0 {
        1.0 + (mixed % 1000) as f32 / 100.0
    } else {
        0.0
    }
}

fn place(row: u32) -> RowRef {
    RowRef {
        sample: row / POSITIONS,
        position: row % POSITIONS,
        class: PositionClass::Report,
    }
}

fn neighbours(feature: FeatureId) -> Vec<Neighbour> {
    vec![Neighbour {
        feature: FeatureId((feature.0 + 1) % N_FEATURES),
        cosine: 0.5,
    }]
}

fn add_all(writer: &mut FeatureIndexWriter<'_>, batch: u32) {
    let n_rows = N_SAMPLES * POSITIONS;
    for first in (0..n_rows).step_by(batch as usize) {
        let rows = first..(first + batch).min(n_rows);
        let refs: Vec<RowRef> = rows.clone().map(place).collect();
        let (mut starts, mut features, mut values) = (vec![0_u32], Vec::new(), Vec::new());
        for row in rows {
            // Not in order, and with a zero among them, as TopK may give.
            for feature in (0..N_FEATURES).rev() {
                let value = activation(row, feature);
                if value > 0.0 || feature == 299 {
                    features.push(feature);
                    values.push(value);
                }
            }
            starts.push(features.len() as u32);
        }
        let codes = RowCodes {
            starts: &starts,
            features: &features,
            values: &values,
        };
        writer.add(&refs, codes).unwrap();
    }
}

fn build(project: &Project, batch: u32) {
    let mut writer = FeatureIndexWriter::create(project, "s", "h", N_FEATURES, 5).unwrap();
    add_all(&mut writer, batch);
    writer
        .finish(&mut neighbours, &mut |_| ControlFlow::Continue(()))
        .unwrap();
}

fn active(feature: u32) -> Vec<u32> {
    (0..N_SAMPLES * POSITIONS)
        .filter(|&row| activation(row, feature) > 0.0)
        .collect()
}

/// The eight features with the highest Jaccard index.
fn most_similar(feature: u32, rows: &[u32]) -> Vec<(f32, u32)> {
    let mut jaccard: Vec<(f32, u32)> = (0..N_FEATURES)
        .filter(|&other| other != feature)
        .filter_map(|other| {
            let others = active(other);
            let both = others.iter().filter(|row| rows.contains(row)).count();
            let either = rows.len() + others.len() - both;
            (both > 0).then(|| ((both as f64 / either as f64) as f32, other))
        })
        .collect();
    jaccard.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    jaccard.truncate(8);
    jaccard
}

#[test]
fn columns_rows_and_summaries_equal_a_naive_computation() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    build(&project, 50);
    let index = FeatureIndex::open(&project, "s").unwrap();
    let n_rows = N_SAMPLES * POSITIONS;
    assert_eq!(index.n_rows(), u64::from(n_rows));
    for feature in [0, 1, 17, 150, 298, 299] {
        let rows = active(feature);
        let values: Vec<f32> = rows.iter().map(|&row| activation(row, feature)).collect();
        let id = FeatureId(feature);
        assert_eq!(index.column(id), (rows.as_slice(), values.as_slice()));
        let summary = index.summary(id).unwrap();
        assert_eq!(summary.feature, id);
        assert_eq!(summary.n_active_rows, rows.len() as u64);
        assert_eq!(summary.density, rows.len() as f32 / n_rows as f32);
        assert_eq!(index.overview().density[feature as usize], summary.density);
        assert_eq!(summary.neighbours, neighbours(id));
        let max = values.iter().copied().fold(0.0, f32::max);
        assert_eq!(summary.max_activation, max);
        assert_eq!(index.overview().max_activation[feature as usize], max);

        let mut best: Vec<(u32, f32)> = Vec::new();
        for sample in 0..N_SAMPLES {
            let highest = (0..POSITIONS)
                .map(|position| activation(sample * POSITIONS + position, feature))
                .fold(0.0, f32::max);
            if highest > 0.0 {
                best.push((sample, highest));
            }
        }
        let maxima = index.sample_maxima(id);
        let got: Vec<(u32, f32)> = maxima.iter().map(|e| (e.sample, e.activation)).collect();
        assert_eq!(got, best);
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(24);
        let top: Vec<(u32, f32)> = summary
            .top
            .iter()
            .map(|e| (e.sample, e.activation))
            .collect();
        assert_eq!(top, best);
        for example in &summary.top {
            let row = example.sample * POSITIONS + example.position;
            assert_eq!(activation(row, feature), example.activation);
            let on_sample = index.activations_of_sample(id, example.sample);
            assert!(on_sample.contains(&(example.position, example.activation)));
        }

        let cofiring: Vec<(f32, u32)> = summary
            .cofiring
            .iter()
            .map(|other| (other.jaccard, other.feature.0))
            .collect();
        assert_eq!(cofiring, most_similar(feature, &rows));
    }
    let (features, values) = index.row(123);
    let expected: Vec<u32> = (0..N_FEATURES)
        .filter(|&feature| activation(123, feature) > 0.0)
        .collect();
    assert_eq!(features, expected);
    assert_eq!(values[0], activation(123, 0));
    assert_eq!(index.row_ref(123), Some(place(123)));
    assert_eq!(index.sample_rows(2), 14..21);
    assert!(index.sample_rows(N_SAMPLES).is_empty());
    assert!(index.column(FeatureId(N_FEATURES)).0.is_empty());
    assert!(index.row(n_rows).0.is_empty() && index.row_ref(n_rows).is_none());
    assert!(index.summary(FeatureId(N_FEATURES)).is_err());
}

#[test]
fn the_same_codes_give_the_same_files_whatever_the_batches_and_interruptions() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let undisturbed = project(&one);
    build(&undisturbed, 1000);

    let killed = project(&two);
    let mut writer = FeatureIndexWriter::create(&killed, "s", "h", N_FEATURES, 5).unwrap();
    assert!(matches!(
        FeatureIndexWriter::create(&killed, "s", "h", N_FEATURES, 5),
        Err(StoreError::Exists { .. })
    ));
    add_all(&mut writer, 13);
    // As kill -9 would leave it: what was written stays in the scratch folder.
    let spill = two.join(".scratch/features-s/spill");
    assert!(spill.is_dir());
    drop(writer);
    drop(killed);
    fs::create_dir_all(&spill).unwrap();
    fs::write(spill.join("0"), [1, 2, 3]).unwrap();
    let reopened = Project::open(&two).unwrap();
    assert!(!two.join(".scratch").exists());
    let mut writer = FeatureIndexWriter::create(&reopened, "s", "h", N_FEATURES, 5).unwrap();
    add_all(&mut writer, 13);
    assert!(matches!(
        writer.finish(&mut neighbours, &mut |_| ControlFlow::Break(())),
        Err(StoreError::Stopped)
    ));
    assert!(reopened.list(ArtefactKind::Features).unwrap().is_empty());
    build(&reopened, 77);
    assert_eq!(
        reopened.hashes(ArtefactKind::Features, "s").unwrap().files,
        undisturbed
            .hashes(ArtefactKind::Features, "s")
            .unwrap()
            .files
    );
    // Again, in place of the first.
    build(&reopened, 300);
    let faults = reopened.check(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn an_index_of_another_dictionary_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    build(&project, 100);
    add_sae(&project, b"other weights");
    let error = FeatureIndex::open(&project, "s").unwrap_err().to_string();
    assert!(error.contains("another version of saes/s"), "{error}");
}

#[test]
fn damage_is_found_and_truncation_named() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    build(&project, 100);
    for name in [
        "manifest.json",
        "column_starts.bin",
        "column_rows.bin",
        "column_values.bin",
        "row_starts.bin",
        "row_features.bin",
        "row_values.bin",
        "rows.bin",
        "summary_starts.bin",
        "summaries.bin",
        "overview.bin",
    ] {
        let path = dir.path().join("features/s").join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(&path, &bad).unwrap();
        let faults = project.check(&mut |_| ControlFlow::Continue(())).unwrap();
        assert!(faults.len() == 1 && faults[0].file == path, "{name}");
        fs::write(&path, &good[..good.len() - 5]).unwrap();
        let error = FeatureIndex::open(&project, "s").unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::write(&path, &good).unwrap();
    }
    // A flipped byte that was not looked for must not bring the program down.
    for name in [
        "column_starts.bin",
        "row_starts.bin",
        "rows.bin",
        "summary_starts.bin",
    ] {
        let path = dir.path().join("features/s").join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2 + 7] ^= 0x80;
        fs::write(&path, &bad).unwrap();
        if let Ok(index) = FeatureIndex::open(&project, "s") {
            for feature in (0..N_FEATURES).map(FeatureId) {
                index.sample_maxima(feature);
                index.summary(feature).ok();
            }
            for row in 0..index.n_rows() as u32 {
                index.row(row);
                index.row_ref(row);
            }
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn wrong_codes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    let mut writer = FeatureIndexWriter::create(&project, "s", "h", N_FEATURES, 5).unwrap();
    let mut check = |row: u32, starts: &[u32], features: &[u32], values: &[f32], part: &str| {
        let codes = RowCodes {
            starts,
            features,
            values,
        };
        let error = writer.add(&[place(row)], codes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    check(0, &[0], &[], &[], "do not fit");
    check(0, &[0, 2], &[1], &[1.0], "do not fit");
    check(0, &[0, 2], &[1, 1], &[1.0, 2.0], "feature 1 comes twice");
    check(0, &[0, 1], &[300], &[1.0], "feature 300 is not below 300");
    check(0, &[0, 1], &[3], &[f32::INFINITY], "feature 3 is inf");
    let codes = RowCodes {
        starts: &[0, 1],
        features: &[3],
        values: &[1.0],
    };
    writer.add(&[place(8)], codes).unwrap();
    let error = writer.add(&[place(8)], codes).unwrap_err().to_string();
    assert!(error.contains("does not follow"), "{error}");
}

/// Prints how fast an index is built; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figure is the purpose")]
fn speed_of_two_million_entries() {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    let (n_rows, per_row, n_features) = (125_000_u32, 16_u32, 4_096_u32);
    let start = std::time::Instant::now();
    let mut writer = FeatureIndexWriter::create(&project, "s", "h", n_features, 0).unwrap();
    for row in 0..n_rows {
        let features: Vec<u32> = (0..per_row)
            .map(|i| {
                (row.wrapping_mul(2_654_435_761)
                    .wrapping_add(i * 40_503 * (row % 97 + 1)))
                    >> 4
            })
            .map(|hash| hash % n_features)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let values: Vec<f32> = features.iter().map(|f| 1.0 + (f % 7) as f32).collect();
        let place = RowRef {
            sample: row / 1500,
            position: row % 1500,
            class: PositionClass::Image,
        };
        let codes = RowCodes {
            starts: &[0, features.len() as u32],
            features: &features,
            values: &values,
        };
        writer.add(&[place], codes).unwrap();
    }
    let added = start.elapsed();
    writer
        .finish(&mut |_| Vec::new(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let index = FeatureIndex::open(&project, "s").unwrap();
    println!(
        "{} entries: added in {added:?}, all in {:?}",
        index.manifest().n_entries,
        start.elapsed()
    );
}
