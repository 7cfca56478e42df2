"""The bodies of responses: catalog listings, statistics and query results.

* Listings and statistics are flatbuffers; column listings and row ids are Arrow streams.
* A listed column always carries metadata (whether and where it is in the sort key),
  because clients read it without asking whether it is there.
* A query result is a sequence of frames; per sub-split and leaf column one whole Arrow
  stream, each message behind the sub-split's number and its next row id.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct

import pyarrow as pa

from infra.vast_local import few
from infra.vast_local.catalog import Column, Projection, Schema, Table
from infra.vast_local.flatbuf import Record, Scalar, encode, record

FINISHED = 0xFFFFFFFFFFFF
"""The next row id that says a sub-split has no more rows."""

_COMPLETED = Struct("<I").pack(0xFFFFFFFE)
_HEADER = Struct("<IQ")
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_SORTING_DONE = -(1 << 63)


def schemas(bucket: str, listed: Iterable[Schema]) -> bytes:
    """Return a ListSchemasResponse."""
    details = [_details(schema.name, schema.properties, schema.id) for schema in listed]
    return encode(record(bucket, details))


def tables(bucket: str, schema: str, listed: Iterable[tuple[Table, int]]) -> bytes:
    """Return a ListTablesResponse of tables and their row counts."""
    details = [
        _details(table.name, table.properties, table.id, rows, _size(table, rows), table.sort_key)
        for table, rows in listed
    ]
    return encode(record(bucket, schema, details))


def projections(
    bucket: str, schema: str, table: Table, listed: Iterable[Projection], rows: int
) -> bytes:
    """Return a ListProjectionsResponse."""
    size = _size(table, rows)
    details = [_details(one.name, "", one.id, rows, size) for one in listed]
    return encode(record(bucket, schema, table.name, details))


def statistics(table: Table, rows: int) -> bytes:
    """Return a GetTableStatsResponse; it names no addresses, so clients keep their endpoint."""
    is_sorted = bool(table.sort_key)
    return encode(
        record(
            _int64(rows),
            _int64(_size(table, rows)),
            bool(table.external_row_ids),
            "",
            [],
            is_sorted,
            _int64(_SORTING_DONE if is_sorted else 0),
            _int64(0),
            _int64(rows),
        )
    )


def projection_statistics(table: Table, rows: int) -> bytes:
    """Return a GetProjectionTableStatsResponse of a projection that is up to date."""
    return encode(record(_int64(rows), _int64(_size(table, rows)), _int64(0), _int64(100)))


def columns(table: Table, listed: Iterable[Column]) -> bytes:
    """Return an Arrow stream that is only a schema."""
    return _stream_of([_listed(table, column) for column in listed])


def projection_columns(listed: Iterable[Column], projection: Projection) -> bytes:
    """Return the columns of a projection, its key marked as sorted."""
    key = {name: rank for rank, name in enumerate(projection.sorted)}
    return _stream_of([_marked(c.field, key.get(c.field.name)) for c in listed])


def cycle(stream: int, next_row: int, leaves: list[pa.Array], rows: int) -> Iterator[bytes]:
    """Return the frames that carry one page of a sub-split, leaf by leaf.

    Without leaves the page is only its number of rows.
    """
    for batch in map(_column_batch, leaves) if leaves else [_counting_batch(rows)]:
        yield framed(stream, next_row, _messages(_schema_message(batch.schema), batch.serialize()))


def framed(stream: int, next_row: int, messages: Iterable[bytes]) -> bytes:
    """Return messages of one page of a sub-split as frames."""
    head = _HEADER.pack(stream, next_row)
    return head.join([b"", *messages])


def empty_messages(leaves: list[pa.Array]) -> list[bytes]:
    """Return the messages of a page whose leaves are without rows."""
    batches = map(_column_batch, leaves) if leaves else [_counting_batch(0)]
    pairs = ((_schema_message(batch.schema), batch.serialize().to_pybytes()) for batch in batches)
    return [message for pair in pairs for message in _messages(*pair)]


def few_messages(
    columns: Iterable[tuple[pa.DataType, pa.DataType, Sequence[object]]],
) -> list[bytes]:
    """Return the messages of a page of columns: their types, as `few` writes them, values."""
    messages: list[bytes] = []
    for type_, stored, values in columns:
        messages += _messages(_schema_of(type_), few.message(values, stored))
    return messages


def row_ids(type_: pa.DataType, name: str, first: int, count: int) -> bytes:
    """Return consecutive row ids as an Arrow stream."""
    if few.can_write(type_) and count <= few.MOST_ROWS:
        batch = few.message(range(first, first + count), type_)
    else:
        ids = pa.array(range(first, first + count), pa.int64()).cast(type_)
        batch = pa.record_batch([ids], names=[name]).serialize()
    return b"".join(_messages(_schema_of(type_, name), batch))


def completed() -> bytes:
    """Return the frame that ends a query result."""
    return _COMPLETED


def _details(
    name: str, properties: str, handle: int, rows: int = 0, size: int = 0, key: object = ()
) -> Record:
    score = _int64(_SORTING_DONE if key else 0)
    counts = (_uint64(rows), _uint64(size), _uint64(0))
    return record(name, properties, str(handle), *counts, bool(key), score)


def _size(table: Table, rows: int) -> int:
    """Estimate a size in bytes; clients only compare it with others."""
    return rows * 16 * len(table.columns)


def _int64(value: int) -> Scalar:
    return Scalar("int64", value)


def _uint64(value: int) -> Scalar:
    return Scalar("uint64", value)


def _listed(table: Table, column: Column) -> pa.Field:
    rank = table.sort_key.index(column.id) if column.id in table.sort_key else None
    return _marked(column.field, rank)


def _marked(field: pa.Field, rank: int | None) -> pa.Field:
    if rank is None:
        return field.with_metadata({"VAST:sort_type": "Unsorted"})
    return field.with_metadata({"VAST:sort_type": "Sorted", "VAST:sort_index": f"{rank:03}"})


def _stream_of(fields: list[pa.Field]) -> bytes:
    schema = pa.schema(fields, metadata={"VAST:table": ""})
    return schema.serialize().to_pybytes() + _END_OF_STREAM  # type: ignore[no-any-return]


def _messages(schema: bytes, batch: bytes) -> tuple[bytes, bytes, bytes]:
    return schema, batch, _END_OF_STREAM


def _column_batch(leaf: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([leaf], names=["f"])


def _counting_batch(rows: int) -> pa.RecordBatch:
    nothing = pa.StructArray.from_buffers(pa.struct([]), rows, [None], 0)
    return pa.RecordBatch.from_struct_array(nothing)


@lru_cache(maxsize=1024)
def _schema_of(type_: pa.DataType, name: str = "f") -> bytes:
    return _schema_message(pa.schema([(name, type_)]))


@lru_cache(maxsize=1024)
def _schema_message(schema: pa.Schema) -> bytes:
    return schema.serialize().to_pybytes()  # type: ignore[no-any-return]
