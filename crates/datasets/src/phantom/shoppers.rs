//! Phantom shoppers: item histories in which planted tastes are active over stretches of time.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::seq::{IndexedRandom as _, index};
use rand_chacha::ChaCha8Rng;
use schema::{CatalogueItem, SampleRecord, Split};

use super::catalogue::{Catalogue, Taste};

/// Shortest and longest history.
const HISTORY: (usize, usize) = (8, 30);
/// Shortest and longest stretch of one taste; the last may be longer.
const STRETCH: (usize, usize) = (5, 11);
/// Share of everyday items while a taste is active.
const EVERYDAY_SHARE: f64 = 0.15;
/// Chance that a stretch without any taste comes between two stretches.
const PAUSE_CHANCE: f64 = 0.3;
/// Last items of a history, for dev and test.
const HELD_OUT: u32 = 2;

/// Shoppers with the truth about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Shoppers {
    /// The invented shop's items, by id from 1.
    pub catalogue: Vec<CatalogueItem>,
    /// One record per shopper: items oldest first, tastes as findings, the last two held out.
    pub records: Vec<SampleRecord>,
    /// Per shopper and position the active taste, an index into `tastes`; `None` where no taste
    /// is active. A taste stays active while an everyday item is bought in its stretch.
    pub truth: Vec<Vec<Option<u8>>>,
    /// All tastes with their items.
    pub tastes: Vec<Taste>,
}

/// Draws `count` shoppers over an invented catalogue of 300 items.
///
/// A shopper has one to three tastes and 8 to 30 items. A stretch of 5 items or more follows
/// one taste: 85 % of its items serve the taste, mostly the one that comes next in the taste's list;
/// the rest are everyday goods, popular ones more often. The first item of a stretch always serves its
/// taste, and no stretch ends before the held-out items, so that they can be predicted.
///
/// # Determinism
/// One `ChaCha8` stream per shopper: the first `n` shoppers are the same for every `count ≥ n`.
pub fn shoppers(seed: u64, count: u32) -> Shoppers {
    let catalogue = Catalogue::new(seed);
    let (records, truth) = (0..count)
        .map(|number| shopper(seed, number, &catalogue))
        .unzip();
    Shoppers {
        catalogue: catalogue.items,
        records,
        truth,
        tastes: catalogue.tastes,
    }
}

fn shopper(seed: u64, number: u32, catalogue: &Catalogue) -> (SampleRecord, Vec<Option<u8>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(number));
    let length = rng.random_range(HISTORY.0..=HISTORY.1);
    // A short history has no room for three tastes.
    let most = (length / STRETCH.0).min(3);
    let wanted = rng.random_range(1..=most);
    let own = index::sample(&mut rng, catalogue.tastes.len(), wanted).into_vec();
    let truth = active_tastes(&mut rng, length, &own);
    let items = buy(&mut rng, &truth, catalogue);
    let mut used: Vec<u8> = truth.iter().copied().flatten().collect();
    used.sort_unstable();
    used.dedup();
    let findings = used
        .iter()
        .filter_map(|&taste| catalogue.tastes.get(usize::from(taste)))
        .map(|taste| taste.name.clone())
        .collect();
    let id = format!("shopper-{number:06}");
    let record = SampleRecord {
        group: id.clone(),
        id,
        split: Split::Train,
        findings: Some(findings),
        items,
        n_held_out: HELD_OUT,
        ..SampleRecord::default()
    };
    (record, truth)
}

/// The active taste at each of `length` positions, the last stretch long enough.
fn active_tastes(rng: &mut ChaCha8Rng, length: usize, own: &[usize]) -> Vec<Option<u8>> {
    let mut truth: Vec<Option<u8>> = Vec::with_capacity(length);
    let mut turn = 0;
    while truth.len() < length {
        let left = length - truth.len();
        let mut stretch = rng.random_range(STRETCH.0..=STRETCH.1).min(left);
        let pause = if rng.random_bool(PAUSE_CHANCE) {
            rng.random_range(2..=4)
        } else {
            0
        };
        let taste = own.get(turn % own.len().max(1)).map(|&taste| taste as u8);
        turn += 1;
        if left < stretch + pause + STRETCH.0 {
            stretch = left;
        }
        truth.extend(std::iter::repeat_n(taste, stretch));
        if truth.len() < length {
            truth.extend(std::iter::repeat_n(None, pause));
        }
    }
    truth
}

/// One item for every position.
fn buy(rng: &mut ChaCha8Rng, truth: &[Option<u8>], catalogue: &Catalogue) -> Vec<u32> {
    // Where in its list each taste has come to.
    let mut places: Vec<usize> = catalogue
        .tastes
        .iter()
        .map(|taste| rng.random_range(0..taste.items.len()))
        .collect();
    let mut items = Vec::with_capacity(truth.len());
    let mut before = None;
    for &active in truth {
        let begins = active != before;
        before = active;
        let serving = active.filter(|_| begins || !rng.random_bool(EVERYDAY_SHARE));
        let item = serving.and_then(|taste| {
            let taste = usize::from(taste);
            let list = &catalogue.tastes.get(taste)?.items;
            let place = places.get_mut(taste)?;
            *place = (*place + step(rng, list.len())) % list.len();
            list.get(*place).copied()
        });
        items.push(item.unwrap_or_else(|| everyday(rng, &catalogue.everyday)));
    }
    items
}

/// How far a shopper moves on in a taste's list: mostly one, at times two, three or anywhere.
fn step(rng: &mut ChaCha8Rng, length: usize) -> usize {
    match rng.random_range(0_u8..20) {
        0..11 => 1,
        11..15 => 2,
        15..17 => 3,
        _ => rng.random_range(1..length),
    }
}

/// An everyday item: the one at rank `r` about in proportion to `1 / (r + 8)`.
fn everyday(rng: &mut ChaCha8Rng, items: &[u32]) -> u32 {
    let weighted: Vec<(usize, u32)> = items.iter().copied().enumerate().collect();
    weighted
        .choose_weighted(rng, |(rank, _)| 1.0 / (*rank as f64 + 8.0))
        .map_or(1, |(_, item)| *item)
}
