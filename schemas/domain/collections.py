"""Who collects whom, derived from the flow collections (schemas `flow-get` and `source`).

* A flow is collected by each flow whose `flow_collection` names it.
* At the level of sources, a collection is one of the sources of its members: each once, where it
  comes first, and with the role it has there.
* Flows of one source agree: what two of them collect comes in the same order in both, and has the
  same role, unless only one says a role.
* A source collects what its flows collect, in the order and with the roles they agree on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from schemas.domain.errors import Invalid
from schemas.domain.flow import Flow, Member
from schemas.domain.identifiers import FlowId, SourceId


@dataclass(frozen=True, slots=True)
class Collectors:
    """The flows that collect a flow, and the sources that collect its source."""

    flows: tuple[FlowId, ...] = ()
    sources: tuple[SourceId, ...] = ()


@dataclass(frozen=True, slots=True)
class Collections:
    """Both directions of the collection relation, for flows and for sources."""

    flows_collected_by: Mapping[str, tuple[FlowId, ...]]
    source_collections: Mapping[str, tuple[Member, ...]]
    sources_collected_by: Mapping[str, tuple[SourceId, ...]]

    @classmethod
    def derive(
        cls, collecting: Iterable[Flow], source_of: Mapping[FlowId, SourceId]
    ) -> "Collections":
        """From the flows that collect others, and the source of each member flow."""
        flows: dict[str, list[FlowId]] = {}
        collected: dict[str, list[Mapping[SourceId, str | None]]] = {}
        sources: dict[str, dict[SourceId, None]] = {}
        for flow in sorted(collecting, key=lambda f: (f.created, f.id)):
            for item in flow.collection:
                flows.setdefault(item.id, []).append(flow.id)
            of_sources = _of_sources(flow, source_of)
            collected.setdefault(flow.source_id, []).append(of_sources)
            for source_id in of_sources:
                sources.setdefault(source_id, {})[flow.source_id] = None
        return cls(
            {key: tuple(value) for key, value in flows.items()},
            {key: _merged(value) for key, value in collected.items()},
            {key: tuple(value) for key, value in sources.items()},
        )

    def of(self, flow_id: FlowId | None, source_id: SourceId) -> Collectors:
        """Who collects a flow, if one is named, and a source."""
        flows = () if flow_id is None else self.flows_collected_by.get(flow_id, ())
        return Collectors(flows, self.sources_collected_by.get(source_id, ()))


NO_COLLECTIONS: Final = Collections({}, {}, {})
"""Nobody collects anybody."""


def require_agreement(
    flow: Flow, others: Iterable[Flow], source_of: Mapping[FlowId, SourceId]
) -> None:
    """Raises Invalid when `flow` collects other than `others` do, which are of the same source."""
    mine = _of_sources(flow, source_of)
    for other in others:
        theirs = _of_sources(other, source_of)
        common = [source_id for source_id in mine if source_id in theirs]
        for source_id in common:
            roles = [mine[source_id], theirs[source_id]]
            if None not in roles and roles[0] != roles[1]:
                raise Invalid(
                    f"flow_collection gives source {source_id} the role {roles[0]!r}, and flow "
                    f"{other.id} of the same source {roles[1]!r}",
                    field="flow_collection",
                )
        if common != [source_id for source_id in theirs if source_id in mine]:
            raise Invalid(
                f"flow_collection has sources in another order than flow {other.id} of the same "
                f"source: {', '.join(common)}",
                field="flow_collection",
            )


def _of_sources(flow: Flow, source_of: Mapping[FlowId, SourceId]) -> dict[SourceId, str | None]:
    """What `flow` collects at the level of sources: their roles, in order."""
    roles: dict[SourceId, str | None] = {}
    for member in flow.collection:
        source_id = source_of.get(FlowId(member.id))
        if source_id is not None:
            roles.setdefault(source_id, member.role)
    return roles


def _merged(collections: Sequence[Mapping[SourceId, str | None]]) -> tuple[Member, ...]:
    """One collection of all that `collections` hold, in an order that suits each of them."""
    before: dict[SourceId, set[SourceId]] = {}
    roles: dict[SourceId, str | None] = {}
    for collection in collections:
        previous: set[SourceId] = set()
        for source_id, role in collection.items():
            before.setdefault(source_id, set()).update(previous)
            previous = {source_id}
            if roles.get(source_id) is None:
                roles[source_id] = role
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:  # only two flows at a time have been made to agree
        order = list(before)
    return tuple(Member(source_id, roles[source_id]) for source_id in order)
