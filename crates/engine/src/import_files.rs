//! Imports of the user's files through the importers of `datasets`.

use std::path::PathBuf;

use datasets::import::{
    ColumnMap, ImportError, ImportPlan, InteractionSource, Layout, RadiographSource, ReportSource,
    SplitRule, import_interactions, import_radiographs, import_reports,
};

use crate::error::{EngineError, Result};
use crate::import::Plan;
use crate::jobs::JobContext;
use crate::views::{ImportRequest, InteractionsRequest};

/// Splits follow this seed, so that the same source is split the same way in every project.
const SPLIT_SEED: u64 = 0;

impl From<ImportError> for EngineError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Cancelled => Self::cancelled(),
            _ => Self::request(error.to_string()),
        }
    }
}

impl From<ImportPlan> for Plan {
    fn from(plan: ImportPlan) -> Self {
        Self {
            manifest: plan.manifest,
            records: plan.records,
            catalogue: plan.catalogue,
            recognised: plan.recognised,
            warnings: plan.warnings,
            n_skipped: plan.n_skipped,
            files: Vec::new(),
        }
    }
}

fn given(path: &str) -> Option<PathBuf> {
    (!path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

/// Works out what a request for the user's files would import.
pub(crate) fn plan(request: &ImportRequest, job: &JobContext) -> Result<Plan> {
    let plan = match request {
        ImportRequest::Radiographs {
            name,
            images,
            table,
            columns,
            labels,
            boxes,
        } => {
            let source = RadiographSource {
                images: PathBuf::from(images.trim()),
                table: given(table),
                columns: ColumnMap::parse(columns)?,
                labels: given(labels),
                boxes: given(boxes),
            };
            import_radiographs(name, &source, SPLIT_SEED, &mut |done, total| {
                job.step("Reading films", done as u64, total as u64, "films")
            })?
        }
        ImportRequest::Reports {
            name,
            table,
            columns,
            labels,
        } => {
            let source = ReportSource {
                table: PathBuf::from(table.trim()),
                columns: ColumnMap::parse(columns)?,
                labels: given(labels),
            };
            import_reports(name, &source, SPLIT_SEED)?
        }
        ImportRequest::Interactions(request) => {
            import_interactions(&request.name, &interaction_source(request)?)?
        }
        ImportRequest::PhantomRadiographs { .. } | ImportRequest::PhantomShoppers { .. } => {
            return Err(EngineError::other(
                "phantoms are drawn, not read from files",
            ));
        }
    };
    Ok(plan.into())
}

/// The source that a request means.
fn interaction_source(request: &InteractionsRequest) -> Result<InteractionSource> {
    let min_rating = number(&request.min_rating, "least rating", "a number such as 4")?;
    let core = number(&request.core, "core", "a whole number from 1")?;
    Ok(InteractionSource {
        path: PathBuf::from(request.path.trim()),
        layout: one_of(&request.layout, &Layout::ALL, "layout of interactions")?,
        columns: ColumnMap::parse(&request.columns)?,
        items: given(&request.items),
        split: one_of(&request.split, &SplitRule::ALL, "split of interactions")?,
        min_rating,
        core,
    })
}

/// The choice of that name; `None` for the empty text and for `auto`.
fn one_of<T: Copy>(text: &str, choices: &[(&str, T)], what: &str) -> Result<Option<T>> {
    let text = text.trim();
    if text.is_empty() || text == "auto" {
        return Ok(None);
    }
    let found = choices.iter().find(|(name, _)| *name == text);
    let Some((_, choice)) = found else {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        return Err(EngineError::request(format!(
            "\"{text}\" is no {what}; expected {} or auto",
            names.join(", ")
        )));
    };
    Ok(Some(*choice))
}

/// A number, or `None` for the empty text.
fn number<T: std::str::FromStr>(text: &str, what: &str, expected: &str) -> Result<Option<T>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok();
    number.map(Some).ok_or_else(|| {
        EngineError::request(format!("the {what} is \"{text}\"; expected {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_sources_or_one_sentence() {
        let request = InteractionsRequest {
            path: " data ".to_owned(),
            layout: "recbole".to_owned(),
            columns: "title=name".to_owned(),
            split: "global-time".to_owned(),
            min_rating: "3.5".to_owned(),
            core: "10".to_owned(),
            ..InteractionsRequest::default()
        };
        let source = interaction_source(&request).unwrap();
        assert_eq!(source.path, PathBuf::from("data"));
        assert_eq!(source.layout, Some(Layout::RecBole));
        assert_eq!(source.split, Some(SplitRule::GlobalTime));
        assert_eq!((source.min_rating, source.core), (Some(3.5), Some(10)));
        assert_eq!(source.items, None);
        let empty = interaction_source(&InteractionsRequest::default()).unwrap();
        assert_eq!(empty, InteractionSource::default());

        let fail = |change: fn(&mut InteractionsRequest)| {
            let mut request = InteractionsRequest::default();
            change(&mut request);
            interaction_source(&request).unwrap_err().to_string()
        };
        assert_eq!(
            fail(|request| request.layout = "lenskit".to_owned()),
            "\"lenskit\" is no layout of interactions; expected rechorus, movielens, recbole, csv \
             or auto"
        );
        assert_eq!(
            fail(|request| request.split = "random".to_owned()),
            "\"random\" is no split of interactions; expected leave-one-out, global-time or auto"
        );
        assert_eq!(
            fail(|request| request.min_rating = "four".to_owned()),
            "the least rating is \"four\"; expected a number such as 4"
        );
        assert_eq!(
            fail(|request| request.core = "-1".to_owned()),
            "the core is \"-1\"; expected a whole number from 1"
        );
    }
}
