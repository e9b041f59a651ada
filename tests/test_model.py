"""The recommender's contract: saving, another plugin's model, and a finished run taken up again."""

import json

import numpy as np
import pytest

from recbench import registry
from recbench.errors import PluginError, RecbenchError
from recbench.model import Context, Recommender, load_run
from recbench.plan import Plan
from recbench.run import Surroundings, execute
from recbench.testing.worlds import checkerboard

WORLD = checkerboard()


def test_context_gives_another_plugins_model():
    blend = [Context(seed=1).model("popular"), Context(seed=1).model("item-knn", neighbours=5)]
    assert [type(model).__name__ for model in blend] == ["Popular", "ItemKNN"] and blend[1].params.neighbours == 5
    parts = WORLD.split()
    blend[1].fit(parts.train, Context(seed=1))
    assert blend[1].score(parts.test.queries).shape == (80, 20)


@pytest.mark.parametrize(("name", "params", "error", "message"), [
    ("popluar", {}, PluginError, "did you mean 'popular'?"),
    ("item-knn", {"neighbours": 0}, RecbenchError, "neighbours must be in"),
])  # fmt: skip
def test_context_refuses_in_one_line(name, params, error, message):
    with pytest.raises(error) as caught:
        Context().model(name, **params)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_without_an_answer_says_so():
    class Silent(Recommender):
        def fit(self, train, context): ...

    for ask in (Silent().score, Silent().predict):
        with pytest.raises(NotImplementedError, match="Silent answers no"):
            ask(WORLD.split().test.queries)


def test_objects_are_never_pickled(tmp_path):
    class Bag(Recommender):
        fitted = ("words",)
        words = np.array([{"a": 1}], dtype=object)

        def fit(self, train, context): ...

    with pytest.raises(ValueError, match="allow_pickle"):
        Bag().save(tmp_path)
    assert list(tmp_path.glob("*.npz")) == []


def test_a_finished_run_is_taken_up_again(tmp_path):
    source, cls = (registry.find(kind, name) for kind, name in (("data", "acme-shop"), ("model", "acme")))
    board = source.load().boards[0]
    data_params = source.load().Params().as_dict()
    params = cls.load().Params(prior=0.25).as_dict()
    plan = Plan(board, True, "acme-shop", data_params, "acme", params, cls.distribution, cls.version, 1)
    entry = execute(plan, Surroundings(out=tmp_path))
    assert entry.scores["ndcg@10"]["value"] > 0.8 and entry.distribution == "acme-recsys"
    run = tmp_path / plan.key
    assert load_run(run).params.prior == 0.25 and load_run(run).next_II.sum() > 0
    (run / "model" / "arrays.npz").unlink()
    with pytest.raises(RecbenchError, match="holds no finished model"):
        load_run(run)
    (run / "plan.json").write_text(json.dumps({"model": "acme"}))
    with pytest.raises(RecbenchError, match=r"not the folder of a run \(KeyError"):
        load_run(run)
