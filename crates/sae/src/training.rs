//! Training of sparse autoencoders, resumable, one or several on one pass over the rows. Knows no
//! jobs and no project.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use candle_core::Device as TrainingDevice;
use schema::{SaeConfig, StepReport};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::checkpoint::{self, CheckpointPlan};
use crate::error::SaeError;
use crate::fold::RowMap;
use crate::gradients::{Plan, Scratch, StepRows};
use crate::initial::initial_weights;
use crate::on_device::{OnDevice, kept_on_cpu};
use crate::settings::check_config;
use crate::source::ActivationSource;
use crate::trainer::TrainingState;

/// Result of a training run.
#[derive(Debug)]
pub struct Trained {
    /// The dictionary as it is now.
    pub sae: SparseAutoencoder,
    /// Steps done, over all sittings.
    pub steps_done: u32,
    /// Whether all steps of the configuration are done; otherwise the observer stopped the run.
    pub completed: bool,
    /// The step at which this sitting began: 0, or that of the checkpoint it resumed from.
    /// Reports of earlier steps are not repeated.
    pub resumed_at: u32,
    /// Rows seen since each feature was last active, `[n_features]`.
    pub rows_since_active: Vec<u64>,
}

/// Trains a dictionary on the rows of `source`, by the recipe of the configuration.
///
/// Decoder rows start in random directions with the encoder as their copy. By the recipe of
/// `dictionary_learning` then Adam on the loss of the variant, the gradient freed of its component
/// along each decoder row and clipped, decoder rows of unit length after each step; for the `TopK`
/// family `b_dec` starts at the geometric median of the first batch and the loss is
/// ‖x − x̂‖² + α·`AuxK`. What the other recipes do differently is in `Conventions`.
/// With a `checkpoint` plan the run resumes from the newest usable checkpoint in its folder.
///
/// `observer` is called after every step. When it breaks, a checkpoint is written (if there is a
/// plan) and the dictionary so far is returned.
///
/// # Errors
/// [`SaeError::Config`] for settings out of range, [`SaeError::NotFinite`] if the rows hold NaN
/// or the loss is no longer finite, those of the source, and [`SaeError::Io`] or
/// [`SaeError::Format`] for checkpoints.
///
/// # Determinism
/// The result is a function of the configuration and the rows: the same bytes on any number of
/// threads and however often the run was interrupted.
///
/// # Source
/// `dictionary_learning` 0.1.0, `SAELens` 6.54, `sparsify` 1.3.3 and `RecSAE`'s runner. Differs:
/// zeros that fill a place among the k highest count neither for deadness nor for L0; no threshold
/// is tracked for `TopK`.
pub fn train(
    config: &SaeConfig,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    checkpoint: Option<&CheckpointPlan>,
) -> Result<Trained, SaeError> {
    let initial = initial_weights(config, source.d_model())?;
    train_from(config, initial, source, observer, checkpoint)
}

/// The same from given initial weights; some recipes replace `b_dec` at the first step.
///
/// # Errors
/// Those of [`train`], and those of [`SparseAutoencoder::new`] for the weights.
pub fn train_from(
    config: &SaeConfig,
    initial: SaeParts,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    checkpoint: Option<&CheckpointPlan>,
) -> Result<Trained, SaeError> {
    let run = RunSpec {
        config,
        initial,
        checkpoint,
        device: None,
        until: None,
    };
    let mut trained = train_together(vec![run], source, &mut |_, report| observer(report))?;
    trained.pop().ok_or_else(|| SaeError::Config {
        field: "steps",
        reason: "no run was given".to_owned(),
    })
}

/// One of several trainings on the same rows.
#[derive(Debug)]
pub struct RunSpec<'a> {
    /// Its settings.
    pub config: &'a SaeConfig,
    /// The weights it starts from.
    pub initial: SaeParts,
    /// Where it keeps its checkpoints.
    pub checkpoint: Option<&'a CheckpointPlan>,
    /// The card that does its steps, where [`kept_on_cpu`] has nothing against
    /// it; `None` for the kernels of the CPU.
    pub device: Option<TrainingDevice>,
    /// Steps after which it stops for now, with a checkpoint; `None` for all of them.
    pub until: Option<u32>,
}

/// Trains several dictionaries on one pass over the rows: each batch is read once and every run
/// takes its step on it. Each run ends as it would have alone.
///
/// `observer` is called after every step with the run's place in `runs`. When it breaks, all
/// checkpoints are written and the dictionaries so far are returned.
///
/// # Errors
/// Those of [`train_from`]; [`SaeError::Config`] when the runs' batches differ in size.
pub fn train_together(
    runs: Vec<RunSpec<'_>>,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(usize, &StepReport) -> ControlFlow<()>,
) -> Result<Vec<Trained>, SaeError> {
    let sizes = runs.iter().map(|run| run.config.batch_rows);
    if let Some((a, b)) = sizes.clone().zip(sizes.skip(1)).find(|(a, b)| a != b) {
        return Err(SaeError::Config {
            field: "batch_rows",
            reason: format!(
                "they are {a} and {b}; dictionaries trained on one pass have batches of one size"
            ),
        });
    }
    let mut runs = runs
        .into_iter()
        .map(|run| Training::begin(run, source))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    let mut at = None;
    // The earliest step that any run has still to do: runs that were resumed later wait for it.
    while let Some(step) = runs.iter().filter_map(Training::due).min() {
        let batch_rows = runs[0].plan.config.batch_rows;
        if at != Some(step) {
            source.seek(u64::from(step) * u64::from(batch_rows))?;
        }
        source.next_batch(batch_rows as usize, &mut rows)?;
        source.last_targets(&mut targets)?;
        let of_step = StepRows {
            rows: &rows,
            targets: if source.has_targets() {
                &targets
            } else {
                &rows
            },
        };
        at = Some(step + 1);
        let mut stopped = false;
        for (place, run) in runs.iter_mut().enumerate() {
            if run.due() == Some(step) {
                let report = run.take(of_step)?;
                stopped |= observer(place, &report).is_break();
                run.save(false)?;
            }
        }
        if stopped {
            break;
        }
    }
    for run in &mut runs {
        if run.state.step < run.plan.config.steps {
            run.save(true)?;
        }
    }
    runs.into_iter().map(Training::finish).collect()
}

/// Checks what a training needs before its first step: settings, initial weights, and that they fit
/// the rows.
///
/// # Errors
/// [`SaeError::Config`] for settings out of range, those of [`SparseAutoencoder::new`] for the
/// weights, and [`SaeError::Shape`] where they do not fit settings or rows.
pub fn check_start(
    config: &SaeConfig,
    initial: &SaeParts,
    source: &dyn ActivationSource,
) -> Result<(), SaeError> {
    check_config(config, source.d_model())?;
    check_targets(config, source.has_targets())?;
    initial.check()?;
    if initial.d_model != source.d_model() || initial.n_features != config.n_features as usize {
        return Err(SaeError::shape(
            "the initial weights [n_features, d_model]",
            format!("[{}, {}]", config.n_features, source.d_model()),
            format!("[{}, {}]", initial.n_features, initial.d_model),
        ));
    }
    Ok(())
}

/// A transcoder needs rows to predict, and nothing else heeds them.
fn check_targets(config: &SaeConfig, has_targets: bool) -> Result<(), SaeError> {
    let reason = match (config.transcode, has_targets) {
        (true, false) => "it is set, but the rows come without others that they are to predict",
        (false, true) => "it is not set, but the rows come with others that they are to predict",
        _ => return Ok(()),
    };
    Err(SaeError::Config {
        field: "transcode",
        reason: reason.to_owned(),
    })
}

/// A killed run loses no more than this, however long its steps are.
const AT_LEAST_EVERY: Duration = Duration::from_mins(2);

/// Where the steps of a run are done.
enum Place {
    /// By the sparse kernels, with their working memory.
    Cpu(Scratch),
    Device(OnDevice),
}

/// One run between two steps.
struct Training<'a> {
    plan: Plan<'a>,
    state: TrainingState,
    place: Place,
    row_map: Option<RowMap>,
    mapped: Vec<f32>,
    checkpoint: Option<&'a CheckpointPlan>,
    resumed_at: u32,
    saved_at: u32,
    saved_when: Instant,
    clock: Instant,
    /// Where it stops for now.
    until: u32,
}

impl<'a> Training<'a> {
    /// Starts a run, or takes it up where its newest checkpoint left it. May move the source.
    fn begin(run: RunSpec<'a>, source: &mut dyn ActivationSource) -> Result<Self, SaeError> {
        let config = run.config;
        check_start(config, &run.initial, source)?;
        let initial = run.initial;
        let resumed = match run.checkpoint {
            Some(plan) => checkpoint::newest(plan, config, source.d_model())?,
            None => None,
        };
        let mut plan = Plan::of(config)?;
        plan.epoch_steps = match config.epoch_steps {
            Some(steps) => u64::from(steps),
            None => source.n_rows().div_ceil(u64::from(config.batch_rows)),
        }
        .max(1);
        let state = match resumed {
            Some(state) => state,
            None => TrainingState::new(initial, &plan),
        };
        let place = match run.device {
            Some(device) if kept_on_cpu(config).is_none() => Place::Device(OnDevice::new(device)),
            _ => Place::Cpu(Scratch::new(&state.weights)),
        };
        Ok(Self {
            place,
            resumed_at: state.step,
            saved_at: state.step,
            state,
            plan,
            // A function of the source and the settings: the same after every interruption.
            row_map: RowMap::of(config, source)?,
            mapped: Vec::new(),
            checkpoint: run.checkpoint,
            saved_when: Instant::now(),
            clock: Instant::now(),
            until: run.until.unwrap_or(u32::MAX).min(config.steps),
        })
    }

    /// The step that is to be done next; `None` when all are done that are asked for.
    fn due(&self) -> Option<u32> {
        (self.state.step < self.until).then_some(self.state.step)
    }

    /// One step on a batch.
    fn take(&mut self, of_step: StepRows<'_>) -> Result<StepReport, SaeError> {
        let of_step = match &self.row_map {
            None => of_step,
            Some(map) => {
                self.mapped.clear();
                self.mapped.extend_from_slice(of_step.rows);
                map.apply(&mut self.mapped);
                StepRows::alike(&self.mapped)
            }
        };
        let mut report = match &mut self.place {
            Place::Cpu(scratch) => self.state.step(&self.plan, of_step, scratch)?,
            Place::Device(device) => device.step(&self.plan, &mut self.state, of_step)?,
        };
        let seconds = self.clock.elapsed().as_secs_f64().max(1e-9);
        report.rows_per_second = (f64::from(self.plan.config.batch_rows) / seconds) as f32;
        self.clock = Instant::now();
        Ok(report)
    }

    /// Writes a checkpoint when one is due, or where `now` there is anything new to keep.
    fn save(&mut self, now: bool) -> Result<(), SaeError> {
        let Some(plan) = self.checkpoint else {
            return Ok(());
        };
        let since = self.state.step - self.saved_at;
        let is_last = self.state.step == self.plan.config.steps;
        let is_due =
            since >= plan.every_steps.max(1) || self.saved_when.elapsed() >= AT_LEAST_EVERY;
        if since > 0 && (now || is_last || is_due) {
            self.fetch()?;
            checkpoint::write(plan, self.plan.config, &self.state)?;
            self.saved_at = self.state.step;
            self.saved_when = Instant::now();
        }
        Ok(())
    }

    /// Brings the weights back from a card.
    fn fetch(&mut self) -> Result<(), SaeError> {
        match &self.place {
            Place::Cpu(_) => Ok(()),
            Place::Device(device) => device.fetch(&mut self.state),
        }
    }

    fn finish(mut self) -> Result<Trained, SaeError> {
        self.fetch()?;
        self.state
            .finish(&self.plan, self.row_map.as_ref(), self.resumed_at)
    }
}
