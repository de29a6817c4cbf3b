//! How alike the texts of a group are: cosine of TF-IDF vectors.

use std::collections::{BTreeMap, BTreeSet};

/// Vectors of texts, weighted by how rare each word is and of unit length.
///
/// # Source
/// As scikit-learn's `TfidfVectorizer` by default: words of two or more letters, digits or
/// underscores in lower case, `ln((1 + n) / (1 + df)) + 1`, lengths 1.
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdf {
    /// Of each text, word number and weight, by word.
    vectors: Vec<Vec<(u32, f64)>>,
}

impl TfIdf {
    /// Vectors of the texts.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<Vec<String>> = texts.into_iter().map(words_of).collect();
        let vocabulary: BTreeSet<&str> = words.iter().flatten().map(String::as_str).collect();
        let numbers: BTreeMap<&str, u32> = vocabulary.into_iter().zip(0..).collect();
        let counts: Vec<BTreeMap<u32, f64>> = words
            .iter()
            .map(|words| {
                let mut counts = BTreeMap::new();
                for word in words {
                    *counts.entry(numbers[word.as_str()]).or_insert(0.0) += 1.0;
                }
                counts
            })
            .collect();
        let mut with = vec![0.0_f64; numbers.len()];
        for word in counts.iter().flat_map(BTreeMap::keys) {
            with[*word as usize] += 1.0;
        }
        let n = counts.len() as f64;
        let vectors = counts
            .into_iter()
            .map(|counts| {
                let mut vector: Vec<(u32, f64)> = counts
                    .into_iter()
                    .map(|(word, count)| {
                        let rarity = ((1.0 + n) / (1.0 + with[word as usize])).ln() + 1.0;
                        (word, count * rarity)
                    })
                    .collect();
                let length = vector.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
                for (_, weight) in &mut vector {
                    *weight /= length;
                }
                vector
            })
            .collect();
        Self { vectors }
    }

    /// Cosine of two texts, by their place.
    pub fn cosine(&self, a: usize, b: usize) -> f64 {
        let (mut a, mut b) = (self.vectors[a].iter(), self.vectors[b].iter());
        let (mut left, mut right) = (a.next(), b.next());
        let mut sum = 0.0;
        while let (Some((i, x)), Some((j, y))) = (left, right) {
            if i == j {
                sum += x * y;
            }
            if i <= j {
                left = a.next();
            }
            if j <= i {
                right = b.next();
            }
        }
        sum
    }

    /// Mean cosine of all pairs of a group of texts; `None` for fewer than two.
    ///
    /// # Example
    /// Of two equal texts and one with no word in common: the pairs are 1, 0 and 0.
    /// ```
    /// let vectors = explain::TfIdf::of(["green tea", "green tea", "brownie bar"]);
    /// assert!((vectors.coherence(&[0, 1, 2]).unwrap() - 1.0 / 3.0).abs() < 1e-12);
    /// ```
    pub fn coherence(&self, group: &[usize]) -> Option<f64> {
        let mut sum = 0.0;
        let mut n = 0;
        for (at, &a) in group.iter().enumerate() {
            for &b in &group[at + 1..] {
                sum += self.cosine(a, b);
                n += 1;
            }
        }
        (n > 0).then(|| sum / f64::from(n))
    }
}

fn words_of(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.chars().count() >= 2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_scikit_learns() {
        // TfidfVectorizer().fit_transform(["a red apple", "red red car"]): rarity of red is 1, of
        // the others ln(3/2) + 1.
        let vectors = TfIdf::of(["a red apple", "red red car"]);
        let rare = 1.5_f64.ln() + 1.0;
        let expected = 2.0 / ((1.0 + rare * rare).sqrt() * (4.0 + rare * rare).sqrt());
        assert!((vectors.cosine(0, 1) - expected).abs() < 1e-12);
        assert!((vectors.cosine(1, 1) - 1.0).abs() < 1e-12);
        assert_eq!(vectors.coherence(&[0]), None);
        assert_eq!(TfIdf::of(["", "x"]).cosine(0, 1), 0.0);
    }
}
