"""Deciding what waits in the shards.

* A flush attends a share of the shards, leases those in which something waits, and decides
  everything that waits in one batch: one read, one pure decision, and one transaction that also
  moves the shards' cursors.
* It stays for a while after the last entry, so that who comes next need not call a worker.
* An entry that brings its workers down is found by deciding entries singly, and put aside.
* A crash at any point leaves the entries in place and the cursors true; what was committed but
  not answered is answered by the next flush.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Final

from schemas.domain import newest
from schemas.domain.changes import Changes, ShardCursor
from schemas.domain.errors import Cancelled, PutAside
from schemas.domain.identifiers import DeletionId, FlowId, JobId
from schemas.domain.job import Failure, Fault
from schemas.domain.newest import Newest
from schemas.domain.registration import Registration
from schemas.domain.timerange import ETERNITY
from tasks import deletion
from tasks.ports import Attempt, Decided, Entry, Lease, LeaseLost, Ports, Snapshot
from tasks.segments import registration_of

Batch = Mapping[int, Sequence[Entry]]
Outcome = dict[int, list[Decided]]

log = logging.getLogger(__name__)

# A batch that ended its workers so often is decided entry by entry, ...
_ATTEMPTS_TOGETHER: Final = 2
# ... and the entry that still does is put aside. Workers die of other things, too.
_MOST_ATTEMPTS: Final = 6
# While nothing comes, deletions are looked for so often.
_LOOK_S: Final = 0.05
# Fewer entries than these are waited for: each of them, and all of them, for so long. Those that
# come at about the same time are read together.
_FEW: Final = 64
_GATHER_S: Final = 0.002
_GATHERING_S: Final = 0.012
_PAUSE_S: Final = 0.0005


def flush(ports: Ports, shard: int) -> None:
    """Decide what waits in `shard` and those attended with it, until nothing has come for a while.

    Raises:
        Unavailable: when a service is down; what waits goes on waiting.
    """
    share = [each for each in range(ports.limits.shards) if ports.limits.together(each, shard)]
    with ExitStack() as leases:
        flusher = _Flusher(ports, share, leases)
        leases.callback(ports.queue.answered, shard)
        try:
            flusher.run(shard)
        except LeaseLost as lost:
            log.warning("stopped flushing: %s", lost)
            return
    # Nobody rang while the bell was ours; what came since the last look is ours to ring for.
    for left in flusher.left():
        ports.queue.ring(left)


def sweep(ports: Ports) -> None:
    """Ring for every shard with something in it, in case its doorbell was lost."""
    for shard in ports.inbox.waiting():
        ports.queue.ring(shard)


@dataclass(slots=True)
class _Held:
    """A shard that is leased: how far it is decided, and how often what waits was begun in vain."""

    lease: Lease
    cursor: ShardCursor
    attempts: int


class _Flusher:
    """Attends some shards, and keeps those it leases until its end."""

    def __init__(self, ports: Ports, shards: Collection[int], leases: ExitStack) -> None:
        self._ports = ports
        self._leases = leases
        self._held: dict[int, _Held] = {}
        # How far the shards are decided, without those that others hold.
        self._positions = dict.fromkeys(shards, "")
        # How many entries there will be once those who were answered are back.
        self._expected = 1
        # The newest segments of flows, as they are, and as they will be once what goes on is over.
        self._newest: Mapping[FlowId, Newest] = {}
        self._becoming: Mapping[FlowId, Newest] = {}

    def run(self, first: int) -> None:
        """Decide what comes; raises LeaseLost when somebody else went on with a shard."""
        ports, limits = self._ports, self._ports.limits
        # What is there may be decided already, and wait for its answer.
        waiting = [shard for shard in ports.inbox.waiting() if shard in self._positions]
        leases = {shard: self._lease(shard) for shard in {first, *waiting}}
        with ports.metadata.read() as snapshot:
            cursors = snapshot.shards(self._positions)
        self._positions = {shard: cursor.position for shard, cursor in cursors.items()}
        for shard, lease in leases.items():
            if lease is not None:
                self._hold(lease, cursors[shard])
        wait_s = min(_LOOK_S, limits.linger_s)
        began = busy = ports.clock.now()
        looked = 0.0
        going: Mapping[int, Sequence[DeletionId]] = {}
        while self._positions:
            ports.queue.attend(first)
            found = self._arrivals(0 if going else wait_s)
            self._decide({shard: found[shard] for shard in found if self._take(shard)})
            if going or monotonic() - looked >= wait_s:
                going = ports.inbox.scheduled(self._positions)
                looked = monotonic()
            self._delete({shard: ids[0] for shard, ids in going.items() if self._take(shard)})
            now = ports.clock.now()
            if found or going:
                busy = now
            elif (now - busy).total_seconds() >= limits.linger_s:
                return
            if (now - began).total_seconds() > limits.flush_seconds:
                return

    def _arrivals(self, wait_s: float) -> dict[int, list[Entry]]:
        """What has come; of few, once those are back who are expected, or nobody comes any more.

        Who was answered together asks again at about the same time, and a commit costs the same for
        all of them as for the first.
        """
        inbox, rows = self._ports.inbox, self._ports.limits.flush_rows
        found = inbox.arrivals(self._positions, rows, wait_s)
        deadline = monotonic() + _GATHERING_S
        while 0 < _size(found) < min(self._expected, _FEW) and monotonic() < deadline:
            sleep(_PAUSE_S)
            last = {shard: entries[-1].id for shard, entries in found.items() if entries}
            more = inbox.arrivals(self._positions | last, rows, _GATHER_S)
            if not _size(more):
                break
            for shard, entries in more.items():
                found.setdefault(shard, []).extend(entries)
        return found

    def left(self) -> list[int]:
        """A shard in which something waits that nobody else is about to decide, if there is one."""
        inbox = self._ports.inbox
        waiting = {*inbox.arrivals(self._positions, 1, 0), *inbox.scheduled(self._positions)}
        return sorted(waiting)[:1]

    def _take(self, shard: int) -> bool:
        """Whether the shard is held, and decided as far as was thought when it was looked at."""
        if shard in self._held:
            return True
        lease = self._lease(shard)
        if lease is None:
            return False
        with self._ports.metadata.read() as snapshot:
            cursor = snapshot.shards([shard])[shard]
        thought, self._positions[shard] = self._positions[shard], cursor.position
        self._hold(lease, cursor)
        return cursor.position == thought

    def _lease(self, shard: int) -> Lease | None:
        lease = self._leases.enter_context(self._ports.inbox.lease(shard))
        if lease is None:
            del self._positions[shard]
        return lease

    def _hold(self, lease: Lease, cursor: ShardCursor) -> None:
        """Go on where the last holder stopped; answer what it had decided and not answered."""
        inbox, shard = self._ports.inbox, cursor.shard
        inbox.resume(lease, cursor)
        unanswered = inbox.decided_unanswered(shard, cursor.position)
        if unanswered:
            noted = inbox.noted(shard, cursor.epoch, unanswered)
            # Whoever decided them may have died before this, and where they led is not known.
            self._ports.marks.leave({entry.flow_id: ETERNITY for entry in unanswered})
            inbox.answer({shard: noted}, self._ports.clock.now())
        self._held[shard] = _Held(lease, cursor, inbox.attempts(shard, cursor.position))

    def _decide(self, found: Batch) -> None:
        """Decide what was found together; singly where workers died of it, or it cannot be read."""
        inbox = self._ports.inbox
        together = {
            shard: entries
            for shard, entries in found.items()
            if entries and self._held[shard].attempts < _ATTEMPTS_TOGETHER
        }
        if together:
            with inbox.attempt({shard: self._positions[shard] for shard in together}):
                self._settle(self._commit(together))
        for shard in found.keys() - together.keys():
            position = self._positions[shard]
            with inbox.attempt({shard: position}) as attempts:
                if attempts[shard].number > _MOST_ATTEMPTS:
                    self._settle(self._put_aside(shard, attempts[shard]))
                else:
                    self._settle(self._commit({shard: inbox.read(shard, position, 1)}))

    def _settle(self, outcome: Outcome) -> None:
        left = self._ports.inbox.answer(outcome, self._ports.clock.now())
        self._expected = _size(outcome) + left
        self._newest = self._becoming
        for shard, decided in outcome.items():
            held = self._held[shard]
            held.cursor = ShardCursor(shard, decided[-1].entry.id, held.lease.epoch)
            held.attempts = 0
            self._positions[shard] = held.cursor.position

    def _commit(self, batch: Batch) -> Outcome:
        """Decide a batch and write what follows, in one transaction with the cursors."""
        return self._ports.metadata.transact(lambda snapshot: self._decided(snapshot, batch))

    def _decided(self, snapshot: Snapshot, batch: Batch) -> tuple[Changes, Outcome]:
        """What follows from a batch, with the cursors behind it, and the answers."""
        ports = self._ports
        moved = self._moved(batch)
        entries = [entry for waiting in batch.values() for entry in waiting]
        flow_ids = {entry.flow_id for entry in entries}
        snapshot.expect(batch, flow_ids)
        if not self._still_there(snapshot, moved):
            return Changes(), {
                shard: ports.inbox.noted(shard, moved[shard].epoch, waiting)
                for shard, waiting in batch.items()
            }
        offers = [offer for entry in entries for offer in entry.offers]
        registration = registration_of(ports, snapshot, offers, self._newest)
        followed = [entry.job_id for entry in entries if entry.followed]
        cancelled = ports.jobs.cancelled(followed) if followed else set[JobId]()
        outcome = {
            shard: [
                _refuse(ports, entry)
                if entry.job_id in cancelled
                else _decide(ports, registration, entry)
                for entry in waiting
            ]
            for shard, waiting in batch.items()
        }
        for shard, decided in outcome.items():
            ports.inbox.note(shard, moved[shard].epoch, decided)
        changes = registration.changes()
        self._becoming = newest.after(self._newest, snapshot.flows(flow_ids), changes)
        return self._moving(changes, moved), outcome

    def _put_aside(self, shard: int, attempt: Attempt) -> Outcome:
        """Move past an entry that nobody survives, and keep it for somebody to look at."""
        ports, now = self._ports, self._ports.clock.now()
        died = f"{attempt.number - 1} attempts to decide it did not end"
        reason = f"{died}, the last with {attempt.last_error}" if attempt.last_error else died
        entry = ports.inbox.bury(shard, self._positions[shard], reason, now)
        log.error("entry %s of shard %d is put aside: %s", entry.id, shard, reason)
        error = PutAside(f"not registered: {reason}; it is kept as dead letter")
        failures = [Failure.of(offer, error, now) for offer in entry.offers]
        decided = [Decided(entry, failures, Fault.of(error, now))]
        moved = self._moved({shard: [entry]})
        ports.inbox.note(shard, moved[shard].epoch, decided)

        def decide(snapshot: Snapshot) -> tuple[Changes, None]:
            still = self._still_there(snapshot, moved)
            return self._moving(Changes(), moved) if still else Changes(), None

        ports.metadata.transact(decide)
        return {shard: decided}

    def _delete(self, going: Mapping[int, DeletionId]) -> None:
        for shard, deletion_id in going.items():
            deletion.advance(self._ports, shard, deletion_id, self._held[shard].lease)

    def _moved(self, batch: Batch) -> dict[int, ShardCursor]:
        """The cursors behind a batch."""
        return {
            shard: ShardCursor(shard, entries[-1].id, self._held[shard].lease.epoch)
            for shard, entries in batch.items()
        }

    def _moving(self, changes: Changes, moved: Mapping[int, ShardCursor]) -> Changes:
        """`changes` together with the cursors that move."""
        for shard in moved:
            self._held[shard].lease.require()
        return replace(changes, replace=(*changes.replace, *moved.values()))

    def _still_there(self, snapshot: Snapshot, moved: Mapping[int, ShardCursor]) -> bool:
        """Whether the shards are where they were; not if an attempt to move them went unanswered.

        Raises:
            LeaseLost: when somebody else moved one.
        """
        for shard in moved:
            self._held[shard].lease.require()
        stored = snapshot.shards(moved)
        if stored == moved:
            return False
        for shard, cursor in stored.items():
            held = self._held[shard]
            if cursor.position != held.cursor.position or cursor.epoch > held.lease.epoch:
                raise LeaseLost(f"shard {shard} has moved on to {cursor.position}")
        return True


def _size(found: Mapping[int, Sequence[object]]) -> int:
    return sum(map(len, found.values()))


def _decide(ports: Ports, registration: Registration, entry: Entry) -> Decided:
    failures = [
        Failure.of(offer, error, ports.clock.now())
        for offer in entry.offers
        if (error := registration.decide(offer)) is not None
    ]
    return Decided(entry, failures)


def _refuse(ports: Ports, entry: Entry) -> Decided:
    """Refuse what is offered by a job that was cancelled."""
    now = ports.clock.now()
    return Decided(entry, [Failure.of(offer, Cancelled(), now) for offer in entry.offers])
