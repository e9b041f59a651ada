"""The kit catches each mutant, passes a stranger's package, every first-party plugin and what the scaffold writes."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import behavior_mutants
import numpy as np
import probability_mutants
import pytest
import rating_mutants

from recbench import registry, testing
from recbench.dataset import Holds
from recbench.errors import RecbenchError
from recbench.metric import Metric
from recbench.model import Recommendations, Recommender, Traits, mask, top_k
from recbench.params import Params, param
from recbench.scaffold import new_plugin
from recbench.templates import SOURCES
from recbench.testing import checks, data_checks, kit, metric_checks, model_skill, run_checks, worlds

sys.path.insert(0, str(Path(__file__).parent / "acme"))
from acme_recsys import Acme, AcmeFirst, AcmeShop


@checks(Acme)
def test_acme_model(check):
    check()


@checks(AcmeFirst)
def test_acme_metric(check):
    check()


@checks(AcmeShop)
def test_acme_data(check):
    check()


# mutants: each breaks one promise on purpose


@dataclass(frozen=True)
class NoMeaning(Params):
    """A field without a meaning."""

    width: int = 3


@dataclass(frozen=True)
class BadDefault(Params):
    """A default out of range."""

    width: int = param(9, "Width.", low=0, high=5)


class Undecorated(Params):
    """Forgets @dataclass: its field is none."""

    width: int = param(3, "Width.", low=0, high=5)


class Undocumented(Acme):
    pass


class Meaningless(Acme):
    """Its parameter has no meaning."""

    Params = NoMeaning


class OutOfRange(Acme):
    """Its default is out of range."""

    Params = BadDefault


class NoDataclass(Acme):
    """Its parameters are no dataclass."""

    Params = Undecorated


class UnknownSmall(Acme):
    """Its `small` names no parameter."""

    small = {"widht": 3}


class GivesNaN(Acme):
    """NaN for one item."""

    def score(self, queries):
        scores = super().score(queries)
        scores[:, 3] = np.nan
        return scores


class Transposed(Acme):
    """Items by queries."""

    def score(self, queries):
        return super().score(queries).T


class Double(Acme):
    """float64."""

    def score(self, queries):
        return super().score(queries).astype(np.float64)


class RewritesTrain(Acme):
    """Renames the items while it learns."""

    def fit(self, train, context):
        super().fit(train, context)
        train.item_ids[:] = train.item_ids[::-1].copy()


class RewritesTable(Acme):
    """Adds a column to the table it was lent."""

    def fit(self, train, context):
        super().fit(train, context)
        train.items["mine"] = 1.0


class RewritesQueries(Acme):
    """Allows everything."""

    def score(self, queries):
        queries.candidates[0] = False
        return super().score(queries)


class CutsHistories(Acme):
    """Keeps the last event only, in the questions themselves."""

    def score(self, queries):
        queries.items.start[:] = np.maximum(queries.items.start, queries.items.stop - 1)
        return super().score(queries)


class DrawsAtFit(Acme):
    """Reads numpy's global random state while it learns."""

    def fit(self, train, context):
        super().fit(train, context)
        self.popularity_I += np.random.random(train.n_items).astype(np.float32)


class DrawsAtScore(Acme):
    """Draws while it answers."""

    def score(self, queries):
        return super().score(queries) + np.random.random(queries.n_items).astype(np.float32)


class Centred(Acme):
    """Subtracts the mean of the batch."""

    def score(self, queries):
        scores = super().score(queries)
        return scores - scores.mean(axis=0)


class ReadsNeighbours(Acme):
    """Adds the items of everyone in the batch."""

    def score(self, queries):
        return super().score(queries) + np.bincount(queries.items.flat()[1], minlength=queries.n_items).astype(
            np.float32
        )


class ReadsFuture(Acme):
    """Reads the event behind the history."""

    def score(self, queries):
        scores = super().score(queries)
        after = np.append(queries.items.values, 0)[queries.items.stop]
        scores[np.arange(len(queries)), after] += 100
        return scores


class Remembers(Acme):
    """Learns from the questions."""

    def score(self, queries):
        self.popularity_I = self.popularity_I + np.bincount(queries.items.flat()[1], minlength=queries.n_items).astype(
            np.float32
        )
        return super().score(queries)


class NeedsHistory(Acme):
    """Takes the last item of everyone, also where there is none."""

    def score(self, queries):
        last = queries.items.values[queries.items.stop - 1]
        return self.next_II[last] + self.popularity_I


class ShortList(Acme):
    """Gives fewer columns than asked."""

    def recommend(self, queries, k):
        return super().recommend(queries, min(k, queries.n_items))


class Twice(Acme):
    """Fills short lists with the first item again."""

    def recommend(self, queries, k):
        answer = super().recommend(queries, k)
        return Recommendations(np.where(answer.items_QK < 0, answer.items_QK[:, :1], answer.items_QK), answer.scores_QK)


class RecommendsSeen(Acme):
    """Forgets the mask."""

    def recommend(self, queries, k):
        items = np.full((len(queries), k), -1, np.int32)
        items[:, : queries.n_items] = np.arange(queries.n_items)
        return Recommendations(items, np.zeros((len(queries), k), np.float32))


class RecommendsForbidden(Acme):
    """Forgets which items are candidates."""

    def recommend(self, queries, k):
        return super().recommend(replace(queries, candidates=np.ones(queries.n_items, bool)), k)


class WorstFirst(Acme):
    """Gives its lists from behind."""

    def recommend(self, queries, k):
        answer = super().recommend(queries, k)
        n = (answer.items_QK >= 0).sum(1, keepdims=True)
        turned = np.where(np.arange(k) < n, n - 1 - np.arange(k), np.arange(k))
        return Recommendations(*(np.take_along_axis(a, turned, 1) for a in (answer.items_QK, answer.scores_QK)))


class RepeatsStep(Acme):
    """Names the first step again where steps are asked for."""

    def recommend(self, queries, k):
        answer = super().recommend(queries, k)
        if queries.steps > 1:
            answer.items_QK[:, 1:] = np.where(np.arange(1, k) == 2, answer.items_QK[:, :1], answer.items_QK[:, 1:])
        return answer


class StopsEarly(Acme):
    """Names three steps of however many."""

    def recommend(self, queries, k):
        answer = super().recommend(queries, k)
        if queries.steps > 1:
            answer.items_QK[:, 3:], answer.scores_QK[:, 3:] = -1, -np.inf
        return answer


class StepsSeen(Acme):
    """Forgets the mask where steps are asked for."""

    def recommend(self, queries, k):
        return super().recommend(replace(queries, seen_allowed=queries.seen_allowed or queries.steps > 1), k)


class OddBehavior(Acme):
    """Tells a behaviour that the data do not have."""

    def recommend(self, queries, k):
        return replace(super().recommend(queries, k), behaviors_QK=np.ones((len(queries), k), np.int8))


class BehaviorOnce(Acme):
    """Tells one behaviour a list."""

    def recommend(self, queries, k):
        return replace(super().recommend(queries, k), behaviors_QK=np.zeros(len(queries), np.int8))


class StepsReadFuture(Acme):
    """Names the event behind the history as the first step."""

    def recommend(self, queries, k):
        scores = self.score(queries)
        if queries.steps > 1:
            after = np.append(queries.items.values, 0)[queries.items.stop]
            scores[np.arange(len(queries)), after] += 100
        return top_k(mask(scores, queries), k)


class MasksSeen(Acme):
    """Masks the history itself."""

    def score(self, queries):
        scores = super().score(queries)
        if not queries.seen_allowed:
            scores[queries.items.flat()] = -1e9
        return scores


class MasksCandidates(Acme):
    """Scores the candidates alone."""

    def score(self, queries):
        return super().score(queries) * queries.candidates


class ForgetsArrays(Acme):
    """Does not name what it learned."""

    fitted = ("popularity_I",)


class Rounds(Acme):
    """Comes back from disk with other numbers."""

    @classmethod
    def load(cls, folder):
        model = super().load(folder)
        model.next_II = model.next_II + 1
        return model


class Backwards(Acme):
    """The wrong sign."""

    def score(self, queries):
        return -super().score(queries)


class Stale(Recommender):
    """Reads the clock the wrong way round: the older the better."""

    traits = Traits(needs_clock=True)
    fitted = ("last_I",)

    def fit(self, train, context):
        self.last_I = np.zeros(train.n_items, np.float32)
        np.maximum.at(self.last_I, train.interactions.item, np.arange(len(train.interactions), dtype=np.float32))

    def score(self, queries):
        return np.tile(-self.last_I, (len(queries), 1))


class Fresh(Stale):
    """Reads the clock the right way round."""

    def score(self, queries):
        return -super().score(queries)


class Misreads(Recommender):
    """Likes the items whose text differs from the last one."""

    traits = Traits(needs_text=True)
    fitted = ("text_I",)
    sign = -1

    def fit(self, train, context):
        self.text_I = np.unique(train.items["text"].to_numpy(str), return_inverse=True)[1]

    def score(self, queries):
        scores = np.zeros((len(queries), queries.n_items), np.float32)
        query, last = queries.items.last(1).flat()
        scores[query] = self.sign * (self.text_I[last][:, None] == self.text_I)
        return scores


class Reads(Misreads):
    """Likes the items whose text equals the last one."""

    sign = 1


class TakesText(Reads):
    """Takes every text for a string, also where it is missing."""

    def fit(self, train, context):
        self.text_I = np.array([text.upper() for text in train.items["text"]])


class DividesByLength(Reads):
    """Divides by the number of words, also where there is none."""

    fitted = ("text_I", "words_I")

    def fit(self, train, context):
        super().fit(train, context)
        self.words_I = train.items["text"].fillna("").str.split().str.len().to_numpy(np.float32)

    def score(self, queries):
        return super().score(queries) / self.words_I


class TakesAttributes(Reads):
    """Reads the category instead, and takes every one for a string, also where it is missing."""

    traits = Traits(needs_attributes=True)

    def fit(self, train, context):
        self.text_I = np.array([category.upper() for category in train.items["category"]])


class LogOfPrice(TakesAttributes):
    """Adds the logarithm of the price, also where there is none."""

    fitted = ("text_I", "price_I")

    def fit(self, train, context):
        self.text_I = train.items["category"].to_numpy(str)
        self.price_I = np.log(train.items["price"].to_numpy(np.float32))

    def score(self, queries):
        return super().score(queries) + self.price_I


class LogOfZero(Acme):
    """Minus infinity for items that never came."""

    def score(self, queries):
        with np.errstate(divide="ignore"):
            return np.log(super().score(queries))


class OrderBlind(Acme):
    """Claims to be sequential and counts."""

    def score(self, queries):
        return np.tile(self.popularity_I, (len(queries), 1))


def shop(name, **changes):
    """AcmeShop with some fields of the loaded data changed."""

    def load(self):
        return replace(AcmeShop.load(self), **{k: v(AcmeShop.load(self)) for k, v in changes.items()})

    return type(name, (AcmeShop,), {"__doc__": "A mutant.", "__module__": __name__, "load": load})


def shop_class(name, **attributes):
    return type(name, (AcmeShop,), {"__doc__": "A mutant.", "__module__": __name__, **attributes})


def log_with(column, change):
    def broken(data):
        object.__setattr__(data.interactions, column, change(getattr(data.interactions, column)))
        return data.interactions

    return broken


def table(n, index=None):
    import pandas as pd

    return pd.DataFrame({"text": ["x"] * n}, index=index)


def raises(error):
    def load(self):
        if self.params.root:
            raise error
        return AcmeShop.load(self)

    return load


def draws(self):
    data = AcmeShop.load(self)
    return replace(data, item_ids=np.random.default_rng().permutation(data.item_ids))


def stamped(self):
    data = AcmeShop.load(self)
    return replace(data, items=table(data.n_items).assign(read=np.random.default_rng().random()))


def metric(name, call, **attributes):
    """AcmeFirst with another formula."""

    def __call__(self, answers, train):
        return call(self, answers, train)

    return type(
        name,
        (Metric,),
        {
            "__doc__": "A mutant.",
            "__module__": __name__,
            "__call__": __call__,
            "definition": "mutant/v1",
            **attributes,
        },
    )


def precision(self, answers, train):
    return answers.hit_QK[:, : self.k].sum(axis=1) / self.k


def rewrites(self, answers, train):
    answers.items_QK[:] = 0
    return precision(self, answers, train)


def marks_table(self, answers, train):
    train.items["mine"] = 1.0
    return precision(self, answers, train)


def second_place(self, answers, train):
    return answers.hit_QK[:, :2] @ [0.4, 0.6][: self.k]


def share_of_listed(self, answers, train):
    return answers.hit_QK[:, : self.k].sum(1) / (answers.items_QK[:, : self.k] >= 0).sum(1)


def praises_silence(self, answers, train):
    return np.where(answers.items_QK[:, 0] < 0, 1.0, precision(self, answers, train))


MUTANTS = [
    ("documented", Undocumented),
    ("params_declared", Meaningless),
    ("params_declared", OutOfRange),
    ("params_declared", UnknownSmall),
    ("params_declared", NoDataclass),
    ("scores_finite_and_shaped", GivesNaN),
    ("scores_finite_and_shaped", Transposed),
    ("scores_finite_and_shaped", Double),
    ("does_not_touch_input", RewritesTrain),
    ("does_not_touch_input", RewritesTable),
    ("does_not_touch_input", RewritesQueries),
    ("does_not_touch_input", CutsHistories),
    ("deterministic", DrawsAtFit),
    ("deterministic", DrawsAtScore),
    ("batch_equals_single", Centred),
    ("history_only_of_query", ReadsNeighbours),
    ("knows_no_future", ReadsFuture),
    ("knows_no_future", Remembers),
    ("answers_empty_history", NeedsHistory),
    ("k_larger_than_catalogue", ShortList),
    ("k_larger_than_catalogue", Twice),
    ("k_larger_than_catalogue", RecommendsSeen),
    ("k_larger_than_catalogue", RecommendsForbidden),
    ("k_larger_than_catalogue", WorstFirst),
    ("lists_of_steps_valid", RepeatsStep),
    ("lists_of_steps_valid", StopsEarly),
    ("lists_of_steps_valid", StepsSeen),
    ("lists_of_steps_valid", OddBehavior),
    ("lists_of_steps_valid", BehaviorOnce),
    ("steps_know_no_future", StepsReadFuture),
    ("leaves_masks_alone", MasksSeen),
    ("leaves_masks_alone", MasksCandidates),
    ("save_load_round_trip", ForgetsArrays),
    ("save_load_round_trip", Rounds),
    ("beats_random_on_checkerboard", Backwards),
    ("beats_random_on_fashion", Stale),
    ("beats_random_on_cold", Misreads),
    ("scores_cold_items", LogOfZero),
    ("answers_items_without_text", TakesText),
    ("answers_items_without_text", DividesByLength),
    ("answers_items_without_attributes", TakesAttributes),
    ("answers_items_without_attributes", LogOfPrice),
    ("learns_chain", OrderBlind),
    ("absent_folder_named", shop_class("Traceback", load=raises(FileNotFoundError("no events.csv")))),
    ("absent_folder_named", shop_class("TwoLines", load=raises(RecbenchError("no events.csv\nsorry")))),
    ("info_complete", shop_class("NoLicence", info=replace(AcmeShop.info, licence=""))),
    ("info_complete", shop_class("OddClock", info=replace(AcmeShop.info, clock="hours"))),
    ("info_complete", shop("OtherInfo", info=lambda d: replace(d.info, name="else"))),
    ("holds_what_it_says", shop_class("OtherSize", info=replace(AcmeShop.info, holds=Holds(160, 8, 9, ("interact",))))),
    ("boards_declared", shop_class("NoBoards", boards=())),
    ("boards_declared", shop_class("BoardAndReason", no_board="because")),
    ("boards_declared", shop_class("SameBoards", boards=AcmeShop.boards * 2)),
    ("boards_declared", shop_class("ForeignBoard", boards=(replace(AcmeShop.boards[0], data="else"),))),
    ("ids_unique", shop("SameIds", item_ids=lambda d: np.zeros(d.n_items, int))),
    ("ids_unique", shop("FewIds", user_ids=lambda d: d.user_ids[1:])),
    ("time_sorted", shop("Unsorted", interactions=log_with("time", lambda t: t[::-1]))),
    ("time_sorted", shop("Nanoseconds", interactions=log_with("time", lambda t: (t + 86400) * 10**9))),
    ("values_finite", shop("NaNValues", interactions=log_with("value", lambda v: v * np.nan))),
    ("checksum_set", shop("NoChecksum", checksum=lambda d: "")),
    ("tables_aligned", shop("ShortTable", items=lambda d: table(d.n_items - 1))),
    ("tables_aligned", shop("OddIndex", items=lambda d: table(d.n_items, d.item_ids))),
    ("tables_aligned", shop("ShortPart", part=lambda d: np.zeros(3, np.int8))),
    ("boards_split", shop_class("LongWindow", boards=(replace(AcmeShop.boards[0], test_window_days=300.0),))),
    ("boards_split", shop_class("OddParams", boards=(replace(AcmeShop.boards[0], data_params={"city": "x"}),))),
    ("loads_twice_alike", shop_class("Draws", load=draws)),
    ("loads_twice_alike", shop_class("Stamped", load=stamped)),
    ("definition_given", metric("NoDefinition", precision, definition="")),
    ("per_query_shape", metric("EveryPosition", lambda self, a, t: a.hit_QK)),
    ("finite_and_bounded", metric("Counts", lambda self, a, t: a.hit_QK[:, : self.k].sum(1))),
    (
        "finite_and_bounded",
        metric("ZeroByZero", lambda self, a, t: a.hit_QK[:, 0] / np.where(a.items_QK[:, -1] < 0, np.nan, 1)),
    ),
    (
        "padding_handled",
        metric("LastItem", lambda self, a, t: t.items["price"].to_numpy()[a.items_QK[:, : self.k]].mean(1)),
    ),
    ("padding_handled", metric("CountsPadding", lambda self, a, t: (a.items_QK < 0).mean(1))),
    ("empty_lists_handled", metric("ShareOfListed", share_of_listed)),
    ("empty_lists_earn_nothing", metric("PraisesSilence", praises_silence)),
    ("does_not_touch_input", metric("Rewrites", rewrites)),
    ("does_not_touch_input", metric("MarksTable", marks_table)),
    ("constant_scorer_equals_random", metric("LuckyTies", lambda self, a, t: (a.relevant_QK[:, 0] > 0).astype(float))),
    ("direction_holds", metric("UpsideDown", precision, higher_is_better=False)),
    ("perfect_list_is_best", metric("SecondPlace", second_place)),
    *rating_mutants.MUTANTS,
    *behavior_mutants.MUTANTS,
    *probability_mutants.MUTANTS,
]
SOLVE = (rating_mutants.Level, rating_mutants.Error, behavior_mutants.Rates, probability_mutants.Missed)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "cls"), MUTANTS, ids=[f"{name}-{cls.__name__}" for name, cls in MUTANTS])
def test_mutant_is_caught_by_the_check_of_that_name(name, cls):
    check = {c.__name__: c for c in kit.checks_of(cls)}[name]
    with pytest.raises(AssertionError) as error:
        check(cls)
    assert str(error.value).startswith(f"{cls.__name__}: ") and "\n" not in str(error.value)


def written_checks():
    """The public functions of the kit that take a plugin class alone and return nothing."""
    modules = [importlib.import_module(f"recbench.testing.{m.name}") for m in pkgutil.iter_modules(testing.__path__)]
    functions = [f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]
    signatures = {f.__name__: inspect.signature(f) for f in functions if not f.__name__.startswith("_")}
    return {name for name, s in signatures.items() if [*s.parameters] == ["cls"] and s.return_annotation == "None"}


def test_every_check_is_chosen_and_has_a_mutant():
    class All(Acme):
        traits = Traits(sequential=True, needs_clock=True, needs_text=True, needs_attributes=True)

    chosen = {c.__name__ for cls in (All, AcmeShop, AcmeFirst, *SOLVE) for c in kit.checks_of(cls)}
    assert written_checks() == chosen
    assert chosen - {name for name, _ in MUTANTS} == {"loads_light"}  # the next test


def test_heavy_import_is_caught(tmp_path, monkeypatch):
    (tmp_path / "heavy_acme.py").write_text("import pandas\nfrom acme_recsys import Acme\nclass Heavy(Acme): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    heavy = importlib.import_module("heavy_acme").Heavy
    assert "imports pandas" in dict(run_checks(heavy))["loads_light"]


@pytest.mark.parametrize("cls", [Fresh, Reads, *SOLVE])
def test_worlds_are_solved_by_who_reads_them(cls):
    assert [r for r in run_checks(cls) if r[1] and r[0] != "loads_light"] == []  # `checks` loads pandas here


def test_kit_refuses_what_is_no_plugin():
    with pytest.raises(RecbenchError, match="checks need a Recommender, DatasetSource or Metric class; given"):
        run_checks(dict)


def test_kit_imports_without_torch():
    code = "import sys; from recbench.testing import kit, worlds; assert not {'torch', 'pandas'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


# worlds


def test_checkerboard_tells_nothing_by_popularity():
    parts = worlds.checkerboard().split()
    log = parts.train.interactions
    assert len(set(np.bincount(log.item))) == 1 and np.all(log.item % 2 == log.user % 2)
    assert np.all(parts.test.truth.values % 2 == parts.test.queries.user % 2)


def test_chain_asks_for_the_next():
    test = worlds.chain().split().test
    last = test.queries.items.last(1).flat()[1]
    assert np.array_equal(test.truth.values, (last + 1) % worlds.CHAIN_ITEMS)
    assert all(len(set(test.queries.items[q].tolist())) == worlds.CHAIN_ITEMS for q in range(len(test.queries)))


def test_fashion_and_cold_know_their_answer():
    valid = worlds.fashion().split().valid
    newest = np.tile(np.arange(valid.queries.n_items, dtype=np.float32), (len(valid.queries), 1))
    assert model_skill.skill(newest, valid)[0] > 0.9 > 0.1 > model_skill.skill(-newest, valid)[0]
    parts = worlds.cold().split()
    assert parts.train.interactions.item.max() == 15 and parts.valid.truth.values.min() == 16
    assert len(parts.train.items["text"]) == 20


# first-party plugins


def first_party(kind):
    return [pytest.param(p, id=p.name) for p in registry.plugins(kind) if p.distribution.startswith("recbench-")]


@pytest.mark.parametrize("plugin", [*first_party("model"), *first_party("metric")])
def test_first_party(plugin):
    assert [r for r in run_checks(plugin.load()) if r[1]] == []


@pytest.mark.parametrize("plugin", first_party("data"))
def test_first_party_data(plugin):
    cls = plugin.load()
    try:
        data_checks.loaded(cls)
    except RecbenchError as error:
        pytest.skip(str(error))
    assert [r for r in run_checks(cls) if r[1]] == []
    data_checks.loaded.cache_clear()


# the scaffold


@pytest.mark.parametrize(("kind", "task"), [(kind, task) for kind, tasks in SOURCES.items() for task in tasks])
@pytest.mark.parametrize("name", ["my-first-one", "none"])
def test_new_plugin_passes_as_it_is(kind, task, name, tmp_path, monkeypatch):
    name = f"{name}-{task}-{kind}" if name != "none" else name
    folder = tmp_path / "package"
    files = new_plugin(kind, name, folder, task)
    assert sorted(p for p in folder.rglob("*") if p.is_file()) == sorted(files)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"][f"recbench.{kind}"].values()
    module, cls = entry.split(":")
    if kind == "metric":
        assert f"{task}.{name}" in project["entry-points"]["recbench.metric"]
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, module, raising=False)
    assert [r for r in run_checks(getattr(importlib.import_module(module), cls)) if r[1]] == []
    if name == "none":
        return
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "task", "message"),
    [
        ("model", "Bad_Name", "ranking", "name must be lower-case words with dashes, such as my-model; given 'Bad_Name'"),
        ("model", "../x", "behavior", "name must be lower-case words with dashes, such as my-model; given '../x'"),
        ("modle", "x", "ranking", "kind must be one of model, data, metric; given 'modle'; did you mean 'model'?"),
        ("model", "x", "behaviour", "the task of a new model must be one of ranking, behavior; given 'behaviour'; did you mean 'behavior'?"),
        ("data", "x", "rating", "the task of a new data must be one of ranking; given 'rating'; did you mean 'ranking'?"),
        ("metric", "x", "", "the task of a new metric must be one of ranking, behavior, rating; given ''"),
    ],
)  # fmt: skip
def test_new_plugin_refuses_in_one_line(kind, name, task, message, tmp_path):
    with pytest.raises(RecbenchError) as error:
        new_plugin(kind, name, tmp_path / "x", task)
    assert str(error.value) == message and not (tmp_path / "x").exists()


def test_new_plugin_never_overwrites(tmp_path):
    with pytest.raises(RecbenchError, match="exists; choose another, nothing was written"):
        new_plugin("model", "x", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_accuracy_metrics_are_told_by_what_they_read():
    assert metric_checks.reads_truth(AcmeFirst)
    assert not metric_checks.reads_truth(metric("Length", lambda self, a, t: (a.items_QK[:, : self.k] >= 0).mean(1)))
