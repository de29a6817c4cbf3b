//! Films drawn through OpenGL 3 or OpenGL ES 3.
#![expect(unsafe_code, reason = "every call of OpenGL is an unsafe one")]

use std::sync::{Arc, Mutex, PoisonError};

use eframe::glow::{self, HasContext as _, PixelUnpackData};
use egui::PaintCallbackInfo;

use super::sizes::{Sizes, Uploads};
use super::{CardFilm, Drawing, Held, TABLE_SIDE, Uploaded, placement};

/// Words in the names of renderers that the processor plays.
const PLAYED: [&str; 4] = ["llvmpipe", "softpipe", "swiftshader", "basic render"];

/// Textures that no film holds any more; given back at the next drawing, as only then may
/// OpenGL be called.
type GivenBack = Arc<Mutex<Vec<glow::Texture>>>;

/// The shader of a window.
pub(super) struct Films {
    gl: Arc<glow::Context>,
    program: glow::Program,
    uniforms: Uniforms,
    vertices: glow::VertexArray,
    max_side: u32,
    given_back: GivenBack,
}

/// Where the shader takes its arguments.
struct Uniforms {
    values: Option<glow::UniformLocation>,
    greys: Option<glow::UniformLocation>,
    place: Option<glow::UniformLocation>,
    extent: Option<glow::UniformLocation>,
}

/// A texture that goes back when it is dropped.
pub(super) struct Texture {
    texture: glow::Texture,
    given_back: GivenBack,
}

/// What of one film the card holds.
pub(super) struct HeldFilm {
    sizes: Sizes<Texture>,
    greys: Option<(Texture, u64)>,
}

impl Drop for Texture {
    fn drop(&mut self) {
        let mut given_back = self
            .given_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        given_back.push(self.texture);
    }
}

impl Films {
    /// Prepares the shader; `None` where this OpenGL cannot run it, or is played by the processor
    /// and not wanted then.
    pub(super) fn new(gl: &Arc<glow::Context>, played: bool) -> Option<Self> {
        let version = gl.version();
        if version.major < 3 {
            return None;
        }
        let head = if version.is_embedded {
            "#version 300 es\nprecision highp float;\nprecision highp int;\n\
             precision highp usampler2D;\n"
        } else if (version.major, version.minor) >= (3, 3) {
            "#version 330\n"
        } else {
            "#version 130\n"
        };
        // SAFETY: the context is the current one, as the window is being made.
        unsafe {
            let renderer = gl.get_parameter_string(glow::RENDERER).to_lowercase();
            if !played && PLAYED.iter().any(|word| renderer.contains(word)) {
                return None;
            }
            let program = program(gl, head)?;
            let vertices = gl.create_vertex_array().ok()?;
            let max_side = gl.get_parameter_i32(glow::MAX_TEXTURE_SIZE);
            Some(Self {
                gl: Arc::clone(gl),
                uniforms: Uniforms {
                    values: gl.get_uniform_location(program, "u_values"),
                    greys: gl.get_uniform_location(program, "u_greys"),
                    place: gl.get_uniform_location(program, "u_place"),
                    extent: gl.get_uniform_location(program, "u_extent"),
                },
                program,
                vertices,
                max_side: u32::try_from(max_side).unwrap_or(0),
                given_back: GivenBack::default(),
            })
        }
    }

    pub(super) fn max_side(&self) -> u32 {
        self.max_side
    }

    /// Draws a film into the viewport that is set; called while the window is drawn.
    pub(super) fn paint(
        &self,
        film: &CardFilm,
        info: &PaintCallbackInfo,
        drawing: &Drawing,
    ) -> Uploaded {
        self.delete_given_back();
        let mut held = film.held();
        if !matches!(*held, Held::Gl(_)) {
            *held = Held::Gl(HeldFilm {
                sizes: Sizes::default(),
                greys: None,
            });
        }
        let Held::Gl(held) = &mut *held else {
            return Uploaded::All;
        };
        self.refresh_greys(&mut held.greys, drawing);
        let drawn = held.sizes.step(&film.film, drawing.size, self);
        let (Some(drawn), Some((greys, _))) = (drawn, &held.greys) else {
            film.refuse();
            return Uploaded::Partly;
        };
        let place = placement(
            drawing.place,
            info.pixels_per_point,
            [drawn.width, drawn.height],
        );
        let extent = [drawn.width, drawn.height, info.screen_size_px[1]].map(u32::cast_signed);
        let gl = &self.gl;
        // SAFETY: the context is the current one, as the window is being drawn; egui sets its own
        // state again afterwards.
        unsafe {
            gl.use_program(Some(self.program));
            gl.bind_vertex_array(Some(self.vertices));
            gl.active_texture(glow::TEXTURE1);
            gl.bind_texture(glow::TEXTURE_2D, Some(greys.texture));
            gl.active_texture(glow::TEXTURE0);
            gl.bind_texture(glow::TEXTURE_2D, Some(drawn.texture.texture));
            gl.uniform_1_i32(self.uniforms.values.as_ref(), 0);
            gl.uniform_1_i32(self.uniforms.greys.as_ref(), 1);
            gl.uniform_4_f32_slice(self.uniforms.place.as_ref(), &place);
            gl.uniform_3_i32_slice(self.uniforms.extent.as_ref(), &extent);
            gl.draw_arrays(glow::TRIANGLES, 0, 3);
            gl.bind_vertex_array(None);
            gl.use_program(None);
        }
        drawn.uploaded
    }

    /// Writes the table of greys, where it has changed.
    fn refresh_greys(&self, held: &mut Option<(Texture, u64)>, drawing: &Drawing) {
        if held
            .as_ref()
            .is_some_and(|(_, version)| *version == drawing.greys_version)
        {
            return;
        }
        let texture = match held.take() {
            Some((texture, _)) => Some(texture),
            None => self.texture(glow::R8UI, (TABLE_SIDE, TABLE_SIDE), glow::UNSIGNED_BYTE),
        };
        let Some(texture) = texture else {
            return;
        };
        self.rows(
            &texture,
            (TABLE_SIDE, 0, TABLE_SIDE),
            glow::UNSIGNED_BYTE,
            &drawing.greys,
        );
        *held = Some((texture, drawing.greys_version));
    }

    fn delete_given_back(&self) {
        let mut given_back = self
            .given_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for texture in given_back.drain(..) {
            // SAFETY: the context is the current one; no film holds this texture any more.
            unsafe { self.gl.delete_texture(texture) };
        }
    }

    /// An empty texture of whole numbers.
    fn texture(&self, format: u32, (width, height): (u32, u32), kind: u32) -> Option<Texture> {
        let gl = &self.gl;
        // SAFETY: the context is the current one; no pixels are read, as none are given.
        unsafe {
            // Faults of others are not taken for one of ours; a lost context has faults for ever.
            for _ in 0..8 {
                if gl.get_error() == glow::NO_ERROR {
                    break;
                }
            }
            let texture = gl.create_texture().ok()?;
            gl.bind_texture(glow::TEXTURE_2D, Some(texture));
            for (what, how) in [
                (glow::TEXTURE_MIN_FILTER, glow::NEAREST),
                (glow::TEXTURE_MAG_FILTER, glow::NEAREST),
                (glow::TEXTURE_WRAP_S, glow::CLAMP_TO_EDGE),
                (glow::TEXTURE_WRAP_T, glow::CLAMP_TO_EDGE),
            ] {
                gl.tex_parameter_i32(glow::TEXTURE_2D, what, how.cast_signed());
            }
            gl.tex_image_2d(
                glow::TEXTURE_2D,
                0,
                format.cast_signed(),
                width.cast_signed(),
                height.cast_signed(),
                0,
                glow::RED_INTEGER,
                kind,
                PixelUnpackData::Slice(None),
            );
            let texture = Texture {
                texture,
                given_back: Arc::clone(&self.given_back),
            };
            (gl.get_error() == glow::NO_ERROR).then_some(texture)
        }
    }

    /// Writes `n` rows from `first` on.
    fn rows(&self, texture: &Texture, (width, first, n): (u32, u32, u32), kind: u32, bytes: &[u8]) {
        let gl = &self.gl;
        // SAFETY: the context is the current one, and `bytes` holds `n` rows of `width` values,
        // as both callers make it.
        unsafe {
            gl.bind_texture(glow::TEXTURE_2D, Some(texture.texture));
            gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 1);
            gl.tex_sub_image_2d(
                glow::TEXTURE_2D,
                0,
                0,
                first.cast_signed(),
                width.cast_signed(),
                n.cast_signed(),
                glow::RED_INTEGER,
                kind,
                PixelUnpackData::Slice(Some(bytes)),
            );
        }
    }
}

impl Uploads for Films {
    type Texture = Texture;

    fn make(&self, width: u32, height: u32) -> Option<Texture> {
        self.texture(glow::R16UI, (width, height), glow::UNSIGNED_SHORT)
    }

    fn write(&self, texture: &Texture, width: u32, first: u32, rows: &[u16]) {
        let n = rows.len() as u32 / width.max(1);
        let bytes = bytemuck::cast_slice(rows);
        self.rows(texture, (width, first, n), glow::UNSIGNED_SHORT, bytes);
    }
}

/// Compiles and links the shader; `None` where the driver refuses it.
///
/// # Safety
/// The context must be the current one.
unsafe fn program(gl: &glow::Context, head: &str) -> Option<glow::Program> {
    let parts = [
        (glow::VERTEX_SHADER, include_str!("film.vert")),
        (glow::FRAGMENT_SHADER, include_str!("film.frag")),
    ];
    // SAFETY: as promised by the caller.
    unsafe {
        let program = gl.create_program().ok()?;
        for (kind, source) in parts {
            let shader = gl.create_shader(kind).ok()?;
            gl.shader_source(shader, &format!("{head}{source}"));
            gl.compile_shader(shader);
            gl.attach_shader(program, shader);
            gl.delete_shader(shader);
        }
        gl.link_program(program);
        if gl.get_program_link_status(program) {
            return Some(program);
        }
        gl.delete_program(program);
        None
    }
}
