//! Users' item histories as a recommender is trained and evaluated on them.

use schema::SampleRecord;

use crate::ModelError;

/// One user's items, each part in time order; `train`, then `dev`, then `test` is the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserHistory {
    /// Items the model is trained on.
    pub train: Vec<u32>,
    /// Held-out items that choices are made on.
    pub dev: Vec<u32>,
    /// Held-out items that scores are measured on.
    pub test: Vec<u32>,
    /// The user's number in tables of users, from 1; 0 for the place among the histories plus 1.
    pub number: u32,
}

/// Histories of all users over one catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InteractionData {
    /// Items of the catalogue; ids run from 1 to this.
    pub n_items: u32,
    /// One entry per user.
    pub histories: Vec<UserHistory>,
}

impl InteractionData {
    /// The number of the user at a place among the histories, from 1.
    pub fn user_number(&self, place: usize) -> u32 {
        match self.histories.get(place).map(|user| user.number) {
            Some(number) if number > 0 => number,
            _ => place as u32 + 1,
        }
    }

    /// The highest number of a user.
    pub fn n_users(&self) -> u32 {
        (0..self.histories.len())
            .map(|place| self.user_number(place))
            .max()
            .unwrap_or(0)
    }

    /// User and item of every train interaction.
    pub fn train_pairs(&self) -> Vec<(u32, u32)> {
        self.histories
            .iter()
            .enumerate()
            .flat_map(|(place, user)| {
                let number = self.user_number(place);
                user.train.iter().map(move |&item| (number, item))
            })
            .collect()
    }

    /// Takes the histories out of the samples of an interactions dataset.
    ///
    /// Of `n_held_out` last items the last `test` (a fact of the record) are `test`, the others
    /// `dev`; without the fact the later half is `test`: with 2, one each; with 1, a test item only.
    /// The fact `user_number` is the user's number in tables of users.
    ///
    /// # Errors
    /// [`ModelError::Request`] when an id is 0 or above `n_items`, or when there is no item at all.
    ///
    /// # Example
    /// ```
    /// use models::recommenders::InteractionData;
    /// use schema::SampleRecord;
    ///
    /// let user = SampleRecord { items: vec![4, 2, 9, 1], n_held_out: 2, ..SampleRecord::default() };
    /// let data = InteractionData::from_records(9, [&user])?;
    /// assert_eq!(data.histories[0].train, [4, 2]);
    /// assert_eq!((data.histories[0].dev[0], data.histories[0].test[0]), (9, 1));
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn from_records<'a>(
        n_items: u32,
        records: impl IntoIterator<Item = &'a SampleRecord>,
    ) -> Result<Self, ModelError> {
        let mut histories = Vec::new();
        for record in records {
            if let Some(bad) = record.items.iter().find(|&&id| id == 0 || id > n_items) {
                return Err(ModelError::Request(format!(
                    "user {} has the item {bad}, but item ids run from 1 to {n_items}",
                    record.id
                )));
            }
            let n_held_out = (record.n_held_out as usize).min(record.items.len());
            let (train, held_out) = record.items.split_at(record.items.len() - n_held_out);
            let fact = |name: &str| record.facts.get(name).and_then(|text| text.parse().ok());
            let n_test = fact("test").map_or(n_held_out - n_held_out / 2, |n: u32| n as usize);
            let (dev, test) = held_out.split_at(n_held_out - n_test.min(n_held_out));
            histories.push(UserHistory {
                number: fact("user_number").unwrap_or(0),
                train: train.to_vec(),
                dev: dev.to_vec(),
                test: test.to_vec(),
            });
        }
        if histories.iter().all(|user| user.train.is_empty()) {
            return Err(ModelError::Request(
                "the dataset has no interactions to train on".to_owned(),
            ));
        }
        Ok(Self { n_items, histories })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_outside_the_catalogue_is_an_error() {
        for items in [vec![1, 0], vec![1, 6]] {
            let user = SampleRecord {
                items,
                ..SampleRecord::default()
            };
            assert!(InteractionData::from_records(5, [&user]).is_err());
        }
    }
}
