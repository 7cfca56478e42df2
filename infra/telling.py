"""What is told of a transaction, by whoever made it.

* Whoever remembers a flow that changed is told by a mark (see `schemas.domain.mark`), after the
  commit and before anybody is answered: who learns that something is done can rely on its being
  seen. When marks cannot be left, that is `Unavailable`.
* Then whoever passes events on is told that there are some.
* What an attempt to commit would have changed is told of whether or not that is the attempt that
  arrived.
"""

from collections.abc import Callable, Sequence

from schemas.domain.changes import Changes
from schemas.domain.identifiers import FlowId
from schemas.domain.mark import spans_of
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks.ports import Marks, MetadataStore


class Telling:
    """Tells with `marks`, and with `announce` when there are events."""

    def __init__(self, marks: Marks, announce: Callable[[], None]) -> None:
        self._marks = marks
        self._announce = announce

    def __call__(self, store: MetadataStore, attempts: Sequence[Changes]) -> None:
        """Tell of a transaction with `store` that took these attempts; the last of them arrived."""
        self._marks.leave(_changed(store, attempts))
        if any(changes.told for changes in attempts):
            self._announce()


def _changed(store: MetadataStore, attempts: Sequence[Changes]) -> dict[FlowId, TimeRange]:
    """The time that was changed of each flow: all of it, where an object's URLs were."""
    spans: dict[FlowId, TimeRange] = {}
    for changes in attempts:
        for flow_id, span in spans_of(changes).items():
            spans[flow_id] = TimeRange.hull([span, spans.get(flow_id, span)])
    relinked = {object_id for changes in attempts for object_id in changes.relinked}
    if relinked:
        with store.read() as snapshot:
            for object_id in relinked:
                spans |= dict.fromkeys(snapshot.flows_using(object_id), ETERNITY)
    return spans
