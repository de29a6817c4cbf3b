// The stored values of a film through a table of greys, then bilinear, as the processor does it.
uniform usampler2D u_values;
uniform usampler2D u_greys;
// Left and top of the film in pixels of the frame, then pixels of the film for one of the frame.
uniform vec4 u_place;
// Columns and rows of the film, rows of the frame.
uniform ivec3 u_extent;
out vec4 out_colour;

float grey(ivec2 at) {
    uint value = texelFetch(u_values, clamp(at, ivec2(0), u_extent.xy - 1), 0).r;
    return float(texelFetch(u_greys, ivec2(int(value & 255u), int(value >> 8u)), 0).r);
}

void main() {
    vec2 pixel = vec2(gl_FragCoord.x, float(u_extent.z) - gl_FragCoord.y);
    vec2 at = (pixel - u_place.xy) * u_place.zw;
    if (at.x < 0.0 || at.y < 0.0 || at.x >= float(u_extent.x) || at.y >= float(u_extent.y)) {
        discard;
    }
    vec2 low = floor(at - 0.5);
    vec2 share = at - 0.5 - low;
    ivec2 p = ivec2(low);
    float above = mix(grey(p), grey(p + ivec2(1, 0)), share.x);
    float below = mix(grey(p + ivec2(0, 1)), grey(p + ivec2(1, 1)), share.x);
    out_colour = vec4(vec3(mix(above, below, share.y) / 255.0), 1.0);
}
