"""JSON of jobs and of problems with dropped files (extensions to TAMS)."""

from typing import Any

from marshmallow import Schema, fields, validate

from schemas.domain.ingest import Problem
from schemas.domain.job import Job
from schemas.domain.rejection import Reason
from schemas.http.fields import time_text
from schemas.http.segments import FailedSegmentSchema, failure_json


class JobSchema(Schema):
    """A job; documents what `job_json` writes."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    state = fields.String(required=True)
    flow_id = fields.String()
    total = fields.Integer(required=True)
    done = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    created = fields.DateTime(required=True)
    updated = fields.DateTime(required=True)
    version = fields.Integer(required=True)
    failed_segments = fields.List(fields.Nested(FailedSegmentSchema))


class ProblemSchema(Schema):
    """A file that did not become a segment; documents what `problem_json` writes."""

    bucket = fields.String(required=True)
    key = fields.String(required=True)
    etag = fields.String(required=True)
    code = fields.String(required=True, validate=validate.OneOf(list(Reason)))
    reason = fields.String(required=True)
    seen = fields.DateTime(required=True)


def job_json(job: Job) -> dict[str, Any]:
    """The JSON of a job."""
    payload: dict[str, Any] = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "created": time_text(job.created),
        "updated": time_text(job.updated),
        "version": job.version,
    }
    if job.flow_id is not None:
        payload["flow_id"] = job.flow_id
    if job.failures:
        payload["failed_segments"] = [failure_json(failure) for failure in job.failures]
    return payload


def problem_json(problem: Problem) -> dict[str, Any]:
    """The JSON of a problem."""
    return {
        "bucket": problem.bucket,
        "key": problem.key,
        "etag": problem.etag,
        "code": problem.code.value,
        "reason": problem.reason,
        "seen": time_text(problem.seen),
    }
