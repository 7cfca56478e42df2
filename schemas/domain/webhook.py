"""A webhook: somebody who is told of events, and how far they have been told (schema `webhook`).

* A webhook follows the log of events by its position, the number of the last event that it has, or
  does not want. It moves forward in order; only a replay takes it back.
* `created` becomes `started` when a worker takes the webhook up; a client may disable either. What
  happens while a webhook is disabled is not for it: enabled again, it begins where the log ends,
  as it does when it is registered.
* After a failure nothing is sent before the next try. When failures have gone on for too long the
  webhook is in `error`, with the reason; enabled again, it goes on where it stopped. From `error`
  it cannot be disabled.
* Its keys are sealed. Keys that a change leaves out stay, as long as the events go to the same
  server: else whoever may change the URL could have them sent to a server of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from schemas.domain.delivery import Reply, pause_after
from schemas.domain.errors import Forbidden, Invalid
from schemas.domain.event import EventFilter, EventType
from schemas.domain.identifiers import WebhookId
from schemas.domain.job import Fault
from schemas.domain.source import Tags
from schemas.domain.storage import UrlFilter


class WebhookStatus(StrEnum):
    """Whether a webhook is told of events."""

    CREATED = "created"
    STARTED = "started"
    DISABLED = "disabled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Keys:
    """What goes with events to prove where they come from; None where there is none.

    `api_key` is sent in a header, `signing_key` signs.
    """

    api_key: str | None = field(default=None, repr=False)
    signing_key: str | None = field(default=None, repr=False)

    def mapped(self, change: Callable[[str], str]) -> "Keys":
        """These keys, each changed; an empty text stays, for it is none."""
        return Keys(
            self.api_key and change(self.api_key), self.signing_key and change(self.signing_key)
        )

    def or_else(self, others: "Keys") -> "Keys":
        """These keys, and those of `others` that are missing here."""
        return Keys(
            others.api_key if self.api_key is None else self.api_key,
            others.signing_key if self.signing_key is None else self.signing_key,
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client asks of a webhook, which a change names; of the keys, an empty text is none."""

    document: Mapping[str, Any]
    enabled: bool
    keys: Keys
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook; `document` is its JSON without the fields the store manages, or keeps secret.

    `position` is a number in the log, `replays` says how often it was taken back; `failures` are
    those in a row since `failing_since`.
    """

    id: WebhookId
    document: Mapping[str, Any]
    owner: str
    created: datetime
    position: int
    status: WebhookStatus = WebhookStatus.CREATED
    sealed: Keys = Keys()
    replays: int = 0
    failures: int = 0
    failing_since: datetime | None = None
    next_try: datetime | None = None
    fault: Fault | None = None

    @property
    def url(self) -> str:
        """Where events go."""
        return str(self.document["url"])

    @property
    def tags(self) -> Tags:
        """Its tags, none if there are none."""
        tags: Tags = self.document.get("tags", {})
        return tags

    @property
    def filter(self) -> EventFilter:
        """The events it wants."""

        def ids(name: str) -> frozenset[str] | None:
            return None if name not in self.document else frozenset(self.document[name])

        return EventFilter(
            frozenset(map(EventType, self.document["events"])),
            ids("flow_ids"),
            ids("source_ids"),
            ids("flow_collected_by_ids"),
            ids("source_collected_by_ids"),
        )

    @property
    def urls(self) -> UrlFilter:
        """The URLs it wants of the objects of segments."""
        labels = self.document.get("accept_get_urls")
        storage_ids = self.document.get("accept_storage_ids")
        return UrlFilter(
            labels=None if labels is None else frozenset(labels),
            storage_ids=None if storage_ids is None else frozenset(storage_ids),
            presigned=self.document.get("presigned"),
            verbose=self.document.get("verbose_storage", False),
        )

    @property
    def wants_object_timeranges(self) -> bool:
        """Whether segments are to tell the timeranges of their objects."""
        return bool(self.document.get("include_object_timerange", False))

    @property
    def is_active(self) -> bool:
        """Whether it is told of events."""
        return self.status in {WebhookStatus.CREATED, WebhookStatus.STARTED}

    def is_due(self, now: datetime) -> bool:
        """Whether it may be told of events now."""
        return self.is_active and (self.next_try is None or self.next_try <= now)

    def require_owner(self, principal: str) -> None:
        """Raises Forbidden when `principal` may not change it."""
        if principal != self.owner:
            raise Forbidden(f"webhook {self.id} belongs to somebody else")

    def changed(self, terms: Terms, sealed: Keys, end: int) -> "Webhook":
        """This webhook on other terms; `end` is the number of the last event in the log.

        Raises:
            Invalid: when they are another webhook's, or it cannot be disabled.
        """
        if terms.id not in {None, self.id}:
            raise Invalid(f"id: {terms.id} is not the webhook of the path, {self.id}", field="id")
        if self.status is WebhookStatus.ERROR and not terms.enabled:
            raise Invalid(
                "status: a webhook in error cannot be disabled, only enabled again", field="status"
            )
        if _server(self.url) == _server(terms.document["url"]):
            sealed = sealed.or_else(self.sealed)
        return Webhook(
            self.id,
            terms.document,
            self.owner,
            self.created,
            end if self.status is WebhookStatus.DISABLED else self.position,
            WebhookStatus.CREATED if terms.enabled else WebhookStatus.DISABLED,
            sealed,
            self.replays,
        )

    def replayed(self, position: int) -> "Webhook":
        """This webhook, taken back to `position` if that is behind it.

        Raises:
            Invalid: when it is told of no events.
        """
        if not self.is_active:
            raise Invalid(f"webhook {self.id} is in {self.status}: enable it before replaying")
        return replace(self, position=min(self.position, position), replays=self.replays + 1)

    def moved(self, position: int) -> "Webhook":
        """This webhook, taken up and told of everything up to `position`."""
        taken_up = replace(self, status=WebhookStatus.STARTED)
        if position == self.position:
            return taken_up
        return replace(taken_up, position=position, failures=0, failing_since=None, next_try=None)

    def failed(self, reply: Reply, now: datetime, chance: float, patience: timedelta) -> "Webhook":
        """This webhook after `reply` to the event after its position."""
        since, failures = self.failing_since or now, self.failures + 1
        pause = pause_after(failures, reply, chance)
        if not reply.is_final and now < since + patience:
            return replace(self, failures=failures, failing_since=since, next_try=now + pause)
        tried = f"{failures} tries since {since:%Y-%m-%dT%H:%M:%SZ}"
        fault = Fault("DeliveryFailed", f"the receiver {reply}; given up after {tried}", now)
        return replace(self, status=WebhookStatus.ERROR, next_try=None, fault=fault)


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
