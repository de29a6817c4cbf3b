//! Fields of CSV files, as RFC 4180 has them but for line ends of one character.

/// A field as CSV has it; what a spreadsheet would take for a formula is quoted as text.
pub(crate) fn field(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    quoted(text)
}

/// A field in quotation marks where it needs them.
pub(crate) fn quoted(text: String) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_and_no_formula() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("-1.5e-3"), "-1.5e-3");
        assert_eq!(field("=SUM(A1)"), "'=SUM(A1)");
    }
}
