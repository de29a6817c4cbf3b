//! Marker segments of a JPEG-LS image (T.87, annex C).

/// Whether and how the components of a scan alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleave {
    /// One component per scan.
    None,
    /// A line of each component.
    Line,
    /// A sample of each component.
    Sample,
}

/// A scan and the parameters it is coded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where its bits begin.
    pub(super) start: usize,
    pub(super) n_components: usize,
    pub(super) interleave: Interleave,
    /// By how much a sample may be off; 0 is lossless.
    pub(super) near: i32,
    /// Largest sample.
    pub(super) max: i32,
    pub(super) thresholds: [i32; 3],
    pub(super) reset: i32,
}

/// What the headers state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) n_components: usize,
    /// In order; together they hold each component once.
    pub(super) scans: Vec<Scan>,
}

const CUT: &str = "the JPEG-LS image is cut short within its header";
const PARAMETERS: &str = "the coding parameters of the JPEG-LS image are out of range";
const COLOUR_TRANSFORM: &str = "the JPEG-LS image has a colour transform, which DICOM forbids";

/// `MAXVAL`, `T1`, `T2`, `T3`, `RESET`; 0 for the default.
type Preset = [u16; 5];

struct Frame {
    precision: u8,
    width: usize,
    height: usize,
    n_components: usize,
}

/// Reads all marker segments.
pub(super) fn read_headers(bytes: &[u8]) -> Result<Image, &'static str> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return Err("a JPEG-LS image was expected");
    }
    let mut at = 2;
    let mut frame: Option<Frame> = None;
    let mut preset: Preset = [0; 5];
    let mut scans: Vec<Scan> = Vec::new();
    loop {
        let n_found: usize = scans.iter().map(|scan| scan.n_components).sum();
        if let Some(frame) = &frame
            && n_found >= frame.n_components
        {
            if n_found > frame.n_components {
                return Err("the scans of the JPEG-LS image hold too many components");
            }
            return Ok(Image {
                width: frame.width,
                height: frame.height,
                n_components: frame.n_components,
                scans,
            });
        }
        let marker = next_marker(bytes, &mut at).ok_or(CUT)?;
        if marker == 0xd9 {
            return Err("the JPEG-LS image ends before its last component");
        }
        let length = usize::from(u16_at(bytes, at).ok_or(CUT)?);
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(CUT)?;
        at += length.max(2);
        match marker {
            0xf7 => frame = Some(read_frame(segment)?),
            0xf8 => preset = read_preset(segment)?,
            0xda => {
                let frame = frame.as_ref().ok_or("the JPEG-LS image states no size")?;
                scans.push(read_scan(segment, frame, preset, at)?);
            }
            0xdd if segment.iter().any(|&byte| byte != 0) => {
                return Err("the JPEG-LS image has restart intervals, which are not read here");
            }
            0xe8 if segment.starts_with(b"mrfx") && segment.get(4) != Some(&0) => {
                return Err(COLOUR_TRANSFORM);
            }
            0xc0..=0xcf => return Err("the image is JPEG, JPEG-LS was expected"),
            _ => {}
        }
    }
}

/// Steps over the bits of a scan to the marker after them; within bits ones are followed by a 0.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let rest = bytes.get(*at..)?;
    let found = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && (0x80..0xff).contains(&pair[1]))?;
    *at += found + 2;
    Some(rest[found + 1])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read_frame(segment: &[u8]) -> Result<Frame, &'static str> {
    let &[precision, h1, h0, w1, w0, n_components] = segment.first_chunk().ok_or(CUT)?;
    let frame = Frame {
        precision,
        width: usize::from(u16::from_be_bytes([w1, w0])),
        height: usize::from(u16::from_be_bytes([h1, h0])),
        n_components: usize::from(n_components),
    };
    let known = (2..=16).contains(&precision) && (1..=4).contains(&n_components);
    if !known || frame.width == 0 || frame.height == 0 {
        return Err("the JPEG-LS image is of no size or depth that can be read");
    }
    Ok(frame)
}

fn read_preset(segment: &[u8]) -> Result<Preset, &'static str> {
    match segment.first() {
        Some(1) => {
            let mut preset = [0; 5];
            for (i, value) in preset.iter_mut().enumerate() {
                *value = u16_at(segment, 1 + 2 * i).ok_or(CUT)?;
            }
            Ok(preset)
        }
        Some(_) => Err("the JPEG-LS image has a mapping table or a size of more than 16 bits"),
        None => Err(CUT),
    }
}

fn read_scan(
    segment: &[u8],
    frame: &Frame,
    preset: Preset,
    start: usize,
) -> Result<Scan, &'static str> {
    let n_components = usize::from(*segment.first().ok_or(CUT)?);
    let &[near, interleave, point_transform] = segment
        .get(1 + 2 * n_components..)
        .and_then(<[u8]>::first_chunk)
        .ok_or(CUT)?;
    let mapped = segment[1..=2 * n_components]
        .chunks_exact(2)
        .any(|component| component[1] != 0);
    if point_transform != 0 || mapped {
        return Err("the JPEG-LS image has a point transform or a mapping table");
    }
    let interleave = match (interleave, n_components) {
        (0..=2, 1) => Interleave::None,
        (1, 2..=4) => Interleave::Line,
        (2, 2..=4) => Interleave::Sample,
        _ => return Err("the components of the JPEG-LS image are interleaved in no known way"),
    };
    let highest = i32::from(u16::MAX >> (16 - frame.precision));
    let [max, t1, t2, t3, reset] = preset.map(i32::from);
    let max = if max == 0 { highest } else { max };
    let near = i32::from(near);
    if max > highest || near > (max / 2).min(255) {
        return Err(PARAMETERS);
    }
    let defaults = default_thresholds(max, near);
    let or = |stated: i32, default: i32| if stated == 0 { default } else { stated };
    let thresholds = [
        or(t1, defaults[0]),
        or(t2, defaults[1]),
        or(t3, defaults[2]),
    ];
    let reset = or(reset, 64);
    let ordered = near < thresholds[0] && thresholds.is_sorted() && thresholds[2] <= max;
    if !ordered || reset < 3 {
        return Err(PARAMETERS);
    }
    Ok(Scan {
        start,
        n_components,
        interleave,
        near,
        max,
        thresholds,
        reset,
    })
}

/// T.87, C.2.4.1.1.1.
fn default_thresholds(max: i32, near: i32) -> [i32; 3] {
    let clamp = |value: i32, low: i32| {
        if value > max || value < low {
            low
        } else {
            value
        }
    };
    let [a, b, c] = if max >= 128 {
        let factor = (max.min(4095) + 128) / 256;
        [
            factor + 2 + 3 * near,
            4 * factor + 3 + 5 * near,
            17 * factor + 4 + 7 * near,
        ]
    } else {
        let factor = 256 / (max + 1);
        [
            (3 / factor + 3 * near).max(2),
            (7 / factor + 5 * near).max(3),
            (21 / factor + 7 * near).max(4),
        ]
    };
    let t1 = clamp(a, near + 1);
    let t2 = clamp(b, t1);
    [t1, t2, clamp(c, t2)]
}
