"""Subscriptions of AWS SNS, which ask to be confirmed.

* A subscription is confirmed by opening the address in the message. Only one of SNS itself is
  ever opened, and only to confirm the topic that the message names.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

ENVELOPES: Final = frozenset(
    {"Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"}
)

_HOST: Final = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic that sends its notifications to us once `url` has been opened."""

    topic: str
    url: str = field(repr=False)

    @property
    def can_be_trusted(self) -> bool:
        """Whether `url` is one of SNS that confirms a subscription to the topic."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
            query = parse_qs(parts.query)
        except ValueError:
            return False
        return (
            parts.scheme == "https"
            and _HOST.fullmatch(parts.hostname or "") is not None
            and parts.username is None
            and port in {None, _HTTPS}
            and query.get("Action") == ["ConfirmSubscription"]
            and query.get("TopicArn") == [self.topic]
        )
