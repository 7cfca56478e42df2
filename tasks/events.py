"""Events on their way: from the outbox into the log, and out of it once they are old.

* The outbox is written by many at once, so that what comes late may stand before what was read. In
  the log every event has the next number, and whoever follows it needs to know but one place.
* `relay` moves what is there, oldest first, in one transaction: a crash loses and doubles nothing,
  and of two at once the database lets one come first.
* It finds out who collects what the events are about, once for all of them.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from schemas.domain.changes import Changes
from schemas.domain.collections import Collections
from schemas.domain.errors import Unavailable
from schemas.domain.event import EventLog, Outgoing, collectors_of, next_of
from schemas.tables.details import completed, inits_missing
from tasks.flows import collections
from tasks.ports import Ports, Snapshot, TaskQueue, Work

_EVENTS_AT_ONCE: Final = 2_000
_SEGMENTS_AT_ONCE: Final = 20_000
_FORGOTTEN_AT_ONCE: Final = 1_000


def announce(queue: TaskQueue) -> None:
    """Have what was told taken from the outbox; should this get lost, `sweep` finds it."""
    with suppress(Unavailable):
        queue.call(Work.RELAY)


def relay(ports: Ports) -> None:
    """Move what is in the outbox into the log, and call again when there is more."""
    with ports.log_bell.turn() as mine:
        if not mine:  # whoever has the turn looks once more after it
            return
        ports.queue.begun(Work.RELAY)
        last = ports.metadata.transact(lambda snapshot: _moved(ports, snapshot))
        if last is not None:
            ports.log_bell.tell(last)
    if _something_waits(ports):
        ports.queue.begun(Work.RELAY)  # who was called meanwhile may have gone away
        ports.queue.call(Work.RELAY)


def sweep(ports: Ports) -> None:
    """Call for the relay when something is in the outbox."""
    if _something_waits(ports):
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


def _something_waits(ports: Ports) -> bool:
    with ports.metadata.read() as snapshot:
        return snapshot.posted()


def _moved(ports: Ports, snapshot: Snapshot) -> tuple[Changes, int | None]:
    """Everything there is, up to some amount, in the log; the place of the last event there."""
    outbox = snapshot.outbox()
    if not outbox:
        return Changes(), None
    moving = next_of(outbox, events=_EVENTS_AT_ONCE, segments=_SEGMENTS_AT_ONCE)
    log, collected = snapshot.event_log(), collections(snapshot)
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
    moved = EventLog(log.first, last)
    return Changes(add=tuple(events), replace=(moved,), remove=tuple(moving)), last


def _details(
    snapshot: Snapshot, moving: list[Outgoing], collected: Collections
) -> list[dict[str, Any]]:
    """The details of events, with the init objects they lack and what their sources collect."""
    missing = {name for each in moving for name in inits_missing(each.detail)}
    inits = snapshot.objects(missing) if missing else {}
    return [completed(each, inits, collected) for each in moving]
