"""The demonstration agrees with a sound store, and notices one that is not."""

import pytest

from workers.client.demo import demo
from workers.client.store import Store


class Careless(Store):
    """A store that gives back bytes other than those it was given."""

    def download(self, url, path):
        super().download(url, path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


@pytest.mark.parametrize(("kind", "agrees"), [(Store, True), (Careless, False)])
def test_it_says_ok_only_if_everything_agrees(store_facts, kind, agrees):
    lines = []

    with kind(store_facts["api"]) as store:
        assert demo(store, store_facts["s3"], lines.append) is agrees

    assert (lines[-1] == "ok") is agrees
    assert any(line.startswith("DIFFERS") for line in lines) is not agrees
