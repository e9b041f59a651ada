"""What a behaviour board asks and what answers it, against a plain loop over each user's events."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.parts import DAY
from recbench.plan import Board
from recbench.questions import FOLDS, training_parts, training_questions
from recbench.split import split

BEHAVIORS = ("view", "like", "buy")
N_USERS, N_ITEMS = 3, 4
FEED = Board(
    "feed",
    "toy",
    ("auc",),
    "auc",
    task="behavior",
    ask="each_event",
    behaviors=("like", "buy"),
    exposures=("view",),
    horizon_days=1.0,
    candidates="all",
    test_window_days=3.0,
    valid_window_days=3.0,
)
SHOP = replace(FEED, ask="window_start", behaviors=("buy",), horizon_days=0.0, name="shop")
PAIRS = replace(SHOP, split="random_pairs", behaviors=("like", "buy"), name="pairs")
DRAWN = replace(SHOP, exposures=(), negatives="uniform", n_negatives=2, repeat="any", name="drawn")


def dataset(events, clock="seconds", n_users=N_USERS, n_items=N_ITEMS):
    user, item, time, behavior = (np.array(column) for column in zip(*events, strict=True))
    log = Interactions.sorted(
        user, item, time, n_users=n_users, n_items=n_items, behavior=behavior, behaviors=BEHAVIORS
    )
    return Dataset(DatasetInfo("toy", "toy", clock, "none", "here"), log, np.arange(n_users), np.arange(n_items))


def told(holdout):
    """Each question as (user, item, moment, history as a sorted list, outcomes)."""
    queries, out = holdout.queries, []
    for q in range(len(queries)):
        history = zip(queries.items[q], queries.times[q], queries.behaviors[q], strict=True)
        asked = int(queries.user[q]), int(queries.item[q]), int(queries.time[q])
        out.append((*asked, sorted(tuple(map(int, event)) for event in history), tuple(map(bool, holdout.outcomes[q]))))
    return sorted(out)


def exposures_by_hand(events, board, since, until):
    """Questions at each exposure in [since, until), of what is known before `until`."""
    names, horizon = [BEHAVIORS.index(b) for b in board.behaviors], round(board.horizon_days * DAY)
    shown = {BEHAVIORS.index(b) for b in board.exposures}
    known = [e for e in events if e[2] < until]
    out = set()
    for user, item, time, behavior in known:
        if behavior not in shown or time < since or time + horizon >= until:
            continue
        mine = [(i, t, b) for u, i, t, b in known if u == user]
        if board.repeat == "new" and any(i == item and t < time and b in names for i, t, b in mine):
            continue
        later = [t for i, t, b in mine if i == item and b in shown and t > time]
        ends = min([*later, time + horizon + 1])
        outcomes = tuple(any(i == item and b == name and time <= t < ends for i, t, b in mine) for name in names)
        out.add((user, item, time, tuple(sorted(e for e in mine if e[1] < time)), outcomes))
    return sorted((u, i, t, list(h), o) for u, i, t, h, o in out)


def pairs_by_hand(events, board, opens, closes):
    """Questions about the pairs exposed in [opens, closes), put where it opens."""
    names, shown = ([BEHAVIORS.index(b) for b in some] for some in (board.behaviors, board.exposures))
    out = []
    for user in range(N_USERS):
        before = sorted((i, t, b) for u, i, t, b in events if u == user and t < opens)
        window = [(i, b) for u, i, t, b in events if u == user and opens <= t < closes]
        for item in sorted({i for i, b in window if b in shown}):
            if board.repeat == "new" and any(i == item and b in names for i, _, b in before):
                continue
            out.append((user, item, opens, before, tuple((item, name) in window for name in names)))
    return out


EVENTS = st.lists(
    st.tuples(
        st.integers(0, N_USERS - 1),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, 40).map(lambda quarter: quarter * DAY // 4),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=60,
)


def parts_of(events, board):
    """The split, or None where a part of it is empty, as in a tiny log it may be."""
    try:
        return split(dataset(events), board)
    except RecbenchError as error:
        assert "empty" in str(error)
        return None


@settings(max_examples=300, deadline=None)
@given(
    EVENTS,
    st.sampled_from(["new", "any"]),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.booleans(),
    st.sampled_from([1, 5, 99]),
)
def test_questions_at_exposures_are_those_of_a_plain_loop(events, repeat, horizon_days, of_likes, piece):
    """Whatever number of events is looked at together."""
    exposures = ("view", "like") if of_likes else ("view",)
    board = replace(FEED, repeat=repeat, horizon_days=horizon_days, exposures=exposures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbench.exposures.PIECE", piece)
        parts = parts_of(events, board)
        learned = parts and training_questions(parts.train, board)
    if parts is None:
        return
    end = max(e[2] for e in events) + 1
    test_cut, valid_cut = end - 3 * DAY, end - 6 * DAY
    assert told(parts.test) == exposures_by_hand(events, board, test_cut, end)
    assert told(parts.valid) == exposures_by_hand(events, board, valid_cut, test_cut)
    last = max(e[2] for e in events if e[2] < valid_cut) + 1
    assert told(learned) == exposures_by_hand(events, board, -1, last)
    assert np.all(learned.rates == 1) and learned.targets == board.behaviors


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.sampled_from(["new", "any"]))
def test_questions_about_pairs_are_those_of_a_plain_loop(events, repeat):
    board = replace(SHOP, repeat=repeat)
    parts = parts_of(events, board)
    if parts is None:
        return
    end = max(e[2] for e in events) + 1
    test_cut, valid_cut = end - 3 * DAY, end - 6 * DAY
    assert told(parts.test) == pairs_by_hand(events, board, test_cut, end)
    assert told(parts.valid) == pairs_by_hand(events, board, valid_cut, test_cut)
    known = [e for e in events if e[2] < valid_cut]
    first, last = min(e[2] for e in known), max(e[2] for e in known) + 1
    n_windows = min(4, max(1, (last - first) // (3 * DAY) - 1))
    opens = [last - back * 3 * DAY for back in range(n_windows, 0, -1)]
    by_hand = [q for at in opens for q in pairs_by_hand(known, board, at, at + 3 * DAY)]
    assert told(training_questions(parts.train, board)) == sorted(by_hand)


def test_a_behaviour_belongs_to_the_last_exposure_before_it():
    view, like, buy = 0, 1, 2
    noon = 10 * DAY
    events = [(0, 0, 0, view), (1, 1, 0, view), (1, 1, 5 * DAY, view)]
    events += [(0, 0, noon, view), (0, 0, noon + 60, view), (0, 0, noon + 60, like), (0, 0, noon + DAY + 61, buy)]
    events += [(1, 1, 13 * DAY, view), (2, 2, 7 * DAY, view)]
    found = told(split(dataset(events), replace(FEED, test_window_days=4.0)).test)
    assert [(q[0], q[1], (q[2] - noon) // 60, q[4]) for q in found] == [
        (0, 0, 0, (False, False)),
        (0, 0, 1, (True, False)),  # the purchase comes a second after the day that is waited
    ]


def test_pairs_held_out_by_lot_are_asked_whole_and_learned_from_in_folds():
    rng = np.random.default_rng(0)
    n_users, n_items = 40, 30
    pairs = np.unique(rng.integers(n_users * n_items, size=500))
    events = [(p // n_items, p % n_items, 0, 0) for p in pairs]
    events += [(p // n_items, p % n_items, 0, 1 + int(p % 2)) for p in pairs[rng.random(len(pairs)) < 0.4]]
    data = dataset(events, "none", n_users, n_items)
    parts = split(data, PAIRS)
    pair_of = lambda h: h.queries.user * np.int64(n_items) + h.queries.item  # noqa: E731
    learned = training_questions(parts.train, PAIRS)
    asked = [pair_of(h) for h in (learned, parts.valid, parts.test)]
    assert sorted(np.concatenate(asked)) == list(pairs)
    shown = {(u * n_items + i, b) for u, i, _, b in events}
    held_out = (set(asked[1]) | set(asked[2]), set(asked[1]) | set(asked[2]), set(asked[2]))
    for holdout, pair, held in zip((learned, parts.valid, parts.test), asked, held_out, strict=True):
        assert [tuple(row) for row in holdout.outcomes] == [((p, 1) in shown, (p, 2) in shown) for p in pair]
        for q in range(len(pair)):  # nothing of the pair is in its own history, nor of one that is held out by then
            met = holdout.queries.user[q] * np.int64(n_items) + holdout.queries.items[q]
            assert pair[q] not in met and not set(met) & held
    together = [(known, told(part)) for known, part in training_parts(parts.train, PAIRS)]
    assert len(together) == FOLDS and sorted(question for _, part in together for question in part) == told(learned)
    for known, part in together:
        log = known.interactions
        left = set(log.user * np.int64(n_items) + log.item)
        assert not left & {u * n_items + i for u, i, *_ in part}


def test_drawn_pairs_follow_their_rule():
    """Even, without repeats, never one that the user bought in the window, twice as many as bought, and told as a share."""
    rng = np.random.default_rng(1)
    n_users, n_items, n = 60, 50, 6000
    events = list(
        zip(
            rng.integers(n_users, size=n),
            rng.integers(n_items, size=n),
            rng.integers(20 * DAY, size=n),
            [2] * n,
            strict=True,
        )
    )
    data = dataset(events, "seconds", n_users, n_items)
    board = replace(DRAWN, test_window_days=1.0, valid_window_days=1.0)
    holdout = split(data, board).test
    user, item, bought = holdout.queries.user, holdout.queries.item, holdout.outcomes[:, 0]
    end = max(e[2] for e in events) + 1
    truth = {(u, i) for u, i, t, _ in events if t >= end - DAY}
    assert {(u, i) for u, i, b in zip(user, item, bought, strict=True) if b} == truth
    drawn = [(u, i) for u, i, b in zip(user, item, bought, strict=True) if not b]
    assert len(set(drawn)) == len(drawn) and not set(drawn) & truth
    for u in set(user):
        n_bought = sum(1 for v, _ in truth if v == u)
        mine = (user == u) & ~bought
        assert mine.sum() == min(2 * n_bought, (n_items - n_bought) // 2)
        np.testing.assert_allclose(holdout.rates[mine], mine.sum() / (n_items - n_bought))
        assert np.all(holdout.rates[(user == u) & bought] == 1)
    learned = training_questions(split(data, board).train, board)
    drawn = np.bincount(learned.queries.item[~learned.outcomes[:, 0]], minlength=n_items)
    assert drawn.sum() > 600 and np.square(drawn - drawn.mean()).sum() / drawn.mean() < 90  # chi square of 49: 99.97%
    again = training_questions(split(data, board).train, board)
    assert np.array_equal(learned.queries.item, again.queries.item)


WRONG = [
    ({"behaviors": ()}, "behaviors must name what is asked about"),
    ({"target": "first"}, "target must be all_in_window; given first"),
    (
        {"ask": "last"},
        "allowed are each_event with global_time, random_users, given; window_start with global_time, random_pairs; given last with global_time",
    ),
    ({"horizon_days": -1.0}, "horizon_days must be at least 0; given -1"),
    ({"ask": "window_start"}, "horizon_days is for ask each_event, a window answers whole; given 1"),
    (
        {"exposures": ()},
        "name the exposures at which a question is put, or a rule for negatives where the data have none",
    ),
    (
        {"negatives": "uniform"},
        "negatives are drawn for ask window_start, one behaviour and n_negatives of at least 1; given each_event, 2 and 0",
    ),
    ({"n_negatives": 3}, "n_negatives=3 needs a rule: negatives uniform"),
    ({"split": "given"}, "horizon_days must be 0 with split given, whose parts end anywhere; given 1"),
]


@pytest.mark.parametrize(("changes", "why"), WRONG, ids=[next(iter(c)) for c, _ in WRONG])
def test_a_board_that_contradicts_itself_is_refused(changes, why):
    with pytest.raises(RecbenchError) as error:
        replace(FEED, **changes)
    assert str(error.value) == f"board feed: task behavior: {why}"


def test_drawn_pairs_and_windows_of_two_lengths_are_refused_where_they_would_tell_or_mislead():
    why = "negatives are drawn where no exposure is known: name no exposures; given view"
    with pytest.raises(RecbenchError, match=why):
        replace(DRAWN, exposures=("view",))
    with pytest.raises(RecbenchError, match=r"negatives drawn with split random_pairs need repeat new: .*; given any"):
        replace(DRAWN, split="random_pairs", repeat="any")
    with pytest.raises(RecbenchError, match=r"test_window_days and valid_window_days must be equal, .*; given 3 and 2"):
        replace(SHOP, valid_window_days=2.0)


def test_pairs_drawn_where_pairs_are_held_out_by_lot():
    """Four for each pair read; none of them in a history, for such a pair would be known to be drawn."""
    rng = np.random.default_rng(5)
    log = Interactions.sorted(
        rng.integers(40, size=600), rng.integers(60, size=600), np.zeros(600, np.int64), n_users=40, n_items=60
    )
    data = Dataset(DatasetInfo("read", "toy", "none", "none", "here"), log, np.arange(40), np.arange(60))
    lot = {"split": "random_pairs", "repeat": "new", "n_negatives": 4, "behaviors": ("interact",), "horizon_days": 0.0}
    board = replace(DRAWN, **lot)
    parts = split(data, board)
    met = set(zip(log.user.tolist(), log.item.tolist(), strict=True))
    for holdout in (parts.test, parts.valid, training_questions(parts.train, board)):
        queries, true_Q = holdout.queries, holdout.outcomes[:, 0]
        assert len(queries) == 5 * true_Q.sum() > 100
        assert not any(queries.item[q] in queries.items[q] for q in range(len(queries)))
        assert np.array_equal(holdout.rates == 1, true_Q)
    asked = zip(parts.test.queries.user.tolist(), parts.test.queries.item.tolist(), strict=True)
    assert [pair in met for pair in asked] == parts.test.outcomes[:, 0].tolist()


def test_training_asks_of_no_item_that_came_after_the_window_opened():
    """Item 49 is first bought while the second of four windows runs, and asked about from the third on."""
    rng = np.random.default_rng(3)
    n = 4000
    time, item = rng.integers(20 * DAY, size=n), rng.integers(49, size=n)
    item[(time > 11 * DAY) & (item < 5)] = 49
    events = list(zip(rng.integers(60, size=n), item, time, [2] * n, strict=True))
    board = replace(DRAWN, test_window_days=2.0, valid_window_days=2.0, candidates="known")
    train = split(dataset(events, "seconds", 60, 50), board).train
    asked, first = training_questions(train, board).queries, int(time[item == 49].min())
    assert (asked.item == 49).any() and asked.time[asked.item == 49].min() > first


def test_what_a_board_of_another_task_cannot_say_is_refused():
    with pytest.raises(
        RecbenchError,
        match="exposures, horizon_days, negatives and n_negatives are for task behavior; given task ranking",
    ):
        replace(FEED, task="ranking")
    with pytest.raises(
        RecbenchError, match="negatives must be one of none, uniform; given 'unifrom'; did you mean 'uniform'"
    ):
        replace(DRAWN, negatives="unifrom")


def test_what_the_data_cannot_carry_is_refused():
    events = [(0, 0, t, 0) for t in range(9)]
    ordered = replace(FEED, split="random_users")
    with pytest.raises(RecbenchError, match="horizon_days needs a clock; data=toy has an order only: set it to 0"):
        split(dataset(events, "order"), ordered)
    with pytest.raises(
        RecbenchError, match="data=toy has the behaviours view, like, buy; given 'vieuw'; did you mean 'view'"
    ):
        split(dataset(events), replace(FEED, exposures=("vieuw",)))
