"""What a run stores of its answers, so that intervals and new metrics need no retraining.

Letters: Q queries, K list length, B behaviours asked about.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.entry import write_atomically
from recbench.evaluate import Answers, Score
from recbench.holdout import Holdout
from recbench.metric import Probabilities, RankedLists, Ratings


def store(folder: Path, answers: Answers, scores: list[Score], holdout: Holdout) -> dict[str, str]:
    """Write the answers and the values behind each score into the run's folder; file name -> SHA-256 of its content."""
    asked = {"user": holdout.queries.user, "time": holdout.queries.time}
    if not isinstance(answers, RankedLists):
        files = {"predictions.npz": asked | _predictions(answers, holdout)}
    else:
        files = {"lists.npz": _lists(answers, holdout) | asked}
    files["per_query.npz"] = {s.label: s.per_query for s in scores}
    return {name: _write(folder / name, arrays) for name, arrays in files.items()}


def _predictions(answers: Ratings | Probabilities, holdout: Holdout) -> dict[str, NDArray]:
    item = {"item": holdout.truth.values[holdout.truth.start]}
    if isinstance(answers, Ratings):
        return item | {"predicted": answers.predicted_Q, "true": answers.true_Q}
    asked = {"behaviors": np.array(answers.behaviors), "threshold": answers.threshold_B, "rate": answers.rate_Q}
    return item | asked | {"predicted": answers.predicted_QB, "true": answers.true_QB}


def _lists(answers: RankedLists, holdout: Holdout) -> dict[str, NDArray]:
    row, item = holdout.truth.flat()
    names = ("items_QK", "scores_QK", "start_QK", "size_QK", "relevant_QK")
    lists = {name.removesuffix("_QK"): getattr(answers, name) for name in names}
    lists |= {"truth_row": row, "truth_item": item}
    if holdout.truth_behaviors is not None and answers.behaviors_QK is not None:
        lists |= {"behaviors": answers.behaviors_QK, "truth_behavior": holdout.truth_behaviors.flat()[1]}
    return lists


def _write(path: Path, arrays: dict[str, NDArray]) -> str:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())
    digest = hashlib.sha256()
    for key in sorted(arrays):  # of the content, not of the zip: its headers hold the hour
        digest.update(key.encode() + np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()
