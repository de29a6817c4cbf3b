//! Text models under study and their tokenizers.
