"""The local VAST server: the database, in the wire protocol of the real one."""

import sys
from collections.abc import Mapping
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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
        healthy=lambda: says_its_version(settings),
    )


def says_its_version(settings: VastSettings) -> bool:
    """Whether the server lets us in and answers the first question of every client."""
    url = f"{settings.endpoint}/?transaction"
    request = AWSRequest("GET", url, headers={"tabular-get-vast-version": "true"})
    SigV4Auth(Credentials(settings.access_key, settings.secret_key), "s3", "").add_auth(request)
    return http_answers(url, dict(request.headers.items()))
