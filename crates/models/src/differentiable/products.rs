//! Matrix products of strided views, on one thread.

use gemm::Parallelism;

/// A matrix inside a slice: element `(i, j)` is `values[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The slice it lies in.
    pub(crate) values: &'a [f32],
    /// Rows.
    pub(crate) rows: usize,
    /// Columns.
    pub(crate) columns: usize,
    /// Elements from one row to the next.
    pub(crate) row_stride: usize,
    /// Elements from one column to the next.
    pub(crate) column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix whose rows are `row_stride` apart.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transposed matrix.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
                < self.values.len()
    }
}

/// `target = factor · left · right`, `target` row-major with rows `target_stride` apart.
///
/// # Panics
/// When shapes do not match or a view reaches beyond its slice.
pub(crate) fn product(
    target: &mut [f32],
    target_stride: usize,
    left: View<'_>,
    right: View<'_>,
    factor: f32,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner dimensions of a product");
    assert!(left.fits() && right.fits(), "a view beyond its slice");
    assert!(
        m == 0 || n == 0 || (m - 1) * target_stride + n <= target.len(),
        "a target beyond its slice"
    );
    assert!(n <= target_stride || m <= 1, "target rows overlap");
    // SAFETY: the three asserts keep every element that is read or written inside its slice, and
    // `target` is borrowed mutably, so it overlaps neither factor.
    #[expect(unsafe_code, reason = "the matrix product takes raw pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.as_mut_ptr(),
            1,
            target_stride.cast_signed(),
            false,
            left.values.as_ptr(),
            left.column_stride.cast_signed(),
            left.row_stride.cast_signed(),
            right.values.as_ptr(),
            right.column_stride.cast_signed(),
            right.row_stride.cast_signed(),
            0.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_product() {
        let a: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..20).map(|i| (i % 5) as f32 - 1.0).collect();
        // a: 3 x 5 with stride 5, b: 4 x 5 with stride 5, used transposed.
        let mut out = vec![9.0; 3 * 6];
        let (left, right) = (View::new(&a, 3, 5, 5), View::new(&b, 4, 5, 5).transposed());
        product(&mut out, 6, left, right, 2.0);
        for i in 0..3 {
            for j in 0..4 {
                let plain: f32 = (0..5).map(|k| a[i * 5 + k] * b[j * 5 + k]).sum();
                assert_eq!(out[i * 6 + j], 2.0 * plain);
            }
        }
        assert_eq!(out[4], 9.0);
    }

    #[test]
    #[should_panic(expected = "beyond its slice")]
    fn a_view_too_large_is_refused() {
        let a = [0.0_f32; 3];
        let mut out = [0.0_f32; 4];
        product(
            &mut out,
            2,
            View::new(&a, 2, 2, 2),
            View::new(&a, 2, 2, 2),
            1.0,
        );
    }
}
