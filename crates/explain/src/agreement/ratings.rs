//! The table of what each reader said of each feature.

use crate::error::{ExplainError, same_length};

/// Categories by feature and reader; a reader may have left features out.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratings {
    n_readers: usize,
    /// `[n_features, n_readers]`.
    cells: Vec<Option<u32>>,
    /// What a category is worth on an interval or ratio scale, ascending; `[n_categories]`.
    values: Vec<f64>,
    /// Readers per category, `[n_features, n_categories]`.
    counts: Vec<u32>,
}

impl Ratings {
    /// A table of categories `0..n_categories`, in their order where they have one.
    ///
    /// # Shapes
    /// - `rows`: `[n_features][n_readers]`; `None` where a reader said nothing
    ///
    /// # Errors
    /// When a row has another length than the first, or a category is not below `n_categories`.
    ///
    /// # Example
    /// ```
    /// use explain::agreement::Ratings;
    /// let two = Ratings::new(&[vec![Some(0), Some(1)], vec![Some(1), None]], 2)?;
    /// assert_eq!((two.n_features(), two.n_readers(), two.n_compared()), (2, 2, 1));
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn new(rows: &[Vec<Option<u32>>], n_categories: u32) -> Result<Self, ExplainError> {
        let n_readers = rows.first().map_or(0, Vec::len);
        let mut cells = Vec::with_capacity(rows.len() * n_readers);
        for (feature, row) in rows.iter().enumerate() {
            same_length("ratings of a feature", n_readers, row.len())?;
            if let Some(&category) = row.iter().flatten().find(|c| **c >= n_categories) {
                return Err(ExplainError::NoSuchCategory {
                    feature,
                    category,
                    n_categories,
                });
            }
            cells.extend_from_slice(row);
        }
        let values = (0..n_categories).map(f64::from).collect();
        Ok(Self::of_cells(n_readers, cells, values))
    }

    /// A table of numbers on a scale, such as confidences from 1 to 5. The numbers that occur are
    /// the categories, ascending.
    ///
    /// # Errors
    /// When a row has another length than the first, or a number is not finite.
    ///
    /// # Example
    /// ```
    /// use explain::agreement::Ratings;
    /// let grades = Ratings::of_numbers(&[vec![Some(5.0), Some(1.0)], vec![Some(2.0), None]])?;
    /// assert_eq!(grades.n_categories(), 3);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn of_numbers(rows: &[Vec<Option<f64>>]) -> Result<Self, ExplainError> {
        let mut values: Vec<f64> = Vec::new();
        for (feature, row) in rows.iter().enumerate() {
            for &number in row.iter().flatten() {
                if !number.is_finite() {
                    return Err(ExplainError::NotFinite {
                        what: "ratings of a feature",
                        sample: feature,
                    });
                }
                // Adding 0 makes one of the two zeros.
                values.push(number + 0.0);
            }
        }
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        let n_readers = rows.first().map_or(0, Vec::len);
        let mut cells = Vec::with_capacity(rows.len() * n_readers);
        for row in rows {
            same_length("ratings of a feature", n_readers, row.len())?;
            cells.extend(row.iter().map(|cell| {
                cell.map(|number| values.partition_point(|value| *value < number) as u32)
            }));
        }
        Ok(Self::of_cells(n_readers, cells, values))
    }

    fn of_cells(n_readers: usize, cells: Vec<Option<u32>>, values: Vec<f64>) -> Self {
        let n_features = cells.len().checked_div(n_readers).unwrap_or(0);
        let mut counts = vec![0; n_features * values.len()];
        for (i, category) in cells.iter().enumerate() {
            if let Some(category) = category {
                counts[i / n_readers * values.len() + *category as usize] += 1;
            }
        }
        Self {
            n_readers,
            cells,
            values,
            counts,
        }
    }

    /// The same features, two readers only.
    ///
    /// # Errors
    /// When there is no such reader.
    ///
    /// # Example
    /// ```
    /// use explain::agreement::Ratings;
    /// let three = Ratings::new(&[vec![Some(0), None, Some(1)]], 2)?;
    /// assert_eq!(three.pair(0, 2)?, Ratings::new(&[vec![Some(0), Some(1)]], 2)?);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn pair(&self, first: usize, second: usize) -> Result<Self, ExplainError> {
        for reader in [first, second] {
            if reader >= self.n_readers {
                return Err(ExplainError::NoSuchSample {
                    what: "readers",
                    sample: reader as u32,
                    n_samples: self.n_readers,
                });
            }
        }
        let cells = self
            .rows()
            .flat_map(|row| [row[first], row[second]])
            .collect();
        Ok(Self::of_cells(2, cells, self.values.clone()))
    }

    /// Features in the table, read or not.
    pub fn n_features(&self) -> usize {
        self.cells.len().checked_div(self.n_readers).unwrap_or(0)
    }

    /// Readers in the table.
    pub fn n_readers(&self) -> usize {
        self.n_readers
    }

    /// Categories a reader can choose from.
    pub fn n_categories(&self) -> usize {
        self.values.len()
    }

    /// Features that at least two readers rated: those that say something about agreement.
    pub fn n_compared(&self) -> usize {
        self.compared().count()
    }

    /// Their indices.
    pub(crate) fn compared(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows().enumerate();
        rows.filter(|(_, row)| row.iter().flatten().count() >= 2)
            .map(|(feature, _)| feature)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[Option<u32>]> {
        // A table without readers has no cells, so any length of chunk will do.
        self.cells.chunks_exact(self.n_readers.max(1))
    }

    /// Readers per category of each feature, and how many rated it.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&[u32], u32)> {
        let counts = self.counts.chunks_exact(self.values.len().max(1));
        counts.map(|counts| (counts, counts.iter().sum()))
    }

    /// What the categories are worth; `[n_categories]`.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Every feature once: the weights of the plain value.
    pub(crate) fn once(&self) -> Vec<u32> {
        vec![1; self.n_features()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let ragged = [vec![Some(0), Some(1)], vec![Some(0)]];
        assert_eq!(
            Ratings::new(&ragged, 2).unwrap_err().to_string(),
            "ratings of a feature: expected 2 values, got 1"
        );
        assert_eq!(
            Ratings::new(&[vec![Some(2), None]], 2)
                .unwrap_err()
                .to_string(),
            "row 0 of the ratings: there is no category 2, only 2"
        );
        assert!(Ratings::of_numbers(&[vec![Some(f64::NAN)]]).is_err());
        assert!(
            Ratings::new(&[vec![None, None]], 2)
                .unwrap()
                .pair(0, 2)
                .is_err()
        );
    }

    #[test]
    fn both_zeros_are_one_category() {
        let zeros = Ratings::of_numbers(&[vec![Some(0.0), Some(-0.0)]]).unwrap();
        assert_eq!(zeros.n_categories(), 1);
    }

    #[test]
    fn an_empty_table_has_no_features() {
        let none = Ratings::new(&[], 4).unwrap();
        assert_eq!((none.n_features(), none.n_compared()), (0, 0));
    }
}
