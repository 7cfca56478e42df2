"""Events reach receivers that may be reached, and nobody waits longer than was said."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from threading import Event, Thread
from time import monotonic

import pytest

from infra.courier import HttpCourier
from schemas.domain.delivery import Reply
from schemas.domain.errors import Invalid
from tests.receiving import Answer, Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@contextmanager
def answering(begin: bytes, again: bytes, pause_s: float) -> Iterator[str]:
    """A server that sends `begin`, and then `again` for as long as somebody listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(begin)
            while not over.wait(pause_s):
                connection.sendall(again)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        thread.join()
        listener.close()


def courier(**more: object) -> HttpCourier:
    options = {"allow": LOOPBACK, "plain_http": True, "timeout_s": 5, **more}
    return HttpCourier(options.pop("allow"), **options)


def send(url: str, **more: object) -> Reply:
    with courier(**more).line(url) as line:
        return line({"X-Sent": "yes"}, b"{}")


def test_what_is_sent_arrives_as_it_is(receiver: Receiver):
    with courier().line(receiver.url + "path?query=1") as line:
        replies = [line({"X-Sent": str(number)}, b"[%d]" % number) for number in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert [(each.path, each.body) for each in receiver.received] == [
        ("/path?query=1", b"[%d]" % number) for number in range(3)
    ]
    assert [each.headers["x-sent"] for each in receiver.received] == ["0", "1", "2"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_status_of_success_is_delivery(receiver: Receiver, status: int):
    receiver.answer = lambda _: Answer(status)

    assert send(receiver.url).is_success


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int):
    with receiving() as elsewhere:
        receiver.answer = lambda _: Answer(status, {"Location": elsewhere.url})

        reply = send(receiver.url)

    assert str(reply) == f"answers {status}, a redirect, which is not followed"
    assert not reply.is_success
    assert elsewhere.received == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("999999999999", 86_400), ("soon", 0), ("-5", 0), ("1.5", 0), ("²", 0)],
)
def test_what_a_receiver_asks_to_wait_is_understood(receiver, text: str, seconds: int):
    header = {"Retry-After": text} if text.isascii() else {}
    receiver.answer = lambda _: Answer(503, header)

    assert send(receiver.url).retry_after == timedelta(seconds=seconds)


def test_a_moment_to_come_again_is_understood(receiver: Receiver):
    moment = datetime.now(UTC) + timedelta(seconds=90)  # noqa: TID251 - as the courier does
    receiver.answer = lambda _: Answer(503, {"Retry-After": format_datetime(moment, usegmt=True)})

    assert 85 < send(receiver.url).retry_after.total_seconds() <= 90


def test_a_receiver_that_says_nothing_is_given_up(receiver: Receiver):
    leave = Event()
    receiver.answer = lambda _: Answer() if leave.wait(30) else None
    began = monotonic()

    reply = send(receiver.url, timeout_s=1)
    leave.set()

    assert str(reply) == "does not answer within 1 s"
    assert monotonic() - began < 5


def test_a_receiver_that_trickles_is_given_up():
    began = monotonic()

    with answering(b"HTTP/1.1 200 OK\r\nX-Slow: ", b".", 0.1) as trickling:
        reply = send(trickling, timeout_s=1)

    assert str(reply) == "does not answer within 1 s"
    assert monotonic() - began < 5


def test_a_receiver_that_hangs_up_or_is_not_there_has_not_answered(receiver: Receiver):
    receiver.answer = lambda _: None

    assert str(send(receiver.url)).startswith("cannot be reached")
    assert str(send("http://127.0.0.1:9/")).startswith("cannot be reached")


class Names:
    """A resolver that gives other addresses each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.left = list(answers)

    def __call__(self, _host: str) -> Sequence[str]:
        return self.left.pop(0)


def test_a_name_that_begins_to_lead_inside_is_not_asked_again(receiver: Receiver):
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    url = f"http://hook.example:{receiver.port}/"
    sender = courier(resolve=names)

    with sender.line(url) as line:
        first = [line({}, b"{}") for _ in range(2)]
    with sender.line(url) as line:
        then = line({}, b"{}")

    assert [reply.status for reply in first] == [200, 200]  # at the address that was checked
    assert then.status is None
    assert "public internet" in str(then)
    assert len(receiver.received) == 2


def test_a_name_is_sent_to_under_that_name(receiver: Receiver):
    send(f"http://hook.example:{receiver.port}/", resolve=Names(["127.0.0.1"]))

    assert receiver.received[0].headers["host"] == f"hook.example:{receiver.port}"


def test_a_receiver_proves_itself_by_the_name_in_its_url(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    with receiving(context) as receiver:
        names = Names(["127.0.0.1"], ["127.0.0.1"])
        known = send(f"https://media.example:{receiver.port}/", resolve=names)
        other = send(f"https://other.example:{receiver.port}/", resolve=names)

    assert known.status == 200
    assert "certificate" in str(other)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "a.localhost", "2130706433", "0x7f000001", "017700000001"),
        *("127.1", "0", "0.0.0.0", "127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]"),
        *("10.0.0.1", "192.168.1.1", "169.254.169.254", "224.0.0.1", "100.64.0.1"),
    ],
)
def test_an_address_inside_is_neither_registered_nor_asked(receiver: Receiver, host: str):
    url = f"https://{host}:{receiver.port}/"

    with pytest.raises(Invalid, match="public internet") as caught:
        courier(allow=()).require_permitted(url)
    reply = send(url.replace("https", "http"), allow=())

    assert caught.value.field == "url"
    assert reply.status is None
    assert "public internet" in str(reply)
    assert receiver.received == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hook.example/", "https://"),
        ("ftp://hook.example/", "HTTP server"),
        ("https:///path", "HTTP server"),
        ("https://hook.example:99999/", "HTTP server"),
        ("https://user:secret@hook.example/", "credentials"),
        ("https://[::1/", "not a URL"),
        ("hook.example", "HTTP server"),
    ],
)
def test_a_url_that_cannot_be_a_receiver_is_refused(url: str, said: str):
    with pytest.raises(Invalid, match=said) as caught:
        courier(plain_http=False).require_permitted(url)

    assert caught.value.field == "url"
    assert "secret" not in str(caught.value)


def test_names_and_public_addresses_may_be_registered():
    for host in ("hook.example", "8.8.8.8", "[2606:4700::1111]", "localhost.example"):
        courier(allow=(), plain_http=False).require_permitted(f"https://{host}/path?query")


def test_what_is_answered_is_not_read_for_ever():
    began = monotonic()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    with answering(head, b"4000\r\n" + bytes(0x4000) + b"\r\n", 0.001) as endless:
        reply = send(endless, timeout_s=30)

    assert reply.is_success
    assert monotonic() - began < 10
