"""AWS Signature Version 4, as clients of VAST sign: service ``s3``, an empty region.

* The signature covers method, path, query, the signed headers and the SHA-256 of the body;
  anything that does not match answers 403 without saying what.
* Some clients percent-encode an already encoded path once more before they sign; both
  readings are accepted.
* A request more than fifteen minutes off the server's clock is refused.
"""

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from infra.vast_local.errors import Forbidden

MAX_SKEW_S = 15 * 60

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<access>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/,]*)/"
    r"(?P<service>[^/,]+)/aws4_request, *SignedHeaders=(?P<signed>[^,]+), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class Verifier:
    """Checks signatures against one pair of keys."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        """Take the only keys that are let in."""
        self._access_key = access_key
        self._secret_key = secret_key

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Refuse with 403 a request that is not signed with the keys.

        ``target`` is the request line's path and query, ``headers`` have lower-case names.
        """
        match = _HEADER.fullmatch(headers.get("authorization", ""))
        if match is None:
            raise Forbidden("the request is not signed")
        stamp = headers.get("x-amz-date", "")
        if match["access"] != self._access_key or not stamp.startswith(match["date"]):
            raise Forbidden("the signature does not match", "SignatureDoesNotMatch")
        if abs(time.time() - _seconds(stamp)) > MAX_SKEW_S:
            raise Forbidden("the clocks differ too much", "RequestTimeTooSkewed")
        path, _, query = target.partition("?")
        scope = f"{match['date']}/{match['region']}/{match['service']}/aws4_request"
        key = _signing_key(self._secret_key, match["date"], match["region"], match["service"])
        tail = _canonical_tail(query, match["signed"], headers, body)
        for reading in dict.fromkeys((path, quote(path, safe="/-_.~"))):
            canonical = f"{method}\n{reading}\n{tail}".encode()
            digest = hashlib.sha256(canonical).hexdigest()
            text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
            if hmac.compare_digest(_hmac(key, text).hex(), match["signature"]):
                return
        raise Forbidden("the signature does not match", "SignatureDoesNotMatch")


def _canonical_tail(query: str, signed: str, headers: Mapping[str, str], body: bytes) -> str:
    pairs = [part.partition("=") for part in sorted(query.split("&")) if part]
    parameters = "&".join(f"{name}={value}" for name, _, value in pairs)
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed.split(";"))
    return f"{parameters}\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"


@lru_cache(maxsize=8)
def _seconds(stamp: str) -> float:
    try:
        return timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise Forbidden("x-amz-date is not a time") from error


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
