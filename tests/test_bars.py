"""Levels that trained models must reach on real data; minutes, run by `make bars`."""

import json
import subprocess
import sys

import numpy as np
import pytest

from recbench.stats import paired_interval


@pytest.mark.slow
def test_the_transformer_beats_popularity_on_new_products_beyond_the_interval(tmp_path):
    for words in (("model=transformer", "model.epochs=2"), ("model=popular",)):  # it is best after one epoch or two
        command = [sys.executable, "-m", "recbench", *words, "data=ecommerce"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    values = {}
    for path in tmp_path.glob("runs/*/entry.json"):
        with np.load(path.parent / "per_query.npz") as arrays:
            values[json.loads(path.read_text())["model"]] = arrays["ndcg@10"]
    low, high = paired_interval(values["transformer"], values["popular"])
    assert 0 < low < high
