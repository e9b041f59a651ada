"""What a network reads of an item beside its number, as arrays: words of a column, or a vector of numbers.

Letters: I items, M words of an item, V width of a vector.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbench.content import category_sets
from recbench.errors import RecbenchError, nearest, one_line

if TYPE_CHECKING:
    import pandas as pd

    from recbench.dataset import Dataset

WORDS = 10_000  # words of a column with a row of their own: the most frequent ones
WORDS_PER_ITEM = 32  # words of an item that are read, as they come
NOTHING, RARE = 0, 1  # word numbers: padding, and what has no row of its own


class Column(NamedTuple):
    """`values`: (I, M) int32 word numbers where `n_words`, the rows they need, is not 0; else (I, V) float32 vectors."""

    name: str
    n_words: int
    values: NDArray

    @property
    def fact(self) -> list[Any]:
        """What JSON keeps of the column, beside the values that are saved with the weights."""
        return [self.name, self.n_words, self.values.shape[1]]


def blank(n_items: int, fact: list[Any]) -> Column:
    """The column that `fact` tells of, its values still to be loaded."""
    name, n_words, width = fact
    return Column(name, n_words, np.zeros((n_items, width), np.int32 if n_words else np.float32))


def item_columns(train: Dataset, names: str, vectors: str) -> list[Column]:
    """The columns of the items table that `names`, set apart by commas, lists, then those of the file `vectors`.

    Text, truth values and lists of words are words, text being split at |; numbers are vectors of one, and a cell may be
    an array of them. RecbenchError where a column or the file is missing or of another kind.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted and train.items is None:
        raise RecbenchError(
            f"item_features={names}: data={train.info.name} has no table of items; leave item_features empty"
        )
    table = {} if train.items is None else {str(name): cells for name, cells in train.items.items()}
    for name in wanted:
        if name not in table:
            raise RecbenchError(
                f"item_features={name} is no column of the items of data={train.info.name}{nearest(name, table) or '.'} "
                f"It has: {', '.join(table)}"
            )
    columns = [column_of(name, table[name]) for name in wanted]
    if not vectors:
        return columns
    path = Path(vectors).expanduser()
    return [*columns, Column(path.stem, 0, scaled(vectors_of(train, path)))]


def column_of(name: str, cells: pd.Series) -> Column:
    """A column of the items table, as words or vectors."""
    given = cells.dropna()
    first = given.iloc[0] if len(given) else ""
    if cells.dtype.kind in "iuf":
        return Column(name, 0, scaled(cells.to_numpy(np.float32)[:, None]))
    if isinstance(first, list | tuple | np.ndarray) and np.asarray(first).dtype.kind == "f":
        return Column(name, 0, scaled(stacked(f"item_features={name}", cells.to_list())))
    return words_of(name, cells)


def words_of(name: str, cells: pd.Series) -> Column:
    """Words by falling frequency; those of one item alone say no more than its number does and are rare."""
    words, n_words = category_sets(cells)
    row, word = words.flat()
    count_W = np.bincount(word, minlength=n_words)
    kept_W = np.argsort(-count_W, kind="stable")[:WORDS]
    kept_W = kept_W[count_W[kept_W] > 1]
    number_W = np.full(n_words, RARE, np.int32)
    number_W[kept_W] = RARE + 1 + np.arange(len(kept_W))
    place = np.arange(len(row)) - np.repeat(np.cumsum(words.lengths) - words.lengths, words.lengths)
    read = place < WORDS_PER_ITEM
    values_IM = np.full((len(words), place[read].max(initial=0) + 1), NOTHING, np.int32)
    values_IM[row[read], place[read]] = number_W[word[read]]
    return Column(name, RARE + 1 + len(kept_W), values_IM)


def stacked(owner: str, cells: list[Any]) -> NDArray:
    """(I, V) the arrays of a column, NaN where a cell holds none; RecbenchError where they are not of one width."""
    try:
        arrays = [
            np.asarray(cell, np.float32) if isinstance(cell, list | tuple | np.ndarray) else None for cell in cells
        ]
    except ValueError as error:
        raise RecbenchError(f"{owner}: vectors must be arrays of numbers of one width ({one_line(error)})") from error
    widths = sorted({array.shape for array in arrays if array is not None})
    if len(widths) != 1 or len(widths[0]) != 1 or not widths[0][0]:
        found = ", ".join(" x ".join(map(str, shape)) or "one number" for shape in widths) or "none"
        raise RecbenchError(f"{owner}: vectors must be arrays of one width; found {found}; give each item's in full")
    values_IV = np.full((len(cells), widths[0][0]), np.nan, np.float32)
    for row, array in enumerate(arrays):
        if array is not None:
            values_IV[row] = array
    return values_IV


def scaled(values_IV: NDArray) -> NDArray:
    """(I, V) float32 the vectors less their mean, of mean square length 1; missing and unbounded ones become 0, the mean.

    Like the rows of the item table they then start small whatever their unit, and steps of the optimizer move them alike.
    """
    known_I = np.isfinite(values_IV).all(axis=1)
    out_IV = np.zeros(values_IV.shape, np.float32)
    if known_I.any():
        centred_IV = values_IV[known_I] - values_IV[known_I].mean(axis=0, dtype=np.float64)
        length = np.sqrt(np.mean(np.sum(centred_IV**2, axis=1)))
        out_IV[known_I] = centred_IV / (length or 1.0)
    return out_IV


def vectors_of(train: Dataset, path: Path, name: str = "text_vectors") -> NDArray:
    """(I, V) float32 the vectors of a parquet file with columns item_id and vector, in the order of the data's items, NaN
    where it has none; `name` is the parameter that names the file."""
    import pandas as pd

    owner = f"{name}={path.name}"
    try:
        frame = pd.read_parquet(path, columns=["item_id", "vector"])
    except Exception as error:
        raise RecbenchError(
            f"{owner} cannot be read ({one_line(error)}); give a parquet file with columns item_id and vector"
        ) from error
    row_of = {str(item): row for row, item in enumerate(frame["item_id"])}
    row_I = np.array([row_of.get(str(item), -1) for item in train.item_ids], np.int64)
    if not (row_I >= 0).any():
        raise RecbenchError(
            f"{owner} holds none of the {train.n_items} items of data={train.info.name}; item_id must be as in the data"
        )
    vectors_FV = stacked(owner, frame["vector"].to_list())
    values_IV = vectors_FV[row_I]
    values_IV[row_I < 0] = np.nan
    return values_IV
