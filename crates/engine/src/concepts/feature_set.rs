//! Features of one kind on the test rows: those of a dictionary, of a random one, or the dimensions
//! of the user vector themselves.

use explain::{ActiveRow, CaseRule, ConceptCases, Levels, ShownCase, ShownItem, choose_cases};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::{SparseAutoencoder, SparseCodes};
use schema::FeatureId;

use super::rows::TestRows;
use crate::error::Result;

/// Features of near direction that hard cases are taken from.
const N_NEARBY: usize = 8;

/// Row or place, and the activation above 0, ascending by the former.
type Column = Vec<(u32, f32)>;

/// Deciles that levels are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelRule {
    /// Of the activations of all features together, as `RecSAE` does.
    Pooled,
    /// Of each feature's own activations.
    PerFeature,
}

impl LevelRule {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::PerFeature => "per-feature",
        }
    }
}

/// Features and where they are active.
pub(super) struct FeatureSet {
    columns: Vec<Column>,
    places: Option<Vec<Column>>,
    /// One for all, or one for each.
    levels: Vec<Option<Levels>>,
    /// Features of near direction, per feature; none where there are no directions.
    nearby: Vec<Vec<u32>>,
}

impl FeatureSet {
    /// Features of a dictionary.
    ///
    /// # Errors
    /// Those of the dictionary, and activations that are no numbers.
    pub(super) fn of_dictionary(
        sae: &SparseAutoencoder,
        rows: &TestRows,
        rule: LevelRule,
    ) -> Result<Self> {
        let n_features = sae.n_features();
        let columns = columns_of(&sae.encode(&rows.vectors)?, n_features);
        let places = rows
            .places
            .as_ref()
            .map(|places| {
                Ok::<_, sae::SaeError>(columns_of(&sae.encode(&places.vectors)?, n_features))
            })
            .transpose()?;
        let nearby = (0..n_features as u32)
            .into_par_iter()
            .map(|feature| {
                let near = sae::nearest_directions(sae, FeatureId(feature), N_NEARBY);
                near.into_iter().map(|one| one.feature.0).collect()
            })
            .collect();
        Ok(Self {
            levels: levels_of(&columns, rule)?,
            columns,
            places,
            nearby,
        })
    }

    /// Each dimension of the user vector as a feature: how far it lies above its median over the
    /// rows, so that it is silent on half of them. Levels are the dimension's own, as in `RecSAE`.
    ///
    /// # Errors
    /// Activations that are no numbers.
    pub(super) fn of_dimensions(rows: &TestRows, d: usize) -> Result<Self> {
        let medians: Vec<f32> = (0..d)
            .map(|at| {
                let mut values: Vec<f32> =
                    rows.vectors.iter().skip(at).step_by(d).copied().collect();
                values.sort_unstable_by(f32::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or(0.0)
            })
            .collect();
        let above = |vectors: &[f32]| -> Vec<Column> {
            let column = |at: usize| {
                let values = vectors.iter().skip(at).step_by(d);
                let values = (0_u32..).zip(values.map(|value| value - medians[at]));
                values.filter(|&(_, value)| value > 0.0).collect()
            };
            (0..d).map(column).collect()
        };
        let columns = above(&rows.vectors);
        Ok(Self {
            levels: levels_of(&columns, LevelRule::PerFeature)?,
            places: rows.places.as_ref().map(|places| above(&places.vectors)),
            columns,
            nearby: vec![Vec::new(); d],
        })
    }

    /// Number of features.
    pub(super) fn n_features(&self) -> usize {
        self.columns.len()
    }

    /// Rows on which a feature is active.
    pub(super) fn n_active(&self, feature: u32) -> usize {
        self.columns[feature as usize].len()
    }

    /// The level of an activation of a feature.
    fn level(&self, feature: u32, value: f32) -> u8 {
        let own = if self.levels.len() == 1 {
            self.levels.first()
        } else {
            self.levels.get(feature as usize)
        };
        own.and_then(Option::as_ref)
            .map_or(0, |levels| levels.level(value))
    }

    /// The level of a feature on a row, 0 where it is not active.
    pub(super) fn level_on(&self, feature: u32, row: u32) -> u8 {
        self.level(feature, value_at(&self.columns[feature as usize], row))
    }

    /// Rows on which a feature is active, with item and level.
    pub(super) fn active_rows(&self, feature: u32, rows: &TestRows) -> Vec<ActiveRow> {
        let column = self.columns[feature as usize].iter();
        column
            .map(|&(row, value)| ActiveRow {
                row,
                item: rows.rows[row as usize].first,
                value,
                level: self.level(feature, value),
            })
            .collect()
    }

    /// The cases of a feature; `None` where there are none to explain, or none to test.
    pub(super) fn cases(
        &self,
        feature: u32,
        rows: &TestRows,
        rule: CaseRule,
        seed: u64,
    ) -> Option<ConceptCases> {
        let active = self.active_rows(feature, rows);
        let near: Vec<u32> = self.nearby[feature as usize]
            .iter()
            .flat_map(|&other| self.columns[other as usize].iter().map(|&(row, _)| row))
            .collect();
        let n_rows = rows.rows.len() as u32;
        choose_cases(&active, (n_rows, &near), rule, (seed, feature))
    }

    /// A row as an explainer sees it: the level at the recommended item, and in the history where
    /// places were read.
    pub(super) fn shown(&self, feature: u32, row: u32, rows: &TestRows) -> ShownCase {
        let test = &rows.rows[row as usize];
        let of_places = self.places.as_ref().zip(rows.places.as_ref());
        let history = (0_u32..).zip(&test.shown).map(|(at, &item)| ShownItem {
            item,
            level: of_places.map(|(columns, places)| {
                let place = places.starts[row as usize] + at;
                self.level(feature, value_at(&columns[feature as usize], place))
            }),
        });
        ShownCase {
            history: history.collect(),
            recommended: ShownItem {
                item: test.first,
                level: Some(self.level_on(feature, row)),
            },
        }
    }
}

fn value_at(column: &Column, at: u32) -> f32 {
    let found = column.binary_search_by_key(&at, |&(row, _)| row);
    found.map_or(0.0, |place| column[place].1)
}

fn columns_of(codes: &SparseCodes, n_features: usize) -> Vec<Column> {
    let mut columns = vec![Column::new(); n_features];
    for row in 0..codes.n_rows() {
        let (features, values) = codes.row(row);
        for (&feature, &value) in features.iter().zip(values) {
            if value > 0.0 {
                columns[feature as usize].push((row as u32, value));
            }
        }
    }
    columns
}

fn levels_of(columns: &[Column], rule: LevelRule) -> Result<Vec<Option<Levels>>> {
    let values = |columns: &[Column]| -> Vec<f32> {
        columns.iter().flatten().map(|&(_, value)| value).collect()
    };
    let parts: Vec<&[Column]> = match rule {
        LevelRule::Pooled => vec![columns],
        LevelRule::PerFeature => columns.chunks(1).collect(),
    };
    let levels = parts.into_iter().map(|part| Levels::of(&values(part)));
    Ok(levels.collect::<std::result::Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::rows::TestRow;
    use super::*;

    /// Four users with one vector of two dimensions each, and a place before the last.
    fn rows() -> TestRows {
        let row = |user: u32| TestRow {
            user,
            shown: vec![7, 8],
            first: 10 + user,
        };
        TestRows {
            rows: (0..4).map(row).collect(),
            vectors: vec![0.0, 9.0, 1.0, 5.0, 2.0, 7.0, 3.0, 1.0],
            places: Some(super::super::rows::Places {
                starts: vec![0, 2, 4, 6, 8],
                vectors: vec![0.0; 16],
            }),
        }
    }

    #[test]
    fn a_dimension_is_active_above_its_median() {
        let rows = rows();
        let set = FeatureSet::of_dimensions(&rows, 2).unwrap();
        // Medians 2 and 7.
        assert_eq!((set.n_active(0), set.n_active(1)), (1, 1));
        assert_eq!((set.level_on(0, 3), set.level_on(0, 1)), (1, 0));
        let case = set.shown(1, 0, &rows);
        assert_eq!(
            (case.recommended.item, case.recommended.level),
            (10, Some(1))
        );
        assert_eq!(case.history[1].level, Some(0));
    }

    #[test]
    fn pooled_levels_compare_features_and_their_own_do_not() {
        let weak: Column = (0..10).map(|row| (row, 1.0 + row as f32 * 0.01)).collect();
        let strong: Column = (0..10).map(|row| (row, 50.0 + row as f32)).collect();
        let columns = [weak, strong];
        let level = |rule, feature: usize, value| {
            let levels = levels_of(&columns, rule).unwrap();
            let own = if levels.len() == 1 {
                &levels[0]
            } else {
                &levels[feature]
            };
            own.as_ref().unwrap().level(value)
        };
        assert!(level(LevelRule::Pooled, 0, 1.09) <= 5);
        assert_eq!(level(LevelRule::PerFeature, 0, 1.09), 10);
        assert_eq!(level(LevelRule::PerFeature, 1, 50.0), 1);
        assert!(level(LevelRule::Pooled, 1, 50.0) >= 5);
    }
}
