"""Events on their way: from the outbox into the log, and out of it once they are old.

* The outbox is written by many at once, so that what comes late may stand before what was read. In
  the log every event has the next number, and whoever follows it needs to know but one place.
* `relay` moves what is there, oldest first, in one transaction: a crash loses and doubles nothing,
  and of two at once the database lets one come first.
* It finds out who collects what the events are about, once for all of them.
* Who follows the log is told every event that is wanted, in order, from any place in it that is
  kept; and that some were missed, if it is not.
* Arrow is imported late: every process imports this module, and not every one needs that.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any, Final

from schemas.domain.changes import Changes
from schemas.domain.collections import Collections
from schemas.domain.errors import Unavailable
from schemas.domain.event import Event, EventFilter, EventLog, Outgoing, collectors_of, next_of
from schemas.domain.storage import UrlFilter
from tasks import webhooks
from tasks.flows import collections_around
from tasks.ports import Ports, Snapshot, TaskQueue, Work
from tasks.urls import UrlWriter

_EVENTS_AT_ONCE: Final = 2_000
_SEGMENTS_AT_ONCE: Final = 20_000
_FORGOTTEN_AT_ONCE: Final = 1_000
_TOLD_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Reset:
    """Events have been forgotten before they were seen; those after this place follow."""

    place: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Everything that is wanted up to this place in the log has been told."""

    place: int


# What a follower is told.
Told = Event | Reset | Reached


def announce(queue: TaskQueue) -> None:
    """Have what was told taken from the outbox; should this get lost, `sweep` finds it."""
    with suppress(Unavailable):
        queue.call(Work.RELAY)


def relay(ports: Ports) -> None:
    """Move what is in the outbox into the log, and call again when there is more."""
    with ports.log_bell.turn() as mine:
        if not mine:  # the sweep calls until whoever had it is known to be gone
            return
        ports.queue.begun(Work.RELAY)
        moved, more = ports.metadata.transact(lambda snapshot: _moved(ports, snapshot))
        if moved:
            ports.log_bell.tell(moved[-1].sequence)
            webhooks.call_for(ports, moved)
    if more:
        ports.queue.call(Work.RELAY)


def sweep(ports: Ports) -> None:
    """Call for the relay when something is in the outbox."""
    with ports.metadata.read() as snapshot:
        waiting = snapshot.posted()
    if waiting:
        ports.queue.call(Work.RELAY)


def forget(ports: Ports) -> None:
    """Remove from the log what has been there for long enough."""
    oldest = ports.clock.now() - timedelta(seconds=ports.limits.events_kept_s)

    def decide(snapshot: Snapshot) -> tuple[Changes, int]:
        old = snapshot.events_before(oldest, _FORGOTTEN_AT_ONCE)
        if not old:
            return Changes(), 0
        left = EventLog(old[-1].sequence + 1, snapshot.event_log().last)
        return Changes(replace=(left,), remove=tuple(old)), len(old)

    while ports.metadata.transact(decide) == _FORGOTTEN_AT_ONCE:
        pass


class Tail:
    """What comes next in the log, read once for all of a process who are at the same place."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._reading = Lock()
        self._place = -1
        self._events: Sequence[Event] = ()

    def after(self, place: int) -> tuple[int, Sequence[Event]]:
        """Some of the next events, and the place before them.

        That is another one than `place` when the events after that are not kept any more.
        """
        with self._reading:
            if place != self._place or not self._events:
                self._place, self._events = self._read(place)
            return self._place, self._events

    def end(self) -> int:
        """The place of the last event."""
        with self._ports.metadata.read() as snapshot:
            return snapshot.event_log().last

    def _read(self, place: int) -> tuple[int, Sequence[Event]]:
        with self._ports.metadata.read() as snapshot:
            log = snapshot.event_log()
            place = place if log.remembers(place) else log.first - 1
            return place, snapshot.events_after(place, _TOLD_AT_ONCE)


def follow(
    ports: Ports, tail: Tail, wanted: EventFilter, after: int | None, beat_s: float
) -> Iterator[Told]:
    """The events after a place in the log, by default from now on; never ends.

    Something comes at once, and then every `beat_s`, about.
    """
    place = tail.end() if after is None else after
    yield Reached(place)
    spoke, heard = ports.clock.now(), place
    while True:
        start, found = tail.after(place)
        forgotten = start != place
        place = start
        if forgotten:
            yield Reset(place)
        chosen = [event for event in found if wanted(event)]
        yield from chosen
        place = found[-1].sequence if found else place
        if forgotten or chosen:
            spoke = ports.clock.now()
        elif (ports.clock.now() - spoke).total_seconds() >= beat_s:
            yield Reached(place)
            spoke = ports.clock.now()
        if not found:  # what was heard of and is not there belongs to another log
            heard = ports.log_bell.wait(max(heard, place), beat_s)


def body(
    ports: Ports, event: Event, urls: UrlFilter, *, with_object_timerange: bool
) -> dict[str, Any]:
    """The JSON that tells of `event`, with the URLs that `urls` lets through."""
    from schemas.http.events import event_json  # noqa: PLC0415 - it takes Arrow

    write = UrlWriter(ports, urls)
    return event_json(event, write.of, with_object_timerange=with_object_timerange)


def _moved(ports: Ports, snapshot: Snapshot) -> tuple[Changes, tuple[list[Event], bool]]:
    """Everything there is, up to some amount, in the log; whether there is more to move."""
    outbox = snapshot.outbox()
    if not outbox:
        return Changes(), ([], False)
    moving = next_of(outbox, events=_EVENTS_AT_ONCE, segments=_SEGMENTS_AT_ONCE)
    log, collected = snapshot.event_log(), _collected(snapshot, outbox)
    collectors = collectors_of(outbox, collected)
    whole = snapshot.posted_until(moving[-1].posted_ns)
    details = _details(snapshot, [whole[each.id] for each in moving], collected)
    now, last = ports.clock.now(), log.last + len(moving)
    events = [
        each.logged(sequence, collectors[each.id], detail, now)
        for sequence, each, detail in zip(
            range(log.last + 1, last + 1), moving, details, strict=True
        )
    ]
    changes = Changes(add=tuple(events), replace=(EventLog(log.first, last),), remove=tuple(moving))
    return changes, (events, len(moving) < len(outbox))


def _collected(snapshot: Snapshot, outbox: Sequence[Outgoing]) -> Collections:
    """Who collects what the events are about, and what their sources collect."""
    return collections_around(
        snapshot,
        flows={each.flow_id for each in outbox if each.flow_id is not None},
        sources={each.source_id for each in outbox},
    )


def _details(
    snapshot: Snapshot, moving: list[Outgoing], collected: Collections
) -> list[dict[str, Any]]:
    """The details of events, with the init objects they lack and what their sources collect."""
    from schemas.tables.details import completed, inits_missing  # noqa: PLC0415 - it takes Arrow

    missing = {name for each in moving for name in inits_missing(each.detail)}
    inits = snapshot.objects(missing) if missing else {}
    return [completed(each, inits, collected) for each in moving]
