"""The store that is measured, and what scenarios need of it.

* It is one of its own, started as `tams up` does, on free ports in a temporary directory.
* CPU seconds are those of each process of the store and what it started, of the clients, and of all
  others on the machine: with much of these, figures tell little.
* Flows that several scenarios need are filled once, when the first asks for one.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import orjson
import psutil
from rich.console import Console

from bench.floors import Floors
from bench.load import Connection, Drive, Script, drive
from bench.measures import Check, Latency, Result
from bench.scripts import (
    Pages,
    Register,
    object_id,
    offers,
    place_of,
    segments_path,
    timerange,
)
from tests.making import video
from tests.services.running import Running, running_store

LARGEST_PAGE = 1_000_000  # is lowered to what the store gives at most
FILLERS = 4

_IDLE = 0.10  # of a core
_SETTLED_WITHIN_S = 60


@dataclass
class Flow:
    """A flow and the places at which it has segments."""

    id: str
    places: set[int]


class Bench:
    """A store that runs, and how long and large scenarios shall be."""

    def __init__(
        self, store: Running, console: Console, *, seconds: float, size: int, long: bool
    ) -> None:
        self.store = store
        self.console = console
        self.seconds = seconds
        self.size = size
        self.long = long
        self.url: str = store.facts["api"]
        self.floors = Floors(store.settings, store.directory)
        self._random = Random(1)
        self._filled: dict[bool, Flow] = {}

    def drive(
        self, scripts: Sequence[Script], *, seconds: float | None = None, steps: int | None = None
    ) -> Drive:
        """Have clients act out `scripts`, for the usual time if nothing else is said."""
        if steps is None and seconds is None:
            seconds = self.seconds
        done = drive(self.url, scripts, seconds=seconds, steps=steps, cpu=self._with_others)
        others = done.cpu_s["others"] - done.cpu_s["clients"]
        return replace(done, cpu_s={**done.cpu_s, "others": others})

    def cpu_s(self) -> dict[str, float]:
        """The CPU seconds of each process of the store and all it started, so far."""
        return {
            name: sum(map(_used, _family(pid)))
            for name, pid in self.store.facts["processes"].items()
        }

    def _with_others(self) -> dict[str, float]:
        """The same, and the CPU seconds of all other processes of the machine."""
        used, machine = self.cpu_s(), psutil.cpu_times()
        busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
        return {**used, "others": busy - sum(used.values())}

    def settle(self) -> None:
        """Wait until the store is done with what it was asked for earlier."""
        deadline = time.monotonic() + _SETTLED_WITHIN_S
        while time.monotonic() < deadline:
            before, span = sum(self.cpu_s().values()), 0.5
            time.sleep(span)
            if sum(self.cpu_s().values()) - before < _IDLE * span:
                return
        self.console.print("the store has work of its own; it is not waited for any longer")

    @contextmanager
    def client(self) -> Iterator[Connection]:
        """A client in this process, for what is not measured."""
        with closing(Connection(self.url)) as to:
            yield to

    def new_id(self) -> str:
        """An id for a flow, the same in every run with the same scenarios."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def put_flow(self) -> str:
        """The id of a new flow."""
        flow_id = self.new_id()
        with self.client() as to:
            to.send("create", b"PUT", f"/flows/{flow_id}".encode(), orjson.dumps(video(flow_id)))
        return flow_id

    def filled(self, *, stored: bool) -> Flow:
        """A flow of `size` segments, whose objects are stored here or lie elsewhere."""
        if stored not in self._filled:
            flow, _ = self.fill(self.size, stored=stored)
            self._filled[stored] = flow
        return self._filled[stored]

    def keep(self, flow: Flow) -> None:
        """Have `flow` be the one of external objects that other scenarios use."""
        self._filled.setdefault(False, flow)

    def take(self) -> Flow:
        """A flow of `size` external segments that nobody else will use."""
        flow = self.filled(stored=False)
        del self._filled[False]
        return flow

    def fill(
        self, size: int, into: Flow | None = None, *, stored: bool = False
    ) -> tuple[Flow, Drive | None]:
        """Bring a flow to `size` segments, without gaps."""
        flow = into or Flow(self.put_flow(), set())
        first, missing = max(flow.places, default=-1) + 1, size - len(flow.places)
        lanes = FILLERS if missing >= FILLERS * 1_000 else 1
        per_post = min(1_000, missing // lanes)
        if not per_post:
            return flow, None
        steps = missing // (lanes * per_post)
        began = time.perf_counter()
        scripts = [
            Register(flow.id, lane, lanes, per_post, first, stored=stored) for lane in range(lanes)
        ]
        done = self.drive(scripts, steps=steps)
        flow.places.update(*(script.acknowledged for script in done.scripts))
        took = time.perf_counter() - began
        self.console.print(f"  filled {steps * lanes * per_post} segments in {took:.1f} s")
        flow, _ = self.fill(size, flow, stored=stored)
        return flow, done

    def mend(self, flow: Flow) -> None:
        """Register what clients that stopped at different places left out between them."""
        missing = sorted(set(range(max(flow.places))) - flow.places)
        with self.client() as to:
            for start in range(0, len(missing), 1_000):
                body = offers(flow.id, missing[start : start + 1_000])
                to.send("mend", b"POST", segments_path(flow.id), body)
        flow.places.update(missing)

    def listed(self, *flows: Flow) -> Check:
        """Whether exactly the segments of `flows` are listed, once, in order, as they were told."""
        with self.client() as to:
            faults = [fault for flow in flows if (fault := _fault(to, flow))]
        total = sum(len(flow.places) for flow in flows)
        where = f" in {len(flows)} flows" if len(flows) > 1 else ""
        return Check(f"{total} segments acknowledged are listed{where}", "; ".join(faults)[:1_000])

    def result(self, done: Drive, flows: Collection[Flow] = (), **more: Any) -> Result:
        """The result of a drive after which `flows` have what their places say."""
        return Result(
            latency={kind: Latency.of(done.timing(kind)) for kind in done.kinds},
            cpu_s=dict(done.cpu_s),
            seconds=done.seconds,
            checks=[self.listed(*flows)] if flows else [],
            notes={"retries after 503": done.retries} if done.retries else {},
            **more,
        )


Scenario = Callable[[Bench], Result]


def flows_of(scripts: Sequence[Register]) -> list[Flow]:
    """What was registered by `scripts`, by flow."""
    flows: dict[str, Flow] = {}
    for script in scripts:
        flow = flows.setdefault(script.flow_id, Flow(script.flow_id, set()))
        flow.places.update(script.acknowledged)
    return list(flows.values())


@contextmanager
def a_bench(
    directory: Path,
    console: Console,
    variables: Mapping[str, str],
    *,
    seconds: float,
    size: int,
    long: bool,
) -> Iterator[Bench]:
    """A store that is gone afterwards; `variables` are settings of it."""
    with running_store(directory, **variables) as store:
        yield Bench(store, console, seconds=seconds, size=size, long=long)


def _fault(to: Connection, flow: Flow) -> str:
    """How the list of a flow differs from what it should be, if it does."""
    pages = Pages(flow.id, LARGEST_PAGE)
    pages.step(0, to)
    places = []
    for item in pages.items:
        places.append(place := place_of(item))
        offered = object_id(flow.id, place), timerange(place, place)
        if (item["object_id"], item["timerange"]) != offered:
            return f"{item} was never offered"
    return difference(places, flow.places)


def difference(listed: Sequence[int], expected: Collection[int]) -> str:
    """How a list of places differs from those expected, if it does."""
    if listed == sorted(expected):
        return ""
    found, wanted = set(listed), set(expected)
    return (
        f"{len(wanted - found)} missing, {len(found - wanted)} too many, "
        f"{len(listed) - len(found)} repeated, "
        f"{'in' if list(listed) == sorted(listed) else 'out of'} order"
    )


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return sum(times[:4])  # its own, and those of children that ended
