"""Listing the segments of flows, and remembering what was read for it.

* What is remembered is shown only after the newest mark of the flow was looked at (see
  `schemas.domain.mark`): nobody who was told of a change is shown what was before.
* A miss reads more than it has to, so that who goes on from there finds it. It is remembered as
  read after the mark that was seen before.
* A process that dies between a commit and its mark leaves what others remember wrong. Nobody was
  told of that change; nothing is remembered for long, and the flow itself least of all.
* When there are no marks to be had, or nothing may be remembered, the database is asked.
* Memory is bounded; what was used longest ago goes.
"""

from collections.abc import Callable
from threading import Lock
from typing import Final

from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.known import PER_FLOW, Known, Sighting, Stretch
from schemas.domain.query import SegmentQuery, decoded, encoded
from schemas.domain.strip import Shown, ShownPage, Strip
from schemas.domain.timerange import TimeRange
from tasks.ports import Marks, MetadataStore, Snapshot

# A miss reads at least so many segments, where somebody is likely to want the next ones, too; and
# up to a limit the more, the more of the flow is known already: a tenth of that.
_AHEAD: Final = 2_000
_FURTHEST: Final = 20_000
_SHARE: Final = 10
# What a remembered segment takes up, about.
_SEGMENT_BYTES: Final = 200
# A flow is looked at again after so long, and a stretch of its timeline read anew.
_FLOW_S: Final = 2.0
_STRETCH_S: Final = 300.0
# When memory is full, it is cleared down to this part.
_LEFT: Final = 0.8


class RememberedTimelines:
    """The `Timelines` of one process."""

    def __init__(
        self, metadata: MetadataStore, marks: Marks, most_bytes: int, clock: Callable[[], float]
    ) -> None:
        """Remembers at most `most_bytes`, for as long as `marks` allow; `clock` counts seconds."""
        self._metadata = metadata
        self._marks = marks
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = Lock()
        self._flows: dict[FlowId, Known] = {}
        self._bytes = 0

    def page(self, flow_id: FlowId, query: SegmentQuery) -> ShownPage:
        """The segments of a page; see `Timelines.page`."""
        known = None
        if self._most_bytes and query.object_id is None:
            known = self._known(flow_id)
        if known is not None:
            return _page(self._remembered(flow_id, known, query), query)
        with self._metadata.read() as snapshot:
            exists = flow_id in snapshot.flows([flow_id])
            return _page([snapshot.strip(flow_id, query)] if exists else [], query)

    def _known(self, flow_id: FlowId) -> Known | None:
        """What is known of a flow and still true; None when nobody can say what is."""
        try:
            newest = self._marks.newest(flow_id)
            known = self._flows.get(flow_id)
            if known is not None and known.token == newest.token:
                return known
            marks = self._marks.all(flow_id) or [newest]
        except Unavailable:
            return None
        with self._lock:
            known = self._flows.get(flow_id)
            known = Known(tuple(marks)) if known is None else known.caught_up(marks)
            self._put(flow_id, known)
        return known

    def _remembered(self, flow_id: FlowId, known: Known, query: SegmentQuery) -> list[Strip]:
        """At least one more segment than the page has, if there is; what is not known is read."""
        span, wanted, descending = query.remaining, query.limit + 1, query.reverse_order
        now = self._clock()
        if known.sighting is None or known.sighting.read_s < now - _FLOW_S:
            with self._metadata.read() as snapshot:
                known = self._look(flow_id, known, snapshot)
        while known.sighting is not None and known.sighting.flow is not None and span:
            used, strips, rest = known.leading(
                span, wanted, descending=descending, since_s=now - _STRETCH_S
            )
            for stretch in used:
                stretch.used_s = now
            if not rest:
                return strips
            known = self._read_on(flow_id, known, rest, query)
        return []

    def _look(self, flow_id: FlowId, known: Known, snapshot: Snapshot) -> Known:
        """Look at a flow itself."""
        flow = snapshot.flows([flow_id]).get(flow_id)
        sighting, token = Sighting(flow, self._clock()), known.token
        return self._learn(flow_id, known, lambda each: each.with_sighting(sighting, token))

    def _read_on(
        self, flow_id: FlowId, known: Known, rest: TimeRange, query: SegmentQuery
    ) -> Known:
        """Read what is not known of `rest`, from its beginning on."""
        descending, read_s = query.reverse_order, self._clock()
        unknown = known.unknown(rest, descending=descending)
        with self._metadata.read() as snapshot:
            known = self._look(flow_id, known, snapshot)
            count = self._ahead(known, unknown, query)
            more = SegmentQuery(count, unknown, reverse_order=descending)
            strip = snapshot.strip(flow_id, more)
        if len(strip) <= count:
            span = unknown
        elif descending:
            span = TimeRange(strip.hull.start, unknown.end)
        else:
            span = TimeRange(unknown.start, strip.hull.end)
        stretch, token = Stretch(span, strip, read_s), known.token
        return self._learn(flow_id, known, lambda each: each.with_stretch(stretch, token))

    def _ahead(self, known: Known, unknown: TimeRange, query: SegmentQuery) -> int:
        """How many segments to read: many, unless it is one place of many in a large flow."""
        flow = known.sighting and known.sighting.flow
        fits = flow and flow.content.segments * _SEGMENT_BYTES <= self._most_bytes // 2
        if fits or known.meets(unknown, descending=query.reverse_order):
            return max(query.limit, _AHEAD, min(known.segments // _SHARE, _FURTHEST))
        return query.limit

    def _learn(self, flow_id: FlowId, known: Known, learn: Callable[[Known], Known]) -> Known:
        """`known` once it has learnt something, as whoever else asks does, if it still can."""
        learnt = learn(known)
        with self._lock:
            current = self._flows.get(flow_id)
            if current is None or current is known:
                self._put(flow_id, learnt)
            else:
                self._put(flow_id, learn(current))
        return learnt

    def _put(self, flow_id: FlowId, known: Known) -> None:
        before = self._flows.get(flow_id)
        self._flows[flow_id] = known
        self._bytes += known.size - (before.size if before else 0)
        if self._bytes > self._most_bytes:
            self._clear()

    def _clear(self) -> None:
        """Forget what was used longest ago, and flows of which no segments are known."""
        found = [(s.used_s, id_, s) for id_, known in self._flows.items() for s in known.stretches]
        found.sort(key=lambda each: each[0], reverse=True)
        kept: dict[FlowId, set[Stretch]] = {}
        room = _LEFT * self._most_bytes
        for _, flow_id, stretch in found:
            room -= stretch.size + (0 if flow_id in kept else PER_FLOW)
            if room < 0:
                break
            kept.setdefault(flow_id, set()).add(stretch)
        self._flows = {id_: self._flows[id_].with_only(left) for id_, left in kept.items()}
        self._bytes = sum(known.size for known in self._flows.values())


def after(page_key: str | None) -> int | None:
    """The position a page key of `page` stands for; raises Invalid for any other text."""
    if page_key is None:
        return None
    match decoded(page_key):
        case [int(cut)]:
            return cut
        case _:
            raise Invalid("page belongs to another list", field="page")


def _page(strips: list[Strip], query: SegmentQuery) -> ShownPage:
    """The page that `strips` hold, and the key of the next one if they hold more."""
    shown = Shown.of(strips, query.limit, descending=query.reverse_order)
    next_key = None
    if sum(map(len, strips)) > query.limit:
        last = shown.strips[-1].hull
        next_key = encoded([last.start if query.reverse_order else last.end])
    return ShownPage(shown, next_key, query.limit)
