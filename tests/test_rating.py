"""The task rating: questions, answers, errors by hand, the direction of better, and a run from end to end."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from rating_mutants import Level

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.entry import Entry
from recbench.errors import RecbenchError
from recbench.evaluate import measure, rate
from recbench.leaderboard import ranks, rows
from recbench.metric import Ratings, metric
from recbench.model import Context
from recbench.plan import Board
from recbench.split import split
from recbench.testing.worlds import ratings

BOARD = Board("stars", "stars", ("rmse", "mae", "ndcg@2"), "rmse", task="rating", split="given", candidates="all")


@pytest.mark.parametrize("name", ["rmse", "mae", "ndcg"])
def test_metrics_keep_their_contract(name):
    from recbench.testing.kit import run_checks

    assert [wrong for wrong in run_checks(type(made(name))) if wrong[1]] == []


def made(name):
    return metric(f"{name}@2" if name == "ndcg" else name, "rating")


def dataset(rows, part, clock="seconds"):
    """rows: user, item, time, stars."""
    user, item, time, stars = np.array(rows).T
    log = Interactions.sorted(user, item, time, n_users=3, n_items=5, value=stars.astype(np.float32))
    info = DatasetInfo("stars", "toy", clock, "none", "here")
    order = np.argsort(time, kind="stable")
    return Dataset(info, log, np.arange(3), np.arange(5), part=np.array(part, np.int8)[order])


DATA = dataset(
    [(0, 0, 10, 5), (0, 1, 20, 3), (1, 0, 30, 4), (0, 2, 40, 2), (1, 2, 50, 1), (0, 3, 60, 4), (0, 4, 60, 1), (1, 4, 70, 2)],
    [0, 0, 0, 1, 1, 2, 2, 2],
)  # fmt: skip


def asked(holdout):
    """user, item, value and history of each question."""
    queries = holdout.queries
    rows = zip(queries.user, queries.item, holdout.values, queries.items.start, queries.items.stop, strict=True)
    return sorted((int(u), int(i), float(v), queries.items.values[a:b].tolist()) for u, i, v, a, b in rows)


def test_every_target_is_a_question_with_the_earlier_parts_as_history():
    parts = split(DATA, BOARD)
    assert asked(parts.valid) == [(0, 2, 2.0, [0, 1]), (1, 2, 1.0, [0])]
    assert asked(parts.test) == [(0, 3, 4.0, [0, 1, 2]), (0, 4, 1.0, [0, 1, 2]), (1, 4, 2.0, [0, 2])]
    assert parts.test.truth.flat()[1].tolist() == parts.test.queries.item.tolist()


def test_asked_at_each_event_the_history_ends_before_it():
    board = replace(
        BOARD, split="global_time", test_window_days=21 / 86400, valid_window_days=20 / 86400, ask="each_event"
    )
    parts = split(DATA, board)
    assert asked(parts.test) == [(0, 3, 4.0, [0, 1, 2]), (0, 4, 1.0, [0, 1, 2]), (1, 2, 1.0, [0]), (1, 4, 2.0, [0, 2])]
    last = split(DATA, replace(board, ask="last"))
    assert asked(last.test) == [(0, 3, 4.0, [0, 1, 2]), (0, 4, 1.0, [0, 1, 2]), (1, 4, 2.0, [0, 2])]


def test_a_rating_met_before_is_asked_again_only_where_repeats_are():
    again = dataset(
        [(0, 0, 10, 5), (1, 1, 20, 3), (0, 0, 30, 2), (0, 1, 35, 2), (0, 1, 40, 4), (0, 0, 50, 1)], [0, 0, 1, 1, 2, 2]
    )
    assert asked(split(again, replace(BOARD, repeat="any")).test) == [(0, 0, 1.0, [0, 0, 1]), (0, 1, 4.0, [0, 0, 1])]
    with pytest.raises(RecbenchError, match="the test holdout is empty"):
        split(again, BOARD)


def test_errors_by_hand():
    answers = Ratings(np.array([4.0, 2.0, 1.0]), np.array([5.0, 2.0, 3.0]), np.array([0, 0, 1]))
    rmse, mae = made("rmse"), made("mae")
    assert rmse(answers, None).tolist() == [1, 0, 4] and rmse.of_mean(5 / 3) == math.sqrt(5 / 3)
    assert mae(answers, None).tolist() == [1, 0, 2]
    assert rmse.merit(0.9) == -0.9 and not rmse.higher_is_better


def test_ndcg_ranks_the_items_asked_about_of_each_user():
    # user 0: gains 7, 0, 1 ranked by p as 1, 7 (0 behind the cut): (1 + 7 / log2 3) / (7 + 1 / log2 3)
    # user 1: gains 3 and 1 tied: (2 + 2 / log2 3) / (3 + 1 / log2 3); user 5: no gain
    answers = Ratings(np.array([3.0, 1, 5, 2, 2, 9]), np.array([3.0, 0, 1, 2, 1, 0]), np.array([0, 0, 0, 1, 1, 5]))
    third = 1 / math.log2(3)
    by_hand = [(1 + 7 * third) / (7 + third), (2 + 2 * third) / (3 + third), 0]
    np.testing.assert_allclose(made("ndcg")(answers, None), by_hand)


def test_a_model_that_answers_wrongly_is_named():
    class Short(Level):
        def predict(self, queries):
            return super().predict(queries)[:, 0]

    class Blind(Level):
        def predict(self, queries):
            return super().predict(queries) * np.nan

    for cls, odd in ((Short, 0), (Blind, len(split(DATA, BOARD).test.queries))):
        model = cls()
        model.fit(DATA, Context())
        words = f"model {cls.__name__}: values must be finite and of shape .* with {odd} that are NaN or infinite"
        with pytest.raises(RecbenchError, match=words):
            rate(model, split(DATA, BOARD).test)


def test_scores_carry_intervals_of_the_root_and_of_users():
    parts = ratings().split()
    model = Level()
    model.fit(parts.train, Context())
    answers = rate(model, parts.test)
    rmse, ndcg = measure(answers, parts.test, [made("rmse"), made("ndcg")], parts.train)
    by_hand = math.sqrt(np.mean((answers.predicted_Q - parts.test.values) ** 2))
    assert rmse.value == pytest.approx(by_hand) and rmse.low < rmse.value < rmse.high
    assert len(ndcg.per_query) == len(np.unique(parts.test.queries.user)) and ndcg.low < ndcg.value < ndcg.high
    assert rmse.told()["better"] == "lower" and "better" not in ndcg.told()


def test_a_team_shares_the_questions_out():
    from recbench.model import Team

    parts = ratings().split()
    model = Level()
    model.fit(parts.train, Context())
    alone = rate(model, parts.test).predicted_Q
    shares = {}
    for _ in range(2):  # the first round fills the shares, the second reads them
        for number in range(2):

            def gather(mine, number=number):
                shares[number] = mine
                known = [alone[0::2, None], alone[1::2, None]]
                return [shares[n] for n in range(2)] if len(shares) == 2 else known

            together = rate(model, parts.test, Team(number, 2, gather)).predicted_Q
    assert np.array_equal(together, alone)


def test_what_a_rating_board_cannot_ask_is_refused():
    with pytest.raises(RecbenchError, match="task rating asks for the value of every target: set target all_in_window"):
        replace(BOARD, target="first")


def test_lower_is_better_on_the_leaderboard():
    def entry(model, value):
        scores = {"rmse": {"value": value, "low": value - 0.01, "high": value + 0.01, "better": "lower"}}
        values = {"model": model, "headline": "rmse", "scores": scores, "seed": 1, "params": {}, "chosen": {}}
        return Entry(**{f.name: "" for f in fields(Entry)} | values)

    ordered = rows([entry("a", 0.95), entry("b", 0.90), entry("c", 0.905)])
    assert [row.model for row in ordered] == ["b", "c", "a"]
    assert ranks(ordered) == ["1=", "1=", "3"]
