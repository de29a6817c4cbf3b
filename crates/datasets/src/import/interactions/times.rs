//! Times of interactions: numbers, or dates; and the day of a time.

/// What a time may be, for messages.
pub(super) const EXPECTED: &str =
    "a time: a number of seconds, or a date such as 2014-03-01 or 2014-03-01 12:30:00";

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// A time as a number: of whatever unit the source has, or seconds since 1970 (UTC) of a date.
pub(super) fn parse(cell: &str) -> Option<f64> {
    if let Ok(number) = cell.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let (date, clock) = match cell.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.trim_end_matches('Z')),
        None => (cell, "00:00"),
    };
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if !(1..=9_999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    Some(days_since_1970(year, month, day) as f64 * DAY + seconds_of(clock)?)
}

/// `12:30` or `12:30:05.5` in seconds.
fn seconds_of(clock: &str) -> Option<f64> {
    let parts: Vec<f64> = clock
        .split(':')
        .map(|part| part.parse().ok().filter(|number| *number >= 0.0))
        .collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0.0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    (hours < 24.0 && minutes < 60.0 && seconds < 61.0)
        .then_some((hours * 60.0 + minutes) * 60.0 + seconds)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, by counting years from March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

/// How many of the source's units a day has, and their name, judged by the latest time: no time in
/// seconds is beyond the year 5138.
pub(super) fn units_of_a_day(latest: f64) -> (f64, &'static str) {
    if latest > 1e17 {
        (DAY * 1e9, "nanoseconds")
    } else if latest > 1e14 {
        (DAY * 1e6, "microseconds")
    } else if latest > 1e11 {
        (DAY * 1e3, "milliseconds")
    } else {
        (DAY, "seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_are_times() {
        for (text, seconds) in [
            ("978300760", 978_300_760.0),
            ("978300760.5", 978_300_760.5),
            ("1970-01-01", 0.0),
            ("2000-12-31 22:12:40", 978_300_760.0),
            ("2000-02-29T00:00Z", 951_782_400.0),
            ("1969-12-31", -86_400.0),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "soon",
            "nan",
            "inf",
            "2000-02-30",
            "2001-02-29",
            "2000-13-01",
            "2000-01",
            "2000-01-01 24:00",
            "2000-01-01 noon",
            "01/02/2000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut expected = -719_162;
        for year in 1..=2_400 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn units_are_told_by_size() {
        assert_eq!(units_of_a_day(978_300_760.0).1, "seconds");
        assert_eq!(units_of_a_day(978_300_760_000.0).1, "milliseconds");
        assert_eq!(units_of_a_day(1.7e18).1, "nanoseconds");
    }
}
