"""Ratings out of questionnaires, wide or long; what somebody did not answer is missing, never zero."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError, nearest
from recbench.ingest import Quarantine, clean
from recbench.params import param
from recbench.protocols import random_pairs
from recbench_collect.answers import steps_of, value_of
from recbench_collect.lines import LineParams, Row, blocks_of, dataset_of, files_of, lines_of, quarantine_of

_Answers = tuple[
    str, int, str, str, list[tuple[str, str]], list[str]
]  # file, line, text, person, (item, answer), remarks


@dataclass(frozen=True)
class SurveyParams(LineParams):
    """How the answers lie in the table."""

    layout: str = param("wide", "A row a person and a column an item, or a row an answer.", choices=("wide", "long"))
    respondent: str = param("respondent", "Column of the person.")
    item: str = param("item", "Column of the item, in the long layout.")
    answer: str = param("answer", "Column of the answer, in the long layout.")
    scale: str = param("", "Words of the answers: a named scale, or from the lowest to the highest as no|maybe|yes.")
    remarks: str = param("", "Columns of free answers, divided by commas: they become text of the user.")
    ignore: str = param("", "Columns that are neither, divided by commas.")
    delimiter: str = param(",", "What divides the columns.")


class Survey(DatasetSource):
    """Explicit ratings from a questionnaire: Likert words, stars or numbers."""

    Params = SurveyParams
    info = DatasetInfo(
        "survey",
        "social",
        "none",
        "the survey's own data",
        "the table of answers at data.path",
        notes="A questionnaire has no order of its own: pairs are held out by lot.",
    )
    boards = (random_pairs("survey", "survey"),)

    def paths(self):
        """The files of `data.path`."""
        return files_of(self)

    def load(self) -> Dataset:
        """Read every answer; RecbenchError where a column, the scale or too many answers are wrong."""
        steps, p = steps_of(self.params.scale), self.params
        digest, quarantine = hashlib.sha256(), quarantine_of(self)
        dropped: Counter[str] = Counter()
        rows: list[Row] = []
        remarks: dict[str, list[str]] = {}
        read = self._wide if p.layout == "wide" else self._long
        for file, number, text, user, answers, said in read(digest, quarantine):
            remarks.setdefault(user, []).extend(said)
            for item, answer in answers:
                try:
                    value = value_of(answer, steps)
                except ValueError as error:
                    quarantine.seen(1)
                    quarantine.add(file, number, f"{item}: {error}", text)
                    continue
                if value is None:
                    dropped["not answered"] += 1
                else:
                    rows.append(
                        Row(file, number, text, {"user": user, "item": item, "value": value, "behavior": "rate"})
                    )
        if not rows:
            hint = "" if p.scale else "; name the words of the answers with data.scale="
            raise RecbenchError(f"data=survey: {p.path} holds no answer that is a rating{hint}")
        quarantine.seen(dropped.total())
        cleaned = replace(clean(blocks_of(rows), p, quarantine), clock="none")
        users = _users(cleaned.user_ids, remarks)
        return dataset_of(self, cleaned, dropped, digest.hexdigest(), users=users)

    def _wide(self, digest: Any, quarantine: Quarantine) -> Iterator[_Answers]:
        """Of each row all questions; what is neither the person, a remark nor ignored is an item."""
        p = self.params
        for file, number, text, cells in _records(files_of(self), p.delimiter, digest, quarantine):
            said = [cells.pop(name, "") for name in self._found(_named(p.remarks), cells)]
            for name in self._found(_named(p.ignore), cells):
                cells.pop(name, None)
            (column,) = self._found([p.respondent], cells)
            if user := cells.pop(column).strip():
                yield file, number, text, user, list(cells.items()), said
            else:
                quarantine.seen(1)
                quarantine.add(file, number, "no respondent", text)

    def _long(self, digest: Any, quarantine: Quarantine) -> Iterator[_Answers]:
        """Of each row the one answer; the same person may remark in several rows."""
        p = self.params
        for file, number, text, cells in _records(files_of(self), p.delimiter, digest, quarantine):
            said = [cells[name] for name in self._found(_named(p.remarks), cells)]
            user, item, answer = (cells[name].strip() for name in self._found([p.respondent, p.item, p.answer], cells))
            if user and item:
                yield file, number, text, user, [(item, answer)], said
            else:
                quarantine.seen(1)
                quarantine.add(file, number, f"no {'item' if user else 'respondent'}", text)

    def _found(self, wanted: list[str], cells: dict[str, str]) -> list[str]:
        for name in wanted:
            if name not in cells:
                raise RecbenchError(
                    f"data=survey: {self.params.path} has no column {name!r}{nearest(name, cells) or '.'} It has: {', '.join(cells)}"
                )
        return wanted


def _records(
    paths: list[Path], delimiter: str, digest: Any, quarantine: Quarantine
) -> Iterator[tuple[str, int, str, dict[str, str]]]:
    """File, line, text and the cells by column of every row; a cell in quotes may hold line breaks."""
    if len(delimiter) != 1:
        raise RecbenchError(f"data.delimiter={delimiter}: write one character")
    for path in paths:
        lines = [(number, text) for _, number, text in lines_of([path], digest)]
        reader = csv.reader((text + "\n" for _, text in lines), delimiter=delimiter, strict=True)
        header: list[str] = []
        while reader.line_num < len(lines):
            start = reader.line_num
            try:
                cells = next(reader)
            except csv.Error:
                cells = []
            number, raw = lines[start][0], "\n".join(text for _, text in lines[start : reader.line_num])
            if not header:
                header = [name.strip() for name in cells]
                if len(set(header)) < max(2, len(header)):
                    raise RecbenchError(
                        f"{path}: line {number} is no header of distinct columns divided by {delimiter!r}: {raw[:60]!r}"
                    )
            elif len(cells) == len(header):
                yield path.name, number, raw, dict(zip(header, cells, strict=True))
            else:
                quarantine.seen(1)
                quarantine.add(path.name, number, "wrong number of cells", raw)


def _named(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",") if name.strip()]


def _users(user_ids: np.ndarray, remarks: dict[str, list[str]]):
    """(U,) the table of what each person wrote, None where nobody wrote anything."""
    import pandas as pd

    said = [" ".join(" ".join(remarks.get(str(user), [])).split()) for user in user_ids.tolist()]
    return pd.DataFrame({"text": said}) if any(said) else None
