"""How segments come into a flow: since when, how often, and what was refused.

* An *arrival* is one commit with new segments of the flow, however many. It is told by the wall
  clock: late segments and deletions do not change what arrived.
* Of the latest arrivals a few intervals and durations are kept, so that each costs the same.
* The *usual interval* is the duration of a segment, as the flow declares it or as the latest were,
  or the time between the latest arrivals when that is longer: who sends five segments at a time
  is not late for the next one. Medians, so that a pause or an odd segment is not taken for usual.
* A refused overlap is an offer whose time was taken. Offered again, it is counted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median_low
from typing import Final

INGESTING: Final = "ingesting"
"""The `status` of a flow that segments are expected for (TAMS 8.2, schema `flow-common`)."""

_REMEMBERED: Final = 9
# With fewer intervals there is nothing usual about them.
_FEWEST_INTERVALS: Final = 3
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Inflow:
    """What is known of the arrivals of a flow; intervals and durations in ms, the latest last.

    * `since` is when its status became `ingesting`; None while it is another.
    * `arrived` is when a segment last arrived.
    * `stalled_since` is the start of its stall that is on record and goes on.
    """

    since: datetime | None = None
    arrived: datetime | None = None
    intervals_ms: tuple[int, ...] = ()
    durations_ms: tuple[int, ...] = ()
    stalled_since: datetime | None = None
    refused_overlaps: int = 0
    refused: datetime | None = None

    @property
    def waiting(self) -> bool:
        """Whether nothing has arrived yet since the flow began to ingest."""
        return self.arrived is None or (self.since is not None and self.arrived < self.since)

    def under(self, status: str | None, now: datetime) -> "Inflow":
        """The inflow once the flow has `status`."""
        return replace(self, since=(self.since or now) if status == INGESTING else None)

    def grown(self, durations_ns: Sequence[int], now: datetime) -> "Inflow":
        """After an arrival of segments of these durations, at least one; it ends a stall."""
        intervals = self.intervals_ms
        if self.arrived is not None and not self.waiting:
            intervals = (*intervals, max(0, (now - self.arrived) // _MS))
        mean_ms = sum(durations_ns) // (1_000_000 * len(durations_ns))
        return replace(
            self,
            arrived=now,
            intervals_ms=intervals[-_REMEMBERED:],
            durations_ms=(*self.durations_ms, mean_ms)[-_REMEMBERED:],
            stalled_since=None,
        )

    def refusing(self, overlaps: int, now: datetime) -> "Inflow":
        """After so many more overlaps were refused."""
        return replace(self, refused_overlaps=self.refused_overlaps + overlaps, refused=now)

    def usual_interval_ms(self, declared_ms: int | None) -> int | None:
        """The usual time between arrivals; None as long as nothing tells it.

        `declared_ms` is the duration of segments as the flow says it.
        """
        of_segment = declared_ms
        if of_segment is None and self.durations_ms:
            of_segment = median_low(self.durations_ms)
        if len(self.intervals_ms) < _FEWEST_INTERVALS:
            return of_segment
        return max(of_segment or 0, median_low(self.intervals_ms))


NOTHING_YET: Final = Inflow()
