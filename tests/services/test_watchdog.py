"""A worker that stopped consuming is replaced."""

from pathlib import Path

import httpx
import pytest
from celery import Celery

from tests.making import external, listed, put_flow
from tests.services.running import running_store


def test_a_worker_that_is_deaf_to_its_queue_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_store(tmp_path, TAMS_WATCHDOG_S="4", TAMS_REPLY_TIMEOUT_S="60") as store:
        for name, value in store.environ.items():
            monkeypatch.setenv(name, value)
        before = store.facts["processes"]
        app = Celery("tams")
        app.config_from_object("celeryconfig")
        with httpx.Client(base_url=store.facts["api"], timeout=90) as api:
            flow = put_flow(api)
            app.control.cancel_consumer("interactive", reply=True)

            registered = api.post(f"/flows/{flow}/segments", json=external(0, 1_000))

            assert registered.status_code == 201, store.log
            assert len(listed(api, flow)) == 1
        assert "it ends" in store.log
        after = store.facts["processes"]
        assert before["worker"] != after["worker"]
        assert before["bulk"] == after["bulk"]
