//! Reads the weights of one part of a model: names under a prefix, onto a device, in a coding.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{CodedCache, CodedMatrix, Coding, Linear, Weight, WeightFiles};
use crate::ModelError;
use crate::device::dtype_of;

/// Reads weights under a prefix.
pub(crate) struct Reader<'a> {
    pub(crate) files: &'a WeightFiles,
    pub(crate) prefix: String,
    pub(crate) load: &'a WeightLoader,
    /// Names that were asked for, by any reader of the checkpoint.
    pub(crate) seen: &'a RefCell<BTreeSet<String>>,
}

/// How matrices are kept once they are read.
pub(crate) struct WeightLoader {
    pub(crate) device: Device,
    /// Coding of matrices on the CPU; `None` as stored.
    pub(crate) coding: Option<Coding>,
    /// Number type of dense matrices.
    pub(crate) dtype: DType,
    /// Whether matrices are dense tensors, as on every card.
    pub(crate) is_dense: bool,
    /// Where matrices in another coding than the stored one are kept.
    cache: Option<CodedCache>,
    /// Matrices that were coded now, by name.
    coded: RefCell<Vec<(String, Arc<CodedMatrix>)>>,
}

impl WeightLoader {
    /// For a device; a card keeps matrices in bf16 unless `coding` is another number type.
    ///
    /// # Errors
    /// [`ModelError::Request`] for blocks of 8 or 4 bits on a card, which has no product for them.
    pub(crate) fn new(device: Device, coding: Option<Coding>) -> Result<Self, ModelError> {
        let is_dense = !device.is_cpu();
        let dtype = match coding {
            _ if !is_dense => DType::F32,
            None => DType::BF16,
            Some(coding) => dtype_of(coding).ok_or_else(|| {
                ModelError::Request(format!(
                    "weights of {} are kept on the CPU only",
                    coding.name()
                ))
            })?,
        };
        Ok(Self {
            device,
            coding,
            dtype,
            is_dense,
            cache: None,
            coded: RefCell::default(),
        })
    }

    /// Keeps matrices that are coded anew in `folder`, under the `hash` of the checkpoint.
    pub(crate) fn with_cache(mut self, folder: &Path, hash: &str) -> Self {
        if let (Some(coding), false) = (self.coding, hash.is_empty() || self.is_dense) {
            self.cache = Some(CodedCache::open(folder, hash, coding));
        }
        self
    }

    /// Writes what was coded now, where there is a cache and it was empty. A disk that is full only
    /// costs the next start its time.
    pub(crate) fn keep_coded(&self) {
        let coded = self.coded.borrow();
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.is_empty())
            && !coded.is_empty()
        {
            cache.write(&coded).ok();
        }
    }

    /// The matrix in the coding that is wanted, from the cache where it is there.
    fn recoded(
        &self,
        (files, name): (&WeightFiles, &str),
        shape: [usize; 2],
    ) -> Result<Arc<CodedMatrix>, ModelError> {
        files.check(name, shape)?;
        let known = self.cache.as_ref().and_then(|cache| cache.get(name, shape));
        if let Some(known) = known {
            return Ok(Arc::new(known));
        }
        let stored = files.matrix(name, shape)?;
        let wanted = self.coding.filter(|coding| *coding != stored.coding());
        let Some(recoded) = wanted.and_then(|coding| stored.recoded(coding)) else {
            return Ok(Arc::new(stored));
        };
        // Read once, from the first byte to the last, and not needed again.
        stored.forget_pages();
        let recoded = Arc::new(recoded);
        if self.cache.is_some() {
            let entry = (name.to_owned(), Arc::clone(&recoded));
            self.coded.borrow_mut().push(entry);
        }
        Ok(recoded)
    }

    /// Dense matrices on the CPU: what a card does, where it can be tested.
    #[cfg(test)]
    pub(crate) fn dense_on_cpu(dtype: DType) -> Self {
        Self {
            device: Device::Cpu,
            coding: None,
            dtype,
            is_dense: true,
            cache: None,
            coded: RefCell::default(),
        }
    }
}

impl Reader<'_> {
    /// The first of the names that the checkpoint has, else the first.
    pub(crate) fn name(&self, names: &[&str]) -> String {
        let whole = |name: &str| format!("{}{name}", self.prefix);
        let known = names
            .iter()
            .map(|name| whole(name))
            .find(|name| self.files.tensors().contains_key(name));
        let name = known.unwrap_or_else(|| whole(names.first().unwrap_or(&"")));
        self.seen.borrow_mut().insert(name.clone());
        name
    }

    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        self.files
            .tensor(&self.name(&[name]), shape, &self.load.device)
    }

    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.files.values(&self.name(&[name]), shape)
    }

    /// A matrix under the first of the names that is there.
    pub(crate) fn weight(&self, names: &[&str], shape: [usize; 2]) -> Result<Weight, ModelError> {
        let name = self.name(names);
        if self.load.is_dense {
            let tensor = self.files.tensor(&name, &shape, &self.load.device)?;
            return Ok(Weight::Dense(tensor.to_dtype(self.load.dtype)?));
        }
        let matrix = self.load.recoded((self.files, &name), shape)?;
        Ok(Weight::Coded(matrix))
    }

    /// An affine map; each of `names` without `.weight` and `.bias`. `bias` says whether one must
    /// be there.
    pub(crate) fn linear(
        &self,
        names: &[&str],
        shape: [usize; 2],
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let weights: Vec<String> = names.iter().map(|name| format!("{name}.weight")).collect();
        let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
        let weight = self.weight(&weights, shape)?;
        let bias = if bias {
            let biases: Vec<String> = names.iter().map(|name| format!("{name}.bias")).collect();
            let biases: Vec<&str> = biases.iter().map(String::as_str).collect();
            let name = self.name(&biases);
            Some(self.files.tensor(&name, &[shape[0]], &self.load.device)?)
        } else {
            None
        };
        Ok(Linear { weight, bias })
    }
}
