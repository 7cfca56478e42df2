"""Telling webhooks of events: in order, at least once, each on its own.

* `deliver` sends one webhook the next page of the log, for a few seconds at most. So each has its
  turn, and one that is slow or silent keeps nobody else waiting. The relay calls for it when there
  is something the webhook wants (`tasks.webhooks.call_for`), and `tidy` when such a call got lost.
* Nothing sleeps: a webhook that failed is found again by `sweep`, when its time has come.
* A webhook moves on in one transaction per page. After a crash it is sent the rest of the page
  again; receivers tell by the ids of events.
* Only a webhook that is still where it was is moved: a client may have taken it back meanwhile.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from schemas.domain.changes import Changes
from schemas.domain.delivery import Delivery, Reply
from schemas.domain.errors import Unavailable
from schemas.domain.event import Event
from schemas.domain.identifiers import WebhookId
from schemas.domain.webhook import Keys, Webhook, WebhookStatus
from schemas.http.fields import time_text
from schemas.http.webhooks import headers_of
from tasks import events
from tasks.ports import LeaseLost, Ports, Snapshot, Turn, Work
from tasks.webhooks import existing

log = logging.getLogger(__name__)

Send = Callable[[Mapping[str, str], bytes], Reply]

TEST: Final = "webhooks/test"

_PAGE: Final = 250
_NOT_TOLD: Final = Reply(silence="was not asked: an internal error, see the log")


def deliver(ports: Ports, webhook_id: WebhookId) -> None:
    """Send a webhook the next events; calls again when there are more."""
    ports.queue.begun(Work.DELIVER, webhook_id)
    with ports.deliveries.turn(webhook_id) as turn:
        if turn is None:  # whoever has it may have looked for more already
            ports.deliveries.wake(webhook_id, ports.clock.now())
            return
        more = _tell(ports, webhook_id, turn)
    if more:
        ports.queue.call(Work.DELIVER, webhook_id)
    sweep(ports)  # somebody may have come while the turn was taken


def sweep(ports: Ports) -> None:
    """Call for webhooks whose time has come."""
    for webhook_id in ports.deliveries.due(ports.clock.now()):
        ports.queue.call(Work.DELIVER, webhook_id)


def tidy(ports: Ports) -> None:
    """Call for every webhook that is not at the end of the log, in case nobody did."""
    with ports.metadata.read() as snapshot:
        webhooks, end = snapshot.all_webhooks(), snapshot.event_log().last
    for webhook in webhooks:
        if webhook.is_active and (
            webhook.position < end or webhook.status is WebhookStatus.CREATED
        ):
            ports.queue.call(Work.DELIVER, webhook.id)


def test(ports: Ports, webhook_id: WebhookId, *, by: str) -> Delivery:
    """Send a webhook something that is no event, whatever its status is, and wait for the reply.

    Raises:
        WebhookNotFound: when there is no such webhook.
        Forbidden: when it is not for `by` to do so.
        Unavailable: when it is being tested already.
    """
    with ports.metadata.read() as snapshot:
        webhook = existing(snapshot, webhook_id)
    webhook.require_owner(by)
    told = {"webhook_id": webhook.id}
    content = {"event_timestamp": time_text(ports.clock.now()), "event_type": TEST, "event": told}
    with ports.deliveries.turn(WebhookId(f"{webhook.id}/test")) as turn:
        if turn is None:
            raise Unavailable(f"webhook {webhook.id} is being tested already")
        with ports.courier.line(webhook.url) as send:
            keys = webhook.sealed.mapped(ports.vault.open)
            body = orjson.dumps(content)
            tried = _try(ports, webhook, keys, send, Letter(ports.ids.new(), TEST, body), 1)
    ports.deliveries.record(webhook.id, [tried])
    return tried


def recent(ports: Ports, webhook_id: WebhookId) -> list[Delivery]:
    """What was sent to a webhook last, the latest first; WebhookNotFound when there is none."""
    with ports.metadata.read() as snapshot:
        webhook = existing(snapshot, webhook_id)
    return ports.deliveries.recent(webhook.id)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: the body of an event, and what else there is to say of it."""

    id: str
    type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Told:
    """How far a webhook has been told, what was tried, and the reply that ended it, if one did."""

    position: int
    tried: Sequence[Delivery]
    refusal: Reply | None = None


def _tell(ports: Ports, webhook_id: WebhookId, turn: Turn) -> bool:
    """Send the next page of the log; whether there is more to be sent at once."""
    with ports.metadata.read() as snapshot:
        webhook = snapshot.webhooks([webhook_id]).get(webhook_id)
        if webhook is None or not webhook.is_active:
            return False
        if webhook.next_try is not None and webhook.next_try > ports.clock.now():
            ports.deliveries.wake(webhook.id, webhook.next_try)
            return False
        begin = max(webhook.position, snapshot.event_log().first - 1)
        page = snapshot.events_after(begin, _PAGE)
    wanted = list(filter(webhook.filter, page))
    end = page[-1].sequence if page else begin
    full = len(page) == _PAGE
    if webhook.status is WebhookStatus.STARTED and not (wanted or full):
        return False  # it need not move for what it does not want
    try:
        told = _send(ports, webhook, wanted, end, turn)
    except LeaseLost:
        log.warning("webhook %s is sent to by somebody else now", webhook.id)
        return False
    _move(ports, webhook, told)
    ports.deliveries.record(webhook.id, told.tried)
    return told.refusal is None and (full or told.position < end)


def _send(ports: Ports, webhook: Webhook, wanted: Sequence[Event], end: int, turn: Turn) -> _Told:
    """Send `wanted`, until one is refused or the time is up; all of it leads to `end`."""
    until = ports.clock.now() + timedelta(seconds=ports.limits.flush_seconds)
    keys = webhook.sealed.mapped(ports.vault.open)
    tried = list[Delivery]()
    with ports.courier.line(webhook.url) as send:
        for event in wanted:
            before = event.sequence - 1
            if tried and ports.clock.now() > until:
                return _Told(before, tried)
            turn.require()
            attempt = 1 if tried else webhook.failures + 1
            try:
                letter = _letter(ports, webhook, event)
            except Unavailable:
                raise
            except Exception:  # else it would be begun anew for ever
                log.exception("webhook %s cannot be told of event %s", webhook.id, event.id)
                return _Told(before, tried, _NOT_TOLD)
            tried.append(_try(ports, webhook, keys, send, letter, attempt))
            if not (reply := tried[-1].reply).is_success:
                return _Told(before, tried, reply)
    return _Told(end, tried)


def _letter(ports: Ports, webhook: Webhook, event: Event) -> Letter:
    """What tells `webhook` of `event`."""
    body = events.body(
        ports, event, webhook.urls, with_object_timerange=webhook.wants_object_timeranges
    )
    return Letter(event.id, event.type, orjson.dumps(body))


def _try(
    ports: Ports, webhook: Webhook, keys: Keys, send: Send, letter: Letter, attempt: int
) -> Delivery:
    now = ports.clock.now()
    reply = send(headers_of(webhook, keys, letter.id, letter.body, now), letter.body)
    took = ports.clock.now() - now
    took_ms = round(took / timedelta(milliseconds=1))
    return Delivery(letter.id, letter.type, now, attempt, took_ms, reply)


def _place(webhook: Webhook) -> tuple[int, int]:
    """Where a webhook is, which it is again only if nobody took it back."""
    return webhook.position, webhook.replays


def _move(ports: Ports, webhook: Webhook, told: _Told) -> None:
    """Move `webhook` on, unless somebody else has, or it is not to be told any more."""
    patience = timedelta(seconds=ports.limits.webhook_retry_s)

    def decide(snapshot: Snapshot) -> tuple[Changes, Webhook | None]:
        known = snapshot.webhooks([webhook.id]).get(webhook.id)
        if known is None or not known.is_active or _place(known) != _place(webhook):
            return Changes(), None
        moved = known.moved(told.position)
        if told.refusal is not None:
            now, chance = ports.clock.now(), ports.chance()
            moved = moved.failed(told.refusal, now, chance, patience)
        return Changes(replace=(moved,) if moved != known else ()), moved

    moved = ports.metadata.transact(decide)
    if moved is None or told.refusal is None:
        return
    if moved.next_try is not None:
        ports.deliveries.wake(webhook.id, moved.next_try)
    else:
        log.warning("webhook %s: %s", webhook.id, moved.fault and moved.fault.summary)
