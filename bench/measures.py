"""What is measured, and against what: figures, their targets and floors, and checks.

* A figure is a rate, where more is better, or a time or ratio, where less is.
* A floor is the same thing done with the least that could do it, in the same run.
* A check that fails fails the run: a figure of a store that answers amiss is worth nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that at least this share of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is called, what is known of others, and what it should be."""

    work: str
    unit: str
    known: str = ""
    at_least: float | None = None
    go_for: float | None = None
    less_is_better: bool = False

    def times(self, value: float) -> float | None:
        """How many times as good as asked for `value` is."""
        return self.share(value, self.at_least) if self.at_least else None

    def share(self, value: float, other: float) -> float:
        """How many times as good as `other` it is."""
        return other / value if self.less_is_better else value / other


TARGETS: Mapping[str, Target] = {
    "register-one": Target(
        "register 1 per POST, 8 clients, to 1 flow", "/s", "165; 220-310; 149-225", 400, 1_000
    ),
    "register-flows": Target(
        "register 1 per POST, 8 clients, to 8 flows", "/s", "165; 220-310; 149-225", 400, 1_000
    ),
    "read-your-write": Target("register 1 per POST and read it after its 201, 8 clients", "/s"),
    "register-alone": Target(
        "register 1 per POST, 1 client, p50", "ms", "5-11", 30, 12, less_is_better=True
    ),
    "register-100": Target(
        "register 100 per POST, 4 clients", "segments/s", "2 900", 6_000, 20_000
    ),
    "register-1000": Target(
        "register 1 000 per POST, 4 clients", "segments/s", "4 100", 15_000, 40_000
    ),
    "list": Target("list 300 by timerange without URLs, 4 clients", "/s", "70-100", 250, 1_000),
    "list-urls": Target(
        "list 300 by timerange with presigned URLs, 4 clients", "/s", "12", 150, 500
    ),
    "page": Target("page a whole flow", "rows/s", "9 000-18 000", 40_000, 150_000),
    "delete": Target("delete a whole flow's segments", "segments/s", "170", 5_000, 20_000),
    "grow-register": Target(
        "cost of registering in the grown flow against 1 000 segments",
        "times",
        "16 at 100 000",
        1.3,
        1.1,
        less_is_better=True,
    ),
    "grow-list": Target(
        "cost of listing in the grown flow against 1 000 segments",
        "times",
        "16 at 100 000",
        1.3,
        1.1,
        less_is_better=True,
    ),
    "flows-register": Target(
        "cost of registering with many flows against few", "times", "", 1.3, 1.1, True
    ),
    "flows-list": Target(
        "cost of listing with many flows against few", "times", "", 1.3, 1.1, True
    ),
    "create-flows": Target("create flows, 4 clients", "flows/s"),
    "drop-p50": Target(
        "file dropped in S3 until listed, p50", "ms", "nobody does it", 500, 150, True
    ),
    "drop-p99": Target(
        "file dropped in S3 until listed, p99", "ms", "nobody does it", 2_000, 500, True
    ),
    "race": Target("rounds of 8 overlapping POSTs, one winner each", "rounds/s"),
    "page-drift": Target("page a flow that changes meanwhile", "rows/s"),
    "mixed": Target("70 % list, 25 % register, 5 % metadata, 8 clients", "/s"),
}


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that could do it."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, named as its target is, and the floors of the same unit that it stands on."""

    name: str
    value: float
    floors: Sequence[Floor] = ()

    @property
    def target(self) -> Target:
        return TARGETS[self.name]

    def json(self) -> dict[str, Any]:
        target = self.target
        times = target.times(self.value)
        return {
            "name": self.name,
            **asdict(target),
            "value": self.value,
            "times_at_least": times,
            "met": None if times is None else times >= 1,
            "floors": [
                {**asdict(floor), "share": target.share(self.value, floor.value)}
                for floor in self.floors
            ],
        }


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests of a kind took, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """The latency of requests that took these times, in order of size."""
        shares = (percentile(seconds, share) * 1_000 for share in (0.5, 0.95, 0.99, 1.0))
        return cls(len(seconds), *shares)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold; `fault` says how it does not."""

    name: str
    fault: str = ""


@dataclass(slots=True)
class Result:
    """What a scenario found."""

    figures: list[Figure]
    latency: dict[str, Latency] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not any(check.fault for check in self.checks)

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "figures": [figure.json() for figure in self.figures]}
