import socket

import pytest

from infra.local_services.ports import Address, PortChooser, is_free
from infra.local_services.service import StartError


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_not_configured_is_free_and_remembered():
    remembered: dict[str, int] = {}

    address = PortChooser({}, remembered).address("valkey", "REDIS")

    assert is_free(address.host, address.port)
    assert remembered == {"valkey": address.port}


def test_the_port_of_the_last_start_is_used_again():
    first = PortChooser({}, remembered := {}).address("valkey", "REDIS", usual=4010)

    again = PortChooser({}, remembered).address("valkey", "REDIS", usual=4012)

    assert again == first


def test_a_remembered_port_that_is_taken_gives_way(taken):
    address = PortChooser({}, {"valkey": taken}).address("valkey", "REDIS")

    assert address.port != taken


def test_a_configured_port_is_used():
    free = PortChooser({}, {}).address("api", "API").port

    address = PortChooser({"TAMS_API_PORT": str(free)}, {"api": 10_001}).address("api", "API", 4010)

    assert address == Address("127.0.0.1", free)


def test_a_configured_port_that_is_taken_is_refused_with_its_name(taken):
    chooser = PortChooser({"TAMS_S3_PORT": str(taken)}, {})

    with pytest.raises(StartError, match=rf"port {taken} .*seaweedfs.*TAMS_S3_PORT"):
        chooser.address("seaweedfs", "S3")


def test_two_services_cannot_be_given_the_same_port():
    free = str(PortChooser({}, {}).address("api", "API").port)
    chooser = PortChooser({"TAMS_API_PORT": free, "TAMS_LISTENER_PORT": free}, {})

    chooser.address("api", "API")

    with pytest.raises(StartError, match="TAMS_LISTENER_PORT"):
        chooser.address("listener", "LISTENER")


def test_port_zero_asks_for_any_port_rather_than_the_usual_one():
    usual = PortChooser({}, {}).address("api", "API").port

    address = PortChooser({"TAMS_API_PORT": "0"}, {}).address("api", "API", usual)

    assert address.port != usual


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80 81"])
def test_a_port_that_is_no_port_is_refused_with_its_variable(text):
    chooser = PortChooser({"TAMS_VAST_PORT": text}, {})

    with pytest.raises(StartError, match=f"TAMS_VAST_PORT={text}"):
        chooser.address("vast", "VAST")


def test_local_services_listen_on_loopback_only():
    chooser = PortChooser({"TAMS_S3_HOST": "0.0.0.0"}, {})

    with pytest.raises(StartError, match=r"TAMS_S3_HOST=0\.0\.0\.0.*loopback"):
        chooser.address("seaweedfs", "S3")


def test_both_ports_of_a_pair_are_free():
    port = PortChooser({}, {}).pair("seaweedfs-master", "127.0.0.1", 10_000)

    assert is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port + 10_000)


def test_an_ipv6_address_stands_in_brackets_in_a_url():
    assert Address("::1", 4010).url == "http://[::1]:4010"
