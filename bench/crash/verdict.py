"""What a store holds, compared with what it answered."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench.crash.plan import Piece, Plan
from infra.vast.session import Database
from schemas.domain.timerange import TimeRange
from schemas.tables.definitions import EVENTS, FLOWS, OBJECTS, OUTBOX, SEGMENTS
from schemas.tables.details import each_row
from tests.making import listed
from tests.services.running import Running

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of segments; `start` and `end` in half-nanoseconds."""

    flow_id: str
    object_id: str
    start: int
    end: int

    @classmethod
    def of(cls, piece: Piece) -> "Row":
        """The row that `piece` must have become."""
        timerange = TimeRange.parse(piece.timerange)
        return cls(piece.flow_id, piece.object_id, timerange.start, timerange.end)


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables hold, and which problems are listed, by key.

    `told` are the segments that events in the log tell of; `untold` counts those still to come.
    """

    rows: Sequence[Row]
    flows: Mapping[str, tuple[int, int, int]]  # start, end, how many segments
    objects: Sequence[tuple[str, int]]  # with how many segments refer to them
    problems: Mapping[str, str]
    told: Sequence[Row]
    untold: int = 0

    @classmethod
    def read(cls, store: Running) -> "Found":
        def read(name: str, *columns: str) -> list[tuple[Any, ...]]:
            found = transaction.table(name).select(columns)
            return list(zip(*(found[column].to_pylist() for column in columns), strict=True))

        with Database(store.settings.vast).transaction() as transaction:
            flows = [  # what else is in the table holds no segments, not even none
                row for row in read(FLOWS, "id", "start", "end", "segments") if row[3] is not None
            ]
            return cls(
                [Row(*row) for row in read(SEGMENTS, "flow_id", "object_id", "start", "end")],
                {flow_id: (start, end, count) for flow_id, start, end, count in flows},
                read(OBJECTS, "id", "references"),
                dict(_problems(store.facts["api"])),
                [row for (detail,) in read(EVENTS, "detail") for row in _told(detail)],
                len(read(OUTBOX, "id")),
            )


def _told(detail: str) -> Iterator[Row]:
    for row in each_row(json.loads(detail).get(SEGMENTS, ())):
        yield Row(row["flow_id"], row["object_id"], row["start"], row["end"])


def _problems(api_url: str) -> Iterator[tuple[str, str]]:
    with httpx.Client(base_url=api_url, timeout=60) as api:
        url = "/ingest-problems?limit=1000"
        while url:
            answer = api.get(url).raise_for_status()
            yield from ((each["key"], each["reason"]) for each in answer.json())
            url = answer.links.get("next", {}).get("url", "")


def faults(found: Found, plan: Plan, answers: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Everything that is not as it was said to be, by kind.

    `answers` holds why a segment was refused, by object id; None if it was acknowledged.
    """
    offered = {Row.of(piece): answers.get(piece.object_id, "") for piece in plan.pieces}
    dropped = {Row.of(drop.piece): drop for drop in plan.drops}
    rows = set(found.rows)
    by_flow = _by_flow(found.rows)
    taken = [
        *(row for row, reason in offered.items() if reason),
        *(row for row, drop in dropped.items() if row not in rows and not drop.doomed),
    ]
    return {
        "lost": _texts(
            row for row, reason in offered.items() if reason is None and row not in rows
        ),
        "doubled": _repeated(found.rows) + _repeated(each for each, _ in found.objects),
        "overlapping": [
            f"{a} {b}" for each in by_flow.values() for a, b in pairwise(each) if a.end > b.start
        ],
        "there though refused": _texts(
            row for row, reason in offered.items() if reason and row in rows
        ),
        "never offered": _texts(rows - offered.keys() - dropped.keys()),
        "refused for nothing": _texts(
            row
            for row in taken
            if not any(
                row.start < other.end and other.start < row.end
                for other in by_flow.get(row.flow_id, ())
            )
            and not (offered.get(row) or "").startswith("PutAside")
        ),
        "files lost": _texts(
            row for row in dropped if row not in rows and row.object_id not in found.problems
        ),
        "files both ways": _texts(
            row for row in dropped if row in rows and row.object_id in found.problems
        ),
        "miscounted": list(_miscounted(found, by_flow)),
        "told otherwise": _texts((Counter(found.told) - Counter(found.rows)).elements())
        + _texts((Counter(found.rows) - Counter(found.told)).elements()),
    }


def listed_otherwise(found: Found, api_url: str) -> Iterator[str]:
    """Flows whose list over HTTP is not what the table holds."""
    with httpx.Client(base_url=api_url, timeout=60) as api:
        for flow_id, rows in _by_flow(found.rows).items():
            items = [
                (item["object_id"], TimeRange.parse(item["timerange"]))
                for item in listed(api, flow_id, limit=1_000)
            ]
            if items != [(row.object_id, TimeRange(row.start, row.end)) for row in rows]:
                yield f"flow {flow_id} lists {len(items)} segments and has {len(rows)}"


def _by_flow(rows: Iterable[Row]) -> dict[str, list[Row]]:
    by_flow: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.start):
        by_flow[row.flow_id].append(row)
    return by_flow


def _texts(rows: Iterable[Row]) -> list[str]:
    return [str(row) for row in rows]


def _repeated(items: Iterable[Any]) -> list[str]:
    return [f"{item}, {number} times" for item, number in Counter(items).items() if number > 1]


def _miscounted(found: Found, by_flow: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Flows and objects that say otherwise than their segments."""
    for flow_id, said in found.flows.items():
        rows = by_flow.get(flow_id, ())
        if rows and said != (rows[0].start, rows[-1].end, len(rows)):
            yield f"flow {flow_id} says {said}, but has {len(rows)} segments"
    references = Counter(row.object_id for row in found.rows)
    for object_id, said_references in found.objects:
        if said_references != references[object_id]:
            yield f"object {object_id} says {said_references}, not {references[object_id]}"
    for object_id in references.keys() - {each for each, _ in found.objects}:
        yield f"object {object_id} is not there"


@dataclass(frozen=True, slots=True)
class Report:
    """What happened, and the verdict."""

    seed: int
    seconds: float
    kills: Mapping[str, int]
    counts: Mapping[str, int]
    faults: Mapping[str, Sequence[str]]

    @property
    def passed(self) -> bool:
        return not any(self.faults.values())

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}

    def print(self, console: Console) -> None:
        table = Table("", "", title=f"Killed at random, seed {self.seed}", show_header=False)
        table.add_row("seconds", f"{self.seconds:.0f}")
        for name, number in self.counts.items():
            table.add_row(name, str(number))
        table.add_section()
        for name, number in sorted(self.kills.items()):
            table.add_row(f"killed: {name}", str(number))
        table.add_section()
        for name, texts in self.faults.items():
            table.add_row(name, str(len(texts)))
        console.print(table)
        for name, texts in self.faults.items():
            for text in texts[:_SHOWN]:
                console.print(f"{name}: {text}", markup=False, highlight=False)
