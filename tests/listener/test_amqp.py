"""A queue of RabbitMQ is consumed without declaring anything, and nothing is lost of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import amqp
import pytest

from tasks import notices
from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken
from tests.listener.following import Taker, followed
from tests.listener.servers import rabbitmq_server
from tests.waiting import eventually

QUEUE = "bucket-events"


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield url


@pytest.fixture
def channel(rabbitmq: str) -> Iterator[Any]:
    with amqp.Connection(rabbitmq.rpartition("@")[2]) as connection:
        channel = connection.channel()
        with suppress(amqp.exceptions.NotFound):
            channel.queue_delete(QUEUE)
        yield connection.channel()


@pytest.fixture
def queue(channel: Any) -> Iterator[Callable[[bytes], None]]:
    """Publishes to a queue, as an object store does."""
    channel.queue_declare(QUEUE, durable=True, auto_delete=False)

    def publish(body: bytes) -> None:
        channel.basic_publish(amqp.Message(body), routing_key=QUEUE)

    return publish


def test_notifications_are_taken_over_and_acknowledged(
    rabbitmq: str, channel: Any, queue: Any, intake: Intake
) -> None:
    bodies = [json.dumps(each).encode() for each in (samples.MINIO, samples.CEPH)]
    for body in (bodies[0], b"nonsense", bodies[0], bodies[1]):
        queue(body)

    with followed(f"{rabbitmq}/{QUEUE}", lambda body: notices.take(intake, body, "test")):
        eventually(lambda: intake.notices.waiting() and waiting(channel) == 0)

    assert [found.origin for found in taken(intake)] == ["minio:s3", "ceph:s3"]
    assert waiting(channel) == 0


def waiting(channel: Any) -> int:
    """How many messages are there when nobody has begun with any."""
    return int(channel.queue_declare(QUEUE, passive=True).message_count)


def test_what_was_not_taken_comes_again(rabbitmq: str, channel: Any, queue: Any) -> None:
    taker = Taker(refuse=2)
    queue(b"a")
    queue(b"b")

    with followed(f"{rabbitmq}/%2F/{QUEUE}", taker):
        eventually(lambda: len(taker.taken) == 2)

    assert len(taker.refused) == 2
    assert sorted(taker.taken) == [b"a", b"b"]
    assert waiting(channel) == 0


def test_a_queue_that_comes_and_goes_is_waited_for(rabbitmq: str, channel: Any) -> None:
    taker = Taker()

    with followed(f"{rabbitmq}/{QUEUE}", taker):
        for body in (b"a", b"b"):
            channel.queue_declare(QUEUE, durable=True, auto_delete=False)
            channel.basic_publish(amqp.Message(body), routing_key=QUEUE)
            eventually(lambda body=body: body in taker.taken and waiting(channel) == 0)
            channel.queue_delete(QUEUE)

    assert taker.taken == [b"a", b"b"]


def test_a_message_that_is_not_compressed_as_it_says_is_taken_as_it_is(
    rabbitmq: str, channel: Any, queue: Any
) -> None:
    taker = Taker()
    headers = {"compression": "application/x-gzip"}
    message = amqp.Message(b"not gzip", application_headers=headers)
    channel.basic_publish(message, routing_key=QUEUE)

    with followed(f"{rabbitmq}/{QUEUE}", taker):
        eventually(lambda: taker.taken)

    assert taker.taken == [b"not gzip"]
