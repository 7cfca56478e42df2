"""A list costs as many requests to the database whether it shows one item or many."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from infra.vast.session import Table
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.ingest import ProblemQuery
from schemas.domain.query import ANY_TAGS, FlowQuery, Listing, SegmentQuery, SourceQuery
from schemas.tables.definitions import OBJECTS, SEGMENTS
from tasks import deletion, flows, flushing, ingest, objects, sources
from tasks.listing import RememberedTimelines
from tasks.ports import Ports
from tests.making import new_id, video
from tests.workers.conftest import offer, put_flow, with_ports
from tests.workers.test_flush import shard_of, submit

MANY = 30


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """Counts the requests for rows that something makes."""
    made = []
    read = Table._read

    def counted(table: Table, *arguments: Any) -> Any:
        made.append(table)
        return read(table, *arguments)

    monkeypatch.setattr(Table, "_read", counted)

    def count(act: Callable[[], Any]) -> int:
        made.clear()
        act()
        return len(made)

    return count


def _register(ports: Ports, flow_id: FlowId, count: int, object_id: str | None = None) -> None:
    submit(ports, flow_id, *(offer(flow_id, n, n + 1, object_id) for n in range(count)))
    flushing.flush(ports, shard_of(flow_id))


def _collecting(ports: Ports, members: int) -> None:
    """A flow that collects others, of sources of their own."""
    collected = [{"id": put_flow(ports)} for _ in range(members)]
    flow_id = FlowId(new_id())
    flows.put(ports, flow_id, video(flow_id, flow_collection=collected), by="test")


@pytest.mark.parametrize("most_bytes", [0, 1 << 20])
def test_a_page_of_segments(
    ports: Ports, requests: Callable[[Callable[[], Any]], int], most_bytes: int
) -> None:
    flow_id = put_flow(ports)
    _register(ports, flow_id, MANY)

    def page(limit: int) -> int:
        found = []
        asked = SegmentQuery(limit)
        fresh = RememberedTimelines(ports.metadata, ports.marks, most_bytes, time.monotonic)
        count = requests(lambda: found.append(fresh.page(flow_id, asked)))
        assert len(found[0].items) == limit
        if most_bytes:
            assert requests(lambda: fresh.page(flow_id, asked)) == 0
        return count

    assert page(MANY) <= page(1) <= 5


def test_a_page_of_flows_and_of_sources(
    ports: Ports, requests: Callable[[Callable[[], Any]], int]
) -> None:
    _collecting(ports, 1)
    one = Listing(1)
    few = requests(lambda: flows.listing(ports, FlowQuery(one)))
    few_sources = requests(lambda: sources.listing(ports, SourceQuery(one)))
    for _ in range(3):
        _collecting(ports, 5)

    many = Listing(MANY)

    assert requests(lambda: flows.listing(ports, FlowQuery(many))) == few <= 4
    assert requests(lambda: sources.listing(ports, SourceQuery(many))) == few_sources <= 6


def test_an_object_with_many_flows(
    ports: Ports, requests: Callable[[Callable[[], Any]], int]
) -> None:
    object_id = new_id()
    for _ in range(5):
        _register(ports, put_flow(ports), 1, object_id)

    def page(limit: int) -> int:
        found = []
        listing = Listing(limit)
        count = requests(
            lambda: found.append(objects.get(ports, ObjectId(object_id), listing, ANY_TAGS))
        )
        assert len(found[0][2].items) == limit
        return count

    assert page(5) == page(1) <= 5


def test_deletions_and_problems(ports: Ports, requests: Callable[[Callable[[], Any]], int]) -> None:
    for _ in range(3):
        deletion.request_flow(ports, put_flow(ports), by="test")

    for limit in (1, MANY):
        listing = Listing(limit)
        assert requests(lambda: deletion.listing(ports, listing)) == 1  # noqa: B023 - called here
        query = ProblemQuery(listing)
        assert requests(lambda: ingest.problems(ports, query)) <= 2  # noqa: B023


def test_segments_among_those_that_came_just_before(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_id, lasting = put_flow(ports), replace(ports.limits, linger_s=2.0)
    attending = with_ports(ports, limits=lasting)
    read, tables = Table._read, list[str]()

    def noted(table: Table, *arguments: Any) -> Any:
        tables.append(table._metadata.ref.table)
        return read(table, *arguments)

    monkeypatch.setattr(Table, "_read", noted)
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(flushing.flush, attending, shard_of(flow_id))
        for start in (0, 5, 3, 4, 1):
            job = submit(ports, flow_id, offer(flow_id, start, start + 1))
            assert ports.jobs.wait(job.id, 20)
        flush.result(20)

    assert OBJECTS in tables
    assert SEGMENTS not in tables
