"""Server-sent events: how a response tells of what happens while it happens.

* The id of an event is where to go on, which a client sends as `Last-Event-ID` when it comes again.
* When what came after that was forgotten, an event `reset` says so.
* A comment every few seconds shows that somebody is there.
* A stream takes a thread of the web server, so only some are open at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any, Final, TypeVar

from flask import Response, request
from marshmallow import ValidationError, validate

from api.following import places
from api.responses import empty_response
from schemas.domain.errors import Unavailable

T = TypeVar("T")

BEAT_S: Final = 2.0
_RETRY_MS: Final = 2_000


def described(names: Sequence[str], data: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """How the OpenAPI document describes a stream of events of these names."""
    return {
        "schema": {
            "type": "object",
            "properties": {
                "event": {"type": "string", "enum": [*names, "reset"]},
                "id": {"type": "string"},
                "data": {"type": "string", "description": data},
            },
            "required": ["event", "id", "data"],
        },
        "content_type": "text/event-stream",
        "headers": {
            "Cache-Control": {"description": "Always `no-store`.", "schema": {"type": "string"}},
            "X-Accel-Buffering": {
                "description": "`no`, for proxies that would hold events back.",
                "schema": {"type": "string"},
            },
        },
        **more,
    }


def heeded(pattern: str) -> dict[str, Any]:
    """The header that names the last event; its ids have the form `pattern`."""
    return {
        "in": "header",
        "name": "Last-Event-ID",
        "description": "The id of the last event that was received; those after it are sent.",
        "schema": {"type": "string", "pattern": pattern},
    }


def last_event_id(given: str | None, form: validate.Regexp) -> str | None:
    """The last event received, by the header or else the query, which gave `given`.

    Raises:
        ValidationError: when the header is not an id we gave out.
    """
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return given
    try:
        form(header)
    except ValidationError as error:
        raise ValidationError({"Last-Event-ID": error.messages}) from error
    return header


def stream(told: Iterator[T], text: Callable[[T], str]) -> Response:
    """The response that tells `told`; its place is free again when it was sent or given up.

    It is 204 if there is nothing to tell.

    Raises:
        Unavailable: when all places are taken.
    """
    free = places()
    if not free.acquire(blocking=False):
        raise Unavailable("too many follow jobs or events already")
    with ExitStack() as taken:
        taken.callback(free.release)
        first = list(islice(told, 1))
        if not first:
            return empty_response(204)
        if request.method == "HEAD":
            return _response(())
        response = _response(chain((f"retry: {_RETRY_MS}\n\n",), map(text, chain(first, told))))
        response.call_on_close(taken.pop_all().close)
        return response


def event_text(name: str, event_id: str | int, data: str) -> str:
    """One event; `data` is on one line."""
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n"


def _response(body: Iterable[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(body, headers=headers, content_type="text/event-stream")
