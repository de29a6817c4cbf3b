//! The zip archive around a torch file: entries stored without compression, found by name.

use std::collections::HashMap;
use std::ops::Range;

/// A directory with more entries than this is no torch file.
const MAX_ENTRIES: u64 = 1 << 20;

/// What stands in place of a size that has 64 bits and stands elsewhere.
const ELSEWHERE: u32 = u32::MAX;

/// An archive in memory.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<String, Entry>,
}

struct Entry {
    is_stored: bool,
    checksum: u32,
    size: u64,
    /// Where its local header begins.
    header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory at the end of the archive.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, String> {
        if !bytes.starts_with(b"PK") {
            return Err(
                "it does not begin as a zip archive, as every file of torch 1.6 or later does; \
                 save an older one anew"
                    .to_owned(),
            );
        }
        let damaged = || "the zip archive is cut short or damaged".to_owned();
        let (mut at, n) = directory(bytes).ok_or_else(damaged)?;
        if n > MAX_ENTRIES {
            return Err(format!("the zip archive claims to have {n} entries"));
        }
        let mut entries = HashMap::new();
        for _ in 0..n {
            let (name, entry, next) = entry(bytes, at).ok_or_else(damaged)?;
            entries.insert(name, entry);
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    /// Name of the only entry of that last part, e.g. `data.pkl`.
    pub(super) fn find(&self, last: &str) -> Option<&str> {
        let names = self.entries.keys();
        let mut found =
            names.filter(|name| name.rsplit('/').next().is_some_and(|part| part == last));
        match (found.next(), found.next()) {
            (Some(name), None) => Some(name),
            _ => None,
        }
    }

    /// The bytes of an entry, whose checksum is compared.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    pub(super) fn read(&self, name: &str) -> Result<&'a [u8], String> {
        let Some(entry) = self.entries.get(name) else {
            return Err(format!("the zip archive has no entry {name}"));
        };
        if !entry.is_stored {
            return Err(format!(
                "the entry {name} is compressed, which torch never does"
            ));
        }
        let range = content(self.bytes, entry);
        let found = range.and_then(|range| self.bytes.get(range));
        found
            .filter(|found| crc32(found) == entry.checksum)
            .ok_or_else(|| format!("the entry {name} is damaged"))
    }
}

/// Where the directory begins and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    // A comment of up to 65535 bytes may follow.
    let last = bytes.len().checked_sub(22)?;
    let at = (last.saturating_sub(0xffff)..=last)
        .rev()
        .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))?;
    let (n, start) = (u16_at(bytes, at + 10)?, u32_at(bytes, at + 16)?);
    if n < u16::MAX && start != ELSEWHERE {
        return Some((start as usize, u64::from(n)));
    }
    let locator = at.checked_sub(20)?;
    if !bytes[locator..].starts_with(b"PK\x06\x07") {
        return None;
    }
    let at = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
    if !bytes.get(at..)?.starts_with(b"PK\x06\x06") {
        return None;
    }
    let start = usize::try_from(u64_at(bytes, at.checked_add(48)?)?).ok()?;
    Some((start, u64_at(bytes, at + 32)?))
}

/// An entry of the directory, its name and where the next one begins.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Entry, usize)> {
    if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
        return None;
    }
    let length = |offset: usize| u16_at(bytes, at + offset).map(usize::from);
    let name_end = at + 46 + length(28)?;
    let extra_end = name_end + length(30)?;
    let name = String::from_utf8_lossy(bytes.get(at + 46..name_end)?).into_owned();
    let extra = wide_sizes(bytes.get(name_end..extra_end)?);
    let mut wide = extra.chunks_exact(8).map(|value| u64_at(value, 0));
    // Those that stand elsewhere follow each other there in this order.
    let mut size = |offset: usize| match u32_at(bytes, at + offset)? {
        ELSEWHERE => wide.next()?,
        size => Some(u64::from(size)),
    };
    let (plain, packed, header) = (size(24)?, size(20)?, size(42)?);
    let entry = Entry {
        is_stored: u16_at(bytes, at + 10)? == 0 && plain == packed,
        checksum: u32_at(bytes, at + 16)?,
        size: plain,
        header,
    };
    Some((name, entry, extra_end + length(32)?))
}

/// The extra field of 64-bit sizes, empty if there is none.
fn wide_sizes(mut extra: &[u8]) -> &[u8] {
    while let (Some(kind), Some(n)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(n)) else {
            break;
        };
        if kind == 1 {
            return field;
        }
        extra = &extra[4 + usize::from(n)..];
    }
    &[]
}

/// Where the content of an entry lies.
fn content(bytes: &[u8], entry: &Entry) -> Option<Range<usize>> {
    let at = usize::try_from(entry.header).ok()?;
    if !bytes.get(at..)?.starts_with(b"PK\x03\x04") {
        return None;
    }
    let names = usize::from(u16_at(bytes, at + 26)?) + usize::from(u16_at(bytes, at + 28)?);
    let start = at + 30 + names;
    Some(start..start.checked_add(usize::try_from(entry.size).ok()?)?)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// Remainders of the single bytes.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// The checksum of zip archives.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |value: u32, &byte| {
        (value >> 8) ^ CRC_TABLE[usize::from(value as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn damage_never_panics() {
        // One entry `a/data.pkl` with the content `N.`.
        let mut good = b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0".to_vec();
        let sums = crc32(b"N.").to_le_bytes();
        let sizes = [&sums[..], &[2, 0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0]].concat();
        good.extend([&sizes[..], b"a/data.pklN."].concat());
        let start = good.len() as u8;
        good.extend([b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0", &sizes[..]].concat());
        good.extend([&[0; 14][..], b"a/data.pkl"].concat());
        good.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x38\0\0\0");
        good.extend([start, 0, 0, 0, 0, 0]);
        let archive = Archive::new(&good).unwrap();
        let name = archive.find("data.pkl").unwrap();
        assert_eq!(archive.read(name).unwrap(), b"N.");
        for n in 0..good.len() {
            assert!(Archive::new(&good[..n]).is_err(), "cut at {n}");
        }
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = byte;
                if let Ok(archive) = Archive::new(&bytes)
                    && let Some(name) = archive.find("data.pkl")
                {
                    drop(archive.read(name));
                }
            }
        }
    }
}
