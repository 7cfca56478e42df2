"""Results of queries: the pages in the body of an answer.

* A page comes column by column, each as an Arrow stream of its own: a schema, batches, an end. In
  front of each of these messages stand the number of the sub-split and the row id to go on with.
* The SDK sets up a reader for each column, which takes longer than a nearby database takes to find
  a row. What was asked for says of what type each column is, so batches are all that is read.
* Columns are flat here, and there is one sub-split.
"""

import struct
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
from vastdb import _internal as sdk

FINISHED: Final = sdk.TABULAR_INVALID_ROW_ID
"""The row id to go on with when there are no more rows."""

_STREAM: Final = struct.Struct("<I")
_ROW_ID: Final = struct.Struct("<Q")


def pages(body: bytes, schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """Each page in an answer to a query for the columns in `schema`, and the row id to go on with.

    Raises:
        EOFError, OSError: when the answer breaks off.
        ValueError: when it says that the query failed, or is no such answer.
    """
    columns = [pa.schema([field]) for field in schema]
    source = pa.BufferReader(body)
    while (stream := _next_stream(source)) is not None:
        if stream:
            raise ValueError(f"the answer has a sub-split {stream} that nobody asked for")
        arrays: list[pa.ChunkedArray] = []
        for column in columns:
            if arrays and _next_stream(source) != 0:
                raise EOFError("the answer breaks off between two columns")
            next_row, array = _column(source, column)
            arrays.append(array)
        page = pa.Table.from_arrays(arrays, schema=schema)
        page.validate()
        yield next_row, page


def _column(source: pa.BufferReader, schema: pa.Schema) -> tuple[int, pa.ChunkedArray]:
    """A column, after the number of its sub-split, and the row id to go on with."""
    _exactly(source, _ROW_ID.size)
    pa.ipc.read_message(source)  # the schema, which is known
    batches: list[pa.Array] = []
    while True:
        if _next_stream(source) != 0:
            raise EOFError("the answer breaks off within a column")
        (next_row,) = _ROW_ID.unpack(_exactly(source, _ROW_ID.size))
        try:
            message = pa.ipc.read_message(source)
        except EOFError:  # the end of the column
            return next_row, pa.chunked_array(batches, type=schema.field(0).type)
        batches.append(pa.ipc.read_record_batch(message, schema).column(0))


def _next_stream(source: pa.BufferReader) -> int | None:
    """The number of the sub-split that the next message belongs to; None at the end."""
    while True:
        (stream,) = _STREAM.unpack(_exactly(source, _STREAM.size))
        if stream == sdk.TABULAR_QUERY_DATA_FAILED_STREAM_ID:
            (code,) = _ROW_ID.unpack(_exactly(source, _ROW_ID.size))
            raise ValueError(f"the query failed, with error {code}")
        if stream == sdk.TABULAR_QUERY_DATA_COMPLETED_STREAM_ID:
            return None
        if stream != sdk.TABULAR_KEEP_ALIVE_STREAM_ID:
            return int(stream)


def _exactly(source: pa.BufferReader, size: int) -> bytes:
    found: bytes = source.read(size)
    if len(found) < size:
        raise EOFError("the answer breaks off")
    return found
