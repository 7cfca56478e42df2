"""A plan carried out on a store while its processes are killed."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Lock
from typing import Any
from uuid import UUID

import boto3
import httpx
import psutil
import redis
from botocore.exceptions import BotoCoreError, ClientError

from bench.crash.plan import CLIENTS, Drop, Piece, Plan, Request, plan
from bench.crash.verdict import Found, Report, faults, listed_otherwise
from schemas.domain.errors import Unavailable
from tests.making import video
from tests.services.running import Running, running_store

VICTIMS = ("api", "api child", "worker", "worker child", "bulk", "events", "beat")
VICTIMS += ("listener", "valkey", "vast")

_FLOWS = 16
_FAULTS = ("answered otherwise", "jobs lost", "jobs miscounted", "server errors")
_FAULTS += ("unexpected answers", "unanswered", "unfinished")
_POLL_S = 0.02
_MOST_BEHIND = 2  # kills that were due: then clients wait for them


def crash(
    directory: Path, segments: int, files: int, kills: int, seed: int, limit_s: float
) -> Report:
    """Run a store in `directory`, kill what it consists of, and judge what it holds then."""
    rng = Random(seed)
    began = time.monotonic()
    with running_store(directory) as store:
        with httpx.Client(base_url=store.facts["api"], timeout=60) as api:
            flows = [str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(_FLOWS)]
            for flow_id in flows:
                api.put(f"/flows/{flow_id}", json=video(flow_id)).raise_for_status()
        run = Run(store, plan(rng, flows, segments, files, kills), rng, limit_s)
        run.carry_out()
        found = Found.read(store)
        wrong = faults(found, run.plan, run.ledger.answers)
        wrong |= {"listed otherwise": list(listed_otherwise(found, run.api))}
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
    return Report(
        seed, time.monotonic() - began, dict(run.kills), counts, wrong | run.ledger.faults
    )


@dataclass
class Ledger:
    """What the clients were told: why a segment was refused, by object id, or None."""

    total: int
    answers: dict[str, str | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in _FAULTS})
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
        rngs = [Random(self.rng.random()) for _ in self.plan.requests]
        with ThreadPoolExecutor(CLIENTS + 2) as pool:
            tasks = [
                pool.submit(self._client, *each)
                for each in zip(self.plan.requests, rngs, strict=True)
            ]
            tasks += [pool.submit(self._drop_files), pool.submit(self._kill)]
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            if any(each.exception() for each in done):
                self.stopped.set()
        for each in tasks:
            each.result()
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
            case 400 | 500 if len(pieces) == 1:
                refused = [{**bodies[0], "error": answer.json()}]
            case status:
                self.ledger.fault("unexpected answers", f"{status}: {answer.text}")
                return
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
            if answer.status_code >= 500 and "PutAside" not in answer.text:
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
        if unanswered := self.ledger.total - len(self.ledger.answers):
            self.ledger.fault("unfinished", f"{unanswered} segments were not answered in time")
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
        except (redis.RedisError, Unavailable, httpx.HTTPError):
            return False  # killed a moment ago
        if found.untold:
            return False
        known = {row.object_id for row in found.rows} | found.problems.keys()
        return all(drop.piece.object_id in known for drop in self.plan.drops)
