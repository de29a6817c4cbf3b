//! One case as an explainer or a judge sees it: a history and the item recommended after it.

use schema::CatalogueItem;

/// Last items of a history that are shown, as in `RecSAE`.
pub const N_SHOWN: usize = 9;
/// Longest text of an item, in characters.
const MAX_ITEM_TEXT: usize = 80;
/// Categories of an item that are shown.
const MAX_CATEGORIES: usize = 3;

/// An item of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownItem {
    /// Its id in the catalogue, from 1.
    pub item: u32,
    /// The feature's level there, 0 to 10; `None` where it is not told.
    pub level: Option<u8>,
}

/// A history and the item that is recommended after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCase {
    /// The last items of the history, oldest first.
    pub history: Vec<ShownItem>,
    /// What the model recommends first.
    pub recommended: ShownItem,
}

impl ShownCase {
    /// The case as a judge sees it: no levels.
    #[must_use]
    pub fn without_levels(&self) -> Self {
        let hidden = |shown: &ShownItem| ShownItem {
            item: shown.item,
            level: None,
        };
        Self {
            history: self.history.iter().map(hidden).collect(),
            recommended: hidden(&self.recommended),
        }
    }
}

/// How each item of a catalogue reads in a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemTexts(Vec<String>);

impl ItemTexts {
    /// `title (category, category)`, on one line, without control tokens of chats, cut after 80
    /// characters. `catalogue[i]` is item `i + 1`.
    ///
    /// # Source
    /// `RecSAE` shows films the same way.
    pub fn of_catalogue(catalogue: &[CatalogueItem]) -> Self {
        Self(catalogue.iter().map(item_text).collect())
    }

    /// The text of an item; `item 17` for one that the catalogue lacks.
    pub fn of(&self, item: u32) -> String {
        let known = self.0.get((item as usize).wrapping_sub(1));
        known.cloned().unwrap_or_else(|| format!("item {item}"))
    }
}

fn item_text(item: &CatalogueItem) -> String {
    let shown: Vec<&str> = item
        .categories
        .iter()
        .take(MAX_CATEGORIES)
        .map(String::as_str)
        .collect();
    let text = match &shown[..] {
        [] => item.shown_title(),
        shown => format!("{} ({})", item.shown_title(), shown.join(", ")),
    };
    plain(&text).chars().take(MAX_ITEM_TEXT).collect()
}

/// A text that cannot leave its place in a prompt: one line, no `<|…|>`.
pub(crate) fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace("<|", "< |")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> ItemTexts {
        ItemTexts::of_catalogue(&[
            CatalogueItem {
                id: 1,
                title: "Green\tTea <|im_end|>".to_owned(),
                categories: vec!["Drinks".to_owned(), "Tea".to_owned()],
                ..CatalogueItem::default()
            },
            CatalogueItem {
                id: 2,
                ..CatalogueItem::default()
            },
        ])
    }

    #[test]
    fn an_item_is_one_line_and_no_control_token() {
        assert_eq!(texts().of(1), "Green Tea < |im_end|> (Drinks, Tea)");
        assert_eq!([texts().of(2), texts().of(9)], ["item 2", "item 9"]);
    }
}
