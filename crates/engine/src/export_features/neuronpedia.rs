//! Rows as the folders of Neuronpedia's public exports have them, in batches of 1,024 features.
//!
//! Neuronpedia knows texts only, so a film's patches are tokens `<img row,column>`; `images.jsonl`
//! says which sample and grid they belong to. Model, release and source set are for whoever takes
//! the rows in; fields that are not measured here are empty lists.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use schema::{Explanation, FeatureId};
use serde_json::{Value, json};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{ExampleContent, ExampleView, FeaturePage, SAFETY};
use crate::whole_folder::write_whole;

use super::{ExportedFeatures, pages};

/// Rows of features per file.
const BATCH: usize = 1024;
/// Strongest examples, and examples per band.
const N_STRONGEST: usize = 10;
const N_PER_BAND: usize = 2;

/// Folders of rows, and the files beside them.
const KINDS: [&str; 3] = ["features", "activations", "explanations"];
const IMAGES: &str = "images.jsonl";
const NOTE: &str = "note.json";

/// What all rows of an export share.
struct Place {
    model: String,
    /// `<layer>-<dictionary>`.
    source: String,
    set: String,
    hook: String,
    dataset: String,
    at: String,
}

pub(super) fn export(
    session: &Session,
    sae: &str,
    features: &[FeatureId],
    folder: &Path,
    job: &JobContext,
) -> Result<ExportedFeatures> {
    if folder.exists() {
        return Err(EngineError::request(format!(
            "{} is there already; expected the name of a new folder",
            folder.display()
        )));
    }
    write_whole(folder, |draft| write(session, sae, features, draft, job))
}

fn write(
    session: &Session,
    sae: &str,
    features: &[FeatureId],
    folder: &Path,
    job: &JobContext,
) -> Result<ExportedFeatures> {
    let place = place(session, sae)?;
    let mut done = ExportedFeatures::default();
    let mut images = Vec::new();
    for (number, batch) in features.chunks(BATCH).enumerate() {
        let (mut rows, mut activations, mut explanations) = (Vec::new(), Vec::new(), Vec::new());
        for page in pages(session, sae, batch, job) {
            let page = page?;
            let bands = page
                .bands
                .iter()
                .flat_map(|band| band.iter().take(N_PER_BAND));
            let examples: Vec<&ExampleView> =
                page.top.iter().take(N_STRONGEST).chain(bands).collect();
            for (n, example) in examples.iter().enumerate() {
                activations.push(activation(&place, &page, (n, example)));
                images.extend(image(example));
            }
            done.count(&page, examples.len());
            rows.push(feature(&place, &page));
            explanations.extend(explained(&place, &page));
        }
        for (kind, rows) in KINDS.iter().zip([&rows, &activations, &explanations]) {
            fs::create_dir_all(folder.join(kind)).map_err(|e| io(folder, &e))?;
            let file = folder.join(kind).join(format!("batch-{number}.jsonl.gz"));
            compressed(&file, rows).map_err(|e| io(&file, &e))?;
        }
    }
    images.sort_by_key(|image| image["dataIndex"].as_u64());
    images.dedup();
    let lines: Vec<String> = images.iter().map(Value::to_string).collect();
    let lines = format!("{}\n", lines.join("\n"));
    let note = json!({
        "note": SAFETY, "sae": sae, "model": place.model, "source": place.source,
        "images": "tokens <img row,column> are patches of the film that dataIndex names in images.jsonl",
    });
    for (name, text) in [(IMAGES, lines), (NOTE, format!("{note}\n"))] {
        store::write_atomically(
            &folder.join(name),
            text.as_bytes(),
            store::Durability::PowerCut,
        )?;
    }
    Ok(done)
}

fn io(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::other(format!("{}: {error}", path.display()))
}

fn compressed(file: &Path, rows: &[Value]) -> std::io::Result<()> {
    let writer = BufWriter::new(File::create(file)?);
    let mut gz = GzEncoder::new(writer, Compression::default());
    for row in rows {
        writeln!(gz, "{row}")?;
    }
    gz.finish()?
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_all()
}

fn place(session: &Session, sae: &str) -> Result<Place> {
    let indexed = session.indexed(sae)?;
    let hook = indexed.harvest.hook.to_string();
    let layer: String = hook
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty())
        .unwrap_or("0")
        .to_owned();
    Ok(Place {
        model: indexed.harvest.model.clone(),
        source: format!("{layer}-{sae}"),
        set: sae.to_owned(),
        hook,
        dataset: indexed.harvest.dataset.clone(),
        at: store::utc_now(),
    })
}

fn feature(place: &Place, page: &FeaturePage) -> Value {
    let card = &page.card;
    let n_bins = card.histogram.len().max(1) as f32;
    let middle = |bin: usize| (bin as f32 + 0.5) * card.max_activation / n_bins;
    let none: &[(String, f32)] = &[];
    let (promoted, suppressed) = page.writes.as_ref().map_or((none, none), |writes| {
        (writes.promoted.as_slice(), writes.suppressed.as_slice())
    });
    let words =
        |list: &[(String, f32)]| -> (Vec<String>, Vec<f32>) { list.iter().cloned().unzip() };
    let (positive, positive_values) = words(promoted);
    let (negative, negative_values) = words(suppressed);
    let mut row = json!({
        "modelId": place.model, "layer": place.source, "index": card.feature.to_string(),
        "creatorId": "", "createdAt": place.at, "sourceSetName": place.set,
        "hookName": place.hook, "hasVector": false, "vector": [], "vectorLabel": null,
        "maxActApprox": card.max_activation, "vectorDefaultSteerStrength": card.max_activation,
        "frac_nonzero": card.density,
        "freq_hist_data_bar_heights": card.histogram,
        "freq_hist_data_bar_values": (0..card.histogram.len()).map(middle).collect::<Vec<_>>(),
        "pos_str": positive, "pos_values": positive_values,
        "neg_str": negative, "neg_values": negative_values,
        "topkCosSimIndices": page.neighbours.iter().map(|n| n.0.0).collect::<Vec<_>>(),
        "topkCosSimValues": page.neighbours.iter().map(|n| n.2).collect::<Vec<_>>(),
    });
    for unmeasured in [
        "logits_hist_data_bar_heights",
        "logits_hist_data_bar_values",
        "neuron_alignment_indices",
        "neuron_alignment_values",
        "neuron_alignment_l1",
        "correlated_neurons_indices",
        "correlated_neurons_pearson",
        "correlated_neurons_l1",
        "correlated_features_indices",
        "correlated_features_pearson",
        "correlated_features_l1",
        "decoder_weights_dist",
    ] {
        row[unmeasured] = json!([]);
    }
    row
}

fn activation(place: &Place, page: &FeaturePage, (n, example): (usize, &ExampleView)) -> Value {
    let (tokens, values): (Vec<String>, Vec<f32>) = match &example.content {
        ExampleContent::Film { grid, heat, .. } => heat
            .iter()
            .enumerate()
            .map(|(cell, &value)| {
                let columns = grid.columns.max(1) as usize;
                (
                    format!("<img {},{}>", cell / columns, cell % columns),
                    value,
                )
            })
            .unzip(),
        ExampleContent::Text { tokens } => tokens
            .iter()
            .map(|token| (token.text.clone(), token.activation))
            .unzip(),
        ExampleContent::History { items } => items
            .iter()
            .map(|item| (item.title.clone(), item.activation))
            .unzip(),
    };
    let strongest = values
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(at, _)| at);
    let feature = page.card.feature;
    json!({
        "id": format!("{}-{feature}-{n}", place.source),
        "modelId": place.model, "layer": place.source, "index": feature.to_string(),
        "creatorId": "", "dataSource": place.dataset, "dataIndex": example.sample.to_string(),
        "maxValue": values.get(strongest), "maxValueTokenIndex": strongest,
        "minValue": values.iter().copied().min_by(f32::total_cmp),
        "tokens": tokens, "values": values,
        "dfaValues": [], "dfaMaxValue": null, "dfaTargetIndex": null,
        "binContains": null, "binMin": null, "binMax": null,
        "lossValues": [], "logitContributions": null, "qualifyingTokenIndex": null,
    })
}

fn image(example: &ExampleView) -> Option<Value> {
    match &example.content {
        ExampleContent::Film { size, grid, .. } => Some(json!({
            "dataIndex": example.sample, "width": size[0], "height": size[1], "grid": grid,
        })),
        _ => None,
    }
}

/// The proposals, and the approved label as one more.
fn explained(place: &Place, page: &FeaturePage) -> Vec<Value> {
    let feature = page.card.feature;
    let row = |n: usize, text: &str, (by, kind): (&str, &str), scores: Value| {
        json!({
            "id": format!("{}-{feature}-{n}", place.source),
            "modelId": place.model, "layer": place.source, "index": feature.to_string(),
            "authorId": "", "description": text, "typeName": kind,
            "explanationModelName": by, "notes": SAFETY, "scores": scores,
        })
    };
    let mut rows: Vec<Value> = page
        .explanations
        .iter()
        .enumerate()
        .map(|(n, explanation)| {
            let id = format!("{}-{feature}-{n}", place.source);
            let scores = scores(explanation, &id);
            row(n, &explanation.text, (&explanation.by, "proposed"), scores)
        })
        .collect();
    if !page.card.label.is_empty() {
        rows.push(row(
            rows.len(),
            &page.card.label,
            ("reviewers", "reviewed"),
            json!([]),
        ));
    }
    rows
}

/// The score that was published, else the one that was measured here, with its method and judge.
fn scores(explanation: &Explanation, id: &str) -> Value {
    let published = explanation.source.as_ref().and_then(|source| source.score);
    let measured = explanation.score.as_ref();
    let (value, method, judge) = match (published, measured) {
        (Some(value), _) => (value, "as published", explanation.by.as_str()),
        (None, Some(score)) => (score.value, score.method.as_str(), score.judge.as_str()),
        (None, None) => return json!([]),
    };
    json!([{
        "value": value, "explanationId": id,
        "explanationScoreTypeName": method, "explanationScoreModelName": judge,
    }])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schema::{MeasuredScore, PublishedSource};

    use super::*;

    #[test]
    fn a_measured_score_stands_where_none_was_published() {
        let mut explanation = Explanation {
            by: "little-llama".to_owned(),
            ..Explanation::default()
        };
        assert_eq!(scores(&explanation, "a"), json!([]));
        explanation.score = Some(MeasuredScore {
            method: "detection".to_owned(),
            judge: "keywords".to_owned(),
            value: 0.75,
            interval: None,
            n_cases: 8,
        });
        let measured = &scores(&explanation, "a")[0];
        assert_eq!(measured["value"], json!(0.75));
        assert_eq!(measured["explanationScoreTypeName"], json!("detection"));
        assert_eq!(measured["explanationScoreModelName"], json!("keywords"));
        explanation.source = Some(PublishedSource {
            file: "table.csv".to_owned(),
            blake3: String::new(),
            score: Some(0.5),
            metadata: BTreeMap::new(),
        });
        let published = &scores(&explanation, "a")[0];
        assert_eq!(published["value"], json!(0.5));
        assert_eq!(
            published["explanationScoreModelName"],
            json!("little-llama")
        );
    }
}
