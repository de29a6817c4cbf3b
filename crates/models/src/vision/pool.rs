//! Averages neighbouring image rows, so that a fine grid takes less room in a harvest.

/// Means of `factor × factor` neighbouring patches.
///
/// # Shapes
/// - `values`: `[rows * columns, d_model]`, patches row-major; `rows` and `columns` are multiples
///   of `factor`
/// - returns: `[rows / factor * columns / factor, d_model]`, or `None` if the sizes do not fit
pub fn average_pool(
    values: &[f32],
    (rows, columns): (usize, usize),
    factor: usize,
) -> Option<Vec<f32>> {
    if factor == 0
        || rows == 0
        || columns == 0
        || !rows.is_multiple_of(factor)
        || !columns.is_multiple_of(factor)
        || !values.len().is_multiple_of(rows * columns)
    {
        return None;
    }
    let d_model = values.len() / (rows * columns);
    let (out_rows, out_columns) = (rows / factor, columns / factor);
    let mut out = vec![0.0; out_rows * out_columns * d_model];
    if d_model == 0 {
        return Some(out);
    }
    for (i, patch) in values.chunks_exact(d_model).enumerate() {
        let (row, column) = (i / columns / factor, i % columns / factor);
        let at = (row * out_columns + column) * d_model;
        for (sum, value) in out[at..at + d_model].iter_mut().zip(patch) {
            *sum += value;
        }
    }
    let scale = 1.0 / (factor * factor) as f32;
    for value in &mut out {
        *value *= scale;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_averaged() {
        let values: Vec<f32> = (0..8).map(|i| i as f32).collect();
        assert_eq!(average_pool(&values, (2, 4), 2), Some(vec![2.5, 4.5]));
        assert_eq!(average_pool(&values, (2, 2), 2), Some(vec![3.0, 4.0]));
        assert_eq!(average_pool(&values, (2, 4), 3), None);
    }
}
