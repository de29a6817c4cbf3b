#!/usr/bin/env python3
"""Mean negative log-likelihood of reports: Fluoroscope's decoder against llama.cpp, one GGUF file.

Not part of CI. Needs llama-cpp-python and the example `mean_nll`:

    cargo build --release -p models --example mean_nll
    python scripts/nll_against_llama_cpp.py --gguf MODEL.gguf --reports iu_reports.csv \
        --mean-nll target/release/examples/mean_nll

Both programs get the same token ids: BOS, then the report as the harvest writes it, at most 512
tokens in all, each list on its own with an empty context. Exit status 1 when the means differ by
more than the tolerance.
"""

import argparse
import csv
import ctypes
import json
import subprocess
import sys
import tempfile

import llama_cpp as lc
import numpy as np

CONTEXT = 512


def report_texts(path, n):
    """The first n reports that have findings and an impression, as the harvest writes them."""
    texts = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            parts = [row[name].strip() for name in ("indication", "findings", "impression")]
            if parts[1] and parts[2]:
                names = ("INDICATION", "FINDINGS", "IMPRESSION")
                texts.append("\n".join(f"{a}: {b}" for a, b in zip(names, parts) if b))
            if len(texts) == n:
                break
    return texts


class LlamaCpp:
    """llama.cpp on the CPU, without the repacked weights of its extra buffer types."""

    def __init__(self, path, threads):
        quiet = lc.llama_log_callback(lambda level, text, data: None)
        self.quiet = quiet
        lc.llama_log_set(quiet, ctypes.c_void_p())
        lc.llama_backend_init()
        options = lc.llama_model_default_params()
        options.n_gpu_layers = 0
        options.use_extra_bufts = False
        self.model = lc.llama_model_load_from_file(path.encode(), options)
        options = lc.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = CONTEXT
        options.n_threads = options.n_threads_batch = threads
        self.context = lc.llama_init_from_model(self.model, options)
        self.vocab = lc.llama_model_get_vocab(self.model)
        self.n_vocab = lc.llama_vocab_n_tokens(self.vocab)

    def ids(self, text):
        """BOS and the tokens of a text, control tokens in it as plain text."""
        raw = text.encode()
        buffer = (lc.llama_token * (len(raw) + 8))()
        n = lc.llama_tokenize(self.vocab, raw, len(raw), buffer, len(buffer), False, False)
        return ([lc.llama_vocab_bos(self.vocab)] + list(buffer[:n]))[:CONTEXT]

    def nll(self, ids):
        """Sum of -log p of every token but the first."""
        lc.llama_memory_clear(lc.llama_get_memory(self.context), True)
        batch = lc.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = True
        if lc.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")
        total = 0.0
        for i, target in enumerate(ids[1:]):
            logits = np.ctypeslib.as_array(
                lc.llama_get_logits_ith(self.context, i), shape=(self.n_vocab,)
            ).astype(np.float64)
            most = logits.max()
            total += most + np.log(np.exp(logits - most).sum()) - logits[target]
        lc.llama_batch_free(batch)
        return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--reports", required=True, help="iu_reports.csv")
    parser.add_argument("--mean-nll", required=True, help="the built example mean_nll")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=0.005)
    arguments = parser.parse_args()
    theirs = LlamaCpp(arguments.gguf, arguments.threads)
    lists = [theirs.ids(text) for text in report_texts(arguments.reports, arguments.n)]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(lists, file)
        file.flush()
        answer = subprocess.run(
            [arguments.mean_nll, arguments.gguf, file.name],
            check=True,
            capture_output=True,
            text=True,
        )
    ours = json.loads(answer.stdout)
    sums = [theirs.nll(ids) for ids in lists]
    n_tokens = sum(len(ids) - 1 for ids in lists)
    assert n_tokens == ours["n_tokens"]
    mean = sum(sums) / n_tokens
    each = [abs(a - b) / b for a, b in zip(ours["sums"], sums)]
    difference = ours["mean"] / mean - 1
    print(f"{len(lists)} reports, {n_tokens} predicted tokens, BOS {lists[0][0]}, at most {CONTEXT}")
    print(f"mean NLL, nats a token: Fluoroscope {ours['mean']:.5f}, llama.cpp {mean:.5f}")
    print(f"difference {100 * difference:+.3f} %; largest of one report {100 * max(each):.2f} %")
    sys.exit(0 if abs(difference) <= arguments.tolerance else 1)


if __name__ == "__main__":
    main()
