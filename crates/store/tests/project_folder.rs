//! A project folder through the public interface: names, locks, versions, artefacts, checks.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, also outside its own function"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use schema::{
    DatasetKind, DatasetManifest, HarvestManifest, HookPoint, ImageRef, PositionClass, RowRef,
    SampleRecord,
};
use store::{
    ArtefactId, ArtefactKind, ArtefactState, HarvestReader, HarvestWriter, Project, StoreError,
};

fn manifest(name: &str, n_samples: u32) -> DatasetManifest {
    DatasetManifest {
        name: name.to_owned(),
        kind: DatasetKind::Radiographs,
        n_samples,
        findings: vec!["nodule".to_owned()],
        source: "test".to_owned(),
        licence: None,
        skipped: Vec::new(),
        planted: true,
        seed: Some(1),
    }
}

fn records(n: u32) -> Vec<SampleRecord> {
    (0..n)
        .map(|i| SampleRecord {
            id: format!("s{i}"),
            group: format!("p{i}"),
            image: Some(ImageRef {
                path: format!("images/{i}.png"),
                hash: String::new(),
                width: 1,
                height: 1,
            }),
            ..SampleRecord::default()
        })
        .collect()
}

fn with_dataset_and_model(dir: &Path) -> Project {
    let project = Project::create(dir).unwrap();
    let mut files = (0..5_u32)
        .map(|i| Ok((format!("images/{i}.png"), vec![i as u8; 100])))
        .chain(std::iter::once(Ok((
            "truth.json".to_owned(),
            b"{}".to_vec(),
        ))));
    project
        .write_dataset(&manifest("films", 5), &records(5), &[], &mut files)
        .unwrap();
    let draft = project.begin(ArtefactKind::Model, "tiny").unwrap();
    draft.write("model.json", b"{\"arch\":\"tiny\"}").unwrap();
    draft.finish(&[], &[]).unwrap();
    project
}

fn harvest_manifest(project: &Project) -> HarvestManifest {
    HarvestManifest {
        name: "h".to_owned(),
        model: "tiny".to_owned(),
        model_hash: "x".to_owned(),
        dataset: "films".to_owned(),
        dataset_hash: project
            .file_hash(ArtefactKind::Dataset, "films", "samples.jsonl")
            .unwrap(),
        hook: HookPoint::ResidPost(1),
        classes: vec![PositionClass::Image],
        d_model: 3,
        pool: 1,
        samples_per_shard: 2,
        n_samples: 5,
    }
}

fn shard(samples: std::ops::Range<u32>) -> (Vec<f32>, Vec<RowRef>) {
    let refs: Vec<RowRef> = samples
        .flat_map(|sample| {
            (0..=sample).map(move |position| RowRef {
                sample,
                position,
                class: PositionClass::Image,
            })
        })
        .collect();
    let rows = refs
        .iter()
        .flat_map(|r| [r.sample as f32, r.position as f32, 0.5])
        .collect();
    (rows, refs)
}

fn write_harvest(project: &Project) {
    let mut writer = HarvestWriter::create_or_resume(project, harvest_manifest(project)).unwrap();
    while let Some(i) = writer.next_shard() {
        let (rows, refs) = shard(writer.samples_of(i));
        writer.write_shard(i, &rows, &refs).unwrap();
    }
    writer.finish().unwrap();
}

fn faults(project: &Project) -> Vec<String> {
    project
        .check(&mut |_| ControlFlow::Continue(()))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn only_one_open_project_at_a_time_and_the_holder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("p");
    assert!(!Project::is_project(&root));
    assert!(matches!(
        Project::open(&root),
        Err(StoreError::NotAProject { .. })
    ));
    let file = dir.path().join("a file");
    fs::write(&file, "").unwrap();
    for (path, why) in [(&file, "it is a file"), (&root, "no such folder")] {
        let error = Project::open(path).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let project = Project::create(&root).unwrap();
    assert!(Project::is_project(&root));
    let error = Project::open(&root).unwrap_err().to_string();
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(project);
    // What a killed process leaves behind does not lock anybody out.
    fs::write(root.join(".lock-holder"), "999999").unwrap();
    Project::open(&root).unwrap();
    assert!(Project::create(&root).is_err());
}

#[test]
fn a_project_opens_by_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("chest films");
    let file = root.join("chest films.fluoroscope");
    drop(Project::create(&root).unwrap());
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "{\"fluoroscope\":\"project\",\"format\":1}\n"
    );
    let project = Project::open(&file).unwrap();
    assert_eq!(project.root(), root);
    assert!(faults(&project).is_empty());
    drop(project);
    // An older project gets its file when it is opened; one that was renamed keeps its own.
    fs::remove_file(&file).unwrap();
    drop(Project::open(&root).unwrap());
    let moved = dir.path().join("films");
    fs::rename(&root, &moved).unwrap();
    let file = moved.join("chest films.fluoroscope");
    drop(Project::open(&file).unwrap());
    assert!(!moved.join("films.fluoroscope").exists());
    // Apart from its project it opens nothing, and says why.
    let lost = dir.path().join("lost.fluoroscope");
    fs::copy(&file, &lost).unwrap();
    let error = Project::open(&lost).unwrap_err().to_string();
    assert!(error.contains("no project.json"), "{error}");
}

#[test]
fn a_newer_project_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    drop(Project::create(dir.path()).unwrap());
    for leftover in [".lock", ".lock-holder"] {
        fs::remove_file(dir.path().join(leftover)).unwrap();
    }
    let text = "{\"format\":99,\"made_by\":\"fluoroscope 9.0.0\",\"more\":true}\n";
    fs::write(dir.path().join("project.json"), text).unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    let error = Project::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("made by a newer version"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
    assert_eq!(
        fs::read_to_string(dir.path().join("project.json")).unwrap(),
        text
    );
}

#[test]
fn a_dataset_comes_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    let dataset = project.load_dataset("films").unwrap();
    assert_eq!(dataset.records, records(5));
    assert_eq!(dataset.manifest, manifest("films", 5));
    let image = dataset.records[3].image.as_ref().unwrap();
    assert_eq!(fs::read(dataset.image_path(image)).unwrap(), vec![3; 100]);
    assert_eq!(dataset.read_file("truth.json").unwrap(), b"{}");
    assert_eq!(project.list_datasets().unwrap().len(), 1);
    let again = project.write_dataset(
        &manifest("films", 5),
        &records(5),
        &[],
        &mut std::iter::empty(),
    );
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    let error = project.load_dataset("reports").unwrap_err().to_string();
    assert!(
        error.contains("datasets/reports") && error.contains("it has films"),
        "{error}"
    );
    assert!(faults(&project).is_empty());
}

#[test]
fn a_dataset_that_fails_half_way_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let project = Project::create(dir.path()).unwrap();
    let mut files = vec![
        Ok(("images/0.png".to_owned(), vec![1])),
        Err(StoreError::Stopped),
    ]
    .into_iter();
    assert!(matches!(
        project.write_dataset(&manifest("d", 1), &records(1), &[], &mut files),
        Err(StoreError::Stopped)
    ));
    let mut outside = std::iter::once(Ok(("../../evil".to_owned(), vec![1])));
    assert!(matches!(
        project.write_dataset(&manifest("d", 1), &records(1), &[], &mut outside),
        Err(StoreError::BadFilePath { .. })
    ));
    assert!(project.list(ArtefactKind::Dataset).unwrap().is_empty());
    assert_eq!(
        fs::read_dir(dir.path().join(".scratch")).unwrap().count(),
        0
    );
}

#[test]
fn a_stopped_harvest_goes_on_and_equals_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let undisturbed = with_dataset_and_model(&one);
    write_harvest(&undisturbed);

    let stopped = with_dataset_and_model(&two);
    let mut writer = HarvestWriter::create_or_resume(&stopped, harvest_manifest(&stopped)).unwrap();
    let (rows, refs) = shard(writer.samples_of(0));
    writer.write_shard(0, &rows, &refs).unwrap();
    drop(writer);
    drop(stopped);
    // Killed within the second shard and its line.
    fs::write(two.join("activations/h/.00001.safetensors.partial"), [1, 2]).unwrap();
    let shards = two.join("activations/h/shards.jsonl");
    let mut text = fs::read_to_string(&shards).unwrap();
    text.push_str("{\"shard\":1,\"n_r");
    fs::write(&shards, text).unwrap();
    let resumed = Project::open(&two).unwrap();
    assert_eq!(
        resumed.list(ArtefactKind::Harvest).unwrap()[0].state,
        ArtefactState::Unfinished
    );
    assert!(matches!(
        HarvestReader::open(&resumed, "h"),
        Err(StoreError::Unfinished { .. })
    ));
    let writer = HarvestWriter::create_or_resume(&resumed, harvest_manifest(&resumed)).unwrap();
    assert_eq!(writer.next_shard(), Some(1));
    drop(writer);
    write_harvest(&resumed);
    assert_eq!(
        resumed.hashes(ArtefactKind::Harvest, "h").unwrap(),
        undisturbed.hashes(ArtefactKind::Harvest, "h").unwrap()
    );
    assert!(faults(&resumed).is_empty());
}

#[test]
fn other_settings_do_not_resume() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    let manifest = harvest_manifest(&project);
    drop(HarvestWriter::create_or_resume(&project, manifest.clone()).unwrap());
    let other = HarvestManifest {
        hook: HookPoint::ResidPost(2),
        ..manifest.clone()
    };
    let error = HarvestWriter::create_or_resume(&project, other)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("blocks.1") && error.contains("blocks.2"),
        "{error}"
    );
    let stale = HarvestManifest {
        dataset_hash: "0".to_owned(),
        ..manifest
    };
    assert!(HarvestWriter::create_or_resume(&project, stale).is_err());
}

#[test]
fn shards_are_read_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    write_harvest(&project);
    let reader = HarvestReader::open(&project, "h").unwrap();
    assert_eq!((reader.n_shards(), reader.n_rows()), (3, 15));
    assert_eq!(reader.shard_rows(1), 7);
    assert_eq!(reader.locate(3), Some((1, 0)));
    assert_eq!(reader.locate(14), Some((2, 4)));
    assert_eq!(reader.locate(15), None);
    for i in 0..3 {
        let read = reader.read_shard(i).unwrap();
        let (rows, refs) = shard(2 * i as u32..(2 * i as u32 + 2).min(5));
        assert_eq!((read.rows, read.refs), (rows, refs));
    }
    assert!(reader.read_shard(3).is_err());
}

#[test]
fn a_truncated_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    write_harvest(&project);
    let reader = HarvestReader::open(&project, "h").unwrap();
    let path = dir.path().join("activations/h/00001.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 20, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = reader.read_shard(1).unwrap_err().to_string();
        assert!(
            error.contains("00001.safetensors") && error.contains("truncated"),
            "{length}: {error}"
        );
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(&path, &longer).unwrap();
    assert!(reader.read_shard(1).is_err());
}

#[test]
fn wrong_rows_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    let mut writer = HarvestWriter::create_or_resume(&project, harvest_manifest(&project)).unwrap();
    let (rows, refs) = shard(0..2);
    let mut check = |i: u32, rows: &[f32], refs: &[RowRef], expected: &str| {
        let error = writer.write_shard(i, rows, refs).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(0, &rows[1..], &refs, "8 values for 3 rows of 3");
    check(1, &rows, &refs, "sample 0 is not one of its samples 2 to 3");
    check(3, &rows, &refs, "only 3 shards");
    let mut reversed = refs.clone();
    reversed.reverse();
    check(0, &rows, &reversed, "ordered");
    let mut broken = rows.clone();
    broken[4] = f32::NAN;
    check(
        0,
        &broken,
        &refs,
        "sample 1, position 0: the activation of dimension 1",
    );
    assert!(
        writer
            .finish()
            .unwrap_err()
            .to_string()
            .contains("shard 0 of 3 is missing")
    );
}

/// Flips one byte of `file` and expects the check to name it.
fn check_flip(root: &Path, file: &str, at: usize) {
    let path = root.join(file);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    let at = at % bad.len();
    bad[at] ^= 0x04;
    fs::write(&path, &bad).unwrap();
    match Project::open(root) {
        // A damaged project.json keeps the project from opening.
        Err(error) => assert_eq!(file, "project.json", "{error}"),
        Ok(project) => {
            let faults = faults(&project);
            assert!(!faults.is_empty(), "{file}, byte {at}: nothing found");
            if !file.ends_with("hashes.json") && file != "artefacts.jsonl" {
                assert!(
                    faults.iter().any(|fault| fault.contains(file)),
                    "{file}: {faults:?}"
                );
            }
        }
    }
    fs::write(&path, &good).unwrap();
}

#[test]
fn a_flipped_byte_is_found_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    write_harvest(&project);
    let sae = project.begin(ArtefactKind::Sae, "s").unwrap();
    sae.write("cfg.json", b"{}").unwrap();
    sae.write("sae.safetensors", &[7; 500]).unwrap();
    sae.write("checkpoints/10.safetensors", &[9; 50]).unwrap();
    let harvest = ArtefactId::new(ArtefactKind::Harvest, "h").unwrap();
    sae.finish(&[harvest], &[]).unwrap();
    drop(project);
    for file in [
        "datasets/films/manifest.json",
        "datasets/films/samples.jsonl",
        "datasets/films/images/3.png",
        "datasets/films/truth.json",
        "models/tiny/model.json",
        "activations/h/manifest.json",
        "activations/h/shards.jsonl",
        "activations/h/00001.safetensors",
        "saes/s/cfg.json",
        "saes/s/sae.safetensors",
        "saes/s/checkpoints/10.safetensors",
    ] {
        check_flip(dir.path(), file, 61);
    }
    // Bytes all over the records themselves.
    let link = dir.path().file_name().unwrap().to_string_lossy();
    let link = format!("{link}.fluoroscope");
    for file in [
        "project.json",
        "artefacts.jsonl",
        "saes/s/hashes.json",
        &link,
    ] {
        for at in (0..fs::read(dir.path().join(file)).unwrap().len()).step_by(13) {
            check_flip(dir.path(), file, at);
        }
    }
    let project = Project::open(dir.path()).unwrap();
    assert!(faults(&project).is_empty());
}

#[test]
fn missing_parents_and_files_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    write_harvest(&project);
    project.remove(ArtefactKind::Model, "tiny").unwrap();
    assert!(project.remove(ArtefactKind::Model, "tiny").is_err());
    let found = faults(&project);
    assert!(
        found.len() == 1 && found[0].contains("made from models/tiny, which is missing"),
        "{found:?}"
    );
    fs::remove_file(dir.path().join("activations/h/00000.safetensors")).unwrap();
    fs::write(dir.path().join("datasets/films/extra.txt"), "x").unwrap();
    assert_eq!(faults(&project).len(), 3);
    assert!(matches!(
        project.check(&mut |_| ControlFlow::Break(())),
        Err(StoreError::Stopped)
    ));
}

#[test]
fn an_artefact_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    let draft = project
        .begin_replacing(ArtefactKind::Model, "tiny")
        .unwrap();
    assert!(matches!(
        project.begin_replacing(ArtefactKind::Model, "tiny"),
        Err(StoreError::Exists { .. })
    ));
    draft.write("weights", b"new").unwrap();
    draft.finish(&[], &[]).unwrap();
    assert_eq!(
        project
            .hashes(ArtefactKind::Model, "tiny")
            .unwrap()
            .files
            .len(),
        1
    );
    assert!(faults(&project).is_empty());
}

#[test]
fn a_job_killed_before_the_ledger_line_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_dataset_and_model(dir.path()));
    fs::remove_file(dir.path().join("artefacts.jsonl")).unwrap();
    let project = Project::open(dir.path()).unwrap();
    assert!(project.is_finished(ArtefactKind::Dataset, "films"));
    assert!(faults(&project).is_empty());
}

#[test]
fn an_artefact_made_in_place_is_sealed_and_unsealed() {
    let dir = tempfile::tempdir().unwrap();
    let project = with_dataset_and_model(dir.path());
    write_harvest(&project);
    let folder = project.artefact_dir(ArtefactKind::Sae, "s").unwrap();
    fs::create_dir_all(folder.join("checkpoints")).unwrap();
    fs::write(folder.join("checkpoints/1"), "one").unwrap();
    fs::write(folder.join(".sae.safetensors.partial"), "half").unwrap();
    fs::write(folder.join("sae.safetensors"), "weights").unwrap();
    assert!(matches!(
        project.sae_hash("s"),
        Err(StoreError::Unfinished { .. })
    ));
    let harvest = ArtefactId::new(ArtefactKind::Harvest, "h").unwrap();
    let unfinished = ArtefactId::new(ArtefactKind::Sae, "s").unwrap();
    assert!(
        project
            .seal(ArtefactKind::Sae, "s", &[unfinished], &[])
            .is_err()
    );
    let outside = dir.path().join("datasets/films/truth.json");
    let seal = || {
        project
            .seal(
                ArtefactKind::Sae,
                "s",
                std::slice::from_ref(&harvest),
                std::slice::from_ref(&outside),
            )
            .unwrap()
    };
    assert_eq!(seal().files.len(), 2);
    assert!(faults(&project).is_empty());
    let before = project.sae_hash("s").unwrap();
    project.unseal(ArtefactKind::Sae, "s").unwrap();
    assert!(!project.is_finished(ArtefactKind::Sae, "s"));
    fs::write(folder.join("sae.safetensors"), "more weights").unwrap();
    seal();
    assert_ne!(project.sae_hash("s").unwrap(), before);
    assert!(faults(&project).is_empty());
    // A file outside that the artefact needs is checked too.
    fs::write(&outside, "{ }").unwrap();
    let found = faults(&project);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], found[1]);
}
