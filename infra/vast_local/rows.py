"""Inserting, updating and deleting rows.

* Batches arrive and ids leave as Arrow IPC streams; values reach DuckDB as Arrow, or as
  parameters where they are few, never as SQL.
* Everything is checked before the first statement, so a refused batch changes nothing.
* Rows are claimed before they are written. A row that is to be updated and is not there
  fails the transaction: an update is never lost in silence. Deleting twice is harmless.
* The range of a batch's ids is in the statement, so DuckDB reads only the row groups they can
  be in. Ids without a gap need nothing else to be deleted; a few rows that get the same values are
  updated with parameters, at half the cost of a join.
* DuckDB moves a row when an indexed column of it is written. So one that stays as it is is left
  out of the update.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from infra.vast_local import protocol, types
from infra.vast_local.catalog import Column, Table
from infra.vast_local.claims import Claims
from infra.vast_local.definitions import ROW_ID, Definitions
from infra.vast_local.errors import Invalid, Lost
from infra.vast_local.storage import RowIds
from infra.vast_local.transactions import Transaction

ROW_ID_FIELD = "$row_id"
"""Name of the row id column on the wire."""

EXTERNAL_ROW_ID = "vastdb_rowid"
"""A column of this name in the first insert says that clients number the rows."""

MAX_ROW_ID = (1 << 48) - 1

_SIMPLE = frozenset({pa.bool_(), pa.int32(), pa.int64(), pa.string()})
"""Types whose values may be parameters."""

_FEW_ROWS = 16
"""Rows up to which those that get the same values are named in a statement."""

_FEW_KINDS = 3
"""Statements up to which that costs less than one over all rows."""

_FEW_CELLS = 12
"""Values up to which it is cheaper to insert them as parameters."""


def row_id_type(table: Table) -> pa.DataType:
    """Return the wire type of a table's row ids."""
    return pa.decimal128(38, 0) if table.sort_key else pa.uint64()


class Rows:
    """Writes the rows of tables."""

    def __init__(self, claims: Claims, definitions: Definitions, row_ids: RowIds) -> None:
        """Use the server's claims and row id ranges."""
        self._claims = claims
        self._definitions = definitions
        self._row_ids = row_ids

    def insert(self, tx: Transaction, table: Table, body: bytes) -> bytes:
        """Append a batch (IPC stream, any subset of columns); return its ids as an IPC stream."""
        batch = _read(body)
        columns = _columns(table, batch.schema)
        external = EXTERNAL_ROW_ID in batch.schema.names
        if table.external_row_ids and not external:
            raise Invalid(f"rows of table {table.name} must carry {EXTERNAL_ROW_ID}")
        count = batch.num_rows if columns else 0
        if not count:
            return _ids(table, 0, 0)
        self._claims.share(tx.holder, ("rows", table.id))
        if table.external_row_ids is None and EXTERNAL_ROW_ID in table.by_name:
            table = self._definitions.number_rows_externally(tx, table, external)
        first = self._row_ids.allocate(table.id, count)
        names = ", ".join([ROW_ID, *(column.physical for column in columns)])
        target = f"{table.physical} ({names})"
        stored = _stored(batch, columns)
        if count * len(stored) <= _FEW_CELLS and _are_simple(stored):
            cells = [range(first, first + count), *(array.to_pylist() for array in stored)]
            marks = ", ".join([f"({', '.join('?' * len(cells))})"] * count)
            values = [value for row in zip(*cells, strict=True) for value in row]
            tx.execute(f"INSERT INTO {target} VALUES {marks}", values).fetchall()  # noqa: S608
        else:
            numbers = pa.array(range(first, first + count), pa.int64())
            statement = f"INSERT INTO {target} SELECT * FROM incoming"  # noqa: S608
            _execute(tx, statement, _table([numbers, *stored]))
        return _ids(table, first, count)

    def update(self, tx: Transaction, table: Table, body: bytes) -> None:
        """Change cells: a batch of ``$row_id`` and the columns to set."""
        batch = _read(body)
        ids = _row_ids(batch)
        columns = _columns(table, batch.schema)
        if any(column.id in table.sort_key for column in columns):
            raise Invalid("a sorted column cannot be updated")
        if not len(ids) or not columns:
            return
        bounds = self._claim(tx, table, ids)
        stored = _stored(batch, columns)
        alike = _alike(ids, stored) if len(ids) <= _FEW_ROWS and _are_simple(stored) else {}
        if 0 < len(alike) <= _FEW_KINDS:
            found = sum(
                _update_alike(tx, table, columns, rows, values) for values, rows in alike.items()
            )
        else:
            found = _update_each(tx, table, columns, _table([ids, *stored]), bounds)
        if found != len(ids):
            raise Lost(f"{len(ids) - found} of the rows to update do not exist", "NoSuchRow")

    def delete(self, tx: Transaction, table: Table, body: bytes) -> None:
        """Remove rows: a batch of ``$row_id``."""
        ids = _row_ids(_read(body))
        if not len(ids):
            return
        first, last = self._claim(tx, table, ids)
        if last - first + 1 == len(ids):
            statement = f"DELETE FROM {table.physical} WHERE {ROW_ID} BETWEEN ? AND ?"  # noqa: S608
            tx.execute(statement, [first, last]).fetchall()
        else:
            statement = f"DELETE FROM {table.physical} USING incoming WHERE {_JOINED}"  # noqa: S608
            _execute(tx, statement, _table([ids]), [first, last])

    def _claim(self, tx: Transaction, table: Table, ids: pa.Array) -> tuple[int, int]:
        """Claim rows and return the first and the last id."""
        wanted = set(ids.to_pylist())
        if len(wanted) != len(ids):
            raise Invalid("a row is named twice")
        first, last = min(wanted), max(wanted)
        if first < 0 or last >= MAX_ROW_ID:
            raise Invalid("a row id is out of range")
        self._claims.share(tx.holder, ("rows", table.id))
        self._claims.write(tx.holder, table.id, wanted)
        return first, last


_JOINED = f"{ROW_ID} = incoming.v0 AND {ROW_ID} BETWEEN ? AND ?"


def _alike(ids: pa.Array, stored: list[pa.Array]) -> dict[tuple[object, ...], list[int]]:
    """Return the rows by the values that they are to have."""
    found: dict[tuple[object, ...], list[int]] = {}
    values = zip(*(array.to_pylist() for array in stored), strict=True)
    for id_, row in zip(ids.to_pylist(), values, strict=True):
        found.setdefault(row, []).append(id_)
    return found


def _update_alike(
    tx: Transaction,
    table: Table,
    columns: list[Column],
    ids: list[int],
    values: tuple[object, ...],
) -> int:
    """Set the columns of a few rows to the same values; return how many of the rows there are."""
    settings = {column.physical: value for column, value in zip(columns, values, strict=True)}
    where = f"{ROW_ID} = ?" if len(ids) == 1 else f"{ROW_ID} IN ({', '.join('?' * len(ids))})"
    indexed = [column.physical for column in columns if column in table.indexed]
    if indexed:
        select = f"SELECT {', '.join(indexed)} FROM {table.physical} WHERE {where}"  # noqa: S608
        found = tx.execute(select, ids).fetchall()
        if len(found) != len(ids):
            return len(found)
        for name, former in zip(indexed, zip(*found, strict=True), strict=True):
            if all(value == settings[name] for value in former):
                del settings[name]
    if not settings:
        return len(ids)
    sets = ", ".join(f"{name} = ?" for name in settings)
    statement = f"UPDATE {table.physical} SET {sets} WHERE {where}"  # noqa: S608
    (changed,) = tx.execute(statement, [*settings.values(), *ids]).fetchall()[0]
    return int(changed)


def _update_each(
    tx: Transaction,
    table: Table,
    columns: list[Column],
    incoming: pa.Table,
    bounds: tuple[int, int],
) -> int:
    """Set the columns of rows to those after the ids; return how many of the rows there are."""
    sources = {column.physical: f"incoming.v{i}" for i, column in enumerate(columns, 1)}
    indexed = [column.physical for column in columns if column in table.indexed]
    if indexed:
        differ = ", ".join(f"bool_or({name} IS DISTINCT FROM {sources[name]})" for name in indexed)
        select = f"SELECT count(*), {differ} FROM {table.physical}, incoming WHERE {_JOINED}"  # noqa: S608
        found, *is_new = _execute(tx, select, incoming, bounds)
        if found != incoming.num_rows:
            return int(found)
        for name, is_changed in zip(indexed, is_new, strict=True):
            if not is_changed:
                del sources[name]
    if not sources:
        return int(incoming.num_rows)
    sets = ", ".join(f"{name} = {source}" for name, source in sources.items())
    statement = f"UPDATE {table.physical} SET {sets} FROM incoming WHERE {_JOINED}"  # noqa: S608
    (changed,) = _execute(tx, statement, incoming, bounds)
    return int(changed)


def _read(body: bytes) -> pa.RecordBatch:
    try:
        reader = pa.ipc.open_stream(body)
        batches = list(reader)
    except pa.ArrowInvalid as error:
        raise Invalid(f"the body is not an Arrow stream: {error}") from error
    if len(batches) > 1:
        raise Invalid("the body holds more than one batch")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=reader.schema)


def _columns(table: Table, schema: pa.Schema) -> list[Column]:
    """Return the columns a batch writes, in the batch's order, without the row id."""
    columns = []
    for field in schema:
        if field.name == ROW_ID_FIELD:
            continue
        column = table.column(field.name)
        if field.type != column.field.type or _loses_nulls(field, column.field):
            raise Invalid(
                f"column {field.name} holds {column.field.type}, not {field.type}",
                "TabularMismatchColumnType",
            )
        columns.append(column)
    if len({column.id for column in columns}) != len(columns):
        raise Invalid("a column is named twice")
    return columns


def _loses_nulls(given: pa.Field, wanted: pa.Field) -> bool:
    """Tell whether a vector column is declared without the nulls it has, which VAST refuses."""
    is_vector: bool = pa.types.is_fixed_size_list(wanted.type)
    return is_vector and given.nullable is not wanted.nullable


def _row_ids(batch: pa.RecordBatch) -> pa.Array:
    if ROW_ID_FIELD not in batch.schema.names:
        raise Invalid(f"the batch has no column {ROW_ID_FIELD}")
    try:
        ids = batch.column(ROW_ID_FIELD).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise Invalid(f"a row id is out of range: {error}") from error
    if ids.null_count:
        raise Invalid("a row id is missing")
    return ids


def _stored(batch: pa.RecordBatch, columns: list[Column]) -> list[pa.Array]:
    return [
        types.relayout(batch.column(c.field.name), types.storage(c.field.type)) for c in columns
    ]


def _are_simple(arrays: list[pa.Array]) -> bool:
    """Tell whether values mean as parameters exactly what they mean in Arrow."""
    return all(array.type in _SIMPLE for array in arrays)


def _table(arrays: list[pa.Array]) -> pa.Table:
    return pa.Table.from_arrays(arrays, names=[f"v{i}" for i in range(len(arrays))])


def _execute(
    tx: Transaction,
    statement: str,
    incoming: pa.Table,  # noqa: ARG001 - the statement reads it by name
    parameters: Sequence[int] = (),
) -> tuple[Any, ...]:
    """Run a statement over ``incoming`` and return the one row it answers."""
    (row,) = tx.cursor.execute(tx.parsed(statement), parameters).fetchall()
    return row


def _ids(table: Table, first: int, count: int) -> bytes:
    return protocol.row_ids(row_id_type(table), ROW_ID_FIELD, first, count)
