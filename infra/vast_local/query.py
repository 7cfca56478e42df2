"""Queries: from a request to pages of rows.

* A page is the next rows of one sub-split in row id order, at most the requested number
  and about ``PAGE_BYTES``; its next row id is where the client goes on. Pages are read
  before they are sent, so a client that reads slowly holds no cursor and no lock.
* A row group is 65 536 consecutive row ids. Runs of groups are dealt round robin to the
  sub-splits, so the sub-splits of all splits are disjoint and complete.
* Rows usually lie in the file in row id order but need not. So a page is first read as
  it comes; only when there is more than a page can hold does order decide what goes in.
* A projection only sorts the rows within a page.
"""

import logging
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from infra.vast_local import protocol, types
from infra.vast_local.catalog import Projection, Table
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import root
from infra.vast_local.nodes import Node, number
from infra.vast_local.predicates import Condition, compile_filter

ROW_GROUP = 1 << 16
"""Row ids in a row group, fixed by the protocol."""

DEFAULT_LIMIT = 1 << 17
"""Rows of a page when the client does not say."""

PAGE_BYTES = 64 << 20
"""About how much one response may hold in memory, over all its sub-splits."""

TOP_ROWS = 8192
"""Up to this many rows DuckDB finds the lowest row ids in one pass over the table."""

_BATCH_ROWS = 4096

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """What to read: output leaves in order, the condition, the table they belong to."""

    table: Table
    leaves: tuple[Node, ...]
    condition: Condition
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Physical columns to read, the row id first."""
        named = [ROW_ID, *(leaf.column for leaf in self.leaves), *self.order]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Share:
    """A sub-split: its place among all sub-splits and how many row ids make a run."""

    place: int
    of: int
    run: int

    @property
    def sql(self) -> str:
        """Condition a row id meets when it belongs here."""
        return f"({ROW_ID} // {self.run}) % {self.of} = {self.place}" if self.of > 1 else "true"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one sub-split as storage arrays by physical name, and where to go on."""

    rows: pa.Table
    next_row: int


def decode(table: Table, body: bytes) -> Query:
    """Return the query of a request body or refuse it with 400."""
    try:
        source = root(body).table(1)
        names = [field.text(0) for field in source.table(3).tables(1)]
        nodes = number(table, names)
        condition = compile_filter(source.table(2), nodes)
        leaves = tuple(nodes[field.uint(0)] for field in source.tables(4))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Invalid(f"the query cannot be decoded: {error}") from error
    if not all(leaf.is_leaf for leaf in leaves):
        raise Invalid("a projection names leaf columns")
    return Query(table, leaves, condition)


def sorted_by(query: Query, projection: Projection) -> Query:
    """Return the query answered from a projection."""
    order = tuple(query.table.column(name).physical for name in projection.sorted)
    return Query(query.table, query.leaves, query.condition, order)


def suited(query: Query) -> Projection | None:
    """Return a projection that has the query's columns and is sorted by what it filters."""
    read = {*query.condition.columns, *query.columns} - {ROW_ID}
    for projection in query.table.projections:
        names = (*projection.sorted, *projection.unsorted)
        covered = {query.table.column(name).physical for name in names}
        key = query.table.column(projection.sorted[0]).physical
        if key in query.condition.columns and read <= covered:
            return projection
    return None


def frames(query: Query, pages: Iterable[tuple[int, Page]]) -> Iterator[bytes]:
    """Return the response of a query from the pages of its sub-splits."""
    for stream, page in pages:
        arrays = {name: _array(page.rows.column(name)) for name in page.rows.column_names}
        leaves = [types.isolate(arrays[leaf.column], leaf.path, leaf.type) for leaf in query.leaves]
        yield from protocol.cycle(stream, page.next_row, leaves, page.rows.num_rows)
    yield protocol.completed()


class Reader:
    """Reads the pages of one query in one transaction."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, query: Query, *, end: int, budget: int
    ) -> None:
        """Read with a cursor; ``end`` is after the last row id, ``budget`` bytes per page."""
        self._cursor = cursor
        self._query = query
        self._end = end
        self._budget = budget

    def page(self, share: Share, start: int, limit: int) -> Page:
        """Return the page of a sub-split that starts at a row id."""
        if max(start, share.place * share.run) >= self._end:
            return self._page(self._nothing(), protocol.FINISHED)
        ids = self._end - start
        if self._query.condition.sql != "true" or ids <= limit * share.of:
            rows, whole = self._read(share, start, self._end, f"LIMIT {limit + 1}")
            if whole and rows.num_rows <= limit:
                return self._page(_in_order(rows), protocol.FINISHED)
        if limit <= TOP_ROWS:
            order = f"ORDER BY {ROW_ID} LIMIT {limit}"
            rows, whole = self._read(share, start, self._end, order)
            finished = whole and rows.num_rows < limit
            return self._page(rows, protocol.FINISHED if finished else _after(rows))
        return self._windows(share, start, limit)

    def _windows(self, share: Share, start: int, limit: int) -> Page:
        """Read ranges of row ids, each small enough to be sorted at once, into one page."""
        found: list[pa.Table] = []
        width, space = limit * share.of, limit
        while start < self._end and space > 0:
            stop = min(start + width, self._end)
            rows, whole = self._read(share, start, stop, "")
            if not whole and width > 1:
                if found:
                    break
                width = width // 2
                continue
            rows = _in_order(rows)
            if rows.num_rows > space:
                rows = rows.slice(0, space)
                stop = _after(rows)
            found.append(rows)
            space -= rows.num_rows
            start = stop
            if sum(part.nbytes for part in found) > self._budget // 2:
                break
        rows = pa.concat_tables(found)
        return self._page(rows, protocol.FINISHED if start >= self._end else start)

    def _read(self, share: Share, start: int, stop: int, tail: str) -> tuple[pa.Table, bool]:
        """Read rows of an id range; the second value says whether the budget let all through."""
        where = [self._query.condition.sql, share.sql]
        if start:
            where.append(f"{ROW_ID} >= {start}")
        if stop < self._end:
            where.append(f"{ROW_ID} < {stop}")
        conditions = " AND ".join(part for part in where if part != "true") or "true"
        statement = (
            f"SELECT {', '.join(self._query.columns)} FROM {self._query.table.physical} "  # noqa: S608
            f"WHERE {conditions} {tail}"
        )
        relation = self._cursor.sql(statement, params=self._query.condition.parameters)
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        batches, size = [], 0
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            if size > self._budget and len(batches) > 1:
                reader.close()
                return pa.Table.from_batches(batches), False
        return pa.Table.from_batches(batches, reader.schema), True

    def _page(self, rows: pa.Table, next_row: int) -> Page:
        if self._query.order and rows.num_rows:
            keys = [(name, "ascending") for name in self._query.order]
            rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
        return Page(rows, next_row)

    def _nothing(self) -> pa.Table:
        by_name = {column.physical: column for column in self._query.table.columns}
        fields = [
            (name, types.storage(by_name[name].field.type) if name in by_name else pa.int64())
            for name in self._query.columns
        ]
        return pa.schema(fields).empty_table()


def _in_order(rows: pa.Table) -> pa.Table:
    ids = rows.column(ROW_ID)
    if not len(ids) or pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        return rows
    return rows.take(pc.sort_indices(ids))


def _after(rows: pa.Table) -> int:
    return int(rows.column(ROW_ID)[-1].as_py()) + 1


def _array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1 and column.chunk(0).offset == 0:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
