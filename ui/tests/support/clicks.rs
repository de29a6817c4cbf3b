//! Clicks by label, as tests make them.

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use ui::App;

/// Scrolls to a control and clicks it.
pub(crate) fn click(harness: &mut Harness<'static, App>, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run_steps(3);
    harness.get_by_label(label).click();
    harness.run_steps(4);
}
