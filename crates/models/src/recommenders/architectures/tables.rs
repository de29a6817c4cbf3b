//! Users and items as rows of two tables: matrix factorisation, and `LightGCN` after propagation.

use schema::HookPoint;

use super::super::training::objective::{ChunkGradient, TrainingCase, pairwise};
use super::{UserQuery, Visit};
use crate::ModelError;

/// Two tables in one buffer: `[n_items + 1, d]`, then `[n_users + 1, d]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables<'a> {
    /// Both.
    pub(crate) values: &'a [f32],
    /// Items of the catalogue.
    pub(crate) n_items: u32,
    /// Width of a row.
    pub(crate) d: usize,
}

impl<'a> Tables<'a> {
    /// Where the users begin.
    fn users_start(&self) -> usize {
        (self.n_items as usize + 1) * self.d
    }

    /// The items, `[n_items + 1, d]`.
    pub(crate) fn items(&self) -> &'a [f32] {
        &self.values[..self.users_start()]
    }

    /// Rows of the users, `[queries.len(), d]`.
    pub(crate) fn user_rows<'q>(&self, queries: impl Iterator<Item = UserQuery<'q>>) -> Vec<f32> {
        let users = &self.values[self.users_start()..];
        let mut rows = Vec::new();
        for query in queries {
            let start = query.user.unwrap_or(0) as usize * self.d;
            rows.extend_from_slice(&users[start..start + self.d]);
        }
        rows
    }

    /// Rows of the users with the hook point on them.
    pub(crate) fn forward(
        &self,
        queries: &[UserQuery<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<Vec<f32>, ModelError> {
        visit(
            HookPoint::UserVector,
            self.user_rows(queries.iter().copied()),
        )
    }

    /// Loss and gradient of some cases of a batch of `n_batch`, with regard to both tables.
    pub(crate) fn gradient(&self, cases: &[TrainingCase<'_>], n_batch: usize) -> ChunkGradient {
        let users = self.user_rows(cases.iter().map(TrainingCase::query));
        let mut out = ChunkGradient::default();
        let g = pairwise(self.items(), cases, &users, n_batch, &mut out);
        for (case, g) in cases.iter().zip(g.chunks_exact(self.d)) {
            out.add_row(self.users_start() + case.user as usize * self.d, 1.0, g);
        }
        out
    }
}
