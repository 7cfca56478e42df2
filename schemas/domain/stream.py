"""What one encoder writes, where a restart begins a new flow: a chain of flows of one source.

* A stream is known by the flow its rule names; its segments go into the current one.
* A flow that succeeds another falls on the same shard, so that all of a stream stays in order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from uuid import UUID, uuid5

from schemas.domain.identifiers import FlowId


@dataclass(frozen=True, slots=True)
class Stream:
    """The flow that rule and key name, the one in its place now, and the one before that."""

    flow_id: FlowId
    current: FlowId
    previous: FlowId


def successor(flow_id: FlowId, first: str, shard_of: Callable[[FlowId], int]) -> FlowId:
    """The flow that begins with the object called `first`, where `flow_id` ended."""
    home = shard_of(flow_id)
    names = (FlowId(str(uuid5(UUID(flow_id), f"{first}#{n}"))) for n in count())
    return next(name for name in names if shard_of(name) == home)
