"""Work that was put aside is shown, tried again and thrown away, by HTTP and by command."""

from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tests.making import listed, new_id, put_flow, timeranges
from tests.putting_aside import bury_message, bury_offers
from tests.services.running import Running
from tests.waiting import eventually
from workers.app import connect
from workers.cli import main as tams


@pytest.fixture
def command(store: Running, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `tams` with arguments, for this store."""
    for name, value in store.environ.items():
        monkeypatch.setenv(name, value)
    connect.cache_clear()
    yield lambda *arguments: CliRunner().invoke(tams, ["dead-letters", *arguments])
    connect.cache_clear()


def test_a_message_that_cannot_be_read_is_shown_and_thrown_away(
    store: Running, api: httpx.Client
) -> None:
    letter = bury_message(store, b'{"not": "a notification"}')
    path = f"/admin/dead-letters/{letter}"

    shown = api.get(path)
    replayed = api.post(f"{path}/replay")
    thrown = api.delete(path)

    assert shown.json()["kind"] == "notification"
    assert shown.json()["content"] == '{"not": "a notification"}'
    assert shown.json()["reason"]
    assert (replayed.status_code, thrown.status_code) == (400, 204)
    for gone in (api.get(path), api.delete(path), api.post(f"{path}/replay")):
        assert gone.status_code == 404


def test_offers_that_were_put_aside_are_registered_when_they_are_replayed(
    store: Running, api: httpx.Client
) -> None:
    flow, job = put_flow(api), new_id()
    path = f"/admin/dead-letters/{bury_offers(store, flow, job)}"

    shown = api.get(path).json()
    replayed = api.post(f"{path}/replay")

    assert shown["about"] == {"flow_id": flow, "job_id": job}
    assert replayed.status_code == 204
    assert timeranges(eventually(lambda: listed(api, flow))) == ["[0:0_1:0)"]
    assert api.get(path).status_code == 404


def test_the_command_lists_shows_replays_and_discards(store: Running, command: Any) -> None:
    letter = bury_message(store, b'{"still": "no notification"}')

    listed_, shown = command("list"), command("show", letter)
    replayed, discarded = command("replay", letter), command("discard", letter)
    gone = command("show", letter)

    assert letter in listed_.output
    assert '{"still": "no notification"}' in shown.output
    assert (replayed.exit_code, discarded.exit_code, gone.exit_code) == (1, 0, 1)
    assert "does not exist" in gone.output
