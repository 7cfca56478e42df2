"""Requests to addresses that clients chose reach nothing but what they may reach."""

import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

import httpx
import pytest

from infra.outbound import content_of, is_global, outbound_client
from schemas.domain.errors import Invalid, Unavailable
from tests.services.answering import serving

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, list[str]]]:
    with serving() as server:
        yield server


class Names:
    """A resolver that gives other addresses each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.left = list(answers)

    def __call__(self, _host: str) -> Sequence[str]:
        return self.left.pop(0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("198.18.0.1", False),
        ("224.0.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::1", False),
        ("2001:0:7f00:1::", False),
        ("2002:7f00:1::", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_global(address, expected):
    assert is_global(ip_address(address)) is expected


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    ],
)
def test_however_this_machine_is_written_it_is_not_asked(served, host):
    port, hosts = served
    before = len(hosts)

    with outbound_client((), 5) as client, pytest.raises(Invalid, match="public internet"):
        client.get(f"http://{host}:{port}/content")

    assert len(hosts) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_an_allowed_network_is_asked(served, host):
    port, _ = served

    with outbound_client(LOOPBACK, 5) as client:
        assert client.get(f"http://{host}:{port}/content").content == b"content" * 50_000


def test_a_name_is_resolved_once_and_asked_for_at_the_address_that_was_checked(served):
    port, hosts = served
    names = Names(["127.0.0.1"], ["169.254.169.254"])

    with outbound_client(LOOPBACK, 5, names) as client:
        answer = client.get(f"http://media.example:{port}/content")

    assert answer.status_code == 200
    assert hosts[-1] == f"media.example:{port}"
    assert names.left == [["169.254.169.254"]]


def test_a_name_that_leads_elsewhere_the_next_time_is_checked_again(served):
    port, _ = served
    names = Names(["127.0.0.1"], ["10.0.0.1"])

    with outbound_client(LOOPBACK, 5, names) as client:
        client.get(f"http://media.example:{port}/content")
        with pytest.raises(Invalid, match="public internet"):
            client.get(f"http://media.example:{port}/content")


def test_of_several_addresses_only_permitted_ones_are_asked(served):
    port, _ = served
    names = Names(["10.0.0.1", "127.0.0.2", "127.0.0.1"])  # nobody listens at the second

    with outbound_client(LOOPBACK, 5, names) as client:
        assert client.get(f"http://media.example:{port}/content").status_code == 200


def test_a_proxy_in_the_environment_is_not_used(served, monkeypatch):
    port, _ = served
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    with outbound_client(LOOPBACK, 5) as client:
        assert client.get(f"http://127.0.0.1:{port}/content").status_code == 200


def test_content_is_read_piece_by_piece(served):
    port, _ = served

    with (
        outbound_client(LOOPBACK, 5) as client,
        content_of(client, f"http://127.0.0.1:{port}/content") as file,
    ):
        assert file.read(9) == b"contentco"
        assert len(file.read(300_000)) == 300_000
        assert len(file.read(300_000)) == 350_000 - 300_009
        assert file.read(1) == b""


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("http://127.0.0.1:{port}/redirect", Invalid, "redirect"),
        ("http://127.0.0.1:{port}/encoded", Invalid, "encoded content"),
        ("http://127.0.0.1:{port}/404?signature=hidden", Invalid, "answers 404"),
        ("http://user:hidden@127.0.0.1:{port}/404", Invalid, "//127.0.0.1:"),
        ("http://127.0.0.1:{port}/206", Invalid, "answers 206"),
        ("http://127.0.0.1:{port}/204", Invalid, "answers 204"),
        ("http://127.0.0.1:{port}/503?signature=hidden", Unavailable, "answers 503"),
        ("http://127.0.0.1:{port}/429", Unavailable, "answers 429"),
        ("http://127.0.0.1:{port}/short", Unavailable, "/short"),
        ("http://127.0.0.2:{port}/content?signature=hidden", Unavailable, "refused"),
        ("http://10.0.0.1/content?signature=hidden", Invalid, "public internet"),
        ("http://name.invalid/", Unavailable, "cannot be resolved"),
        ("ftp://127.0.0.1/content", Invalid, "HTTP server"),
        ("file:///etc/passwd", Invalid, "HTTP server"),
        ("http:///content", Invalid, "HTTP server"),
        ("content", Invalid, "HTTP server"),
        ("http://[::1/content", Invalid, "is not a URL"),
        ("http://127.0.0.1:port/", Invalid, "is not a URL"),
    ],
)
def test_what_is_not_content_is_told_without_the_query(served, url, error, said):
    with (
        outbound_client(LOOPBACK, 5) as client,
        pytest.raises(error) as caught,
        content_of(client, url.format(port=served[0])) as file,
    ):
        file.read(1_000)

    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_server_proves_itself_by_the_name_in_the_url(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    names = Names(["127.0.0.1"], ["127.0.0.1"])

    with serving(context) as (port, hosts), outbound_client(LOOPBACK, 5, names) as client:
        answer = client.get(f"https://media.example:{port}/content")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            client.get(f"https://other.example:{port}/content")

    assert answer.status_code == 200
    assert hosts == [f"media.example:{port}"]
