use std::collections::BTreeMap;

use image::GrayImage;
use schema::{FilmRole, Split};

use super::*;
use crate::test_data::{Element, shared_data, synthetic};

fn quiet(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn import(source: &RadiographSource) -> Result<ImportPlan, ImportError> {
    import_radiographs("films", source, 0, &mut quiet)
}

fn write_film(path: &Path, value: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(8, 6, image::Luma([value]))
        .save(path)
        .unwrap();
}

#[test]
fn the_820_real_films() {
    let Some(folder) = shared_data("radiology/cxr") else {
        return;
    };
    let source = RadiographSource {
        table: Some(folder.join("images.csv")),
        boxes: Some(folder.join("boxes.csv")),
        images: folder,
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    assert_eq!(plan.records.len() + plan.manifest.skipped.len(), 820);
    assert!(plan.records.len() >= 818, "{:?}", plan.manifest.skipped);
    let set = |set: &str| -> Vec<&SampleRecord> {
        let of_set = |r: &&SampleRecord| r.facts.get("set").is_some_and(|s| s == set);
        plan.records.iter().filter(of_set).collect()
    };
    assert!(set("nih").iter().all(|r| r.findings.is_some()));
    // Every Hannover patient has COVID-19; nobody looked for the NIH findings there.
    assert!(set("hannover").iter().all(|r| r.findings.is_none()));
    assert!(
        set("hannover")
            .iter()
            .all(|r| r.facts["labels"] == "COVID-19")
    );
    let healthy = set("nih")
        .iter()
        .filter(|r| r.findings.as_ref().unwrap().is_empty())
        .count();
    assert_eq!(healthy, 100);
    assert_eq!(
        plan.manifest.findings.len(),
        14,
        "{:?}",
        plan.manifest.findings
    );
    assert_eq!(
        plan.records.iter().map(|r| r.boxes.len()).sum::<usize>(),
        12
    );
    let mut splits: BTreeMap<&str, Split> = BTreeMap::new();
    for record in &plan.records {
        let split = splits.entry(&record.group).or_insert(record.split);
        assert_eq!(*split, record.split, "{} is in two splits", record.group);
    }
    assert_eq!(splits.len(), 635);
    assert!(
        plan.warnings.iter().any(|w| w.contains("another scheme")),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn dicom_files_need_no_table() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    let source = RadiographSource {
        images: folder,
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    let skipped: Vec<&str> = plan
        .manifest
        .skipped
        .iter()
        .map(|s| s.place.as_str())
        .collect();
    for name in ["negative/empty.dcm", "negative/test-SR.dcm"] {
        assert!(skipped.contains(&name), "{skipped:?}");
    }
    assert!(
        plan.records
            .iter()
            .all(|r| !r.id.is_empty() && !r.group.is_empty())
    );
    assert!(
        plan.records
            .iter()
            .any(|r| r.facts.get("view").is_some_and(|v| v == "PA"))
    );
}

#[test]
fn adding_a_row_moves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("t.csv");
    let mut text = "image,patient,labels\n".to_owned();
    let mut before: BTreeMap<String, Split> = BTreeMap::new();
    for n in 0..20_u8 {
        write_film(&folder.path().join(format!("{n}.png")), n);
        text.extend([format!("{n}.png,p{n},No Finding\n")]);
        std::fs::write(&table, &text).unwrap();
        let source = RadiographSource {
            images: folder.path().to_owned(),
            table: Some(table.clone()),
            ..RadiographSource::default()
        };
        let now: BTreeMap<String, Split> = import(&source)
            .unwrap()
            .records
            .into_iter()
            .map(|record| (record.group, record.split))
            .collect();
        assert!(before.iter().all(|(patient, split)| now[patient] == *split));
        before = now;
    }
}

#[test]
fn bad_films_are_left_out_with_reasons() {
    let folder = tempfile::tempdir().unwrap();
    write_film(&folder.path().join("a/one.png"), 10);
    write_film(&folder.path().join("b/two.jpg"), 20);
    write_film(&folder.path().join("b/copy.png"), 10);
    let jpeg = std::fs::read(folder.path().join("b/two.jpg")).unwrap();
    std::fs::write(folder.path().join("cut.jpg"), &jpeg[..jpeg.len() * 2 / 3]).unwrap();
    std::fs::write(folder.path().join("empty.png"), "").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "hello").unwrap();
    // Content decides, not the name.
    std::fs::copy(
        folder.path().join("b/two.jpg"),
        folder.path().join("no_ending"),
    )
    .unwrap();
    std::fs::remove_file(folder.path().join("b/two.jpg")).unwrap();
    let source = RadiographSource {
        images: folder.path().to_owned(),
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    let ids: Vec<&str> = plan.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["one", "no_ending"]);
    let reasons: BTreeMap<&str, &str> = plan
        .manifest
        .skipped
        .iter()
        .map(|s| (s.place.as_str(), s.reason.as_str()))
        .collect();
    assert!(reasons["cut.jpg"].contains("cut short"), "{reasons:?}");
    assert!(reasons["empty.png"].contains("0 bytes"), "{reasons:?}");
    assert!(
        reasons["b/copy.png"].contains("same bytes as a/one.png"),
        "{reasons:?}"
    );
    assert!(plan.warnings.iter().any(|w| w.starts_with("no table")));
    let unsaid = "2 pictures do not say whether text is burned into their pixels";
    assert!(plan.warnings.iter().any(|w| w.starts_with(unsaid)));
    assert_eq!(plan.records[0].findings, None);
}

#[test]
fn requests_that_cannot_work_end_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |images: &Path, table: Option<PathBuf>| {
        let source = RadiographSource {
            images: images.to_owned(),
            table,
            ..RadiographSource::default()
        };
        import(&source).unwrap_err().to_string()
    };
    let text = at(&folder.path().join("nowhere"), None);
    assert!(
        text.contains("nowhere") && text.starts_with("cannot read"),
        "{text}"
    );
    let text = at(folder.path(), None);
    assert!(text.contains("holds no PNG"), "{text}");
    let table = folder.path().join("t.csv");
    std::fs::write(&table, "film,finding\na.png,x\n").unwrap();
    let text = at(folder.path(), Some(table.clone()));
    assert!(
        text.contains("no column for `image`") && text.contains("film, finding"),
        "{text}"
    );
    let text = at(&table, None);
    assert!(text.contains("is not a folder"), "{text}");
    std::fs::write(&table, "image\na.png\n").unwrap();
    let text = at(folder.path(), Some(table));
    assert!(
        text.contains("line 2: a.png is not in the folder"),
        "{text}"
    );
}

#[test]
fn breaking_stops_the_import() {
    let folder = tempfile::tempdir().unwrap();
    write_film(&folder.path().join("a.png"), 1);
    let source = RadiographSource {
        images: folder.path().to_owned(),
        ..RadiographSource::default()
    };
    let stopped = import_radiographs("films", &source, 0, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(ImportError::Cancelled)));
}

#[test]
fn reports_and_wide_labels_come_along() {
    let folder = tempfile::tempdir().unwrap();
    write_film(&folder.path().join("x/a.png"), 1);
    write_film(&folder.path().join("x/b.png"), 2);
    let table = folder.path().join("t.csv");
    std::fs::write(
        &table,
        "file,subject_id,findings,impression,PatientName\na.png,7,Clear.,Normal.,Doe\nb.png,7,,,Doe\n",
    )
    .unwrap();
    let labels = folder.path().join("l.csv");
    std::fs::write(&labels, "file,Edema\na.png,1\n").unwrap();
    let source = RadiographSource {
        images: folder.path().to_owned(),
        table: Some(table),
        labels: Some(labels),
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    assert_eq!(
        plan.records[0].report.as_ref().unwrap().text(),
        "Clear. Normal."
    );
    assert_eq!(plan.records[1].report, None);
    assert_eq!(
        plan.records[0].findings.as_deref(),
        Some(&["Edema".to_owned()][..])
    );
    assert_eq!(plan.records[1].findings, None);
    assert!(plan.warnings.iter().any(|w| w.contains("PatientName")));
    assert!(!format!("{:?}", plan.records).contains("Doe"));
}

/// Writes a DICOM film of a patient's study of a day.
fn write_dicom(path: &Path, [patient, study, day, view]: [&str; 4], value: u8) {
    let even = |text: &str, filler: u8| {
        let mut bytes = text.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(filler);
        }
        bytes
    };
    let extra: Vec<Element<'_>> = vec![
        (0x0008, 0x0020, b"DA", even(day, b' ')),
        (0x0010, 0x0010, b"PN", b"Doe^Jane".to_vec()),
        (0x0010, 0x0020, b"LO", even(patient, b' ')),
        (0x0018, 0x5101, b"CS", even(view, b' ')),
        (0x0020, 0x000d, b"UI", even(study, 0)),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2 ".to_vec()),
    ];
    let pixels = [value, 0, 2, 0, 3, 0, 4, 0];
    std::fs::write(path, synthetic(&extra, [16, 16, 15, 0], &pixels)).unwrap();
}

fn beside(record: &SampleRecord) -> Vec<(&str, FilmRole, Option<u32>)> {
    let films = record.further.iter();
    films
        .map(|film| (film.id.as_str(), film.role, film.studies_before))
        .collect()
}

#[test]
fn dicom_files_of_a_study_hang_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_dicom(&at("a.dcm"), ["MRN-77", "1.2.3.1", "20190307", "PA"], 1);
    write_dicom(&at("b.dcm"), ["MRN-77", "1.2.3.2", "20200908", "PA"], 2);
    write_dicom(&at("c.dcm"), ["MRN-77", "1.2.3.2", "20200908", "LL"], 3);
    write_dicom(&at("d.dcm"), ["MRN-88", "1.2.3.4", "20200101", "AP"], 4);
    write_dicom(&at("e.dcm"), ["MRN-88", "1.2.3.5", "20200202", "LL"], 5);
    let source = RadiographSource {
        images: folder.path().to_owned(),
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    let names: Vec<&str> = plan.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(names, ["a", "b", "d", "e"], "{:?}", plan.recognised);
    assert!(beside(&plan.records[0]).is_empty());
    let expected = [
        ("c", FilmRole::Lateral, None),
        ("a", FilmRole::Prior, Some(1)),
    ];
    assert_eq!(beside(&plan.records[1]), expected);
    // A lateral alone stays a sample, and nothing of it is a prior.
    assert!(beside(&plan.records[2]).is_empty() && beside(&plan.records[3]).is_empty());
    assert_eq!(plan.records[0].group, plan.records[1].group);
    assert_eq!(plan.records[0].split, plan.records[1].split);
    assert_eq!(plan.records[1].further[0].view.as_deref(), Some("LL"));
    let own = plan.records[0].image.as_ref().unwrap();
    assert_eq!(plan.records[1].further[1].image, *own);
    let said = "1 lateral film beside the frontal films of their studies, no samples of their own";
    assert!(
        plan.recognised.iter().any(|line| line == said),
        "{:?}",
        plan.recognised
    );
    let written = serde_json::to_string(&plan.records).unwrap();
    for secret in ["MRN", "Doe", "1.2.3", "20190307", "20200908"] {
        assert!(!written.contains(secret), "{secret} is in {written}");
    }
}

#[test]
fn rows_of_a_study_hang_together_and_boxes_find_their_film() {
    let folder = tempfile::tempdir().unwrap();
    for (n, name) in ["f1", "l1", "f0", "g1", "h1"].into_iter().enumerate() {
        write_film(&folder.path().join(format!("{name}.png")), n as u8 + 1);
    }
    let table = folder.path().join("t.csv");
    let text = "image,patient,study,study_order,view,labels\n\
                f1.png,p,s2,10,Frontal,\nl1.png,p,s2,10,Lateral,Mass\n\
                f0.png,p,s1,9,AP,No Finding\ng1.png,q,s2,1,PA,Mass\n\
                h1.png,r,s9,,LATERAL,Mass\n";
    std::fs::write(&table, text).unwrap();
    let boxes = folder.path().join("boxes.csv");
    let text = "image,label,x,y,w,h\nl1.png,Mass,1,1,2,2\nf0.png,Mass,0,0,3,3\n";
    std::fs::write(&boxes, text).unwrap();
    let source = RadiographSource {
        images: folder.path().to_owned(),
        table: Some(table.clone()),
        boxes: Some(boxes),
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    let names: Vec<&str> = plan.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(names, ["f1", "f0", "g1", "h1"]);
    let first = &plan.records[0];
    let expected = [
        ("l1", FilmRole::Lateral, None),
        ("f0", FilmRole::Prior, Some(1)),
    ];
    assert_eq!(beside(first), expected);
    assert_eq!(first.findings.as_deref(), Some(&["Mass".to_owned()][..]));
    assert!(first.boxes.is_empty());
    assert_eq!(first.further[0].boxes[0].rect, [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(first.further[1].boxes, plan.records[1].boxes);
    assert_eq!(plan.records[1].boxes.len(), 1);
    let said = "2 boxes on films from";
    assert!(
        plan.recognised.iter().any(|l| l.starts_with(said)),
        "{:?}",
        plan.recognised
    );

    // The same films without a column that ties them are the samples they were before.
    let text = "image,patient,view,labels\nf1.png,p,Frontal,\nl1.png,p,Lateral,Mass\n";
    std::fs::write(&table, text).unwrap();
    let plan = import(&source).unwrap();
    let names: Vec<&str> = plan.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(names, ["f1", "l1"]);
    assert!(
        !serde_json::to_string(&plan.records)
            .unwrap()
            .contains("further")
    );
}

#[test]
fn the_indiana_table_ties_frontal_and_lateral_projections() {
    let Some(reports) = shared_data("radiology/iu-reports") else {
        return;
    };
    let text = std::fs::read_to_string(reports.join("indiana_projections.csv")).unwrap();
    let lines: Vec<&str> = text.lines().take(401).collect();
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("projections.csv");
    std::fs::write(&table, lines.join("\n")).unwrap();
    let mut studies: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (n, line) in lines.iter().enumerate().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        // Every film has pixels of its own: copies are left out.
        let shade = [(n / 200) as u8, (n % 200) as u8];
        GrayImage::from_fn(4, 2, |x, _| image::Luma([shade[x as usize % 2]]))
            .save(folder.path().join(cells[1]))
            .unwrap();
        let counts = studies.entry(cells[0]).or_default();
        counts[usize::from(cells[2] == "Lateral")] += 1;
    }
    let source = RadiographSource {
        images: folder.path().to_owned(),
        table: Some(table),
        ..RadiographSource::default()
    };
    let plan = import(&source).unwrap();
    assert_eq!(plan.manifest.skipped, []);
    let samples = |[frontal, lateral]: &[usize; 2]| if *frontal > 0 { *frontal } else { *lateral };
    let beside = |[frontal, lateral]: &[usize; 2]| frontal * lateral;
    let expected: usize = studies.values().map(samples).sum();
    assert_eq!(plan.records.len(), expected);
    let expected: usize = studies.values().map(beside).sum();
    let found = plan.records.iter().map(|record| record.further.len());
    assert_eq!(found.sum::<usize>(), expected);
    assert!(expected > 150, "{expected}");
    let laterals = plan.records.iter().flat_map(|record| &record.further);
    assert!(
        laterals
            .into_iter()
            .all(|film| film.role == FilmRole::Lateral)
    );
}

#[test]
fn where_no_film_can_be_used_each_is_named_up_to_ten() {
    let folder = tempfile::tempdir().unwrap();
    let source = RadiographSource {
        images: folder.path().to_owned(),
        ..RadiographSource::default()
    };
    for n in 1..=12 {
        // The mark of a DICOM file, and then nothing.
        let mut bytes = vec![0_u8; 128];
        bytes.extend_from_slice(b"DICM");
        std::fs::write(folder.path().join(format!("bad{n:02}.dcm")), bytes).unwrap();
        let said = import(&source).unwrap_err().to_string();
        for named in 1..=n.min(10) {
            assert!(said.contains(&format!("bad{named:02}.dcm: ")), "{said}");
        }
        assert!(!said.contains("bad11"), "{said}");
        assert_eq!(said.contains(" more"), n > 10, "{said}");
    }
}
