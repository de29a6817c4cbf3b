//! `review packet`, and exports and imports of other tools' tables.

use engine::views::SAFETY;
use engine::{JobContext, PacketRequest, Result, Session};
use schema::FeatureId;
use serde_json::json;

use crate::arguments::{ExplanationImportArguments, FeatureExportArguments, PacketArguments};
use crate::text::Answer;

fn ids(features: &[u32]) -> Vec<FeatureId> {
    features.iter().copied().map(FeatureId).collect()
}

/// Writes a packet.
pub(crate) fn packet(
    arguments: &PacketArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let written = session.write_packet(
        &PacketRequest {
            sae: arguments.sae.clone(),
            file: arguments.file.clone(),
            features: ids(&arguments.features),
            limit: arguments.limit,
            reviewer: arguments.reviewer.clone(),
            seed: arguments.seed,
            write_first: arguments.write_first,
        },
        job,
    )?;
    let lines = format!(
        "{}. Take the saved answers back with: fluoroscope review import {} ANSWERS.json\n{SAFETY}\n",
        written.sentence(),
        arguments.sae
    );
    Ok(Answer::new(json!(written), lines))
}

/// Writes features for other tools.
pub(crate) fn export_features(
    arguments: &FeatureExportArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let format = engine::parse_feature_format(&arguments.format)?;
    let done = session.export_features(
        &arguments.sae,
        &ids(&arguments.features),
        (&arguments.file, format),
        job,
    )?;
    let lines = format!(
        "Wrote {} features with {} explanations and labels and {} examples to {}\n",
        done.n_features,
        done.n_explanations,
        done.n_examples,
        done.path.display()
    );
    Ok(Answer::new(json!(done), lines))
}

/// Takes a table of explanations in.
pub(crate) fn import_explanations(
    arguments: &ExplanationImportArguments,
    session: &Session,
) -> Result<Answer> {
    let table = session.import_explanations(&arguments.sae, &arguments.file, &arguments.by)?;
    let lines = format!(
        "{} proposals to review from the {} rows of {}\n",
        table.n_proposals, table.n_rows, table.file
    );
    Ok(Answer::new(json!(table), lines))
}
