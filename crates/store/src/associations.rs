//! Associations of all features of a dictionary at once.

use schema::{Association, FeatureId};

use crate::database::Table;
use crate::{Project, Result};

impl Project {
    /// How each feature of `sae` that was tested goes with findings or categories, by feature.
    ///
    /// # Errors
    /// As [`Self::associations`].
    pub fn all_associations(&self, sae: &str) -> Result<Vec<(FeatureId, Vec<Association>)>> {
        let prefix = self.sae_key(sae)?;
        let all: Vec<(Vec<u8>, Vec<Association>)> =
            self.reviews.database.scan(Table::Associations, &prefix)?;
        let feature = |key: &[u8]| Some(FeatureId(u32::from_be_bytes(*key.last_chunk()?)));
        Ok(all
            .into_iter()
            .filter_map(|(key, table)| Some((feature(&key)?, table)))
            .collect())
    }
}
