"""Registering webhooks, changing and forgetting them.

* A webhook is told of what happens after it was registered.
* Where events may be sent to is looked at before a webhook is kept, and again when they are sent.
* Only its owner may change a webhook.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from schemas.domain.changes import Changes
from schemas.domain.errors import Unavailable, WebhookNotFound
from schemas.domain.event import Event
from schemas.domain.identifiers import WebhookId
from schemas.domain.query import Page, WebhookQuery, page_of, position
from schemas.domain.webhook import Terms, Webhook, WebhookStatus
from tasks.ports import Ports, Snapshot, Work


def listing(ports: Ports, query: WebhookQuery) -> Page[Webhook]:
    """The webhooks a query asks for, in order of their URLs."""
    with ports.metadata.read() as snapshot:
        found = snapshot.all_webhooks()
    wanted = [webhook for webhook in found if query.tags(webhook.tags)]
    return page_of(wanted, lambda each: position(each.url, each.id), query.listing)


def get(ports: Ports, webhook_id: WebhookId) -> Webhook:
    """A webhook; raises WebhookNotFound when there is none."""
    with ports.metadata.read() as snapshot:
        return existing(snapshot, webhook_id)


def create(ports: Ports, terms: Terms, *, by: str) -> Webhook:
    """Register a webhook.

    Raises:
        Invalid: when nothing may be sent to its URL.
    """
    ports.courier.require_permitted(terms.document["url"])
    webhook_id, now = WebhookId(ports.ids.new()), ports.clock.now()
    status = WebhookStatus.CREATED if terms.enabled else WebhookStatus.DISABLED
    sealed = terms.keys.mapped(ports.vault.seal)

    def decide(snapshot: Snapshot) -> tuple[Changes, Webhook]:
        known = snapshot.webhooks([webhook_id]).get(webhook_id)
        if known is not None:  # an earlier attempt did commit
            return Changes(), known
        end = snapshot.event_log().last
        webhook = Webhook(webhook_id, terms.document, by, now, end, status, sealed)
        return Changes(add=(webhook,)), webhook

    return _called_for(ports, ports.metadata.transact(decide))


def change(ports: Ports, webhook_id: WebhookId, terms: Terms, *, by: str) -> Webhook:
    """Put a webhook on other terms.

    Raises:
        WebhookNotFound: when there is no such webhook.
        Forbidden: when it is not for `by` to change.
        Invalid: when nothing may be sent to its URL, the terms are those of another webhook, or it
            cannot be disabled.
    """
    ports.courier.require_permitted(terms.document["url"])
    sealed = terms.keys.mapped(ports.vault.seal)
    written: Webhook | None = None

    def decide(snapshot: Snapshot) -> tuple[Changes, Webhook]:
        nonlocal written
        known = existing(snapshot, webhook_id)
        if known == written:  # an earlier attempt did commit
            return Changes(), known
        known.require_owner(by)
        written = known.changed(terms, sealed, snapshot.event_log().last)
        return Changes(replace=(written,)), written

    return _called_for(ports, ports.metadata.transact(decide))


def delete(ports: Ports, webhook_id: WebhookId, *, by: str) -> None:
    """Forget a webhook; what is being sent to it at this moment still arrives.

    Raises:
        WebhookNotFound: when there is no such webhook.
        Forbidden: when it is not for `by` to change.
    """
    removed = False

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        nonlocal removed
        if removed and webhook_id not in snapshot.webhooks([webhook_id]):
            return Changes(), None  # an earlier attempt did commit
        known = existing(snapshot, webhook_id)
        known.require_owner(by)
        removed = True
        return Changes(remove=(known,)), None

    ports.metadata.transact(decide)
    with suppress(Unavailable):  # it will be forgotten anyway
        ports.deliveries.forget(webhook_id)


def replay(ports: Ports, webhook_id: WebhookId, since: datetime, *, by: str) -> Webhook:
    """Have everything that occurred since then sent to a webhook again, as far as it is kept.

    Raises:
        WebhookNotFound: when there is no such webhook.
        Forbidden: when it is not for `by` to change.
        Invalid: when the webhook is told of nothing at present.
    """

    def decide(snapshot: Snapshot) -> tuple[Changes, Webhook]:
        known = existing(snapshot, webhook_id)
        known.require_owner(by)
        replayed = known.replayed(snapshot.position_at(since))
        return Changes(replace=(replayed,)), replayed

    return _called_for(ports, ports.metadata.transact(decide))


def call_for(ports: Ports, events: Sequence[Event]) -> None:
    """Have `events`, which are in the log now, sent to the webhooks that want any of them."""
    with ports.metadata.read() as snapshot:
        webhooks = snapshot.all_webhooks()
    if webhooks:
        ports.log_bell.followed()
    now = ports.clock.now()
    for webhook in webhooks:
        if webhook.is_due(now) and any(map(webhook.filter, events)):
            ports.queue.call(Work.DELIVER, webhook.id)


def reseal(ports: Ports) -> int:
    """Seal every key with the key in use now; how many webhooks that changed."""

    def decide(snapshot: Snapshot) -> tuple[Changes, int]:
        changed = []
        for webhook in snapshot.all_webhooks():
            sealed = webhook.sealed.mapped(ports.vault.renewed)
            if sealed != webhook.sealed:
                changed.append(replace(webhook, sealed=sealed))
        return Changes(replace=tuple(changed)), len(changed)

    return ports.metadata.transact(decide)


def existing(snapshot: Snapshot, webhook_id: WebhookId) -> Webhook:
    """The webhook called `webhook_id`; raises WebhookNotFound when there is none."""
    webhook = snapshot.webhooks([webhook_id]).get(webhook_id)
    if webhook is None:
        raise WebhookNotFound(f"webhook {webhook_id} does not exist")
    return webhook


def _called_for(ports: Ports, webhook: Webhook) -> Webhook:
    """`webhook`, which is looked at now; should that get lost, it is a minute later."""
    with suppress(Unavailable):
        ports.queue.call(Work.DELIVER, webhook.id)
    return webhook
