"""The `MetadataStore` on VAST Database.

* A snapshot remembers the row of every record it read; replacing or removing a record needs it, so
  that only what was read in the same transaction can be. An update writes the columns that differ.
* A flow that is being deleted is not there, except for those who ask for it.
* Which flows collect which is kept in a table besides, brought up to date with every flow written.
* A claimed name falls on one of a fixed number of rows, which the claiming transaction updates:
  of two that claim the same name at once, the database lets only one commit.
* A transaction that others came before is done anew (see `infra.vast.retry`).
* What happens in a transaction goes into the outbox with it, in one more request. It is dated when
  it is written: of two transactions that changed one thing, the second began after the first ended,
  whatever moment they tell of.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, Final, TypeVar
from zlib import crc32

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from infra.vast import strips
from infra.vast.coverage import coverage_of
from infra.vast.prepared import ROW_ID
from infra.vast.retry import retried
from infra.vast.session import Database, Transaction, rows_of
from schemas.domain.changes import Changes, Record, ShardCursor
from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.deletion import Deletion
from schemas.domain.errors import Unavailable
from schemas.domain.event import Event, EventLog, Happening, Outgoing
from schemas.domain.flow import Content, Encoding, Flow, Member
from schemas.domain.identifiers import (
    DeletionId,
    EventId,
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
    WebhookId,
)
from schemas.domain.ingest import Problem
from schemas.domain.ingest_rule import IngestRule
from schemas.domain.job import Job, JobFailure, JobFilter
from schemas.domain.media_object import Copy, MediaObject, Orphan, Role
from schemas.domain.profile import Profile
from schemas.domain.query import (
    Listing,
    Position,
    SegmentQuery,
    in_order,
    is_beyond,
    position,
    resumed_at,
)
from schemas.domain.scan import Scan
from schemas.domain.search import Search
from schemas.domain.segment import Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.sighting import Sighting
from schemas.domain.source import Source
from schemas.domain.stall import Stall
from schemas.domain.stream import Stream
from schemas.domain.strip import Strip
from schemas.domain.timerange import NEVER, TimeRange
from schemas.domain.webhook import Webhook
from schemas.tables import definitions as tables
from schemas.tables import rows
from schemas.tables.details import RowOf, detail_of
from tasks.ports import Ids, MetadataStore

T = TypeVar("T")
R = TypeVar("R", bound=Record)

Tell = Callable[[MetadataStore, Sequence[Changes]], None]

CLAIM_SLOTS: Final = 1_024

_CURSOR: Final = ("id", "position", "epoch")
_FLOW: Final = tuple(n for n in tables.TABLES[tables.FLOWS].names if n not in _CURSOR[1:])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT: Final = timedelta(milliseconds=1)

# Below this many objects, asking for them one by one beats reading all a flow has allocated.
_FEW_OBJECTS: Final = 50
# Of more than these, which are mostly new, it is asked first which there are at all: what is
# looked for in all rows is looked for in fewer columns.
_MANY_OBJECTS: Final = 1_024
# Below this many flows, reading each one's neighbourhood beats reading a common hull.
_FEW_FLOWS: Final = 4
# Below this many neighbours, asking for their objects one by one beats asking for a range.
_FEW_NEIGHBOURS: Final = 8
# What comes in no order is asked for with this many times what is wanted; more is asked otherwise.
_SPARE_ROWS: Final = 4


class VastMetadataStore:
    """Sources, flows, segments and objects as rows of VAST tables."""

    def __init__(self, database: Database, ids: Ids, tell: Tell) -> None:
        """`tell` tells of a transaction, with what its attempts changed, before it is over."""
        self._database = database
        self._ids = ids
        self._tell = tell
        self._slot_rows: dict[str, int] = {}

    @contextmanager
    def read(self) -> Iterator["VastSnapshot"]:
        """A consistent view; see `MetadataStore.read`."""
        with self._database.transaction() as transaction:
            yield VastSnapshot(transaction)

    def transact(self, decide: Callable[["VastSnapshot"], tuple[Changes, T]]) -> T:
        """Decide and write in one transaction; see `MetadataStore.transact`.

        Raises:
            Unavailable: when the database does not answer, or other writers keep coming first.
        """
        attempts: list[Changes] = []

        def once() -> T:
            with self._database.transaction() as transaction:
                snapshot = VastSnapshot(transaction)
                changes, result = decide(snapshot)
                attempts.append(changes)
                claimed = self._slots(transaction, changes.claim)
                snapshot.write(changes, self._posted(changes.told, snapshot.row_of), claimed)
            return result

        result = retried(once)
        self._tell(self, attempts)
        return result

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self._database.transaction():
            pass

    def _posted(self, told: Iterable[Happening], row_of: RowOf) -> list[Outgoing]:
        now = time.time_ns()
        return [
            Outgoing(
                EventId(self._ids.new()),
                now,
                number,
                each.type,
                each.occurred,
                each.source_id,
                each.flow_id,
                each.collectors,
                each.segments,
                detail_of(each.subject, row_of),
            )
            for number, each in enumerate(told)
        ]

    def _slots(self, transaction: Transaction, names: Collection[str]) -> list[int]:
        """The ids of the rows that `names` fall on."""
        if not names:
            return []
        if not self._slot_rows:
            first, end = rows.SLOTS
            found = transaction.table(tables.FLOWS).select(
                ["id"], since=("id", first), below=("id", end)
            )
            self._slot_rows = {row["id"]: row[ROW_ID] for row in found.to_pylist()}
        slots = {crc32(name.encode()) % CLAIM_SLOTS for name in names}
        return [self._slot_rows[rows.slot_key(slot)] for slot in sorted(slots)]


class VastSnapshot:
    """The tables as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._rows: dict[tuple[str, object], rows.Row] = {}
        self._flows_read: dict[FlowId, Flow | None] = {}
        self._shards_read: dict[int, ShardCursor] = {}
        self.row_of = rows.RowsMade()

    def flows(self, ids: Collection[FlowId], *, going: bool = False) -> dict[FlowId, Flow]:
        """Those of the flows named that exist; each is read once."""
        unread = [each for each in ids if each not in self._flows_read]
        if unread:
            self._flows_read |= dict.fromkeys(unread)
            self._flows(going=True, isin=("id", unread))
        found = {each: flow for each in ids if (flow := self._flows_read[each]) is not None}
        return {each: flow for each, flow in found.items() if going or flow.deletion is None}

    def expect(self, shards: Collection[int], flows: Collection[FlowId]) -> None:
        """Read shards and flows together, since they will be asked for."""
        keys = [*map(rows.shard_key, shards), *flows]
        found = self._transaction.table(tables.FLOWS).select(
            [*_FLOW, *_CURSOR[1:]], isin=("id", keys)
        )
        self._flows_read |= dict.fromkeys(flows)
        for row in rows_of(found):
            self._rows[tables.FLOWS, row["id"]] = row
            if row["position"] is None:
                flow = rows.flow_from(row)
                self._flows_read[flow.id] = flow
            else:
                cursor = rows.shard_from(row)
                self._shards_read[cursor.shard] = cursor

    def all_flows(self, equal: Mapping[str, object]) -> list[Flow]:
        """Every flow whose columns have the values in `equal`."""
        return self._flows(equal=equal)

    def encodings(self, sources: Collection[SourceId]) -> list[Encoding]:
        """Which flows these sources have."""
        found = self._transaction.table(tables.FLOWS).select(
            ["id", "source_id", "collects"], isin=("source_id", list(sources)), null="deletion"
        )
        return [Encoding(row["id"], row["source_id"], row["collects"]) for row in found.to_pylist()]

    def collecting(self, ids: Collection[FlowId]) -> list[Flow]:
        """The flows that collect any of the flows named."""
        table = self._transaction.table(tables.MEMBERS)
        found = set(table.select(["flow_id"], isin=("member_id", list(ids)))["flow_id"].to_pylist())
        return list(self.flows(found).values()) if found else []

    def sources(self, ids: Collection[SourceId]) -> dict[SourceId, Source]:
        """Those of the sources named that exist."""
        found = self._records(tables.SOURCES, rows.source_from, isin=("id", list(ids)))
        return {source.id: source for source in found}

    def flows_in_order(self, listing: Listing, equal: Mapping[str, object]) -> Iterator[Flow]:
        """The flows whose columns have the values in `equal`, from where a page begins on."""
        column = "document" if listing.sort_by == "label" else listing.sort_by
        for ids in self._ids_in_order(tables.FLOWS, column, listing, equal=equal, null="position"):
            found = self.flows(ids)
            yield from (found[each] for each in ids if each in found)

    def sources_in_order(self, listing: Listing, equal: Mapping[str, object]) -> Iterator[Source]:
        """The sources whose columns have the values in `equal`, from where a page begins on."""
        for ids in self._ids_in_order(tables.SOURCES, listing.sort_by, listing, equal=equal):
            found = self.sources(ids)
            yield from (found[each] for each in ids)

    def profiles(self, ids: Collection[ProfileId]) -> dict[ProfileId, Profile]:
        """Those of the profiles named that exist."""
        found = self._records(tables.PROFILES, rows.profile_from, isin=("id", list(ids)))
        return {profile.id: profile for profile in found}

    def all_profiles(self) -> list[Profile]:
        """Every profile."""
        return self._records(tables.PROFILES, rows.profile_from)

    def service(self) -> ServiceInfo | None:
        """What is said of this service; None until something is."""
        found = self._records(tables.SERVICE, rows.service_from)
        return found[0] if found else None

    def objects(
        self, ids: Collection[ObjectId], *, likely_for: Collection[FlowId] = ()
    ) -> dict[ObjectId, MediaObject]:
        """Those of the objects named that exist."""
        found: list[MediaObject] = []
        if likely_for and len(ids) > _FEW_OBJECTS:
            found = self._records(
                tables.OBJECTS,
                rows.object_from,
                equal={"role": Role.ALLOCATED.value},
                isin=("allocated_for", list(likely_for)),
            )
        rest = set(ids) - {item.id for item in found}
        if len(rest) > _MANY_OBJECTS:
            table = self._transaction.table(tables.OBJECTS)
            rest = set(table.select(["id"], isin=("id", list(rest)))["id"].to_pylist())
        found += self._records(tables.OBJECTS, rows.object_from, isin=("id", list(rest)))
        return {item.id: item for item in found if item.id in ids}

    def objects_of(
        self, flow_id: FlowId, segments: Sequence[Segment]
    ) -> dict[ObjectId, MediaObject]:
        """The objects of neighbouring segments: those that were new with them, and the others."""
        ids = {segment.object_id for segment in segments}
        if len(ids) < _FEW_NEIGHBOURS:
            return self.objects(ids)
        hull = TimeRange.hull(segment.timerange for segment in segments)
        near = self._records(tables.OBJECTS, rows.object_from, **_near(flow_id, hull, len(ids)))
        found = {item.id: item for item in near if item.id in ids}
        missing = ids - found.keys()
        return found | self.objects(missing) if missing else found

    def objects_at(self, keys: Collection[str]) -> dict[str, MediaObject]:
        """Those objects that stand under one of `keys`, by key."""
        found = self._records(tables.OBJECTS, rows.object_from, isin=("key", list(keys)))
        return {item.key: item for item in found if item.key is not None}

    def segments_around(self, spans: Mapping[FlowId, TimeRange]) -> dict[FlowId, list[Segment]]:
        """The segments of each flow that overlap its span."""
        if len(spans) <= _FEW_FLOWS:
            return {
                flow_id: self._segments({"flow_id": flow_id}, span)
                for flow_id, span in spans.items()
            }
        found = defaultdict(list)
        common = TimeRange.hull(spans.values())
        for segment in self._segments({}, common, isin=("flow_id", list(spans))):
            if segment.timerange.overlaps(spans[segment.flow_id]):
                found[segment.flow_id].append(segment)
        return found

    def segments(self, flow_id: FlowId, query: SegmentQuery) -> list[Segment]:
        """The first `query.limit + 1` segments that `query` asks for, in its order."""
        if not query.remaining:
            return []
        return self._kept(tables.SEGMENTS, rows.segment_from, self._first(flow_id, query))

    def strip(self, flow_id: FlowId, query: SegmentQuery) -> Strip:
        """The same in order of time, to be shown."""
        found = None
        if query.remaining:
            found = self._first(flow_id, query, strips.SEGMENT_COLUMNS)
        if found is None or not found.num_rows:
            return Strip.empty()
        found = found.take(pc.sort_indices(found, sort_keys=[("start", "ascending")]))
        return strips.strip_of(found, self._objects_shown(flow_id, found))

    def hull(self, flow_id: FlowId, within: TimeRange) -> TimeRange:
        """The hull of those segments of a flow that overlap `within`."""
        table = self._transaction.table(tables.SEGMENTS)
        found = table.select(["start", "end"], equal={"flow_id": flow_id}, span=within)
        first, last = pc.min(found["start"]).as_py(), pc.max(found["end"]).as_py()
        return NEVER if first is None else TimeRange(first, last)

    def coverage(self, flow_id: FlowId, query: CoverageQuery) -> Coverage:
        """What of a timerange the segments of a flow cover."""
        table = self._transaction.table(tables.SEGMENTS)
        found = table.select(["start", "end"], equal={"flow_id": flow_id}, span=query.timerange)
        return coverage_of(found["start"], found["end"], query)

    def flows_using(self, object_id: ObjectId) -> list[FlowId]:
        """The flows with a segment of this object, or of media that needs it as init segment."""
        objects = self._transaction.table(tables.OBJECTS)
        needing = objects.select(["id"], equal={"init_object_id": object_id})["id"].to_pylist()
        segments = self._transaction.table(tables.SEGMENTS)
        using = segments.select(["flow_id"], isin=("object_id", [object_id, *needing]))
        return sorted(set(using["flow_id"].to_pylist()))

    def allocated_before(self, moment: datetime, limit: int) -> list[MediaObject]:
        """Some objects that were allocated before `moment` and have not been registered."""
        return self._records(
            tables.OBJECTS,
            rows.object_from,
            equal={"role": Role.ALLOCATED.value},
            below=("created", rows.naive(moment)),
            limit=limit,
        )

    def copies(self, **equal: object) -> list[Copy]:
        """The copies still to be made whose columns have these values."""
        return self._records(tables.COPIES, rows.copy_from, equal=equal)

    def orphans(self, storage_ids: Collection[StorageId], limit: int) -> list[Orphan]:
        """Some bytes in these storage backends that nothing refers to."""
        return self._records(
            tables.ORPHANS,
            rows.orphan_from,
            isin=("storage_id", list(storage_ids)),
            limit=limit,
        )

    def orphaned(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` whose bytes nothing refers to, and are still to be deleted."""
        table = self._transaction.table(tables.ORPHANS)
        return set(table.select(["key"], isin=("key", list(keys)))["key"].to_pylist())

    def deletions(self, ids: Collection[DeletionId]) -> dict[DeletionId, Deletion]:
        """Those of the deletions named that exist."""
        found = self._records(tables.DELETIONS, rows.deletion_from, isin=("id", list(ids)))
        return {deletion.id: deletion for deletion in found}

    def all_deletions(self) -> list[Deletion]:
        """Every deletion on record."""
        return self._records(tables.DELETIONS, rows.deletion_from)

    def jobs(self, ids: Collection[JobId]) -> dict[JobId, Job]:
        """Those of the jobs named that are on record, without their failures."""
        found = self._records(tables.JOBS, rows.job_from, isin=("id", list(ids)))
        return {job.id: job for job in found}

    def job_failures(self, ids: Collection[JobId]) -> dict[JobId, list[JobFailure]]:
        """The failures of the jobs named, in order."""
        kept = self._records(tables.FAILURES, rows.failure_from, isin=("job_id", list(ids)))
        found = defaultdict(list)
        for each in sorted(kept, key=lambda each: each.number):
            found[each.job_id].append(each)
        return found

    def listed_jobs(self, listing: Listing, wanted: JobFilter) -> list[Job]:
        """The jobs on record that a page may hold; one more if there is."""
        equal = {
            name: value
            for name in ("kind", "state", "flow_id")
            if (value := getattr(wanted, name)) is not None
        }
        conditions: dict[str, Any] = {"equal": equal, **_from_where_it_stopped(listing)}
        enough = _SPARE_ROWS * (listing.limit + 1)
        found = self._records(tables.JOBS, rows.job_from, **conditions, limit=enough)
        if len(found) < enough:
            return found
        table = self._transaction.table(tables.JOBS)
        narrow = table.select(["id", "created"], **conditions).to_pylist()
        last = resumed_at(listing)
        places = sorted(
            (position(rows.aware(row["created"]), row["id"]), row["id"]) for row in narrow
        )
        if listing.reverse_order:
            places.reverse()
        ids = [
            job_id for place, job_id in places if last is None or is_beyond(place, last, listing)
        ]
        return self._records(tables.JOBS, rows.job_from, isin=("id", ids[: listing.limit + 1]))

    def jobs_ended_before(self, moment: datetime, limit: int) -> list[Job]:
        """Some jobs on record that ended before `moment`."""
        return self._records(
            tables.JOBS, rows.job_from, below=("updated", rows.naive(moment)), limit=limit
        )

    def problems(self) -> list[Problem]:
        """Every problem on record."""
        return self._records(tables.PROBLEMS, rows.problem_from)

    def rules(self) -> list[IngestRule]:
        """Every ingest rule."""
        return self._records(tables.RULES, rows.rule_from)

    def streams(self, ids: Collection[FlowId]) -> dict[FlowId, Stream]:
        """The streams that began with the flows named, where a restart began another flow."""
        found = self._records(tables.STREAMS, rows.stream_from, isin=("flow_id", list(ids)))
        return {stream.flow_id: stream for stream in found}

    def sightings(self, **equal: object) -> list[Sighting]:
        """What was seen of dropped objects that are no segments, or not yet."""
        return self._records(tables.SIGHTINGS, rows.sighting_from, equal=equal)

    def problem_etags(self, bucket: str, keys: Collection[str]) -> dict[str, set[str]]:
        """The etags of problems on record, for those of `keys` in `bucket` that have any."""
        table = self._transaction.table(tables.PROBLEMS)
        found = table.select(["key", "etag"], equal={"bucket": bucket}, isin=("key", list(keys)))
        etags: dict[str, set[str]] = defaultdict(set)
        for row in found.to_pylist():
            etags[row["key"]].add(row["etag"])
        return etags

    def scans(self) -> list[Scan]:
        """Every scan on record."""
        return self._records(tables.SCANS, rows.scan_from)

    def stalls(self, **equal: object) -> list[Stall]:
        """The stalls whose columns have these values."""
        return self._records(tables.STALLS, rows.stall_from, equal=equal)

    def open_stalls(self) -> list[Stall]:
        """The stalls that go on."""
        return self._records(tables.STALLS, rows.stall_from, null="ended")

    def shards(self, shards: Collection[int]) -> dict[int, ShardCursor]:
        """How far the offers of these shards are decided; each is read once."""
        unread = [each for each in shards if each not in self._shards_read]
        if unread:
            keys = [rows.shard_key(each) for each in unread]
            found = self._records(tables.FLOWS, rows.shard_from, columns=_CURSOR, isin=("id", keys))
            self._shards_read |= {cursor.shard: cursor for cursor in found}
        missing = set(shards) - self._shards_read.keys()
        if missing:
            raise Unavailable(
                f"shard {min(missing)} is not in the database; has `tams init` been run?"
            )
        return {each: self._shards_read[each] for each in shards}

    def outbox(self) -> list[Outgoing]:
        """Everything in the outbox, the oldest first, without the details."""
        found = self._without_details(tables.OUTBOX, rows.outgoing_from)
        return sorted(found, key=lambda each: (each.posted_ns, each.number))

    def posted(self) -> bool:
        """Whether there is anything in the outbox."""
        found = self._transaction.table(tables.OUTBOX).select(["number"], limit=1)
        return bool(found.num_rows)

    def posted_until(self, posted_ns: int) -> dict[EventId, Outgoing]:
        """What was put into the outbox until then."""
        found = self._records(tables.OUTBOX, rows.outgoing_from, below=("posted", posted_ns + 1))
        return {each.id: each for each in found}

    def event_log(self) -> EventLog:
        """Where the log begins and ends."""
        found = self._records(tables.EVENT_LOG, rows.event_log_from)
        if not found:
            raise Unavailable("the log is not in the database; has `tams init` been run?")
        return found[0]

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """The next `limit` events after that place in the log, in order."""
        return self._events(self._records, sequence, limit)

    def events_before(self, moment: datetime, limit: int) -> list[Event]:
        """The first events of the log that came there before `moment`, without the details."""
        first = self.event_log().first
        found = self._events(self._without_details, first - 1, limit)
        return [event for event in found if event.logged < moment]

    def position_at(self, moment: datetime) -> int:
        """The place in the log before every event that occurred at `moment` or later."""
        table = self._transaction.table(tables.EVENTS)
        found = table.select(["sequence"], since=("occurred", rows.naive(moment)))
        return min(found["sequence"].to_pylist(), default=self.event_log().last + 1) - 1

    def webhooks(self, ids: Collection[WebhookId]) -> dict[WebhookId, Webhook]:
        """Those of the webhooks named that exist."""
        found = self._records(tables.WEBHOOKS, rows.webhook_from, isin=("id", list(ids)))
        return {webhook.id: webhook for webhook in found}

    def all_webhooks(self) -> list[Webhook]:
        """Every webhook."""
        return self._records(tables.WEBHOOKS, rows.webhook_from)

    def write(self, changes: Changes, posted: Iterable[Outgoing], claimed: Iterable[int]) -> None:
        """Write `changes` and what is told of them, one request per table and kind of change.

        `claimed` are the ids of the rows that the names claimed fall on.
        """
        removals: dict[str, list[int]] = defaultdict(list)
        for record in changes.remove:
            table = rows.table_of(record)
            removals[table].append(self._rows[table, rows.key_of(record)][ROW_ID])
        for table, row_ids in removals.items():
            self._transaction.table(table).delete(row_ids)
        updates: dict[str, list[tuple[rows.Row, rows.Row]]] = defaultdict(list)
        for record in changes.replace:
            table = rows.table_of(record)
            updates[table].append((self._rows[table, rows.key_of(record)], self.row_of(record)))
        # What sets slots to what cursors become is fewer different rows to write.
        cursors = (each.position for each in changes.replace if isinstance(each, ShardCursor))
        position = next(cursors, str(time.time_ns()))
        updates[tables.FLOWS] += [({ROW_ID: row}, {"position": position}) for row in claimed]
        for table, replaced in updates.items():
            if replaced:
                self._transaction.table(table).update(_differences(replaced))
        inserts: dict[str, list[rows.Row]] = defaultdict(list)
        for record in (*changes.add, *posted):
            inserts[rows.table_of(record)].append(self.row_of(record))
        for table, new in inserts.items():
            self._transaction.table(table).insert(new)
        self._write_members(changes)

    def _write_members(self, changes: Changes) -> None:
        """Keep track of who collects whom."""
        new = [flow for flow in changes.add if isinstance(flow, Flow) and flow.collection]
        former = [flow.id for flow in changes.remove if isinstance(flow, Flow) and flow.collection]
        for flow in changes.replace:
            if isinstance(flow, Flow) and self._collected(flow.id) != flow.collection:
                new.append(flow)
                former += [flow.id] * self._rows[tables.FLOWS, flow.id]["collects"]
        table = self._transaction.table(tables.MEMBERS)
        if former:
            table.delete(table.select(["flow_id"], isin=("flow_id", former))[ROW_ID].to_pylist())
        links = [link for flow in new for link in rows.links_of(flow)]
        if links:
            table.insert(links)

    def _collected(self, flow_id: FlowId) -> tuple[Member, ...]:
        """What a flow collects that was read."""
        row = self._rows[tables.FLOWS, flow_id]
        return rows.flow_from(row).collection if row["collects"] else ()

    def _flows(self, *, going: bool = False, **conditions: Any) -> list[Flow]:
        found = self._records(
            tables.FLOWS, rows.flow_from, columns=_FLOW, null="position", **conditions
        )
        self._flows_read |= {flow.id: flow for flow in found}
        return [flow for flow in found if going or flow.deletion is None]

    def _ids_in_order(
        self, table: str, column: str, listing: Listing, **conditions: Any
    ) -> Iterator[list[Any]]:
        """The ids of the records a page may hold; then more, each time twice as many."""
        found = self._transaction.table(table).select(["id", column], **conditions)
        ids = [place[2] for place in in_order(_places(found, column), lambda at: at, listing)]
        size = listing.limit + 1
        while ids:
            yield ids[:size]
            ids, size = ids[size:], 2 * size

    def _records(
        self,
        table: str,
        from_row: Callable[[rows.Row], R],
        **conditions: Any,
    ) -> list[R]:
        """Records of `table`; `conditions` are those of `select`."""
        return self._kept(table, from_row, self._transaction.table(table).select(**conditions))

    def _kept(self, table: str, from_row: Callable[[rows.Row], R], found: pa.Table) -> list[R]:
        """The records of rows of `table`, the rows remembered."""
        records = []
        for row in rows_of(found):
            record = from_row(row)
            self._rows[table, rows.key_of(record)] = row
            records.append(record)
        return records

    def _without_details(
        self, table: str, from_row: Callable[[rows.Row], R], **conditions: Any
    ) -> list[R]:
        """As `_records`, without the column that may be large."""
        columns = [name for name in tables.TABLES[table].names if name != "detail"]
        return self._records(table, from_row, columns=columns, **conditions)

    def _events(self, read: Callable[..., list[Event]], after: int, limit: int) -> list[Event]:
        found = read(
            tables.EVENTS,
            rows.event_from,
            since=("sequence", after + 1),
            below=("sequence", after + 1 + limit),
        )
        return sorted(found, key=lambda event: event.sequence)

    def _segments(
        self,
        equal: Mapping[str, object],
        span: TimeRange,
        *,
        isin: tuple[str, list[object]] | None = None,
    ) -> list[Segment]:
        return self._records(tables.SEGMENTS, rows.segment_from, equal=equal, isin=isin, span=span)

    def _objects_shown(self, flow_id: FlowId, segments: pa.Table) -> pa.Table:
        """The objects of neighbouring segments, and the init objects of these, as far as shown."""
        table, columns = self._transaction.table(tables.OBJECTS), strips.OBJECT_COLUMNS
        missing = segments["object_id"].unique()
        parts = []
        if len(missing) >= _FEW_NEIGHBOURS:
            hull = TimeRange(segments["start"][0].as_py(), segments["end"][-1].as_py())
            parts.append(table.select(columns, **_near(flow_id, hull, len(missing))))
            missing = missing.filter(pc.invert(pc.is_in(missing, parts[0]["id"].combine_chunks())))
        if len(missing):
            parts.append(table.select(columns, isin=("id", missing.to_pylist())))
        inits = pa.concat_tables(parts)["init_object_id"].drop_null().unique()
        if len(inits):
            parts.append(table.select(columns, isin=("id", inits.to_pylist())))
        return pa.concat_tables(parts)

    def _first(
        self, flow_id: FlowId, query: SegmentQuery, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of the first `query.limit + 1` segments that `query` asks for, in its order."""
        table = self._transaction.table(tables.SEGMENTS)
        equal: dict[str, object] = {"flow_id": flow_id}
        content = Content()
        if query.object_id is None:
            content = self._content(flow_id)
        else:  # those with one object are few, wherever they are
            equal["object_id"] = query.object_id
        wanted, descending = query.limit + 1, query.reverse_order
        order = "descending" if descending else "ascending"
        search = Search.begin(query.remaining, wanted, content, descending=descending)
        parts = []
        while search.goes_on:
            part = table.select(
                columns, equal=equal, span=search.window, limit=_SPARE_ROWS * wanted
            )
            if part.num_rows >= _SPARE_ROWS * wanted:
                bounds = zip(part["start"].to_pylist(), part["end"].to_pylist(), strict=True)
                search = search.narrower([TimeRange(*each) for each in bounds])
                continue
            part = part.take(pc.sort_indices(part, sort_keys=[("start", order)]))
            parts.append(part)
            edge = part["start" if descending else "end"]
            search = search.after(len(edge), edge[-1].as_py() if len(edge) else None)
        return pa.concat_tables(parts).slice(0, wanted)

    def _content(self, flow_id: FlowId) -> Content:
        """What a flow holds, or is said to; one that is not there holds nothing."""
        found = self.flows([flow_id], going=True)
        return found[flow_id].content if flow_id in found else Content()


def _near(flow_id: FlowId, hull: TimeRange, count: int) -> dict[str, Any]:
    """The condition on objects that were new with segments of a flow that begin within `hull`."""
    return {
        "equal": {"first_flow": flow_id},
        "since": ("first_start", hull.start),
        "below": ("first_start", hull.end),
        "limit": _SPARE_ROWS * count,
    }


def _differences(replaced: Sequence[tuple[rows.Row, rows.Row]]) -> list[rows.Row]:
    """The columns in which any row differs from the one in its place, of all of them."""
    changed = {
        name
        for old, new in replaced
        for name, value in new.items()
        if name not in old or old[name] != value
    }
    # A row that is replaced by its like is written all the same, so that others notice.
    names = changed or replaced[0][1].keys()
    return [
        {ROW_ID: old[ROW_ID], **{name: new.get(name, old.get(name)) for name in names}}
        for old, new in replaced
    ]


def _places(found: pa.Table, column: str) -> Iterable[Position]:
    """Where rows stand in a list sorted by `column`; a document is sorted by the label in it."""
    ids, values = found["id"].to_pylist(), found[column]
    if pa.types.is_timestamp(values.type):  # what `position` says, of all at once
        seconds = values.cast(pa.int64()).to_numpy() / 1e6
        return zip(repeat(0), (-(seconds * 1e6).astype(np.int64)).tolist(), ids, strict=False)
    texts = values.to_pylist()
    if column == "document":
        texts = [orjson.loads(text).get("label") for text in texts]
    return map(position, texts, ids)


def _from_where_it_stopped(listing: Listing) -> dict[str, Any]:
    """The condition on `created` of a list that goes on; a little wide, for lack of precision."""
    last = resumed_at(listing)
    if last is None:
        return {}
    moment = _EPOCH - timedelta(microseconds=int(last[1]))
    if listing.reverse_order:
        return {"since": ("created", rows.naive(moment - _MOMENT))}
    return {"below": ("created", rows.naive(moment + _MOMENT))}
