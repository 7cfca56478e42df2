"""JSON of scans of buckets (extension to TAMS)."""

from typing import Any

from marshmallow import Schema, fields, validate

from schemas.domain.job import JobState
from schemas.domain.scan import Scan
from schemas.http.errors import ErrorSchema, error_json
from schemas.http.fields import MomentField, time_text


class ScanPostSchema(Schema):
    """What to scan; a field nobody knows is refused, since without it more would be scanned."""

    bucket = fields.String(required=True)
    prefix = fields.String(
        load_default="",
        validate=validate.Length(max=1_024),
        metadata={"description": "Only keys that begin so."},
    )
    since = MomentField(metadata={"description": "Only what was modified since then."})


class ScanSchema(Schema):
    """A scan; documents what `scan_json` writes."""

    id = fields.String(required=True, metadata={"description": "Also that of its job."})
    bucket = fields.String(required=True)
    prefix = fields.String(required=True)
    since = fields.DateTime()
    periodic = fields.Boolean(required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    listed = fields.Integer(required=True, metadata={"description": "Keys looked at so far."})
    found = fields.Integer(required=True, metadata={"description": "Those that were taken over."})
    known = fields.Integer(
        required=True, metadata={"description": "Objects of the store, or waiting already."}
    )
    problems = fields.Integer(
        required=True,
        metadata={"description": "Files on record as ingest problems, unchanged since."},
    )
    created = fields.DateTime(required=True)
    updated = fields.DateTime(required=True)
    error = fields.Nested(ErrorSchema)


def scan_json(scan: Scan) -> dict[str, Any]:
    """The JSON of a scan."""
    payload: dict[str, Any] = {
        "id": scan.id,
        "bucket": scan.bucket,
        "prefix": scan.prefix,
        "periodic": scan.periodic,
        "state": scan.state.value,
        "listed": scan.listed,
        "found": scan.found,
        "known": scan.known,
        "problems": scan.problems,
        "created": time_text(scan.created),
        "updated": time_text(scan.updated),
    }
    if scan.since is not None:
        payload["since"] = time_text(scan.since)
    if scan.fault is not None:
        fault = scan.fault
        payload["error"] = error_json(fault.type, fault.summary, fault.time)
    return payload
