"""Acting on notifications: the object as it is now decides, not what was told of it."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import BucketEvent, Notification, ProblemQuery
from schemas.domain.query import Listing, SegmentQuery
from tasks import flushing, ingest
from tasks.ports import Ports
from tests.services.running import Running
from tests.workers.conftest import put_flow

BUCKET = "tams-media"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def s3(services: Running) -> Any:
    settings = services.settings.s3
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
    )


@pytest.fixture(autouse=True)
def _nothing_waits(ports: Ports) -> Iterator[None]:
    yield
    assert not ports.notices.waiting()


def drop(s3: Any, flow_id: FlowId, key: str, start_s: int) -> None:
    metadata = {"tams-flow-id": flow_id, "tams-timerange": f"[{start_s}:0_{start_s + 1}:0)"}
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x", Metadata=metadata)


def told(key: str, **fields: Any) -> Notification:
    return Notification(**{"bucket": BUCKET, "key": key, "origin": "vast:s3", **fields})


def act(ports: Ports, *notifications: Notification) -> None:
    ports.notices.append(notifications)
    ingest.drain(ports)
    for shard in ports.inbox.waiting():
        flushing.flush(ports, shard)


def registered(ports: Ports, flow_id: FlowId) -> list[str]:
    with ports.metadata.read() as snapshot:
        return [found.object_id for found in snapshot.segments(flow_id, SegmentQuery(100))]


def reasons(ports: Ports, key: str) -> list[str]:
    found = ingest.problems(ports, ProblemQuery(Listing(1_000))).items
    return [problem.reason for problem in found if problem.key == key]


def test_a_key_of_unknown_encoding_is_looked_for_as_it_is_and_then_decoded(
    ports: Ports, s3: Any
) -> None:
    flow_id = put_flow(ports)
    raw, plain, other = f"{flow_id}/a%20b", f"{flow_id}/a b", f"{flow_id}/c+d ä"
    for start_s, key in enumerate((raw, plain, other)):
        drop(s3, flow_id, key, start_s)

    act(
        ports,
        told(raw, decoded_key=plain),
        told(f"{flow_id}%2Fc%2Bd+%C3%A4", decoded_key=other),
        told(f"{flow_id}/gone", decoded_key=f"{flow_id}/gone too"),
    )

    assert registered(ports, flow_id) == [raw, other]


def test_an_object_that_is_gone_is_listed_unless_it_is_registered(ports: Ports, s3: Any) -> None:
    flow_id = put_flow(ports)
    never_read, registered_before = f"{flow_id}/never-read", f"{flow_id}/registered"
    drop(s3, flow_id, registered_before, 0)
    act(ports, told(registered_before, etag="e", sequencer="0A"))
    s3.delete_object(Bucket=BUCKET, Key=registered_before)

    act(ports, told(never_read), told(registered_before, etag="e", sequencer="0B"))

    assert reasons(ports, never_read) == ["it was deleted before it could be read"]
    assert reasons(ports, registered_before) == []


def test_a_removed_object_is_noted_and_what_is_registered_stays(
    ports: Ports, s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flow_id = put_flow(ports)
    key = f"{flow_id}/a"
    drop(s3, flow_id, key, 0)
    act(ports, told(key, etag="e", sequencer="0A"))
    s3.delete_object(Bucket=BUCKET, Key=key)

    with caplog.at_level(logging.INFO):
        act(ports, told(key, sequencer="0B", event=BucketEvent.REMOVED))

    assert f"{key} was removed from {BUCKET}" in caplog.text
    assert registered(ports, flow_id) == [key]
    assert reasons(ports, key) == []


def test_a_bucket_that_is_not_ours_is_a_problem_that_stops_nobody(ports: Ports, s3: Any) -> None:
    flow_id = put_flow(ports)
    key = f"{flow_id}/a"
    drop(s3, flow_id, key, 0)

    act(ports, told(f"{flow_id}/b", bucket="elsewhere", etag="e"), told(key))

    assert reasons(ports, f"{flow_id}/b") == ["bucket 'elsewhere' is not that of a storage backend"]
    assert registered(ports, flow_id) == [key]


def test_an_event_that_was_overtaken_is_not_acted_upon(ports: Ports, s3: Any) -> None:
    flow_id = put_flow(ports)
    key = f"{flow_id}/a"
    act(ports, told(key, sequencer="0B", event=BucketEvent.REMOVED))
    drop(s3, flow_id, key, 0)  # as if the removal had not been done yet

    act(ports, told(key, etag="e", sequencer="0A"))

    assert registered(ports, flow_id) == []
