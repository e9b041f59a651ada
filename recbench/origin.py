"""The run that another one begins with: named by its key in every result, refused where it has seen what is held out.

A run that begins with weights knows all that they have learned. So no run that was fitted or selected on an event of a
board's test may answer that board, and none that was fitted on an event of its validation may be selected on it. Of one
data plugin this is checked event by event, whatever its parameters and the two boards are; of others it cannot be, for
their ids and clocks may mean other things, and the entry's `init_from` says where the weights come from.

Letters: E events of the data, F events of the past run's data.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.dataset import Dataset
from recbench.entry import run_folder
from recbench.errors import RecbenchError, one_line
from recbench.parts import TEST, TRAIN, UNUSED, VALID, parts_of
from recbench.plan import Board, Plan
from recbench.prepared import load as load_prepared

START = "init_from"
MEMBER = re.compile(r"(?:(?<=[+@:])|^)(?:run|init_from):([^+@]+)")  # in the words that name the members of a model


def keyed(plan: Plan, runs: Path) -> Plan:
    """The plan with the runs it begins with named by their keys; one that lies elsewhere is linked into `runs`.

    No path becomes part of a result, and the key finds the run from then on. RecbenchError where there is no such run.
    """
    keys = {run: _linked(run, runs) for run in starts(plan.model_params)}
    if not keys:
        return plan
    params: dict[str, Any] = {}
    for name, value in plan.model_params.items():
        if name == START:
            value = keys.get(value, value)
        elif isinstance(value, str):
            value = MEMBER.sub(lambda found: found[0].removesuffix(found[1]) + keys[found[1]], value)
        params[name] = value
    return dataclasses.replace(plan, model_params=params)


def starts(params: dict[str, Any]) -> list[str]:
    """The finished runs that a model of these parameters begins with: `init_from`, and members such as run:KEY."""
    texts = [value for name, value in params.items() if name != START and isinstance(value, str)]
    named = [params[START]] if params.get(START) else []
    return named + [run for text in texts for run in MEMBER.findall(text)]


def _linked(run: str, runs: Path) -> str:
    """The key of a finished run, under which it is found in `runs` from now on."""
    folder = run_folder(run, runs)
    key = _read(folder, "entry.json")["key"]
    if not (runs / key).exists():
        runs.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process has just done it
            os.symlink(folder.resolve(), runs / key)
    return key


def refuse_seen(plan: Plan, dataset: Dataset, folder: Path, selected: bool, choosing: bool) -> None:
    """RecbenchError where the run in `folder`, or one that it began with, has seen what the plan's board holds out.

    `selected`: of that run only what its selection chose is used, which has learned from its training part alone.
    `choosing`: what begins is itself to be selected on validation; else it has been, and meets the test.
    """
    past, entry = _read(folder, "plan.json"), _read(folder, "entry.json")
    for start in starts(past["model_params"]):
        refuse_seen(plan, dataset, run_folder(start, folder.resolve().parent), selected, choosing)
    if past["data"] != plan.data:
        return
    fields: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in past["board"].items()}
    board, other = Board(**fields), dataset
    if _content(past["data_params"]) != _content(plan.data_params):
        source = registry.find("data", plan.data).load()
        known = {f.name for f in dataclasses.fields(source.Params)}
        given = {name: value for name, value in past["data_params"].items() if name in known}
        other = load_prepared(source(source.Params.of(given)))
    if entry["data_checksum"] != other.checksum:
        raise RecbenchError(
            f"run {entry['key']} has learned from another version of data={plan.data}: what it has seen of this board "
            "cannot be told; run its command again on the data as they are now"
        )
    part_E, past_E = parts_of(dataset, plan.board, 0), parts_of(other, board, 0)
    if other is not dataset:
        past_E = found_again(dataset, other, past_E)
    upto = TRAIN if selected or board.fit_on == "train" else VALID
    for name, held, seen in (("test", TEST, VALID), ("validation", VALID, upto)):
        n = int(np.sum((part_E == held) & (past_E <= seen)))
        if n and (held == TEST or choosing):
            raise RecbenchError(
                f"run {entry['key']} of board {board.name} has learned from {n} events that board {plan.board.name} "
                f"holds out for {name}; begin with a run whose board leaves them out, or one of other data"
            )


def found_again(dataset: Dataset, other: Dataset, part_F: NDArray) -> NDArray:
    """(E,) int8 the part that each event has in the other data, the earliest of several, `UNUSED` where it is not there.

    It is the same event where user id, item id and moment are; without a clock on both sides the moment has no say.
    """
    mine, past = dataset.interactions, other.interactions
    user_F = _rows_of(other.user_ids, dataset.user_ids)[past.user]
    item_F = _rows_of(other.item_ids, dataset.item_ids)[past.item]
    known_F = (user_F >= 0) & (item_F >= 0)
    pair = np.r_[mine.user * np.int64(mine.n_items) + mine.item, (user_F * mine.n_items + item_F)[known_F]]
    time = np.r_[mine.time, past.time[known_F]]
    if {"order", "none"} & {dataset.info.clock, other.info.clock}:
        time[:] = 0
    order = np.lexsort((time, pair))
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(pair[order]) != 0) | (np.diff(time[order]) != 0)
    event = np.empty(len(order), np.int64)
    event[order] = np.cumsum(begins) - 1
    part = np.full(len(order), UNUSED, np.int8)
    np.minimum.at(part, event[len(mine) :], part_F[known_F])
    return part[event[: len(mine)]]


def _rows_of(ids: NDArray, among: NDArray) -> NDArray:
    """The row of each id in the other array, -1 where it is not there."""
    row_of = {str(name): row for row, name in enumerate(among)}
    return np.array([row_of.get(str(name), -1) for name in ids], np.int64)


def _content(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that decide what the data are; where they lie does not."""
    return {name: value for name, value in params.items() if name != "root"}


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((folder / name).read_text())
    except (OSError, ValueError) as error:
        raise RecbenchError(f"{folder / name} cannot be read ({one_line(error)}); run its command again") from error
