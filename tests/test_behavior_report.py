"""What a run reports about behaviours, against scikit-learn on the answers that the run has stored: read from the files of
the run, by nothing that computed them."""

import json

import numpy as np
import pytest
from sklearn import metrics

DECIDED = {
    "accuracy": metrics.accuracy_score,
    "precision": lambda true, said: metrics.precision_score(true, said, zero_division=0),
    "recall": lambda true, said: metrics.recall_score(true, said, zero_division=0),
    "f1": lambda true, said: metrics.f1_score(true, said, zero_division=0),
}
SAID = {
    "auc": metrics.roc_auc_score,
    "pr-auc": metrics.average_precision_score,
    "log-loss": metrics.log_loss,
    "brier": metrics.brier_score_loss,
}
WORLD = ("data.n_users=250", "data.n_items=60", "data.visits=15")


@pytest.mark.parametrize(
    "board, words",
    [
        ("social-sim-engagement", ("model=logistic-regression", "calibration=isotonic")),
        ("ecommerce-sim-purchase", ("model=fm", "model.epochs=2", "calibration=none")),
    ],
)
def test_the_report_says_what_scikit_learn_says_of_the_stored_answers(quickly, tmp_path, board, words):
    done = quickly(f"data={board.rsplit('-', 1)[0]}", f"board={board}", *words, *WORLD)
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/entry.json"))
    scores = json.loads((folder / "entry.json").read_text())["scores"]
    assert sorted(path.name for path in folder.glob("*.png")) == ["reliability.png", "thresholds.png"]
    with np.load(folder / "predictions.npz", allow_pickle=False) as stored:
        behaviors, predicted_QB, true_QB = stored["behaviors"].tolist(), stored["predicted"], stored["true"] > 0
        said_QB = predicted_QB >= stored["threshold"]
    assert len(behaviors) > 1 and 0 < said_QB.sum() < said_QB.size and len(predicted_QB) > 300
    for name, by_hand in (DECIDED | SAID).items():
        told_QB = said_QB if name in DECIDED else predicted_QB
        expected = [by_hand(true_QB[:, b], told_QB[:, b]) for b in range(len(behaviors))]
        for behavior, value in zip(behaviors, expected, strict=True):
            assert scores[f"{name}@{behavior}"]["value"] == pytest.approx(value, abs=1e-9), (name, behavior)
        assert scores[name]["value"] == pytest.approx(np.mean(expected), abs=1e-9), name
    commoner = [max(true.mean(), 1 - true.mean()) for true in true_QB.T]
    assert scores["majority-accuracy"]["value"] == pytest.approx(np.mean(commoner), abs=1e-9)
