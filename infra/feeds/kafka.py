"""Feeds on Kafka.

* Offsets are committed one message at a time, so one is fetched at a time.
* The consumer group is `tams`, and it begins with the oldest message, unless options of the
  address say otherwise.
"""

from queue import Empty
from typing import Any, Final

from confluent_kafka import KafkaException
from kombu import Connection
from kombu.transport import confluentkafka

from infra.feeds.address import FeedAddress
from infra.feeds.queue import QueueFeed

_PORT: Final = 9092
_POLL_S: Final = 1
_CONNECTING: Final = ("bootstrap.", "broker.", "client.", "sasl.", "security.", "socket.", "ssl.")


def kafka_feed(address: FeedAddress) -> QueueFeed:
    """The topic at `address`."""
    (topic,) = address.path
    return QueueFeed(lambda: _connect(address), topic, prefetch=1)


def _connect(address: FeedAddress) -> Connection:
    options = address.options.items()
    common = {name: value for name, value in options if name.startswith(_CONNECTING)}
    consumer = {name: value for name, value in options if name not in common}
    if address.user is not None:
        common |= {"sasl.username": address.user, "sasl.password": address.password or ""}
    return Connection(
        hostname=address.host,
        port=address.port or _PORT,
        transport=_Transport,
        transport_options={
            "kafka_common_config": common,
            "kafka_consumer_config": {"group.id": "tams"} | consumer,
            "wait_time_seconds": _POLL_S,
            "polling_interval": 0,
        },
    )


class _Channel(confluentkafka.Channel):
    """A channel whose messages have no envelope of kombu's."""

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002 - as kombu has it
        """The next message as it is."""
        consumer = self._get_consumer(queue)  # type: ignore[attr-defined]  # the stubs omit it
        message = consumer.poll(self.wait_time_seconds)
        if message is None:
            raise Empty
        if message.error():
            raise KafkaException(message.error())
        tag = f"{message.topic()}:{message.partition()}:{message.offset()}"
        return {
            "body": message.value(),
            "topic": message.topic(),
            "properties": {"delivery_tag": tag, "delivery_info": {}},
        }

    def close(self) -> None:
        """Close, and let go of the client that asks for topics, with its threads."""
        super().close()
        self._client = None


class _Transport(confluentkafka.Transport):
    Channel = _Channel
