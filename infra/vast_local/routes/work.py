"""Units of work: begin, commit, roll back, keep alive."""

from collections.abc import Mapping

from infra.vast_local.calls import Call
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route


def begin(parts: Parts, call: Call) -> Response:
    """Open a transaction."""
    del call
    return Response(headers={"tabular-txid": str(parts.transactions.begin())})


def commit(parts: Parts, call: Call) -> Response:
    """Commit the transaction."""
    parts.transactions.commit(call.transaction)
    return Response()


def roll_back(parts: Parts, call: Call) -> Response:
    """Roll the transaction back."""
    parts.transactions.roll_back(call.transaction)
    return Response()


def keep_alive(parts: Parts, call: Call) -> Response:
    """Keep the transaction from expiring, or tell the version (every response does)."""
    if call.transaction:
        parts.transactions.touch(call.transaction)
    return Response()


ROUTES: Mapping[Command, Route] = {
    ("POST", "transaction"): begin,
    ("PUT", "transaction"): commit,
    ("DELETE", "transaction"): roll_back,
    ("GET", "transaction"): keep_alive,
}
