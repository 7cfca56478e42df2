"""`/jobs` and `/ingest-problems`: what became of work nobody waited for (extensions)."""

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.identifiers import JobId
from schemas.domain.ingest import ProblemQuery
from schemas.http.jobs import JobSchema, ProblemSchema, job_json, problem_json
from schemas.http.queries import ProblemQuerySchema
from tasks import ingest, jobs

blueprint = Blueprint("Jobs", __name__, description="Work that goes on behind the requests.")


@blueprint.route("/jobs/<id:job_id>")
@blueprint.response(200, JobSchema)
@blueprint.operation("GET_jobs-jobId", 404, 503)
def get_job(job_id: JobId) -> Response:
    """Say how far a job has come."""
    return json_response(job_json(jobs.get(ports(), job_id)))


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
