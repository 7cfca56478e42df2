"""Getting a timerange of a flow as one file.

* A multi flow is got as the flows it collects, together in one file.
* Where the first segment cannot be decoded by itself, the ones before it that lead up to it
  are fetched too.
* Objects used by several segments are fetched once. What was got is reported in full.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from rich.progress import Progress

from infra.media.codecs import MULTI_URN, Kind
from infra.media.join import Downloaded, Selection, join, select, starts_decodable
from schemas.domain.timerange import ETERNITY, TimeRange, parse_timestamp
from workers.client.identity import digest
from workers.client.store import Json, Store, StoreError

_LOOK_BACK: Final = 8
_WITHIN_A_SAMPLE_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Got:
    """What was got of one flow.

    `frame_count` counts video frames or coded audio frames; `objects` maps the ids of the
    objects fetched to their SHA-256.
    """

    flow_id: str
    kind: Kind
    frame_count: int
    timerange: TimeRange
    gaps: Sequence[TimeRange]
    objects: dict[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The segments of a flow that were fetched, and what of them to take."""

    flow_id: str
    files: dict[str, Path]
    selection: Selection


def get(
    store: Store,
    flow_id: str,
    timerange: TimeRange,
    output: Path,
    *,
    connections: int = 4,
    progress: Progress | None = None,
) -> list[Got]:
    """Write what `flow_id` plays in `timerange` to `output`; its suffix says the container.

    Raises:
        StoreError: when there is no such flow, it plays nothing then, or the store fails.
        UnreadableMedia, CannotCarry: when the objects cannot be read, or not be joined.
    """
    bars = progress or Progress(disable=True)
    with tempfile.TemporaryDirectory(prefix="tams-get-") as directory:
        fetched: list[_Fetched] = []
        wanted = timerange
        for number, id_ in enumerate(_essence_flows(store, flow_id)):
            work = Path(directory) / str(number)
            work.mkdir()
            found = _fetch(store, id_, wanted, work, connections, bars)
            if found is not None:
                fetched.append(found)
                if len(fetched) == 1:
                    wanted = found.selection.timerange
        if not fetched:
            raise StoreError(f"flow {flow_id} plays nothing in {timerange}")
        task = bars.add_task("joining", total=None)
        join([f.selection for f in fetched], output)
        bars.update(task, total=1, completed=1)
        return [_report(f) for f in fetched]


def _essence_flows(store: Store, flow_id: str) -> list[str]:
    """The flows to fetch, video first, as sound accompanies it."""
    flow = store.flow(flow_id)
    if flow is None:
        raise StoreError(f"flow {flow_id} does not exist")
    if flow["format"] != MULTI_URN:
        return [flow_id]
    members = [item["id"] for item in flow.get("flow_collection", [])]
    formats = {id_: (store.flow(id_) or {}).get("format") for id_ in members}
    known = [id_ for kind in Kind for id_ in members if formats[id_] == kind.urn]
    if not known:
        raise StoreError(f"flow {flow_id} collects neither video nor audio")
    return known


def _fetch(
    store: Store, flow_id: str, wanted: TimeRange, work: Path, connections: int, bars: Progress
) -> _Fetched | None:
    segments = list(store.segments(flow_id, wanted, urls=True))
    if not segments:
        return None
    files = _download(store, segments, work, connections, bars)
    downloaded = [_located(s, files) for s in segments]
    for _ in range(_LOOK_BACK):
        if starts_decodable(downloaded[0], wanted):
            break
        before = _segment_before(store, flow_id, downloaded[0].timerange)
        if before is None:
            break
        files |= _download(store, [before], work, 1, bars)
        downloaded.insert(0, _located(before, files))
        wanted = TimeRange(_last_moment(downloaded[0].timerange), wanted.end)
    selection = select(downloaded, wanted)
    return None if selection is None else _Fetched(flow_id, files, selection)


def _segment_before(store: Store, flow_id: str, timerange: TimeRange) -> Json | None:
    """The segment that ends where `timerange` starts, if there is one."""
    earlier = TimeRange(ETERNITY.start, timerange.start)
    found = next(store.segments(flow_id, earlier, urls=True, newest_first=True), None)
    if found is None or TimeRange.parse(found["timerange"]).end != timerange.start:
        return None
    return found


def _last_moment(timerange: TimeRange) -> int:
    """A cut within the last sample of `timerange`, clear of any rounding."""
    return max(timerange.start, timerange.end - 2 * _WITHIN_A_SAMPLE_NS)


def _download(
    store: Store, segments: Sequence[Json], work: Path, connections: int, bars: Progress
) -> dict[str, Path]:
    """The files of the segments' objects, by object id."""
    urls = {s["object_id"]: [u["url"] for u in s.get("get_urls", [])] for s in segments}
    paths = {id_: work / sha256(id_.encode()).hexdigest() for id_ in urls}
    task = bars.add_task("downloading", total=len(urls))

    def fetch(object_id: str) -> None:
        if not urls[object_id]:
            raise StoreError(f"the store gives no URL for object {object_id}")
        store.download(urls[object_id][0], paths[object_id])
        bars.advance(task)

    with ThreadPoolExecutor(connections, thread_name_prefix="download") as pool:
        for _ in pool.map(fetch, urls):
            pass
    return paths


def _located(segment: Json, files: dict[str, Path]) -> Downloaded:
    return Downloaded(
        path=files[segment["object_id"]],
        timerange=TimeRange.parse(segment["timerange"]),
        ts_offset_ns=parse_timestamp(segment.get("ts_offset", "0:0")),
    )


def _report(fetched: _Fetched) -> Got:
    return Got(
        flow_id=fetched.flow_id,
        kind=fetched.selection.kind,
        frame_count=fetched.selection.frame_count,
        timerange=fetched.selection.timerange,
        gaps=fetched.selection.gaps,
        objects={id_: digest(path) for id_, path in fetched.files.items()},
        size=sum(path.stat().st_size for path in fetched.files.values()),
    )
