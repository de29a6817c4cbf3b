//! Takes what may tell who a patient is out of a text, by rules: before it goes to another computer.
//!
//! Rules find what has a form or stands behind a cue. A bare surname in the middle of a sentence has
//! neither, and stays.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::Passage;

/// What the rules look for, for people.
pub const DEIDENTIFIED: &str = "dates, times, telephone numbers, e-mail and web addresses, numbers \
    of five digits or more, numbers behind words such as MRN or accession, ages above 89, names \
    behind Dr., Mr., Mrs. or words such as \"signed by\" or before MD, hospitals and streets; a name \
    without such a cue is not recognised";

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Words before a name.
const TITLES: [&str; 10] = [
    "dr",
    "drs",
    "doctor",
    "prof",
    "professor",
    "mr",
    "mrs",
    "ms",
    "miss",
    "nurse",
];
/// Letters behind a name.
const DEGREES: [&str; 9] = ["MD", "M.D", "DO", "D.O", "RN", "NP", "PA-C", "PhD", "MBBS"];
/// Pairs of words that a name follows.
const BY: [&str; 14] = [
    "signed by",
    "read by",
    "dictated by",
    "reported by",
    "interpreted by",
    "reviewed by",
    "approved by",
    "verified by",
    "discussed with",
    "communicated to",
    "communicated with",
    "reported to",
    "notified to",
    "transcribed by",
];
/// Words that a name follows behind a colon.
const NAMED: [&str; 12] = [
    "name",
    "patient",
    "physician",
    "radiologist",
    "attending",
    "resident",
    "surgeon",
    "provider",
    "technologist",
    "clinician",
    "referrer",
    "author",
];
/// Words that a number follows which tells someone.
const NUMBERED: [&str; 19] = [
    "mrn",
    "accession",
    "acc",
    "id",
    "ssn",
    "nhs",
    "record",
    "account",
    "room",
    "bed",
    "npi",
    "passport",
    "pager",
    "ext",
    "extension",
    "phone",
    "tel",
    "fax",
    "chart",
];
/// May stand between such a word and its number.
const BETWEEN: [&str; 4] = ["number", "no", "nr", "id"];
/// Stand in names in small letters.
const PARTICLES: [&str; 14] = [
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "la", "le", "al", "bin",
];
/// End a name.
const NO_NAME: [&str; 30] = [
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "has", "he", "her", "his", "in",
    "is", "it", "no", "of", "on", "or", "per", "she", "that", "the", "this", "to", "via", "was",
    "who", "with",
];
const PLACES: [&str; 6] = [
    "hospital",
    "clinic",
    "infirmary",
    "hospice",
    "university",
    "sanatorium",
];
const STREETS: [&str; 9] = [
    "street",
    "avenue",
    "road",
    "lane",
    "drive",
    "boulevard",
    "ave",
    "rd",
    "blvd",
];
/// Digits of a number that is taken out wherever it stands.
const LONG: usize = 5;
/// Digits of a number with letters in it that is taken out.
const LONG_CODE: usize = 4;
/// Digits of a telephone number.
const PHONE: usize = 7;

/// A word without the marks around it.
struct Word<'a> {
    text: &'a str,
    lower: String,
    at: Range<usize>,
    /// What stands between it and the next word.
    after: &'a str,
}

impl Word<'_> {
    fn is_in(&self, list: &[&str]) -> bool {
        list.contains(&self.lower.as_str())
    }

    fn is_capital(&self) -> bool {
        self.text.starts_with(char::is_uppercase)
    }

    fn may_be_a_name(&self) -> bool {
        self.text.starts_with(char::is_alphabetic)
            && (!self.is_in(&NO_NAME) || self.is_initial())
            && !DEGREES.contains(&self.text)
    }

    /// "A." is no article.
    fn is_initial(&self) -> bool {
        self.text.len() == 1 && self.is_capital() && self.after.starts_with('.')
    }

    /// A number from 1 to `most`, with or without st, nd, rd, th.
    fn is_number_to(&self, most: u32) -> bool {
        let digits = self.lower.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']);
        digits
            .parse::<u32>()
            .is_ok_and(|number| (1..=most).contains(&number))
    }

    fn is_year(&self) -> bool {
        self.text.len() == 4
            && self
                .text
                .parse::<u32>()
                .is_ok_and(|year| (1900..2100).contains(&year))
    }

    fn is_month(&self) -> bool {
        let name = self.lower.as_str();
        let is_may = name == "may";
        (!is_may || self.is_capital())
            && MONTHS
                .iter()
                .any(|month| *month == name || name == &month[..3] || name == "sept")
    }
}

fn words_with_places(text: &str) -> Vec<Word<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || "-'’.".contains(c);
    // "Dr.Smith" is two words; "M.D." and "3.5" are one.
    let n_letters =
        |letters: &mut dyn Iterator<Item = char>| letters.take_while(|c| c.is_alphabetic()).count();
    let splits = |at: usize, c: char| {
        c == '.'
            && n_letters(&mut text[..at].chars().rev()) >= 2
            && n_letters(&mut text[at + 1..].chars()) >= 2
    };
    let mut places: Vec<Range<usize>> = Vec::new();
    let mut begin = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (is_part(c) && !splits(at, c), begin) {
            (true, None) => begin = Some(at),
            (false, Some(from)) => {
                let trimmed = text[from..at].trim_end_matches(['.', '-', '\'']);
                let inner = trimmed.trim_start_matches(['.', '-', '\'']);
                let start = from + trimmed.len() - inner.len();
                if !inner.is_empty() {
                    places.push(start..start + inner.len());
                }
                begin = None;
            }
            _ => {}
        }
    }
    let ends = places.iter().skip(1).map(|next| next.start);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    places
        .iter()
        .zip(ends)
        .map(|(at, end)| Word {
            text: &text[at.clone()],
            lower: text[at.clone()].to_lowercase(),
            at: at.clone(),
            after: &text[at.end..end],
        })
        .collect()
}

/// Places in a text that may tell who someone is, in order and apart from each other, each with what
/// stands for it: `[date]`, `[time]`, `[phone]`, `[number]`, `[name]`, `[age]`, `[place]`, `[e-mail]`
/// or `[address]`.
///
/// # Example
/// ```
/// use explain::identifiers;
///
/// let text = "Seen by Dr. Jones on 03/04/2019.";
/// let found: Vec<_> = identifiers(text).into_iter().map(|(at, what)| (&text[at], what)).collect();
/// assert_eq!(found, [("Dr. Jones", "[name]"), ("03/04/2019", "[date]")]);
/// ```
pub fn identifiers(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut found = Vec::new();
    addresses(text, &mut found);
    let words = words_with_places(text);
    for at in 0..words.len() {
        dates_in_words(&words, at, &mut found);
        names(&words, at, &mut found);
        places(&words, at, &mut found);
        numbers_behind_words(&words, at, &mut found);
        ages(&words, at, &mut found);
    }
    runs_of_digits(text, &mut found);
    // The longest of those that begin alike; what lies in another is part of it.
    found.sort_by(|(a, _), (b, _)| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut apart: Vec<(Range<usize>, &'static str)> = Vec::new();
    for (at, what) in found {
        match apart.last_mut() {
            Some((before, _)) if at.start < before.end => before.end = before.end.max(at.end),
            _ => apart.push((at, what)),
        }
    }
    apart
}

/// A text with each of [`identifiers`] replaced by what stands for it.
///
/// # Example
/// ```
/// use explain::deidentified;
///
/// assert_eq!(
///     deidentified("MRN 4711: 5 mm nodule, 10:30 PM, call (555) 123-4567."),
///     "MRN [number]: 5 mm nodule, [time], call [phone]."
/// );
/// ```
pub fn deidentified(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for (at, what) in identifiers(text) {
        clean += &text[from..at.start];
        clean += what;
        from = at.end;
    }
    clean + &text[from..]
}

impl Passage {
    /// The passage with each of [`identifiers`] replaced by one token, which is as active as the
    /// strongest of those that it stands for.
    #[must_use]
    pub fn deidentified(&self) -> Self {
        let found = identifiers(&self.tokens.concat());
        if found.is_empty() {
            return self.clone();
        }
        let mut clean = Self {
            strongest: self.strongest,
            ..Self::default()
        };
        let mut begin = 0;
        for (i, token) in self.tokens.iter().enumerate() {
            let end = begin + token.len();
            let mut text = String::new();
            let mut from = begin;
            for (at, what) in found
                .iter()
                .filter(|(at, _)| at.start < end && at.end > begin)
            {
                if at.start >= begin {
                    text += &token[from - begin..at.start - begin];
                    text += what;
                }
                from = at.end.min(end);
            }
            text += &token[from - begin..];
            let value = self.activations.get(i).copied();
            begin = end;
            match (clean.activations.last_mut(), value) {
                (Some(last), Some(value)) if text.is_empty() => *last = last.max(value),
                _ if text.is_empty() => {}
                _ => {
                    clean.tokens.push(text);
                    clean.activations.extend(value);
                }
            }
        }
        clean
    }
}

type Found = Vec<(Range<usize>, &'static str)>;

/// E-mail and web addresses.
fn addresses(text: &str, found: &mut Found) {
    let mut begin = 0;
    for run in text.split_inclusive(|c: char| c.is_whitespace() || "<>()[],;\"".contains(c)) {
        let bare = run.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '/');
        let at = begin..begin + bare.len();
        begin += run.len();
        let is_mail = bare
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if is_mail {
            found.push((at, "[e-mail]"));
        } else if bare.contains("://") || bare.starts_with("www.") {
            found.push((at, "[address]"));
        }
    }
}

/// "March 3, 2019", "3 March", "March 2019"; "3/14" behind a word such as "from".
fn dates_in_words(words: &[Word<'_>], at: usize, found: &mut Found) {
    if words[at].is_in(&["on", "from", "of", "dated", "since", "date"])
        && let (Some(month), Some(day)) = (words.get(at + 1), words.get(at + 2))
        && month.after == "/"
        && ((month.is_number_to(12) && day.is_number_to(31))
            || (month.is_number_to(31) && day.is_number_to(12)))
    {
        found.push((month.at.start..day.at.end, "[date]"));
    }
    if !words[at].is_month() {
        return;
    }
    let (mut first, mut last) = (at, at);
    if at > 0 && words[at - 1].is_number_to(31) {
        first = at - 1;
    } else if words.get(at + 1).is_some_and(|next| next.is_number_to(31)) {
        last = at + 1;
    }
    if words.get(last + 1).is_some_and(Word::is_year) {
        last += 1;
    }
    if last > first {
        found.push((words[first].at.start..words[last].at.end, "[date]"));
    }
}

/// So many words from here on may belong to a name: capitals, or one word behind a title.
fn name_from(words: &[Word<'_>], from: usize, any_case: bool) -> usize {
    let mut n = 0;
    while n < 5 {
        let Some(word) = words.get(from + n) else {
            break;
        };
        let is_name = word.may_be_a_name()
            && (word.is_capital() || (any_case && n == 0) || word.is_in(&PARTICLES));
        // A mark ends a name, but for the dot of an initial and the comma of "Jones, Ann".
        let joined = n == 0 || {
            let before = words[from + n - 1].after;
            let mut initials = words[from + n - 1].text.split('.');
            let is_initial = initials.all(|part| part.chars().count() == 1);
            before.chars().all(char::is_whitespace)
                || before == "^"
                || (is_initial && before.trim() == ".")
        };
        if !is_name || !joined {
            break;
        }
        n += 1;
    }
    n
}

fn names(words: &[Word<'_>], at: usize, found: &mut Found) {
    let word = &words[at];
    let gap = word.after.trim();
    let next = at + 1;
    if word.is_in(&TITLES) && (gap.is_empty() || gap == ".") {
        let is_short = word.is_in(&["mr", "mrs", "ms", "prof"]) && gap == ".";
        let n = name_from(words, next, is_short || word.lower.starts_with("dr"));
        if n > 0 {
            found.push((word.at.start..words[at + n].at.end, "[name]"));
        }
    }
    let is_by = at > 0 && BY.contains(&format!("{} {}", words[at - 1].lower, word.lower).as_str());
    if (is_by && (gap.is_empty() || gap == ":")) || (word.is_in(&NAMED) && gap == ":") {
        let mut n = name_from(words, next, false);
        // "Jones, Ann"
        if n > 0 && words[at + n].after.trim() == "," {
            n += name_from(words, next + n, false).min(2);
        }
        if n > 0 {
            found.push((words[next].at.start..words[at + n].at.end, "[name]"));
        }
    }
    if DEGREES.contains(&word.text)
        && at > 0
        && matches!(words[at - 1].after.trim(), "" | "," | ".")
    {
        let is_name = |word: &Word<'_>| word.is_capital() && word.may_be_a_name();
        let mut first = at;
        while first > 0 && at - first < 3 && is_name(&words[first - 1]) {
            let before = words[first - 1].after.trim();
            if first < at && !before.is_empty() && before != "." {
                break;
            }
            first -= 1;
        }
        if first < at {
            found.push((words[first].at.start..words[at - 1].at.end, "[name]"));
        }
    }
}

/// Hospitals by the capitals before the word, streets by number and name.
fn places(words: &[Word<'_>], at: usize, found: &mut Found) {
    let word = &words[at];
    let is_center = word.lower == "medical"
        && words
            .get(at + 1)
            .is_some_and(|next| next.is_in(&["center", "centre"]));
    let is_joined = |i: usize| matches!(words[i].after.trim(), "" | ".");
    if word.is_in(&PLACES) || is_center {
        let mut first = at;
        while first > 0
            && at - first < 4
            && is_joined(first - 1)
            && words[first - 1].is_capital()
            && words[first - 1].may_be_a_name()
        {
            first -= 1;
        }
        let last = at + usize::from(is_center);
        if first < at {
            found.push((words[first].at.start..words[last].at.end, "[place]"));
        }
    }
    if word.is_in(&STREETS) && at > 0 {
        let number =
            (at.saturating_sub(4)..at).find(|&i| words[i].text.chars().all(|c| c.is_ascii_digit()));
        if let Some(first) = number.filter(|&first| first + 1 < at) {
            let named = (first + 1..at).all(|i| words[i].is_capital() && is_joined(i));
            if named {
                found.push((words[first].at.start..word.at.end, "[place]"));
            }
        }
    }
}

/// "MRN: 12", "accession number 4711".
fn numbers_behind_words(words: &[Word<'_>], at: usize, found: &mut Found) {
    if !words[at].is_in(&NUMBERED) {
        return;
    }
    let mut next = at + 1;
    if words.get(next).is_some_and(|word| word.is_in(&BETWEEN)) {
        next += 1;
    }
    let Some(word) = words.get(next) else { return };
    let gap = words[next - 1].after;
    let is_near = gap
        .chars()
        .all(|c| c.is_whitespace() || ":#.=-".contains(c));
    if is_near && word.text.contains(|c: char| c.is_ascii_digit()) {
        found.push((word.at.clone(), "[number]"));
    }
}

/// "93-year-old", "93 years old", "93 yo", "93M", "aged 93".
fn ages(words: &[Word<'_>], at: usize, found: &mut Found) {
    let word = &words[at];
    let (digits, rest) = word.lower.split_at(
        word.lower
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(word.lower.len()),
    );
    let is_old = digits
        .parse::<u32>()
        .is_ok_and(|age| (90..130).contains(&age));
    let unit = rest.trim_start_matches('-');
    let is_unit =
        |unit: &str| unit.starts_with("year") || ["yo", "y", "y.o", "yr", "yrs"].contains(&unit);
    let is_behind_age = at > 0 && words[at - 1].is_in(&["age", "aged"]);
    let says_years = if unit.is_empty() {
        is_behind_age || words.get(at + 1).is_some_and(|next| is_unit(&next.lower))
    } else {
        is_unit(unit) || ["m", "f"].contains(&unit)
    };
    if is_old && says_years {
        let from = word.at.start;
        found.push((from..from + digits.len(), "[age]"));
    }
}

/// Dates and times in digits, telephone numbers, long numbers and codes.
fn runs_of_digits(text: &str, found: &mut Found) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        // A letter behind one of another alphabet is in the middle of a word; a digit begins a number
        // even behind a quotation mark or a space that is not ASCII.
        let is_inside = at > 0
            && (bytes[at - 1].is_ascii_alphanumeric()
                || (bytes[at - 1] >= 0x80 && !bytes[at].is_ascii_digit()));
        let is_start = bytes[at].is_ascii_alphanumeric() && !is_inside;
        if !is_start {
            at += 1;
            continue;
        }
        let end = run_from(bytes, at);
        let run = &text[at..end];
        if let Some(what) = kind_of_run(run) {
            let mut end = end;
            if what == "[time]" {
                let rest = text[end..].to_ascii_lowercase();
                let half = rest.trim_start();
                let word = half.split(|c: char| !c.is_ascii_alphanumeric()).next();
                if matches!(word, Some("am" | "pm")) {
                    end += rest.len() - half.len() + 2;
                }
            }
            let opens = at > 0 && matches!(bytes[at - 1], b'(' | b'+') && what == "[phone]";
            found.push((at - usize::from(opens)..end, what));
            at = end;
        } else {
            // Only a run of digits may go on over spaces; what comes behind its first part is looked
            // at for itself.
            at += run
                .find(|c: char| c.is_whitespace() || "()".contains(c))
                .unwrap_or(run.len())
                .max(1);
        }
    }
}

/// Where a run of letters, digits and marks within ends; one that begins with a digit goes on over a
/// space to the next digit.
fn run_from(bytes: &[u8], at: usize) -> usize {
    let by_digits = bytes[at].is_ascii_digit();
    let mut end = at;
    while end < bytes.len() {
        let next = |ahead: usize| bytes.get(end + ahead).copied().unwrap_or(b' ');
        let goes_on = match bytes[end] {
            c if c.is_ascii_alphanumeric() => true,
            b'-' | b'/' | b'.' | b':' => next(1).is_ascii_alphanumeric(),
            b' ' => {
                by_digits
                    && (next(1).is_ascii_digit() || (next(1) == b'(' && next(2).is_ascii_digit()))
            }
            b')' => {
                by_digits
                    && (next(1).is_ascii_digit() || (next(1) == b' ' && next(2).is_ascii_digit()))
            }
            b'(' => by_digits && end > at && bytes[end - 1] == b' ' && next(1).is_ascii_digit(),
            _ => false,
        };
        if !goes_on {
            break;
        }
        end += 1;
    }
    end
}

fn kind_of_run(run: &str) -> Option<&'static str> {
    let n_digits = run.chars().filter(char::is_ascii_digit).count();
    // "3-Mar-19"
    let lower = run.to_ascii_lowercase();
    let is_month = |part: &str| MONTHS.iter().any(|m| part == *m || part == &m[..3]);
    if n_digits >= 1 && lower.split(['-', '/', '.']).any(is_month) {
        return Some("[date]");
    }
    if n_digits < 3 {
        return None;
    }
    let has_letters = run.contains(|c: char| c.is_ascii_alphabetic());
    // "2019-03-04T10:30"
    let day = run.split('T').next().unwrap_or(run);
    if is_date(day) {
        return Some("[date]");
    }
    if is_time(run) {
        return Some("[time]");
    }
    if run.contains([' ', ')']) {
        // Numbers side by side; a telephone number has at least three digits in its parts.
        let mut parts = run.split(|c: char| !c.is_ascii_digit());
        let is_phone = !has_letters
            && n_digits >= PHONE
            && parts.all(|part| part.is_empty() || part.len() >= 2);
        return is_phone.then_some("[phone]");
    }
    let longest = run
        .split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0);
    if longest >= LONG || (has_letters && n_digits >= LONG_CODE) {
        return Some("[number]");
    }
    (n_digits >= PHONE && run.contains(['-', '.', '/'])).then_some("[phone]")
}

/// `3/4/2019`, `2019-03-04`, `4.3.19`, `03/2019`.
fn is_date(run: &str) -> bool {
    let parts: Vec<&str> = run.split(['/', '-', '.']).collect();
    let number = |part: &str| -> Option<u32> {
        (part.len() <= 4 && part.chars().all(|c| c.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| number(part)).collect();
    let Some(numbers) = numbers else { return false };
    let is_year = |i: usize| parts[i].len() == 4 && (1900..2100).contains(&numbers[i]);
    let is_day = |i: usize| parts[i].len() <= 2 && (1..=31).contains(&numbers[i]);
    match numbers.len() {
        3 => {
            let has_month = |a: usize, b: usize| numbers[a] <= 12 || numbers[b] <= 12;
            (is_day(0) && is_day(1) && has_month(0, 1) && (is_year(2) || parts[2].len() == 2))
                || (is_year(0) && is_day(1) && is_day(2) && has_month(1, 2))
        }
        2 => run.contains('/') && is_day(0) && numbers[0] <= 12 && is_year(1),
        _ => false,
    }
}

/// `10:30`, `10:30:15`, `10:30pm`.
fn is_time(run: &str) -> bool {
    let bare = run.to_ascii_lowercase();
    let bare = bare.trim_end_matches("am").trim_end_matches("pm");
    let parts: Vec<&str> = bare.split(':').collect();
    (2..=3).contains(&parts.len())
        && parts.iter().all(|part| {
            (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|value| value < 60)
        })
}
