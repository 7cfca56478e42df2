"""How requests of the SDK reach a database next door: signed, on a connection that is kept.

* It stands in for `requests` in the SDK, which spends three times as long on a request (proxies,
  cookies, redirects, hooks) as the wire does; a transaction makes about ten.
* Answers are received whole. One that breaks off is a `requests.ConnectionError`, as with it.
* The key that signs is derived once a day (AWS Signature Version 4, without a region).
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Final

import requests
import urllib3
from urllib3.util import parse_url

_DAY: Final = "%Y%m%d"
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_SIGNED: Final = "host;x-amz-date"


class Connections:
    """The part of `requests.Session` that the SDK uses, for one endpoint without TLS."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self._pool = urllib3.connection_from_url(endpoint, maxsize=4)
        host = parse_url(endpoint)
        self._host = f"{host.host}:{host.port}" if host.port not in {80, None} else str(host.host)
        self._access_key = access_key
        self._secret_key = secret_key

    def request(
        self,
        method: str,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        data: Any = b"",
        stream: bool = False,  # noqa: ARG002 - as the SDK calls it
    ) -> requests.Response:
        """The answer to a request; raises `requests.ConnectionError`."""
        target = parse_url(url)
        body = bytes(data)
        try:
            answer = self._pool.urlopen(
                method,
                target.request_uri,
                body=body,
                headers={
                    **(headers or {}),
                    **self._signature(method, target.path, target.query, body),
                },
                timeout=timeout,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        return _response(answer, method, url)

    def close(self) -> None:
        """Close what is open."""
        self._pool.close()

    def _signature(
        self, method: str, path: str | None, query: str | None, body: bytes
    ) -> dict[str, str]:
        """The headers that sign a request."""
        now = datetime.now(UTC)  # noqa: TID251 - what is signed is the time of the request
        day, moment, content = now.strftime(_DAY), now.strftime(_MOMENT), sha256(body).hexdigest()
        scope = f"{day}//s3/aws4_request"
        canonical = (
            f"{method}\n{path or '/'}\n{_canonical(query)}\n"
            f"host:{self._host}\nx-amz-date:{moment}\n\n{_SIGNED}\n{content}"
        )
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(_key_of(self._secret_key, day), text.encode(), "sha256").hex()
        return {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, "
            f"SignedHeaders={_SIGNED}, Signature={signature}",
            "x-amz-date": moment,
            "x-amz-content-sha256": content,
        }


@lru_cache(maxsize=8)
def _key_of(secret_key: str, day: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, "", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(query: str | None) -> str:
    """The parameters in order, each with a value."""
    if not query:
        return ""
    return "&".join(part if "=" in part else f"{part}=" for part in sorted(query.split("&")))


def _response(answer: urllib3.BaseHTTPResponse, method: str, url: str) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers.update(answer.headers)
    response.url = url
    response.request = SimpleNamespace(method=method, url=url)  # type: ignore[assignment]  # what the SDK reads of it
    response._content = answer.data  # noqa: SLF001 - it has been received
    response.raw = BytesIO(answer.data)
    return response
