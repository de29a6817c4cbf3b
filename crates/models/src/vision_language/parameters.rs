//! Named weights: their shapes, initial values, and the file they are kept in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use half::f16;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::ModelError;

/// What a weight begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// The same number everywhere.
    Constant(f32),
    /// Normal with this deviation.
    Normal(f32),
    /// Normal with deviation `1 / sqrt(last dimension)`.
    FanIn,
}

/// Name, shape and initial values of one weight.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Name in the weight file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What training begins with.
    pub initial: Initial,
}

impl ParameterSpec {
    /// A spec.
    pub fn new(name: String, shape: &[usize], initial: Initial) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            initial,
        }
    }

    /// Number of values.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Seeded initial values.
    ///
    /// # Determinism
    /// A function of the spec and the state of `rng` alone.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let deviation = match self.initial {
            Initial::Constant(value) => return vec![value; self.n_values()],
            Initial::Normal(deviation) => deviation,
            Initial::FanIn => 1.0 / (self.shape.last().copied().unwrap_or(1) as f32).sqrt(),
        };
        (0..self.n_values())
            .map(|_| {
                // Box and Muller.
                let (u, v): (f32, f32) = (rng.random(), rng.random());
                let radius = (-2.0 * (1.0 - u).max(f32::MIN_POSITIVE).ln()).sqrt();
                deviation * radius * (std::f32::consts::TAU * v).cos()
            })
            .collect()
    }
}

/// The weights of a model, by name.
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    source: PathBuf,
}

impl Parameters {
    /// Draws fresh weights that can be trained, in the order of `specs`.
    ///
    /// # Errors
    /// A failure of the tensor library.
    pub(crate) fn draw(
        specs: &[ParameterSpec],
        seed: u64,
    ) -> Result<(Self, Vec<(String, Var)>), ModelError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = BTreeMap::new();
        let mut vars = Vec::with_capacity(specs.len());
        for spec in specs {
            let values = spec.draw(&mut rng);
            let var = Var::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
            tensors.insert(spec.name.clone(), var.as_tensor().clone());
            vars.push((spec.name.clone(), var));
        }
        let source = PathBuf::from("fresh weights");
        Ok((Self { tensors, source }, vars))
    }

    /// Reads the weights of `specs` from the bytes of a safetensors file, f16 or f32 on disk,
    /// f32 in memory. `path` is what errors name.
    ///
    /// # Errors
    /// [`ModelError::Format`] for a damaged file, a missing weight, another shape or a number
    /// that is not finite.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        specs: &[ParameterSpec],
        path: &Path,
    ) -> Result<Self, ModelError> {
        let broken = |place: &str, expected: String| ModelError::Format {
            path: path.to_owned(),
            place: place.to_owned(),
            expected,
        };
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| broken("header", format!("expected a safetensors file: {error}")))?;
        let mut tensors = BTreeMap::new();
        for spec in specs {
            let view = file.tensor(&spec.name).map_err(|_missing| {
                broken(&spec.name, "expected this weight, found none".to_owned())
            })?;
            if view.shape() != spec.shape {
                let found = format!("expected shape {:?}, found {:?}", spec.shape, view.shape());
                return Err(broken(&spec.name, found));
            }
            let values = read_values(&view).ok_or_else(|| {
                broken(
                    &spec.name,
                    format!("expected f16 or f32, found {:?}", view.dtype()),
                )
            })?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(broken(
                    &spec.name,
                    "expected finite numbers only".to_owned(),
                ));
            }
            let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
            tensors.insert(spec.name.clone(), tensor);
        }
        Ok(Self {
            tensors,
            source: path.to_owned(),
        })
    }

    /// The weight `name`.
    ///
    /// # Errors
    /// [`ModelError::Format`] when there is none.
    pub(crate) fn get(&self, name: &str) -> Result<Tensor, ModelError> {
        self.tensors
            .get(name)
            .cloned()
            .ok_or_else(|| ModelError::Format {
                path: self.source.clone(),
                place: name.to_owned(),
                expected: "expected this weight, found none".to_owned(),
            })
    }

    /// The weights of `specs` as the bytes of a safetensors file in f16.
    ///
    /// # Errors
    /// A failure of the tensor library, or of the file format.
    pub(crate) fn to_f16_bytes(&self, specs: &[ParameterSpec]) -> Result<Vec<u8>, ModelError> {
        let mut stored: Vec<(String, Vec<u8>, Vec<usize>)> = Vec::new();
        for spec in specs {
            let values = self
                .get(&spec.name)?
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let bytes = values
                .iter()
                .flat_map(|&value| f16::from_f32(value).to_le_bytes())
                .collect();
            stored.push((spec.name.clone(), bytes, spec.shape.clone()));
        }
        let views = stored
            .iter()
            .map(|(name, bytes, shape)| {
                TensorView::new(Dtype::F16, shape.clone(), bytes).map(|view| (name.as_str(), view))
            })
            .collect::<Result<Vec<_>, _>>();
        views
            .and_then(|views| safetensors::serialize(views, None))
            .map_err(|error| ModelError::Request(format!("weights cannot be stored: {error}")))
    }
}

/// The values of a stored tensor as f32; `None` for other types than f16 and f32.
pub(crate) fn read_values(view: &TensorView<'_>) -> Option<Vec<f32>> {
    match view.dtype() {
        Dtype::F16 => Some(
            view.data()
                .chunks_exact(2)
                .map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32())
                .collect(),
        ),
        Dtype::F32 => Some(
            view.data()
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
        ),
        _ => None,
    }
}
