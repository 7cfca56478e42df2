"""Real workers that tell webhooks of events: killed, and with receivers of every speed."""

import runpy
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from infra.bootstrap import build_ports
from infra.settings import Settings
from infra.vault import FernetVault
from schemas.domain import event
from schemas.domain.changes import Changes
from schemas.domain.identifiers import SourceId, WebhookId
from schemas.domain.source import Source
from schemas.domain.webhook import Keys, Terms
from tasks import deliveries, events, webhooks
from tasks.ports import Ports
from tests.making import new_id
from tests.receiving import OK, Answer, Received, Receiver, receiving
from tests.services.running import Running, clean_environment
from tests.workers.conftest import empty_log
from tests.workers.processes import WorkerProcess, eventually

THREADS = ("--threads", "--concurrency", "16")


@pytest.fixture
def environ(services: Running) -> dict[str, str]:
    allowed = {"TAMS_WEBHOOK_ALLOW": "127.0.0.0/8", "TAMS_WEBHOOK_HTTP": "allow"}
    return clean_environment() | services.environ | allowed


@pytest.fixture
def ports(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Ports:
    """The ports of a process of the store; what it calls for is done by the worker."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    app = Celery("tams")
    app.config_from_object(SimpleNamespace(**runpy.run_module("celeryconfig")))
    built = build_ports(Settings.from_env(environ), app)
    empty_log(built)
    return built


@contextmanager
def working(environ: dict[str, str], directory: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess("events", "events", environ, directory, THREADS)
    try:
        worker.ready()
        yield worker
    finally:
        worker.teardown()


def register(ports: Ports, url: str) -> WebhookId:
    terms = Terms({"url": url, "events": ["sources/updated"]}, enabled=True, keys=Keys())
    return webhooks.create(ports, terms, by="me").id


def happen(ports: Ports, number: int) -> list[str]:
    """So many events in the log; the sources they tell of, in order."""
    now = datetime.now(UTC)  # noqa: TID251 - tests have no Clock port
    sources = [
        Source(SourceId(new_id()), "urn:x-nmos:format:video", now, "me", now, "me")
        for _ in range(number)
    ]
    for start in range(0, number, 1_000):
        told = tuple(map(event.source_updated, sources[start : start + 1_000]))
        ports.metadata.transact(lambda _, told=told: (Changes(told=told), None))
        events.relay(ports)
    return [source.id for source in sources]


def told(received: list[Received]) -> list[str]:
    """The sources that were told of, in order, repetitions included."""
    return [each.event["event"]["source"]["id"] for each in received]


def tidying(ports: Ports) -> None:
    """What beat calls for; nobody else does here."""
    deliveries.sweep(ports)
    deliveries.tidy(ports)


def test_a_worker_that_is_killed_in_mid_batch_loses_nothing(ports, environ, tmp_path):
    in_the_middle, leave = Event(), Event()

    def answer(_: Received) -> Answer:
        if len(receiver.received) == 10 and not in_the_middle.is_set():
            in_the_middle.set()
            leave.wait(60)
        return OK

    with receiving() as receiver, working(environ, tmp_path) as worker:
        receiver.answer = answer
        webhook_id = register(ports, receiver.url)
        happened = happen(ports, 30)
        eventually(in_the_middle.is_set, lambda: tidying(ports))
        worker.kill()
        leave.set()
        before = len(receiver.received)

        worker.restart()
        eventually(lambda: told(receiver.received)[-1] == happened[-1], lambda: tidying(ports))
        webhooks.delete(ports, webhook_id, by="me")

    arrived = told(receiver.received)
    assert arrived[:before] == happened[:before]
    assert arrived[before:] == happened  # what was not moved past comes again, in order
    by_id = defaultdict(set)
    for each in receiver.received:
        by_id[each.id].add(each.event["event"]["source"]["id"])
    assert all(len(about) == 1 for about in by_id.values())
    assert len(by_id) == 30


def test_init_encrypts_keys_anew_when_another_key_comes_first(ports, environ):
    document = {"url": "http://127.0.0.1:9/", "events": []}
    webhook = webhooks.create(ports, Terms(document, enabled=False, keys=Keys("key")), by="me")
    new = "n" * 32

    ran = subprocess.run(
        [sys.executable, "-P", "-m", "workers.cli", "init"],
        env={**environ, "TAMS_SECRET_KEYS": f"{new},{environ['TAMS_SECRET_KEYS']}"},
        check=True,
        capture_output=True,
        text=True,
    )

    sealed = webhooks.get(ports, webhook.id).sealed.api_key
    webhooks.delete(ports, webhook.id, by="me")
    assert "encrypted the keys of 1 webhooks anew" in ran.stdout
    assert FernetVault([new]).open(sealed) == "key"


def _fan_out(ports: Ports, environ: dict[str, str], directory: Path, **sizes: Any) -> None:
    """Tell webhooks of events, the receiver of the first of them being slow."""
    number, receivers, slow_s = sizes["events"], sizes["webhooks"], sizes["slow_s"]

    def answer(received: Received) -> Answer:
        if received.path == "/0":
            sleep(slow_s)
        return OK

    with receiving() as receiver, working(environ, directory):
        receiver.answer = answer
        made = [register(ports, f"{receiver.url}{name}") for name in range(receivers)]
        began = monotonic()
        happened = happen(ports, number)

        def fast_are_done() -> bool:
            return len(receiver.received) - _count(receiver)["/0"] >= number * (receivers - 1)

        _wait(fast_are_done, sizes["seconds"], ports)
        took = monotonic() - began
        counts = _count(receiver)
        for webhook_id in made:
            webhooks.delete(ports, webhook_id, by="me")

    print(f"{number} events to {receivers - 1} webhooks in {took:.1f} s")  # noqa: T201 - a figure
    assert counts["/0"] < number  # nobody waited for it
    by_path = defaultdict(list)
    for each in receiver.received:
        by_path[each.path].append(each)
    for name in range(1, receivers):
        assert told(by_path[f"/{name}"]) == happened
    assert told(by_path["/0"]) == happened[: len(by_path["/0"])]


def _count(receiver: Receiver) -> Counter[str]:
    return Counter(each.path for each in list(receiver.received))


def _wait(holds: Any, seconds: float, ports: Ports) -> None:
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline, "not everything was told in time"
        deliveries.sweep(ports)
        sleep(0.5)


def test_a_slow_receiver_delays_nobody_else(ports, environ, tmp_path):
    _fan_out(ports, environ, tmp_path, events=200, webhooks=8, slow_s=1.0, seconds=90)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_ten_thousand_events_reach_twenty_webhooks_one_of_which_is_slow(ports, environ, tmp_path):
    _fan_out(ports, environ, tmp_path, events=10_000, webhooks=20, slow_s=1.0, seconds=3_000)
