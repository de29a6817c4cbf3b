#!/usr/bin/env python3
"""Speed of a text model in Fluoroscope, llama.cpp and Hugging Face transformers, one machine.

Not part of CI. Needs llama-cpp-python, torch, transformers, gguf and a built program:

    cargo build --release
    python scripts/bench_models.py --gguf MODEL.gguf --fluoroscope target/release/fluoroscope

The programs run by turns in processes of their own, so that a change of the machine's load meets
all of them; the best of all rounds counts. llama.cpp runs without its extra buffer types (their
repacked weights crash on machines with AMX). transformers runs in f32 on the same weights,
dequantised, once to the last block as one gets its hidden states, and once with only the blocks
that the harvest needs.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import time

PROMPTS = (128, 512)
WRITTEN = 32
PACKED = (8, 64)
BLOCK = 15


def prompt(n, variant, n_vocab):
    return [(100 + i * 37 + variant * 1009) % n_vocab for i in range(n)]


def best_of(times, key, seconds):
    times[key] = min(times.get(key, float("inf")), seconds)


def llama_cpp(gguf, threads, rounds):
    import llama_cpp as lc

    quiet = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(quiet, ctypes.c_void_p())
    lc.llama_backend_init()
    options = lc.llama_model_default_params()
    options.n_gpu_layers = 0
    options.use_extra_bufts = False
    model = lc.llama_model_load_from_file(gguf.encode(), options)
    options = lc.llama_context_default_params()
    options.n_ctx = 1024
    options.n_batch = options.n_ubatch = 512
    options.n_threads = options.n_threads_batch = threads
    context = lc.llama_init_from_model(model, options)
    n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))

    def run(ids):
        # The batch points into this array, so it must outlive the call.
        tokens = (lc.llama_token * len(ids))(*ids)
        batch = lc.llama_batch_get_one(tokens, len(ids))
        if lc.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")
        return lc.llama_get_logits_ith(context, -1)

    times = {}
    for number in range(rounds):
        for n in PROMPTS:
            lc.llama_memory_clear(lc.llama_get_memory(context), True)
            start = time.perf_counter()
            run(prompt(n, number, n_vocab))
            best_of(times, f"read {n}", (time.perf_counter() - start) / n)
            if n == PROMPTS[0]:
                start = time.perf_counter()
                for i in range(WRITTEN):
                    run([(7 + 31 * i) % n_vocab])
                best_of(times, "write", (time.perf_counter() - start) / WRITTEN)
    return {key: 1 / seconds for key, seconds in times.items()}


def transformers(gguf, threads, rounds):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    folder, name = os.path.split(os.path.abspath(gguf))
    whole = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    model = whole.model.eval()
    n_texts, length = PACKED
    ids = torch.tensor([prompt(length, i, model.config.vocab_size) for i in range(n_texts)])
    layers, times = model.layers, {}
    with torch.inference_mode():
        for _ in range(rounds):
            for key, n_layers in (("harvest, all blocks", len(layers)), ("harvest", BLOCK + 1)):
                model.layers = layers[:n_layers]
                start = time.perf_counter()
                model(ids, use_cache=False, output_hidden_states=True)
                best_of(times, key, (time.perf_counter() - start) / ids.numel())
    return {key: 1 / seconds for key, seconds in times.items()}


def child(name, arguments):
    """Runs one of the other programs in a process of its own."""
    command = [sys.executable, __file__, "--gguf", arguments.gguf, "--only", name]
    command += ["--threads", str(arguments.threads), "--rounds", str(arguments.rounds)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def fluoroscope(arguments):
    command = [arguments.fluoroscope, "bench", "models", "--gguf", arguments.gguf, "--json"]
    command += ["--threads", str(arguments.threads), "--rounds", str(arguments.rounds)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    keys = [f"read {n}" for n in PROMPTS] + ["write", "harvest"]
    found = {key: one["tokens_per_second"] for key, one in zip(keys, answer["speeds"])}
    found["memory"] = -(answer["peak_memory"] or 0) / 1e6
    return found, answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--fluoroscope", help="the built program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="rounds in each turn of a program")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--only", choices=("llama_cpp", "transformers"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run = {"llama_cpp": llama_cpp, "transformers": transformers}[arguments.only]
        found = run(arguments.gguf, arguments.threads, arguments.rounds)
        found["memory"] = -resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps(found))
        return
    best = {"fluoroscope": {}, "llama_cpp": {}, "transformers": {}}
    limits, loads = {}, []
    for _ in range(arguments.turns):
        loads.append(os.getloadavg()[0])
        ours, answer = fluoroscope(arguments)
        turn = {"fluoroscope": ours}
        for name in ("llama_cpp", "transformers"):
            turn[name] = child(name, arguments)
        for name, found in turn.items():
            for key, value in found.items():
                best[name][key] = max(best[name].get(key, float("-inf")), value)
        for key, one in zip(ours, answer["speeds"]):
            limits[key] = max(limits.get(key, 0.0), one["limit_tokens_per_second"])
    print(f"load before each turn: {', '.join(f'{load:.1f}' for load in loads)}")
    print("| tokens a second | Fluoroscope | of the limit | llama.cpp | transformers f32 | ratio |")
    print("|---|---|---|---|---|---|")
    for key in [f"read {n}" for n in PROMPTS] + ["write", "harvest", "harvest, all blocks"]:
        mine = best["fluoroscope"].get(key, best["fluoroscope"]["harvest"])
        limit = limits.get(key, limits["harvest"])
        other = best["llama_cpp"].get(key), best["transformers"].get(key)
        cells = ["" if value is None else f"{value:.0f}" for value in other]
        ratio = mine / next(value for value in other if value is not None)
        print(f"| {key} | {mine:.0f} | {mine / limit:.2f} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
    memory = [-best[name]["memory"] for name in best]
    print(f"| peak memory, MB | {memory[0]:.0f} | | {memory[1]:.0f} | {memory[2]:.0f} | |")


if __name__ == "__main__":
    main()
