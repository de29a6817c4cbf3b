//! Which sizes of a film lie on the card, and how many rows of them: a large film is uploaded in
//! bands, a coarser size standing in until all of it is there.

use engine::views::FilmPixels;

use super::Uploaded;
use crate::widgets::film_shade::{self, Level};

/// Most bytes uploaded in one frame.
const BYTES_PER_FRAME: usize = 8 << 20;

/// What makes textures of stored values and writes rows into them.
pub(super) trait Uploads {
    /// A texture; given back to the card when it is dropped.
    type Texture;
    /// An empty texture, or `None` where the card has no room.
    fn make(&self, width: u32, height: u32) -> Option<Self::Texture>;
    /// Writes whole rows from `first` on.
    fn write(&self, texture: &Self::Texture, width: u32, first: u32, rows: &[u16]);
}

/// A size with the rows that are there.
struct Part<T> {
    size: usize,
    texture: T,
    n_rows: u32,
    n_all: u32,
}

/// The sizes of one film that lie on the card.
pub(super) struct Sizes<T> {
    parts: Vec<Part<T>>,
}

/// A size that can be drawn now.
pub(super) struct Drawn<'a, T> {
    pub(super) size: usize,
    pub(super) texture: &'a T,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) uploaded: Uploaded,
}

impl<T> Default for Sizes<T> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<T> Sizes<T> {
    /// Uploads what one frame may of the size `wanted`, and says what to draw: that size, else a
    /// finer one that is there, else a coarser one. `None` where the card does not take the size.
    pub(super) fn step(
        &mut self,
        film: &FilmPixels,
        wanted: usize,
        uploads: &impl Uploads<Texture = T>,
    ) -> Option<Drawn<'_, T>> {
        let n_sizes = film_shade::levels(film).count();
        let wanted = wanted.min(n_sizes.saturating_sub(1));
        if self.upload(film, wanted, BYTES_PER_FRAME, uploads)? == Uploaded::All {
            let smallest = n_sizes - 1;
            self.parts
                .retain(|part| part.size == wanted || part.size == smallest);
            return self.drawn(film, wanted, Uploaded::All);
        }
        let whole = |part: &&Part<T>| part.n_rows == part.n_all;
        let stand_in = self
            .parts
            .iter()
            .filter(whole)
            .map(|part| part.size)
            .min_by_key(|&size| (size > wanted, size.abs_diff(wanted)));
        let stand_in = stand_in.or_else(|| {
            let smallest = n_sizes.checked_sub(1)?;
            self.upload(film, smallest, usize::MAX, uploads)?;
            Some(smallest)
        })?;
        self.drawn(film, stand_in, Uploaded::Partly)
    }

    /// Writes at most `bytes` of a size, at least one row; how much of it is there now, or `None`
    /// where the card takes nothing of it.
    fn upload(
        &mut self,
        film: &FilmPixels,
        size: usize,
        bytes: usize,
        uploads: &impl Uploads<Texture = T>,
    ) -> Option<Uploaded> {
        let level = film_shade::levels(film).nth(size).filter(Level::is_whole)?;
        let at = self.parts.iter().position(|part| part.size == size);
        let at = at.or_else(|| {
            self.parts.push(Part {
                size,
                texture: uploads.make(level.width, level.height)?,
                n_rows: 0,
                n_all: level.height,
            });
            Some(self.parts.len() - 1)
        })?;
        let part = self.parts.get_mut(at)?;
        let n_now = (bytes / (2 * level.width.max(1) as usize)).max(1) as u64;
        let until = (u64::from(part.n_rows) + n_now).min(u64::from(part.n_all)) as u32;
        if until > part.n_rows {
            let rows = level.rows(part.n_rows, until);
            uploads.write(&part.texture, level.width, part.n_rows, rows);
            part.n_rows = until;
        }
        let is_whole = part.n_rows == part.n_all;
        Some(if is_whole {
            Uploaded::All
        } else {
            Uploaded::Partly
        })
    }

    fn drawn(&self, film: &FilmPixels, size: usize, uploaded: Uploaded) -> Option<Drawn<'_, T>> {
        let part = self.parts.iter().find(|part| part.size == size)?;
        let level = film_shade::levels(film).nth(size)?;
        Some(Drawn {
            size,
            texture: &part.texture,
            width: level.width,
            height: level.height,
            uploaded,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Keeps what is uploaded, by the width of the texture.
    #[derive(Default)]
    struct Memory {
        written: RefCell<Vec<(u32, u32, usize)>>,
        /// Sizes wider than this are not taken.
        room_for: Option<u32>,
    }

    impl Uploads for Memory {
        type Texture = u32;

        fn make(&self, width: u32, _height: u32) -> Option<u32> {
            self.room_for
                .is_none_or(|most| width <= most)
                .then_some(width)
        }

        fn write(&self, texture: &u32, width: u32, first: u32, rows: &[u16]) {
            assert_eq!(*texture, width);
            self.written.borrow_mut().push((width, first, rows.len()));
        }
    }

    #[test]
    fn a_small_film_is_there_at_once_and_uploaded_once() {
        let film = crate::bench::film_of_side(600);
        let memory = Memory::default();
        let mut sizes = Sizes::default();
        for _ in 0..3 {
            let drawn = sizes.step(&film, 0, &memory).unwrap();
            assert_eq!(
                (drawn.size, drawn.width, drawn.uploaded),
                (0, 600, Uploaded::All)
            );
        }
        assert_eq!(*memory.written.borrow(), [(600, 0, 600 * 600)]);
    }

    #[test]
    fn a_large_film_comes_in_bands_while_a_small_one_stands_in() {
        let film = crate::bench::film_of_side(4096);
        let memory = Memory::default();
        let mut sizes = Sizes::default();
        // 32 MB in bands of 8 MB; the smallest size, 512 wide, until then.
        for _ in 0..3 {
            let drawn = sizes.step(&film, 0, &memory).unwrap();
            assert_eq!((drawn.width, drawn.uploaded), (512, Uploaded::Partly));
        }
        let drawn = sizes.step(&film, 0, &memory).unwrap();
        assert_eq!((drawn.width, drawn.uploaded), (4096, Uploaded::All));
        let band = 1024 * 4096;
        assert_eq!(
            *memory.written.borrow(),
            [
                (4096, 0, band),
                (512, 0, 512 * 512),
                (4096, 1024, band),
                (4096, 2048, band),
                (4096, 3072, band),
            ]
        );
        // Further out: the largest size is given back.
        let drawn = sizes.step(&film, 1, &memory).unwrap();
        assert_eq!((drawn.width, drawn.uploaded), (2048, Uploaded::All));
        assert_eq!(sizes.parts.len(), 2);
    }

    #[test]
    fn a_card_without_room_for_the_size_draws_nothing() {
        let film = crate::bench::film_of_side(4096);
        let memory = Memory {
            room_for: Some(512),
            ..Memory::default()
        };
        let mut sizes = Sizes::default();
        assert!(sizes.step(&film, 3, &memory).is_some());
        assert!(sizes.step(&film, 0, &memory).is_none());
    }

    #[test]
    fn zooming_out_keeps_the_finer_size_until_the_coarser_is_there() {
        let film = crate::bench::film_of_side(8192);
        let memory = Memory::default();
        let mut sizes = Sizes::default();
        while sizes
            .step(&film, 0, &memory)
            .is_none_or(|drawn| drawn.uploaded == Uploaded::Partly)
        {}
        // 4,096 a side: 32 MB, in four frames.
        let drawn = sizes.step(&film, 1, &memory).unwrap();
        assert_eq!((drawn.width, drawn.uploaded), (8192, Uploaded::Partly));
    }
}
