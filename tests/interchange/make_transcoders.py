#!/usr/bin/env python3
"""Writes tests/fixtures/sparsify_transcoders: 50 steps of transcoders by sparsify's own trainer.

Rows and what they are to predict are random (a small map with a kink, nothing of anyone's), the
trainer is eai-sparsify's, run over a table of the saved batches. Makes the same files each time.

    python -m venv env && env/bin/pip install -r tests/interchange/requirements.txt
    env/bin/python tests/interchange/make_transcoders.py
"""

import argparse
import json
import os
import pathlib
import tempfile
import warnings

warnings.filterwarnings("ignore")
# Its kernels need a card.
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import torch
from datasets import Dataset
from safetensors.torch import save_file
from sparsify import SparseCoder, SparseCoderConfig, TrainConfig, Trainer

D, N, K, ROWS, STEPS = 8, 40, 4, 24, 50
ADAM = dict(optimizer="adam", lr=5e-3, lr_warmup_steps=10, auxk_alpha=1 / 32)
# Not by signs: b_dec starts where its gradient is nothing but rounding, whose sign is anyone's.
CASES = {
    "skip": (dict(skip_connection=True), ADAM),
    "skip_groupmax": (dict(skip_connection=True, activation="groupmax"), ADAM),
    # Few enough that 4 k are above 0: sparsify counts zeros that fill a place as active.
    "multi_topk": (dict(multi_topk=True, k=2), ADAM),
}
HERE = pathlib.Path(__file__).resolve().parent.parent


class Module(torch.nn.Module):
    """The module under study: looks up what it puts out."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs
        self.ids = None

    def forward(self, _inputs):
        return self.outputs[self.ids]


class Table(torch.nn.Module):
    """A "model" that hands its one module the saved rows by their numbers."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inputs = inputs
        self.module = Module(outputs)
        self.device = torch.device("cpu")
        self.dummy_inputs = dict(input_ids=torch.zeros(1, 2, dtype=torch.long))

    @property
    def base_model(self):
        return self

    def forward(self, input_ids):
        self.module.ids = input_ids
        return self.module(self.inputs[input_ids])


def pairs():
    """Rows and what they are to predict, each `[STEPS * ROWS, D]`."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    n = STEPS * ROWS
    strengths = torch.rand(n, 20, generator=generator)
    present = torch.rand(n, 20, generator=generator) < 0.15
    x = (strengths * present) @ random(20, D) * 1.5 + 0.7
    y = (x @ random(D, 16)).relu() @ random(16, D) * 0.2 + x @ random(D, D) * 0.3 - 0.4
    return x.contiguous(), y.contiguous()


def recorded(curve):
    """sparsify's forward pass, noting each step's losses."""
    forward = SparseCoder.forward

    def note(self, *arguments, **named):
        out = forward(self, *arguments, **named)
        dead = named.get("dead_mask")
        curve.append(
            dict(
                fvu=float(out.fvu),
                auxk_loss=float(out.auxk_loss),
                multi_topk_fvu=float(out.multi_topk_fvu),
                dead=0 if dead is None else int(dead.sum()),
            )
        )
        return out

    return forward, note


def train(folder, x, y, coder, training):
    config = TrainConfig(
        SparseCoderConfig(**dict(num_latents=N, k=K, transcode=True) | coder),
        batch_size=1,
        hookpoints=["module"],
        dead_feature_threshold=3 * ROWS,
        log_to_wandb=False,
        save_every=10**6,
        save_dir=tempfile.mkdtemp(),
        run_name="run",
        **training,
    )
    ids = torch.arange(STEPS * ROWS).view(STEPS, ROWS)
    dataset = Dataset.from_dict(dict(input_ids=ids.tolist())).with_format("torch")
    trainer = Trainer(config, dataset, Table(x, y))
    trainer.saes["module"].save_to_disk(folder / "init")
    curve = []
    forward, SparseCoder.forward = recorded(curve)
    try:
        trainer.fit()
    finally:
        SparseCoder.forward = forward
    final = SparseCoder.load_from_disk(pathlib.Path(config.save_dir) / "run" / "module")
    final.save_to_disk(folder / "final")
    (folder / "curve.json").write_text(json.dumps(curve, indent=0) + "\n")
    print(f"{folder.name}: FVU {curve[0]['fvu']:.4f} to {curve[-1]['fvu']:.4f}, "
          f"{max(step['dead'] for step in curve)} dead at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=HERE / "fixtures" / "sparsify_transcoders")
    out = pathlib.Path(parser.parse_args().out)
    torch.set_num_threads(1)
    x, y = pairs()
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        dict(x=x.view(STEPS, ROWS, D), y=y.view(STEPS, ROWS, D)), out / "data.safetensors"
    )
    for name, (coder, training) in CASES.items():
        (out / name).mkdir(exist_ok=True)
        train(out / name, x, y, coder, training)


if __name__ == "__main__":
    main()
