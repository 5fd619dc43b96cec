"""Data frames to Parquet files and back, with exact types. Does not know what the columns mean."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PURCHASE_ID: Final = pd.ArrowDtype(pa.binary(16))
"""The type of purchase ids: the 16 bytes of a UUID, in a tenth of the memory of UUID objects."""


def purchase_ids(packed: bytes) -> pd.api.extensions.ExtensionArray:
    """A column of purchase ids from 16 bytes each in a row; the bytes are not copied."""
    ids = pa.Array.from_buffers(pa.binary(16), len(packed) // 16, [None, pa.py_buffer(packed)])
    return pd.array(ids, dtype=PURCHASE_ID)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Save a frame, without pandas metadata: that cannot name a type of fixed width and could not be read back."""
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), path)


def read(path: Path, columns: Mapping[str, Any], *, absent: Mapping[str, int] = MappingProxyType({})) -> pd.DataFrame:
    """A saved frame with the given columns and types. Columns of `absent` may be missing: then they have that value.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: the file cannot be read or has other contents.
    """
    with pq.ParquetFile(path) as file:
        saved = set(file.schema_arrow.names)
        missing = [name for name in columns if name not in saved and name not in absent]
        if missing:
            raise ValueError(f"{path.name} lacks {', '.join(missing)}: it was saved by another version of ticketlab")
        table = file.read([name for name in columns if name in saved])
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.binary(16): PURCHASE_ID}.get)
    for index, name in enumerate(columns):
        if name not in saved:
            frame.insert(index, name, absent[name])
    found = dict(zip(frame.columns, frame.dtypes, strict=True))
    others = {name: kind for name, kind in columns.items() if not _equal(found[name], kind)}
    for name, kind in others.items():
        if isinstance(kind, pd.CategoricalDtype) and not frame[name].isin(kind.categories).all():
            raise ValueError(f"column {name} of {path.name} holds more than {', '.join(kind.categories)}")
    return frame.astype(others) if others else frame


def _equal(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - whatever pandas takes for a type
    """Whether a column has this type already; categories must also have the same order, so that codes agree."""
    if isinstance(found, pd.CategoricalDtype) and isinstance(wanted, pd.CategoricalDtype):
        return found.categories.equals(wanted.categories)
    return bool(found == wanted)
