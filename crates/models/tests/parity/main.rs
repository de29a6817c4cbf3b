//! The models under study against reference fixtures, and against damaged files.

mod gguf_damage;
mod llama;
mod shared_files;
mod tiny_gguf;
mod tiny_vit;
