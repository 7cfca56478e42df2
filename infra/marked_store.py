"""The `MetadataStore` that leaves marks of what it changes (see `schemas.domain.mark`).

* The marks are left after the commit and before `transact` returns: whoever is told that something
  is done can rely on its being seen. When they cannot be left, that is `Unavailable`.
* What an attempt to commit would have changed is marked whether or not that is the attempt that
  arrived.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from schemas.domain.changes import Changes
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.mark import spans_of
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks.ports import Marks, MetadataStore, Snapshot

T = TypeVar("T")


class MarkedStore:
    """`store`, with marks."""

    def __init__(self, store: MetadataStore, marks: Marks) -> None:
        self._store = store
        self._marks = marks

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent view; see `MetadataStore.read`."""
        return self._store.read()

    def transact(self, decide: Callable[[Snapshot], tuple[Changes, T]]) -> T:
        """Decide and write in one transaction, and mark it; see `MetadataStore.transact`."""
        spans: dict[FlowId, TimeRange] = {}
        relinked: set[ObjectId] = set()

        def noting(snapshot: Snapshot) -> tuple[Changes, T]:
            changes, result = decide(snapshot)
            for flow_id, span in spans_of(changes).items():
                spans[flow_id] = TimeRange.hull([span, spans.get(flow_id, span)])
            relinked.update(changes.relinked)
            return changes, result

        result = self._store.transact(noting)
        if relinked:
            with self._store.read() as snapshot:
                using = [flow for each in relinked for flow in snapshot.flows_using(each)]
            spans |= dict.fromkeys(using, ETERNITY)
        self._marks.leave(spans)
        return result

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        self._store.ping()
