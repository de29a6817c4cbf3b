//! Splitting and absorption of planted concepts, whose truth is known position by position.

use std::collections::BTreeMap;

use explain::{
    ClusterBootstrap, ClusteredF1, ProbeOutcome, ProbedFeatures, SparseColumns, SparseProbe,
    n_split, rank_columns,
};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::{Metric, SparseAutoencoder, SparseCodes};
use schema::{Mask, PatchGrid, PositionClass, RowRef};

use super::subject::{Side, Subject};
use super::{EvaluationReport, MeasuredMetric, PlantedConcept};
use crate::error::{EngineError, Result};
use crate::harvest::{SampleSidecar, sidecar_file};
use crate::import::TRUTH;

/// Rows per side at most.
const MAX_ROWS: usize = 20_000;
/// Rows with and without a concept that both sides must have.
const MIN_ROWS: usize = 20;
/// Rows with a concept, found by the dense probe, from which an absorption rate is given.
const MIN_FOUND: u64 = 10;
/// Features of the largest k-sparse probe.
const MAX_SPLIT: usize = 10;
/// Width of the hook up to which a dense probe is fitted: its cost grows with the square.
const MAX_WIDTH: usize = 256;

/// Rows of one side, and which of them have which concept.
struct Rows {
    at: Vec<RowRef>,
    x: Vec<f32>,
    /// By concept.
    truth: Vec<Vec<bool>>,
}

/// Where concepts are: for each name, whether a row has it.
type TruthOfRow<'a> = Box<dyn Fn(&RowRef) -> Result<Vec<bool>> + 'a>;

/// Both sides, with raw dimensions as columns.
struct Sides {
    names: Vec<String>,
    train: Rows,
    held_out: Rows,
    raw: [SparseColumns; 2],
    mean: Vec<f64>,
    clusters: ClusterBootstrap,
}

/// What one dictionary made of one concept.
struct Spread {
    own: Vec<u32>,
    /// F1 with 1, 2, … features.
    f1: Vec<ClusteredF1>,
    /// Per cluster: positions found, and absorbed.
    counts: Vec<[u32; 2]>,
    absorbed_by: Option<u32>,
}

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    if !subject.dataset.manifest.planted {
        return Ok(());
    }
    let Some((names, has)) = truth_of_rows(subject)? else {
        report.notes.push(
            "No splitting and absorption: where concepts are is known for patches of films and \
             items of histories only."
                .to_owned(),
        );
        return Ok(());
    };
    if subject.reader.d_model() > MAX_WIDTH {
        report.notes.push(format!(
            "No splitting and absorption: rows are {} wide, dense probes are fitted up to \
             {MAX_WIDTH}.",
            subject.reader.d_model()
        ));
        return Ok(());
    }
    let sides = sides(subject, names, &has)?;
    if sides.names.is_empty() {
        report.notes.push(format!(
            "No splitting and absorption: no concept is on {MIN_ROWS} rows of either side."
        ));
        return Ok(());
    }
    subject
        .job
        .report("Looking for absorption", 0, 0, "concepts");
    let own = spread(subject.sae(), &sides)?;
    subject.job.check_cancelled()?;
    let random = spread(&subject.random, &sides)?;
    subject.job.check_cancelled()?;
    push_metrics(&sides, (&own, &random), report);
    for (name, one) in sides.names.iter().zip(&own) {
        let sum = |at: usize| one.counts.iter().map(|counts| u64::from(counts[at])).sum();
        report.planted.push(PlantedConcept {
            name: name.clone(),
            features: one.own.clone(),
            n_found: sum(0),
            n_absorbed: sum(1),
            absorbed_by: one.absorbed_by,
        });
    }
    Ok(())
}

fn push_metrics(
    sides: &Sides,
    (own, random): (&[Spread], &[Spread]),
    report: &mut EvaluationReport,
) {
    let ones = vec![1; sides.clusters.n_clusters()];
    let drawn = sides.clusters.of_clusters();
    let n = sides.held_out.at.len() as u64;
    let figures: [(Metric, Mean); 2] = [
        (Metric::Splitting, mean_split),
        (Metric::Absorption, mean_absorption),
    ];
    for (metric, figure) in figures {
        if let Some(value) = figure(own, &ones) {
            report.metrics.push(MeasuredMetric {
                interval: drawn.interval(&|weights| figure(own, weights)),
                random_dictionary: figure(random, &ones),
                ..MeasuredMetric::new(metric, value, (n, "held-out rows"))
            });
        }
    }
}

/// A mean over concepts with clusters counted several times.
type Mean = fn(&[Spread], &[u32]) -> Option<f64>;

fn mean_split(all: &[Spread], weights: &[u32]) -> Option<f64> {
    let of_one = |one: &Spread| {
        let f1: Vec<f64> = one.f1.iter().map(|f1| f1.f1_weighted(weights)).collect();
        n_split(&f1) as f64
    };
    (!all.is_empty()).then(|| all.iter().map(of_one).sum::<f64>() / all.len() as f64)
}

fn mean_absorption(all: &[Spread], weights: &[u32]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for one in all {
        let whole: u64 = one.counts.iter().map(|counts| u64::from(counts[0])).sum();
        let (mut found, mut absorbed) = (0.0, 0.0);
        for (counts, &weight) in one.counts.iter().zip(weights) {
            found += f64::from(weight) * f64::from(counts[0]);
            absorbed += f64::from(weight) * f64::from(counts[1]);
        }
        if whole >= MIN_FOUND && found > 0.0 {
            sum += absorbed / found;
            n += 1.0;
        }
    }
    (n > 0.0).then(|| sum / n)
}

/// The concepts, and which of them a row has: findings whose mask meets the patch, or the taste at
/// work at an item. `None` where that is not known.
fn truth_of_rows<'a>(subject: &'a Subject<'_>) -> Result<Option<(Vec<String>, TruthOfRow<'a>)>> {
    let names = &subject.dataset.manifest.findings;
    if subject.is_interactions() {
        let bytes = subject.dataset.read_file(TRUTH)?;
        let truth: Vec<Vec<Option<u8>>> = serde_json::from_slice(&bytes).map_err(|error| {
            let dataset = &subject.manifest().dataset;
            EngineError::request(format!("datasets/{dataset}/{TRUTH}: {error}"))
        })?;
        let n = names.len();
        let has: TruthOfRow<'a> = Box::new(move |at| {
            let taste = truth
                .get(at.sample as usize)
                .and_then(|tastes| tastes.get(at.position as usize).copied().flatten());
            Ok((0..n)
                .map(|name| taste.is_some_and(|it| usize::from(it) == name))
                .collect())
        });
        return Ok(Some((names.clone(), has)));
    }
    if subject.manifest().classes != [PositionClass::Image] {
        return Ok(None);
    }
    let local: Vec<String> = names
        .iter()
        .filter(|name| !datasets::phantom::WITHOUT_LOCAL_MASK.contains(&name.as_str()))
        .cloned()
        .collect();
    let laid = laid_on_films(subject)?;
    if laid.is_empty() {
        return Ok(None);
    }
    let inside = patches_inside(subject, &local, &laid);
    let n = local.len();
    let has: TruthOfRow<'a> = Box::new(move |at| {
        let Some(patches) = inside.get(&at.sample) else {
            return Err(EngineError::other(format!(
                "the harvest does not say where the patches of sample {} lie",
                at.sample
            )));
        };
        let patch = laid
            .get(&at.sample)
            .and_then(|one| one.patch_of(at.position));
        let of = |name: usize| patches[name].get(patch? as usize).copied();
        Ok((0..n).map(|name| of(name).unwrap_or(false)).collect())
    });
    Ok(Some((local, has)))
}

/// By sample, how its patches lie on its film, and which positions they are.
fn laid_on_films(subject: &Subject<'_>) -> Result<BTreeMap<u32, SampleSidecar>> {
    let folder = subject
        .session
        .project
        .artefact_dir(store::ArtefactKind::Harvest, &subject.harvest)?;
    let mut laid = BTreeMap::new();
    for shard in 0..subject.reader.n_shards() as u32 {
        let path = folder.join(sidecar_file(shard));
        let unreadable =
            |error: String| EngineError::request(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let sidecars: Vec<SampleSidecar> =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        for mut sidecar in sidecars {
            if sidecar.grid.is_some() {
                sidecar.texts = Vec::new();
                laid.insert(sidecar.sample, sidecar);
            }
        }
    }
    Ok(laid)
}

/// By sample and finding, which patches a planted mask meets, row-major.
fn patches_inside(
    subject: &Subject<'_>,
    names: &[String],
    laid: &BTreeMap<u32, SampleSidecar>,
) -> BTreeMap<u32, Vec<Vec<bool>>> {
    laid.iter()
        .filter_map(|(&sample, sidecar)| {
            let grid = sidecar.grid?;
            let record = subject.dataset.records.get(sample as usize)?;
            let mut inside = vec![vec![false; (grid.rows * grid.columns) as usize]; names.len()];
            for planted in &record.boxes {
                let name = names.iter().position(|name| *name == planted.finding);
                if let (Some(name), Some(mask)) = (name, &planted.mask) {
                    mark(mask, grid, &mut inside[name]);
                }
            }
            Some((sample, inside))
        })
        .collect()
}

/// Marks the patches that a mask meets.
fn mark(mask: &Mask, grid: PatchGrid, inside: &mut [bool]) {
    let size = [
        grid.width / grid.columns as f32,
        grid.height / grid.rows as f32,
    ];
    for (at, _) in mask.to_flags().iter().enumerate().filter(|(_, set)| **set) {
        let (x, y) = (at as u32 % mask.width, at as u32 / mask.width);
        let column = ((x as f32 + 0.5 - grid.left) / size[0]).floor();
        let row = ((y as f32 + 0.5 - grid.top) / size[1]).floor();
        if column >= 0.0 && row >= 0.0 && column < grid.columns as f32 && row < grid.rows as f32 {
            inside[(row as u32 * grid.columns + column as u32) as usize] = true;
        }
    }
}

fn sides(subject: &Subject<'_>, names: Vec<String>, has: &TruthOfRow<'_>) -> Result<Sides> {
    let mut train = rows_of(subject, Side::Train, names.len(), has)?;
    let mut held_out = rows_of(subject, Side::HeldOut, names.len(), has)?;
    let is_usable = |truth: &[bool]| {
        let n_with = truth.iter().filter(|&&with| with).count();
        n_with >= MIN_ROWS && truth.len() - n_with >= MIN_ROWS
    };
    let usable: Vec<bool> = train
        .truth
        .iter()
        .zip(&held_out.truth)
        .map(|(a, b)| is_usable(a) && is_usable(b))
        .collect();
    let mut kept = usable.iter();
    let names = names
        .into_iter()
        .filter(|_| kept.next() == Some(&true))
        .collect();
    for rows in [&mut train, &mut held_out] {
        let mut kept = usable.iter();
        rows.truth.retain(|_| kept.next() == Some(&true));
    }
    let d = subject.reader.d_model();
    let mut mean = vec![0.0; d];
    for row in train.x.chunks_exact(d) {
        for (sum, &value) in mean.iter_mut().zip(row) {
            *sum += f64::from(value) / train.at.len() as f64;
        }
    }
    let groups = subject.groups(&held_out.at)?;
    Ok(Sides {
        names,
        raw: [raw_columns(&train.x, d), raw_columns(&held_out.x, d)],
        mean,
        clusters: ClusterBootstrap::of_names(groups, subject.request.seed),
        train,
        held_out,
    })
}

fn rows_of(
    subject: &Subject<'_>,
    side: Side,
    n_names: usize,
    has: &TruthOfRow<'_>,
) -> Result<Rows> {
    let mut samples = subject.samples(side);
    samples.truncate(MAX_ROWS.div_ceil(subject.rows_per_sample()));
    samples.sort_unstable();
    let mut rows = Rows {
        at: Vec::new(),
        x: Vec::new(),
        truth: vec![Vec::new(); n_names],
    };
    subject.for_each_sample(&samples, "Reading planted rows", &mut |refs, x| {
        rows.x.extend_from_slice(x);
        rows.at.extend_from_slice(refs);
        for at in refs {
            for (truth, has) in rows.truth.iter_mut().zip(has(at)?) {
                truth.push(has);
            }
        }
        Ok(())
    })?;
    Ok(rows)
}

fn raw_columns(x: &[f32], d: usize) -> SparseColumns {
    SparseColumns {
        n_samples: x.len() / d,
        columns: (0..d)
            .map(|dimension| {
                (0..)
                    .zip(x.chunks_exact(d).map(|row| row[dimension]))
                    .collect()
            })
            .collect(),
    }
}

fn columns_of(codes: &SparseCodes, n_features: usize) -> SparseColumns {
    let mut columns = vec![Vec::new(); n_features];
    for row in 0..codes.n_rows() {
        let (features, values) = codes.row(row);
        for (&feature, &value) in features.iter().zip(values) {
            columns[feature as usize].push((row as u32, value));
        }
    }
    SparseColumns {
        n_samples: codes.n_rows(),
        columns,
    }
}

/// A dense probe for one concept, and the held-out rows with it that it finds.
struct DenseProbe {
    /// Of unit length.
    direction: Vec<f64>,
    /// Row and `⟨x − x̄, p⟩`.
    found: Vec<(usize, f64)>,
}

fn dense_probe(sides: &Sides, concept: usize) -> Result<DenseProbe> {
    let d = sides.mean.len();
    let columns: Vec<u32> = (0..d as u32).collect();
    let [train, held_out] = &sides.raw;
    let probe = SparseProbe::fit(train, &columns, &sides.train.truth[concept])?;
    let truth = &sides.held_out.truth[concept];
    let outcome = ProbeOutcome::new(&probe, held_out, truth)?;
    let mut direction = probe.direction();
    let length = direction
        .iter()
        .map(|p| p * p)
        .sum::<f64>()
        .sqrt()
        .max(1e-12);
    for p in &mut direction {
        *p /= length;
    }
    let found = (0..truth.len())
        .filter(|&row| truth[row] && outcome.said()[row])
        .map(|row| {
            let x = &sides.held_out.x[row * d..(row + 1) * d];
            let each = x.iter().zip(&sides.mean).zip(&direction);
            (
                row,
                each.map(|((&x, mean), p)| (f64::from(x) - mean) * p).sum(),
            )
        })
        .collect();
    Ok(DenseProbe { direction, found })
}

/// Splits and absorptions of every concept in one dictionary.
fn spread(sae: &SparseAutoencoder, sides: &Sides) -> Result<Vec<Spread>> {
    let codes = [sae.encode(&sides.train.x)?, sae.encode(&sides.held_out.x)?];
    let [train, held_out] = codes
        .each_ref()
        .map(|codes| columns_of(codes, sae.n_features()));
    let ranked = rank_columns(&train, &sides.train.truth, MAX_SPLIT)?;
    ranked
        .into_iter()
        .enumerate()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|(concept, columns)| {
            let truth = &sides.held_out.truth[concept];
            let f1 = (1..=columns.len())
                .map(|k| {
                    let on = &sides.train.truth[concept];
                    let probe = SparseProbe::fit(&train, &columns[..k], on)?;
                    let outcome = ProbeOutcome::new(&probe, &held_out, truth)?;
                    let clusters = sides.clusters.cluster_of();
                    Ok(ClusteredF1::new(outcome.said(), truth, clusters))
                })
                .collect::<Result<Vec<ClusteredF1>>>()?;
            let values: Vec<f64> = f1.iter().map(ClusteredF1::f1).collect();
            let own = columns[..n_split(&values)].to_vec();
            let probe = dense_probe(sides, concept)?;
            let (counts, absorbed_by) = absorptions((sae, &codes[1]), sides, &own, &probe)?;
            Ok(Spread {
                own,
                f1,
                counts,
                absorbed_by,
            })
        })
        .collect()
}

/// Per cluster how many positions are found and absorbed, and the feature that absorbs most.
fn absorptions(
    (sae, codes): (&SparseAutoencoder, &SparseCodes),
    sides: &Sides,
    own: &[u32],
    probe: &DenseProbe,
) -> Result<(Vec<[u32; 2]>, Option<u32>)> {
    let (along, cosine): (Vec<f64>, Vec<f64>) = (0..sae.n_features() as u32)
        .map(|feature| {
            let row = sae.decoder_row(feature);
            let each = row.iter().zip(&probe.direction);
            let along: f64 = each.map(|(&w, p)| f64::from(w) * p).sum();
            let length = row
                .iter()
                .map(|&w| f64::from(w) * f64::from(w))
                .sum::<f64>();
            (along, along / length.sqrt().max(1e-12))
        })
        .unzip();
    let features = ProbedFeatures {
        own,
        along: &along,
        cosine: &cosine,
    };
    let mut counts = vec![[0, 0]; sides.clusters.n_clusters()];
    let mut by: BTreeMap<u32, u32> = BTreeMap::new();
    for &(row, projection) in &probe.found {
        let cluster = &mut counts[sides.clusters.cluster_of()[row] as usize];
        cluster[0] += 1;
        if let Some(feature) = features.absorbed_by(codes.row(row), projection)? {
            cluster[1] += 1;
            *by.entry(feature).or_default() += 1;
        }
    }
    let most = by
        .into_iter()
        .max_by_key(|&(feature, n)| (n, std::cmp::Reverse(feature)));
    Ok((counts, most.map(|(feature, _)| feature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_that_a_mask_meets() {
        // A 4 × 2 film under a grid of 2 × 1 patches that begins at column 1.
        let grid = PatchGrid {
            rows: 1,
            columns: 2,
            left: 1.0,
            top: 0.0,
            width: 2.0,
            height: 2.0,
        };
        let marked = |set: &[usize]| {
            let mut flags = [false; 8];
            for &at in set {
                flags[at] = true;
            }
            let mut inside = vec![false; 2];
            mark(&Mask::from_flags(4, 2, &flags), grid, &mut inside);
            inside
        };
        assert_eq!(marked(&[1]), [true, false]);
        assert_eq!(marked(&[5, 6]), [true, true]);
        // Outside the grid on either side.
        assert_eq!(marked(&[0, 3]), [false, false]);
    }

    #[test]
    fn means_by_hand() {
        let one = |counts: &[[u32; 2]]| Spread {
            own: vec![0],
            f1: vec![ClusteredF1::new(&[true, false], &[true, true], &[0, 1])],
            counts: counts.to_vec(),
            absorbed_by: None,
        };
        let all = [
            one(&[[10, 5], [0, 0]]),
            one(&[[10, 0], [10, 10]]),
            one(&[[1, 1], [0, 0]]),
        ];
        // Rates ½ and ½; the third concept was found too rarely.
        assert_eq!(mean_absorption(&all, &[1, 1]), Some(0.5));
        assert_eq!(mean_absorption(&all, &[1, 0]), Some(0.25));
        assert_eq!(mean_absorption(&all[2..], &[1, 1]), None);
        assert_eq!(mean_split(&all, &[1, 1]), Some(1.0));
        assert_eq!(mean_split(&[], &[1, 1]), None);
    }
}
