//! Cases of a concept: those it was read off as strips of item cards, those it was tested on as rows
//! that open into the history behind them.

use egui::{Align2, CollapsingHeader, Color32, Pos2, Rect, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{
    ConceptCaseView, ConceptItemView, ConceptPages, ConceptTestView, ConceptView, ItemView,
    PopularityView,
};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::item_strip::{LevelledItem, level_strip_ui};
use crate::widgets::{item_card, item_strip, notice, number};

/// A prediction above this says that the feature is active.
const SAYS_ACTIVE: f64 = 5.0;
/// Height of a test case.
const ROW: f32 = 40.0;
/// Width of each of the three columns at its right end.
const COLUMN: f32 = 60.0;

/// The item of a case with all that is known of it.
fn item(pages: &ConceptPages, shown: &ConceptItemView) -> ItemView {
    pages
        .items
        .get(&shown.item)
        .cloned()
        .unwrap_or_else(|| ItemView {
            id: shown.item,
            title: shown.title.clone(),
            categories: Vec::new(),
            picture: None,
            popularity: PopularityView {
                n_train: 0,
                percentile: 0.0,
            },
            activation: 0.0,
        })
}

/// The cases that the words were read off.
pub(super) fn construction_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    pages: &ConceptPages,
    concept: &ConceptView,
) {
    notice::section_ui(ui, "Read off these users");
    notice::weak_ui(
        ui,
        "The last items of each history, oldest first, and outlined the item recommended next; a \
         level is the tenth that the activation lies in, 1 to 10",
    );
    if concept.cases.is_empty() {
        notice::weak_ui(ui, "No test user activates the feature strongly enough");
    }
    for (at, case) in concept.cases.iter().enumerate() {
        let title = format!(
            "User {}, level {} at {}",
            case.user,
            level(case.recommended.level),
            case.recommended.title
        );
        CollapsingHeader::new(title)
            .id_salt(("case", concept.feature, at))
            .default_open(at == 0)
            .show(ui, |ui| case_ui(ctx, ui, pages, case));
    }
}

fn case_ui(ctx: &AppContext<'_>, ui: &mut Ui, pages: &ConceptPages, case: &ConceptCaseView) {
    let history: Vec<LevelledItem> = case
        .history
        .iter()
        .map(|shown| (item(pages, shown), shown.level))
        .collect();
    let recommended = (item(pages, &case.recommended), case.recommended.level);
    level_strip_ui(ctx, ui, &history, Some(&recommended));
    data_ui(ctx, ui, pages, case.user);
}

fn data_ui(ctx: &AppContext<'_>, ui: &mut Ui, pages: &ConceptPages, user: u32) {
    if ui
        .small_button("Show in Data")
        .on_hover_text("The whole history of this user")
        .accessible_name(format!("Show user {user} in Data"))
        .clicked()
    {
        ctx.send(Command::ShowSample(pages.view.dataset.clone(), user));
    }
}

fn level(level: Option<u8>) -> String {
    level.map_or_else(|| "unknown".to_owned(), |level| level.to_string())
}

/// Whether the judge's answer fits the true level; an answer that cannot be read says silent.
fn is_right(test: &ConceptTestView) -> bool {
    let is_active = test.recommended.level.is_some_and(|level| level > 0);
    let says_active = test.predicted.is_some_and(|said| said > SAYS_ACTIVE);
    is_active == says_active
}

/// The cases that the words were tested on.
pub(super) fn tests_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    pages: &ConceptPages,
    concept: &ConceptView,
) {
    notice::section_ui(ui, "Tested on these users");
    if concept.tests.is_empty() {
        notice::weak_ui(ui, "Nothing was judged in this run");
        return;
    }
    let right = concept.tests.iter().filter(|test| is_right(test)).count();
    notice::weak_ui(
        ui,
        format!(
            "{right} of {} told rightly. The judge saw the words and the history, not the level, and \
             said how strongly the feature is active at the recommended item, 0 to 10: above 5 says \
             active. A row opens the history",
            concept.tests.len()
        ),
    );
    heads_ui(ui);
    ui.spacing_mut().item_spacing.y = 2.0;
    for (at, test) in concept.tests.iter().enumerate() {
        let id = ui.scope_id().with(("test", concept.feature, at));
        let mut is_open = ui.data(|data| data.get_temp::<bool>(id)).unwrap_or(false);
        if test_ui(ctx, ui, pages, (at, test), is_open) {
            is_open = !is_open;
            ui.data_mut(|data| data.insert_temp(id, is_open));
        }
        if is_open {
            history_ui(ctx, ui, pages, test);
        }
    }
}

/// Right ends of the three columns.
fn columns(rect: Rect) -> [f32; 3] {
    let right = rect.right() - GRID;
    [right - 2.0 * COLUMN, right - COLUMN, right]
}

fn heads_ui(ui: &mut Ui) {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width() - GRID, 18.0);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    for (x, name) in columns(rect).into_iter().zip(["Level", "Judge", ""]) {
        ui.painter().text(
            Pos2::new(x, rect.center().y),
            Align2::RIGHT_CENTER,
            name,
            tokens::small_font(),
            theme.text_weak,
        );
    }
}

/// Draws a test case; whether it was clicked.
fn test_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    pages: &ConceptPages,
    (at, test): (usize, &ConceptTestView),
    is_open: bool,
) -> bool {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width() - GRID, ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let said = test
        .predicted
        .map_or_else(|| "not read".to_owned(), |said| format!("{said:.1}"));
    let (verdict, colour) = if is_right(test) {
        ("right", theme.good)
    } else {
        ("wrong", theme.error)
    };
    let true_level = level(test.recommended.level);
    response.widget_info(|| {
        let label = format!(
            "Test {}: {}, level {true_level}, judge {said}, {verdict}",
            at + 1,
            test.recommended.title
        );
        WidgetInfo::selected(Role::Button, true, is_open, label)
    });
    if ui.is_rect_visible(rect) {
        let fill = if response.hovered() || response.has_focus() {
            theme.hovered
        } else {
            theme.panel
        };
        ui.painter().rect_filled(rect, tokens::RADIUS, fill);
        paint_item(ctx, ui, rect, &item(pages, &test.recommended));
        let texts: [(&str, Color32); 3] = [
            (&true_level, theme.text),
            (&said, theme.text),
            (verdict, colour),
        ];
        for (x, (text, colour)) in columns(rect).into_iter().zip(texts) {
            ui.painter().text(
                Pos2::new(x, rect.center().y),
                Align2::RIGHT_CENTER,
                text,
                tokens::body_font(),
                colour,
            );
        }
    }
    response.clicked()
}

fn paint_item(ctx: &AppContext<'_>, ui: &Ui, rect: Rect, item: &ItemView) {
    let theme = tokens::of(ui);
    let picture = Rect::from_min_size(rect.min + Vec2::splat(HALF), Vec2::splat(ROW - GRID));
    item_card::paint_picture(ctx, ui, picture, item);
    let left = picture.right() + GRID;
    let width = columns(rect)[0] - COLUMN - left;
    let title = item_strip::truncated(ui.painter(), &item.title, width, theme.text);
    let top = Pos2::new(left, rect.top() + HALF);
    ui.painter().galley(top, title, theme.text);
    let facts = if item.categories.is_empty() {
        item_card::popularity(item.popularity)
    } else {
        item.categories.join(", ")
    };
    let facts = item_strip::truncated_small(ui.painter(), &facts, width, theme.text_weak);
    let below = Pos2::new(left, rect.top() + 22.0);
    ui.painter().galley(below, facts, theme.text_weak);
}

fn history_ui(ctx: &AppContext<'_>, ui: &mut Ui, pages: &ConceptPages, test: &ConceptTestView) {
    let recommended = (item(pages, &test.recommended), test.recommended.level);
    let history: Vec<LevelledItem> = pages
        .histories
        .get(&test.user)
        .into_iter()
        .flatten()
        .filter_map(|id| Some((pages.items.get(id)?.clone(), None)))
        .collect();
    if history.is_empty() {
        notice::weak_ui(
            ui,
            "This user has several held-out items, and the run does not say before which it looked",
        );
    } else {
        let items = number::counted(history.len() as u64, ["item", "items"]);
        notice::weak_ui(ui, format!("User {}, last {items} before it", test.user));
    }
    level_strip_ui(ctx, ui, &history, Some(&recommended));
    data_ui(ctx, ui, pages, test.user);
    ui.add_space(GRID);
}
