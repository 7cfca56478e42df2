"""The columns of a table."""

from collections.abc import Mapping

from infra.vast_local import protocol
from infra.vast_local.calls import Call, Listing
from infra.vast_local.errors import Invalid
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route


def list_columns(parts: Parts, call: Call) -> Response:
    """List the columns of a table."""
    with parts.table(call) as (_, table):
        found = table.columns
    page, headers = Listing.of(call).select(found, list(table.by_name))
    return Response(body=protocol.columns(table, page), headers=headers)


def list_sorted(parts: Parts, call: Call) -> Response:
    """List the columns of a table's sort key in key order."""
    with parts.table(call) as (_, table):
        if not table.sort_key:
            raise Invalid("Listing sorted columns without elysium being enabled")
        found = table.sorted_columns
    page, headers = Listing.of(call).select(found, [column.field.name for column in found])
    return Response(body=protocol.columns(table, page), headers=headers)


def add_columns(parts: Parts, call: Call) -> Response:
    """Append columns to a table."""
    with parts.table(call) as (tx, table):
        parts.definitions.add_columns(tx, table, call.fields)
    return Response()


def alter_column(parts: Parts, call: Call) -> Response:
    """Rename a column."""
    name = call.parameters.get("tabular-column-name", "")
    new = call.parameters.get("tabular-new-column-name", "")
    with parts.table(call) as (tx, table):
        if new:
            parts.definitions.rename_column(tx, table, name, new)
    return Response()


def drop_columns(parts: Parts, call: Call) -> Response:
    """Drop columns from a table."""
    with parts.table(call) as (tx, table):
        parts.definitions.drop_columns(tx, table, call.fields.names)
    return Response()


ROUTES: Mapping[Command, Route] = {
    ("GET", "column"): list_columns,
    ("GET", "sorted-columns"): list_sorted,
    ("POST", "column"): add_columns,
    ("PUT", "column"): alter_column,
    ("DELETE", "column"): drop_columns,
}
