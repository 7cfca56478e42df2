"""What each request does: a function per command, found by method and command word.

* A route reads the call, runs one operation in the call's transaction and answers.
* Listings of a schema that does not exist are empty, as clients expect; everything else
  that is missing answers 404.
* What the protocol has and this server has not answers 501.
"""

from collections.abc import Mapping

from infra.vast_local.calls import Call
from infra.vast_local.errors import Unsupported
from infra.vast_local.listener import Response
from infra.vast_local.routes import columns, projections, queries, rows, schemas, tables, work
from infra.vast_local.routes.parts import Command, Parts, Route

_ROUTES: Mapping[Command, Route] = {
    **work.ROUTES,
    **schemas.ROUTES,
    **tables.ROUTES,
    **columns.ROUTES,
    **projections.ROUTES,
    **rows.ROUTES,
    **queries.ROUTES,
}


class Routes:
    """The operations of the protocol on one database."""

    def __init__(self, parts: Parts) -> None:
        """Use the parts of one open database."""
        self._parts = parts

    def __call__(self, call: Call) -> Response:
        """Answer a call."""
        route = _ROUTES.get((call.method, call.command))
        if route is None or call.parameters.get("sub-table"):
            raise Unsupported(f"{call.method} ?{call.command} is not implemented")
        return route(self._parts, call)
