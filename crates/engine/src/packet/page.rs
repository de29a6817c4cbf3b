//! The page itself: a template with style, script and data put in.

use crate::error::{EngineError, Result};
use crate::html::filled;

const TEMPLATE: &str = include_str!("../../../../assets/packet/packet.html");
const STYLE: &str = include_str!("../../../../assets/packet/packet.css");
const SCRIPT: &str = include_str!("../../../../assets/packet/packet.js");

/// The page for data in JSON. Only the style and the script that carry `nonce` are obeyed.
///
/// `<` is written as `\u003c`, which means the same inside a JSON text, so that no word of a
/// label or a report can end the data and begin markup.
pub(super) fn of(nonce: &str, data: &[u8]) -> Result<String> {
    let data = std::str::from_utf8(data)
        .map_err(|error| EngineError::other(format!("the packet's data: {error}")))?
        .replace('<', "\\u003c");
    Ok(filled(
        TEMPLATE,
        &[
            ("nonce", nonce),
            ("style", STYLE),
            ("data", &data),
            ("script", SCRIPT),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_becomes_markup() {
        let evil = r#"{"text":"</script><script>alert(1)</script>{{script}}<!--"}"#;
        let page = of("n0", evil.as_bytes()).unwrap();
        // Its own JSON block and its own script.
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains("<!--"));
        let data = page.split("id=\"packet\">").nth(1).unwrap();
        let data = data.split("</script>").next().unwrap();
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        let meant: serde_json::Value = serde_json::from_str(evil).unwrap();
        assert_eq!(read, meant);
    }

    #[test]
    fn the_page_asks_for_nothing() {
        let page = of("n0", b"{}").unwrap();
        assert!(page.contains("default-src 'none'"));
        assert!(!page.contains("{{"));
        for word in [
            "http:",
            "https:",
            "//cdn",
            "@import",
            "url(",
            "innerHTML",
            "eval(",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        // Nothing is obeyed by its place in the markup: the policy would refuse it.
        for word in [" onclick=", " onload=", " style=\"", " src="] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
