"""Queries: from a request to pages of rows.

* A page is the next rows of one sub-split in row id order, at most the requested number
  and about ``PAGE_BYTES``; its next row id is where the client goes on. Pages are read
  before they are sent, so a client that reads slowly holds no cursor and no lock.
* A row group is 65 536 consecutive row ids. Runs of groups are dealt round robin to the
  sub-splits, so the sub-splits of all splits are disjoint and complete.
* Rows usually lie in the file in row id order but need not. So a page is read as it
  comes. When there is more than it can hold, a count shows whether it got all the rows up
  to its last one; only if it did not is it read again, in order.
* A few rows are read as rows, which costs half of what it costs to have DuckDB make Arrow;
  when there turn out to be more, they are read again.
* A query is what requests have in common that differ in values only: it is decoded, and all that
  follows from it is worked out, once for each definition of its table.
* A sorted table, or a projection, is read in key order instead: NULL is the greatest value,
  equal keys follow in row id order. The next row id of such a page is the number of a place
  the transaction remembers, so the rows read so far may be deleted meanwhile. A few rows are
  put in order here, at less than it costs to plan it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.vast_local import few, protocol, types
from infra.vast_local.catalog import Column, Projection, Table
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import reading, root
from infra.vast_local.nodes import Node, number
from infra.vast_local.predicates import Condition, compile_filter
from infra.vast_local.shapes import Shapes
from infra.vast_local.transactions import Transaction

ROW_GROUP = 1 << 16
"""Row ids in a row group, fixed by the protocol."""

DEFAULT_LIMIT = 1 << 17
"""Rows of a page when the client does not say."""

PAGE_BYTES = 32 << 20
"""About how much one response may hold in memory, over all its sub-splits."""

_BATCH_ROWS = 1024

_TEXT = pa.string()
_FIRST = itemgetter(0)

_FEW = 1024
"""Rows up to which it is no dearer to fetch them one by one."""


@dataclass(frozen=True)
class Query:
    """What to read: output leaves in order, the condition, the table they belong to."""

    table: Table
    leaves: tuple[Node, ...]
    condition: Condition
    order: tuple[Column, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Physical columns to read, the row id first."""
        read = (leaf.column for leaf in self.leaves)
        key = (column.physical for column in self.order)
        return tuple(dict.fromkeys([ROW_ID, *read, *key]))

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Physical columns to read in the order of, none for that of row ids."""
        return (*(column.physical for column in self.order), ROW_ID) if self.order else ()

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of rows as they are stored."""
        by_name = {column.physical: column.field.type for column in self.table.columns}
        return pa.schema(
            [
                (name, types.storage(by_name[name]) if name in by_name else pa.int64())
                for name in self.columns
            ]
        )

    @cached_property
    def types(self) -> tuple[pa.DataType, ...]:
        """The types of columns as they are stored."""
        return tuple(self.schema.types)

    @cached_property
    def is_plain(self) -> bool:
        """Whether no column is nested."""
        return not any(map(pa.types.is_nested, self.types))

    @cached_property
    def written(self) -> Sequence[tuple[int, pa.DataType, pa.DataType]] | None:
        """The column of each leaf, and its type and how that is stored, if `few` can write all."""
        if not self.leaves or not all(few.can_write(n.stored) and not n.path for n in self.leaves):
            return None
        return [(self.columns.index(n.column), n.type, n.stored) for n in self.leaves]

    @cached_property
    def statement(self) -> str:
        """SQL that reads the rows of all sub-splits, to which conditions can be added."""
        return (
            f"SELECT {', '.join(self.columns)} FROM {self.table.physical} "  # noqa: S608
            f"WHERE {self.condition.sql}"
        )

    def batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        """Return rows as they are stored."""
        columns = zip(zip(*rows, strict=True), self.types, strict=True)
        arrays = [pa.array(values, type_) for values, type_ in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    @cached_property
    def nothing(self) -> pa.RecordBatch:
        """No rows."""
        return pa.RecordBatch.from_arrays([pa.array([], t) for t in self.types], schema=self.schema)

    @cached_property
    def nothing_framed(self) -> Sequence[bytes]:
        """The messages of a page without rows."""
        return protocol.empty_messages(_leaves(self, self.nothing))

    @cached_property
    def suited(self) -> "Query | None":
        """The query answered from a projection that has its columns and is sorted by its filter."""
        asked = {leaf.column for leaf in self.leaves} | self.condition.columns
        for projection in self.table.projections:
            names = (*projection.sorted, *projection.unsorted)
            covered = {self.table.column(name).physical for name in names}
            key = self.table.column(projection.sorted[0]).physical
            if key in self.condition.columns and asked - {ROW_ID} <= covered:
                return self.sorted_by(projection)
        return None

    def sorted_by(self, projection: Projection) -> "Query":
        """Return the query answered from a projection."""
        return replace(self, order=tuple(map(self.table.column, projection.sorted)))


@dataclass(frozen=True, slots=True)
class Share:
    """A sub-split: its place among all sub-splits and how many row ids make a run."""

    place: int
    of: int
    run: int

    @property
    def sql(self) -> str:
        """What to add to the condition on a row for its id to belong here."""
        return f" AND ({ROW_ID} // {self.run}) % {self.of} = {self.place}" if self.of > 1 else ""


@dataclass(frozen=True, slots=True)
class Few:
    """A few rows as DuckDB returned them, the row id first, for a query that is `written`."""

    rows: Sequence[tuple[Any, ...]]
    query: Query

    @property
    def num_rows(self) -> int:
        """Their number."""
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """About how many bytes they are."""
        numbers = 8 * len(self.rows) * len(self.query.types)
        texts = [i for i, type_ in enumerate(self.query.types) if type_ == _TEXT]
        return numbers + sum(len(row[i] or "") for row in self.rows for i in texts)

    def messages(self) -> Sequence[bytes]:
        """Return the messages that carry them."""
        columns = list(zip(*self.rows, strict=True))
        written = self.query.written or ()
        return protocol.few_messages([(t, stored, columns[i]) for i, t, stored in written])

    def arrow(self) -> pa.RecordBatch:
        """Return them as others are."""
        return self.query.batch(self.rows)


Rows: TypeAlias = pa.Table | pa.RecordBatch | Few


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one sub-split, columns as stored in the order of the query, and where to go on."""

    rows: Rows
    next_row: int


Pages = list[tuple[int, Page]]
"""Pages of a response, each with its sub-split."""


def decode(table: Table, body: bytes) -> tuple[Query, list[object]]:
    """Return the query of a request body and its parameters, or refuse it with 400."""
    shapes: Shapes[Query] = table.memo.setdefault("queries", Shapes())
    with reading("the query"):
        query = shapes.find(body)
        if query is None:
            query = _decode(table, body)
            if query.condition.is_common:
                places = query.condition.places
                shapes.learn(body, places, query, partial(_decode, table))
        return query, query.condition.parameters(body)


def _decode(table: Table, body: bytes) -> Query:
    source = root(body).table(1)
    names = tuple([field.text(0) for field in source.table(3).tables(1)])
    nodes = number(table, names)
    condition = compile_filter(source.table(2), nodes)
    leaves = tuple([nodes[field.uint(0)] for field in source.tables(4)])
    if not all(leaf.is_leaf for leaf in leaves):
        raise Invalid("a projection names leaf columns")
    return Query(table, leaves, condition, order=table.sorted_columns)


def frames(query: Query, pages: Pages) -> Iterator[bytes]:
    """Return the response of a query from the pages of its sub-splits."""
    for stream, page in pages:
        rows, next_row = page.rows, page.next_row
        if isinstance(rows, Few):
            yield protocol.framed(stream, next_row, rows.messages())
        elif rows.num_rows:
            yield from protocol.cycle(stream, next_row, _leaves(query, rows), rows.num_rows)
        else:
            yield protocol.framed(stream, next_row, query.nothing_framed)
    yield protocol.completed()


def _leaves(query: Query, rows: pa.Table | pa.RecordBatch) -> list[pa.Array]:
    arrays = {
        name: _array(column) for name, column in zip(query.columns, rows.columns, strict=True)
    }
    return [types.isolate(arrays[leaf.column], leaf.path, leaf.type) for leaf in query.leaves]


class Reader:
    """Reads the pages of one query in one transaction."""

    def __init__(
        self, tx: Transaction, query: Query, parameters: list[object], *, end: int, budget: int
    ) -> None:
        """Read in a transaction; ``end`` is after the last row id, ``budget`` bytes per page."""
        self._tx = tx
        self._places = tx.places
        self._query = query
        self._parameters = parameters
        self._end = end
        self._budget = budget

    def page(self, share: Share, start: int, limit: int) -> Page:
        """Return the page of a sub-split that goes on at ``start``, 0 at first."""
        if share.place * share.run >= self._end:
            return Page(self._query.nothing, protocol.FINISHED)
        read = self._by_key if self._query.order else self._by_id
        return read(share, start, limit)

    def _by_id(self, share: Share, start: int, limit: int) -> Page:
        if start >= self._end:
            return Page(self._query.nothing, protocol.FINISHED)
        where = share.sql
        if start:
            where += f" AND {ROW_ID} >= {start}"
        rows, whole = self._read(where, self._parameters, limit + 1)
        if whole and rows.num_rows <= limit:
            return Page(_in_order(rows), protocol.FINISHED)
        last = pc.max(rows.column(ROW_ID)).as_py()
        where += f" AND {ROW_ID} <= {last}"
        if self._count(where) == rows.num_rows:
            rows = _in_order(rows)
        else:
            rows, _ = self._read(where, self._parameters, limit, [ROW_ID])
        rows = rows.slice(0, limit)
        return Page(rows, 1 + rows.column(ROW_ID)[-1].as_py())

    def _by_key(self, share: Share, start: int, limit: int) -> Page:
        key = self._query.key
        where = share.sql
        parameters = self._parameters
        if start:
            marks = [f"?::{types.sql(types.storage(c.field.type))}" for c in self._query.order]
            where += f" AND row({', '.join(key)}) > row({', '.join(marks)}, ?::BIGINT)"
            parameters = [*parameters, *self._place(start)]
        rows, whole = self._read(where, parameters, limit + 1, key)
        if whole and rows.num_rows <= limit:
            return Page(rows, protocol.FINISHED)
        rows = rows.slice(0, limit)
        self._places.append(tuple(rows.column(name)[-1].as_py() for name in key))
        return Page(rows, len(self._places))

    def _place(self, start: int) -> tuple[object, ...]:
        if start > len(self._places):
            raise Invalid("in key order a query goes on only where its transaction left off")
        return self._places[start - 1]

    def _count(self, where: str) -> int:
        statement = (
            f"SELECT count(*) FROM {self._query.table.physical} "  # noqa: S608
            f"WHERE {self._query.condition.sql}{where}"
        )
        counted = self._tx.cursor.execute(statement, self._parameters).fetchall()
        return int(counted[0][0])

    def _read(
        self, where: str, parameters: list[object], limit: int, key: Sequence[str] = ()
    ) -> tuple[Any, bool]:
        """Read rows as they come, or the first in the order of a key.

        The second value says whether the budget let all through.
        """
        statement = self._query.statement + where
        order = " ORDER BY " + ", ".join(f"{name} NULLS LAST" for name in key) if key else ""
        found = self._few(statement, parameters, limit) if self._query.is_plain else None
        if found is not None and key:
            is_all = found.num_rows < limit
            found = _by(key, found) if is_all else self._few(statement + order, parameters, limit)
        if found is not None and (not found.num_rows or found.nbytes <= self._budget):
            return found, True
        ordered = f"{statement}{order} LIMIT {limit}"
        reader = self._tx.cursor.sql(ordered, params=parameters).to_arrow_reader(_BATCH_ROWS)
        batches, size = [], 0
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            if size > self._budget:
                reader.close()
                return pa.Table.from_batches(batches), False
        return pa.Table.from_batches(batches, reader.schema), True

    def _few(
        self, statement: str, parameters: list[object], limit: int
    ) -> pa.RecordBatch | Few | None:
        """Read the rows if they are few; None if they are not."""
        most = min(limit, _FEW + 1)
        rows = self._tx.execute(f"{statement} LIMIT {most}", parameters).fetchall()
        if len(rows) > _FEW:
            return None
        if not rows:
            return self._query.nothing
        if len(rows) <= few.MOST_ROWS and len(rows) < limit and self._query.written:
            return Few(rows, self._query)
        return self._query.batch(rows)


def _in_order(rows: Rows) -> Rows:
    if rows.num_rows < 2:  # noqa: PLR2004 - one row is in any order
        return rows
    if isinstance(rows, Few):
        return Few(sorted(rows.rows, key=_FIRST), rows.query)
    ids = rows.column(ROW_ID).to_numpy()
    return rows if (ids[1:] > ids[:-1]).all() else rows.take(np.argsort(ids))


def _by(key: Sequence[str], rows: pa.RecordBatch | Few) -> pa.RecordBatch | Few:
    if rows.num_rows < 2:  # noqa: PLR2004 - one row is in any order
        return rows
    if isinstance(rows, Few):
        places = [rows.query.columns.index(name) for name in key]
        ordered = sorted(rows.rows, key=lambda row: [(row[i] is None, row[i]) for i in places])
        return Few(ordered, rows.query)
    return rows.sort_by([(name, "ascending") for name in key])


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1 and column.chunk(0).offset == 0:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
