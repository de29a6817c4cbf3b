//! Parts of reports around the places where a feature is active, and others where it is silent.

use std::collections::{BTreeMap, BTreeSet};

use explain::Passage;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{PositionClass, SampleRecord, Split};

use super::activity::{Activity, Place};
use crate::indexed::IndexedDictionary;
use crate::views::ExampleKind;

/// Tokens of a passage: sentences are joined below the first, and cut above the second.
const TOKENS: [usize; 2] = [10, 60];
/// Share of films that count as activating, strongest first: most features are active somewhere on
/// almost every film.
const FILM_SHARE: f64 = 0.2;
/// Samples of each part that a feature must be active on, or its own samples are divided anew.
const FEW: usize = 2;
/// Passages that keywords are found in, active and silent ones.
const DOCUMENTS: [usize; 2] = [100, 200];
/// How often a silent passage is looked for, per passage wanted.
const TRIES: usize = 20;

/// A passage of the test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TestCase {
    pub(super) passage: Passage,
    pub(super) sample: u32,
    /// Number of the sample's patient.
    pub(super) group: u32,
    pub(super) is_active: bool,
    /// Silent, but a feature of near direction or one that is often active along with it is there.
    pub(super) is_hard: bool,
}

/// What a feature is explained from, and what it is tested on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PassageCases {
    pub(super) construction: Vec<(u32, Passage)>,
    pub(super) tests: Vec<TestCase>,
    /// Where the feature is most often strongest.
    pub(super) section: PositionClass,
    /// Samples it is active on.
    pub(super) n_active: usize,
    /// The dataset's own split left one part with less than two activating samples.
    pub(super) is_divided_anew: bool,
}

impl PassageCases {
    /// Whether the feature is active, by test case.
    pub(super) fn truth(&self) -> Vec<bool> {
        self.tests.iter().map(|case| case.is_active).collect()
    }
}

/// How many passages there are of each kind at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HowMany {
    pub(super) construction: usize,
    pub(super) tests: usize,
}

/// Chooses passages of features.
pub(super) struct Chooser<'a> {
    indexed: &'a IndexedDictionary,
    how_many: HowMany,
    seed: u64,
    /// By sample: number of its patient.
    groups: Vec<u32>,
    /// By sample: whether explanations are made from it; else they are tested on it.
    constructs: Vec<bool>,
    /// Whether what tells who someone is is taken out of passages.
    pub(super) without_identity: bool,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(indexed: &'a IndexedDictionary, how_many: HowMany, seed: u64) -> Self {
        let n = (indexed.harvest.n_samples as usize).min(indexed.dataset.records.len());
        let records = &indexed.dataset.records[..n];
        let mut known: BTreeMap<&str, u32> = BTreeMap::new();
        let groups = records
            .iter()
            .map(|record| {
                let next = known.len() as u32;
                *known.entry(record.group.as_str()).or_insert(next)
            })
            .collect::<Vec<u32>>();
        let has_held_out = records.iter().any(|record| record.split != Split::Train)
            && records.iter().any(|record| record.split == Split::Train);
        let constructs = records
            .iter()
            .zip(&groups)
            .map(|(record, &group)| {
                if has_held_out {
                    record.split == Split::Train
                } else {
                    is_even(group, seed)
                }
            })
            .collect();
        Self {
            indexed,
            how_many,
            seed,
            groups,
            constructs,
            without_identity: false,
        }
    }

    /// The number of a sample's patient.
    fn group(&self, sample: u32) -> u32 {
        self.groups.get(sample as usize).copied().unwrap_or(0)
    }

    /// Whether anything can be read of the samples.
    pub(super) fn has_texts(&self) -> bool {
        match self.indexed.kind {
            ExampleKind::Text => true,
            ExampleKind::Film => self
                .records()
                .iter()
                .any(|record| said_of(record).is_some()),
            ExampleKind::History => false,
        }
    }

    fn records(&self) -> &[SampleRecord] {
        &self.indexed.dataset.records[..self.groups.len()]
    }

    /// Passages of one feature; `None` where there are too few: two of different patients to explain
    /// from, two to test on, and some on which it is silent.
    pub(super) fn cases(&self, activity: &Activity<'_>, feature: u32) -> Option<PassageCases> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(feature));
        let places = activity.places(feature);
        let by_sample = by_sample(&places);
        let strongest = self.strongest(&by_sample);
        let n_active = strongest.len();
        let section = most_frequent(&strongest)?;
        let (mut explained, mut tested): (Vec<&Place>, Vec<&Place>) = strongest
            .iter()
            .partition(|place| self.constructs[place.sample as usize]);
        let is_divided_anew = explained.len() < FEW || tested.len() < FEW;
        if is_divided_anew {
            (explained, tested) = (Vec::new(), Vec::new());
            for (at, place) in strongest.iter().enumerate() {
                if at % 2 == 0 {
                    explained.push(place);
                } else {
                    tested.push(place);
                }
            }
        }
        if explained.len() < FEW || tested.len() < FEW {
            return None;
        }
        let construction: Vec<(u32, Passage)> = spread(&explained, self.how_many.construction)
            .into_iter()
            .filter_map(|place| Some((place.sample, self.passage(place, &by_sample)?)))
            .collect();
        let mut tests: Vec<TestCase> = spread(&tested, self.how_many.tests)
            .into_iter()
            .filter_map(|place| {
                Some(TestCase {
                    passage: self.passage(place, &by_sample)?,
                    sample: place.sample,
                    group: self.group(place.sample),
                    is_active: true,
                    is_hard: false,
                })
            })
            .collect();
        let n_wanted = tests.len();
        let seen: BTreeSet<u32> = construction
            .iter()
            .map(|(sample, _)| self.group(*sample))
            .collect();
        let may_test = |sample: u32| {
            !seen.contains(&self.group(sample))
                && (is_divided_anew || !self.constructs[sample as usize])
        };
        let silent = Silent {
            chooser: self,
            by_sample: &by_sample,
            section,
            weak: self.weaker_half(&by_sample),
            may: &may_test,
        };
        let hard = silent.hard(activity, feature, n_wanted / 2);
        let others = silent.drawn(n_wanted - hard.len(), &hard, &mut rng);
        if construction.len() < FEW || n_wanted < FEW || hard.len() + others.len() < FEW {
            return None;
        }
        tests.extend(hard);
        tests.extend(others);
        tests.shuffle(&mut rng);
        Some(PassageCases {
            construction,
            tests,
            section,
            n_active,
            is_divided_anew,
        })
    }

    /// The strongest place of each sample that counts as activating, strongest first, one of each
    /// patient.
    fn strongest(&self, by_sample: &BTreeMap<u32, Vec<Place>>) -> Vec<Place> {
        let mut strongest: Vec<Place> = by_sample
            .iter()
            .filter(|(sample, _)| (**sample as usize) < self.groups.len())
            .filter_map(|(_, places)| {
                places
                    .iter()
                    .copied()
                    .reduce(|best, one| if one.value > best.value { one } else { best })
            })
            .filter(|place| self.can_be_shown(place))
            .collect();
        strongest.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.sample.cmp(&b.sample)));
        if self.indexed.kind == ExampleKind::Film {
            let most = (FILM_SHARE * self.groups.len() as f64).ceil() as usize;
            strongest.truncate(most);
        }
        let mut met = BTreeSet::new();
        strongest.retain(|place| met.insert(self.group(place.sample)));
        strongest
    }

    /// The median over samples of a feature's highest activation.
    fn weaker_half(&self, by_sample: &BTreeMap<u32, Vec<Place>>) -> f32 {
        let mut maxima: Vec<f32> = by_sample.values().map(|places| highest(places)).collect();
        maxima.resize(self.groups.len().max(maxima.len()), 0.0);
        maxima.sort_by(f32::total_cmp);
        maxima.get(maxima.len() / 2).copied().unwrap_or(0.0)
    }

    /// Passages of the construction part, the strongest and as many more on which the feature is
    /// silent: what keywords are found in. The test takes no part.
    pub(super) fn documents(
        &self,
        activity: &Activity<'_>,
        feature: u32,
        cases: &PassageCases,
    ) -> Vec<Passage> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(feature));
        let by_sample = by_sample(&activity.places(feature));
        let tested: BTreeSet<u32> = cases.tests.iter().map(|at| at.group).collect();
        let may = |sample: u32| {
            !tested.contains(&self.group(sample))
                && (cases.is_divided_anew || self.constructs[sample as usize])
        };
        let [n_active, n_silent] = DOCUMENTS;
        let strongest = self.strongest(&by_sample);
        let active = strongest.iter().filter(|place| may(place.sample));
        let mut documents: Vec<Passage> = active
            .take(n_active)
            .filter_map(|place| self.passage(place, &by_sample))
            .collect();
        let silent = Silent {
            chooser: self,
            by_sample: &by_sample,
            section: cases.section,
            weak: self.weaker_half(&by_sample),
            may: &may,
        };
        let others = silent.drawn(n_silent, &[], &mut rng);
        documents.extend(others.into_iter().map(|case| case.passage));
        documents
    }

    /// Samples of which something is said and that keywords of films are found in: those that
    /// explanations are made from, or, for a feature whose samples were divided anew, all but those
    /// of the patients it is tested on.
    pub(super) fn keyword_samples(&self, divided_anew: &[TestCase]) -> Vec<u32> {
        let tested: BTreeSet<u32> = divided_anew.iter().map(|at| at.group).collect();
        (0..)
            .zip(self.records())
            .filter(|&(sample, record)| {
                let constructs = if tested.is_empty() {
                    self.constructs[sample as usize]
                } else {
                    !tested.contains(&self.group(sample))
                };
                constructs && said_of(record).is_some()
            })
            .map(|(sample, _)| sample)
            .collect()
    }

    /// Whether places within a text are known, and not only the whole.
    pub(super) fn is_by_token(&self) -> bool {
        self.indexed.kind == ExampleKind::Text
    }

    fn can_be_shown(&self, place: &Place) -> bool {
        match self.indexed.kind {
            ExampleKind::Text => self.indexed.sidecar(place.sample).is_some(),
            ExampleKind::Film => said_of(&self.records()[place.sample as usize]).is_some(),
            ExampleKind::History => false,
        }
    }

    fn passage(&self, place: &Place, by_sample: &BTreeMap<u32, Vec<Place>>) -> Option<Passage> {
        let passage = self.whole_passage(place, by_sample)?;
        Some(if self.without_identity {
            passage.deidentified()
        } else {
            passage
        })
    }

    fn whole_passage(
        &self,
        place: &Place,
        by_sample: &BTreeMap<u32, Vec<Place>>,
    ) -> Option<Passage> {
        if self.indexed.kind == ExampleKind::Film {
            return Some(Passage {
                tokens: vec![said_of(self.records().get(place.sample as usize)?)?],
                activations: Vec::new(),
                strongest: place.value,
            });
        }
        let sidecar = self.indexed.sidecar(place.sample)?;
        let [from, to] = window(&sidecar.texts, &sidecar.classes, place.position as usize)?;
        let mut activations = vec![0.0_f32; to - from];
        for at in by_sample.get(&place.sample).into_iter().flatten() {
            let position = at.position as usize;
            if (from..to).contains(&position) {
                let slot = &mut activations[position - from];
                *slot = slot.max(at.value);
            }
        }
        Some(Passage {
            tokens: spaced(&sidecar.texts[from..to]),
            strongest: activations.iter().copied().fold(0.0, f32::max),
            activations,
        })
    }
}

/// Finds passages on which a feature is silent.
struct Silent<'a> {
    chooser: &'a Chooser<'a>,
    by_sample: &'a BTreeMap<u32, Vec<Place>>,
    section: PositionClass,
    /// A film on which the feature is not stronger is among the weaker half.
    weak: f32,
    may: &'a dyn Fn(u32) -> bool,
}

impl Silent<'_> {
    /// The passage around a place, if the feature is silent there.
    fn at(&self, place: &Place, is_hard: bool) -> Option<TestCase> {
        let is_film = self.chooser.indexed.kind == ExampleKind::Film;
        // A film is one passage, and most features are active somewhere on most films.
        let own = self
            .by_sample
            .get(&place.sample)
            .map_or(0.0, |at| highest(at));
        if is_film && own > self.weak {
            return None;
        }
        let mut passage = self.chooser.passage(place, self.by_sample)?;
        if is_film {
            passage.strongest = 0.0;
        }
        (passage.strongest <= 0.0).then_some(TestCase {
            passage,
            sample: place.sample,
            group: self.chooser.group(place.sample),
            is_active: false,
            is_hard,
        })
    }

    /// Passages at the strongest places of near features, where this one is silent, by turns.
    fn hard(&self, activity: &Activity<'_>, feature: u32, wanted: usize) -> Vec<TestCase> {
        let lists: Vec<Vec<Place>> = activity
            .nearby(feature)
            .into_iter()
            .map(|other| {
                let mut places = activity.places(other);
                places.retain(|place| (self.may)(place.sample));
                places.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.sample.cmp(&b.sample)));
                places.truncate(4 * wanted.max(1));
                places
            })
            .collect();
        let mut found: Vec<TestCase> = Vec::new();
        let mut met = BTreeSet::new();
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..longest {
            for list in &lists {
                if found.len() == wanted {
                    return found;
                }
                let Some(place) = list.get(at) else { continue };
                if met.contains(&self.chooser.group(place.sample)) {
                    continue;
                }
                if let Some(case) = self.at(place, true) {
                    met.insert(self.chooser.group(place.sample));
                    found.push(case);
                }
            }
        }
        found
    }

    /// Passages of the same section drawn at random, one of each patient.
    fn drawn(&self, wanted: usize, taken: &[TestCase], rng: &mut ChaCha8Rng) -> Vec<TestCase> {
        let chooser = self.chooser;
        let mut met: BTreeSet<u32> = taken.iter().map(|case| case.group).collect();
        let candidates: Vec<u32> = (0..chooser.groups.len() as u32)
            .filter(|&sample| (self.may)(sample))
            .collect();
        let mut found = Vec::new();
        for &sample in candidates.choose_multiple(rng, candidates.len().min(TRIES * wanted.max(1)))
        {
            if found.len() == wanted {
                break;
            }
            if met.contains(&chooser.group(sample)) {
                continue;
            }
            let Some(position) = self.some_position(sample, rng) else {
                continue;
            };
            let place = Place {
                sample,
                position,
                class: self.section,
                value: 0.0,
            };
            if chooser.can_be_shown(&place)
                && let Some(case) = self.at(&place, false)
            {
                met.insert(chooser.group(sample));
                found.push(case);
            }
        }
        found
    }

    fn some_position(&self, sample: u32, rng: &mut ChaCha8Rng) -> Option<u32> {
        if self.chooser.indexed.kind == ExampleKind::Film {
            return Some(0);
        }
        let classes = &self.chooser.indexed.sidecar(sample)?.classes;
        let of_section: Vec<u32> = (0..)
            .zip(classes)
            .filter(|(_, class)| **class == self.section)
            .map(|(position, _)| position)
            .collect();
        if of_section.is_empty() {
            return None;
        }
        Some(of_section[rng.random_range(0..of_section.len())])
    }
}

/// Tokens with the spaces they stand for: those of a tokenizer of whole words have none.
fn spaced(tokens: &[String]) -> Vec<String> {
    if tokens.iter().any(|token| token.contains([' ', '\n'])) {
        return tokens.to_vec();
    }
    let begins_word = |token: &String| token.starts_with(char::is_alphanumeric);
    tokens
        .iter()
        .enumerate()
        .map(|(at, token)| {
            if at > 0 && begins_word(token) {
                format!(" {token}")
            } else {
                token.clone()
            }
        })
        .collect()
}

fn highest(places: &[Place]) -> f32 {
    places.iter().map(|at| at.value).fold(0.0, f32::max)
}

fn by_sample(places: &[Place]) -> BTreeMap<u32, Vec<Place>> {
    let mut found: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for place in places {
        found.entry(place.sample).or_default().push(*place);
    }
    found
}

fn most_frequent(places: &[Place]) -> Option<PositionClass> {
    let mut counts: BTreeMap<u8, (usize, PositionClass)> = BTreeMap::new();
    for place in places {
        counts
            .entry(place.class as u8)
            .or_insert((0, place.class))
            .0 += 1;
    }
    let most = counts.into_values().max_by_key(|(n, _)| *n)?;
    Some(most.1)
}

/// So many of a list at even distances, its first among them.
fn spread<'a>(list: &[&'a Place], n: usize) -> Vec<&'a Place> {
    let n = n.min(list.len());
    (0..n).map(|i| list[i * list.len() / n]).collect()
}

/// What is said of a film in words: findings first, where a long report could be cut, then the report.
pub(super) fn said_of(record: &SampleRecord) -> Option<String> {
    let report = record.report.as_ref().map(schema::Report::text);
    let report = report.filter(|text| !text.trim().is_empty());
    let findings = match record.findings.as_deref() {
        Some([]) if report.is_none() => Some("No finding.".to_owned()),
        Some([]) | None => None,
        Some(findings) => Some(format!("{}.", findings.join(", "))),
    };
    match (findings, report) {
        (None, None) => None,
        (Some(text), None) | (None, Some(text)) => Some(text),
        (Some(findings), Some(report)) => Some(format!("{findings} {report}")),
    }
}

/// The sentence around a position within its section, with its neighbours where it is short.
fn window(texts: &[String], classes: &[PositionClass], at: usize) -> Option<[usize; 2]> {
    let class = *classes.get(at)?;
    let n = texts.len().min(classes.len());
    let section_from = (0..at)
        .rev()
        .find(|&i| classes[i] != class)
        .map_or(0, |i| i + 1);
    let section_to = (at..n).find(|&i| classes[i] != class).unwrap_or(n);
    let ends = |i: usize| {
        let word = texts[i].trim_end_matches([' ', '"', ')']);
        word.ends_with(['.', '!', '?', ';', '\n'])
    };
    let begin_before = |i: usize| {
        (section_from..i)
            .rev()
            .find(|&j| ends(j))
            .map_or(section_from, |j| j + 1)
    };
    let end_after = |i: usize| {
        (i..section_to)
            .find(|&j| ends(j))
            .map_or(section_to, |j| j + 1)
    };
    let [least, most] = TOKENS;
    let mut from = begin_before(at);
    let mut to = end_after(at);
    while to - from < least && (from > section_from || to < section_to) {
        if to < section_to {
            to = end_after(to);
        } else {
            from = begin_before(from - 1);
        }
    }
    if to - from > most {
        from = from.max(at.saturating_sub(most / 2));
        to = to.min(from + most);
    }
    Some([from, to])
}

/// Whether a patient's number falls into the first half of a division by the seed.
fn is_even(group: u32, seed: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(group));
    rng.random_range(0..2_u32) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_the_sentence_with_its_neighbours_in_the_section() {
        let words = "Chest pain . The heart is large . No effusion . Lungs are clear and there is no focal consolidation or edema . Normal .";
        let texts: Vec<String> = words.split(' ').map(|word| format!(" {word}")).collect();
        let mut classes = vec![PositionClass::Report; texts.len()];
        classes[..3].fill(PositionClass::Indication);
        let shown = |at: usize| {
            let [from, to] = window(&texts, &classes, at).unwrap();
            texts[from..to].concat().trim().to_owned()
        };
        assert_eq!(shown(0), "Chest pain .");
        assert!(shown(4).starts_with("The heart is large . No effusion ."));
        let long = shown(14);
        assert!(
            long.starts_with("Lungs are") && long.ends_with("edema ."),
            "{long}"
        );
        assert!(shown(texts.len() - 1).ends_with("Normal ."));
        assert_eq!(window(&texts, &classes, 99), None);
        // One sentence longer than a passage may be.
        let endless = vec![" word".to_owned(); 300];
        let same = vec![PositionClass::Report; 300];
        let [from, to] = window(&endless, &same, 200).unwrap();
        assert!(to - from == 60 && (from..to).contains(&200));
    }

    #[test]
    fn whole_words_are_set_apart() {
        let words = ["no", "effusion", ".", "clear"].map(str::to_owned);
        assert_eq!(spaced(&words).concat(), "no effusion. clear");
        let pieces = [" no", " eff", "usion", "."].map(str::to_owned);
        assert_eq!(spaced(&pieces), pieces);
    }

    #[test]
    fn films_are_told_by_report_or_findings() {
        let mut record = SampleRecord::default();
        assert_eq!(said_of(&record), None);
        record.findings = Some(Vec::new());
        assert_eq!(said_of(&record).unwrap(), "No finding.");
        record.findings = Some(vec!["Mass".to_owned(), "Hernia".to_owned()]);
        assert_eq!(said_of(&record).unwrap(), "Mass, Hernia.");
        record.report = Some(schema::Report {
            impression: "A mass.".to_owned(),
            ..schema::Report::default()
        });
        assert_eq!(said_of(&record).unwrap(), "Mass, Hernia. A mass.");
    }
}
