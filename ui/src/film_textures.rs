//! Textures of films and heatmaps: made once, kept within a bound, uploaded a few per frame.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use egui::{ColorImage, TextureHandle, TextureOptions};
use engine::views::{FilmPixels, FilmSize, FilmState, PictureState};

use crate::backend::Backend;
use crate::tokens;
use crate::widgets::colour_map;
use crate::widgets::contours::{self, Contour};
use crate::widgets::example::FilmPlace;

/// Most bytes of textures kept.
const MAX_BYTES: usize = 192 << 20;
/// Most textures kept.
const MAX_TEXTURES: usize = 4096;
/// Textures dropped in one frame, so that no frame pays for all of them.
const DROPS_PER_FRAME: usize = 128;
/// Most film textures made in one frame, so that scrolling stays smooth.
const UPLOADS_PER_FRAME: usize = 24;

/// A film or picture asked for.
pub(crate) enum Thumbnail {
    /// Draw it.
    Ready(TextureHandle),
    /// Not yet.
    Loading,
    /// Never; the large view says why.
    Failed,
}

/// In which manner a heatmap is drawn.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum HeatDrawing {
    /// Colours, bilinear between patch centres.
    #[default]
    Smooth,
    /// Colours, one a patch.
    Raw,
    /// Lines of equal activation.
    Contours,
}

/// How heatmaps are drawn, everywhere at once.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct HeatStyle {
    /// Whether they are drawn at all.
    pub(crate) shown: bool,
    /// Alpha of the maximum, `0..=1`.
    pub(crate) opacity: f32,
    /// In which manner.
    pub(crate) drawing: HeatDrawing,
    /// H is held down: hide for now.
    #[serde(skip)]
    pub(crate) held: bool,
}

impl Default for HeatStyle {
    fn default() -> Self {
        Self {
            shown: true,
            opacity: 0.75,
            drawing: HeatDrawing::Smooth,
            held: false,
        }
    }
}

impl HeatStyle {
    /// Draws in this manner, or, if it is so already, in the other one.
    pub(crate) fn toggle(&mut self, drawing: HeatDrawing) {
        self.drawing = match drawing {
            other if self.drawing != other => other,
            HeatDrawing::Smooth => HeatDrawing::Raw,
            HeatDrawing::Raw | HeatDrawing::Contours => HeatDrawing::Smooth,
        };
    }

    /// Whether to draw a heatmap now.
    pub(crate) fn visible(self) -> bool {
        self.shown && !self.held
    }
}

/// Dataset, sample and number of a film.
type FilmKey = (Arc<str>, u32, u32);

/// Identifies the heatmap of one feature on one sample.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HeatKey {
    /// Address of the activations: they are shared, never changed, and kept alive by the entry.
    heat: usize,
    maximum: u32,
    opacity: u32,
    drawing: HeatDrawing,
}

/// Lines of a heatmap, made once.
struct Lines {
    drawn: Arc<Vec<Contour>>,
    used: u64,
    /// Keeps the address in the key from being given to another heatmap.
    _heat: Arc<Vec<f32>>,
}

struct Entry {
    texture: TextureHandle,
    used: u64,
    /// Keeps the address in [`HeatKey`] from being given to another heatmap.
    _heat: Option<Arc<Vec<f32>>>,
}

#[derive(Default)]
struct Inner {
    films: HashMap<FilmKey, Entry>,
    heats: HashMap<HeatKey, Entry>,
    /// By address of the activations, columns and maximum.
    lines: HashMap<(usize, usize, u32), Lines>,
    failed: HashSet<FilmKey>,
    /// Pictures of items, by path; `None` for one that cannot be read.
    pictures: HashMap<Arc<str>, Option<Entry>>,
    names: Vec<Arc<str>>,
    frame: u64,
    uploads: usize,
    bytes: usize,
    /// Films asked for in this frame that were not there.
    loading: usize,
    loading_before: usize,
}

/// The cache. Interior mutability, because panels only borrow it.
#[derive(Default)]
pub(crate) struct FilmTextures(RefCell<Inner>);

impl FilmTextures {
    /// Call once per frame, before anything is drawn.
    pub(crate) fn begin_frame(&self) {
        let mut inner = self.0.borrow_mut();
        inner.frame += 1;
        inner.uploads = 0;
        inner.loading_before = std::mem::take(&mut inner.loading);
        let n_textures = inner.films.len() + inner.heats.len() + inner.pictures.len();
        if inner.bytes > MAX_BYTES || n_textures > MAX_TEXTURES {
            inner.evict();
        }
    }

    /// Counts a film that a viewer waits for.
    pub(crate) fn note_loading(&self) {
        self.0.borrow_mut().loading += 1;
    }

    /// Films that the last whole frame wanted and did not get.
    pub(crate) fn n_loading(&self) -> usize {
        let inner = self.0.borrow();
        inner.loading.max(inner.loading_before)
    }

    /// Forgets everything, e.g. when another project is opened.
    pub(crate) fn clear(&self) {
        *self.0.borrow_mut() = Inner::default();
    }

    /// The thumbnail of a film.
    pub(crate) fn thumbnail(
        &self,
        ctx: &egui::Context,
        backend: &dyn Backend,
        place: FilmPlace<'_>,
    ) -> Thumbnail {
        let mut inner = self.0.borrow_mut();
        let key = (inner.name(place.dataset), place.sample, place.film);
        let frame = inner.frame;
        if let Some(entry) = inner.films.get_mut(&key) {
            entry.used = frame;
            return Thumbnail::Ready(entry.texture.clone());
        }
        if inner.failed.contains(&key) {
            return Thumbnail::Failed;
        }
        if inner.uploads >= UPLOADS_PER_FRAME {
            ctx.request_repaint();
            inner.loading += 1;
            return Thumbnail::Loading;
        }
        match place.read(backend, FilmSize::Thumbnail) {
            FilmState::Loading => {
                inner.loading += 1;
                Thumbnail::Loading
            }
            FilmState::Failed(_) => {
                inner.failed.insert(key);
                Thumbnail::Failed
            }
            FilmState::Ready(film) => {
                inner.uploads += 1;
                let image = grey_image(&film);
                inner.bytes += image.pixels.len() * 4;
                let texture = ctx.load_texture("thumbnail", image, TextureOptions::LINEAR);
                let entry = Entry {
                    texture: texture.clone(),
                    used: frame,
                    _heat: None,
                };
                inner.films.insert(key, entry);
                Thumbnail::Ready(texture)
            }
        }
    }

    /// The picture of an item.
    pub(crate) fn picture(
        &self,
        ctx: &egui::Context,
        backend: &dyn Backend,
        path: &Arc<str>,
    ) -> Thumbnail {
        let mut inner = self.0.borrow_mut();
        let frame = inner.frame;
        if let Some(known) = inner.pictures.get_mut(path) {
            return known.as_mut().map_or(Thumbnail::Failed, |entry| {
                entry.used = frame;
                Thumbnail::Ready(entry.texture.clone())
            });
        }
        if inner.uploads >= UPLOADS_PER_FRAME {
            ctx.request_repaint();
            inner.loading += 1;
            return Thumbnail::Loading;
        }
        match backend.picture(path) {
            PictureState::Loading => {
                inner.loading += 1;
                Thumbnail::Loading
            }
            PictureState::Failed(_) => {
                inner.pictures.insert(Arc::clone(path), None);
                Thumbnail::Failed
            }
            PictureState::Ready(picture) => {
                inner.uploads += 1;
                let size = [picture.width as usize, picture.height as usize];
                let image = ColorImage::from_rgba_unmultiplied(size, &picture.rgba);
                inner.bytes += image.pixels.len() * 4;
                let texture = ctx.load_texture("picture", image, TextureOptions::LINEAR);
                let entry = Entry {
                    texture: texture.clone(),
                    used: frame,
                    _heat: None,
                };
                inner.pictures.insert(Arc::clone(path), Some(entry));
                Thumbnail::Ready(texture)
            }
        }
    }

    /// The overlay of `heat` (`columns` wide, row-major) on one scale: `maximum` is opaque.
    pub(crate) fn heatmap(
        &self,
        ctx: &egui::Context,
        heat: &Arc<Vec<f32>>,
        columns: usize,
        maximum: f32,
        style: HeatStyle,
    ) -> Option<TextureHandle> {
        if columns == 0 || heat.is_empty() || !heat.len().is_multiple_of(columns) {
            return None;
        }
        let mut inner = self.0.borrow_mut();
        let key = HeatKey {
            heat: Arc::as_ptr(heat).addr(),
            maximum: maximum.to_bits(),
            opacity: style.opacity.to_bits(),
            drawing: style.drawing,
        };
        let frame = inner.frame;
        if let Some(entry) = inner.heats.get_mut(&key) {
            entry.used = frame;
            return Some(entry.texture.clone());
        }
        let image = if style.drawing == HeatDrawing::Contours {
            contours::image(heat, columns, maximum, style.opacity)
        } else {
            heat_image(heat, columns, maximum, style.opacity)
        };
        inner.bytes += image.pixels.len() * 4;
        let options = if style.drawing == HeatDrawing::Raw {
            TextureOptions::NEAREST
        } else {
            TextureOptions::LINEAR
        };
        let texture = ctx.load_texture("heatmap", image, options);
        let entry = Entry {
            texture: texture.clone(),
            used: frame,
            _heat: Some(Arc::clone(heat)),
        };
        inner.heats.insert(key, entry);
        Some(texture)
    }

    /// The lines of equal activation of `heat` on one scale.
    pub(crate) fn contours(
        &self,
        heat: &Arc<Vec<f32>>,
        columns: usize,
        maximum: f32,
    ) -> Arc<Vec<Contour>> {
        let mut inner = self.0.borrow_mut();
        let frame = inner.frame;
        let key = (Arc::as_ptr(heat).addr(), columns, maximum.to_bits());
        if let Some(known) = inner.lines.get_mut(&key) {
            known.used = frame;
            return Arc::clone(&known.drawn);
        }
        inner.lines.retain(|_, lines| lines.used + 1 >= frame);
        let lines = Arc::new(contours::contours(heat, columns, maximum));
        let entry = Lines {
            drawn: Arc::clone(&lines),
            used: frame,
            _heat: Arc::clone(heat),
        };
        inner.lines.insert(key, entry);
        lines
    }
}

impl Inner {
    /// One shared copy of each dataset name, so that keys cost no allocation.
    fn name(&mut self, dataset: &str) -> Arc<str> {
        if let Some(name) = self.names.iter().find(|name| &***name == dataset) {
            return Arc::clone(name);
        }
        let name: Arc<str> = dataset.into();
        self.names.push(Arc::clone(&name));
        name
    }

    /// Drops some of those that were not drawn for longest; never what the last frame drew.
    fn evict(&mut self) {
        let mut ages: Vec<u64> = self
            .films
            .values()
            .chain(self.heats.values())
            .chain(self.pictures.values().flatten())
            .map(|entry| entry.used)
            .collect();
        if ages.len() <= DROPS_PER_FRAME {
            return;
        }
        let (_, cut, _) = ages.select_nth_unstable(DROPS_PER_FRAME);
        let cut = (*cut).min(self.frame.saturating_sub(2));
        self.films.retain(|_, entry| entry.used > cut);
        self.heats.retain(|_, entry| entry.used > cut);
        // What cannot be read is asked for again: it may have come back.
        let is_new = |entry: &Entry| entry.used > cut;
        self.pictures
            .retain(|_, entry| entry.as_ref().is_some_and(is_new));
        self.bytes = self
            .films
            .values()
            .chain(self.heats.values())
            .chain(self.pictures.values().flatten())
            .map(|entry| entry.texture.byte_size())
            .sum();
    }
}

fn grey_image(film: &FilmPixels) -> ColorImage {
    let size = [film.width as usize, film.height as usize];
    if film.grey.len() == size[0] * size[1] {
        ColorImage::from_gray(size, &film.grey)
    } else {
        ColorImage::filled([1, 1], tokens::FILM_BACKGROUND)
    }
}

fn heat_image(heat: &[f32], columns: usize, maximum: f32, opacity: f32) -> ColorImage {
    let scale = if maximum > 0.0 { 1.0 / maximum } else { 0.0 };
    let pixels = heat
        .iter()
        .map(|&value| colour_map::overlay(value * scale, opacity))
        .collect();
    ColorImage::new([columns, heat.len() / columns], pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_image_keeps_rows_and_scale() {
        let image = heat_image(&[0.0, 2.0, 4.0, 0.0, 0.0, 8.0], 3, 8.0, 1.0);
        assert_eq!(image.size, [3, 2]);
        assert_eq!(image.pixels[0].a(), 0);
        assert_eq!(image.pixels[5].a(), 255);
        assert!(image.pixels[1].a() < image.pixels[2].a());
    }

    #[test]
    fn a_heatmap_is_made_once() {
        let textures = FilmTextures::default();
        let ctx = egui::Context::default();
        let heat = Arc::new(vec![0.0, 1.0]);
        let first = textures.heatmap(&ctx, &heat, 2, 1.0, HeatStyle::default());
        let second = textures.heatmap(&ctx, &heat, 2, 1.0, HeatStyle::default());
        assert_eq!(
            first.as_ref().map(TextureHandle::id),
            second.map(|t| t.id())
        );
        let style = HeatStyle {
            drawing: HeatDrawing::Contours,
            ..HeatStyle::default()
        };
        let lines = textures.heatmap(&ctx, &heat, 2, 1.0, style);
        assert_ne!(first.map(|t| t.id()), lines.map(|t| t.id()));
        let lines = textures.contours(&heat, 2, 1.0);
        assert!(Arc::ptr_eq(&lines, &textures.contours(&heat, 2, 1.0)));
        assert!(
            textures
                .heatmap(&ctx, &heat, 3, 1.0, HeatStyle::default())
                .is_none()
        );
    }
}
