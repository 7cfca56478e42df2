"""JSON of errors (schema `error`): one body, whoever failed at what.

* It names the error's type, what was wrong with what, the time, and the field if one is at fault.
* `message` and `detail` say what `summary` says, for clients that look for these.
"""

from datetime import datetime

from marshmallow import Schema, fields

from schemas.http.fields import time_text


class ErrorSchema(Schema):
    """Why something failed; documents what `error_json` writes."""

    type = fields.String(required=True)
    summary = fields.String(required=True)
    message = fields.String(required=True)
    detail = fields.String(required=True)
    time = fields.DateTime(required=True)
    field = fields.String(metadata={"description": "The part of the request at fault."})


def error_json(kind: str, summary: str, time: datetime, field: str | None = None) -> dict[str, str]:
    """The JSON of an error."""
    body = {
        "type": kind,
        "summary": summary,
        "message": summary,
        "detail": summary,
        "time": time_text(time),
    }
    return body if field is None else {**body, "field": field}
