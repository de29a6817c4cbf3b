#!/usr/bin/env python3
"""Seconds an epoch of SASRec in Fluoroscope and in PyTorch, one machine, one run.

Not part of CI. Needs torch and a built program:

    cargo build --release
    python scripts/bench_recommenders.py --fluoroscope target/release/fluoroscope --data FOLDER

FOLDER has train.csv, dev.csv and test.csv with user_id, item_id and time, tab separated. Both train
the same model (width 64, one block of one head, histories of up to 20, batches of 256, Adam with
weight decay, one negative an item) on the same instances. PyTorch's is written here from the
published description, in the faster of two ways: every position of padded histories, or the last
position alone with keys and values folded as Fluoroscope does. Of both the fastest epoch counts.
"""

import argparse
import collections
import csv
import json
import pathlib
import random
import subprocess
import time


def histories(folder):
    by_user = collections.defaultdict(list)
    n_items = 0
    for part in ("train", "dev", "test"):
        with open(folder / f"{part}.csv", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                item = int(row["item_id"])
                n_items = max(n_items, item)
                if part == "train":
                    by_user[int(row["user_id"])].append((int(row["time"]), item))
    return [[item for _, item in sorted(rows, key=lambda row: row[0])] for rows in by_user.values()], n_items


def model(torch, n_items, folded):
    nn = torch.nn

    class SasRec(nn.Module):
        def __init__(self, d=64, history_max=20):
            super().__init__()
            self.items = nn.Embedding(n_items + 1, d)
            self.positions = nn.Embedding(history_max + 1, d)
            self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.inner, self.outer = nn.Linear(d, d), nn.Linear(d, d)
            for module in self.modules():
                if isinstance(module, (nn.Linear, nn.Embedding)):
                    nn.init.normal_(module.weight, 0.0, 0.01)
                    if getattr(module, "bias", None) is not None:
                        nn.init.normal_(module.bias, 0.0, 0.01)

        def forward(self, ids, lengths, pairs):
            n, width = ids.shape
            valid = ids > 0
            slots = torch.arange(width)
            x = self.items(ids) + self.positions((lengths[:, None] - slots) * valid)
            last = x[torch.arange(n), lengths - 1]
            if folded:
                query = self.query(last)
                folded_key = query @ self.key.weight
                scores = (x @ folded_key[:, :, None])[:, :, 0] / 8.0
                shares = scores.masked_fill(~valid, float("-inf")).softmax(-1)
                mixed = (shares[:, None, :] @ x)[:, 0]
                h = self.norm1(self.value(mixed) + last)
                user = self.norm2(self.outer(self.inner(h).relu()) + h)
            else:
                scores = self.query(x) @ self.key(x).transpose(1, 2) / 8.0
                causal = torch.ones(width, width, dtype=torch.bool).tril()
                shares = scores.masked_fill(~causal, float("-inf")).softmax(-1)
                h = self.norm1(shares @ self.value(x) + x)
                rows = self.norm2(self.outer(self.inner(h).relu()) + h)
                user = rows[torch.arange(n), lengths - 1]
            return (user[:, None, :] * self.items(pairs)).sum(-1)

    return SasRec()


def torch_epoch(folder, folded, epochs):
    import torch

    torch.manual_seed(0)
    rng = random.Random(0)
    users, n_items = histories(folder)
    instances = [(u[max(0, end - 20):end], u[end], set(u)) for u in users for end in range(1, len(u))]
    net = model(torch, n_items, folded)
    decayed = [p for name, p in net.named_parameters() if "bias" not in name]
    spared = [p for name, p in net.named_parameters() if "bias" in name]
    adam = torch.optim.Adam([dict(params=decayed, weight_decay=1e-6), dict(params=spared)], lr=1e-4)
    best = float("inf")
    for _ in range(epochs):
        # Order and negatives are drawn before the clock starts, and so is the padding.
        rng.shuffle(instances)
        batches = []
        for first in range(0, len(instances), 256):
            part = instances[first:first + 256]
            width = max(len(history) for history, _, _ in part)
            ids = torch.zeros(len(part), width, dtype=torch.long)
            pairs = torch.zeros(len(part), 2, dtype=torch.long)
            for i, (history, positive, known) in enumerate(part):
                ids[i, :len(history)] = torch.tensor(history)
                negative = rng.randrange(1, n_items + 1)
                while negative in known:
                    negative = rng.randrange(1, n_items + 1)
                pairs[i, 0], pairs[i, 1] = positive, negative
            lengths = torch.tensor([len(history) for history, _, _ in part])
            batches.append((ids, lengths, pairs))
        began = time.perf_counter()
        total = 0.0
        for ids, lengths, pairs in batches:
            adam.zero_grad()
            scores = net(ids, lengths, pairs)
            loss = torch.nn.functional.softplus(scores[:, 1] - scores[:, 0]).mean()
            loss.backward()
            adam.step()
            total += loss.item()
        best = min(best, time.perf_counter() - began)
    return dict(seconds=best, loss=total / len(batches), threads=torch.get_num_threads())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluoroscope", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2)
    arguments = parser.parse_args()
    ours, torch_best = None, {}
    for _ in range(arguments.turns):
        command = [arguments.fluoroscope, "bench", "recommenders", "--path", str(arguments.data),
                   "--epochs", str(arguments.epochs), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        if ours is None or found["seconds_per_epoch"] < ours["seconds_per_epoch"]:
            ours = found
        for folded in (False, True):
            found = torch_epoch(arguments.data, folded, arguments.epochs)
            known = torch_best.get(folded)
            if known is None or found["seconds"] < known["seconds"]:
                torch_best[folded] = found
    print(f"Fluoroscope: {ours['seconds_per_epoch']:.2f} s an epoch, loss {ours['loss']:.4f}, "
          f"{ours['threads']} threads, {ours['users_per_second']:.0f} users ranked a second "
          f"({ours['users_per_second'] / ours['limit_users_per_second']:.2f} of the limit)")
    for folded, found in torch_best.items():
        way = "last position, folded" if folded else "every position"
        print(f"PyTorch, {way}: {found['seconds']:.2f} s an epoch, loss {found['loss']:.4f}, "
              f"{found['threads']} threads: {found['seconds'] / ours['seconds_per_epoch']:.2f} times ours")


if __name__ == "__main__":
    main()
