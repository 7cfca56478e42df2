"""Who is let in, what the wire looks like, and when the server refuses to start."""

import http.client
import socket

import pyarrow as pa
import pytest
import requests
import vastdb
from vastdb import errors


def test_a_wrong_access_key_is_forbidden(local_server):
    with pytest.raises(errors.Forbidden):
        vastdb.connect(endpoint=local_server.endpoint, access="other", secret=local_server.secret)


def test_a_wrong_secret_key_is_forbidden(local_server):
    with pytest.raises(errors.Forbidden):
        vastdb.connect(endpoint=local_server.endpoint, access=local_server.access, secret="other")


@pytest.fixture
def wire(local_server):
    connection = http.client.HTTPConnection("127.0.0.1", local_server.port)
    yield connection
    connection.close()


def test_an_unsigned_request_is_forbidden(wire):
    wire.request("POST", "/?transaction")

    assert wire.getresponse().status == 403


def test_a_body_that_was_not_signed_is_forbidden(local_server):
    session = local_server.connect().api._sessions["127.0.0.1"]
    request = session.prepare_request(
        requests.Request("POST", f"{local_server.endpoint}/b/s?schema", data=b"signed")
    )
    request.body = b"forged"

    assert session.send(request).status_code == 403


def test_every_response_names_one_server_and_keeps_the_connection(wire):
    for _ in range(3):
        wire.request("GET", "/?transaction", body=b"a GET may have a body")
        response = wire.getresponse()
        response.read()

        assert response.headers.get_all("Server") == ["vast 5.5.0.1"]
        assert not response.will_close


def test_a_body_beyond_five_mebibytes_is_a_bad_request_and_the_connection_goes_on(wire):
    wire.request("POST", "/b/s/t?rows", body=b"x" * (5 << 20) + b"x")
    response = wire.getresponse()

    assert response.status == 400
    assert b"EntityTooLarge" in response.read()
    wire.request("GET", "/?transaction")
    assert wire.getresponse().status == 403


def test_there_are_no_snapshots(local_server):
    with local_server.connect().transaction() as tx:
        assert list(tx.bucket(local_server.bucket).snapshots()) == []


def test_what_is_not_implemented_says_so(local_server):
    api = local_server.connect().api
    with pytest.raises(errors.NotImplemented):
        api._request(method="DELETE", url=api._url("b", "s", "t", command="partitions"))


def test_a_body_that_is_no_query_is_a_bad_request(db):
    db.create("t", pa.schema([("a", pa.int64())]))
    api = db.session.api
    url = api._url(db.bucket, db.schema, "t", command="data")
    for body in (b"", b"\0" * 8, b"\xff" * 64):
        with pytest.raises(errors.BadRequest):
            api._request(method="GET", url=url, data=body, headers={"tabular-txid": "0"})


def test_a_second_server_on_the_same_directory_is_told_so(start_server, server_command):
    start_server()

    refused = server_command()

    assert refused.returncode == 1
    assert "is in use by another process" in refused.stderr


def test_a_taken_port_is_told_so(server_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = server_command("--port", str(taken.getsockname()[1]))

    assert refused.returncode == 1
    assert "cannot listen on 127.0.0.1" in refused.stderr


def test_the_default_keys_are_refused_off_loopback(server_command):
    refused = server_command("--host", "0.0.0.0", "--secret-key", "vast-local-secret")

    assert refused.returncode == 1
    assert "default keys" in refused.stderr
