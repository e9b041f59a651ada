"""Text to arrow types: what a column holds is found in its first block and expected of the others.

Kinds: `id` (whole numbers as they are written, else words), `word` (text of which there is little that differs),
`number`, `time` (numbers or ISO 8601, else text), `text`, `any` (an attribute).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

from recbench.reading.policy import MISSING, Cleaning

pc: Any = pyarrow.compute  # makes its functions when it is imported, unseen by type checkers
KINDS = {"user": "id", "item": "id", "time": "time", "behavior": "word", "value": "number", "text": "text"}
WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"  # what int64 holds, and written as int64 is written
TIMES = (pa.int64(), pa.float64(), pa.timestamp("ns"), pa.timestamp("ns", "UTC"))
LADDER = {"id": (), "number": (pa.float64(),), "any": (pa.float64(),), "time": TIMES}
EMPTY = tuple(word for word in MISSING if word.lower() != "nan")  # a NaN is a value, and a broken one


def kind_of(role: str, policy: Cleaning) -> str:
    """The kind of a role's column; times in a format of their own are text."""
    return "text" if role == "time" and policy.time_format else KINDS[role]


def typed(text: pa.Array, kind: str, before: pa.DataType | None = None) -> pa.Array:
    """The column in the narrowest type that holds every value of its kind; text where there is none.

    `before`: what the block before this one became, tried first.
    """
    if kind in ("text", "word"):
        return text.dictionary_encode() if kind == "word" else text
    if kind == "id" and before is not None and pa.types.is_dictionary(before):
        return text.dictionary_encode()
    known = pc.if_else(pc.is_in(text, value_set=pa.array(EMPTY)), pa.scalar(None, pa.string()), text)
    if known.null_count == len(known):
        return known
    if kind == "time" and before in TIMES:
        try:
            return known.cast(before)
        except pa.ArrowInvalid:
            pass
    whole = kind in ("id", "any") and pc.all(pc.match_substring_regex(known, WHOLE)).as_py()
    for wanted in (pa.int64(),) if whole else LADDER[kind]:
        try:
            return known.cast(wanted)
        except pa.ArrowInvalid:
            continue
    return known.dictionary_encode() if kind == "id" else known


def plain(column: Any) -> pa.Array:
    """A column of any source as int64, float64, text, dictionary of text or timestamp; TypeError where it is nested."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else _array(column)
    if pa.types.is_dictionary(array.type) and not pa.types.is_string(array.type.value_type):
        array = array.cast(array.type.value_type)
    kind = array.type
    if pa.types.is_integer(kind):
        try:
            return array.cast(pa.int64())
        except pa.ArrowInvalid:  # unsigned, beyond int64
            return array.cast(pa.string())
    if pa.types.is_floating(kind):
        return array.cast(pa.float64())
    if pa.types.is_date(kind):
        return array.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(kind) or pa.types.is_dictionary(kind):
        return array
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        raise TypeError(f"a column of {kind} holds no ids, numbers, times or words")
    return array.cast(pa.string())


def _array(values: Any) -> pa.Array:
    """A list, numpy or pandas column; numbers and words side by side become words."""
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
        return pa.array([None if v is None or v != v else str(v) for v in whole], pa.string())
