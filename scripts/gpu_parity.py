#!/usr/bin/env python3
"""Runs the program on the tiny fixtures and compares what it dumps with the reference tensors.

    gpu_parity.py PROGRAM FOLDER [FOLDER ...] [--device cuda] [--weights f32] [--limit 1e-3]

Each folder is a model with a `ref` folder beside its weights. Prints the largest difference of every
tensor and whether the 24 greedy tokens are the same; ends with status 1 if one is above the limit.
Needs nothing but Python 3.
"""

import argparse
import array
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile


def read(path):
    """Values by name of a safetensors file; f32 and i64 only."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        kind = {"F32": "f", "I64": "q"}.get(entry.get("dtype"))
        if kind:
            first, last = (8 + length + at for at in entry["data_offsets"])
            tensors[name] = array.array(kind, data[first:last])
    return tensors


def hook(name):
    """The program's name of a reference tensor; None for what is not compared."""
    fixed = {
        "vision.embeddings": "vision.embed",
        "vision.layernorm": "vision.ln_final",
        "projector": "projector.hook_out",
        "resid.embed": "embed",
        "resid.final_norm": "ln_final",
        "logits": "logits",
        "gen_logits": "generated_logits",
    }
    for pattern, hooked in [
        (r"vision\.block\.(\d+)", "vision.blocks.{}.hook_resid_post"),
        (r"resid\.layer\.(\d+)", "blocks.{}.hook_resid_post"),
    ]:
        found = re.fullmatch(pattern, name)
        if found:
            return hooked.format(found[1])
    return fixed.get(name)


def check(options, folder, case, dump):
    report = json.loads((folder / "ref/report.json").read_text())["cases"][case]
    reference = read(folder / f"ref/{case}.safetensors")
    names = {name: hook(name) for name in reference if hook(name)}
    hooks = [name for name in names.values() if not name.endswith("logits")]
    command = [options.program, "model", "run", str(folder), "--device", options.device]
    command += ["--weights", options.weights, "--prompt", report["prompt_text"]]
    for image in report["images"]:
        command += ["--pixel-values", f"{folder}/ref/images.safetensors:{image}.pixel_values"]
    command += ["--hooks", ",".join(hooks), "--dump", str(dump), "--dump-generated-logits"]
    command += ["--max-new-tokens", str(len(report["gen_ids"])), "--ignore-eos", "--json"]
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{options.program} ended with status {run.returncode}")
    answer = json.loads(run.stdout)
    found = read(dump)
    print(f"{folder.name}, {case}, computed on {answer.get('device')}")
    is_good = list(found["generated_ids"]) == report["gen_ids"]
    print(f"  {'generated ids':<34} {'the same' if is_good else 'DIFFERENT'}")
    for name, hooked in sorted(names.items()):
        a, b = reference[name], found[hooked]
        most = max(abs(x - y) for x, y in zip(a, b)) if len(a) == len(b) else float("inf")
        # Written so that a value that is no number fails.
        fits = most <= options.limit and all(y == y for y in b)
        is_good = is_good and fits
        print(f"  {hooked:<34} {most:.1e}{'' if fits else '  ABOVE THE LIMIT'}")
    return is_good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--weights", default="f32")
    parser.add_argument("--limit", type=float, default=1e-3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dump = pathlib.Path(scratch) / "dump.safetensors"
        results = [
            check(options, folder, case, dump)
            for folder in options.folders
            for case in ("single", "two_image")
        ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
