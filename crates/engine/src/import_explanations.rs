//! A table of explanations, taken in as proposals for the features of a dictionary that is there.

use std::collections::BTreeSet;
use std::path::Path;

use sae::SaeError;
use sae::formats::interpretations::{self, Interpretation};
use schema::{Explanation, FeatureId, PublishedSource};
use store::blake3_of_file;

use crate::error::{EngineError, Result};
use crate::import_sae::{ImportedTable, PUBLISHED};
use crate::named_files::check_input;
use crate::session::Session;

impl Session {
    /// Takes a table with a feature's number, an explanation and perhaps a score per row as
    /// proposals to review: CSV, TSV, JSON, JSON Lines or Parquet, its columns told by their names.
    /// `by` is who proposed them; empty for the words `published interpretations`. A row that
    /// repeats what the same proposer said of the feature is left out.
    ///
    /// # Errors
    /// When there is no such dictionary, or the file is damaged, has no such columns or no row with
    /// a text, or names a feature that is not there; then nothing is taken in.
    pub fn import_explanations(&self, sae: &str, file: &Path, by: &str) -> Result<ImportedTable> {
        let n_features = self.dictionary(sae)?.sae.n_features();
        check_input(
            file,
            "a table of explanations (CSV, JSON, JSON Lines or Parquet)",
        )?;
        let name = file.display();
        let rows = match interpretations::read(file) {
            Ok(Some(rows)) if !rows.is_empty() => rows,
            Ok(_) => {
                return Err(EngineError::request(format!(
                    "{name}: it has no row with a feature and a text; expected columns such as \
                     feature and explanation, and score where there is one"
                )));
            }
            Err(SaeError::Io { source, .. }) => {
                return Err(EngineError::request(format!("{name}: {source}")));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(row) = rows.iter().find(|row| row.feature as usize >= n_features) {
            return Err(EngineError::request(format!(
                "{name}: it names feature {}, but {sae} has only 0 to {}",
                row.feature,
                n_features.saturating_sub(1)
            )));
        }
        let by = if by.trim().is_empty() {
            PUBLISHED
        } else {
            by.trim()
        };
        let (blake3, _) = blake3_of_file(file)?;
        let file_name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let at = store::utc_now();
        let n_rows = rows.len();
        let mut said = BTreeSet::new();
        let mut proposals = Vec::new();
        for row in rows {
            let feature = FeatureId(row.feature);
            let known = self.explanations_of(sae, feature)?;
            let is_known = known.iter().any(|old| old.text == row.text && old.by == by);
            if !is_known && said.insert((row.feature, row.text.clone())) {
                proposals.push(proposal(row, by, &at, (&file_name, &blake3)));
            }
        }
        self.project.put_explanations(sae, &proposals)?;
        self.forget_labels(sae);
        Ok(ImportedTable {
            file: file_name,
            blake3,
            n_rows,
            n_proposals: proposals.len(),
        })
    }
}

/// A row as a proposal.
pub(crate) fn proposal(
    row: Interpretation,
    by: &str,
    at: &str,
    (file, blake3): (&str, &str),
) -> Explanation {
    Explanation {
        feature: FeatureId(row.feature),
        text: row.text,
        by: by.to_owned(),
        evidence: Vec::new(),
        at: at.to_owned(),
        source: Some(PublishedSource {
            file: file.to_owned(),
            blake3: blake3.to_owned(),
            score: row.score,
            metadata: row.metadata,
        }),
        ..Explanation::default()
    }
}
