"""Who collects whom, derived from the flow collections (schemas `flow-get` and `source`).

* A flow is collected by each flow whose `flow_collection` names it.
* A source collects the sources of the flows that its own flows collect, each once, in the
  order and with the role of the first such flow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.domain.flow import Flow, Member
from schemas.domain.identifiers import FlowId, SourceId


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
        members: dict[str, dict[str, Member]] = {}
        sources: dict[str, list[SourceId]] = {}
        for flow in sorted(collecting, key=lambda f: (f.created, f.id)):
            for item in flow.collection:
                flows.setdefault(item.id, []).append(flow.id)
                source_id = source_of.get(FlowId(item.id))
                if source_id is None:
                    continue
                listed = members.setdefault(flow.source_id, {})
                if source_id not in listed:
                    listed[source_id] = Member(source_id, item.role)
                    sources.setdefault(source_id, []).append(flow.source_id)
        return cls(
            {key: tuple(value) for key, value in flows.items()},
            {key: tuple(value.values()) for key, value in members.items()},
            {key: tuple(value) for key, value in sources.items()},
        )
