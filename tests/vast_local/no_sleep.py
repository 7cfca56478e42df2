"""A pytest plugin: tests of a server without background work need not sleep for it.

VAST's tests of projections and of sorted tables sleep for seconds, up to five minutes, while
a cluster rearranges its data. The local server has nothing of the kind to wait for.
"""

import types

import pytest

_SLEEPERS = frozenset({"vastdb.tests.test_projections", "vastdb.tests.test_tables"})


@pytest.fixture(autouse=True)
def _awake(request, monkeypatch):
    module = request.module
    if module.__name__ in _SLEEPERS:
        awake = types.SimpleNamespace(**{**vars(module.time), "sleep": lambda _: None})
        monkeypatch.setattr(module, "time", awake)
