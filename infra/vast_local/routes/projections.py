"""The projections of a table."""

from collections.abc import Mapping

from infra.vast_local import protocol
from infra.vast_local.calls import Call, Listing
from infra.vast_local.errors import Invalid
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route, count


def list_projections(parts: Parts, call: Call) -> Response:
    """List the projections of a table."""
    bucket, path, _ = call.place
    with parts.table(call) as (tx, table):
        found = table.projections
        counted = found and call.flag("tabular-include-list-stats")
        rows = count(tx, table) if counted else 0
    page, headers = Listing.of(call).select(found, [one.name for one in found])
    return Response(body=protocol.projections(bucket, path, table, page, rows), headers=headers)


def create_projection(parts: Parts, call: Call) -> Response:
    """Create a projection."""
    ordered = [name for name, is_sorted in call.columns if is_sorted]
    others = [name for name, is_sorted in call.columns if not is_sorted]
    with parts.table(call) as (tx, table):
        parts.definitions.create_projection(tx, table, _name(call), ordered, others)
    return Response()


def alter_projection(parts: Parts, call: Call) -> Response:
    """Rename a projection."""
    with parts.table(call) as (tx, table):
        if new := call.text(0):
            parts.definitions.rename_projection(tx, table, _name(call), new)
    return Response()


def drop_projection(parts: Parts, call: Call) -> Response:
    """Drop a projection."""
    with parts.table(call) as (tx, table):
        parts.definitions.drop_projection(tx, table, _name(call))
    return Response()


def list_columns(parts: Parts, call: Call) -> Response:
    """List the columns of a projection."""
    with parts.table(call) as (_, table):
        projection = table.projection(_name(call))
    names = [*projection.sorted, *projection.unsorted]
    page, headers = Listing.of(call).select([table.column(name) for name in names], names)
    return Response(body=protocol.projection_columns(page, projection), headers=headers)


def statistics(parts: Parts, call: Call) -> Response:
    """Tell the number of rows of a projection."""
    with parts.table(call) as (tx, table):
        table.projection(_name(call))
        return Response(body=protocol.projection_statistics(table, count(tx, table)))


def _name(call: Call) -> str:
    name = call.parameters.get("name", "")
    if not name:
        raise Invalid("the projection has no name")
    return name


ROUTES: Mapping[Command, Route] = {
    ("GET", "projection"): list_projections,
    ("POST", "projection"): create_projection,
    ("PUT", "projection"): alter_projection,
    ("DELETE", "projection"): drop_projection,
    ("GET", "projection-columns"): list_columns,
    ("GET", "projection-stats"): statistics,
}
