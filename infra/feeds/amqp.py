"""Feeds on AMQP, as of RabbitMQ."""

from typing import Final

from kombu import Connection

from infra.feeds.address import FeedAddress, Scheme
from infra.feeds.queue import QueueFeed

_PREFETCH: Final = 100
_HEARTBEAT_S: Final = 30


def amqp_feed(address: FeedAddress) -> QueueFeed:
    """The queue at `address`."""
    *vhost, queue = address.path

    def connect() -> Connection:
        return Connection(
            hostname=address.host,
            port=address.port or (5671 if address.scheme is Scheme.AMQPS else 5672),
            userid=address.user,
            password=address.password,
            virtual_host=vhost[0] if vhost else "/",
            ssl=address.scheme is Scheme.AMQPS,
            transport="pyamqp",
            heartbeat=_HEARTBEAT_S,
        )

    return QueueFeed(connect, queue, prefetch=_PREFETCH)
