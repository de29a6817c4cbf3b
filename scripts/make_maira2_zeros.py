#!/usr/bin/env python3
"""A checkpoint of MAIRA-2's sizes with weights of zero, as a sparse file that takes no disk.

For measuring memory and time where the real weights cannot be had. Not part of CI.

    python scripts/make_maira2_zeros.py --like TINY_MAIRA2_FOLDER --out FOLDER
    /usr/bin/time -v fluoroscope model run FOLDER --image FILM.png --indication Cough. \\
        --weights q4 --max-new-tokens 4 --ignore-eos

The tokenizer and the layout are those of the small checkpoint in --like; norms are zero too, so
that every logit is.
"""

import argparse
import json
import math
import pathlib
import shutil
import struct

TEXT = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "head_dim": 128,
    "max_position_embeddings": 4096,
}
VISION = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 518,
    "out_features": ["stage12"],
}
N_VOCAB = 32207


def shapes(n_vocab):
    """Names and shapes of all tensors, as the published conversion names them."""
    d, m, v = TEXT["hidden_size"], TEXT["intermediate_size"], VISION["hidden_size"]
    n_patches = (VISION["image_size"] // 14) ** 2
    yield "language_model.lm_head.weight", [n_vocab, d]
    yield "language_model.model.embed_tokens.weight", [n_vocab, d]
    yield "language_model.model.norm.weight", [d]
    for i in range(TEXT["num_hidden_layers"]):
        block = f"language_model.model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{block}{norm}.weight", [d]
        for name in "qkvo":
            yield f"{block}self_attn.{name}_proj.weight", [d, d]
        yield f"{block}mlp.gate_proj.weight", [m, d]
        yield f"{block}mlp.up_proj.weight", [m, d]
        yield f"{block}mlp.down_proj.weight", [d, m]
    for i in (0, 2, 4, 6):
        yield f"multi_modal_projector.layers.{i}.weight", [d, v if i == 0 else d]
        yield f"multi_modal_projector.layers.{i}.bias", [d]
    embeddings = "vision_tower.embeddings."
    yield embeddings + "cls_token", [1, 1, v]
    yield embeddings + "mask_token", [1, v]
    yield embeddings + "patch_embeddings.projection.weight", [v, 3, 14, 14]
    yield embeddings + "patch_embeddings.projection.bias", [v]
    yield embeddings + "position_embeddings", [1, n_patches + 1, v]
    for name in ("weight", "bias"):
        yield f"vision_tower.layernorm.{name}", [v]
    for i in range(VISION["num_hidden_layers"]):
        block = f"vision_tower.encoder.layer.{i}."
        maps = {f"attention.attention.{k}": (v, v) for k in ("query", "key", "value")}
        maps |= {"attention.output.dense": (v, v), "mlp.fc1": (4 * v, v), "mlp.fc2": (v, 4 * v)}
        for name, (rows, columns) in maps.items():
            yield f"{block}{name}.weight", [rows, columns]
            yield f"{block}{name}.bias", [rows]
        for norm in ("norm1", "norm2"):
            yield f"{block}{norm}.weight", [v]
            yield f"{block}{norm}.bias", [v]
        for scale in ("layer_scale1", "layer_scale2"):
            yield f"{block}{scale}.lambda1", [v]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--like", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir()
    for path in arguments.like.glob("*.json"):
        shutil.copy(path, arguments.out)
    config = json.loads((arguments.like / "config.json").read_text())
    config["text_config"] |= TEXT | {"vocab_size": N_VOCAB}
    config["vision_config"] |= VISION
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1))
    processor = arguments.out / "preprocessor_config.json"
    sizes = json.loads(processor.read_text())
    side = VISION["image_size"]
    sizes["size"] = {"shortest_edge": side}
    sizes["crop_size"] = {"height": side, "width": side}
    processor.write_text(json.dumps(sizes, indent=1))
    header, at = {}, 0
    for name, shape in shapes(N_VOCAB):
        end = at + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(arguments.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    print(f"{len(header)} tensors, {at / 4e9:.2f} B weights, {at / 1e9:.1f} GB (sparse)")


if __name__ == "__main__":
    main()
