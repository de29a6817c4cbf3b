//! How numbers are written: the same width for the same kind of number.

/// A share as a percentage with two significant digits: `12 %`, `1.2 %`, `0.034 %`.
pub(crate) fn percent(share: f32) -> String {
    let value = share * 100.0;
    if value == 0.0 {
        "0 %".to_owned()
    } else if value >= 9.95 {
        format!("{value:.0} %")
    } else if value >= 0.995 {
        format!("{value:.1} %")
    } else if value >= 0.0995 {
        format!("{value:.2} %")
    } else {
        format!("{value:.3} %")
    }
}

/// An activation: two digits after the point, fewer when large.
pub(crate) fn activation(value: f32) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    schema::rounded(f64::from(value), digits)
}

/// A count with thin groups of three: `20 000`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, of which the singular and the plural are given: `1 film`, `20 000 films`.
pub(crate) fn counted(value: u64, [one, many]: [&str; 2]) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// Bytes in decimal units, as disks are sold: `950 kB`, `28.8 MB`, `1.4 GB`.
pub(crate) fn bytes(value: u64) -> String {
    let value = value as f64;
    if value < 999_500.0 {
        format!("{:.0} kB", value / 1e3)
    } else if value < 999_950_000.0 {
        format!("{:.1} MB", value / 1e6)
    } else {
        format!("{:.1} GB", value / 1e9)
    }
}

/// The text with its first letter as at the beginning of a line.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// A p or q value: `< 0.001`, or three digits.
pub(crate) fn p_value(value: f64) -> String {
    if value < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{value:.3}")
    }
}

/// A duration: `4 s`, `2 min 05 s`, `1 h 12 min`.
pub(crate) fn duration(seconds: f32) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    if seconds < 60 {
        format!("{seconds} s")
    } else if seconds < 3600 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60)
    }
}

/// A moment of RFC 3339 in UTC, to the minute: `2026-11-27 03:21 UTC`.
pub(crate) fn time(at: &str) -> String {
    match (at.get(..10), at.get(10..11), at.get(11..16)) {
        (Some(day), Some("T"), Some(minute)) => format!("{day} {minute} UTC"),
        _ => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_expected() {
        assert_eq!(percent(0.124), "12 %");
        assert_eq!(percent(0.012), "1.2 %");
        assert_eq!(percent(0.000_34), "0.034 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(activation(2.345_6), "2.35");
        assert_eq!(activation(314.1), "314");
        assert_eq!(activation(-0.001), "0.00");
        assert_eq!(count(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(count(12), "12");
        assert_eq!(bytes(950_000), "950 kB");
        assert_eq!(bytes(28_750_000), "28.8 MB");
        assert_eq!(bytes(1_400_000_000), "1.4 GB");
        assert_eq!(p_value(0.000_01), "< 0.001");
        assert_eq!(duration(125.2), "2 min 05 s");
        assert_eq!(duration(4320.0), "1 h 12 min");
        assert_eq!(time("2026-11-27T03:21:19Z"), "2026-11-27 03:21 UTC");
        assert_eq!(time("yesterday"), "yesterday");
    }
}
