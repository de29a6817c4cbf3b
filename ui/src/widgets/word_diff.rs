//! Which words two texts share: the longest common subsequence, drawn beside each other.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId, Role, Sense, Stroke, Ui, WidgetInfo};

use crate::tokens;

/// Which words of `before` and of `after` belong to their longest common subsequence.
pub(crate) fn shared_words(before: &[&str], after: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let (n, m) = (before.len(), after.len());
    // Most words that before[i..] and after[j..] share, row-major, one row and column of zeros.
    let mut lengths = vec![0_u32; (n + 1) * (m + 1)];
    let at = |i: usize, j: usize| i * (m + 1) + j;
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            lengths[at(i, j)] = if before[i] == after[j] {
                lengths[at(i + 1, j + 1)] + 1
            } else {
                lengths[at(i + 1, j)].max(lengths[at(i, j + 1)])
            };
        }
    }
    let (mut left, mut right) = (vec![false; n], vec![false; m]);
    let (mut i, mut j) = (0, 0);
    while i < n && j < m {
        if before[i] == after[j] {
            (left[i], right[j]) = (true, true);
            (i, j) = (i + 1, j + 1);
        } else if lengths[at(i + 1, j)] >= lengths[at(i, j + 1)] {
            i += 1;
        } else {
            j += 1;
        }
    }
    (left, right)
}

/// One side of a diff: words that the other side lacks are marked.
pub(crate) struct Side<'a> {
    /// The text of this side.
    pub(crate) text: &'a str,
    /// The text of the other side.
    pub(crate) other: &'a str,
    /// Whether this is the text after the change.
    pub(crate) after: bool,
}

/// Draws one side.
pub(crate) fn side_ui(ui: &mut Ui, side: &Side<'_>) {
    let theme = tokens::of(ui);
    let words: Vec<&str> = side.text.split_whitespace().collect();
    let other: Vec<&str> = side.other.split_whitespace().collect();
    let shared = shared_words(&words, &other).0;
    let marked = if side.after { theme.good } else { theme.error };
    let mut job = LayoutJob::default();
    job.wrap.max_width = ui.available_width();
    let plain = TextFormat {
        font_id: FontId::proportional(15.0),
        color: theme.text,
        line_height: Some(24.0),
        ..TextFormat::default()
    };
    let mut struck = plain.clone();
    mark(&mut struck, marked, theme.panel, side.after);
    for (i, word) in words.iter().enumerate() {
        let format = if shared[i] { &plain } else { &struck };
        job.append(word, 0.0, format.clone());
        // One mark over a run of words: its spaces belong to it.
        let run_goes_on = !shared[i] && shared.get(i + 1) == Some(&false);
        job.append(
            " ",
            0.0,
            if run_goes_on {
                struck.clone()
            } else {
                plain.clone()
            },
        );
    }
    let galley = ui.painter().layout_job(job);
    let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
    ui.painter().galley(rect.min, galley, theme.text);
    let name = if side.after { "After" } else { "Before" };
    response
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}: {}", side.text)));
}

fn mark(format: &mut TextFormat, colour: Color32, surface: Color32, after: bool) {
    format.color = colour;
    format.background = tokens::mix(surface, colour, 0.12);
    format.expand_bg = 1.0;
    if after {
        format.underline = Stroke::new(1.0, colour);
    } else {
        format.strikethrough = Stroke::new(1.0, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, left: &[bool], right: &[bool]) {
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        assert_eq!(
            shared_words(&before, &after),
            (left.to_vec(), right.to_vec())
        );
    }

    #[test]
    fn changed_words_are_found() {
        check(
            "no effusion",
            "left effusion",
            &[false, true],
            &[false, true],
        );
        check("a b c", "a c", &[true, false, true], &[true, true]);
        check("a", "b", &[false], &[false]);
    }
}
