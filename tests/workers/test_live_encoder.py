"""A day of a live encoder, whose clock wraps, which stops and starts, and whose files come anyhow.

The services are real; only the media are not: each file says in a few bytes what a probe would have
found in it.
"""

from dataclasses import dataclass
from typing import BinaryIO

import httpx
import pytest

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import Measured, Notification, ProblemQuery, Shape, Ticking
from schemas.domain.query import Listing, SegmentQuery
from schemas.domain.segment import Segment
from schemas.domain.timerange import NS_PER_S, TimeRange
from tasks import flows, flushing, ingest, ingest_rules, objects
from tasks.ports import Ports
from tests.making import new_id, video
from tests.workers.conftest import put_flow, with_ports

WRAP = 1 << 33
HOUR = 3_600 * 90_000
LENGTH = 8_991 * 3_003  # ticks: about five minutes at 29.97 frames a second
ORIGIN = 1_764_000_000
RESTART = 144  # the file that the second run of the encoder begins with


@dataclass(frozen=True)
class File:
    """One file of the encoder; its clock, and where it belongs, in ticks of 90 kHz."""

    number: int
    clock: int
    true: int

    @property
    def timerange(self) -> TimeRange:
        origin = ORIGIN * NS_PER_S
        return TimeRange.half_open(origin + ns(self.true), origin + ns(self.true + LENGTH))


class TableProbe:
    """Finds in a file what the file says would be found in it."""

    def measure(self, file: BinaryIO) -> Measured:
        text = file.read()
        if not text.isdigit():
            raise Invalid("not media")
        at = int(text) % WRAP
        return Measured(ns(at), ns(at + LENGTH), 33_366_666, 8_991, 300, Ticking.WRAPPING, "mpegts")

    def shape(self, _: BinaryIO) -> Shape:
        return Shape.WHOLE


class Bucket:
    """Drops files into the bucket, and has the store act on what it is told of them."""

    def __init__(self, ports: Ports) -> None:
        self.ports = with_ports(ports, probe=TableProbe())
        (self.backend,) = ports.media.backends.values()
        self.prefix = f"sim/{new_id()}/"

    def put(self, name: str, content: str) -> None:
        url = self.ports.media.put_url(self.backend.id, self.prefix + name, "video/mp2t")
        response = httpx.put(url, content=content, headers={"Content-Type": "video/mp2t"})
        response.raise_for_status()

    def tell(self, *names: str) -> None:
        told = [Notification(self.backend.bucket, self.prefix + name, "test") for name in names]
        self.ports.notices.append(told)

    def act(self) -> None:
        while self.ports.notices.waiting() or self.ports.inbox.waiting():
            ingest.drain(self.ports)
            for shard in self.ports.inbox.waiting():
                flushing.flush(self.ports, shard)

    def rule(self, **fields: object) -> None:
        document = {
            "bucket": self.backend.bucket,
            "prefix": self.prefix,
            "times": ["media"],
            "origin": f"{ORIGIN}:0",
            **fields,
        }
        ingest_rules.create(self.ports, document)

    def timeline(self, flow_id: FlowId) -> list[Segment]:
        with self.ports.metadata.read() as snapshot:
            return snapshot.segments(flow_id, SegmentQuery(10_000))

    def codes(self) -> dict[str, str]:
        query = ProblemQuery(Listing(1_000), prefix=self.prefix)
        found = ingest.problems(self.ports, query).items
        return {problem.key.removeprefix(self.prefix): problem.code.value for problem in found}


@pytest.fixture
def bucket(ports: Ports) -> Bucket:
    return Bucket(ports)


def ns(ticks: int) -> int:
    return ticks * NS_PER_S // 90_000


def name(file: File) -> str:
    return f"seg-{file.number:06}.ts"


def a_day() -> list[File]:
    """The clock wraps after 6.5 hours; the encoder stops for a while after 3, restarts after 12."""
    files, clock, true = [], 20 * HOUR, 20 * HOUR
    number = 0
    while true < 44 * HOUR:
        if number == 36:
            clock, true = clock + HOUR // 12, true + HOUR // 12
        if number == RESTART:
            clock = 630_000
        files.append(File(number, clock, true))
        number, clock, true = number + 1, clock + LENGTH, true + LENGTH
    return files


def as_they_come(files: list[File]) -> list[File]:
    """Some come a few places late, one of them after the restart of the encoder."""
    late = {
        file.number: file for file in files if file.number % 37 == 5 or file.number == RESTART - 1
    }
    due: dict[int, File] = {number + 3: file for number, file in late.items()}
    order = []
    for file in files:
        if file.number not in late:
            order.append(file)
        if file.number in due:
            order.append(due[file.number])
    return order


def test_a_day_of_a_live_encoder_becomes_exactly_the_true_timeline(bucket: Bucket) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id})
    files = a_day()

    for count, file in enumerate(as_they_come(files)):
        bucket.put(name(file), str(file.clock))
        bucket.tell(*[name(file)] * (2 if file.number % 20 == 0 else 1))
        if count % 20 == 19:
            bucket.act()
    bucket.act()
    bucket.tell(*(name(file) for file in files[::50]))  # told again, long afterwards
    bucket.act()

    found = bucket.timeline(flow_id)
    assert [s.object_id.removeprefix(bucket.prefix) for s in found] == [name(f) for f in files]
    before, after = files[:RESTART], files[RESTART:]
    assert [s.timerange for s in found[:RESTART]] == [f.timerange for f in before]
    # A restart begins where the timeline ended; from there on the new run is exact in itself.
    shift = found[RESTART].timerange.start_ns - ns(after[0].clock)
    assert found[RESTART].timerange.start == found[RESTART - 1].timerange.end
    assert [s.timerange for s in found[RESTART:]] == [
        TimeRange.half_open(shift + ns(f.clock), shift + ns(f.clock + LENGTH)) for f in after
    ]
    assert abs(found[-1].timerange.end_ns - files[-1].timerange.end_ns) <= 1
    offsets = {s.ts_offset_ns for s in found}
    assert len(offsets) <= 4  # the runs, and the wrap of the first
    assert bucket.codes() == {}


def test_files_that_come_within_one_batch_are_placed_as_one_by_one(bucket: Bucket) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id})
    files = [File(n, 20 * HOUR + n * LENGTH, 20 * HOUR + n * LENGTH) for n in range(30)]

    for file in reversed(files):
        bucket.put(name(file), str(file.clock))
    bucket.tell(*(name(file) for file in reversed(files)))
    bucket.act()

    assert [s.timerange for s in bucket.timeline(flow_id)] == [f.timerange for f in files]


def test_a_restart_may_begin_a_new_flow_and_a_late_file_still_goes_into_the_old_one(
    bucket: Bucket,
) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id}, restart="new-flow")
    run = [File(n, HOUR + n * LENGTH, HOUR + n * LENGTH) for n in range(4)]
    again = [File(n, (n - 4) * LENGTH, (n - 4) * LENGTH) for n in range(4, 7)]

    for file in (run[0], run[1], run[3], *again[:2], run[2], again[2]):
        bucket.put(name(file), str(file.clock))
        bucket.tell(name(file))
        bucket.act()

    assert [s.timerange for s in bucket.timeline(flow_id)] == [f.timerange for f in run]
    source = flows.get(bucket.ports, flow_id, TimeRange(0, 0))[0].source_id
    with bucket.ports.metadata.read() as snapshot:
        begun = [f.id for f in snapshot.all_flows({"source_id": source}) if f.id != flow_id]
    assert len(begun) == 1
    assert [s.timerange for s in bucket.timeline(begun[0])] == [f.timerange for f in again]
    assert bucket.codes() == {}


def test_a_restart_is_refused_and_listed_where_the_rule_says_so(bucket: Bucket) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id}, restart="refuse")

    for number, clock in enumerate((HOUR, HOUR + LENGTH, 0)):
        bucket.put(f"seg-{number}.ts", str(clock))
        bucket.tell(f"seg-{number}.ts")
    bucket.act()

    assert len(bucket.timeline(flow_id)) == 2
    assert bucket.codes() == {"seg-2.ts": "restarted"}


def test_a_file_that_moves_survives_a_worker_that_dies_before_it_is_registered(
    bucket: Bucket,
) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id}, store="move")
    bucket.put("latest.ts", str(HOUR))

    for _ in range(2):  # acted upon twice, as after a crash, before anything is registered
        bucket.tell("latest.ts")
        ingest.drain(bucket.ports)
    bucket.act()

    (found,) = bucket.timeline(flow_id)
    assert found.object_id.startswith(f"{bucket.prefix}latest.ts@")
    assert bucket.codes() == {}
    assert bucket.ports.media.head(bucket.backend.bucket, f"{bucket.prefix}latest.ts") is not None
    objects.collect(bucket.ports)
    assert bucket.ports.media.head(bucket.backend.bucket, f"{bucket.prefix}latest.ts") is None


def test_what_was_written_over_before_it_was_let_go_of_is_kept(bucket: Bucket) -> None:
    flow_id = put_flow(bucket.ports)
    bucket.rule(flow={"id": flow_id}, store="move")
    bucket.put("latest.ts", str(HOUR))
    bucket.tell("latest.ts")
    bucket.act()

    bucket.put("latest.ts", str(HOUR + LENGTH))
    objects.collect(bucket.ports)
    bucket.tell("latest.ts")
    bucket.act()

    assert len(bucket.timeline(flow_id)) == 2


def test_a_flow_is_created_when_its_first_file_appears(bucket: Bucket) -> None:
    create = {key: value for key, value in video("x").items() if key not in {"id", "source_id"}}
    bucket.rule(key="{camera}/{name}.ts", flow={"name": "{camera}", "create": create})

    bucket.put("7/a.ts", str(HOUR))
    bucket.tell("7/a.ts")
    bucket.act()

    forecast = ingest_rules.try_out(
        bucket.ports, bucket.backend.bucket, f"{bucket.prefix}7/a.ts", {}
    )
    assert forecast.flow_id is not None
    assert len(bucket.timeline(forecast.flow_id)) == 1
    assert not forecast.creates_flow
