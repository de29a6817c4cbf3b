//! Where in the film a feature that fires on text comes from.

use std::collections::BTreeMap;

use models::{Architecture, AttributionMethod, ModelInput, ModelSample, Probe};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{FeatureId, Film, PatchGrid, PositionClass, SampleRecord, Split};
use serde::{Deserialize, Serialize};
use store::HarvestReader;

use crate::error::{EngineError, Result};
use crate::harvest::load_film_of;
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::model_registry::LoadedModel;
use crate::recover_planted::text_recovery;
use crate::recovery::overlaps;
use crate::session::Session;
use crate::views::ExampleKind;

/// What is to be traced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceRequest {
    /// The dictionary, of a hook in the text decoder.
    pub sae: String,
    /// The feature.
    pub feature: FeatureId,
    /// Sample of the dictionary's dataset.
    pub sample: u32,
    /// Position of the sequence; where the feature is strongest, without.
    pub position: Option<u32>,
    /// How.
    pub method: AttributionMethod,
}

/// A feature at a position of the text, traced to the film.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceView {
    /// How; the map is named for it, since it is not the feature's activation on the patches.
    pub method: String,
    /// Position of the sequence.
    pub position: u32,
    /// The token there.
    pub token: String,
    /// The feature's activation there.
    pub activation: f32,
    /// Width and height of the film.
    pub film_size: [u32; 2],
    /// How patches lie on the film.
    pub grid: PatchGrid,
    /// One number per patch, row-major; its unit is that of the method.
    pub values: Vec<f32>,
}

/// Share of films whose strongest patch overlaps the planted mask, by method.
pub type InsideShares = BTreeMap<String, f64>;

/// How well text features of one finding are traced to its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceScore {
    /// The feature whose presence in a report goes best with the finding, on training patients.
    pub feature: u32,
    /// F1 of that on the others.
    pub f1: f64,
    /// Films with the finding on which the feature fires.
    pub films: usize,
    /// The feature, where it is strongest.
    pub own: InsideShares,
    /// A feature drawn at random among those that fire, where it is strongest, on the same films.
    pub random_feature: InsideShares,
    /// The feature and the text on another film, looked for in the mask of the first.
    pub shuffled_image: InsideShares,
}

/// What is known of one sample for tracing.
struct Traced {
    input: ModelInput,
    /// Activations of all features at each position of the text, as `(position, feature, value)`.
    active: Vec<(u32, u32, f32)>,
}

impl Traced {
    /// Position and activation where a feature is strongest.
    fn strongest(&self, feature: u32) -> Option<(u32, f32)> {
        self.active
            .iter()
            .filter(|(_, of, _)| *of == feature)
            .max_by(|a, b| a.2.total_cmp(&b.2))
            .map(|&(position, _, value)| (position, value))
    }
}

impl Session {
    /// Traces a feature that fires on a text back to the film before it.
    ///
    /// # Errors
    /// When the dictionary's hook is not in a text decoder, the sample has no film, or the feature
    /// does not fire there.
    pub fn trace_to_image(&self, request: &TraceRequest) -> Result<TraceView> {
        let indexed = self.indexed(&request.sae)?;
        let model = self.model(&indexed.harvest.model)?;
        check_hook(&indexed, &request.sae)?;
        let n_features = indexed.dictionary.sae.n_features();
        if request.feature.0 as usize >= n_features {
            return Err(EngineError::request(format!(
                "saes/{} has no feature {}, only 0 to {}",
                request.sae,
                request.feature,
                n_features - 1
            )));
        }
        let record = record_of(&indexed, request.sample)?;
        let film = load_film_of(&indexed.dataset, request.sample)?;
        let traced = read_sample(&indexed, &model, film.as_ref(), record)?;
        let (position, activation) = match request.position {
            Some(position) => {
                let value = traced
                    .active
                    .iter()
                    .find(|(at, of, _)| *at == position && *of == request.feature.0)
                    .map_or(0.0, |entry| entry.2);
                (position, value)
            }
            None => traced.strongest(request.feature.0).ok_or_else(|| {
                EngineError::request(format!(
                    "feature {} does not fire on the text of sample {}",
                    request.feature, request.sample
                ))
            })?,
        };
        let hook = indexed.harvest.hook;
        let values = model.hooked.image_attribution(
            &traced.input,
            &probe(&indexed, request.feature.0, position),
            request.method,
        )?;
        let grid = model.hooked.grid(&traced.input, hook).ok_or_else(|| {
            EngineError::request(format!("{hook} has no image positions to trace to"))
        })?;
        Ok(TraceView {
            method: request.method.name().to_owned(),
            position,
            token: traced
                .input
                .texts
                .get(position as usize)
                .cloned()
                .unwrap_or_default(),
            activation,
            film_size: traced.input.film_size,
            grid,
            values,
        })
    }

    /// How often the strongest patch lies in the planted mask, for the best text feature of each
    /// finding that has a place, beside a random feature and another film.
    ///
    /// # Errors
    /// When the dictionary was not made from text positions of phantom films.
    pub fn measure_traces(
        &self,
        dictionary: &str,
        n_films: usize,
        seed: u64,
        job: &JobContext,
    ) -> Result<BTreeMap<String, TraceScore>> {
        let indexed = self.indexed(dictionary)?;
        check_hook(&indexed, dictionary)?;
        if !indexed.dataset.manifest.planted {
            return Err(EngineError::request(format!(
                "saes/{dictionary} was not made from phantom films"
            )));
        }
        let model = self.model(&indexed.harvest.model)?;
        let found = text_recovery(self, dictionary, seed)?.concepts;
        let held_out: Vec<u32> = (0_u32..)
            .zip(&indexed.dataset.records)
            .filter(|(_, record)| record.split != Split::Train)
            .map(|(sample, _)| sample)
            .filter(|&sample| sample < indexed.harvest.n_samples)
            .collect();
        let names = found
            .keys()
            .filter(|name| !datasets::phantom::WITHOUT_LOCAL_MASK.contains(&name.as_str()));
        let mut scores = BTreeMap::new();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (at, name) in names.clone().enumerate() {
            let recovery = &found[name];
            let mut counts = Counts::default();
            for (done, &sample) in held_out.iter().enumerate() {
                job.check_cancelled()?;
                if counts.films == n_films {
                    break;
                }
                let record = record_of(&indexed, sample)?;
                if !record.has_finding(name) {
                    continue;
                }
                let other = held_out[(done + 1) % held_out.len()];
                let films = [
                    load_film_of(&indexed.dataset, sample)?,
                    load_film_of(&indexed.dataset, other)?,
                ];
                let [Some(film), Some(other)] = films else {
                    continue;
                };
                job.report("Tracing", at as u64, found.len() as u64, "findings");
                let reader = Reader {
                    indexed: &indexed,
                    model: &model,
                    finding: name,
                    feature: recovery.best_feature,
                };
                reader.count(record, [&film, &other], &mut rng, &mut counts)?;
            }
            scores.insert(name.clone(), counts.score(recovery));
        }
        Ok(scores)
    }
}

impl Session {
    /// Whether the features of a dictionary can be traced to a film; those that are on its patches
    /// themselves need not be.
    pub(crate) fn traceable(&self, sae: &str) -> bool {
        self.indexed(sae).is_ok_and(|indexed| {
            let reads_films = matches!(
                indexed.architecture,
                Some(Architecture::PhantomVlm | Architecture::Maira2 | Architecture::Llava)
            );
            let is_text = indexed.kind == ExampleKind::Text;
            reads_films && is_text && check_hook(&indexed, sae).is_ok()
        })
    }
}

/// Hits by method, of the three kinds.
#[derive(Default)]
struct Counts {
    films: usize,
    own: BTreeMap<AttributionMethod, u32>,
    random: BTreeMap<AttributionMethod, u32>,
    shuffled: BTreeMap<AttributionMethod, u32>,
}

impl Counts {
    fn score(&self, recovery: &crate::recovery::ConceptRecovery) -> TraceScore {
        let share = |hits: &BTreeMap<AttributionMethod, u32>| {
            AttributionMethod::ALL
                .into_iter()
                .map(|method| {
                    let hits = hits.get(&method).copied().unwrap_or(0);
                    let share = f64::from(hits) / self.films.max(1) as f64;
                    (method.name().to_owned(), share)
                })
                .collect()
        };
        TraceScore {
            feature: recovery.best_feature,
            f1: recovery.best_f1,
            films: self.films,
            own: share(&self.own),
            random_feature: share(&self.random),
            shuffled_image: share(&self.shuffled),
        }
    }
}

/// Traces the feature of one finding.
struct Reader<'a> {
    indexed: &'a IndexedDictionary,
    model: &'a LoadedModel,
    finding: &'a str,
    feature: u32,
}

impl Reader<'_> {
    /// Whether the strongest patch overlaps the mask of the finding on `record`.
    fn hits(
        &self,
        (input, record): (&ModelInput, &SampleRecord),
        (feature, position): (u32, u32),
        method: AttributionMethod,
    ) -> Result<bool> {
        let hooked = &self.model.hooked;
        let values =
            hooked.image_attribution(input, &probe(self.indexed, feature, position), method)?;
        let peak = values
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(patch, _)| patch as u32);
        let Some(grid) = hooked.grid(input, self.indexed.harvest.hook) else {
            return Ok(false);
        };
        let rect = grid.patch_rect(peak / grid.columns, peak % grid.columns);
        Ok(record
            .boxes
            .iter()
            .filter(|planted| planted.finding == self.finding)
            .filter_map(|planted| planted.mask.as_ref())
            .any(|mask| overlaps(mask, rect)))
    }

    /// Adds one film; films on which the feature does not fire are passed by.
    fn count(
        &self,
        record: &SampleRecord,
        [film, other]: [&Film; 2],
        rng: &mut ChaCha8Rng,
        counts: &mut Counts,
    ) -> Result<()> {
        let traced = read_sample(self.indexed, self.model, Some(film), record)?;
        let Some((position, _)) = traced.strongest(self.feature) else {
            return Ok(());
        };
        let firing: Vec<u32> = traced
            .active
            .iter()
            .map(|(_, feature, _)| *feature)
            .collect();
        let random = firing[rng.random_range(0..firing.len())];
        let random_position = traced.strongest(random).map_or(position, |(at, _)| at);
        let shuffled = self.model.hooked.prepare(ModelSample {
            film: Some(other),
            report: record.report.as_ref(),
            ..ModelSample::default()
        })?;
        counts.films += 1;
        for method in AttributionMethod::ALL {
            let own = (&traced.input, record);
            let add = |hits: &mut BTreeMap<AttributionMethod, u32>, is_hit: bool| {
                *hits.entry(method).or_default() += u32::from(is_hit);
            };
            add(
                &mut counts.own,
                self.hits(own, (self.feature, position), method)?,
            );
            add(
                &mut counts.random,
                self.hits(own, (random, random_position), method)?,
            );
            add(
                &mut counts.shuffled,
                self.hits((&shuffled, record), (self.feature, position), method)?,
            );
        }
        Ok(())
    }
}

fn record_of(indexed: &IndexedDictionary, sample: u32) -> Result<&SampleRecord> {
    indexed
        .dataset
        .records
        .get(sample as usize)
        .ok_or_else(|| EngineError::request(format!("there is no sample {sample}")))
}

fn check_hook(indexed: &IndexedDictionary, name: &str) -> Result<()> {
    if indexed.harvest.hook.is_vision() || indexed.harvest.hook == schema::HookPoint::UserVector {
        return Err(EngineError::request(format!(
            "saes/{name} reads {}; only features of a text decoder are traced to the film",
            indexed.harvest.hook
        )));
    }
    Ok(())
}

fn probe(indexed: &IndexedDictionary, feature: u32, position: u32) -> Probe {
    let parts = indexed.dictionary.sae.parts();
    let d = parts.d_model;
    Probe {
        hook: indexed.harvest.hook,
        position: position as usize,
        direction: parts.w_enc[feature as usize * d..][..d].to_vec(),
    }
}

/// Runs the model on a sample and reads the features of its text positions.
fn read_sample(
    indexed: &IndexedDictionary,
    model: &LoadedModel,
    film: Option<&Film>,
    record: &SampleRecord,
) -> Result<Traced> {
    let input = model.hooked.prepare(ModelSample {
        film,
        report: record.report.as_ref(),
        ..ModelSample::default()
    })?;
    let hook = indexed.harvest.hook;
    let captured = model
        .hooked
        .capture(std::slice::from_ref(&input), &[hook])?
        .pop()
        .and_then(|mut of_input| of_input.pop())
        .ok_or_else(|| EngineError::other(format!("nothing was captured at {hook}")))?;
    let codes = indexed.dictionary.sae.encode(&captured.values)?;
    let mut active = Vec::new();
    for (position, class) in (0_u32..).zip(&input.classes) {
        if matches!(
            class,
            PositionClass::Image | PositionClass::Cls | PositionClass::Bos
        ) {
            continue;
        }
        let (features, values) = codes.row(position as usize);
        active.extend(
            features
                .iter()
                .zip(values)
                .map(|(&feature, &value)| (position, feature, value)),
        );
    }
    Ok(Traced { input, active })
}

/// Names of the methods, for a command line.
///
/// # Errors
/// When the text names none.
pub fn parse_method(text: &str) -> Result<AttributionMethod> {
    match text {
        "gradient" => Ok(AttributionMethod::GradientInput),
        "rollout" => Ok(AttributionMethod::Rollout),
        "occlusion" => Ok(AttributionMethod::Occlusion),
        other => Err(EngineError::request(format!(
            "\"{other}\" is no way to trace; expected gradient, rollout or occlusion"
        ))),
    }
}

impl Session {
    /// The harvest that a dictionary was made from, opened.
    pub(crate) fn harvest_of(&self, dictionary: &str) -> Result<HarvestReader> {
        let trained = self.dictionary(dictionary)?;
        Ok(HarvestReader::open(&self.project, &trained.harvest)?)
    }
}
