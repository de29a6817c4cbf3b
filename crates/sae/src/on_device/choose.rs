//! Which activations of a batch are kept, without a sort.
//!
//! Candle has no selection of the k highest, and its sort on CUDA cannot hold a wide dictionary's
//! row. The bound below the k-th highest is found by halving the interval in which it lies.

use candle_core::{DType, Result, Tensor};

/// Halvings of the interval from 0 to the highest value: it is then narrower than two neighbouring
/// f32 from 2⁻¹⁶ of the highest value on.
const HALVINGS: usize = 40;

/// Over what the highest are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// So many of each row.
    Row(usize),
    /// So many of all rows together.
    Batch(usize),
}

/// 1 where a value `[n_rows, n]`, none below 0, is above 0 and among the highest of its scope, else
/// 0. Values that equal the last one kept are kept too.
pub(super) fn highest(values: &Tensor, scope: Scope) -> Result<Tensor> {
    let bound = bound_below(values, scope)?;
    values.broadcast_gt(&bound)?.to_dtype(DType::F32)
}

/// A bound with the wanted number of values above it; 0 where there are fewer above 0. `[n_rows, 1]`
/// or `[1, 1]`.
fn bound_below(values: &Tensor, scope: Scope) -> Result<Tensor> {
    let of_rows = values.max_keepdim(1)?;
    let (k, mut high) = match scope {
        Scope::Row(k) => (k, of_rows),
        Scope::Batch(k) => (k, of_rows.max_keepdim(0)?),
    };
    let mut low = high.zeros_like()?;
    for _ in 0..HALVINGS {
        let middle = ((&low + &high)? * 0.5)?;
        let above = values.broadcast_gt(&middle)?.to_dtype(DType::F32)?;
        let above = match scope {
            Scope::Row(_) => above.sum_keepdim(1)?,
            Scope::Batch(_) => above.sum_keepdim(1)?.sum_keepdim(0)?,
        };
        let is_enough = above.ge(k as f64)?;
        low = is_enough.where_cond(&middle, &low)?;
        high = is_enough.where_cond(&high, &middle)?;
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::kernels::reference;

    #[test]
    fn as_a_full_sort() {
        let (rows, n) = (30, 101);
        let mut values = reference::values(rows * n, 1);
        for value in &mut values {
            *value = value.max(0.0);
        }
        // A row with hardly anything above 0, and one of very small values.
        for value in &mut values[3..n] {
            *value = 0.0;
        }
        for value in &mut values[n..2 * n] {
            *value *= 1e-20;
        }
        let tensor = Tensor::from_slice(&values, (rows, n), &Device::Cpu).unwrap();
        for k in [1, 6, 50, 101] {
            let kept = |mask: Tensor| -> Vec<usize> {
                let mask: Vec<f32> = mask.flatten_all().unwrap().to_vec1().unwrap();
                (0..mask.len()).filter(|&at| mask[at] > 0.0).collect()
            };
            let of_rows = kept(highest(&tensor, Scope::Row(k)).unwrap());
            let mut expected = Vec::new();
            for row in 0..rows {
                expected.extend(sorted(&values, row * n..(row + 1) * n, k));
            }
            expected.sort_unstable();
            assert_eq!(of_rows, expected, "{k} of each row");
            let of_all = kept(highest(&tensor, Scope::Batch(k * rows)).unwrap());
            let mut expected = sorted(&values, 0..rows * n, k * rows);
            expected.sort_unstable();
            assert_eq!(of_all, expected, "{k} a row of all");
        }
    }

    /// Places of the `k` highest above 0.
    fn sorted(values: &[f32], places: std::ops::Range<usize>, k: usize) -> Vec<usize> {
        let mut places: Vec<usize> = places.filter(|&at| values[at] > 0.0).collect();
        places.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        places.truncate(k);
        places
    }
}
