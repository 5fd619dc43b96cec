"""Frames to Parquet files and back, exact in their types. Knows files, not what the columns mean."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PURCHASE_ID: Final = pd.ArrowDtype(pa.binary(16))
"""Purchase ids are kept as the 16 bytes of their UUID: a tenth of the memory of UUID objects."""


def purchase_ids(packed: bytes) -> pd.api.extensions.ExtensionArray:
    """Purchase ids, 16 bytes each and end to end, as a column; the bytes are not copied."""
    ids = pa.Array.from_buffers(pa.binary(16), len(packed) // 16, [None, pa.py_buffer(packed)])
    return pd.array(ids, dtype=PURCHASE_ID)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Save a frame. The pandas metadata is left out: it can not name a type of fixed width, so it could not be read."""
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), path)


def read(path: Path, columns: Mapping[str, Any], *, absent: Mapping[str, int] = MappingProxyType({})) -> pd.DataFrame:
    """The frame that was saved, its columns in the given types. Those of `absent` may be missing: then all have that.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: the file can not be read, or holds something else.
    """
    there = set(pq.read_schema(path).names)
    missing = set(columns) - there - set(absent)
    if missing:
        lacking = ", ".join(name for name in columns if name in missing)
        raise ValueError(f"{path.name} lacks {lacking}: it was saved by another version of ticketlab")
    frame: pd.DataFrame = pq.read_table(path, columns=[name for name in columns if name in there]).to_pandas(
        types_mapper={pa.binary(16): PURCHASE_ID}.get
    )
    for place, name in enumerate(columns):
        if name not in there:
            frame.insert(place, name, absent[name])
    for name, kind in columns.items():
        if isinstance(kind, pd.CategoricalDtype) and not frame[name].isin(kind.categories).all():
            raise ValueError(f"column {name} of {path.name} holds more than {', '.join(kind.categories)}")
    return frame.astype(dict(columns))
