"""The `Inbox`: offered segments in one Redis Stream per shard.

* `XADD` is the moment segments are acknowledged, so the broker must sync its append-only file
  on every write. One script looks whether there is room, adds the job and its entries, and says
  whether anybody need be called.
* Where a shard stands is kept in the database, not here: streams are read after that position,
  with no consumer group, and cut off behind it.
* What is begun is noted before, and the note goes when it ends: what brings its worker down leaves
  it there.
* Answering and letting go of entries is one script: what is still in a stream at or
  below the position in the database has not been answered.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from math import ceil
from typing import Any, Final, cast

import redis

from infra.broker.bells import bell_of_flush
from infra.broker.connection import Broker, Lock
from infra.broker.dead_offers import bury, stream_of
from infra.broker.jobs import (
    CHANGING,
    CREATING,
    JOB_S,
    creation,
    decode_failures,
    encode_failures,
    settlement,
)
from schemas.domain.changes import ShardCursor
from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import DeletionId, FlowId, JobId
from schemas.domain.job import Job
from schemas.domain.segment import Offer
from schemas.inbox import decode_offers, encode_offers
from tasks.ports import Attempt, Decided, Entry, Lease, LeaseLost

_OFFERS_PER_ENTRY: Final = 500
_ENTRIES_PER_READ: Final = 200
_ERROR: Final = "error"
_DELETIONS: Final = "tams:deletions"
# As many deletions are looked at, the oldest of all shards; the others come when these have ended.
_AT_ONCE: Final = 1_000

# Keys: stream, bell, and those that create a job. Arguments: most entries, flow, whether the job is
# followed, those that create it, and the offers of each entry.
# Answers how many entries waited, and whether the bell has been rung.
_APPEND: Final = f"""{CREATING}
local waiting = redis.call('XLEN', KEYS[1])
if waiting >= tonumber(ARGV[1]) then return {{waiting, 1}} end
local id, created, fields, changes_kept, kept_s = unpack(ARGV, 4, 8)
create({{unpack(KEYS, 3)}}, id, created, cjson.decode(fields), changes_kept, kept_s)
for n = 9, #ARGV do
  local last = n == #ARGV and 1 or 0
  redis.call('XADD', KEYS[1], '*', 'job', id, 'flow', ARGV[2], 'offers', ARGV[n],
    'last', last, 'followed', ARGV[3])
end
return {{waiting, redis.call('EXISTS', KEYS[2])}}
"""
# Keys: those that change a job, for each, and stream and attempts for each shard.
# Arguments: how many jobs change, those that change a job, and where each stream then begins.
_ANSWER: Final = f"""{CHANGING}
local changed = tonumber(ARGV[1])
for n = 0, changed - 1 do
  change({{unpack(KEYS, 5 * n + 1, 5 * n + 5)}}, unpack(ARGV, 6 * n + 2, 6 * n + 7))
end
local keys, arguments, left = 5 * changed, 6 * changed + 1, 0
for n = 1, #ARGV - arguments do
  redis.call('XTRIM', KEYS[keys + 2 * n - 1], 'MINID', '=', ARGV[arguments + n])
  redis.call('DEL', KEYS[keys + 2 * n])
  left = left + redis.call('XLEN', KEYS[keys + 2 * n - 1])
end
return left
"""


class _ShardLease:
    """The lock of a shard and the number of its taking."""

    def __init__(self, lock: Lock, epoch: int) -> None:
        self._lock = lock
        self.epoch = epoch

    def require(self) -> None:
        self._lock.require()


class RedisInbox:
    """The `Inbox`: a stream per shard."""

    def __init__(
        self, broker: Broker, *, shards: int, flushers: int, high_water: int, job_changes_kept: int
    ) -> None:
        self._broker = broker
        self._append = broker.redis.register_script(_APPEND)
        self._answer = broker.redis.register_script(_ANSWER)
        self._shards = range(shards)
        self._flushers = flushers
        self._high_water = high_water
        self._job_changes_kept = job_changes_kept
        self._noted: set[tuple[int, int]] = set()
        # How many offers an entry has, about; says how many entries to ask for.
        self._offers_per_entry = 1

    def append(self, shard: int, job: Job, flow_id: FlowId, offers: Sequence[Offer]) -> bool:
        """Make offers and job durable at once; see `Inbox.append`."""
        entries = [
            encode_offers(offers[start : start + _OFFERS_PER_ENTRY])
            for start in range(0, len(offers), _OFFERS_PER_ENTRY)
        ]
        keys, arguments = creation(job, self._job_changes_kept)
        with self._broker.translated():
            waiting, rung = self._append(
                [stream_of(shard), bell_of_flush(shard, self._flushers), *keys],
                [self._high_water, flow_id, int(job.followed), *arguments, *entries],
            )
        if waiting >= self._high_water:
            raise Unavailable(
                f"shard {shard} has {waiting} requests waiting to be registered; retry later"
            )
        return bool(rung)

    @contextmanager
    def lease(self, shard: int) -> Iterator[Lease | None]:
        """The shard, renewed while the context lasts; None when another worker has it."""
        with self._broker.lock(f"shard:{shard}") as lock:
            if lock is None:
                yield None
                return
            with self._broker.translated() as client:
                epoch = client.incr(_epoch(shard))
            yield _ShardLease(lock, epoch)

    def arrivals(
        self, positions: Mapping[int, str], rows: int, wait_s: float
    ) -> dict[int, list[Entry]]:
        """The entries after its position in each shard that has any; see `Inbox.arrivals`."""
        if not positions:
            return {}
        count = max(1, min(rows // self._offers_per_entry, _ENTRIES_PER_READ))
        streams = {stream_of(shard): position for shard, position in positions.items()}
        shards = {stream_of(shard).encode(): shard for shard in positions}
        block = ceil(wait_s * 1_000) or None
        with self._broker.translated() as client:
            answer = client.xread(cast("dict[Any, Any]", streams), count=count, block=block)
        found: dict[int, list[Entry]] = {}
        offers = entries = 0
        for name, waiting in cast("list[Any]", answer or []):
            read = found.setdefault(shards[name], [])
            for entry_id, fields in waiting:
                if offers >= rows:
                    break
                try:
                    read.append(_entry(entry_id, fields))
                except (KeyError, TypeError, ValueError):
                    break
                offers += len(read[-1].offers)
                entries += 1
            if offers >= rows:
                break
        self._offers_per_entry = max(1, offers // max(1, entries))
        return found

    def read(self, shard: int, after: str, rows: int) -> list[Entry]:
        """The entries after position `after`, up to about `rows` offers, oldest first."""
        entries: list[Entry] = []
        found = 0
        with self._broker.translated() as client:
            while batch := _range(client, shard, after, min(rows, _ENTRIES_PER_READ)):
                for entry in batch:
                    entries.append(entry)
                    found += len(entry.offers)
                    if found >= rows:
                        return entries
                after = entries[-1].id
        return entries

    def attempts(self, shard: int, position: str) -> int:
        """How often what waits after `position` was begun in vain."""
        with self._broker.translated() as client:
            return int(cast("bytes | None", client.hget(_attempts(shard), position)) or 0)

    @contextmanager
    def attempt(self, positions: Mapping[int, str]) -> Iterator[dict[int, Attempt]]:
        """Note that what waits after these positions is begun; see `Inbox.attempt`."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            for shard, position in positions.items():
                pipe.hincrby(_attempts(shard), position, 1)
                pipe.hget(_attempts(shard), _ERROR)
            noted = iter(pipe.execute())
        try:
            yield {
                shard: Attempt(number, error.decode() if error else None)
                for shard, number, error in zip(positions, noted, noted, strict=True)
            }
        except (Unavailable, LeaseLost):
            with suppress(Unavailable), self._broker.translated() as client:
                client.delete(*map(_attempts, positions))
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            with suppress(Unavailable), self._broker.translated() as client:
                for shard in positions:
                    client.hset(_attempts(shard), _ERROR, text)
            raise

    def bury(self, shard: int, after: str, reason: str, now: datetime) -> Entry:
        """Put the first entry after position `after` aside; see `Inbox.bury`."""
        with self._broker.translated() as client:
            found = client.xrange(stream_of(shard), min=f"({after}", count=1)
            ((raw_id, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
            bury(client, f"{shard}-{raw_id.decode()}", shard, fields, reason, now)
        return _entry_or_bare(raw_id, fields)

    def decided_unanswered(self, shard: int, position: str) -> list[Entry]:
        """Entries up to `position` whose outcome was committed but not answered yet."""
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(stream_of(shard), max=position))
        return [_entry_or_bare(entry_id, fields) for entry_id, fields in found]

    def note(self, shard: int, epoch: int, decided: Sequence[Decided]) -> None:
        """Keep the failures of a batch before it is committed, in place of those noted before."""
        failed = {d.entry.id: encode_failures(d.failures) for d in decided if d.failures}
        if not failed and (shard, epoch) not in self._noted:
            return
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.delete(_noted(shard, epoch))
            if failed:
                pipe.hset(_noted(shard, epoch), mapping=cast("dict[Any, Any]", failed))
                pipe.expire(_noted(shard, epoch), JOB_S)
            pipe.execute()
        (self._noted.add if failed else self._noted.discard)((shard, epoch))

    def noted(self, shard: int, epoch: int, entries: Sequence[Entry]) -> list[Decided]:
        """The outcomes of `entries` as they were noted under the lease that committed them."""
        with self._broker.translated() as client:
            found = cast("dict[bytes, bytes]", client.hgetall(_noted(shard, epoch)))
        failed = {entry_id.decode(): decode_failures(text) for entry_id, text in found.items()}
        return [Decided(entry, failed.get(entry.id, ())) for entry in entries]

    def answer(self, decided: Mapping[int, Sequence[Decided]], now: datetime) -> int:
        """Bring jobs up to date, wake whoever waits, let go of the entries; see `Inbox.answer`."""
        entries = [each for outcomes in decided.values() for each in outcomes]
        keys: list[str] = []
        arguments: list[str | bytes | int] = [len(entries)]
        for each in entries:
            of_job, change = settlement(each, now, self._job_changes_kept)
            keys += of_job
            arguments += change
        for shard, outcomes in decided.items():
            keys += (stream_of(shard), _attempts(shard))
            arguments.append(_following(outcomes[-1].entry.id))
        with self._broker.translated():
            return int(cast("int", self._answer(keys, arguments)))

    def resume(self, lease: Lease, cursor: ShardCursor) -> None:
        """Take up where the database says the shard stands, also if the broker lost data.

        New entries get ids after the cursor's position, and the lease an epoch after its epoch.
        """
        stream = stream_of(cursor.shard)
        with self._broker.translated() as client:
            if lease.epoch <= cursor.epoch:
                lease.epoch = cursor.epoch + 1
                client.set(_epoch(cursor.shard), lease.epoch)
            if not client.exists(stream):
                client.xadd(stream, {"": ""}, id=_following(cursor.position))
                client.xtrim(stream, maxlen=0, approximate=False)
                return
            last = client.xinfo_stream(stream)["last-generated-id"].decode()
            if _parts(last) < _parts(cursor.position):
                client.execute_command(  # type: ignore[no-untyped-call]  # no method of its own
                    "XSETID", stream, cursor.position
                )

    def schedule(self, shard: int, deletion: DeletionId, created: datetime) -> None:
        """Have a deletion of segments of the shard gone on with."""
        with self._broker.translated() as client:
            client.zadd(_DELETIONS, {f"{shard} {deletion}": created.timestamp()})

    def scheduled(self, shards: Collection[int]) -> dict[int, list[DeletionId]]:
        """The deletions to go on with, oldest first, of those of the shards that have any."""
        with self._broker.translated() as client:
            found = cast("list[bytes]", client.zrange(_DELETIONS, 0, _AT_ONCE - 1))
        going: dict[int, list[DeletionId]] = {}
        for each in found:
            shard, _, deletion = each.decode().partition(" ")
            if int(shard) in shards:
                going.setdefault(int(shard), []).append(DeletionId(deletion))
        return going

    def unschedule(self, shard: int, deletion: DeletionId) -> None:
        """Do not go on with a deletion that ended."""
        with self._broker.translated() as client:
            client.zrem(_DELETIONS, f"{shard} {deletion}")

    def waiting(self) -> list[int]:
        """The shards that have entries, or deletions to go on with."""
        going = self.scheduled(self._shards)
        with self._broker.translated() as client, client.pipeline(transaction=False) as pipe:
            for shard in self._shards:
                pipe.xlen(stream_of(shard))
            lengths = pipe.execute()
        return [
            shard
            for shard, length in zip(self._shards, lengths, strict=True)
            if length or shard in going
        ]


def _range(client: redis.Redis, shard: int, after: str, count: int) -> list[Entry]:
    """The next `count` entries after position `after`."""
    found = client.xrange(stream_of(shard), min=f"({after}", count=count)
    return [_entry(entry_id, fields) for entry_id, fields in cast("list[Any]", found)]


def _attempts(shard: int) -> str:
    return f"tams:attempts:{shard}"


def _epoch(shard: int) -> str:
    return f"tams:epoch:{shard}"


def _noted(shard: int, epoch: int) -> str:
    return f"tams:noted:{shard}:{epoch}"


def _parts(entry_id: str) -> tuple[int, int]:
    milliseconds, sequence = entry_id.split("-")
    return int(milliseconds), int(sequence)


def _following(entry_id: str) -> str:
    milliseconds, sequence = _parts(entry_id)
    return f"{milliseconds}-{sequence + 1}"


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    flow_id = FlowId(fields[b"flow"].decode())
    return Entry(
        entry_id.decode(),
        JobId(fields[b"job"].decode()),
        flow_id,
        decode_offers(flow_id, fields[b"offers"]),
        last=fields[b"last"] == b"1",
        followed=fields[b"followed"] == b"1",
    )


def _entry_or_bare(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """An entry, without its offers when these cannot be read."""
    try:
        return _entry(entry_id, fields)
    except (KeyError, TypeError, ValueError):
        flow_id, job_id = (fields.get(key, b"").decode("latin-1") for key in (b"flow", b"job"))
        return Entry(
            entry_id.decode(), JobId(job_id), FlowId(flow_id), [], last=True, followed=True
        )
