"""`/ingest-scans`: looking through buckets for what no notification told of (extension)."""

from typing import Any, Final

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.links import absolute
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.identifiers import JobId
from schemas.domain.query import Listing
from schemas.http.queries import ScanQuerySchema
from schemas.http.scans import ScanPostSchema, ScanSchema, scan_json
from tasks import scans

blueprint = Blueprint(
    "IngestScans", __name__, description="Finding dropped files no notification told of."
)

_FOLLOW: Final[dict[str, Any]] = {
    "Location": {
        "description": "The scan to follow, as an absolute URL.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before looking at it.",
        "required": True,
        "schema": {"type": "integer"},
    },
}


@blueprint.route("/ingest-scans")
@blueprint.arguments(ScanQuerySchema, location="query")
@blueprint.response(200, ScanSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_ingest-scans", 400, 503)
def list_scans(listing: Listing) -> Response:
    """List scans, the latest first.

    Those that ended are listed too, for a day; of a bucket's periodic ones the latest, always.
    """
    page = scans.listing(ports(), listing)
    return json_response(
        [scan_json(scan) for scan in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


@blueprint.route("/ingest-scans", methods=["POST"])
@blueprint.arguments(ScanPostSchema)
@blueprint.response(202, ScanSchema, description="It has begun.", headers=_FOLLOW)
@blueprint.operation("POST_ingest-scans", 400, 503)
def post_scan(asked: dict[str, Any]) -> Response:
    """Look through a bucket for files that no notification told of, and take them over.

    The job of the same id, at `/jobs`, counts the keys looked at.
    """
    scan = scans.begin(ports(), asked["bucket"], asked["prefix"], asked.get("since"))
    here = absolute("IngestScans.get_scan", scan_id=scan.id)
    return json_response(scan_json(scan), 202, {"Location": here, "Retry-After": "1"})


@blueprint.route("/ingest-scans/<id:scan_id>")
@blueprint.response(200, ScanSchema)
@blueprint.operation("GET_ingest-scans-scanId", 404, 503)
def get_scan(scan_id: JobId) -> Response:
    """Say how far a scan has come."""
    return json_response(scan_json(scans.get(ports(), scan_id)))
