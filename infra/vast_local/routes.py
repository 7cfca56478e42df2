"""What each request does: one method per command, named in one table at the end.

* A route reads the call, runs one operation in the call's transaction and answers.
* Listings of a schema that does not exist are empty, as clients expect; everything else
  that is missing answers 404.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from xml.sax.saxutils import escape

from infra.vast_local import protocol, query
from infra.vast_local.calls import Call, Listing, whole
from infra.vast_local.catalog import Table
from infra.vast_local.definitions import Definitions
from infra.vast_local.errors import Invalid, Unsupported
from infra.vast_local.listener import Response
from infra.vast_local.query import DEFAULT_LIMIT, PAGE_BYTES, ROW_GROUP, Page, Query, Reader, Share
from infra.vast_local.rows import Rows
from infra.vast_local.storage import RowIds
from infra.vast_local.transactions import Transaction, Transactions

_SPLIT_ESTIMATE = 0xFFFFFFFC
_SORTED_COLUMN = re.compile(r"tabular-sorted-column-(\d+)")
_START_ROW = re.compile(r"tabular-start-row-id-\d+")


class Routes:
    """The operations of the protocol on one database."""

    def __init__(
        self, transactions: Transactions, definitions: Definitions, rows: Rows, row_ids: RowIds
    ) -> None:
        """Use the parts of one open database."""
        self._transactions = transactions
        self._definitions = definitions
        self._rows = rows
        self._row_ids = row_ids

    def __call__(self, call: Call) -> Response:
        """Answer a call."""
        route = _ROUTES.get((call.method, call.command))
        if route is None or call.parameters.get("sub-table"):
            raise Unsupported(f"{call.method} ?{call.command} is not implemented")
        return route(self, call)

    def begin(self, call: Call) -> Response:
        """Open a transaction."""
        del call
        return Response(headers={"tabular-txid": str(self._transactions.begin())})

    def commit(self, call: Call) -> Response:
        """Commit the transaction."""
        self._transactions.commit(call.transaction)
        return Response()

    def roll_back(self, call: Call) -> Response:
        """Roll the transaction back."""
        self._transactions.roll_back(call.transaction)
        return Response()

    def keep_alive(self, call: Call) -> Response:
        """Keep the transaction from expiring, or tell the version (every response does)."""
        if call.transaction:
            self._transactions.touch(call.transaction)
        return Response()

    def head_bucket(self, call: Call) -> Response:
        """Say whether the bucket exists."""
        self._transactions.catalog.check_bucket(call.bucket)
        return Response()

    def list_snapshots(self, call: Call) -> Response:
        """List the snapshots of a bucket: there are none."""
        self._transactions.catalog.check_bucket(call.bucket)
        name, prefix = escape(call.bucket), escape(call.parameters.get("prefix", ""))
        body = (
            f"<ListBucketResult><Name>{name}</Name><Prefix>{prefix}</Prefix>"
            "<Marker></Marker><IsTruncated>false</IsTruncated></ListBucketResult>"
        )
        return Response(body=body.encode(), headers={"Content-Type": "application/xml"})

    def list_schemas(self, call: Call) -> Response:
        """List the schemas directly below a bucket or schema."""
        with self._transaction(call) as tx:
            tx.catalog.check_bucket(call.bucket)
            above = tx.catalog.find_schema(call.bucket, call.schema) if call.path else None
            missing = bool(call.path) and above is None
            parent = above.id if above else 0
            found = [] if missing else tx.catalog.schemas_in(call.bucket, parent)
        page, headers = Listing.of(call).select(found, [schema.name for schema in found])
        return Response(body=protocol.schemas(call.bucket, page), headers=headers)

    def create_schema(self, call: Call) -> Response:
        """Create a schema."""
        with self._transaction(call) as tx:
            tx.catalog.check_bucket(call.bucket)
            self._definitions.create_schema(tx, call.bucket, call.schema, call.text(0))
        return Response()

    def alter_schema(self, call: Call) -> Response:
        """Rename a schema or change its properties."""
        name = call.parameters.get("tabular-new-schema-name", "")
        with self._transaction(call) as tx:
            self._definitions.alter_schema(
                tx, call.bucket, call.schema, name=name, properties=call.text(0)
            )
        return Response()

    def drop_schema(self, call: Call) -> Response:
        """Drop an empty schema."""
        with self._transaction(call) as tx:
            self._definitions.drop_schema(tx, call.bucket, call.schema)
        return Response()

    def list_tables(self, call: Call) -> Response:
        """List the tables of a schema, with row counts on request."""
        with self._transaction(call) as tx:
            schema = tx.catalog.find_schema(call.bucket, call.schema)
            found = tx.catalog.tables_in(schema) if schema else []
            page, headers = Listing.of(call).select(found, [table.name for table in found])
            counted = call.flag("tabular-include-list-stats")
            listed = [(table, _count(tx, table) if counted else 0) for table in page]
        return Response(body=protocol.tables(call.bucket, call.schema, listed), headers=headers)

    def create_table(self, call: Call) -> Response:
        """Create a table."""
        bucket, path, name = call.place
        for header in ("tabular-vector-index-column", "use-external-row-ids-alloc"):
            if header in call.headers:
                raise Unsupported(f"{header} is not implemented")
        if any(b"VAST:table:partition-key" in key for key in call.fields.metadata or {}):
            raise Unsupported("partitioned tables are not implemented")
        with self._transaction(call) as tx:
            self._definitions.create_table(
                tx,
                tx.catalog.schema(bucket, path),
                name,
                call.fields,
                sort_key=_sort_key(call),
                properties=call.parameters.get("table-props", ""),
            )
        return Response()

    def alter_table(self, call: Call) -> Response:
        """Rename a table, sort it or change its properties."""
        new = call.parameters.get("tabular-new-table-name", "")
        with self._table(call) as (tx, table):
            if new:
                path, _, name = new.rpartition("/")
                schema = tx.catalog.schema(call.bucket, path)
                self._definitions.rename_table(tx, table, schema, name)
            if key := _sort_key(call):
                self._definitions.sort_table(tx, table, key)
            if properties := call.text(0):
                self._definitions.set_properties(tx, table, properties)
        return Response()

    def drop_table(self, call: Call) -> Response:
        """Drop a table."""
        with self._table(call) as (tx, table):
            self._definitions.drop_table(tx, table)
        return Response()

    def statistics(self, call: Call) -> Response:
        """Tell the number of rows of a table and what kind of table it is."""
        with self._table(call) as (tx, table):
            return Response(body=protocol.statistics(table, _count(tx, table)))

    def list_columns(self, call: Call) -> Response:
        """List the columns of a table."""
        with self._table(call) as (_, table):
            found = table.columns
        page, headers = Listing.of(call).select(found, list(table.by_name))
        return Response(body=protocol.columns(table, page), headers=headers)

    def list_sorted(self, call: Call) -> Response:
        """List the columns of a table's sort key in key order."""
        with self._table(call) as (_, table):
            if not table.sort_key:
                raise Invalid("Listing sorted columns without elysium being enabled")
            found = sorted(
                (column for column in table.columns if column.id in table.sort_key),
                key=lambda column: table.sort_key.index(column.id),
            )
        page, headers = Listing.of(call).select(found, [column.field.name for column in found])
        return Response(body=protocol.columns(table, page), headers=headers)

    def add_columns(self, call: Call) -> Response:
        """Append columns to a table."""
        with self._table(call) as (tx, table):
            self._definitions.add_columns(tx, table, call.fields)
        return Response()

    def alter_column(self, call: Call) -> Response:
        """Rename a column."""
        name = call.parameters.get("tabular-column-name", "")
        new = call.parameters.get("tabular-new-column-name", "")
        with self._table(call) as (tx, table):
            if new:
                self._definitions.rename_column(tx, table, name, new)
        return Response()

    def drop_columns(self, call: Call) -> Response:
        """Drop columns from a table."""
        with self._table(call) as (tx, table):
            self._definitions.drop_columns(tx, table, call.fields.names)
        return Response()

    def list_projections(self, call: Call) -> Response:
        """List the projections of a table."""
        bucket, path, _ = call.place
        with self._table(call) as (tx, table):
            found = table.projections
            counted = found and call.flag("tabular-include-list-stats")
            rows = _count(tx, table) if counted else 0
        page, headers = Listing.of(call).select(found, [one.name for one in found])
        return Response(body=protocol.projections(bucket, path, table, page, rows), headers=headers)

    def create_projection(self, call: Call) -> Response:
        """Create a projection."""
        ordered = [name for name, is_sorted in call.columns if is_sorted]
        others = [name for name, is_sorted in call.columns if not is_sorted]
        with self._table(call) as (tx, table):
            self._definitions.create_projection(tx, table, _name(call), ordered, others)
        return Response()

    def alter_projection(self, call: Call) -> Response:
        """Rename a projection."""
        with self._table(call) as (tx, table):
            if new := call.text(0):
                self._definitions.rename_projection(tx, table, _name(call), new)
        return Response()

    def drop_projection(self, call: Call) -> Response:
        """Drop a projection."""
        with self._table(call) as (tx, table):
            self._definitions.drop_projection(tx, table, _name(call))
        return Response()

    def projection_columns(self, call: Call) -> Response:
        """List the columns of a projection."""
        with self._table(call) as (_, table):
            projection = table.projection(_name(call))
        names = [*projection.sorted, *projection.unsorted]
        page, headers = Listing.of(call).select([table.column(name) for name in names], names)
        return Response(body=protocol.projection_columns(page, projection), headers=headers)

    def projection_statistics(self, call: Call) -> Response:
        """Tell the number of rows of a projection."""
        with self._table(call) as (tx, table):
            table.projection(_name(call))
            return Response(body=protocol.projection_statistics(table, _count(tx, table)))

    def insert(self, call: Call) -> Response:
        """Insert rows; the answer holds their ids."""
        with self._table(call) as (tx, table):
            return Response(body=self._rows.insert(tx, table, call.body))

    def update(self, call: Call) -> Response:
        """Update rows by id."""
        with self._table(call) as (tx, table):
            self._rows.update(tx, table, call.body)
        return Response()

    def delete(self, call: Call) -> Response:
        """Delete rows by id."""
        with self._table(call) as (tx, table):
            self._rows.delete(tx, table, call.body)
        return Response()

    def select(self, call: Call) -> Response:
        """Answer a query; its pages are read before the transaction is let go."""
        if call.number("tabular-schedule-id", 0) < 0:
            raise Invalid("a schedule id is not negative")
        split, splits, groups = _split(call)
        with self._table(call) as (tx, table):
            asked = _projected(call, query.decode(table, call.body))
            end = self._row_ids.end(table.id)
            if split == _SPLIT_ESTIMATE:
                return Response(body=_estimate(_count(tx, table)))
            pages = list(_pages(call, tx, asked, end, split, splits, groups))
        return Response(body=query.frames(asked, pages))

    @contextmanager
    def _transaction(self, call: Call) -> Iterator[Transaction]:
        with self._transactions.use(call.transaction) as tx:
            yield tx

    @contextmanager
    def _table(self, call: Call) -> Iterator[tuple[Transaction, Table]]:
        with self._transactions.use(call.transaction) as tx:
            yield tx, tx.catalog.table(*call.place)


def _count(tx: Transaction, table: Table) -> int:
    (rows,) = tx.cursor.execute(f"SELECT count(*) FROM {table.physical}").fetchall()[0]  # noqa: S608
    return int(rows)


def _name(call: Call) -> str:
    name = call.parameters.get("name", "")
    if not name:
        raise Invalid("the projection has no name")
    return name


def _sort_key(call: Call) -> tuple[int, ...]:
    found = (
        (int(match[1]), whole(value))
        for name, value in call.headers.items()
        if (match := _SORTED_COLUMN.fullmatch(name))
    )
    return tuple(position for _, position in sorted(found))


def _split(call: Call) -> tuple[int, int, int]:
    match [whole(part) for part in call.headers.get("tabular-split", "0,1,8").split(",")]:
        case [split, splits, groups] if split >= 0 and splits > 0 and groups > 0:
            return split, splits, groups
    raise Invalid("tabular-split is split, number of splits, row groups")


def _starts(call: Call, sub_splits: int) -> list[tuple[int, int]]:
    """Return the sub-splits that are not finished and the row id each goes on from."""
    found = [value for name, value in call.headers.items() if _START_ROW.fullmatch(name)]
    pairs = [value.partition(",") for value in found]
    starts = sorted((whole(sub), whole(start)) for sub, _, start in pairs)
    if any(not 0 <= sub < sub_splits or start < 0 for sub, start in starts):
        raise Invalid("a start row id is of no sub-split")
    if not starts:
        starts = [(sub, 0) for sub in range(sub_splits)]
    return [(sub, start) for sub, start in starts if start != protocol.FINISHED]


def _projected(call: Call, asked: Query) -> Query:
    """Return the query, ordered by the projection it names or the one that suits it."""
    name = call.parameters.get("name")
    if name:
        return query.sorted_by(asked, asked.table.projection(name))
    suited = call.flag("tabular-enable-sorted-projections") and query.suited(asked)
    return query.sorted_by(asked, suited) if suited else asked


def _pages(
    call: Call, tx: Transaction, asked: Query, end: int, split: int, splits: int, groups: int
) -> Iterator[tuple[int, Page]]:
    sub_splits = max(1, call.number("tabular-num-of-subsplits", 1))
    starts = _starts(call, sub_splits)
    limit = call.number("tabular-limit-rows", 0)
    limit = limit if limit > 0 else DEFAULT_LIMIT
    budget = PAGE_BYTES // max(1, len(starts))
    reader = Reader(tx.cursor, asked, end=end, budget=budget)
    for sub, start in starts:
        share = Share(split * sub_splits + sub, splits * sub_splits, groups * ROW_GROUP)
        yield sub, reader.page(share, start, limit)


def _estimate(rows: int) -> bytes:
    """Answer how many row groups a query touches: all of them."""
    groups = -(-rows // ROW_GROUP)
    counted = protocol.cycle(0, protocol.FINISHED, [], groups)
    return b"".join([*counted, protocol.completed()])


_ROUTES: Mapping[tuple[str, str], Callable[[Routes, Call], Response]] = {
    ("POST", "transaction"): Routes.begin,
    ("PUT", "transaction"): Routes.commit,
    ("DELETE", "transaction"): Routes.roll_back,
    ("GET", "transaction"): Routes.keep_alive,
    ("HEAD", ""): Routes.head_bucket,
    ("GET", ""): Routes.list_snapshots,
    ("GET", "schema"): Routes.list_schemas,
    ("POST", "schema"): Routes.create_schema,
    ("PUT", "schema"): Routes.alter_schema,
    ("DELETE", "schema"): Routes.drop_schema,
    ("GET", "table"): Routes.list_tables,
    ("POST", "table"): Routes.create_table,
    ("PUT", "table"): Routes.alter_table,
    ("DELETE", "table"): Routes.drop_table,
    ("GET", "stats"): Routes.statistics,
    ("GET", "column"): Routes.list_columns,
    ("GET", "sorted-columns"): Routes.list_sorted,
    ("POST", "column"): Routes.add_columns,
    ("PUT", "column"): Routes.alter_column,
    ("DELETE", "column"): Routes.drop_columns,
    ("GET", "projection"): Routes.list_projections,
    ("POST", "projection"): Routes.create_projection,
    ("PUT", "projection"): Routes.alter_projection,
    ("DELETE", "projection"): Routes.drop_projection,
    ("GET", "projection-columns"): Routes.projection_columns,
    ("GET", "projection-stats"): Routes.projection_statistics,
    ("POST", "rows"): Routes.insert,
    ("PUT", "rows"): Routes.update,
    ("DELETE", "rows"): Routes.delete,
    ("GET", "data"): Routes.select,
}
