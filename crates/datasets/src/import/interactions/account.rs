//! What an import has to say: what was recognised, what to know, which rows are left out and why.

use schema::Skipped;

/// Rows listed one by one for one reason; of more, the number is given.
const LISTED: usize = 1_000;

/// Sentences for the user, in the order in which they arose.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) recognised: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) skipped: Vec<Skipped>,
    /// All rows that were left out, listed or not.
    pub(super) n_skipped: usize,
}

impl Account {
    /// Lists rows that are left out, each by its place, and says how many there are.
    pub(super) fn leave_out(&mut self, places: &[String], reason: &str) {
        if places.is_empty() {
            return;
        }
        for place in places.iter().take(LISTED) {
            self.skipped.push(Skipped {
                place: place.clone(),
                reason: reason.to_owned(),
            });
        }
        let n = places.len();
        self.n_skipped += n;
        if n > LISTED {
            self.skipped.push(Skipped {
                place: format!("{} further rows", n - LISTED),
                reason: reason.to_owned(),
            });
        }
        let rows = super::counted(n, "row is", "rows are");
        self.warnings.push(format!("{rows} left out: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let mut account = Account::default();
        let places: Vec<String> = (0..2_500)
            .map(|line| format!("t.csv, line {line}"))
            .collect();
        account.leave_out(&places, "it stands twice");
        account.leave_out(&[], "never");
        assert_eq!(account.n_skipped, 2_500);
        assert_eq!(account.skipped.len(), LISTED + 1);
        assert_eq!(account.skipped[LISTED].place, "1500 further rows");
        assert_eq!(
            account.warnings,
            ["2500 rows are left out: it stands twice"]
        );
    }
}
