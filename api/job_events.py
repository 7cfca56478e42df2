"""`/jobs/events` and `/jobs/{jobId}/events`: changes of jobs as server-sent events (extensions).

* An event `job` has the job as it was after the change; its id is where to go on, which a client
  sends as `Last-Event-ID` when it comes again.
* When changes after that were forgotten, an event `reset` says so, and what is true now follows.
* A comment every few seconds shows that somebody is there.
* A stream takes a thread of the web server, so only some are open at once.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Final, assert_never

import orjson
from flask import Response, request
from marshmallow import ValidationError

from api.blueprint import Blueprint
from api.context import ports
from api.following import places
from api.responses import empty_response
from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import JobId
from schemas.domain.job import JobFilter
from schemas.http.jobs import job_json
from schemas.http.queries import EVENT_ID, JobEventsSchema, JobsEventsSchema
from tasks import news
from tasks.ports import JobChange

blueprint = Blueprint("JobEvents", __name__, description="Changes of jobs as they come.")

_BEAT_S: Final = 5.0
_RETRY_MS: Final = 2_000

_EVENTS: Final[dict[str, Any]] = {
    "schema": {
        "type": "object",
        "properties": {
            "event": {"type": "string", "enum": ["job", "reset"]},
            "id": {"type": "string"},
            "data": {"type": "string", "description": "JSON; of an event `job`, a job."},
        },
        "required": ["event", "id", "data"],
    },
    "content_type": "text/event-stream",
    "description": "Server-sent events: `job` with a job as JSON, and `reset`.",
    "headers": {
        "Cache-Control": {"description": "Always `no-store`.", "schema": {"type": "string"}},
        "X-Accel-Buffering": {
            "description": "`no`, for proxies that would hold events back.",
            "schema": {"type": "string"},
        },
    },
}
_LAST_EVENT_ID: Final = {
    "in": "header",
    "name": "Last-Event-ID",
    "description": "The id of the last event that was received; those after it are sent.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}$"},
}


@blueprint.route("/jobs/events")
@blueprint.arguments(JobsEventsSchema, location="query")
@blueprint.heeding(_LAST_EVENT_ID)
@blueprint.response(200, **_EVENTS)
@blueprint.operation("GET_jobs-events", 400, 503)
def follow_jobs(asked: tuple[str | None, JobFilter]) -> Response:
    """Follow the changes of jobs from now on, or from the last event that was received."""
    given, wanted = asked
    return _stream(news.follow(ports(), wanted, _last_event_id(given), _BEAT_S))


@blueprint.route("/jobs/<id:job_id>/events")
@blueprint.arguments(JobEventsSchema, location="query")
@blueprint.heeding(_LAST_EVENT_ID)
@blueprint.response(200, **_EVENTS)
@blueprint.alt_response(204, description="It ended, and that was received before.")
@blueprint.operation("GET_jobs-jobId-events", 400, 404, 503)
def follow_job(given: str | None, job_id: JobId) -> Response:
    """Follow a job until it has ended.

    The first event says what it is like now, unless a last event is named. A client that comes
    again after the end is answered with 204, on which browsers stop asking.
    """
    return _stream(news.follow_one(ports(), job_id, _last_event_id(given), _BEAT_S))


def _last_event_id(given: str | None) -> str | None:
    """The last event received, by the header or else the query.

    Raises:
        ValidationError: when the header is not an id we gave out.
    """
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return given
    try:
        EVENT_ID(header)
    except ValidationError as error:
        raise ValidationError({"Last-Event-ID": error.messages}) from error
    return header


def _stream(told: Iterator[news.News]) -> Response:
    """The response that tells `told`; its place is free again when it was sent or given up.

    Raises:
        Unavailable: when all places are taken.
    """
    free = places()
    if not free.acquire(blocking=False):
        raise Unavailable("too many follow jobs already")
    with ExitStack() as taken:
        taken.callback(free.release)
        first = list(islice(told, 1))
        if not first:
            return empty_response(204)
        if request.method == "HEAD":
            return _events(())
        response = _events(chain((f"retry: {_RETRY_MS}\n\n",), map(_text, chain(first, told))))
        response.call_on_close(taken.pop_all().close)
        return response


def _events(body: Iterable[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(body, headers=headers, content_type="text/event-stream")


def _text(told: news.News) -> str:
    """An event, or a comment where there is none."""
    match told:
        case JobChange(change_id, job):
            body = orjson.dumps(job_json(replace(job, failures=()))).decode()
            return f"event: job\nid: {change_id}\ndata: {body}\n\n"
        case news.Reset(change_id):
            return f"event: reset\nid: {change_id}\ndata: {{}}\n\n"
        case None:
            return ":\n\n"
        case _:
            assert_never(told)
