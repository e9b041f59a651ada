"""A declared file of a data set as a frame."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recbench.dataset import DatasetSource


def table(source: DatasetSource, name: str, columns: tuple[str, ...] = (), member: str = "", **options: Any) -> Any:
    """The frame that pandas reads, typed Any because its stubs follow no chain of calls.

    `columns` names those of a file without a header, `member` a file inside a zip.
    RecbenchError where the file is missing, damaged, or has another number of columns.
    """
    import pandas as pd

    content = source.content(name)
    with source.reading(name):
        if member:
            content = zipfile.ZipFile(io.BytesIO(content)).read(member)
        frame = pd.read_csv(io.BytesIO(content), header=None if columns else 0, **options)
        if columns:
            frame = frame.set_axis(list(columns), axis=1)
        return frame
