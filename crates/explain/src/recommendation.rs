//! What a set of ranked lists comes to: how many items it shows, how evenly, how popular ones.

/// Share of the catalogue that is in at least one list, in `[0, 1]`; higher is broader.
///
/// # Example
/// Lists 1 2 and 2 3 over five items: 3/5.
/// ```
/// assert_eq!(explain::coverage(&[vec![1, 2], vec![2, 3]], 5), 0.6);
/// ```
pub fn coverage(lists: &[Vec<u32>], n_items: u32) -> f64 {
    let counts = counts(lists, n_items);
    counts.iter().filter(|&&n| n > 0).count() as f64 / f64::from(n_items.max(1))
}

/// Gini coefficient of how often each item of the catalogue is in a list, in `[0, 1]`: 0 when all
/// are as often, towards 1 when one has all places; lower is more even.
///
/// # Example
/// Places 0, 0, 0 and 4: `(2 · (1·0 + 2·0 + 3·0 + 4·4) / (4 · 4)) − 5/4 = 0.75`.
/// ```
/// assert_eq!(explain::gini(&[vec![4, 4], vec![4, 4]], 4), 0.75);
/// ```
pub fn gini(lists: &[Vec<u32>], n_items: u32) -> f64 {
    let mut counts = counts(lists, n_items);
    counts.sort_unstable();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let n = counts.len() as f64;
    let weighted: f64 = (1..)
        .zip(&counts)
        .map(|(place, &count): (u64, &u64)| place as f64 * count as f64)
        .sum();
    2.0 * weighted / (n * total as f64) - (n + 1.0) / n
}

/// Mean over all places of a number that each item has, e.g. its popularity; `None` without places.
///
/// # Shapes
/// - `of_item`: `[n_items + 1]`, by item id
///
/// # Example
/// ```
/// assert_eq!(explain::mean_over_places(&[vec![1, 2], vec![2]], &[0.0, 3.0, 6.0]), Some(5.0));
/// ```
pub fn mean_over_places(lists: &[Vec<u32>], of_item: &[f64]) -> Option<f64> {
    let places = lists.iter().flatten();
    let n = places.clone().count();
    let sum: f64 = places.map(|&item| of_item[item as usize]).sum();
    (n > 0).then(|| sum / n as f64)
}

/// Of each list the share of its places that a set of items holds, in `[0, 1]`; 0 for an empty list.
///
/// # Shapes
/// - `is_member`: `[n_items + 1]`, by item id
///
/// # Example
/// ```
/// let shares = explain::shares_of(&[vec![1, 2], vec![2]], &[false, true, false]);
/// assert_eq!(shares, [0.5, 0.0]);
/// ```
pub fn shares_of(lists: &[Vec<u32>], is_member: &[bool]) -> Vec<f64> {
    lists
        .iter()
        .map(|list| {
            let n = list
                .iter()
                .filter(|&&item| is_member[item as usize])
                .count();
            n as f64 / list.len().max(1) as f64
        })
        .collect()
}

fn counts(lists: &[Vec<u32>], n_items: u32) -> Vec<u64> {
    let mut counts = vec![0; n_items as usize];
    for &item in lists.iter().flatten() {
        if let Some(count) = counts.get_mut((item as usize).wrapping_sub(1)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_spread_has_no_gini() {
        assert_eq!(gini(&[vec![1, 2], vec![3, 4]], 4), 0.0);
        assert_eq!(gini(&[], 4), 0.0);
        let one = gini(&[vec![1; 100]], 1000);
        assert!((one - 0.999).abs() < 1e-12, "{one}");
    }

    #[test]
    fn empty_lists_are_no_fault() {
        assert_eq!(coverage(&[vec![]], 3), 0.0);
        assert_eq!(mean_over_places(&[vec![]], &[0.0]), None);
        assert_eq!(shares_of(&[vec![]], &[false]), [0.0]);
    }
}
