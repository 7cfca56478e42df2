"""`/jobs` and `/ingest-problems`: what became of work nobody waited for (extensions).

* A job is listed when somebody was given its address, while it goes on and for a time afterwards.
* `Prefer: wait=N` and `If-None-Match` make a look at a job wait for news of it.
"""

from flask import Response, request

from api.blueprint import Blueprint
from api.context import ports
from api.following import following
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.preferences import (
    ASYNC_HEADERS,
    PREFERENCE_APPLIED,
    RETRY_AFTER,
    Preferences,
    goes_on,
    preferences,
)
from api.responses import empty_response, json_response
from schemas.domain.identifiers import JobId
from schemas.domain.ingest import ProblemQuery
from schemas.domain.job import Job, JobFilter
from schemas.domain.query import Listing
from schemas.http.jobs import JobSchema, ProblemSchema, job_json, problem_json
from schemas.http.queries import JobQuerySchema, ProblemQuerySchema
from tasks import ingest, jobs

blueprint = Blueprint("Jobs", __name__, description="Work that goes on behind the requests.")

_ETAG = {
    "description": "The version, as a strong tag.",
    "required": True,
    "schema": {"type": "string"},
}
_SEEN_HEADERS = {"ETag": _ETAG, **PREFERENCE_APPLIED}
_JOB_HEADERS = {
    **_SEEN_HEADERS,
    "Retry-After": {
        "description": "Seconds to wait before looking again; absent once it ended.",
        "schema": {"type": "integer"},
    },
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The version that is known already, as `ETag` gave it.",
    "schema": {"type": "string"},
}


@blueprint.route("/jobs")
@blueprint.arguments(JobQuerySchema, location="query")
@blueprint.response(200, JobSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_jobs", 400, 503)
def list_jobs(asked: tuple[Listing, JobFilter]) -> Response:
    """List jobs, the latest first.

    Those that ended are listed too, until they expire. A request that was waited for has no job
    here.
    """
    listing, wanted = asked
    page = jobs.listing(ports(), listing, wanted)
    return json_response(
        [job_json(job) for job in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


@blueprint.route("/jobs/<id:job_id>")
@blueprint.heeding(_IF_NONE_MATCH)
@blueprint.response(200, JobSchema, headers=_JOB_HEADERS)
@blueprint.alt_response(304, description="It is as it was.", headers=_JOB_HEADERS)
@blueprint.preferring
@blueprint.operation("GET_jobs-jobId", 404, 503)
def get_job(job_id: JobId) -> Response:
    """Say how far a job has come.

    With `Prefer: wait=N` the answer comes when the job has ended or that time is over; with
    `If-None-Match` as well, as soon as there is another version than that one.
    """
    preferred = preferences()
    known = request.if_none_match
    granted = Preferences(respond_async=False, wait_s=None)
    if preferred.wait_s is None:
        job = jobs.get(ports(), job_id)
    else:
        with following() as free:
            granted = Preferences(respond_async=False, wait_s=preferred.wait_s if free else 0)
            job = jobs.awaited(
                ports(),
                job_id,
                granted.patience_s(0),
                lambda job: bool(known) and not known.contains(_etag(job)),
            )
    headers = {"ETag": f'"{_etag(job)}"', **granted.applied()}
    if not job.ended:
        headers["Retry-After"] = RETRY_AFTER
    if known.contains_weak(_etag(job)):
        return empty_response(304, headers)
    return json_response(job_json(job), headers=headers)


@blueprint.route("/jobs/<id:job_id>", methods=["DELETE"])
@blueprint.response(204, description="It is cancelled.")
@blueprint.alt_response(
    202, schema=JobSchema, description="It is being cancelled.", headers=ASYNC_HEADERS
)
@blueprint.preferring
@blueprint.operation("DELETE_jobs-jobId", 400, 404, 503)
def cancel_job(job_id: JobId) -> Response:
    """Cancel a job: what it has not done yet is not done.

    What it has done stays. Segments that were not decided yet are refused; a deletion of segments
    stops between steps, and its flow delete request ends in error; a copy that was not begun is not
    made. A job that ended is 400, unless it was cancelled; so is the deletion of a flow, which
    cannot come back.
    """
    preferred = preferences()
    job = jobs.cancel(ports(), job_id, preferred.patience_s(ports().limits.async_after_s))
    return empty_response(204) if job.ended else goes_on(job, preferred)


@blueprint.route("/ingest-problems")
@blueprint.arguments(ProblemQuerySchema, location="query")
@blueprint.response(200, ProblemSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_ingest-problems", 400, 503)
def list_problems(query: ProblemQuery) -> Response:
    """List files in a bucket that did not become segments, and why; latest first.

    Those with the code `waiting` are tried again by themselves, when what they wait for comes.
    """
    page = ingest.problems(ports(), query)
    return json_response(
        [problem_json(problem) for problem in page.items],
        headers=paging_headers(page, reverse_order=query.listing.reverse_order),
    )


def _etag(job: Job) -> str:
    return str(job.version)
