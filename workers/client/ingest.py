"""Ingesting a media file: cut, upload, register.

* The file is cut at key frames without re-encoding, while what is cut is being uploaded.
* It can be interrupted and repeated: flows follow from the content of the file, and segments
  that are registered already, at the same timerange, are neither cut nor uploaded again.
* Segments that would overlap others already there are refused before anything is uploaded.
"""

import tempfile
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rich.progress import Progress

from infra.media.cut import cut
from infra.media.errors import UnreadableMedia
from infra.media.plan import Piece, Plan, StreamPlan
from infra.media.plan import plan as plan_cuts
from schemas.domain.timerange import TimeRange
from workers.client.flows import Target, target
from workers.client.identity import digest, flow_of_content
from workers.client.store import Store, StoreError
from workers.client.uploads import Uploaded, Uploads


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a file.

    `flow_id` is the flow of the whole and `stream_flows` those of its streams, with the
    timerange each has; `uploaded` are the segments this run added, `found` counts those that
    were there before; `left_out` says what of the file is in no flow.
    """

    flow_id: str
    stream_flows: Mapping[str, TimeRange]
    uploaded: Sequence[Uploaded]
    found: int
    left_out: Sequence[str]

    @property
    def timerange(self) -> TimeRange:
        """The hull of what the flows play."""
        return TimeRange.hull(self.stream_flows.values())


def ingest(
    store: Store,
    path: Path,
    *,
    flow_id: str | None = None,
    segment_duration: Fraction = Fraction(2),
    origin_ns: int = 0,
    connections: int = 4,
    progress: Progress | None = None,
) -> Ingested:
    """Put the media file at `path` into `store`.

    Args:
        store: where to.
        path: a media file that `infra.media` can read.
        flow_id: the flow to put it into; by default one that follows from its content.
        segment_duration: about how long segments are, in seconds.
        origin_ns: where on the timeline the file's first frame goes.
        connections: how many uploads run at a time.
        progress: where to show progress; by default nowhere.

    Raises:
        UnreadableMedia, CannotCarry: when the file is at fault.
        StoreError: when the store refuses, or the timeline is taken.
    """
    bars = progress or Progress(disable=True)
    fingerprint = _fingerprint(path, bars)
    plan = _plan(path, segment_duration, bars)
    flow = flow_id or flow_of_content(fingerprint)
    found = target(store, plan, flow, path.name, segment_duration)
    missing = _missing(store, plan, found, origin_ns)
    uploaded = _transfer(store, path, plan, found, missing, origin_ns, connections, bars)
    return Ingested(
        flow_id=found.flow_id,
        stream_flows={
            id_: TimeRange.hull(p.timerange(origin_ns) for p in stream.pieces)
            for id_, stream in zip(found.stream_flows, plan.streams, strict=True)
        },
        uploaded=uploaded,
        found=plan.piece_count - len(uploaded),
        left_out=plan.left_out,
    )


def _fingerprint(path: Path, bars: Progress) -> str:
    if not path.is_file():
        raise UnreadableMedia(f"{path} is not a file")
    task = bars.add_task("reading", total=path.stat().st_size)
    return digest(path, lambda size: bars.advance(task, size))


def _plan(path: Path, segment_duration: Fraction, bars: Progress) -> Plan:
    task = bars.add_task("finding key frames", total=None)
    plan = plan_cuts(path, segment_duration)
    bars.update(task, total=1, completed=1)
    return plan


def _missing(store: Store, plan: Plan, found: Target, origin_ns: int) -> set[tuple[int, int]]:
    """The pieces that are not registered yet, as (stream index, first packet).

    Raises:
        StoreError: when something else is registered where one of them would be.
    """
    missing = set()
    for flow_id, stream in zip(found.stream_flows, plan.streams, strict=True):
        wanted = TimeRange.hull(p.timerange(origin_ns) for p in stream.pieces)
        taken = sorted(TimeRange.parse(s["timerange"]) for s in store.segments(flow_id, wanted))
        for piece in stream.pieces:
            timerange = piece.timerange(origin_ns)
            if not _is_registered(flow_id, timerange, taken):
                missing.add((stream.essence.index, piece.first))
    return missing


def _is_registered(flow_id: str, timerange: TimeRange, taken: Sequence[TimeRange]) -> bool:
    at = bisect_left(taken, timerange)
    if at < len(taken) and taken[at] == timerange:
        return True
    for other in taken[max(0, at - 1) : at + 1]:
        if other.overlaps(timerange):
            raise StoreError(
                f"flow {flow_id} has a segment at {other}, which {timerange} would overlap: "
                "repeat with the segment duration and start of the first run, or name another flow"
            )
    return False


def _transfer(
    store: Store,
    path: Path,
    plan: Plan,
    found: Target,
    missing: set[tuple[int, int]],
    origin_ns: int,
    connections: int,
    bars: Progress,
) -> list[Uploaded]:
    """Cut, upload and register the `missing` pieces."""
    uploaded: list[Uploaded] = []
    task = bars.add_task("uploading segments", total=len(missing))

    def registered(segment: Uploaded) -> None:
        uploaded.append(segment)
        bars.advance(task)

    def wanted(stream: StreamPlan, piece: Piece) -> bool:
        return (stream.essence.index, piece.first) in missing

    if not missing:
        return uploaded
    flows = {s.essence.index: id_ for id_, s in zip(found.stream_flows, plan.streams, strict=True)}
    remaining = {i: sum(index == i for index, _ in missing) for i in flows}
    with (
        tempfile.TemporaryDirectory(prefix="tams-ingest-") as directory,
        Uploads(store, connections, registered) as uploads,
    ):
        for segment in cut(path, plan, Path(directory), origin_ns=origin_ns, wanted=wanted):
            index = segment.stream.essence.index
            remaining[index] -= 1
            uploads.add(flows[index], segment, remaining[index])
    return uploaded
