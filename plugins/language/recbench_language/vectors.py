"""What items say in words, as vectors: by a language model, or as the user brings them.

Letters: I items, V width of a vector, D width wanted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.cache import content, known_digest
from recbench.errors import RecbenchError, nearest, one_line
from recbench.model import Traits
from recbench.params import Params, param
from recbench_language.encoding import encoded
from recbench_language.facts import sentences
from recbench_language.registry import contamination, language_model

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.model import Context

SPREADS = ("none", "centre", "pca", "whiten")
SHRINK = 1e-3  # of the mean variance, added to each direction's before it is divided by: the last ones are noise


@dataclass(frozen=True)
class TextParams(Params):
    """Where the vectors of items come from."""

    encoder: str = param(
        "minilm",
        "Language model that reads the text: minilm, use-multilingual, glove-50, hashed-words (random vectors of words), a "
        "folder, or ORG/NAME on Hugging Face.",
    )
    text: str = param(
        "text",
        "What is read of an item, joined by +, one behind the other: columns of the item table, and files .json or .parquet "
        "of texts by item id, looked for here and in RECBENCH_DATA_DIR.",
    )
    facts: int = param(0, "Most facts of the knowledge graph that are written behind an item's text.", low=0, high=100)
    max_tokens: int = param(64, "Tokens of a text that are read, words where a model has none.", low=1, high=8192)
    vectors: str = param(
        "",
        "Vectors from elsewhere in place of the encoder's: a column of the item table, or a parquet file with columns "
        "item_id and vector.",
    )


class ReadsText:
    """What models of text share: they need the column text of the item table only where their parameters read it."""

    @classmethod
    def needs(cls, params: Any) -> Traits:
        """The traits, without the need of a text where vectors, other columns or files are named."""
        traits: Traits = cls.traits  # type: ignore[attr-defined]
        elsewhere = bool(getattr(params, "vectors", "")) or "text" not in params.text.split("+")
        return replace(traits, needs_text=traits.needs_text and not elsewhere)


@dataclass(frozen=True, eq=False)
class ItemVectors:
    """`values_IV`: float32, 0 where nothing is known. `told`: what an entry says of where they come from."""

    values_IV: NDArray
    told: dict[str, Any]

    @property
    def known_I(self) -> NDArray:
        """(I,) bool: of which items something is known."""
        return np.any(self.values_IV != 0, axis=1)


def item_vectors(train: Dataset, params: TextParams, context: Context) -> ItemVectors:
    """The vectors of all items, also of those that have no event; RecbenchError where text or vectors are missing."""
    if params.vectors:
        return _brought(train, params.vectors)
    model = language_model(params.encoder, f"encoder={params.encoder}")
    found = encoded(model, item_texts(train, params), params.max_tokens, context)
    flag = contamination(model, train.info.name, train.info.scenario)
    told = model.told() | {"contamination": flag} | found.told
    files = {
        name: f"sha256 {known_digest(_found(Path(name)))[:16]}" for name in params.text.split("+") if _is_file(name)
    }
    return ItemVectors(found.vectors_TV, told | ({"texts_from": files} if files else {}))


def item_texts(train: Dataset, params: TextParams) -> list[str]:
    """(I,) the text of each item: its columns and files, and its facts where they are asked for."""
    parts = [_texts(train, name, params.text) for name in params.text.split("+") if name]
    if params.facts:
        parts.append(sentences(train, params.facts))
    texts = [". ".join(part for part in row if part) for row in zip(*parts, strict=True)]
    if not any(texts):
        raise RecbenchError(
            f"text={params.text} gives none of the {train.n_items} items of data={train.info.name} a text; name a column or "
            "a file that has them, or give vectors=FILE"
        )
    return texts


def _texts(train: Dataset, name: str, given: str) -> list[str]:
    """(I,) one column or file of texts; RecbenchError where there is none of that name."""
    if _is_file(name):
        return texts_in(Path(name), train)
    known = [] if train.items is None else [str(column) for column in train.items]
    if train.items is None or name not in known:
        raise RecbenchError(
            f"text={given} names {name!r}, which the items of data={train.info.name} have not{nearest(name, known) or '.'} "
            f"They have: {', '.join(known) or 'no table'}; or give a file .json or .parquet, or vectors=FILE"
        )
    return _written(train.items[name])


def _is_file(name: str) -> bool:
    return name.removesuffix(".gz").endswith((".json", ".parquet"))


def _found(path: Path) -> Path:
    """Where the file lies: here, or in the user's folder of data."""
    places = [path.expanduser(), Path(os.environ.get("RECBENCH_DATA_DIR", "")) / path]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise RecbenchError(f"text={path}: no such file here or in RECBENCH_DATA_DIR; give its path")
    return found


def texts_in(path: Path, train: Dataset) -> list[str]:
    """(I,) the texts of a file by item id, "" where it has none: a JSON object, or a parquet file with item_id and text."""
    import pandas as pd

    found = _found(path)
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(found, columns=["item_id", "text"])
            text_of = dict(zip(frame["item_id"].map(str), frame["text"].fillna("").map(str), strict=True))
        else:
            text_of = {str(item): str(text or "") for item, text in json.loads(content(found)).items()}
    except Exception as error:
        raise RecbenchError(
            f"text={path} cannot be read ({one_line(error)}); give a JSON object of texts by item id, or a parquet file "
            "with columns item_id and text"
        ) from error
    texts = [text_of.get(str(item), "") for item in train.item_ids]
    if not any(texts):
        raise RecbenchError(f"text={path} holds none of the {train.n_items} items of data={train.info.name}")
    return texts


def _written(cells: Any) -> list[str]:
    """The cells of a column as text; a list, or what is parted by |, becomes words set apart by commas."""
    cells = cells.map(lambda c: "|".join(map(str, c)) if isinstance(c, list | tuple | np.ndarray) else c)
    return [text.replace("|", ", ").strip() for text in cells.astype(object).where(cells.notna(), "").map(str)]


def _brought(train: Dataset, name: str) -> ItemVectors:
    """The vectors that a column or a file holds."""
    from recbench.neural.columns import stacked, vectors_of

    table = train.items
    if table is not None and name in table:
        values_IV = stacked(f"vectors={name}", table[name].to_list())
    elif name.endswith(".parquet"):
        values_IV = vectors_of(train, Path(name).expanduser(), "vectors")
    else:
        columns = "none" if table is None else ", ".join(map(str, table.columns))
        raise RecbenchError(
            f"vectors={name} is neither a parquet file nor a column of the items of data={train.info.name}; they have: {columns}"
        )
    values_IV = np.where(np.isfinite(values_IV).all(axis=1, keepdims=True), values_IV, 0).astype(np.float32)
    told = {"model": "brought by the user", "contamination": "unknown"}
    if name.endswith(".parquet"):
        told["revision"] = f"sha256 {known_digest(Path(name).expanduser())[:16]}"
    return ItemVectors(values_IV, told)


def no_vectors(train: Dataset) -> ItemVectors:
    """Of a model without text: nothing is read and nothing known."""
    return ItemVectors(np.zeros((train.n_items, 1), np.float32), {})


@dataclass(frozen=True, eq=False)
class Spread:
    """An affine map of vectors: less `mean_V`, times `axes_VD`. What is not known, a vector of zeros, stays so."""

    mean_V: NDArray
    axes_VD: NDArray

    def __call__(self, values_NV: NDArray) -> NDArray:
        """(N, D) float32."""
        out_ND = ((values_NV - self.mean_V) @ self.axes_VD).astype(np.float32)
        out_ND[~np.any(values_NV != 0, axis=1)] = 0
        return out_ND


def spread_of(vectors: ItemVectors, how: str, dim: int, met_I: NDArray) -> Spread:
    """What takes vectors less their mean (centre), turns them to their main directions and keeps `dim` of these (pca), or
    gives these equal variance (whiten), and makes the mean square length 1; none changes nothing.

    Sentence vectors lie in a narrow cone; whitened ones are compared by what differs (arXiv 2104.01767). Fitted on the
    items met in training of which something is known; RecbenchError where there are none.
    """
    width = vectors.values_IV.shape[1]
    if how == "none":
        return Spread(np.zeros(width, np.float32), np.eye(width, dtype=np.float32))
    fitted_NV = vectors.values_IV[met_I & vectors.known_I].astype(np.float64)
    if not len(fitted_NV):
        raise RecbenchError(
            "no item met in training has a vector; read a text that items have, or give vectors of them"
        )
    mean_V = fitted_NV.mean(axis=0)
    variance_V, axes_VV = np.linalg.eigh(np.cov(fitted_NV, rowvar=False, ddof=0).reshape(width, width))
    order_D = np.argsort(-variance_V)[: min(dim, max(1, int((variance_V > 1e-9 * variance_V.max()).sum())))]
    axes_VD = np.eye(width) if how == "centre" else axes_VV[:, order_D]
    if how == "whiten":
        scale_D = np.sqrt(np.maximum(variance_V[order_D], 0) + SHRINK * variance_V.mean())
        axes_VD = axes_VD / np.where(scale_D > 0, scale_D, 1.0)  # all alike: there is nothing to tell apart
    length = np.sqrt(np.mean(np.sum(((fitted_NV - mean_V) @ axes_VD) ** 2, axis=1)))
    return Spread(mean_V.astype(np.float32), (axes_VD / (length or 1.0)).astype(np.float32))
