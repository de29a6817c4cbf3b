//! Walks the elements of a DICOM file before it is parsed: no stated length may exceed the file.
//!
//! The parser reserves what a header asks for before it reads; one flipped bit asks for gigabytes.

use std::io::Read as _;

use dicom_core::header::VR;
use dicom_core::{DataDictionary as _, Tag};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use flate2::read::DeflateDecoder;

use super::IMPLICIT;

/// Length of a value whose end is marked instead.
const UNDEFINED: u32 = u32::MAX;

/// A deflated data set may not grow beyond this: four times the largest film, in bytes.
const MAX_INFLATED: u64 = 4 * crate::film::MAX_PIXELS;

/// The element that begins each item of a sequence and each fragment.
const ITEM: Tag = Tag(0xfffe, 0xe000);

/// How headers of elements are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

impl Coding {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        if self == Self::ExplicitBig {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self == Self::ExplicitBig {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

/// One element's header.
struct Header {
    tag: Tag,
    vr: VR,
    length: u32,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    coding: Coding,
}

/// Checks all lengths of a file that begins with `DICM` at `start`.
pub(super) fn check(bytes: &[u8], start: usize) -> Result<(), String> {
    let mut walk = Walk {
        bytes,
        at: start + 4,
        coding: Coding::ExplicitLittle,
    };
    let (coding, deflated) = walk.meta_header()?;
    walk.coding = coding;
    if !deflated {
        return walk.data_set();
    }
    let mut inflated = Vec::new();
    DeflateDecoder::new(&bytes[walk.at..])
        .take(MAX_INFLATED)
        .read_to_end(&mut inflated)
        .map_err(|error| format!("the deflated data set cannot be inflated: {error}"))?;
    if inflated.len() as u64 == MAX_INFLATED {
        return Err(format!(
            "the deflated data set is of {MAX_INFLATED} bytes or more"
        ));
    }
    Walk {
        bytes: &inflated,
        at: 0,
        coding,
    }
    .data_set()
}

impl<'a> Walk<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    /// Walks group 0002 and tells how the rest is coded, and whether it is deflated.
    fn meta_header(&mut self) -> Result<(Coding, bool), String> {
        let mut uid = "";
        let mut stated_end = None;
        while self.bytes.get(self.at..self.at + 2) == Some(&[2, 0]) {
            let Some(header) = self.header() else {
                return Err("the meta header is cut short".to_owned());
            };
            let value = self.value(&header)?;
            match header.tag {
                tags::FILE_META_INFORMATION_GROUP_LENGTH => {
                    stated_end = value
                        .first_chunk()
                        .map(|length| self.at + u32::from_le_bytes(*length) as usize);
                }
                tags::TRANSFER_SYNTAX_UID => {
                    uid = std::str::from_utf8(value)
                        .unwrap_or_default()
                        .trim_end_matches(['\0', ' ']);
                }
                _ => {}
            }
        }
        if stated_end.is_some_and(|end| end != self.at) {
            return Err("the meta header is not as long as it states".to_owned());
        }
        let coding = match uid {
            IMPLICIT => Coding::ImplicitLittle,
            "1.2.840.10008.1.2.2" => Coding::ExplicitBig,
            _ => Coding::ExplicitLittle,
        };
        Ok((coding, uid == "1.2.840.10008.1.2.1.99"))
    }

    fn data_set(&mut self) -> Result<(), String> {
        let mut in_fragments = false;
        while let Some(header) = self.header() {
            let delimits = header.tag.group() == 0xfffe;
            let opens = header.vr == VR::SQ || header.length == UNDEFINED;
            if header.tag == tags::PIXEL_DATA {
                in_fragments = header.length == UNDEFINED;
            } else if !delimits {
                in_fragments = false;
            }
            let is_fragment = in_fragments && header.tag == ITEM;
            if header.vr == VR::UN && header.length == UNDEFINED && !delimits {
                // Its content is coded in another way, which only the parser follows.
                return Ok(());
            }
            let here = self.at;
            if header.length != UNDEFINED {
                self.value(&header)?;
            }
            if (opens || delimits) && !is_fragment {
                self.at = here;
            }
        }
        Ok(())
    }

    fn header(&mut self) -> Option<Header> {
        let coding = self.coding;
        let tag = Tag(coding.u16(self.take()?), coding.u16(self.take()?));
        if tag.group() == 0xfffe || coding == Coding::ImplicitLittle {
            let known = StandardDataDictionary.by_tag(tag);
            let is_sequence = known.is_some_and(|entry| entry.vr.relaxed() == VR::SQ);
            let length = coding.u32(self.take()?);
            let opens = is_sequence || length == UNDEFINED;
            let vr = if opens { VR::SQ } else { VR::UT };
            return Some(Header { tag, vr, length });
        }
        let vr = VR::from_binary(self.take()?).unwrap_or(VR::UN);
        let length = if is_short(vr) {
            u32::from(coding.u16(self.take()?))
        } else {
            self.take::<2>()?;
            coding.u32(self.take()?)
        };
        Some(Header { tag, vr, length })
    }

    /// Steps over a value of defined length.
    fn value(&mut self, header: &Header) -> Result<&'a [u8], String> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let value = left.get(..header.length as usize).ok_or_else(|| {
            format!(
                "element {} states {} bytes where {} are left",
                header.tag,
                header.length,
                left.len()
            )
        })?;
        self.at += value.len();
        Ok(value)
    }
}

/// Whether the length of this type's values has two bytes (PS3.5, 7.1.2).
fn is_short(vr: VR) -> bool {
    !matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}
