//! Text models under study and their tokenizers.

pub mod chat_template;
pub mod decoder_family;
pub mod generation;
pub mod gguf;
pub mod gguf_tokenizer;
pub(crate) mod hf_llama;
pub mod hf_tokenizer;
pub mod llama;
pub mod llama_config;
mod llama_gguf;
pub mod llama_model;
pub mod report_tokens;
pub mod sentence_encoder;
mod text_reader;
pub mod word_tokenizer;

pub use decoder_family::DecoderFamily;
pub use gguf::{Gguf, GgufValue};
pub use gguf_tokenizer::GgufTokenizer;
pub use llama_config::LlamaConfig;
pub use llama_model::{GgufFacts, LlamaModel, LlamaOptions, inspect_gguf, load_gguf};
pub use sentence_encoder::{SentenceEncoder, load_sentence_encoder};
pub use text_reader::TextReader;
