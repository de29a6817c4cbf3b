//! A GGUF file small enough to damage in every place: a Llama of two blocks over bytes.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const WIDTH: u64 = 16;
const MLP: u64 = 24;
const KEYS: u64 = 8;

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn key(out: &mut Vec<u8>, name: &str, kind: u32, value: &[u8]) {
    text(out, name);
    out.extend(kind.to_le_bytes());
    out.extend(value);
}

fn texts(values: &[String]) -> Vec<u8> {
    let mut out = 8_u32.to_le_bytes().to_vec();
    out.extend((values.len() as u64).to_le_bytes());
    for value in values {
        text(&mut out, value);
    }
    out
}

/// The byte-level alphabet of GPT-2, in the order of bytes.
fn byte_tokens() -> Vec<String> {
    let mut next = 0x100;
    (0_u32..256)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
            let code = if printable { byte } else { next };
            next += u32::from(!printable);
            char::from_u32(code).unwrap().to_string()
        })
        .collect()
}

fn metadata(architecture: &str) -> (u64, Vec<u8>) {
    let mut tokens = byte_tokens();
    tokens.extend(["he", "<|im_start|>", "<|im_end|>"].map(str::to_owned));
    let mut types = 5_u32.to_le_bytes().to_vec();
    types.extend((tokens.len() as u64).to_le_bytes());
    for id in 0..tokens.len() {
        types.extend((if id > 256 { 3_i32 } else { 1 }).to_le_bytes());
    }
    let mut architecture_value = Vec::new();
    text(&mut architecture_value, architecture);
    let [mut gpt2, mut smollm] = [Vec::new(), Vec::new()];
    text(&mut gpt2, "gpt2");
    text(&mut smollm, "smollm");
    let mut out = Vec::new();
    key(&mut out, "general.architecture", 8, &architecture_value);
    for (name, value) in [
        ("llama.block_count", 2_u32),
        ("llama.context_length", 64),
        ("llama.embedding_length", WIDTH as u32),
        ("llama.feed_forward_length", MLP as u32),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 2),
        ("tokenizer.ggml.eos_token_id", 258),
    ] {
        key(&mut out, name, 4, &value.to_le_bytes());
    }
    let eps = 1e-5_f32.to_le_bytes();
    key(&mut out, "llama.attention.layer_norm_rms_epsilon", 6, &eps);
    key(&mut out, "tokenizer.ggml.model", 8, &gpt2);
    key(&mut out, "tokenizer.ggml.pre", 8, &smollm);
    key(&mut out, "tokenizer.ggml.tokens", 9, &texts(&tokens));
    key(&mut out, "tokenizer.ggml.token_type", 9, &types);
    let merges = texts(&["h e".to_owned()]);
    key(&mut out, "tokenizer.ggml.merges", 9, &merges);
    (14, out)
}

/// The bytes of the file and the length of its header.
pub(crate) fn tiny_gguf(architecture: &str) -> (Vec<u8>, usize) {
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![WIDTH, 259]),
        ("output_norm.weight".to_owned(), vec![WIDTH]),
    ];
    for i in 0..2 {
        for (name, shape) in [
            ("attn_norm", vec![WIDTH]),
            ("attn_q", vec![WIDTH, WIDTH]),
            ("attn_k", vec![WIDTH, KEYS]),
            ("attn_v", vec![WIDTH, KEYS]),
            ("attn_output", vec![WIDTH, WIDTH]),
            ("ffn_norm", vec![WIDTH]),
            ("ffn_gate", vec![WIDTH, MLP]),
            ("ffn_up", vec![WIDTH, MLP]),
            ("ffn_down", vec![MLP, WIDTH]),
        ] {
            tensors.push((format!("blk.{i}.{name}.weight"), shape));
        }
    }
    let (n_entries, entries) = metadata(architecture);
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(n_entries.to_le_bytes());
    out.extend(entries);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in &tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        for dim in shape {
            out.extend(dim.to_le_bytes());
        }
        out.extend(0_u32.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        let is_norm = name.contains("norm");
        for _ in 0..shape.iter().product::<u64>() {
            let value: f32 = rng.random_range(-0.5..0.5);
            data.extend((if is_norm { 1.0 + value } else { value }).to_le_bytes());
        }
        data.resize(data.len().next_multiple_of(32), 0);
    }
    let header = out.len();
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    (out, header)
}
