//! Writes a `.pt` file of torch: named tensors in row-major order, as `torch.save` of an ordered
//! dictionary does, so that `torch.load` reads it with `weights_only`.

use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::SaeError;
use crate::tensors::write_atomically;

/// Numbers of a tensor.
#[derive(Debug, Clone)]
pub(super) enum Values<'a> {
    Floats(&'a [f32]),
    Int32(i32),
    Int64(&'a [i64]),
}

impl Values<'_> {
    fn storage(&self) -> &'static str {
        match self {
            Self::Floats(_) => "FloatStorage",
            Self::Int32(_) => "IntStorage",
            Self::Int64(_) => "LongStorage",
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Floats(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Int32(value) => value.to_le_bytes().to_vec(),
            Self::Int64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// A tensor to be written.
#[derive(Debug, Clone)]
pub(super) struct TorchTensor<'a> {
    pub(super) name: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values<'a>,
}

/// Writes the tensors as one file.
///
/// # Errors
/// [`SaeError::Io`] if the file cannot be written, [`SaeError::Format`] if the archive cannot be
/// made.
pub(super) fn write(path: &Path, tensors: &[TorchTensor<'_>]) -> Result<(), SaeError> {
    let bytes = archive(tensors)
        .map_err(|error| SaeError::format(path, format!("it cannot be made ({error})")))?;
    write_atomically(path, &bytes)
}

fn archive(tensors: &[TorchTensor<'_>]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // torch maps the numbers where they lie, so nothing is compressed.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: String, bytes: &[u8]| -> zip::result::ZipResult<()> {
        zip.start_file(name, stored)?;
        zip.write_all(bytes)?;
        Ok(())
    };
    add("archive/data.pkl".to_owned(), &pickle(tensors))?;
    add("archive/byteorder".to_owned(), b"little")?;
    for (i, tensor) in tensors.iter().enumerate() {
        add(format!("archive/data/{i}"), &tensor.values.bytes())?;
    }
    add("archive/version".to_owned(), b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

/// The pickle (protocol 2) of an ordered dictionary of the tensors.
fn pickle(tensors: &[TorchTensor<'_>]) -> Vec<u8> {
    let mut out = Pickler(b"\x80\x02".to_vec());
    out.global("collections", "OrderedDict");
    out.0.extend(b")R(");
    for (i, tensor) in tensors.iter().enumerate() {
        let n: usize = tensor.shape.iter().product();
        out.text(tensor.name);
        out.global("torch._utils", "_rebuild_tensor_v2");
        // The storage, by reference to an entry of the archive.
        out.0.extend(b"((");
        out.text("storage");
        out.global("torch", tensor.values.storage());
        out.text(&i.to_string());
        out.text("cpu");
        out.number(n);
        out.0.extend(b"tQ");
        out.number(0);
        let mut strides = vec![1; tensor.shape.len()];
        for at in (1..tensor.shape.len()).rev() {
            strides[at - 1] = strides[at] * tensor.shape[at];
        }
        for numbers in [&tensor.shape, &strides] {
            out.0.push(b'(');
            for &number in numbers {
                out.number(number);
            }
            out.0.push(b't');
        }
        // requires_grad, and no hooks.
        out.0.push(b'\x89');
        out.global("collections", "OrderedDict");
        out.0.extend(b")RtR");
    }
    out.0.extend(b"u.");
    out.0
}

struct Pickler(Vec<u8>);

impl Pickler {
    fn global(&mut self, module: &str, name: &str) {
        self.0.push(b'c');
        for part in [module, name] {
            self.0.extend(part.as_bytes());
            self.0.push(b'\n');
        }
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.0.push(b'J');
                self.0.extend(number.to_le_bytes());
            }
            // LONG1: its length in bytes, then the bytes, lowest first, the sign in the last.
            Err(_large) => {
                self.0.extend([b'\x8a', 9]);
                self.0.extend((number as u64).to_le_bytes());
                self.0.push(0);
            }
        }
    }
}
