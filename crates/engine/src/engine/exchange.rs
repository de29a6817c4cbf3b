//! The door's part for what comes in from other tools and goes out to them: dictionaries and models
//! as jobs.

use std::path::Path;
use std::sync::Arc;

use schema::{HarvestManifest, JobId};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::import_sae::SaeImportRequest;
use crate::jobs::lock;
use crate::loose_sae::{ExportRequest, export_sae};
use crate::views::{AddModelRequest, Event};

impl Engine {
    /// Harvests of the project. A small file each: keep the answer until the revision changes.
    ///
    /// # Errors
    /// When no project is open or a harvest is damaged.
    pub fn harvests(&self) -> Result<Arc<Vec<HarvestManifest>>> {
        Ok(Arc::new(self.shared.session()?.harvests()?))
    }

    /// Takes dictionaries of other tools into the project, as a job; `Event::DictionariesImported`
    /// comes before its end.
    ///
    /// # Errors
    /// When no project is open, a job makes a dictionary of that name, or the job cannot be started.
    pub fn import_sae(&self, request: SaeImportRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        if lock(&self.jobs).holds(&request.name) {
            return Err(EngineError::request(format!(
                "saes/{} belongs to a running job; choose another name",
                request.name
            )));
        }
        let shared = Arc::clone(&self.shared);
        let title = format!("Import {}", request.name);
        lock(&self.jobs).start_with_id(&title, move |id, job| {
            let imported = session.import_sae(&request, job);
            // What was recorded for one that failed stays, too.
            shared.changed();
            let imported = imported?;
            let sentence = imported.sentence();
            shared.send(Event::DictionariesImported(id, Box::new(imported)));
            Ok(sentence)
        })
    }

    /// Writes a dictionary of the project for another tool, as a job, and tells how far what was
    /// written and read again differs.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn export_sae(&self, request: ExportRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        let title = format!("Export {}", request.sae);
        // Nothing that a query sees changes, so no revision is made of it.
        lock(&self.jobs).start(&title, move |job| {
            job.report("Writing the dictionary, reading it back", 0, 0, "");
            let answer = export_sae(Some(&*session), &request)?;
            Ok(answer.sentence(&request.out))
        })
    }

    /// Adds a model that lies outside the project, as a job; its files stay where they are.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn add_model(&self, request: AddModelRequest) -> Result<JobId> {
        let title = format!("Add {}", request.name);
        self.start_in_project(&title, move |job, session| {
            let coding = Some(request.weights.as_str()).filter(|coding| !coding.is_empty());
            let path = Path::new(request.path.trim());
            let model = session.add_model_watched(&request.name, path, coding, job)?;
            Ok(format!(
                "Added {} ({}), {:.1} million weights",
                model.name,
                model.architecture,
                model.n_parameters as f64 / 1e6
            ))
        })
    }
}
