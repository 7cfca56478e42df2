"""The `JobStore`: a hash per job, its failures in a list, and a reply to wait for.

* A job that registers segments is created and settled by the scripts of the inbox.
* A change is one script, so that what a job says, that it ended and the news of it are one.
* A job that somebody follows is in an index until it is in the database, and every change of it
  in a stream of limited length; ended ones wait in a list to be taken into the database.
* A job whose outcome was only waited for is forgotten minutes after it ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, Final, cast

import orjson

from infra.broker.connection import Broker
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.job import Failure, Fault, Job, JobFilter, JobKind, JobState
from schemas.domain.query import Listing, is_beyond, position, resumed_at
from tasks.ports import Decided, JobChange

# What is kept of a job nobody follows, while it goes on.
JOB_S: Final = 86_400
# For so long after its end a job is still found here.
_REPLY_S: Final = 300
_SHOWN_FAILURES: Final = 10_000
_AT_ONCE: Final = 500

_INDEX: Final = "tams:jobs"
_ENDED: Final = "tams:jobs:ended"
_CHANGES: Final = "tams:jobs:changes"
_NOTHING_YET: Final = "0-0"
_ALL_DONE: Final = b"all done"

# Defines a function for the scripts that create jobs.
# Keys: job, failures, reply, index, changes.
# Arguments: id, microsecond of its creation, its fields, changes kept, seconds kept.
CREATING: Final = """
local function create(keys, id, created, fields, changes_kept, kept_s)
  local job, failures, reply, index, changes = unpack(keys)
  redis.call('DEL', job, failures, reply)
  redis.call('HSET', job, unpack(fields))
  if redis.call('HGET', job, 'followed') == '1' then
    redis.call('ZADD', index, created, id)
    redis.call('XADD', changes, 'MAXLEN', '~', changes_kept, '*', 'id', id, unpack(fields))
  else
    redis.call('EXPIRE', job, kept_s)
  end
end
"""
_CREATE: Final = (
    f"{CREATING}create(KEYS, ARGV[1], ARGV[2], cjson.decode(ARGV[3]), ARGV[4], ARGV[5])"
)
# Defines a function for the scripts that change jobs, which tells whether a job was changed: one
# that has ended stays as it is, and one that was forgotten stays so.
# Keys: job, failures, reply, ended, changes.
# Arguments: id, now, change, failures, changes kept, seconds kept.
CHANGING: Final = """
local function change(keys, id, now, becomes, failed, changes_kept, kept_s)
  local job, failures, reply, ended, changes = unpack(keys)
  local state, followed = unpack(redis.call('HMGET', job, 'state', 'followed'))
  if not state or state == 'done' or state == 'error' or state == 'cancelled' then return 0 end
  becomes = cjson.decode(becomes)
  for name, value in pairs(becomes.set) do redis.call('HSET', job, name, value) end
  for name, count in pairs(becomes.add) do redis.call('HINCRBY', job, name, count) end
  if becomes.set.state == 'done' and redis.call('HEXISTS', job, 'fault') == 1 then
    redis.call('HSET', job, 'state', 'error')
  end
  if failed ~= '' then redis.call('RPUSH', failures, failed) end
  if becomes.begins then redis.call('HSETNX', job, 'started', now) end
  redis.call('HSET', job, 'updated', now)
  redis.call('HINCRBY', job, 'version', 1)
  if followed == '1' then
    local fields = redis.call('HGETALL', job)
    redis.call('XADD', changes, 'MAXLEN', '~', changes_kept, '*', 'id', id, unpack(fields))
    if becomes.ends then redis.call('RPUSH', ended, id) end
  else
    redis.call('EXPIRE', job, kept_s)
    redis.call('EXPIRE', failures, kept_s)
  end
  if becomes.ends then
    local final, refused = unpack(redis.call('HMGET', job, 'state', 'failed'))
    redis.call('RPUSH', reply, (final == 'done' and refused == '0') and 'all done' or 'ended')
    redis.call('EXPIRE', reply, kept_s)
  end
  return 1
end
"""
_CHANGE: Final = f"{CHANGING}return change(KEYS, unpack(ARGV))"
# Keys: job, failures, index, ended. Arguments: id, the version that is in the database, seconds.
_FORGET: Final = """
redis.call('LREM', KEYS[4], 1, ARGV[1])
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of a job that goes on: fields set and counted up, failures added.

    It `begins` the job if nothing was done of it before; if it `ends` as `done` with a fault, the
    state is `error`.
    """

    set: dict[str, str]
    add: Mapping[str, int] = field(default_factory=dict)
    failures: bytes = b""
    begins: bool = True
    ends: bool = False


class RedisJobs:
    """The `JobStore`: a hash per job, its failures in a list."""

    def __init__(self, broker: Broker, *, changes_kept: int) -> None:
        self._broker = broker
        self._changes_kept = changes_kept
        self._create = broker.redis.register_script(_CREATE)
        self._alter = broker.redis.register_script(_CHANGE)

    def create(self, job: Job) -> None:
        """Keep a new job, or one that is taken up anew."""
        with self._broker.translated():
            self._create(*creation(job, self._changes_kept))

    def advance(self, job_id: JobId, done: int, now: datetime) -> None:
        """Say how much of a job has been done."""
        self._change(job_id, now, _Change({"state": JobState.STARTED.value, "done": str(done)}))

    def end(self, job_id: JobId, now: datetime, fault: Fault | None = None) -> None:
        """Say that a job is done, or why it cannot be; wakes whoever waits."""
        changed = {"state": JobState.DONE.value}
        if fault is not None:
            changed = {"state": fault.ends_in.value, "fault": orjson.dumps(fault).decode()}
        self._change(job_id, now, _Change(changed, ends=True))

    def cancel(self, job_id: JobId, now: datetime) -> None:
        """Have whoever works on a job stop, at the next step."""
        self._change(job_id, now, _Change({"cancelling": "1"}, begins=False))

    def cancelled(self, job_ids: Sequence[JobId]) -> set[JobId]:
        """Those of the jobs that are to stop."""
        with self._broker.translated() as client, client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(_job(job_id), "cancelling")
            flags = pipe.execute()
        return {job_id for job_id, flag in zip(job_ids, flags, strict=True) if flag}

    def get(self, job_id: JobId) -> Job | None:
        """The job, with its failures; None if there is none here."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.hgetall(_job(job_id))
            pipe.lrange(_failures_of(job_id), 0, _SHOWN_FAILURES - 1)
            fields, failures = pipe.execute()
        if not fields:
            return None
        return _job_from(job_id, fields, [f for text in failures for f in decode_failures(text)])

    def wait(self, job_id: JobId, timeout_s: float) -> bool | None:
        """Whether all of a job succeeded, once it ended; None when it did not in time."""
        reply = _reply(job_id)
        with self._broker.translated() as client:
            # It stays, since others may wait for it too.
            answer = client.blmove(reply, reply, cast("int", timeout_s))
        return None if answer is None else cast("bytes", answer) == _ALL_DONE

    def live(self, listing: Listing, wanted: JobFilter) -> list[Job]:
        """The first of `wanted` that are in the index, one more than a page holds."""
        last = resumed_at(listing)
        bound = None if last is None else -int(last[1])
        seen: set[JobId] = set()
        found: list[Job] = []
        while len(found) <= listing.limit:
            indexed = self._indexed(bound, reverse_order=listing.reverse_order)
            ids = [job_id for job_id, _ in indexed if job_id not in seen]
            if not ids:
                break
            bound = indexed[-1][1]
            seen.update(ids)
            found += [
                job
                for job in self._jobs(ids)
                if wanted(job)
                and (last is None or is_beyond(position(job.created, job.id), last, listing))
            ]
        return found[: listing.limit + 1]

    def ended(self, limit: int) -> list[Job]:
        """Followed jobs that ended, without failures, the first to have done so first."""
        with self._broker.translated() as client:
            found = cast("list[bytes]", client.lrange(_ENDED, 0, limit - 1))
            ids = [JobId(each.decode()) for each in found]
            jobs = self._jobs(ids)
            ended = [job for job in jobs if job.ended]
            for other in set(ids) - {job.id for job in ended}:
                client.lrem(_ENDED, 1, other)  # lost, or taken up anew: then it comes again
        return ended

    def forget(self, jobs: Sequence[Job]) -> None:
        """Let go of jobs that are in the database as they are here."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            for job in jobs:
                keys = (_job(job.id), _failures_of(job.id), _INDEX, _ENDED)
                pipe.eval(_FORGET, len(keys), *keys, job.id, job.version, _REPLY_S)
            pipe.execute()

    def position(self) -> str:
        """The name of the latest change."""
        with self._broker.translated() as client:
            if not client.exists(_CHANGES):
                return _NOTHING_YET
            last: bytes = client.xinfo_stream(_CHANGES)["last-generated-id"]
            return last.decode()

    def changes(self, after: str, timeout_s: float) -> list[JobChange]:
        """Changes of followed jobs after `after`; waits for the first."""
        block = ceil(timeout_s * 1_000) or None
        with self._broker.translated() as client:
            answer = cast("Any", client.xread({_CHANGES: after}, count=_AT_ONCE, block=block))
        found = answer[0][1] if answer else []
        return [
            JobChange(change_id.decode(), _job_from(JobId(fields.pop(b"id").decode()), fields, []))
            for change_id, fields in found
        ]

    def remembered(self, after: str) -> bool:
        """Whether no change after `after` has been forgotten."""
        with self._broker.translated() as client:
            if not client.exists(_CHANGES):
                return after == _NOTHING_YET
            stream = client.xinfo_stream(_CHANGES)
        last = _parts(stream["last-generated-id"])
        first = _parts(stream["first-entry"][0]) if stream["first-entry"] else last
        complete = stream["entries-added"] == stream["length"]
        return _parts(after.encode()) <= last and (complete or _parts(after.encode()) >= first)

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""
        self._broker.ping()

    def _change(self, job_id: JobId, now: datetime, change: "_Change") -> None:
        with self._broker.translated():
            self._alter(*_changing(job_id, now, self._changes_kept, change))

    def _jobs(self, ids: Sequence[JobId]) -> list[Job]:
        """Those of the jobs named that are here, in this order, without their failures."""
        with self._broker.translated() as client, client.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(_job(job_id))
            found = pipe.execute()
        return [
            _job_from(job_id, fields, [])
            for job_id, fields in zip(ids, found, strict=True)
            if fields
        ]

    def _indexed(self, bound: int | None, *, reverse_order: bool) -> list[tuple[JobId, int]]:
        """The next followed jobs created at `bound`, in microseconds, or on the far side of it."""
        ends: tuple[int | str, int | str] = ("+inf" if bound is None else bound, "-inf")
        if reverse_order:
            ends = ("-inf" if bound is None else bound, "+inf")
        with self._broker.translated() as client:
            found = client.zrange(
                _INDEX,
                *cast("tuple[int, int]", ends),
                desc=not reverse_order,
                byscore=True,
                offset=0,
                num=_AT_ONCE,
                withscores=True,
            )
        return [(JobId(each.decode()), int(score)) for each, score in cast("list[Any]", found)]


def creation(job: Job, changes_kept: int) -> tuple[list[str], list[str | bytes | int]]:
    """The keys and arguments with which a script creates a job."""
    keys = [_job(job.id), _failures_of(job.id), _reply(job.id), _INDEX, _CHANGES]
    _, created, _ = position(job.created, job.id)
    fields = orjson.dumps([str(part) for field in _job_fields(job).items() for part in field])
    return keys, [job.id, -int(created), fields, changes_kept, JOB_S]


def settlement(
    outcome: Decided, now: datetime, changes_kept: int
) -> tuple[list[str], list[str | bytes | int]]:
    """The keys and arguments with which a script has a job heed what was decided of an entry.

    The last entry of a job ends it, and wakes who waits.
    """
    entry, failures = outcome.entry, outcome.failures
    state = JobState.STARTED
    if entry.last:
        cancelled = any(failure.cancelled for failure in failures)
        state = JobState.CANCELLED if cancelled else JobState.DONE
    change = _Change(
        {"state": state.value},
        {"done": len(entry.offers), "failed": len(failures)},
        encode_failures(failures) if failures else b"",
        ends=entry.last,
    )
    if outcome.fault is not None:
        change.set["fault"] = orjson.dumps(outcome.fault).decode()
    return _changing(entry.job_id, now, changes_kept, change)


def _changing(
    job_id: JobId, now: datetime, changes_kept: int, change: _Change
) -> tuple[list[str], list[str | bytes | int]]:
    """The keys and arguments with which a script changes a job."""
    keys = [_job(job_id), _failures_of(job_id), _reply(job_id), _ENDED, _CHANGES]
    kept_s = _REPLY_S if change.ends else JOB_S
    fields = {"set": change.set, "add": change.add, "begins": change.begins, "ends": change.ends}
    text = orjson.dumps(fields)
    return keys, [job_id, now.isoformat(), text, change.failures, changes_kept, kept_s]


def _job(job_id: str) -> str:
    return f"tams:job:{job_id}"


def _failures_of(job_id: str) -> str:
    return f"tams:job:{job_id}:failures"


def _reply(job_id: str) -> str:
    return f"tams:reply:{job_id}"


def _parts(change_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = change_id.partition(b"-")
    return int(milliseconds), int(sequence)


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
        "kind": job.kind.value,
        "state": job.state.value,
        "created": job.created.isoformat(),
        "updated": job.updated.isoformat(),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "flow_id": job.flow_id or "",
        "version": job.version,
        "followed": int(job.followed),
        "result": job.result or "",
    }


def _job_from(job_id: JobId, fields: Mapping[bytes, bytes], failures: list[Failure]) -> Job:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Job(
        job_id,
        JobKind(text["kind"]),
        JobState(text["state"]),
        created=datetime.fromisoformat(text["created"]),
        updated=datetime.fromisoformat(text["updated"]),
        total=int(text["total"]),
        done=int(text["done"]),
        failed=int(text["failed"]),
        flow_id=FlowId(text["flow_id"]) if text["flow_id"] else None,
        followed=text.get("followed") == "1",
        version=int(text["version"]),
        failures=failures,
        fault=_fault(text["fault"]) if "fault" in text else None,
        started=datetime.fromisoformat(text["started"]) if "started" in text else None,
        result=text.get("result") or None,
        cancelling="cancelling" in text,
    )


def _fault(text: str) -> Fault:
    item = orjson.loads(text)
    return Fault(item["type"], item["summary"], datetime.fromisoformat(item["time"]))
