"""JSON of jobs and of problems with dropped files (extensions to TAMS)."""

from typing import Any

from marshmallow import Schema, fields, validate

from schemas.domain.ingest import Problem
from schemas.domain.job import Job, JobKind, JobState
from schemas.domain.rejection import Reason
from schemas.http.errors import ErrorSchema, error_json
from schemas.http.fields import time_text
from schemas.http.segments import FailedSegmentSchema, failure_json


class JobSchema(Schema):
    """A job; documents what `job_json` writes."""

    id = fields.String(required=True)
    kind = fields.String(required=True, metadata={"enum": [kind.value for kind in JobKind]})
    state = fields.String(required=True, metadata={"enum": [state.value for state in JobState]})
    cancelling = fields.Boolean(metadata={"description": "It is to be cancelled, and goes on yet."})
    flow_id = fields.String()
    total = fields.Integer(
        required=True, metadata={"description": "Items there are to do; 0 if that is not known."}
    )
    done = fields.Integer(required=True, metadata={"description": "Those decided, failed or not."})
    failed = fields.Integer(required=True)
    created = fields.DateTime(required=True)
    started = fields.DateTime(metadata={"description": "When something was first done."})
    updated = fields.DateTime(required=True)
    ended = fields.DateTime()
    duration_s = fields.Float(metadata={"description": "From its creation to its end."})
    version = fields.Integer(required=True, metadata={"description": "Grows with every change."})
    result = fields.String(metadata={"description": "The path of what comes of it."})
    error = fields.Nested(ErrorSchema, metadata={"description": "Why the whole failed."})
    failed_segments = fields.List(
        fields.Nested(FailedSegmentSchema), metadata={"description": "Not in lists and events."}
    )


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
    if job.started is not None:
        payload["started"] = time_text(job.started)
    if job.ended:
        payload["ended"] = time_text(job.updated)
        payload["duration_s"] = (job.updated - job.created).total_seconds()
    elif job.cancelling:
        payload["cancelling"] = True
    if job.flow_id is not None:
        payload["flow_id"] = job.flow_id
    if job.result is not None:
        payload["result"] = job.result
    if job.fault is not None:
        payload["error"] = error_json(job.fault.type, job.fault.summary, job.fault.time)
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
