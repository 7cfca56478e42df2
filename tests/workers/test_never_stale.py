"""Whoever was told of a change sees it, whichever process of the API they ask."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx

from schemas.domain.timerange import TimeRange
from tests.making import external, pages, put_flow, stamp
from tests.services.running import Running
from tests.workers.processes import eventually

# As many connections as it takes for some to come to each process.
CONNECTIONS = 6
CHANGES = 25
KEPT = range(0, 400, 2)


@contextmanager
def connected(store: Running) -> Iterator[list[httpx.Client]]:
    clients = [httpx.Client(base_url=store.facts["api"], timeout=60) for _ in range(CONNECTIONS)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def span(place: int) -> str:
    return f"[{stamp(place * 1_000)}_{stamp(place * 1_000 + 1_000)})"


def places(items: list[dict[str, Any]]) -> list[int]:
    return [TimeRange.parse(item["timerange"]).start_ns // 10**9 for item in items]


def is_listed(client: httpx.Client, flow_id: str, place: int, query: dict[str, str]) -> bool:
    asked = {"accept_get_urls": "", "timerange": span(place), **query}
    found = client.get(f"/flows/{flow_id}/segments", params=asked)
    assert found.status_code == 200, found.text
    return places(found.json()) == [place]


def delete(client: httpx.Client, flow_id: str, place: int) -> None:
    """Delete one segment, and wait until that is done."""
    path = f"/flows/{flow_id}/segments"
    answer = client.delete(path, params={"timerange": span(place)})
    if answer.status_code == 202:
        where = answer.headers["location"]
        eventually(lambda: client.get(where).json()["status"] == "done")
    else:
        assert answer.status_code == 204, answer.text


def test_what_is_acknowledged_is_listed_and_what_is_deleted_is_not(
    store: Running, api: httpx.Client
) -> None:
    flow_id = put_flow(api)
    over = threading.Event()

    def write(lane: int) -> None:
        """Register and delete segments between those that stay; look from everywhere."""
        dice, there = random.Random(lane), set[int]()
        with connected(store) as clients:
            for _ in range(CHANGES):
                place = dice.randrange(4) * 8 + 2 * lane + 1
                client = dice.choice(clients)
                if place in there:
                    delete(client, flow_id, place)
                    there.remove(place)
                else:
                    offer = external(place * 1_000, place * 1_000 + 1_000)
                    answer = client.post(f"/flows/{flow_id}/segments", json=offer)
                    assert answer.status_code == 201, answer.text
                    there.add(place)
                for other in clients:
                    query = dice.choice([{}, {"reverse_order": "true"}, {"limit": "1"}])
                    assert is_listed(other, flow_id, place, query) == (place in there)

    def read(*, backwards: bool) -> int:
        """Read all of it, again and again: in order, and what stays is there each time."""
        rounds = 0
        with connected(store) as clients:
            while not over.is_set():
                query = {
                    "accept_get_urls": "",
                    "limit": "37",
                    "reverse_order": str(backwards).lower(),
                }
                client = clients[rounds % CONNECTIONS]
                found = places(list(pages(client, f"/flows/{flow_id}/segments", query)))
                ordered = found[::-1] if backwards else found
                assert all(one < other for one, other in pairwise(ordered))
                assert set(KEPT) <= set(found)
                rounds += 1
        return rounds

    stays = [external(place * 1_000, place * 1_000 + 1_000) for place in KEPT]
    assert api.post(f"/flows/{flow_id}/segments", json=stays).status_code == 201
    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, backwards=backwards) for backwards in (False, True)]
        try:
            for writer in [pool.submit(write, lane) for lane in range(4)]:
                writer.result()
        finally:
            over.set()
        assert all(reader.result() > 0 for reader in readers)
