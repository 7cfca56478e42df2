"""A scan finds what no notification told of, and goes on after whatever happens."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from schemas.domain.errors import Invalid, ScanNotFound, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import Notification
from schemas.domain.job import JobState
from schemas.domain.query import Listing
from schemas.domain.scan import Scan
from tasks import deletion, flushing, ingest, objects, scans, storage
from tasks.ports import Ports, Work
from tests.making import new_id
from tests.services.running import Running
from tests.workers.conftest import put_flow, with_ports
from tests.workers.test_flush import Crash, Through, shard_of, stored
from tests.workers.test_stalls import MovedClock

BUCKET = "tams-media"


@pytest.fixture
def s3(services: Running) -> Any:
    facts = services.facts["s3"]
    return boto3.client(
        "s3",
        endpoint_url=facts["endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
    )


@pytest.fixture
def ports(ports: Ports) -> Ports:
    """Ports with which a scan lists three keys at a time; no notification waits, no scan is due."""
    while ports.notices.waiting():
        with ports.notices.take(1_000):
            pass
    return with_ports(ports, limits=replace(ports.limits, scan_keys=3, scan_interval_s=0))


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that is a test's own."""
    return f"scan/{new_id()}/"


def drop(s3: Any, key: str, flow_id: str | None = None, start_s: int = 0) -> None:
    metadata = {}
    if flow_id is not None:
        timerange = f"[{start_s}:0_{start_s + 1}:0)"
        metadata = {"tams-flow-id": flow_id, "tams-timerange": timerange}
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode(), Metadata=metadata)


def scanned(ports: Ports, prefix: str, **asked: Any) -> Scan:
    return finished(ports, scans.begin(ports, BUCKET, prefix, asked.get("since")))


def finished(ports: Ports, scan: Scan) -> Scan:
    for _ in range(100):
        found = scans.get(ports, scan.id)
        if found.ended:
            return found
        scans.advance(ports)
    raise AssertionError(f"{scan} does not end")


def tally(scan: Scan) -> tuple[JobState, int, int, int, int]:
    return scan.state, scan.listed, scan.found, scan.known, scan.problems


def taken_over(ports: Ports) -> list[str]:
    with ports.notices.take(1_000) as taken:
        return [each.notification.key for each in taken]


def act(ports: Ports, flow_id: FlowId) -> None:
    ingest.drain(ports)
    flushing.flush(ports, shard_of(flow_id))


def test_what_nobody_told_of_becomes_a_segment_and_is_known_then(
    ports: Ports, s3: Any, prefix: str
) -> None:
    flow_id = put_flow(ports)
    for second in range(4):
        drop(s3, f"{prefix}{second}.ts", flow_id, second)
    drop(s3, f"{prefix}unclear.bin")

    first = scanned(ports, prefix)
    act(ports, flow_id)
    second = scanned(ports, prefix)

    assert tally(first) == (JobState.DONE, 5, 5, 0, 0)
    assert len(stored(ports, flow_id)) == 4
    assert tally(second) == (JobState.DONE, 5, 0, 4, 1)
    assert not ports.notices.waiting()
    job = ports.jobs.get(second.id)
    assert job is not None
    assert (job.kind, job.state, job.done) == ("ingest.scan", JobState.DONE, 5)


def test_a_file_that_was_a_problem_and_changed_is_new(ports: Ports, s3: Any, prefix: str) -> None:
    flow_id = put_flow(ports)
    drop(s3, f"{prefix}a")
    scanned(ports, prefix)
    act(ports, flow_id)

    s3.put_object(Bucket=BUCKET, Key=f"{prefix}a", Body=b"something else")

    assert tally(scanned(ports, prefix)) == (JobState.DONE, 1, 1, 0, 0)


def test_what_waits_already_is_not_taken_over_again(ports: Ports, s3: Any, prefix: str) -> None:
    for name in "abcd":
        drop(s3, f"{prefix}{name}")
    ports.notices.append([Notification(BUCKET, f"{prefix}b", "test")])
    ports.notices.append([Notification("elsewhere", f"{prefix}c", "test")])

    scan = scanned(ports, prefix)

    assert tally(scan) == (JobState.DONE, 4, 3, 1, 0)
    assert sorted(taken_over(ports)) == sorted(f"{prefix}{name}" for name in "abccd")


def test_keys_are_listed_once_each_whatever_is_in_them(ports: Ports, s3: Any, prefix: str) -> None:
    names = ["a", "a.b", "a/b", "a/b.c/d", "a b+c%41", "ä", "z/", "z/1", "a-b", "A", "~", "a/b/c"]
    keys = {prefix + name for name in names if name not in {"a", "a/b"}}  # those are folders
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"" if key.endswith("/") else b"x")

    scan = scanned(ports, prefix)

    assert sorted(taken_over(ports)) == sorted(keys - {f"{prefix}z/"})
    assert scan.found == len(keys) - 1


def test_places_the_store_gave_out_are_left_to_their_clients(
    ports: Ports, s3: Any, prefix: str
) -> None:
    flow_id = put_flow(ports)
    (place,) = storage.allocate(
        ports, flow_id, limit=1, object_ids=None, storage_id=None, content_type=None
    )
    key = place.put_url.partition("?")[0].partition(f"/{BUCKET}/")[2]
    drop(s3, key)

    scan = scanned(ports, key)

    assert tally(scan) == (JobState.DONE, 1, 0, 1, 0)


def test_what_is_about_to_be_deleted_is_left_alone(ports: Ports, s3: Any, prefix: str) -> None:
    flow_id = put_flow(ports)
    drop(s3, f"{prefix}a", flow_id)
    scanned(ports, prefix)
    act(ports, flow_id)
    deletion.request_flow(ports, flow_id, by="test")
    flushing.flush(ports, shard_of(flow_id))

    before = scanned(ports, prefix)
    objects.collect(ports)
    after = scanned(ports, prefix)

    assert tally(before) == (JobState.DONE, 1, 0, 1, 0)
    assert tally(after) == (JobState.DONE, 0, 0, 0, 0)


def test_only_what_was_modified_since_then_is_new(ports: Ports, s3: Any, prefix: str) -> None:
    drop(s3, f"{prefix}a")
    modified = s3.head_object(Bucket=BUCKET, Key=f"{prefix}a")["LastModified"]

    later = scanned(ports, prefix, since=modified + timedelta(seconds=1))
    in_time = scanned(ports, prefix, since=modified)

    assert tally(later) == (JobState.DONE, 1, 0, 0, 0)
    assert tally(in_time) == (JobState.DONE, 1, 1, 0, 0)


@pytest.mark.parametrize("step", ["keys", "append", "commit"])
def test_a_scan_goes_on_where_it_was_after_a_crash(
    ports: Ports, s3: Any, prefix: str, step: str
) -> None:
    keys = [f"{prefix}{n}" for n in range(8)]
    for key in keys:
        drop(s3, key)
    scan = scans.begin(ports, BUCKET, prefix, None)

    with pytest.raises(Crash):
        scans.advance(dying(ports, step))
    halfway = scans.get(ports, scan.id)
    assert (halfway.state, halfway.listed) == (JobState.STARTED, 3)
    ports.queue.called.clear()  # type: ignore[attr-defined]
    scans.tidy(ports)
    assert Work.SCAN in ports.queue.called  # type: ignore[attr-defined]
    done = finished(ports, scan)

    assert (done.state, done.listed) == (JobState.DONE, 8)
    assert sorted(taken_over(ports)) == keys


def dying(ports: Ports, step: str) -> Ports:
    """Ports whose process dies on the second page: before a step, or after it if it is `append`."""
    times: list[str] = []

    def dies(call: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            times.append(step)
            if len(times) == 2 and not after:
                raise Crash
            result = call(*arguments)
            if len(times) == 2:
                raise Crash
            return result

        return called

    if step == "keys":
        media = Through(ports.media)
        media.keys = dies(ports.media.keys)
        return with_ports(ports, media=media)
    if step == "append":
        notices = Through(ports.notices)
        notices.append = dies(ports.notices.append, after=True)
        return with_ports(ports, notices=notices)
    metadata = Through(ports.metadata)
    metadata.transact = dies(ports.metadata.transact)
    return with_ports(ports, metadata=metadata)


def test_of_two_that_advance_a_scan_one_moves_it_on(ports: Ports, s3: Any, prefix: str) -> None:
    for n in range(5):
        drop(s3, f"{prefix}{n}")
    scan = scans.begin(ports, BUCKET, prefix, None)

    class Overtaken(Through):
        """Another worker finishes the scan while this one lists."""

        done = False

        def keys(self, *arguments: Any) -> Any:
            found = self.inner.keys(*arguments)
            if not self.done:
                self.done = True
                finished(ports, scan)
            return found

    scans.advance(with_ports(ports, media=Overtaken(ports.media)))

    assert tally(scans.get(ports, scan.id)) == (JobState.DONE, 5, 5, 0, 0)
    assert len(taken_over(ports)) == 5


def test_scans_wait_while_very_much_waits(
    ports: Ports, s3: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "_MOST_WAITING", 2)
    drop(s3, f"{prefix}a")
    scan = scans.begin(ports, BUCKET, prefix, None)
    ports.notices.append([Notification(BUCKET, f"other/{n}", "test") for n in range(3)])

    scans.advance(ports)
    assert tally(scans.get(ports, scan.id)) == (JobState.CREATED, 0, 0, 0, 0)
    taken_over(ports)

    assert tally(finished(ports, scan)) == (JobState.DONE, 1, 1, 0, 0)


def test_a_scan_that_cannot_go_on_does_not_hold_up_the_others(
    ports: Ports, s3: Any, prefix: str
) -> None:
    drop(s3, f"{prefix}one/a")
    drop(s3, f"{prefix}other/a")
    held = scans.begin(ports, BUCKET, f"{prefix}one/", None)
    free = scans.begin(ports, BUCKET, f"{prefix}other/", None)

    class Down(Through):
        """An object store that does not answer for one of two places."""

        def keys(self, bucket: str, prefix: str, *arguments: Any) -> Any:
            if prefix == held.prefix:
                raise Unavailable("object store: no answer")
            return self.inner.keys(bucket, prefix, *arguments)

    finished(with_ports(ports, media=Down(ports.media)), free)

    assert tally(scans.get(ports, held.id)) == (JobState.CREATED, 0, 0, 0, 0)
    assert tally(finished(ports, held)) == (JobState.DONE, 1, 1, 0, 0)


def test_a_scan_that_fails_says_why_and_stops(ports: Ports, s3: Any, prefix: str) -> None:
    drop(s3, f"{prefix}a")
    scan = scans.begin(ports, BUCKET, prefix, None)

    class Broken(Through):
        def keys(self, *_: Any) -> Any:
            raise Invalid("bucket 'tams-media' is not that of a storage backend")

    scans.advance(with_ports(ports, media=Broken(ports.media)))

    failed = scans.get(ports, scan.id)
    assert failed.state is JobState.ERROR
    assert failed.fault is not None
    assert "not that of a storage backend" in failed.fault.summary
    job = ports.jobs.get(scan.id)
    assert job is not None
    assert job.state is JobState.ERROR


def test_a_scan_that_is_cancelled_takes_nothing_more_over(
    ports: Ports, s3: Any, prefix: str
) -> None:
    drop(s3, f"{prefix}a")
    scan = scans.begin(ports, BUCKET, prefix, None)
    ports.jobs.cancel(scan.id, ports.clock.now())

    stopped = finished(ports, scan)

    assert (stopped.state, stopped.found) == (JobState.ERROR, 0)
    job = ports.jobs.get(scan.id)
    assert job is not None
    assert job.state is JobState.CANCELLED


def test_a_dry_run_takes_nothing_over(ports: Ports, s3: Any, prefix: str) -> None:
    for n in range(5):
        drop(s3, f"{prefix}{n}")

    pages = list(scans.pages(ports, scans.new(ports, BUCKET, prefix, None)))

    assert [[item.key[-1] for item in page.new] for page in pages] == [list("012"), list("34")]
    assert not ports.notices.waiting()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def test_buckets_are_scanned_from_time_to_time(ports: Ports, clock: MovedClock) -> None:
    clock.time = ports.clock.now() + timedelta(days=1)
    hourly = with_ports(ports, clock=clock, limits=replace(ports.limits, scan_interval_s=3_600))

    def periodic() -> list[Scan]:
        return [scan for scan in scans.listing(ports, Listing(100)).items if scan.periodic]

    scans.tidy(hourly)
    first = periodic()[0]
    scans.tidy(hourly)
    assert periodic()[0] == first  # it has not even begun
    finished(hourly, first)
    clock.pass_by(3_599)
    scans.tidy(hourly)
    assert periodic()[0].id == first.id
    clock.pass_by(1)
    scans.tidy(hourly)

    second = periodic()[0]
    assert second.id != first.id
    assert second.since == first.created - timedelta(minutes=5)
    assert (second.bucket, second.prefix) == (BUCKET, "")
    finished(hourly, second)


def test_without_an_interval_buckets_are_scanned_when_a_listener_starts(ports: Ports) -> None:
    before = {scan.id for scan in scans.listing(ports, Listing(100)).items}

    scans.tidy(ports)
    assert {scan.id for scan in scans.listing(ports, Listing(100)).items} == before
    scans.catch_up(ports)
    scans.catch_up(ports)  # the first will find as much

    (new,) = [s for s in scans.listing(ports, Listing(100)).items if s.id not in before]
    assert new.periodic
    finished(ports, new)


def test_scans_that_ended_long_ago_are_forgotten_but_not_the_last_periodic_one(
    ports: Ports, clock: MovedClock, prefix: str
) -> None:
    never = with_ports(ports, clock=clock)
    clock.time = ports.clock.now() + timedelta(days=10)
    asked = scanned(never, prefix)
    clock.pass_by(1)
    scans.catch_up(never)
    newest = scans.listing(ports, Listing(1)).items[0]
    finished(never, newest)

    clock.pass_by(2 * 86_400)
    scans.tidy(never)

    with pytest.raises(ScanNotFound):
        scans.get(ports, asked.id)
    assert scans.get(ports, newest.id).state is JobState.DONE


def test_a_bucket_of_nobody_is_not_scanned(ports: Ports) -> None:
    with pytest.raises(Invalid, match="not that of a storage backend"):
        scans.begin(ports, "elsewhere", "", None)
