//! What pages of their own are made with: templates, tables, and words that must not become markup.
#![expect(
    clippy::format_collect,
    reason = "a page of some kilobytes, written once; clarity counts, not allocations"
)]

const TEMPLATE: &str = include_str!("../../../assets/report/report.html");
const STYLE: &str = include_str!("../../../assets/report/report.css");

/// A page that asks for nothing: title and what it is about in words, a notice and the body as
/// markup. `nonce` is a hash of what the page holds, at least 32 letters long.
pub(crate) fn page(nonce: &str, [title, about]: [&str; 2], notice: &str, body: &str) -> String {
    filled(
        TEMPLATE,
        &[
            ("nonce", &nonce[..32]),
            ("title", &escaped(title)),
            ("style", STYLE),
            ("about", &escaped(about)),
            ("changed", notice),
            ("body", body),
        ],
    )
}

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

/// A cell of a table.
pub(crate) enum Cell {
    Text(String),
    Number(String),
    Hash(String),
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => format!("<td class=\"text\">{}</td>", escaped(text)),
        Cell::Number(text) => format!("<td class=\"number\">{}</td>", escaped(text)),
        Cell::Hash(text) => format!("<td class=\"hash\">{}</td>", escaped(text)),
    }
}

/// A table; columns whose names begin with `#` hold numbers.
pub(crate) fn table(columns: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let heads = columns.iter().map(|name| match name.strip_prefix('#') {
        Some(name) => format!("<th scope=\"col\" class=\"number\">{}</th>", escaped(name)),
        None => format!("<th scope=\"col\">{}</th>", escaped(name)),
    });
    let rows = rows.map(|row| {
        let cells: String = row.iter().map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    });
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
        heads.collect::<String>(),
        rows.collect::<String>()
    )
}

/// A part of a page under its heading.
pub(crate) fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escaped(title))
}

/// Notes in small print.
pub(crate) fn paragraphs(notes: &[String]) -> String {
    notes
        .iter()
        .map(|note| format!("<p class=\"weak\">{}</p>\n", escaped(note)))
        .collect()
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
