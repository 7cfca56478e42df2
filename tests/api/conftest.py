"""What the tests of the API share."""

import socket
from pathlib import Path

import pytest


@pytest.fixture
def dead(tmp_path: Path) -> str:
    """An address nobody answers at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
