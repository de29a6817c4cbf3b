//! Imports of the user's files through the importers of `datasets`.

use std::path::PathBuf;

use datasets::import::{
    ColumnMap, ImportError, ImportPlan, Layout, RadiographSource, ReportSource,
    import_interactions, import_radiographs, import_reports,
};

use crate::error::{EngineError, Result};
use crate::import::Plan;
use crate::jobs::JobContext;
use crate::views::ImportRequest;

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
            boxes,
        } => {
            let source = RadiographSource {
                images: PathBuf::from(images.trim()),
                table: given(table),
                columns: ColumnMap::parse(columns)?,
                labels: None,
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
        ImportRequest::Interactions { name, path, layout } => {
            let layout = match layout.as_str() {
                "rechorus" => Some(Layout::ReChorus),
                "movielens" => Some(Layout::MovieLens),
                "auto" | "" => None,
                other => {
                    return Err(EngineError::request(format!(
                        "\"{other}\" is no layout of interactions; expected rechorus, movielens or auto"
                    )));
                }
            };
            import_interactions(name, &PathBuf::from(path.trim()), layout)?
        }
        ImportRequest::PhantomRadiographs { .. } | ImportRequest::PhantomShoppers { .. } => {
            return Err(EngineError::other(
                "phantoms are drawn, not read from files",
            ));
        }
    };
    Ok(plan.into())
}
