//! The models under study against reference fixtures, and against damaged files.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod gguf_damage;
mod grounded;
mod llama;
mod llava;
mod llava_layouts;
mod qwen;
mod recbole;
mod recommenders;
mod sasrec;
mod sentence_encoder;
mod shared_files;
mod text_reader;
mod tiny_gguf;
mod tiny_vit;
