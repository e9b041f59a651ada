"""The Transformer where it is asked whether a user will do it: what each question knows, what is learned, what is refused.

Letters: Q questions, E events, T behaviours asked about.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench.asked import statistics_in_training
from recbench.config import space_of
from recbench.data import Interactions, Queries
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.plan import Board
from recbench.questions import training_questions

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential import behavior_network  # noqa: E402
from recbench_sequential.lessons import Lessons, asked_in_batches  # noqa: E402
from recbench_sequential.transformer import Transformer, TransformerParams  # noqa: E402

INFO = DatasetInfo("clusters", "toy", "seconds", "none", "here")
ASKING = {"task": "behavior", "behaviors": ("like",), "repeat": "any", "candidates": "all"}
WINDOWS = {"test_window_days": 6, "valid_window_days": 6}
EXPOSED = {"ask": "each_event", "exposures": ("view",), "horizon_days": 0.01}
BOARD = Board("clusters", "clusters", ("auc",), "auc", **ASKING, **WINDOWS, **EXPOSED)
OPENS = Board("opens", "clusters", ("auc",), "auc", **ASKING, **WINDOWS, negatives="uniform", n_negatives=2)
N_ITEMS, SMALL = 40, Transformer.small | {"epochs": 2, "averaging": 0.9}
SHAPE = TransformerParams(**SMALL)


def clusters(n_users: int = 40, n_views: int = 14, n_items: int = N_ITEMS) -> Dataset:
    """A user likes what it views where it is of the cluster of what it viewed before; there are four, and views are half a
    day apart."""
    rng = np.random.default_rng(5)
    shape = (n_users, n_views)
    item, user = rng.integers(n_items, size=shape), np.repeat(np.arange(n_users), n_views).reshape(shape)
    item[:, 1:] = np.where(
        rng.random((n_users, n_views - 1)) < 0.3, item[:, :-1] % 4 + 4 * (item[:, 1:] // 4), item[:, 1:]
    )
    time = 1_600_000_000 + 43_200 * np.arange(n_views) + 60 * user
    liked = np.zeros(shape, bool)
    liked[:, 1:] = item[:, 1:] % 4 == item[:, :-1] % 4
    columns = [np.r_[column.ravel(), column[liked]] for column in (user, item)]
    behavior = np.r_[np.zeros(user.size, int), np.ones(int(liked.sum()), int)]
    sizes = {"n_users": n_users, "n_items": n_items, "behaviors": ("view", "like")}
    log = Interactions.sorted(*columns, np.r_[time.ravel(), time[liked] + 60], behavior=behavior, **sizes)
    return Dataset(INFO, log, np.arange(n_users), np.arange(n_items))


DATA = clusters()
ASKED = training_questions(DATA, BOARD)


def fit(data: Dataset = DATA, board: Board | None = BOARD, **params: object) -> Transformer:
    model = Transformer(TransformerParams(**SMALL | params))  # type: ignore[arg-type]
    model.fit(data, Context(seed=1, board=board, repeat="any"))
    return model


@pytest.fixture(scope="module")
def model() -> Transformer:
    return fit(max_length=5)


def lessons(max_length: int, next_item: bool = True, board: Board = BOARD) -> Lessons:
    asked = training_questions(DATA, board)
    return Lessons(DATA.interactions, asked, max_length, next_item, False, None, ("behaviors",))


@pytest.mark.parametrize("board", [BOARD, OPENS])
@pytest.mark.parametrize("max_length", [1, 4, 9, 100])
def test_a_question_knows_the_newest_events_before_it(max_length: int, board: Board) -> None:
    """At the position where it is put, what was read are the last events of its history, a quarter of the length at least."""
    made, asked = lessons(max_length, board=board), training_questions(DATA, board)
    lesson = made[np.arange(len(made))]
    which = made.questions.take(np.arange(len(made))).flat()[1]
    assert sorted(which) == list(range(len(asked.queries))) and lesson.outcome_QT is not None
    for window, place, item, outcome, q in zip(*lesson[1:4], lesson.outcome_QT, which, strict=True):
        history = asked.queries.items[q]
        assert place >= min(len(history), max_length // 4)
        assert lesson.windows.items_BL[window, 1 : place + 1].tolist() == history[len(history) - int(place) :].tolist()
        assert item == asked.queries.item[q] and outcome.tolist() == asked.outcomes[q].tolist()


def test_windows_that_overlap_count_each_event_once() -> None:
    """Of what comes next, every event is learned in one window; without that, windows that nothing is asked of are left out."""
    made = lessons(9)
    assert int(made[np.arange(len(made))].windows.mask_BL.sum()) == len(DATA.interactions)
    few = lessons(9, next_item=False, board=OPENS)
    assert few.questions.lengths.min() > 0 and 0 < len(few) < len(lessons(9, board=OPENS))
    loss, n = fit(epochs=1).net.loss(made[np.arange(0)], SHAPE, None)
    assert loss.item() == 0 and n == 0, "an empty share of a batch has no loss"


@pytest.mark.parametrize(("block", "statistics"), [("sasrec", False), ("sasrec", True), ("hstu", False)])
def test_training_and_answers_are_one_function(block: str, statistics: bool) -> None:
    """Where a window holds whole histories, a question has the logit in training that it has when it is asked."""
    net = fit(max_length=60, block=block, epochs=1, statistics=statistics).net.eval()
    told_QK = statistics_in_training(DATA, BOARD, ASKED)[2] if statistics else None
    made = Lessons(DATA.interactions, ASKED, 60, True, False, None, net.reads, told_QK)
    lesson, found_QT = made[np.arange(len(made))], torch.empty(len(ASKED.queries), 1)
    with torch.no_grad():
        for rows, asked in asked_in_batches(ASKED.queries, 60, net.reads, 200, told_QK):
            found_QT[torch.from_numpy(rows)] = net.answers(asked)
        states_QD = net.encode(lesson.windows)[lesson.window_Q, lesson.place_Q]
        taught_QT = net.logits(states_QD, lesson)
    torch.testing.assert_close(taught_QT, found_QT[made.questions.flat()[1]], rtol=1e-4, atol=1e-5)


def test_a_batch_answers_as_its_questions_do_alone(model: Transformer) -> None:
    """Histories of any length, empty ones among them, and those that many ask about at one moment."""
    for board in (BOARD, OPENS):
        queries = training_questions(DATA, board).queries.take(np.arange(0, 60))
        assert board is OPENS or (queries.items.lengths == 0).any()
        together = model.predict(queries)
        assert together.dtype == np.float64 and together.shape == (60, 1)
        alone = np.concatenate([model.predict(queries.take(np.array([q]))) for q in range(60)])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-7)
    assert model.predict(queries.take(np.arange(0))).shape == (0, 1)


def test_one_fit_answers_both_and_is_saved(model: Transformer, tmp_path: Path) -> None:
    queries = ASKED.queries.take(np.arange(9))
    model.save(tmp_path / "model")
    again = Transformer.load(tmp_path / "model")
    assert np.array_equal(again.predict(queries), model.predict(queries))
    assert np.array_equal(again.score(queries), model.score(queries)) and model.score(queries).shape == (9, N_ITEMS)
    assert np.array_equal(fit(max_length=5).predict(queries), model.predict(queries))


def test_statistics_are_those_of_what_is_known(tmp_path: Path) -> None:
    """They are made of the training part by rules found there, count for the answer, and are saved with the model."""
    told, queries = fit(statistics=True), ASKED.queries.take(np.arange(30))
    assert told.known is not None and told.rules is not None and told.statistics_QK is None
    by_hand_QK, found_QT = told.rules(told.known.features(queries)).values, np.empty((30, 1))
    with told.answering():
        for rows, lesson in asked_in_batches(queries, told.params.max_length, told.net.reads, 100, by_hand_QK):
            found_QT[rows] = torch.sigmoid(told.net.answers(lesson).double()).numpy()
    np.testing.assert_allclose(told.predict(queries), found_QT, rtol=1e-5, atol=1e-7)
    told.save(tmp_path / "model")
    again = Transformer.load(tmp_path / "model")
    assert np.array_equal(again.predict(queries), told.predict(queries))
    again.rules = replace(again.rules, mean=again.rules.mean + 1.0)
    assert np.abs(again.predict(queries) - told.predict(queries)).max() > 1e-3
    told.fit(DATA, Context(seed=1, repeat="any"))
    assert told.known is None and told.rules is None, "of a ranking board it keeps no statistics"
    told.save(tmp_path / "model")
    ranks = Transformer.load(tmp_path / "model")
    assert ranks.known is None and np.array_equal(ranks.score(queries), told.score(queries))


def test_without_weight_there_is_no_next_item_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would have made of targets changes no bit, it is not computed, and no list can be had."""
    queries = ASKED.queries.take(np.arange(9))
    plain = fit(next_item_weight=0.0)
    monkeypatch.setattr(behavior_network, "loss_of", None)
    other = fit(next_item_weight=0.0, targets="new", temperature=2.0)
    assert np.array_equal(plain.predict(queries), other.predict(queries))
    with pytest.raises(RecbenchError, match=r"transformer has learned behaviours alone .* next_item_weight above 0"):
        plain.score(queries)


def test_answers_begin_at_the_rates() -> None:
    found_QT = fit(epochs=1, learning_rate=1e-5, averaging=0.0).predict(ASKED.queries)
    assert np.abs(found_QT - ASKED.outcomes.mean()).max() < 0.08


def test_items_met_once_are_one() -> None:
    """Items with fewer than two training events are answered alike, by the vector that forgetting taught."""
    log = clusters(n_items=200).interactions
    model = fit(Dataset(INFO, log, np.arange(40), np.arange(200)), id_dropout=0.5)
    assert model.net.unknown.abs().max() > 0
    cold = np.flatnonzero(np.bincount(log.item, minlength=200) < 2)[:2].astype(np.int32)
    known = np.flatnonzero(np.bincount(log.item, minlength=200) > 3)[:2].astype(np.int32)
    one = training_questions(DATA, BOARD).queries.take(np.array([30, 30]))

    def told(item: np.ndarray) -> np.ndarray:
        return model.predict(replace(one, item=item, candidates=np.ones(200, bool)))[:, 0]

    assert told(cold)[0] == told(cold)[1] and told(known)[0] != told(known)[1]


def likely(model: Transformer, queries: Queries, liked: np.ndarray) -> float:
    """How often a question that is answered by a like has the higher probability."""
    p = model.predict(queries)[:, 0]
    return float(np.mean((p[liked][:, None] > p[~liked]) + 0.5 * (p[liked][:, None] == p[~liked])))


def test_the_cluster_just_seen_decides() -> None:
    """For users never met, from the history alone."""
    data = clusters(n_users=160)
    new = data.interactions.user >= 110
    train, rest = (replace(data, interactions=data.interactions.where(part)) for part in (~new, new))
    asked = training_questions(rest, BOARD)
    model = fit(train, epochs=12, learning_rate=5e-3, dropout=0.1)
    assert likely(model, asked.queries, asked.outcomes[:, 0]) > 0.8


def test_rankings_are_as_they_were() -> None:
    """A ranking board meets no parameter, weight or number that it did not meet before there were behaviours."""
    space = {"dim", "blocks", "dropout", "vector_dropout", "learning_rate"}
    assert set(space_of("transformer", [], "bayes", "ranking")) == set(space_of("transformer", [], "bayes")) == space
    assert set(space_of("transformer", [], "bayes", "behavior")) == space | {
        "next_item_weight",
        "id_dropout",
        "statistics",
    }
    assert not {"next_item_weight", "id_dropout", "categories", "statistics"} & set(TransformerParams().as_dict())
    ranked = fit(board=None, id_dropout=0.0)
    assert not any(name.startswith(("head", "found", "unknown", "known_I")) for name in ranked.net.state_dict())
    queries = ASKED.queries.take(np.arange(5))
    assert np.array_equal(ranked.score(queries), fit(board=replace(BOARD, **RANKS)).score(queries))
    np.testing.assert_allclose(ranked.score(queries)[:, 0], GOLDEN, atol=1e-4)


RANKS = {"task": "ranking", "exposures": (), "horizon_days": 0.0, "metrics": ("ndcg@10",), "headline": "ndcg@10"}
GOLDEN = [0.263095, -0.462046, 0.263095, -0.0508, 0.263095]


def test_what_cannot_be_is_told() -> None:
    lot = replace(OPENS, name="lot", split="random_pairs", negatives="none", n_negatives=0, exposures=("view",))
    with pytest.raises(
        RecbenchError, match="Transformer reads histories in their order, and board lot, which holds out pairs"
    ):
        fit(board=lot)
    with pytest.raises(
        RecbenchError, match=r"crop=0.5, ssl=cl4srec would move the windows to which board clusters puts"
    ):
        fit(crop=0.5, ssl="cl4srec")
    with pytest.raises(RecbenchError, match="time_bias=always cannot be on board opens"):
        fit(board=OPENS, time_bias="always")
    with pytest.raises(RecbenchError, match="holds no question of board clusters"):
        fit(board=replace(BOARD, horizon_days=1000.0))
    with pytest.raises(RecbenchError, match="knows no probabilities: fit it on a board of the task behavior"):
        fit(board=None, epochs=1).predict(ASKED.queries)
