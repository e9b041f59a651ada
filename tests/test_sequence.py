"""Boards that ask for the next steps in order: truths by hand, lists of every kind of model, and the metrics of steps.

Letters: Q queries, K list length, S steps, k the metric's cut.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import board_file, entries, refused
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("recbench_metrics")

from recbench_metrics.sequence import edit_distance

from recbench import leaderboard, registry
from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.evaluate import measure, rank, usual_behaviors
from recbench.holdout import Holdout
from recbench.metric import RankedLists, metric, metrics_of, refuse_one_behavior
from recbench.model import Recommendations, Recommender
from recbench.params import plain
from recbench.parts import DAY
from recbench.plan import Board, Plan, digest
from recbench.split import split

BEHAVIORS = ("view", "like", "share")
NAMES = ("sequence-accuracy", "exact-sequence", "edit-distance", "event-accuracy", "step-behavior-accuracy")
BOARD = Board(
    *("shop", "shop", ("ndcg@3", "edit-distance@3"), "ndcg@3"),
    **{"test_window_days": 4, "valid_window_days": 2, "target": "next_k", "next_k": 3, "ordered": True},
    candidates="all",
)
PLAIN = replace(BOARD, ordered=False, metrics=("ndcg@3",))


# the board


@pytest.mark.parametrize("changes", [{"target": "first"}, {"next_k": 1}, {"split": "random_pairs"}])
def test_an_order_needs_several_steps_and_a_split_that_keeps_it(changes):
    message = "ordered needs target next_k, next_k of at least 2 and another split than random_pairs; given "
    with pytest.raises(RecbenchError, match=f"board shop: {message}"):
        replace(BOARD, **changes)


def test_ordered_is_true_or_false():
    for given_ in (1, "yes", None):
        with pytest.raises(RecbenchError, match="board shop: ordered must be true or false; given"):
            replace(BOARD, ordered=given_)


def test_hashes_from_before_there_were_orders_stay():
    """A board without an order hashes as if the field did not exist, so do its plans and what is frozen of it."""
    later = ("ordered", "exposures", "horizon_days", "negatives", "n_negatives", "calibration", "unmet_items")
    later += ("test_questions", "valid_questions")
    before = {name: value for name, value in asdict(PLAIN).items() if name not in later}
    plan = Plan(PLAIN, True, "shop", {}, "ease", {}, "recbench-classic", "1.0", 1)
    assert plain(PLAIN) == before and plain(BOARD) == {
        name: value for name, value in asdict(BOARD).items() if name == "ordered" or name not in later
    }
    assert PLAIN.protocol_hash == digest({name: value for name, value in before.items() if name != "meaning"})
    fields = {name: value for name, value in asdict(plan).items() if name not in ("devices", "compile", *later)}
    assert plan.key == digest(fields | {"board": before})[:12]
    assert BOARD.protocol_hash != PLAIN.protocol_hash and replace(plan, board=BOARD).key != plan.key


def test_the_page_says_that_an_order_is_asked_for():
    assert "target the next 3 in order, repeat new" in leaderboard.page(BOARD, [])
    assert "target next_k, repeat new" in leaderboard.page(PLAIN, [])


# the truth


def shop(rows, clock="seconds", n_items=8):
    """A data set of (user, item, day, behaviour) rows."""
    user, item, day, behavior = (np.array(column) for column in zip(*rows, strict=True))
    log = Interactions.sorted(
        *(user, item, day * DAY), n_users=int(user.max()) + 1, n_items=n_items, behavior=behavior, behaviors=BEHAVIORS
    )
    info = DatasetInfo("shop", "social", clock, "MIT", "by hand")
    return Dataset(info, log, np.arange(log.n_users), np.arange(n_items))


VIEW, LIKE, SHARE = 0, 1, 2
PAST = [(0, 0, 0, VIEW), (0, 1, 1, LIKE), (1, 2, 1, VIEW), (0, 2, 4, VIEW), (1, 3, 4, VIEW)]
WINDOW = [  # user 0 views 3, likes it, sees 0 again, views 4, views 3 again, views and shares 5, views 6
    *((0, 3, 6, VIEW), (0, 3, 6.1, LIKE), (0, 0, 6.2, SHARE), (0, 4, 6.3, VIEW), (0, 3, 6.4, SHARE)),
    *((0, 5, 6.5, VIEW), (0, 5, 6.6, SHARE), (0, 6, 9, VIEW), (1, 7, 6, VIEW), (1, 7, 9, LIKE)),
]


def steps_of(holdout):
    """Day, items and behaviours of each question."""
    days, told = holdout.queries.time / DAY, holdout.truth_behaviors
    return [(d, holdout.truth[q].tolist(), told[q].tolist()) for q, d in enumerate(days.tolist())]


def test_a_step_is_a_new_item_and_what_it_came_to_before_the_next():
    data = shop(PAST + WINDOW)
    test = split(data, BOARD).test
    opens = 5 + 1 / DAY
    assert steps_of(test) == [(opens, [3, 4, 5], [LIKE, VIEW, SHARE]), (opens, [7], [LIKE])]
    assert test.queries.steps == 3 and test.behaviors == BEHAVIORS
    again = split(data, replace(BOARD, repeat="any")).test
    assert steps_of(again)[0] == (opens, [3, 0, 4], [LIKE, SHARE, VIEW])
    each = split(data, replace(BOARD, ask="each_event")).test
    assert steps_of(each) == [
        (6, [3, 4, 5], [LIKE, VIEW, SHARE]),
        *((pytest.approx(6.3), [4, 5, 6], [VIEW, SHARE, VIEW]), (pytest.approx(6.5), [5, 6], [SHARE, VIEW])),
        *((9, [6], [VIEW]), (6, [7], [LIKE])),
    ]
    shared = split(data, replace(BOARD, behaviors=("view", "share"))).test
    assert steps_of(shared)[0] == (opens, [3, 4, 5], [VIEW, VIEW, SHARE]), "a like is no target there"


def test_without_an_order_nothing_is_told_of_steps():
    test = split(shop(PAST + WINDOW), PLAIN).test
    assert test.truth_behaviors is None and test.queries.steps == 1
    assert test.truth[0].tolist() == [3, 4, 5]


def test_a_part_of_the_questions_keeps_their_steps():
    test = split(shop(PAST + WINDOW), BOARD).test
    assert steps_of(test.take(np.array([1, 0]))) == steps_of(test)[::-1]
    assert test.take(slice(1, 2)).queries.steps == 3


def test_data_without_an_order_are_refused():
    board = replace(BOARD, split="given")
    data = replace(shop(PAST + WINDOW, clock="none"), part=np.array([0] * 5 + [1, 2] * 5))
    with pytest.raises(RecbenchError, match="board shop: ordered needs an order; data=shop has none: leave it out"):
        split(data, board)


# lists


class Given(Recommender):
    """Answers with a table of scores, one row a user."""

    def __init__(self, scores_UI):
        super().__init__()
        self.scores_UI = np.asarray(scores_UI, np.float32)

    def fit(self, train, context): ...

    def score(self, queries):
        return self.scores_UI[queries.user]


class Generates(Given):
    """Names items 3, 2, 1 and their behaviours where steps are asked for, and ranks elsewhere."""

    behavior = LIKE

    def recommend(self, queries, k):
        if queries.steps == 1:
            return super().recommend(queries, k)
        items_QK = np.full((len(queries), k), -1, np.int32)
        items_QK[:, :3] = [3, 2, 1]
        scores_QK = np.where(items_QK < 0, -np.inf, -np.arange(k)).astype(np.float32)
        return Recommendations(items_QK, scores_QK, np.full((len(queries), k), self.behavior))


def asking(histories, truths, n_items=6, steps=3):
    """Questions of (item, behaviour) histories and truths; anything may be recommended."""
    columns = [Ragged.from_rows([[e[c] for e in row] for row in histories]) for c in (0, 1)]
    n, everything = len(histories), np.ones(n_items, bool)
    queries = Queries(
        *(np.arange(n), np.zeros(n, np.int64), *columns, columns[0], columns[0], everything, True), steps=steps
    )
    right, told = (Ragged.from_rows([[e[c] for e in row] for row in truths]) for c in (0, 1))
    return Holdout(queries, right, BEHAVIORS, told if steps > 1 else None)


HISTORIES = [[(0, VIEW), (1, LIKE), (2, LIKE)], [(0, LIKE), (1, VIEW), (2, SHARE), (3, VIEW), (4, LIKE)], []]
TRUTHS = [[(5, LIKE), (4, VIEW), (3, SHARE)], [(3, LIKE), (2, VIEW)], [(0, VIEW)]]


def test_the_usual_behavior_is_the_most_frequent_and_of_those_the_latest():
    assert usual_behaviors(asking(HISTORIES, TRUTHS).queries).tolist() == [LIKE, LIKE, -1]
    assert usual_behaviors(asking([[(0, LIKE), (1, VIEW)], [(0, SHARE)]], TRUTHS[:2]).queries).tolist() == [VIEW, SHARE]
    assert usual_behaviors(asking([[], []], TRUTHS[:2]).queries).tolist() == [-1, -1]


@given(st.lists(st.lists(st.integers(0, 2), max_size=7), min_size=1, max_size=5))
def test_the_usual_behavior_against_a_plain_count(rows):
    def usual(row):
        return max(row, key=lambda b: (row.count(b), len(row) - row[::-1].index(b)), default=-1)

    queries = asking([[(0, b) for b in row] for row in rows], [[(0, 0)]] * len(rows)).queries
    assert usual_behaviors(queries).tolist() == [usual(row) for row in rows]


def test_whoever_ranks_answers_with_the_list_in_its_order():
    lists = rank(Given(np.tile(np.arange(6.0), (3, 1))), asking(HISTORIES, TRUTHS), 7)
    assert lists.items_QK.tolist() == [[5, 4, 3, 2, 1, 0, -1]] * 3
    assert lists.behaviors_QK.tolist() == [[LIKE] * 6 + [-1], [LIKE] * 6 + [-1], [-1] * 7]
    assert lists.truth_QS.tolist() == [[5, 4, 3], [3, 2, -1], [0, -1, -1]]
    assert lists.truth_behaviors_QS.tolist() == [[LIKE, VIEW, SHARE], [LIKE, VIEW, -1], [VIEW, -1, -1]]
    assert lists.hit_QK[0].tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_whoever_generates_is_taken_at_its_word():
    flat, asked = np.zeros((3, 6)), asking(HISTORIES, TRUTHS)
    lists = rank(Generates(flat), asked, 4)
    assert lists.items_QK.tolist() == [[3, 2, 1, -1]] * 3
    assert lists.behaviors_QK.tolist() == [[LIKE, LIKE, LIKE, -1]] * 3, "nothing is told of an empty place"
    plain = rank(Generates(np.tile(np.arange(6.0), (3, 1))), asking(HISTORIES, TRUTHS, steps=1), 2)
    assert plain.items_QK.tolist() == [[5, 4]] * 3
    assert (plain.behaviors_QK, plain.truth_QS, plain.truth_behaviors_QS) == (None, None, None)


@pytest.mark.parametrize(("behavior", "message"), [
    (3, r"model Generates: behaviours of lists must lie in 0..2, -1 where unknown"),
    (-2, r"model Generates: behaviours of lists must lie in 0..2, -1 where unknown"),
    ([[0, 0]], r"model Generates: behaviours of lists must have shape \(3, 4\); given \(3, 2\)"),
])  # fmt: skip
def test_behaviors_that_are_refused(behavior, message):
    class Wrong(Generates):
        def recommend(self, queries, k):
            answer, odd = super().recommend(queries, k), np.asarray(behavior)
            return replace(answer, behaviors_QK=np.broadcast_to(odd, (len(queries), k if odd.ndim == 0 else 2)))

    Wrong.__name__ = "Generates"
    with pytest.raises(RecbenchError, match=message):
        rank(Wrong(np.zeros((3, 6))), asking(HISTORIES, TRUTHS), 4)


def test_chunks_change_no_step(monkeypatch):
    rng = np.random.default_rng(0)
    histories = [[(0, int(b)) for b in rng.integers(0, 3, rng.integers(0, 6))] for _ in range(40)]
    truths = [[(int(i), int(i) % 3) for i in rng.permutation(6)[: rng.integers(1, 4)]] for _ in range(40)]
    asked, model = asking(histories, truths), Given(rng.random((40, 6)))
    whole = rank(model, asked, 5)
    monkeypatch.setattr("recbench.evaluate.CELLS_PER_CHUNK", 6)
    monkeypatch.setattr("recbench.evaluate.LEAST_PER_CHUNK", 7, raising=False)
    cut = rank(model, asked, 5)
    for name, values in vars(whole).items():
        assert np.array_equal(values, getattr(cut, name)), name


# metrics


def lists(items, behaviors, truth, truth_behaviors) -> RankedLists:
    items_QK = np.array(items, np.int32)
    found = ([np.isin(row, right[right >= 0]) for row, right in zip(items_QK, np.array(truth), strict=True)],)
    place = np.broadcast_to(np.arange(items_QK.shape[1]), items_QK.shape)
    n = (np.array(truth) >= 0).sum(axis=1)
    steps = (np.array(a, np.int32) for a in (behaviors, truth, truth_behaviors))
    return RankedLists(
        items_QK, -place.astype(np.float32), place, np.ones_like(place), np.array(*found, int), n, *steps
    )


def value(name: str, answers: RankedLists, k: int) -> list[float]:
    return metric(f"{name}@{k}", "ranking")(answers, None).tolist()


HAND = [  # list, behaviours told, truth, its behaviours; k; sequence, exact, edit distance, event, behaviour
    ([1, 2, 3], [0, 0, 0], [1, 2, 3], [0, 0, 0], 3, (1, 1, 0, 1, 1)),
    ([1, 2, 3], [0, 1, 0], [1, 2, 3], [0, 0, 0], 3, (1, 1, 0, 2 / 3, 2 / 3)),
    ([2, 1, 3], [0, 0, 1], [1, 2, 3], [0, 0, 0], 3, (1 / 3, 0, 2 / 3, 0, 2 / 3)),
    ([9, 1, 2], [0, 0, 0], [1, 2, 3], [1, 1, 1], 3, (0, 0, 2 / 3, 0, 0)),  # one too early: put in 9, take away 3
    ([7, 8, 9], [0, 0, 0], [1, 2, 3], [0, 1, 1], 3, (0, 0, 1, 0, 1 / 3)),
    ([1, 8, 9], [0, 0, 0], [1, 2, 3], [0, 1, 1], 1, (1, 1, 0, 1, 1)),
    ([1, 2, 9], [0, 0, 0], [1, 2, -1], [0, 0, -1], 3, (1, 1, 0, 1, 1)),  # two steps there are
    ([9, 1, 2], [-1, 0, 0], [1, -1, -1], [0, -1, -1], 3, (0, 0, 1, 0, 0)),  # the second place is not judged
    ([1, -1, -1], [0, -1, -1], [1, 2, 3], [0, 0, 0], 3, (1 / 3, 0, 2 / 3, 1 / 3, 1 / 3)),
    ([-1, -1, -1], [-1, -1, -1], [1, 2, 3], [0, 0, 0], 3, (0, 0, 1, 0, 0)),
    ([1, 2, 3], [-1, -1, -1], [1, 2, 3], [0, 0, 0], 3, (1, 1, 0, 0, 0)),  # behaviours unknown
]


@pytest.mark.parametrize(("items", "told", "truth", "shown", "k", "expected"), HAND)
def test_metrics_of_steps_by_hand(items, told, truth, shown, k, expected):
    answers = lists([items], [told], [truth], [shown])
    assert [value(name, answers, k)[0] for name in NAMES] == pytest.approx(list(expected))


def plain_distance(a, b):
    """Levenshtein's distance by its recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        plain_distance(a[1:], b[1:]) + (a[0] != b[0]), plain_distance(a[1:], b) + 1, plain_distance(a, b[1:]) + 1
    )


def plain_values(items, told, truth, shown, k):
    """The five metrics of one query, by their definitions."""
    steps = [(i, b) for i, b in zip(truth, shown, strict=True) if i >= 0][:k]
    m = len(steps)
    listed = (list(zip(items, told, strict=True)) + [(-1, -1)] * m)[:m]
    pairs = list(zip(listed, steps, strict=True))
    items_right = sum(a[0] == b[0] for a, b in pairs) / m
    distance = plain_distance([i for i, _ in listed if i >= 0], [i for i, _ in steps]) / m
    events, behaviors = sum(a == b for a, b in pairs) / m, sum(a[1] == b[1] for a, b in pairs) / m
    return [items_right, float(items_right == 1), distance, events, behaviors]


def random_answers(seed, n=30, length=4, steps=5):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        n_listed, n_right = int(rng.integers(0, length + 1)), int(rng.integers(1, steps + 1))
        listed, right = rng.permutation(6)[:n_listed].tolist(), rng.permutation(6)[:n_right].tolist()
        told, shown = rng.integers(-1, 3, n_listed).tolist(), rng.integers(0, 3, n_right).tolist()
        rows.append((*(row + [-1] * (length - n_listed) for row in (listed, told)),
                     *(row + [-1] * (steps - n_right) for row in (right, shown))))  # fmt: skip
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_steps_against_plain_loops(seed):
    rows = random_answers(seed, length=3 + seed)
    answers = lists(*zip(*rows, strict=True))
    for k in (1, 2, 3, 5):
        expected = zip(*(plain_values(*row, k) for row in rows), strict=True)
        for name, column in zip(NAMES, expected, strict=True):
            assert value(name, answers, k) == pytest.approx(list(column)), (name, k)


@pytest.mark.parametrize("seed", range(4))
def test_laws_of_the_metrics_of_steps(seed):
    answers = lists(*zip(*random_answers(seed, length=6), strict=True))
    for k in (1, 3, 5):
        right, exact, distance, event, behavior = (np.array(value(name, answers, k)) for name in NAMES)
        assert np.all((event >= 0) & (event <= np.minimum(right, behavior)) & (np.maximum(right, behavior) <= 1))
        assert np.array_equal(exact == 1, right == 1) and np.array_equal(distance == 0, right == 1)
        assert np.all((right <= 1 - distance + 1e-12) & (distance <= 1)), "putting right what is wrong is one way"


SEQUENCES = st.lists(st.integers(0, 3), max_size=5)


def between(a, b) -> int:
    rows = [np.array([row + [-1] * (6 - len(row))]) for row in (a, b)]
    return int(edit_distance(*rows)[0])


@settings(max_examples=200, deadline=None)
@given(SEQUENCES, SEQUENCES, SEQUENCES)
def test_the_edit_distance_is_a_distance(a, b, c):
    assert between(a, b) == between(b, a) == plain_distance(a, b)
    assert (between(a, b) == 0) == (a == b)
    assert between(a, c) <= between(a, b) + between(b, c)
    assert abs(len(a) - len(b)) <= between(a, b) <= max(len(a), len(b))


def test_tied_items_are_worth_in_the_mean_what_chance_is():
    """The drawn order: of 6 tied items each step is named right once in six."""
    n = 3000
    asked = asking([[]] * n, [[(0, 0), (1, 0), (2, 0)]] * n)
    found = measure(rank(Given(np.zeros((n, 6))), asked, 3), asked, [metric("sequence-accuracy@3", "ranking")], None)
    assert found[0].value == pytest.approx(1 / 6, abs=4 * np.sqrt(1 / 6 * 5 / 6 / (3 * n)))


def test_every_metric_of_steps_is_found_by_its_label_and_says_what_it_needs():
    for name in NAMES:
        found = metric(f"{name}@5", "ranking")
        assert found.definition.startswith(f"{name}/") and found.definition.endswith("/ties=as-listed/v1")
        assert found.needs_order and found.needs_behaviors == (name in ("event-accuracy", "step-behavior-accuracy"))
        assert found.higher_is_better == (name != "edit-distance")


def test_no_query_is_no_value():
    empty = np.zeros((0, 3), np.int32)
    answers = RankedLists(*[empty] * 5, np.zeros(0, int), empty, empty, empty)
    assert all(value(name, answers, 2) == [] for name in NAMES)


# what is refused


@pytest.mark.parametrize(("board", "message"), [
    (replace(PLAIN, metrics=("ndcg@3", "edit-distance@3")),
     "metric 'edit-distance@3' judges an order, which the board does not ask for; set target: next_k and ordered: true"),
    (replace(BOARD, metrics=("ndcg@3", "exact-sequence@5")),
     "metric 'exact-sequence@5' judges 5 steps, the board asks for 3; write exact-sequence@3 or raise next_k"),
])  # fmt: skip
def test_a_board_whose_metrics_do_not_fit_is_refused(board, message):
    with pytest.raises(RecbenchError) as error:
        metrics_of(board)
    assert str(error.value).startswith(f"board shop: {message}")


def test_behaviors_are_judged_where_there_are_several():
    board = replace(BOARD, metrics=("ndcg@3", "event-accuracy@3"))
    found = metrics_of(board)
    assert [one.label for one in found] == ["ndcg@3", "event-accuracy@3"]
    refuse_one_behavior(found, BEHAVIORS, "data=shop")
    message = "metric 'event-accuracy@3' tells behaviours apart; {} has view alone: leave it out"
    with pytest.raises(RecbenchError, match=message.format("data=shop")):
        refuse_one_behavior(found, ("view",), "data=shop")
    with pytest.raises(RecbenchError, match=message.format("board shop")):
        metrics_of(replace(board, behaviors=("view",)))


# the whole street

STREET = {
    **{"name": "next3", "split": "random_users", "ask": "each_event", "target": "next_k", "next_k": 3},
    **{"ordered": True, "candidates": "known", "headline": "ndcg@3"},
}


def test_a_run_on_an_ordered_board(quickly, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        board_file(**STREET, metrics=["ndcg@3", "sequence-accuracy@3", "edit-distance@3"])
    )
    done = quickly("model=popular", "board=mine.yaml", "submit=true")
    assert done.returncode == 0, done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert list(entry["scores"]) == ["ndcg@3", "sequence-accuracy@3", "edit-distance@3"]
    assert entry["scores"]["edit-distance@3"]["definition"].startswith("edit-distance/levenshtein")
    frozen = json.loads((tmp_path / "leaderboards" / "next3" / "board.json").read_text())
    assert frozen["board"]["ordered"] is True
    with np.load(tmp_path / "runs" / entry["key"] / "lists.npz") as arrays:
        assert arrays["behaviors"].shape == arrays["items"].shape
        assert arrays["truth_behavior"].shape == arrays["truth_item"].shape and not arrays["truth_behavior"].any()


@pytest.mark.parametrize(("changes", "fragments"), [
    ({"ordered": False, "metrics": ["ndcg@3", "edit-distance@3"]}, ("edit-distance@3", "does not ask for")),
    ({"metrics": ["ndcg@3", "step-behavior-accuracy@3"]}, ("tells behaviours apart", "data=acme-beauty has")),
    ({"ordered": "yes", "metrics": ["ndcg@3"]}, ("ordered must be true or false; given 'yes'",)),
])  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_learned(quickly, tmp_path, changes, fragments):
    (tmp_path / "mine.yaml").write_text(board_file(**STREET | changes))
    refused(quickly("model=popular", "board=mine.yaml"), *fragments)
    assert not list(tmp_path.glob("runs/*/model")) and not list(tmp_path.glob("runs/*/lists.npz"))


# the boards that are declared


FOLDER = Path(os.environ.get("RECBENCH_DATA_DIR", "absent"))


@pytest.mark.parametrize(("scenario", "folder", "counts"), [
    ("video", "video/ml-100k", (3948, 7911, 7378, 237)),
    ("social", "social/deskdrop", (914, 956, 600, 160)),
])  # fmt: skip
def test_the_next_five_of(scenario, folder, counts):
    """Questions of validation and test, those of the test with all five steps, and its users."""
    source = registry.find("data", scenario).load()
    board = {b.name: b for b in source.boards}[f"{scenario}-next5"]
    assert [m.label for m in metrics_of(board) if m.needs_order] == [f"{name}@5" for name in NAMES]
    if not (FOLDER / folder).is_dir():
        pytest.skip(f"RECBENCH_DATA_DIR/{folder} is absent")
    data = source().load()
    parts = split(data, board)
    n, asked = parts.test.truth.lengths, parts.test.queries
    assert (len(parts.valid.queries), len(n), (n == 5).sum(), len(np.unique(asked.user))) == counts
    assert n.min() == 1 and n.max() == asked.steps == 5
    refuse_one_behavior(metrics_of(board), data.interactions.behaviors, board.data)
