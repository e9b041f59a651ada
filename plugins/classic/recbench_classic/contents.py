"""Recommenders that read what an item says of itself: its text, or its categories, brand and price.

What the item table says is known of every item, also of those that nobody has met: they can be ranked from their first
moment. Only users' histories are events.

Letters: Q queries, I items, V words or values.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.content import category_sets
from recbench.data import Queries
from recbench.errors import RecbenchError, nearest
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import history

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

CELLS = 4_000_000  # float32 numbers of dense profiles held at once, 16 MB


@dataclass(frozen=True)
class ProfileParams(Params):
    """How fast a user's profile fades."""

    position_half_life: float = param(
        5.0,
        "Events after which an item of the history counts half; 0: never.",
        low=0.0,
        high=100.0,
        tune=True,
        unit="events",
    )
    half_life_days: float | None = param(
        None,
        "Time after which an item of the history counts half, beside that; none: never. Needs a clock.",
        low=0.01,
        high=3650.0,
        unit="days",
    )


class Contents(Recommender):
    """Base of the models below: a user is the faded mean of the vectors of the items met, and scores are cosines."""

    Params = ProfileParams
    fitted = ("vector_IV",)

    @abstractmethod
    def vectors(self, train: Dataset) -> csr_matrix:
        """(I, V) what is known of each item; an item of which nothing is known has an empty row."""

    def fit(self, train: Dataset, context: Context) -> None:
        """Read the item table; RecbenchError where a half-life in days meets data without a clock."""
        if self.params.half_life_days is not None and train.info.clock in ("order", "none"):
            raise RecbenchError(
                f"half_life_days={self.params.half_life_days:g} needs real timestamps; data={train.info.name} has "
                f"{train.info.clock} only; use position_half_life"
            )
        self.vector_IV = unit_rows(self.vectors(train))

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from -1 to 1 from the history alone; 0 where user and item share nothing."""
        weight_QI = history(queries, self.params.position_half_life, self.params.half_life_days)
        profile_QV = unit_rows(weight_QI @ self.vector_IV)
        scores_QI = np.empty((len(queries), queries.n_items), np.float32)
        step = max(1, CELLS // max(1, profile_QV.shape[1]))
        for begin in range(0, len(queries), step):  # sparse times dense: several times faster than sparse times sparse
            few_VQ = profile_QV[begin : begin + step].toarray().T
            scores_QI[begin : begin + step] = (self.vector_IV @ np.ascontiguousarray(few_VQ)).T
        return scores_QI


def unit_rows(matrix: csr_matrix) -> csr_matrix:
    """The rows in float32, each of length 1; an empty one stays empty."""
    rows = matrix.tocsr().astype(np.float32)
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    length = np.sqrt(np.bincount(row, rows.data.astype(np.float64) ** 2, rows.shape[0]))
    rows.data = (rows.data / np.where(length > 0, length, 1)[row]).astype(np.float32)
    return rows


@dataclass(frozen=True)
class TfidfParams(ProfileParams):
    """What a word is, and how fast a user's profile fades."""

    ngram_max: int = param(1, "Longest run of neighbouring words that counts as one word.", low=1, high=3, tune=True)
    min_df: int = param(2, "Items a word must be in; a word of one item matches no other.", low=1, high=1000)
    sublinear: bool = param(True, "A word that comes n times in a text counts 1 + log n, not n.", tune=True)
    analyzer: str = param(
        "word",
        "Words, or runs of 3 to 5 letters inside words: for languages without spaces, or for compounds.",
        choices=("word", "letters"),
    )


class Tfidf(Contents):
    """Cosine of an item's TF-IDF vector with the faded mean of those of the history (Pazzani, Billsus 2007).

    A word weighs its count, or 1 + log of it, times log((1 + I) / (1 + items with it)) + 1 (Salton, Buckley 1988,
    doi 10.1016/0306-4573(88)90021-0); vectors have length 1; profiles: doi 10.1007/978-3-540-72079-9_10.
    Words are counted over the whole item table: text is static, and known of items that have no event yet. An item without
    text scores 0, below every match; so does every item where the history is empty or its items have no text.
    """

    Params = TfidfParams
    traits = Traits(needs_text=True)
    small = {"min_df": 1}

    def vectors(self, train: Dataset) -> csr_matrix:
        """(I, V) by scikit-learn's TfidfVectorizer; RecbenchError where no word is in `min_df` items."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        p = self.params
        letters = p.analyzer == "letters"
        words = TfidfVectorizer(
            analyzer="char_wb" if letters else "word",
            ngram_range=(3, 5) if letters else (1, p.ngram_max),
            min_df=p.min_df,
            sublinear_tf=p.sublinear,
            dtype=np.float32,
        )
        try:
            return words.fit_transform(train.items["text"].fillna("").astype(str))
        except ValueError as error:  # scikit-learn's word for an empty vocabulary
            raise RecbenchError(
                f"tfidf: no word of the item texts of data={train.info.name} is in min_df={p.min_df} items; lower it"
            ) from error


@dataclass(frozen=True)
class AttributesParams(ProfileParams):
    """Which attributes count, how much numbers do, and how fast a user's profile fades."""

    columns: str = param("", "Columns of the item table, joined by +, as in category+price; empty: all attributes.")
    number_weight: float = param(
        0.5, "Weight of a number, such as the price, beside a category as rare.", low=0.0, high=3.0, tune=True
    )
    bins: int = param(10, "Bins of equal size that a number is put into.", low=2, high=1000)


class Attributes(Contents):
    """Cosine of an item's categories, brand and price with the faded mean of those of the history.

    A content-based profile (Pazzani, Billsus 2007, doi 10.1007/978-3-540-72079-9_10) of every column of the item table but
    text, title and entity. Of words, each distinct one, several in a cell where | parts them, weighs
    log((1 + I) / (1 + items with it)) + 1. A number goes by its place among all items' numbers, so that its logarithm or any
    other rising scale is the same: it is shared out between the two nearest of `bins` places at equal distances, so that
    near prices match in part, and weighs `number_weight` times log(bins) + 1. Vectors have length 1; what is missing is
    left out. The table is static, and known of items that have no event yet.
    """

    Params = AttributesParams
    traits = Traits(needs_attributes=True)
    small = {}

    def vectors(self, train: Dataset) -> csr_matrix:
        """(I, V) the columns side by side; RecbenchError where one that is named is not there."""
        from scipy.sparse import hstack

        known = train.attributes
        names = [name for name in self.params.columns.split("+") if name] or list(known)
        for name in names:
            if name not in known:
                raise RecbenchError(
                    f"attributes: columns names {name!r}, which the items of data={train.info.name} have not"
                    f"{nearest(name, known) or '.'} They have: {', '.join(known) or 'none'}"
                )
        return hstack([self._column(train.items[name]) for name in names], format="csr")

    def _column(self, cells: pd.Series) -> csr_matrix:
        """(I, V) the weighted values of one column."""
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        if is_numeric_dtype(cells) and not is_bool_dtype(cells):
            return self.params.number_weight * placed(cells.to_numpy(np.float64, na_value=np.nan), self.params.bins)
        return rare_first(cells)


def rare_first(cells: pd.Series) -> csr_matrix:
    """(I, V) at each category of an item log((1 + I) / (1 + items with it)) + 1."""
    from scipy.sparse import csr_matrix

    categories, n = category_sets(cells)
    item, category = categories.flat()
    idf_V = np.log((1 + len(cells)) / (1 + np.bincount(category, minlength=n))) + 1
    return csr_matrix((idf_V[category], (item, category)), shape=(len(cells), n))


def placed(number_I: NDArray, bins: int) -> csr_matrix:
    """(I, bins) each number's two nearest places of `bins` among the sorted numbers, as a vector of length log(bins) + 1."""
    from scipy.sparse import csr_matrix

    item = np.flatnonzero(np.isfinite(number_I))
    number = number_I[item]
    ordered = np.sort(number)
    before, upto = (np.searchsorted(ordered, number, side) for side in ("left", "right"))
    place = (before + upto - 1) / 2 / max(1, len(item) - 1) * (bins - 1)  # equal numbers share their mean place
    low = np.minimum(place.astype(np.int64), bins - 2)
    share = place - low
    weight = np.stack([1 - share, share]) * (np.log(bins) + 1) / np.hypot(1 - share, share)
    columns = np.stack([low, low + 1])
    return csr_matrix((weight.ravel(), (np.tile(item, 2), columns.ravel())), shape=(len(number_I), bins))
