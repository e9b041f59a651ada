"""Logistic regression on words: what every language model that answers for behaviours has to beat.

Letters: N questions learned from, Q questions, I items, W words, R histories of a question, F columns, B behaviours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import answered, lessons
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender, Traits
from recbench.params import param
from recbench_language.vectors import ReadsText, TextParams, item_texts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.data import Queries
    from recbench.dataset import Dataset


@dataclass(frozen=True)
class TfidfLogisticParams(TextParams):
    """Which words, which events, and the penalty."""

    max_tokens: int = param(512, "Words of a text that are read.", low=1, high=100_000)
    words: int = param(2000, "Words that count: those in most texts.", low=1, high=1_000_000)
    max_length: int = param(50, "Newest events of a history that are read; 0: none.", low=0, high=1000)
    behaviors: bool = param(
        True, "Whether each behaviour of the log has a history of its own; else there is one.", tune=True
    )
    l2: float = param(300.0, "Penalty on the weights.", low=1e-3, high=1e5, log=True, tune=True)
    iterations: int = param(300, "Most steps of L-BFGS.", low=1, high=10_000)
    questions: int = param(
        200_000,
        "Most questions of the training part that are learned from, drawn by the seed.",
        low=10,
        high=100_000_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors:
            raise RecbenchError(f"{type(self).__name__}: words are read, no vectors; given vectors={self.vectors}")


class TfidfLogistic(ReadsText, Recommender):
    """Logistic regression on the TF-IDF of a post, that of the reader's history, and their product word by word; one for
    each behaviour asked about, by scikit-learn's L-BFGS.

    A history is the sum of the rows of its events, of length 1, so that the products add up to the cosine, a column of its
    own; another is log(1 + events). Weights are least in summed log loss plus l2 / 2 w^2. `encoder` is not read.
    """

    Params = TfidfLogisticParams
    traits = Traits(tasks=("behavior",), needs_text=True)
    small = {"iterations": 50}
    fitted = ("words_IW", "coef_FB", "intercept_B", "n_behaviors")
    words_IW: csr_matrix
    coef_FB: NDArray
    intercept_B: NDArray
    n_behaviors: NDArray

    def fit(self, train: Dataset, context: Context) -> None:
        """Weigh words, and solve behaviour by behaviour; RecbenchError where items have no text."""
        from scipy.sparse import vstack

        params = self.params
        self.words_IW = tfidf(item_texts(train, params), params.words, params.max_tokens)
        self.n_behaviors = np.array(len(train.interactions.behaviors))
        parts = [part for _, part in lessons(train, context.board, params.questions, context.seed)]
        x_NF = vstack([self.columns(part.queries) for part in parts], format="csr")
        true_NB = np.concatenate([part.outcomes for part in parts])
        base_B = (true_NB.sum(0) + 0.5) / (len(true_NB) + 1)
        self.intercept_B, self.coef_FB = np.log(base_B / (1 - base_B)), np.zeros((x_NF.shape[1], len(base_B)))
        steps = 0
        for b in np.flatnonzero(true_NB.any(0) & ~true_NB.all(0)):
            self.coef_FB[:, b], self.intercept_B[b], taken = self._solved(x_NF, true_NB[:, b], context.threads)
            steps = max(steps, taken)
        self.n_parameters, self.chosen_epochs = self.coef_FB.size + self.intercept_B.size, steps
        self.stopped_by = "iterations" if steps >= params.iterations else "convergence"

    def _solved(self, x_NF: csr_matrix, true_N: NDArray, threads: int) -> tuple[NDArray, float, int]:
        """(F,) weights, intercept, and steps taken."""
        from sklearn import linear_model
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `stopped_by` says so
            rule = linear_model.LogisticRegression(C=1 / self.params.l2, max_iter=self.params.iterations)
            found = rule.fit(x_NF, true_N)
        return found.coef_[0], float(found.intercept_[0]), int(found.n_iter_[0])

    def columns(self, queries: Queries) -> csr_matrix:
        """(Q, W + R (2 W + 2)) the post, and of each history its words, their products with the post's, cosine, log size."""
        from scipy.sparse import csr_matrix, hstack

        assert queries.item is not None
        post_QW = self.words_IW[queries.item]
        row, item = queries.items.last(self.params.max_length).flat()
        behavior = queries.behaviors.last(self.params.max_length).flat()[1]
        parts = [post_QW]
        for kind in range(int(self.n_behaviors)) if self.params.behaviors else (None,):
            of = np.ones(len(row), bool) if kind is None else behavior == kind
            events_QI = csr_matrix(
                (np.ones(of.sum(), np.float32), (row[of], item[of])), (len(queries), queries.n_items)
            )
            history_QW = unit(events_QI @ self.words_IW)
            both_QW = post_QW.multiply(history_QW)
            size_Q1 = np.log1p(np.asarray(events_QI.sum(1)))
            parts += [history_QW, both_QW, csr_matrix(both_QW.sum(1)), csr_matrix(size_Q1)]
        return hstack(parts, format="csr", dtype=np.float32)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) float64 probabilities of the behaviours asked about."""
        return answered(self.answer, queries, len(self.intercept_B))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, B) of so many questions that memory holds their words."""
        from scipy.special import expit

        return expit(self.intercept_B + self.columns(queries) @ self.coef_FB)


def tfidf(texts: list[str], most: int, max_tokens: int) -> csr_matrix:
    """(I, W) float32 rows of length 1: how often a text has a word, times 1 + log((1 + I) / (1 + texts that have it)).

    The `most` words that most texts have, by name where as many do; one word that no text has where there are none.
    """
    import re
    from collections import Counter

    from scipy.sparse import csr_matrix

    words_I = [re.findall(r"\w\w+", text.lower())[:max_tokens] for text in texts]
    spread = Counter(word for words in words_I for word in set(words))
    kept = sorted(spread, key=lambda word: (-spread[word], word))[:most]
    column_of = {word: w for w, word in enumerate(kept)}
    told = [(i, column_of[word]) for i, words in enumerate(words_I) for word in words if word in column_of]
    row, column = np.array(told, np.int64).reshape(-1, 2).T
    idf_W = 1 + np.log((1 + len(texts)) / (1 + np.array([spread[word] for word in kept] or [0])))
    counts_IW = csr_matrix((np.ones(len(row)), (row, column)), (len(texts), max(1, len(kept))))
    return unit(counts_IW.multiply(idf_W))


def unit(rows: csr_matrix) -> csr_matrix:
    """The rows as float32 of length 1; those of zeros stay so."""
    from scipy.sparse import csr_matrix, diags

    length = np.sqrt(np.asarray(csr_matrix(rows).multiply(rows).sum(1)).ravel())
    return csr_matrix(diags(1 / np.where(length > 0, length, 1)) @ rows, dtype=np.float32)
