//! The zip archive of one pickle and of the elements it refers to.

use std::io::{Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use crate::names::{ElementType, Names};
use crate::pickle;
use crate::value::{Pickle, TensorRef};

/// Why a torch file is not read.
#[derive(Debug, thiserror::Error)]
pub enum TorchFileError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not what it should be.
    #[error("{}{reason}", place.as_deref().map(|place| format!("{place}: ")).unwrap_or_default())]
    Format {
        /// Where in the file; `None` for the whole.
        place: Option<String>,
        /// A sentence.
        reason: String,
    },
}

impl TorchFileError {
    fn whole(reason: impl Into<String>) -> Self {
        Self::Format {
            place: None,
            reason: reason.into(),
        }
    }
}

/// A torch file whose pickle was read; elements are read when asked for.
pub struct TorchFile<R> {
    archive: ZipArchive<R>,
    /// What every entry's name begins with.
    prefix: String,
    pickle: Pickle,
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elements {
    /// Their type.
    pub element: ElementType,
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// Little-endian, in row-major order.
    pub bytes: Vec<u8>,
}

impl<R: Read + Seek> TorchFile<R> {
    /// Reads the pickle of a file, running nothing.
    ///
    /// # Errors
    /// [`TorchFileError`] if the file cannot be read, is no torch file, is damaged, or names what
    /// `names` does not allow.
    pub fn open(mut file: R, names: Names) -> Result<Self, TorchFileError> {
        let mut start = Vec::new();
        file.by_ref().take(2).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        if start != b"PK" {
            return Err(TorchFileError::whole(
                "it does not begin as a zip archive, as every file of torch 1.6 or later does; \
                 save an older one anew",
            ));
        }
        let mut archive = ZipArchive::new(file).map_err(|error| {
            TorchFileError::whole(format!("the zip archive is cut short or damaged ({error})"))
        })?;
        let name = name_of_pickle(&archive).ok_or_else(|| {
            TorchFileError::whole("the zip archive has no data.pkl, so it is no torch file")
        })?;
        let prefix = name.trim_end_matches("data.pkl").to_owned();
        let bytes = read_entry(&mut archive, &name, names.max_pickle())?;
        let pickle = pickle::read(&bytes, names).map_err(|fault| TorchFileError::Format {
            place: Some(format!("data.pkl, byte {}", fault.at)),
            reason: fault.reason,
        })?;
        if let Ok(order) = read_entry(&mut archive, &format!("{prefix}byteorder"), 64)
            && order != b"little"
        {
            return Err(TorchFileError::whole(
                "its numbers are big-endian; save it anew on a little-endian machine",
            ));
        }
        Ok(Self {
            archive,
            prefix,
            pickle,
        })
    }

    /// What the pickle built.
    pub fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// Reads the elements of a tensor of the pickle.
    ///
    /// # Errors
    /// [`TorchFileError::Format`] if the tensor reaches outside its storage, or the storage is
    /// missing, damaged or of another size or type than the pickle says.
    pub fn read(&mut self, tensor: &TensorRef) -> Result<Elements, TorchFileError> {
        tensor.n_elements().map_err(TorchFileError::whole)?;
        let Some(element) = tensor.storage.element else {
            let reason = "its elements are of a type that is not read";
            return Err(TorchFileError::whole(reason));
        };
        let name = format!("{}data/{}", self.prefix, tensor.storage.key);
        let expected = tensor.storage.n_elements * element.bytes() as u64;
        let storage = read_entry(&mut self.archive, &name, expected)?;
        if storage.len() as u64 != expected {
            return Err(TorchFileError::whole(format!(
                "the entry {name} has {} bytes, expected {expected}",
                storage.len()
            )));
        }
        Ok(Elements {
            element,
            shape: tensor.shape.iter().map(|&size| size as usize).collect(),
            bytes: tensor
                .gather(storage, element.bytes())
                .map_err(TorchFileError::whole)?,
        })
    }
}

/// Name of the only entry whose last part is `data.pkl`.
fn name_of_pickle<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let mut names = archive
        .file_names()
        .filter(|name| name.rsplit('/').next() == Some("data.pkl"));
    match (names.next(), names.next()) {
        (Some(name), None) => Some(name.to_owned()),
        _ => None,
    }
}

/// Reads one entry of at most `limit` bytes; torch stores its entries without compression, so an
/// entry is never larger than the file.
fn read_entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, TorchFileError> {
    let damaged = |reason: String| TorchFileError::whole(format!("the entry {name} {reason}"));
    let mut entry = archive
        .by_name(name)
        .map_err(|error| damaged(format!("cannot be read ({error})")))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(damaged("is compressed, which torch never does".to_owned()));
    }
    let size = entry.size();
    if size > limit {
        return Err(damaged(format!(
            "has {size} bytes, expected at most {limit}"
        )));
    }
    let mut bytes = Vec::new();
    // Reads in steps that grow with what is there: a wrong size costs no memory.
    entry
        .by_ref()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(format!("is damaged ({error})")))?;
    // The checksum is compared where the reader meets the end.
    entry
        .read(&mut [0])
        .map_err(|error| damaged(format!("is damaged ({error})")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::Value;

    fn archive(entries: &[(&str, &[u8])], compression: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(compression);
        for (name, content) in entries {
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<TorchFile<Cursor<&[u8]>>, TorchFileError> {
        TorchFile::open(Cursor::new(bytes), Names::Checkpoint)
    }

    fn reason(bytes: &[u8]) -> String {
        open(bytes).err().unwrap().to_string()
    }

    #[test]
    fn what_is_no_torch_file_says_so() {
        let stored = CompressionMethod::Stored;
        assert!(reason(b"\x80\x02N.").contains("save an older one anew"));
        assert!(reason(b"PK").contains("cut short"));
        let other = archive(&[("a/data.txt", b"N.")], stored);
        assert!(reason(&other).contains("has no data.pkl"));
        let two = archive(&[("a/data.pkl", b"N."), ("b/data.pkl", b"N.")], stored);
        assert!(reason(&two).contains("has no data.pkl"));
        let packed = archive(&[("a/data.pkl", b"N.")], CompressionMethod::Deflated);
        assert!(reason(&packed).contains("compressed"));
        let big = archive(
            &[("a/data.pkl", b"N."), ("a/byteorder", b"big")],
            CompressionMethod::Stored,
        );
        assert!(reason(&big).contains("big-endian"));
        let code = archive(&[("a/data.pkl", b"cposix\nsystem\n)R.")], stored);
        let text = reason(&code);
        assert!(
            text.starts_with("data.pkl, byte 15: ") && text.contains("posix.system"),
            "{text}"
        );
    }

    #[test]
    fn damage_never_panics() {
        let good = archive(&[("a/data.pkl", b"N.")], CompressionMethod::Stored);
        assert_eq!(open(&good).unwrap().pickle().root(), &Value::None);
        for n in 0..good.len() {
            assert!(open(&good[..n]).is_err(), "cut at {n}");
        }
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = byte;
                drop(open(&bytes));
            }
        }
    }
}
