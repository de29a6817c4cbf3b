"""Writes two tiny random Qwen models as GGUF files, and what transformers computes from them.

Qwen2 (biases on q, k and v, output map tied to the embedding) and Qwen3 (norms on the heads of q
and k, heads wider than d_model / n_heads, an output map of its own), two blocks each, all weights
random; beside each NAME.gguf a NAME.safetensors of ids, logits, activations, the greedy text, and
logits with a direction added after block 0. tokens.json: texts and their ids by the `tokenizers`
crate with Qwen's own split. Each file is read back by transformers' own GGUF reader. The same bytes
each time.

Needs: pip install gguf safetensors tokenizers torch transformers accelerate

    python scripts/make_qwen_models.py tests/fixtures/qwen
"""

import argparse
import json
from pathlib import Path

import gguf
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config

# transformers/models/qwen2/tokenization_qwen2.py
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<think>", "</think>"]
N_VOCAB, N_CONTEXT, N_NEW = 320, 128, 24
CORPUS = [
    "The heart is enlarged and there is a small left pleural effusion.",
    "The heart is not enlarged; there is no pleural effusion.",
    "it's the left lung, they're clear, we'll see",
]
PROMPT = (
    "<|im_start|>user\nIs the heart enlarged in 2024?<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
TEXTS = [
    PROMPT,
    "It's 5 µg/mL – naïve, THEY'RE 中文 12345.\n\n  The heart\tis  enlarged!?\r\n",
    "   trailing   ",
]


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE with some 50 merges and Qwen's marks of turns and thoughts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=306,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(CONTROL)
    tokenizer.add_tokens(USER_DEFINED)
    return tokenizer


def sizes(tokenizer: Tokenizer) -> dict:
    """What both models have alike."""
    return {
        "vocab_size": N_VOCAB,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": N_CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "pad_token_id": None,
    }


def make_model(config) -> torch.nn.Module:
    """Random weights, large enough that attention and biases matter."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(20)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                weight.copy_(1 + 0.3 * noise)
            elif name.endswith("bias"):
                weight.copy_(noise)
            else:
                weight.copy_(noise * 1.2 / weight.shape[-1] ** 0.5)
    return model


def write_gguf(path: Path, model, tokenizer: Tokenizer) -> None:
    """The model as llama.cpp's converter names and orders it: q and k as transformers has them."""
    config = model.config
    family = config.model_type
    writer = gguf.GGUFWriter(path, family)
    writer.add_name(f"Tiny random {family}")
    writer.add_license("MIT OR Apache-2.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if family == "qwen3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    kinds = [gguf.TokenType.NORMAL] * len(tokens)
    marked = ((gguf.TokenType.CONTROL, CONTROL), (gguf.TokenType.USER_DEFINED, USER_DEFINED))
    for kind, names in marked:
        for name in names:
            kinds[tokens.index(name)] = kind
    n_pads = N_VOCAB - len(tokens)
    kinds += [gguf.TokenType.UNUSED] * n_pads
    tokens += [f"[PAD{i}]" for i in range(len(tokens), N_VOCAB)]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_add_bos_token(False)
    arch = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[family]
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(theirs, tensor.detach().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def reference(model, tokenizer: Tokenizer) -> dict:
    """What transformers computes from the prompt."""
    ids = torch.tensor([tokenizer.encode(PROMPT).ids])
    block = model.model.layers[0]
    attention = []
    seen = block.self_attn.register_forward_hook(lambda _m, _i, out: attention.append(out[0]))
    out = model(ids, output_hidden_states=True)
    seen.remove()
    direction = torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(3))

    def push(_module, _inputs, out):
        return (out[0] + direction, *out[1:]) if isinstance(out, tuple) else out + direction

    pushed = block.register_forward_hook(push)
    steered = model(ids).logits
    pushed.remove()
    written = ids
    for _ in range(N_NEW):
        logits = model(written).logits[:, -1]
        best = logits.topk(2).values[0]
        assert best[0] - best[1] > 1e-3, "a near tie: choose another seed"
        written = torch.cat([written, logits.argmax(-1, keepdim=True)], 1)
    written = written[0, ids.shape[1] :]
    assert model.config.eos_token_id not in written
    found = {
        "ids": ids[0].int(),
        "logits": out.logits[0],
        "attn_out_0": attention[0][0],
        "resid_post_0": out.hidden_states[1][0],
        "ln_final": out.hidden_states[-1][0],
        "greedy_ids": written.int(),
        "direction": direction,
        "steered_logits": steered[0],
    }
    return {name: value.contiguous().clone() for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    cases = [{"text": text, "ids": tokenizer.encode(text).ids} for text in TEXTS]
    (folder / "tokens.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")
    shared = sizes(tokenizer)
    for config in (
        Qwen2Config(**shared, tie_word_embeddings=True),
        Qwen3Config(**shared, head_dim=16, tie_word_embeddings=False),
    ):
        family = config.model_type
        model = make_model(config)
        path = folder / f"{family}.gguf"
        write_gguf(path, model, tokenizer)
        found = reference(model, tokenizer)
        # The settings are given: this reader takes Qwen3's width of a head for 128 whatever it is.
        again = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=path.name, config=config, dtype=torch.float32
        )
        with torch.no_grad():
            error = (again(found["ids"][None].long()).logits[0] - found["logits"]).abs().max()
        assert error < 1e-5, f"{path.name} read back differs by {error}"
        save_file(found, folder / f"{family}.safetensors")
        most = found["logits"].abs().max().item()
        print(f"{family}: logits up to {most:.2f}, read back within {error.item():.1e}")


if __name__ == "__main__":
    main()
