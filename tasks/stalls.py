"""Flows that segments should come into, and do not.

* `look`, every few seconds, reads the flows that are ingesting and the stalls that go on, and
  records what began and what ended. A stall is on record once: its flow says that it has one.
* The next segment ends a stall in its own transaction (`domain/registration`).
* How things are just now follows from the flows alone, and does not wait for `look`.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from schemas.domain.changes import Changes
from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.inflow import INGESTING
from schemas.domain.query import Listing, Page, page_of, position
from schemas.domain.stall import IngestState, Patience, Stall
from schemas.domain.timerange import NEVER, NS_PER_S, TimeRange
from tasks.ports import Ports, Snapshot

log = logging.getLogger(__name__)

_LAST_HOUR: Final = 2 * 3_600 * NS_PER_S
_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Ingesting:
    """A flow that is ingesting, how that goes, and the last hour of its timeline."""

    flow: Flow
    state: IngestState
    last_hour: Coverage


def health(
    ports: Ports, listing: Listing, flow_id: FlowId | None, state: IngestState | None
) -> tuple[Counter[IngestState], Page[Ingesting]]:
    """How many ingesting flows there are in each state, and a page of those asked for, by id."""
    now, patience = ports.clock.now(), ports.limits.patience
    with ports.metadata.read() as snapshot:
        states = {
            flow.id: (flow, patience.state_of(flow, now))
            for flow in snapshot.all_flows({"status": INGESTING})
        }
        wanted = [
            (flow, found)
            for flow, found in states.values()
            if flow_id in {None, flow.id} and state in {None, found}
        ]
        page = page_of(wanted, lambda each: position(each[0].id, each[0].id), listing)
        shown = [Ingesting(*each, _last_hour(snapshot, each[0])) for each in page.items]
    counts = Counter(found for _, found in states.values())
    return counts, Page(shown, page.next_key, page.limit)


def history(ports: Ports, listing: Listing, flow_id: FlowId | None) -> Page[Stall]:
    """The stalls on record, the latest first."""
    equal = {} if flow_id is None else {"flow_id": flow_id}
    with ports.metadata.read() as snapshot:
        found = snapshot.stalls(**equal)
    return page_of(found, lambda stall: position(stall.started, stall.flow_id), listing)


def look(ports: Ports) -> None:
    """Record the stalls that began, and end those of flows that ingest no more."""
    now, patience = ports.clock.now(), ports.limits.patience

    def decide(snapshot: Snapshot) -> tuple[Changes, list[Stall]]:
        ingesting = {flow.id: flow for flow in snapshot.all_flows({"status": INGESTING})}
        over = [stall for stall in snapshot.open_stalls() if stall.flow_id not in ingesting]
        left = snapshot.flows([stall.flow_id for stall in over], going=True) if over else {}
        begun = _begun(ingesting.values(), patience, now)
        return Changes(
            add=tuple(begun),
            replace=(
                *(stall.over(now) for stall in over),
                *(_marked(ingesting[stall.flow_id], stall.started) for stall in begun),
                *(_marked(flow, None) for flow in left.values()),
            ),
        ), begun

    for stall in ports.metadata.transact(decide):
        log.warning("flow %s has stalled: no segment since %s", stall.flow_id, stall.started)


def forget(ports: Ports) -> None:
    """Forget stalls that ended long ago."""
    oldest = ports.clock.now() - _KEPT

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        ended = [each for each in snapshot.stalls() if each.ended and each.ended < oldest]
        return Changes(remove=tuple(ended)), None

    ports.metadata.transact(decide)


def _begun(flows: Iterable[Flow], patience: Patience, now: datetime) -> list[Stall]:
    return [
        Stall(flow.id, flow.inflow.arrived, now)
        for flow in flows
        if flow.inflow.arrived is not None
        and flow.inflow.stalled_since is None
        and patience.state_of(flow, now) is IngestState.STALLED
    ]


def _marked(flow: Flow, since: datetime | None) -> Flow:
    return replace(flow, inflow=replace(flow.inflow, stalled_since=since))


def _last_hour(snapshot: Snapshot, flow: Flow) -> Coverage:
    content = flow.content.timerange
    if content == NEVER:
        return Coverage()
    hour = TimeRange(max(content.start, content.end - _LAST_HOUR), content.end)
    return snapshot.coverage(flow.id, CoverageQuery(hour))
