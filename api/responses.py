"""JSON responses, written with orjson."""

from collections.abc import Mapping

import orjson
from flask import Response


def json_response(
    payload: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`payload` as JSON."""
    return Response(orjson.dumps(payload), status, headers=headers, content_type="application/json")


def empty_response(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A response without a body."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response
