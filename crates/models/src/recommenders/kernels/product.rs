//! Products of whole row-major matrices, and linear layers made of them.

use crate::kernels::matmul::{self, View};

/// One factor of a product: row-major data, read as it lies or transposed.
#[derive(Clone, Copy)]
pub(crate) enum Factor<'a> {
    /// As it lies.
    Plain(&'a [f32]),
    /// Rows and columns exchanged.
    Transposed(&'a [f32]),
}

impl<'a> Factor<'a> {
    fn data(self) -> &'a [f32] {
        match self {
            Self::Plain(data) | Self::Transposed(data) => data,
        }
    }

    /// The factor as a `rows × columns` matrix.
    fn view(self, rows: usize, columns: usize) -> View<'a> {
        match self {
            Self::Plain(data) => View::new(data, rows, columns, columns),
            Self::Transposed(data) => View::new(data, columns, rows, rows).t(),
        }
    }
}

/// Whether a product replaces what stands in the destination or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// Replace.
    Set,
    /// Add.
    Add,
}

/// `out (+)= left · right`, on the calling thread: the same bytes whatever other threads do.
///
/// # Shapes
/// - `left`: `[m, k]`, `right`: `[k, n]`, `out`: `[m, n]` row-major, with `[m, n, k] = sizes`
pub(crate) fn product(
    out: &mut [f32],
    sizes: [usize; 3],
    left: Factor<'_>,
    right: Factor<'_>,
    write: Write,
) {
    let [m, n, k] = sizes;
    assert!(
        out.len() == m * n && left.data().len() == m * k && right.data().len() == k * n,
        "sizes of a product do not agree"
    );
    let factors = (left.view(m, k), right.view(k, n));
    matmul::product(out, n, factors, 1.0, write == Write::Add);
}

/// `out = x · weightᵀ + bias` for every row of `x`.
///
/// # Shapes
/// - `x`: `[n, d_in]`, `weight`: `[d_out, d_in]`, `bias`: `[d_out]`, returns `[n, d_out]`
pub(crate) fn linear(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let d_out = bias.len();
    let d_in = weight.len() / d_out;
    let n = x.len() / d_in;
    let mut out = Vec::with_capacity(n * d_out);
    for _ in 0..n {
        out.extend_from_slice(bias);
    }
    product(
        &mut out,
        [n, d_out, d_in],
        Factor::Plain(x),
        Factor::Transposed(weight),
        Write::Add,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product by its definition.
    fn naive(sizes: [usize; 3], left: Factor<'_>, right: Factor<'_>) -> Vec<f32> {
        let [m, n, k] = sizes;
        let at = |factor: Factor<'_>, rows: usize, columns: usize, r: usize, c: usize| match factor
        {
            Factor::Plain(data) => data[r * columns + c],
            Factor::Transposed(data) => data[c * rows + r],
        };
        (0..m * n)
            .map(|i| {
                (0..k)
                    .map(|d| at(left, m, k, i / n, d) * at(right, k, n, d, i % n))
                    .sum()
            })
            .collect()
    }

    #[test]
    fn products_equal_the_definition() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.3).cos()).collect();
        for left in [Factor::Plain(&a), Factor::Transposed(&a)] {
            for right in [Factor::Plain(&b), Factor::Transposed(&b)] {
                let expected = naive([m, n, k], left, right);
                let mut out = vec![f32::NAN; m * n];
                product(&mut out, [m, n, k], left, right, Write::Set);
                let mut twice = out.clone();
                product(&mut twice, [m, n, k], left, right, Write::Add);
                for i in 0..m * n {
                    assert!((out[i] - expected[i]).abs() < 1e-5);
                    assert!((twice[i] - 2.0 * expected[i]).abs() < 1e-5);
                }
            }
        }
    }
}
