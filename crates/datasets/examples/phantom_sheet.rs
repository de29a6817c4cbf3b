//! Writes contact sheets of phantom radiographs into a folder and prints how fast they are drawn:
//! `cargo run --release -p datasets --example phantom_sheet -- target 1000`.
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use datasets::phantom::{
    FINDINGS, PhantomRadiograph, ReportState, radiograph, radiographs, report_states,
};
use image::{Rgb, RgbImage};

const SIZE: u32 = 224;

fn sheet(
    films: &[PhantomRadiograph],
    (columns, masks): (u32, bool),
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let rows = u32::try_from(films.len())?.div_ceil(columns);
    let mut picture = RgbImage::from_pixel(columns * (SIZE + 4), rows * (SIZE + 4), Rgb([128; 3]));
    for (i, phantom) in (0_u32..).zip(films) {
        let (left, top) = (i % columns * (SIZE + 4) + 2, i / columns * (SIZE + 4) + 2);
        for (k, &value) in (0_u32..).zip(&phantom.film.pixels) {
            let grey = u8::try_from(value)?;
            picture.put_pixel(left + k % SIZE, top + k / SIZE, Rgb([grey; 3]));
        }
        // The right half of a row shows the masks.
        let shows_masks = masks && i % columns >= columns / 2;
        for marked in phantom.record.boxes.iter().filter(|_| shows_masks) {
            let flags = marked
                .mask
                .as_ref()
                .map(schema::Mask::to_flags)
                .unwrap_or_default();
            for (k, _) in (0_u32..).zip(&flags).filter(|(_, flag)| **flag) {
                let pixel = picture.get_pixel_mut(left + k % SIZE, top + k / SIZE);
                pixel.0[0] = pixel.0[0].saturating_add(70);
            }
        }
    }
    picture.save(path)?;
    println!("{}", path.display());
    Ok(())
}

/// Prints shares of findings, of negated or past sentences, and the size of the vocabulary.
fn print_report_figures(films: &[PhantomRadiograph]) {
    let (mut sentences, mut others, mut words) = (0_u32, 0_u32, Vec::new());
    let mut vocabulary = BTreeSet::new();
    for phantom in films {
        let text = phantom
            .record
            .report
            .as_ref()
            .map(schema::Report::text)
            .unwrap_or_default();
        words.push(text.split_whitespace().count());
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            vocabulary.insert(word.to_lowercase());
        }
        for sentence in text.split_inclusive('.') {
            sentences += 1;
            others += u32::from(FINDINGS.iter().any(|finding| {
                report_states(sentence, finding).is_some_and(|state| state != ReportState::Present)
            }));
        }
    }
    words.sort_unstable();
    println!(
        "{others} of {sentences} sentences negated or past; {} words; length {:?} to {:?}, median {:?}",
        vocabulary.len(),
        words.first(),
        words.last(),
        words.get(words.len() / 2)
    );
    let mut by_mean: Vec<&PhantomRadiograph> = films.iter().collect();
    by_mean.sort_by_key(|film| film.film.pixels.iter().copied().map(u64::from).sum::<u64>());
    for finding in FINDINGS {
        let present: Vec<&PhantomRadiograph> = films
            .iter()
            .filter(|film| {
                film.record
                    .findings
                    .iter()
                    .flatten()
                    .any(|name| name == finding)
            })
            .collect();
        let areas = present.iter().map(|film| {
            let marked = film
                .record
                .boxes
                .iter()
                .find(|marked| marked.finding == finding);
            let runs = marked
                .and_then(|marked| marked.mask.as_ref())
                .map(|mask| &mask.runs);
            runs.into_iter().flatten().skip(1).step_by(2).sum::<u32>()
        });
        // Pairs in which the brighter film is the one with the finding.
        let (mut absent_below, mut won) = (0_usize, 0_usize);
        for film in &by_mean {
            if film
                .record
                .findings
                .iter()
                .flatten()
                .any(|name| name == finding)
            {
                won += absent_below;
            } else {
                absent_below += 1;
            }
        }
        println!(
            "{finding}: {} of {}, smallest mask {} pixels, AUROC of mean brightness {:.3}",
            present.len(),
            films.len(),
            areas.min().unwrap_or_default(),
            won as f64 / (present.len() * absent_below).max(1) as f64
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target".to_owned());
    let folder = Path::new(&folder);
    let count: u32 = std::env::args()
        .nth(2)
        .map_or(Ok(1_000), |text| text.parse())?;
    let start = Instant::now();
    let films = radiographs(1, 0..count, SIZE);
    println!(
        "{} films of {SIZE} px in {:.2} s on {} threads",
        films.len(),
        start.elapsed().as_secs_f64(),
        std::thread::available_parallelism()?
    );
    sheet(
        &films[..films.len().min(24)],
        (6, false),
        &folder.join("phantoms.png"),
    )?;
    for phantom in &films[..films.len().min(24)] {
        let record = &phantom.record;
        println!(
            "{} {:?} {}",
            record.id,
            record.findings.clone().unwrap_or_default(),
            record
                .report
                .as_ref()
                .map(schema::Report::text)
                .unwrap_or_default()
        );
    }
    print_report_figures(&films);
    // One row per finding: films that carry it and nothing else.
    let mut alone: Vec<Vec<PhantomRadiograph>> = vec![Vec::new(); FINDINGS.len() + 1];
    for index in 0..40_000 {
        if alone.iter().all(|row| row.len() >= 6) {
            break;
        }
        let phantom = radiograph(2, index, SIZE);
        let row = match phantom.record.findings.as_deref() {
            Some([only]) => FINDINGS.iter().position(|name| name == only),
            Some([]) => Some(FINDINGS.len()),
            _ => None,
        };
        if let Some(row) = row
            .and_then(|row| alone.get_mut(row))
            .filter(|row| row.len() < 6)
        {
            row.push(phantom);
        }
    }
    for (part, rows) in alone.chunks(4).enumerate() {
        let films: Vec<PhantomRadiograph> = rows.concat();
        sheet(&films, (6, true), &folder.join(format!("alone-{part}.png")))?;
    }
    Ok(())
}
