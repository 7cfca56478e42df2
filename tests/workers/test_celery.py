"""Real workers that are killed, leave and join: tasks come again, and shards are not orphaned."""

import re
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from threading import Event
from types import SimpleNamespace

import psutil
import pytest
import redis
from celery import Celery
from pytest_celery import (
    CeleryBrokerCluster,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
)

from infra.bootstrap import build_ports
from schemas.domain.changes import Changes
from schemas.domain.identifiers import FlowId
from schemas.domain.job import Job, JobState
from schemas.domain.media_object import Orphan
from schemas.domain.query import SegmentQuery
from schemas.domain.segment import Offer, Segment
from tasks import flushing, segments
from tasks.celery_tasks import FLUSH
from tasks.ports import Ports, Work
from tests.services.running import Running, clean_environment
from tests.workers.conftest import SHARDS, offer, put_flow
from tests.workers.processes import BrokerProcess, WorkerProcess, eventually

_RECEIVED = re.compile(rf"Task {re.escape(FLUSH)}\[([0-9a-f-]+)\] received")
_ENDED = re.compile(rf"Task {re.escape(FLUSH)}\[([0-9a-f-]+)\] succeeded")


@pytest.fixture(scope="module")
def celery_worker_cluster(
    services: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CeleryWorkerCluster]:
    """Two workers for what is interactive, and one for the bulk."""
    environ = clean_environment() | services.environ
    directory = tmp_path_factory.mktemp("workers")
    queues = {"one": "interactive", "two": "interactive", "bulk": "bulk"}
    processes = [WorkerProcess(name, queues[name], environ, directory) for name in queues]
    try:
        yield CeleryWorkerCluster(*(CeleryTestWorker(each, None) for each in processes))
    finally:
        for process in processes:  # a cluster leaves its nodes running
            process.teardown()


@pytest.fixture
def celery_broker_cluster(services: Running) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(BrokerProcess(services.settings.redis_url)))


@pytest.fixture
def celery_backend_cluster() -> None:
    """Results are not kept."""


@pytest.fixture
def celery_setup_app(
    services: Running, celery_setup_config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Celery:
    """The application of the store, as a process with this environment would have it."""
    for name, value in services.environ.items():
        monkeypatch.setenv(name, value)
    app = Celery("tams")
    app.config_from_object(SimpleNamespace(**runpy.run_module("celeryconfig")))
    app.conf.update(celery_setup_config)
    return app


@pytest.fixture
def setup(celery_setup: CeleryTestSetup) -> CeleryTestSetup:
    """The workers, all of them ready."""
    for node in celery_setup.worker_cluster:
        if node.container.status != "running":
            node.restart()
    assert celery_setup.worker_cluster.ready()
    return celery_setup


@pytest.fixture
def ports(services: Running, setup: CeleryTestSetup) -> Ports:
    return build_ports(services.settings, setup.app)


def interactive(setup: CeleryTestSetup) -> list[CeleryTestWorker]:
    return [node for node in setup.worker_cluster if node.worker_queue == "interactive"]


def deliveries(setup: CeleryTestSetup) -> Counter[str]:
    """How often each flush was handed to a worker."""
    return Counter(
        found for node in setup.worker_cluster for found in _RECEIVED.findall(node.logs())
    )


def flow_in(ports: Ports, shard: int) -> FlowId:
    while segments.shard_of(flow_id := put_flow(ports), SHARDS) != shard:
        pass
    return flow_id


def submit(ports: Ports, flow_id: FlowId, *offers: Offer) -> Job:
    """Accept `offers`, also while the database does not answer."""
    return segments.enqueue(ports, flow_id, offers, followed=True)


def stored(ports: Ports, flow_id: FlowId) -> list[Segment]:
    with ports.metadata.read() as snapshot:
        return list(snapshot.segments(flow_id, SegmentQuery(10_000)))


def ended(ports: Ports, jobs: list[Job]) -> bool:
    states = [ports.jobs.get(job.id) for job in jobs]
    return all(job is not None and job.state is JobState.DONE for job in states)


def sweep(ports: Ports) -> Callable[[], None]:
    """What beat calls for; nobody else does here."""
    return lambda: flushing.sweep(ports)


@contextmanager
def suspended(services: Running, name: str) -> Iterator[None]:
    """A service that takes requests and does not answer."""
    process = psutil.Process(services.facts["processes"][name])
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def being_flushed(services: Running, shard: int) -> Callable[[], bool]:
    broker = redis.Redis.from_url(services.settings.redis_url)
    return lambda: bool(broker.exists(f"tams:lease:shard:{shard}"))


def begun(setup: CeleryTestSetup) -> tuple[CeleryTestWorker, str]:
    """The worker that has a flush to do which nobody has ended, and the id of that."""

    def find() -> list[tuple[CeleryTestWorker, str]]:
        ended = {found for node in setup.worker_cluster for found in _ENDED.findall(node.logs())}
        return [
            (node, found)
            for node in interactive(setup)
            for found in _RECEIVED.findall(node.logs())
            if found not in ended
        ]

    eventually(find)
    return find()[0]


def test_a_task_whose_process_was_killed_is_delivered_again(
    setup: CeleryTestSetup, ports: Ports, services: Running
) -> None:
    flow_id = put_flow(ports)
    shard = segments.shard_of(flow_id, SHARDS)
    with suspended(services, "vast"):
        job = submit(ports, flow_id, offer(flow_id, 0, 1))
        eventually(being_flushed(services, shard))
        node, task = begun(setup)

        (child,) = node.container.children
        child.kill()

        eventually(lambda: deliveries(setup)[task] == 2)
        assert node.container.status == "running"
    eventually(lambda: ended(ports, [job]), sweep(ports))
    assert [str(each.timerange) for each in stored(ports, flow_id)] == ["[0:0_1:0)"]


def test_another_worker_takes_over_the_shard_of_a_killed_one(
    setup: CeleryTestSetup, ports: Ports, services: Running
) -> None:
    flow_id = put_flow(ports)
    shard = segments.shard_of(flow_id, SHARDS)
    jobs = [submit(ports, flow_id, *(offer(flow_id, n, n + 1) for n in range(500)))]
    with suspended(services, "vast"):
        jobs.append(submit(ports, flow_id, offer(flow_id, 500, 501)))
        eventually(being_flushed(services, shard))
        victim, _ = begun(setup)
        victim.kill()
    (survivor,) = [node for node in interactive(setup) if node is not victim]

    eventually(lambda: ended(ports, jobs), sweep(ports))

    assert victim.container.status == "exited"
    assert FLUSH in survivor.logs()
    starts = [each.timerange.start_ns // 10**9 for each in stored(ports, flow_id)]
    assert starts == list(range(501))


def test_two_workers_on_one_shard_neither_double_nor_overlap(
    setup: CeleryTestSetup, ports: Ports
) -> None:
    flows = [flow_in(ports, 0) for _ in range(2)]
    before = deliveries(setup).total()

    def register(n: int) -> Job:
        flow_id, start = flows[n % 2], n // 2 % 40
        job = submit(ports, flow_id, offer(flow_id, start, start + 2))
        setup.app.send_task(FLUSH, args=(0,))  # as if every doorbell were heard twice
        return job

    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(register, range(240)))
    eventually(lambda: ended(ports, jobs), sweep(ports))
    eventually(lambda: deliveries(setup).total() - before >= 240)

    assert all(FLUSH in node.logs() for node in interactive(setup))
    failed = sum(ports.jobs.get(job.id).failed for job in jobs)  # type: ignore[union-attr]
    kept = [stored(ports, flow_id) for flow_id in flows]
    assert sum(map(len, kept)) + failed == 240
    for found in kept:
        assert all(a.timerange.end <= b.timerange.start for a, b in pairwise(found))
        assert len({each.object_id for each in found}) == len(found) >= 14


def test_a_long_bulk_task_does_not_delay_a_flush(
    setup: CeleryTestSetup, ports: Ports, services: Running
) -> None:
    flow_id = put_flow(ports)
    (bulk,) = [node for node in setup.worker_cluster if node.worker_queue == "bulk"]
    backend = next(iter(ports.media.backends))
    orphan = Orphan(backend, "objects/nothing", ports.clock.now())
    ports.metadata.transact(lambda _: (Changes(add=(orphan,)), None))
    with suspended(services, "seaweedfs"):
        ports.queue.call(Work.COLLECT)
        bulk.wait_for_log(f"Task {Work.COLLECT}[")

        job = submit(ports, flow_id, offer(flow_id, 0, 1))
        eventually(lambda: ended(ports, [job]))

        assert "succeeded" not in bulk.logs()
        assert all(Work.COLLECT not in node.logs() for node in interactive(setup))
    bulk.wait_for_log("succeeded")
    with ports.metadata.read() as snapshot:
        assert not snapshot.orphans([backend], 1)


def test_a_task_nobody_knows_does_not_stop_a_worker(setup: CeleryTestSetup, ports: Ports) -> None:
    flow_id = put_flow(ports)
    pids = [node.container.pid for node in interactive(setup)]

    for _ in range(4):
        setup.app.send_task("no.such.task", queue="interactive")
    eventually(
        lambda: sum(node.logs().count("unregistered task") for node in interactive(setup)) == 4
    )

    for start in range(4):
        job = submit(ports, flow_id, offer(flow_id, start, start + 1))
        eventually(lambda job=job: ended(ports, [job]))
    assert [node.container.pid for node in interactive(setup)] == pids
    assert all(node.container.status == "running" for node in interactive(setup))


def test_every_shard_is_flushed_while_workers_leave_and_join(
    setup: CeleryTestSetup, ports: Ports
) -> None:
    flows = [flow_in(ports, shard) for shard in range(SHARDS)]
    one, two = interactive(setup)
    stop = Event()
    jobs: list[Job] = []

    def offer_on() -> None:
        start = 0
        while not stop.wait(0.1):
            jobs.extend(submit(ports, each, offer(each, start, start + 1)) for each in flows)
            start += 1

    def all_flushed_anew() -> None:
        """Wait until in every shard something was flushed that is offered from now on."""
        newer = len(jobs) + len(flows)
        eventually(lambda: len(jobs) >= newer + len(flows))
        eventually(lambda: ended(ports, jobs[newer : newer + len(flows)]), sweep(ports))

    with ThreadPoolExecutor(1) as pool:
        offering = pool.submit(offer_on)
        try:
            all_flushed_anew()
            one.kill("SIGTERM")
            eventually(lambda: one.container.status == "exited")
            all_flushed_anew()
            one.restart()
            assert one.ready()
            all_flushed_anew()
            two.kill()
            all_flushed_anew()
        finally:
            stop.set()
        offering.result()
    eventually(lambda: ended(ports, jobs), sweep(ports))

    rounds = len(jobs) // len(flows)
    for flow_id in flows:
        starts = [each.timerange.start_ns // 10**9 for each in stored(ports, flow_id)]
        assert starts == list(range(rounds))
    assert FLUSH in one.logs()
