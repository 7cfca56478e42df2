"""Feeds on SQS.

* Without a key in its address, the keys of the environment or the machine's role are used.
* A message that was not taken over comes again when the visibility timeout of its queue is over.
"""

import re
from typing import Any, Final

from kombu import Connection
from kombu.transport import SQS

from infra.feeds.address import FeedAddress
from infra.feeds.queue import QueueFeed

_PREFETCH: Final = 10  # as many as SQS gives at once
_POLL_S: Final = 5
_AWS: Final = re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")


def sqs_feed(address: FeedAddress) -> QueueFeed:
    """The queue at `address`."""
    queue = address.path[-1]
    return QueueFeed(lambda: _connect(address, queue), queue, prefetch=_PREFETCH)


def _connect(address: FeedAddress, queue: str) -> Connection:
    secure = address.options.get("tls") != "no"
    port = "" if address.port is None else f":{address.port}"
    host = f"{address.host}{port}"
    url = f"{'https' if secure else 'http'}://{host}/{'/'.join(address.path)}"
    of_aws = _AWS.fullmatch(address.host)
    return Connection(
        hostname=address.host,
        port=address.port,
        userid=address.user,
        password=address.password,
        transport=_Transport,
        transport_options={
            "predefined_queues": {queue: {"url": url}},
            "region": address.options.get("region") or (of_aws.group(1) if of_aws else None),
            "is_secure": secure,
            "wait_time_seconds": _POLL_S,
            "polling_interval": 0,
        },
    )


class _Channel(SQS.Channel):
    """A channel whose messages have no envelope of kombu's, and stay when they are not taken."""

    do_restore = False

    def _prepare_json_payload(self, text: str) -> dict[str, Any]:  # noqa: ARG002 - overridden
        """Take no message for kombu's envelope, whatever it looks like."""
        return {}


class _Transport(SQS.Transport):
    Channel = _Channel
