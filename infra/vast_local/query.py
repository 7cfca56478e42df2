"""Queries: from a request to pages of rows.

* A page is the next rows of one sub-split in row id order, at most the requested number
  and about ``PAGE_BYTES``; its next row id is where the client goes on. Pages are read
  before they are sent, so a client that reads slowly holds no cursor and no lock.
* A row group is 65 536 consecutive row ids. Runs of groups are dealt round robin to the
  sub-splits, so the sub-splits of all splits are disjoint and complete.
* Rows usually lie in the file in row id order but need not. So a page is read as it
  comes. When there is more than it can hold, a count shows whether it got all the rows up
  to its last one; only if it did not is it read again, in order.
* A projection only sorts the rows within a page.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from infra.vast_local import protocol, types
from infra.vast_local.catalog import Projection, Table
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import reading, root
from infra.vast_local.nodes import Node, number
from infra.vast_local.predicates import Condition, compile_filter

ROW_GROUP = 1 << 16
"""Row ids in a row group, fixed by the protocol."""

DEFAULT_LIMIT = 1 << 17
"""Rows of a page when the client does not say."""

PAGE_BYTES = 32 << 20
"""About how much one response may hold in memory, over all its sub-splits."""

_BATCH_ROWS = 1024


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
    with reading("the query"):
        source = root(body).table(1)
        names = [field.text(0) for field in source.table(3).tables(1)]
        nodes = number(table, names)
        condition = compile_filter(source.table(2), nodes)
        leaves = tuple(nodes[field.uint(0)] for field in source.tables(4))
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
        where = [self._query.condition.sql, share.sql, f"{ROW_ID} >= {start}"]
        rows, whole = self._read(where, f"LIMIT {limit + 1}")
        if whole and rows.num_rows <= limit:
            return self._page(_in_order(rows), protocol.FINISHED)
        last = pc.max(rows.column(ROW_ID)).as_py()
        where.append(f"{ROW_ID} <= {last}")
        if self._count(where) == rows.num_rows:
            rows = _in_order(rows)
        else:
            rows, _ = self._read(where, f"ORDER BY {ROW_ID} LIMIT {limit}")
        rows = rows.slice(0, limit)
        return self._page(rows, 1 + rows.column(ROW_ID)[-1].as_py())

    def _count(self, where: list[str]) -> int:
        statement = f"SELECT count(*) FROM {self._query.table.physical} WHERE {_all(where)}"  # noqa: S608
        counted = self._cursor.execute(statement, self._query.condition.parameters).fetchall()
        return int(counted[0][0])

    def _read(self, where: list[str], tail: str) -> tuple[pa.Table, bool]:
        """Read rows as they come; the second value says whether the budget let all through."""
        statement = (
            f"SELECT {', '.join(self._query.columns)} FROM {self._query.table.physical} "  # noqa: S608
            f"WHERE {_all(where)} {tail}"
        )
        relation = self._cursor.sql(statement, params=self._query.condition.parameters)
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        batches, size = [], 0
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            if size > self._budget:
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


def _all(conditions: list[str]) -> str:
    return " AND ".join(conditions)


def _array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1 and column.chunk(0).offset == 0:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
