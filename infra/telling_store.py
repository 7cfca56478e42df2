"""The `MetadataStore` that tells of what it changes.

* Whoever remembers a flow that changed is told by a mark (see `schemas.domain.mark`), after the
  commit and before `transact` returns: who learns that something is done can rely on its being
  seen. When marks cannot be left, that is `Unavailable`.
* Then whoever passes events on is told that there are some.
* What an attempt to commit would have changed is told of whether or not that is the attempt that
  arrived.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from schemas.domain.changes import Changes
from schemas.domain.identifiers import FlowId
from schemas.domain.mark import spans_of
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks.ports import Marks, MetadataStore, Snapshot

T = TypeVar("T")


class TellingStore:
    """What `store` does, told of with `marks`, and by `announce` if there are events."""

    def __init__(self, store: MetadataStore, marks: Marks, announce: Callable[[], None]) -> None:
        self._store = store
        self._marks = marks
        self._announce = announce

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent view; see `MetadataStore.read`."""
        return self._store.read()

    def transact(self, decide: Callable[[Snapshot], tuple[Changes, T]]) -> T:
        """Decide and write in one transaction, and tell of it; see `MetadataStore.transact`."""
        attempts: list[Changes] = []

        def noted(snapshot: Snapshot) -> tuple[Changes, T]:
            changes, result = decide(snapshot)
            attempts.append(changes)
            return changes, result

        result = self._store.transact(noted)
        self._marks.leave(self._changed(attempts))
        if any(changes.told for changes in attempts):
            self._announce()
        return result

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        self._store.ping()

    def _changed(self, attempts: list[Changes]) -> dict[FlowId, TimeRange]:
        """The time that was changed of each flow: all of it, where an object's URLs were."""
        spans: dict[FlowId, TimeRange] = {}
        for changes in attempts:
            for flow_id, span in spans_of(changes).items():
                spans[flow_id] = TimeRange.hull([span, spans.get(flow_id, span)])
        relinked = {object_id for changes in attempts for object_id in changes.relinked}
        if relinked:
            with self._store.read() as snapshot:
                for object_id in relinked:
                    spans |= dict.fromkeys(snapshot.flows_using(object_id), ETERNITY)
        return spans
