//! Matrix products of strided slices, through gemm.

use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix within a slice: element `(i, j)` is at `i * row_step + j * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> View<'a> {
    /// The `rows × columns` matrix whose rows begin `row_step` apart.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * row_step + columns <= values.len());
        Self {
            values,
            rows,
            columns,
            row_step,
            column_step: 1,
        }
    }

    /// The contiguous row-major matrix of `columns` columns.
    pub(crate) fn of(values: &'a [f32], columns: usize) -> Self {
        Self::new(values, values.len() / columns, columns, columns)
    }

    /// Rows and columns exchanged.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }
}

/// `out = scale · a b`, or `out += scale · a b` with `add`.
///
/// # Shapes
/// - `a`: `[m, k]`, `b`: `[k, n]`; `out`: `m` rows of `n` values that begin `out_step` apart
pub(crate) fn product(
    out: &mut [f32],
    out_step: usize,
    (a, b): (View<'_>, View<'_>),
    scale: f32,
    add: bool,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions");
    if m == 0 || n == 0 {
        return;
    }
    assert!(out_step >= n && (m - 1) * out_step + n <= out.len());
    #[expect(unsafe_code, reason = "gemm's only entrance takes pointers")]
    // SAFETY: a view lies within its slice and the rows of `out` within it, by the assertions
    // here and in `View::new`; `out` is borrowed mutably, so it overlaps neither.
    unsafe {
        gemm_into(out.as_mut_ptr(), out_step, (a, b), scale, add);
    }
}

/// [`product`] of views with equal inner dimensions, to where `out` points.
///
/// # Safety
/// `a.rows` rows of `b.columns` values, `out_step` apart from `out` on, may be written, and
/// nothing else refers to them.
#[expect(unsafe_code, reason = "gemm's only entrance takes pointers")]
unsafe fn gemm_into(
    out: *mut f32,
    out_step: usize,
    (a, b): (View<'_>, View<'_>),
    scale: f32,
    add: bool,
) {
    // SAFETY: a view lies within its slice by the assertion in `View::new`, `out` by this
    // function's contract.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            out_step.cast_signed(),
            add,
            a.values.as_ptr(),
            a.column_step.cast_signed(),
            a.row_step.cast_signed(),
            b.values.as_ptr(),
            b.column_step.cast_signed(),
            b.row_step.cast_signed(),
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `x Wᵀ` for a `W` that `decode` writes down `tile` rows at a time, tiles side by side.
///
/// # Shapes
/// - `x`: `[n, k]`; `decode(first, W)`: rows of `W` from `first` on, `[at most tile, k]`
/// - returns `[n, rows]`
///
/// # Panics
/// When `tile` is 0.
pub(crate) fn product_by_tiles(
    x: View<'_>,
    rows: usize,
    tile: usize,
    decode: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    // Not set to 0 first: that would be the work of one thread while the others wait.
    let mut y = Vec::with_capacity(x.rows * rows);
    if y.capacity() == 0 {
        return y;
    }
    let out = Unset(y.as_mut_ptr());
    (0..rows.div_ceil(tile))
        .into_par_iter()
        .for_each_init(Vec::new, |scratch, at| {
            let first = at * tile;
            let n_rows = tile.min(rows - first);
            scratch.resize(n_rows * x.columns, 0.0);
            decode(first, scratch);
            let weights = View::of(scratch, x.columns).t();
            #[expect(unsafe_code, reason = "what is not set yet cannot be a slice")]
            // SAFETY: the columns from `first` on lie within the capacity, and are written by
            // this task alone; `y` is not read before.
            unsafe {
                gemm_into(out.at(first), rows, (x, weights), 1.0, false);
            }
        });
    #[expect(unsafe_code, reason = "all values have been set")]
    // SAFETY: the tiles cover every column, and each product sets all rows of its columns.
    unsafe {
        y.set_len(x.rows * rows);
    }
    y
}

/// Where a matrix begins whose values are not set yet.
struct Unset(*mut f32);

#[expect(unsafe_code, reason = "a pointer is not Sync by itself")]
// SAFETY: tasks write to columns of their own through it, see `product_by_tiles`.
unsafe impl Sync for Unset {}

impl Unset {
    fn at(&self, column: usize) -> *mut f32 {
        self.0.wrapping_add(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_set_side_by_side() {
        let values: Vec<f32> = (0..60).map(|i| (i * 7 % 11) as f32).collect();
        let (x, w) = (View::of(&values[..12], 4), View::of(&values[12..40], 4));
        let y = product_by_tiles(x, 7, 3, |first, out| {
            out.copy_from_slice(&values[12 + 4 * first..][..out.len()]);
        });
        assert_eq!(y, plain(x, w.t(), 1.0));
        assert!(product_by_tiles(x, 0, 3, |_, _| {}).is_empty());
    }

    fn plain(a: View<'_>, b: View<'_>, scale: f32) -> Vec<f32> {
        let at = |v: View<'_>, i: usize, j: usize| v.values[i * v.row_step + j * v.column_step];
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                let sum: f32 = (0..a.columns).map(|l| at(a, i, l) * at(b, l, j)).sum();
                out.push(scale * sum);
            }
        }
        out
    }

    #[test]
    fn products_equal_the_plain_loop() {
        let values: Vec<f32> = (0..400)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0)
            .collect();
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (9, 16, 4), (7, 1, 12)] {
            let a = View::new(&values, m, k, k + 3);
            let b = View::new(&values[11..], n, k, k + 1).t();
            let expected = plain(a, b, 0.5);
            let mut out = vec![1.0; m * (n + 2)];
            product(&mut out, n + 2, (a, b), 0.5, true);
            for (i, row) in out.chunks(n + 2).enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let expected = if j < n {
                        1.0 + expected[i * n + j]
                    } else {
                        1.0
                    };
                    assert!(
                        (value - expected).abs() < 1e-4,
                        "{m} {n} {k}: {value} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_view_stays_within_its_slice() {
        let _ = View::new(&[0.0; 8], 3, 3, 3);
    }
}
