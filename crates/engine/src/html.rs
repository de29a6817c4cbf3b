//! What pages of their own are made with: templates, and words that must not become markup.

/// A template with its `{{names}}` replaced; what is put in is not looked at again.
pub(crate) fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            page.push_str(value);
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Words as text or attribute of HTML and XML; control characters, which XML has not, are left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() && !letter.is_whitespace() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let page = filled("<p>{{a}}{{b}}{{none}}</p>", &[("a", "{{b}}"), ("b", "1")]);
        assert_eq!(page, "<p>{{b}}1</p>");
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(
            escaped("<a b=\"c\">&'\u{7}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;"
        );
    }
}
