"""What the store relies on of its database: the local server, or the cluster that is named.

`TAMS_TEST_VAST_ENDPOINT`, `_ACCESS_KEY`, `_SECRET_KEY` and `_BUCKET` name a cluster; a schema of
its own is made there and dropped afterwards.
"""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from infra.bootstrap import RandomIds
from infra.settings import VastSettings, process_environment
from infra.vast.migrate import migrate
from infra.vast.prepared import ROW_ID
from infra.vast.session import Database, Transaction
from infra.vast.store import VastMetadataStore
from schemas.domain.changes import Changes, ShardCursor
from schemas.domain.errors import Invalid
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import (
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
    WebhookId,
)
from schemas.domain.inflow import Inflow
from schemas.domain.ingest import Problem
from schemas.domain.ingest_rule import RuleId
from schemas.domain.job import Fault
from schemas.domain.media_object import Controlled, Drop, MediaObject, Role
from schemas.domain.profile import Profile
from schemas.domain.query import SegmentQuery
from schemas.domain.rejection import Reason
from schemas.domain.scan import Scan
from schemas.domain.segment import Link, Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.sighting import Kind, Sighting
from schemas.domain.source import Source
from schemas.domain.stall import Stall
from schemas.domain.stream import Stream
from schemas.domain.timerange import ETERNITY, TimeRange
from schemas.domain.webhook import Keys, Webhook, WebhookStatus
from schemas.rules import from_json
from schemas.tables.definitions import FLOWS, MEMBERS, OBJECTS, TABLES
from schemas.tables.rows import shard_key
from tests.making import new_id
from tests.services.running import running_services

NOW = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
SHARDS = 3


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VastSettings]:
    environ = process_environment()
    schema = f"contract-{secrets.token_hex(4)}"
    if endpoint := environ.get("TAMS_TEST_VAST_ENDPOINT"):
        keys = [environ[f"TAMS_TEST_VAST_{name}"] for name in ("ACCESS_KEY", "SECRET_KEY")]
        yield VastSettings(endpoint, *keys, environ["TAMS_TEST_VAST_BUCKET"], schema)
        return
    with running_services(tmp_path_factory.mktemp("vast"), only=["vast"]) as running:
        yield replace(running.settings.vast, schema=schema)


@pytest.fixture(scope="session")
def database(settings: VastSettings) -> Iterator[Database]:
    database = Database(settings)
    migrate(database, settings, SHARDS)
    yield database
    with database.transaction() as transaction:
        schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
        for table in schema.tables():
            table.drop()
        schema.drop()


@pytest.fixture
def store(database: Database) -> VastMetadataStore:
    return VastMetadataStore(database, RandomIds(), tell=lambda *_: None)


def write(store: VastMetadataStore, *records: Any) -> None:
    store.transact(lambda _: (Changes(add=records), None))


def flow(**more: Any) -> Flow:
    document = {"source_id": new_id(), "format": "urn:x-nmos:format:video", "tags": {"ä": ["b"]}}
    return Flow(FlowId(new_id()), {**document, **more}, NOW, "me", NOW, "you", "v1")


def segments(flow_id: FlowId, *bounds: tuple[int, int]) -> list[Segment]:
    return [
        Segment(flow_id, ObjectId(f"{flow_id}/{start}"), TimeRange(start, end))
        for start, end in bounds
    ]


def test_a_webhook_comes_back_as_it_was(store: VastMetadataStore) -> None:
    document = {"url": "https://ä.example", "events": [], "flow_ids": []}
    hook = Webhook(WebhookId(new_id()), document, "me", NOW, 1 << 40)
    broken = replace(
        hook,
        id=WebhookId(new_id()),
        status=WebhookStatus.ERROR,
        sealed=Keys("", "sealed"),
        replays=3,
        failures=2,
        failing_since=NOW,
        next_try=NOW,
        fault=Fault("DeliveryFailed", "because", NOW),
    )

    write(store, hook, broken)

    with store.read() as found:
        assert found.webhooks([hook.id, broken.id]) == {hook.id: hook, broken.id: broken}
        assert hook in found.all_webhooks()


def test_every_record_comes_back_as_it_was(store: VastMetadataStore) -> None:
    kept = flow(flow_collection=[{"id": new_id(), "role": "r"}])
    grown = replace(flow(), content=Content(TimeRange(-5, 7), 3), segments_updated=NOW)
    source = Source(SourceId(new_id()), "f", NOW, "me", NOW, "you", "label", None, {"a": "b"})
    place = Controlled(StorageId(new_id()), f"objects/{new_id()}")
    item = MediaObject(
        ObjectId(new_id()),
        Role.MEDIA,
        NOW,
        (place, Link("l", "http://x")),
        "video/mp2t",
        kept.id,
        kept.id,
        TimeRange(0, 9),
        ObjectId("init"),
        4,
        drop=Drop("dropped/key", "etag", 1 << 40, -5),
        first_start=-(2**62),
    )
    bare = MediaObject(ObjectId(new_id()), Role.ALLOCATED, NOW, ())
    segment = Segment(kept.id, item.id, TimeRange(-(2**62), 2**62 + 1), -7, 1, 2, 3)
    problem = Problem("bucket", new_id(), "etag", "because", NOW, Reason.REWRITTEN)
    rule = from_json(RuleId(new_id()), NOW, {"bucket": "b", "flow": {"name": "ä"}, "label": "ö"})
    stream = Stream(kept.id, grown.id, kept.id)
    sighting = Sighting("b", new_id(), "", Kind.PLAYLIST, "d", rule.id, NOW, NOW, None)

    profile = Profile(ProfileId(new_id()), {"flow_metadata": {"format": "f"}}, NOW, "me")
    service = ServiceInfo("name")
    filled = replace(
        flow(status="ingesting"),
        inflow=Inflow(NOW, NOW, (1, 2), (3,), NOW, refused_overlaps=4, refused=NOW),
    )
    begun = Scan(JobId(new_id()), "bucket", "live/", None, False, NOW, NOW)
    fault = Fault("Invalid", "because", NOW)
    failed = replace(begun, id=JobId(new_id()), since=NOW, after="k", listed=9, fault=fault)
    stall = Stall(filled.id, NOW, NOW)
    over = Stall(kept.id, NOW, NOW, ended=NOW)

    media = (source, item, bare, segment)

    write(store, begun, failed, stall, over)
    write(store, kept, grown, filled, *media, profile, service, problem, rule, stream, sighting)

    with store.read() as found:
        assert found.flows([kept.id, grown.id]) == {kept.id: kept, grown.id: grown}
        assert found.flows([filled.id]) == {filled.id: filled}
        assert filled in found.all_flows({"status": "ingesting"})
        assert kept not in found.all_flows({"status": "ingesting"})
        assert {begun.id: begun, failed.id: failed}.items() <= {
            scan.id: scan for scan in found.scans()
        }.items()
        assert stall in found.open_stalls()
        assert over not in found.open_stalls()
        assert found.stalls(flow_id=kept.id) == [over]
        assert found.problem_etags("bucket", [problem.key, "k"]) == {problem.key: {"etag"}}
        assert found.problem_etags("other", [problem.key]) == {}
        assert kept in found.all_flows({"collects": True})
        assert grown not in found.all_flows({"collects": True})
        assert found.sources([source.id]) == {source.id: source}
        assert found.profiles([profile.id]) == {profile.id: profile}
        assert profile in found.all_profiles()
        assert found.service() == service
        assert found.objects([item.id, bare.id]) == {item.id: item, bare.id: bare}
        assert found.objects_at([place.key]) == {place.key: item}
        assert found.segments(kept.id, SegmentQuery(5)) == [segment]
        assert problem in found.problems()
        assert rule in found.rules()
        assert found.streams([kept.id, grown.id]) == {kept.id: stream}
        assert found.sightings(key=sighting.key) == [sighting]
        assert found.flows_using(item.id) == [kept.id]
        assert found.flows_using(ObjectId("init")) == [kept.id]


def test_what_is_not_there_is_left_out(store: VastMetadataStore) -> None:
    with store.read() as found:
        assert found.flows([FlowId(new_id())]) == {}
        assert found.objects([]) == {}
        assert found.segments(FlowId(new_id()), SegmentQuery(5)) == []


def test_what_was_read_can_be_replaced(store: VastMetadataStore) -> None:
    before = flow()
    write(store, before)
    after = replace(before, document={**before.document, "label": "new"})

    def decide(snapshot: Any) -> tuple[Changes, None]:
        assert snapshot.flows([before.id]) == {before.id: before}
        return Changes(replace=(after,)), None

    store.transact(decide)

    with store.read() as found:
        assert found.flows([before.id]) == {before.id: after}


def test_of_two_that_replace_one_record_the_later_decides_anew(store: VastMetadataStore) -> None:
    kept = replace(flow(), content=Content(TimeRange(0, 2), 0))
    write(store, kept)
    interrupted: list[bool] = []

    def one_more(then: Any = None) -> Any:
        def decide(snapshot: Any) -> tuple[Changes, None]:
            known = snapshot.flows([kept.id])[kept.id]
            if then is not None and not interrupted:
                interrupted.append(True)
                then()
            count = Content(known.content.timerange, known.content.segments + 1)
            return Changes(replace=(replace(known, content=count),)), None

        return decide

    store.transact(one_more(lambda: store.transact(one_more())))

    with store.read() as found:
        assert found.flows([kept.id])[kept.id].content.segments == 2


def test_only_what_was_read_is_removed_and_nothing_else(store: VastMetadataStore) -> None:
    removed, replaced, stays = flow(), flow(), flow()
    write(store, removed, replaced, stays)

    def decide(snapshot: Any) -> tuple[Changes, None]:
        snapshot.flows([removed.id, replaced.id, stays.id])
        other = replace(replaced, updated_by="another")
        return Changes(replace=(other,), remove=(removed,)), None

    store.transact(decide)
    with pytest.raises(KeyError):
        store.transact(lambda _: (Changes(remove=(stays,)), None))

    with store.read() as found:
        left = found.flows([removed.id, replaced.id, stays.id])
    assert left == {stays.id: stays, replaced.id: replace(replaced, updated_by="another")}


def test_what_is_refused_leaves_nothing(store: VastMetadataStore) -> None:
    kept = flow()

    def decide(_: Any) -> tuple[Changes, None]:
        write(store, kept)
        raise Invalid("no")

    with suppress(Invalid):
        store.transact(decide)
    with pytest.raises(KeyError):  # only what this transaction read can be replaced
        store.transact(lambda _: (Changes(add=(flow(),), replace=(kept,)), None))

    with store.read() as found:
        assert found.flows([kept.id]) == {kept.id: kept}


def test_a_snapshot_does_not_see_what_is_written_meanwhile(store: VastMetadataStore) -> None:
    late = flow()

    with store.read() as found:
        assert found.flows([late.id]) == {}
        write(store, late)
        assert found.flows([late.id]) == {}


def test_a_shard_remembers_where_it_stands(store: VastMetadataStore) -> None:
    def decide(snapshot: Any) -> tuple[Changes, ShardCursor]:
        before = snapshot.shards([1])[1]
        return Changes(replace=(ShardCursor(1, "5-3", before.epoch + 1),)), before

    before = store.transact(decide)

    with store.read() as found:
        assert found.shards([1])[1] == ShardCursor(1, "5-3", before.epoch + 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_hold_the_segments_of_a_timerange_in_order(
    store: VastMetadataStore, limit: int, reverse: bool
) -> None:
    flow_id = FlowId(new_id())
    stored = segments(flow_id, *((n * 10, n * 10 + 8 + n % 3) for n in range(-20, 20)))
    write(store, *sorted(stored, key=lambda s: s.object_id), *segments(FlowId(new_id()), (0, 9)))

    for asked in (ETERNITY, TimeRange(-55, 73), TimeRange(8, 10), TimeRange(9, 10)):
        query, found = SegmentQuery(limit, asked, reverse_order=reverse), []
        while True:
            with store.read() as snapshot:
                page = snapshot.segments(flow_id, query)
            found += page[:limit]
            if len(page) <= limit:
                break
            last = found[-1].timerange
            query = replace(query, after=last.start if reverse else last.end)

        wanted = [s for s in stored if s.timerange.overlaps(asked)]
        assert found == (wanted[::-1] if reverse else wanted)
        with store.read() as snapshot:
            assert snapshot.hull(flow_id, asked) == TimeRange.hull(s.timerange for s in wanted)


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_are_complete_where_a_flow_is_sparse_and_where_it_is_dense(
    store: VastMetadataStore, reverse: bool
) -> None:
    bounds = [(n * 10_000, n * 10_000 + 10) for n in range(30)]
    bounds += [(10**9 + n * 2, 10**9 + n * 2 + 2) for n in range(200)]
    content = Content(TimeRange(0, bounds[-1][1]), len(bounds))
    uneven = replace(flow(), content=content)
    stored = segments(uneven.id, *bounds)
    write(store, uneven, *stored)
    query, found = SegmentQuery(20, reverse_order=reverse), []

    with store.read() as snapshot:
        while page := snapshot.segments(uneven.id, query):
            found += page[:20]
            last = page[:20][-1].timerange
            query = replace(query, after=last.start if reverse else last.end)

    assert found == (stored[::-1] if reverse else stored)


@pytest.mark.parametrize("count", [3, 40])
def test_objects_of_neighbours_are_found_whoever_referred_to_them_first(
    store: VastMetadataStore, count: int
) -> None:
    flow_id, other = FlowId(new_id()), FlowId(new_id())
    shown = segments(flow_id, *((n * 10, n * 10 + 10) for n in range(count)))
    homes = [(flow_id, n.timerange.start) for n in shown]
    homes[0], homes[1] = (other, homes[0][1]), (flow_id, None)  # reused, of an earlier version
    objects = [
        MediaObject(each.object_id, Role.MEDIA, NOW, (), first_flow=home, first_start=start)
        for each, (home, start) in zip(shown, homes, strict=True)
    ]
    write(store, *shown, *objects)

    with store.read() as found:
        assert found.objects_of(flow_id, shown) == {item.id: item for item in objects}
        assert found.objects_of(flow_id, shown[2:]) == {item.id: item for item in objects[2:]}
        assert found.objects_of(flow_id, []) == {}

    def decide(snapshot: Any) -> tuple[Changes, None]:
        known = snapshot.objects_of(flow_id, shown).values()
        return Changes(replace=tuple(item.referred() for item in known)), None

    store.transact(decide)

    with store.read() as found:
        assert {item.references for item in found.objects_of(flow_id, shown).values()} == {1}


@pytest.mark.parametrize("flows", [2, 9])
def test_neighbours_are_found_for_few_flows_and_for_many(
    store: VastMetadataStore, flows: int
) -> None:
    ids = [FlowId(new_id()) for _ in range(flows)]
    for n, flow_id in enumerate(ids):
        write(store, *segments(flow_id, (n * 100, n * 100 + 10), (n * 100 + 10, n * 100 + 20)))
    spans = {flow_id: TimeRange(n * 100 + 5, n * 100 + 9) for n, flow_id in enumerate(ids)}

    with store.read() as found:
        around = found.segments_around(spans)

    assert {key: list(value) for key, value in around.items()} == {
        flow_id: segments(flow_id, (n * 100, n * 100 + 10)) for n, flow_id in enumerate(ids)
    }


def test_many_objects_are_found_by_the_flow_they_were_allocated_for(
    store: VastMetadataStore,
) -> None:
    flow_id = FlowId(new_id())
    waiting = [
        MediaObject(ObjectId(new_id()), Role.ALLOCATED, NOW, (), allocated_for=flow_id)
        for _ in range(120)
    ]
    reused = MediaObject(ObjectId(new_id()), Role.MEDIA, NOW, (), timerange=TimeRange(0, 1))
    write(store, *waiting, reused)
    asked = [*(item.id for item in waiting[:100]), reused.id]

    with store.read() as found:
        objects = found.objects(asked, likely_for=[flow_id])

    assert objects == {item.id: item for item in [*waiting[:100], reused]}


def test_flows_of_earlier_versions_are_told_their_status(
    store: VastMetadataStore, database: Database, settings: VastSettings
) -> None:
    ingesting, plain = flow(status="ingesting"), flow()
    write(store, ingesting, plain)
    new_columns = ("status", "ingesting_since", "arrived", "pace", "refused_overlaps")
    with database.transaction() as transaction:
        table = transaction.table(FLOWS)
        rows = table.select(["id"], isin=("id", [ingesting.id, plain.id])).to_pylist()
        table.update([{ROW_ID: row[ROW_ID], **dict.fromkeys(new_columns)} for row in rows])

    migrate(database, settings, SHARDS)

    with store.read() as found:
        assert found.flows([ingesting.id, plain.id]) == {ingesting.id: ingesting, plain.id: plain}
        assert ingesting in found.all_flows({"status": "ingesting"})
        assert plain not in found.all_flows({"status": "ingesting"})


def test_who_collects_a_flow_is_known_and_found_out_of_flows_of_earlier_versions(
    store: VastMetadataStore, database: Database, settings: VastSettings
) -> None:
    member, other = flow(), flow()
    collector = flow(flow_collection=[{"id": member.id}, {"id": member.id}])
    write(store, member, other, collector)

    def collecting(*ids: FlowId) -> list[Flow]:
        with store.read() as found:
            return found.collecting(ids)

    assert collecting(member.id, other.id) == [collector]
    with database.transaction() as transaction:
        members = transaction.table(MEMBERS)
        members.delete(members.select(["flow_id"])[ROW_ID].to_pylist())
    assert collecting(member.id) == []

    migrate(database, settings, SHARDS)

    assert collecting(member.id) == [collector]
    changed = replace(collector, document={**collector.document, "flow_collection": []})
    moved = replace(changed, document={**changed.document, "flow_collection": [{"id": other.id}]})
    for step, of_member, of_other in ((moved, [], [moved]), (changed, [], [])):

        def decide(found: Any, step: Flow = step) -> tuple[Changes, None]:
            found.flows([collector.id])
            return Changes(replace=(step,)), None

        store.transact(decide)
        assert (collecting(member.id), collecting(other.id)) == (of_member, of_other)


def test_migrating_adds_projections_to_a_table_that_has_rows_and_columns_to_projections(
    database: Database, settings: VastSettings
) -> None:
    def projections(transaction: Transaction) -> dict[str, Any]:
        table = transaction.sdk.bucket(settings.bucket).schema(settings.schema).table(OBJECTS)
        return {found.name: found for found in table.projections()}

    with database.transaction() as transaction:
        transaction.table(OBJECTS).insert([{"id": "projected", "key": "somewhere"}])
        projections(transaction)["by_id"].drop()
        projections(transaction)["by_key"].drop()
    with database.transaction() as transaction:
        table = transaction.sdk.bucket(settings.bucket).schema(settings.schema).table(OBJECTS)
        table.create_projection("by_key", ["key"], [])

    made = migrate(database, settings, SHARDS)

    assert made == ["objects/by_id", "objects/by_key"]
    with database.transaction() as transaction:
        found = projections(transaction)
        assert set(found["by_key"].columns().names) == set(TABLES[OBJECTS].names)
        read = transaction.table(OBJECTS).select(["key"], equal={"id": "projected"})
        assert read["key"].to_pylist() == ["somewhere"]
        transaction.table(OBJECTS).delete(read[ROW_ID].to_pylist())


def test_migrating_takes_over_cursors_that_had_a_table_of_their_own(
    store: VastMetadataStore, database: Database, settings: VastSettings
) -> None:
    columns = pa.schema([("shard", pa.int64()), ("position", pa.string()), ("epoch", pa.int64())])
    cursors = {n: ShardCursor(n, f"{n}-7", n + 1) for n in range(SHARDS)}
    with database.transaction() as transaction:
        flows = transaction.table(FLOWS)
        there = flows.select(["id"], isin=("id", [shard_key(n) for n in range(SHARDS)]))
        flows.delete(there[ROW_ID].to_pylist())
        schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
        former = pa.table([[0, 1, 2], ["0-7", "1-7", "2-7"], [1, 2, 3]], schema=columns)
        schema.create_table("shards", columns).insert(former)
        schema.create_table("claims", pa.schema([("slot", pa.int64())]))

    migrate(database, settings, SHARDS)

    with store.read() as found:
        assert found.shards(range(SHARDS)) == cursors
    with database.transaction() as transaction:
        schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
        assert not {"shards", "claims"} & set(schema.tablenames())


def test_flows_are_listed_without_what_else_their_table_holds(store: VastMetadataStore) -> None:
    with store.read() as found:
        assert all(isinstance(each, Flow) for each in found.all_flows({}))
        found.expect([0, 1], [FlowId(new_id())])
        assert set(found.shards([0, 1, 2])) == {0, 1, 2}
        assert found.flows([FlowId("shard 0"), FlowId("slot 0")]) == {}


def test_migrating_again_changes_nothing_and_another_number_of_shards_is_refused(
    database: Database, settings: VastSettings
) -> None:
    assert migrate(database, settings, SHARDS) == []
    with pytest.raises(Invalid, match=f"TAMS_SHARDS={SHARDS}"):
        migrate(database, settings, SHARDS + 1)
