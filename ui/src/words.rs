//! The few technical words that the window cannot do without, each explained in one sentence.

/// Word and sentence, in the order of the sheet.
pub(crate) const WORDS: [(&str, &str); 11] = [
    (
        "Feature",
        "One direction inside the model that the dictionary has learnt; it is active where the \
         model finds what the direction stands for",
    ),
    (
        "Activation",
        "How strongly a feature is active at one place: a patch, a word piece, an item",
    ),
    ("Density", "Share of places at which a feature is active"),
    (
        "AUROC",
        "How well the activation tells samples with a finding from samples without: 0.5 is chance, \
         1 is perfect",
    ),
    (
        "Log-odds",
        "How much more often the finding is there where the feature is strongly active: 0 is no \
         difference",
    ),
    (
        "q",
        "p value after correction for the number of findings tested; below 0.05 it holds",
    ),
    (
        "FVU",
        "Share of the model's signal that the dictionary cannot reproduce: lower is better",
    ),
    ("L0", "Features active at one place, on average"),
    (
        "Dead",
        "Features that are never active on the indexed samples",
    ),
    (
        "HR@5",
        "Share of the users whose held-out item is among the first 5 recommended",
    ),
    (
        "NDCG@5",
        "As HR@5, but an item counts the less the further down it stands: 1 is perfect",
    ),
];

/// The sentences of some words, a line each.
pub(crate) fn of(words: &[&str]) -> String {
    let lines: Vec<String> = WORDS
        .iter()
        .filter(|(word, _)| words.contains(word))
        .map(|(word, sentence)| format!("{word}: {sentence}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_words_are_explained_in_order() {
        let text = of(&["q", "AUROC"]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("AUROC: "));
    }
}
