"""The demonstration a newcomer runs first."""

import subprocess
import sys

from tests.services.running import Running, clean_environment


def test_the_demo_agrees_with_itself(store: Running) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "workers.cli", "demo"],
        env=clean_environment() | {"TAMS_DATA_DIR": str(store.directory)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "ok"
