"""`/health`: whether this process and what it depends on can work, and whether segments arrive."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields

from api.blueprint import Blueprint
from api.context import ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.query import Listing
from schemas.domain.stall import IngestState
from schemas.http.queries import IngestHealthQuerySchema, StallQuerySchema
from schemas.http.timeline import IngestHealthSchema, StallSchema, health_json, stall_json
from tasks import stalls

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


@blueprint.route("/health/ingest")
@blueprint.arguments(IngestHealthQuerySchema, location="query")
@blueprint.response(200, IngestHealthSchema, headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_health-ingest", 400, 503)
def ingest_health(asked: tuple[Listing, FlowId | None, IngestState | None]) -> Response:
    """Say of the flows whose status is `ingesting` whether their segments arrive.

    A flow is `waiting` for the first segment since it began to ingest, then `ok`, and `stalled`
    when the next one is overdue. Status and counts are of all, the pages of those asked for, of
    which at most 100 are on one.
    """
    listing, flow_id, state = asked
    counts, page = stalls.health(ports(), listing, flow_id, state)
    shown = [(each.flow, each.state, each.last_hour) for each in page.items]
    return json_response(
        health_json(counts, shown),
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


@blueprint.route("/health/ingest/stalls")
@blueprint.arguments(StallQuerySchema, location="query")
@blueprint.response(200, StallSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_health-ingest-stalls", 400, 503)
def list_stalls(asked: tuple[Listing, FlowId | None]) -> Response:
    """List the stalls of flows, the latest first.

    Those that ended are listed too, for 30 days.
    """
    listing, flow_id = asked
    page = stalls.history(ports(), listing, flow_id)
    return json_response(
        [stall_json(stall) for stall in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


def _state(ping: Callable[[], None]) -> dict[str, Any]:
    began = perf_counter()
    try:
        ping()
    except Unavailable as error:
        return {"status": "unavailable", "error": str(error)}
    return {"status": "ok", "latency_ms": round((perf_counter() - began) * 1_000, 1)}
