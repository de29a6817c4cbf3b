//! Which of a user's interactions are held out.

use super::super::counted;
use super::account::Account;
use super::histories::UserHistory;
use super::prepare::UserRows;
use super::rows::{Interactions, Part};
use super::times;

/// A user's rows, oldest first, of which the last are held out.
#[derive(Debug)]
pub(super) struct DividedRows {
    user: UserRows,
    n_dev: usize,
    n_test: usize,
}

impl DividedRows {
    /// The history, items by their ids.
    pub(super) fn into_history(self, ids: &[u32]) -> UserHistory {
        let rows = self.user.rows.iter();
        UserHistory {
            items: rows.map(|row| ids[row.item as usize]).collect(),
            user: self.user.name,
            number: self.user.number,
            n_dev: self.n_dev,
            n_test: self.n_test,
        }
    }
}

/// The last for test, the one before it for dev; of two the last for test; one is for training.
pub(super) fn leave_one_out(users: Vec<UserRows>, account: &mut Account) -> Vec<DividedRows> {
    let with = |n: usize| users.iter().filter(|user| user.rows.len() == n).count();
    let (n_single, n_pairs) = (with(1), with(2));
    account
        .recognised
        .push("split leave-one-out: each user's last is for test, the one before for dev".into());
    if n_single > 0 {
        account.warnings.push(format!(
            "{} one interaction: it is for training, nothing is held out",
            counted(n_single, "user has", "users have")
        ));
    }
    if n_pairs > 0 {
        account.warnings.push(format!(
            "{} two interactions: the first is for training, the second for test, none for dev",
            counted(n_pairs, "user has", "users have")
        ));
    }
    users
        .into_iter()
        .map(|user| {
            let n = user.rows.len();
            DividedRows {
                n_dev: usize::from(n > 2),
                n_test: usize::from(n > 1),
                user,
            }
        })
        .collect()
}

/// As the files say. Held-out rows that are older than training rows are put last, as they cannot
/// be trained on.
pub(super) fn as_stated(users: Vec<UserRows>, account: &mut Account) -> Vec<DividedRows> {
    let (mut n_mixed, mut n_uneven, mut n_single, mut n_untrained) = (0, 0, 0, 0);
    let mut divided = Vec::with_capacity(users.len());
    for mut user in users {
        if !user.rows.is_sorted_by_key(|row| row.part) {
            n_mixed += 1;
            user.rows.sort_by_key(|row| row.part);
        }
        let count = |part: Part| user.rows.iter().filter(|row| row.part == part).count();
        let (n_dev, n_test) = (count(Part::Dev), count(Part::Test));
        n_uneven += usize::from((n_dev, n_test) != (1, 1));
        n_single += usize::from(user.rows.len() == 1);
        n_untrained += usize::from(n_dev + n_test == user.rows.len());
        divided.push(DividedRows {
            user,
            n_dev,
            n_test,
        });
    }
    for (n, what) in [
        (
            n_mixed,
            "with held-out rows older than training rows: held-out items were put last",
        ),
        (n_single, "with one interaction"),
        (
            n_untrained,
            "without training rows: no model can know them, their first item is no target",
        ),
    ] {
        if n > 0 {
            let users = counted(n, "user", "users");
            account.warnings.push(format!("{users} {what}"));
        }
    }
    if n_uneven > 0 {
        account.warnings.push(format!(
            "the split is not leave-one-out: {} without exactly one dev and one test item; all \
             their held-out items are kept out of training and each is a target of its own",
            counted(n_uneven, "user", "users")
        ));
    }
    divided
}

/// The part of a day of `n_days`: the first 80 % for training, the next 10 % for dev, the rest for
/// test, as `RecSAE` divides MovieLens-1M.
fn part_of_day(day: u64, n_days: u64) -> Part {
    if day * 10 < n_days * 8 {
        Part::Train
    } else if day * 10 < n_days * 9 {
        Part::Dev
    } else {
        Part::Test
    }
}

/// Divides all users at the same two days. Users without interaction before the first cut are left
/// out, their rows listed: no model knows them.
pub(super) fn by_global_time(
    users: Vec<UserRows>,
    interactions: &mut Interactions,
) -> Vec<DividedRows> {
    let times = || interactions.rows.iter().map(|row| row.time);
    let (first, last) = times().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), time| {
        (low.min(time), high.max(time))
    });
    let (units, unit) = times::units_of_a_day(last);
    let first_day = (first / units).floor();
    let day_of = |time: f64| ((time / units).floor() - first_day) as u64;
    let n_days = day_of(last) + 1;
    let (mut divided, mut unknown) = (Vec::new(), Vec::new());
    let (mut n_rows, mut n_users, mut n_single) = ([0; 3], [0; 3], 0);
    for user in users {
        let mut counts = [0; 3];
        for row in &user.rows {
            counts[part_of_day(day_of(row.time), n_days) as usize] += 1;
        }
        if counts[0] == 0 {
            unknown.extend(user.rows.iter().map(|row| interactions.place(row)));
            continue;
        }
        n_single += usize::from(user.rows.len() == 1);
        for part in 0..3 {
            n_rows[part] += counts[part];
            n_users[part] += usize::from(counts[part] > 0);
        }
        divided.push(DividedRows {
            user,
            n_dev: counts[1],
            n_test: counts[2],
        });
    }
    let account = &mut interactions.account;
    let parts: Vec<String> = (0..3)
        .map(|part| {
            let rows = counted(n_rows[part], "row", "rows");
            let users = counted(n_users[part], "user", "users");
            format!(
                "{rows} of {users} for {}",
                ["training", "dev", "test"][part]
            )
        })
        .collect();
    account.recognised.push(format!(
        "split by global time, 80, 10 and 10 % of {} (times in {unit}): {}",
        counted(n_days as usize, "day", "days"),
        parts.join(", ")
    ));
    let reason = "the user has no interaction before the cut, so no model knows the user";
    account.leave_out(&unknown, reason);
    if n_single > 0 {
        let users = counted(n_single, "user", "users");
        account
            .warnings
            .push(format!("{users} with one interaction"));
    }
    for part in 1..3 {
        if n_rows[part] == 0 {
            let name = ["training", "dev", "test"][part];
            account
                .warnings
                .push(format!("no interaction falls into the days for {name}"));
        }
    }
    divided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_divide_80_10_10() {
        let parts: Vec<Part> = (0..10).map(|day| part_of_day(day, 10)).collect();
        assert_eq!(parts[..8], [Part::Train; 8]);
        assert_eq!(parts[8..], [Part::Dev, Part::Test]);
        assert_eq!(part_of_day(0, 1), Part::Train);
        let count = |part: Part| {
            (0..1_039)
                .filter(|&day| part_of_day(day, 1_039) == part)
                .count()
        };
        assert_eq!(
            [count(Part::Train), count(Part::Dev), count(Part::Test)],
            [832, 104, 103]
        );
    }
}
