"""Presigned URLs of S3 (AWS Signature Version 4, parameters in the query string).

* They are those the AWS SDK makes, byte for byte, for a bucket named in the path of the URL.
* What URLs of one moment have in common is made once, and the signing key once a day: what is
  left to do for each is two hashes.
"""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlsplit

from infra.backends import S3Settings

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_PORTS: Final = {"http": 80, "https": 443}


class Presigner:
    """Signs URLs of one bucket that are valid for `expires_s` seconds."""

    def __init__(
        self,
        store: S3Settings,
        bucket: str,
        expires_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(store.public_endpoint)
        self._site = f"{parts.scheme}://{parts.netloc}"
        self._bucket = f"{quote(parts.path.rstrip('/'))}/{bucket}/"
        self._host = _host(store.public_endpoint)
        self._store = store
        self._expires_s = expires_s
        self._clock = clock
        self._key = ("", b"")

    def urls(self, method: str, content_type: str | None = None) -> Callable[[str], str]:
        """Makes the URL of a key, signed at the moment of this call.

        A request with a `content_type` must be made with that header.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        scope = f"{moment[:8]}/{self._store.region}/s3/aws4_request"
        headers, signed = f"host:{self._host}\n", "host"
        if content_type is not None:
            headers = f"content-type:{' '.join(content_type.split())}\n{headers}"
            signed = "content-type;host"
        query = (
            f"X-Amz-Algorithm={_ALGORITHM}"
            f"&X-Amz-Credential={_quoted(f'{self._store.access_key}/{scope}')}"
            f"&X-Amz-Date={moment}&X-Amz-Expires={self._expires_s}"
            f"&X-Amz-SignedHeaders={_quoted(signed)}"
        )
        sign = _hmac_of(self._signing_key(moment[:8]))
        site, bucket = self._site, self._bucket
        canonical = f"\n{query}\n{headers}\n{signed}\nUNSIGNED-PAYLOAD"
        to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n"

        def url(name: str) -> str:
            path = f"{bucket}{quote(name, safe='/~')}"
            digest = sha256(f"{method}\n{path}{canonical}".encode()).hexdigest()
            signature = sign(f"{to_sign}{digest}".encode())
            return f"{site}{path}?{query}&X-Amz-Signature={signature}"

        return url

    def _signing_key(self, day: str) -> bytes:
        known, key = self._key
        if known != day:
            key = f"AWS4{self._store.secret_key}".encode()
            for part in (day, self._store.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return key


def _host(endpoint: str) -> str:
    """What a client of `endpoint` sends as `Host`."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port in {None, _PORTS.get(parts.scheme)}:
        return host
    return f"{host}:{parts.port}"


def _hmac_of(key: bytes) -> Callable[[bytes], str]:
    """HMAC-SHA256 (RFC 2104) in hexadecimal, with the key hashed once and not for every text."""
    padded = key.ljust(64, b"\0")
    inner, outer = (sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))

    def digest(text: bytes) -> str:
        first, second = inner.copy(), outer.copy()
        first.update(text)
        second.update(first.digest())
        return second.hexdigest()

    return digest


def _quoted(text: str) -> str:
    return quote(text, safe="~")
