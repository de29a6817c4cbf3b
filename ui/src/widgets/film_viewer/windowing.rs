//! The window of a film by hand: dragged, or typed as numbers.

use egui::{Ui, Vec2};
use schema::Window;

use super::FilmViewer;

impl FilmViewer {
    /// The window in numbers, to be typed: centre and width, or lowest and highest value.
    pub(super) fn numbers_ui(&mut self, ui: &mut Ui) {
        let Some(window) = &self.window else {
            return;
        };
        let (mut centre, mut width) = (window.centre, window.width);
        ui.menu_button("C/W", |ui| {
            let half = width / 2.0;
            let (mut low, mut high) = (centre - half, centre + half);
            for (name, value) in [("Centre", &mut centre), ("Width", &mut width)] {
                ui.horizontal(|ui| {
                    let field = ui.add(egui::DragValue::new(value).speed(1.0));
                    field.labelled_by(ui.label(name).id);
                });
            }
            let before = (low, high);
            for (name, value) in [("Lowest", &mut low), ("Highest", &mut high)] {
                ui.horizontal(|ui| {
                    let field = ui.add(egui::DragValue::new(value).speed(1.0));
                    field.labelled_by(ui.label(name).id);
                });
            }
            if (low, high) != before && high > low {
                (centre, width) = (f32::midpoint(low, high), high - low);
            }
        })
        .response
        .on_hover_text("Type the window: centre and width, or lowest and highest value")
        .accessible_name("Window in numbers");
        let width = width.max(1.0);
        if (centre, width) != (window.centre, window.width) {
            let mut changed = if window.is_table() {
                self.fitted = true;
                window.without_table()
            } else {
                window.clone()
            };
            (changed.centre, changed.width) = (centre, width);
            "By hand".clone_into(&mut changed.name);
            self.window = Some(changed);
        }
    }
}

/// How fast dragging changes the window: coarse with Shift, fine with Ctrl.
pub(super) fn drag_pace(ui: &Ui) -> f32 {
    ui.input(
        |input| match (input.modifiers.shift, input.modifiers.command) {
            (true, _) => 4.0,
            (_, true) => 0.25,
            _ => 1.0,
        },
    )
}

/// Moves a window by so many values (width across, centre down); its function stays. Of a table the straight
/// window that fits it is moved: true then.
pub(super) fn drag_window(window: &mut Window, delta: Vec2, range: f32) -> bool {
    if delta == Vec2::ZERO {
        return false;
    }
    let fitted = window.is_table();
    if fitted {
        *window = window.without_table();
    }
    window.width = (window.width + delta.x).clamp(1.0, range * 4.0);
    window.centre = (window.centre + delta.y).clamp(-range, 2.0 * range);
    "By hand".clone_into(&mut window.name);
    fitted
}

/// Extent of the stored values, from the preset that shows all of them.
pub(super) fn full_range(presets: &[Window]) -> f32 {
    presets
        .iter()
        .map(|window| window.width)
        .fold(1.0, f32::max)
}

#[cfg(test)]
mod tests {
    use schema::VoiFunction;

    use super::*;

    #[test]
    fn dragging_keeps_the_function_and_leaves_a_table_for_the_line_that_fits() {
        let by = Vec2::new(20.0, -8.0);
        let mut sigmoid = Window {
            function: VoiFunction::Sigmoid,
            ..Window::between(0.0, 1023.0, "Chest")
        };
        assert!(!drag_window(&mut sigmoid, by, 1024.0));
        assert_eq!(sigmoid.function, VoiFunction::Sigmoid);
        assert_eq!((sigmoid.width, sigmoid.centre), (1044.0, 504.0));

        let table = schema::VoiTable::new(|x| x.min(1023) * 64);
        let whole = Window::from_table(table, "Bone");
        let mut window = whole.clone();
        assert!(!drag_window(&mut window, Vec2::ZERO, 1024.0));
        assert_eq!(window, whole);
        assert!(drag_window(&mut window, by, 1024.0));
        assert_eq!(window.function, VoiFunction::Linear);
        assert!(!drag_window(&mut window, by, 1024.0), "fitted once only");
        assert_eq!(window.name, "By hand");
    }
}
