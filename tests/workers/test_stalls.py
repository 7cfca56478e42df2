"""Stalls are noticed, recorded once, and end; a moved clock makes the time pass."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.query import Listing
from schemas.domain.stall import IngestState, Stall
from schemas.domain.timerange import ETERNITY
from tasks import deletion, flows, flushing, stalls
from tasks.ports import Ports
from tests.making import new_id, video
from tests.workers.conftest import offer, with_ports
from tests.workers.test_flush import shard_of, submit


@dataclass
class MovedClock:
    """A clock that shows what a test wants."""

    time: datetime = datetime(2026, 2, 3, 10, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_by(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def ports(ports: Ports, clock: MovedClock) -> Ports:
    return with_ports(ports, clock=clock)


def put(ports: Ports, document: dict[str, Any], **more: Any) -> FlowId:
    flows.put(ports, FlowId(document["id"]), {**document, **more}, by="test")
    return FlowId(document["id"])


def put_ingesting(ports: Ports, **more: Any) -> FlowId:
    return put(ports, video(new_id(), status="ingesting", **more))


def register(ports: Ports, flow_id: FlowId, *starts_s: int) -> None:
    """Segments of two seconds each, which arrive now."""
    submit(ports, flow_id, *(offer(flow_id, start, start + 2) for start in starts_s))
    flushing.flush(ports, shard_of(flow_id))


def state_of(ports: Ports, flow_id: FlowId) -> IngestState | None:
    _, page = stalls.health(ports, Listing(10), flow_id, None)
    return page.items[0].state if page.items else None


def recorded(ports: Ports, flow_id: FlowId) -> list[Stall]:
    return list(stalls.history(ports, Listing(10), flow_id).items)


def flow_of(ports: Ports, flow_id: FlowId) -> Flow:
    return flows.find(ports, flow_id)


def test_a_stall_is_recorded_once_and_ends_with_the_next_segment(
    ports: Ports, clock: MovedClock
) -> None:
    flow_id = put_ingesting(ports)
    assert state_of(ports, flow_id) is IngestState.WAITING
    register(ports, flow_id, 0)
    last = clock.time
    clock.pass_by(6)
    stalls.look(ports)
    assert (state_of(ports, flow_id), recorded(ports, flow_id)) == (IngestState.OK, [])

    noticed = clock.pass_by(1)
    stalls.look(ports)
    clock.pass_by(10)
    stalls.look(ports)

    assert state_of(ports, flow_id) is IngestState.STALLED
    assert recorded(ports, flow_id) == [Stall(flow_id, last, noticed)]

    ended = clock.pass_by(10)
    register(ports, flow_id, 10)

    assert state_of(ports, flow_id) is IngestState.OK
    assert recorded(ports, flow_id) == [Stall(flow_id, last, noticed, ended)]
    clock.pass_by(60)
    stalls.look(ports)
    assert [each.started for each in recorded(ports, flow_id)] == [ended, last]


def test_a_refused_segment_ends_no_stall_and_is_counted(ports: Ports, clock: MovedClock) -> None:
    flow_id = put_ingesting(ports)
    register(ports, flow_id, 0)
    clock.pass_by(60)
    stalls.look(ports)

    refused = clock.pass_by(1)
    register(ports, flow_id, 1)

    assert state_of(ports, flow_id) is IngestState.STALLED
    assert [each.ended for each in recorded(ports, flow_id)] == [None]
    inflow = flow_of(ports, flow_id).inflow
    assert (inflow.refused_overlaps, inflow.refused) == (1, refused)


def test_only_refusals_because_of_taken_time_are_counted(ports: Ports) -> None:
    flow_id = put_ingesting(ports)
    taken = offer(flow_id, 0, 2)
    unknown = replace(offer(flow_id, 4, 6), links=())
    other_offset = replace(taken, segment=replace(taken.segment, last_duration_ns=5))

    submit(ports, flow_id, taken, offer(flow_id, 1, 3), unknown)
    submit(ports, flow_id, taken, other_offset, offer(flow_id, 0, 2))
    flushing.flush(ports, shard_of(flow_id))

    assert flow_of(ports, flow_id).inflow.refused_overlaps == 2


@pytest.mark.parametrize("end", ["closed", "deleted"])
def test_a_stall_ends_when_its_flow_ingests_no_more(
    ports: Ports, clock: MovedClock, end: str
) -> None:
    document = video(new_id(), status="ingesting")
    flow_id = put(ports, document)
    register(ports, flow_id, 0)
    clock.pass_by(60)
    stalls.look(ports)

    if end == "closed":
        put(ports, document, status="closed_complete")
    else:
        deletion.request_flow(ports, flow_id, by="test")
    ended = clock.pass_by(5)
    stalls.look(ports)

    assert state_of(ports, flow_id) is None
    assert [each.ended for each in recorded(ports, flow_id)] == [ended]
    if end == "closed":
        clock.pass_by(60)
        put(ports, document)
        stalls.look(ports)
        assert state_of(ports, flow_id) is IngestState.WAITING
        assert len(recorded(ports, flow_id)) == 1


def test_deleting_segments_is_no_arrival(ports: Ports, clock: MovedClock) -> None:
    flow_id = put_ingesting(ports)
    register(ports, flow_id, 0, 2)
    clock.pass_by(60)

    deletion.request_segments(ports, flow_id, ETERNITY, None, by="test")
    flushing.flush(ports, shard_of(flow_id))

    assert flow_of(ports, flow_id).content.segments == 0
    assert state_of(ports, flow_id) is IngestState.STALLED


def test_who_sends_rarely_is_late_later(ports: Ports, clock: MovedClock) -> None:
    flow_id = put_ingesting(ports)
    for number in range(4):
        register(ports, flow_id, *range(20 * number, 20 * number + 20, 2))
        clock.pass_by(20)

    clock.pass_by(39)
    assert state_of(ports, flow_id) is IngestState.OK
    clock.pass_by(2)
    assert state_of(ports, flow_id) is IngestState.STALLED


def test_the_last_hour_of_the_timeline_is_looked_at(ports: Ports) -> None:
    flow_id = put_ingesting(ports)
    register(ports, flow_id, 0, 100, 3_700, 3_704, 3_800)

    _, page = stalls.health(ports, Listing(10), flow_id, None)

    (found,) = page.items
    assert str(found.last_hour.timerange) == "[202:0_3802:0)"
    assert (found.last_hour.segments, found.last_hour.gap_count) == (3, 3)


def test_stalls_that_ended_long_ago_are_forgotten(ports: Ports, clock: MovedClock) -> None:
    flow_id = put_ingesting(ports)
    register(ports, flow_id, 0)
    clock.pass_by(60)
    stalls.look(ports)
    register(ports, flow_id, 2)

    clock.pass_by(29 * 86_400)
    stalls.forget(ports)
    assert len(recorded(ports, flow_id)) == 1
    clock.pass_by(2 * 86_400)
    stalls.forget(ports)
    assert recorded(ports, flow_id) == []
