"""The receiver of docs/events.md, run as it stands there."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.making import put_flow
from tests.services.running import clean_environment
from tests.waiting import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"
KEY = "a long random text"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and the file with what it prints."""
    (program,) = re.findall(r"(?ms)^```python\n(.*?)^```", DOCUMENT.read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    printed = tmp_path / "printed"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=clean_environment() | {"PORT": str(port), "SIGNING_KEY": KEY},
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        eventually(lambda: _answers(url))
        yield url, printed
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.post(url, content=b"").status_code == 401
    except httpx.TransportError:
        return False


def test_the_receiver_of_the_document_takes_what_is_signed_and_nothing_else(
    api: httpx.Client, receiver: tuple[str, Path]
):
    url, printed = receiver
    webhook: dict[str, Any] = {"url": url, "events": ["flows/created"], "signing_key": KEY}
    signed = api.post("/service/webhooks", json=webhook).json()["id"]
    forged = api.post("/service/webhooks", json={**webhook, "signing_key": "other"}).json()["id"]

    flow = put_flow(api)
    eventually(lambda: flow in printed.read_text())
    (sent, *_) = eventually(lambda: api.get(f"/service/webhooks/{forged}/deliveries").json())
    replay = httpx.post(url, content=b"{}", headers={"webhook-id": sent["event_id"]})
    for webhook_id in (signed, forged):
        api.delete(f"/service/webhooks/{webhook_id}")

    assert sent["status_code"] == 401
    assert replay.status_code == 401
    assert printed.read_text().count(f"'id': '{flow}'") == 1
    assert printed.read_text().startswith("flows/created {'flow': {")
