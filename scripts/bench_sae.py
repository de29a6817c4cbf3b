#!/usr/bin/env python3
"""Training speed of dictionaries in Fluoroscope, dictionary_learning and sparsify, one machine.

Not part of CI. Needs torch, dictionary_learning, eai-sparsify, safetensors and a built program:

    cargo build --release
    python scripts/bench_sae.py --fluoroscope target/release/fluoroscope

All train on the same saved batches with the same learning rate. The programs run by turns in
processes of their own; of each the median step but the first two counts, of all turns the best.
sparsify's step is its SparseCoder's forward and backward with fvu and auxk as its Trainer does it,
Adam, decoder normalised and the parallel gradient removed.
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
PRESETS = {
    "top_k_576": dict(d=576, n=4608, k=32, steps=12),
    "matryoshka_576": dict(d=576, n=4608, k=32, steps=12),
    "top_k_64": dict(d=64, n=2048, k=32, steps=60),
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


def steps_of(update, x, steps):
    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        update(step, x[step % len(x)])
        seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds[2:])


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
    rate = steps_of(lambda step, rows: trainer.update(step, rows), x, preset["steps"])
    last = x[(preset["steps"] - 1) % len(x)]
    return rate, fvu(last, trainer.ae(last).detach())


def with_sparsify(name, x, preset):
    if name.startswith("matryoshka"):
        return None
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

    rate = steps_of(update, x, preset["steps"])
    last = x[(preset["steps"] - 1) % len(x)]
    return rate, fvu(last, sae(last).sae_out.detach())


def peer(arguments):
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(arguments.threads)
    tensors = load_file(arguments.input)
    run = {"dictionary_learning": with_dictionary_learning, "sparsify": with_sparsify}
    results = {}
    for name, preset in PRESETS.items():
        result = run[arguments.peer](name, tensors[f"x_{preset['d']}"], preset)
        if result:
            results[name] = result
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
            for tool in ("dictionary_learning", "sparsify"):
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
    print("| rows a second | Fluoroscope | dictionary_learning | sparsify | ratio to the fastest peer"
          " | share of the product's limit | FVU, in the same order |")
    print("|---|---|---|---|---|---|---|")
    for name, preset in PRESETS.items():
        tools = ["fluoroscope", "dictionary_learning", "sparsify"]
        rates = [speeds.get((name, tool)) for tool in tools]
        limit = best / (2 * preset["d"] * preset["n"])
        shown = [f"{rate:,.0f}" if rate else "" for rate in rates]
        last = [f"{fvus[name, tool]:.3f}" for tool in tools if (name, tool) in fvus]
        ratio = rates[0] / max(rate for rate in rates[1:] if rate)
        print(f"| {name} | {' | '.join(shown)} | {ratio:.2f} | {rates[0] / limit:.2f} | {', '.join(last)} |")


if __name__ == "__main__":
    main()
