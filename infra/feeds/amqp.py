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
    secure = address.scheme is Scheme.AMQPS

    def connect() -> Connection:
        return Connection(
            hostname=address.host,
            port=address.port or (5671 if secure else 5672),
            userid=address.user,
            password=address.password,
            virtual_host=vhost[0] if vhost else "/",
            ssl={"server_hostname": address.host} if secure else False,  # or no name is checked
            transport="pyamqp",
            heartbeat=_HEARTBEAT_S,
        )

    return QueueFeed(connect, queue, prefetch=_PREFETCH)
