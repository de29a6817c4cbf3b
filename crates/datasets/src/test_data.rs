//! For tests: where the real data is, and SHA-256 to compare with its lists.

use std::path::PathBuf;

/// `data/<part>` of the shared folder. `None`, said aloud, where it is absent; a panic instead when
/// `FLUOROSCOPE_REQUIRE_SHARED` is 1.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub(crate) fn shared_data(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FLUOROSCOPE_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = root.join("data").join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(
        std::env::var("FLUOROSCOPE_REQUIRE_SHARED").as_deref(),
        Ok("1"),
        "{} is required but absent",
        folder.display()
    );
    eprintln!("skipped: {} is absent", folder.display());
    None
}

/// Group, element, representation and value.
pub(crate) type Element<'a> = (u16, u16, &'a [u8; 2], Vec<u8>);

/// An explicit little endian file of one row, built by hand; `bits` are
/// those allocated, stored, the high one and the sign.
pub(crate) fn synthetic(extra: &[Element<'_>], bits: [u16; 4], pixels: &[u8]) -> Vec<u8> {
    let mut elements: Vec<Element<'_>> = vec![
        (0x0008, 0x0060, b"CS", b"DX".to_vec()),
        (0x0028, 0x0002, b"US", vec![1, 0]),
        (0x0028, 0x0010, b"US", vec![1, 0]),
        (0x0028, 0x0011, b"US", vec![4, 0]),
    ];
    for (i, value) in bits.into_iter().enumerate() {
        let tag = 0x0100 + i as u16;
        elements.push((0x0028, tag, b"US", value.to_le_bytes().to_vec()));
    }
    elements.extend_from_slice(extra);
    elements.sort_by_key(|element| (element.0, element.1));
    let mut bytes = Vec::new();
    for (group, element, kind, value) in elements {
        bytes.extend_from_slice(&group.to_le_bytes());
        bytes.extend_from_slice(&element.to_le_bytes());
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&value);
    }
    bytes.extend_from_slice(&[0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0]);
    bytes.extend_from_slice(&(pixels.len() as u32).to_le_bytes());
    bytes.extend_from_slice(pixels);
    bytes
}

/// SHA-256 in hexadecimal (FIPS 180-4).
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let primes: Vec<u64> = (2_u64..312)
        .filter(|n| (2..*n).all(|d| n % d != 0))
        .collect();
    // The first 32 bits of the fractional part of a root, by integer search.
    let fraction = |prime: u64, power: u32| -> u32 {
        let scaled = u128::from(prime) << (32 * power);
        let (mut low, mut high) = (0_u128, 1_u128 << 40);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if middle.pow(power) <= scaled {
                low = middle;
            } else {
                high = middle;
            }
        }
        low as u32
    };
    let k: Vec<u32> = primes[..64].iter().map(|&p| fraction(p, 3)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|&p| fraction(p, 2)).collect();
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut w: Vec<u32> = block
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
            .collect();
        for i in 16..64 {
            let (a, b) = (w[i - 15], w[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(
                w[i - 16]
                    .wrapping_add(s0)
                    .wrapping_add(w[i - 7])
                    .wrapping_add(s1),
            );
        }
        let mut v = state.clone();
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7]
                .wrapping_add(s1)
                .wrapping_add(choice)
                .wrapping_add(k[i])
                .wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(majority);
        }
        for (total, value) in state.iter_mut().zip(&v) {
            *total = total.wrapping_add(*value);
        }
    }
    state
        .iter()
        .fold(String::new(), |text, word| text + &format!("{word:08x}"))
}

#[test]
fn sha256_of_abc() {
    assert_eq!(
        sha256(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
