// The stored values of a film through a table of greys, then bilinear, as the processor does it.
struct Place {
    // Left and top of the film in pixels of the frame, then pixels of the film for one of the frame.
    place: vec4<f32>,
    // Columns and rows of the film; 1 where the frame takes light in place of grey levels; unused.
    extent: vec4<i32>,
};

@group(0) @binding(0) var<uniform> film: Place;
@group(0) @binding(1) var values: texture_2d<u32>;
@group(0) @binding(2) var greys: texture_2d<u32>;

@vertex
fn corner(@builtin(vertex_index) number: u32) -> @builtin(position) vec4<f32> {
    let at = vec2<f32>(f32((number << 1u) & 2u), f32(number & 2u));
    return vec4<f32>(at * 2.0 - 1.0, 0.0, 1.0);
}

fn grey(at: vec2<i32>) -> f32 {
    let value = textureLoad(values, clamp(at, vec2<i32>(0), film.extent.xy - 1), 0).r;
    return f32(textureLoad(greys, vec2<i32>(i32(value & 255u), i32(value >> 8u)), 0).r);
}

fn light(level: f32) -> f32 {
    if level <= 0.04045 {
        return level / 12.92;
    }
    return pow((level + 0.055) / 1.055, 2.4);
}

@fragment
fn shade(@builtin(position) pixel: vec4<f32>) -> @location(0) vec4<f32> {
    let at = (pixel.xy - film.place.xy) * film.place.zw;
    let extent = vec2<f32>(film.extent.xy);
    if any(at < vec2<f32>(0.0)) || any(at >= extent) {
        discard;
    }
    let low = floor(at - 0.5);
    let share = at - 0.5 - low;
    let p = vec2<i32>(low);
    let above = mix(grey(p), grey(p + vec2<i32>(1, 0)), share.x);
    let below = mix(grey(p + vec2<i32>(0, 1)), grey(p + vec2<i32>(1, 1)), share.x);
    var level = mix(above, below, share.y) / 255.0;
    if film.extent.z == 1 {
        level = light(level);
    }
    return vec4<f32>(vec3<f32>(level), 1.0);
}
