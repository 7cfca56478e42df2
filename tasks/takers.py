"""Flows that were found to take segments a moment ago, in this process.

* They are found out by asking, or by a request that was done: who goes on need not ask again.
* It only saves asking: whether a flow takes a segment is decided when that is registered.
"""

from datetime import datetime, timedelta
from typing import Final

from schemas.domain.identifiers import FlowId

_A_MOMENT: Final = timedelta(seconds=1)
_MOST: Final = 10_000


class Takers:
    """Remembers flows for a moment; any thread may ask."""

    def __init__(self) -> None:
        self._until: dict[FlowId, datetime] = {}

    def knows(self, flow_id: FlowId, now: datetime) -> bool:
        """Whether a flow took segments a moment ago."""
        until = self._until.get(flow_id)
        return until is not None and now < until

    def add(self, flow_id: FlowId, now: datetime) -> None:
        """Remember that a flow takes segments."""
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until[flow_id] = now + _A_MOMENT

    def discard(self, flow_id: FlowId) -> None:
        """Forget a flow that changes."""
        self._until.pop(flow_id, None)
