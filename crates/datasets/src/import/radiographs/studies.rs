//! Hangs the films of a study together: laterals beside their frontal film, earlier frontal films
//! beside later ones.
//!
//! Every frontal film stays a sample, so that models see what they saw before. A lateral film of a
//! study with a frontal one becomes a further film of each frontal film there and no sample of its own;
//! in a study without one it stays a sample, as does a film whose view is not stated. Earlier studies
//! are told by dates or numbers that are compared and then forgotten.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use schema::{FilmRole, FurtherFilm, ImageRef, SampleRecord};

use super::super::counted;

/// Most earlier studies that hang beside a film.
const MAX_PRIORS: usize = 4;

/// What ties a film to others. Nothing of it is stored.
#[derive(Debug, Default, Clone)]
pub(super) struct Tie {
    /// The patient, where one is stated.
    pub(super) patient: Option<String>,
    /// The study within the patient, where one is stated.
    pub(super) study: Option<String>,
    /// Date or number of the study.
    pub(super) when: Option<String>,
}

/// Films as samples, and lines that say what was tied.
pub(super) struct Hung {
    pub(super) records: Vec<SampleRecord>,
    pub(super) recognised: Vec<String>,
}

/// Ties `records`; `ties` are in their order.
pub(super) fn hang(mut records: Vec<SampleRecord>, ties: &[Tie]) -> Hung {
    let roles: Vec<Option<FilmRole>> = records
        .iter()
        .map(|record| FilmRole::of_view(record.facts.get("view")?))
        .collect();
    let studies = by_study(ties);
    let priors = priors(&roles, ties, &studies);
    let mut absorbed = BTreeSet::new();
    for films in studies.values() {
        keep_in_one_split(&mut records, films, ties);
        let of = |wanted: FilmRole| -> Vec<usize> {
            let all = films.iter().copied();
            all.filter(|&i| roles[i] == Some(wanted)).collect()
        };
        for frontal in of(FilmRole::Frontal) {
            for lateral in of(FilmRole::Lateral) {
                let beside = records[lateral].clone();
                let record = &mut records[frontal];
                record
                    .further
                    .extend(further(&beside, FilmRole::Lateral, None));
                record.report = record.report.take().or(beside.report);
                record.findings = record.findings.take().or(beside.findings);
                absorbed.insert(lateral);
            }
        }
    }
    for (&film, earlier) in &priors {
        let hung = earlier
            .iter()
            .filter_map(|&(before, prior)| further(&records[prior], FilmRole::Prior, Some(before)));
        let hung: Vec<FurtherFilm> = hung.collect();
        records[film].further.extend(hung);
    }
    let mut recognised = Vec::new();
    if !absorbed.is_empty() {
        recognised.push(format!(
            "{} beside the frontal films of their studies, no samples of their own",
            counted(absorbed.len(), "lateral film", "lateral films")
        ));
    }
    if !priors.is_empty() {
        recognised.push(format!(
            "{} with films of earlier studies beside them",
            counted(priors.len(), "film", "films")
        ));
    }
    let kept = records.into_iter().enumerate();
    Hung {
        records: kept
            .filter(|(i, _)| !absorbed.contains(i))
            .map(|(_, record)| record)
            .collect(),
        recognised,
    }
}

type StudyKey<'a> = (Option<&'a str>, &'a str);

/// Films of each study that is stated, in their order.
fn by_study(ties: &[Tie]) -> BTreeMap<StudyKey<'_>, Vec<usize>> {
    let mut studies: BTreeMap<StudyKey<'_>, Vec<usize>> = BTreeMap::new();
    for (i, tie) in ties.iter().enumerate() {
        if let Some(study) = &tie.study {
            let key = (tie.patient.as_deref(), study.as_str());
            studies.entry(key).or_default().push(i);
        }
    }
    studies
}

/// For each frontal film that has some, the first frontal films of earlier studies of its patient, the
/// latest first, with how many studies before each is.
fn priors(
    roles: &[Option<FilmRole>],
    ties: &[Tie],
    studies: &BTreeMap<StudyKey<'_>, Vec<usize>>,
) -> BTreeMap<usize, Vec<(u32, usize)>> {
    let is_frontal = |i: &&usize| roles[**i] == Some(FilmRole::Frontal);
    // Of each patient: when each study was, and its frontal films.
    let mut patients: BTreeMap<&str, Vec<(&str, Vec<usize>)>> = BTreeMap::new();
    for ((patient, _), films) in studies {
        let when = films
            .iter()
            .find_map(|&i| ties[i].when.as_deref())
            .filter(|when| is_ordered(when));
        if let (Some(patient), Some(when)) = (patient, when) {
            let frontal = films.iter().filter(is_frontal).copied().collect();
            patients.entry(patient).or_default().push((when, frontal));
        }
    }
    let mut priors = BTreeMap::new();
    for mut studies in patients.into_values() {
        studies.sort_by(|a, b| earlier(a.0, b.0));
        for (at, (when, films)) in studies.iter().enumerate() {
            let before = studies[..at]
                .iter()
                .filter(|other| earlier(other.0, when) == Ordering::Less)
                .rev()
                .zip(1..)
                .filter_map(|((_, films), n)| Some((n, *films.first()?)))
                .take(MAX_PRIORS);
            let before: Vec<(u32, usize)> = before.collect();
            if !before.is_empty() {
                priors.extend(films.iter().map(|&film| (film, before.clone())));
            }
        }
    }
    priors
}

/// A number, or a date from the year down: `12/01/2018` tells no order by its characters.
fn is_ordered(when: &str) -> bool {
    let bytes = when.as_bytes();
    when.parse::<f64>().is_ok_and(f64::is_finite)
        || (bytes.len() >= 10
            && bytes[..4].iter().all(u8::is_ascii_digit)
            && !bytes[4].is_ascii_digit())
}

/// Numbers by value and before dates, dates as they are written.
fn earlier(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        _ => a.cmp(b),
    }
}

/// Films of one study without a stated patient count as one patient: that of the first.
fn keep_in_one_split(records: &mut [SampleRecord], films: &[usize], ties: &[Tie]) {
    let [first, others @ ..] = films else { return };
    if ties[*first].patient.is_some() {
        return;
    }
    let (group, split) = (records[*first].group.clone(), records[*first].split);
    for &other in others {
        records[other].group.clone_from(&group);
        records[other].split = split;
    }
}

fn further(record: &SampleRecord, role: FilmRole, before: Option<u32>) -> Option<FurtherFilm> {
    let image: ImageRef = record.image.clone()?;
    Some(FurtherFilm {
        role,
        id: record.id.clone(),
        image,
        view: record.facts.get("view").cloned(),
        studies_before: before,
        boxes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use FilmRole::{Lateral, Prior};
    use schema::Split;

    use super::*;

    fn film(id: &str, view: &str) -> SampleRecord {
        SampleRecord {
            id: id.to_owned(),
            group: id.to_owned(),
            split: if id.len().is_multiple_of(2) {
                Split::Test
            } else {
                Split::Train
            },
            image: Some(ImageRef {
                path: format!("/{id}.png"),
                hash: String::new(),
                width: 8,
                height: 6,
            }),
            facts: [("view".to_owned(), view.to_owned())].into(),
            ..SampleRecord::default()
        }
    }

    fn tie(patient: &str, study: &str, when: &str) -> Tie {
        let stated = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Tie {
            patient: stated(patient),
            study: stated(study),
            when: stated(when),
        }
    }

    fn ids(record: &SampleRecord) -> Vec<(&str, FilmRole, Option<u32>)> {
        let all = record.further.iter();
        all.map(|film| (film.id.as_str(), film.role, film.studies_before))
            .collect()
    }

    #[test]
    fn laterals_hang_beside_and_earlier_studies_behind() {
        let records = vec![
            film("c-side", "LL"),
            film("c", "PA"),
            film("a", "AP"),
            film("a-side", "LATERAL"),
            film("b", "PA"),
            film("other", "PA"),
        ];
        let ties = [
            tie("p", "3", "20200103"),
            tie("p", "3", "20200103"),
            tie("p", "1", "20190101"),
            tie("p", "1", "20190101"),
            tie("p", "2", "20191224"),
            tie("q", "1", "20180101"),
        ];
        let hung = hang(records, &ties).records;
        let names: Vec<&str> = hung.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(names, ["c", "a", "b", "other"]);
        let expected = [
            ("c-side", Lateral, None),
            ("b", Prior, Some(1)),
            ("a", Prior, Some(2)),
        ];
        assert_eq!(ids(&hung[0]), expected);
        assert_eq!(ids(&hung[1]), [("a-side", Lateral, None)]);
        assert_eq!(ids(&hung[2]), [("a", Prior, Some(1))]);
        assert!(hung[3].further.is_empty());
        let text = serde_json::to_string(&hung).unwrap();
        assert!(!text.contains("2019") && !text.contains("2020"), "{text}");
    }

    #[test]
    fn dates_that_begin_with_a_day_tell_no_order() {
        let records = vec![film("a", "PA"), film("b", "PA")];
        let of = |first: &str, second: &str| {
            let ties = [tie("p", "x", first), tie("p", "y", second)];
            let hung = hang(records.clone(), &ties).records;
            hung.iter().map(|one| one.further.len()).collect::<Vec<_>>()
        };
        assert_eq!(of("12/01/2018", "01/05/2019"), [0, 0]);
        assert_eq!(of("2018-01-12", "2019-05-01"), [0, 1]);
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_the_same_day_is_not_before() {
        let records = vec![film("a", "PA"), film("b", "PA"), film("c", "PA")];
        let ties = [tie("p", "x", "10"), tie("p", "y", "9"), tie("p", "z", "9")];
        let hung = hang(records, &ties).records;
        assert_eq!(hung[0].further.len(), 2);
        assert!(hung[1].further.is_empty() && hung[2].further.is_empty());
    }

    #[test]
    fn films_alone_and_of_unstated_views_stay_as_they_are() {
        let records = vec![
            film("a", "LL"),
            film("b", "RAO"),
            film("c", "PA"),
            film("d", ""),
        ];
        let ties = [
            tie("p", "1", ""),
            tie("p", "1", ""),
            tie("p", "2", "5"),
            Tie::default(),
        ];
        let hung = hang(records.clone(), &ties);
        assert_eq!(hung.records, records);
        assert!(hung.recognised.is_empty());
    }

    #[test]
    fn a_study_without_a_patient_is_in_one_split() {
        let records = vec![film("aa", "PA"), film("bbb", "PA"), film("c", "LL")];
        let ties = [tie("", "1", ""), tie("", "1", ""), tie("", "1", "")];
        let hung = hang(records, &ties).records;
        assert_eq!(hung.len(), 2);
        assert_eq!((hung[1].group.as_str(), hung[1].split), ("aa", Split::Test));
        assert_eq!(ids(&hung[1]), [("c", FilmRole::Lateral, None)]);
    }
}
