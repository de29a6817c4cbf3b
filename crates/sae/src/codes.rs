//! Sparse feature activations of many rows, as compressed sparse rows.

/// Feature activations of `n_rows` rows; zeros are not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseCodes {
    /// Where each row begins in `features` and `values`; `n_rows + 1` entries, the first 0.
    pub offsets: Vec<usize>,
    /// Feature indices, ascending within a row.
    pub features: Vec<u32>,
    /// Activations, > 0, in the units of the hook activation.
    pub values: Vec<f32>,
}

impl Default for SparseCodes {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            features: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl SparseCodes {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of stored activations.
    pub fn n_active(&self) -> usize {
        self.features.len()
    }

    /// Feature indices and activations of one row.
    ///
    /// # Panics
    /// If `row >= n_rows`.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.features[range.clone()], &self.values[range])
    }

    /// The activation of one feature on one row, 0 where it is not active.
    ///
    /// # Panics
    /// If `row >= n_rows`.
    pub fn activation(&self, row: usize, feature: u32) -> f32 {
        let (features, values) = self.row(row);
        features
            .binary_search(&feature)
            .map_or(0.0, |at| values[at])
    }

    /// Adds a row whose entries are in ascending order of feature.
    pub(crate) fn push_row(&mut self, entries: &[(f32, u32)]) {
        for &(value, feature) in entries {
            self.features.push(feature);
            self.values.push(value);
        }
        self.offsets.push(self.features.len());
    }

    /// Joins the codes of consecutive blocks of rows.
    pub(crate) fn concatenate(blocks: &[Self]) -> Self {
        let n_active = blocks.iter().map(Self::n_active).sum();
        let n_rows: usize = blocks.iter().map(Self::n_rows).sum();
        let mut all = Self {
            offsets: Vec::with_capacity(n_rows + 1),
            features: Vec::with_capacity(n_active),
            values: Vec::with_capacity(n_active),
        };
        all.offsets.push(0);
        for block in blocks {
            let start = all.features.len();
            all.offsets
                .extend(block.offsets[1..].iter().map(|offset| start + offset));
            all.features.extend_from_slice(&block.features);
            all.values.extend_from_slice(&block.values);
        }
        all
    }
}
