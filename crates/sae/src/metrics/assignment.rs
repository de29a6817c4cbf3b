//! The best one-to-one assignment (Hungarian method), by shortest augmenting paths.

use crate::error::SaeError;

/// Assigns every row a column of its own so that the sum of similarities is highest.
///
/// # Shapes
/// - `similarity`: `[n_rows, n_columns]`, row-major, finite, `n_rows ≤ n_columns`
/// - returns: `[n_rows]`, the column of each row
///
/// # Errors
/// [`SaeError::Shape`] if the matrix is not `[n_rows, n_columns]` or has more rows than columns,
/// [`SaeError::NotFinite`].
///
/// # Determinism
/// A function of the matrix; of equally good columns the first is tried first.
///
/// # Cost
/// At worst `n_rows² · n_columns` steps, far fewer where most rows have a clear best column.
///
/// # Source
/// Kuhn 1955; the shortest augmenting paths of Jonker and Volgenant 1987, begun from row minima.
///
/// # Example
/// `[[7, 5], [6, 1]]`: row 0 takes column 1 and row 1 column 0, 11 in all; the greedy choice has 8.
pub fn best_assignment(
    similarity: &[f32],
    n_rows: usize,
    n_columns: usize,
) -> Result<Vec<u32>, SaeError> {
    if n_rows > n_columns || similarity.len() != n_rows * n_columns {
        return Err(SaeError::shape(
            "the similarities [rows, columns], no more rows than columns,",
            format!("[{n_rows}, {n_columns}]"),
            similarity.len(),
        ));
    }
    if similarity.iter().any(|value| !value.is_finite()) {
        return Err(SaeError::NotFinite {
            what: "the similarities".into(),
        });
    }
    let mut search = Search::new(similarity, n_rows, n_columns);
    for row in 0..n_rows {
        if search.column_of[row].is_none() {
            search.assign(row);
        }
    }
    let columns = search.column_of.iter();
    Ok(columns.flatten().map(|&column| column as u32).collect())
}

/// Duals and matches; costs are negated similarities, and `cost − of_row − of_column ≥ 0`.
struct Search<'a> {
    similarity: &'a [f32],
    n_columns: usize,
    of_row: Vec<f64>,
    of_column: Vec<f64>,
    column_of: Vec<Option<usize>>,
    row_of: Vec<Option<usize>>,
}

impl<'a> Search<'a> {
    fn new(similarity: &'a [f32], n_rows: usize, n_columns: usize) -> Self {
        let mut search = Self {
            similarity,
            n_columns,
            of_row: vec![0.0; n_rows],
            of_column: vec![0.0; n_columns],
            column_of: vec![None; n_rows],
            row_of: vec![None; n_columns],
        };
        for (row, values) in similarity.chunks_exact(n_columns.max(1)).enumerate() {
            let mut best = 0;
            for (column, value) in values.iter().enumerate() {
                if *value > values[best] {
                    best = column;
                }
            }
            search.of_row[row] = -f64::from(values[best]);
            if search.row_of[best].is_none() {
                search.row_of[best] = Some(row);
                search.column_of[row] = Some(best);
            }
        }
        search
    }

    fn reduced(&self, row: usize, column: usize) -> f64 {
        let cost = -f64::from(self.similarity[row * self.n_columns + column]);
        cost - self.of_row[row] - self.of_column[column]
    }

    /// Finds the cheapest path from a row without a column to a column without a row, and shifts
    /// the matches along it.
    fn assign(&mut self, start: usize) {
        let n = self.n_columns;
        let mut distance = vec![f64::INFINITY; n];
        let mut from = vec![start; n];
        let mut reached: Vec<usize> = Vec::new();
        let mut left: Vec<usize> = (0..n).collect();
        let (mut row, mut so_far) = (start, 0.0);
        let end = loop {
            let mut nearest = 0;
            for (at, &column) in left.iter().enumerate() {
                let by_row = so_far + self.reduced(row, column);
                if by_row < distance[column] {
                    distance[column] = by_row;
                    from[column] = row;
                }
                if distance[column] < distance[left[nearest]] {
                    nearest = at;
                }
            }
            // There is always a column left: rows do not outnumber columns.
            let column = left.swap_remove(nearest);
            so_far = distance[column];
            match self.row_of[column] {
                None => break column,
                Some(next) => {
                    reached.push(column);
                    row = next;
                }
            }
        };
        self.of_row[start] += so_far;
        for column in reached {
            let slack = so_far - distance[column];
            self.of_column[column] -= slack;
            if let Some(row) = self.row_of[column] {
                self.of_row[row] += slack;
            }
        }
        let mut column = end;
        loop {
            let row = from[column];
            self.row_of[column] = Some(row);
            match self.column_of[row].replace(column) {
                Some(freed) if row != start => column = freed,
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(
            best_assignment(&[7.0, 5.0, 6.0, 1.0], 2, 2).unwrap(),
            [1, 0]
        );
        assert_eq!(best_assignment(&[], 0, 0).unwrap(), [0_u32; 0]);
        assert_eq!(best_assignment(&[0.0, 2.0, 2.0], 1, 3).unwrap(), [1]);
    }

    /// The highest sum over all ways to give the remaining rows a column.
    fn exhaustive(similarity: &[f32], n: usize, row: usize, taken: &mut [bool]) -> f64 {
        if row * n == similarity.len() {
            return 0.0;
        }
        let mut best = f64::NEG_INFINITY;
        for column in 0..n {
            if !taken[column] {
                taken[column] = true;
                let own = f64::from(similarity[row * n + column]);
                best = best.max(own + exhaustive(similarity, n, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn equals_trying_all_assignments() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (n_rows, n_columns) in [(6, 6), (4, 7), (1, 5), (7, 7)] {
            for round in 0..20 {
                // Few distinct values in every other round, so that there are ties.
                let similarity: Vec<f32> = (0..n_rows * n_columns)
                    .map(|_| {
                        let value = rng.random::<f32>() * 2.0 - 1.0;
                        if round % 2 == 0 {
                            value
                        } else {
                            (value * 3.0).round()
                        }
                    })
                    .collect();
                let found = best_assignment(&similarity, n_rows, n_columns).unwrap();
                let mut taken = vec![false; n_columns];
                let mut sum = 0.0;
                for (row, &column) in found.iter().enumerate() {
                    assert!(!taken[column as usize]);
                    taken[column as usize] = true;
                    sum += f64::from(similarity[row * n_columns + column as usize]);
                }
                let best = exhaustive(&similarity, n_columns, 0, &mut vec![false; n_columns]);
                assert!((sum - best).abs() < 1e-5, "{sum} against {best}");
            }
        }
    }

    #[test]
    fn what_cannot_be_assigned_is_refused() {
        assert!(best_assignment(&[1.0, 2.0], 2, 1).is_err());
        assert!(best_assignment(&[1.0, 2.0], 2, 2).is_err());
        assert!(best_assignment(&[f32::NAN], 1, 1).is_err());
    }
}
