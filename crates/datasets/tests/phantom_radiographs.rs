//! Phantom radiographs through their public face: same films from a seed, masks, no cheap cue.

use std::collections::BTreeMap;

use datasets::phantom::{
    FINDINGS, PhantomRadiograph, ReportState, WITHOUT_LOCAL_MASK, radiograph, radiographs,
    report_states,
};

const SIZE: u32 = 224;

fn has(phantom: &PhantomRadiograph, finding: &str) -> bool {
    phantom.record.has_finding(finding)
}

#[test]
fn a_seed_and_an_index_name_one_film() {
    let many = radiographs(3, 0..6, SIZE);
    for (index, phantom) in (0..).zip(&many) {
        assert_eq!(*phantom, radiograph(3, index, SIZE));
        assert_ne!(phantom.film, radiograph(4, index, SIZE).film);
        assert_eq!(phantom.record.id, format!("phantom-{index:06}"));
    }
    assert_ne!(many[1].film, many[2].film);
}

#[test]
fn films_are_8_bit_of_any_size() {
    for size in [96, 224, 320] {
        let film = radiograph(1, 9, size).film;
        assert_eq!((film.width, film.height), (size, size));
        assert_eq!(film.pixels.len(), (size * size) as usize);
        assert!(film.pixels.iter().all(|&value| value <= 255));
        let shown = film.to_u8(&film.windows[0]);
        assert!(
            shown
                .iter()
                .zip(&film.pixels)
                .all(|(&a, &b)| u16::from(a) == b)
        );
    }
}

#[test]
fn every_local_finding_has_its_mask_inside_the_film() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for phantom in radiographs(11, 0..300, SIZE) {
        let record = &phantom.record;
        for finding in FINDINGS {
            let marked: Vec<_> = record
                .boxes
                .iter()
                .filter(|b| b.finding == finding)
                .collect();
            let wanted = has(&phantom, finding) && !WITHOUT_LOCAL_MASK.contains(&finding);
            assert_eq!(
                marked.len(),
                usize::from(wanted),
                "{finding} in {}",
                record.id
            );
            let Some(marked) = marked.first() else {
                continue;
            };
            let flags = marked.mask.as_ref().unwrap().to_flags();
            assert_eq!(flags.len(), (SIZE * SIZE) as usize);
            let area = flags.iter().filter(|flag| **flag).count();
            let least = 150;
            assert!(area >= least, "{finding} in {}: {area} pixels", record.id);
            let [left, top, width, height] = marked.rect;
            assert!(left >= 0.0 && top >= 0.0);
            assert!(left + width <= SIZE as f32 && top + height <= SIZE as f32);
            for (i, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
                let (x, y) = ((i as u32 % SIZE) as f32, (i as u32 / SIZE) as f32);
                assert!(x >= left && x < left + width && y >= top && y < top + height);
            }
            *seen.entry(finding.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), FINDINGS.len() - WITHOUT_LOCAL_MASK.len());
}

#[test]
fn nodules_stand_out_from_what_surrounds_them() {
    for phantom in radiographs(12, 0..300, SIZE) {
        let Some(marked) = phantom.record.boxes.iter().find(|b| b.finding == "nodule") else {
            continue;
        };
        let [left, top, width, height] = marked.rect;
        assert!(width >= 14.0 && height >= 14.0);
        let flags = marked.mask.as_ref().unwrap().to_flags();
        let (mut inside, mut around) = ((0.0, 0.0), (0.0, 0.0));
        for (i, &value) in phantom.film.pixels.iter().enumerate() {
            let (x, y) = ((i as u32 % SIZE) as f32, (i as u32 / SIZE) as f32);
            if x >= left - 4.0 && x < left + width + 4.0 && y >= top - 4.0 && y < top + height + 4.0
            {
                let sum = if flags[i] { &mut inside } else { &mut around };
                *sum = (sum.0 + f64::from(value), sum.1 + 1.0);
            }
        }
        let contrast = inside.0 / inside.1 - around.0 / around.1;
        assert!(contrast > 20.0, "{}: {contrast:.0}", phantom.record.id);
    }
}

#[test]
fn sides_are_the_patients() {
    for phantom in radiographs(13, 0..200, SIZE) {
        for marked in &phantom.record.boxes {
            let middle = marked.rect[0] + marked.rect[2] / 2.0;
            match marked.finding.as_str() {
                "left effusion" => assert!(middle > SIZE as f32 / 2.0),
                "right effusion" => assert!(middle < SIZE as f32 / 2.0),
                _ => {}
            }
        }
    }
}

#[test]
fn reports_state_what_is_planted() {
    for phantom in radiographs(14, 0..150, 64) {
        let text = phantom.record.report.as_ref().unwrap().text();
        for finding in FINDINGS {
            let stated = report_states(&text, finding) == Some(ReportState::Present);
            assert_eq!(stated, has(&phantom, finding), "{finding}: {text}");
        }
    }
}

#[test]
fn patients_keep_their_split_and_some_have_two_films() {
    let mut patients: BTreeMap<String, Vec<schema::Split>> = BTreeMap::new();
    for phantom in radiographs(15, 0..400, 64) {
        let record = phantom.record;
        patients.entry(record.group).or_default().push(record.split);
    }
    assert_eq!(patients.len(), 320);
    let mut films = BTreeMap::new();
    for splits in patients.values() {
        assert!(splits.iter().all(|split| *split == splits[0]));
        *films.entry(splits[0]).or_insert(0) += splits.len();
    }
    assert!(films[&schema::Split::Train] > 200);
    assert!(films[&schema::Split::Dev] > 25 && films[&schema::Split::Test] > 25);
}

/// Area under the ROC curve of `score` for telling `present` from absent.
fn auroc(scores: &[(f64, bool)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for &(a, _) in scores.iter().filter(|(_, present)| *present) {
        for &(b, _) in scores.iter().filter(|(_, present)| !*present) {
            pairs += 1.0;
            wins += if a > b {
                1.0
            } else {
                0.5 * f64::from(u8::from(a == b))
            };
        }
    }
    wins / pairs
}

#[test]
fn mean_brightness_tells_no_finding() {
    let films = radiographs(16, 0..800, 112);
    for finding in FINDINGS {
        let scores: Vec<(f64, bool)> = films
            .iter()
            .map(|phantom| {
                let sum: f64 = phantom
                    .film
                    .pixels
                    .iter()
                    .map(|&value| f64::from(value))
                    .sum();
                (sum, has(phantom, finding))
            })
            .collect();
        let area = auroc(&scores);
        assert!((area - 0.5).abs() < 0.15, "{finding}: AUROC {area:.3}");
    }
}
