"""`/health`: whether this process and what it depends on can work."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields

from api.blueprint import Blueprint
from api.context import ports
from api.responses import json_response
from schemas.domain.errors import Unavailable

blueprint = Blueprint("Health", __name__, description="Whether the service can work.")


_OK: Final = {"status": "ok", "latency_ms": 1.5}
_HEALTHY: Final = {"status": "ok", "services": {"vast": _OK, "s3": _OK, "redis": _OK}}
_DOWN: Final = {"status": "unavailable", "error": "the object store does not answer"}
_UNHEALTHY: Final = {"status": "unavailable", "services": {"vast": _OK, "s3": _DOWN, "redis": _OK}}


class HealthSchema(Schema):
    """Health of the service and of each thing it depends on."""

    status = fields.String(required=True)
    services = fields.Dict(required=True)


@blueprint.route("/health")
@blueprint.response(200, HealthSchema, example=_HEALTHY)
@blueprint.alt_response(
    503, schema=HealthSchema, description="Something is down.", example=_UNHEALTHY
)
@blueprint.operation("GET_health")
def health() -> Response:
    """Ping the database, the object store and the broker."""
    pings = {
        "vast": ports().metadata.ping,
        "s3": ports().media.ping,
        "redis": ports().jobs.ping,
    }
    services = {name: _state(ping) for name, ping in pings.items()}
    healthy = all(state["status"] == "ok" for state in services.values())
    body = {"status": "ok" if healthy else "unavailable", "services": services}
    return json_response(body, 200 if healthy else 503)


def _state(ping: Callable[[], None]) -> dict[str, Any]:
    began = perf_counter()
    try:
        ping()
    except Unavailable as error:
        return {"status": "unavailable", "error": str(error)}
    return {"status": "ok", "latency_ms": round((perf_counter() - began) * 1_000, 1)}
