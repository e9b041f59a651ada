"""Models that read text and attributes, against counts by hand and plain loops.

Letters: Q queries, I items.
"""

from collections import Counter
from math import exp, log, sqrt

import numpy as np
import pandas as pd
import pytest
from recbench_classic.contents import Attributes, Tfidf, placed
from test_classic import DAY, ask, fitted

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.plan import Board, Plan, refuse_lacking

TEXTS = ["red apple apple pie", "green apple", "Blue car car", None, "red car"]
TABLE = pd.DataFrame(
    {
        "text": TEXTS,
        "title": ["a", "b", "c", "d", "e"],
        "category": ["food|sweet", "food", "toy", None, "toy|sweet"],
        "brand": ["x", "x", "", "y", "y"],
        "price": [1.0, 10.0, 100.0, None, 10.0],
    }
)


def shop(clock="seconds", items=TABLE):
    info = DatasetInfo("toy", "toy", clock, "none", "here")
    log = Interactions.sorted(np.array([0, 0]), np.array([0, 2]), np.array([0, 1]), n_users=1, n_items=5)
    return Dataset(info, log, np.arange(1), np.arange(5), items)


def cosines(vectors, history, weights):
    """One row of scores by plain loops; vectors are dicts of word to weight."""

    def unit(vector):
        length = sqrt(sum(value**2 for value in vector.values()))
        return {word: value / length for word, value in vector.items()} if length else {}

    vectors, profile = [unit(v) for v in vectors], Counter()
    for item, weight in zip(history, weights, strict=True):
        for word, value in vectors[item].items():
            profile[word] += weight * value
    profile = unit(profile)
    return [sum(value * profile.get(word, 0) for word, value in v.items()) for v in vectors]


def word_vectors(sublinear, longest=1):
    counts = []
    for text in TEXTS:
        words = (text or "").lower().split()
        runs = [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]
        counts.append(Counter(runs))
    held = Counter(word for count in counts for word in count)
    idf = {word: log((1 + len(TEXTS)) / (1 + n)) + 1 for word, n in held.items()}
    return [{w: (1 + log(n) if sublinear else n) * idf[w] for w, n in count.items()} for count in counts]


@pytest.mark.parametrize("sublinear", [True, False])
@pytest.mark.parametrize("longest", [1, 2])
def test_tfidf_equals_naive(sublinear, longest):
    model = fitted(Tfidf, shop(), min_df=1, sublinear=sublinear, ngram_max=longest, position_half_life=2)
    histories = [[0], [2, 1, 2], [], [3], [0, 3, 4]]  # item 2 counts once, where it came last
    weights = [[1], [1, 0.5**0.5], [], [1], [0.5, 0.5**0.5, 1]]
    once = [[0], [2, 1], [], [3], [0, 3, 4]]
    vectors = word_vectors(sublinear, longest)
    expected = [cosines(vectors, history, weight) for history, weight in zip(once, weights, strict=True)]
    scores = model.score(ask(histories, 5))
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert scores[0, 3] == 0 < scores[0, 1] and not scores[2].any() and not scores[3].any()


def test_a_word_of_one_item_is_left_out_by_default():
    # apple, red and car are in two items; vectors: red + apple, apple, car, none, red + car
    model = fitted(Tfidf, shop(), sublinear=False, position_half_life=0)
    a = 2 / sqrt(5)  # apple apple against red: both weigh the same
    expected = [[1, a, 0, 0, 1 / sqrt(10)], [0, 0, 1, 0, sqrt(0.5)]]
    np.testing.assert_allclose(model.score(ask([[0], [2]], 5)), expected, atol=1e-6)


def test_letters_find_what_words_cannot():
    table = TABLE.assign(text=["strawberries", "strawberry", "car", "", "box"])
    assert fitted(Tfidf, shop(items=table), min_df=1).score(ask([[0]], 5))[0, 1] == 0
    assert fitted(Tfidf, shop(items=table), analyzer="letters").score(ask([[0]], 5))[0, 1] > 0.5


def test_profiles_fade_by_events_and_by_days():
    queries = ask([[0, 2]], 5, [[0, 4 * DAY]], now=6 * DAY)  # ages 6 and 2 days; item 2 was the last event
    vectors = word_vectors(True)
    for params, weights in (
        ({"position_half_life": 0}, [1, 1]),
        ({"position_half_life": 1}, [0.5, 1]),
        ({"position_half_life": 0, "half_life_days": 2}, [0.125, 0.5]),
        ({"position_half_life": 1, "half_life_days": 2}, [0.0625, 0.5]),
    ):
        model = fitted(Tfidf, shop(), min_df=1, **params)
        np.testing.assert_allclose(model.score(queries), [cosines(vectors, [0, 2], weights)], atol=1e-6)


def test_attributes_equal_naive():
    model = fitted(Attributes, shop(), position_half_life=1, number_weight=0.7, bins=3)
    categories = {"food": 2, "sweet": 2, "toy": 2}
    idf = {word: log(6 / (1 + n)) + 1 for word, n in (categories | {"x": 2, "y": 2}).items()}
    high = 0.7 * (log(3) + 1)
    # the sorted prices are 1, 10, 10, 100: places 0, 1.5, 1.5, 3 of 3, that is 0, 1, 1, 2 of the bins 0, 1, 2
    words = [("food", "sweet", "x"), ("food", "x"), ("toy",), ("y",), ("toy", "sweet", "y")]
    prices = [{"bin 0": high}, {"bin 1": high}, {"bin 2": high}, {}, {"bin 1": high}]
    vectors = [{word: idf[word] for word in row} | price for row, price in zip(words, prices, strict=True)]
    expected = [cosines(vectors, [1], [1]), cosines(vectors, [0, 4], [0.5, 1]), cosines(vectors, [], [])]
    np.testing.assert_allclose(model.score(ask([[1], [0, 4], []], 5)), expected, atol=1e-6)


def test_numbers_are_shared_out_between_the_nearest_places():
    whole = placed(np.array([3.0, np.nan, exp(9), 5.0, 5.0, -1.0]), 3).toarray() / (log(3) + 1)
    # sorted: -1, 3, 5, 5, e^9; places 0, 1, 2.5, 2.5, 4 of 4, that is 0, 0.5, 1.25, 1.25, 2 of 2
    near = np.array([0, 0.75, 0.25]) / sqrt(0.75**2 + 0.25**2)
    np.testing.assert_allclose(whole, [[sqrt(0.5), sqrt(0.5), 0], [0, 0, 0], [0, 0, 1], near, near, [1, 0, 0]])
    np.testing.assert_allclose(placed(np.array([7.0, np.nan]), 5).toarray() / (log(5) + 1), [[1, 0, 0, 0, 0], [0] * 5])


def test_columns_are_chosen_by_name():
    queries = ask([[0]], 5)
    by_brand = fitted(Attributes, shop(), columns="brand").score(queries)
    np.testing.assert_allclose(by_brand, [[1, 1, 0, 0, 0]], atol=1e-6)
    both = fitted(Attributes, shop(), columns="brand+price").score(queries)
    assert 0 < both[0, 1] < 1 and both[0, 2] == 0


@pytest.mark.parametrize(
    ("cls", "params", "clock", "message"),
    [
        (Tfidf, {"min_df": 3}, "seconds", "no word of the item texts of data=toy is in min_df=3 items; lower it"),
        (Tfidf, {"half_life_days": 3}, "order", "half_life_days=3 needs real timestamps; data=toy has order only"),
        (Attributes, {"columns": "brnd"}, "seconds", "columns names 'brnd', which .* did you mean 'brand'"),
        (Attributes, {"columns": "text"}, "seconds", "They have: category, brand, price"),
    ],
)
def test_refused_in_one_line(cls, params, clock, message):
    with pytest.raises(RecbenchError, match=message) as error:
        fitted(cls, shop(clock), **params)
    assert "\n" not in str(error.value)


def test_data_without_attributes_are_refused_before_any_work():
    plan = Plan(
        Board("b", "toy", ("ndcg@10",), "ndcg@10", split="leave_last_out"),
        True,
        "toy",
        {},
        "attributes",
        {},
        "d",
        "1",
        1,
    )
    for items in (None, TABLE[["text", "title"]], TABLE[["title"]].assign(entity="m.1")):
        assert shop(items=items).attributes == ()
        with pytest.raises(
            RecbenchError, match="model=attributes needs item attributes such as category, brand or price"
        ):
            refuse_lacking(plan, Attributes, shop(items=items))
    assert shop().attributes == ("category", "brand", "price")
    refuse_lacking(plan, Attributes, shop())


@pytest.mark.parametrize(("cls", "params"), [(Tfidf, {"min_df": 1}), (Attributes, {})])
def test_batch_equals_single_answers(monkeypatch, cls, params):
    model, queries = fitted(cls, shop(), **params), ask([[0], [2, 1, 2], [], [3], [0, 3, 4]], 5)
    scores = model.score(queries)
    monkeypatch.setattr("recbench_classic.contents.CELLS", 1)
    assert np.array_equal(model.score(queries), scores)
