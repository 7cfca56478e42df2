"""The flows a file is ingested into: found, or made with the technical metadata of the file.

* A file with one stream is one flow. A file with several is one flow for each, and a multi
  flow that collects them and says where in the original file each one was.
* A flow that exists is used as it is, and must be of the same kind, codec and container.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from infra.media.codecs import MULTI_URN
from infra.media.plan import Plan, StreamPlan
from workers.client.identity import flow_of_stream, source_of
from workers.client.store import Json, Store, StoreError


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes: `flow_id` names the whole, `stream_flows[i]` stream `i` of the plan."""

    flow_id: str
    stream_flows: Sequence[str]


def target(store: Store, plan: Plan, flow_id: str, label: str, duration: Fraction) -> Target:
    """The flows for the streams of `plan`, made where they do not exist yet.

    Args:
        store: where they are.
        plan: how the file will be cut.
        flow_id: the flow of the whole file.
        label: what to call new flows.
        duration: the wanted duration of segments, in seconds.

    Raises:
        StoreError: when an existing flow is of another kind, or the store refuses one.
    """
    existing = store.flow(flow_id)
    found = _members(store, existing, plan) if existing else _new_ids(plan, flow_id)
    for number, id_ in enumerate(found.stream_flows):
        _ensure(store, _stream_flow(plan, number, id_, label, duration))
    if existing is None and len(found.stream_flows) > 1:
        store.put_flow(_multi_flow(plan, found, label))
    return found


def roles(streams: Sequence[StreamPlan]) -> list[str]:
    """What each stream is in its collection: `video`, `audio`, `audio 2`, ..."""
    named: list[str] = []
    for stream in streams:
        kind = stream.essence.kind.value
        count = sum(name.split(" ", maxsplit=1)[0] == kind for name in named)
        named.append(f"{kind} {count + 1}" if count else kind)
    return named


def _new_ids(plan: Plan, flow_id: str) -> Target:
    if len(plan.streams) == 1:
        return Target(flow_id, (flow_id,))
    return Target(flow_id, tuple(flow_of_stream(flow_id, n) for n in range(len(plan.streams))))


def _members(store: Store, existing: Json, plan: Plan) -> Target:
    """The flows of an existing flow that the streams of `plan` go into."""
    flow_id = existing["id"]
    if existing["format"] != MULTI_URN:
        if len(plan.streams) == 1:
            return Target(flow_id, (flow_id,))
        raise StoreError(
            f"flow {flow_id} is {existing['format']}, but the file has {len(plan.streams)} streams"
        )
    free = [item["id"] for item in existing.get("flow_collection", [])]
    formats = {id_: (store.flow(id_) or {}).get("format") for id_ in free}
    chosen = []
    for stream in plan.streams:
        id_ = next((i for i in free if formats[i] == stream.essence.kind.urn), None)
        if id_ is None:
            raise StoreError(
                f"flow {flow_id} collects no further {stream.essence.kind} flow for stream "
                f"{stream.essence.index} of the file"
            )
        free.remove(id_)
        chosen.append(id_)
    return Target(flow_id, tuple(chosen))


def _ensure(store: Store, flow: Json) -> None:
    """Make `flow`, unless there is one of its id, which must suit the same segments."""
    existing = store.flow(flow["id"])
    if existing is None:
        store.put_flow(flow)
        return
    for name in ("format", "codec", "container"):
        if existing.get(name) != flow[name]:
            raise StoreError(
                f"flow {flow['id']} has {name} {existing.get(name)}, but the file's segments "
                f"would be {flow[name]}",
                field=name,
            )


def _stream_flow(plan: Plan, number: int, id_: str, label: str, duration: Fraction) -> Json:
    stream = plan.streams[number]
    whole = len(plan.streams) == 1
    return {
        "id": id_,
        "source_id": source_of(id_),
        "label": label if whole else f"{label} ({roles(plan.streams)[number]})",
        **stream.essence.flow_fields(stream.carrier.mime),
        "segment_duration": {"numerator": duration.numerator, "denominator": duration.denominator},
    }


def _multi_flow(plan: Plan, found: Target, label: str) -> Json:
    collected: list[dict[str, Any]] = [
        {"id": id_, "role": role, "container_mapping": plan.probe.container_mapping(number)}
        for number, (id_, role) in enumerate(
            zip(found.stream_flows, roles(plan.streams), strict=True)
        )
    ]
    return {
        "id": found.flow_id,
        "source_id": source_of(found.flow_id),
        "label": label,
        "format": MULTI_URN,
        "flow_collection": collected,
    }
