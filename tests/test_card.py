"""The data card: its numbers by hand, its two tests on worlds whose answer is known, its pictures, its page, its command.

Letters: E events, U users, I items, Q queries.
"""

import base64
import io
import itertools
import os
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from conftest import refused

from recbench import registry
from recbench.card import Card, card_of
from recbench.card.counts import activity_of, counts_of, drift_of, gini, jensen_shannon, spearman, top_share
from recbench.card.order import Transitions, links, order_test
from recbench.card.page import page
from recbench.card.sections import best_shortcut, moment, sections, share
from recbench.card.shortcuts import ItemTransitions, Popular, shortcut_scores
from recbench.data import ContextEvents, Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.draw import pictures
from recbench.errors import RecbenchError
from recbench.evaluate import Score
from recbench.model import Context
from recbench.testing.worlds import START, World, chain, checkerboard, cold, fashion

DAY = 86400


def data_of(log: Interactions, clock: str = "seconds", **fields) -> Dataset:
    info = DatasetInfo("made", "testing", clock, "MIT", "tests", "nobody", "none")
    ids = (np.arange(log.n_users), np.arange(log.n_items))
    return Dataset(info, log, *ids, checksum="0" * 64, **fields)


def log_of(user, item, time, **columns) -> Interactions:
    sizes = {"n_users": max(user) + 1, "n_items": max(item) + 1} | columns
    return Interactions.sorted(np.array(user), np.array(item), np.array(time), **sizes)


BY_HAND = log_of(
    [0, 0, 0, 1, 1, 2], [0, 1, 0, 0, 0, 2], [0, 10, 10, 20, 30, 40],
    behavior=np.array([0, 0, 1, 0, 0, 0]), behaviors=("view", "buy"), n_users=4, n_items=5,
)  # fmt: skip


def told(card: Card, title: str, name: str) -> str:
    """What a section says under a name."""
    return next(dict(s.pairs)[name] for s in sections(card) if s.title == title)


def test_counts_are_those_of_the_hand():
    counts = counts_of(BY_HAND, "seconds")
    assert (counts.events, counts.users, counts.items, counts.pairs) == (6, 3, 3, 4)
    assert counts.by_behavior == {"view": (5, 3, 4), "buy": (1, 1, 1)}
    assert (counts.repeats, counts.repeats_alike, counts.ties) == pytest.approx((2 / 6, 1 / 6, 2 / 6))
    assert counts.density == pytest.approx(4 / 9)
    assert (counts.lengths_U.tolist(), counts.sizes_I.tolist()) == ([3, 2, 1], [4, 1, 1])
    assert counts_of(BY_HAND, "order").ties is None


def test_gini_and_top_share_by_hand():
    assert gini(np.array([4, 1, 1])) == pytest.approx(1 / 3)
    assert gini(np.full(7, 3)) == pytest.approx(0.0) and gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert top_share(np.array([1, 4, 1])) == pytest.approx(4 / 6)
    assert top_share(np.r_[np.ones(198, int), 50, 52]) == pytest.approx(102 / 300)


def test_activity_by_month_knows_which_items_are_new():
    days = np.array(["2020-01-10", "2020-02-05", "2020-02-06", "2020-09-01"], "datetime64[s]").astype(int)
    activity = activity_of(log_of([0, 0, 1, 1], [0, 0, 1, 1], days), "days")
    assert (activity.period, activity.starts_T[0], len(activity.starts_T)) == ("month", np.datetime64("2020-01-01"), 9)
    assert activity.events_TB[:, 0].tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 1]
    assert activity.new_T[[0, 1, 8]].tolist() == [1.0, 0.5, 0.0] and np.isnan(activity.new_T[2:8]).all()
    assert activity.new_later == pytest.approx(1 / 3)


@pytest.mark.parametrize(("seconds", "clock", "period", "n_periods"), [
    (2 * 3600, "seconds", "hour", 3), (2 * 3600, "days", "day", 1), (9 * DAY, "seconds", "day", 10),
    (69 * DAY, "seconds", "week", 10), (31 * DAY, "months", "month", 2), (366 * DAY, "seconds", "month", 13),
])  # fmt: skip
def test_the_period_follows_span_and_clock(seconds, clock, period, n_periods):
    monday = int(np.datetime64("2024-01-01", "s").astype(int))
    activity = activity_of(log_of([0, 0], [0, 1], [monday, monday + seconds]), clock)
    assert (activity.period, len(activity.starts_T)) == (period, n_periods)
    assert activity.starts_T[0] == np.datetime64("2024-01-01") and activity.events_TB.sum() == 2


def test_drift_is_one_between_strangers_and_none_between_equals():
    apart = drift_of(log_of([0] * 8, [0, 0, 1, 1, 2, 2, 3, 3], range(8)))
    assert (apart.distance, apart.correlation) == pytest.approx((1.0, -1.0)) and apart.distance_by_lot < 0.8
    alike = drift_of(log_of([0] * 6, [0, 0, 1, 0, 0, 1], range(6)))
    assert (alike.distance, alike.correlation) == pytest.approx((0.0, 1.0))
    assert drift_of(log_of([0], [0], [0])) is None
    moving, still = (drift_of(world().dataset.interactions) for world in (fashion, checkerboard))
    assert moving.distance > 3 * moving.distance_by_lot and still.distance < 1.5 * still.distance_by_lot


def test_distance_and_correlation_are_those_of_scipy():
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    for _ in range(20):
        a_I, b_I = rng.integers(0, 5, (2, 30))
        assert jensen_shannon(a_I, b_I) == pytest.approx(jensenshannon(a_I, b_I, base=2))
        assert spearman(a_I, b_I) == pytest.approx(spearmanr(a_I, b_I).statistic)
    assert spearman(np.array([1, 1]), np.array([1, 2])) == 0


def test_a_link_leads_to_the_next_moment_of_the_same_user():
    user, time = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2]), np.array([1, 1, 1, 4, 4, 9, 9, 9, 9])
    origin, to = links(user, time)
    assert list(zip(origin.tolist(), to.tolist(), strict=True)) == [(0, 3), (1, 4), (2, 3), (3, 5), (4, 5)]


def test_the_reciprocal_rank_is_the_mean_over_every_order_of_ties():
    rng, n_items = np.random.default_rng(1), 6
    first, after = rng.integers(n_items, size=(2, 25))
    first[first == 5] = 0  # nothing follows item 5
    counts = np.zeros((n_items, n_items), int)
    np.add.at(counts, (first, after), 1)
    asked, wanted = (a.ravel() for a in np.meshgrid(np.arange(n_items), np.arange(n_items), indexing="ij"))
    found = Transitions.of(first, after, n_items).reciprocal_rank(asked, wanted)
    for a, w, value in zip(asked, wanted, found, strict=True):
        above, equal = int((counts[a] > counts[a, w]).sum()), int((counts[a] == counts[a, w]).sum())
        assert value == pytest.approx(np.mean([1 / r for r in range(above + 1, above + equal + 1)]))


def test_order_matters_on_the_chain():
    test = order_test(chain().split().train.interactions)
    assert test.true == 1.0 and test.users == 144
    assert test.matters and test.low > 0.5 and test.shuffled < 0.5 and len(test.gain_S) == 5
    assert test.gain == pytest.approx(test.gain_S.mean(), rel=0.02)  # but for shuffles that leave a user no question
    assert np.array_equal(order_test(chain().split().train.interactions).gain_S, test.gain_S)


def drawn_by_lot(seed: int, in_baskets: bool = False) -> Interactions:
    """150 users, 24 events each of 40 items with a long tail; in baskets the items of one moment are of one kind."""
    rng = np.random.default_rng(seed)
    weight_I = 1 / np.arange(1, 41)
    item = rng.choice(40, (150, 24), p=weight_I / weight_I.sum())
    step = np.tile(np.arange(24), (150, 1))
    if in_baskets:
        step //= 4
        item = item // 4 * 4 + 0
        item = np.repeat(item[:, ::4], 4, axis=1) + rng.integers(4, size=item.shape)
    return log_of(np.repeat(np.arange(150), 24), item.ravel(), (START + DAY * step).ravel())


@pytest.mark.parametrize("in_baskets", [False, True])
def test_order_does_not_show_where_there_is_none(in_baskets):
    tests = [order_test(drawn_by_lot(seed, in_baskets)) for seed in range(10)]
    assert all(test.users > 100 for test in tests)
    assert sum(test.matters for test in tests) <= 1
    assert abs(np.mean([test.gain for test in tests])) < 0.01


def test_without_three_moments_there_is_nothing_to_shuffle():
    assert order_test(log_of([0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3])) is None
    card = card_of(data_of(log_of([0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3])), None, "it is tiny")
    assert "three moments" in card.missing["order"] and card.missing["split"] == "no board: it is tiny"


def scores_on(world: World, **changes) -> dict:
    board = replace(world.board, **changes)
    scores, asked = shortcut_scores(world.split(**changes), board, world.dataset.info.clock)
    assert asked == len(world.split(**changes).valid.queries)
    return {name: s if isinstance(s, str) else s.value for name, s in scores.items()}


def test_shortcuts_on_the_chain():
    scores = scores_on(chain())
    evenly = sum(1 / np.log2(place + 1) for place in range(1, 11)) / 12
    assert scores["item transitions"] == 1.0
    assert scores["last item"] == 0.0  # the next item is the one met longest ago, in place 12
    assert scores["chance"] == pytest.approx(evenly) and scores["popular"] == pytest.approx(evenly)
    assert scores_on(chain(), repeat="new")["last item"] == "seen items are masked on this board"


def test_the_last_item_is_all_where_everyone_stays():
    user, step = np.repeat(np.arange(40), 6), np.tile(np.arange(6), 40)
    item = np.where(step == 0, (user + 1) % 20, user % 20)  # once elsewhere, then always at home
    world = World(data_of(log_of(user, item, START + DAY * step + user)), chain().board)
    assert scores_on(world)["last item"] == 1.0 and scores_on(world)["popular"] < 0.5


def test_recent_popularity_follows_the_fashion():
    scores = scores_on(fashion())
    assert scores["recent popular"] > 2 * scores["popular"]


def test_popularity_ranks_as_the_plugin_does():
    parts = cold().split()
    ours, theirs = Popular(), Context().model("popular")
    for model in (ours, theirs):
        model.fit(parts.train, Context())
    assert np.array_equal(ours.score(parts.valid.queries), theirs.score(parts.valid.queries))


def test_transitions_are_those_of_a_loop():
    parts = fashion().split()
    model, log = ItemTransitions(), parts.train.interactions
    model.fit(parts.train, Context())
    met_I = [len(set(log.user[log.item == i].tolist())) for i in range(log.n_items)]
    expected_QI = np.tile(np.array(met_I) / (max(met_I) + 1), (len(parts.valid.queries), 1))
    for q in range(len(parts.valid.queries)):
        last = parts.valid.queries.items[q][-1]
        for user in range(log.n_users):
            walk = log.item[log.user == user].tolist()  # no two events of a user share a moment
            for first, after in itertools.pairwise(walk):
                expected_QI[q, after] += first == last
    assert expected_QI.max() > 1
    assert model.score(parts.valid.queries) == pytest.approx(expected_QI)


def test_cold_shares_of_a_split():
    world = cold()
    parts = world.split()
    card = card_of(world.dataset, world.board)
    assert [c.unseen_answers for c in card.cold.values()] == [1.0, 1.0] and card.parts.leakage == parts.leakage
    refitted = card_of(world.dataset, replace(world.board, fit_on="train+valid"))
    assert [c.unseen_answers for c in refitted.cold.values()] == [1.0, 0.0]  # sold in the validation window

    wave = replace(fashion().board, candidates="all")
    parts, found = fashion().split(candidates="all"), card_of(fashion().dataset, wave).cold["validation"]
    known = set(parts.train.interactions.item.tolist())
    unseen = np.mean([item not in known for item in parts.valid.truth.values.tolist()])
    assert 0 < unseen < 1 and found.unseen_answers == pytest.approx(unseen) and found.without_history == 0
    assert (found.queries, found.answers) == (len(parts.valid.queries), len(parts.valid.truth.values))


def test_a_card_says_what_is_known_of_items_and_users():
    items = pd.DataFrame({"text": ["red hat", "", None, "a b c", "x"], "entity": ["m.1", "m.2", "", "", ""]})
    data = data_of(
        BY_HAND,
        items=items,
        users=pd.DataFrame({"age": [30, None, 40, None]}),
        knowledge=pd.DataFrame({"head": ["m.1", "m.9"], "relation": ["by", "by"], "tail": ["m.9", "m.8"]}),
        social=pd.DataFrame({"user": [0, 0, 77], "friend": [1, 2, 0]}),
        context=ContextEvents(np.array([0]), np.array([1]), np.array([0]), np.array(["hat"]), ("search",)),
        cleaning={"rows": 7, "broken_rows": 1},
    )
    card, known = card_of(data), "Known of items and users"
    assert told(card, known, "text") == "60.0% of the items; median 2 words, mean 2.0"
    assert told(card, known, "columns of items") == "text 60.0%, entity 40.0%"
    assert told(card, known, "columns of users") == "age 50.0%"
    assert told(card, known, "knowledge") == "2 triples, 1 relations, 3 entities; 20.0% of the items are entities"
    assert told(card, known, "social") == "3 edges; 25.0% of the users have one"
    assert told(card, "Size", "events without item") == "1: search"
    assert told(card, "Size", "items") == "3, and 2 without an event"
    assert sections(card)[-1].table == ({"count": "7", "meaning": "rows"}, {"count": "1", "meaning": "broken rows"})


@pytest.mark.parametrize("clock", ["order", "none"])
def test_without_a_clock_nothing_is_made_up(clock):
    world = checkerboard()
    dataset = replace(world.dataset, info=replace(world.dataset.info, clock=clock))
    card = card_of(dataset, world.board, "")
    assert card.activity is None and card.drift is None and card.counts.ties is None
    assert told(card, "Time", "dates, ties, drift").startswith("no clock: ")
    assert (card.order is None, card.parts is None) == (clock == "none",) * 2
    if clock == "none":
        assert told(card, "Does order matter", "shuffle test").startswith("no order: ")
        assert "needs an order" in told(card, "Split", "none")
    else:
        assert card.shortcuts["recent popular"].startswith("no clock: ")
    kept = ["long-tail", "histories", "behaviours"] + (["order", "shortcuts"] if clock == "order" else [])
    assert list(pictures(card)) == kept


def test_no_events_is_an_error():
    empty = Interactions.sorted(*np.empty((3, 0), int), n_users=0, n_items=0)
    with pytest.raises(RecbenchError, match="data=made holds no events"):
        card_of(data_of(empty))


def test_words_for_shares_and_moments():
    assert [share(x) for x in (0, 1, 0.318, 0.00073, 2e-9)] == ["0.0%", "100.0%", "31.8%", "0.073%", "2.0e-07%"]
    clocks = ("months", "days", "minutes", "seconds")
    assert [moment(1_700_000_000, clock) for clock in clocks] == [
        "2023-11", "2023-11-14", "2023-11-14 22:13 UTC", "2023-11-14 22:13:20 UTC",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def card() -> Card:
    world = chain()
    info = replace(world.dataset.info, notes="<script>alert(1)</script> & see https://example.org")
    behavior = (world.dataset.interactions.item % 3 == 0).astype(np.int8)
    log = replace(world.dataset.interactions, behavior=behavior, behaviors=("view", "buy"))
    return card_of(replace(world.dataset, info=info, interactions=log), world.board)


@pytest.fixture(scope="module")
def drawn(card):
    return pictures(card)


def test_pictures_are_png_with_something_on_them(card, drawn):
    from matplotlib.image import imread

    assert list(drawn) == ["long-tail", "histories", "behaviours", "activity", "order", "shortcuts"]
    for name, picture in drawn.items():
        pixels = imread(io.BytesIO(picture.png), format="png")[..., :3]
        height, width = pixels.shape[:2]
        assert width == 1080 and height > 200, name
        margin = np.r_[pixels[:, :3].ravel(), pixels[:, -3:].ravel(), pixels[:2].ravel(), pixels[-2:].ravel()]
        assert (margin == 1).all(), f"{name}: something is cut off at the edge"
        marks = pixels[height // 5 :].reshape(-1, 3)
        assert ((marks.max(1) - marks.min(1)) > 0.3).mean() > 0.001, f"{name}: no coloured mark"
    assert pictures(card) == drawn


def test_titles_say_what_the_pictures_show(drawn):
    titles = {name: picture.title for name, picture in drawn.items()}
    assert titles["long-tail"] == "The most frequent 1% of the items hold 8.3% of the events"
    assert titles["histories"] == "Half of the users have 15 events or fewer; the longest history has 15"
    assert titles["behaviours"] == "view is 66.7% of the events, buy 33.3%"
    assert titles["activity"].startswith("2,160 events from 2020-09-13 to 2020-09-27; ")
    assert titles["order"].startswith("Order matters: the next item's reciprocal rank is 1.000, shuffled 0.")
    assert titles["shortcuts"] == "The bar to beat: item transitions reaches ndcg@10 1.0000 on validation"


def test_the_bar_is_the_shortcut_that_the_headline_finds_best(card):
    """The largest NDCG, but the least log loss."""
    for higher, best, value in ((True, "second", 0.7), (False, "first", 0.3)):
        first, second = (Score("x", "x/v1", value, None, None, np.zeros(0), higher) for value in (0.3, 0.7))
        found = replace(card, shortcuts={"first": first, "second": second, "third": "cannot be tried"})
        assert best_shortcut(found) == (best, found.shortcuts[best])
        bar = dict(sections(found)[0].pairs)["bar to beat"]
        assert bar == f"ndcg@10 {value:.4f} on validation, by the shortcut {best}"
        assert pictures(found)["shortcuts"].title.startswith(f"The bar to beat: {best} reaches ndcg@10 {value:.4f}")
    assert best_shortcut(replace(card, shortcuts={"third": "cannot be tried"})) is None


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_nothing_but_itself(card, drawn):
    seen = Seen(page(card, drawn))
    assert not seen.tags & {"script", "link", "iframe", "object", "embed", "base", "a", "form"}
    assert not [name for name, _ in seen.attributes if name in ("href", "srcset", "style") or name.startswith("on")]
    sources = [value for name, value in seen.attributes if name == "src"]
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    inside = {base64.b64decode(value.partition(",")[2]) for value in sources}
    assert inside == {picture.png for picture in drawn.values()}
    assert "@import" not in seen.text and "url(" not in seen.text
    assert "<script>alert(1)</script> & see https://example.org" in seen.text
    for section in sections(card):
        assert section.title in seen.text
        for cell in (*sum(section.pairs, ()), *(cell for row in section.table for cell in row.values())):
            assert cell in seen.text


class Kept(DatasetSource):
    """The chain, read from nowhere, kept in the cache all the same."""

    info = DatasetInfo("kept set", "testing", "seconds", "MIT", "tests")
    no_board = "it is for tests"

    def paths(self):
        return []

    def load(self) -> Dataset:
        graph = pd.DataFrame({"head": ["a"], "relation": ["b"], "tail": ["c"]})
        return replace(chain().dataset, info=self.info, knowledge=graph)


def test_what_a_set_holds_is_read_off_it():
    assert Holds.of(Kept().load()) == Holds(2160, 144, 12, ("interact",), True, ("triples",))


def test_show_prints_and_draws(recbench, tmp_path):
    done = recbench("data", "show", "acme-shop", env={"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "data=acme-shop, from acme-recsys 1.0.0"
    for line in (
        "  first event             1970-01-01",
        "  last event              1970-01-20",
        "  density                 100.0% of all pairs occur; 0.0% do not",
        "  repeats                 50.0% of the events, 50.0% under the same behaviour",
        "  knowledge graph         no",
    ):
        assert line in lines
    assert "100.0%     8      100.0%    80" in done.stdout.replace("interact   160     ", "")
    folder = tmp_path / "data-cards" / "acme-shop"
    names = [
        "activity.png",
        "behaviours.png",
        "card.html",
        "histories.png",
        "long-tail.png",
        "order.png",
        "shortcuts.png",
    ]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert max(len(line) for line in lines[:-1]) <= 80 and lines[-1].startswith("wrote data-cards/acme-shop/card.html")
    assert "Data card: acme-shop" in (folder / "card.html").read_text()


def test_list_names_every_set_and_a_broken_one_hurts_nobody(recbench, tmp_path):
    site = tmp_path / "site"
    info = site / "broken-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "broken_data.py").write_text("1 / 0\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    points = "[recbench.data]\nbroken = broken_data:Broken\nacme-alias = acme_recsys:AcmeShop\n"
    (info / "entry_points.txt").write_text(points)
    path = os.pathsep.join((str(site), os.environ["PYTHONPATH"]))
    env = {"COLUMNS": "80", "PYTHONPATH": path, "RECBENCH_CACHE": str(tmp_path / "cache")}
    env["RECBENCH_PLUGINS"] = "broken,acme-recsys"
    done = recbench("data", "list", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "acme-shop days - - - - -" in lines and "acme-alias another name for acme-shop" in lines
    assert "acme-shop Boards: acme-shop. Licence: CC0-1.0." in lines
    assert any(line.startswith("broken BROKEN: data=broken from broken 0.1") for line in lines)
    lines = [" ".join(line.split()) for line in recbench("data", "list", "load=true", env=env).stdout.splitlines()]
    assert "acme-shop days 160 8 10 no no" in lines
    assert "acme-shop interact. Boards: acme-shop. Licence: CC0-1.0." in lines


@pytest.mark.parametrize(("words", "fragments"), [
    ((), ("data: say what", "data show NAME")),
    (("lst",), ("data lst", "did you mean 'list'?")),
    (("list", "all"), ("data list all", "load=true")),
    (("show",), ("data show: say what", "data show NAME")),
    (("show", "acme-shpo"), ("data=acme-shpo is not installed", "did you mean 'acme-shop'?")),
    (("show", "acme-shop", "ot=x"), ("'ot=x' is not understood", "did you mean 'out'?")),
    (("show", "acme-shop", "root=x"), ("'root=x' is not understood", "did you mean 'data.root'?")),
    (("show", "acme-shop", "data.rot=x"), ("data=acme-shop has no parameter 'rot'", "did you mean 'root'?")),
    (("show", "acme-shop", "board=acme-shp"), ("board=acme-shp is unknown", "did you mean 'acme-shop'?")),
    (("show", "ciao"), ("data=ciao", "not found", "data.root=FOLDER")),
    (("show", "acme-shop", "out=taken"), ("cannot write taken",)),
])  # fmt: skip
def test_what_cannot_be_shown_is_one_line(quickly, tmp_path, words, fragments):
    (tmp_path / "taken").write_text("a file")
    refused(quickly("data", *words, env={"RECBENCH_CACHE": str(tmp_path / "cache")}), *fragments)


def test_a_log_of_the_users_own(quickly, tmp_path):
    if "file" not in registry.names("data"):
        pytest.skip("the plugin data=file is not installed")
    rows = [f"{u},{(u * 3 + d) % 9},2024-01-{d + 1:02} 10:00:00,view" for d in range(30) for u in range(6)]
    (tmp_path / "events.csv").write_text("\n".join(["user,item,timestamp,event", *rows]) + "\n")
    done = quickly("data", "show", "file", "data.path=events.csv", "out=cards", env={"RECBENCH_CACHE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "  events                  180" in done.stdout.splitlines()
    assert (tmp_path / "cards" / "card.html").is_file() and (tmp_path / "cards" / "long-tail.png").is_file()
