"""`/jobs/events` and `/jobs/{jobId}/events`: changes of jobs as server-sent events (extensions).

* An event `job` has the job as it was after the change.
* When changes were forgotten, an event `reset` says so, and what is true now follows.
"""

from dataclasses import replace
from typing import Any, Final, assert_never

import orjson
from flask import Response

from api import event_stream
from api.blueprint import Blueprint
from api.context import ports
from api.event_stream import BEAT_S, event_text
from schemas.domain.identifiers import JobId
from schemas.domain.job import JobFilter
from schemas.http.jobs import job_json
from schemas.http.queries import EVENT_ID, JobEventsSchema, JobsEventsSchema
from tasks import news
from tasks.ports import JobChange

blueprint = Blueprint("JobEvents", __name__, description="Changes of jobs as they come.")

_EVENTS: Final[dict[str, Any]] = event_stream.described(
    ["job"],
    "JSON; of an event `job`, a job.",
    description="Server-sent events: `job` with a job as JSON, and `reset`.",
)
_LAST_EVENT_ID: Final = event_stream.heeded("^[0-9]{1,18}-[0-9]{1,18}$")


@blueprint.route("/jobs/events")
@blueprint.arguments(JobsEventsSchema, location="query")
@blueprint.heeding(_LAST_EVENT_ID)
@blueprint.response(200, **_EVENTS)
@blueprint.operation("GET_jobs-events", 400, 503)
def follow_jobs(asked: tuple[str | None, JobFilter]) -> Response:
    """Follow the changes of jobs from now on, or from the last event that was received."""
    given, wanted = asked
    after = event_stream.last_event_id(given, EVENT_ID)
    return event_stream.stream(news.follow(ports(), wanted, after, BEAT_S), _text)


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
    after = event_stream.last_event_id(given, EVENT_ID)
    return event_stream.stream(news.follow_one(ports(), job_id, after, BEAT_S), _text)


def _text(told: news.News) -> str:
    """An event, or a comment where there is none."""
    match told:
        case JobChange(change_id, job):
            body = orjson.dumps(job_json(replace(job, failures=()))).decode()
            return event_text("job", change_id, body)
        case news.Reset(change_id):
            return event_text("reset", change_id, "{}")
        case None:
            return ":\n\n"
        case _:
            assert_never(told)
