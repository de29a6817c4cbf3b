//! Which part of a dataset a patient belongs to: a fixed function of the patient and a seed.

use schema::Split;

/// Share of patients whose samples are for training.
pub const TRAIN_SHARE: f64 = 0.7;

/// Share of patients on whose samples choices are made; the rest (20 %) is for testing.
pub const DEV_SHARE: f64 = 0.1;

/// The split of all samples of one patient (or report, or user).
///
/// The first 8 bytes of BLAKE3(seed ‖ group) as a share of 2⁶⁴: below 0.7 train, below 0.8 dev,
/// else test. It depends on nothing but `group` and `seed`, so no patient is in two splits, and
/// adding or leaving out rows moves nobody.
///
/// # Determinism
/// The same on every machine; the shares are met on average, not exactly.
pub fn split_of(group: &str, seed: u64) -> Split {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(group.as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // 53 bits, so that the share is exact in an f64 and never rounds up to 1.
    let share = (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64;
    if share < TRAIN_SHARE {
        Split::Train
    } else if share < TRAIN_SHARE + DEV_SHARE {
        Split::Dev
    } else {
        Split::Test
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_met_on_average() {
        let mut counts = [0_u32; 3];
        for patient in 0..20_000 {
            counts[split_of(&format!("patient {patient}"), 7) as usize] += 1;
        }
        assert!((13_700..14_300).contains(&counts[0]), "{counts:?}");
        assert!((1_850..2_150).contains(&counts[1]), "{counts:?}");
        assert!((3_800..4_200).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn seed_and_patient_decide_alone() {
        let first: Vec<Split> = (0..200).map(|p| split_of(&p.to_string(), 1)).collect();
        let again: Vec<Split> = (0..200).map(|p| split_of(&p.to_string(), 1)).collect();
        let other: Vec<Split> = (0..200).map(|p| split_of(&p.to_string(), 2)).collect();
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
}
