//! What the import form asks of item histories: layout, columns, split, least rating, core.

use egui::Ui;
use engine::views::{InteractionsRequest, PathPurpose};

use super::import_form::text_row_ui;
use crate::app_context::AppContext;
use crate::screens::start::{field_label_ui, path_row_ui};
use crate::widgets::notice::{section_ui, weak_ui};

/// Layouts: what is asked for, and its name on the screen.
const LAYOUTS: [(&str, &str); 5] = [
    ("auto", "Recognise it"),
    ("rechorus", "ReChorus"),
    ("movielens", "MovieLens"),
    ("recbole", "RecBole"),
    (CSV, "Table (CSV)"),
];
/// The layout of a table whose columns are mapped.
const CSV: &str = "csv";

/// Splits, likewise.
const SPLITS: [(&str, &str); 3] = [
    ("auto", "As the files say"),
    ("leave-one-out", "Leave one out"),
    ("global-time", "By global time"),
];

/// Parts that columns play, and the names of their fields.
const PARTS: [(&str, &str); 7] = [
    ("user", "User column"),
    ("item", "Item column"),
    ("time", "Time column"),
    ("rating", "Rating column"),
    ("title", "Title column"),
    ("categories", "Category column"),
    ("picture", "Picture column"),
];

/// State of this part of the form. Paths are the form's.
#[derive(Debug)]
pub(super) struct InteractionsForm {
    layout: &'static str,
    columns: [String; PARTS.len()],
    split: &'static str,
    min_rating: String,
    core: String,
}

impl Default for InteractionsForm {
    fn default() -> Self {
        Self {
            layout: "auto",
            columns: Default::default(),
            split: "auto",
            min_rating: String::new(),
            core: String::new(),
        }
    }
}

/// The paths that the form shares between its sources.
pub(super) struct Paths<'a> {
    pub(super) folder: &'a mut String,
    pub(super) table: &'a mut String,
    pub(super) items: &'a mut String,
}

impl InteractionsForm {
    /// The form for a table whose columns are mapped.
    pub(super) fn of_table() -> Self {
        Self {
            layout: CSV,
            ..Self::default()
        }
    }

    /// The request that the fields make.
    pub(super) fn request(
        &self,
        name: String,
        (folder, table, items): (&str, &str, &str),
    ) -> InteractionsRequest {
        let is_table = self.layout == CSV;
        let columns: Vec<String> = PARTS
            .iter()
            .zip(&self.columns)
            .filter(|(_, column)| is_table && !column.trim().is_empty())
            .map(|((part, _), column)| format!("{part}={}", column.trim()))
            .collect();
        InteractionsRequest {
            name,
            path: if is_table { table } else { folder }.trim().to_owned(),
            layout: self.layout.to_owned(),
            columns: columns.join(","),
            items: items.trim().to_owned(),
            split: self.split.to_owned(),
            min_rating: self.min_rating.trim().to_owned(),
            core: self.core.trim().to_owned(),
        }
    }

    /// Draws the fields.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, paths: &mut Paths<'_>) {
        choice_ui(ui, "Layout", &mut self.layout, &LAYOUTS);
        if self.layout == CSV {
            path_row_ui(ctx, ui, "File", paths.table, PathPurpose::TableFile);
        } else {
            let purpose = PathPurpose::InteractionsFolder;
            path_row_ui(ctx, ui, "Folder", paths.folder, purpose);
        }
        path_row_ui(
            ctx,
            ui,
            "Items table",
            paths.items,
            PathPurpose::SecondTable,
        );
        if self.layout == CSV {
            section_ui(ui, "Columns");
            weak_ui(ui, "What is left empty is recognised by usual names");
            for ((_, name), column) in PARTS.iter().zip(&mut self.columns) {
                text_row_ui(ui, name, column, "Recognise it");
            }
        }
        choice_ui(ui, "Split", &mut self.split, &SPLITS);
        text_row_ui(
            ui,
            "Least rating",
            &mut self.min_rating,
            "All ratings count",
        );
        let hint = "Least interactions of a user and of an item: 5 for MovieLens, else 1";
        text_row_ui(ui, "Core", &mut self.core, hint);
    }
}

/// One of several, in a row beside its name.
fn choice_ui(
    ui: &mut Ui,
    name: &str,
    chosen: &mut &'static str,
    choices: &[(&'static str, &'static str)],
) {
    ui.horizontal_wrapped(|ui| {
        field_label_ui(ui, name);
        for (choice, label) in choices {
            ui.selectable_value(chosen, *choice, *label);
        }
    });
}
