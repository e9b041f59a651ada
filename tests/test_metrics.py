"""Metrics against hand-computed tables, against every order of the tied items, and against their laws.

Letters: Q queries, K list length, k the metric's cut, I items.
"""

import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("recbench_metrics")

from recbench_metrics import accuracy, beyond

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.metric import RankedLists, metric

ACCURACY = {
    "recall": accuracy.Recall,
    "precision": accuracy.Precision,
    "f1": accuracy.F1,
    "hit-rate": accuracy.HitRate,
    "ndcg": accuracy.NDCG,
    "mrr": accuracy.MRR,
    "map": accuracy.MAP,
}
BEYOND = {
    "coverage": beyond.Coverage,
    "gini": beyond.Gini,
    "novelty": beyond.Novelty,
    "popularity-bias": beyond.PopularityBias,
    "diversity": beyond.Diversity,
}


def ranked(scores_QI, right_QI, length, n_relevant=None) -> RankedLists:
    """Ranked lists of plain Python loops; a score of -inf leaves an item out, short lists are padded to `length`."""
    rows = {name: [] for name in ("items", "scores", "start", "size", "relevant")}
    for scores, right in zip(scores_QI, right_QI, strict=True):
        order = [i for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)) if scores[i] > -math.inf]
        line = {name: [] for name in rows}
        for position in range(length):
            if position >= len(order):
                entry = (-1, -math.inf, position, 1, 0)
            else:
                item = order[position]
                group = [p for p, other in enumerate(order) if scores[other] == scores[item]]
                entry = (item, scores[item], group[0], len(group), sum(bool(right[order[p]]) for p in group))
            for name, value in zip(rows, entry, strict=True):
                line[name].append(value)
        for name in rows:
            rows[name].append(line[name])
    n_relevant = [sum(map(bool, right)) for right in right_QI] if n_relevant is None else n_relevant
    return RankedLists(
        np.array(rows["items"], np.int32),
        np.array(rows["scores"], np.float32),
        np.array(rows["start"], np.int32),
        np.array(rows["size"], np.int32),
        np.array(rows["relevant"], np.int32),
        np.array(n_relevant, np.int32),
    )


def value(name: str, answers: RankedLists, k: int) -> np.ndarray:
    return ACCURACY[name](name, k)(answers, None)


def of_one_order(right: list[int], k: int, n_relevant: int) -> dict[str, float]:
    """Every accuracy metric of one plain order, by the textbook."""
    top = right[:k]
    hits, n = sum(top), n_relevant
    places = [p for p, is_right in enumerate(top, 1) if is_right]
    return {
        "recall": hits / n,
        "precision": hits / k,
        "hit-rate": float(hits > 0),
        "ndcg": sum(1 / math.log2(p + 1) for p in places) / sum(1 / math.log2(p + 1) for p in range(1, min(k, n) + 1)),
        "mrr": 1 / places[0] if places else 0.0,
        "map": sum(sum(top[:p]) / p for p in places) / min(k, n),
    }


def of_all_orders(scores: list[float], right: list[int], k: int, n_relevant: int) -> dict[str, float]:
    """The mean over every order of the items inside each tie group; F1 from the mean precision and recall."""
    levels = sorted({s for s in scores if s > -math.inf}, reverse=True)
    groups = [[right[i] for i in range(len(scores)) if scores[i] == level] for level in levels]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    values = [of_one_order([r for group in order for r in group], k, n_relevant) for order in orders]
    out = {name: sum(v[name] for v in values) / len(values) for name in values[0]}
    both = out["precision"] + out["recall"]
    return out | {"f1": 2 * out["precision"] * out["recall"] / both if both else 0.0}


# One query of six items, scores 6 5 4 3 2 1: the order is the row itself.
LOG3, LOG4 = math.log2(3), 2.0


@pytest.mark.parametrize(
    ("right", "k", "expected"),
    [
        (
            [1, 0, 1, 0, 0, 0],
            3,
            {
                "recall": 1.0,
                "precision": 2 / 3,
                "f1": 0.8,
                "hit-rate": 1.0,
                "ndcg": (1 + 1 / LOG4) / (1 + 1 / LOG3),
                "mrr": 1.0,
                "map": (1 + 2 / 3) / 2,
            },
        ),
        (
            [0, 1, 0, 0, 1, 1],
            2,
            {
                "recall": 1 / 3,
                "precision": 0.5,
                "f1": 0.4,
                "hit-rate": 1.0,
                "ndcg": (1 / LOG3) / (1 + 1 / LOG3),
                "mrr": 0.5,
                "map": 0.25,
            },
        ),
        ([0, 0, 0, 1, 0, 0], 3, dict.fromkeys(ACCURACY, 0.0)),
        (
            [0, 0, 0, 1, 0, 0],
            10,
            {
                "recall": 1.0,
                "precision": 0.1,
                "f1": 2 / 11,
                "hit-rate": 1.0,
                "ndcg": 1 / math.log2(5),
                "mrr": 0.25,
                "map": 0.25,
            },
        ),
    ],
)
def test_accuracy_without_ties(right, k, expected):
    answers = ranked([[6, 5, 4, 3, 2, 1]], [right], 6)
    for name, number in expected.items():
        assert value(name, answers, k) == pytest.approx([number]), name


def test_accuracy_of_a_tie_over_the_cut():
    # a clear wrong item, then four tied with two right ones; the cut k = 3 takes two of the four
    answers = ranked([[2, 1, 1, 1, 1]], [[0, 1, 0, 1, 0]], 3)
    expected = {
        "recall": 0.5,  # two positions at 1/2, of two right answers
        "precision": 1 / 3,
        "f1": 0.4,
        "hit-rate": 5 / 6,  # 1 - C(2,2) / C(4,2)
        "ndcg": 0.5 * (1 / LOG3 + 0.5) / (1 + 1 / LOG3),
        "mrr": 0.5 * 0.5 + 0.5 * (2 / 3) * (1 / 3),
        # position 2: 1/2 * 1/2; position 3: 1/2 * (1 + 1/3) / 3; divided by 2
        "map": (0.25 + 0.5 * (4 / 3) / 3) / 2,
    }
    for name, number in expected.items():
        assert value(name, answers, 3) == pytest.approx([number]), name


@st.composite
def small_cases(draw):
    n = draw(st.integers(1, 6))
    levels = st.sampled_from([0.0, 1.0, 2.0, -math.inf])
    scores = draw(st.lists(levels, min_size=n, max_size=n).filter(lambda row: max(row) > -math.inf))
    right = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(any))
    return scores, right, draw(st.integers(1, 8))


@settings(max_examples=200, deadline=None)
@given(st.lists(small_cases(), min_size=1, max_size=4), st.integers(0, 3))
def test_accuracy_is_the_mean_over_every_order(cases, extra):
    for k in {case[2] for case in cases}:
        rows = [(scores, right) for scores, right, _ in cases]
        widest = max(len(scores) for scores, _ in rows)
        scores_QI = [scores + [-math.inf] * (widest - len(scores)) for scores, _ in rows]
        right_QI = [right + [0] * (widest - len(right)) for _, right in rows]
        # a right item with -inf stands in no list and is still a right answer, missed
        answers = ranked(scores_QI, right_QI, min(k + extra, widest))
        expected = [of_all_orders(s, r, k, sum(r)) for s, r in rows]
        for name in ACCURACY:
            np.testing.assert_allclose(value(name, answers, k), [e[name] for e in expected], atol=1e-12, err_msg=name)


def test_larger_ties_against_the_textbook_on_drawn_orders():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, 40).astype(float)
    right = (rng.random(40) < 0.2).astype(int)
    answers = ranked([scores], [right], 20)
    drawn = []
    for _ in range(20_000):
        order = np.lexsort((rng.random(40), -scores))
        drawn.append(of_one_order(right[order].tolist(), 15, int(right.sum())))
    for name in drawn[0]:
        sample = np.array([d[name] for d in drawn])
        error = abs(value(name, answers, 15)[0] - sample.mean())
        assert error <= 5 * sample.std() / math.sqrt(len(sample)) + 1e-9, name


@pytest.mark.parametrize("n_right", [1, 3, 7])
@pytest.mark.parametrize("k", [1, 5, 12, 30])
def test_constant_scorer_has_the_value_of_a_random_order(n_right, k):
    n = 12
    right = [1] * n_right + [0] * (n - n_right)
    answers = ranked([[0.0] * n], [right], min(k, n))
    m = min(k, n)
    assert value("recall", answers, k) == pytest.approx([m / n])
    assert value("precision", answers, k) == pytest.approx([m * n_right / n / k])
    assert value("hit-rate", answers, k) == pytest.approx([1 - math.comb(n - n_right, m) / math.comb(n, m)])
    first = [math.comb(n - p, n_right - 1) / math.comb(n, n_right) / p for p in range(1, m + 1)]
    assert value("mrr", answers, k) == pytest.approx([sum(first)])
    chosen = [
        of_one_order([int(i in c) for i in range(n)], k, n_right) for c in itertools.combinations(range(n), n_right)
    ]
    for name in ("ndcg", "map"):
        assert value(name, answers, k) == pytest.approx([np.mean([one[name] for one in chosen])]), name


def test_items_that_nobody_met_are_judged_apart():
    answers = ranked([[3, 2, 1], [3, 2, 1], [3, 2, 1], [3, 2, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], 3)
    apart = replace(answers, unmet_Q=np.array([False, True, True, False]))
    recall, ndcg = metric("unmet-recall@2", "ranking"), metric("met-ndcg@2", "ranking")
    assert recall(apart, TOY) == pytest.approx([(1 + 0) / 2])
    second = 1 / math.log2(3)
    assert ndcg(apart, TOY) == pytest.approx([(1 + second / (1 + second)) / 2])
    times_Q = np.array([0.0, 3.0, 1.0, 2.0])  # of a sample drawn anew
    assert recall.sampler(apart, TOY)(times_Q) == pytest.approx(3 / 4)
    assert ndcg.sampler(apart, TOY)(times_Q) == pytest.approx(second / (1 + second))
    assert math.isnan(recall.sampler(apart, TOY)(np.array([1.0, 0.0, 0.0, 1.0])))
    assert recall(replace(answers, unmet_Q=np.zeros(4, bool)), TOY).tolist() == [0]
    assert recall(answers, TOY) == pytest.approx(metric("recall@2", "ranking")(answers, TOY).mean(keepdims=True))
    assert ndcg(answers, TOY) == pytest.approx(metric("ndcg@2", "ranking")(answers, TOY).mean(keepdims=True))


def random_answers(seed: int, n_queries=50, n_items=30, length=30, levels=8) -> RankedLists:
    rng = np.random.default_rng(seed)
    right_QI = rng.random((n_queries, n_items)) < 0.15
    right_QI[:, 0] = True
    return ranked(rng.integers(0, levels, (n_queries, n_items)).astype(float), right_QI, length)


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_laws(seed):
    answers = random_answers(seed)
    np.testing.assert_allclose(value("precision", answers, 1), value("mrr", answers, 1))
    np.testing.assert_allclose(value("precision", answers, 1), value("hit-rate", answers, 1))
    np.testing.assert_allclose(value("precision", answers, 1), value("ndcg", answers, 1))
    np.testing.assert_allclose(value("recall", answers, 30), 1)
    np.testing.assert_allclose(value("hit-rate", answers, 30), 1)
    f1 = 2 / (1 / value("precision", answers, 30) + 1 / value("recall", answers, 30))
    np.testing.assert_allclose(value("f1", answers, 30), f1)
    for name in ACCURACY:
        for k in (1, 3, 10, 30, 99):
            values = value(name, answers, k)
            assert values.shape == (50,) and values.min() >= 0 and values.max() <= 1 + 1e-12, name
    for name in ("recall", "hit-rate", "mrr"):
        assert np.all(value(name, answers, 10) >= value(name, answers, 5) - 1e-12), name


def test_a_perfect_order_has_one_and_a_longer_list_changes_nothing():
    right = [[1, 1, 1, 0, 0, 0]]
    for name in ("recall", "f1", "hit-rate", "ndcg", "mrr", "map", "precision"):
        assert value(name, ranked([[9, 8, 7, 3, 2, 1]], right, 6), 3) == pytest.approx([1.0]), name
        assert value(name, ranked([[9, 9, 9, 3, 2, 1]], right, 6), 3) == pytest.approx([1.0]), name
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 5, (9, 20)).astype(float), rng.random((9, 20)) < 0.3
    for name in ACCURACY:
        short, long = ranked(scores, truth, 5), ranked(scores, truth, 20)
        np.testing.assert_allclose(value(name, short, 5), value(name, long, 5), err_msg=name)


def test_without_right_answers_or_queries_nothing_is_nan():
    for name in ACCURACY:
        assert value(name, ranked([[2.0, 1.0]], [[0, 0]], 2), 2).tolist() == [0.0], name
        empty = RankedLists(*(np.zeros((0, 3), np.int32) for _ in range(5)), np.zeros(0, np.int32))
        assert value(name, empty, 2).shape == (0,), name


def test_speed_without_ties():
    rng = np.random.default_rng(0)
    shape = (100_000, 100)
    relevant = np.zeros(shape, np.int32)
    relevant[np.arange(shape[0]), rng.integers(0, 100, shape[0])] = 1
    start = np.broadcast_to(np.arange(100, dtype=np.int32), shape).copy()
    answers = RankedLists(
        start, np.zeros(shape, np.float32), start, np.ones(shape, np.int32), relevant, np.ones(shape[0], np.int32)
    )
    for name in ("ndcg", "recall", "mrr"):
        spent = []
        for _ in range(3):
            began = time.process_time()
            value(name, answers, 100)
            spent.append(time.process_time() - began)
        assert min(spent) < 0.2, (name, spent)


def dataset(users, items, n_items, table=None) -> Dataset:
    users, items = np.array(users), np.array(items)
    log = Interactions.sorted(users, items, np.arange(len(users)), n_users=int(users.max()) + 1, n_items=n_items)
    info = DatasetInfo("toy", "test", "order", "MIT", "here")
    return Dataset(info, log, np.arange(log.n_users), np.arange(n_items), table)


def lists(rows) -> RankedLists:
    items = np.array(rows, np.int32)
    ones = np.ones_like(items)
    return RankedLists(items, items.astype(np.float32), ones, ones, ones * 0, np.ones(len(items), np.int32))


# item 0: 4 users (one of them twice), item 1: 2 users, item 2: 1 user, item 3: none
TOY = dataset([0, 1, 2, 3, 0, 0, 1, 2], [0, 0, 0, 0, 0, 1, 1, 2], 4)


def test_beyond_accuracy_by_hand():
    answers = lists([[0, 1, 3], [0, 2, -1], [-1, -1, -1]])
    assert beyond.Coverage("coverage", 2)(answers, TOY) == pytest.approx([0.75])
    assert beyond.Coverage("coverage", 9)(answers, TOY) == pytest.approx([1.0])
    # self-information 0, 1, 2 and, floored at one user, 2
    assert beyond.Novelty("novelty", 3)(answers, TOY) == pytest.approx([1.0, 1.0, 0.0])
    assert beyond.Novelty("novelty", 1)(answers, TOY) == pytest.approx([0.0, 0.0, 0.0])
    # percentiles 7/8, 5/8, 3/8, 1/8
    assert beyond.PopularityBias("popularity-bias", 3)(answers, TOY) == pytest.approx([13 / 24, 5 / 8, 0])
    # exposure at 2: 2, 1, 1, 0 -> ascending 0 1 1 2, weights -3 -1 1 3 -> 6 / 16
    assert beyond.Gini("gini", 2)(answers, TOY) == pytest.approx([6 / 16])


def test_gini_bounds_and_naive_form():
    assert beyond.Gini("gini", 1)(lists([[0], [1], [2], [3]]), TOY) == pytest.approx([0.0])
    assert beyond.Gini("gini", 1)(lists([[2], [2], [2]]), TOY) == pytest.approx([0.75])  # 1 - 1/I
    items = np.random.default_rng(0).integers(0, 4, (20, 3))
    x = np.bincount(items.ravel(), minlength=4)
    naive = np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) * x.sum())
    assert beyond.Gini("gini", 3)(lists(items), TOY) == pytest.approx([naive])


def test_popularity_of_the_whole_catalogue_is_one_half():
    data = dataset([0, 1, 2, 0, 1], [0, 0, 1, 2, 2], 5)
    assert beyond.PopularityBias("popularity-bias", 5)(lists([[0, 1, 2, 3, 4]]), data) == pytest.approx([0.5])


TABLE = pd.DataFrame(
    {
        "text": list("abcd"),
        "department": pd.Categorical(["x", "x", "y", None]),
        "brand": ["p", "q", "p", None],
        "price": [1.0, 1.0, 1.0, 1.0],
    }
)


def test_diversity_by_hand():
    data = dataset([0], [0], 4, TABLE)
    answers = lists([[0, 1, 2], [0, 0, -1], [3, 3, -1], [0, 3, -1], [2, -1, -1]])
    # 0-1 and 0-2 share one of three, 1-2 nothing; item 3 has no category
    expected = [(2 / 3 + 2 / 3 + 1) / 3, 0.0, 0.0, 1.0, 0.0]
    assert beyond.Diversity("diversity", 3)(answers, data) == pytest.approx(expected)


def test_diversity_against_sets():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.choice(["a", "b", "c", None], 15) for name in ("one", "two", "three")})
    sets = [{(n, v) for n, v in row.items() if isinstance(v, str)} for row in table.to_dict("records")]
    items = np.array([rng.permutation(15)[:6] for _ in range(8)])
    expected = []
    for row in items:
        pairs = [(sets[i], sets[j]) for i, j in itertools.combinations(row, 2)]
        expected.append(np.mean([1 - len(a & b) / len(a | b) if a | b else 0.0 for a, b in pairs]))
    got = beyond.Diversity("diversity", 6)(lists(items), dataset([0], [0], 15, table))
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("table", [None, TABLE[["text", "price"]]])
def test_diversity_names_data_without_features(table):
    with pytest.raises(RecbenchError, match="data=toy has no categorical item features"):
        beyond.Diversity("diversity", 3)(lists([[0, 1, 2]]), dataset([0], [0], 4, table))


def test_every_metric_is_found_by_its_label_and_defined():
    for name, cls in (ACCURACY | BEYOND).items():
        found = metric(f"{name}@10", "ranking")
        assert type(found) is cls and found.k == 10 and found.label == f"{name}@10"
        assert found.definition.startswith(f"{name}/") and found.definition.endswith("/v1")
        assert found.higher_is_better is (name not in ("gini", "popularity-bias"))
