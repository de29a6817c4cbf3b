//! Names of transfer syntaxes, and which of them can be decoded here.

/// What the UIDs of the standard begin with.
const ROOT: &str = "1.2.840.10008.1.2";

/// UID after [`ROOT`], name, and whether this program decodes it.
const KNOWN: [(&str, &str, bool); 25] = [
    ("", "implicit VR little endian", true),
    (".1", "explicit VR little endian", true),
    (".1.98", "encapsulated uncompressed", true),
    (".1.99", "deflated explicit VR little endian", true),
    (".2", "explicit VR big endian", true),
    (".5", "RLE lossless", true),
    (".4.50", "JPEG baseline", true),
    (".4.51", "JPEG extended", true),
    (".4.57", "JPEG lossless", true),
    (".4.70", "JPEG lossless, first-order prediction", true),
    (".4.80", "JPEG-LS lossless", true),
    (".4.81", "JPEG-LS near-lossless", true),
    (".4.90", "JPEG 2000 lossless", true),
    (".4.91", "JPEG 2000", true),
    (".4.92", "JPEG 2000 multi-component lossless", false),
    (".4.93", "JPEG 2000 multi-component", false),
    (".4.100", "MPEG2 main level", false),
    (".4.101", "MPEG2 high level", false),
    (".4.102", "MPEG-4 AVC/H.264", false),
    (".4.107", "HEVC/H.265", false),
    (".4.110", "JPEG XL lossless", false),
    (".4.111", "JPEG XL recompression", false),
    (".4.112", "JPEG XL", false),
    (".4.201", "high-throughput JPEG 2000 lossless", false),
    (".4.203", "high-throughput JPEG 2000", false),
];

fn entry(uid: &str) -> Option<&'static (&'static str, &'static str, bool)> {
    let rest = uid.strip_prefix(ROOT)?;
    KNOWN.iter().find(|(known, _, _)| *known == rest)
}

/// Whether pixels of this transfer syntax can be decoded.
pub(super) fn can_decode(uid: &str) -> bool {
    entry(uid).is_some_and(|entry| entry.2)
}

/// Name and UID for a message, e.g. `JPEG-LS lossless (1.2.840.10008.1.2.4.80)`.
pub(super) fn name(uid: &str) -> String {
    entry(uid).map_or_else(
        || format!("the unknown transfer syntax {uid}"),
        |entry| format!("{} ({uid})", entry.1),
    )
}

/// Whether the pixels of this transfer syntax are JPEG (not JPEG 2000, not JPEG-LS).
pub(super) fn is_jpeg(uid: &str) -> bool {
    matches!(
        uid.strip_prefix(ROOT),
        Some(".4.50" | ".4.51" | ".4.57" | ".4.70")
    )
}

/// Whether the pixels of this transfer syntax are JPEG-LS.
pub(super) fn is_jpeg_ls(uid: &str) -> bool {
    matches!(uid.strip_prefix(ROOT), Some(".4.80" | ".4.81"))
}
