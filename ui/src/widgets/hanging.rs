//! The films of a study side by side: frontal, lateral and earlier ones, looked at as one.

use std::collections::BTreeSet;

use egui::{Align2, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{FurtherFilmView, SampleView};
use schema::FilmRole;

use crate::app_context::AppContext;
use crate::keys::{self, Action};
use crate::tokens::{self, HALF};
use crate::widgets::example::{self, FilmPlace};
use crate::widgets::film_viewer::{BoxLayer, BoxSource, FilmViewer, Heat, Look, Subject};
use crate::widgets::notice;

/// Side of a film in the strip.
const STRIP_SIDE: f32 = 56.0;

/// State of the films of one study.
pub(crate) struct Hanging {
    /// One viewer a film, the sample's own first.
    viewers: Vec<FilmViewer>,
    /// Dataset and sample.
    of: (String, u32),
    /// Films that are taken down.
    down: BTreeSet<usize>,
    /// The film that keys and tools are for.
    chosen: usize,
    /// Films are zoomed, moved and windowed alone.
    apart: bool,
    /// How all films are looked at.
    look: Option<Look>,
    marks_hidden: bool,
}

impl Default for Hanging {
    fn default() -> Self {
        Self::with_marks_hidden(false)
    }
}

/// The films of a sample.
#[derive(Clone, Copy)]
pub(crate) struct Study<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) record: &'a SampleView,
    /// How the sample's own film is called.
    pub(crate) name: &'a str,
    /// Size of the sample's own film.
    pub(crate) size: [u32; 2],
}

impl Hanging {
    /// With the dataset's boxes switched off until they are asked for, or on.
    pub(crate) fn with_marks_hidden(marks_hidden: bool) -> Self {
        Self {
            viewers: Vec::new(),
            of: (String::new(), 0),
            down: BTreeSet::new(),
            chosen: 0,
            apart: false,
            look: None,
            marks_hidden,
        }
    }

    /// The viewer of the sample's own film.
    pub(crate) fn own(&mut self) -> &mut FilmViewer {
        if self.viewers.is_empty() {
            self.viewers.push(viewer(self.marks_hidden));
        }
        &mut self.viewers[0]
    }

    /// Where the sample's own film was drawn last.
    pub(crate) fn drawn(&self) -> Option<Rect> {
        self.viewers.first().and_then(FilmViewer::drawn)
    }

    /// Whether the sample's own film is shown otherwise than it came.
    pub(crate) fn is_changed(&self) -> bool {
        self.viewers.first().is_some_and(FilmViewer::is_changed)
    }

    /// The films of `study` with their tools; `heat` lies on its own film, `more` are further tools.
    pub(crate) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        study: Study<'_>,
        heat: Option<Heat<'_>>,
        more: impl FnOnce(&mut Ui),
    ) {
        self.take_up(study);
        let own = layer(&study.record.boxes);
        let mut subjects = vec![Subject {
            place: FilmPlace::own(study.dataset, study.record.sample),
            name: study.name,
            size: study.size,
            heat,
            boxes: &own,
        }];
        let further = &study.record.further;
        if further.is_empty() {
            let viewer = self.own();
            viewer.hear(true);
            viewer.ui_with(ctx, ui, &subjects[0], more);
            return;
        }
        let layers: Vec<[BoxLayer<'_>; 1]> =
            further.iter().map(|film| layer(&film.boxes)).collect();
        let names: Vec<String> = further.iter().map(name_of).collect();
        for (i, film) in further.iter().enumerate() {
            subjects.push(Subject {
                place: FilmPlace {
                    film: i as u32 + 1,
                    ..subjects[0].place
                },
                name: &names[i],
                size: film.size,
                heat: None,
                boxes: &layers[i],
            });
        }
        self.keys(ui, further);
        self.tools_ui(ctx, ui, &subjects[self.chosen], more);
        self.strip_ui(ctx, ui, &subjects, further);
        self.films_ui(ctx, ui, &subjects);
    }

    /// Begins anew with another sample: earlier films are down until they are asked for.
    fn take_up(&mut self, study: Study<'_>) {
        let n = study.record.further.len() + 1;
        let is_other = self.of.0 != study.dataset || self.of.1 != study.record.sample;
        if is_other {
            self.of = (study.dataset.to_owned(), study.record.sample);
            self.chosen = 0;
            self.look = None;
        }
        if is_other || self.viewers.len() != n {
            let further = study.record.further.iter().enumerate();
            let prior = further.filter(|(_, film)| film.role == FilmRole::Prior);
            self.down = prior.map(|(i, _)| i + 1).collect();
        }
        let hidden = self.marks_hidden;
        self.viewers.resize_with(n, || viewer(hidden));
        self.chosen = self.chosen.min(n - 1);
    }

    fn keys(&mut self, ui: &Ui, further: &[FurtherFilmView]) {
        if ui.ctx().text_edit_focused() || keys::is_behind(ui.ctx()) {
            return;
        }
        for (action, role) in [
            (Action::Lateral, FilmRole::Lateral),
            (Action::Prior, FilmRole::Prior),
        ] {
            if keys::fired(ui.ctx(), action) {
                self.toggle(further, role);
            }
        }
        if keys::fired(ui.ctx(), Action::NextFilm) {
            let n = self.viewers.len();
            let next = (1..=n).map(|step| (self.chosen + step) % n);
            let up = |i: &usize| !self.down.contains(i);
            self.chosen = next.into_iter().find(up).unwrap_or(0);
        }
    }

    /// Takes all films of a role down, or hangs them again.
    fn toggle(&mut self, further: &[FurtherFilmView], role: FilmRole) {
        let of_role: Vec<usize> = (1..=further.len())
            .filter(|&i| further[i - 1].role == role)
            .collect();
        let any_up = of_role.iter().any(|i| !self.down.contains(i));
        for i in of_role {
            self.hang(i, !any_up);
        }
    }

    fn hang(&mut self, film: usize, up: bool) {
        if up {
            self.down.remove(&film);
        } else if film > 0 {
            self.down.insert(film);
            if self.chosen == film {
                self.chosen = 0;
            }
        }
    }

    /// The tools of the chosen film, which serve all while they are looked at as one.
    fn tools_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        subject: &Subject<'_>,
        more: impl FnOnce(&mut Ui),
    ) {
        let mut together = !self.apart;
        let viewer = &mut self.viewers[self.chosen];
        let before = viewer.look();
        viewer.tools_ui(ctx, ui, subject, |ui| {
            ui.toggle_value(&mut together, "Together").on_hover_text(
                "All films are zoomed, moved and windowed as one; a window by hand is taken over \
                 in widths of each film's own first window",
            );
            more(ui);
        });
        let after = viewer.look();
        let hidden = viewer.hidden_boxes().to_vec();
        if together && self.apart {
            self.look = after;
        } else if let (Some(before), Some(after)) = (&before, after)
            && after != *before
        {
            self.look = Some(after.taken_over(before, self.look.as_ref()));
        }
        self.apart = !together;
        for viewer in &mut self.viewers {
            viewer.hide_boxes(hidden.clone());
        }
    }

    /// All films in small: a click hangs one, or takes it down.
    fn strip_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        subjects: &[Subject<'_>],
        further: &[FurtherFilmView],
    ) {
        ui.horizontal(|ui| {
            for (i, subject) in subjects.iter().enumerate() {
                let size = Vec2::splat(STRIP_SIDE);
                let (rect, response) = ui.allocate_exact_size(size, Sense::click());
                let up = !self.down.contains(&i);
                let title = i.checked_sub(1).map_or_else(
                    || FilmRole::Frontal.name().to_owned(),
                    |at| title_of(further, at),
                );
                response.widget_info(|| WidgetInfo::selected(Role::Button, true, up, &title));
                example::paint_film(ctx, ui, rect, subject.place, subject.size);
                let initial = title.chars().next().unwrap_or(' ').to_string();
                notice::film_text(ui.painter(), rect, Align2::LEFT_TOP, &initial);
                if up || response.has_focus() || response.hovered() {
                    let width = if self.chosen == i { 2.5 } else { 1.0 };
                    let stroke = Stroke::new(width, tokens::of(ui).accent);
                    ui.painter()
                        .rect_stroke(rect, 2.0, stroke, StrokeKind::Inside);
                }
                if response.clicked() {
                    self.hang(i, i == 0 || !up);
                    if i == 0 {
                        self.chosen = 0;
                    }
                }
                response.on_hover_text(format!("{title}: {}", subject.name));
            }
            let role_keys = [Action::Lateral, Action::Prior, Action::NextFilm]
                .map(|action| keys::of(ui.ctx()).text(action));
            let [lateral, prior, next] = role_keys;
            notice::weak_ui(
                ui,
                format!("{lateral} lateral, {prior} earlier films, {next} keys for the next film"),
            );
        });
        ui.add_space(HALF);
    }

    /// The films that hang, from the sample's own on the left to the oldest on the right.
    fn films_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, subjects: &[Subject<'_>]) {
        let up: Vec<usize> = (0..subjects.len())
            .filter(|i| !self.down.contains(i))
            .collect();
        let mut look = if self.apart { None } else { self.look.clone() };
        ui.columns(up.len(), |columns| {
            for (ui, &i) in columns.iter_mut().zip(&up) {
                let viewer = &mut self.viewers[i];
                viewer.hear(i == self.chosen);
                if let Some(look) = &look {
                    viewer.set_look(look);
                }
                let before = viewer.look();
                ui.push_id(i, |ui| viewer.film_ui(ctx, ui, &subjects[i]));
                // Only what the reader does to a film is taken over by the others: what a film is
                // when it comes is not.
                if !self.apart
                    && let (Some(before), Some(after)) = (&before, viewer.look())
                    && after != *before
                {
                    look = Some(after.taken_over(before, look.as_ref()));
                }
            }
        });
        if !self.apart {
            if look != self.look {
                ui.ctx().request_repaint();
            }
            self.look = look;
        }
    }
}

fn viewer(marks_hidden: bool) -> FilmViewer {
    if marks_hidden {
        FilmViewer::unmarked()
    } else {
        FilmViewer::default()
    }
}

fn layer(boxes: &[schema::FindingBox]) -> [BoxLayer<'_>; 1] {
    [BoxLayer {
        source: BoxSource::Data,
        boxes,
    }]
}

/// What is written on a film beside the sample's own.
fn name_of(film: &FurtherFilmView) -> String {
    format!("{} · {}", film.title(), film.id)
}

/// The title of a film, with its number where several have the same.
fn title_of(further: &[FurtherFilmView], at: usize) -> String {
    let title = further[at].title();
    let same = |film: &&FurtherFilmView| film.title() == title;
    if further.iter().filter(same).count() < 2 {
        return title;
    }
    let n = further[..=at].iter().filter(same).count();
    format!("{title} {n}")
}
