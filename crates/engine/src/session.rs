//! An open project and what is loaded of it: the common ground of every job and query.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use schema::HarvestManifest;
use store::{ArtefactKind, Dataset, Project, Record, StoreError};

use crate::error::{EngineError, Result};
use crate::forecast::HarvestProbe;
use crate::gallery::GalleryCache;
use crate::indexed::IndexedDictionary;
use crate::jobs::lock;
use crate::labels::Labels;
use crate::model_registry::LoadedModel;
use crate::review_queue::Queue;
use crate::sending::Sending;
use crate::views::RunView;

/// An open project. All methods take `&self`, so jobs and queries share it.
pub struct Session {
    pub(crate) project: Project,
    datasets: Mutex<BTreeMap<String, Arc<Dataset>>>,
    models: Mutex<BTreeMap<String, Arc<LoadedModel>>>,
    indexes: Mutex<BTreeMap<String, Arc<IndexedDictionary>>>,
    labels: Mutex<BTreeMap<String, Arc<Labels>>>,
    /// Runs that are trained to their end: nothing in them changes any more but their gallery.
    runs: Mutex<BTreeMap<String, RunView>>,
    /// The queue that was last asked for.
    queue: Mutex<Option<Arc<Queue>>>,
    /// What filters and plots of galleries need of all features.
    pub(crate) galleries: GalleryCache,
    /// What may be sent to other computers.
    pub(crate) sending: Mutex<Sending>,
    /// What was last measured of a harvest, for forecasts that differ in the dictionary only.
    probe: Mutex<Option<(ProbeKey, Arc<HarvestProbe>)>>,
}

/// What decides a harvest's rows, and the name of the harvest where it is there already.
pub(crate) type ProbeKey = (HarvestManifest, Option<String>);

impl Session {
    /// Whether the folder holds a project.
    pub fn is_project(dir: &Path) -> bool {
        Project::is_project(dir)
    }

    /// Whether the path is a file by which a desktop opens a project; it may be damaged.
    pub fn is_link(path: &Path) -> bool {
        Project::is_link(path)
    }

    /// Makes an empty project.
    ///
    /// # Errors
    /// When the folder cannot be made, or holds something already.
    pub fn create(dir: &Path) -> Result<Self> {
        Ok(Self::with(Project::create(dir)?))
    }

    /// Opens a project by its folder or by its `.fluoroscope` file.
    ///
    /// # Errors
    /// When the folder is no project, a newer version made it, or another process has it open.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self::with(Project::open(dir)?))
    }

    /// Opens a project for what only reads it: like [`Self::open`], but where another process has
    /// it open, as it is now, and then whatever would write into it is refused.
    ///
    /// # Errors
    /// When the folder is no project, or a newer version made it.
    pub fn open_reading(dir: &Path) -> Result<Self> {
        match Project::open(dir) {
            Err(StoreError::Locked { .. }) => Ok(Self::with(Project::open_to_read(dir)?)),
            other => Ok(Self::with(other?)),
        }
    }

    /// Where another process has the project open: that what is read is as of now, and what cannot
    /// be read meanwhile, a sentence each. Empty otherwise.
    pub fn reading_notes(&self) -> Vec<String> {
        if !self.project.is_read_only() {
            return Vec::new();
        }
        let pid = self.project.open_in_process();
        let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        let first = format!(
            "{} is open in another Fluoroscope{process}; this is read from it as it is now",
            self.root().display()
        );
        [first].into_iter().chain(self.notices()).collect()
    }

    fn with(project: Project) -> Self {
        Self {
            project,
            datasets: Mutex::default(),
            models: Mutex::default(),
            indexes: Mutex::default(),
            labels: Mutex::default(),
            runs: Mutex::default(),
            queue: Mutex::default(),
            sending: Mutex::default(),
            probe: Mutex::default(),
            galleries: GalleryCache::default(),
        }
    }

    pub(crate) fn known_run(&self, name: &str) -> Option<RunView> {
        lock(&self.runs).get(name).cloned()
    }

    pub(crate) fn keep_run(&self, run: &RunView) {
        lock(&self.runs).insert(run.name.clone(), run.clone());
    }

    pub(crate) fn known_probe(&self, key: &ProbeKey) -> Option<Arc<HarvestProbe>> {
        let known = lock(&self.probe);
        let (of, probe) = known.as_ref()?;
        (of == key).then(|| Arc::clone(probe))
    }

    pub(crate) fn keep_probe(&self, key: ProbeKey, probe: HarvestProbe) -> Arc<HarvestProbe> {
        let probe = Arc::new(probe);
        *lock(&self.probe) = Some((key, Arc::clone(&probe)));
        probe
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        self.project.root()
    }

    /// A dataset, loaded once.
    ///
    /// # Errors
    /// When there is none of that name, or it is damaged.
    pub(crate) fn dataset(&self, name: &str) -> Result<Arc<Dataset>> {
        if let Some(known) = lock(&self.datasets).get(name) {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(self.project.load_dataset(name)?);
        lock(&self.datasets).insert(name.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// A model, loaded once.
    ///
    /// # Errors
    /// When there is none of that name, or its files are damaged.
    pub(crate) fn model(&self, name: &str) -> Result<Arc<LoadedModel>> {
        if let Some(known) = lock(&self.models).get(name) {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(crate::model_registry::load(&self.project, name)?);
        lock(&self.models).insert(name.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// A dictionary with its feature index, opened once.
    ///
    /// # Errors
    /// When there is none of that name, it has no index, or a file is damaged.
    pub(crate) fn indexed(&self, sae: &str) -> Result<Arc<IndexedDictionary>> {
        if let Some(known) = lock(&self.indexes).get(sae) {
            return Ok(Arc::clone(known));
        }
        let is_finished = |kind| self.project.is_finished(kind, sae);
        if is_finished(ArtefactKind::Sae) && !is_finished(ArtefactKind::Features) {
            return Err(EngineError::request(format!(
                "{sae} has no gallery yet; build it in the window's Train, or with \"fluoroscope \
                 features index {sae}\""
            )));
        }
        let opened = Arc::new(IndexedDictionary::open(self, sae)?);
        lock(&self.indexes).insert(sae.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Forgets what was loaded under this name, after it was written anew.
    pub(crate) fn forget(&self, name: &str) {
        lock(&self.datasets).remove(name);
        lock(&self.models).remove(name);
        lock(&self.indexes).remove(name);
        lock(&self.labels).remove(name);
        lock(&self.runs).remove(name);
        self.galleries.forget(name);
        *lock(&self.queue) = None;
    }

    /// The labels kept for a dictionary, or those that `load` reads. The lock is held meanwhile, so
    /// that no decision falls between reading and keeping.
    pub(crate) fn labels_or(
        &self,
        sae: &str,
        load: impl FnOnce() -> Result<Labels>,
    ) -> Result<Arc<Labels>> {
        let mut kept = lock(&self.labels);
        if let Some(known) = kept.get(sae) {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(load()?);
        kept.insert(sae.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Takes a record that was just appended into the labels that are kept.
    pub(crate) fn add_to_labels(&self, sae: &str, record: Record) {
        if let Some(known) = lock(&self.labels).get_mut(sae) {
            Arc::make_mut(known).add(record);
        }
    }

    /// Forgets labels, and the queue that was ordered by them.
    pub(crate) fn forget_labels(&self, sae: &str) {
        lock(&self.labels).remove(sae);
        self.galleries.forget_associations(sae);
        *lock(&self.queue) = None;
    }

    pub(crate) fn known_queue(&self) -> Option<Arc<Queue>> {
        lock(&self.queue).clone()
    }

    pub(crate) fn keep_queue(&self, queue: &Arc<Queue>) {
        *lock(&self.queue) = Some(Arc::clone(queue));
    }

    /// Forgets the queue, after others decided.
    pub(crate) fn forget_queue(&self) {
        *lock(&self.queue) = None;
    }

    /// What the user should know about the project's state, e.g. a torn last journal line.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.project.notices().to_vec()
    }

    /// Index of a sample given by number or by its name in the source.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn find_sample(&self, dataset: &str, sample: &str) -> Result<u32> {
        let dataset = self.dataset(dataset)?;
        let by_name = dataset
            .records
            .iter()
            .position(|record| record.id == sample);
        by_name
            .or_else(|| {
                let index: usize = sample.parse().ok()?;
                (index < dataset.records.len()).then_some(index)
            })
            .map(|index| index as u32)
            .ok_or_else(|| {
                EngineError::request(format!(
                    "datasets/{} has no sample {sample}; expected a number below {} or a name \
                     such as {}",
                    dataset.manifest.name,
                    dataset.records.len(),
                    dataset
                        .records
                        .first()
                        .map_or("(none)", |record| record.id.as_str())
                ))
            })
    }

    /// Names of finished artefacts of a kind.
    pub(crate) fn finished(&self, kind: ArtefactKind) -> Result<Vec<String>> {
        Ok(self
            .project
            .list(kind)?
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| self.project.is_finished(kind, name))
            .collect())
    }
}
