"""Uploading segments in parallel, and registering them in bulk.

* A segment is registered only when its object is stored completely.
* No more files wait to be uploaded than `_WAITING` per connection: whoever cuts them is held
  up until there is room, so the disk they need is bounded. An uploaded file is deleted.
* Objects get the ids the store allocates. An interrupted run leaves objects that no segment
  names, which the store collects; ids of our own would be refused when it is repeated.
* A segment that is refused although one is registered at the very same timerange came from
  another run of the same file, such as one whose last request was still under way.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from infra.media.codecs import Kind
from infra.media.cut import CutSegment
from schemas.domain.timerange import TimeRange, format_timestamp
from workers.client.identity import digest
from workers.client.store import Json, Slot, Store, StoreError

_WAITING: Final = 2
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A segment whose object is stored: `sha256` (hexadecimal) and `size` (bytes) of it."""

    flow_id: str
    object_id: str
    timerange: TimeRange
    sha256: str
    size: int


class Uploads:
    """Uploads and registers segments; use it in a `with` statement, which ends it.

    When the statement ends without an error, everything is registered.
    """

    def __init__(
        self,
        store: Store,
        connections: int = 4,
        registered: Callable[[Uploaded], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._connections = connections
        self._registered = registered
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="upload")
        self._slots: defaultdict[str, deque[Slot]] = defaultdict(deque)
        self._running: set[Future[tuple[Uploaded, Json]]] = set()
        self._stored: defaultdict[str, list[tuple[Uploaded, Json]]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._await_room(0)
                for _ in self._pool.map(self._register, list(self._stored)):
                    pass
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, flow_id: str, segment: CutSegment, remaining: int) -> None:
        """Upload `segment` of a flow; `remaining` says how many more of the flow may follow.

        Returns when there is room for the next one, not when it is stored.
        """
        slots = self._slots[flow_id]
        if not slots:
            slots.extend(self._store.slots(flow_id, max(1, min(_BATCH, remaining + 1))))
        self._await_room(_WAITING * self._connections - 1)
        slot = slots.popleft()
        self._running.add(self._pool.submit(self._upload, flow_id, slot, segment))

    def _upload(self, flow_id: str, slot: Slot, segment: CutSegment) -> tuple[Uploaded, Json]:
        self._store.upload(slot, segment.path)
        uploaded = Uploaded(
            flow_id=flow_id,
            object_id=slot.object_id,
            timerange=segment.timerange,
            sha256=digest(segment.path),
            size=segment.path.stat().st_size,
        )
        segment.path.unlink()
        return uploaded, segment_body(slot.object_id, segment)

    def _await_room(self, count: int) -> None:
        """Wait until no more than `count` uploads run; register what is enough for a batch."""
        while len(self._running) > count:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                uploaded, body = future.result()
                self._stored[uploaded.flow_id].append((uploaded, body))
                if len(self._stored[uploaded.flow_id]) >= _BATCH:
                    self._register(uploaded.flow_id)

    def _register(self, flow_id: str) -> None:
        stored = sorted(self._stored[flow_id], key=lambda item: item[0].timerange)
        self._stored[flow_id] = []
        if not stored:
            return
        failed = self._store.register(flow_id, [body for _, body in stored])
        refused = {item["object_id"]: item for item in failed}
        self._check(flow_id, [u for u, _ in stored if u.object_id in refused], refused)
        for uploaded, _ in stored:
            if uploaded.object_id not in refused:
                self._registered(uploaded)

    def _check(
        self, flow_id: str, doubtful: Sequence[Uploaded], refused: Mapping[str, Json]
    ) -> None:
        """Make sure that what was refused was only late: another run registered the same."""
        if not doubtful:
            return
        hull = TimeRange.hull(u.timerange for u in doubtful)
        there = {TimeRange.parse(s["timerange"]) for s in self._store.segments(flow_id, hull)}
        missing = [u for u in doubtful if u.timerange not in there]
        if missing:
            reason = (refused[missing[0].object_id].get("error") or {}).get("summary")
            raise StoreError(
                f"{len(missing)} segments of flow {flow_id} were refused; the first, "
                f"{missing[0].timerange}: {reason or 'no reason given'}"
            )


def segment_body(object_id: str, segment: CutSegment) -> Json:
    """What registers `segment`, stored as `object_id` (TAMS 8.2, `flow-segment-post.json`)."""
    body: Json = {
        "object_id": object_id,
        "timerange": str(segment.timerange),
        "object_timerange": str(segment.object_timerange),
        "ts_offset": format_timestamp(segment.ts_offset_ns),
        "last_duration": format_timestamp(segment.last_duration_ns),
    }
    if segment.stream.essence.kind is Kind.VIDEO:
        body["key_frame_count"] = segment.piece.key_frame_count
    return body
