"""Ports over real services with no worker running, so that a test decides what happens when."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from celery import Celery

from infra.bootstrap import build_ports
from infra.buckets import prepare
from infra.vast.migrate import migrate
from infra.vast.session import Database
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.segment import Link, Offer, Segment
from schemas.domain.timerange import TimeRange
from tasks import events, flows, flushing
from tasks.ports import Ports, Work
from tests.making import new_id, video
from tests.services.running import Running, running_services

SHARDS = 4


@dataclass
class Bells:
    """The `TaskQueue` of these tests: it only remembers who rang."""

    rung: list[int] = field(default_factory=list)
    called: list[Any] = field(default_factory=list)

    def ring(self, shard: int) -> None:
        self.rung.append(shard)

    def attend(self, shard: int) -> None:
        self.answered(shard)

    def answered(self, shard: int) -> None:
        self.rung = [other for other in self.rung if other != shard]

    def call(self, work: Work, of: str | None = None) -> None:
        self.called.append(work if of is None else (work, of))

    def begun(self, work: Work, of: str | None = None) -> None:
        begun = work if of is None else (work, of)
        self.called = [other for other in self.called if other != begun]


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # A flush attends the shard it is called for alone, and ends when that is empty.
    given = {
        "TAMS_SHARDS": str(SHARDS),
        "TAMS_FLUSHERS": str(SHARDS),
        "TAMS_FLUSH_LINGER_MS": "0",
        "TAMS_EVENTS_PACE_MS": "0",
    }
    with running_services(tmp_path_factory.mktemp("services"), **given) as running:
        settings = running.settings
        prepare(settings.backends, settings.cors_origins)
        migrate(Database(settings.vast), settings.vast, settings.shards)
        yield running


@pytest.fixture
def ports(services: Running) -> Ports:
    settings = services.settings
    built = build_ports(settings, Celery(broker=settings.redis_url))
    ports = with_ports(built, queue=Bells())
    for shard in ports.inbox.waiting():  # what the test before left there
        flushing.flush(ports, shard)
    return with_ports(ports, queue=Bells())


def empty_log(ports: Ports) -> None:
    """Do away with the events that tests before left, in the outbox and in the log."""
    with ports.metadata.read() as snapshot:
        posted = snapshot.posted()
    while posted:
        events.relay(ports)
        with ports.metadata.read() as snapshot:
            posted = snapshot.posted()
    at_once = replace(ports.limits, events_kept_s=-1_000_000_000)
    events.forget(with_ports(ports, limits=at_once))


def with_ports(ports: Ports, **changed: Any) -> Ports:
    fields = {name: getattr(ports, name) for name in Ports.__dataclass_fields__}
    return Ports(**{**fields, **changed})


def put_flow(ports: Ports) -> FlowId:
    flow = video(new_id())
    flows.put(ports, FlowId(flow["id"]), flow, by="test")
    return FlowId(flow["id"])


def offer(flow_id: FlowId, start_s: int, end_s: int, object_id: str | None = None) -> Offer:
    object_id = object_id or new_id()
    timerange = TimeRange.half_open(start_s * 10**9, end_s * 10**9)
    return Offer(
        Segment(flow_id, ObjectId(object_id), timerange),
        links=(Link("elsewhere", f"http://elsewhere.example/{object_id}"),),
    )
