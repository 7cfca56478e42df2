"""The local VAST server: the database, in the wire protocol of the real one."""

import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local_services.directory import make_directory
from infra.local_services.ports import Address
from infra.local_services.service import Service, http_answers
from infra.settings import VastSettings


def vast(
    directory: Path, address: Address, settings: VastSettings, environ: Mapping[str, str]
) -> Service:
    """A local VAST server with its data in `directory`; `environ` carries its secret key."""
    home = make_directory(directory / "vast")
    options = {
        "--host": address.host,
        "--port": str(address.port),
        "--data-dir": str(home),
        "--bucket": settings.bucket,
        "--access-key": settings.access_key,
    }
    arguments = (word for option in options.items() for word in option)
    return Service(
        name="vast",
        argv=(sys.executable, "-P", "-m", "workers.cli", "vast-local", *arguments),
        env=environ,
        healthy=lambda: http_answers(
            f"{address.url}/?transaction", {"tabular-get-vast-version": "true"}
        ),
    )
