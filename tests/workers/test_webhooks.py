"""Webhooks are told of everything in order, whatever their receivers do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import count, pairwise
from threading import Event, Thread
from typing import Any

import pytest

from infra.courier import HttpCourier
from infra.vast.session import Database
from infra.vault import FernetVault
from schemas.domain.errors import Forbidden, Invalid, Unavailable, WebhookNotFound
from schemas.domain.identifiers import FlowId, WebhookId
from schemas.domain.query import Listing, WebhookQuery
from schemas.domain.webhook import Keys, Terms, Webhook, WebhookStatus
from schemas.tables.definitions import WEBHOOKS
from tasks import deliveries, events, flows, webhooks
from tasks.ports import Ports, Work
from tests.making import new_id, video
from tests.receiving import OK, Answer, Received, Receiver, receiving
from tests.services.running import Running
from tests.workers.conftest import empty_log, with_ports

DAY_S = 86_400
# Every test has a time of its own, and none the present: the log is that of all of them.
TIMES = (datetime(2016, 11, 25, 12, tzinfo=UTC) + timedelta(days=30 * n) for n in count())
NO_KEYS = Keys()


@dataclass
class Hands:
    """A clock that a test sets."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def go_on(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Hands:
    return Hands(next(TIMES))


@pytest.fixture
def ports(ports: Ports, clock: Hands) -> Iterator[Ports]:
    """Ports that reach receivers on this machine, and pause for as long as they may."""
    courier = HttpCourier([ip_network("127.0.0.0/8")], plain_http=True, timeout_s=1)
    empty_log(ports)
    yield with_ports(ports, courier=courier, clock=clock, chance=lambda: 1.0)
    for webhook in webhooks.listing(ports, WebhookQuery(Listing(1_000))).items:
        webhooks.delete(ports, webhook.id, by=webhook.owner)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def register(ports: Ports, url: str, **more: Any) -> WebhookId:
    document = {"url": url, "events": ["flows/created"], **more}
    return webhooks.create(ports, Terms(document, enabled=True, keys=Keys()), by="me").id


def make_flows(ports: Ports, number: int) -> list[str]:
    """So many flows, and the events of them in the log."""
    made = []
    for _ in range(number):
        flow = video(new_id())
        flows.put(ports, FlowId(flow["id"]), flow, by="test")
        made.append(flow["id"])
    events.relay(ports)
    return made


def told(receiver: Receiver) -> list[str]:
    """The flows that were told of, in order."""
    return [each.event["event"]["flow"]["id"] for each in receiver.received]


def answers(*statuses: int, **headers: str) -> Callable[[Received], Answer]:
    """Those statuses in turn, and success from then on."""
    left = [
        Answer(status, {k.replace("_", "-"): v for k, v in headers.items()}) for status in statuses
    ]
    return lambda _: left.pop(0) if left else OK


def deliver(ports: Ports, webhook_id: WebhookId) -> Webhook:
    """Deliver for as long as there is more at once; the webhook as it is then."""
    deliveries.deliver(ports, webhook_id)
    while (Work.DELIVER, webhook_id) in ports.queue.called:
        deliveries.deliver(ports, webhook_id)
    return webhooks.get(ports, webhook_id)


def test_a_webhook_is_told_of_what_happens_after_it_was_registered(ports, receiver):
    make_flows(ports, 1)
    webhook_id = register(ports, receiver.url)
    created = webhooks.get(ports, webhook_id)
    made = make_flows(ports, 3)

    webhook = deliver(ports, webhook_id)

    assert created.status is WebhookStatus.CREATED
    assert webhook.status is WebhookStatus.STARTED
    assert told(receiver) == made


def test_a_webhook_is_started_although_nothing_has_happened(ports, receiver):
    webhook_id = register(ports, receiver.url)

    assert deliver(ports, webhook_id).status is WebhookStatus.STARTED


def test_only_webhooks_that_want_an_event_are_called_for(ports, receiver):
    wanting = register(ports, receiver.url)
    other = register(ports, receiver.url, events=["flows/deleted"])
    for webhook_id in (wanting, other):
        deliver(ports, webhook_id)

    make_flows(ports, 1)

    assert (Work.DELIVER, wanting) in ports.queue.called
    assert (Work.DELIVER, other) not in ports.queue.called


def test_a_webhook_is_called_for_again_when_a_call_got_lost(ports, receiver):
    webhook_id = register(ports, receiver.url)
    deliver(ports, webhook_id)
    deliveries.tidy(ports)
    before = list(ports.queue.called)
    make_flows(ports, 1)
    ports.queue.called.clear()

    deliveries.tidy(ports)

    assert (Work.DELIVER, webhook_id) not in before
    assert (Work.DELIVER, webhook_id) in ports.queue.called


def test_a_webhook_is_kept_although_nobody_can_be_called_for_it(ports, receiver):
    class Deaf:
        """A queue whose broker does not answer."""

        def call(self, *_: Any) -> None:
            raise Unavailable("the message broker does not answer")

    webhook_id = register(with_ports(ports, queue=Deaf()), receiver.url)
    deliveries.tidy(ports)

    assert (Work.DELIVER, webhook_id) in ports.queue.called


def test_a_webhook_that_waits_for_its_next_try_does_so_although_calls_got_lost(
    ports, receiver, clock
):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = answers(500)
    failed = deliver(ports, webhook_id)
    assert ports.deliveries.due(failed.next_try) == [webhook_id]  # and it is forgotten

    deliveries.tidy(ports)
    deliver(ports, webhook_id)  # which is too early
    clock.moment = failed.next_try
    deliveries.sweep(ports)

    assert len(receiver.received) == 1
    assert (Work.DELIVER, webhook_id) in ports.queue.called


def test_what_is_not_wanted_is_passed_over_without_a_transaction(ports, receiver):
    webhook_id = register(ports, receiver.url, events=["sources/deleted"])
    before = deliver(ports, webhook_id)
    make_flows(ports, 3)

    assert deliver(ports, webhook_id) == before
    assert receiver.received == []


def test_pages_follow_each_other_until_everything_is_told(ports, receiver, monkeypatch):
    monkeypatch.setattr(deliveries, "_PAGE", 2)
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 5)

    deliver(ports, webhook_id)

    assert told(receiver) == made


def test_a_slow_receiver_has_its_turn_and_then_others_have_theirs(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 3)
    receiver.answer = lambda _: clock.go_on(ports.limits.flush_seconds + 1) or OK

    deliveries.deliver(ports, webhook_id)

    assert told(receiver) == made[:1]
    assert (Work.DELIVER, webhook_id) in ports.queue.called
    deliver(ports, webhook_id)
    assert told(receiver) == made


def test_a_receiver_that_fails_is_tried_again_when_its_time_has_come(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 3)
    receiver.answer = answers(200, 500)

    failed = deliver(ports, webhook_id)
    deliver(ports, webhook_id)  # too early
    early, called_early = told(receiver), _called_for(ports, webhook_id)
    clock.go_on(2)
    called = _called_for(ports, webhook_id)
    recovered = deliver(ports, webhook_id)

    assert early == made[:2]
    assert failed.next_try == clock.now()
    assert failed.failures == 1
    assert (called_early, called) == (False, True)
    assert told(receiver) == [made[0], made[1], made[1], made[2]]
    assert (recovered.failures, recovered.failing_since, recovered.next_try) == (0, None, None)


def _called_for(ports: Ports, webhook_id: WebhookId) -> bool:
    """Whether the sweep calls for a webhook."""
    ports.queue.begun(Work.DELIVER, webhook_id)
    deliveries.sweep(ports)
    return (Work.DELIVER, webhook_id) in ports.queue.called


def test_a_try_after_a_failure_begins_with_what_failed_and_with_its_id(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = answers(500, 503)

    for _ in range(3):
        deliver(ports, webhook_id)
        clock.go_on(60)

    assert len({each.id for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1


def test_pauses_grow_until_the_webhook_is_given_up_with_the_reason(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = lambda _: Answer(500)
    began, pauses, webhook = clock.now(), [], deliver(ports, webhook_id)

    while webhook.next_try is not None:
        pauses.append((webhook.next_try - clock.now()).total_seconds())
        clock.moment = webhook.next_try
        webhook = deliver(ports, webhook_id)

    assert pauses[:12] == [2.0**n for n in range(1, 12)] + [3_600]
    assert all(one <= other for one, other in pairwise(pauses))
    assert webhook.status is WebhookStatus.ERROR
    assert DAY_S <= (clock.now() - began).total_seconds() < DAY_S + 3_600
    assert "answers 500" in webhook.fault.summary
    assert f"{len(receiver.received)} tries" in webhook.fault.summary
    assert webhook.fault.time == clock.now()
    clock.go_on(DAY_S)
    deliveries.tidy(ports)
    assert not _called_for(ports, webhook_id)


def test_pauses_are_drawn_anew_between_nothing_and_their_bound(ports, receiver, clock):
    chances = iter([0.25, 0.5, 0.0])
    ports = with_ports(ports, chance=lambda: next(chances))
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = lambda _: Answer(500)
    pauses = []

    for _ in range(3):
        deliveries.deliver(ports, webhook_id)
        webhook = webhooks.get(ports, webhook_id)
        pauses.append((webhook.next_try - clock.now()).total_seconds())
        clock.moment = webhook.next_try

    assert pauses == [0.5, 2.0, 0.0]


def test_a_receiver_is_not_tried_before_it_asked_to_be(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = answers(503, Retry_After="600")

    webhook = deliver(ports, webhook_id)

    assert webhook.next_try == clock.now() + timedelta(seconds=600)


def test_a_receiver_that_asks_for_more_time_than_there_is_has_one_more_try(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    ports = with_ports(ports, limits=replace(ports.limits, webhook_retry_s=60))
    make_flows(ports, 1)
    receiver.answer = answers(503, 503, Retry_After="600")

    waiting = deliver(ports, webhook_id)
    clock.moment = waiting.next_try
    over = deliver(ports, webhook_id)

    assert waiting.status is WebhookStatus.STARTED
    assert over.status is WebhookStatus.ERROR


def test_what_cannot_be_told_holds_up_its_webhook_until_that_says_so(
    ports, receiver, clock, monkeypatch
):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 2)
    body = events.body

    def failing(ports: Ports, event: Any, *args: Any, **more: Any) -> Any:
        assert event.flow_id != made[1]
        return body(ports, event, *args, **more)

    monkeypatch.setattr(events, "body", failing)
    webhook = deliver(ports, webhook_id)
    clock.go_on(2 * DAY_S)
    webhook = deliver(ports, webhook_id)

    assert told(receiver) == made[:1]
    assert webhook.status is WebhookStatus.ERROR
    assert "an internal error, see the log" in webhook.fault.summary


def test_a_receiver_that_is_gone_is_not_tried_again(ports, receiver):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 2)
    receiver.answer = lambda _: Answer(410)

    webhook = deliver(ports, webhook_id)

    assert webhook.status is WebhookStatus.ERROR
    assert len(receiver.received) == 1


def test_a_webhook_in_error_goes_on_where_it_stopped_when_it_is_enabled(ports, receiver):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 2)
    receiver.answer = answers(200, 410)
    failed = deliver(ports, webhook_id)
    more = make_flows(ports, 1)

    enable(ports, failed)
    webhook = deliver(ports, webhook_id)

    assert webhook.fault is None
    assert told(receiver) == [made[0], made[1], made[1], more[0]]


def test_a_webhook_in_error_cannot_be_disabled(ports, receiver):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    receiver.answer = lambda _: Answer(410)
    failed = deliver(ports, webhook_id)

    with pytest.raises(Invalid, match="status") as caught:
        disable(ports, failed)

    assert caught.value.field == "status"
    assert webhooks.get(ports, webhook_id) == failed


def test_what_happens_while_a_webhook_is_disabled_is_not_for_it(ports, receiver):
    webhook_id = register(ports, receiver.url)
    disabled = disable(ports, webhooks.get(ports, webhook_id))
    ports.queue.called.clear()
    make_flows(ports, 1)
    deliveries.tidy(ports)
    called = list(ports.queue.called)
    deliver(ports, webhook_id)

    enable(ports, disabled)
    made = make_flows(ports, 1)
    deliver(ports, webhook_id)

    assert (Work.DELIVER, webhook_id) not in called
    assert told(receiver) == made


def test_a_change_of_a_webhook_that_is_told_of_events_loses_none(ports, receiver):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 2)

    changed = enable(ports, webhooks.get(ports, webhook_id), tags={"colour": "red"})
    webhook = deliver(ports, webhook_id)

    assert changed.status is WebhookStatus.CREATED
    assert webhook.status is WebhookStatus.STARTED
    assert told(receiver) == made


def test_a_webhook_is_sent_again_what_occurred_since(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    clock.go_on(60)
    since = clock.now()
    later = make_flows(ports, 2)
    deliver(ports, webhook_id)
    before = len(receiver.received)

    webhooks.replay(ports, webhook_id, since, by="me")
    deliver(ports, webhook_id)

    assert told(receiver)[before:] == later
    assert len({each.id for each in receiver.received}) == 3


def test_a_replay_from_the_future_skips_nothing(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 2)

    webhooks.replay(ports, webhook_id, clock.now() + timedelta(days=1), by="me")
    deliver(ports, webhook_id)

    assert told(receiver) == made


def test_a_replay_asked_for_while_events_are_sent_is_not_undone(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    clock.go_on(60)
    made = make_flows(ports, 2)
    deliver(ports, webhook_id)
    more = make_flows(ports, 1)
    first = Event()

    def replaying(_: Received) -> Answer:
        if not first.is_set():
            first.set()
            webhooks.replay(ports, webhook_id, clock.now(), by="me")
        return OK

    receiver.answer = replaying
    deliver(ports, webhook_id)
    deliver(ports, webhook_id)

    assert told(receiver) == [*made, *more, *made, *more]


def test_a_replay_of_what_is_being_sent_at_that_moment_is_not_undone(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 1)
    first = Event()

    def replaying(_: Received) -> Answer:
        if not first.is_set():
            first.set()
            webhooks.replay(ports, webhook_id, clock.now(), by="me")
        return OK

    receiver.answer = replaying
    deliver(ports, webhook_id)
    deliver(ports, webhook_id)

    assert told(receiver) == made + made


def test_nothing_is_replayed_to_a_webhook_that_is_told_of_nothing(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    disable(ports, webhooks.get(ports, webhook_id))

    with pytest.raises(Invalid, match="enable it"):
        webhooks.replay(ports, webhook_id, clock.now(), by="me")


def test_only_the_owner_may_change_a_webhook(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    terms = Terms({"url": receiver.url, "events": []}, enabled=True, keys=Keys())

    for attempt in (
        lambda: webhooks.change(ports, webhook_id, terms, by="you"),
        lambda: webhooks.delete(ports, webhook_id, by="you"),
        lambda: webhooks.replay(ports, webhook_id, clock.now(), by="you"),
        lambda: deliveries.test(ports, webhook_id, by="you"),
    ):
        with pytest.raises(Forbidden, match="somebody else"):
            attempt()
    assert receiver.received == []


def test_a_deleted_webhook_is_told_of_nothing_and_leaves_no_history(ports, receiver):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    deliver(ports, webhook_id)

    webhooks.delete(ports, webhook_id, by="me")
    make_flows(ports, 1)
    deliveries.deliver(ports, webhook_id)

    assert len(receiver.received) == 1
    assert ports.deliveries.recent(webhook_id) == []
    with pytest.raises(WebhookNotFound):
        deliveries.recent(ports, webhook_id)


def test_the_last_tries_are_remembered_with_what_came_of_them(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 2)
    receiver.answer = answers(500, 200)
    began = clock.now()
    deliver(ports, webhook_id)
    clock.go_on(60)
    deliver(ports, webhook_id)

    tried = deliveries.recent(ports, webhook_id)

    assert [(each.attempt, str(each.reply)) for each in tried] == [
        (1, "answers 200"),
        (2, "answers 200"),
        (1, "answers 500"),
    ]
    assert tried[1].event_id == tried[2].event_id == receiver.received[0].id
    assert tried[2].time == began


def test_no_more_than_a_hundred_tries_are_remembered(ports, receiver):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 2)
    deliver(ports, webhook_id)
    (one, *_) = tried = deliveries.recent(ports, webhook_id)

    ports.deliveries.record(webhook_id, [one] * 150)

    assert deliveries.recent(ports, webhook_id) == [one] * 100
    assert len(tried) == 2


def test_one_worker_at_a_time_sends_to_a_webhook(ports, receiver, clock):
    webhook_id = register(ports, receiver.url)
    make_flows(ports, 1)
    arrived, leave = Event(), Event()
    receiver.answer = lambda _: arrived.set() or (leave.wait(10) and OK) or OK
    ports = with_ports(ports, courier=_patient())
    sending = Thread(target=deliveries.deliver, args=(ports, webhook_id))
    sending.start()
    arrived.wait(10)

    deliveries.deliver(ports, webhook_id)
    called_before = (Work.DELIVER, webhook_id) in ports.queue.called
    leave.set()
    sending.join()

    assert len(receiver.received) == 1
    assert not called_before
    assert (Work.DELIVER, webhook_id) in ports.queue.called  # by the one who sent, in case


def test_a_receiver_that_hangs_keeps_nobody_else_waiting(ports, receiver):
    leave = Event()
    with receiving() as hanging:
        hanging.answer = lambda _: leave.wait(30) and OK
        stuck, well = register(ports, hanging.url), register(ports, receiver.url)
        made = make_flows(ports, 3)
        ports = with_ports(ports, courier=_patient())
        sending = Thread(target=deliveries.deliver, args=(ports, stuck))
        sending.start()
        hanging.wait_for(lambda received: len(received) == 1)

        deliver(ports, well)
        leave.set()
        sending.join()

    assert told(receiver) == made


def test_keys_are_in_the_database_only_as_what_nobody_can_read(ports, receiver, services: Running):
    keys = Keys("Bearer top-secret", "whsec_dG9wLXNlY3JldA==")
    document = {"url": receiver.url, "events": [], "api_key_name": "Authorization"}
    webhook = webhooks.create(ports, Terms(document, enabled=True, keys=keys), by="me")

    with Database(services.settings.vast).transaction() as transaction:
        (row,) = transaction.table(WEBHOOKS).select(equal={"id": webhook.id}).to_pylist()

    assert "secret" not in str(row)
    assert "dG9wLXNlY3JldA" not in str(row)
    assert "secret" not in repr(webhook)
    assert webhook.sealed.mapped(ports.vault.open) == keys


def test_keys_that_are_left_out_stay_unless_events_go_to_another_server(ports, receiver):
    keys = Keys("key", "signing")
    document = {"url": receiver.url, "events": [], "api_key_name": "X-Key"}
    webhook = webhooks.create(ports, Terms(document, enabled=True, keys=keys), by="me")

    def known(url: str, keys: Keys = NO_KEYS) -> Keys:
        terms = Terms({**document, "url": url}, enabled=True, keys=keys)
        changed = webhooks.change(ports, webhook.id, terms, by="me")
        return changed.sealed.mapped(ports.vault.open)

    assert known(receiver.url + "other/path") == keys
    assert known(receiver.url, Keys("new")) == Keys("new", "signing")
    assert known(receiver.url, Keys("")) == Keys("", "signing")
    assert known("http://127.0.0.1:9/") == Keys()


def test_keys_are_sealed_anew_when_the_key_of_the_store_changes(ports, receiver):
    old = with_ports(ports, vault=FernetVault(["o" * 32]))
    both = with_ports(ports, vault=FernetVault(["n" * 32, "o" * 32]))
    document = {"url": receiver.url, "events": []}
    terms = Terms(document, enabled=True, keys=Keys("key", None))
    webhook = webhooks.create(old, terms, by="me")

    renewed, again = webhooks.reseal(both), webhooks.reseal(both)

    sealed = webhooks.get(ports, webhook.id).sealed
    assert FernetVault(["n" * 32]).open(sealed.api_key) == "key"
    assert (renewed, again) == (1, 0)


def test_a_webhook_whose_key_cannot_be_opened_waits_and_loses_nothing(ports, receiver):
    document = {"url": receiver.url, "events": ["flows/created"], "api_key_name": "X-Key"}
    terms = Terms(document, enabled=True, keys=Keys("key"))
    webhook = webhooks.create(ports, terms, by="me")
    made = make_flows(ports, 1)

    with pytest.raises(Unavailable, match="key that is not set"):
        deliveries.deliver(with_ports(ports, vault=FernetVault(["n" * 32])), webhook.id)
    deliver(ports, webhook.id)

    assert told(receiver) == made


def test_a_crash_before_the_webhook_is_moved_sends_the_page_again(ports, receiver):
    webhook_id = register(ports, receiver.url)
    made = make_flows(ports, 3)

    class Dying:
        """A database that dies when it is written to."""

        def read(self) -> Any:
            return ports.metadata.read()

        def transact(self, _: Callable[..., Any]) -> Any:
            raise SystemExit

    with pytest.raises(SystemExit):
        deliveries.deliver(with_ports(ports, metadata=Dying()), webhook_id)
    deliver(ports, webhook_id)

    assert told(receiver) == made + made
    assert len({each.id for each in receiver.received}) == 3


def enable(ports: Ports, webhook: Webhook, **more: Any) -> Webhook:
    terms = Terms({**webhook.document, **more}, enabled=True, keys=Keys())
    return webhooks.change(ports, webhook.id, terms, by="me")


def disable(ports: Ports, webhook: Webhook) -> Webhook:
    terms = Terms(webhook.document, enabled=False, keys=Keys())
    return webhooks.change(ports, webhook.id, terms, by="me")


def _patient() -> HttpCourier:
    return HttpCourier([ip_network("127.0.0.0/8")], plain_http=True, timeout_s=30)
