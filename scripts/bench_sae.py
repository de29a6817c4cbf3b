#!/usr/bin/env python3
"""Training speed of dictionaries in Fluoroscope, dictionary_learning and sparsify, one machine.

Not part of CI. Needs torch, dictionary_learning, eai-sparsify, safetensors and a built program:

    cargo build --release
    python scripts/bench_sae.py --fluoroscope target/release/fluoroscope

All train on the same saved batches with the same learning rate. The programs run by turns in
processes of their own; of each the median step but the first two counts, of all turns the best.
sparsify's step is its SparseCoder's forward and backward with fvu and auxk as its Trainer does it,
Adam, decoder normalised and the parallel gradient removed. RecSAE's step, at its own setting, is
written here from its published description (it is no package): top-k of relu, FVU, Adam with weight
decay, in the faster of two ways to decode.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BATCH, N_BATCHES, LR = 4096, 3, 1e-3
PEERS = ("dictionary_learning", "sparsify", "recsae")
# Each by the recipe of one peer, which is the only one to run it.
WIDE = dict(d=576, n=4608, k=32, steps=12)
NARROW = dict(d=64, n=2048, k=32, steps=60)
PRESETS = {
    "top_k_576": WIDE | dict(peer="dictionary_learning"),
    "sparsify_576": WIDE | dict(peer="sparsify"),
    "matryoshka_576": WIDE | dict(peer="dictionary_learning"),
    "top_k_64": NARROW | dict(peer="dictionary_learning"),
    "sparsify_64": NARROW | dict(peer="sparsify"),
    # Four histories have 33 positions on average.
    "recsae_64": dict(d=64, n=1024, k=8, steps=600, batch=33, peer="recsae"),
}


def batches(path):
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    tensors = {}
    for d in (576, 64):
        directions = rng.standard_normal((3 * d, d)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        rows = []
        for _ in range(N_BATCHES):
            mix = rng.random((BATCH, 3 * d), np.float32)
            mix *= rng.random((BATCH, 3 * d), np.float32) < 20 / (3 * d)
            rows.append(mix @ directions + 0.02 * rng.standard_normal((BATCH, d)))
        tensors[f"x_{d}"] = np.stack(rows).astype(np.float32)
    save_file(tensors, path)


def steps_of(update, x, preset):
    seconds = []
    for step in range(preset["steps"]):
        start = time.perf_counter()
        update(step, x[step % len(x)])
        seconds.append(time.perf_counter() - start)
    return preset.get("batch", BATCH) / statistics.median(seconds[2:])


def fvu(x, recon):
    return float((x - recon).pow(2).sum() / (x - x.mean(0)).pow(2).sum())


def with_dictionary_learning(name, x, preset):
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    common = dict(
        steps=preset["steps"],
        activation_dim=preset["d"],
        dict_size=preset["n"],
        k=preset["k"],
        layer=0,
        lm_name="x",
        lr=LR,
        warmup_steps=1,
        seed=0,
        device="cpu",
        threshold_start_step=1,
    )
    if name.startswith("matryoshka"):
        fractions = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32]
        trainer = MatryoshkaBatchTopKTrainer(group_fractions=fractions, **common)
    else:
        trainer = TopKTrainer(**common)
    rate = steps_of(lambda step, rows: trainer.update(step, rows), x, preset)
    last = x[(preset["steps"] - 1) % len(x)]
    return rate, fvu(last, trainer.ae(last).detach())


def with_sparsify(name, x, preset):
    import torch
    from sparsify import SparseCoder, SparseCoderConfig

    sae = SparseCoder(preset["d"], SparseCoderConfig(num_latents=preset["n"], k=preset["k"]))
    sae.b_dec.data = x[0].mean(0)
    optimiser = torch.optim.Adam(sae.parameters(), lr=LR)

    def update(_, rows):
        sae.set_decoder_norm_to_unit_norm()
        optimiser.zero_grad()
        out = sae(rows)
        out.fvu.backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()

    rate = steps_of(update, x, preset)
    last = x[(preset["steps"] - 1) % len(x)]
    return rate, fvu(last, sae(last).sae_out.detach())


def with_recsae(name, x, preset):
    import torch

    def coder(bag):
        encoder = torch.nn.Linear(preset["d"], preset["n"])
        torch.nn.init.zeros_(encoder.bias)
        w_dec = encoder.weight.detach().clone()
        w_dec = torch.nn.Parameter(w_dec / w_dec.norm(dim=1, keepdim=True))
        b_dec = torch.nn.Parameter(torch.zeros(preset["d"]))
        decayed = [encoder.weight, w_dec, b_dec]
        optimiser = torch.optim.Adam(
            [dict(params=decayed, weight_decay=1e-6), dict(params=[encoder.bias])], lr=LR
        )

        def forward(rows):
            pre = torch.relu(encoder(rows - b_dec))
            values, indices = pre.topk(preset["k"], dim=-1)
            if bag:
                return torch.nn.functional.embedding_bag(
                    indices, w_dec, per_sample_weights=values, mode="sum"
                ) + b_dec
            return torch.zeros_like(pre).scatter(-1, indices, values) @ w_dec + b_dec

        def update(_, rows):
            optimiser.zero_grad()
            loss = (forward(rows) - rows).pow(2).sum() / (rows - rows.mean(0)).pow(2).sum()
            loss.backward()
            optimiser.step()

        return update, forward

    best = None
    for bag in (False, True):
        update, forward = coder(bag)
        rate = steps_of(update, x, preset)
        last = x[(preset["steps"] - 1) % len(x)]
        if best is None or rate > best[0]:
            best = rate, fvu(last, forward(last).detach())
    return best


def peer(arguments):
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(arguments.threads)
    tensors = load_file(arguments.input)
    run = {
        "dictionary_learning": with_dictionary_learning,
        "sparsify": with_sparsify,
        "recsae": with_recsae,
    }
    results = {}
    for name, preset in PRESETS.items():
        if preset["peer"] != arguments.peer:
            continue
        x = tensors[f"x_{preset['d']}"]
        if "batch" in preset:
            whole = x.reshape(-1, x.shape[-1])
            n = len(whole) // preset["batch"]
            x = whole[: n * preset["batch"]].reshape(n, preset["batch"], -1)
        results[name] = run[arguments.peer](name, x, preset)
    side, start = 2048, time.perf_counter()
    a = torch.randn(side, side)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    results["product_rate"] = 2 * side**3 / best
    print(json.dumps(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fluoroscope")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--input", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments)
    speeds, fvus, products = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "batches.safetensors")
        batches(path)
        for _ in range(arguments.turns):
            ours = subprocess.run(
                [arguments.fluoroscope, "bench", "sae", "--input", path, "--json"]
                + ["--threads", str(arguments.threads)],
                capture_output=True,
                text=True,
            )
            if ours.returncode:
                sys.exit(ours.stderr)
            ours = json.loads(ours.stdout)
            found = {s["name"]: (s["rows_per_second"], s["last_fvu"]) for s in ours["speeds"]}
            runs = [("fluoroscope", found | {"product_rate": ours["product_rate"]})]
            for tool in PEERS:
                words = [sys.executable, __file__, "--peer", tool, "--input", path]
                words += ["--threads", str(arguments.threads)]
                result = subprocess.run(words, capture_output=True, text=True)
                if result.returncode:
                    sys.exit(result.stderr)
                runs.append((tool, json.loads(result.stdout.splitlines()[-1])))
            for tool, found in runs:
                products[tool] = max(products.get(tool, 0), found.pop("product_rate"))
                for name, (rate, last) in found.items():
                    speeds[name, tool] = max(speeds.get((name, tool), 0), rate)
                    fvus[name, tool] = last
    print(f"load {os.getloadavg()[0]:.1f}; large f32 products, GFLOP/s: " + ", ".join(
        f"{tool} {rate / 1e9:.0f}" for tool, rate in products.items()))
    best = max(products.values())
    print("| rows a second | Fluoroscope | the peer | ratio | share of the product's limit"
          " | FVU here, there |")
    print("|---|---|---|---|---|---|")
    for name, preset in PRESETS.items():
        tools = ["fluoroscope", preset["peer"]]
        ours, theirs = [speeds[name, tool] for tool in tools]
        share = ours * 2 * preset["d"] * preset["n"] / best
        last = ", ".join(f"{fvus[name, tool]:.3f}" for tool in tools)
        print(f"| {name} | {ours:,.0f} | {preset['peer']} {theirs:,.0f} | {ours / theirs:.2f}"
              f" | {share:.2f} | {last} |")
    for size in ("576", "64"):
        fastest = max(speeds[f"{kind}_{size}", tool] for kind, tool in
                      (("top_k", "dictionary_learning"), ("sparsify", "sparsify")))
        print(f"TopK at width {size}: {speeds[f'top_k_{size}', 'fluoroscope'] / fastest:.2f} of the"
              " fastest peer")


if __name__ == "__main__":
    main()
