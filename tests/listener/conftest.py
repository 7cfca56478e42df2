"""The listener's part of the store over a real broker, with nothing that acts upon it."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from infra.bootstrap import build_intake
from schemas.domain.ingest import Notification
from tasks.ports import Intake
from tests.services.running import Running, running_services


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("broker"), only=("valkey",)) as running:
        yield running


@pytest.fixture
def client(broker: Running) -> Iterator[redis.Redis]:
    """A client of the broker, which is empty."""
    with redis.Redis.from_url(broker.facts["redis"]) as client:
        client.flushall()
        yield client


@pytest.fixture
def intake(broker: Running, client: redis.Redis) -> Intake:
    settings = broker.settings
    return build_intake(settings, Celery(broker=settings.redis_url))


def taken(intake: Intake) -> list[Notification]:
    """All that waits, as a worker would get it and be done with it."""
    found: list[Notification] = []
    while intake.notices.waiting():
        with intake.notices.take(50) as batch:
            found += [noticed.notification for noticed in batch]
    return found
