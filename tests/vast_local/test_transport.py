"""What stands in for `requests` in the SDK is signed alike, and fails alike."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import requests
from vastdb._internal import AWSRequestsAuth

from infra.vast.transport import Connections
from tests.waiting import eventually

_OK = b"HTTP/1.1 200 OK\r\nServer: vast 5.5.0.0\r\n"


@contextmanager
def a_server(*answers: bytes, once_each: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, on one connection or on one for each; what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            left = list(answers)
            while left:
                connection, _ = listening.accept()
                with connection:
                    while left:
                        heard.append(_received(connection))
                        answer = left.pop(0)
                        connection.sendall(answer)
                        if once_each or b"Connection: close" in answer:
                            break

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        thread.join()


def _received(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Len")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/bucket/schema/table?data", b"what is asked"),
        ("/bucket/schema/table?column&tabular-column-name=a%2Fb&tabular-new-column-name=c", b""),
        ("?transaction", b""),
        ("/b?delimiter=%2F&list_type=2", b""),
    ],
)
def test_a_request_is_signed_as_the_sdk_signs_it(path: str, body: bytes) -> None:
    with a_server(_OK + b"Content-Length: 0\r\n\r\n") as (url, heard):
        Connections(url, "access", "secret").request("POST", url + path, 5, data=body)
    lines = heard[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    sent = dict(line.split(": ", 1) for line in lines)

    asked = requests.Request("POST", url + path, data=body).prepare()
    host = url.removeprefix("http://")
    signer = AWSRequestsAuth("access", "secret", host, "", "s3")
    for _ in range(2):  # the second may have turned
        signed = signer.get_aws_request_headers_handler(asked)
        if signed["x-amz-date"] == sent["x-amz-date"]:
            break
    else:
        pytest.skip("the clock moved on between the two signatures")

    assert {name: sent[name] for name in signed} == signed
    assert sent["Host"] == host


def test_answers_are_read_whole_whatever_their_framing() -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n"
    plain = b"Content-Length: 3\r\ntabular-txid: 7\r\n\r\nabc"
    to_the_end = b"Connection: close\r\n\r\nuntil it ends"
    with a_server(_OK + chunked, _OK + plain, _OK + to_the_end) as (url, _):
        session = Connections(url, "access", "secret")
        answers = [session.request("GET", url + "/b/s/t?data", 5) for _ in range(3)]

    assert [each.content for each in answers] == [b"hello, world", b"abc", b"until it ends"]
    assert answers[0].raw.read() == b"hello, world"
    assert answers[1].headers["Tabular-Txid"] == "7"


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    empty = _OK + b"Content-Length: 0\r\n\r\n"
    with a_server(empty, empty, once_each=True) as (url, heard):
        session = Connections(url, "access", "secret")
        assert session.request("POST", url + "?transaction", 5).status_code == 200
        eventually(session._open.ended)  # type: ignore[union-attr]  # it is open
        assert session.request("POST", url + "?transaction", 5).status_code == 200

    assert len(heard) == 2


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"nonsense\r\n"],
)
def test_an_answer_that_breaks_off_is_a_connection_error(answer: bytes) -> None:
    with a_server(answer) as (url, _):
        session = Connections(url, "access", "secret")
        with pytest.raises(requests.ConnectionError):
            session.request("GET", url + "/b/s/t?data", 5)
        session.close()


def test_nobody_there_is_a_connection_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(requests.ConnectionError):
        Connections(url, "access", "secret").request("GET", url, 5)
