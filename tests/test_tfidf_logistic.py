"""Logistic regression on words: TF-IDF and its columns by hand.

Letters: I items, Q questions, W words, F columns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recbench_language.bert.tfidf_logistic import TfidfLogistic, tfidf

from recbench.data import Queries, Ragged
from recbench.errors import RecbenchError
from recbench.testing import checks


@checks(TfidfLogistic)
def test_contract(check):
    check()


def asked(histories: list, item: list[int]) -> Queries:
    """Histories of (item, behaviour) and the items asked about, of five."""
    n = len(histories)
    items, behaviors = (Ragged.from_rows([[e[k] for e in h] for h in histories], np.int64) for k in range(2))
    times, zeros = replace(items, values=0 * items.values), np.zeros(n, np.int32)
    return Queries(zeros, zeros, items, behaviors, times, times, np.ones(5, bool), True, item=np.array(item, np.int32))


def test_tfidf_by_hand():
    """Words in most texts first, then by name; ln of (1 + texts) / (1 + texts with the word), one more; length 1."""
    found_IW = tfidf(["cat cat dog", "dog", "", "the cat, the Owl"], 3, 3).toarray()
    rare, common = 1 + np.log(5 / 2), 1 + np.log(5 / 3)
    assert found_IW.shape == (4, 3) and found_IW.dtype == np.float32  # cat, dog, the; owl is a fourth word and not read
    rows = [[2 * common, common, 0], [0, 1, 0], [0, 0, 0], [common, 0, 2 * rare]]
    expected_IW = np.array([np.array(row) / max(1e-12, np.linalg.norm(row)) for row in rows])
    np.testing.assert_allclose(found_IW, expected_IW, atol=1e-6)
    assert tfidf(["", ""], 5, 5).shape == (2, 1)


@pytest.mark.parametrize("behaviors", [True, False])
def test_columns_by_hand(behaviors):
    """The post, and for each history its words, their products with the post's, the cosine, and the log of its size."""
    model = TfidfLogistic(TfidfLogistic.Params(behaviors=behaviors, max_length=3))
    model.words_IW, model.n_behaviors = tfidf(["a1 b1", "b1", "a1", "c1", "c1 a1"], 9, 9), np.array(2)
    x_IW = model.words_IW.toarray()
    history = [(3, 1), (1, 0), (1, 0), (2, 1)]  # the oldest is not read
    found_QF = model.columns(asked([history, []], [0, 4])).toarray()
    kinds = [[1, 1], [2]] if behaviors else [[1, 1, 2]]
    for q, (post_W, bags) in enumerate([(x_IW[0], kinds), (x_IW[4], [[]] * len(kinds))]):
        expected = [post_W]
        for items in bags:
            sum_W = x_IW[items].sum(0)
            history_W = sum_W / (np.linalg.norm(sum_W) or 1)
            expected += [history_W, post_W * history_W, [post_W @ history_W], [np.log1p(len(items))]]
        np.testing.assert_allclose(found_QF[q], np.concatenate(expected), atol=1e-6)


def test_tfidf_logistic_reads_no_vectors():
    with pytest.raises(RecbenchError, match=r"words are read, no vectors; given vectors=v\.parquet"):
        TfidfLogistic.Params(vectors="v.parquet")
