"""Models made of other models: their words, the weights that are found, what a refit repeats, and who answers for whom.

Letters: Q queries, I items, M members.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recbench_classic.blend import Blend, BlendParams, best_mix
from recbench_classic.fusion import on_one_scale, standard
from recbench_classic.members import member_of, members_of
from recbench_classic.pairs import histories, pair_features, remembered
from recbench_classic.rerank import Rerank, RerankParams, inner_holdout
from recbench_classic.switch import Switch, SwitchParams
from test_classic import ask, dataset, fitted
from test_init_from import plan_for, shop_board

from recbench.config import check_words
from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.entry import Entry
from recbench.errors import RecbenchError
from recbench.evaluate import rank
from recbench.features import behaviour_features
from recbench.model import Context, load_run
from recbench.origin import keyed
from recbench.parts import DAY
from recbench.plan import Board
from recbench.run import Surroundings, execute
from recbench.split import split
from recbench.testing import worlds

BOARDS = Path(__file__).parents[1] / "leaderboards"
TRAIN_ONLY, REFITTED = shop_board("strict"), shop_board("refitted", fit_on="train+valid")


@pytest.fixture(scope="module")
def drawn():
    """60 users, 30 items of which the last never comes, skewed; and 12 questions, two of them with short histories."""
    rng = np.random.default_rng(7)
    item = np.minimum(rng.geometric(0.12, 600) - 1, 28)
    data = dataset(rng.integers(0, 60, 600), item, rng.integers(0, 50 * DAY, 600), 60, 30)
    table = pd.DataFrame({"category": [f"c{i % 5}" for i in range(30)], "text": [f"word{i % 5}" for i in range(30)]})
    lengths = (0, 1, 2, 3, 5, 8, 8, 9, 12, 20, 25, 40)
    return replace(data, items=table), ask([rng.integers(0, 29, n).tolist() for n in lengths], 30, now=50 * DAY)


# members by their words


def test_members_are_named_with_parameters_and_as_runs():
    ease, knn, run = members_of("ease + recbench-classic/item-knn@shrink:1.5@neighbours:50+run:/tmp/a.b/c", "x")
    assert (ease.name, ease.params, ease.run) == ("ease", {}, "")
    assert (knn.name, knn.params) == ("recbench-classic/item-knn", {"shrink": 1.5, "neighbours": 50})
    assert (run.run, run.name) == ("/tmp/a.b/c", "")
    assert member_of("personal-popular@half_life_days:none", "x").params == {"half_life_days": None}
    assert member_of("user-knn@weighting:none", "x").params == {"weighting": "none"}  # there it is a word


@pytest.mark.parametrize(("cls", "params", "message"), [
    (BlendParams, {"members": "ease"}, "blend: members must name at least 2 different members; given 'ease'; write members as"),
    (BlendParams, {"members": "ease+ease"}, "at least 2 different members"),
    (BlendParams, {"members": "ease++popular"}, "model=ease+ is not installed; did you mean 'ease'"),
    (BlendParams, {"members": "svd++"}, "at least 2 different members"),
    (BlendParams, {"members": "ease+populer"}, "blend: members: member populer: model=populer is not installed; did you mean 'popular'"),
    (BlendParams, {"members": "popular+ease@l2=5"}, "a parameter is written @NAME:VALUE; given '@l2=5'"),
    (BlendParams, {"members": "popular+ease@l3:5"}, "has no parameter 'l3'; did you mean 'l2'"),
    (BlendParams, {"members": "popular+ease@l2:0.1"}, "l2 must be in 1 to 100000; given '0.1'"),
    (BlendParams, {"weights": "1"}, "weights must be as many as members, 2; given '1'"),
    (BlendParams, {"weights": "0.5+x"}, "weights must be numbers from 0, not all 0, joined by +"),
    (BlendParams, {"weights": "0+0"}, "weights must be numbers from 0, not all 0"),
    (SwitchParams, {"warm": ""}, "switch: warm must name one member; given ''; write members as ease, ease@l2:500 or run:KEY"),
    (SwitchParams, {"cold_users": "ease+popular"}, "switch: cold_users must name one member"),
    (RerankParams, {"first": "run:0123"}, "rerank: member run:0123 is fitted twice, and a finished run cannot be"),
    (RerankParams, {"first": "switch@warm:run:0123"}, "rerank: member switch@warm:run:0123 is fitted twice"),
    (RerankParams, {"others": "gru4rec@init_from:0123"}, "rerank: member gru4rec@init_from:0123 is fitted twice"),
    (RerankParams, {"others": "popular+ease"}, "rerank: member ease is named twice"),
])  # fmt: skip
def test_wrong_words_are_refused_in_one_line(cls, params, message):
    with pytest.raises(RecbenchError) as error:
        cls(**params)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("members", "message"), [
    ("popular+tfidf", "member tfidf needs item text; data=toy has none"),
    ("popular+attributes", "member attributes needs item attributes"),
    ("popular+recent-popular", "member recent-popular needs real timestamps; data=toy has none"),
])  # fmt: skip
def test_members_that_the_data_cannot_feed_are_refused(members, message):
    data = dataset([0], [0], [0], 1, 2)
    with pytest.raises(RecbenchError, match=message):
        fitted(Blend, replace(data, info=replace(data.info, clock="order")), members=members)


def test_members_need_no_quotes_on_the_command_line():
    check_words(["model=blend", "model.members=ease@l2:500@max_items:40+run:/a/b.c_d/0e1+acme-recsys/acme@prior:1e-3"])
    check_words(["model=switch", "model.warm=run:0123", "model.cold_items="])


# scores on one scale


def test_scores_come_to_one_scale():
    scores = np.array([[1, 3, 3, 5], [7, 7, 7, 7]], np.float32)
    expected = {
        "z-score": [[-np.sqrt(2), 0, 0, np.sqrt(2)], [0] * 4],
        "min-max": [[0, 0.5, 0.5, 1], [0] * 4],
        "rank": [[1 / 64, 1 / 62.5, 1 / 62.5, 1 / 61], [0] * 4],
    }
    for fusion, rows in expected.items():
        found = on_one_scale(scores, fusion)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rows, atol=1e-7)
        assert on_one_scale(scores[:0], fusion).shape == (0, 4)
    known_I = np.array([True, True, False, True])  # mean 3, deviation sqrt(8 / 3)
    np.testing.assert_allclose(standard(scores, known_I)[0], np.array([-2, 0, 0, 2]) / np.sqrt(8 / 3), atol=1e-6)
    assert not standard(scores, np.zeros(4, bool)).any()


@pytest.mark.parametrize("depth", [1, 3, 10, 100])
def test_ranks_are_told_apart_as_far_as_they_matter(monkeypatch, depth):
    monkeypatch.setattr("recbench_classic.fusion.DEPTH", depth)
    scores = np.random.default_rng(0).integers(0, 12, (40, 30)).astype(np.float32)
    scores[0] = 3
    for row, found in zip(scores, on_one_scale(scores, "rank"), strict=True):
        ranks = np.array([(row > score).sum() + ((row == score).sum() + 1) / 2 for score in row])
        expected = np.where(row >= np.sort(row)[-min(depth, 30)], 1 / (60 + ranks), 0)
        np.testing.assert_allclose(found, expected if len(set(row)) > 1 else np.zeros(30), atol=1e-8)


# weights


@pytest.mark.parametrize("best", [(0.6875, 0.3125), (1, 0), (0, 1), (0.5, 0.125, 0.375), (0.25, 0.25, 0.25, 0.25)])
def test_the_search_finds_the_planted_mix(best):
    tried = []

    def judge(mix):
        assert min(mix) >= 0 and sum(mix) == pytest.approx(1)
        tried.append(mix)
        return -sum((a - b) ** 2 for a, b in zip(mix, best, strict=True))

    found = best_mix(judge, len(best))
    np.testing.assert_allclose(found, best, atol=1 / 32)
    assert len(set(tried)) == len(tried) < 25 * len(best)


def test_equals_go_to_the_first():
    assert best_mix(lambda mix: 1.0, 3) == (1, 0, 0)


class Planted:
    """A validation whose value is known: how near a list is to that of one mix of the members."""

    def __init__(self, model, queries, weight_M):
        scores = sum(w * standard(m.score(queries)) for w, m in zip(weight_M, model.members, strict=True))
        self.queries, self.best = queries, np.argsort(-scores, axis=1, kind="stable")[:, :10]

    def __call__(self, model):
        items_QK = model.recommend(self.queries, 10).items_QK
        return float(np.mean(items_QK == self.best))


def test_a_blend_finds_the_mix_that_validation_wants(drawn):
    data, queries = drawn
    alike = fitted(Blend, data, members="item-knn+popular")
    assert alike.weight_M.tolist() == [0.5, 0.5]
    asked = queries.take(np.arange(3, 12))
    model = Blend(BlendParams(members="item-knn+popular", shortlist=30))
    model.fit(data, Context(evaluate=Planted(alike, asked, [0.75, 0.25])))
    assert abs(model.weight_M[0] - 0.75) <= 1 / 16
    assert model.chosen == {"weights": dict(zip(("item-knn", "popular"), model.weight_M.tolist(), strict=True))}


@pytest.mark.parametrize("fusion", ["z-score", "rank", "min-max"])
def test_a_blend_is_the_weighted_sum(drawn, fusion):
    data, queries = drawn
    model = fitted(Blend, data, members="item-knn+popular+ease@l2:5", weights="3+0+1", fusion=fusion)
    assert model.weight_M.tolist() == [0.75, 0, 0.25]
    parts = [Context().model(name, **params) for name, params in (("item-knn", {}), ("ease", {"l2": 5.0}))]
    for part in parts:
        part.fit(data, Context())
    expected = sum(w * on_one_scale(p.score(queries), fusion) for w, p in zip((0.75, 0.25), parts, strict=True))
    np.testing.assert_allclose(model.score(queries), expected, atol=1e-5)


@pytest.mark.parametrize(("text", "names"), [
    ("svd+++popular", ["svd++", "popular"]),
    ("popular + svd++@l2:3", ["popular", "svd++@l2:3"]),
    ("svd++@l2:3+ease", ["svd++@l2:3", "ease"]),
])  # fmt: skip
def test_a_member_may_end_in_the_sign_that_joins(text, names):
    assert [member.words for member in members_of(text, "blend: members")] == names


@pytest.mark.parametrize(("weights", "name"), [("1+0", "item-knn"), ("0+1", "popular")])
def test_a_blend_of_one_is_that_one(drawn, weights, name):
    data, queries = drawn
    alone = Context().model(name)
    alone.fit(data, Context())
    model = fitted(Blend, data, members="item-knn+popular", weights=weights)
    assert np.array_equal(model.score(queries), alone.score(queries))


# selection, refit, entry


@pytest.fixture(scope="module")
def blended(tmp_path_factory):
    """A run on a board that fits again: a tiny Transformer and two models that have no epochs."""
    pytest.importorskip("torch").set_num_threads(1)
    out = tmp_path_factory.mktemp("blended")
    tiny = "transformer@dim:8@epochs:2@batch_size:16@max_length:5@dropout:0"
    plan = plan_for(REFITTED, "blend", members=f"{tiny}+item-knn+popular")
    return out, tiny, execute(plan, Surroundings(out=out))


def test_the_refit_uses_what_was_chosen_and_the_entry_tells_it(blended):
    out, tiny, entry = blended
    weights = entry.chosen["weights"]
    assert list(weights) == [tiny, "item-knn", "popular"] and sum(weights.values()) == pytest.approx(1)
    assert set(weights.values()) != {1 / 3}  # the refit, which cannot search, would weigh all alike
    model = load_run(out / entry.key)
    assert model.weight_M.tolist() == list(weights.values())
    told = entry.chosen["members"]
    assert list(told) == [tiny] and 1 <= told[tiny]["epochs"] <= 2 and entry.n_parameters > 0
    for stage in ("select", "refit"):  # the member left its files in a folder of its own
        assert list((out / entry.key / stage / "0-transformer").iterdir())
    written = json.loads((out / entry.key / "entry.json").read_text())
    assert written["chosen"] == entry.chosen and Entry.read(out / entry.key / "entry.json") == entry


def test_members_are_refitted_with_their_own_epochs(blended, tmp_path):
    """The refit of a member whose selection chose one epoch of many trains one."""
    _, tiny, _ = blended
    many = tiny.replace("epochs:2", "epochs:30")
    data = worlds.checkerboard().split().train
    told = {"weights": {many: 0.5, "popular": 0.5}, "members": {many: {"epochs": 1, "stopped_by": "patience"}}}
    model = Blend(BlendParams(members=f"{many}+popular"))
    model.fit(data, Context(seed=1, chosen=told, folder=tmp_path))
    assert model.members[0].chosen_epochs == 1
    cut = {"members": {many: {"epochs": 0, "stopped_by": "max_minutes"}}}
    with pytest.raises(RecbenchError, match=r"trainer.max_minutes=0.5 ended the selection of the member transformer@"):
        model.fit(data, Context(seed=1, chosen=cut, folder=tmp_path, max_minutes=0.5))


def test_entries_without_a_choice_are_written_as_before():
    paths = [path for path in BOARDS.glob("*/*.json") if path.name != "board.json"]
    assert len(paths) > 20
    for path in paths:
        stored = path.read_text()
        again = Entry.read(path).to_json()
        assert ('"chosen"' in again) == ('"chosen"' in stored)
        assert again == stored or "cpu_seconds" not in stored  # the oldest entries lack that, too


# finished runs as members


def test_runs_are_members_by_key_and_are_saved_with_the_blend(tmp_path):
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    runs = [execute(plan_for(TRAIN_ONLY, name), Surroundings(out=elsewhere)).key for name in ("item-knn", "popular")]
    members = f"run:{elsewhere / runs[0]}+run:{elsewhere / runs[1]}"
    plan = plan_for(TRAIN_ONLY, "blend", members=members)
    assert keyed(plan, out).model_params["members"] == f"run:{runs[0]}+run:{runs[1]}"
    inside = plan_for(TRAIN_ONLY, "blend", members=f"ease+switch@warm:run:{elsewhere / runs[0]}@cold_items:popular")
    assert keyed(inside, out).model_params["members"] == f"ease+switch@warm:run:{runs[0]}@cold_items:popular"
    entry = execute(plan, Surroundings(out=out))
    for name in ("entry.json", "plan.json", "model/params.json"):
        assert str(tmp_path) not in (out / entry.key / name).read_text()
    fresh = execute(plan_for(TRAIN_ONLY, "blend", members="item-knn+popular"), Surroundings(out=out))
    assert fresh.scores == entry.scores and list(fresh.chosen["weights"].values()) == list(
        entry.chosen["weights"].values()
    )
    shutil.rmtree(elsewhere)
    assert [model.plugin for model in load_run(out / entry.key).members] == [
        "recbench-classic/item-knn", "recbench-classic/popular",
    ]  # fmt: skip


def test_a_run_that_has_seen_what_is_held_out_is_no_member(tmp_path):
    around = Surroundings(out=tmp_path)
    seen = execute(plan_for(REFITTED, "item-knn"), around).key
    blend = execute(plan_for(TRAIN_ONLY, "blend", members="popular+item-knn"), around).key
    with pytest.raises(
        RecbenchError, match=f"run {seen} of board refitted has learned from .* holds out for validation"
    ):
        execute(plan_for(TRAIN_ONLY, "blend", members=f"popular+run:{seen}"), around)
    later = shop_board("later", split="global_time", test_window_days=2.0, valid_window_days=2.0)
    with pytest.raises(RecbenchError, match=r"learned from .* events that board later holds out for test"):
        execute(plan_for(later, "switch", warm=f"run:{blend}", cold_items=""), around)
    # and what a member has seen, who was made of it has seen too
    nested = execute(plan_for(REFITTED, "blend", members=f"popular@count:events+run:{blend}"), around).key
    plan = json.loads((tmp_path / nested / "plan.json").read_text())
    plan["board"] |= {"fit_on": "train"}
    (tmp_path / nested / "plan.json").write_text(json.dumps(plan))
    execute(plan_for(TRAIN_ONLY, "blend", members=f"popular+run:{nested}"), around)
    past = json.loads((tmp_path / blend / "plan.json").read_text())
    past["board"] |= {"fit_on": "train+valid"}
    (tmp_path / blend / "plan.json").write_text(json.dumps(past))
    with pytest.raises(RecbenchError, match=f"run {blend} of board strict has learned"):
        execute(plan_for(TRAIN_ONLY, "blend", members=f"item-knn+run:{nested}"), around)


def test_a_run_on_other_data_is_no_member(tmp_path, drawn):
    run = execute(plan_for(TRAIN_ONLY, "popular"), Surroundings(out=tmp_path)).key
    with pytest.raises(RecbenchError, match=f"member run:{run} is a run on other data, acme-shop"):
        Blend(BlendParams(members=f"ease+run:{run}")).fit(drawn[0], Context(runs=tmp_path))


# rerank


def tastes():
    """300 users of 4 tastes and 60 items, which come at random; a user takes those of the own taste, which the category tells."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(300), 8)
    item = 4 * rng.permuted(np.tile(np.arange(15), (300, 1)), axis=1)[:, :8].ravel() + user % 4
    time = 1_000_000 + DAY * np.tile(np.arange(8), 300) + user
    log = Interactions.sorted(user, item, time, n_users=300, n_items=60)
    table = pd.DataFrame({"category": [f"c{i % 4}" for i in range(60)], "price": np.arange(60) + 1.0})
    data = Dataset(DatasetInfo("tastes", "toy", "seconds", "none", "here"), log, np.arange(300), np.arange(60), table)
    return worlds.World(data, replace(worlds.checkerboard().board, data="tastes")).split()


def found(model, parts):
    """The share of questions whose answer is among the best 5."""
    return float(np.mean(rank(model, parts.test, 5).hit_QK.sum(axis=1)))


def test_rerank_learns_what_its_first_stage_cannot_know():
    parts = tastes()
    first = Context().model("popular")
    first.fit(parts.train, Context())
    model = fitted(Rerank, parts.train, seed=1, first="popular", others="", candidates=60, trees=30)
    assert found(first, parts) < 0.2 and found(model, parts) > 0.5  # chance is 5 of 53, and 5 of 8 inside the taste
    few = fitted(Rerank, parts.train, seed=1, first="popular", others="", candidates=20, trees=30)
    answer = few.recommend(parts.test.queries, 40)
    order = few._candidates(parts.test.queries, 40)[1]
    assert np.array_equal(answer.items_QK[:, 20:], order[:, 20:])  # beyond the candidates as the first stage has it
    assert np.array_equal(np.sort(answer.items_QK[:, :20]), np.sort(order[:, :20]))
    assert (np.diff(answer.scores_QK, axis=1) <= 0).all()


DAYS = {"split": "global_time", "test_window_days": 2.0, "valid_window_days": 1.0}
LAST = {"split": "leave_last_out", "ask": "last", "target": "first"}


@pytest.mark.parametrize(
    ("clock", "fields", "like"),
    [
        ("seconds", None, LAST),
        ("none", None, {"split": "random_pairs"}),
        ("seconds", LAST, LAST),
        ("seconds", DAYS, DAYS),
        (
            "seconds",
            DAYS | {"ask": "each_event", "candidates": "known"},
            DAYS | {"ask": "each_event", "candidates": "known"},
        ),
        ("seconds", {"split": "given"}, LAST),
    ],
)
def test_the_inner_holdout_is_the_boards_one_step_earlier(clock, fields, like):
    train = tastes().train
    train = replace(train, info=replace(train.info, clock=clock))
    base = Board("b", "tastes", ("ndcg@10",), "ndcg@10", split="random_pairs", candidates="all")
    inner, holdout = inner_holdout(train, replace(base, **fields) if fields else None, "new")
    expected = split(train, replace(base, **like), seed=1)
    assert np.array_equal(holdout.truth.flat()[1], expected.test.truth.flat()[1])
    assert np.array_equal(holdout.queries.time, expected.test.queries.time)
    log, (query, answer) = inner.interactions, holdout.truth.flat()
    learned = set(zip(log.user.tolist(), log.item.tolist(), strict=True))
    assert len(answer) > 50 and not learned & set(
        zip(holdout.queries.user[query].tolist(), answer.tolist(), strict=True)
    )
    held = (
        train.n_users
        if like is LAST
        else (log.time < holdout.queries.time.min()).sum() and len(train.interactions) - len(log)
    )
    assert len(log) == len(train.interactions) - held > len(expected.train.interactions)  # validation is learned from


@pytest.mark.parametrize(
    ("how", "asked"), [("random_pairs", "all"), ("random_users", "all"), ("cold_items", "held_out")]
)
def test_what_is_drawn_by_lot_is_drawn_anew_inside_the_training_part(how, asked):
    """By the board's own seed all of the training part would be drawn for training again, and nothing be asked."""
    rng = np.random.default_rng(0)
    data = dataset(np.repeat(np.arange(60), 12), rng.integers(0, 80, 720), np.arange(720), 60, 80)
    board = Board("b", "toy", ("ndcg@10",), "ndcg@10", split=how, candidates=asked, fit_on="train+valid")
    train = split(data, board).train
    inner, holdout = inner_holdout(train, board, "new")
    log, (query, answer) = inner.interactions, holdout.truth.flat()
    asked_pairs = set(zip(holdout.queries.user[query].tolist(), answer.tolist(), strict=True))
    assert asked_pairs and not asked_pairs & set(zip(log.user.tolist(), log.item.tolist(), strict=True))
    whole = train.interactions
    assert asked_pairs <= set(zip(whole.user.tolist(), whole.item.tolist(), strict=True))


def test_features_of_pairs_by_hand():
    parts = tastes()
    past, queries = remembered(parts.train), parts.test.queries.take(np.arange(6))
    scores = [np.tile(np.arange(60, dtype=np.float32) % 7, (6, 1))]
    items = np.tile(np.array([3, 10, 5, -1], np.int32), (6, 1))  # scores 3, 3, 5
    used = items >= 0
    used[2] = False
    found = pair_features(scores, past, queries, items, used)
    z = (np.array([3, 3, 5]) - scores[0][0].mean()) / scores[0][0].std()
    np.testing.assert_allclose(found[:, 0].reshape(5, 3), np.tile(z, (5, 1)), rtol=1e-5)
    assert found[:, 1].reshape(5, 3).tolist() == [[1.5, 1.5, 0]] * 5
    # users whose history is the whole log: the same as from a log of everybody's events
    query, item = np.nonzero(used)[0], items[used]
    own = histories(queries, past)
    whole = replace(past, interactions=own.interactions)
    by_user = behaviour_features(whole, query, item, queries.time[query], prior_B=np.ones(1))
    ended = np.full(
        len(item), past.interactions.time.max() + 1
    )  # all moments lie behind the log, where nothing is known
    assert (queries.time >= ended[0]).all()
    by_item = behaviour_features(past, query, item, ended, prior_B=np.ones(1))
    names = [n for n in by_item.names if n.startswith("item_")] + [
        n for n in by_user.names if not n.startswith("item_")
    ]
    columns = [(by_item if n.startswith("item_") else by_user) for n in names]
    expected = np.column_stack([f.values[:, f.names.index(n)] for f, n in zip(columns, names, strict=True)])
    np.testing.assert_array_equal(found[:, 2:], expected)
    share = names.index("same_category_share")
    assert expected[:, share].tolist() == [
        float(item % 4 == queries.user[q] % 4) for q, item in zip(query, item, strict=True)
    ]


def test_rerank_without_lightgbm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(RecbenchError) as error:
        fitted(Rerank, tastes().train)
    assert str(error.value) == "rerank needs LightGBM: pip install 'recbench-classic[rerank]'"


def test_rerank_without_a_question_says_so():
    data = dataset([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 1, 2], 2, 60)
    with pytest.raises(RecbenchError, match="none of the 2 questions of the inner holdout has its answer among the 2"):
        fitted(Rerank, data, first="popular", others="", candidates=2)


# switch


@pytest.mark.parametrize("least", [0, 1, 3])
@pytest.mark.parametrize("cold_items", ["attributes", ""])
def test_exactly_the_cold_ones_are_switched(drawn, least, cold_items):
    data, queries = drawn
    given = {"warm": "item-knn", "cold_users": "popular", "cold_items": cold_items}
    model = fitted(Switch, data, min_history=least, min_events=5, **given)
    alone = {}
    for role, name in given.items():
        if name:
            alone[role] = Context().model(name)
            alone[role].fit(data, Context())
    cold_I = np.bincount(data.interactions.item, minlength=30) < 5
    assert 1 < cold_I.sum() < 20
    scores = model.score(queries)
    for q, length in enumerate(queries.items.lengths):
        row = alone["cold_users" if length < least else "warm"].score(queries)[q].astype(float)
        among = row[~cold_I] if cold_items else row
        expected = (row - among.mean()) / (among.std() or np.inf)
        if cold_items:
            told = alone["cold_items"].score(queries)[q].astype(float)
            expected[cold_I] = ((told - told.mean()) / (told.std() or np.inf))[cold_I]
        np.testing.assert_allclose(scores[q], expected, atol=1e-5)


def test_one_model_may_have_two_roles(drawn):
    data, queries = drawn
    model = fitted(Switch, data, warm="popular", cold_users="popular", cold_items="attributes")
    assert len(model.members) == 2 and np.isfinite(model.score(queries)).all()
