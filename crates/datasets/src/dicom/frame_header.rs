//! What a compressed frame states about its own size, read before a decoder trusts it.

/// Size and precision in the header of a JPEG, JPEG-LS or JPEG 2000 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameSize {
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Bits per sample.
    pub(super) precision: u8,
}

/// The stated size; `None` for frames that are none of these, e.g. RLE.
pub(super) fn frame_size(frame: &[u8]) -> Result<Option<FrameSize>, &'static str> {
    let stated = if frame.starts_with(&[0xff, 0xd8]) {
        jpeg(frame)
    } else if frame.starts_with(&[0xff, 0x4f, 0xff, 0x51]) {
        jpeg2000(frame)
    } else {
        return Ok(None);
    };
    stated
        .map(Some)
        .ok_or("the compressed image is cut short within its header")
}

fn jpeg(frame: &[u8]) -> Option<FrameSize> {
    let mut at = 2;
    loop {
        let (&marker, &kind) = (frame.get(at)?, frame.get(at + 1)?);
        if marker != 0xff {
            return None;
        }
        if kind == 0xff {
            at += 1;
            continue;
        }
        let is_frame =
            kind == 0xf7 || ((0xc0..=0xcf).contains(&kind) && ![0xc4, 0xc8, 0xcc].contains(&kind));
        if is_frame {
            let header: &[u8; 5] = frame.get(at + 4..)?.first_chunk()?;
            return Some(FrameSize {
                width: u32::from(u16::from_be_bytes([header[3], header[4]])),
                height: u32::from(u16::from_be_bytes([header[1], header[2]])),
                precision: header[0],
            });
        }
        let length = u16::from_be_bytes([*frame.get(at + 2)?, *frame.get(at + 3)?]);
        at += 2 + usize::from(length);
    }
}

fn jpeg2000(frame: &[u8]) -> Option<FrameSize> {
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?)) };
    Some(FrameSize {
        width: word(8)?.checked_sub(word(16)?)?,
        height: word(12)?.checked_sub(word(20)?)?,
        precision: (frame.get(42)? & 0x7f) + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_jpeg_headers_and_refuses_cut_ones() {
        let frame = [
            0xff, 0xd8, 0xff, 0xe0, 0, 4, 9, 9, 0xff, 0xc3, 0, 11, 12, 0, 7, 0, 5, 1, 1, 17, 0,
        ];
        let size = frame_size(&frame).unwrap().unwrap();
        assert_eq!((size.width, size.height, size.precision), (5, 7, 12));
        assert!(frame_size(&frame[..14]).is_err());
        assert_eq!(frame_size(&[1, 0, 0, 0]), Ok(None));
    }
}
