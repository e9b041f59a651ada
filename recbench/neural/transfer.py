"""Weights that a network takes from a finished run before it is trained, and the item ids by which rows are matched.

Letters: I items.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recbench.errors import RecbenchError, one_line
from recbench.neural.choices import TrainParams
from recbench.neural.network import Network

ITEM_IDS = "item_ids.json.gz"
OF_ITEMS = ("items.weight", "item_bias")  # weights with a row for each item
SHOWN = 4  # names in a line


def write_ids(folder: Path, item_ids: Any) -> None:
    """The ids as text, in the order of the rows; equal ids give equal bytes."""
    text = json.dumps(list(map(str, item_ids)), ensure_ascii=False)
    (folder / ITEM_IDS).write_bytes(gzip.compress(text.encode(), mtime=0))


def read_ids(folder: Path) -> list[str]:
    """What `write_ids` left."""
    return json.loads(gzip.decompress((folder / ITEM_IDS).read_bytes()))


def begin_with(folder: Path, selected: bool, network: Network, item_ids: Any, params: TrainParams) -> None:
    """Give the network the weights of the run in `folder`, and say in one line what it took.

    `selected`: the weights that selection chose, which have learned from the run's training part alone; else those of
    the finished model. Items are matched by id as `init_items` has it, other weights by name and shape; what finds no match
    begins as it is.
    RecbenchError where the run has no weights, its items have another width, or nothing matches.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    run, path = folder.name, folder / ("select/best.safetensors" if selected else "model/weights.safetensors")
    try:
        given, ids = load_file(path), read_ids(folder / "model")
    except (OSError, ValueError, EOFError, SafetensorError) as error:
        raise RecbenchError(
            f"init_from={run}: that run left no trained network ({one_line(error)}); name the run of one that trains"
        ) from error
    from_I = matched(list(map(str, item_ids)), ids, params.init_items)
    took = take(network, given, from_I, f"init_from={run}")
    anew = [name for name, _ in network.named_parameters() if name not in took]
    left = [name for name in given if name not in took]
    n_known = int((from_I >= 0).sum())
    parts = [f"{len(took)} weights taken, {n_known} of {len(from_I)} items known"]
    parts += [f"{word}: {shown(names)}" for word, names in (("begin anew", anew), ("not taken", left)) if names]
    told = json.loads((folder / "model" / "params.json").read_text())
    if others := unlike(params, told):
        parts.append(f"that run had {' '.join(others)}")
    print(f"recbench: init_from={run}: {'; '.join(parts)}", file=sys.stderr, flush=True)


def unlike(params: TrainParams, told: Mapping[str, Any]) -> list[str]:
    """What another model's stored parameters say of the network, not of its training, and these do not: weights of one
    shape may have been made for another way of reading."""
    of_training = {f.name for f in dataclasses.fields(TrainParams)}
    found = []
    for f in dataclasses.fields(params):
        now = getattr(params, f.name)
        then = told.get(f.name, f.metadata.get("formerly", now))
        if f.name not in of_training and then != now:
            found.append(f"{f.name}={then}")
    return found


def matched(ids: Sequence[str], given: Sequence[str], items: str) -> Tensor:
    """(I,) the row of each id among the given ones, -1 where it has none or is not to be matched."""
    numbers = all(name.isdecimal() for name in (*ids, *given))
    if items == "never" or (items == "auto" and numbers and ids != given):
        return torch.full((len(ids),), -1)
    row_of = {name: row for row, name in enumerate(given)}
    return torch.tensor([row_of.get(name, -1) for name in ids])


def take(network: Network, given: Mapping[str, Tensor], from_I: Tensor, owner: str) -> list[str]:
    """Copy what matches and return its names; `from_I`: the row of each item among the given ones, -1 where it has none."""
    took, known_I = [], from_I >= 0
    for name, weight in network.named_parameters():
        new = given.get(name)
        if new is None:
            continue
        if name in OF_ITEMS:
            if new.shape[1:] != weight.shape[1:]:
                raise RecbenchError(
                    f"{owner} has items of width {new.shape[-1]}, this model {weight.shape[-1]}; choose the same width"
                )
            if not known_I.any():
                continue
            weight.data[known_I] = new[from_I[known_I]].to(weight.dtype)
        elif new.shape == weight.shape:
            weight.data.copy_(new)
        else:
            continue
        took.append(name)
    if not took:
        raise RecbenchError(
            f"{owner} has nothing that fits: no item of the same id, no weight of the same name and shape; "
            "begin with a run of a like model or of like data"
        )
    return took


def shown(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
