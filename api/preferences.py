"""What a client prefers (RFC 7240)."""

from typing import Any, Final

from flask import request


def respond_async() -> bool:
    """Whether the client would rather not wait for the outcome."""
    preferences = ",".join(request.headers.getlist("Prefer")).split(",")
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in preferences)


# How the OpenAPI document describes this.
PREFER: Final = {
    "in": "header",
    "name": "Prefer",
    "description": "`respond-async` asks not to wait for the outcome (RFC 7240).",
    "schema": {"type": "string"},
}
ASYNC_HEADERS: Final[dict[str, Any]] = {
    "Location": {
        "description": "The job to follow, as an absolute URL.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before looking at the job.",
        "required": True,
        "schema": {"type": "integer"},
    },
    "Preference-Applied": {
        "description": "The preference that was followed, `respond-async`.",
        "required": True,
        "schema": {"type": "string"},
    },
}
