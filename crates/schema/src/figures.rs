//! How figures are written wherever they stand: one that rounds to nothing has no sign.

/// A figure with so many digits after the point.
///
/// ```
/// assert_eq!(schema::rounded(-1.25, 1), "-1.2");
/// assert_eq!(schema::rounded(-0.04, 1), "0.0");
/// ```
pub fn rounded(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(size) if is_zero(size) => size.to_owned(),
        _ => text,
    }
}

/// As [`rounded`], with a sign before all but nothing.
///
/// ```
/// assert_eq!(schema::signed(0.31, 1), "+0.3");
/// assert_eq!(schema::signed(-0.31, 1), "-0.3");
/// assert_eq!(schema::signed(0.04, 1), "0.0");
/// assert_eq!(schema::signed(-0.04, 1), "0.0");
/// ```
pub fn signed(value: f64, digits: usize) -> String {
    let text = rounded(value, digits);
    if value > 0.0 && !is_zero(&text) {
        format!("+{text}")
    } else {
        text
    }
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}
