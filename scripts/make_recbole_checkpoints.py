"""Writes small checkpoints with RecBole itself, and what its models compute from them.

BPR, LightGCN, GRU4Rec and SASRec over 20 users and 30 items, all weights random, trained for one
epoch so that the optimizer has a state, and saved by RecBole's own Trainer; beside each NAME.pth a
NAME.safetensors of user vectors, scores of all items and the ten best. hostile.pth calls the shell
where it is executed. RecBole sees the last eight items of a history. The same bytes each time.

Needs: pip install recbole==1.2.1 safetensors torch. RecBole 1.2.1 was written for NumPy 1 and an
older SciPy; what newer ones have dropped is put back below. It also imports tensorboard, which
nothing here uses.

    python scripts/make_recbole_checkpoints.py tests/fixtures/recbole
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy
import scipy.sparse
import torch

for old, new in {"float_": "float64", "complex_": "complex128", "unicode_": "str_"}.items():
    if not hasattr(numpy, old):
        setattr(numpy, old, getattr(numpy, new))
if not hasattr(scipy.sparse.dok_matrix, "_update"):
    scipy.sparse.dok_matrix._update = lambda self, values: self._dict.update(values)

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402
from recbole.utils import get_model, init_seed  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

N_USERS, N_ITEMS, WIDTH, HISTORY_MAX = 20, 30, 24, 8
LONGEST = 12
SEQUENTIAL = {"SASRec", "GRU4Rec"}
SHAPES = {
    "BPR": {"embedding_size": WIDTH},
    "LightGCN": {"embedding_size": WIDTH, "n_layers": 3},
    "GRU4Rec": {"embedding_size": WIDTH, "hidden_size": 16, "num_layers": 1},
    "SASRec": {"hidden_size": WIDTH, "inner_size": 40, "n_layers": 2, "n_heads": 2},
}


def write_dataset(folder: Path) -> None:
    """toy.inter: random interactions, at least one of every item."""
    rng = random.Random(1)
    rows = [(1 + i % N_USERS, 1 + i) for i in range(N_ITEMS)]
    rows += [(1 + i % N_USERS, rng.randint(1, N_ITEMS)) for i in range(6 * N_USERS)]
    folder.mkdir(parents=True)
    lines = [f"{user}\t{item}\t{time}" for time, (user, item) in enumerate(dict.fromkeys(rows))]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / "toy.inter").write_text("\n".join([header, *lines]) + "\n")


def configuration(name: str) -> Config:
    split = {"LS": "valid_and_test"}
    return Config(
        model=name,
        dataset="toy",
        config_dict={
            **SHAPES[name],
            "data_path": "dataset",
            "checkpoint_dir": "saved",
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": split, "order": "TO", "group_by": "user", "mode": "full"},
            "MAX_ITEM_LIST_LENGTH": HISTORY_MAX,
            "use_gpu": False,
            "seed": 7,
            "train_neg_sample_args": None
            if name in SEQUENTIAL
            else {"distribution": "uniform", "sample_num": 1},
        },
    )


def histories() -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded histories, oldest first, some longer than what the model reads."""
    torch.manual_seed(3)
    lengths = torch.tensor([1, 2, 3, 5, 7, 8, 9, 12])
    items = torch.randint(1, N_ITEMS + 1, (len(lengths), LONGEST))
    return items * (torch.arange(LONGEST) < lengths[:, None]), lengths


def last_items(items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    read = torch.zeros(len(items), HISTORY_MAX, dtype=torch.long)
    for row, history, n in zip(read, items, lengths.tolist(), strict=True):
        kept = history[max(0, n - HISTORY_MAX) : n]
        row[: len(kept)] = kept
    return read, lengths.clamp(max=HISTORY_MAX)


def sequential_reference(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    items, lengths = histories()
    read, n_read = last_items(items, lengths)
    rows: dict[str, torch.Tensor] = {}
    if hasattr(model, "trm_encoder"):

        def keep(name: str):
            return lambda _module, _input, output: rows.__setitem__(name, output.contiguous())

        model.LayerNorm.register_forward_hook(keep("embed"))
        for i, layer in enumerate(model.trm_encoder.layer):
            layer.register_forward_hook(keep(f"block_{i}"))
    users = model.forward(read, n_read)
    asked = Interaction({model.ITEM_SEQ: read, model.ITEM_SEQ_LEN: n_read})
    scores = model.full_sort_predict(asked)
    return {"history_items": items, "lengths": lengths, "user_vector": users, "all": scores, **rows}


def table_reference(model: torch.nn.Module, train) -> dict[str, torch.Tensor]:
    users = torch.tensor([1, 2, 5, 9, 13, 20])
    asked = Interaction({model.USER_ID: users})
    scores = model.full_sort_predict(asked).view(len(users), -1)
    found = {"user_id": users, "all": scores}
    if hasattr(model, "norm_adj_matrix"):
        found["user_vector"] = model.restore_user_e[users]
        pairs = train.inter_feat
        found["train_pairs"] = torch.stack([pairs[model.USER_ID], pairs[model.ITEM_ID]], dim=1)
    else:
        found["user_vector"] = model.user_embedding(users)
    return found


def make(name: str, folder: Path) -> None:
    config = configuration(name)
    init_seed(config["seed"], config["reproducibility"])
    train_data, _, _ = data_preparation(config, create_dataset(config))
    model = get_model(name)(config, train_data.dataset)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    trainer = Trainer(config, model)
    trainer._train_epoch(train_data, 0, show_progress=False)
    model.eval()
    with torch.no_grad():
        if name in SEQUENTIAL:
            found = sequential_reference(model)
        else:
            found = table_reference(model, train_data.dataset)
    trainer._save_checkpoint(0, verbose=False, saved_model_file=str(folder / f"{name}.pth"))
    # Column 0 is padding.
    scores = found.pop("all")[:, 1:].contiguous()
    found["prediction"] = scores
    found["top10"] = scores.topk(10, dim=1).indices + 1
    save_file(
        {key: value.detach().contiguous() for key, value in found.items()},
        folder / f"{name}.safetensors",
    )


class Hostile:
    """In place of the settings, a call that would leave a file where it is executed."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    # RecBole reads the command line too.
    sys.argv = sys.argv[:1]
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp()
    os.chdir(work)
    write_dataset(Path("dataset/toy"))
    for name in SHAPES:
        make(name, folder)
    tables = {f"{of}_embedding.weight": torch.ones(2, 2) for of in ("user", "item")}
    hostile = {"config": Hostile(), "state_dict": tables}
    torch.save(hostile, folder / "hostile.pth", pickle_protocol=4)
    os.chdir(folder)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
