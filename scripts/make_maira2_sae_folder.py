"""Writes a folder laid out like microsoft/maira-2-sae, with dictionary_learning itself.

Three expansion factors, each a sub-folder with ae.pt (Matryoshka BatchTopK, int32 k, column-major
W_enc) and config.json, and interpretations as JSON, JSON Lines, CSV and Parquet. All weights are
random. Needs: pip install dictionary-learning==0.1.0 torch pandas pyarrow.

    python scripts/make_maira2_sae_folder.py maira-2-sae --d-model 96 --layer 1

The copy in the repository was made with --factors 0.25 0.5 1 --dtype bfloat16
--hostile tests/fixtures/hostile_ae.pt.
"""

import argparse
import json
import os
from pathlib import Path

import pandas
import torch
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE

FRACTIONS = [0.5, 0.25, 0.125, 0.0625, 0.0625]
WORDS = ["effusion", "nodule", "pacemaker", "catheter", "tube tip", "enlarged heart", "opacity"]
PLACES = ["left", "right", "bilateral", "unchanged"]


def dictionary(d_model: int, factor: float, k: int, seed: int) -> MatryoshkaBatchTopKSAE:
    torch.manual_seed(seed)
    n = int(d_model * factor)
    sizes = [int(n * fraction) for fraction in FRACTIONS[:-1]]
    sizes.append(n - sum(sizes))
    sae = MatryoshkaBatchTopKSAE(d_model, n, k, sizes)
    with torch.no_grad():
        sae.threshold.fill_(0.5)
        sae.b_enc.normal_(0, 0.1)
        sae.b_dec.normal_(0, 0.1)
    assert sae.k.dtype == torch.int32
    assert sae.W_enc.stride() == (1, d_model), "W_enc is expected column by column"
    return sae


def config(sae: MatryoshkaBatchTopKSAE, layer: int) -> dict:
    return {
        "trainer": {
            "trainer_class": "MatryoshkaBatchTopKTrainer",
            "dict_class": "MatryoshkaBatchTopKSAE",
            "activation_dim": sae.activation_dim,
            "dict_size": sae.dict_size,
            "group_fractions": FRACTIONS,
            "group_sizes": sae.group_sizes.tolist(),
            "k": sae.k.item(),
            "layer": layer,
            "lm_name": "phantom-vlm",
            "wandb_name": "MatryoshkaBatchTopKTrainer",
            "submodule_name": f"resid_post_layer_{layer}",
            "steps": 0,
            "seed": 0,
            "device": "cpu",
        }
    }


def interpretations(n: int, seed: int) -> pandas.DataFrame:
    rows = [
        {
            "feature_idx": i,
            "interpretation": f"{PLACES[(i + seed) % len(PLACES)]} {WORDS[i % len(WORDS)]}",
            "detection_score": round(0.5 + ((i * 37 + seed) % 50) / 100, 2),
            "level": i % 5,
        }
        for i in range(0, n, 8)
    ]
    return pandas.DataFrame(rows)


class Hostile:
    """A pickle that would run a command where it is unpickled; the command does nothing."""

    def __reduce__(self):
        return os.system, ("true",)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--d-model", type=int, default=96)
    parser.add_argument("--layer", type=int, default=1)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--factors", type=float, nargs=3, default=[2, 4, 8])
    # bfloat16 keeps the copy in the repository small; the release is expected to be float32.
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--hostile", type=Path, help="also write a file that must be refused")
    arguments = parser.parse_args()
    if arguments.hostile:
        arguments.hostile.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"W_enc": torch.zeros(2), "extra": Hostile()}, arguments.hostile)
    for seed, factor in enumerate(arguments.factors):
        folder = arguments.folder / f"ef{factor:g}"
        folder.mkdir(parents=True, exist_ok=True)
        sae = dictionary(arguments.d_model, factor, arguments.k, seed)
        dtype = getattr(torch, arguments.dtype)
        state = {
            name: value.to(dtype) if name in ("W_enc", "W_dec") else value
            for name, value in sae.state_dict().items()
        }
        torch.save(state, folder / "ae.pt")
        (folder / "config.json").write_text(json.dumps(config(sae, arguments.layer), indent=4))
        table = interpretations(sae.dict_size, seed)
        if seed == 0:
            table.to_json(folder / "interpretations.json", orient="records", indent=1)
            table.to_csv(folder / "interpretations.csv", index=False)
        elif seed == 1:
            table.to_parquet(folder / "interpretations.parquet", index=False)
        else:
            table.to_json(folder / "interpretations.jsonl", orient="records", lines=True)
            keyed = table.rename(columns={"interpretation": "explanation", "detection_score": "f1"})
            keyed = keyed.set_index("feature_idx").head(8)
            keyed["explanation"] += ", second opinion"
            (folder / "second_opinion.json").write_text(keyed.to_json(orient="index", indent=1))


if __name__ == "__main__":
    main()
