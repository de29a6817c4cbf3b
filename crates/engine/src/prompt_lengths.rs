//! What did not fit into the context of a language model, as notes of a run.

/// The notes of a run over features: whether even the shortest prompt of each was too long, and how
/// many of `what` were left out of its prompt.
pub(crate) fn notes(what: &str, features: impl Iterator<Item = (bool, usize)>) -> Vec<String> {
    let features: Vec<(bool, usize)> = features.collect();
    let mut notes = Vec::new();
    let n_too_long = features.iter().filter(|(too_long, _)| *too_long).count();
    if n_too_long > 0 {
        notes.push(format!(
            "{n_too_long} of {} features are not explained: prompt too long",
            features.len()
        ));
    }
    let left_out: Vec<usize> = features
        .iter()
        .map(|(_, n)| *n)
        .filter(|&n| n > 0)
        .collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "{} {what}, the weakest first, were left out of the prompts of {} features, which were \
             too long for the model with them",
            left_out.iter().sum::<usize>(),
            left_out.len()
        ));
    }
    notes
}
