#!/usr/bin/env python3
"""Dictionaries written here load in SAELens, dictionary_learning and sparsify, and back.

Each variant is trained for a few steps by `fluoroscope sae train`, exported for every tool that has
such a dictionary, loaded by that tool's own code and run on the same rows; then dictionaries that
the tools made and saved themselves are encoded by `fluoroscope sae encode`. Prints the largest
difference of features and of reconstructions; fails above the tolerance.

    python -m venv env && env/bin/pip install -r tests/interchange/requirements.txt
    env/bin/python tests/interchange/check.py --fluoroscope target/debug/fluoroscope
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
# Its kernels need a card.
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

D, N, K, ROWS = 24, 96, 6, 512
# Settings of a training here, and the tools that have such a dictionary.
EVERY = ("saelens", "dictionary_learning", "sparsify")
TWO = EVERY[:2]
VARIANTS = {
    "top_k": ("top_k", "", EVERY),
    "batch_top_k": ("batch_top_k", "threshold_start_step = 5\n", TWO),
    "matryoshka": ("matryoshka", "threshold_start_step = 5\ngroup_sizes = [16, 32, 48]\n", TWO),
    "relu": ("relu", "l1 = 0.2\nsparsity_warmup_steps = 5\n", TWO),
    "jump_relu": ("jump_relu", "bandwidth = 0.2\nsparsity_warmup_steps = 5\n", TWO),
    "gated": ("gated", "l1 = 0.2\nsparsity_warmup_steps = 5\n", TWO),
    "saelens_batch_top_k": ("batch_top_k", 'recipe = "saelens"\nlr = 0.01\n', TWO),
    "saelens_layer_norm": (
        "relu",
        'recipe = "saelens"\nl1 = 0.2\nlr = 0.003\nnormalize_activations = "layer_norm"\n',
        ("saelens",),
    ),
    "centred_and_scaled": (
        "relu",
        'l1 = 0.2\nsparsity_warmup_steps = 5\ncentre_rows = true\n'
        'normalize_activations = "expected_average"\n',
        TWO,
    ),
    "sparsify_group_max": ("group_max", 'recipe = "sparsify"\n', ("sparsify",)),
    "sparsify_transcoder": (
        "top_k",
        'recipe = "sparsify"\ntranscode = true\nskip_connection = true\n',
        ("sparsify",),
    ),
    "sparsify_multi_topk": (
        "top_k",
        'recipe = "sparsify"\nmulti_topk = true\n',
        ("sparsify",),
    ),
}
ABSOLUTE, RELATIVE = 1e-6, 1e-5


class Check:
    def __init__(self, fluoroscope, folder):
        self.fluoroscope, self.folder = fluoroscope, folder
        self.failures = []
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((40, D)).astype(np.float32)
        mix = rng.random((4096, 40)) * (rng.random((4096, 40)) < 0.08)
        self.train = (mix @ directions + 0.5).astype(np.float32)
        self.rows = (mix[:ROWS] @ directions * 1.3 + 0.5).astype(np.float32)
        outputs = np.maximum(self.train @ directions[:D], 0.5)
        save_file(
            {"x": self.train, "y": outputs, "eval": self.rows}, folder / "rows.safetensors"
        )

    def run(self, *words):
        result = subprocess.run(
            [self.fluoroscope, *map(str, words)], capture_output=True, text=True
        )
        if result.returncode != 0:
            sys.exit(f"fluoroscope {' '.join(map(str, words))}: {result.stderr}")

    def encode(self, sae, *more):
        """Features, dense, and reconstruction, as computed here."""
        out = self.folder / "codes.safetensors"
        rows = f"{self.folder / 'rows.safetensors'}:eval"
        self.run("sae", "encode", sae, "--input", rows, "--output", out, *more)
        codes = load_file(out)
        n = int(codes["indices"].max(initial=0)) + 1
        dense = np.zeros((ROWS, max(n, N)), np.float32)
        np.put_along_axis(dense, codes["indices"], codes["values"], axis=1)
        # Padding has value 0 at index 0, which may have overwritten feature 0.
        for row, (index, value) in enumerate(zip(codes["indices"], codes["values"])):
            dense[row, index[value > 0]] = value[value > 0]
        return dense, codes["reconstruction"]

    def compare(self, what, ours, theirs):
        worst = []
        for got, expected in zip(ours, theirs):
            expected = expected.detach().numpy() if hasattr(expected, "detach") else expected
            limit = ABSOLUTE + RELATIVE * np.abs(expected).max()
            difference = float(np.abs(got - expected).max())
            worst.append(f"{difference:.1e}")
            if not difference <= limit:
                self.failures.append(f"{what}: {difference} above {limit}")
        same = bool(((ours[0] > 0) == (np.asarray(theirs[0].detach()) > 0)).all())
        if not same:
            self.failures.append(f"{what}: other features are active")
        print(f"{what}: features differ by {worst[0]}, reconstructions by {worst[1]}", flush=True)


def in_saelens(folder, x):
    from sae_lens import SAE

    sae = SAE.load_from_disk(str(folder), device="cpu")
    features = sae.encode(x)
    return features, sae.decode(features)


def in_dictionary_learning(folder, x):
    from dictionary_learning.utils import load_dictionary

    sae, _ = load_dictionary(str(folder), device="cpu")
    features = sae.encode(x)
    return features, sae.decode(features)


def in_sparsify(folder, x):
    from sparsify import SparseCoder

    sae = SparseCoder.load_from_disk(str(folder), device="cpu")
    # With multi_topk the forward pass returns four times as many codes as the encoder.
    codes = sae.encode(x)
    dense = torch.zeros(len(x), N).scatter_(1, codes.top_indices, codes.top_acts)
    return dense, sae(x).sae_out


TOOLS = {
    "saelens": in_saelens,
    "dictionary_learning": in_dictionary_learning,
    "sparsify": in_sparsify,
}


def out_of_here(check):
    x = torch.from_numpy(check.rows)
    for variant, (rule, settings, tools) in VARIANTS.items():
        config = check.folder / f"{variant}.toml"
        config.write_text(
            f'variant = "{rule}"\nn_features = {N}\nk = {K}\nbatch_rows = 256\nsteps = 60\n'
            f"warmup_steps = 5\n{settings}"
        )
        sae = check.folder / variant
        rows = check.folder / "rows.safetensors"
        pairs = ("--target", f"{rows}:y") if "transcode" in settings else ()
        check.run(
            *("sae", "train", "--input", f"{rows}:x", *pairs),
            *("--config", config, "--out", sae),
        )
        ours = check.encode(sae)
        for tool in tools:
            load = TOOLS[tool]
            folder = check.folder / f"{variant}-{tool}"
            check.run("sae", "export", sae, "--format", tool, "--out", folder)
            theirs = load(folder, x)
            if rule == "relu" and tool == "dictionary_learning":
                # The library makes decoder columns unit length and activations larger in return.
                norms = np.linalg.norm(load_file(sae / "sae.safetensors")["W_dec"], axis=1)
                theirs = (theirs[0] / torch.from_numpy(norms), theirs[1])
            check.compare(f"{variant} written for {tool}", ours, theirs)
        # And read here again from what was written for the others.
        for tool in TOOLS:
            folder = check.folder / f"{variant}-{tool}"
            if folder.exists():
                again = check.encode(folder)
                theirs = [torch.from_numpy(value) for value in again]
                check.compare(f"{variant} read back from {tool}", ours, theirs)


def into_here(check):
    x = torch.from_numpy(check.rows)
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    from sae_lens import (
        JumpReLUSAE,
        JumpReLUSAEConfig,
        StandardSAE,
        StandardSAEConfig,
        TopKSAE,
        TopKSAEConfig,
    )

    for name, sae in {
        "standard": StandardSAE(StandardSAEConfig(d_in=D, d_sae=N)),
        "topk": TopKSAE(TopKSAEConfig(d_in=D, d_sae=N, k=K)),
        "jumprelu": JumpReLUSAE(JumpReLUSAEConfig(d_in=D, d_sae=N)),
    }.items():
        for parameter in sae.parameters():
            parameter.data = random(*parameter.shape)
        if name == "jumprelu":
            sae.threshold.data = sae.threshold.data.abs()
        folder = check.folder / f"saelens-{name}"
        sae.save_model(str(folder))
        loaded = in_saelens(folder, x)
        check.compare(f"SAELens {name} read here", check.encode(folder), loaded)

    sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=N, normalize_activations="layer_norm"))
    for parameter in sae.parameters():
        parameter.data = random(*parameter.shape)
    folder = check.folder / "saelens-layer-norm"
    sae.save_model(str(folder))
    loaded = in_saelens(folder, x)
    check.compare("SAELens layer_norm read here", check.encode(folder), loaded)

    from sparsify import SparseCoder, SparseCoderConfig

    for name, more in {
        "topk": {},
        "multi_topk": dict(multi_topk=True),
        "groupmax": dict(activation="groupmax"),
        "transcoder": dict(transcode=True, skip_connection=True),
    }.items():
        sae = SparseCoder(D, SparseCoderConfig(num_latents=N, k=K, **more), device="cpu")
        for parameter in sae.parameters():
            parameter.data = random(*parameter.shape)
        folder = check.folder / f"sparsify-{name}"
        sae.save_to_disk(str(folder))
        loaded = in_sparsify(folder, x)
        check.compare(f"sparsify {name} read here", check.encode(folder), loaded)
    published(check, x, random)


def published(check, x, random):
    """Files as OpenAI and Google publish them, by their own formulas; neither is a package."""
    weights = dict(pre_bias=random(D), latent_bias=random(N))
    weights |= {"encoder.weight": random(N, D), "decoder.weight": random(D, N)}
    for name, activation in {"topk": "TopK", "relu_tied": "ReLU"}.items():
        file = dict(weights, stats_last_nonzero=torch.zeros(N, dtype=torch.long))
        file |= dict(activation=activation, activation_state_dict={})
        decoder = file["decoder.weight"]
        if activation == "TopK":
            file["activation_state_dict"] = dict(k=K)
        else:
            del file["decoder.weight"]
            decoder = file["encoder.weight"].T
        path = check.folder / f"openai-{name}.pt"
        torch.save(file, path)
        rows, mean, std = x, 0, 1
        if activation == "TopK":
            mean = x.mean(-1, keepdim=True)
            std = (x - mean).std(-1, keepdim=True)
            rows = (x - mean) / (std + 1e-5)
        pre = (rows - file["pre_bias"]) @ file["encoder.weight"].T + file["latent_bias"]
        if activation == "TopK":
            top = pre.topk(K, dim=-1)
            pre = torch.zeros_like(pre).scatter_(-1, top.indices, top.values)
        features = pre.relu()
        recon = (features @ decoder.T + file["pre_bias"]) * std + mean
        check.compare(f"OpenAI {name} read here", check.encode(path), (features, recon))

    gemma = dict(W_enc=random(D, N), W_dec=random(N, D), b_enc=random(N), b_dec=random(D))
    gemma["threshold"] = random(N).abs()
    pre = x @ gemma["W_enc"] + gemma["b_enc"]
    features = pre.relu() * (pre > gemma["threshold"])
    recon = features @ gemma["W_dec"] + gemma["b_dec"]
    folder = check.folder / "gemma-1"
    folder.mkdir()
    np.savez(folder / "params.npz", **{name: value.numpy() for name, value in gemma.items()})
    check.compare("Gemma Scope read here", check.encode(folder), (features, recon))
    folder = check.folder / "gemma-2"
    folder.mkdir()
    skip = random(D, D)
    tensors = {name.lower(): value.numpy() for name, value in gemma.items()}
    save_file(tensors | dict(affine_skip_connection=skip.numpy()), folder / "params.safetensors")
    (folder / "config.json").write_text('{"architecture": "jump_relu"}')
    theirs = (features, recon + x @ skip)
    check.compare("Gemma Scope 2 with a skip path read here", check.encode(folder), theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fluoroscope", required=True)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.fluoroscope).resolve())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        check = Check(program, pathlib.Path(folder))
        out_of_here(check)
        into_here(check)
    if check.failures:
        sys.exit("\n".join(check.failures))
    print("all agree")


if __name__ == "__main__":
    main()
