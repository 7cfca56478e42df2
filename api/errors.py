"""Error families -> status and body (TAMS 8.2, schema `error`).

* The body is that of `schemas.http.errors`, whoever raised the error: the store, the framework.
* What nobody raised on purpose is a bug: 500, logged with its traceback, which is not shown.
"""

import logging
from collections.abc import Iterator
from typing import Final

from flask import Flask, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as RoutingNotFound

from api.context import ports
from api.responses import json_response
from schemas.domain.errors import Forbidden, Invalid, NotFound, TamsError, Unavailable
from schemas.http.errors import error_json

log = logging.getLogger(__name__)

_STATUS: list[tuple[type[TamsError], int]] = [
    (Invalid, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (Unavailable, 503),
]

_KEPT_HEADERS: Final = frozenset({"Allow", "WWW-Authenticate"})


def register_errors(app: Flask) -> None:
    """Render every error of `app`."""
    app.register_error_handler(TamsError, _from_store)
    app.register_error_handler(ValidationError, _from_validation)
    app.register_error_handler(HTTPException, _from_http)


def _from_store(error: TamsError) -> Response:
    status = next((code for family, code in _STATUS if isinstance(error, family)), 500)
    headers = {}
    if isinstance(error, Unavailable):
        log.warning("unavailable: %s", error)
        headers["Retry-After"] = str(error.retry_after_s)
    return _rendered(status, type(error).__name__, str(error), error.field, headers)


def _from_validation(error: ValidationError) -> Response:
    faults = list(_faults(error.messages))
    summary = "; ".join(f"{path}: {text}" if path else text for path, text in faults)
    return _rendered(400, Invalid.__name__, summary, faults[0][0] or None)


def _from_http(error: HTTPException) -> Response:
    messages = getattr(error, "data", {}).get("messages")
    if messages:
        (inside,) = messages.values()
        return _from_validation(ValidationError(inside))
    code = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in _KEPT_HEADERS}
    match error:
        case RoutingNotFound():
            summary = f"There is no {request.path} here."
        case MethodNotAllowed():
            summary = f"{request.path} takes {headers['Allow']}, not {request.method}."
        case RequestEntityTooLarge():
            summary = f"The body is longer than {request.max_content_length} bytes."
        case _:
            summary = error.description or ""
    return _rendered(code, error.name.replace(" ", ""), summary, None, headers)


def _rendered(
    status: int,
    kind: str,
    summary: str,
    field: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    return json_response(error_json(kind, summary, ports().clock.now(), field), status, headers)


def _faults(messages: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every message of a validation error with the dotted path of its field."""
    if isinstance(messages, dict):
        for name, inside in messages.items():
            step = "" if name == "_schema" else str(name)
            yield from _faults(inside, f"{path}.{step}".strip("."))
    elif isinstance(messages, list):
        for item in messages:
            yield from _faults(item, path)
    else:
        yield path, str(messages)
