"""Trained on a world that stands still, a model comes within 2% of the oracle's log loss; marked slow, minutes."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from recbench import registry
from recbench.boards import board
from recbench.evaluate import judge
from recbench.model import Context
from recbench.split import split

GROWN = "model.learning_rate=0.05 model.leaves=15 model.leaf_questions=500 model.l2=10 trainer.threads=1 seed=1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, size",
    [
        ("ecommerce-sim-purchase", {"drift": 0.0, "n_users": 5000, "visits": 100.0}),
        ("social-sim-engagement", {"drift": 0.0, "n_users": 5000, "visits": 60.0}),
    ],
)
def test_trees_come_within_two_percent_of_the_oracle(recbench, tmp_path, name, size):
    asked = board(name)
    words = [f"data.{parameter}={value:g}" for parameter, value in size.items()]
    done = recbench(f"data={asked.data}", f"board={name}", "model=gbdt", *words, *GROWN.split(), timeout=3600)
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/entry.json"))
    cls = registry.find("data", asked.data).load()
    source = cls(cls.Params(**size))
    oracle, parts = source.world().oracle(), split(source.load(), asked)
    oracle.fit(parts.train, Context(board=asked))
    truth = judge(oracle, parts.test)
    with np.load(folder / "predictions.npz") as told:
        assert np.array_equal(told["true"], truth.true_QB)
        found, best = (
            np.mean([log_loss(y, p) for y, p in zip(truth.true_QB.T, predicted.T, strict=True)])
            for predicted in (told["predicted"], truth.predicted_QB)
        )
    scores = json.loads((folder / "entry.json").read_text())["scores"]
    assert scores["log-loss"]["value"] == pytest.approx(found, abs=1e-6)
    assert 1 <= found / best <= 1.02, f"{found:.4f} is {found / best - 1:+.1%} of the oracle's {best:.4f}"
