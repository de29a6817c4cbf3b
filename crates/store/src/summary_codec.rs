//! Summaries of features as bytes: about a quarter of their size in JSON.

use schema::{CofiringFeature, ExampleRef, FeatureId, FeatureSummary, Neighbour};

/// Appends `summary`; the feature's number is not part of it.
pub(crate) fn encode_summary(summary: &FeatureSummary, bytes: &mut Vec<u8>) {
    let mut put = |word: u32| bytes.extend_from_slice(&word.to_le_bytes());
    put(summary.n_active_rows as u32);
    put((summary.n_active_rows >> 32) as u32);
    for value in [
        summary.density,
        summary.sample_density,
        summary.max_activation,
        summary.mean_activation,
    ] {
        put(value.to_bits());
    }
    put(summary.histogram.len() as u32);
    summary.histogram.iter().copied().for_each(&mut put);
    put_examples(&summary.top, &mut put);
    put(summary.quantiles.len() as u32);
    for band in &summary.quantiles {
        put_examples(band, &mut put);
    }
    put(summary.neighbours.len() as u32);
    for neighbour in &summary.neighbours {
        put(neighbour.feature.0);
        put(neighbour.cosine.to_bits());
    }
    put(summary.cofiring.len() as u32);
    for other in &summary.cofiring {
        put(other.feature.0);
        put(other.jaccard.to_bits());
    }
}

fn put_examples(examples: &[ExampleRef], put: &mut impl FnMut(u32)) {
    put(examples.len() as u32);
    for example in examples {
        put(example.sample);
        put(example.position);
        put(example.activation.to_bits());
    }
}

/// The summary of `feature` that was coded as `bytes`; `None` if they are something else.
pub(crate) fn decode_summary(feature: FeatureId, bytes: &[u8]) -> Option<FeatureSummary> {
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut words = Words { bytes };
    let low = u64::from(words.take()?);
    let summary = FeatureSummary {
        feature,
        n_active_rows: low | u64::from(words.take()?) << 32,
        density: words.float()?,
        sample_density: words.float()?,
        max_activation: words.float()?,
        mean_activation: words.float()?,
        histogram: words.list(1, Words::take)?,
        top: words.examples()?,
        quantiles: words.list(1, Words::examples)?,
        neighbours: words.list(2, |words| {
            Some(Neighbour {
                feature: FeatureId(words.take()?),
                cosine: words.float()?,
            })
        })?,
        cofiring: words.list(2, |words| {
            Some(CofiringFeature {
                feature: FeatureId(words.take()?),
                jaccard: words.float()?,
            })
        })?,
    };
    words.bytes.is_empty().then_some(summary)
}

struct Words<'a> {
    bytes: &'a [u8],
}

impl Words<'_> {
    fn take(&mut self) -> Option<u32> {
        let (word, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn float(&mut self) -> Option<f32> {
        self.take().map(f32::from_bits)
    }

    /// A list whose elements take at least `words_each` words, so that a wrong length asks for
    /// no memory.
    fn list<T>(
        &mut self,
        words_each: usize,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = self.take()? as usize;
        if length > self.bytes.len() / (4 * words_each) {
            return None;
        }
        (0..length).map(|_| element(self)).collect()
    }

    fn examples(&mut self) -> Option<Vec<ExampleRef>> {
        self.list(3, |words| {
            Some(ExampleRef {
                sample: words.take()?,
                position: words.take()?,
                activation: words.float()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_round_trip_and_damage_is_no_panic() {
        let example = ExampleRef {
            sample: 1,
            position: 2,
            activation: 0.5,
        };
        let summary = FeatureSummary {
            feature: FeatureId(7),
            n_active_rows: (3 << 32) | 5,
            density: 0.25,
            histogram: vec![1, 2, 3],
            top: vec![example; 3],
            quantiles: vec![vec![example], vec![]],
            neighbours: vec![Neighbour {
                feature: FeatureId(1),
                cosine: -0.5,
            }],
            cofiring: vec![CofiringFeature {
                feature: FeatureId(2),
                jaccard: 0.125,
            }],
            ..FeatureSummary::default()
        };
        let mut bytes = Vec::new();
        encode_summary(&summary, &mut bytes);
        assert_eq!(decode_summary(FeatureId(7), &bytes), Some(summary));
        for length in 0..bytes.len() {
            assert_eq!(decode_summary(FeatureId(7), &bytes[..length]), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            decode_summary(FeatureId(7), &damaged);
        }
    }
}
