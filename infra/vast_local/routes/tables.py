"""Tables: their definition and their statistics."""

import re
from collections.abc import Mapping

from infra.vast_local import protocol
from infra.vast_local.calls import Call, Listing, whole
from infra.vast_local.errors import Unsupported
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route, count

_SORTED_COLUMN = re.compile(r"tabular-sorted-column-(\d+)")


def list_tables(parts: Parts, call: Call) -> Response:
    """List the tables of a schema, with row counts on request."""
    with parts.transaction(call) as tx:
        schema = tx.catalog.find_schema(call.bucket, call.schema)
        found = tx.catalog.tables_in(schema) if schema else []
        page, headers = Listing.of(call).select(found, [table.name for table in found])
        counted = call.flag("tabular-include-list-stats")
        listed = [(table, count(tx, table) if counted else 0) for table in page]
    return Response(body=protocol.tables(call.bucket, call.schema, listed), headers=headers)


def create_table(parts: Parts, call: Call) -> Response:
    """Create a table."""
    bucket, path, name = call.place
    for header in ("tabular-vector-index-column", "use-external-row-ids-alloc"):
        if header in call.headers:
            raise Unsupported(f"{header} is not implemented")
    if any(b"VAST:table:partition-key" in key for key in call.fields.metadata or {}):
        raise Unsupported("partitioned tables are not implemented")
    with parts.transaction(call) as tx:
        parts.definitions.create_table(
            tx,
            tx.catalog.schema(bucket, path),
            name,
            call.fields,
            sort_key=_sort_key(call),
            properties=call.parameters.get("table-props", ""),
        )
    return Response()


def alter_table(parts: Parts, call: Call) -> Response:
    """Rename a table, sort it or change its properties."""
    new = call.parameters.get("tabular-new-table-name", "")
    with parts.table(call) as (tx, table):
        if new:
            path, _, name = new.rpartition("/")
            schema = tx.catalog.schema(call.bucket, path)
            parts.definitions.rename_table(tx, table, schema, name)
        if key := _sort_key(call):
            parts.definitions.sort_table(tx, table, key)
        if properties := call.text(0):
            parts.definitions.set_properties(tx, table, properties)
    return Response()


def drop_table(parts: Parts, call: Call) -> Response:
    """Drop a table."""
    with parts.table(call) as (tx, table):
        parts.definitions.drop_table(tx, table)
    return Response()


def statistics(parts: Parts, call: Call) -> Response:
    """Tell the number of rows of a table and what kind of table it is."""
    with parts.table(call) as (tx, table):
        return Response(body=protocol.statistics(table, count(tx, table)))


def _sort_key(call: Call) -> tuple[int, ...]:
    found = (
        (int(match[1]), whole(value))
        for name, value in call.headers.items()
        if (match := _SORTED_COLUMN.fullmatch(name))
    )
    return tuple(position for _, position in sorted(found))


ROUTES: Mapping[Command, Route] = {
    ("GET", "table"): list_tables,
    ("POST", "table"): create_table,
    ("PUT", "table"): alter_table,
    ("DELETE", "table"): drop_table,
    ("GET", "stats"): statistics,
}
