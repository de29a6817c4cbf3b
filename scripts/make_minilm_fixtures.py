"""Writes a tiny random sentence encoder in the shape of all-MiniLM-L6-v2, and references.

The folder has what sentence-transformers leaves on disk: a BERT of two blocks with random weights,
its word pieces as tokenizer.json and as vocab.txt, the limit of 16 tokens, and how the rows are
pooled; beside it reference.safetensors, the embeddings that transformers computes of sentences.json,
in one padded batch. With --minilm FOLDER (the real model) also minilm.safetensors, its embeddings of
the sentences at hand, in f32. The same bytes each time.

Needs: pip install safetensors tokenizers torch transformers

    python scripts/make_minilm_fixtures.py tests/fixtures/minilm_tiny
    python scripts/make_minilm_fixtures.py tests/fixtures/minilm_tiny \\
        --minilm all-MiniLM-L6-v2 --sentences minilm_fixture.json
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from transformers import BertConfig, BertModel

# Not trained: the trainer breaks ties as its hashes fall.
LETTERS = "abcdefghilmnoprstuvx0123459.,;?"
WORDS = (
    "small left pleural effusion and the heart is enlarged there fluid in space no lungs are clear "
    "cafe mg ##us ##ion ##al ##ar na ##ive unmog ##lich"
)
SENTENCES = [
    "Small left pleural effusion.",
    "No pleural effusion.",
    "The HEART is enlarged; naïve café, 10 mg.",
    "",
    "Lungs 中 clear? UNMÖGLICH ☃ clearal",
    "There is fluid in the left pleural space and the heart is enlarged and the lungs are clear.",
]
MAX_TOKENS = 16


def write_model(folder: Path) -> None:
    """The folder of a model with random weights."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    words += [f"##{letter}" for letter in LETTERS] + WORDS.split()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    # As published, cut and filled up to a length, which an encoder must not take over.
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=12)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=56,
        max_position_embeddings=24,
        position_embedding_type="absolute",
    )
    model = BertModel(config)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if "LayerNorm.weight" in name:
                weight.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            else:
                weight.copy_(noise * 1.5 / weight.shape[-1] ** 0.5)
    model.save_pretrained(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for name, value in {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": config.hidden_size,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }.items():
        (folder / name).write_text(json.dumps(value) + "\n")


@torch.no_grad()
def embed(folder: Path, sentences: list[str]) -> tuple[torch.Tensor, list[list[int]]]:
    """Mean of the rows that are no filling, of length 1; and the ids."""
    model = BertModel.from_pretrained(folder, attn_implementation="eager").float().eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer.enable_truncation(limit)
    tokenizer.enable_padding()
    batch = tokenizer.encode_batch(sentences)
    ids = torch.tensor([one.ids for one in batch])
    mask = torch.tensor([one.attention_mask for one in batch])
    rows = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask[..., None].float()
    means = (rows * weights).sum(1) / weights.sum(1)
    unit = torch.nn.functional.normalize(means, dim=1)
    return unit, [[i for i, m in zip(one.ids, one.attention_mask) if m] for one in batch]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--sentences", type=Path)
    args = parser.parse_args()
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    if args.minilm:
        sentences = json.loads(args.sentences.read_text())["sentences"]
        unit, _ = embed(args.minilm, sentences)
        save_file({"embeddings": unit.contiguous()}, folder / "minilm.safetensors")
        return
    write_model(folder)
    unit, ids = embed(folder, SENTENCES)
    assert len(ids[-1]) == MAX_TOKENS, "the last sentence is to be cut"
    save_file({"embeddings": unit.contiguous()}, folder / "reference.safetensors")
    cases = [{"text": text, "ids": row} for text, row in zip(SENTENCES, ids)]
    (folder / "sentences.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")
    weights = load_file(folder / "model.safetensors")
    print(sum(weight.numel() for weight in weights.values()), "weights")
    print((unit @ unit.T).numpy().round(3))


if __name__ == "__main__":
    main()
