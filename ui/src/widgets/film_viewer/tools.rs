//! The row of tools over a film.

use egui::Ui;

use super::{BoxSource, FilmViewer, PRESETS, Subject};
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::film_textures::HeatDrawing;
use crate::keys::{self, Action};

impl FilmViewer {
    /// The tools of a film, and more behind them.
    pub(crate) fn tools_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        subject: &Subject<'_>,
        tools: impl FnOnce(&mut Ui),
    ) {
        self.load(ctx, subject);
        let map = keys::of(ui.ctx());
        ui.horizontal_wrapped(|ui| {
            self.presets_ui(ui);
            self.numbers_ui(ui);
            ui.toggle_value(&mut self.inverted, "Invert")
                .on_hover_text(map.text(Action::Invert));
            let fit = ui.button("Fit");
            if fit.on_hover_text(map.text(Action::Fit)).clicked() {
                self.reset_view();
            }
            self.boxes_ui(ui, subject);
            if subject.heat.is_some() {
                heat_tools_ui(ctx, ui);
            }
            let save = ui.add_enabled(self.shown.is_some(), egui::Button::new("Save as PNG…"));
            let save = save.on_hover_text(
                "Writes the film as it is looked at, with what lies over it: no name goes along, \
                 but text in the pixels does",
            );
            if save.clicked()
                && let Some(picture) = self.picture(ctx, subject)
            {
                ctx.send(Command::SaveFilm(Box::new(picture)));
            }
            tools(ui);
        });
    }

    /// The windows to choose from.
    fn presets_ui(&mut self, ui: &mut Ui) {
        let map = keys::of(ui.ctx());
        let presets = self
            .shown
            .as_ref()
            .map_or(&[][..], |shown| &shown.film.windows);
        let current = self.window.as_ref().map_or("Window", |window| &window.name);
        let mut chosen = None;
        egui::ComboBox::from_id_salt("window preset")
            .selected_text(current)
            .width(150.0)
            .show_ui(ui, |ui| {
                for (i, preset) in presets.iter().enumerate() {
                    let selected = self.window.as_ref() == Some(preset);
                    let key = PRESETS.get(i).map(|&action| map.text(action));
                    let key = key.unwrap_or_default();
                    let text = format!("{}   {key}", preset.name);
                    if ui.selectable_label(selected, text).clicked() {
                        chosen = Some(preset.clone());
                    }
                }
            })
            .response
            .accessible_name("Window preset")
            .on_hover_text("Window preset. Drag on the film: across for width, down for centre");
        if let Some(chosen) = chosen {
            self.choose(chosen);
        }
    }

    /// A switch for each source of boxes that this film has.
    fn boxes_ui(&mut self, ui: &mut Ui, subject: &Subject<'_>) {
        for source in [BoxSource::Data, BoxSource::Model] {
            let is_here = subject
                .boxes
                .iter()
                .any(|layer| layer.source == source && !layer.boxes.is_empty());
            if !is_here {
                continue;
            }
            let mut shown = !self.hidden.contains(&source);
            let (name, what) = source.switch();
            ui.toggle_value(&mut shown, name).on_hover_text(what);
            self.hidden.retain(|other| *other != source);
            if !shown {
                self.hidden.push(source);
            }
        }
    }
}

fn heat_tools_ui(ctx: &AppContext<'_>, ui: &mut Ui) {
    let mut style = ctx.heat;
    ui.toggle_value(&mut style.shown, "Heatmap")
        .on_hover_text("Hold H to hide the heatmap for a moment");
    let keys = keys::of(ui.ctx());
    for (drawing, name, what, action) in [
        (
            HeatDrawing::Smooth,
            "Smooth",
            "Between patch centres, or the raw patches",
            Action::Smooth,
        ),
        (
            HeatDrawing::Contours,
            "Contours",
            "Lines of equal activation instead of colours",
            Action::Contours,
        ),
    ] {
        let mut on = style.drawing == drawing;
        let switch = ui.toggle_value(&mut on, name);
        if switch
            .on_hover_text(format!("{what} ({})", keys.text(action)))
            .changed()
        {
            style.toggle(drawing);
        }
    }
    ui.spacing_mut().slider_width = 72.0;
    ui.add(egui::Slider::new(&mut style.opacity, 0.1..=1.0).show_value(false))
        .accessible_name("Heatmap opacity")
        .on_hover_text("Heatmap opacity: [ and ]");
    if style != ctx.heat {
        ctx.send(Command::SetHeat(style));
    }
}
