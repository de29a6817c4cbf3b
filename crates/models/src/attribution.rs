//! How the patches of an image bear on a feature read at a position of the text: three methods,
//! none of which is the feature's own activation on the patches.

use candle_core::{Device, Tensor, Var};
use schema::HookPoint;
use serde::{Deserialize, Serialize};

use crate::{HookRun, HookSpec, ModelError, ModelInput};

/// What is read of the residual stream: `direction · x` at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Where in the decoder.
    pub hook: HookPoint,
    /// Position in the whole sequence, after the image.
    pub position: usize,
    /// `[d_model]`: the encoder row of a feature, whose pre-activation this reads but for a
    /// constant.
    pub direction: Vec<f32>,
}

/// How patches are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributionMethod {
    /// Gradient × input: what is read, differentiated by the projected embedding of each patch,
    /// times that embedding.
    GradientInput,
    /// Attention rollout: the attention from the position back to each patch through all blocks
    /// before the hook, averaged over heads, half of each block's stream passing by. The same for
    /// every feature read at the position.
    Rollout,
    /// Occlusion: how much less is read when a patch and its neighbours are replaced by the mean
    /// of the image's embeddings.
    Occlusion,
}

impl AttributionMethod {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GradientInput, Self::Rollout, Self::Occlusion];

    /// Name for the user.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradientInput => "gradient × input",
            Self::Rollout => "attention rollout",
            Self::Occlusion => "occlusion",
        }
    }
}

/// Patches on each side of a patch that are occluded with it.
const REACH: usize = 1;
/// Occluded images that are read at once.
const BATCH: usize = 16;

/// What the methods need of a model.
pub(crate) trait ImageReader {
    /// `[1, n, d_model]`: the sequence with the image placed, and the rows of the first image's
    /// patches in row-major order.
    fn read_embedded(&self, input: &ModelInput) -> Result<(Tensor, Vec<usize>), ModelError>;

    /// Rows and columns of the patches of the first image.
    fn grid_sides(&self, input: &ModelInput) -> [usize; 2];

    /// Runs `[batch, n, d_model]` up to `last`, with gradients.
    fn run_embedded(
        &self,
        x: &Tensor,
        last: HookPoint,
        run: &mut HookRun<'_>,
    ) -> Result<(), ModelError>;
}

/// What `probe` reads of each sequence of a batch, `[batch]`, with gradients.
fn read(model: &dyn ImageReader, x: &Tensor, probe: &Probe) -> Result<Tensor, ModelError> {
    let (batch, n, _) = x.dims3()?;
    let nothing = HookSpec::default();
    let mut run = HookRun::new(&nothing).keeping(probe.hook);
    model.run_embedded(x, probe.hook, &mut run)?;
    let kept = run.into_kept().0.ok_or_else(|| {
        ModelError::Request(format!("{} was not reached by the decoder", probe.hook))
    })?;
    let d = probe.direction.len();
    let rows = kept
        .reshape((batch, n, d))?
        .narrow(1, n - 1, 1)?
        .contiguous()?;
    let direction = Tensor::from_slice(&probe.direction, (d, 1), kept.device())?;
    Ok(rows
        .reshape((batch, d))?
        .matmul(&direction)?
        .flatten_all()?)
}

/// Traces what `probe` reads back to the patches.
pub(crate) fn attribute(
    model: &dyn ImageReader,
    input: &ModelInput,
    probe: &Probe,
    method: AttributionMethod,
) -> Result<Vec<f32>, ModelError> {
    let (x, rows) = model.read_embedded(input)?;
    let (_, n, d) = x.dims3()?;
    let last = rows.iter().max().copied();
    if last.is_none_or(|last| last >= probe.position) || probe.position >= n {
        return Err(ModelError::Request(format!(
            "position {} does not follow the image in a sequence of {n}",
            probe.position
        )));
    }
    if d != probe.direction.len() {
        return Err(ModelError::Request(format!(
            "a direction at {} has {d} numbers, {} were given",
            probe.hook,
            probe.direction.len()
        )));
    }
    // What comes later is not seen from the position.
    let x = x.narrow(1, 0, probe.position + 1)?.contiguous()?;
    match method {
        AttributionMethod::GradientInput => gradient_input(model, &x, &rows, probe),
        AttributionMethod::Rollout => rollout(model, &x, &rows, probe),
        AttributionMethod::Occlusion => {
            occlusion(model, &x, (&rows, model.grid_sides(input)), probe)
        }
    }
}

fn gradient_input(
    model: &dyn ImageReader,
    x: &Tensor,
    rows: &[usize],
    probe: &Probe,
) -> Result<Vec<f32>, ModelError> {
    let x = Var::from_tensor(x)?;
    let value = read(model, &x, probe)?.sum_all()?;
    let gradients = value.backward()?;
    let Some(gradient) = gradients.get(&x) else {
        return Ok(vec![0.0; rows.len()]);
    };
    let products = (gradient * x.as_tensor())?.sum(2)?.flatten_all()?;
    let products = products.to_vec1::<f32>()?;
    Ok(rows.iter().map(|&row| products[row]).collect())
}

fn rollout(
    model: &dyn ImageReader,
    x: &Tensor,
    rows: &[usize],
    probe: &Probe,
) -> Result<Vec<f32>, ModelError> {
    let n = x.dim(1)?;
    let nothing = HookSpec::default();
    let mut run = HookRun::new(&nothing).watching_attention();
    model.run_embedded(x, probe.hook, &mut run)?;
    let (_, attention) = run.into_kept();
    let mut mass = vec![0.0; n];
    mass[n - 1] = 1.0;
    for weights in attention.iter().rev() {
        let mut before: Vec<f32> = mass.iter().map(|mass| 0.5 * mass).collect();
        for (mass, weights) in mass.iter().zip(weights.chunks_exact(n)) {
            if *mass != 0.0 {
                for (before, weight) in before.iter_mut().zip(weights) {
                    *before += 0.5 * mass * weight;
                }
            }
        }
        mass = before;
    }
    Ok(rows.iter().map(|&row| mass[row]).collect())
}

fn occlusion(
    model: &dyn ImageReader,
    x: &Tensor,
    (rows, [n_rows, n_columns]): (&[usize], [usize; 2]),
    probe: &Probe,
) -> Result<Vec<f32>, ModelError> {
    let (_, n, d) = x.dims3()?;
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    let mut mean = vec![0.0; d];
    for &row in rows {
        for (mean, value) in mean.iter_mut().zip(&values[row * d..(row + 1) * d]) {
            *mean += value / rows.len() as f32;
        }
    }
    let whole = read(model, x, probe)?.to_vec1::<f32>()?[0];
    let patches: Vec<usize> = (0..rows.len()).collect();
    let mut drops = Vec::with_capacity(rows.len());
    for batch in patches.chunks(BATCH) {
        let mut occluded = Vec::with_capacity(batch.len() * n * d);
        for &patch in batch {
            let start = occluded.len();
            occluded.extend_from_slice(&values);
            let (row, column) = (patch / n_columns, patch % n_columns);
            for y in row.saturating_sub(REACH)..(row + REACH + 1).min(n_rows) {
                for x in column.saturating_sub(REACH)..(column + REACH + 1).min(n_columns) {
                    let at = start + rows[y * n_columns + x] * d;
                    occluded[at..at + d].copy_from_slice(&mean);
                }
            }
        }
        let occluded = Tensor::from_vec(occluded, (batch.len(), n, d), &Device::Cpu)?;
        let occluded = occluded.to_device(x.device())?;
        let left = read(model, &occluded, probe)?.to_vec1::<f32>()?;
        drops.extend(left.iter().map(|left| whole - left));
    }
    Ok(drops)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One block of fixed attention: every position takes the mean of all up to it, times a map.
    struct Mixer {
        x: Vec<f32>,
        n: usize,
    }

    const D: usize = 2;

    impl ImageReader for Mixer {
        fn read_embedded(&self, _: &ModelInput) -> Result<(Tensor, Vec<usize>), ModelError> {
            let x = Tensor::from_slice(&self.x, (1, self.n, D), &Device::Cpu)?;
            Ok((x, (1..5).collect()))
        }

        fn grid_sides(&self, _: &ModelInput) -> [usize; 2] {
            [1, 4]
        }

        fn run_embedded(
            &self,
            x: &Tensor,
            last: HookPoint,
            run: &mut HookRun<'_>,
        ) -> Result<(), ModelError> {
            let (batch, n, d) = x.dims3()?;
            let zeros = Tensor::zeros((1, n, d), candle_core::DType::F32, &Device::Cpu)?;
            run.see_attention(&zeros, &zeros, [1, 1])?;
            let mean = x.mean_keepdim(1)?.expand((batch, n, d))?;
            run.visit(last, (x + mean.sqr()?)?, &[])?;
            Ok(())
        }
    }

    fn traced(method: AttributionMethod) -> Vec<f32> {
        let mixer = Mixer {
            x: vec![
                0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 6.0, 0.0, 3.0, 0.0, 9.0, 9.0,
            ],
            n: 7,
        };
        let probe = Probe {
            hook: HookPoint::ResidPost(0),
            position: 5,
            direction: vec![1.0, 0.0],
        };
        attribute(&mixer, &ModelInput::default(), &probe, method).unwrap()
    }

    #[test]
    fn each_method_by_hand() {
        // Mean of the first six: 2.5; what is read is x[5] + mean², its gradient by a patch 2 · 2.5 / 6.
        let gradient = traced(AttributionMethod::GradientInput);
        for (traced, x) in gradient.iter().zip([1.0, 2.0, 3.0, 6.0]) {
            assert!((traced - 5.0 / 6.0 * x).abs() < 1e-5);
        }
        // Equal attention to six positions, half of the stream passing by.
        for mass in traced(AttributionMethod::Rollout) {
            assert!((mass - 0.5 / 6.0).abs() < 1e-6);
        }
        // The image's mean is 3; patches 2 and 3 with a neighbour or two: 3 + 6 -> 6 takes 3 off.
        let occlusion = traced(AttributionMethod::Occlusion);
        let read = |sum: f32| 3.0 + (sum / 6.0) * (sum / 6.0);
        let expected =
            [15.0 + 3.0, 15.0 + 3.0, 15.0 - 2.0, 15.0 - 3.0].map(|sum| read(15.0) - read(sum));
        for (traced, expected) in occlusion.iter().zip(expected) {
            assert!((traced - expected).abs() < 1e-5, "{occlusion:?}");
        }
    }
}
