"""Scenarios: what growth costs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice

import orjson

from bench.load import Drive
from bench.measures import Check, Figure, Result
from bench.scripts import Ask, ListSpans, PutFlows, Register, RegisterAnywhere
from bench.store import LARGEST_PAGE, Bench, Flow
from tests.making import video

_SMALL = 1_000
_STAGES = (_SMALL, 10_000, 100_000)
_LONG_STAGES = (*_STAGES, 1_000_000)
_FLOWS, _LONG_FLOWS = 200, 10_000
_SPAN = 300
_FASTER, _IN_VAIN = 1.1, 2  # so many times faster is faster; so many rounds that are not, the end


@dataclass(frozen=True, slots=True)
class Stage:
    """Rates at some size of a flow; `fill` is that of the segments up to there, in lists."""

    segments: int
    fill: float
    register: float
    list: float


def grow(bench: Bench) -> Result:
    """One flow grows: rates of registering (8 clients) and listing (4) at 1 000 and at the end."""
    sizes = _LONG_STAGES if bench.long else [size for size in _STAGES if size <= bench.size]
    flow, stages = Flow(bench.put_flow(), set()), []
    for size in sizes:
        _, filled = bench.fill(size, flow)
        fill = filled.rate("register") * 1_000 if filled else 0.0
        stage, registered = _stage(bench, flow, fill)
        stages.append(stage)
    small, _ = bench.fill(_SMALL)
    beside, _ = _stage(bench, small, 0.0)
    result = bench.result(
        registered,
        [flow, small],
        figures=[
            Figure("grow-register", stages[0].register / stages[-1].register),
            Figure("grow-list", stages[0].list / stages[-1].list),
        ],
    )
    result.notes["stages"] = [asdict(stage) for stage in stages]
    result.notes["a small flow beside it"] = asdict(beside)
    if not bench.long:
        bench.keep(flow)
    return result


def _stage(bench: Bench, flow: Flow, fill: float) -> tuple[Stage, Drive]:
    size = len(flow.places)
    bench.settle()
    listed = _listed(bench, flow.id, size)
    scripts = [Register(flow.id, lane, 8, first=size) for lane in range(8)]
    registered = bench.drive(scripts)
    flow.places.update(*(script.acknowledged for script in registered.scripts))
    bench.mend(flow)
    return Stage(size, fill, registered.rate("register"), listed), registered


def _listed(bench: Bench, flow_id: str, size: int) -> float:
    """How many lists a second 4 clients get, once what the store remembers makes them no faster."""
    best, vain, seeds = 0.0, 0, count()
    while vain < _IN_VAIN:
        scripts = [ListSpans(flow_id, size, _SPAN, seed) for seed in islice(seeds, 4)]
        rate = bench.drive(scripts).rate("list")
        vain = 0 if rate > _FASTER * best else vain + 1
        best = max(rate, best)
    return best


def many_flows(bench: Bench) -> Result:
    """Many flows: rates of registering in any of them and of listing one, before and after."""
    few = [bench.put_flow() for _ in range(8)]
    listed, _ = bench.fill(_SMALL)
    before = _anywhere(bench, few), _lists(bench, listed), _lists_of_flows(bench)
    created = _create(bench, _LONG_FLOWS if bench.long else _FLOWS)
    flow_ids = [flow_id for script in created.scripts for flow_id in script.flow_ids]
    bench.settle()
    after = _anywhere(bench, flow_ids), _lists(bench, listed), _lists_of_flows(bench)
    rates = [(one.rate(), other.rate()) for one, other in zip(before, after, strict=True)]
    (few_register, many_register), (few_list, many_list), (few_flows, many_flows) = rates
    figures = [
        Figure("create-flows", created.rate("create")),
        Figure("flows-register", few_register / many_register),
        Figure("flows-list", few_list / many_list),
    ]
    result = bench.result(created, figures=figures)
    result.checks += [
        bench.listed(*_registered(before[0], after[0])),
        _all_there(bench, flow_ids),
    ]
    result.notes |= {
        "flows": len(flow_ids),
        "registered per second, few and many": [few_register, many_register],
        "lists of segments per second, few and many": [few_list, many_list],
        "lists of flows per second, few and many": [few_flows, many_flows],
    }
    return result


def _create(bench: Bench, flows: int) -> Drive:
    body = orjson.dumps(video("FLOW"))
    scripts = [PutFlows([bench.new_id() for _ in range(flows // 4)], body) for _ in range(4)]
    return bench.drive(scripts, steps=flows // 4)


def _anywhere(bench: Bench, flow_ids: Sequence[str]) -> Drive:
    return bench.drive([RegisterAnywhere(flow_ids, lane, 8) for lane in range(8)])


def _lists(bench: Bench, flow: Flow) -> Drive:
    return bench.drive([ListSpans(flow.id, _SMALL, _SPAN, seed) for seed in range(4)])


def _lists_of_flows(bench: Bench) -> Drive:
    return bench.drive([Ask(b"/flows?limit=100")])


def _registered(*done: Drive) -> list[Flow]:
    """What was registered anywhere, by flow."""
    places: dict[str, set[int]] = defaultdict(set)
    for script in (script for each in done for script in each.scripts):
        for flow_id, place in script.acknowledged:
            places[flow_id].add(place)
    return [Flow(*each) for each in places.items()]


def _all_there(bench: Bench, flow_ids: Sequence[str]) -> Check:
    """Whether the list of flows has them all, once."""
    with bench.client() as to:
        bodies = list(to.pages("flows", b"/flows", f"limit={LARGEST_PAGE}"))
    found = [item["id"] for body in bodies for item in orjson.loads(body)]
    missing, repeated = len(set(flow_ids) - set(found)), len(found) - len(set(found))
    fault = f"{missing} missing, {repeated} repeated" if missing or repeated else ""
    return Check(f"{len(flow_ids)} flows created are listed", fault)
