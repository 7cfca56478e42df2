"""Kills the processes of a store under load, and compares what it holds with what it answered.

    make crash    or    .venv/bin/python -m bench.crash --segments 50000 --files 2000 --seed 1

* Clients register segments, singly and in lists, waiting for the outcome or following a job, and
  ask again until they have an answer; some segments overlap on purpose, some requests are repeated.
  Files are dropped into the bucket meanwhile, some of which cannot become segments.
* Processes are ended by SIGKILL, one or several at a time, whenever the load has come to a moment
  that the seed chose. The supervisor of the store starts them again.
* When nothing waits any more, the tables are read: what was acknowledged is there, once, and
  overlaps nothing; what was refused is not there, and something that is took its time; every file
  is a segment or a listed problem. Anything else is printed, and the exit status is 1.

The store is one of its own, on loopback and free ports, gone afterwards. The object store is not
killed: what it has acknowledged is not ours to keep.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

import boto3
import httpx
import psutil
import redis
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from infra.vast.session import Database
from schemas.domain.errors import Unavailable
from schemas.domain.timerange import TimeRange
from schemas.tables.definitions import FLOWS, OBJECTS, PROBLEMS, SEGMENTS
from tests.making import listed, put_flow, segment, stamp
from tests.services.running import Running, running_store

CLIENTS = 8
FLOWS_IN_USE = 16
VICTIMS = ("api", "api child", "worker", "worker child", "bulk", "beat", "listener")
VICTIMS += ("valkey", "vast")

_SIZES = (1, 1, 1, 1, 2, 5, 20, 100)
_RIVALS = 0.05  # of segments and files take half of their predecessor's time
_REPEATED = 0.05
_FOLLOWED = 0.3
_DOOMED = 0.05  # of files name no flow that exists, or no time
_DROPPED_FROM_MS = 10**9  # on the timelines: where segments of files are, away from the others
_POLL_S = 0.02
_SHOWN = 5
_MOST_BEHIND = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment to be, from `start` to `end` in milliseconds."""

    flow_id: str
    object_id: str
    start: int
    end: int

    @property
    def timerange(self) -> str:
        return f"[{stamp(self.start)}_{stamp(self.end)})"

    def body(self) -> dict[str, Any]:
        url = f"http://elsewhere.example/{self.object_id}"
        return segment(self.object_id, self.start, self.end, get_urls=[{"label": "x", "url": url}])


@dataclass(frozen=True, slots=True)
class Request:
    """One POST; `followed` asks for a job, `repeats` says how often it is sent once answered."""

    pieces: Sequence[Piece]
    followed: bool
    repeats: int


@dataclass(frozen=True, slots=True)
class Drop:
    """One file; a doomed one cannot become a segment. Its object id is its key."""

    piece: Piece
    metadata: Mapping[str, str]
    doomed: bool
    times: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to a store, the same for the same seed."""

    requests: Sequence[Sequence[Request]]  # by client
    drops: Sequence[Drop]
    kills: Sequence[float]  # when, as fractions of the segments answered

    @property
    def pieces(self) -> Iterator[Piece]:
        for requests in self.requests:
            for request in requests:
                yield from request.pieces


def plan(rng: Random, flows: Sequence[str], segments: int, files: int, kills: int) -> Plan:
    """A plan for a store in which `flows` are and nothing else."""
    lanes: dict[tuple[str, int], list[Piece]] = defaultdict(list)
    for piece in _pieces(rng, flows, segments, 0, "o"):
        lanes[piece.flow_id, rng.randrange(2)].append(piece)  # two clients to a flow
    requests: list[list[Request]] = [[] for _ in range(CLIENTS)]
    for number, pieces in enumerate(lanes.values()):
        requests[number % CLIENTS] += _requests(rng, pieces)
    for each in requests:
        each.sort(key=lambda request: request.pieces[0].start)
    drops = [_drop(rng, piece) for piece in _pieces(rng, flows, files, _DROPPED_FROM_MS, "drop/")]
    return Plan(requests, drops, sorted(rng.uniform(0.02, 0.95) for _ in range(kills)))


def _pieces(
    rng: Random, flows: Sequence[str], count: int, first: int, prefix: str
) -> Iterator[Piece]:
    """Segments of a second, one after the other in each flow, of which some come half too soon."""
    for number in range(count):
        start = first + number // len(flows) * 1_000
        start -= 500 if rng.random() < _RIVALS and number >= len(flows) else 0
        object_id = f"{prefix}{UUID(int=rng.getrandbits(128))}"
        yield Piece(flows[number % len(flows)], object_id, start, start + 1_000)


def _requests(rng: Random, pieces: Sequence[Piece]) -> Iterator[Request]:
    place = 0
    while place < len(pieces):
        part = pieces[place : place + rng.choice(_SIZES)]
        place += len(part)
        yield Request(part, rng.random() < _FOLLOWED, 1 + (rng.random() < _REPEATED))


def _drop(rng: Random, piece: Piece) -> Drop:
    metadata = {"tams-flow-id": piece.flow_id, "tams-timerange": piece.timerange}
    doomed = rng.random() < _DOOMED
    if doomed:
        name, value = rng.choice(
            [("tams-flow-id", str(UUID(int=rng.getrandbits(128)))), ("tams-timerange", "[2:0_1:0)")]
        )
        metadata[name] = value
    return Drop(piece, metadata, doomed, 1 + (rng.random() < _REPEATED))


@dataclass
class Ledger:
    """What the clients were told, by object id; shared by their threads."""

    total: int
    answers: dict[str, str | None] = field(default_factory=dict)  # None: acknowledged
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _lock: Lock = field(default_factory=Lock)

    @property
    def progress(self) -> float:
        return len(self.answers) / self.total

    def count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self.counts[name] += number

    def fault(self, kind: str, text: str) -> None:
        with self._lock:
            self.faults[kind].append(text)

    def answered(self, piece: Piece, refusal: str | None) -> None:
        with self._lock:
            before = self.answers.setdefault(piece.object_id, refusal)
        if (before is None) != (refusal is None):
            self.fault("answered otherwise", f"{piece}: {before}, then {refusal}")


class Run:
    """A plan carried out on a store."""

    def __init__(self, store: Running, chosen: Plan, rng: Random, limit_s: float) -> None:
        self.store = store
        self.plan = chosen
        self.rng = rng
        self.deadline = time.monotonic() + limit_s
        self.ledger = Ledger(sum(1 for _ in chosen.pieces))
        self.kills: Counter[str] = Counter()
        self.stopped = Event()
        self.api = store.facts["api"]

    def carry_out(self) -> None:
        """Do it all and wait until nothing is left to be done; a failure is raised."""
        failures: list[BaseException] = []

        def task(function: Callable[..., None], *arguments: Any) -> Thread:
            def run() -> None:
                try:
                    function(*arguments)
                except BaseException as error:  # noqa: BLE001 - raised below, in the main thread
                    failures.append(error)
                    self.stopped.set()

            thread = Thread(target=run)
            thread.start()
            return thread

        rngs = [Random(self.rng.random()) for _ in self.plan.requests]
        threads = [task(self._client, *each) for each in zip(self.plan.requests, rngs, strict=True)]
        threads += [task(self._drop_files), task(self._kill)]
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        self._settle()

    @property
    def out_of_time(self) -> bool:
        return self.stopped.is_set() or time.monotonic() > self.deadline

    def _client(self, requests: Sequence[Request], rng: Random) -> None:
        with httpx.Client(base_url=self.api, timeout=60) as api:
            for request in requests:
                while self._kills_due() - self.kills.total() > _MOST_BEHIND:
                    if self.out_of_time:
                        return
                    time.sleep(_POLL_S)
                for _ in range(request.repeats):
                    self._post(api, request, rng)

    def _post(self, api: httpx.Client, request: Request, rng: Random) -> None:
        pieces, flow_id = request.pieces, request.pieces[0].flow_id
        bodies = [piece.body() for piece in pieces]
        body = bodies[0] if len(bodies) == 1 else bodies
        headers = {"Prefer": "respond-async"} if request.followed else {}
        self.ledger.count("requests")
        path = f"/flows/{flow_id}/segments"
        answer = self._answer(lambda: api.post(path, json=body, headers=headers), rng)
        if answer is None:
            return
        match answer.status_code:
            case 202:
                refused = self._followed(api, answer.headers["Location"], len(pieces), rng)
            case 201:
                refused = []
            case 200:
                refused = answer.json()["failed_segments"]
            case _:
                refused = [{**pieces[0].body(), "error": answer.json()}]
        if refused is None:
            return
        reasons = {
            (each["object_id"], each["timerange"]): f"{each['error']['type']}: {each['error']}"
            for each in refused
        }
        for piece in pieces:
            self.ledger.answered(piece, reasons.get((piece.object_id, piece.timerange)))

    def _followed(
        self, api: httpx.Client, path: str, total: int, rng: Random
    ) -> list[dict[str, Any]] | None:
        """The failures of a job that ended."""
        while (answer := self._answer(lambda: api.get(path), rng)) is not None:
            job = answer.json()
            if answer.status_code != 200:
                self.ledger.fault("jobs lost", f"{path}: {job}")
                return None
            if job["state"] in {"done", "error"}:
                if (job["total"], job["done"]) != (total, total):
                    self.ledger.fault("jobs miscounted", str(job)[:200])
                return list(job.get("failed_segments", ()))
            time.sleep(0.2)
        return None

    def _answer(self, ask: Callable[[], httpx.Response], rng: Random) -> httpx.Response | None:
        """The answer that is final; None when there was none in time."""
        while not self.out_of_time:
            try:
                answer = ask()
            except httpx.TransportError:
                self.ledger.count("retries after a broken connection")
                time.sleep(rng.uniform(0.1, 1))
                continue
            if answer.status_code == 503:
                self.ledger.count("retries after 503")
                time.sleep(float(answer.headers["Retry-After"]) * rng.uniform(0.5, 1))
                continue
            if answer.status_code >= 500 and answer.json()["type"] != "PutAside":
                self.ledger.fault("server errors", f"{answer.request.url}: {answer.text}")
            return answer
        self.ledger.fault("unanswered", "a request had no final answer in time")
        return None

    def _drop_files(self) -> None:
        facts = self.store.facts["s3"]
        s3 = boto3.client(
            "s3",
            endpoint_url=facts["endpoint"],
            region_name=facts["region"],
            aws_access_key_id=facts["access_key"],
            aws_secret_access_key=facts["secret_key"],
        )
        for number, drop in enumerate(self.plan.drops):
            while self.ledger.progress < number / len(self.plan.drops) and not self.out_of_time:
                time.sleep(_POLL_S)
            for _ in range(drop.times):
                self._put(s3, facts["bucket"], drop)

    def _put(self, s3: Any, bucket: str, drop: Drop) -> None:
        key, metadata = drop.piece.object_id, dict(drop.metadata)
        while not self.out_of_time:
            try:
                s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 188, Metadata=metadata)
            except (BotoCoreError, ClientError):
                self.ledger.count("retries of a file")
                continue
            self.ledger.count("files")
            return

    def _kills_due(self) -> int:
        progress = self.ledger.progress
        return sum(each <= progress for each in self.plan.kills)

    def _kill(self) -> None:
        """Kill whenever it is due, those first that were killed least."""
        while self.kills.total() < len(self.plan.kills) and not self.out_of_time:
            if self.kills.total() >= self._kills_due():
                time.sleep(_POLL_S)
                continue
            time.sleep(self.rng.uniform(0, 0.5))
            names = sorted(VICTIMS, key=lambda name: (self.kills[name], self.rng.random()))
            for name in names:
                if self._killed(name):
                    self.kills[name] += 1
                    break

    def _killed(self, name: str) -> bool:
        """Kill the process, or a child of it, unless it is being started anyhow."""
        service, _, child = name.partition(" ")
        pid = self.store.facts["processes"].get(service)
        ours = {each.pid: each for each in self.store.process.children(recursive=True)}
        try:
            victim = ours[pid]
            if child:
                victim = self.rng.choice(victim.children(recursive=True))
            victim.kill()
        except (KeyError, IndexError, psutil.NoSuchProcess):
            return False
        return True

    def _settle(self) -> None:
        """Wait until nothing waits in the broker and every file is accounted for."""
        broker = redis.Redis.from_url(self.store.facts["redis"])
        while not self._settled(broker):
            if self.out_of_time:
                self.ledger.fault("unfinished", "something still waited when the time was up")
                return
            time.sleep(0.5)

    def _settled(self, broker: redis.Redis) -> bool:
        try:
            streams = [*broker.keys("tams:inbox:*"), b"tams:notices"]
            if any(broker.xlen(stream) for stream in streams):
                return False
            found = Found.read(self.store)
        except (redis.RedisError, Unavailable):
            return False  # killed a moment ago
        known = {row.object_id for row in found.rows} | found.problems.keys()
        return all(drop.piece.object_id in known for drop in self.plan.drops)


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
    """What the tables hold."""

    rows: Sequence[Row]
    flows: Mapping[str, tuple[int, int, int]]  # start, end, how many segments
    objects: Sequence[tuple[str, int]]  # with how many segments refer to them
    problems: Mapping[str, str]

    @classmethod
    def read(cls, store: Running) -> "Found":
        def read(name: str, *columns: str) -> list[tuple[Any, ...]]:
            found = transaction.table(name).select(columns)
            return list(zip(*(found[column].to_pylist() for column in columns), strict=True))

        with Database(store.settings.vast).transaction() as transaction:
            flows = read(FLOWS, "id", "start", "end", "segments")
            return cls(
                [Row(*row) for row in read(SEGMENTS, "flow_id", "object_id", "start", "end")],
                {flow_id: (start, end, count) for flow_id, start, end, count in flows},
                read(OBJECTS, "id", "references"),
                dict(read(PROBLEMS, "key", "reason")),
            )


def faults(run: Run, found: Found) -> dict[str, list[str]]:
    """Everything that is not as it was said to be, by kind."""
    answers = run.ledger.answers
    offered = {Row.of(piece): answers.get(piece.object_id, "") for piece in run.plan.pieces}
    dropped = {Row.of(drop.piece): drop for drop in run.plan.drops}
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
                row.start < other.end and other.start < row.end for other in by_flow[row.flow_id]
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
        "listed otherwise": list(_listed_otherwise(run, by_flow)),
        **run.ledger.faults,
    }


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


def _listed_otherwise(run: Run, by_flow: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Flows whose list over HTTP is not what the table holds."""
    with httpx.Client(base_url=run.api, timeout=60) as api:
        for flow_id, rows in by_flow.items():
            items = [
                (item["object_id"], TimeRange.parse(item["timerange"]))
                for item in listed(api, flow_id, limit=1_000)
            ]
            if items != [(row.object_id, TimeRange(row.start, row.end)) for row in rows]:
                yield f"flow {flow_id} lists {len(items)} segments and has {len(rows)}"


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


def crash(
    directory: Path, segments: int, files: int, kills: int, seed: int, limit_s: float
) -> Report:
    """Run a store in `directory`, kill what it consists of, and judge what it holds then."""
    rng = Random(seed)
    began = time.monotonic()
    with running_store(directory) as store:
        with httpx.Client(base_url=store.facts["api"], timeout=60) as api:
            flows = [put_flow(api) for _ in range(FLOWS_IN_USE)]
        run = Run(store, plan(rng, flows, segments, files, kills), rng, limit_s)
        run.carry_out()
        found = Found.read(store)
        wrong = faults(run, found)
    refusals = [reason for reason in run.ledger.answers.values() if reason]
    counts = {
        **run.ledger.counts,
        "segments offered": run.ledger.total,
        "segments acknowledged": len(run.ledger.answers) - len(refusals),
        "segments refused": len(refusals),
        "segments put aside": sum(reason.startswith("PutAside") for reason in refusals),
        "segments found": len(found.rows),
        "files listed as problems": len(found.problems),
    }
    return Report(seed, time.monotonic() - began, dict(run.kills), counts, wrong)


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--segments", type=int, default=50_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--kills", type=int, help="by default one for 400 segments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=5_400, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the report, too")
    asked = parser.parse_args()
    kills = asked.segments // 400 if asked.kills is None else asked.kills
    with tempfile.TemporaryDirectory() as directory:
        report = crash(
            Path(directory), asked.segments, asked.files, kills, asked.seed, asked.time_limit
        )
    report.print(Console())
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.json(), indent=2) + "\n")
    sys.exit(not report.passed)


if __name__ == "__main__":
    main()
