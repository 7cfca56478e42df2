"""Rows: insert, update, delete."""

from collections.abc import Mapping

from infra.vast_local.calls import Call
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route


def insert(parts: Parts, call: Call) -> Response:
    """Insert rows; the answer holds their ids."""
    with parts.table(call) as (tx, table):
        return Response(body=parts.rows.insert(tx, table, call.body))


def update(parts: Parts, call: Call) -> Response:
    """Update rows by id."""
    with parts.table(call) as (tx, table):
        parts.rows.update(tx, table, call.body)
    return Response()


def delete(parts: Parts, call: Call) -> Response:
    """Delete rows by id."""
    with parts.table(call) as (tx, table):
        parts.rows.delete(tx, table, call.body)
    return Response()


ROUTES: Mapping[Command, Route] = {
    ("POST", "rows"): insert,
    ("PUT", "rows"): update,
    ("DELETE", "rows"): delete,
}
