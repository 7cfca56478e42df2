"""Who wrote what: first updater wins.

* A transaction claims what it is about to change before it changes it. A claim that
  meets another open transaction's claim, or one committed after this transaction began,
  is a conflict, at the statement.
* Things are claimed whole, exclusively (definitions, names) or shared (a table receiving
  rows while its shape must stand still); rows of a table are claimed by id.
* A committed transaction's claims are kept until every transaction that was open when it
  committed has ended. One that rolled back never stood in the way.
* An open transaction whose claim refused another's is marked: should its client be gone, it
  need not stand there for long.
* Commit numbers are drawn *after* DuckDB's commit and begin numbers *before* DuckDB's
  begin, so a race errs towards a conflict, never towards a lost update.
"""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from infra.vast_local.errors import Lost


@dataclass(eq=False, slots=True)
class Holder:
    """The claims of one transaction; ``ended`` is its commit number, None while open."""

    began: int
    ended: int | None = None
    in_the_way: bool = False
    exclusive: set[Hashable] = field(default_factory=set)
    shared: set[Hashable] = field(default_factory=set)
    rows: dict[int, set[int]] = field(default_factory=dict)


class Claims:
    """The claims of all open and recently committed transactions."""

    def __init__(self) -> None:
        """Start with nobody holding anything."""
        self._lock = threading.Lock()
        self._clock = 0
        self._holders: list[Holder] = []

    def enter(self) -> Holder:
        """Return a new holder; call before the snapshot is taken."""
        with self._lock:
            holder = Holder(began=self._clock)
            self._holders.append(holder)
            return holder

    def leave(self, holder: Holder, *, committed: bool) -> None:
        """End a holder; call after the commit is visible or the rollback done."""
        with self._lock:
            if committed:
                self._clock += 1
                holder.ended = self._clock
            else:
                self._holders.remove(holder)
            oldest = min((h.began for h in self._holders if h.ended is None), default=self._clock)
            self._holders = [h for h in self._holders if h.ended is None or h.ended > oldest]

    def share(self, holder: Holder, thing: Hashable) -> None:
        """Claim a thing that others may share too."""
        with self._lock:
            for rival in self._rivals(holder):
                if thing in rival.exclusive:
                    raise _lost(rival, f"{_words(thing)} is being changed by another transaction")
            holder.shared.add(thing)

    def seize(self, holder: Holder, *things: Hashable) -> None:
        """Claim things for this transaction alone, all of them or none."""
        with self._lock:
            for thing in things:
                for rival in self._rivals(holder):
                    if thing in rival.exclusive or thing in rival.shared:
                        raise _lost(rival, f"{_words(thing)} is in use by another transaction")
            holder.exclusive.update(things)

    def write(self, holder: Holder, table: int, rows: set[int]) -> None:
        """Claim rows of a table by id."""
        with self._lock:
            for rival in self._rivals(holder):
                if not rival.rows.get(table, _NOTHING).isdisjoint(rows):
                    raise _lost(rival, "a row was changed by another transaction")
            holder.rows.setdefault(table, set()).update(rows)

    def _rivals(self, holder: Holder) -> list[Holder]:
        return [
            other
            for other in self._holders
            if other is not holder and (other.ended is None or other.ended > holder.began)
        ]


_NOTHING: frozenset[int] = frozenset()


def _lost(rival: Holder, message: str) -> Lost:
    rival.in_the_way = True
    return Lost(message)


def _words(thing: Hashable) -> str:
    return " ".join(str(part) for part in thing) if isinstance(thing, tuple) else str(thing)
