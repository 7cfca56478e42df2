"""A worker may die at any moment: what was acknowledged is there once, and only once."""

import random
import time
from itertools import count
from threading import Event, Thread

import httpx
import psutil

from tests.making import external, listed, put_flow
from tests.services.running import Running

_DEADLINE_S = 120.0
_KILLS = 8
_SIZE = 50


def kill_workers(store: Running, stop: Event, rng: random.Random, kills: list[int]) -> None:
    """Kill children of the worker, and once the worker itself, at random moments."""
    while not stop.wait(rng.uniform(0.05, 0.6)):
        try:
            worker = psutil.Process(store.facts["processes"]["worker"])
            children = worker.children(recursive=True)
            victim = worker if len(kills) == 3 else rng.choice(children)
            victim.kill()
        except (psutil.NoSuchProcess, IndexError):
            continue  # it is being started
        kills.append(victim.pid)


def ended(api: httpx.Client, job_path: str) -> dict[str, object]:
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        job: dict[str, object] = api.get(job_path).raise_for_status().json()
        if job["state"] in {"done", "error"}:
            return job
        time.sleep(0.1)
    raise AssertionError(f"{job_path} did not end in {_DEADLINE_S} s: {job}")


def test_no_acknowledged_segment_is_lost_or_doubled_by_killed_workers(
    api: httpx.Client, store: Running
) -> None:
    flows = [put_flow(api) for _ in range(6)]
    stop, kills = Event(), []
    killer = Thread(target=kill_workers, args=(store, stop, random.Random(11), kills))

    killer.start()
    jobs, offered = [], {flow_id: [] for flow_id in flows}
    try:
        batches = count()
        deadline = time.monotonic() + _DEADLINE_S
        while len(kills) < _KILLS:
            assert time.monotonic() < deadline
            batch = next(batches)
            flow_id = flows[batch % len(flows)]
            offers = [
                external(start * 1_000, start * 1_000 + 1_000)
                for start in range(batch * _SIZE, batch * _SIZE + _SIZE)
            ]
            answer = api.post(
                f"/flows/{flow_id}/segments", json=offers, headers={"Prefer": "respond-async"}
            )
            assert answer.status_code == 202, answer.text
            jobs.append(answer.headers["Location"])
            offered[flow_id] += [offer["object_id"] for offer in offers]
    finally:
        stop.set()
        killer.join()
    outcomes = [ended(api, job) for job in jobs]

    wanted = {("done", _SIZE, 0)}
    assert {(job["state"], job["done"], job["failed"]) for job in outcomes} == wanted
    for flow_id in flows:
        assert [item["object_id"] for item in listed(api, flow_id, limit=1000)] == offered[flow_id]
