//! Films drawn through wgpu.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use eframe::egui_wgpu::{self, CallbackResources, CallbackTrait, ScreenDescriptor, wgpu};
use egui::PaintCallbackInfo;

use super::sizes::{Sizes, Uploads};
use super::{CardFilm, Drawing, Held, TABLE_SIDE, Uploaded, placement};

/// The shader of a window.
struct Pipeline {
    steps: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    /// Whether the frame takes light in place of grey levels.
    takes_light: bool,
}

/// What of one film the card holds.
pub(super) struct HeldFilm {
    sizes: Sizes<wgpu::Texture>,
    greys: wgpu::Texture,
    greys_version: Option<u64>,
    place: wgpu::Buffer,
    /// What is drawn, with the size that it was made for.
    group: Option<(usize, wgpu::BindGroup)>,
}

/// One drawing of a film.
pub(super) struct Callback {
    pub(super) film: Arc<CardFilm>,
    pub(super) drawing: Drawing,
    /// Asked for another frame while rows are missing.
    pub(super) again: egui::Context,
}

/// Prepares the shader; the most pixels along a side of a film. `None` where the card is played by
/// the processor and not wanted then.
pub(super) fn prepare(state: &egui_wgpu::RenderState, played: bool) -> Option<u32> {
    let is_played = state.adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    if is_played && !played {
        return None;
    }
    let pipeline = Pipeline::new(&state.device, state.target_format);
    let mut renderer = state.renderer.write();
    renderer.callback_resources.insert(pipeline);
    Some(state.device.limits().max_texture_dimension_2d)
}

impl Pipeline {
    fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("film"),
            source: wgpu::ShaderSource::Wgsl(include_str!("film.wgsl").into()),
        });
        let texture = |binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Texture {
                multisampled: false,
                sample_type: wgpu::TextureSampleType::Uint,
                view_dimension: wgpu::TextureViewDimension::D2,
            },
            count: None,
        };
        let place = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("film"),
            entries: &[place, texture(1), texture(2)],
        });
        let arguments = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("film"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let steps = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("film"),
            layout: Some(&arguments),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("corner"),
                buffers: &[],
                compilation_options: wgpu::PipelineCompilationOptions::default(),
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("shade"),
                targets: &[Some(format.into())],
                compilation_options: wgpu::PipelineCompilationOptions::default(),
            }),
            multiview_mask: None,
            cache: None,
        });
        Self {
            steps,
            layout,
            takes_light: format.is_srgb(),
        }
    }

    /// What the shader reads of a film.
    fn group(
        &self,
        device: &wgpu::Device,
        place: &wgpu::Buffer,
        textures: [&wgpu::Texture; 2],
    ) -> wgpu::BindGroup {
        let [values, greys] =
            textures.map(|texture| texture.create_view(&wgpu::TextureViewDescriptor::default()));
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("film"),
            layout: &self.layout,
            entries: &[
                entry(0, place.as_entire_binding()),
                entry(1, wgpu::BindingResource::TextureView(&values)),
                entry(2, wgpu::BindingResource::TextureView(&greys)),
            ],
        })
    }
}

/// Uploads through a queue.
struct Queue<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
}

/// What `make` makes; `None` where the card has no room for it, which would else end the program.
fn within_memory<T>(device: &wgpu::Device, make: impl FnOnce() -> T) -> Option<T> {
    let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let made = make();
    // Outside a browser the answer is there at once.
    let error = pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop()));
    matches!(error, Poll::Ready(None)).then_some(made)
}

impl Queue<'_> {
    /// An empty texture; `None` for want of room.
    fn texture(
        &self,
        (width, height): (u32, u32),
        format: wgpu::TextureFormat,
    ) -> Option<wgpu::Texture> {
        let texture = wgpu::TextureDescriptor {
            label: Some("film"),
            size: extent(width, height),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        within_memory(self.device, || self.device.create_texture(&texture))
    }

    fn rows(&self, texture: &wgpu::Texture, (width, first): (u32, u32), row: usize, bytes: &[u8]) {
        let n = (bytes.len() / row.max(1)) as u32;
        self.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture,
                mip_level: 0,
                origin: wgpu::Origin3d {
                    x: 0,
                    y: first,
                    z: 0,
                },
                aspect: wgpu::TextureAspect::All,
            },
            bytes,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(row as u32),
                rows_per_image: None,
            },
            extent(width, n),
        );
    }
}

fn extent(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d {
        width,
        height,
        depth_or_array_layers: 1,
    }
}

impl Uploads for Queue<'_> {
    type Texture = wgpu::Texture;

    fn make(&self, width: u32, height: u32) -> Option<wgpu::Texture> {
        self.texture((width, height), wgpu::TextureFormat::R16Uint)
    }

    fn write(&self, texture: &wgpu::Texture, width: u32, first: u32, rows: &[u16]) {
        let bytes = bytemuck::cast_slice(rows);
        self.rows(texture, (width, first), 2 * width as usize, bytes);
    }
}

impl HeldFilm {
    /// Nothing of the film yet; `None` for want of room.
    fn new(uploads: &Queue<'_>) -> Option<Self> {
        let device = uploads.device;
        let place = wgpu::BufferDescriptor {
            label: Some("place of a film"),
            size: 32,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let side = (TABLE_SIDE, TABLE_SIDE);
        Some(Self {
            sizes: Sizes::default(),
            greys: uploads.texture(side, wgpu::TextureFormat::R8Uint)?,
            greys_version: None,
            place: within_memory(device, || device.create_buffer(&place))?,
            group: None,
        })
    }
}

impl Callback {
    /// Brings to the card what is missing for this drawing; `None` for want of room.
    fn upload(
        &self,
        pipeline: &Pipeline,
        uploads: &Queue<'_>,
        screen: &ScreenDescriptor,
    ) -> Option<Uploaded> {
        let mut held = self.film.held();
        if !matches!(*held, Held::Wgpu(_)) {
            *held = Held::Wgpu(HeldFilm::new(uploads)?);
        }
        let Held::Wgpu(held) = &mut *held else {
            return None;
        };
        if held.greys_version != Some(self.drawing.greys_version) {
            let row = TABLE_SIDE as usize;
            uploads.rows(&held.greys, (TABLE_SIDE, 0), row, &self.drawing.greys);
            held.greys_version = Some(self.drawing.greys_version);
        }
        let drawn = held
            .sizes
            .step(&self.film.film, self.drawing.size, uploads)?;
        let size = [drawn.width, drawn.height];
        let place = placement(self.drawing.place, screen.pixels_per_point, size);
        let takes_light = u32::from(pipeline.takes_light);
        let extent = [drawn.width, drawn.height, takes_light, 0];
        let queue = uploads.queue;
        queue.write_buffer(&held.place, 0, bytemuck::cast_slice(&place));
        queue.write_buffer(&held.place, 16, bytemuck::cast_slice(&extent));
        if held
            .group
            .as_ref()
            .is_none_or(|(size, _)| *size != drawn.size)
        {
            let textures = [drawn.texture, &held.greys];
            let group = pipeline.group(uploads.device, &held.place, textures);
            held.group = Some((drawn.size, group));
        }
        Some(drawn.uploaded)
    }
}

impl CallbackTrait for Callback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let Some(pipeline) = resources.get::<Pipeline>() else {
            return Vec::new();
        };
        let uploads = Queue { device, queue };
        // Uploads take room of their own, on their way.
        let uploaded = within_memory(device, || self.upload(pipeline, &uploads, screen));
        let uploaded = uploaded.flatten();
        if uploaded.is_none() {
            *self.film.held() = Held::Nothing;
            self.film.refuse();
        }
        if uploaded != Some(Uploaded::All) {
            self.again.request_repaint();
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let held = self.film.held();
        let (Some(pipeline), Held::Wgpu(held)) = (resources.get::<Pipeline>(), &*held) else {
            return;
        };
        if let Some((_, group)) = &held.group {
            pass.set_pipeline(&pipeline.steps);
            pass.set_bind_group(0, group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}
