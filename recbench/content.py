"""What items say of themselves: their categories, and the words that searches are matched against.

Letters: E context events, N questions, I items, S distinct searches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Ragged
from recbench.holdout import distinct
from recbench.past import Past, place

if TYPE_CHECKING:
    import pandas as pd


def category_sets(cells: pd.Series) -> tuple[Ragged, int]:
    """(I,) the numbers of each item's distinct categories, and how many there are: a cell is a list, or text split at |."""
    import pandas as pd

    if cells.dtype == object:
        cells = cells.map(lambda c: "|".join(map(str, c)) if isinstance(c, list | tuple | set | np.ndarray) else c)
    code_I, texts = pd.factorize(cells)  # -1, the last row below, where a cell is missing
    numbers: dict[str, int] = {}
    names = [dict.fromkeys(word.strip() for word in str(text).split("|") if word.strip()) for text in texts]
    rows = [[numbers.setdefault(name, len(numbers)) for name in row] for row in names]
    return Ragged.from_rows([*rows, []]).take(code_I), max(len(numbers), 1)


def search_matches(
    context: ContextEvents, text: pd.Series, user_N: NDArray, item_N: NDArray, time_N: NDArray, searches: int
) -> Iterator[NDArray]:
    """For the user's last search before the moment, the one before it, and so on, `searches` times: the share of its
    distinct words that the item's text holds, (N,) each, NaN where there is no such search. Events without a word are none.
    """
    code_E, words_S = _searched(context.text)
    numbers = {word: number for number, word in enumerate(dict.fromkeys(w for words in words_S for w in words))}
    search = Ragged.from_rows([[numbers[word] for word in words] for words in [*words_S, []]])
    said = np.flatnonzero(search.lengths[code_E] > 0)
    said = said[np.argsort(code_E[said], kind="stable")]  # searches of one moment go by their words, not by the file
    past = Past.of(context.user[said], context.time[said], user_N, time_N)
    held, n = _held(text, distinct(item_N), numbers), np.int64(max(len(numbers), 1))
    for back in range(1, searches + 1):
        question = np.flatnonzero(past.count >= back)
        words = search.take(code_E[said[past.row[past.stop[question] - back]]])
        row, word = words.flat()
        _, found = place(held, item_N[question[row]] * n + word)
        share = np.full(len(time_N), np.nan)
        share[question] = np.bincount(row, found, len(question)) / words.lengths
        yield share


def _searched(text_E: NDArray) -> tuple[NDArray, list[list[str]]]:
    """(E,) which of the sorted distinct texts an event holds, -1 for none, and the words of each."""
    import pandas as pd

    code_E, texts = pd.factorize(pd.Series(text_E, dtype=object).map(str, na_action="ignore"), sort=True)
    return code_E, [_words(text) for text in texts]


def _held(text: pd.Series, items: NDArray, numbers: dict[str, int]) -> NDArray:
    """The sorted numbers `item * len(numbers) + word` of the words known that the text of each of these items holds."""
    lines = text.iloc[items].fillna("").astype(str)
    rows = Ragged.from_rows([[numbers[word] for word in _words(line) if word in numbers] for line in lines])
    row, word = rows.flat()
    return np.sort(items[row] * np.int64(max(len(numbers), 1)) + word)


def _words(text: str) -> list[str]:
    """The distinct words of a text in lower case, in order."""
    return list(dict.fromkeys(re.findall(r"\w+", text.lower())))
