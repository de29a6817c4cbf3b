#!/usr/bin/env python3
"""Seconds an epoch of a dictionary by RecSAE's own training code and by Fluoroscope, one run.

Not part of CI. Needs torch, pandas, scipy, tqdm, safetensors, a built program and the authors' code:

    cargo build --release
    python scripts/bench_recsae.py --fluoroscope target/release/fluoroscope --reference RECSAE

RECSAE is a checkout of github.com/Alice1998/RecSAE; what its src/ lacks of ReChorus, on which it is
built, is to be put beside it from ReChorus' own src/ (commit 42ac0c6). Nothing of either is copied
here or changed: their reader, dataset, collation, model and RecSAERunner.fit run as they are, on the
processor, at their setting (k 8, 1,024 features, four sequences a batch), first epoch, on a trained
SASRec. Only fit's DataLoader is replaced by one that stops after so many batches and reads the
clock, a hook reads it where the dictionary begins, and the names that numpy has dropped are put
back. Their epoch is what comes before the first batch and the mean batch times the loader's length.

Fluoroscope records the same rows (every position of every history) from the same SASRec and trains
one epoch of `--preset recsae-paper` on them, rows shuffled singly, in batches of 33. Its seconds are
those of `harvest run` and of `sae train` from start to the end of training; neither side's evaluation
counts. Its step alone is that of `bench sae`. Both by turns, each with one thread and with all;
medians over turns, in brackets the least and the most. The folder of --data has train.csv, dev.csv
and test.csv.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SHARED = pathlib.Path(os.environ.get("FLUOROSCOPE_SHARED", "shared"))
WARM_UP = 20
# Of the DataLoader and of torch; five workers are RecSAE's default.
WAYS = ("0 workers, 1 thread", "0 workers, all threads", "5 workers, all threads")
LEAST = 100
OURS = ("1 thread", "all threads")
SETTING = [
    *("--sae_k", "8", "--sae_scale_size", "16", "--sae_batch_size", "4", "--sae_lr", "5e-5"),
    *("--emb_size", "64", "--num_layers", "1", "--num_heads", "1", "--history_max", "20"),
    *("--l2", "1e-6", "--test_all", "1", "--sae_train", "1"),
]
NEEDED = [
    "helpers/BaseReader.py",
    "helpers/SeqReader.py",
    "helpers/BaseRunner.py",
    "helpers/RecSAERunner.py",
    "models/BaseModel.py",
    "models/BaseImpressionModel.py",
    "models/sequential/SASRec.py",
    "models/sae/sae.py",
    "utils/layers.py",
    "utils/utils.py",
]


def check_files(arguments):
    for name in NEEDED:
        if not (arguments.reference / "src" / name).is_file():
            sys.exit(f"{arguments.reference} has no src/{name}, which RecSAE's training needs.")
    for part in ("train", "dev", "test"):
        if not (arguments.data / f"{part}.csv").is_file():
            sys.exit(f"{arguments.data} has no {part}.csv, expected user_id, item_id and time.")
    for path in (arguments.weights, pathlib.Path(arguments.fluoroscope)):
        if not path.is_file():
            sys.exit(f"There is no file {path}.")


def timed_loader(loader, arguments, seen):
    class Timed(loader):
        def __iter__(self):
            seen["length"] = len(self)
            seen["began"] = time.perf_counter()
            source = super().__iter__()
            for index in range(min(arguments.batches + WARM_UP, len(self))):
                asked, cpu = time.perf_counter(), time.process_time()
                if index >= WARM_UP + LEAST and asked - seen["began"] > arguments.seconds:
                    return
                batch = next(source)
                loaded = time.perf_counter()
                yield batch
                done = time.perf_counter()
                if index >= WARM_UP:
                    rows = int(batch["lengths"].sum())
                    seen["batches"].append((asked, loaded, seen["coded"], done, rows))
                    seen["cpu"].append(time.process_time() - cpu)

    return Timed


def peer(arguments):
    """RecSAE's side of a turn: prints what each way of running took."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    np.int, np.object, np.float = int, object, float
    sys.path.insert(0, str(arguments.reference / "src"))
    from helpers import RecSAERunner, SeqReader
    from models.sequential.SASRec import SASRec_SAE
    from utils import utils

    loader, found = RecSAERunner.DataLoader, {}
    # What torch loads with the first optimiser is no part of an epoch.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    with tempfile.TemporaryDirectory() as folder:
        base = str(pathlib.Path(folder) / "base.pt")
        torch.save(load_file(arguments.weights), base)
        parser = argparse.ArgumentParser()
        parser = SeqReader.SeqReader.parse_data_args(parser)
        parser = RecSAERunner.RecSAERunner.parse_runner_args(parser)
        parser = SASRec_SAE.parse_model_args(parser)
        where = ["--path", str(arguments.data.parent), "--dataset", arguments.data.name]
        words = SETTING + where + ["--model_path", base, "--recsae_model_path", base + ".sae"]
        corpus = None
        for way in WAYS:
            workers = way.split()[0]
            torch.set_num_threads(1 if "1 thread" in way else arguments.threads)
            settings = parser.parse_args(words + ["--num_workers", workers])
            settings.device, settings.train, settings.log_file = torch.device("cpu"), 1, "log.txt"
            utils.init_seed(0)
            corpus = corpus or SeqReader.SeqReader(settings)
            model = SASRec_SAE(settings, corpus)
            model.load_model(base)
            dataset = SASRec_SAE.Dataset(model, corpus, "train")
            dataset.prepare()
            model.eval()
            model.set_sae_mode("train")
            seen = dict(batches=[], cpu=[], coded=0.0)
            model.sae_module.register_forward_pre_hook(
                lambda *_, seen=seen: seen.update(coded=time.perf_counter())
            )
            RecSAERunner.DataLoader = timed_loader(loader, arguments, seen)
            started = time.perf_counter()
            loss = RecSAERunner.RecSAERunner(settings).fit(dataset, epoch=1)
            found[way] = of_batches(seen, seen["began"] - started) | dict(loss=loss)
    print(json.dumps(found))


def of_batches(seen, before):
    asked, loaded, coded, done, rows = zip(*seen["batches"])
    whole = [end - start for start, end in zip(asked, done)]
    mean = statistics.fmean(whole)
    return dict(
        length=seen["length"],
        before=before,
        mean=mean,
        median=statistics.median(whole),
        loading=statistics.fmean(b - a for a, b in zip(asked, loaded)),
        base=statistics.fmean(b - a for a, b in zip(loaded, coded)),
        dictionary=statistics.fmean(b - a for a, b in zip(coded, done)),
        step=statistics.median(b - a for a, b in zip(coded, done)),
        cpu=statistics.fmean(seen["cpu"]),
        batches=len(whole),
        rows=statistics.fmean(rows),
        epoch=before + mean * seen["length"],
    )


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Ours:
    """A project with the same SASRec and interactions."""

    def __init__(self, arguments, folder):
        self.program = arguments.fluoroscope
        self.project = str(pathlib.Path(folder) / "project")
        self.run("project", "new", self.project)
        self.run("dataset", "import-interactions", "data", "--path", str(arguments.data),
                 "--layout", "rechorus", "--project", self.project)
        self.run("model", "add", "sasrec", "--path", str(arguments.weights), "--arch", "sasrec",
                 "--dataset", "data", "--project", self.project)

    def run(self, *words):
        done = subprocess.run([self.program, *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def turn(self, name, threads):
        common = ["--project", self.project, "--threads", str(threads)]
        began, cpu = time.perf_counter(), children_seconds()
        self.run("harvest", "run", f"rows{name}", "--model", "sasrec", "--dataset", "data",
                 "--hook", "hook_user_vector", "--positions", "contexts", *common)
        found = dict(harvest=time.perf_counter() - began, harvest_cpu=children_seconds() - cpu)
        found |= self.train(name, common)
        speeds = json.loads(self.run("bench", "sae", "--json", "--threads", str(threads)))
        narrow = next(s for s in speeds["speeds"] if s["name"] == "recsae_64")
        return found | dict(step=narrow["batch_rows"] / narrow["rows_per_second"])

    def train(self, name, common):
        words = ["sae", "train", f"sae{name}", "--harvest", f"rows{name}", "--preset",
                 "recsae-paper", "--epochs", "1", "--json", *common]
        began = time.perf_counter()
        process = subprocess.Popen([self.program, *words], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        found, said = {}, ""
        for line in process.stderr:
            said += line
            if not found and line.startswith(("Ranking", "Evaluating")):
                found = dict(epoch=time.perf_counter() - began, cpu=processor_seconds(process.pid))
        result = process.stdout.read()
        if process.wait():
            sys.exit(said)
        evaluation = json.loads(result.splitlines()[-1])["all"]
        return found | dict(fvu=evaluation["fvu"], rows=evaluation["n_rows"])


def theirs(arguments):
    words = [sys.executable, __file__, "--peer"]
    for name in ("fluoroscope", "reference", "data", "weights", "threads", "batches", "seconds"):
        words += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def spread(values, digits=1):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(turns):
    print("| | batch, ms | loading, base model, dictionary, ms | epoch, s | recording, s"
          " | processor seconds of an epoch, of recording | median step of the dictionary, ms |")
    print("|---|---|---|---|---|---|---|")
    of = {}
    for way in WAYS:
        of[way] = peers = [turn[way] for turn in turns]
        parts = ", ".join(f"{1e3 * statistics.median(p[key] for p in peers):.2f}"
                          for key in ("loading", "base", "dictionary"))
        cpu = [p["cpu"] * p["length"] for p in peers]
        print(f"| RecSAE, {way} | {spread([1e3 * p['mean'] for p in peers], 2)} | {parts}"
              f" | {spread([p['epoch'] for p in peers])} | in the epoch"
              f" | {spread(cpu, 0) if way.startswith('0') else 'not counted'}"
              f" | {spread([1e3 * p['step'] for p in peers], 2)} |")
    for way in OURS:
        of[way] = ours = [turn[way] for turn in turns]
        print(f"| Fluoroscope, {way} | | | {spread([o['epoch'] for o in ours])}"
              f" | {spread([o['harvest'] for o in ours])}"
              f" | {spread([o['cpu'] for o in ours])}, {spread([o['harvest_cpu'] for o in ours])}"
              f" | {spread([1e3 * o['step'] for o in ours], 2)} |")
    print("| ratio | epoch | with recording in ours | processor time | with recording | step |")
    print("|---|---|---|---|---|---|")
    for name, peers, ours in (
        ("one thread each", of[WAYS[0]], of[OURS[0]]),
        ("all threads each", of[WAYS[1]], of[OURS[1]]),
        ("fastest each", fastest(of, WAYS), fastest(of, OURS)),
    ):
        pairs = list(zip(peers, ours))
        print(f"| {name} | {spread([p['epoch'] / o['epoch'] for p, o in pairs])}"
              f" | {spread([p['epoch'] / (o['epoch'] + o['harvest']) for p, o in pairs])}"
              f" | {spread([p['cpu'] * p['length'] / o['cpu'] for p, o in pairs])}"
              f" | {spread([p['cpu'] * p['length'] / (o['cpu'] + o['harvest_cpu']) for p, o in pairs])}"
              f" | {spread([p['step'] / o['step'] for p, o in pairs])} |")
    one, ours = of[WAYS[0]][0], of[OURS[0]][0]
    rows = statistics.fmean(p["rows"] for p in of[WAYS[0]])
    print(f"Rows: {ours['rows']} here, {rows:.1f} a batch times {one['length']} batches ="
          f" {rows * one['length']:.0f} there; FVU {ours['fvu']:.3f} after our epoch, mean of their"
          f" first {one['batches']} batches {one['loss']:.3f}")


def fastest(of, ways):
    return min((of[way] for way in ways),
               key=lambda turns: statistics.median(turn["epoch"] for turn in turns))


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = "unknown"
    return f"{os.cpu_count()} cores of {name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluoroscope", "--program", required=True)
    parser.add_argument("--reference", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path,
                        default=SHARED / "data/recommender/amazon-grocery")
    parser.add_argument("--weights", type=pathlib.Path, help="state dict of a SASRec on the data",
                        default=SHARED / "fixtures/recsae/grocery_sasrec.safetensors")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60, help="at most, of a way and turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    check_files(arguments)
    if arguments.peer:
        return peer(arguments)
    turns, loads = [], []
    with tempfile.TemporaryDirectory() as folder:
        project = Ours(arguments, folder)
        for index in range(arguments.turns):
            loads.append(os.getloadavg()[0])
            turn = theirs(arguments)
            for way, threads in zip(OURS, (1, arguments.threads)):
                turn[way] = project.turn(f"{index}-{threads}", threads)
            turns.append(turn)
            loads.append(os.getloadavg()[0])
            print(json.dumps(turns[-1]), file=sys.stderr)
    print(f"{processor()}, {arguments.threads} threads, load {min(loads):.1f} to {max(loads):.1f},"
          f" {arguments.turns} turns of at most {arguments.batches} batches or"
          f" {arguments.seconds:.0f} s")
    report(turns)


if __name__ == "__main__":
    main()
