//! From rows to histories: least rating, duplicates, core, numbers, split, catalogue. Each step
//! says how many rows it takes away.

use std::collections::HashSet;
use std::path::Path;

use super::super::{ImportError, counted};
use super::catalogue;
use super::histories::Histories;
use super::layout::SplitRule;
use super::rows::{Ids, Interactions, Repeats, Row};
use super::{InteractionSource, folder_of, splits};

/// The rows of one user, oldest first.
#[derive(Debug)]
pub(super) struct UserRows {
    /// The user's name in the source.
    pub(super) name: String,
    /// The user's row in tables made from the source, from 1.
    pub(super) number: u32,
    pub(super) rows: Vec<Row>,
}

/// Item ids of the ReChorus layout may leave gaps, but not so many that almost all of a catalogue
/// would be empty.
const GAPS: u64 = 1_000_000;

/// Applies everything that `source` asks for.
pub(super) fn prepare(
    path: &Path,
    mut interactions: Interactions,
    source: &InteractionSource,
    core: u32,
) -> Result<Histories, ImportError> {
    check(path, &interactions, source, core)?;
    if !interactions.timed {
        for row in &mut interactions.rows {
            row.time = 0.0;
        }
        let sentence = "no times: a user's items stand in the order of the file";
        interactions.account.warnings.push(sentence.to_owned());
    }
    keep_rated(&mut interactions, source.min_rating);
    drop_duplicates(&mut interactions);
    keep_core(&mut interactions, core);
    let ids = item_ids(&interactions)?;
    let users = by_user(&interactions);
    let users = match source.split {
        Some(SplitRule::GlobalTime) => splits::by_global_time(users, &mut interactions),
        None if interactions.parts_stated => splits::as_stated(users, &mut interactions.account),
        Some(SplitRule::LeaveOneOut) | None => {
            splits::leave_one_out(users, &mut interactions.account)
        }
    };
    let users: Vec<_> = users
        .into_iter()
        .map(|user| user.into_history(&ids))
        .collect();
    catalogue::note_unseen(&users, &mut interactions.account);
    let catalogue = catalogue::catalogue(&mut interactions, &ids, folder_of(path));
    Ok(Histories {
        users,
        catalogue,
        account: interactions.account,
    })
}

/// What cannot be asked of this source.
fn check(
    path: &Path,
    interactions: &Interactions,
    source: &InteractionSource,
    core: u32,
) -> Result<(), ImportError> {
    let problem = match source.min_rating {
        _ if core == 0 => "a core of 0 was asked for; expected 1 or more".to_owned(),
        Some(least) if !least.is_finite() => {
            format!("the least rating {least} is no number to compare with")
        }
        Some(_) if !interactions.rated => format!(
            "{} has no ratings, so a least rating cannot be asked for",
            path.display()
        ),
        _ if source.split == Some(SplitRule::GlobalTime) && !interactions.timed => format!(
            "{} has no times, which a split by global time needs; name the column as time=COLUMN \
             or take leave-one-out",
            path.display()
        ),
        _ => return Ok(()),
    };
    Err(ImportError::Request(problem))
}

fn keep_rated(interactions: &mut Interactions, least: Option<f64>) {
    let Some(least) = least else {
        if interactions.rated && interactions.rows.iter().any(|row| row.rating.is_some()) {
            interactions
                .account
                .recognised
                .push("all ratings are taken as interactions, whatever their height".to_owned());
        }
        return;
    };
    let unrated: Vec<String> = interactions
        .rows
        .iter()
        .filter(|row| row.rating.is_none())
        .map(|row| interactions.place(row))
        .collect();
    let reason = format!("the row has no rating, and at least {least} is asked for");
    interactions.account.leave_out(&unrated, &reason);
    let n_rated = interactions.rows.len() - unrated.len();
    interactions
        .rows
        .retain(|row| row.rating.is_some_and(|rating| rating >= least));
    let n = interactions.rows.len();
    interactions.account.recognised.push(format!(
        "{n} of {} have at least {least}; {} left out",
        counted(n_rated, "rating", "ratings"),
        counted(n_rated - n, "is", "are"),
    ));
}

/// Rows that say again what an earlier row says are dropped. A repeat at another time is kept or
/// dropped as the layout's own programs do.
fn drop_duplicates(interactions: &mut Interactions) {
    let mut rows = HashSet::new();
    let mut pairs = HashSet::new();
    let (mut again, mut repeated) = (Vec::new(), Vec::new());
    let mut n_kept = 0;
    let mut kept = Vec::with_capacity(interactions.rows.len());
    for row in &interactions.rows {
        let is_new_pair = pairs.insert((row.user, row.item));
        if !rows.insert((row.user, row.item, row.time.to_bits())) {
            again.push(interactions.place(row));
        } else if !is_new_pair && interactions.repeats == Repeats::Dropped {
            repeated.push(interactions.place(row));
        } else {
            n_kept += usize::from(!is_new_pair);
            kept.push(*row);
        }
    }
    interactions.rows = kept;
    let reason = if interactions.timed {
        "an earlier row has the same user, item and time"
    } else {
        "an earlier row has the same user and item, and there are no times to tell them apart"
    };
    interactions.account.leave_out(&again, reason);
    interactions
        .account
        .leave_out(&repeated, "the user rated the same film before");
    if n_kept > 0 {
        interactions.account.recognised.push(format!(
            "{} an item of the same user at another time: kept",
            counted(n_kept, "interaction repeats", "interactions repeat")
        ));
    }
}

/// Drops users and items with fewer than `core` interactions until all have as many.
fn keep_core(interactions: &mut Interactions, core: u32) {
    if core <= 1 {
        return;
    }
    let distinct = |rows: &[Row]| {
        let users: HashSet<u32> = rows.iter().map(|row| row.user).collect();
        let items: HashSet<u32> = rows.iter().map(|row| row.item).collect();
        [rows.len(), users.len(), items.len()]
    };
    let before = distinct(&interactions.rows);
    loop {
        let mut of_user = vec![0_u32; interactions.users.all.len()];
        let mut of_item = vec![0_u32; interactions.items.all.len()];
        for row in &interactions.rows {
            of_user[row.user as usize] += 1;
            of_item[row.item as usize] += 1;
        }
        let n = interactions.rows.len();
        interactions
            .rows
            .retain(|row| of_user[row.user as usize] >= core && of_item[row.item as usize] >= core);
        if interactions.rows.len() == n {
            break;
        }
    }
    let after = distinct(&interactions.rows);
    let [rows, users, items] = [0, 1, 2].map(|i| before[i] - after[i]);
    interactions.account.recognised.push(format!(
        "{} left in the {core}-core; {} of {} and {} left out",
        counted(after[0], "interaction is", "interactions are"),
        counted(rows, "interaction", "interactions"),
        counted(users, "user", "users"),
        counted(items, "item", "items"),
    ));
}

/// The id of every item by its index; 0 for items without interaction.
fn item_ids(interactions: &Interactions) -> Result<Vec<u32>, ImportError> {
    let mut ids = vec![0; interactions.items.all.len()];
    let mut present = Vec::new();
    for row in &interactions.rows {
        let id = &mut ids[row.item as usize];
        if *id == 0 {
            present.push(row.item);
            *id = present.len() as u32;
        }
    }
    match interactions.ids {
        Ids::Text => {}
        Ids::Numbers => {
            present.sort_by_key(|&item| interactions.items.number(item));
            for (item, id) in present.into_iter().zip(1..) {
                ids[item as usize] = id;
            }
        }
        Ids::FromOne => {
            check_range(interactions)?;
            for item in present {
                ids[item as usize] = interactions.items.number(item);
            }
        }
    }
    Ok(ids)
}

/// An id so high that almost the whole catalogue would be empty is a slip, not an item.
fn check_range(interactions: &Interactions) -> Result<(), ImportError> {
    let occur = interactions.items.all.len() + interactions.item_tables.by_id.len();
    let highest = interactions
        .rows
        .iter()
        .map(|row| (interactions.items.number(row.item), row))
        .max_by_key(|(number, _)| *number)
        .map(|(number, row)| (number, interactions.place(row)));
    let highest = [highest, interactions.item_tables.highest.clone()];
    for (number, place) in highest.into_iter().flatten() {
        if u64::from(number) > GAPS + 100 * occur as u64 {
            return Err(ImportError::Request(format!(
                "{place}: the item id {number} is out of range: only {occur} items occur, and ids \
                 of the ReChorus layout run from 1 without large gaps"
            )));
        }
    }
    Ok(())
}

/// Rows by user, each user's oldest first, rows of the same time in the order of the files.
fn by_user(interactions: &Interactions) -> Vec<UserRows> {
    let mut places: Vec<Option<usize>> = vec![None; interactions.users.all.len()];
    let mut users: Vec<UserRows> = Vec::new();
    for row in &interactions.rows {
        let place = *places[row.user as usize].get_or_insert_with(|| {
            users.push(UserRows {
                name: interactions.users.all[row.user as usize].clone(),
                number: match interactions.ids {
                    Ids::Text => users.len() as u32 + 1,
                    Ids::FromOne | Ids::Numbers => interactions.users.number(row.user),
                },
                rows: Vec::new(),
            });
            users.len() - 1
        });
        users[place].rows.push(*row);
    }
    users.sort_by_key(|user| user.number);
    for user in &mut users {
        user.rows.sort_by(|a, b| a.time.total_cmp(&b.time));
    }
    users
}
