"""Simulated worlds: the log agrees with the stated probabilities, nobody beats the oracle, nothing depends on chunks."""

import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from recbench_behavior.logistic import LogisticRegression
from scipy import stats
from scipy.sparse import csr_matrix

from recbench import registry
from recbench.data import Queries, Ragged
from recbench.errors import RecbenchError
from recbench.evaluate import judge, measure, rank
from recbench.metric import metric
from recbench.model import Context, Recommender, mask
from recbench.simulate import World, WorldParams
from recbench.simulate.oracle import remembered, searched
from recbench.simulate.truth import DAY, START, drawn
from recbench.simulate.walk import log_of_users
from recbench.simulate.words import category_searched
from recbench.split import split

SIMS = ("ecommerce-sim", "social-sim", "video-sim")
SMALL = {"n_users": 400, "n_items": 60, "n_categories": 6, "days": 28, "visits": 12}
RARE = 1e-4  # chance that a test of a true statement fails; the worlds are fixed, so it fails always or never


@cache
def world(sim: str, **params) -> World:
    cls = registry.find("data", sim).load()
    return cls(cls.Params(**SMALL | params)).world()


@cache
def dataset(sim: str, **params):
    return world(sim, **params).dataset()


def board(sim: str, number: int = 1, **changes):
    return replace(registry.find("data", sim).load().boards[number], **changes)


def every_visit(sim: str, **params) -> tuple[Queries, np.ndarray]:
    """A question at each visit of the last two weeks, and the item that was visited."""
    asked = board(sim, repeat="any", candidates="all", test_window_days=14, valid_window_days=7)
    holdout = split(dataset(sim, **params), asked).test
    assert (holdout.truth.lengths == 1).all()
    return holdout.queries, holdout.truth.values[holdout.truth.start]


def digest(log) -> str:
    columns = (log.user, log.item, log.time, log.behavior, log.value, log.search_user, log.search_time, log.search_word)
    return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


# draws and generation


def test_draws_are_splitmix64():
    """The published first outputs of SplitMix64 for the seed 1234567."""
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    key = np.array([1234567], np.uint64)
    assert [int(drawn(key, n)[0] * 2**53) for n in range(1, 6)] == [output >> 11 for output in outputs]


@pytest.mark.parametrize("sim", SIMS)
def test_a_user_is_the_same_whoever_else_is_generated(sim):
    truth, whole = world(sim).truth, log_of_users(world(sim).truth, 0, 400)
    for first, stop in ((0, 1), (7, 60), (399, 400)):
        part, rows = log_of_users(truth, first, stop), (whole.user >= first) & (whole.user < stop)
        asked = (whole.search_user >= first) & (whole.search_user < stop)
        for name in ("user", "item", "time", "behavior", "value"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows])
        for name in ("search_user", "search_time", "search_word"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[asked])


@pytest.mark.parametrize("chunk_users", [1, 37, 60])
def test_chunks_change_nothing(chunk_users):
    whole, again = dataset("social-sim", n_users=60), world("social-sim", n_users=60).dataset(chunk_users)
    for name in ("user", "item", "time", "behavior", "value"):
        np.testing.assert_array_equal(getattr(whole.interactions, name), getattr(again.interactions, name))
    for name in ("user", "time", "text"):
        np.testing.assert_array_equal(getattr(whole.context, name), getattr(again.context, name))
    assert whole.social.equals(again.social)


def test_another_process_generates_the_same():
    script = f"""
from hashlib import sha256
from recbench_video.simulated import VideoSim
from recbench.simulate.walk import log_of_users
from recbench.simulate.words import category_searched
world = VideoSim(VideoSim.Params(**{SMALL})).world()
log = log_of_users(world.truth, 0, 400)
print(world.checksum, sha256(log.item.tobytes() + log.time.tobytes() + log.value.tobytes()).hexdigest())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    here, log = world("video-sim"), log_of_users(world("video-sim").truth, 0, 400)
    mine = hashlib.sha256(log.item.tobytes() + log.time.tobytes() + log.value.tobytes()).hexdigest()
    assert done.stdout.split() == [here.checksum, mine]


def test_checksum_names_the_world():
    worlds = [world("video-sim"), world("video-sim", seed=1), world("video-sim", drift=0), world("social-sim")]
    assert len({w.checksum for w in worlds}) == len({digest(log_of_users(w.truth, 0, 50)) for w in worlds}) == 4


@pytest.mark.parametrize("sim", SIMS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 50, 40), (3, 1, 2), (30, 2, 1)])
def test_the_smallest_worlds_live(sim, sizes):
    n_users, n_items, days = sizes
    for visits in (1, 4):
        data = world(sim, n_users=n_users, n_items=n_items, days=days, visits=visits).dataset()
        log = data.interactions
        assert set(log.user) == set(range(n_users))
        assert log.time[0] >= START and log.time[-1] < START + (days + 1) * DAY
        if visits == 1:
            assert (np.bincount(log.user[log.behavior == 0]) == 1).all()


def test_too_large_a_world_is_refused_in_one_line():
    with pytest.raises(RecbenchError, match=r"^a world of 1,000,000 items and 400 periods of 1 days .* lower n_items"):
        world("social-sim", n_items=1_000_000, days=400)
    with pytest.raises(RecbenchError, match="n_users must be in 1 to 20000000"):
        WorldParams(n_users=20_000_001)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": (0.5, 0.5, 0.1, 0, 0)}, "sum to 1; given"),
        ({"weights": (0, 0, 1, 0, 0)}, "search below 1"),
        ({"parents": (0, 2, 1)}, r"an earlier one as parent; given 3 behaviors, 3 rows and the parents \(0, 2, 1\)"),
        ({"chances": ((0, 0, 0, 0),)}, "given 3 behaviors, 1 rows"),
    ],
)
def test_a_recipe_that_says_no_world_is_refused(changes, told):
    with pytest.raises(RecbenchError, match=told):
        replace(world("ecommerce-sim").truth.recipe, **changes)


# the log against the truth


def by_hand(w: World, user: int, time: int, recent: list[int], asked: int) -> list[float]:
    """The formulas of docs/simulated.md, item by item; `recent`: last first; `asked`: category searched for, or -1."""
    t, (popular, favourite, search, follower, again) = w.truth, w.truth.recipe.weights
    period = min((time - START) // (DAY * t.recipe.period_days), t.n_periods - 1)
    moved = 0.5 + t.params.drift * (period / (t.n_periods - 1) - 0.5)
    first, second = t.users(np.array([user])).favourites[:, 0]
    stock, out = t.popularity[period], []
    for item in range(t.params.n_items):
        category = t.category[item]
        within = stock[item] / sum(stock[i] for i in range(t.params.n_items) if t.category[i] == category)
        if asked >= 0:
            out.append(within * (category == asked))
            continue
        liked = within * ((1 - moved) * (category == first) + moved * (category == second))
        p = popular * stock[item] + favourite * liked
        if recent:
            p += follower * sum(row[recent[0]] == item for row in t.followers) / 3 + again * recent.count(item) / len(
                recent
            )
        else:
            p += (follower + again) * stock[item]
        out.append(p / (1 - search))
    return out


@pytest.mark.parametrize("sim", SIMS)
def test_the_oracle_follows_the_formulas(sim):
    w, (queries, _) = world(sim), every_visit(sim)
    rows = np.r_[np.arange(0, len(queries), len(queries) // 40), np.flatnonzero(searched(w.truth, queries) >= 0)[:10]]
    some = queries.take(rows)
    recent, asked = remembered(some), searched(w.truth, some)
    assert (asked >= 0).any() and (asked < 0).any()
    for q, scores in enumerate(w.oracle_scores(some)):
        items = some.items[q][some.behaviors[q] == 0][::-1][:5].tolist()
        assert [i for i in recent[q] if i >= 0] == items
        expected = by_hand(w, int(some.user[q]), int(some.time[q]), items, int(asked[q]))
        np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-15)


def evenness(scores: np.ndarray, item: np.ndarray, ranked: bool) -> float:
    """The p-value of the true statement that each visit, put through the distribution function, is an even draw.

    Steps of the function are broken by lot; `ranked`: items in the order of their probability instead of their number.
    """
    rows, lot = np.arange(len(item)), np.random.default_rng(0)
    order = np.argsort(-scores if ranked else np.broadcast_to(np.arange(60), scores.shape), axis=1, kind="stable")
    place = np.argsort(order, axis=1)[rows, item]
    sums = np.cumsum(np.take_along_axis(scores, order, axis=1), axis=1)
    even = sums[rows, place] - lot.random(len(item)) * scores[rows, item]
    return stats.chisquare(np.histogram(even, 50, (0, 1 + 1e-9))[0], np.full(50, len(item) / 50)).pvalue


@pytest.mark.parametrize("sim", SIMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_visits_are_drawn_from_the_oracle(sim, seed):
    queries, item = every_visit(sim, n_users=1500, seed=seed)
    scores = world(sim, n_users=1500, seed=seed).oracle_scores(queries)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-9)
    assert len(item) > 5000 and scores[np.arange(len(item)), item].min() > 0
    asked = searched(world(sim, n_users=1500, seed=seed).truth, queries) >= 0
    for rows in (slice(None), asked, ~asked):
        for ranked in (True, False):
            assert evenness(scores[rows], item[rows], ranked) > RARE


def test_a_wrong_truth_is_found_out():
    """The check above is no rubber stamp: it refuses the tastes of another seed, and a truth that reads no searches."""
    queries, item = every_visit("ecommerce-sim", n_users=1500)
    other, own = world("ecommerce-sim", n_users=1500, seed=1), world("ecommerce-sim", n_users=1500)
    assert evenness(other.oracle_scores(queries), item, ranked=True) < 1e-12
    asked = searched(own.truth, queries) >= 0
    deaf = own.oracle_scores(replace(queries, searches=None))
    assert evenness(deaf[asked], item[asked], ranked=True) < 1e-12


def visits_and_outcomes(sim: str, **params):
    """Each visit's user, item, time, familiarity and (N, B) which behaviours followed, taken from the log by hand."""
    log = dataset(sim, **params).interactions
    rows, outcome, familiar, recent, last = [], [], [], {}, {}
    for e in range(len(log)):
        user, item, behavior = int(log.user[e]), int(log.item[e]), int(log.behavior[e])
        if behavior:
            outcome[last[user]][behavior] = True
            assert log.item[rows[last[user]]] == item
            continue
        before = recent.setdefault(user, [])
        familiar.append(item in before[-5:])
        before.append(item)
        last[user] = len(rows)
        rows.append(e)
        outcome.append([True] + [False] * (len(log.behaviors) - 1))
    return log.user[rows], log.item[rows], log.time[rows], np.array(familiar), np.array(outcome), log.value[rows]


@pytest.mark.parametrize("sim", SIMS)
def test_behaviours_are_drawn_from_their_probabilities(sim):
    user, item, time, familiar, outcome, _ = visits_and_outcomes(sim, n_users=1500)
    chance = world(sim, n_users=1500).probabilities(user, item, time, familiar)
    assert chance.shape == outcome.shape and (chance[:, 0] == 1).all()
    for b in range(1, chance.shape[1]):
        groups = np.argsort(np.argsort(chance[:, b], kind="stable")) * 10 // len(chance)
        seen, expected, spread = (
            np.bincount(groups, column, 10)
            for column in (outcome[:, b], chance[:, b], chance[:, b] * (1 - chance[:, b]))
        )
        assert expected.min() > 20
        assert stats.chi2.sf(np.sum((seen - expected) ** 2 / spread), 10) > RARE


@pytest.mark.parametrize("sim", SIMS)
def test_logistic_regression_finds_the_planted_coefficients(sim):
    """Constant and weights of affinity, price and familiarity of each behaviour, among visits where its parent happened:
    most lie within their 95% intervals, and those of a behaviour together no further off than by chance."""
    user, item, time, familiar, outcome, _ = visits_and_outcomes(sim, n_users=3000)
    truth = world(sim, n_users=3000).truth
    x = np.column_stack([np.ones(len(user)), *truth.circumstances(user, item, time), familiar])
    model, z = LogisticRegression(LogisticRegression.Params(l2=1e-3, iterations=1000)), []
    for b in range(1, len(truth.recipe.behaviors)):
        rows = outcome[:, truth.recipe.parents[b]] > 0
        coef, intercept, _ = model.solved(csr_matrix(x[rows, 1:]), outcome[rows, b], 1)
        found = np.r_[intercept, coef]
        p = 1 / (1 + np.exp(-x[rows] @ found))
        covariance = np.linalg.inv(x[rows].T @ (x[rows] * (p * (1 - p))[:, None]))
        off = found - truth.recipe.chances[b]
        assert np.sqrt(np.diag(covariance)).max() < 0.25, "too few visits to find anything"
        assert stats.chi2.sf(off @ np.linalg.solve(covariance, off), 4) > RARE
        z += (off / np.sqrt(np.diag(covariance))).tolist()
    assert np.mean(np.abs(z) < stats.norm.ppf(0.975)) >= 0.75, np.round(z, 2)


@pytest.mark.parametrize("name", ["ecommerce-sim-purchase", "social-sim-engagement"])
def test_the_oracle_says_how_likely_a_behaviour_is(name):
    """What comes true lies within chance of what the oracle says, in the whole and in each third of its probabilities."""
    sim = name.rsplit("-", 1)[0]
    asked = next(b for b in registry.find("data", sim).load().boards if b.name == name)
    parts = split(dataset(sim, n_users=1500), asked)
    oracle = world(sim, n_users=1500).oracle()
    oracle.fit(parts.train, Context(board=asked))
    answers = judge(oracle, parts.test)
    assert answers.behaviors == asked.behaviors and len(answers.user_Q) > 4000
    for p_Q, true_Q in zip(answers.predicted_QB.T, answers.true_QB.T, strict=True):
        order = np.argsort(p_Q)
        for some in (order, *np.array_split(order, 3)):
            error = np.sqrt(np.sum(p_Q[some] * (1 - p_Q[some])))
            assert abs(true_Q[some].sum() - p_Q[some].sum()) < -stats.norm.ppf(RARE / 2) * error
        thirds = [true_Q[some].mean() for some in np.array_split(order, 3)]
        assert thirds[0] < 0.6 * thirds[2]


def knows(truth, queries, q, budgets):
    """The chances that a scholar gives for question q: every pair of favourites and budget, visit after visit."""
    recipe, share = truth.recipe, 0.0
    history = [
        (int(item), int(time), int(behavior))
        for item, time, behavior in zip(
            *(rows.take([q]).flat()[1] for rows in (queries.items, queries.times, queries.behaviors)), strict=True
        )
    ]
    visits = [
        [item, time, {b for i, t, b in history if b and i == item and t > time}] for item, time, b in history if not b
    ]
    for at, (item, time, _) in enumerate(visits):  # what follows a later visit to the same item is not this one's
        later = [t for i, t, _ in visits[at + 1 :]][:1] or [np.inf]
        visits[at][2] = {b for i, t, b in history if b and i == item and time < t < later[0]}
    visits.append([int(queries.item[q]), int(queries.time[q]), None])
    asked = [] if queries.searches is None else queries.searches.take([q]).flat()[1].tolist()
    popular, favourite, _, follower, again = recipe.weights
    answer = np.zeros(len(recipe.behaviors))
    for first, second, budget in itertools.product(range(truth.n_categories), range(truth.n_categories), budgets):
        p, recent, before = 1.0, [], -1
        for item, time, did in visits:
            period, category = truth.period(np.array([time])), truth.category[item]
            moved = truth.moved(period)[0]

            def taste(c, moved=moved, first=first, second=second):
                return (first == c) * (1 - moved) + (second == c) * moved

            within = truth.popularity[period[0], item] / truth.mass[period[0], category]
            words = [e for e in asked if before < queries.context.time[e] <= time]
            if words:
                sought = category_searched(truth, queries.context.text[[words[-1]]])[0]
                p *= taste(sought) * (within if sought == category else 0) + 1e-12
            elif recent:
                chance = popular * truth.popularity[period[0], item] + favourite * taste(category) * within
                chance += follower * np.mean([row[recent[0]] == item for row in truth.followers])
                p *= chance + again * np.mean([other == item for other in recent])
            else:
                chance = (popular + follower + again) * truth.popularity[period[0], item]
                p *= chance + favourite * taste(category) * within
            over, familiar = max(0.0, truth.level[item] - budget), float(item in recent)
            told = [truth.logistic(b, taste(category), over, familiar) for b in range(len(recipe.behaviors))]
            if did is None:
                joint = np.array([float(x) for x in truth.joint(*map(np.asarray, (taste(category), over, familiar)))])
                answer, share = answer + p * joint, share + p
                continue
            for b in range(1, len(told)):
                if recipe.parents[b] == 0 or recipe.parents[b] in did:
                    p *= told[b] if b in did else 1 - told[b]
            recent, before = [item, *recent[:4]], time
    return answer / share


@pytest.mark.parametrize("name", ["ecommerce-sim-purchase", "social-sim-engagement"])
def test_the_scholar_is_bayes_rule(name):
    sim, size = name.rsplit("-", 1)[0], {"n_users": 40, "n_items": 12, "n_categories": 3}
    asked = next(b for b in registry.find("data", sim).load().boards if b.name == name)
    queries, truth = split(dataset(sim, **size), asked).test.queries, world(sim, **size).truth
    scholar = world(sim, **size).scholar(n_budgets=3)
    scholar.fit(None, Context(board=asked))
    assert len(queries) > 60 and (queries.items.lengths == 0).any() and queries.items.lengths.max() > 20
    rows = np.arange(0, len(queries), 7)
    by_hand = np.array([knows(truth, queries, q, (-2 / 3, 0, 2 / 3)) for q in rows])
    columns = [truth.recipe.behaviors.index(b) for b in asked.behaviors]
    np.testing.assert_allclose(scholar.predict(queries)[rows], by_hand[:, columns], rtol=1e-6)
    assert scholar.predict(queries.take(slice(0, 0))).shape == (0, len(columns))


@pytest.mark.parametrize("name", ["ecommerce-sim-purchase", "social-sim-engagement"])
def test_the_scholar_lies_between_the_rates_and_the_oracle(name):
    """Its answers come true as often as they say, and nobody who knows less has a lower log loss in the mean."""
    sim = name.rsplit("-", 1)[0]
    asked = next(b for b in registry.find("data", sim).load().boards if b.name == name)
    parts, loss = split(dataset(sim, n_users=1500), asked), {}
    for who in ("oracle", "scholar"):
        model = getattr(world(sim, n_users=1500), who)()
        model.fit(parts.train, Context(board=asked))
        answers = judge(model, parts.test)
        p, y = answers.predicted_QB, answers.true_QB
        loss[who] = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        for b in range(p.shape[1]):
            for some in np.array_split(np.argsort(p[:, b]), 3):
                error = np.sqrt(np.sum(p[some, b] * (1 - p[some, b])))
                assert abs(y[some, b].sum() - p[some, b].sum()) < -stats.norm.ppf(RARE / 2) * error
    rates = y.mean(0)
    loss["rates"] = -(y * np.log(rates) + (1 - y) * np.log(1 - rates))
    for better, worse in (("oracle", "scholar"), ("scholar", "rates")):
        gain = (loss[worse] - loss[better]).mean(1)
        assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))


def test_equal_chances_give_a_binomial():
    """One category and a budget above every price leave one chance for each: the count is binomial, exactly."""
    params = {"n_users": 1500, "n_categories": 1, "drift": 0}
    user, item, _, familiar, outcome, _ = visits_and_outcomes("ecommerce-sim", **params)
    truth = world("ecommerce-sim", **params).truth
    same = ~familiar & (truth.level[item] <= truth.users(user).budget)
    cart = 1 / (1 + np.exp(1.6 - 1.5))
    purchase = cart / (1 + np.exp(0.3 - 0.8))
    for b, chance in ((1, cart), (2, purchase)):
        assert same.sum() > 3000
        assert stats.binomtest(int(outcome[same, b].sum()), int(same.sum()), chance).pvalue > RARE


def test_the_share_watched_has_the_stated_mean():
    user, item, time, familiar, _, value = visits_and_outcomes("video-sim", n_users=1500)
    mean = world("video-sim", n_users=1500).truth.mean_value(user, item, time, familiar)
    even = value.astype(float) ** (mean / (1 - mean))
    assert stats.kstest(even, "uniform").pvalue > RARE
    assert abs(value.mean() - mean.mean()) < 4 * value.std() / len(value) ** 0.5


@pytest.mark.parametrize("sim", ["ecommerce-sim", "video-sim"])
@pytest.mark.parametrize("known", [0, 1, 7])
def test_the_mean_of_the_visits_to_come(sim, known):
    """Where nothing drifts: how often each item is among the visits after the first few, against what was foretold."""
    ahead, params = 4, {"n_users": 4000, "drift": 0, "visits": 15}
    w, data = world(sim, **params), dataset(sim, **params)
    log = data.interactions.where(data.interactions.behavior == 0)
    order, starts = log.by_user()
    users = np.flatnonzero(np.diff(starts) >= known + ahead)
    start = starts[users]
    item, zeros = log.item[order], np.zeros(len(order), int)
    past = [Ragged(column, start, start + known) for column in (item, zeros, log.time[order], zeros)]
    queries = Queries(users, np.full(len(users), START + DAY), *past, np.ones(60, bool), True)
    foretold = w.oracle_scores(queries, ahead=ahead)
    np.testing.assert_allclose(foretold.sum(1), 1, rtol=1e-9)
    counts = np.zeros_like(foretold)
    for step in range(ahead):
        counts[np.arange(len(users)), item[start + known + step]] += 1 / ahead
    off = counts - foretold
    z = off.sum(0) / np.sqrt((off**2).sum(0))
    assert len(users) > 1500 and np.abs(z).max() < stats.norm.isf(RARE / 120)


# the oracle on boards


class Transitions(Recommender):
    """How often each item followed the last one in training."""

    def fit(self, train, context):
        log = train.interactions
        order, _ = log.by_user()
        user, item = log.user[order], log.item[order]
        self.counts = np.zeros((log.n_items, log.n_items))
        same = user[1:] == user[:-1]
        np.add.at(self.counts, (item[:-1][same], item[1:][same]), 1.0)
        self.popular = np.bincount(item, minlength=log.n_items) / len(item)

    def score(self, queries):
        last = [row[-1] if len(row) else -1 for row in (queries.items[q] for q in range(len(queries)))]
        return np.array([self.popular + (self.counts[i] if i >= 0 else 0) for i in last])


@pytest.mark.parametrize("sim", SIMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_shortcut_reaches_the_oracle(sim, seed):
    params = {"n_users": 1200, "n_items": 200, "days": 40, "seed": seed}
    w, data, ndcg = world(sim, **params), dataset(sim, **params), metric("ndcg@10", "ranking")
    for number in (0, 1):
        on = board(sim, number, candidates="all")
        parts = split(data, on)
        target = on.behaviors[0] if on.behaviors[0] != data.interactions.behaviors[0] else ""
        models = {"oracle": w.oracle(target, ahead=5 if on.ask == "window_start" else 0), "transitions": Transitions()}
        models |= {name: registry.find("model", name).load()() for name in ("popular", "recent-popular")}
        found = {}
        for name, model in models.items():
            model.fit(parts.refit, Context(repeat=on.repeat))
            found[name] = measure(rank(model, parts.test, 10), parts.test, [ndcg], parts.train)[0]
        assert len(parts.test.queries) > 50
        best = max(score.value for name, score in found.items() if name != "oracle")
        assert found["oracle"].low > best


@pytest.mark.parametrize("sim", SIMS)
def test_the_oracle_knows_its_own_score(sim):
    """On the board of the next visit the list's ndcg is, in the mean, what the stated probabilities say it is."""
    parts = split(dataset(sim, n_users=1500), board(sim, candidates="all"))
    oracle = world(sim, n_users=1500).oracle()
    score = measure(rank(oracle, parts.test, 10), parts.test, [metric("ndcg@10", "ranking")], parts.train)[0]
    chances = mask(oracle.score(parts.test.queries), parts.test.queries).astype(float)
    chances[np.isinf(chances)] = 0
    chances /= chances.sum(1, keepdims=True)
    gain = 1 / np.log2(np.arange(10) + 2)
    best = -np.sort(-chances, axis=1)[:, :10]
    expected, spread = best @ gain, best @ gain**2 - (best @ gain) ** 2
    z = (score.per_query - expected).sum() / np.sqrt(spread.sum())
    assert len(expected) > 500 and abs(z) < stats.norm.isf(RARE / 2)


def test_what_the_oracle_knew_at_the_start_is_worth_less_later():
    queries, item = every_visit("social-sim", n_users=1500)
    w, rows = world("social-sim", n_users=1500), np.arange(len(item))
    now = w.oracle_scores(queries)[rows, item]
    then = w.oracle_scores(replace(queries, time=queries.time - 3 * DAY))[rows, item]
    assert np.log(now).mean() > np.log(np.maximum(then, 1e-6)).mean() + 0.3


def test_an_unknown_behaviour_is_refused():
    queries, _ = every_visit("video-sim")
    with pytest.raises(RecbenchError, match="behavior must be one of watch, like; given 'likes'; did you mean 'like'"):
        world("video-sim").oracle_scores(queries, "likes")


# the rest of the world


@pytest.mark.parametrize("sim", SIMS)
def test_words_agree_with_the_truth(sim):
    data, truth = dataset(sim), world(sim).truth
    items, names = data.items, data.items["category"].to_numpy()
    assert [len(set(names[truth.category == c])) for c in range(6)] == [1] * 6 and len(set(names)) == 6
    own = [
        {word for text in items["text"][truth.category == c] for word in text.split(". ")[1].split()} for c in range(6)
    ]
    assert sum(map(len, own)) == len(set.union(*own))  # no word of one category occurs in another
    relation, about = data.knowledge["relation"], data.knowledge.set_index("head")
    kind, maker = truth.recipe.kinds
    for name, column in ((kind, "category"), (maker, maker)):
        triples = about[(relation == f"has-{name}").to_numpy()]["tail"]
        assert triples.loc[items["entity"]].tolist() == items[column].tolist()
    log = data.interactions
    when = {(int(u), int(t)) for u, t in zip(log.user, log.time, strict=True)}
    assert len(when) == len(log)  # nobody does two things in one second
    assert {(int(u), int(t) + 3) for u, t in zip(data.context.user, data.context.time, strict=True)} <= when


def test_friends_share_a_favourite():
    data, truth = dataset("social-sim"), world("social-sim").truth
    user, friend = data.social["user"].to_numpy(), data.social["friend"].to_numpy()
    assert (user != friend).all() and len(set(zip(user, friend, strict=True))) == len(user)
    first = truth.users(np.arange(400)).favourites[0]
    near = user % 8 == friend % 8  # 400 users make 8 communities
    assert (first[user[near]] == first[friend[near]]).all()
    assert 0.75 < near.mean() < 0.9


def test_posts_are_seen_after_their_publication_and_age_fast():
    data = dataset("social-sim", n_users=1500)
    log, age = data.interactions, data.interactions.time - data.items["published"].to_numpy()[data.interactions.item]
    assert age.min() >= 0
    assert np.median(age) < 4 * DAY < np.median(log.time - START)


def test_evenings_and_weekends_are_busy():
    time = dataset("ecommerce-sim", n_users=10_000).interactions.time - START
    hour = time // 3600 % 24
    assert np.mean((hour >= 19) & (hour < 22)) > 3 * np.mean((hour >= 7) & (hour < 10))
    weekend = time[(time >= 21 * DAY) & (time < 28 * DAY)] // DAY % 7 >= 5  # by then everybody has joined
    assert 1.19 < weekend.mean() / 2 / ((~weekend).mean() / 5) < 1.48


@pytest.mark.parametrize("visits", [1, 2.5, 6, 40])
def test_users_make_as_many_visits_as_was_asked_for(visits):
    log = world("social-sim", n_users=3000, visits=visits, days=28).dataset().interactions
    counts = np.bincount(log.user[log.behavior == 0])
    assert abs(counts.mean() - visits) <= 4 * counts.std() / 3000**0.5


@pytest.mark.parametrize("chunk_users", [23, 400])
def test_parquet_holds_the_same_world(tmp_path, chunk_users):
    import pandas as pd

    data = dataset("social-sim")
    assert world("social-sim").write_parquet(tmp_path, chunk_users) == len(data.interactions)
    events = pd.read_parquet(tmp_path / "events.parquet").sort_values(["time", "user"])
    log = data.interactions
    for name in ("user", "item", "time", "value"):
        np.testing.assert_array_equal(events[name], getattr(log, name))
    assert events["behavior"].tolist() == [log.behaviors[b] for b in log.behavior]
    searches = pd.read_parquet(tmp_path / "searches.parquet").sort_values(["time", "user"])
    assert searches["text"].tolist() == data.context.text.tolist()
    assert pd.read_parquet(tmp_path / "friends.parquet").equals(data.social)
    assert pd.read_parquet(tmp_path / "items.parquet").equals(data.items)
    assert pd.read_parquet(tmp_path / "knowledge.parquet").equals(data.knowledge)


def test_the_example_of_the_docs_runs(capsys):
    text = (Path(__file__).parents[1] / "docs" / "simulated.md").read_text()
    exec(text.split("```python\n")[1].split("```")[0], {})
    (_, oracle, *_), (_, knn, *_) = (line.split() for line in capsys.readouterr().out.splitlines())
    assert float(oracle) > 2 * float(knn) > 0
