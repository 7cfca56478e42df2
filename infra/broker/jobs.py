"""The `JobStore`: a hash per job, its failures in a list, and a reply to wait for.

* A job that registers segments is created and settled within the pipeline of the inbox.
* A job that somebody follows is forgotten a day after its last change, one whose outcome was
  only waited for after minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, cast

import orjson

from infra.broker.connection import Broker
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.job import Failure, Fault, Job, JobState
from tasks.ports import Decided

JOB_S: Final = 86_400
_REPLY_S: Final = 300
_SHOWN_FAILURES: Final = 10_000

# A redis.Pipeline, whose commands the library types as if they answered at once.
Pipeline = Any


class RedisJobs:
    """The `JobStore`: a hash per job, its failures in a list."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def create(self, job: Job) -> None:
        """Keep a new job."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            create_job(pipe, job)
            pipe.execute()

    def advance(self, job_id: JobId, done: int, now: datetime) -> None:
        """Say how much of a job has been done."""
        self._change(job_id, now, {"state": JobState.STARTED.value, "done": done})

    def end(self, job_id: JobId, now: datetime, fault: Fault | None = None) -> None:
        """Say that a job is done, or why it cannot be; wakes whoever waits."""
        changed: dict[str, str | int] = {"state": JobState.DONE.value}
        if fault is not None:
            changed = _faulty(fault)
        self._change(job_id, now, changed, wakes=True)

    def _change(
        self,
        job_id: JobId,
        now: datetime,
        changed: Mapping[str, str | int],
        *,
        wakes: bool = False,
    ) -> None:
        key = _job(job_id)
        with self._broker.translated() as client:
            if not client.exists(key):
                return  # forgotten, or never known: what it follows is on record elsewhere
            with client.pipeline(transaction=True) as pipe:
                pipe.hset(key, "updated", now.isoformat(), mapping=cast("dict[Any, Any]", changed))
                pipe.hincrby(key, "version", 1)
                pipe.expire(key, JOB_S)
                if wakes:
                    _wake(pipe, job_id)
                pipe.execute()

    def get(self, job_id: JobId) -> Job | None:
        """The job, with its failures; None if there is none."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.hgetall(_job(job_id))
            pipe.lrange(_failures_of(job_id), 0, _SHOWN_FAILURES - 1)
            fields, failures = pipe.execute()
        if not fields:
            return None
        return _job_from(job_id, fields, [f for text in failures for f in decode_failures(text)])

    def wait(self, job_id: JobId, timeout_s: float) -> Job | None:
        """The job once it ended; None when it did not in time."""
        with self._broker.translated() as client:
            client.blpop([_reply(job_id)], timeout=timeout_s)
        job = self.get(job_id)
        return job if job is not None and job.ended else None

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""
        self._broker.ping()


def create_job(pipe: Pipeline, job: Job) -> None:
    """Queue the writing of a new job."""
    pipe.hset(_job(job.id), mapping=_job_fields(job))
    pipe.expire(_job(job.id), JOB_S)


def settle_part(pipe: Pipeline, outcome: Decided, now: datetime) -> None:
    """Queue what a decided entry means for its job; the last one of a job wakes who waits."""
    entry, key = outcome.entry, _job(outcome.entry.job_id)
    kept_s = JOB_S if entry.followed else _REPLY_S
    state = JobState.DONE if entry.last else JobState.STARTED
    pipe.hset(key, mapping={"state": state.value, "updated": now.isoformat()})
    if outcome.fault is not None:
        pipe.hset(key, mapping=_faulty(outcome.fault))
    pipe.hincrby(key, "done", len(entry.offers))
    pipe.hincrby(key, "failed", len(outcome.failures))
    pipe.hincrby(key, "version", 1)
    pipe.expire(key, kept_s)
    if outcome.failures:
        pipe.rpush(_failures_of(entry.job_id), encode_failures(outcome.failures))
        pipe.expire(_failures_of(entry.job_id), kept_s)
    if entry.last or outcome.fault is not None:
        _wake(pipe, entry.job_id)


def _faulty(fault: Fault) -> dict[str, str | int]:
    return {"state": JobState.ERROR.value, "fault": orjson.dumps(fault).decode()}


def _wake(pipe: Pipeline, job_id: JobId) -> None:
    pipe.rpush(_reply(job_id), 1)
    pipe.expire(_reply(job_id), _REPLY_S)


def _job(job_id: str) -> str:
    return f"tams:job:{job_id}"


def _failures_of(job_id: str) -> str:
    return f"tams:job:{job_id}:failures"


def _reply(job_id: str) -> str:
    return f"tams:reply:{job_id}"


def encode_failures(failures: Sequence[Failure]) -> bytes:
    """JSON of `failures`."""
    return orjson.dumps([asdict(failure) for failure in failures])


def decode_failures(text: bytes) -> list[Failure]:
    """The failures `encode_failures` made `text` of."""
    return [
        Failure(
            ObjectId(item["object_id"]),
            item["timerange"],
            item["type"],
            item["summary"],
            datetime.fromisoformat(item["time"]),
            item["field"],
        )
        for item in orjson.loads(text)
    ]


def _job_fields(job: Job) -> dict[str, str | int]:
    return {
        "kind": job.kind,
        "state": job.state.value,
        "created": job.created.isoformat(),
        "updated": job.updated.isoformat(),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "flow_id": job.flow_id or "",
        "version": job.version,
    }


def _job_from(job_id: JobId, fields: Mapping[bytes, bytes], failures: list[Failure]) -> Job:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Job(
        job_id,
        text["kind"],
        JobState(text["state"]),
        created=datetime.fromisoformat(text["created"]),
        updated=datetime.fromisoformat(text["updated"]),
        total=int(text["total"]),
        done=int(text["done"]),
        failed=int(text["failed"]),
        flow_id=FlowId(text["flow_id"]) if text["flow_id"] else None,
        version=int(text["version"]),
        failures=failures,
        fault=_fault(text["fault"]) if "fault" in text else None,
    )


def _fault(text: str) -> Fault:
    item = orjson.loads(text)
    return Fault(item["type"], item["summary"], datetime.fromisoformat(item["time"]))
