"""The operations that run on the queue: each a name, a queue and a few lines.

* A task is only ever a hint that something waits: what there is to do is durable elsewhere, so
  a lost or doubled task loses and doubles nothing.
* When a service is down the task ends quietly, and the sweep calls again.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import Task, shared_task

from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import WebhookId
from tasks import deletion, deliveries, events, flushing, ingest, jobs, objects, scans, stalls
from tasks.ports import Ports, Work

log = logging.getLogger(__name__)

FLUSH = "segments.flush"
SWEEP = "queue.sweep"
TIDY = "store.tidy"
STALLS = "flows.look_for_stalls"


class Operation(Task):  # type: ignore[type-arg]  # the stubs make it generic, celery does not
    """A task with the ports of its process; `connect` says how these are built."""

    abstract = True
    connect: Callable[[], Ports]

    @property
    def ports(self) -> Ports:
        """The ports of this process, built on first use."""
        return type(self).connect()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as celery has it
        """Run, and leave it to the sweep when a service is down."""
        try:
            return super().__call__(*args, **kwargs)
        except Unavailable as error:
            log.warning("%s put off: %s", self.name, error)
            return None


@shared_task(base=Operation, bind=True, name=FLUSH)
def flush(self: Operation, shard: int) -> None:
    """Decide what waits in a shard, and in those attended with it."""
    flushing.flush(self.ports, shard)


@shared_task(base=Operation, bind=True, name=Work.INGEST)
def drain(self: Operation) -> None:
    """Act on notifications of objects that appeared."""
    ingest.drain(self.ports)


@shared_task(base=Operation, bind=True, name=Work.COLLECT)
def collect(self: Operation) -> None:
    """Delete bytes that nothing refers to."""
    objects.collect(self.ports)


@shared_task(base=Operation, bind=True, name=Work.COPY)
def copy(self: Operation) -> None:
    """Make the copies of objects that were asked for."""
    objects.make_copies(self.ports)


@shared_task(base=Operation, bind=True, name=Work.ARCHIVE)
def archive(self: Operation) -> None:
    """Take jobs that ended into the database."""
    jobs.archive(self.ports)


@shared_task(base=Operation, bind=True, name=Work.SCAN)
def scan(self: Operation) -> None:
    """Go on with a scan of a bucket."""
    scans.advance(self.ports)


@shared_task(base=Operation, bind=True, name=Work.CATCH_UP)
def catch_up(self: Operation) -> None:
    """Begin to scan every bucket."""
    scans.catch_up(self.ports)


@shared_task(base=Operation, bind=True, name=Work.RELAY)
def relay(self: Operation) -> None:
    """Move what happened into the log."""
    events.relay(self.ports)


@shared_task(base=Operation, bind=True, name=Work.DELIVER)
def deliver(self: Operation, webhook_id: WebhookId) -> None:
    """Send a webhook the next events."""
    deliveries.deliver(self.ports, webhook_id)


@shared_task(base=Operation, bind=True, name=STALLS)
def look_for_stalls(self: Operation) -> None:
    """Record which flows have stalled."""
    stalls.look(self.ports)


@shared_task(base=Operation, bind=True, name=TIDY)
def tidy(self: Operation) -> None:
    """Let go of what is not wanted any more, and take up what was left lying."""
    objects.expire(self.ports)
    deletion.tidy(self.ports)
    jobs.tidy(self.ports)
    scans.tidy(self.ports)
    stalls.forget(self.ports)
    events.forget(self.ports)
    deliveries.tidy(self.ports)
    self.ports.queue.call(Work.COLLECT)
    self.ports.queue.call(Work.COPY)


@shared_task(base=Operation, bind=True, name=SWEEP)
def sweep(self: Operation) -> None:
    """Ring wherever something waits."""
    flushing.sweep(self.ports)
    ingest.sweep(self.ports)
    events.sweep(self.ports)
    jobs.sweep(self.ports)
    deliveries.sweep(self.ports)
