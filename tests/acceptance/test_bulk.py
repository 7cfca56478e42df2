"""Ten thousand segments in one request are one request, and cost bounded memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import psutil

from tests.making import external, listed, put_flow
from tests.services.running import Running

_MIB = 1 << 20
_AT_ONCE = 10_000
_MOST_GROWTH = 128 * _MIB


def resident(store: Running, name: str) -> int:
    """Bytes that a process of the store and its children hold in memory."""
    process = psutil.Process(store.facts["processes"][name])
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


@contextmanager
def peaks(store: Running, *names: str) -> Iterator[dict[str, int]]:
    """The most that each process came to hold meanwhile."""
    most = {name: resident(store, name) for name in names}
    stop = Event()

    def look() -> None:
        while not stop.wait(0.02):
            for name in names:
                most[name] = max(most[name], resident(store, name))

    thread = Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def post(api: httpx.Client, flow_id: str, first: int) -> None:
    offers = [external(n * 1_000, n * 1_000 + 1_000) for n in range(first, first + _AT_ONCE)]
    answer = api.post(f"/flows/{flow_id}/segments", json=offers)
    assert answer.status_code == 201, answer.text


def test_ten_thousand_segments_at_a_time_take_bounded_memory(
    api: httpx.Client, store: Running
) -> None:
    flow_id = put_flow(api)
    for start in range(20):  # every process has done something before it is measured
        api.post(
            f"/flows/{flow_id}/segments", json=external(-start * 1_000 - 1_000, -start * 1_000)
        )
    before = {name: resident(store, name) for name in ("api", "worker")}

    with peaks(store, "api", "worker") as most:
        for first in range(3):
            post(api, flow_id, first * _AT_ONCE)

    growth = {name: most[name] - before[name] for name in before}
    assert all(each < _MOST_GROWTH for each in growth.values()), growth
    assert len(listed(api, flow_id, timerange="[0:0_", limit=1_000)) == 3 * _AT_ONCE
